//! The plans of the 22 TPC-H queries. A change of a plan shows here; whether it is for the better is for the
//! reader to judge.

mod support;

use columnar::DataType;
use planner::{PlannerOptions, Statement};
use std::time::{Duration, Instant};
use support::{TestCatalog, plan, table, tpch_query};

#[test]
fn on_one_shard() {
    for number in 1..=22 {
        insta::assert_snapshot!(format!("q{number:02}"), plan(&tpch_query(number), 1).explain());
    }
}

#[test]
fn on_three_shards() {
    for number in 1..=22 {
        insta::assert_snapshot!(
            format!("q{number:02}_on_three_shards"),
            plan(&tpch_query(number), 3).explain()
        );
    }
}

/// More relations than orders are looked for: conditions still meet the joins that they belong to.
#[test]
fn of_a_hundred_relations() {
    let joined = |condition: &dyn Fn(usize) -> String| {
        let relations: String = (1..100).map(|n| format!(" join nation n{n} on {}", condition(n))).collect();
        plan(&format!("select count(*) from nation n0{relations}"), 1).explain()
    };
    let chain = joined(&|n| format!("n{n}.n_nationkey = n{}.n_nationkey", n - 1));
    let star = joined(&|n| format!("n{n}.n_nationkey = n0.n_nationkey and n{n}.n_name <> n0.n_name"));
    let commas: String = (1..100).rev().map(|n| format!(", nation n{n}")).collect();
    let equal: Vec<_> = (1..100).map(|n| format!("n{n}.n_nationkey = n{}.n_nationkey", n - 1)).collect();
    let sql = format!("select count(*) from nation n0{commas} where {}", equal.join(" and "));
    for explained in [chain, star, plan(&sql, 1).explain()] {
        assert_eq!(explained.matches("HashJoin").count(), 99, "{explained}");
        assert!(!explained.contains("Cross"), "{explained}");
    }
}

/// However joins lie, and however many: planning takes its time with the relations, not with their orders. The limit is
/// for a build without optimisation beside other work; a release takes a hundredth of it. `--nocapture` shows the times.
#[test]
#[allow(clippy::print_stdout, reason = "times are what one looks for when it fails")]
fn of_fifty_relations_in_time() {
    const LIMIT: Duration = Duration::from_secs(10);
    const COUNT: usize = 50;
    let rows = |number: usize| 10_u64.pow(2 + (number * 7 % 5) as u32);
    let tables = (0..COUNT).map(|number| {
        let names = [("a", 1.0), ("b", 0.1), ("c", 0.01)];
        let columns = names.map(|(name, share)| {
            let most = rows(number) as f64 * share;
            (name, DataType::Int32, most, Some((0, most as i128)))
        });
        table(number as u64 + 1, &format!("t{number}"), rows(number), &columns, false)
    });
    let catalog = TestCatalog(tables.collect());
    let shape = |join: &dyn Fn(usize) -> String| -> Vec<String> { (1..COUNT).map(join).collect() };
    let shapes = [
        ("chain", shape(&|n| format!("t{n}.a = t{}.b", n - 1))),
        ("star", shape(&|n| format!("t{n}.a = t0.{}", ["a", "b", "c"][n % 3]))),
        ("snowflake", shape(&|n| format!("t{n}.a = t{}.b", (n - 1) / 4))),
        ("one key", shape(&|n| format!("t{n}.a = t{}.a", n - 1))),
        ("cycles", shape(&|n| format!("t{n}.a = t{}.b AND t{n}.c = t{}.c", n - 1, n / 2))),
    ];
    let from: Vec<String> = (0..COUNT).map(|number| format!("t{number}")).collect();
    for (name, conditions) in shapes {
        let sql = format!("SELECT count(*) FROM {} WHERE {}", from.join(", "), conditions.join(" AND "));
        for shards in [1, 3] {
            let begun = Instant::now();
            let options = PlannerOptions { shards, ..PlannerOptions::default() };
            let planned = planner::plan(&sql, &catalog, &options).unwrap();
            let took = begun.elapsed();
            println!("{name} of {COUNT} relations on {shards} shards: {took:?}");
            assert!(took < LIMIT, "{name}: {took:?}");
            let Statement::Query(query) = planned else { panic!("no query") };
            assert_eq!(query.explain().matches("HashJoin").count(), COUNT - 1, "{name}");
        }
    }
}

/// What names a row of so many relations is found in time.
#[test]
fn groups_of_a_hundred_relations() {
    for key in ["n0.n_regionkey", "c_nationkey", "c_custkey"] {
        let relations: String = (1..98)
            .map(|n| format!(" join nation n{n} on n{n}.n_nationkey = n{}.n_nationkey", n - 1))
            .collect();
        let from = format!("customer join nation n0 on n0.n_nationkey = c_nationkey{relations}");
        let explained =
            plan(&format!("select {key}, max(c_acctbal) from {from} group by {key}"), 1).explain();
        assert_eq!(explained.matches("Scan").count(), 99, "{explained}");
    }
}

/// States of parts of a group are put together; what needs all values of a group is computed where they come together.
#[test]
fn aggregates_with_states_are_cut_in_two_phases() {
    let explained = |sql: &str| plan(sql, 3).explain();
    let states = explained("select stddev(l_quantity), arg_max(l_orderkey, l_shipdate) from lineitem");
    assert!(states.contains("as state") && states.contains("of states"), "{states}");
    let whole =
        explained("select l_orderkey, median(l_quantity), count(*) from lineitem group by l_orderkey");
    assert_eq!(whole.matches("Aggregate").count(), 1, "{whole}");
    assert!(whole.contains("quantile_cont") && !whole.contains("state"), "{whole}");
    let apart = explained("select count(distinct l_partkey), median(l_quantity), sum(l_tax) from lineitem");
    assert_eq!(apart.matches("quantile_cont").count(), 1, "{apart}");
    // A group that lies on one shard needs no phases.
    let one = plan("select stddev(l_quantity) from lineitem", 1).explain();
    assert!(!one.contains("state"), "{one}");
}
