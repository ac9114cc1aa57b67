//! Prices and budgets, as flags.

use clap::{Args, ValueEnum};
use control_plane::json::{Budget, NewPrice, OnLimit, Period};

use crate::tenant::micros;

#[derive(Args)]
pub(super) struct PriceSettings {
    /// From which day (UTC) on, such as 2026-12-01 [default: today]
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// An hour of a processor
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    processor_hour: Option<u64>,
    /// A GiB in the memory of shards for an hour, one copy counted
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    resident_gib_hour: Option<u64>,
    /// A GiB read of segments
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    read_gib: Option<u64>,
    /// A GiB sent between shards
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    exchanged_gib: Option<u64>,
    /// A GiB given to clients
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    returned_gib: Option<u64>,
    /// A thousand requests to the object store
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    thousand_requests: Option<u64>,
    /// A second that another engine is asked
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    foreign_second: Option<u64>,
}

impl PriceSettings {
    pub(super) fn price(self) -> NewPrice {
        NewPrice {
            from: self.from,
            processor_hour_micros: self.processor_hour,
            resident_gib_hour_micros: self.resident_gib_hour,
            scanned_gib_micros: self.read_gib,
            exchanged_gib_micros: self.exchanged_gib,
            returned_gib_micros: self.returned_gib,
            thousand_requests_micros: self.thousand_requests,
            foreign_second_micros: self.foreign_second,
        }
    }
}

#[derive(Args)]
pub(super) struct BudgetSettings {
    /// What may be spent in a period, such as 1500.50
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    limit: u64,
    /// After which it is whole again (UTC)
    #[arg(long, value_enum, default_value_t = PeriodName::Month)]
    period: PeriodName,
    /// Of this user alone [default: of all]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    user: String,
    /// Of statements with this label alone [default: of all]
    #[arg(long, value_name = "LABEL", default_value = "", hide_default_value = true)]
    label: String,
    /// From which part of the limit on it is told, in percent; 0: not before it is spent
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u32).range(0..=100))]
    warn: u32,
    /// What becomes of statements once it is spent
    #[arg(long, value_enum, default_value_t = OnLimitName::Stop)]
    on_limit: OnLimitName,
}

#[derive(Clone, Copy, ValueEnum)]
enum PeriodName {
    Hour,
    Day,
    Month,
}

#[derive(Clone, Copy, ValueEnum)]
enum OnLimitName {
    /// Nothing but that it is told
    Warn,
    /// They run one at a time on a coordinator, after all others
    Throttle,
    /// New ones are refused, and those that run end
    Stop,
}

impl BudgetSettings {
    pub(super) fn budget(self) -> Budget {
        Budget {
            user: self.user,
            label: self.label,
            period: match self.period {
                PeriodName::Hour => Period::Hour,
                PeriodName::Day => Period::Day,
                PeriodName::Month => Period::Month,
            },
            limit_micros: self.limit,
            warn_percent: self.warn,
            on_limit: match self.on_limit {
                OnLimitName::Warn => OnLimit::Warn,
                OnLimitName::Throttle => OnLimit::Throttle,
                OnLimitName::Stop => OnLimit::Stop,
            },
        }
    }
}

/// An amount of money, of its millionths.
pub(super) fn amount(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The first day of a month, and of the next.
pub(super) fn month(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("expected a month such as 2026-11, got '{text}'");
    let (year, month) =
        text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2).ok_or_else(wrong)?;
    let digits = text.bytes().filter(u8::is_ascii_digit).count() == 6;
    let (year, month): (u32, u32) = (year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?);
    if !digits || !(1..=12).contains(&month) {
        return Err(wrong());
    }
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    Ok((format!("{year:04}-{month:02}-01"), format!("{:04}-{:02}-01", next.0, next.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_where_the_next_begin() {
        assert_eq!(month("2026-11"), Ok(("2026-11-01".into(), "2026-12-01".into())));
        assert_eq!(month("2026-12"), Ok(("2026-12-01".into(), "2027-01-01".into())));
        for wrong in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "+026-11", "2026-11-01"] {
            assert!(month(wrong).is_err(), "{wrong}");
        }
        assert_eq!(amount(1_500_000_001), "1500.000001");
    }
}
