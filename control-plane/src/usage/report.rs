//! Chargeback: what was used between two days, summed up by what is asked for, and what it costs.

use super::prices;
use crate::database::Database;
use crate::database::usage::Part;
use crate::error::{Error, Result};
use crate::json::{Report, ReportRow};
use flight_proto::spending::{Period, day_of, micros};
use flight_proto::usage::{HOUR_US, Measures};
use std::collections::BTreeMap;

const DAY_US: i64 = 24 * HOUR_US;
/// What sums can be told apart by.
const BY: [&str; 5] = ["tenant", "user", "label", "day", "month"];

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `YYYY-MM-DD`; the beginning of the month where it is absent.
    pub(crate) from: Option<String>,
    /// Not included; tomorrow where it is absent.
    pub(crate) to: Option<String>,
    /// Of [`BY`]; `None`: by tenant.
    pub(crate) by: Option<String>,
    /// Of this tenant alone.
    pub(crate) tenant: Option<String>,
}

pub(crate) async fn report(database: &Database, asked: Asked) -> Result<Report> {
    let by = asked.by.as_deref().unwrap_or("tenant");
    let by: Vec<&str> = by.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if let Some(wrong) = by.iter().find(|part| !BY.contains(part)) {
        return Err(Error::Invalid(format!("sums are by {}, not by '{wrong}'", BY.join(", "))));
    }
    let now_us = database.now_us().await?;
    let from_us = match &asked.from {
        Some(day) => day_us(day)?,
        None => Period::Month.around(now_us).0,
    };
    let to_us = match &asked.to {
        Some(day) => day_us(day)?,
        None => Period::Day.around(now_us).1,
    };
    if from_us >= to_us {
        return Err(Error::Invalid("a report begins before it ends; the last day is not included".into()));
    }
    let prices = prices::load(database).await?;
    let tenant = asked.tenant.as_deref().unwrap_or_default();
    let rows = database.usage_days(&Part { from_us, to_us, tenant, user: "", label: "" }).await?;
    let mut sums: BTreeMap<[String; 5], (Measures, u128)> = BTreeMap::new();
    for row in rows {
        let day = day_text(row.day_us);
        let month = day[..7].to_string();
        let picos = prices.at(row.day_us).picos(&row.used);
        let mut key = [row.tenant, row.user, row.label, day, month];
        for (place, name) in BY.iter().enumerate() {
            if !by.contains(name) {
                key[place].clear();
            }
        }
        let sum = sums.entry(key).or_default();
        sum.0.add(&row.used);
        sum.1 = sum.1.saturating_add(picos);
    }
    let rows = sums.into_iter().map(|(key, (used, picos))| {
        let [tenant, user, label, day, month] = key;
        let given = |name: &str, value: String| by.contains(&name).then_some(value);
        ReportRow {
            tenant: given("tenant", tenant),
            user: given("user", user),
            label: given("label", label),
            day: given("day", day),
            month: given("month", month),
            used,
            cost_micros: micros(picos),
        }
    });
    let rows: Vec<ReportRow> = rows.collect();
    let mut used = Measures::default();
    rows.iter().for_each(|row| used.add(&row.used));
    // The sum of what is shown: an invoice adds up.
    let cost_micros = rows.iter().map(|row| row.cost_micros).fold(0, u64::saturating_add);
    Ok(Report { from: day_text(from_us), to: day_text(to_us), rows, used, cost_micros })
}

/// When a day begins, in microseconds since 1970.
pub(crate) fn day_us(text: &str) -> Result<i64> {
    let wrong = || Error::Invalid(format!("expected a day such as 2026-11-01, got '{text}'"));
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = &parts[..] else { return Err(wrong()) };
    let number = |text: &str, digits: usize| -> Result<i64> {
        let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| fits).ok_or_else(wrong)
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let at_us = day_of(year, month.clamp(1, 12), day) * DAY_US;
    // Days that there are not are others.
    match (1..=12).contains(&month) && day_text(at_us) == text {
        true => Ok(at_us),
        false => Err(wrong()),
    }
}

fn day_text(at_us: i64) -> String {
    let (month_us, _) = Period::Month.around(at_us);
    let day = (at_us - month_us) / DAY_US + 1;
    // Of the month, which has its beginning at most 31 days before.
    let days = month_us / DAY_US;
    let year = 1970 + (days as f64 / 365.2425).floor() as i64;
    let year = (year - 1..=year + 1).find(|&year| (1..=12).any(|month| day_of(year, month, 1) == days));
    let year = year.unwrap_or(1970);
    let month = (1..=12).find(|&month| day_of(year, month, 1) == days).unwrap_or(1);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for day in ["1970-01-01", "2024-02-29", "2026-11-28", "2026-12-31", "2000-01-01", "9999-12-31"] {
            assert_eq!(day_text(day_us(day).unwrap()), day);
        }
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-01",
            "2025-02-29",
            "2026-1-1",
            "2026-11-31",
            "x-y-z",
            "+026-01-01",
        ] {
            assert!(day_us(wrong).is_err(), "{wrong}");
        }
        let mut at_us = day_us("1999-12-31").unwrap();
        let mut before = day_text(at_us);
        for _ in 0..20_000 {
            at_us += DAY_US;
            let day = day_text(at_us);
            assert!(day > before && day_us(&day).unwrap() == at_us, "{day} after {before}");
            before = day;
        }
    }
}
