//! The statements of `tests/slt` that are about names, joins, subqueries and grouping, planned and run by the
//! reference interpreter: with and without optimisation, on one shard and on three.

mod support;

use columnar::{Scalar, Value};
use planner::catalog::Table;
use planner::{PlannerOptions, Statement};
use std::sync::Arc;
use support::TestCatalog;
use support::reference::{Data, Row, run};

struct Session {
    catalog: TestCatalog,
    data: Data,
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

/// What the interpreter or the functions do not know, as opposed to what the planner does wrong.
fn is_foreign(error: &str) -> bool {
    ["there is no function", "no function", "a cast of", "the function", "folding", "an expression of"]
        .iter()
        .any(|known| error.contains(known))
}

impl Session {
    fn execute(
        &mut self,
        sql: &str,
        optimize: bool,
        shards: usize,
    ) -> Result<Vec<(Row, Vec<columnar::DataType>)>, String> {
        let options = PlannerOptions { shards, optimize, ..PlannerOptions::default() };
        let statement = planner::plan(sql, &self.catalog, &options).map_err(|error| error.to_string())?;
        match statement {
            Statement::Query(query) => {
                let types: Vec<_> = query.columns.iter().map(|column| column.data_type).collect();
                let rows = run(&query, &self.data, shards)
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
            Statement::Insert { table, query } => {
                let rows = run(&query, &self.data, shards)?;
                self.data.entry(table.dataset).or_default().extend(rows);
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

fn text(row: &Row, types: &[columnar::DataType]) -> String {
    let cells = row.iter().zip(types).map(|(scalar, &data_type)| match scalar {
        Scalar::Bytes(bytes) if bytes.is_empty() => "(empty)".to_string(),
        other => Value::new(data_type, other.clone()).to_string(),
    });
    cells.collect::<Vec<_>>().join("\t")
}

fn check_file(name: &str) -> Tally {
    let path = format!("{}/../tests/slt/{name}.slt", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(path).expect("the file is there");
    let mut session = Session { catalog: TestCatalog(Vec::new()), data: Data::new() };
    let mut tally = Tally::default();
    for block in blocks(&content) {
        if block.header.starts_with("statement ok") {
            if let Err(error) = session.execute(&block.sql, true, 1) {
                tally.skipped.push(format!("{}\n{error}", block.sql));
            }
            continue;
        }
        for (optimize, shards) in [(true, 1), (false, 1), (true, 3), (false, 3)] {
            let outcome = session.execute(&block.sql, optimize, shards);
            let label = format!("optimize {optimize}, {shards} shards: {}", block.sql);
            if block.header.starts_with("statement error") {
                match outcome {
                    Err(_) => tally.checked += 1,
                    Ok(_) => tally.wrong.push(format!("no error: {label}")),
                }
                continue;
            }
            match outcome {
                Err(error) if is_foreign(&error) => tally.skipped.push(format!("{label}\n{error}")),
                Err(error) => tally.wrong.push(format!("{label}\n{error}")),
                Ok(rows) => {
                    let mut found: Vec<String> = rows.iter().map(|(row, types)| text(row, types)).collect();
                    let mut expected = block.expected.clone();
                    if !block.sql.to_uppercase().contains("ORDER BY") {
                        found.sort();
                        expected.sort();
                    }
                    tally.checked += 1;
                    if found != expected {
                        tally.wrong.push(format!("{label}\nexpected {expected:?}\nfound    {found:?}"));
                    }
                }
            }
        }
    }
    tally
}

#[test]
fn slt_files() {
    let mut wrong = Vec::new();
    let wanted = std::env::var("SLT").unwrap_or(
        "joins,subqueries,set_operations,ctes,ordering,aggregates,booleans,conditional,comparison,literals"
            .into(),
    );
    for name in wanted.split(',') {
        let tally = check_file(name);
        println!(
            "{name}: {} checked, {} skipped, {} wrong",
            tally.checked,
            tally.skipped.len(),
            tally.wrong.len()
        );
        if std::env::var("SKIPPED").is_ok() {
            for s in &tally.skipped {
                println!("  skipped {s}\n");
            }
        }
        wrong.extend(tally.wrong);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}
