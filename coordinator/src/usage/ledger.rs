//! What was used, summed up by tenant, user and label: for the control plane by hour, for people by minute, and for
//! budgets by the periods of now. Everything is bounded; what goes beyond is counted under [`OTHER`].

use super::Who;
use flight_proto::spending::{Period, Prices};
use flight_proto::usage::{Measures, UsageBatch, UsageRow};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// The label, and the user, of those beyond the bound.
pub(crate) const OTHER: &str = "(other)";
/// Of users and labels, those that are told apart of a tenant: with more, labels and then users are not.
const KEYS: usize = 2_000;
/// Rows that wait for the control plane.
const WAITING: usize = 100_000;
/// Rows of a batch.
const BATCH: usize = 5_000;
/// While so many batches wait only full ones are begun: who asks often and acknowledges nothing makes no more of them.
const SMALL_BATCHES: usize = 20;
/// Minutes that people see, and rows of them.
const MINUTES: i64 = 24 * 60;
const MINUTE_ROWS: usize = 50_000;
const MINUTE_US: i64 = 60_000_000;

#[derive(Default)]
pub(super) struct Ledger {
    /// What no batch has yet, by hour.
    open: BTreeMap<(i64, Who), Measures>,
    /// What was not acknowledged.
    batches: VecDeque<UsageBatch>,
    /// Rows of these.
    batched: usize,
    sequence: u64,
    /// By the beginning of the minute.
    minutes: BTreeMap<(i64, Who), Measures>,
    totals: BTreeMap<Arc<str>, HashMap<Who, Totals>>,
    pub(super) prices: Prices,
}

/// What somebody has used in the periods of now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals([Total; 3]);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    began_us: i64,
    pub(super) picos: u128,
    pub(super) scanned_bytes: u64,
}

fn place(period: Period) -> usize {
    match period {
        Period::Hour => 0,
        Period::Day => 1,
        Period::Month | Period::Unknown => 2,
    }
}

impl Totals {
    fn add(&mut self, picos: u128, scanned_bytes: u64, at_us: i64) {
        for period in [Period::Hour, Period::Day, Period::Month] {
            let total = &mut self.0[place(period)];
            let (began_us, _) = period.around(at_us);
            if total.began_us != began_us {
                *total = Total { began_us, ..Total::default() };
            }
            total.picos = total.picos.saturating_add(picos);
            total.scanned_bytes = total.scanned_bytes.saturating_add(scanned_bytes);
        }
    }

    /// Nothing where the period is another one.
    pub(super) fn of(&self, period: Period, began_us: i64) -> Total {
        let total = self.0[place(period)];
        if total.began_us == began_us { total } else { Total::default() }
    }
}

impl Ledger {
    #[cfg(test)]
    pub(super) fn priced(prices: Prices) -> Ledger {
        Ledger { prices, ..Ledger::default() }
    }

    /// Under whom it is counted: the names as they are while there are few.
    pub(super) fn known(&mut self, who: Who) -> Who {
        let of_tenant = self.totals.entry(who.tenant.clone()).or_default();
        if of_tenant.contains_key(&who) {
            return who;
        }
        let who = match of_tenant.len() {
            0..KEYS => who,
            KEYS.. if of_tenant.len() < 2 * KEYS => Who { label: OTHER.into(), ..who },
            _ => Who { user: OTHER.into(), label: OTHER.into(), ..who },
        };
        of_tenant.entry(who.clone()).or_default();
        who
    }

    pub(super) fn add(&mut self, who: &Who, used: &Measures, at_us: i64) {
        let picos = self.prices.at(at_us).picos(used);
        let of_tenant = self.totals.entry(who.tenant.clone()).or_default();
        of_tenant.entry(who.clone()).or_default().add(picos, used.scanned_bytes, at_us);
        let (hour_us, _) = Period::Hour.around(at_us);
        let full = self.open.len() + self.batched >= WAITING;
        let mut key = (hour_us, who.clone());
        if full && !self.open.contains_key(&key) {
            key.1 = Who { user: OTHER.into(), label: OTHER.into(), tenant: who.tenant.clone() };
        }
        self.open.entry(key).or_default().add(used);
        let minute = at_us.div_euclid(MINUTE_US) * MINUTE_US;
        self.minutes.entry((minute, who.clone())).or_default().add(used);
        while let Some((oldest, _)) = self.minutes.first_key_value()
            && (oldest.0 < minute - MINUTES * MINUTE_US || self.minutes.len() > MINUTE_ROWS)
        {
            self.minutes.pop_first();
        }
    }

