//! The plans of the 22 TPC-H queries. A change of a plan shows here; whether it is for the better is for the
//! reader to judge.

mod support;

use support::{plan, tpch_query};

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
