//! Joins give the same rows wherever those of their tables lie, and however large the planner takes the tables to be.

#[path = "../../tests/tests/joins/matrix.rs"]
mod matrix;
mod support;

use columnar::{DataType, Scalar};
use matrix::{COLUMNS, TABLES, queries, rows};
use planner::catalog::{Partitioning, Table};
use planner::{PlannerOptions, Statement};
use storage::statistics::ColumnSchema;
use support::TestCatalog;
use support::reference::{Data, Row, run};

/// Where the rows of a table lie: anywhere, on all shards, by its unique column, by one that repeats, by two.
const PLACEMENTS: [fn() -> Partitioning; 7] = [
    || Partitioning::Spread,
    || Partitioning::Replicated,
    || Partitioning::Hash(vec![0]),
    || Partitioning::Hash(vec![1]),
    || Partitioning::Hash(vec![2, 1]),
    || Partitioning::Ranges { column: 1, span: 40 },
    || Partitioning::Ranges { column: 0, span: 64 },
];
const SHARDS: [usize; 4] = [2, 4, 7, 1];
/// How many rows the planner takes the smaller and the larger table to have.
const SIZES: [(u64, u64); 4] =
    [(40, 110), (100_000, 10_000_000), (1_000_000, 1_000_000), (10_000_000, 1_000)];

/// The tables, before anything is told of them.
fn tables() -> (Vec<Table>, Data) {
    let mut data = Data::new();
    let mut tables = Vec::new();
    for (dataset, (name, count)) in (1..).zip(TABLES) {
        let schema =
            |name: &str| ColumnSchema { name: name.into(), data_type: DataType::Int64, nullable: true };
        let columns = COLUMNS.map(schema).to_vec();
        tables.push(Table { name: name.into(), columns, ..support::empty_table(dataset) });
        let scalar = |value: Option<i64>| value.map_or(Scalar::Null, |value| Scalar::Integer(value.into()));
        data.insert(dataset, rows(count).iter().map(|row| row.map(scalar).to_vec()).collect());
    }
    (tables, data)
}

fn catalog(tables: &[Table], data: &Data, sizes: (u64, u64), placements: [Partitioning; 2]) -> TestCatalog {
    let told = tables.iter().zip([sizes.0, sizes.1]).zip(placements);
    let told = told
        .map(|((table, rows), placement)| support::disguised(table, &data[&table.dataset], rows, placement));
    TestCatalog(told.collect())
}

/// The rows, those of a query that orders them in order; or what went wrong.
fn answer(
    sql: &str,
    catalog: &TestCatalog,
    data: &Data,
    options: &PlannerOptions,
) -> Result<Vec<Row>, String> {
    let statement = planner::plan(sql, catalog, options).map_err(|error| error.to_string())?;
    let Statement::Query(query) = statement else { return Err("not a query".into()) };
    let mut rows = run(&query, catalog, data, options.shards)?;
    if !sql.contains("ORDER BY") {
        rows.sort_by_cached_key(|row| format!("{row:?}"));
    }
    Ok(rows)
}

/// How many ways of planning there are, and how many of them each query goes.
const WAYS: usize = PLACEMENTS.len() * PLACEMENTS.len() * SHARDS.len() * SIZES.len();
const WAYS_A_QUERY: usize = 6;
/// From one way to the next; it has no divisor in common with their number.
const STRIDE: usize = 113;

/// Of the queries each `parts`-th from that with the number `part`.
fn check(queries: &[String], part: usize, parts: usize) {
    let (tables, data) = tables();
    let spread = [Partitioning::Spread, Partitioning::Spread];
    let plain = catalog(&tables, &data, SIZES[0], spread);
    let alone = PlannerOptions { shards: 1, optimize: false, ..PlannerOptions::default() };
    let mut wrong = Vec::new();
    for (number, sql) in queries.iter().enumerate().filter(|(number, _)| number % parts == part) {
        let expected = answer(sql, &plain, &data, &alone).expect(sql);
        for turn in 0..WAYS_A_QUERY {
            let mut way = (number * WAYS_A_QUERY + turn) * STRIDE % WAYS;
            let mut pick = |choices: usize| {
                let choice = way % choices;
                way /= choices;
                choice
            };
            let placements = [PLACEMENTS[pick(PLACEMENTS.len())](), PLACEMENTS[pick(PLACEMENTS.len())]()];
            let (shards, sizes) = (SHARDS[pick(SHARDS.len())], SIZES[pick(SIZES.len())]);
            let label = format!("{shards} shards, {sizes:?} rows, {placements:?}: {sql}");
            let options = PlannerOptions { shards, ..PlannerOptions::default() };
            let found = answer(sql, &catalog(&tables, &data, sizes, placements), &data, &options);
            if found.as_ref() != Ok(&expected) {
                wrong.push(format!("{label}\nexpected {expected:?}\nfound    {found:?}"));
            }
        }
    }
    let shown: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), shown.join("\n\n"));
}

