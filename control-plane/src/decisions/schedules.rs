//! Schedules of tenants' tables: set, paused, resumed, removed. Whether there is such a table the coordinators know.

use super::{check_name, tenants};
use crate::database::{Change, Database};
use crate::error::{Error, Result};
use crate::json::{Schedule, ScheduleSettings};
use flight_proto::catalog::RefreshMode;
use flight_proto::cron::{Cron, Zone};
use flight_proto::policy::{self, Schedules, Subject, schedules_document};

/// The most schedules of a tenant: all of them are one document.
const SCHEDULES_MOST: usize = 1_000;
const RETRIES_MOST: u32 = 100;
/// A week: the longest pause and limit, in seconds.
const SECONDS_MOST: u32 = 7 * 86_400;
/// Moments that are told of a schedule.
const MOMENTS: usize = 5;

/// Which schedule is meant.
pub(crate) struct Name<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) table: &'a str,
    pub(crate) name: &'a str,
}

impl Name<'_> {
    fn is_of(&self, schedule: &policy::Schedule) -> bool {
        schedule.name == self.name
            && schedule.schema.eq_ignore_ascii_case(self.schema)
            && schedule.table.eq_ignore_ascii_case(self.table)
    }

    fn unknown(&self) -> Error {
        let Name { tenant, schema, table, name } = self;
        let shown = |text: &str| text.chars().take(100).collect::<String>();
        Error::NotFound(format!(
            "the tenant '{}' has no schedule '{}' of '{}.{}'",
            shown(tenant),
            shown(name),
            shown(schema),
            shown(table)
        ))
    }
}

/// All schedules of a tenant, by table and name.
pub(crate) async fn list(database: &Database, tenant: &str) -> Result<Vec<Schedule>> {
    tenants::show(database, tenant).await?;
    let now_us = database.now_us().await?;
    let held = database.document(&schedules_document(tenant)).await?;
    Ok(match held.and_then(|held| held.document.subject) {
        Some(Subject::Schedules(decided)) => {
            decided.schedules.iter().map(|schedule| told(tenant, schedule, now_us)).collect()
        }
        _ => Vec::new(),
    })
}

pub(crate) async fn show(database: &Database, name: &Name<'_>) -> Result<Schedule> {
    let mut schedules = list(database, name.tenant).await?;
    schedules.retain(|one| {
        one.name == name.name
            && one.schema.eq_ignore_ascii_case(name.schema)
            && one.table.eq_ignore_ascii_case(name.table)
    });
    schedules.pop().ok_or_else(|| name.unknown())
}

/// Sets a schedule, which may be there already.
pub(crate) async fn put(
    database: &Database,
    who: &str,
    name: &Name<'_>,
    settings: ScheduleSettings,
) -> Result<Schedule> {
    check_name("a schema", name.schema)?;
    check_name("a table", name.table)?;
    check_name("a schedule's name", name.name)?;
    check(&settings)?;
    let mut change = database.change(who).await?;
    let mut decided = of(&mut change, name.tenant).await?;
    let schedule = policy::Schedule {
        schema: name.schema.into(),
        table: name.table.into(),
        name: name.name.into(),
        cron: settings.cron,
        zone: settings.zone,
        mode: RefreshMode::from(settings.mode).into(),
        paused: settings.paused,
        retries: settings.retries,
        retry_pause_s: settings.retry_pause_s,
        limit_s: settings.limit_s,
    };
    match decided.schedules.iter().position(|one| name.is_of(one)) {
        Some(known) => decided.schedules[known] = schedule.clone(),
        None if decided.schedules.len() >= SCHEDULES_MOST => {
            let why = format!("the tenant '{}' has {SCHEDULES_MOST} schedules; remove some", name.tenant);
            return Err(Error::Conflict(why));
        }
        None => decided.schedules.push(schedule.clone()),
    }
    decide(change, "set schedule", decided, name, &schedule).await
}

