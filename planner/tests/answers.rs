//! The statements of `tests/slt` that are about names, joins, subqueries and grouping, planned and run by the
//! reference interpreter: with and without optimisation, on one shard and on three, and as if the tables were
//! large and lay in other ways, since the planner then moves rows in other ways.

mod support;

use columnar::{Scalar, Value};
use planner::catalog::{Partitioning, Table};
use planner::{ChangeKind, MergedRow, Optimizer, PlannerOptions, Statement};
use std::sync::Arc;
use support::TestCatalog;
use support::reference::{Data, Row, run};

struct Session {
    catalog: TestCatalog,
    data: Data,
}

/// What the planner is told of tables. It may change a plan, never an answer.
#[derive(Clone, Copy, Debug)]
enum Guise {
    /// Nothing but that their rows are spread.
    Unknown,
    /// A million rows, spread.
    Large,
    /// The same, by the hash of the first column.
    HashedByFirst,
    /// The same, by ranges of the first column, where it can be cut.
    RangedByFirst,
    /// The same, by the hash of the second column and the first.
    HashedByTwo,
    /// A million rows on every shard, but for every other table, which is spread.
    Replicated,
}

impl Guise {
    fn of(self, table: &Arc<Table>, rows: &[Row]) -> Arc<Table> {
        const ROWS: u64 = 1_000_000;
        let partitioning = match self {
            Guise::Unknown => return table.clone(),
            Guise::HashedByFirst => Partitioning::Hash(vec![0]),
            // Tables whose ranges differ lie apart.
            Guise::RangedByFirst if table.columns[0].data_type.is_integral() => {
                Partitioning::Ranges { column: 0, span: 9 + table.dataset % 3 * 4 }
            }
            Guise::RangedByFirst => Partitioning::Spread,
            Guise::HashedByTwo => Partitioning::Hash((0..table.columns.len().min(2) as u32).rev().collect()),
            Guise::Replicated if table.dataset.is_multiple_of(2) => Partitioning::Replicated,
            Guise::Large | Guise::Replicated => Partitioning::Spread,
        };
        support::disguised(table, rows, ROWS, partitioning)
    }
}

#[derive(Debug, Default)]
struct Tally {
    checked: usize,
    skipped: Vec<String>,
    wrong: Vec<String>,
}

/// What a block of a file asks for.
struct Block {
    header: String,
    sql: String,
    expected: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    text.split("\n\n")
        .filter_map(|part| {
            let mut lines = part.lines().filter(|line| !line.starts_with('#')).peekable();
            while lines.peek().is_some_and(|line| line.trim().is_empty()) {
                lines.next();
            }
            let header = lines.next()?.to_string();
            let rest: Vec<&str> = lines.collect();
            let split = rest.iter().position(|line| *line == "----").unwrap_or(rest.len());
            let expected = rest.get(split + 1..).unwrap_or_default();
            Some(Block {
                header,
                sql: rest[..split].join("\n"),
                expected: expected.iter().map(|line| line.to_string()).collect(),
            })
        })
        .collect()
}

/// What is refused on purpose, as opposed to a fault.
fn is_foreign(error: &str) -> bool {
    ["a cast of", "the function", "is not supported yet", "there is no"]
        .iter()
        .any(|known| error.contains(known))
}

