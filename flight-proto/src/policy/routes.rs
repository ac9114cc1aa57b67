//! Which engine answers a tenant's queries: tables that are elsewhere, too, and rules.

/// A tenant's twins and rules. That a table and its twin have the same rows is for whoever writes it to know.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Routes {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, repeated, tag = "2")]
    pub twins: Vec<Twin>,
    /// Tried in order; the first that fits, and whose engine can answer, decides.
    #[prost(message, repeated, tag = "3")]
    pub rules: Vec<Rule>,
    /// The engine where no rule decides, as in [`Rule::engine`]; empty: that of the tables which the query names, and
    /// `tundra` where they are of several.
    #[prost(string, tag = "4")]
    pub otherwise: String,
    #[prost(message, optional, tag = "5")]
    pub may_force: Option<MayForce>,
    /// Measured latencies count from this number of samples on; 0: from 3.
    #[prost(uint32, tag = "6")]
    pub samples: u32,
    /// Of so many decisions for the fastest or cheapest one tries another engine instead, to measure it; 0: none does.
    #[prost(uint32, tag = "7")]
    pub explore_every: u32,
    #[prost(message, repeated, tag = "8")]
    pub prices: Vec<EnginePrice>,
}

/// A table of Tundra, and a foreign table with the same rows; or schemas, by `SCHEMA.*`, whose tables of one name are.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Twin {
    /// `SCHEMA.TABLE`, or `SCHEMA.*`.
    #[prost(string, tag = "1")]
    pub table: String,
    #[prost(string, tag = "2")]
    pub foreign: String,
}

/// All of its conditions must hold.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Rule {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub when: Vec<Condition>,
    /// `tundra`, the name of a server, `fastest` or `cheapest`.
    #[prost(string, tag = "3")]
    pub engine: String,
}

/// Of a query's feature. One that is not known does not hold.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Condition {
    #[prost(enumeration = "Feature", tag = "1")]
    pub feature: i32,
    /// Least number, in thousandths of the feature's unit.
    #[prost(uint64, optional, tag = "2")]
    pub at_least_milli: Option<u64>,
    /// Numbers are below this, in thousandths of the feature's unit.
    #[prost(uint64, optional, tag = "3")]
    pub below_milli: Option<u64>,
    /// Of a feature that is a word: one of these.
    #[prost(string, repeated, tag = "4")]
    pub words: Vec<String>,
}

/// What is known of a query before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Feature {
    /// One that this version does not know: a rule that asks for it never fits.
    Unknown = 0,
    /// Bytes of all columns of its tables.
    TableBytes = 1,
    TableRows = 2,
    /// Rows that the conditions of its tables are expected to leave, and bytes of the columns that it reads of them.
    ReadRows = 3,
    ReadBytes = 4,
    /// The part of the columns that it reads which is in memory, 0 to 1.
    Resident = 5,
    Tables = 6,
    Joins = 7,
    /// Milliseconds that Tundra is expected to take.
    PredictedMs = 8,
    /// Statements that run, and that wait, on this coordinator; how long the first has waited, in milliseconds.
    Running = 9,
    Waiting = 10,
    OldestWaitMs = 11,
    /// The median of what such queries took, in milliseconds: of Tundra, and of the quickest other engine.
    MeasuredTundraMs = 12,
    MeasuredForeignMs = 13,
    /// `lookup`, `scan`, `aggregate` or `join`.
    Shape = 32,
    Tier = 33,
    User = 34,
    /// What `SET query_label` says.
    Label = 35,
    /// How much of it the other engine computes: `whole`, `partly` or `scans`; of several, the most.
    Pushed = 36,
}

/// Who may have an engine by `SET engine`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct MayForce {
    #[prost(string, repeated, tag = "1")]
    pub users: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub roles: Vec<String>,
}

/// What a second of an engine costs, in thousandths, for `cheapest`; of one that is not named, 1.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct EnginePrice {
    #[prost(string, tag = "1")]
    pub engine: String,
    #[prost(uint64, tag = "2")]
    pub milli: u64,
}

impl Feature {
    /// All that there are, by the names that policies and `EXPLAIN ROUTE` have for them.
    pub const NAMES: [(Feature, &str); 18] = [
        (Feature::TableBytes, "table_bytes"),
        (Feature::TableRows, "table_rows"),
        (Feature::ReadRows, "read_rows"),
        (Feature::ReadBytes, "read_bytes"),
        (Feature::Resident, "resident"),
        (Feature::Tables, "tables"),
        (Feature::Joins, "joins"),
        (Feature::PredictedMs, "predicted_ms"),
        (Feature::Running, "running"),
        (Feature::Waiting, "waiting"),
        (Feature::OldestWaitMs, "oldest_wait_ms"),
        (Feature::MeasuredTundraMs, "measured.tundra_ms"),
        (Feature::MeasuredForeignMs, "measured.foreign_ms"),
        (Feature::Shape, "shape"),
        (Feature::Tier, "tier"),
        (Feature::User, "user"),
        (Feature::Label, "label"),
        (Feature::Pushed, "pushed"),
    ];

    pub fn name(self) -> &'static str {
        Feature::NAMES.iter().find(|(feature, _)| *feature == self).map_or("unknown", |(_, name)| name)
    }

    /// Whether its values are words.
    pub fn is_word(self) -> bool {
        self >= Feature::Shape
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Subject};
    use super::*;
    use prost::Message;

    /// Documents last: these bytes are fixed.
    #[test]
    fn golden_routes() {
        let condition = |feature: Feature| Condition { feature: feature.into(), ..Condition::default() };
        let routes = Routes {
            tenant: "acme".into(),
            twins: vec![Twin { table: "main.*".into(), foreign: "pg.*".into() }],
            rules: vec![Rule {
                name: "r".into(),
                when: vec![
                    Condition {
                        at_least_milli: Some(0),
                        below_milli: Some(300),
                        ..condition(Feature::Resident)
                    },
                    Condition { words: vec!["lookup".into()], ..condition(Feature::Shape) },
                ],
                engine: "pg".into(),
            }],
            otherwise: "fastest".into(),
            may_force: Some(MayForce { users: vec!["ann".into()], roles: vec!["dba".into()] }),
            samples: 5,
            explore_every: 50,
            prices: vec![EnginePrice { engine: "pg".into(), milli: 2_500 }],
        };
        let expected: &[u8] = b"\x0a\x04acme\x12\x0e\x0a\x06main.*\x12\x04pg.*\
            \x1a\x1c\x0a\x01r\x12\x07\x08\x05\x10\x00\x18\xac\x02\x12\x0a\x08\x20\"\x06lookup\x1a\x02pg\
            \"\x07fastest*\x0a\x0a\x03ann\x12\x03dba0\x058\x32B\x07\x0a\x02pg\x10\xc4\x13";
        let bytes = routes.encode_to_vec();
        assert_eq!(Routes::decode(&*bytes).unwrap(), routes);
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
        let subject = Some(Subject::Routes(Routes { tenant: "acme".into(), ..Routes::default() }));
        let document = Document { name: "routes/acme".into(), version: 300, decided_at_us: 5, subject };
        let expected = b"\x0a\x0broutes/acme\x10\xac\x02\x18\x05\x42\x06\x0a\x04acme";
        assert_eq!(document.encode_to_vec().escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn features_have_names() {
        for (feature, name) in Feature::NAMES {
            assert_eq!((feature.name(), Feature::try_from(i32::from(feature))), (name, Ok(feature)));
        }
        assert_eq!(Feature::Unknown.name(), "unknown");
        assert!(Feature::Pushed.is_word() && !Feature::MeasuredForeignMs.is_word());
    }
}
