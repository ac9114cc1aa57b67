//! Budgets: what was spent of each, and what follows of that for statements. A pure function of the limits, of what others
//! have spent, of what was spent here, and of the time.

use super::Who;
use super::ledger::Totals;
use flight_proto::policy::Quotas;
use flight_proto::spending::{Budget, OnLimit, Period, Spend, micros};

/// The names of the budgets that a tenant's quotas are.
pub(crate) const SPEND_PER_MONTH: &str = "quota spend_per_month";
pub(crate) const SCANNED_PER_DAY: &str = "quota scanned_per_day";
/// From which part of a quota on it is told.
const QUOTA_WARN_PERCENT: u32 = 80;

/// A budget at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) budget: Budget,
    /// It limits bytes that are read, not money.
    pub(crate) of_bytes: bool,
    /// Millionths of the currency, or bytes.
    pub(crate) spent: u64,
    /// When it is whole again, in microseconds since 1970.
    pub(crate) until_us: i64,
}

/// How far a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Free,
    Warned,
    Spent,
}

impl State {
    pub(crate) fn level(&self) -> Level {
        let (spent, limit) = (u128::from(self.spent), u128::from(self.budget.limit_micros));
        let warn = u128::from(self.budget.warn_percent);
        match () {
            () if spent >= limit => Level::Spent,
            () if warn > 0 && spent * 100 >= limit * warn => Level::Warned,
            () => Level::Free,
        }
    }

    /// What becomes of statements, where it is spent.
    pub(crate) fn acts(&self) -> Option<OnLimit> {
        let acts = self.level() == Level::Spent && self.budget.period() != Period::Unknown;
        acts.then(|| self.budget.on_limit())
            .filter(|on_limit| matches!(on_limit, OnLimit::Throttle | OnLimit::Stop))
    }

    /// Why a statement is refused or ended.
    pub(crate) fn told(&self) -> String {
        let Budget { name, user, label, .. } = &self.budget;
        let of = match (user.is_empty(), label.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!(" of the user '{user}'"),
            (true, false) => format!(" of the label '{label}'"),
            (false, false) => format!(" of the user '{user}' and the label '{label}'"),
        };
        let amount = |amount: u64| match self.of_bytes {
            true => format!("{amount} bytes"),
            false => format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000),
        };
        format!(
            "the budget '{name}'{of} is spent: {} of {} for this {}; statements are served again from {} on, or once \
             an operator raises it",
            amount(self.spent),
            amount(self.budget.limit_micros),
            self.budget.period().name(),
            time_text(self.until_us),
        )
    }
}

/// A moment of UTC, to the second.
fn time_text(at_us: i64) -> String {
    let value = columnar::Value::new(
        columnar::DataType::TIMESTAMP,
        columnar::Scalar::Integer((at_us.div_euclid(1_000_000) * 1_000_000).into()),
    );
    format!("{value} UTC")
}

/// The budgets that a tenant's quotas are, and whether each is of bytes.
fn of_quotas(quotas: &Quotas) -> impl Iterator<Item = (Budget, bool)> {
    let budget = |name: &str, period: Period, limit_micros: u64| Budget {
        name: name.into(),
        period: period.into(),
        limit_micros,
        warn_percent: QUOTA_WARN_PERCENT,
        on_limit: OnLimit::Stop.into(),
        ..Budget::default()
    };
    let month = (budget(SPEND_PER_MONTH, Period::Month, quotas.spend_per_month_micros), false);
    let day = (budget(SCANNED_PER_DAY, Period::Day, quotas.scanned_bytes_per_day), true);
    [month, day].into_iter().filter(|(budget, _)| budget.limit_micros > 0)
}

/// Whether a tenant has any budget at all: most have none.
pub(crate) fn has_any(budgets: &[Budget], quotas: &Quotas) -> bool {
    !budgets.is_empty() || quotas.spend_per_month_micros > 0 || quotas.scanned_bytes_per_day > 0
}

