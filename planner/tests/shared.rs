//! Which parts of a plan are computed once, which group keys are left, which columns are read last, and what is not
//! read at all.

mod support;

use planner::catalog::Table;
use planner::{PlannedQuery, PlannerOptions, Statement};
use std::sync::Arc;
use storage::ColumnFacts;
use support::{TestCatalog, plan, tpch};

/// How many parts are shared, and how often they are read again.
fn shared(sql: &str, shards: usize) -> (usize, usize) {
    let explained = plan(sql, shards).explain();
    (explained.matches("Shared #").count(), explained.matches("Reread #").count())
}

const TOTALS: &str = "with totals as
    (select l_suppkey as k, sum(l_quantity) as total, count(*) as n from lineitem group by l_suppkey) ";

#[test]
fn an_aggregate_that_is_used_twice_is_computed_once() {
    for uses in [
        "select * from totals where total = (select max(total) from totals)",
        "select a.k, b.n from totals a join totals b on a.k = b.k + 1 where a.n > 5 and b.total < 7",
        "select k from totals union all select n from totals",
        "select k from totals where k not in (select n from totals)",
        // A limit ends no aggregate early.
        "select k from (select * from totals limit 3) x union all select k from totals",
    ] {
        assert_eq!(shared(&format!("{TOTALS}{uses}"), 1), (1, 1), "{uses}");
    }
    let thrice =
        format!("{TOTALS}select count(*) from totals a, totals b, totals c where a.k = b.n and b.k = c.n");
    assert_eq!(shared(&thrice, 1), (1, 2));
    assert_eq!(shared(&format!("{TOTALS}select * from totals"), 1), (0, 0));
    // The same in other words, with other columns.
    let twice = "select a.s, b.c from
        (select l_suppkey, sum(l_quantity) as s from lineitem where l_tax > 0 and l_discount < 0.05 group by l_suppkey) a,
        (select count(*) as c, x.l_suppkey as k from lineitem x where l_discount < 0.05 and l_tax > 0 group by x.l_suppkey) b
        where a.l_suppkey = b.k";
    assert_eq!(shared(twice, 1), (1, 1));
}

#[test]
fn what_differs_or_is_cheap_is_not_shared() {
    let both =
        |a: &str, b: &str| shared(&format!("select * from ({a}) a union all select * from ({b}) b"), 1);
    let groups = |rest: &str| format!("select l_suppkey from lineitem {rest}");
    let positive = groups("where l_tax > 0 group by 1");
    assert_eq!(both(&positive, &positive), (1, 1));
    for other in [
        "where l_tax > 1 group by 1",
        "where l_tax >= 0 group by 1",
        "where l_discount > 0 group by 1",
        "where l_tax > 0 and l_discount > 0 group by 1",
        "where l_tax > 0 group by 1, l_partkey",
        "group by 1",
    ] {
        assert_eq!(both(&positive, &groups(other)), (0, 0), "{other}");
    }
    // Reading a table twice is as cheap as keeping its rows, and small tables are cheap anyway.
    let read = groups("where l_tax > 0");
    assert_eq!(both(&read, &read), (0, 0));
    let small = "select n_name from nation group by 1";
    assert_eq!(both(small, small), (0, 0));
    let like = "select p_partkey from part where p_name like '%green%'";
    assert_eq!(both(like, like), (1, 1));
    // A limit over the rows would end the reading early.
    assert_eq!(both(&format!("select * from ({like}) p limit 3"), like), (0, 0));
}

/// The rows that have the greatest value are looked for on each shard, and then among what the shards have found.
#[test]
fn rows_with_the_extreme_of_the_same_rows_are_computed_once_on_several_shards() {
    // So many that they are not gathered.
    let totals = TOTALS.replace("l_suppkey", "l_partkey");
    for extreme in ["max(total)", "min(n)"] {
        let column = &extreme[4..extreme.len() - 1];
        let sql = format!("{totals}select * from totals where {column} = (select {extreme} from totals)");
        let planned = plan(&sql, 3);
        let explained = planned.explain();
        assert_eq!(explained.matches("Scan lineitem").count(), 1, "{explained}");
        assert_eq!(shared(&sql, 3), (2, 2), "{explained}");
    }
    // Of other rows, of another column, or where many rows may have it.
    for uses in [
        "select * from totals where total = (select max(total) from totals where n > 1)",
        "select * from totals where n = (select max(k) from totals)",
        "select l_orderkey from lineitem where l_returnflag = (select max(l_returnflag) from lineitem)",
    ] {
        let explained = plan(&format!("{totals}{uses}"), 3).explain();
        assert_eq!(explained.matches("Scan lineitem").count(), 2, "{explained}");
    }
}

