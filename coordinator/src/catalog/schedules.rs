//! The schedules that the control plane has decided, as the catalog has them: read once, as they come.

use flight_proto::catalog::RefreshMode;
use flight_proto::cron::{Cron, Zone};
use flight_proto::policy::{Schedule, Schedules};
use std::sync::Arc;
use std::time::Duration;

/// How long after a failure a run is tried again, where its schedule does not say.
const PAUSE_S: u32 = 60;

/// A schedule of a tenant's table, which may be there or not.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSchedule {
    pub tenant: String,
    pub schedule: Schedule,
    when: Result<(Cron, Zone), String>,
}

pub(super) fn of(decided: Schedules) -> Vec<Arc<TableSchedule>> {
    let tenant = decided.tenant;
    let one = |schedule| Arc::new(TableSchedule::new(tenant.clone(), schedule));
    decided.schedules.into_iter().map(one).collect()
}

impl TableSchedule {
    pub(crate) fn new(tenant: String, schedule: Schedule) -> TableSchedule {
        let when = || -> Result<(Cron, Zone), flight_proto::cron::CronError> {
            Ok((schedule.cron.parse()?, schedule.zone.parse()?))
        };
        let when = when().map_err(|error| error.to_string());
        TableSchedule { tenant, schedule, when }
    }

    /// The first moment after one, both in microseconds since 1970; `None`: it is paused, or none comes.
    pub(crate) fn next(&self, after_us: i64) -> Option<i64> {
        let (cron, zone) = self.when.as_ref().ok().filter(|_| !self.schedule.paused)?;
        cron.next(after_us, *zone)
    }

    /// Why it cannot be read, which whoever decided it should have found.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.when.as_ref().err().map(String::as_str)
    }

    pub(crate) fn zone(&self) -> &str {
        self.when.as_ref().map_or(&self.schedule.zone, |(_, zone)| zone.name())
    }

    pub(crate) fn mode(&self) -> RefreshMode {
        self.schedule.mode()
    }

    /// How long after a failure it is tried again.
    pub(crate) fn pause(&self) -> Duration {
        let pause_s = self.schedule.retry_pause_s;
        Duration::from_secs(u64::from(if pause_s == 0 { PAUSE_S } else { pause_s }))
    }

    /// How long a run may take until it commits; `None`: any time.
    pub(crate) fn limit(&self) -> Option<Duration> {
        let limit_s = self.schedule.limit_s;
        (limit_s > 0).then(|| Duration::from_secs(limit_s.into()))
    }

    /// Whether both are the same schedule, of whatever settings.
    pub(crate) fn is(&self, other: &TableSchedule) -> bool {
        let (one, another) = (&self.schedule, &other.schedule);
        let names = |one: &Schedule| [one.schema.clone(), one.table.clone(), one.name.clone()];
        self.tenant == other.tenant && names(one) == names(another)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Policy;
    use flight_proto::policy::{Document, Gone, Subject, Tenant, TenantStatus};

    fn document(name: &str, subject: Subject) -> Document {
        Document { name: name.into(), version: 1, decided_at_us: 0, subject: Some(subject) }
    }

    fn by(name: &str, cron: &str, zone: &str) -> Schedule {
        let (name, cron, zone) = (name.into(), cron.into(), zone.into());
        Schedule { schema: "main".into(), table: "t".into(), name, cron, zone, ..Schedule::default() }
    }

    #[test]
    fn schedules_are_of_tenants_that_are_there() {
        let mut policy = Policy::default();
        let count = |policy: &Policy, tenant: Option<&str>| policy.schedules(tenant).count();
        for tenant in ["acme", "default"] {
            let schedules = vec![by("nightly", "0 3 * * *", ""), by("hourly", "@hourly", "Asia/Tokyo")];
            let decided = Schedules { tenant: tenant.into(), schedules };
            policy.take(document(&format!("schedules/{tenant}"), Subject::Schedules(decided)));
        }
        assert_eq!((count(&policy, None), count(&policy, Some("acme"))), (2, 0), "nobody knows acme yet");
        let acme = Tenant { name: "acme".into(), status: TenantStatus::Active.into(), ..Tenant::default() };
        policy.take(document("tenant/acme", Subject::Tenant(acme)));
        assert_eq!((count(&policy, None), count(&policy, Some("acme"))), (4, 2));
        policy.take(document("schedules/acme", Subject::Gone(Gone {})));
        assert_eq!((count(&policy, None), count(&policy, Some("acme"))), (2, 0));
    }

    #[test]
    fn what_cannot_be_read_has_no_moments() {
        let one = |cron, zone| TableSchedule::new("acme".into(), by("x", cron, zone));
        let good = one("0 3 * * *", "Asia/Tokyo");
        assert_eq!((good.next(0), good.fault(), good.zone()), (Some(18 * 3_600_000_000), None, "Asia/Tokyo"));
        for bad in [one("0 3 * *", ""), one("@daily", "Mars/Base")] {
            assert_eq!(bad.next(0), None);
            assert!(bad.fault().unwrap().contains("expected"));
        }
        let paused = Schedule { paused: true, ..by("x", "@daily", "") };
        let paused = TableSchedule::new("acme".into(), paused);
        assert_eq!((paused.next(0), paused.fault()), (None, None));
        assert!(paused.is(&one("@hourly", "Asia/Tokyo")), "settings are not what makes it another");
        assert_eq!((paused.pause().as_secs(), paused.limit()), (60, None));
    }
}