impl Session {
    fn execute(
        &mut self,
        sql: &str,
        optimizer: Optimizer,
        shards: usize,
        guise: Guise,
    ) -> Result<Vec<(Row, Vec<columnar::DataType>)>, String> {
        let options = PlannerOptions { shards, optimizer, ..PlannerOptions::default() };
        let disguised =
            |table: &Arc<Table>| guise.of(table, self.data.get(&table.dataset).map_or(&[], Vec::as_slice));
        let catalog = TestCatalog(self.catalog.0.iter().map(disguised).collect());
        let statement = planner::plan(sql, &catalog, &options).map_err(|error| error.to_string())?;
        match statement {
            Statement::Query(query) => {
                let types: Vec<_> = query.columns.iter().map(|column| column.data_type).collect();
                let rows = run(&query, &catalog, &self.data, shards)
                    .map_err(|error| format!("{error}\n{}", query.explain()))?;
                Ok(rows.into_iter().map(|row| (row, types.clone())).collect())
            }
            Statement::CreateTable { name, columns, .. } => {
                let dataset = self.catalog.0.len() as u64 + 1;
                self.catalog.0.push(Arc::new(Table {
                    name: name.name,
                    columns,
                    ..support::empty_table(dataset)
                }));
                self.data.insert(dataset, Vec::new());
                Ok(Vec::new())
            }
            Statement::Insert { table, query, .. } => {
                let rows = run(&query, &catalog, &self.data, shards)?;
                self.data.entry(table.dataset).or_default().extend(rows);
                Ok(Vec::new())
            }
            Statement::Change(change) => {
                let given = |shards, options: &PlannerOptions| {
                    let statement =
                        planner::plan(sql, &catalog, options).map_err(|error| error.to_string())?;
                    let Statement::Change(change) = statement else { return Err("no change".into()) };
                    run(&change.query, &catalog, &self.data, shards)
                };
                // Whichever way, the same rows become the same.
                let mut rows = given(shards, &options)?;
                rows.sort_by_key(|row| format!("{row:?}"));
                for (optimizer, shards) in
                    [(Optimizer::Off, 1), (Optimizer::Off, 3), (Optimizer::Random(3), 3), (Optimizer::On, 3)]
                {
                    let mut others = given(shards, &PlannerOptions { shards, optimizer, ..options.clone() })?;
                    others.sort_by_key(|row| format!("{row:?}"));
                    assert_eq!(rows, others, "optimizer {optimizer:?}, {shards} shards: {sql}");
                }
                let known = self.data.entry(change.table.dataset).or_default();
                changed(known, &change.kind, rows)?;
                Ok(Vec::new())
            }
            Statement::DropTable { names, .. } => {
                self.catalog.0.retain(|table| names.iter().all(|name| name.name != table.name));
                Ok(Vec::new())
            }
            other => Err(format!("a cast of {other:?}")),
        }
    }
}

/// Has rows be changed as the rows of a statement's query say.
fn changed(known: &mut Vec<Row>, kind: &ChangeKind, rows: Vec<Row>) -> Result<(), String> {
    let (mut gone, mut added) = (std::collections::BTreeSet::new(), Vec::new());
    for row in rows {
        let integer = |place: usize| row[place].as_integer().map(|value| value as usize);
        let made = match kind {
            ChangeKind::Delete => &MergedRow::Deleted,
            ChangeKind::Update(set) => &MergedRow::Updated(set.clone()),
            ChangeKind::Merge(clauses) => &clauses[integer(1).ok_or("no clause")? - 1],
        };
        let values = match kind {
            ChangeKind::Merge(_) => &row[2..],
            _ => &row[1..],
        };
        let first = match made {
            MergedRow::Inserted(_) => true,
            _ => gone.insert(integer(0).ok_or("no address")?),
        };
        if !first && !matches!(kind, ChangeKind::Delete) {
            return Err("a row is changed twice".into());
        }
        if !matches!(made, MergedRow::Deleted) {
            added.push(values.to_vec());
        }
    }
    let mut place = 0;
    known.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
    known.extend(added);
    Ok(())
}

/// Whether a row is the one of the file, whose cells are separated by tabs; floats to 11 digits.
fn is_row(row: &Row, types: &[columnar::DataType], expected: &str) -> bool {
    let cells: Vec<&str> = expected.split('\t').collect();
    cells.len() == row.len()
        && row.iter().zip(types).zip(cells).all(|((scalar, &data_type), cell)| match scalar {
            Scalar::Bytes(bytes) if bytes.is_empty() => cell == "(empty)",
            Scalar::Float(found) => {
                let near = |wanted: f64| (found - wanted).abs() <= found.abs() * 1e-11;
                let same = |wanted: f64| *found == wanted || found.is_nan() && wanted.is_nan();
                cell.parse::<f64>().is_ok_and(|wanted| same(wanted) || found.is_finite() && near(wanted))
            }
            other => Value::new(data_type, other.clone()).to_string() == cell,
        })
}

/// Whether the rows are those expected, in the order given if the query orders them.
fn is_answer(rows: &[(Row, Vec<columnar::DataType>)], expected: &[String], ordered: bool) -> bool {
    if rows.len() != expected.len() {
        return false;
    }
    if ordered {
        return rows.iter().zip(expected).all(|((row, types), line)| is_row(row, types, line));
    }
    let mut left: Vec<&String> = expected.iter().collect();
    rows.iter().all(|(row, types)| {
        let found = left.iter().position(|line| is_row(row, types, line));
        found.map(|position| left.swap_remove(position)).is_some()
    })
}