/// What two fragments use is computed by each; in one fragment it is computed once.
#[test]
fn on_several_shards_both_uses_are_in_one_fragment() {
    let sql = format!("{TOTALS}select a.k from totals a join totals b on a.k = b.k where a.n > b.total");
    assert_eq!(shared(&sql, 3), (1, 1));
    for fragment in &plan(&sql, 3).fragments {
        let text = format!("{:?}", fragment.plan);
        assert_eq!(text.contains("Shared"), text.contains("Reread"), "{text}");
    }
}

/// The plan of a query over tables of which other facts are known.
fn plan_with(sql: &str, facts: impl Fn(&Table) -> Vec<ColumnFacts>) -> PlannedQuery {
    let TestCatalog(tables) = tpch();
    let with_facts = |table: Arc<Table>| {
        Arc::new(Table {
            tenant: table.tenant.clone(),
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: table.columns.clone(),
            statistics: table.statistics.clone(),
            facts: facts(&table),
            partitioning: table.partitioning.clone(),
            dataset: table.dataset,
            version: table.version,
            foreign: None,
            addressed: false,
        })
    };
    let tables = tables.into_iter().map(with_facts).collect();
    match planner::plan(sql, &TestCatalog(tables), &PlannerOptions::default()) {
        Ok(Statement::Query(query)) => query,
        other => panic!("{other:?}"),
    }
}

fn explain(sql: &str, facts: bool) -> String {
    plan_with(sql, |table| if facts { table.facts.clone() } else { Vec::new() }).explain()
}

/// The keys of the one aggregate.
fn group_keys(sql: &str, keys: bool) -> String {
    let explained = explain(sql, keys);
    let line = explained.lines().find(|line| line.contains("Aggregate") || line.contains("Distinct"));
    let line =
        line.unwrap_or_else(|| panic!("no aggregate: {sql}")).trim().split("  [").next().unwrap_or_default();
    line.rsplit_once(" by ").map_or(line, |(_, keys)| keys).trim_start_matches("Distinct ").to_string()
}

#[test]
fn groups_keep_the_keys_that_others_hang_on() {
    for (sql, expected) in [
        ("select o_orderdate, o_orderkey, count(*) from orders join lineitem on o_orderkey = l_orderkey group by 1, 2", "l_orderkey"),
        ("select distinct o_orderdate, o_orderkey from orders join lineitem on o_orderkey = l_orderkey", "l_orderkey"),
        ("select o_orderdate, o_custkey, count(*) from orders group by 1, 2", "o_orderdate, o_custkey"),
        (
            "select o_orderkey, c_name, n_name, count(*) from orders, lineitem, customer, nation
             where o_orderkey = l_orderkey and o_custkey = c_custkey and c_nationkey = n_nationkey group by 1, 2, 3",
            "l_orderkey",
        ),
        (
            "select o_custkey, c_name, max(o_orderdate) from orders join customer on o_custkey = c_custkey group by 1, 2",
            "o_custkey",
        ),
        // Without a match the order's customer says nothing of the name.
        (
            "select o_custkey, c_name, max(o_orderdate) from orders left join customer
             on o_custkey = c_custkey and c_acctbal > 0 group by 1, 2",
            "o_custkey, c_name",
        ),
        (
            "select c_custkey, c_name, max(o_orderdate) from orders left join customer
             on o_custkey = c_custkey and c_acctbal > 0 group by 1, 2",
            "c_custkey",
        ),
        ("select c_custkey + 1, c_mktsegment, count(*) from customer group by 1, 2", "c_custkey + 1, c_mktsegment"),
        (
            "select a.c_custkey, b.c_mktsegment, count(*) from customer a, customer b where a.c_nationkey = b.c_nationkey group by 1, 2",
            "c_custkey, c_mktsegment",
        ),
        (
            "select k, v, count(*) from (select c_custkey, c_acctbal from customer union all select s_suppkey, s_acctbal from supplier) x(k, v) group by 1, 2",
            "c_custkey, c_acctbal",
        ),
    ] {
        assert_eq!(group_keys(sql, true), expected, "{sql}");
    }
    let sql = "select o_orderdate, o_orderkey, count(*) from orders join lineitem on o_orderkey = l_orderkey group by 1, 2";
    assert_eq!(group_keys(sql, false), "o_orderdate, o_orderkey");
}

