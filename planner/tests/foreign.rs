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

#[test]
fn tpch_is_sent() {
    for number in 1..=22 {
        println!("q{number}: {}", planned(&tpch_query(number), Engine::PostgreSql).explain());
    }
}
