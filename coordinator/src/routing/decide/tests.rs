use super::*;
use crate::admission::Load;
use crate::routing::history::Measured;
use flight_proto::policy::EnginePrice;
use planner::{Pushed, QueryShape};
use std::time::{Duration, Instant};

fn engine(name: &str, predicted_ms: f64, measured: Option<(u64, f64)>) -> EngineFeatures {
    let measured = measured.map(|(count, ms)| Measured { count, median_ms: ms, p95_ms: ms, last_ms: ms });
    EngineFeatures {
        engine: name.into(),
        predicted_ms,
        pushed: (name != TUNDRA).then_some(Pushed::Whole),
        measured: measured.unwrap_or_default(),
        enough: 3,
        failed_ago: None,
    }
}

fn features(engines: Vec<EngineFeatures>) -> Features {
    Features {
        table_bytes: 4e9,
        table_rows: 6e6,
        read_rows: 40.0,
        read_bytes: 4_000.0,
        resident: Some(0.25),
        tables: 1,
        joins: 0,
        load: Load { running: 7, ..Load::default() },
        shape: QueryShape::Lookup,
        tier: "gold".into(),
        user: "ann".into(),
        label: "nightly".into(),
        engines,
        turn: 0,
        named: Some(TUNDRA.into()),
    }
}

fn both() -> Vec<EngineFeatures> {
    vec![engine(TUNDRA, 5.0, None), engine("pg", 3.0, None)]
}

fn number(feature: Feature, least: Option<f64>, below: Option<f64>) -> Condition {
    let milli = |number: f64| (number * 1e3) as u64;
    let (at_least_milli, below_milli) = (least.map(milli), below.map(milli));
    Condition { feature: feature.into(), at_least_milli, below_milli, words: Vec::new() }
}

fn word(feature: Feature, words: &[&str]) -> Condition {
    let words = words.iter().map(|word| word.to_string()).collect();
    Condition { feature: feature.into(), words, ..Condition::default() }
}

fn rule(engine: &str, when: Vec<Condition>) -> Rule {
    Rule { name: engine.into(), when, engine: engine.into() }
}

fn routes(rules: Vec<Rule>) -> Routes {
    Routes { tenant: "acme".into(), rules, ..Routes::default() }
}

fn decided(routes: &Routes, features: &Features) -> (String, Because) {
    let decision = decide(routes, features);
    (features.engines[decision.engine].engine.to_string(), decision.because)
}

#[test]
fn each_condition_holds_or_not() {
    let features = features(both());
    let least = |feature, number_| number(feature, Some(number_), None);
    let below = |feature, number_| number(feature, None, Some(number_));
    for (condition, expected) in [
        (least(Feature::TableBytes, 4e9), true),
        (below(Feature::TableBytes, 4e9), false),
        (below(Feature::TableRows, 1e7), true),
        (below(Feature::ReadRows, 40.5), true),
        (least(Feature::ReadBytes, 4_001.0), false),
        (below(Feature::Resident, 0.5), true),
        (least(Feature::Resident, 0.26), false),
        (least(Feature::Tables, 2.0), false),
        (below(Feature::Joins, 1.0), true),
        (number(Feature::PredictedMs, Some(5.0), Some(5.001)), true),
        (least(Feature::Running, 8.0), false),
        (below(Feature::Waiting, 1.0), true),
        (below(Feature::OldestWaitMs, 1.0), true),
        (below(Feature::MeasuredTundraMs, 1e9), false),
        (least(Feature::MeasuredForeignMs, 0.0), false),
        (word(Feature::Shape, &["scan", "Lookup"]), true),
        (word(Feature::Tier, &["silver"]), false),
        (word(Feature::User, &["ann"]), true),
        (word(Feature::Label, &["nightly"]), true),
        (word(Feature::Pushed, &["whole"]), true),
        (Condition { feature: 99, ..Condition::default() }, false),
        (number(Feature::Unknown, None, None), false),
    ] {
        let rules = routes(vec![rule("pg", vec![condition.clone()])]);
        let because = if expected { Because::Rule(0) } else { Because::Otherwise };
        assert_eq!(decide(&rules, &features).because, because, "{condition:?}");
    }
}