#[test]
fn groups_keep_no_keys_that_are_computed_of_others() {
    for (sql, expected) in [
        ("select p_size, p_size - 1, p_size * 2, count(*) from part group by 1, 2, 3", "p_size"),
        ("select 1, p_name, 'a', count(*) from part group by 1, 2, 3", "p_name"),
        ("select distinct o_orderdate, extract(year from o_orderdate) from orders", "o_orderdate"),
        (
            "select o_orderkey, o_custkey, o_custkey + 1, count(*) from orders join lineitem on o_orderkey = l_orderkey group by 1, 2, 3",
            "l_orderkey",
        ),
        ("select distinct 1, p_name, length(p_name) from part", "p_name"),
        ("select distinct y, y + 1 from (select o_custkey + 1 y from orders) o", "y"),
        // Something must be left, what is computed of no key stays, and so does what may fail.
        ("select 1, 'a', count(*) from part group by 1, 2", "1"),
        ("select p_size + 1, p_size + 2, count(*) from part group by 1, 2", "p_size + 1, p_size + 2"),
        ("select p_size, 10 / (p_size - 5), count(*) from part group by 1, 2", "p_size, 10 / (p_size - 5)"),
    ] {
        assert_eq!(group_keys(sql, true), expected, "{sql}");
    }
    let sql = "select p_size, p_size - 1, count(*) from part group by 1, 2";
    assert_eq!(group_keys(sql, false), "p_size, p_size - 1", "without bounds it may overflow");
    // Computed for the first rows alone.
    let sql = "select p_size, p_size - 1 less, count(*) n from part group by 1, 2 order by n limit 3";
    let explained = explain(sql, true);
    assert!(explained.find("Project") < explained.find("TopN"), "{explained}");
}

#[test]
fn groups_of_one_row_are_no_groups() {
    for (sql, facts, expected) in [
        ("select o_orderkey, o_orderdate, count(*), sum(o_totalprice) from orders group by 1, 2", true, 0),
        ("select o_orderkey, o_orderdate, count(*), sum(o_totalprice) from orders group by 1, 2", false, 1),
        ("select distinct o_orderkey from orders where o_totalprice > 1000", true, 0),
        ("select o_orderkey + 1, count(*) from orders group by 1", true, 1),
        ("select o_orderkey, max(cast(o_comment as integer)) from orders group by 1", true, 1),
        ("select o_orderkey, sum(cast(o_totalprice as double)) from orders group by 1", true, 1),
        (
            "select o_orderkey, max(c_name) from orders join customer on o_custkey = c_custkey group by 1",
            true,
            0,
        ),
        (
            "select o_custkey, max(c_name) from orders join customer on o_custkey = c_custkey group by 1",
            true,
            1,
        ),
        (
            "select o_orderkey, count(l_tax) from orders left join lineitem on o_orderkey = l_orderkey group by 1",
            true,
            1,
        ),
        (
            "select o_orderkey, count(*) from orders where exists (select 1 from lineitem where l_orderkey = o_orderkey) group by 1",
            true,
            0,
        ),
        (
            "select c_custkey, max(o_orderkey) from customer full join orders on o_orderkey = c_custkey group by 1",
            true,
            1,
        ),
        (
            "select k, count(*) from (select o_orderkey k from orders union all select c_custkey from customer) x group by 1",
            true,
            1,
        ),
        (
            "select k, max(n) from (select o_custkey k, count(*) n from orders group by 1 limit 3) x group by 1",
            true,
            1,
        ),
    ] {
        let aggregates = explain(sql, facts)
            .lines()
            .filter(|line| line.contains("Aggregate") || line.contains("Distinct"))
            .count();
        assert_eq!(aggregates, expected, "{sql}");
    }
}

#[test]
fn joins_for_keys_alone_are_semi_joins() {
    for (sql, facts, expected) in [
        (
            "select sum(o_totalprice) from orders join customer on o_custkey = c_custkey where c_acctbal > 0",
            true,
            1,
        ),
        (
            "select sum(o_totalprice) from customer join orders on o_custkey = c_custkey where c_acctbal > 0",
            true,
            1,
        ),
        // It is not known that keys stand once.
        (
            "select sum(o_totalprice) from orders join customer on o_custkey = c_custkey where c_acctbal > 0",
            false,
            0,
        ),
        (
            "select sum(c_acctbal) from orders join customer on o_custkey = c_custkey where o_totalprice < 1",
            true,
            0,
        ),
        // More is used of the other side.
        (
            "select sum(o_totalprice), max(c_acctbal) from orders join customer on o_custkey = c_custkey",
            true,
            0,
        ),
        (
            "select sum(o_totalprice) from orders join customer on o_custkey = c_custkey and o_totalprice > c_acctbal",
            true,
            0,
        ),
        (
            "select sum(o_totalprice), max(c_name) from orders left join customer on o_custkey = c_custkey",
            true,
            0,
        ),
    ] {
        let joins = explain(sql, facts).lines().filter(|line| line.contains("probe semi")).count();
        assert_eq!(joins, expected, "{sql}");
    }
}

