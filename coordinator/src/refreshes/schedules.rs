//! Schedules and the tables that they are for; and what is told of both.

use super::Refreshes;
use crate::catalog::{CatalogState, TableSchedule};
use crate::error::{Error, Result};
use crate::facts::{mode_text, refresh_run};
use flight_proto::admin::{PastRefresh, TableSchedule as Told};
use flight_proto::catalog::Dataset;
use flight_proto::node::{AskRefreshes, ScheduleName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The table of a schedule, or why it has none to refresh.
fn table_of<'a>(
    snapshot: &'a CatalogState,
    schedule: &TableSchedule,
) -> std::result::Result<&'a Dataset, String> {
    let names = &schedule.schedule;
    match snapshot.table(&schedule.tenant, &names.schema, &names.table) {
        None => Err("there is no such table".into()),
        Some(table) if table.location.is_empty() => {
            Err("statements fill the table, and it has no files of others to look for".into())
        }
        Some(table) => Ok(table),
    }
}

/// The schedules of each dataset that can be refreshed by them.
pub(super) fn by_dataset(snapshot: &CatalogState) -> BTreeMap<u64, Vec<Arc<TableSchedule>>> {
    let mut all: BTreeMap<u64, Vec<Arc<TableSchedule>>> = BTreeMap::new();
    for schedule in snapshot.policy().schedules(None) {
        if let Ok(table) = table_of(snapshot, schedule)
            && snapshot.policy().closed(&schedule.tenant).is_none()
        {
            all.entry(table.id).or_default().push(schedule.clone());
        }
    }
    all
}

/// The schedule of a name, and its dataset.
pub(super) fn named<'a>(
    snapshot: &'a CatalogState,
    name: &ScheduleName,
) -> Option<(u64, &'a Arc<TableSchedule>)> {
    let schedule = find(snapshot, name)?;
    Some((table_of(snapshot, schedule).ok()?.id, schedule))
}

fn find<'a>(snapshot: &'a CatalogState, name: &ScheduleName) -> Option<&'a Arc<TableSchedule>> {
    snapshot.policy().schedules(Some(&name.tenant)).find(|one| {
        let names = &one.schedule;
        names.name == name.name
            && names.schema.eq_ignore_ascii_case(&name.schema)
            && names.table.eq_ignore_ascii_case(&name.table)
    })
}

impl Refreshes {
    /// Has a schedule run now, by whoever leads.
    pub(crate) async fn run_schedule(&self, name: ScheduleName) -> Result<()> {
        let catalog = self.tenants.catalog();
        catalog.linearize().await?;
        let snapshot = catalog.snapshot();
        let unknown = || {
            let ScheduleName { tenant, schema, table, name } = &name;
            let why = format!("the tenant '{tenant}' has no schedule '{name}' of '{schema}.{table}' here");
            Error::NotFound(why)
        };
        let schedule = find(&snapshot, &name).ok_or_else(unknown)?;
        if snapshot.policy().closed(&schedule.tenant).is_some() {
            return Err(Error::Conflict(format!("the tenant '{}' is suspended", name.tenant)));
        }
        table_of(&snapshot, schedule)
            .map_err(|why| Error::Conflict(format!("'{}.{}': {why}", name.schema, name.table)))?;
        self.ask(AskRefreshes { schedules: vec![name], ..AskRefreshes::default() }).await
    }

    /// The schedules of all tenants, or of one, and what comes of them.
    pub(crate) fn schedules(&self, tenant: Option<&str>) -> Vec<Told> {
        let snapshot = self.tenants.catalog().snapshot();
        let now = self.now();
        let state = self.state.lock();
        let told = |schedule: &Arc<TableSchedule>| {
            let names = &schedule.schedule;
            let table = table_of(&snapshot, schedule);
            let suspended = snapshot.policy().closed(&schedule.tenant).is_some();
            let state_text = match (schedule.fault(), &table) {
                (Some(fault), _) => fault.into(),
                (_, Err(why)) => why.clone(),
                _ if suspended => "the tenant is suspended".into(),
                _ if names.paused => "paused".into(),
                _ => "waiting".into(),
            };
            let next_us = table.ok().filter(|_| !suspended).and_then(|table| {
                state.timetable.due_of(table.id, schedule).or_else(|| schedule.next(now.wall_us))
            });
            Told {
                tenant: schedule.tenant.clone(),
                schema: names.schema.clone(),
                table: names.table.clone(),
                name: names.name.clone(),
                cron: names.cron.clone(),
                zone: schedule.zone().into(),
                mode: mode_text(schedule.mode()).into(),
                state: state_text,
                next_at_us: next_us,
                last: state.history.last_of(schedule).cloned().map(refresh_run),
            }
        };
        snapshot.policy().schedules(tenant).map(told).collect()
    }

    /// The latest runs of all tenants, or of one, the latest first.
    pub(crate) fn past(&self, tenant: Option<&str>, limit: usize) -> Vec<PastRefresh> {
        let state = self.state.lock();
        let runs = state.history.latest().filter(|run| tenant.is_none_or(|tenant| tenant == run.tenant));
        let told = |run: flight_proto::node::RefreshRun| PastRefresh {
            tenant: run.tenant.clone(),
            dataset: run.dataset,
            schema: run.schema.clone(),
            table: run.table.clone(),
            schedule: run.schedule.clone(),
            run: refresh_run(run),
        };
        runs.take(limit).cloned().map(told).collect()
    }
}
