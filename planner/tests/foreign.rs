//! What other engines are asked: queries over foreign tables in the words of their servers.

mod support;

use columnar::DataType;
use planner::catalog::{Engine, ForeignTable, Table};
use planner::{PlannedQuery, PlannerOptions, Statement};
use std::sync::Arc;
use storage::statistics::ColumnSchema;
use support::{TestCatalog, tpch, tpch_query};

fn foreign(table: &Table, engine: Engine) -> Arc<Table> {
    let foreign = ForeignTable {
        server: "warehouse".into(),
        server_revision: 7,
        engine,
        remote_schema: "public".into(),
        remote_name: table.name.clone(),
    };
    Arc::new(Table { foreign: Some(foreign), facts: Vec::new(), ..Table::clone(table) })
}

/// TPC-H of a server, and a table of awkward names and types beside it.
fn catalog(engine: Engine) -> TestCatalog {
    let TestCatalog(tables) = tpch();
    let mut tables: Vec<Arc<Table>> = tables.iter().map(|table| foreign(table, engine)).collect();
    let column = |name: &str, data_type| ColumnSchema { name: name.into(), data_type, nullable: true };
    let odd = Table {
        name: "odd \"table\"".into(),
        columns: vec![
            column("o'clock", DataType::Time),
            column("a \"b\"", DataType::Varchar),
            column("n", DataType::Int32),
            column("d", DataType::Float64),
            column("m", DataType::decimal(10, 2)),
            column("day", DataType::Date),
        ],
        ..Table::clone(&tables[0])
    };
    tables.push(foreign(&odd, engine));
    TestCatalog(tables)
}

fn planned(sql: &str, engine: Engine) -> PlannedQuery {
    match planner::plan(sql, &catalog(engine), &PlannerOptions { shards: 3, ..PlannerOptions::default() }) {
        Ok(Statement::Query(query)) => query,
        other => panic!("{sql}: {other:?}"),
    }
}

/// The only query that is sent, and whether anything stays here.
fn sent(sql: &str, engine: Engine) -> (String, bool) {
    let query = planned(sql, engine);
    assert_eq!(query.foreign.len(), 1, "{}", query.explain());
    let stays = !matches!(query.fragments[0].plan, exec::Plan::Receive { .. });
    (query.foreign[0].sql.clone(), stays)
}

/// What is computed there of TPC-H: all of it, but for the last steps of three queries, which divide.
#[test]
fn tpch_is_sent() {
    for engine in [Engine::PostgreSql, Engine::Tundra] {
        let mut partly = Vec::new();
        for number in 1..=22 {
            let (sql, stays) = sent(&tpch_query(number), engine);
            assert!(sql.starts_with("SELECT ") && sql.contains("\"public\".\""), "{sql}");
            if stays {
                partly.push(number);
            }
        }
        let expected: &[usize] = if engine == Engine::Tundra { &[] } else { &[8, 14] };
        assert_eq!(partly, expected, "{engine:?}");
    }
}

#[test]
fn text_is_ordered_by_bytes() {
    let (sql, stays) = sent(
        "select n_name from nation where n_name < 'x' and n_name <> 'y' order by 1 desc",
        Engine::PostgreSql,
    );
    assert!(!stays);
    let expected = "SELECT CAST(t1.\"n_name\" AS text) AS c1 FROM \"public\".\"nation\" AS t1 WHERE ((CAST(t1.\"n_name\" AS \
                    text) COLLATE \"C\") < 'x') AND (CAST(t1.\"n_name\" AS text) <> 'y') ORDER BY (CAST(t1.\"n_name\" AS text) \
                    COLLATE \"C\") DESC NULLS FIRST";
    assert_eq!(sql, expected);
    let (sql, _) = sent("select min(n_name), max(n_name) from nation", Engine::PostgreSql);
    assert_eq!(sql.matches("COLLATE").count(), 2, "{sql}");
    let (sql, _) = sent("select min(n_name) from nation where n_name < 'x' order by 1", Engine::Tundra);
    assert!(!sql.contains("COLLATE") && !sql.contains("CAST"), "{sql}");
}

