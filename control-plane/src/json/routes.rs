//! Which engines answer a tenant's queries, as JSON, and back. TOML has the same fields.

use crate::error::{Error, Result};
use flight_proto::policy::{self, Condition, Feature};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;

const TWINS_MOST: usize = 10_000;
const RULES_MOST: usize = 100;
/// The longest name of a table or engine, in bytes.
const NAME_MOST: usize = 256;
/// The most words of a condition, and names of those who may force an engine.
const WORDS_MOST: usize = 1_000;
/// Numbers beyond this are nobody's.
const NUMBER_MOST: f64 = 1e15;

/// Which engines answer a tenant's queries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// Tables that have the same rows elsewhere.
    pub twins: Vec<Twin>,
    /// Tried in order; the first that fits, and whose engine can answer, decides.
    pub rules: Vec<Rule>,
    /// The engine where no rule decides: `tundra`, a server, `fastest` or `cheapest`; empty: that of the tables which the
    /// query names, and `tundra` where they are of several.
    pub otherwise: String,
    /// Who may force an engine by `SET engine`.
    pub may_force: MayForce,
    /// Measured latencies count from this number of samples on; 0: from 3.
    pub samples: u32,
    /// Of so many decisions for `fastest` or `cheapest` one tries another engine instead, to measure it; 0: none does.
    pub explore_every: u32,
    /// What a second of an engine costs, for `cheapest`; of one that is not named, 1.
    pub prices: std::collections::BTreeMap<String, f64>,
}

/// A table of Tundra and a foreign table that have the same rows; or schemas, as `SCHEMA.*`, whose tables of one name do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Twin {
    pub table: String,
    pub foreign: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    /// All of it must hold; left out: it always does.
    #[serde(default)]
    pub when: When,
    /// `tundra`, a server, `fastest` or `cheapest`.
    pub engine: String,
}

/// What is asked of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Bytes of all columns of its tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_bytes: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_rows: Option<Range>,
    /// Rows that the conditions of its tables are expected to leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_rows: Option<Range>,
    /// Bytes of the columns that it reads of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<Range>,
    /// The part of the columns that it reads which is in memory, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joins: Option<Range>,
    /// Milliseconds that Tundra is expected to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_ms: Option<Range>,
    /// Statements that run on the coordinator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Range>,
    /// Statements that wait for their turn there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_wait_ms: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredRange>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "some")]
    pub shape: Vec<Shape>,
    /// Tiers of tenants.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "some")]
    pub tier: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "some")]
    pub user: Vec<String>,
    /// What `SET query_label` says.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "some")]
    pub label: Vec<String>,
    /// How much of it another engine computes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "some")]
    pub pushed: Vec<Pushed>,
}

/// Numbers from `at_least` on, and below `below`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// The median of what such queries took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MeasuredRange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tundra_ms: Option<Range>,
    /// Of the quickest other engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign_ms: Option<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Few rows, of each table those of given values.
    Lookup,
    Scan,
    Aggregate,
    Join,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pushed {
    Whole,
    /// All but the last steps.
    Partly,
    /// Rows of tables.
    Scans,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MayForce {
    pub users: Vec<String>,
    pub roles: Vec<String>,
}

/// A tenant's routes, as they were set last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantRoutes {
    pub tenant: String,
    /// Of the document that says so.
    pub version: u64,
    pub decided_at_us: i64,
    pub routes: Routes,
}

