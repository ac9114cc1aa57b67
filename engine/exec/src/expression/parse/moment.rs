//! Dates, times of day and timestamps in text.

use crate::functions::zone::{Zone, offset_seconds, zone};
use columnar::scalar::days_from_civil;
use columnar::{DataType, TimeUnit, time_zoned};

/// The last year PostgreSQL's dates have.
const LAST_YEAR: i64 = 5_874_897;

/// Digits at the start of `text` as a number, and what follows them.
fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 || end > most {
        return None;
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

pub(super) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let valid = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    (valid && year <= LAST_YEAR).then(|| days_from_civil(year, month, day))
}

/// `infinity` and what PostgreSQL writes instead of numbers: the integer of that type.
fn named(text: &str, data_type: DataType) -> Option<i128> {
    let (sign, word) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if ["infinity", "inf"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
        return Some(sign * data_type.infinity()?);
    }
    text.eq_ignore_ascii_case("epoch").then_some(0)
}

/// What is before `BC` or `AD` at the end of a text, and whether it is `BC`.
fn era(text: &str) -> (&str, bool) {
    let text = text.trim_end();
    for (word, before_christ) in [("(bc)", true), ("bc", true), ("ad", false)] {
        let start = text.len().checked_sub(word.len());
        let Some((before, found)) = start.and_then(|start| text.split_at_checked(start)) else { continue };
        // Not the end of a zone's name, as of Asia/Baghdad.
        if found.eq_ignore_ascii_case(word) && !before.ends_with(char::is_alphabetic) {
            return (before.trim_end(), before_christ);
        }
    }
    (text, false)
}

/// A date at the start of `text`, in days, and what follows it. A year with `-` before it counts a year 0, which is 1 BC.
fn leading_date(text: &str) -> Option<(i64, &str)> {
    let (text, before_christ) = era(text);
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (year, month, day, rest) = if length == 8 {
        (text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..8].parse().ok()?, &text[8..])
    } else {
        let (year, rest) = digits(text, 7)?;
        let separator = rest.chars().next().filter(|c| matches!(c, '-' | '/' | ' ' | '\\'))?;
        let (month, rest) = digits(&rest[1..], 2)?;
        let (day, rest) = digits(rest.strip_prefix(separator)?, 2)?;
        (year, month, day, rest)
    };
    // DuckDB writes it before the time of day.
    let inner = rest.trim_start();
    let (before_christ, rest) = match ["(bc)", "bc"].iter().find_map(|word| {
        let (found, after) = inner.split_at_checked(word.len())?;
        found.eq_ignore_ascii_case(word).then_some(after)
    }) {
        Some(after) => (true, after),
        None => (before_christ, rest),
    };
    let year: i64 = sign * year;
    Some((civil(if before_christ { 1 - year } else { year }, month, day)?, rest))
}

/// `YYYY-MM-DD`, in days since 1970; a time of day after it is left out.
pub(super) fn date(text: &str) -> Option<i128> {
    if let Some(found) = named(text, DataType::Date) {
        return Some(found);
    }
    let (days, rest) = leading_date(text)?;
    if !rest.trim().is_empty() {
        let (clock, rest) = leading_time(rest.strip_prefix('T').unwrap_or(rest).trim_start())?;
        suffix(rest.trim())?;
        clock.micros(6)?;
    }
    Some(days.into())
}

/// A time of day.
struct Clock {
    seconds: i64,
    /// In 10^-9 and, for rounding, the digit after.
    nanos: i64,
    next_digit: u8,
}

impl Clock {
    /// Since midnight in units of 10^-`digits` seconds (0 to 9), rounded to nearest.
    fn micros(&self, digits: u32) -> Option<i64> {
        let unit = 10_i64.pow(9_u32.checked_sub(digits)?);
        let rounded = match unit {
            1 => self.nanos + i64::from(self.next_digit >= 5),
            unit => (self.nanos + unit / 2) / unit,
        };
        Some(self.seconds * 10_i64.pow(digits) + rounded)
    }
}

/// `HH:MM[:SS[.fraction]]` at the start of `text`, and what follows it.
fn leading_time(text: &str) -> Option<(Clock, &str)> {
    let (hours, rest) = digits(text, 2)?;
    let (minutes, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    let mut clock = Clock { seconds: 0, nanos: 0, next_digit: 0 };
    let mut seconds = 0;
    if let Some(after) = rest.strip_prefix(':') {
        (seconds, rest) = digits(after, 2)?;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
            let (fraction, tail) = after.split_at(end);
            rest = tail;
            for position in 0..9 {
                let digit = fraction.as_bytes().get(position).map_or(0, |digit| digit - b'0');
                clock.nanos = clock.nanos * 10 + i64::from(digit);
            }
            clock.next_digit = fraction.as_bytes().get(9).map_or(0, |digit| digit - b'0');
        }
    }
    let midnight = hours == 24 && minutes == 0 && seconds == 0 && clock.nanos == 0;
    if hours > 23 && !midnight || minutes > 59 || seconds > 59 {
        return None;
    }
    clock.seconds = hours * 3600 + minutes * 60 + seconds;
    Some((clock, rest))
}

/// A time of day, in microseconds; an offset from UTC after it does not count.
pub(super) fn time(text: &str) -> Option<i64> {
    let (clock, rest) = leading_time(text)?;
    suffix(rest.trim())?;
    clock.micros(6)
}

/// A time of day with its offset from UTC, none where it has none.
pub(super) fn time_zoned(text: &str) -> Option<i64> {
    let (clock, rest) = leading_time(text)?;
    match suffix(rest.trim())?.unwrap_or(Zone::Fixed(0)) {
        Zone::Fixed(offset) => Some(time_zoned::encode(clock.micros(6)?, offset)),
        // How far it is ahead hangs on the day.
        Zone::Named(_) => None,
    }
}

/// The zone behind a time of day; `None` within where there is none.
fn suffix(text: &str) -> Option<Option<Zone>> {
    if text.is_empty() {
        return Some(None);
    }
    let found = match offset_seconds(text) {
        Some(seconds) => Zone::Fixed(seconds),
        None => zone(text).ok()?,
    };
    Some(Some(found))
}

/// Date and time of day with an optional zone or offset from UTC, which counts only where `session`, the zone of moments without
/// one, is given. In `unit`s since 1970, perhaps beyond 64 bits.
pub(super) fn timestamp(text: &str, unit: TimeUnit, session: Option<Zone>) -> Option<i128> {
    if let Some(found) = named(text, DataType::Timestamp { unit, zone: session.is_some() }) {
        return Some(found);
    }
    let (days, rest) = leading_date(text)?;
    let per_second = i128::from(unit.per_second());
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
    let (clock, own) = match rest {
        "" => (0, None),
        rest => {
            let (clock, rest) = leading_time(rest)?;
            (i128::from(clock.micros(unit.per_second().ilog10())?), suffix(rest.trim())?)
        }
    };
    let local = i128::from(days) * 86_400 * per_second + clock;
    let seconds = match own.or(session).filter(|_| session.is_some()) {
        None => 0,
        Some(Zone::Fixed(seconds)) => i128::from(seconds),
        Some(zone) => {
            let micros = i64::try_from(local * 1_000_000 / per_second).ok()?;
            i128::from(zone.ahead_of(micros).ok()? / 1_000_000)
        }
    };
    // What stands for infinity is no moment that can be written otherwise.
    let value = local - seconds * per_second;
    (value.abs() != i128::from(i64::MAX)).then_some(value)
}