/// The calls of the one aggregate.
fn calls(sql: &str, facts: bool) -> String {
    let explained = explain(sql, facts);
    let line = explained.lines().find(|line| line.contains("Aggregate")).expect("an aggregate");
    let line = line.trim().split("  [").next().unwrap_or_default();
    let line = line.trim_start_matches("Aggregate ");
    line.split_once(" by ").map_or(line, |(calls, _)| calls).to_string()
}

#[test]
fn sums_of_one_thing_are_one() {
    for (calls_asked, expected) in [
        ("sum(p_size + 1), sum(p_size + 2), sum(7 - p_size)", "sum(p_size), count(*)"),
        ("sum(p_size), sum(p_size + 1)", "sum(p_size), count(*)"),
        ("sum(p_size), sum(p_size + 0)", "sum(p_size)"),
        ("avg(p_size + 1), avg(p_size - 1)", "count(*), sum(p_size)"),
        ("sum(p_retailprice + 1), sum(1.5 - p_retailprice)", "sum(p_retailprice), count(*)"),
        ("sum(p_partkey + 1), sum(p_partkey + 2)", "sum(p_partkey), count(*)"),
        // Nothing is shared, or the filter or the type differs.
        ("sum(p_size + 1)", "sum(p_size + 1)"),
        ("sum(p_size + 1), sum(p_size + 1)", "sum(p_size + 1)"),
    ] {
        assert_eq!(calls(&format!("select {calls_asked} from part"), true), expected, "{calls_asked}");
    }
    // Without bounds a row may overflow.
    let sql = "select sum(p_size + 1), sum(p_size + 2) from part";
    assert_eq!(calls(sql, false), "sum(p_size + 1), sum(p_size + 2)");
}

#[test]
fn wide_columns_of_the_first_rows_are_read_last() {
    let fetches = |sql: &str, table: &str| explain(sql, true).matches(&format!("Scan {table} ")).count() - 1;
    let read_late = [
        ("select * from orders order by o_totalprice limit 10", "orders"),
        (
            "select o_orderkey, c_name, c_comment from orders join customer on o_custkey = c_custkey order by o_totalprice limit 10",
            "customer",
        ),
        (
            "select c_custkey, c_name, c_phone, count(*) n from orders join customer on o_custkey = c_custkey group by 1, 2, 3 order by n limit 10",
            "customer",
        ),
    ];
    for (sql, table) in read_late {
        assert_eq!(fetches(sql, table), 1, "{}", explain(sql, true));
        assert!(!explain(sql, false).contains("Sort by"), "without a key");
    }
    for (sql, table) in [
        // Without a key, of many rows, of a column that is used below, of none at all, of nulls that find nothing.
        ("select * from lineitem order by l_extendedprice limit 10", "lineitem"),
        ("select * from orders order by o_totalprice limit 50000", "orders"),
        ("select o_orderkey, o_comment from orders order by o_comment limit 10", "orders"),
        ("select o_orderkey, o_totalprice from orders order by o_totalprice limit 10", "orders"),
        (
            "select o_orderkey, c_custkey, c_comment from orders left join customer
             on o_custkey = c_custkey and c_acctbal > 0 order by o_totalprice limit 10",
            "customer",
        ),
    ] {
        assert_eq!(fetches(sql, table), 0, "{}", explain(sql, true));
    }
}

#[test]
fn totals_of_whole_tables_are_told() {
    let plan = |sql: &str, exact: bool| {
        plan_with(sql, |table| table.facts.iter().map(|facts| ColumnFacts { exact, ..*facts }).collect())
    };
    let is_told = |sql: &str, exact| !plan(sql, exact).explain().contains("Scan");
    for sql in [
        "select count(*) from orders",
        "select count(*), count(o_comment), min(o_orderkey), max(o_orderdate) from orders",
        "select max(x) - min(x) from (select o_custkey x from orders) o",
    ] {
        assert!(is_told(sql, true), "{sql}");
        assert!(!is_told(sql, false), "deleted rows count no more: {sql}");
        let nullable = |exact| plan(sql, exact).columns.iter().map(|c| c.nullable).collect::<Vec<_>>();
        assert_eq!(nullable(true), nullable(false), "{sql}");
    }
    for sql in [
        "select count(*) from orders where o_custkey > 5",
        "select count(*) filter (where o_custkey > 5) from orders",
        "select count(*) from orders group by o_orderstatus",
        "select count(distinct o_custkey) from orders",
        "select count(*), max(o_comment) from orders",
        "select min(o_custkey + 1) from orders",
        "select sum(o_custkey) from orders",
        "select count(*) from orders, nation",
    ] {
        assert!(!is_told(sql, true), "{sql}");
    }
}
