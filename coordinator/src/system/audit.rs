//! `system.audit`: the last rows of the trail that this coordinator has written since its start.

use super::{Names, count, moment, row, timestamp};
use crate::trail::Deed;
use crate::view::{text, wide};
use columnar::Value;
use planner::catalog::VirtualTable;

impl Names {
    pub(super) fn audit(&self) -> VirtualTable {
        let mut columns = vec![text("chain"), wide("sequence"), timestamp("at")];
        columns.extend(["tenant", "principal", "action", "subject", "text", "detail", "hash"].map(text));
        let trail = &self.coordinator.trail;
        let rows = trail.recent(self.tenant.name()).into_iter();
        let rows = rows.filter(|(_, entry)| self.sees_user(&entry.deed.principal)).map(|(tenant, entry)| {
            let Deed { principal, action, subject, text, detail } = &entry.deed;
            let texts = [
                &tenant,
                principal,
                action.name(),
                subject,
                text,
                detail,
                &*crate::trail::hexadecimal(&entry.hash),
            ];
            let mut cells =
                vec![Value::varchar(trail.chain()), count(entry.sequence), moment(Some(entry.at_us))];
            cells.extend(row(&texts.map(str::to_string), &[]));
            cells
        });
        VirtualTable { name: "audit".into(), rows: rows.collect(), columns }
    }
}
