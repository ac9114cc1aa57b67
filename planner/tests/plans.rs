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
