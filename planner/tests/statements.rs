//! Statements that are not queries, parameters, and the results of queries as clients see them.

mod support;

use columnar::{DataType, Scalar, Value};
use planner::{PartitionBy, PlannerOptions, Statement};
use support::tpch;

fn plan(sql: &str) -> Statement {
    planner::plan(sql, &tpch(), &PlannerOptions::default()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn external_tables() {
    let Statement::CreateExternalTable(table) = plan(
        "create external table if not exists s.Events (id bigint not null, at timestamp, v decimal(10, 2)) \
         stored as parquet location 's3://bucket/events/' partition by hash (ID)",
    ) else {
        panic!("another statement")
    };
    assert_eq!(table.name.to_string(), "s.Events");
    assert!(table.if_not_exists);
    assert_eq!(table.location, "s3://bucket/events/");
    assert_eq!(table.partition_by, Some(PartitionBy::Hash(vec!["ID".into()])));
    let columns = table.columns.expect("columns are given");
    assert_eq!(columns.len(), 3);
    assert_eq!((columns[0].data_type, columns[0].nullable), (DataType::Int64, false));
    assert_eq!(columns[2].data_type, DataType::decimal(10, 2));
    let Statement::CreateExternalTable(table) =
        plan("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'x/*.parquet'")
    else {
        panic!("another statement")
    };
    assert!(table.columns.is_none() && !table.if_not_exists && table.partition_by.is_none());
    let Statement::CreateExternalTable(table) =
        plan("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'x' PARTITION BY RANGE (k)")
    else {
        panic!("another statement")
    };
    assert_eq!(table.partition_by, Some(PartitionBy::Range("k".into())));
}

/// A node of version 1 knows neither the name nor the kinds of arguments.
#[test]
fn newer_functions_wait_for_the_cluster() {
    let older = PlannerOptions { version: 1, ..PlannerOptions::default() };
    for sql in [
        "select md5(n_name) from nation",
        "select 1 from nation where n_name ~* 'a'",
        "select n_nationkey & 1 from nation",
    ] {
        let error = planner::plan(sql, &tpch(), &older).expect_err(sql).to_string();
        assert!(error.contains("version is 1") && error.contains("tundra admin upgrade"), "{error}");
        plan(sql);
    }
    // What is computed at planning needs no node to know it.
    for sql in ["select md5('a') from nation", "select upper(n_name) from nation"] {
        planner::plan(sql, &tpch(), &older).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// All uses in a statement have one moment.
#[test]
fn the_moment_of_a_statement_is_one() {
    let Statement::Query(query) =
        plan("select now() = current_timestamp and localtime = now()::time as same")
    else {
        panic!("another statement")
    };
    assert!(format!("{:?}", query.fragments).contains("Boolean(true)"), "{:?}", query.fragments);
}

#[test]
fn tables_schemas_and_settings() {
    assert!(
        matches!(plan("create table t (a int, b varchar(10) null)"), Statement::CreateTable { columns, .. } if columns.len() == 2)
    );
    let Statement::CreateTableAs { columns, query, .. } =
        plan("create table t as select n_name as Name, null as x, 1 + 1 as y from nation")
    else {
        panic!("another statement")
    };
    let types: Vec<_> = columns.iter().map(|column| (column.name.as_str(), column.data_type)).collect();
    assert_eq!(types, [("Name", DataType::Varchar), ("x", DataType::Varchar), ("y", DataType::Int32)]);
    assert_eq!(query.columns.len(), 3);
    assert!(
        matches!(plan("drop table if exists a, s.b"), Statement::DropTable { names, if_exists: true, .. } if names.len() == 2)
    );
    assert!(matches!(
        plan("create schema if not exists s"),
        Statement::CreateSchema { if_not_exists: true, .. }
    ));
    assert!(matches!(plan("drop schema s cascade"), Statement::DropSchema { cascade: true, .. }));
    assert!(matches!(plan("show tables"), Statement::ShowTables { schema: None }));
    assert!(matches!(plan("describe NATION"), Statement::Describe { table } if table.name == "nation"));
    assert!(matches!(plan("refresh table nation"), Statement::RefreshTable { .. }));
    assert!(
        matches!(plan("truncate table nation, Region, NATION"), Statement::Truncate { tables } if tables.len() == 2)
    );
    assert!(
        matches!(plan("set threads = 4"), Statement::Set { name, value: Some(value) } if name == "threads" && value == "4")
    );
    assert!(
        matches!(plan("set search_path to a, b"), Statement::Set { value: Some(value), .. } if value == "a, b")
    );
    assert!(matches!(plan("reset threads"), Statement::Set { value: None, .. }));
    assert!(matches!(plan("show threads"), Statement::Show { name } if name == "threads"));
    for (sql, analyzed, document) in [
        ("explain select 1", false, false),
        ("explain analyze select 1", true, false),
        ("explain (select 1)", false, false),
        ("explain (format json) select 1", false, true),
        ("explain (analyze, format json) (select 1)", true, true),
        ("explain (analyze off, format text) values (1)", false, false),
        ("explain (format json, analyze on) with a as (select 1) from a", true, true),
    ] {
        let Statement::Explain { analyze, json, .. } = plan(sql) else { panic!("{sql}") };
        assert_eq!((analyze, json), (analyzed, document), "{sql}");
    }
    for (sql, part) in [
        ("explain (format yaml) select 1", "TEXT or JSON"),
        ("explain (analyze maybe) select 1", "on or off"),
        ("explain (buffers) select 1", "the option buffers of EXPLAIN"),
        ("explain (analyze format json) select 1", "on or off"),
        ("explain (analyze", "expected"),
    ] {
        let error = planner::parse(sql).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{sql}: {error}");
    }
    assert!(planner::parse("select 1; ; show tables;").is_ok_and(|statements| statements.len() == 2));
}

#[test]
fn inserts_give_all_columns_with_the_types_of_the_table() {
    let Statement::Insert { table, query, .. } =
        plan("insert into nation values (1, 'a', 2, 'c'), (2, 'b', 3, null)")
    else {
        panic!("another statement")
    };
    assert_eq!(table.name, "nation");
    let types: Vec<_> = query.columns.iter().map(|column| column.data_type).collect();
    assert_eq!(types, [DataType::Int64, DataType::Varchar, DataType::Int64, DataType::Varchar]);
    assert_eq!(query.fragments[0].plan.output_types(), types);
    let missing =
        planner::plan("insert into nation (n_name) values ('a')", &tpch(), &PlannerOptions::default());
    assert!(missing.is_err_and(|error| error.message.contains("takes no nulls")));
    for wrong in [
        "insert into nation values (1)",
        "insert into nation (n_name, N_NAME) values ('a', 'b')",
        "insert into nation (nonsense) values (1)",
    ] {
        assert!(planner::plan(wrong, &tpch(), &PlannerOptions::default()).is_err(), "{wrong}");
    }
}

#[test]
fn parameters_take_the_type_of_their_context() {
    let sql =
        "select * from orders where o_orderdate < $2 and o_totalprice > $1 and o_comment like $3 limit 1";
    let options = PlannerOptions { parameters: None, ..PlannerOptions::default() };
    let Ok(Statement::Query(query)) = planner::plan(sql, &tpch(), &options) else { panic!("no query") };
    assert_eq!(query.parameters, [DataType::decimal(15, 2), DataType::Date, DataType::Varchar]);
    let values = vec![Value::int64(5), Value::varchar("1995-01-01"), Value::varchar("%x%")];
    let options = PlannerOptions { parameters: Some(values), ..PlannerOptions::default() };
    let Ok(Statement::Query(query)) = planner::plan(sql, &tpch(), &options) else { panic!("no query") };
    let text = query.explain();
    assert!(text.contains("o_orderdate < '1995-01-01'") && text.contains("o_totalprice > 5.00"), "{text}");
    let questions = "select ? + n_nationkey, ? from nation";
    let options = PlannerOptions { parameters: None, ..PlannerOptions::default() };
    let Ok(Statement::Query(query)) = planner::plan(questions, &tpch(), &options) else { panic!("no query") };
    assert_eq!(query.parameters, [DataType::Int64, DataType::Varchar]);
    let few = PlannerOptions { parameters: Some(vec![]), ..PlannerOptions::default() };
    assert!(
        planner::plan(questions, &tpch(), &few).is_err_and(|error| error.message.contains("$1 has no value"))
    );
}

/// The binder reads LIMIT, then FROM, then the select list; parameters count by their place in the text.
#[test]
fn question_marks_count_from_left_to_right() {
    let plan_with = |sql: &str, values: &[i32]| {
        let values = values.iter().map(|&value| Value::int32(value)).collect();
        planner::plan(sql, &tpch(), &PlannerOptions { parameters: Some(values), ..PlannerOptions::default() })
    };
    let questions = "select n_nationkey + ? from nation where n_regionkey > ? and \
                     n_nationkey < (select max(r_regionkey) + ? from region) order by 1 limit ?";
    let numbers =
        ["$1", "$2", "$3", "$4"].iter().fold(questions.to_string(), |sql, n| sql.replacen('?', n, 1));
    let explain = |sql: &str| match plan_with(sql, &[10, 2, 7, 5]) {
        Ok(Statement::Query(query)) => query.explain(),
        other => panic!("{sql}: {other:?}"),
    };
    assert_eq!(explain(questions), explain(&numbers));
    assert!(explain(questions).contains("n_regionkey > 2"), "{}", explain(questions));
    let mixed = plan_with("select ? + $2", &[1, 2]).unwrap_err();
    assert!(mixed.message.contains("not both"), "{mixed}");
}

#[test]
fn numbers_in_base_16_are_integers() {
    let Statement::Query(query) = plan("select 0x1F, 0xffffffff, X'1F'") else { panic!("no query") };
    let types: Vec<_> = query.columns.iter().map(|column| column.data_type).collect();
    assert_eq!(types, [DataType::Int32, DataType::Int64, DataType::Binary]);
}

#[test]
fn literals_and_operators_have_the_types_of_the_dialect() {
    let types = |sql: &str| -> Vec<String> {
        match plan(sql) {
            Statement::Query(query) => {
                query.columns.iter().map(|column| column.data_type.to_string()).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        types("select 1, 3000000000, 99999999999999999999, 1.50, .5, 1e3, 'x', true, null"),
        [
            "INTEGER",
            "BIGINT",
            "DECIMAL(38,0)",
            "DECIMAL(3,2)",
            "DECIMAL(1,1)",
            "DOUBLE",
            "VARCHAR",
            "BOOLEAN",
            "NULL"
        ]
    );
    assert_eq!(
        types(
            "select l_extendedprice * (1 - l_discount), l_quantity + 1, l_quantity / 2, l_linenumber / 2, l_quantity * 1e0 from lineitem"
        ),
        ["DECIMAL(31,4)", "DECIMAL(16,2)", "DOUBLE", "INTEGER", "DOUBLE"]
    );
    assert_eq!(
        types(
            "select count(*), sum(l_linenumber), sum(l_orderkey), sum(l_tax), avg(l_tax), min(l_shipdate) from lineitem"
        ),
        ["BIGINT", "BIGINT", "DECIMAL(38,0)", "DECIMAL(38,2)", "DOUBLE", "DATE"]
    );
    assert_eq!(types("select n_nationkey as \"Key\", * exclude (n_comment) from nation").len(), 4);
}

#[test]
fn every_value_of_a_row_is_a_value_of_its_column() {
    let Statement::Query(query) = plan("values (1, 'a'), (2.5, null), (null, 'c')") else {
        panic!("no query")
    };
    assert_eq!(query.columns[0].data_type, DataType::decimal(11, 1));
    let exec::Plan::Values { types, rows } = &query.fragments[0].plan else {
        panic!("{:?}", query.fragments)
    };
    for row in rows {
        for (value, data_type) in row.iter().zip(types) {
            assert_eq!(value.data_type, *data_type);
        }
    }
    assert_eq!(rows[0][0].scalar, Scalar::Integer(10));
}
