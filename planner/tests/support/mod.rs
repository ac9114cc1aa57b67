//! A catalog of the eight TPC-H tables with statistics as scale factor 1 has them, without samples.

#![allow(dead_code)]

pub(crate) mod reference;
mod windows;

use columnar::{DataType, Scalar};
use planner::catalog::{Catalog, Partitioning, Table};
use planner::{PlannedQuery, PlannerOptions, Statement};
use std::collections::HashSet;
use std::sync::Arc;
use storage::ColumnFacts;
use storage::statistics::{ColumnSchema, ColumnStatistics, TableStatistics};

pub(crate) struct TestCatalog(pub(crate) Vec<Arc<Table>>);

impl Catalog for TestCatalog {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<Table>> {
        let schema = schema.unwrap_or("main");
        self.0
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(name) && table.schema.eq_ignore_ascii_case(schema))
            .cloned()
    }

    fn table_names(&self) -> Vec<String> {
        self.0.iter().map(|table| table.name.clone()).collect()
    }
}

/// A column: name, type, distinct values, least and greatest as integers behind the value.
type Spec = (&'static str, DataType, f64, Option<(i128, i128)>);

const MONEY: DataType = DataType::decimal(15, 2);

pub(crate) fn table(dataset: u64, name: &str, rows: u64, columns: &[Spec], nullable: bool) -> Arc<Table> {
    let statistics = columns
        .iter()
        .map(|&(_, data_type, distinct, bounds)| ColumnStatistics {
            nulls: 0,
            min: bounds.map_or(Scalar::Null, |(min, _)| Scalar::Integer(min)),
            max: bounds.map_or(Scalar::Null, |(_, max)| Scalar::Integer(max)),
            distinct,
            unique: distinct as u64 == rows,
            average_bytes: if data_type == DataType::Varchar { 20.0 } else { 4.0 },
            ..ColumnStatistics::empty()
        })
        .collect();
    Arc::new(Table {
        tenant: "default".into(),
        schema: "main".into(),
        name: name.into(),
        dataset,
        version: 1,
        columns: columns
            .iter()
            .map(|&(name, data_type, ..)| ColumnSchema { name: name.into(), data_type, nullable })
            .collect(),
        statistics: Arc::new(TableStatistics { rows, columns: statistics, sample: None }),
        facts: columns
            .iter()
            .map(|&(_, _, distinct, bounds)| ColumnFacts {
                rows,
                bounds,
                unique: distinct as u64 == rows,
                ..ColumnFacts::UNKNOWN
            })
            .collect(),
        partitioning: Partitioning::Spread,
        foreign: None,
        addressed: false,
    })
}

/// The table as if it had so many rows and they lay so. What is proven of it holds of those that it has.
pub(crate) fn disguised(
    table: &Table,
    has: &[reference::Row],
    rows: u64,
    partitioning: Partitioning,
) -> Arc<Table> {
    let column = ColumnStatistics {
        distinct: rows as f64 / 10.0,
        unique: false,
        average_bytes: 8.0,
        ..ColumnStatistics::empty()
    };
    let columns = vec![column; table.columns.len()];
    Arc::new(Table {
        tenant: table.tenant.clone(),
        schema: table.schema.clone(),
        name: table.name.clone(),
        dataset: table.dataset,
        version: table.version,
        columns: table.columns.clone(),
        statistics: Arc::new(TableStatistics { rows, columns, sample: None }),
        facts: (0..table.columns.len()).map(|column| facts(has, column)).collect(),
        partitioning,
        foreign: None,
        addressed: false,
    })
}

/// What the rows prove of the column.
fn facts(rows: &[reference::Row], column: usize) -> ColumnFacts {
    let values: Vec<&Scalar> =
        rows.iter().map(|row| &row[column]).filter(|&value| *value != Scalar::Null).collect();
    let integers: Option<Vec<i128>> = values.iter().map(|value| value.as_integer()).collect();
    let integers = integers.unwrap_or_default();
    ColumnFacts {
        rows: rows.len() as u64,
        nulls: (rows.len() - values.len()) as u64,
        bounds: integers.iter().min().copied().zip(integers.iter().max().copied()),
        sum: Some(integers.iter().sum()),
        exact: true,
        unique: values.iter().collect::<HashSet<_>>().len() == values.len(),
        ..ColumnFacts::UNKNOWN
    }
}

/// A table without columns or statistics.
pub(crate) fn empty_table(dataset: u64) -> Table {
    Table {
        tenant: "default".into(),
        schema: "main".into(),
        name: String::new(),
        dataset,
        version: 1,
        columns: Vec::new(),
        statistics: Arc::new(TableStatistics::default()),
        facts: Vec::new(),
        partitioning: Partitioning::Spread,
        foreign: None,
        addressed: false,
    }
}

pub(crate) fn tpch() -> TestCatalog {
    use DataType::{Date, Int32 as Int, Int64 as Big, Varchar as Text};
    let dates = Some((8035, 10561));
    let key = |count: i128| Some((1, count));
    TestCatalog(vec![
        table(
            1,
            "region",
            5,
            &[
                ("r_regionkey", Big, 5., Some((0, 4))),
                ("r_name", Text, 5., None),
                ("r_comment", Text, 5., None),
            ],
            false,
        ),
        table(
            2,
            "nation",
            25,
            &[
                ("n_nationkey", Big, 25., Some((0, 24))),
                ("n_name", Text, 25., None),
                ("n_regionkey", Big, 5., Some((0, 4))),
                ("n_comment", Text, 25., None),
            ],
            false,
        ),
        table(
            3,
            "supplier",
            10_000,
            &[
                ("s_suppkey", Big, 10_000., key(10_000)),
                ("s_name", Text, 10_000., None),
                ("s_address", Text, 10_000., None),
                ("s_nationkey", Big, 25., Some((0, 24))),
                ("s_phone", Text, 10_000., None),
                ("s_acctbal", MONEY, 9_955., Some((-99_822, 999_993))),
                ("s_comment", Text, 10_000., None),
            ],
            false,
        ),
        table(
            4,
            "customer",
            150_000,
            &[
                ("c_custkey", Big, 150_000., key(150_000)),
                ("c_name", Text, 150_000., None),
                ("c_address", Text, 150_000., None),
                ("c_nationkey", Big, 25., Some((0, 24))),
                ("c_phone", Text, 150_000., None),
                ("c_acctbal", MONEY, 140_187., Some((-99_999, 999_999))),
                ("c_mktsegment", Text, 5., None),
                ("c_comment", Text, 150_000., None),
            ],
            false,
        ),
        table(
            5,
            "part",
            200_000,
            &[
                ("p_partkey", Big, 200_000., key(200_000)),
                ("p_name", Text, 199_997., None),
                ("p_mfgr", Text, 5., None),
                ("p_brand", Text, 25., None),
                ("p_type", Text, 150., None),
                ("p_size", Int, 50., Some((1, 50))),
                ("p_container", Text, 40., None),
                ("p_retailprice", MONEY, 20_899., Some((90_100, 209_900))),
                ("p_comment", Text, 131_753., None),
            ],
            false,
        ),
        table(
            6,
            "partsupp",
            800_000,
            &[
                ("ps_partkey", Big, 200_000., key(200_000)),
                ("ps_suppkey", Big, 10_000., key(10_000)),
                ("ps_availqty", Int, 9_999., Some((1, 9_999))),
                ("ps_supplycost", MONEY, 99_901., Some((100, 100_000))),
                ("ps_comment", Text, 799_124., None),
            ],
            false,
        ),
        table(
            7,
            "orders",
            1_500_000,
            &[
                ("o_orderkey", Big, 1_500_000., key(6_000_000)),
                ("o_custkey", Big, 99_996., key(149_999)),
                ("o_orderstatus", Text, 3., None),
                ("o_totalprice", MONEY, 1_464_556., Some((85_771, 55_528_516))),
                ("o_orderdate", Date, 2_406., Some((8035, 10440))),
                ("o_orderpriority", Text, 5., None),
                ("o_clerk", Text, 1_000., None),
                ("o_shippriority", Int, 1., Some((0, 0))),
                ("o_comment", Text, 1_482_071., None),
            ],
            false,
        ),
        table(
            8,
            "lineitem",
            6_001_215,
            &[
                ("l_orderkey", Big, 1_500_000., key(6_000_000)),
                ("l_partkey", Big, 200_000., key(200_000)),
                ("l_suppkey", Big, 10_000., key(10_000)),
                ("l_linenumber", Int, 7., key(7)),
                ("l_quantity", MONEY, 50., Some((100, 5_000))),
                ("l_extendedprice", MONEY, 933_900., Some((90_100, 10_494_950))),
                ("l_discount", MONEY, 11., Some((0, 10))),
                ("l_tax", MONEY, 9., Some((0, 8))),
                ("l_returnflag", Text, 3., None),
                ("l_linestatus", Text, 2., None),
                ("l_shipdate", Date, 2_526., dates),
                ("l_commitdate", Date, 2_466., dates),
                ("l_receiptdate", Date, 2_554., dates),
                ("l_shipinstruct", Text, 4., None),
                ("l_shipmode", Text, 7., None),
                ("l_comment", Text, 4_580_667., None),
            ],
            false,
        ),
    ])
}

/// The plan of a query, or the panic of a test.
pub(crate) fn plan(sql: &str, shards: usize) -> PlannedQuery {
    let options = PlannerOptions { shards, ..PlannerOptions::default() };
    match planner::plan(sql, &tpch(), &options) {
        Ok(Statement::Query(query)) => query,
        Ok(other) => panic!("not a query: {other:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// The text of TPC-H query `number`.
pub(crate) fn tpch_query(number: usize) -> String {
    let path = format!("{}/../tests/tpch/q{number:02}.sql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the queries lie in tests/tpch")
}