fn check_file(name: &str) -> Tally {
    let path = format!("{}/../tests/slt/{name}.slt", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(path).expect("the file is there");
    let mut session = Session { catalog: TestCatalog(Vec::new()), data: Data::new() };
    let mut tally = Tally::default();
    for block in blocks(&content) {
        if block.header.starts_with("statement ok") {
            if let Err(error) = session.execute(&block.sql, Optimizer::On, 1, Guise::Unknown) {
                tally.skipped.push(format!("{}\n{error}", block.sql));
            }
            continue;
        }
        // Intervals and binary values are written in a way of the files' own.
        if block.header.starts_with("query")
            && block
                .header
                .split_whitespace()
                .nth(1)
                .is_some_and(|letters| letters.contains(['V', 'X', 'S', 'M']))
        {
            continue;
        }
        // The interpreter's integers have no bounds.
        if block.header.starts_with("statement error") && block.header.contains("out of range") {
            continue;
        }
        for (optimizer, shards, guise) in [
            (Optimizer::On, 1, Guise::Unknown),
            (Optimizer::Off, 1, Guise::Unknown),
            (Optimizer::On, 3, Guise::Unknown),
            (Optimizer::Off, 3, Guise::Unknown),
            (Optimizer::Random(7), 3, Guise::Unknown),
            (Optimizer::On, 3, Guise::Large),
            (Optimizer::On, 3, Guise::HashedByFirst),
            (Optimizer::On, 3, Guise::RangedByFirst),
            (Optimizer::On, 3, Guise::HashedByTwo),
            (Optimizer::On, 3, Guise::Replicated),
        ] {
            let label = format!("optimizer {optimizer:?}, {shards} shards, {guise:?}: {}", block.sql);
            let outcome = session.execute(&block.sql, optimizer, shards, guise);
            let fails = block.header.starts_with("statement error");
            match outcome {
                Err(_) if fails => tally.checked += 1,
                Ok(_) if fails => tally.wrong.push(format!("no error: {label}")),
                Err(error) if is_foreign(&error) => tally.skipped.push(format!("{label}\n{error}")),
                Err(error) => tally.wrong.push(format!("{label}\n{error}")),
                Ok(rows) => {
                    tally.checked += 1;
                    let ordered = block.sql.to_uppercase().contains("ORDER BY");
                    if !is_answer(&rows, &block.expected, ordered) {
                        let rows: Vec<&Row> = rows.iter().map(|(row, _)| row).collect();
                        tally
                            .wrong
                            .push(format!("{label}\nexpected {:?}\nfound    {rows:?}", block.expected));
                    }
                }
            }
        }
    }
    tally
}

/// Checks the files; at least `checked` runs must have been judged.
fn check(files: &[&str], checked: usize) {
    let mut judged = 0;
    let (mut wrong, mut skipped) = (Vec::new(), Vec::new());
    for file in files {
        let tally = check_file(file);
        judged += tally.checked;
        wrong.extend(tally.wrong);
        skipped.extend(tally.skipped);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(judged >= checked, "only {judged} of {checked} were judged; skipped:\n{}", skipped.join("\n\n"));
}

#[test]
fn subqueries() {
    check(&["subqueries", "correlation"], 430);
}

#[test]
fn joins_and_set_operations() {
    check(&["joins", "set_operations", "ctes"], 700);
}

#[test]
fn groups_and_order() {
    check(&["aggregates", "ordering"], 560);
}

#[test]
fn windows() {
    check(&["window_queries", "window_ranking", "window_frames", "window_values"], 900);
}

#[test]
fn windows_of_aggregates_and_errors() {
    check(&["window_aggregates", "window_errors"], 500);
}

#[test]
fn conditions() {
    check(&["booleans", "conditional", "comparison"], 700);
}

#[test]
fn casts_and_dates() {
    check(&["casts", "dates", "unsupported"], 1_000);
}

#[test]
fn changes() {
    check(&["changes"], 150);
}

/// What rests on facts of the rows.
#[test]
fn sums_keys_and_totals() {
    check(&["moved_sums", "computed_keys", "known_totals"], 300);
}
