//! What statements and tenants used, as coordinators tell it and the control plane keeps it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes.
pub const GIB: u64 = 1 << 30;
/// Microseconds of an hour.
pub const HOUR_US: i64 = 3_600_000_000;

/// Everything that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Measures {
    /// Statements that ended.
    pub statements: u64,
    /// Processor time on shards and coordinators, planning included.
    pub processor_us: u64,
    /// What shards hold of a tenant, one copy counted, over time: MiB times seconds.
    pub resident_mib_s: u64,
    /// Read of segments, as they are encoded.
    pub scanned_bytes: u64,
    /// Sent between shards.
    pub exchanged_bytes: u64,
    pub returned_rows: u64,
    /// Given to clients, as Arrow has it in memory.
    pub returned_bytes: u64,
    /// To the object store.
    pub store_requests: u64,
    /// Read of the object store, and written.
    pub store_bytes: u64,
    /// How long other engines were asked.
    pub foreign_us: u64,
    pub foreign_rows: u64,
    pub foreign_bytes: u64,
}

/// The names of [`Measures`], in the order of their values.
pub const MEASURES: [&str; 12] = [
    "statements",
    "processor_us",
    "resident_mib_s",
    "scanned_bytes",
    "exchanged_bytes",
    "returned_rows",
    "returned_bytes",
    "store_requests",
    "store_bytes",
    "foreign_us",
    "foreign_rows",
    "foreign_bytes",
];

impl Measures {
    pub fn values(&self) -> [u64; 12] {
        [
            self.statements,
            self.processor_us,
            self.resident_mib_s,
            self.scanned_bytes,
            self.exchanged_bytes,
            self.returned_rows,
            self.returned_bytes,
            self.store_requests,
            self.store_bytes,
            self.foreign_us,
            self.foreign_rows,
            self.foreign_bytes,
        ]
    }

    /// Of [`Measures::values`].
    pub fn of(values: [u64; 12]) -> Measures {
        let [
            statements,
            processor_us,
            resident_mib_s,
            scanned_bytes,
            exchanged_bytes,
            returned_rows,
            returned_bytes,
            store_requests,
            store_bytes,
            foreign_us,
            foreign_rows,
            foreign_bytes,
        ] = values;
        Measures {
            statements,
            processor_us,
            resident_mib_s,
            scanned_bytes,
            exchanged_bytes,
            returned_rows,
            returned_bytes,
            store_requests,
            store_bytes,
            foreign_us,
            foreign_rows,
            foreign_bytes,
        }
    }

    pub fn add(&mut self, other: &Measures) {
        let (one, other) = (self.values(), other.values());
        *self = Measures::of(std::array::from_fn(|at| one[at].saturating_add(other[at])));
    }

    /// What has come since.
    pub fn since(&self, before: &Measures) -> Measures {
        let (now, before) = (self.values(), before.values());
        Measures::of(std::array::from_fn(|at| now[at].saturating_sub(before[at])))
    }

    pub fn is_nothing(&self) -> bool {
        *self == Measures::default()
    }
}

/// What was used in an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageRow {
    /// When the hour began, in microseconds since 1970.
    pub hour_us: i64,
    pub tenant: String,
    pub user: String,
    /// Empty: statements without one.
    pub label: String,
    pub used: Measures,
}

/// Rows that a coordinator gives under one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageBatch {
    /// From 1, without gaps; it never has other rows.
    pub sequence: u64,
    pub rows: Vec<UsageRow>,
}

/// What a coordinator tells of the statements it served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// This start of the coordinator, as hexadecimal text.
    pub source: String,
    /// What was not acknowledged, the oldest first.
    pub batches: Vec<UsageBatch>,
    /// What each shard has asked of the object store since its start, as this coordinator heard it last.
    #[serde(default)]
    pub shards: Vec<ShardUsage>,
    /// What shards hold of each tenant, one copy counted.
    #[serde(default)]
    pub resident: Vec<Resident>,
}

/// What a shard used of the object store for a tenant, since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardUsage {
    /// The shard and its start.
    pub source: String,
    pub tenant: String,
    pub store_requests: u64,
    pub store_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resident {
    pub tenant: String,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_go_together() {
        let measures = Measures::of(std::array::from_fn(|at| at as u64 + 1));
        let json = format!("{measures:?}");
        for (at, name) in MEASURES.iter().enumerate() {
            assert!(json.contains(&format!("{name}: {}", at + 1)), "{json}");
        }
        let mut twice = measures;
        twice.add(&measures);
        assert_eq!(twice.since(&measures), measures);
        assert_eq!(measures.since(&twice), Measures::default());
    }
}