/// Every budget of a tenant as it is now. `own` is what was used through this coordinator, whose start is `source`; what it
/// told the control plane of that is in `spend` as well, and counts once: the greater of the two.
pub(crate) fn states<'a>(
    budgets: &[Budget],
    quotas: &Quotas,
    spend: Option<&Spend>,
    own: impl Iterator<Item = (&'a Who, &'a Totals)> + Clone,
    source: &str,
    now_us: i64,
) -> Vec<State> {
    let all = budgets.iter().map(|budget| (budget.clone(), false)).chain(of_quotas(quotas));
    let state = |(budget, of_bytes): (Budget, bool)| {
        let period = budget.period();
        let (began_us, until_us) = period.around(now_us);
        let (mut picos, mut scanned) = (0_u128, 0_u64);
        for (_, totals) in own.clone().filter(|(who, _)| budget.is_of(&who.user, &who.label)) {
            let total = totals.of(period, began_us);
            picos = total.picos.saturating_add(picos);
            scanned = scanned.saturating_add(total.scanned_bytes);
        }
        let mut spent = micros(picos);
        let told = spend.iter().flat_map(|spend| &spend.spent).find(|told| {
            (&told.user, &told.label, told.period, told.began_us)
                == (&budget.user, &budget.label, budget.period, began_us)
        });
        if let Some(told) = told {
            // Its own part is mostly known better here, but for what was forgotten; a start before this one has no
            // other place.
            if let Some(own) = told.by.iter().find(|by| by.source == source) {
                spent = spent.max(own.micros);
                scanned = scanned.max(own.scanned_bytes);
            }
            spent = spent.saturating_add(told.held_micros);
            for by in told.by.iter().filter(|by| by.source != source) {
                spent = spent.saturating_add(by.micros);
                scanned = scanned.saturating_add(by.scanned_bytes);
            }
        }
        State { budget, of_bytes, spent: if of_bytes { scanned } else { spent }, until_us }
    };
    all.map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Ledger;
    use super::*;
    use flight_proto::spending::{Price, Prices, Spent, SpentBy};
    use flight_proto::usage::{HOUR_US, Measures};

    fn budget(user: &str, label: &str, period: Period, limit_micros: u64) -> Budget {
        Budget {
            name: "b".into(),
            user: user.into(),
            label: label.into(),
            period: period.into(),
            limit_micros,
            warn_percent: 50,
            on_limit: OnLimit::Stop.into(),
        }
    }

    fn ledger() -> Ledger {
        let price = Price { from_us: 0, processor_hour_micros: 3_600_000_000, ..Price::default() };
        let mut ledger = Ledger::priced(Prices { prices: vec![price] });
        for (user, label, amount) in [("ann", "", 10), ("ann", "etl", 5), ("bob", "etl", 2)] {
            let who = Who { tenant: "acme".into(), user: user.into(), label: label.into() };
            let used = Measures { processor_us: amount, scanned_bytes: amount, ..Measures::default() };
            ledger.add(&who, &used, 5 * HOUR_US);
        }
        ledger
    }

    #[test]
    fn what_counts_is_everybody_of_the_period_once() {
        let ledger = ledger();
        let by = |source: &str, micros| SpentBy { source: source.into(), micros, scanned_bytes: micros };
        let spend = Spend {
            tenant: "acme".into(),
            spent: vec![
                Spent {
                    period: Period::Hour.into(),
                    began_us: 5 * HOUR_US,
                    held_micros: 100,
                    by: vec![by("here", 9), by("there", 1_000)],
                    ..Spent::default()
                },
                Spent {
                    label: "etl".into(),
                    period: Period::Hour.into(),
                    began_us: 5 * HOUR_US,
                    by: vec![by("here", 70), by("there", 100)],
                    ..Spent::default()
                },
                Spent {
                    user: "ann".into(),
                    period: Period::Hour.into(),
                    began_us: 4 * HOUR_US,
                    by: vec![by("there", 7)],
                    ..Spent::default()
                },
            ],
        };
        let spent = |budget: Budget, now_us: i64| {
            states(&[budget], &Quotas::default(), Some(&spend), ledger.totals("acme"), "here", now_us)[0]
                .spent
        };
        let now = 5 * HOUR_US + 7;
        assert_eq!(spent(budget("", "", Period::Hour, 1), now), 1_117);
        assert_eq!(spent(budget("ann", "", Period::Hour, 1), now), 15, "what was told is of the hour before");
        assert_eq!(spent(budget("", "etl", Period::Hour, 1), now), 170, "more was told than is known here");
        assert_eq!(spent(budget("", "etl", Period::Day, 1), now), 7);
        assert_eq!(spent(budget("bob", "", Period::Month, 1), now), 2);
        assert_eq!(spent(budget("ann", "etl", Period::Hour, 1), now), 5);
        assert_eq!(spent(budget("", "", Period::Hour, 1), 6 * HOUR_US), 0, "an hour later it is whole");
    }

    #[test]
    fn limits_warn_and_then_act() {
        let state = |spent, on_limit: OnLimit| State {
            budget: Budget { on_limit: on_limit.into(), ..budget("ann", "", Period::Day, 100) },
            of_bytes: false,
            spent,
            until_us: 24 * HOUR_US,
        };
        let levels = [0, 49, 50, 99, 100, u64::MAX].map(|spent| state(spent, OnLimit::Stop).level());
        use Level::{Free, Spent, Warned};
        assert_eq!(levels, [Free, Free, Warned, Warned, Spent, Spent]);
        assert_eq!(state(99, OnLimit::Stop).acts(), None);
        assert_eq!(state(100, OnLimit::Stop).acts(), Some(OnLimit::Stop));
        assert_eq!(state(100, OnLimit::Throttle).acts(), Some(OnLimit::Throttle));
        assert_eq!(state(100, OnLimit::Warn).acts(), None);
        assert_eq!(state(100, OnLimit::Unknown).acts(), None);
        let told = state(1_500_000, OnLimit::Stop).told();
        for part in ["'b' of the user 'ann'", "1.500000 of 0.000100 for this day", "1970-01-02 00:00:00 UTC"]
        {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn quotas_are_budgets_of_the_whole_tenant() {
        let ledger = ledger();
        let quotas = Quotas { resident_bytes: 1, scanned_bytes_per_day: 17, spend_per_month_micros: 18 };
        let states = states(&[], &quotas, None, ledger.totals("acme"), "here", 6 * HOUR_US);
        let told: Vec<_> =
            states.iter().map(|one| (&*one.budget.name, one.of_bytes, one.spent, one.acts())).collect();
        assert_eq!(
            told,
            [(SPEND_PER_MONTH, false, 17, None), (SCANNED_PER_DAY, true, 17, Some(OnLimit::Stop))]
        );
        assert!(states[1].told().contains("17 bytes of 17 bytes for this day"));
        assert!(!has_any(&[], &Quotas { resident_bytes: 1, ..Quotas::default() }));
    }
}