    /// What was not acknowledged, once what has a number up to `taken` is; it comes again until it is.
    pub(super) fn give(&mut self, taken: u64) -> Vec<UsageBatch> {
        // A number that was never given acknowledges nothing.
        let taken = if taken <= self.sequence { taken } else { 0 };
        while let Some(first) = self.batches.front()
            && first.sequence <= taken
        {
            self.batched -= first.rows.len();
            self.batches.pop_front();
        }
        while self.open.len() >= BATCH || (!self.open.is_empty() && self.batches.len() < SMALL_BATCHES) {
            let mut rows = Vec::new();
            while rows.len() < BATCH
                && let Some(((hour_us, who), used)) = self.open.pop_first()
            {
                let (tenant, user, label) =
                    (who.tenant.to_string(), who.user.to_string(), who.label.to_string());
                rows.push(UsageRow { hour_us, tenant, user, label, used });
            }
            self.sequence += 1;
            self.batched += rows.len();
            self.batches.push_back(UsageBatch { sequence: self.sequence, rows });
        }
        self.batches.iter().cloned().collect()
    }

    /// A tenant's minutes, the oldest first.
    pub(super) fn minutes(&self, tenant: &str) -> Vec<(i64, Who, Measures)> {
        let own = self.minutes.iter().filter(|((_, who), _)| &*who.tenant == tenant);
        own.map(|((minute, who), used)| (*minute, who.clone(), *used)).collect()
    }

    /// What users and labels of a tenant have used in the periods of now.
    pub(super) fn totals(&self, tenant: &str) -> impl Iterator<Item = (&Who, &Totals)> + Clone {
        self.totals.get(tenant).into_iter().flatten()
    }

    /// What each tenant has spent this month through this coordinator, in millionths.
    pub(super) fn spent(&self, at_us: i64) -> Vec<(Arc<str>, u64)> {
        let (began_us, _) = Period::Month.around(at_us);
        let spent = self.totals.iter().map(|(tenant, all)| {
            let picos = all
                .values()
                .map(|totals| totals.of(Period::Month, began_us).picos)
                .fold(0, u128::saturating_add);
            (tenant.clone(), flight_proto::spending::micros(picos))
        });
        spent.collect()
    }

    /// Forgets what people of a tenant see, and what counts for its budgets. What waits for the control plane stays.
    pub(super) fn forget_tenant(&mut self, tenant: &str) {
        self.minutes.retain(|(_, who), _| &*who.tenant != tenant);
        self.totals.remove(tenant);
    }

