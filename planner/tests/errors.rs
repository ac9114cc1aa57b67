//! What is wrong with a statement is said in words, with the spot.

mod support;

use planner::{ErrorKind, PlannerOptions};
use support::tpch;

fn error(sql: &str) -> planner::Error {
    match planner::plan(sql, &tpch(), &PlannerOptions::default()) {
        Err(error) => error,
        Ok(statement) => panic!("planned: {statement:?}"),
    }
}

#[test]
fn unknown_names_are_pointed_at_with_a_suggestion() {
    insta::assert_snapshot!(error("select *\nfrom lineitm\nwhere 1 = 1"), @r#"
    unknown table "lineitm"
    LINE 2: from lineitm
                 ^
    HINT: did you mean "lineitem"?
    "#);
    insta::assert_snapshot!(error("select l_orderkey, l_quantty from lineitem"), @r#"
    unknown column "l_quantty"
    LINE 1: select l_orderkey, l_quantty from lineitem
                               ^
    HINT: did you mean "l_quantity"?
    "#);
    insta::assert_snapshot!(error("select x.n_name from nation n"), @r#"
    unknown table "x" in this query
    LINE 1: select x.n_name from nation n
                   ^
    HINT: did you mean "n"?
    "#);
    insta::assert_snapshot!(error("select n_name from nation a, nation b"), @r#"
    column "n_name" is ambiguous
    LINE 1: select n_name from nation a, nation b
                   ^
    HINT: write the table's name before it
    "#);
    insta::assert_snapshot!(error("select 1 from nation, nation"), @r#"
    the name "nation" stands for two relations of this query
    LINE 1: select 1 from nation, nation
                                  ^
    HINT: give one of them an alias
    "#);
}

#[test]
fn syntax_errors_have_line_and_column() {
    let error = error("select 1 +\n  * 2");
    assert_eq!((error.kind, error.line, error.column), (ErrorKind::Syntax, 2, 3));
    insta::assert_snapshot!(error, @r"
    syntax error: expected an expression, found *
    LINE 2:   * 2
              ^
    ");
    let unfinished = self::error("select (1 + ");
    assert!(unfinished.message.contains("the end of the statement"), "{unfinished}");
    assert_eq!((unfinished.line, unfinished.column), (1, 12));
    assert_eq!(self::error("select 'abc").kind, ErrorKind::Syntax);
    assert_eq!(self::error("selec 1").kind, ErrorKind::Syntax);
    assert_eq!(self::error("").kind, ErrorKind::Syntax);
    assert_eq!(self::error("select 1; select 2").kind, ErrorKind::Syntax);
}

#[test]
fn types_that_do_not_go_together() {
    insta::assert_snapshot!(error("select * from nation where n_name > 5"), @r"
    VARCHAR > INTEGER cannot be compared; cast one side
    LINE 1: select * from nation where n_name > 5
                                       ^
    ");
    insta::assert_snapshot!(error("select * from orders where o_orderdate < '1995-13-01'"), @r"
    '1995-13-01' is not a valid DATE
    LINE 1: select * from orders where o_orderdate < '1995-13-01'
                                                     ^
    ");
    insta::assert_snapshot!(error("select * from nation where n_nationkey"), @r"
    WHERE takes BOOLEAN, not BIGINT
    LINE 1: select * from nation where n_nationkey
                                       ^
    ");
    insta::assert_snapshot!(error("select sum(n_name) from nation"), @r"
    sum(VARCHAR) does not exist; cast the argument
    LINE 1: select sum(n_name) from nation
                       ^
    ");
    for sql in [
        "select 1 union select 'a' || n_name from nation",
        "select case when true then 1 else date '2000-01-01' end",
        "select 1 where 1 in (select 1, 2)",
        "select (select 1, 2)",
        "select 1 limit -1",
        "select 1.5e400",
        "select n_name from nation order by 2",
    ] {
        let error = error(sql);
        assert!(
            error.line == 1 || error.message.contains("no function") || error.message.contains("||"),
            "{sql}: {error}"
        );
    }
}

#[test]
fn aggregates_in_the_wrong_place() {
    insta::assert_snapshot!(error("select n_name, count(*) from nation"), @r#"
    column "n_name" must be in GROUP BY or in an aggregate
    LINE 1: select n_name, count(*) from nation
            ^
    HINT: write any_value(n_name) if any of its values will do
    "#);
    insta::assert_snapshot!(error("select 1 from nation where count(*) > 1"), @r"
    the aggregate count() is not allowed in WHERE
    LINE 1: select 1 from nation where count(*) > 1
                                       ^
    ");
    insta::assert_snapshot!(error("select sum(count(*)) from nation"), @r"
    the aggregate count() is not allowed in an argument of an aggregate
    LINE 1: select sum(count(*)) from nation
                       ^
    ");
}

#[test]
fn what_is_not_built_is_named() {
    for (sql, what) in [
        ("with recursive t as (select 1) select * from t", "WITH RECURSIVE"),
        ("update nation set n_name = 'x' returning n_name", "RETURNING"),
        ("delete from nation returning n_name", "RETURNING"),
        ("create materialized view v as select 1", "CREATE MATERIALIZED"),
        ("select 1 from nation asof full join region on n_regionkey >= r_regionkey", "ASOF JOIN"),
        ("select 1 from nation positional join region", "POSITIONAL JOIN"),
        ("select 1 from nation tablesample bernoulli (1) repeatable (1)", "REPEATABLE"),
        ("create external table t stored as orc location 'x'", "STORED AS orc"),
    ] {
        let error = error(sql);
        assert_eq!(error.kind, ErrorKind::Unsupported, "{sql}: {error}");
        assert!(error.message.contains(what), "{sql}: {error}");
    }
}

#[test]
fn what_shards_of_version_1_do_not_know_is_refused() {
    let options = PlannerOptions { version: 1, ..PlannerOptions::default() };
    for sql in [
        "select n_name, count(*) from nation group by rollup (n_name)",
        "select distinct on (n_regionkey) n_name from nation",
        "select * from generate_series(1, 3)",
        "select 1 from nation asof join region on n_regionkey >= r_regionkey",
    ] {
        let Err(error) = planner::plan(sql, &tpch(), &options) else { panic!("planned: {sql}") };
        assert_eq!(error.kind, ErrorKind::Unsupported, "{sql}: {error}");
        assert!(error.to_string().contains("version is 1"), "{sql}: {error}");
        assert!(error.to_string().contains("tundra admin upgrade"), "{sql}: {error}");
    }
    assert!(planner::plan("select n_name, count(*) from nation group by n_name", &tpch(), &options).is_ok());
}

#[test]
fn deep_and_long_statements_are_errors_and_not_crashes() {
    let chain = |operator: &str, count: usize| {
        format!("select 1 from nation where {}", vec!["n_nationkey = 1"; count].join(operator))
    };
    for sql in [
        chain(" or ", 20_000),
        chain(" and ", 20_000),
        format!("select {}", vec!["1"; 20_000].join(" + ")),
        format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("select {} true", "not ".repeat(10_000)),
        format!("select {}1", "- ".repeat(10_000)),
        vec!["select 1"; 5_000].join(" union all "),
        format!("{}select 1{}", "select * from (".repeat(500), ") t".repeat(500)),
        format!("select {}1{}", "case when true then ".repeat(3_000), " end".repeat(3_000)),
    ] {
        let error = error(&sql);
        assert_ne!(error.kind, ErrorKind::Internal, "{error}");
        assert!(error.to_string().len() < 2_000);
    }
    // A thousand terms are planned, also on a small stack.
    let planned = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            let options = PlannerOptions::default();
            let long = planner::plan(&chain(" or ", 500), &tpch(), &options).map(drop);
            let sums =
                planner::plan(&format!("select {}", vec!["n_nationkey"; 400].join(" + ")), &tpch(), &options);
            (long, sums.map(drop))
        })
        .map(|thread| thread.join());
    let (long, sums) = planned.expect("a thread starts").expect("no panic");
    long.expect("a chain of alternatives is planned");
    assert!(sums.is_err_and(|error| error.message.contains("n_nationkey")));
}

#[test]
fn a_spot_far_to_the_right_is_shown_with_its_surroundings() {
    let sql = format!("select {} nonsense from nation", "n_nationkey, ".repeat(40));
    let text = error(&sql).to_string();
    let lines: Vec<&str> = text.lines().collect();
    let caret = lines[2].find('^').expect("a caret");
    assert!(lines[1][caret..].starts_with("nonsense"), "{text}");
}

#[test]
fn what_is_shown_of_a_statement_is_short_harmless_and_in_its_place() {
    let long = error(&format!("select {}", "x".repeat(100_000))).to_string();
    assert!(long.len() < 1_000 && long.contains("unknown column"), "{long}");
    let escapes = error("select 1 from E'a\\x1b[31mb'").to_string();
    assert!(!escapes.contains('\x1b'), "{escapes}");
    // Letters as wide as two stand before the spot.
    insta::assert_snapshot!(error("select '日本語', nothing"), @r#"
    unknown column "nothing"
    LINE 1: select '日本語', nothing
                             ^
    "#);
    insta::assert_snapshot!(error("select conut(*) from nation"), @r#"
    only count takes *; conut is another
    LINE 1: select conut(*) from nation
                   ^
    HINT: did you mean "count"?
    "#);
}

#[test]
fn what_an_older_cluster_does_not_have_is_refused() {
    let options = PlannerOptions { version: 1, shards: 3, ..PlannerOptions::default() };
    let refused = planner::plan("select median(l_quantity) from lineitem", &tpch(), &options).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unsupported);
    insta::assert_snapshot!(refused, @r"
    quantile_cont() while the cluster's version is 1 is not supported yet
    HINT: raise it with `tundra admin upgrade` once all nodes run a later release
    ");
    assert!(planner::plan("select avg(l_quantity) from lineitem", &tpch(), &options).is_ok());
}

#[test]
fn aggregates_say_what_they_take() {
    insta::assert_snapshot!(error("select stddev(n_name) from nation"), @r"
    stddev(VARCHAR) does not exist; cast the argument
    LINE 1: select stddev(n_name) from nation
                          ^
    ");
    insta::assert_snapshot!(error("select stddv(n_nationkey) from nation"), @r#"
    there is no function stddv
    LINE 1: select stddv(n_nationkey) from nation
                   ^
    HINT: did you mean "stddev"?
    "#);
}
