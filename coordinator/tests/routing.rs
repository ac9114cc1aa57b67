//! Routes of tenants: which engine a query is decided to go to, who may force one, and what happens where it is not there.
//! The other engine is one that is described and never answers; answers of real ones are compared by
//! `tests/routing/trace.py`.
#![allow(clippy::unwrap_used)]

use crate::server::policy::ControlPlane;
use crate::server::{Server, ask, gather};
use coordinator::Session;
use flight_proto::policy::{Condition, Feature, MayForce, Routes, Rule, Subject, Tenant, TenantStatus, Twin};

async fn start() -> Server {
    Server::start(|config| {
        config.foreign.drivers.insert("flightsql".into(), "/nowhere/driver.so".into());
        config.foreign.hosts.push("127.0.0.1".parse().unwrap());
    })
    .await
}

/// A table with a twin, one whose twin has another column, one without, and a foreign table alone.
async fn make_tables(session: &Session) {
    for sql in [
        "CREATE SERVER other FOREIGN DATA WRAPPER flightsql OPTIONS (host '127.0.0.1', port '9')",
        "CREATE SCHEMA there",
        "CREATE TABLE t AS SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) v (id, word)",
        "CREATE TABLE differs AS SELECT 1 AS id",
        "CREATE TABLE alone AS SELECT 1 AS id",
        "CREATE FOREIGN TABLE there.t (id INTEGER, word VARCHAR) SERVER other",
        "CREATE FOREIGN TABLE there.differs (id BIGINT) SERVER other",
        "CREATE FOREIGN TABLE there.apart (id INTEGER) SERVER other",
    ] {
        rows(session, sql).await.unwrap();
    }
}

fn rule(name: &str, feature: Feature, words: &[&str], engine: &str) -> Rule {
    let words = words.iter().map(|word| word.to_string()).collect();
    let when = vec![Condition { feature: feature.into(), words, ..Condition::default() }];
    Rule { name: name.into(), when, engine: engine.into() }
}

/// Everything that is labelled goes to the other engine.
fn routes(tenant: &str) -> Routes {
    Routes {
        tenant: tenant.into(),
        twins: vec![
            Twin { table: "main.*".into(), foreign: "there.*".into() },
            Twin { table: "main.gone".into(), foreign: "there.t".into() },
        ],
        rules: vec![
            rule("wrong", Feature::Label, &["out"], "nobody"),
            rule("labelled", Feature::Label, &["out"], "other"),
        ],
        may_force: Some(MayForce { users: vec!["ann".into()], roles: vec!["dba".into()] }),
        ..Routes::default()
    }
}

async fn publish(server: &Server, control: &mut ControlPlane, routes: Routes) {
    let document = control.document(&format!("routes/{}", routes.tenant), Subject::Routes(routes));
    let (status, told) = control.publish(server, &[document]).await;
    assert_eq!((status, &told["documents"][0]["outcome"]), (200, &serde_json::json!("taken")), "{told}");
}

/// The cells of a statement's result.
async fn rows(session: &Session, sql: &str) -> Result<Vec<String>, String> {
    let rows = session.execute(sql).await.map_err(|error| error.to_string())?;
    let rows = gather(rows).await.map_err(|error| error.to_string())?;
    let cell = |row: usize, column: usize| {
        arrow::util::display::array_value_to_string(rows.column(column), row).unwrap()
    };
    Ok((0..rows.num_rows())
        .flat_map(|row| (0..rows.num_columns()).map(move |column| cell(row, column)))
        .collect())
}

async fn route(session: &Session, sql: &str) -> String {
    rows(session, &format!("EXPLAIN ROUTE {sql}")).await.unwrap().join("\n")
}

const QUERY: &str = "SELECT word FROM t WHERE id = 2";

