//! Schedules of tables as JSON, and back.

use flight_proto::catalog::RefreshMode;
use flight_proto::policy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When and how a table is refreshed; what is left out is as by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`.
    pub cron: String,
    /// A name of the IANA database; empty: UTC.
    #[serde(default)]
    pub zone: String,
    #[serde(default)]
    pub mode: ScheduleMode,
    /// It does not come until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// How often a run that has failed is tried again, up to 100.
    #[serde(default)]
    pub retries: u32,
    /// How long after a failure, in seconds; 0: 60.
    #[serde(default)]
    pub retry_pause_s: u32,
    /// How long files are listed and read before the run is given up, in seconds; 0: as long as it takes.
    #[serde(default)]
    pub limit_s: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleMode {
    /// Files that were added, replaced or removed.
    #[default]
    Incremental,
    /// Every file is read anew.
    Full,
}

/// A schedule of a tenant's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    pub tenant: String,
    pub schema: String,
    pub table: String,
    pub name: String,
    pub settings: ScheduleSettings,
    /// The next moments in microseconds since 1970, five at most; none while it is paused.
    pub next_at_us: Vec<i64>,
}

impl From<&policy::Schedule> for ScheduleSettings {
    fn from(schedule: &policy::Schedule) -> ScheduleSettings {
        ScheduleSettings {
            cron: schedule.cron.clone(),
            zone: schedule.zone.clone(),
            mode: match schedule.mode() {
                RefreshMode::Incremental => ScheduleMode::Incremental,
                RefreshMode::Full => ScheduleMode::Full,
            },
            paused: schedule.paused,
            retries: schedule.retries,
            retry_pause_s: schedule.retry_pause_s,
            limit_s: schedule.limit_s,
        }
    }
}

impl From<ScheduleMode> for RefreshMode {
    fn from(mode: ScheduleMode) -> RefreshMode {
        match mode {
            ScheduleMode::Incremental => RefreshMode::Incremental,
            ScheduleMode::Full => RefreshMode::Full,
        }
    }
}
