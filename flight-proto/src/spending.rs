//! Prices, budgets, and what was spent, as the control plane publishes them.
//!
//! Amounts of money are millionths of one currency, whichever it is. A coordinator adds what it has used itself to what the
//! others have, as of the last [`Spend`]: it acts while the control plane is away.

use crate::usage::{GIB, HOUR_US, Measures};

/// What is paid, from moments on.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Prices {
    /// In the order of their beginnings.
    #[prost(message, repeated, tag = "1")]
    pub prices: Vec<Price>,
}

/// What is paid from a moment on, until that of the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Price {
    /// In microseconds since 1970; the beginning of a day (UTC).
    #[prost(int64, tag = "1")]
    pub from_us: i64,
    /// An hour of a processor.
    #[prost(uint64, tag = "2")]
    pub processor_hour_micros: u64,
    /// A GiB in the memory of shards for an hour.
    #[prost(uint64, tag = "3")]
    pub resident_gib_hour_micros: u64,
    /// A GiB read of segments.
    #[prost(uint64, tag = "4")]
    pub scanned_gib_micros: u64,
    /// A GiB sent between shards.
    #[prost(uint64, tag = "5")]
    pub exchanged_gib_micros: u64,
    /// A GiB given to clients.
    #[prost(uint64, tag = "6")]
    pub returned_gib_micros: u64,
    /// A thousand requests to the object store.
    #[prost(uint64, tag = "7")]
    pub thousand_requests_micros: u64,
    /// A second that another engine was asked.
    #[prost(uint64, tag = "8")]
    pub foreign_second_micros: u64,
}

/// What a tenant, its users and its labels may spend.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Budgets {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, repeated, tag = "2")]
    pub budgets: Vec<Budget>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Budget {
    /// Of the tenant's, its own.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Of this user alone; empty: of all.
    #[prost(string, tag = "2")]
    pub user: String,
    /// Of statements with this label alone; empty: of all.
    #[prost(string, tag = "3")]
    pub label: String,
    #[prost(enumeration = "Period", tag = "4")]
    pub period: i32,
    #[prost(uint64, tag = "5")]
    pub limit_micros: u64,
    /// From which part of the limit on it is told, in percent; 0: not at all.
    #[prost(uint32, tag = "6")]
    pub warn_percent: u32,
    #[prost(enumeration = "OnLimit", tag = "7")]
    pub on_limit: i32,
}

/// After which a budget is whole again (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Period {
    /// One that this version does not know; the budget holds nobody up.
    Unknown = 0,
    Hour = 1,
    Day = 2,
    Month = 3,
}

/// What becomes of statements once a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum OnLimit {
    /// One that this version does not know; as if it was to warn.
    Unknown = 0,
    /// Nothing but that it is told.
    Warn = 1,
    /// They run one at a time, after all others.
    Throttle = 2,
    /// New ones are refused, and those that run end.
    Stop = 3,
}

/// What was spent of a tenant's budgets, as the control plane knew it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Spend {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, repeated, tag = "2")]
    pub spent: Vec<Spent>,
}

/// Of one budget, or of a quota of the tenant.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Spent {
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(string, tag = "2")]
    pub label: String,
    #[prost(enumeration = "Period", tag = "3")]
    pub period: i32,
    /// When the period began, in microseconds since 1970.
    #[prost(int64, tag = "4")]
    pub began_us: i64,
    /// By nobody's statements: of what shards hold, and their requests.
    #[prost(uint64, tag = "5")]
    pub held_micros: u64,
    /// By coordinator, each start by itself.
    #[prost(message, repeated, tag = "6")]
    pub by: Vec<SpentBy>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SpentBy {
    /// The start of a coordinator.
    #[prost(string, tag = "1")]
    pub source: String,
    #[prost(uint64, tag = "2")]
    pub micros: u64,
    #[prost(uint64, tag = "3")]
    pub scanned_bytes: u64,
}

impl Price {
    /// What was used is worth, in millionths of a millionth: sums of many small amounts are not rounded away.
    pub fn picos(&self, used: &Measures) -> u128 {
        let worth = |amount: u64, price: u64, unit: u64| {
            (u128::from(amount) * u128::from(price)).saturating_mul(1_000_000) / u128::from(unit)
        };
        [
            worth(used.processor_us, self.processor_hour_micros, HOUR_US as u64),
            worth(used.resident_mib_s, self.resident_gib_hour_micros, 1_024 * 3_600),
            worth(used.scanned_bytes, self.scanned_gib_micros, GIB),
            worth(used.exchanged_bytes, self.exchanged_gib_micros, GIB),
            worth(used.returned_bytes, self.returned_gib_micros, GIB),
            worth(used.store_requests, self.thousand_requests_micros, 1_000),
            worth(used.foreign_us, self.foreign_second_micros, 1_000_000),
        ]
        .into_iter()
        .fold(0, u128::saturating_add)
    }
}

/// Millionths, of millionths of them.
pub fn micros(picos: u128) -> u64 {
    u64::try_from(picos.saturating_add(500_000) / 1_000_000).unwrap_or(u64::MAX)
}