/// Has a schedule not come until it is resumed, or come again.
pub(crate) async fn set_paused(
    database: &Database,
    who: &str,
    name: &Name<'_>,
    paused: bool,
) -> Result<Schedule> {
    let mut change = database.change(who).await?;
    let mut decided = of(&mut change, name.tenant).await?;
    let known = decided.schedules.iter_mut().find(|one| name.is_of(one)).ok_or_else(|| name.unknown())?;
    known.paused = paused;
    let schedule = known.clone();
    let action = if paused { "pause schedule" } else { "resume schedule" };
    decide(change, action, decided, name, &schedule).await
}

/// Removes a schedule. Gives what it was.
pub(crate) async fn remove(database: &Database, who: &str, name: &Name<'_>) -> Result<Schedule> {
    let mut change = database.change(who).await?;
    let mut decided = of(&mut change, name.tenant).await?;
    let at = decided.schedules.iter().position(|one| name.is_of(one)).ok_or_else(|| name.unknown())?;
    let removed = decided.schedules.remove(at);
    decide(change, "remove schedule", decided, name, &removed).await
}

/// Writes down that somebody had a schedule run.
pub(crate) async fn record_run(database: &Database, who: &str, schedule: &Schedule) -> Result<()> {
    let mut change = database.change(who).await?;
    let Schedule { schema, table, name, .. } = schedule;
    let after = serde_json::json!({ "schema": schema, "table": table, "name": name });
    change.record("run schedule", &schedules_document(&schedule.tenant), None, Some(after)).await?;
    change.commit().await
}

async fn decide(
    mut change: Change<'_>,
    action: &str,
    mut decided: Schedules,
    name: &Name<'_>,
    schedule: &policy::Schedule,
) -> Result<Schedule> {
    let key = |one: &policy::Schedule| (one.schema.clone(), one.table.clone(), one.name.clone());
    decided.schedules.sort_by_key(key);
    change.decide(&schedules_document(name.tenant), action, Subject::Schedules(decided)).await?;
    let now_us = change.now_us;
    change.commit().await?;
    Ok(told(name.tenant, schedule, now_us))
}

async fn of(change: &mut Change<'_>, tenant: &str) -> Result<Schedules> {
    tenants::of(change, tenant).await?;
    let held = change.document(&schedules_document(tenant)).await?;
    Ok(match held.and_then(|held| held.document.subject) {
        Some(Subject::Schedules(decided)) => decided,
        _ => Schedules { tenant: tenant.into(), schedules: Vec::new() },
    })
}

fn check(settings: &ScheduleSettings) -> Result<()> {
    let invalid = |error: flight_proto::cron::CronError| Error::Invalid(error.to_string());
    settings.cron.parse::<Cron>().map_err(invalid)?;
    settings.zone.parse::<Zone>().map_err(invalid)?;
    if settings.retries > RETRIES_MOST {
        return Err(Error::Invalid(format!("a run is tried again {RETRIES_MOST} times at most")));
    }
    let seconds = [("a pause", settings.retry_pause_s), ("a limit", settings.limit_s)];
    match seconds.into_iter().find(|&(_, seconds)| seconds > SECONDS_MOST) {
        Some((what, _)) => Err(Error::Invalid(format!("{what} takes {SECONDS_MOST} seconds at most"))),
        None => Ok(()),
    }
}

fn told(tenant: &str, schedule: &policy::Schedule, now_us: i64) -> Schedule {
    let cron = schedule.cron.parse::<Cron>().ok().filter(|_| !schedule.paused);
    let zone = schedule.zone.parse::<Zone>().ok();
    let next = |after: i64| cron.as_ref().zip(zone).and_then(|(cron, zone)| cron.next(after, zone));
    Schedule {
        tenant: tenant.into(),
        schema: schedule.schema.clone(),
        table: schedule.table.clone(),
        name: schedule.name.clone(),
        settings: schedule.into(),
        next_at_us: std::iter::successors(next(now_us), |&at_us| next(at_us)).take(MOMENTS).collect(),
    }
}