#[test]
fn the_first_rule_that_fits_and_can_decides() {
    let lookups = || word(Feature::Shape, &["lookup"]);
    let rules = routes(vec![
        rule("pg", vec![lookups(), word(Feature::Tier, &["free"])]),
        rule("gone", vec![lookups()]),
        rule("PG", vec![lookups()]),
        rule(TUNDRA, vec![]),
    ]);
    assert_eq!(decided(&rules, &features(both())), ("pg".into(), Because::Rule(2)));
    let mut failed = features(both());
    failed.engines[1].failed_ago = Some(Duration::from_secs(1));
    assert_eq!(decided(&rules, &failed), (TUNDRA.into(), Because::Rule(3)));
    assert_eq!(decided(&routes(vec![]), &failed), (TUNDRA.into(), Because::Otherwise));
    let alone = features(vec![engine("pg", 3.0, None)]);
    assert_eq!(decided(&routes(vec![]), &alone), ("pg".into(), Because::OnlyOne));
}

#[test]
fn where_no_rule_decides_tables_are_read_where_they_are() {
    let foreign = Features { named: Some("pg".into()), ..features(both()) };
    assert_eq!(decided(&routes(vec![]), &foreign), ("pg".into(), Because::Otherwise));
    let several = Features { named: None, ..features(both()) };
    assert_eq!(decided(&routes(vec![]), &several), (TUNDRA.into(), Because::Otherwise));
    let given = Routes { otherwise: TUNDRA.into(), ..routes(vec![]) };
    assert_eq!(decided(&given, &foreign), (TUNDRA.into(), Because::Otherwise));
    let mut failed = foreign;
    failed.engines[1].failed_ago = Some(Duration::from_secs(1));
    assert_eq!(decided(&routes(vec![]), &failed), (TUNDRA.into(), Because::OnlyOne));
}

#[test]
fn turns_are_those_of_engines_that_are_compared() {
    let rules =
        Routes { otherwise: FASTEST.into(), ..routes(vec![rule("pg", vec![]), rule("Cheapest", vec![])]) };
    assert!(!is_compared(&rules, &Because::Rule(0)) && is_compared(&rules, &Because::Rule(1)));
    assert!(is_compared(&rules, &Because::Otherwise) && !is_compared(&rules, &Because::Forced));
    assert!(!is_compared(&routes(vec![]), &Because::Otherwise));
}

#[test]
fn the_fastest_is_measured_where_there_are_samples() {
    let rules = Routes { otherwise: FASTEST.into(), ..routes(vec![]) };
    assert_eq!(decided(&rules, &features(both())).0, "pg", "by what is predicted");
    let few = features(vec![engine(TUNDRA, 5.0, Some((2, 1.0))), engine("pg", 3.0, None)]);
    assert_eq!(decided(&rules, &few).0, "pg", "two samples are too few");
    let enough = features(vec![engine(TUNDRA, 5.0, Some((3, 1.0))), engine("pg", 3.0, None)]);
    assert_eq!(decided(&rules, &enough).0, TUNDRA);

    let prices = vec![
        EnginePrice { engine: "PG".into(), milli: 500 },
        EnginePrice { engine: TUNDRA.into(), milli: 4_000 },
    ];
    let cheap = Routes { otherwise: CHEAPEST.into(), prices, ..routes(vec![]) };
    assert_eq!(decided(&cheap, &enough).0, "pg", "4 of Tundra, 1.5 of the other");
}

#[test]
fn another_engine_is_tried_now_and_then() {
    let rules = Routes { otherwise: FASTEST.into(), explore_every: 10, ..routes(vec![]) };
    let tries = |engines: fn() -> Vec<EngineFeatures>| {
        (0..100)
            .filter(|&turn| {
                let features = Features { turn, ..features(engines()) };
                let decision = decide(&rules, &features);
                assert_eq!(decision.explores, decision.engine == 0);
                decision.explores
            })
            .count()
    };
    assert_eq!(tries(both), 10);
    assert_eq!(tries(|| vec![engine(TUNDRA, 100.0, None), engine("pg", 3.0, None)]), 0, "far too slow");
}

#[test]
fn a_decision_takes_no_time() {
    let never = number(Feature::TableBytes, Some(1e15), None);
    let rules: Vec<Rule> =
        (0..100).map(|_| rule("pg", vec![word(Feature::Shape, &["lookup"]), never.clone()])).collect();
    let rules = Routes { otherwise: FASTEST.into(), ..routes(rules) };
    let features = features(both());
    // Of many, since others use the processor, too.
    let each = || {
        let begun = Instant::now();
        assert_eq!(std::hint::black_box(decide(&rules, &features)).because, Because::Otherwise);
        begun.elapsed()
    };
    let least = (0..1_000).map(|_| each()).min().unwrap();
    assert!(least < Duration::from_micros(100), "a decision by 100 rules takes {least:?}");
}
