//! The decision: a pure function of the policy and of features.

use super::features::{EngineFeatures, Features};
use super::{CHEAPEST, FASTEST, TUNDRA};
use flight_proto::policy::{Condition, Feature, Routes, Rule};

/// An engine that is known to be slower than the quickest by this factor is not tried to be measured again.
const TRIED_WITHIN: f64 = 20.0;

/// Which engine answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    /// Its place among the engines.
    pub(crate) engine: usize,
    pub(crate) because: Because,
    /// It is tried to be measured.
    pub(crate) explores: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Because {
    Forced,
    /// The session wants the engine of the tables that are named.
    Named,
    /// This rule, from 0.
    Rule(usize),
    /// No rule fits.
    Otherwise,
    /// Nor can that engine.
    OnlyOne,
}

/// Whether and why not a rule decides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Decides,
    /// A condition does not hold: its place.
    Misses(usize),
    /// It fits, and its engine cannot answer, or failed lately.
    NoEngine,
}

/// Decides. `features.engines` are those that can answer, at least one.
pub(crate) fn decide(routes: &Routes, features: &Features) -> Decision {
    for (place, rule) in routes.rules.iter().enumerate() {
        if let (Outcome::Decides, Some((engine, explores))) = try_rule(rule, routes, features) {
            return Decision { engine, because: Because::Rule(place), explores };
        }
    }
    match pick(otherwise(routes, features), routes, features) {
        Some((engine, explores)) => Decision { engine, because: Because::Otherwise, explores },
        None => {
            Decision { engine: best(routes, features, false), because: Because::OnlyOne, explores: false }
        }
    }
}

/// The engine where no rule decides: unless the policy gives one, that of the tables which the query names.
pub(crate) fn otherwise<'a>(routes: &'a Routes, features: &'a Features) -> &'a str {
    match routes.otherwise.is_empty() {
        true => features.named.as_deref().unwrap_or(TUNDRA),
        false => &routes.otherwise,
    }
}

/// Whether the engine was picked by what is expected of each: then it may be another one's turn to be measured.
pub(crate) fn is_compared(routes: &Routes, because: &Because) -> bool {
    let engine = match because {
        Because::Rule(place) => routes.rules.get(*place).map_or("", |rule| &rule.engine),
        Because::Otherwise => &routes.otherwise,
        Because::Forced | Because::Named | Because::OnlyOne => "",
    };
    engine.eq_ignore_ascii_case(FASTEST) || engine.eq_ignore_ascii_case(CHEAPEST)
}

/// What becomes of a rule, and the engine that it picks.
pub(crate) fn try_rule(
    rule: &Rule,
    routes: &Routes,
    features: &Features,
) -> (Outcome, Option<(usize, bool)>) {
    if let Some(misses) = rule.when.iter().position(|condition| !holds(condition, features)) {
        return (Outcome::Misses(misses), None);
    }
    match pick(&rule.engine, routes, features) {
        Some(picked) => (Outcome::Decides, Some(picked)),
        None => (Outcome::NoEngine, None),
    }
}

fn holds(condition: &Condition, features: &Features) -> bool {
    let feature = condition.feature();
    if feature == Feature::Unknown {
        return false;
    }
    if feature.is_word() {
        let word = features.word(feature);
        return word.is_some_and(|word| condition.words.iter().any(|one| one.eq_ignore_ascii_case(word)));
    }
    let Some(number) = features.number(feature) else { return false };
    let milli = number * 1e3;
    condition.at_least_milli.is_none_or(|least| milli >= least as f64)
        && condition.below_milli.is_none_or(|below| milli < below as f64)
}

/// The engine of that name, or the best by what is expected; `None`: it cannot answer.
fn pick(engine: &str, routes: &Routes, features: &Features) -> Option<(usize, bool)> {
    let by_price = engine.eq_ignore_ascii_case(CHEAPEST);
    if !by_price && !engine.eq_ignore_ascii_case(FASTEST) {
        let mut engines = features.engines.iter();
        let place = engines.position(|one| one.engine.eq_ignore_ascii_case(engine))?;
        return features.engines.get(place).filter(|one| one.failed_ago.is_none()).map(|_| (place, false));
    }
    let best = best(routes, features, by_price);
    let explored = explored(routes, features, best);
    Some(explored.map_or((best, false), |place| (place, true)))
}

/// The engine that is expected to be quickest, or to cost least. Those that failed lately come last.
fn best(routes: &Routes, features: &Features, by_price: bool) -> usize {
    let price = |engine: &EngineFeatures| match by_price {
        true => {
            let known = routes.prices.iter().find(|price| price.engine.eq_ignore_ascii_case(&engine.engine));
            known.map_or(1_000, |price| price.milli) as f64
        }
        false => 1.0,
    };
    let cost = |engine: &EngineFeatures| (engine.failed_ago.is_some(), engine.expected_ms() * price(engine));
    let places = features.engines.iter().enumerate().map(|(place, engine)| (place, cost(engine)));
    let least = places.min_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    least.map_or(0, |(place, _)| place)
}

/// Another engine than the best, where it is its turn to be measured: the one with the fewest samples.
fn explored(routes: &Routes, features: &Features, best: usize) -> Option<usize> {
    let every = u64::from(routes.explore_every);
    if every == 0 || features.turn % every != every - 1 {
        return None;
    }
    let quickest = features.engines.get(best).map_or(0.0, EngineFeatures::expected_ms);
    let others = features.engines.iter().enumerate().filter(|(place, engine)| {
        *place != best
            && engine.failed_ago.is_none()
            && engine.expected_ms() <= quickest.max(1.0) * TRIED_WITHIN
    });
    others.min_by_key(|(_, engine)| engine.measured.count).map(|(place, _)| place)
}

#[cfg(test)]
#[path = "decide/tests.rs"]
mod tests;