impl Routes {
    /// Refuses what cannot be meant, with where it stands.
    pub fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::Invalid(why));
        for (what, count, most) in [
            ("twins", self.twins.len(), TWINS_MOST),
            ("rules", self.rules.len(), RULES_MOST),
            ("prices", self.prices.len(), WORDS_MOST),
        ] {
            if count > most {
                return refuse(format!("there are {count} {what}; at most {most} are taken"));
            }
        }
        let mut pairs = HashSet::new();
        for (at, twin) in self.twins.iter().enumerate() {
            let place = format!("twin {} ('{}' and '{}')", at + 1, twin.table, twin.foreign);
            if !pairs.insert((twin.table.to_lowercase(), twin.foreign.to_lowercase())) {
                return refuse(format!("{place}: it is there before"));
            }
            let all = |name: &str| parts(name).map(|(_, table)| table == "*");
            match (all(&twin.table), all(&twin.foreign)) {
                (Some(own), Some(other)) if own == other => {}
                (Some(_), Some(_)) => {
                    return refuse(format!("{place}: a schema, SCHEMA.*, is the twin of a schema"));
                }
                _ => {
                    return refuse(format!(
                        "{place}: expected names as SCHEMA.TABLE, or as SCHEMA.* for all of a schema"
                    ));
                }
            }
        }
        for (at, rule) in self.rules.iter().enumerate() {
            let place = format!("rule {} ('{}')", at + 1, rule.name);
            let invalid = |why: String| Error::Invalid(format!("{place}: {why}"));
            check_text("name", &rule.name).map_err(invalid)?;
            self.check_engine("engine", &rule.engine).map_err(invalid)?;
            if rule.when.measured == Some(MeasuredRange::default()) {
                return Err(invalid("measured: expected tundra_ms, foreign_ms or both".into()));
            }
            for (feature, range) in rule.when.ranges() {
                let name = feature.name();
                check_range(range).map_err(|why| invalid(format!("{name}: {why}")))?;
            }
            for (feature, words) in rule.when.words() {
                check_words(feature.name(), &words).map_err(invalid)?;
            }
        }
        if !self.otherwise.is_empty() {
            self.check_engine("otherwise", &self.otherwise).map_err(Error::Invalid)?;
        }
        for (what, names) in
            [("may_force.users", &self.may_force.users), ("may_force.roles", &self.may_force.roles)]
        {
            check_words(what, names).map_err(Error::Invalid)?;
        }
        for (engine, price) in &self.prices {
            check_text("prices", engine).map_err(Error::Invalid)?;
            if !(0.0..=1e6).contains(price) {
                return refuse(format!("prices: '{engine}' costs {price}: expected 0 to 1000000"));
            }
            if is_lost(*price) {
                return refuse(format!("prices: '{engine}' costs {price}: expected 0, or 0.001 and more"));
            }
        }
        if self.explore_every == 1 {
            return refuse(
                "explore_every is 1: then the best is never used; expected 0, or 2 and more".into(),
            );
        }
        Ok(())
    }

    /// Which servers a tenant has is for coordinators to know; what is no server's name is known here.
    fn check_engine(&self, what: &str, engine: &str) -> std::result::Result<(), String> {
        check_text(what, engine)?;
        let is_word = ["auto", "named"].iter().any(|word| engine.eq_ignore_ascii_case(word));
        match is_word || engine.contains(['.', '*']) {
            true => Err(format!(
                "{what} is '{engine}': expected tundra, fastest, cheapest or the name of a server"
            )),
            false => Ok(()),
        }
    }
}

impl When {
    /// What is asked of numbers.
    fn ranges(&self) -> Vec<(Feature, Range)> {
        let measured = self.measured.unwrap_or_default();
        let all = [
            (Feature::TableBytes, self.table_bytes),
            (Feature::TableRows, self.table_rows),
            (Feature::ReadRows, self.read_rows),
            (Feature::ReadBytes, self.read_bytes),
            (Feature::Resident, self.resident),
            (Feature::Tables, self.tables),
            (Feature::Joins, self.joins),
            (Feature::PredictedMs, self.predicted_ms),
            (Feature::Running, self.running),
            (Feature::Waiting, self.waiting),
            (Feature::OldestWaitMs, self.oldest_wait_ms),
            (Feature::MeasuredTundraMs, measured.tundra_ms),
            (Feature::MeasuredForeignMs, measured.foreign_ms),
        ];
        all.into_iter().filter_map(|(feature, range)| Some((feature, range?))).collect()
    }