impl Prices {
    /// What is paid where nobody has said anything else: about what the machines cost, in dollars.
    pub fn standard() -> Prices {
        let price = Price {
            from_us: 0,
            processor_hour_micros: 50_000,
            resident_gib_hour_micros: 5_000,
            scanned_gib_micros: 100,
            exchanged_gib_micros: 10_000,
            returned_gib_micros: 90_000,
            thousand_requests_micros: 400,
            foreign_second_micros: 10,
        };
        Prices { prices: vec![price] }
    }

    /// What is paid at a moment; before the first, nothing.
    pub fn at(&self, at_us: i64) -> Price {
        let valid = self.prices.iter().filter(|price| price.from_us <= at_us);
        valid.max_by_key(|price| price.from_us).copied().unwrap_or_default()
    }
}

impl Period {
    /// When the period of a moment began, and when the next one does, in microseconds since 1970.
    pub fn around(self, at_us: i64) -> (i64, i64) {
        const DAY_US: i64 = 24 * HOUR_US;
        let whole = |length: i64| {
            let began = at_us.div_euclid(length) * length;
            (began, began + length)
        };
        match self {
            Period::Hour => whole(HOUR_US),
            Period::Day => whole(DAY_US),
            Period::Unknown | Period::Month => {
                let (year, month) = month_of(at_us.div_euclid(DAY_US));
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                (day_of(year, month, 1) * DAY_US, day_of(next.0, next.1, 1) * DAY_US)
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
            Period::Unknown => "unknown",
        }
    }
}

impl OnLimit {
    pub fn name(self) -> &'static str {
        match self {
            OnLimit::Warn => "warn",
            OnLimit::Throttle => "throttle",
            OnLimit::Stop => "stop",
            OnLimit::Unknown => "unknown",
        }
    }
}

impl Budget {
    /// Whether what a user uses under a label counts.
    pub fn is_of(&self, user: &str, label: &str) -> bool {
        (self.user.is_empty() || self.user == user) && (self.label.is_empty() || self.label == label)
    }
}

/// The days from 1970 to a day of the Gregorian calendar (Hinnant 2013, `days_from_civil`).
pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year and month of a day since 1970 (Hinnant 2013, `civil_from_days`).
fn month_of(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + shifted.div_euclid(146_097) * 400;
    (if month <= 2 { year + 1 } else { year }, month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_and_end() {
        let day = |year, month, day| day_of(year, month, day) * 24 * HOUR_US;
        assert_eq!(day(1970, 1, 1), 0);
        assert_eq!(day(2026, 11, 28), 1_795_824_000_000_000);
        let noon = day(2024, 2, 29) + 12 * HOUR_US + 7;
        assert_eq!(Period::Month.around(noon), (day(2024, 2, 1), day(2024, 3, 1)));
        assert_eq!(Period::Day.around(noon), (day(2024, 2, 29), day(2024, 3, 1)));
        assert_eq!(Period::Hour.around(noon), (noon - 7, noon - 7 + HOUR_US));
        assert_eq!(Period::Month.around(day(2026, 12, 31)), (day(2026, 12, 1), day(2027, 1, 1)));
        assert_eq!(Period::Month.around(-1), (day(1969, 12, 1), 0));
        for days in (-1_000_000..1_000_000).step_by(7) {
            let (year, month) = month_of(days);
            assert!(day_of(year, month, 1) <= days && days < day_of(year, month, 1) + 31, "{days}");
        }
    }

    #[test]
    fn worth_is_exact() {
        let price = Price {
            from_us: 0,
            processor_hour_micros: 3_600_000,
            resident_gib_hour_micros: 1_000_000,
            scanned_gib_micros: 2_000_000,
            exchanged_gib_micros: 3_000_000,
            returned_gib_micros: 4_000_000,
            thousand_requests_micros: 5_000,
            foreign_second_micros: 6,
        };
        let worth = |used: Measures| price.picos(&used);
        assert_eq!(worth(Measures { processor_us: 1, ..Measures::default() }), 1_000);
        assert_eq!(
            worth(Measures { resident_mib_s: 1_024 * 3_600, ..Measures::default() }),
            1_000_000_000_000
        );
        assert_eq!(worth(Measures { scanned_bytes: GIB, ..Measures::default() }), 2_000_000_000_000);
        assert_eq!(worth(Measures { exchanged_bytes: GIB, ..Measures::default() }), 3_000_000_000_000);
        assert_eq!(worth(Measures { returned_bytes: GIB, ..Measures::default() }), 4_000_000_000_000);
        assert_eq!(worth(Measures { store_requests: 1, ..Measures::default() }), 5_000_000);
        assert_eq!(worth(Measures { foreign_us: 1_000_000, ..Measures::default() }), 6_000_000);
        let most = Measures { processor_us: u64::MAX, scanned_bytes: u64::MAX, ..Measures::default() };
        assert!(micros(Price { processor_hour_micros: u64::MAX, ..price }.picos(&most)) == u64::MAX);
        assert_eq!((micros(499_999), micros(500_000)), (0, 1));
    }

    #[test]
    fn the_latest_price_counts_that_has_begun() {
        let price = |from_us, scanned_gib_micros| Price { from_us, scanned_gib_micros, ..Price::default() };
        let prices = Prices { prices: vec![price(10, 1), price(20, 2)] };
        let at = |at_us| prices.at(at_us).scanned_gib_micros;
        assert_eq!([at(9), at(10), at(19), at(20), at(i64::MAX)], [0, 1, 1, 2, 2]);
    }
}