#[test]
fn answers_do_not_depend_on_where_rows_lie() {
    check(&queries(), 0, 2);
}

#[test]
fn nor_do_those_of_every_other_query() {
    check(&queries(), 1, 2);
}

/// Groups by several sets, the first rows of groups, rows that are given several times, as-of joins.
const GROUPED: [&str; 19] = [
    "SELECT k, g, count(*), sum(v), min(id) FROM large GROUP BY ROLLUP (k, g)",
    "SELECT k, g, grouping(k, g), count(v), max(v) FROM large GROUP BY CUBE (k, g)",
    "SELECT id, count(*), sum(v) FROM large GROUP BY ROLLUP (id)",
    "SELECT k, count(DISTINCT g), count(*) FROM large GROUP BY ROLLUP (k)",
    "SELECT k, count(DISTINCT g), sum(DISTINCT v) FROM small GROUP BY ROLLUP (k)",
    "SELECT k, count(*) FROM large WHERE v > 1000000 GROUP BY ROLLUP (k)",
    "SELECT x.k, y.g, sum(y.v) FROM small x JOIN large y ON x.k = y.k GROUP BY GROUPING SETS ((x.k), (y.g), ())",
    "SELECT * FROM (SELECT k, g, sum(v) AS s FROM large GROUP BY CUBE (k, g)) t WHERE k = 3",
    "SELECT x.id, t.s FROM small x JOIN (SELECT k, g, sum(v) AS s FROM large GROUP BY ROLLUP (k, g)) t ON x.k = t.k",
    "SELECT DISTINCT ON (k) k, v, id FROM large ORDER BY k, v, id",
    "SELECT count(*), sum(v) FROM (SELECT DISTINCT ON (k, g) v FROM large ORDER BY k, g, v DESC, id) t",
    "SELECT v FROM large ORDER BY v FETCH FIRST 7 ROWS WITH TIES",
    "SELECT x.id, t.id FROM small x, LATERAL (SELECT id FROM large y WHERE y.k = x.k ORDER BY v, id LIMIT 2) t ORDER BY 1, 2",
    "SELECT x.id, (SELECT y.id FROM large y WHERE y.g > x.g ORDER BY y.v DESC, y.id LIMIT 1) FROM small x ORDER BY 1",
    "SELECT k, g FROM large INTERSECT ALL SELECT k, g FROM small",
    "SELECT k, g FROM large EXCEPT ALL SELECT k, g FROM small",
    "SELECT x.id, s.i FROM small x, generate_series(x.k - 2, x.k) AS s(i)",
    "SELECT x.id, y.v FROM small x ASOF JOIN (SELECT k, v FROM large GROUP BY k, v) y ON x.k = y.k AND x.v >= y.v",
    "SELECT x.id, y.v FROM small x ASOF LEFT JOIN (SELECT v FROM large GROUP BY v) y ON x.v < y.v",
];

#[test]
fn nor_do_those_of_groups() {
    check(&GROUPED.map(str::to_string), 0, 1);
}

/// The shard that sends the rows all have deals them: the join is made where the others lie, and nothing is gathered.
#[test]
fn rows_that_all_have_go_to_those_that_are_dealt() {
    let (tables, data) = tables();
    let options = PlannerOptions { shards: 4, ..PlannerOptions::default() };
    let exists = "SELECT count(*) FROM small x WHERE EXISTS (SELECT 1 FROM large y WHERE x.k = y.k)";
    for (sql, key, expected) in [
        (exists, 1, "gather, hash k"),
        (exists, 2, "gather, hash k, hash k"),
        (&exists.replace("EXISTS", "NOT EXISTS"), 1, "gather, hash k"),
        ("SELECT count(*), sum(y.v) FROM small x LEFT JOIN large y ON x.k = y.k", 1, "gather, hash k"),
        ("SELECT count(*), sum(y.v) FROM small x FULL JOIN large y ON x.k = y.k", 1, "gather, hash k"),
        // It could be a semi join.
        ("SELECT sum(x.v) FROM small x JOIN large y ON x.k = y.id WHERE y.v < 7 AND y.g = 9", 1, "gather"),
    ] {
        let placements = [Partitioning::Replicated, Partitioning::Hash(vec![key])];
        let catalog = catalog(&tables, &data, (100_000, 10_000_000), placements);
        let Ok(Statement::Query(query)) = planner::plan(sql, &catalog, &options) else { panic!("{sql}") };
        let plan = query.explain();
        let exchanges = plan.lines().filter_map(|line| line.trim().strip_prefix("Exchange "));
        let ways: Vec<&str> = exchanges.filter_map(|rest| rest.split("  [").next()).collect();
        assert_eq!(ways.join(", "), expected, "{sql}\n{plan}");
        assert!(plan.find("gather") < plan.find("Join"), "{plan}");
    }
}