#[tokio::test]
async fn rules_decide_and_reasons_are_shown() {
    let (server, mut control) = (start().await, ControlPlane::new(1));
    let ann = server.handle().session("ann");
    make_tables(&ann).await;
    assert_eq!(route(&ann, QUERY).await, "engine: tundra\nbecause: the tenant has no routes");
    publish(&server, &mut control, routes("default")).await;

    let shown = route(&ann, QUERY).await;
    for line in [
        "engine: tundra\nbecause: no rule fits\nshape: ",
        "select word from t where id = ?",
        "  shape = lookup",
        "  table_rows = 3",
        "  resident = 1.0",
        "  pushed = scans",
        "  measured.tundra_ms = not known",
        "1 \"wrong\" for nobody: label is none of out",
        "  other: predicted ",
        "main.gone and there.t: there is no table main.gone",
        "main.differs and there.differs: column 1 is \"id\" INTEGER and \"id\" BIGINT",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    rows(&ann, "SET query_label = 'out'").await.unwrap();
    let shown = route(&ann, QUERY).await;
    assert!(shown.starts_with("engine: other\nbecause: rule 2 \"labelled\", which says other"), "{shown}");
    assert!(shown.contains("1 \"wrong\" for nobody: fits, but its engine cannot answer"), "{shown}");
    let plan = rows(&ann, &format!("EXPLAIN {QUERY}")).await.unwrap().join("\n");
    assert!(plan.contains("Foreign other"), "{plan}");

    // What has no choice runs where it is.
    let shown = route(&ann, "SELECT * FROM alone").await;
    assert!(shown.starts_with("engine: tundra\nbecause: its tables have no twins"), "{shown}");
    let shown = route(&ann, "SELECT * FROM differs").await;
    let fault = "main.differs and there.differs: column 1 is \"id\" INTEGER and \"id\" BIGINT";
    assert!(shown.starts_with("engine: tundra\nbecause: its tables have no twins"), "{shown}");
    assert!(shown.contains(fault), "{shown}");
    for (sql, because) in
        [("SELECT 1", "it reads no tables"), ("SELECT count(*) FROM system.shards", "it reads no tables")]
    {
        assert_eq!(route(&ann, sql).await, format!("engine: tundra\nbecause: {because}"), "{sql}");
    }
    let shown = route(&ann, "SELECT * FROM there.apart").await;
    assert!(shown.starts_with("engine: other\nbecause: its tables have no twins"), "{shown}");
    let shown = route(&ann, "SELECT * FROM t, differs").await;
    assert!(shown.starts_with("engine: tundra"), "{shown}");
    assert!(
        shown.contains("other: cannot answer: table main.differs has no twin in server other"),
        "{shown}"
    );

    // Tables of both kinds, where one engine has all of them.
    rows(&ann, "RESET query_label").await.unwrap();
    let shown = route(&ann, "SELECT * FROM there.t").await;
    assert!(shown.starts_with("engine: other\nbecause: no rule fits"), "where they are: {shown}");
    let both = "SELECT a.word FROM there.t a JOIN alone b ON a.id = b.id";
    assert_eq!(rows(&ann, both).await.unwrap(), ["a"]);
    assert!(
        route(&ann, both)
            .await
            .contains("other: cannot answer: table main.alone has no twin in server other")
    );
    let neither = rows(&ann, "SELECT * FROM there.apart, alone").await.unwrap_err();
    assert!(neither.contains("a query over both is not supported yet"), "{neither}");

    // Statements that write run as they are written.
    rows(&ann, "INSERT INTO t VALUES (4, 'd')").await.unwrap();
    assert!(rows(&ann, "INSERT INTO there.t VALUES (4, 'd')").await.unwrap_err().contains("foreign"));
    assert_eq!(rows(&ann, "SELECT count(*) FROM t").await.unwrap(), ["4"]);
    server.stop().await;
}

#[tokio::test]
async fn an_engine_is_forced_by_those_who_may() {
    let (server, mut control) = (start().await, ControlPlane::new(1));
    let (ann, bob) = (server.handle().session("ann"), server.handle().session("bob"));
    make_tables(&ann).await;
    let refused = rows(&ann, "SET engine = 'tundra'").await.unwrap_err();
    assert!(refused.contains("may_force"), "{refused}");
    publish(&server, &mut control, routes("default")).await;
    let refused = rows(&bob, "SET engine = 'other'").await.unwrap_err();
    assert!(
        refused.contains("'bob' may not choose the engine") && refused.contains("may_force"),
        "{refused}"
    );
    rows(&bob, "SET engine = 'auto'").await.unwrap();
    // That tables are read where they are named is everybody's to say.
    rows(&bob, "SET engine = 'named'").await.unwrap();
    rows(&bob, "SET query_label = 'out'").await.unwrap();
    assert_eq!(rows(&bob, QUERY).await.unwrap(), ["b"]);
    let shown = route(&bob, QUERY).await;
    assert!(shown.starts_with("engine: tundra\nbecause: the query names its tables"), "{shown}");
    let shown = route(&bob, "SELECT * FROM there.t").await;
    assert!(shown.starts_with("engine: other\nbecause: the query names its tables"), "{shown}");
    let several = rows(&bob, "SELECT a.word FROM there.t a JOIN t b ON a.id = b.id").await.unwrap_err();
    assert!(several.contains("its tables are of several engines"), "{several}");
    assert_eq!(rows(&bob, "SELECT id FROM alone").await.unwrap(), ["1"]);
    let unknown = rows(&ann, "SET engine = 'nobody'").await.unwrap_err();
    assert!(unknown.contains("there is no server 'nobody'"), "{unknown}");

    rows(&ann, "SET engine = 'OTHER'").await.unwrap();
    assert_eq!(rows(&ann, "SHOW engine").await.unwrap(), ["engine", "OTHER"]);
    let shown = route(&ann, QUERY).await;
    assert!(shown.starts_with("engine: other\nbecause: the session says so"), "{shown}");
    // It is not there, and nobody answers in its place.
    assert!(rows(&ann, QUERY).await.unwrap_err().contains("cannot be loaded"));
    for (sql, why) in [
        ("SELECT * FROM alone", "table main.alone has no twin there"),
        ("SELECT * FROM t, differs", "table main.differs has no twin in server other"),
        ("SELECT t.id FROM t, system.shards", "reads tables of the system"),
    ] {
        let impossible = rows(&ann, sql).await.unwrap_err();
        assert!(
            impossible.contains("the engine 'OTHER', which this session wants, cannot answer"),
            "{impossible}"
        );
        assert!(impossible.contains(why), "{impossible}");
    }
    rows(&ann, "SET engine = 'tundra'").await.unwrap();
    assert_eq!(rows(&ann, QUERY).await.unwrap(), ["b"]);
    assert_eq!(rows(&ann, "SELECT word FROM there.t WHERE id = 2").await.unwrap(), ["b"]);
    let impossible = rows(&ann, "SELECT * FROM there.apart").await.unwrap_err();
    assert!(impossible.contains("it reads tables of the server other"), "{impossible}");

    // Taken back, it is refused from then on.
    publish(&server, &mut control, Routes { may_force: None, ..routes("default") }).await;
    let refused = rows(&ann, QUERY).await.unwrap_err();
    assert!(refused.contains("may_force"), "{refused}");
    rows(&ann, "RESET engine").await.unwrap();
    assert_eq!(rows(&ann, QUERY).await.unwrap(), ["b"]);
    server.stop().await;
}

#[tokio::test]
async fn tundra_answers_where_another_engine_fails() {
    let (server, mut control) = (start().await, ControlPlane::new(1));
    let ann = server.handle().session("ann");
    make_tables(&ann).await;
    publish(&server, &mut control, routes("default")).await;
    rows(&ann, "SET query_label = 'out'").await.unwrap();
    assert_eq!(rows(&ann, QUERY).await.unwrap(), ["b"]);
    let recorded = "SELECT engine, samples, failures, sql FROM system.routes ORDER BY engine";
    let text = "select word from t where id = ?";
    assert_eq!(rows(&ann, recorded).await.unwrap(), ["other", "0", "1", text, "tundra", "1", "0", text]);
    // It is left alone for a while.
    let shown = route(&ann, QUERY).await;
    assert!(shown.starts_with("engine: tundra") && shown.contains(", failed "), "{shown}");
    assert_eq!(rows(&ann, QUERY).await.unwrap(), ["b"]);
    assert_eq!(rows(&ann, recorded).await.unwrap()[2], "1");
    // What is only there fails as ever.
    assert!(rows(&ann, "SELECT * FROM there.apart").await.unwrap_err().contains("cannot be loaded"));
    let (_, metrics) = server.http("/metrics").await;
    for metric in
        ["tundra_routes_failed_total{engine=\"foreign flightsql\"}", "tundra_routes_total{engine=\"tundra\"}"]
    {
        assert!(metrics.contains(metric), "{metrics}");
    }
    server.stop().await;
}

#[tokio::test]
async fn tenants_see_nothing_of_each_others_routes() {
    let (server, mut control) = (start().await, ControlPlane::new(1));
    make_tables(&server.handle().session("ann")).await;
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    publish(&server, &mut control, routes("default")).await;
    ask(&mut acme, "CREATE TABLE t AS SELECT 7 AS id, 'x' AS word").await.unwrap();
    let route = |lines: Vec<String>| lines.join("\n");
    let shown = ask(&mut acme, "EXPLAIN ROUTE SELECT * FROM t").await.unwrap();
    assert_eq!(route(shown), "engine: tundra\nbecause: the tenant has no routes");
    // Names of its own routes are its own tables.
    publish(&server, &mut control, routes("acme")).await;
    let shown = route(ask(&mut acme, "EXPLAIN ROUTE SELECT * FROM t").await.unwrap());
    assert!(shown.starts_with("engine: tundra\nbecause: its tables have no twins"), "{shown}");
    let unknown = ask(&mut acme, "SET engine = 'other'").await.unwrap_err();
    assert!(unknown.contains("there is no server 'other'"), "{unknown}");
    let ann = server.handle().session("ann");
    rows(&ann, QUERY).await.unwrap();
    assert_eq!(rows(&ann, "SELECT count(*) FROM system.routes").await.unwrap(), ["1"]);
    assert_eq!(ask(&mut acme, "SELECT count(*) FROM system.routes").await.unwrap(), ["0"]);

    // A tenant of the name that comes later has nothing of it.
    control.delete(&server, "acme").await;
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    let status = TenantStatus::Active.into();
    let again = Tenant { name: "acme".into(), status, created_version: 100, ..Tenant::default() };
    control.decide(&server, again).await;
    ask(&mut acme, "CREATE TABLE t AS SELECT 7 AS id").await.unwrap();
    let shown = ask(&mut acme, "EXPLAIN ROUTE SELECT * FROM t").await.unwrap();
    assert_eq!(route(shown), "engine: tundra\nbecause: the tenant has no routes");
    server.stop().await;
}

/// Rules are replaced while queries run: each is answered by one or the other.
#[tokio::test]
async fn rules_are_replaced_while_queries_run() {
    let (server, mut control) = (start().await, ControlPlane::new(1));
    let ann = server.handle().session("ann");
    make_tables(&ann).await;
    let tier = Tenant {
        name: "default".into(),
        status: TenantStatus::Active.into(),
        tier: "gold".into(),
        ..Tenant::default()
    };
    control.decide(&server, tier).await;
    let asking = tokio::spawn({
        let ann = ann.clone();
        async move {
            let mut answered = 0;
            for _ in 0..300 {
                assert_eq!(rows(&ann, QUERY).await.unwrap(), ["b"]);
                answered += 1;
            }
            answered
        }
    });
    for round in 0..20 {
        let tier = if round % 2 == 0 { "gold" } else { "free" };
        let rules = vec![
            rule("tier", Feature::Tier, &[tier], "tundra"),
            rule("user", Feature::User, &["ann"], "other"),
        ];
        publish(&server, &mut control, Routes { rules, ..routes("default") }).await;
        let shown = route(&ann, QUERY).await;
        if round % 2 == 0 {
            assert!(shown.contains("because: rule 1 \"tier\", which says tundra"), "{round}: {shown}");
            continue;
        }
        assert!(shown.contains("1 \"tier\" for tundra: tier is none of free"), "{round}: {shown}");
        // It is never there: once a query has found that out it rests.
        let rests = shown.contains("because: no rule fits") && shown.contains(", failed ");
        assert!(shown.contains("because: rule 2 \"user\", which says other") || rests, "{round}: {shown}");
    }
    assert_eq!(asking.await.unwrap(), 300);
    let gone = control.document("routes/default", Subject::Gone(flight_proto::policy::Gone {}));
    control.publish(&server, &[gone]).await;
    assert_eq!(route(&ann, QUERY).await, "engine: tundra\nbecause: the tenant has no routes");
    server.stop().await;
}
