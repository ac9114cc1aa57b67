//! Answers about schedules as aligned text.

use control_plane::json::{Schedule, ScheduleMode};
use flight_proto::admin::PastRefresh;

use crate::admin::time;
use crate::table::aligned;

fn zone(zone: &str) -> String {
    if zone.is_empty() { "UTC".into() } else { zone.into() }
}

fn mode(mode: ScheduleMode) -> String {
    match mode {
        ScheduleMode::Incremental => "incremental".into(),
        ScheduleMode::Full => "full".into(),
    }
}

pub(super) fn schedules(schedules: &[Schedule]) -> String {
    let rows = schedules.iter().map(|one| {
        let next = if one.settings.paused {
            "paused".into()
        } else {
            one.next_at_us.first().copied().map_or_else(String::new, time)
        };
        [
            format!("{}.{}", one.schema, one.table),
            one.name.clone(),
            one.settings.cron.clone(),
            zone(&one.settings.zone),
            mode(one.settings.mode),
            next,
        ]
    });
    aligned(["TABLE", "NAME", "CRON", "ZONE", "MODE", "NEXT"], rows)
}

pub(super) fn schedule(one: &Schedule) -> String {
    let settings = &one.settings;
    let seconds = |seconds: u32, none: &str| if seconds == 0 { none.into() } else { seconds.to_string() };
    let next: Vec<String> = one.next_at_us.iter().copied().map(time).collect();
    let rows = [
        ("tenant", one.tenant.clone()),
        ("table", format!("{}.{}", one.schema, one.table)),
        ("name", one.name.clone()),
        ("cron", settings.cron.clone()),
        ("zone", zone(&settings.zone)),
        ("mode", mode(settings.mode)),
        ("paused", settings.paused.to_string()),
        ("retries", settings.retries.to_string()),
        ("retry pause (s)", seconds(settings.retry_pause_s, "60")),
        ("limit (s)", seconds(settings.limit_s, "none")),
    ];
    let rows = rows.into_iter().map(|(name, value)| [name.to_string(), value]);
    let next = next.into_iter().map(|at| ["next".to_string(), at]);
    aligned(["SETTING", "VALUE"], rows.chain(next))
}

pub(super) fn done(one: &Schedule, what: &str) -> String {
    format!("schedule {} of {}.{} {what}\n", one.name, one.schema, one.table)
}

pub(super) fn history(past: &[PastRefresh]) -> String {
    let rows = past.iter().map(|one| {
        let run = &one.run;
        let outcome = match run.version {
            Some(version) => format!("version {version}, {} files changed", run.files_changed),
            None if run.error.is_empty() => run.state.clone(),
            None => format!("{}: {}", run.state, run.error),
        };
        [
            time(run.began_at_us),
            format!("{}.{}", one.schema, one.table),
            run.started_by.clone(),
            run.mode.clone(),
            run.attempt.max(1).to_string(),
            run.elapsed_ms.to_string(),
            outcome,
        ]
    });
    aligned(["STARTED", "TABLE", "CAUSE", "MODE", "ATTEMPT", "MS", "OUTCOME"], rows)
}
