//! `system.schedules` and `system.refresh_history`: what a tenant's tables are refreshed by, and what came of it.

use super::{Names, count, moment, or_null, timestamp};
use crate::view::{text, wide};
use columnar::{DataType, Value};
use planner::catalog::VirtualTable;
use storage::ColumnSchema;

impl Names {
    pub(super) fn schedules(&self) -> VirtualTable {
        let texts = ["schema_name", "table_name", "schedule", "cron", "zone", "mode", "state"];
        let mut columns: Vec<ColumnSchema> = texts.into_iter().map(text).collect();
        columns.extend([or_null(timestamp("next_at")), or_null(timestamp("last_at"))]);
        columns.push(or_null(text("last_state")));
        let schedules = self.coordinator.refreshes.schedules(Some(self.tenant.name()));
        let schedules = schedules.into_iter().filter(|one| self.sees(&one.schema, &one.table));
        let rows = schedules.map(|one| {
            let texts = [&one.schema, &one.table, &one.name, &one.cron, &one.zone, &one.mode, &one.state];
            let mut row: Vec<Value> = texts.into_iter().map(|text| Value::varchar(text)).collect();
            row.push(moment(one.next_at_us));
            row.push(moment(one.last.as_ref().map(|last| last.began_at_us)));
            let state = one.last.as_ref().map(|last| Value::varchar(&last.state));
            row.push(state.unwrap_or(Value::null(DataType::Varchar)));
            row
        });
        VirtualTable { name: "schedules".into(), rows: rows.collect(), columns }
    }

    pub(super) fn refresh_history(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["schema_name", "table_name"].into_iter().map(text).collect();
        columns.push(wide("dataset"));
        columns.extend(["cause", "mode"].into_iter().map(text));
        columns.extend([timestamp("started_at"), wide("elapsed_ms"), text("outcome")]);
        columns.extend([or_null(wide("version")), wide("files_changed"), wide("attempt")]);
        columns.push(or_null(text("error")));
        let past = self.coordinator.refreshes.past(Some(self.tenant.name()), usize::MAX);
        let past = past.into_iter().filter(|past| self.sees(&past.schema, &past.table));
        let rows = past.map(|past| {
            let run = past.run;
            vec![
                Value::varchar(&past.schema),
                Value::varchar(&past.table),
                count(past.dataset),
                Value::varchar(&run.started_by),
                Value::varchar(&run.mode),
                moment(Some(run.began_at_us)),
                count(run.elapsed_ms),
                Value::varchar(&run.state),
                run.version.map_or(Value::null(DataType::Int64), count),
                count(run.files_changed),
                count(run.attempt.max(1).into()),
                Some(&run.error)
                    .filter(|error| !error.is_empty())
                    .map_or(Value::null(DataType::Varchar), |error| Value::varchar(error)),
            ]
        });
        VirtualTable { name: "refresh_history".into(), rows: rows.collect(), columns }
    }
}