    /// What is asked of words.
    fn words(&self) -> Vec<(Feature, Vec<String>)> {
        let all = [
            (Feature::Shape, self.shape.iter().map(|shape| shape.word().to_string()).collect()),
            (Feature::Tier, self.tier.clone()),
            (Feature::User, self.user.clone()),
            (Feature::Label, self.label.clone()),
            (Feature::Pushed, self.pushed.iter().map(|pushed| pushed.word().to_string()).collect()),
        ];
        all.into_iter().filter(|(_, words): &(Feature, Vec<String>)| !words.is_empty()).collect()
    }

    fn of(conditions: &[Condition]) -> When {
        let mut when = When::default();
        for condition in conditions {
            let number = |milli: u64| milli as f64 / 1e3;
            let range = Some(Range {
                at_least: condition.at_least_milli.map(number),
                below: condition.below_milli.map(number),
            });
            let words = &condition.words;
            let mut measured = when.measured.unwrap_or_default();
            match condition.feature() {
                Feature::Unknown => {}
                Feature::TableBytes => when.table_bytes = range,
                Feature::TableRows => when.table_rows = range,
                Feature::ReadRows => when.read_rows = range,
                Feature::ReadBytes => when.read_bytes = range,
                Feature::Resident => when.resident = range,
                Feature::Tables => when.tables = range,
                Feature::Joins => when.joins = range,
                Feature::PredictedMs => when.predicted_ms = range,
                Feature::Running => when.running = range,
                Feature::Waiting => when.waiting = range,
                Feature::OldestWaitMs => when.oldest_wait_ms = range,
                Feature::MeasuredTundraMs => {
                    measured.tundra_ms = range;
                    when.measured = Some(measured);
                }
                Feature::MeasuredForeignMs => {
                    measured.foreign_ms = range;
                    when.measured = Some(measured);
                }
                Feature::Shape => {
                    let known = Shape::ALL.into_iter();
                    when.shape =
                        known.filter(|shape| words.iter().any(|word| word == shape.word())).collect();
                }
                Feature::Tier => when.tier = words.clone(),
                Feature::User => when.user = words.clone(),
                Feature::Label => when.label = words.clone(),
                Feature::Pushed => {
                    let known = Pushed::ALL.into_iter();
                    when.pushed =
                        known.filter(|pushed| words.iter().any(|word| word == pushed.word())).collect();
                }
            }
        }
        when
    }

    fn conditions(&self) -> Vec<Condition> {
        let milli = |number: f64| (number * 1e3).round() as u64;
        let ranges = self.ranges().into_iter().map(|(feature, range)| Condition {
            feature: feature.into(),
            at_least_milli: range.at_least.map(milli),
            below_milli: range.below.map(milli),
            words: Vec::new(),
        });
        let words = self.words().into_iter();
        let words = words.map(|(feature, words)| Condition {
            feature: feature.into(),
            words,
            ..Condition::default()
        });
        ranges.chain(words).collect()
    }
}

impl Shape {
    const ALL: [Shape; 4] = [Shape::Lookup, Shape::Scan, Shape::Aggregate, Shape::Join];

    fn word(self) -> &'static str {
        match self {
            Shape::Lookup => "lookup",
            Shape::Scan => "scan",
            Shape::Aggregate => "aggregate",
            Shape::Join => "join",
        }
    }
}

impl Pushed {
    const ALL: [Pushed; 3] = [Pushed::Whole, Pushed::Partly, Pushed::Scans];

    fn word(self) -> &'static str {
        match self {
            Pushed::Whole => "whole",
            Pushed::Partly => "partly",
            Pushed::Scans => "scans",
        }
    }
}

/// Words of a condition. None at all would be taken for that nothing is asked.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> std::result::Result<Vec<T>, D::Error> {
    let words = Vec::<T>::deserialize(from)?;
    match words.is_empty() {
        true => Err(serde::de::Error::custom("no query has one of no words; leave the condition out")),
        false => Ok(words),
    }
}