#[test]
fn what_means_something_else_stays_here() {
    for stays_here in [
        "n / (n - 1)",
        "n % n",
        "d / d",
        "upper(\"a \"\"b\"\"\")",
        "cast(\"a \"\"b\"\"\" as integer)",
        "cast(d as integer)",
        "cast(d as varchar)",
        "cast(m as decimal(5,1))",
        "\"a \"\"b\"\"\" ilike 'x%'",
        "\"a \"\"b\"\"\" like \"a \"\"b\"\"\"",
        "round(d)",
        "date_trunc('month', day)",
    ] {
        let (sql, stays) =
            sent(&format!("select {stays_here} from \"odd \"\"table\"\"\""), Engine::PostgreSql);
        assert!(stays, "{stays_here}: {sql}");
        let condition = format!("select n from \"odd \"\"table\"\"\" where n > 3 and ({stays_here}) is null");
        let (sql, stays) = sent(&condition, Engine::PostgreSql);
        assert!(stays && sql.contains("\"n\" > 3"), "{stays_here}: {sql}");
    }
    for said in [
        "n / 2",
        "n % 3",
        "m * m",
        "m + 1.5",
        "year(day)",
        "day + 3",
        "day + interval '1 month'",
        "coalesce(n, 1)",
        "cast(n as bigint)",
        "cast(m as double)",
        "substring(\"a \"\"b\"\"\", 2, 3)",
        "case when n = 1 then 'x' end",
        "abs(n)",
    ] {
        let (sql, stays) = sent(&format!("select {said} from \"odd \"\"table\"\"\""), Engine::PostgreSql);
        assert!(!stays, "{said}: {sql}");
    }
}

#[test]
fn names_and_literals_are_quoted() {
    let (sql, _) = sent(
        "select \"o'clock\", \"a \"\"b\"\"\" from \"odd \"\"table\"\"\" where \"a \"\"b\"\"\" = 'it''s; -- \\'",
        Engine::PostgreSql,
    );
    assert!(sql.contains("t1.\"o'clock\"") && sql.contains("t1.\"a \"\"b\"\"\""), "{sql}");
    assert!(sql.contains("FROM \"public\".\"odd \"\"table\"\"\" AS t1"), "{sql}");
    assert!(sql.contains("= 'it''s; -- \\')"), "{sql}");
    let (sql, stays) =
        sent("select n from \"odd \"\"table\"\"\" where \"a \"\"b\"\"\" = chr(0) || 'x'", Engine::PostgreSql);
    assert!(stays || !sql.contains('\0'), "{sql}");
}

#[test]
fn limits_go_below_what_stays() {
    let (sql, stays) = sent("select upper(n_name) from nation limit 3 offset 2", Engine::PostgreSql);
    assert!(stays && sql.ends_with(" LIMIT 5"), "{sql}");
    let (sql, _) = sent("select n_name from nation limit 3 offset 2", Engine::PostgreSql);
    assert!(sql.ends_with(" LIMIT 3 OFFSET 2"), "{sql}");
    let (sql, stays) =
        sent("select upper(n_name) from nation where upper(n_name) = 'X' limit 3", Engine::PostgreSql);
    assert!(stays && !sql.contains("LIMIT"), "{sql}");
}

#[test]
fn columns_alone_are_asked_of_others() {
    let query = planned(&tpch_query(3), Engine::Plain);
    assert_eq!(query.foreign.len(), 3);
    for remote in &query.foreign {
        assert!(!remote.sql.contains("WHERE") && !remote.sql.contains("CAST"), "{}", remote.sql);
    }
    let (sql, stays) = sent("select count(*) from nation", Engine::Plain);
    assert!(stays);
    assert_eq!(sql, "SELECT 1 AS c0 FROM \"public\".\"nation\" AS t1");
}

#[test]
fn tables_of_both_kinds_are_refused() {
    let TestCatalog(mut tables) = tpch();
    tables[0] = foreign(&tables[0], Engine::PostgreSql);
    let sql = "select * from region, nation";
    let error = planner::plan(sql, &TestCatalog(tables), &PlannerOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a query over both is not supported yet"), "{error}");
}

#[test]
fn several_servers_give_their_tables() {
    let TestCatalog(tables) = tpch();
    let of = |table: &Arc<Table>, revision: u64| {
        let mut table = Table::clone(&foreign(table, Engine::PostgreSql));
        if let Some(foreign) = &mut table.foreign {
            foreign.server_revision = revision;
        }
        Arc::new(table)
    };
    let catalog = TestCatalog(vec![of(&tables[0], 1), of(&tables[1], 2)]);
    let sql = "select r_name, count(*) from region, nation where n_regionkey = r_regionkey group by 1";
    let Ok(Statement::Query(query)) = planner::plan(sql, &catalog, &PlannerOptions::default()) else {
        panic!()
    };
    assert_eq!(query.foreign.len(), 2);
    assert!(query.foreign[0].fragment != query.foreign[1].fragment);
}