    /// Forgets who has used nothing this month and is not `open` either.
    pub(super) fn forget_idle(&mut self, at_us: i64, is_open: impl Fn(&Who) -> bool) {
        let (began_us, _) = Period::Month.around(at_us);
        for of_tenant in self.totals.values_mut() {
            of_tenant.retain(|who, totals| totals.0[2].began_us == began_us || is_open(who));
        }
        self.totals.retain(|_, of_tenant| !of_tenant.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::spending::Price;
    use flight_proto::usage::HOUR_US;

    fn who(user: &str, label: &str) -> Who {
        Who { tenant: "acme".into(), user: user.into(), label: label.into() }
    }

    fn used(processor_us: u64) -> Measures {
        Measures { processor_us, ..Measures::default() }
    }

    fn sum(batches: &[UsageBatch]) -> u64 {
        batches.iter().flat_map(|batch| &batch.rows).map(|row| row.used.processor_us).sum()
    }

    #[test]
    fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
        let mut ledger = Ledger::default();
        ledger.add(&who("ann", ""), &used(1), 5);
        ledger.add(&who("ann", ""), &used(2), HOUR_US - 1);
        let first = ledger.give(0);
        assert_eq!((first.len(), first[0].sequence, first[0].rows.len(), sum(&first)), (1, 1, 1, 3));
        ledger.add(&who("ann", ""), &used(4), 6);
        let second = ledger.give(0);
        assert_eq!((second.len(), &second[0], sum(&second)), (2, &first[0], 7));
        assert_eq!(ledger.give(1), second[1..]);
        assert!(ledger.give(2).is_empty());
        ledger.add(&who("ann", ""), &used(8), HOUR_US);
        let third = ledger.give(2);
        assert_eq!((third[0].sequence, third[0].rows[0].hour_us), (3, HOUR_US));
        assert_eq!(ledger.give(4), third, "that number was never given");
        assert!(ledger.give(3).is_empty());
    }

    #[test]
    fn who_asks_and_acknowledges_nothing_stops_no_names() {
        let mut ledger = Ledger::default();
        let asks = 10 * SMALL_BATCHES as u64;
        for _ in 0..asks {
            ledger.add(&who("ann", ""), &used(1), 0);
            ledger.give(0);
        }
        assert_eq!((ledger.batches.len(), ledger.batched), (SMALL_BATCHES, SMALL_BATCHES));
        ledger.add(&who("bob", ""), &used(1), 0);
        assert!(ledger.open.contains_key(&(0, who("bob", ""))));
        let given = sum(&ledger.give(0));
        let rest = ledger.give(ledger.sequence);
        assert_eq!((given + sum(&rest), ledger.batched), (asks + 1, 2));
    }

    #[test]
    fn a_tenant_that_is_made_anew_begins_with_nothing() {
        let mut ledger = Ledger::default();
        let other = Who { tenant: "other".into(), ..who("ann", "") };
        ledger.add(&who("ann", ""), &used(1), 0);
        ledger.add(&other, &used(2), 0);
        ledger.forget_tenant("acme");
        assert!(ledger.minutes("acme").is_empty() && ledger.totals("acme").next().is_none());
        assert_eq!((ledger.minutes("other").len(), ledger.totals("other").count()), (1, 1));
        assert_eq!(sum(&ledger.give(0)), 3, "the control plane is told all the same");
    }

    #[test]
    fn names_without_end_are_counted_together() {
        let mut ledger = Ledger::default();
        for number in 0..3 * KEYS {
            let known = ledger.known(who("ann", &number.to_string()));
            ledger.add(&known, &used(1), 0);
        }
        let users = ledger.known(who("bob", "1"));
        assert_eq!(users, who("bob", OTHER));
        for number in 0..3 * KEYS {
            let known = ledger.known(who(&format!("user {number}"), ""));
            ledger.add(&known, &used(1), 0);
        }
        assert_eq!(ledger.known(who("late", "")), who(OTHER, OTHER));
        assert!(ledger.totals("acme").count() <= 2 * KEYS + 1);
        assert_eq!(ledger.known(who("ann", "1")), who("ann", "1"), "who was known stays so");
        assert_eq!(sum(&ledger.give(0)), 6 * KEYS as u64, "nothing is lost");
    }

    #[test]
    fn while_nobody_asks_rows_are_bounded_and_nothing_is_lost() {
        let mut ledger = Ledger::default();
        let hours = (WAITING / 1_000 + 50) as i64;
        for hour in 0..hours {
            for user in 0..1_000 {
                ledger.add(&who(&format!("user {user}"), ""), &used(1), hour * HOUR_US);
            }
        }
        assert!(ledger.open.len() <= WAITING + hours as usize, "{}", ledger.open.len());
        assert!(ledger.minutes.len() <= MINUTE_ROWS + 1);
        let (mut taken, mut seen) = (0, 0);
        loop {
            let batches = ledger.give(taken);
            let Some(last) = batches.last() else { break };
            (taken, seen) = (last.sequence, seen + sum(&batches));
        }
        assert_eq!(seen, hours as u64 * 1_000);
    }

    #[test]
    fn periods_are_counted_by_themselves() {
        let price = Price { from_us: 0, processor_hour_micros: 3_600_000_000, ..Price::default() };
        let mut ledger = Ledger { prices: Prices { prices: vec![price] }, ..Ledger::default() };
        ledger.add(&who("ann", ""), &used(1), 10 * HOUR_US);
        ledger.add(&who("ann", ""), &used(2), 11 * HOUR_US);
        let (_, totals) = ledger.totals("acme").next().unwrap();
        assert_eq!(totals.of(Period::Hour, 11 * HOUR_US).picos, 2_000_000);
        assert_eq!(totals.of(Period::Day, 0).picos, 3_000_000);
        assert_eq!(totals.of(Period::Hour, 10 * HOUR_US).picos, 0, "that hour is over");
        assert_eq!(ledger.spent(12 * HOUR_US), [("acme".into(), 3)]);
        ledger.forget_idle(40 * 24 * HOUR_US, |_| false);
        assert_eq!(ledger.totals("acme").count(), 0);
    }

    #[test]
    fn minutes_of_a_tenant_are_its_own() {
        let mut ledger = Ledger::default();
        ledger.add(&who("ann", "x"), &used(1), MINUTE_US + 1);
        ledger.add(&who("ann", "x"), &used(1), MINUTE_US + 2);
        ledger.add(&Who { tenant: "other".into(), ..who("ann", "x") }, &used(1), MINUTE_US);
        assert_eq!(ledger.minutes("acme"), [(MINUTE_US, who("ann", "x"), used(2))]);
        ledger.add(&who("ann", "x"), &used(1), MINUTE_US * (MINUTES + 3));
        assert_eq!(ledger.minutes("acme").len(), 1, "a day is kept");
    }
}
