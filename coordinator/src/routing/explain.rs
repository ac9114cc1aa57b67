//! `EXPLAIN ROUTE`: a decision and its reasons, as lines of text.

use super::choice::Choice;
use super::decide::{Because, Decision, Outcome, otherwise, try_rule};
use super::features::Features;
use super::twins::Twins;
use flight_proto::policy::{Condition, Feature};
use planner::Pushed;

/// What is not told to everybody.
pub(crate) struct Hidden {
    /// What others do on the coordinator, and who they are.
    pub(crate) others: bool,
    /// How much is in memory: of nodes, that of all tenants.
    pub(crate) resident: bool,
}

impl Hidden {
    fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Running | Feature::Waiting | Feature::OldestWaitMs => self.others,
            Feature::Resident => self.resident,
            _ => false,
        }
    }
}

/// Where a query has no choice.
pub(crate) fn without_choice(
    engine: &str,
    why: &str,
    refused: &[(String, String)],
    twins: Option<&Twins>,
) -> Vec<String> {
    let mut lines = vec![format!("engine: {engine}"), format!("because: {why}")];
    if !refused.is_empty() {
        lines.push("engines:".into());
        lines.extend(cannot(refused));
    }
    lines.extend(twins.into_iter().flat_map(faults));
    lines
}

fn cannot(refused: &[(String, String)]) -> impl Iterator<Item = String> {
    refused
        .iter()
        .map(|(engine, why)| format!("  {engine}: cannot answer: {}", why.lines().next().unwrap_or_default()))
}

/// Twins of the policy that are not there, or not as it says.
fn faults(twins: &Twins) -> Vec<String> {
    if twins.faults.is_empty() {
        return Vec::new();
    }
    let head = std::iter::once("twins that do not count:".to_string());
    head.chain(twins.faults.iter().map(|fault| format!("  {fault}"))).collect()
}

pub(crate) fn lines(
    choice: &Choice,
    features: &Features,
    decision: &Decision,
    hidden: &Hidden,
    with_faults: bool,
) -> Vec<String> {
    let routes = &choice.routes;
    let engine = features.engines.get(decision.engine).map_or("", |engine| &*engine.engine);
    let because = match decision.because {
        Because::Forced => "the session says so (SET engine)".to_string(),
        Because::Named => "the query names its tables (SET engine = 'named')".to_string(),
        Because::Rule(place) => {
            let rule = routes.rules.get(place);
            let (name, says) = rule.map_or(("", ""), |rule| (&rule.name, &rule.engine));
            format!("rule {} \"{name}\", which says {says}", place + 1)
        }
        Because::Otherwise => "no rule fits".to_string(),
        Because::OnlyOne => "no rule fits, and of the engines that can answer it is the best".to_string(),
    };
    let explores = if decision.explores { "; it is tried to be measured" } else { "" };
    let mut lines = vec![format!("engine: {engine}"), format!("because: {because}{explores}")];
    lines.push(format!("shape: {:016x} {}", choice.shape.fingerprint, choice.shape.text));
    lines.push("features:".into());
    for (feature, name) in Feature::NAMES {
        let value = match feature.is_word() {
            _ if hidden.has(feature) => Some("not shown".to_string()),
            true => features.word(feature).map(String::from),
            false => features.number(feature).map(short),
        };
        lines.push(format!("  {name} = {}", value.as_deref().unwrap_or("not known")));
    }
    lines.push("rules:".into());
    let forced = matches!(decision.because, Because::Forced | Because::Named);
    let decided = match decision.because {
        Because::Rule(place) => place,
        _ => usize::MAX,
    };
    for (place, rule) in routes.rules.iter().enumerate() {
        let outcome = match try_rule(rule, routes, features).0 {
            _ if forced => "not asked".into(),
            _ if place > decided => "not asked, since one before decides".into(),
            Outcome::Decides => "decides".into(),
            Outcome::NoEngine => "fits, but its engine cannot answer".into(),
            Outcome::Misses(condition) => {
                rule.when.get(condition).map(|condition| missed(condition, hidden)).unwrap_or_default()
            }
        };
        lines.push(format!("  {} \"{}\" for {}: {outcome}", place + 1, rule.name, rule.engine));
    }
    lines.push(format!("  otherwise {}", otherwise(routes, features)));
    lines.push("engines:".into());
    for engine in &features.engines {
        let measured = match engine.measured.count {
            0 => "not measured".into(),
            count => format!(
                "measured {} ms (median of {count}, 95 % within {} ms, last {} ms){}",
                short(engine.measured.median_ms),
                short(engine.measured.p95_ms),
                short(engine.measured.last_ms),
                if engine.measured_ms().is_none() { ", too few to count" } else { "" }
            ),
        };
        let pushed = engine
            .pushed
            .map(Pushed::name)
            .map(|pushed| format!(", computes it {pushed}"))
            .unwrap_or_default();
        let failed = engine.failed_ago.map(|ago| format!(", failed {} s ago", short(ago.as_secs_f64())));
        lines.push(format!(
            "  {}: predicted {} ms, {measured}{pushed}{}",
            engine.engine,
            short(engine.predicted_ms),
            failed.unwrap_or_default()
        ));
    }
    lines.extend(cannot(&choice.refused));
    if with_faults {
        lines.extend(faults(&choice.twins));
    }
    lines
}

/// Why a condition does not hold.
fn missed(condition: &Condition, hidden: &Hidden) -> String {
    let feature = condition.feature();
    if feature == Feature::Unknown {
        return "asks for what this version does not know".into();
    }
    if hidden.has(feature) {
        return format!("{} does not fit", feature.name());
    }
    if feature == Feature::User && hidden.others {
        return "user is another".into();
    }
    if feature.is_word() {
        return format!("{} is none of {}", feature.name(), condition.words.join(", "));
    }
    let milli = |milli: u64| short(milli as f64 / 1e3);
    let least = condition.at_least_milli.map(|least| format!("at least {}", milli(least)));
    let below = condition.below_milli.map(|below| format!("below {}", milli(below)));
    let wanted: Vec<String> = least.into_iter().chain(below).collect();
    format!("{} is not {}", feature.name(), wanted.join(" and "))
}

/// A number in few digits.
fn short(number: f64) -> String {
    let digits = match number.abs() {
        0.0 => 0,
        number if number >= 100.0 => 0,
        number if number >= 1.0 => 1,
        _ => 3,
    };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_do_is_not_told() {
        let running = Condition {
            feature: Feature::Running.into(),
            at_least_milli: Some(7_000),
            ..Condition::default()
        };
        let words = vec!["ann".to_string(), "bob".to_string()];
        let user = Condition { feature: Feature::User.into(), words, ..Condition::default() };
        let told = Hidden { others: false, resident: false };
        assert_eq!(missed(&running, &told), "running is not at least 7.0");
        assert_eq!(missed(&user, &told), "user is none of ann, bob");
        let hidden = Hidden { others: true, resident: true };
        assert_eq!(missed(&running, &hidden), "running does not fit");
        assert_eq!(missed(&user, &hidden), "user is another");
        assert!(hidden.has(Feature::Resident) && !told.has(Feature::Resident));
        assert!(!hidden.has(Feature::TableRows));
    }
}
