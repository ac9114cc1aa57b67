//! Where windows stand in plans.

mod support;

use planner::PlannerOptions;
use support::{plan, tpch};

fn lines(explained: &str, word: &str) -> Vec<String> {
    explained.lines().filter(|line| line.contains(word)).map(str::to_string).collect()
}

#[test]
fn conditions_on_partitions_pass_and_others_stay() {
    let numbered = "select o_custkey, o_orderkey, row_number() over (partition by o_custkey order by o_orderkey) n from orders";
    let explained = plan(&format!("select * from ({numbered}) t where o_custkey = 5 and n = 1"), 1).explain();
    assert!(lines(&explained, "Scan orders")[0].contains("o_custkey = 5"), "{explained}");
    let filter = &lines(&explained, "Filter")[0];
    assert!(filter.contains("row_number = 1") || filter.contains("n = 1"), "{explained}");
    assert!(!filter.contains("o_custkey"), "{explained}");
}

#[test]
fn windows_that_go_together_are_one() {
    let explained = plan(
        "select sum(o_totalprice) over (partition by o_custkey), \
         rank() over (partition by o_custkey order by o_orderdate), \
         count(*) over (partition by o_custkey order by o_orderdate rows 1 preceding), \
         rank() over (partition by o_custkey order by o_orderdate) + 1 from orders",
        1,
    )
    .explain();
    let windows = lines(&explained, "Window ");
    assert_eq!(windows.len(), 1, "{explained}");
    assert_eq!(windows[0].matches("rank()").count(), 1, "{explained}");
    let peers = plan("select rank() over (), rank() over (order by o_orderkey) from orders", 1).explain();
    assert_eq!(lines(&peers, "Window ").len(), 2, "{peers}");
}

#[test]
fn windows_that_nobody_looks_at_are_not_computed() {
    let sql = "select o_orderkey from (select o_orderkey, rank() over (order by o_custkey) r from orders) t";
    let explained = plan(sql, 1).explain();
    assert!(!explained.contains("Window"), "{explained}");
    assert!(!explained.contains("o_custkey"), "{explained}");
}

#[test]
fn partitions_meet_on_a_shard() {
    let explained = plan(
        "select rank() over (partition by o_custkey order by o_orderdate), \
         rank() over (partition by o_custkey order by o_totalprice) from orders",
        3,
    )
    .explain();
    assert_eq!(lines(&explained, "Exchange hash o_custkey").len(), 1, "{explained}");
    assert_eq!(lines(&explained, "Exchange gather").len(), 1, "{explained}");
    let one = plan("select rank() over (order by o_orderdate) from orders", 3).explain();
    assert_eq!(lines(&one, "Exchange gather").len(), 1, "{one}");
    assert_eq!(lines(&one, "Exchange").len(), 1, "{one}");
}

#[test]
fn shards_that_do_not_know_windows_are_not_asked() {
    let options = PlannerOptions { version: 1, ..PlannerOptions::default() };
    let error = planner::plan("select rank() over () from orders", &tpch(), &options).unwrap_err();
    assert!(error.to_string().contains("window functions while the cluster's version is 1"), "{error}");
}
