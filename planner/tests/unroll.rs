//! Plans of lists as rows: what goes below, what is kept, and that no join is left.

mod support;

use columnar::DataType;
use columnar::types::list_of;
use planner::PlannerOptions;
use planner::Statement;
use support::{TestCatalog, table};

/// `t` has 10,000 rows with a number, a text and a list of numbers; `u` has 100.
fn explained(sql: &str) -> String {
    let list = list_of(DataType::Int32).expect("a list of integers");
    let columns = [
        ("id", DataType::Int32, 10_000.0, Some((0, 9_999))),
        ("name", DataType::Varchar, 100.0, None),
        ("l", list, 5_000.0, None),
    ];
    let few = [("k", DataType::Int32, 100.0, Some((0, 99))), ("v", DataType::Varchar, 100.0, None)];
    let catalog = TestCatalog(vec![table(1, "t", 10_000, &columns, false), table(2, "u", 100, &few, false)]);
    let options = PlannerOptions { shards: 1, ..PlannerOptions::default() };
    match planner::plan(sql, &catalog, &options).unwrap_or_else(|error| panic!("{error} in {sql}")) {
        Statement::Query(query) => query.explain(),
        other => panic!("{other:?} is no query"),
    }
}

/// The lines below and above the line that unrolls.
fn around(explained: &str) -> (String, String) {
    let lines: Vec<&str> = explained.lines().collect();
    let at = lines.iter().position(|line| line.contains("Unroll")).expect(explained);
    (lines[at + 1..].join("\n"), lines[..at].join("\n"))
}

#[test]
fn lateral_lists_need_no_join() {
    for sql in [
        "select id, x from t, unnest(t.l) as e(x)",
        "select id, x from t cross join lateral unnest(t.l) as e(x)",
        "select id, x from t left join unnest(t.l) as e(x) on true",
        "select id, y from t, lateral (select x + 1 as y from unnest(t.l) as e(x) where x > 1) as w",
        "select id, unnest(l) from t",
        "select id, x from t, generate_series(1, t.id) as g(x)",
    ] {
        let explained = explained(sql);
        assert!(!explained.contains("Join"), "{sql}\n{explained}");
        assert_eq!(explained.matches("Scan t").count(), 1, "{sql}\n{explained}");
    }
}

#[test]
fn conditions_on_kept_columns_go_below() {
    let text = explained("select id, x from t, unnest(l) as e(x) where id = 7 and x > 3");
    let (below, above) = around(&text);
    assert!(below.contains("id = 7"), "{text}");
    assert!(above.contains("> 3") && !below.contains("> 3"), "{text}");
    // One that may fail would be tested for rows that are given by none.
    let text = explained("select id, x from t, unnest(l) as e(x) where 10 / id = 2");
    let (below, above) = around(&text);
    assert!(above.contains('/') && !below.contains('/'), "{text}");
}

#[test]
fn only_what_is_wanted_is_kept() {
    let text = explained("select count(*) from (select name, x from t, unnest(l) as e(x)) as s");
    let (below, _) = around(&text);
    assert!(below.contains("(l)") && !below.contains("name") && !below.contains("id"), "{text}");
}

#[test]
fn an_element_that_must_be_there_keeps_no_empty_list() {
    let kept = explained("select id, x from t left join unnest(l) as e(x) on true");
    assert!(kept.contains("empty ones kept"), "{kept}");
    let text = explained("select id, x from t left join unnest(l) as e(x) on true where x > 1");
    assert!(!text.contains("empty ones kept"), "{text}");
}

#[test]
fn lists_of_one_side_of_a_product_are_unrolled_there() {
    let text = explained("select id, v from t, u, unnest(t.l) as e(x) where u.k = e.x");
    assert!(text.contains("HashJoin") && !text.contains("Cross"), "{text}");
}

#[test]
fn a_cluster_of_the_version_before_is_not_sent_it() {
    let catalog =
        TestCatalog(vec![table(1, "t", 10, &[("l", list_of(DataType::Int32).unwrap(), 10.0, None)], false)]);
    let options = PlannerOptions { shards: 1, version: 1, ..PlannerOptions::default() };
    let sql = "select count(x) from (select unnest(l) as x from t) as s";
    let error = planner::plan(sql, &catalog, &options).unwrap_err().to_string();
    assert!(error.contains("version is 1"), "{error}");
}