/// Whether a number is lost in what is published, which are thousandths.
fn is_lost(number: f64) -> bool {
    number > 0.0 && (number * 1e3).round() < 1.0
}

/// `SCHEMA.TABLE`
fn parts(name: &str) -> Option<(&str, &str)> {
    let (schema, table) = name.split_once('.')?;
    let fits =
        |part: &str| !part.is_empty() && part.len() <= NAME_MOST && !part.chars().any(char::is_control);
    (fits(schema) && fits(table) && schema != "*").then_some((schema, table))
}

fn check_text(what: &str, text: &str) -> std::result::Result<(), String> {
    match !text.is_empty() && text.len() <= NAME_MOST && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(format!("{what} is to be a text of 1 to {NAME_MOST} bytes without control characters")),
    }
}

fn check_words(what: &str, words: &[String]) -> std::result::Result<(), String> {
    if words.len() > WORDS_MOST {
        return Err(format!("{what} has {} names; at most {WORDS_MOST} are taken", words.len()));
    }
    words.iter().try_for_each(|word| check_text(what, word))
}

fn check_range(range: Range) -> std::result::Result<(), String> {
    let Range { at_least, below } = range;
    if at_least.is_none() && below.is_none() {
        return Err("expected at_least, below or both".into());
    }
    for number in at_least.into_iter().chain(below) {
        if !(0.0..=NUMBER_MOST).contains(&number) {
            return Err(format!("{number}: expected a number from 0 to {NUMBER_MOST}"));
        }
        if is_lost(number) {
            return Err(format!("{number}: expected 0, or 0.001 and more"));
        }
    }
    match (at_least, below) {
        (Some(least), Some(below)) if least >= below => {
            Err(format!("no number is at least {least} and below {below}"))
        }
        _ => Ok(()),
    }
}

impl From<&policy::Routes> for Routes {
    fn from(routes: &policy::Routes) -> Routes {
        let twin = |twin: &policy::Twin| Twin { table: twin.table.clone(), foreign: twin.foreign.clone() };
        let rule = |rule: &policy::Rule| Rule {
            name: rule.name.clone(),
            when: When::of(&rule.when),
            engine: rule.engine.clone(),
        };
        let may = routes.may_force.clone().unwrap_or_default();
        Routes {
            twins: routes.twins.iter().map(twin).collect(),
            rules: routes.rules.iter().map(rule).collect(),
            otherwise: routes.otherwise.clone(),
            may_force: MayForce { users: may.users, roles: may.roles },
            samples: routes.samples,
            explore_every: routes.explore_every,
            prices: routes
                .prices
                .iter()
                .map(|price| (price.engine.clone(), price.milli as f64 / 1e3))
                .collect(),
        }
    }
}

impl Routes {
    /// As they are published for a tenant.
    pub(crate) fn published(&self, tenant: &str) -> policy::Routes {
        let twin = |twin: &Twin| policy::Twin { table: twin.table.clone(), foreign: twin.foreign.clone() };
        let rule = |rule: &Rule| policy::Rule {
            name: rule.name.clone(),
            when: rule.when.conditions(),
            engine: rule.engine.clone(),
        };
        let price = |(engine, price): (&String, &f64)| policy::EnginePrice {
            engine: engine.clone(),
            milli: (price * 1e3).round() as u64,
        };
        let MayForce { users, roles } = self.may_force.clone();
        let may = !users.is_empty() || !roles.is_empty();
        policy::Routes {
            tenant: tenant.into(),
            twins: self.twins.iter().map(twin).collect(),
            rules: self.rules.iter().map(rule).collect(),
            otherwise: self.otherwise.clone(),
            may_force: may.then_some(policy::MayForce { users, roles }),
            samples: self.samples,
            explore_every: self.explore_every,
            prices: self.prices.iter().map(price).collect(),
        }
    }
}

#[cfg(test)]
#[path = "../tests/routes.rs"]
mod tests;
