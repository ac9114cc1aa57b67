use super::*;
use serde_json::{Value, json};

fn read(value: Value) -> std::result::Result<Routes, String> {
    let routes: Routes = serde_json::from_str(&value.to_string()).map_err(|error| error.to_string())?;
    routes.check().map_err(|error| error.to_string())?;
    Ok(routes)
}

#[test]
fn routes_come_back_as_they_were_published() {
    let range = json!({ "at_least": 0.25, "below": 1e9 });
    let routes = json!({
        "twins": [{ "table": "main.*", "foreign": "pg.*" }, { "table": "main.a", "foreign": "pg.b" }],
        "rules": [
            { "name": "all", "engine": "fastest", "when": {
                "table_bytes": range, "table_rows": range, "read_rows": range, "read_bytes": range,
                "resident": { "below": 0.5 }, "tables": range, "joins": range, "predicted_ms": range,
                "running": range, "waiting": range, "oldest_wait_ms": range,
                "measured": { "tundra_ms": range, "foreign_ms": { "below": 2.5 } },
                "shape": ["lookup", "join"], "tier": ["gold"], "user": ["ann"], "label": ["nightly"],
                "pushed": ["whole", "scans"],
            } },
            { "name": "rest", "engine": "tundra" },
        ],
        "otherwise": "pg", "may_force": { "users": ["ann"], "roles": ["dba"] },
        "samples": 5, "explore_every": 100, "prices": { "pg": 0.5 },
    });
    let routes = read(routes).unwrap();
    assert_eq!(Routes::from(&routes.published("acme")), routes);
    assert_eq!(
        routes.rules[0].when.conditions().len(),
        Feature::NAMES.len(),
        "every feature can be asked for"
    );
    assert_eq!(Routes::from(&Routes::default().published("acme")), Routes::default());
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    let rule = |when: Value| json!({ "rules": [{ "name": "r", "engine": "pg", "when": when }] });
    for (wrong, told) in [
        (json!({ "rulez": [] }), "unknown field `rulez`"),
        (rule(json!({ "shap": ["lookup"] })), "unknown field `shap`, expected one of"),
        (rule(json!({ "shape": ["lookups"] })), "unknown variant `lookups`, expected one of"),
        (rule(json!({ "resident": { "under": 1 } })), "unknown field `under`"),
        (rule(json!({ "resident": 1 })), "invalid type"),
        (rule(json!({ "resident": {} })), "rule 1 ('r'): resident: expected at_least"),
        (rule(json!({ "joins": { "at_least": 2, "below": 2 } })), "no number is at least 2 and below 2"),
        (rule(json!({ "measured": { "tundra_ms": { "below": -1 } } })), "measured.tundra_ms: -1"),
        (rule(json!({ "user": [""] })), "rule 1 ('r'): user is to be a text"),
        (rule(json!({ "user": [] })), "leave the condition out"),
        (rule(json!({ "shape": [] })), "leave the condition out"),
        (rule(json!({ "measured": {} })), "rule 1 ('r'): measured: expected tundra_ms"),
        (rule(json!({ "resident": { "at_least": 0.0004 } })), "resident: 0.0004: expected 0, or 0.001"),
        (json!({ "prices": { "pg": 0.0001 } }), "prices: 'pg' costs 0.0001: expected 0, or 0.001"),
        (json!({ "explore_every": 1 }), "explore_every is 1"),
        (json!({ "rules": [{ "name": "r", "engine": "named" }] }), "engine is 'named'"),
        (
            json!({ "twins": [{ "table": "main.*", "foreign": "pg.*" }, { "table": "MAIN.*", "foreign": "pg.*" }] }),
            "twin 2 ('MAIN.*' and 'pg.*'): it is there before",
        ),
        (json!({ "rules": [{ "name": "r" }] }), "missing field `engine`"),
        (json!({ "rules": [{ "name": "r", "engine": "auto" }] }), "engine is 'auto'"),
        (json!({ "otherwise": "main.t" }), "otherwise is 'main.t'"),
        (
            json!({ "twins": [{ "table": "t", "foreign": "pg.t" }] }),
            "twin 1 ('t' and 'pg.t'): expected names",
        ),
        (json!({ "twins": [{ "table": "main.*", "foreign": "pg.t" }] }), "is the twin of a schema"),
        (json!({ "prices": { "pg": -1 } }), "prices: 'pg' costs -1"),
        (json!({ "may_force": { "users": ["a\nb"] } }), "may_force.users"),
    ] {
        let why = read(wrong.clone()).expect_err(&wrong.to_string());
        assert!(why.contains(told), "{wrong}: {why}");
    }
}
