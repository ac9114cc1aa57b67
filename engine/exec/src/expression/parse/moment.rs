//! Dates, times of day and timestamps in text.

use columnar::TimeUnit;
use columnar::scalar::days_from_civil;

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

/// A date at the start of `text`, in days, and what follows it.
fn leading_date(text: &str) -> Option<(i64, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (year, month, day, rest) = if length == 8 {
        (text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..8].parse().ok()?, &text[8..])
    } else {
        let (year, rest) = digits(text, 7)?;
        let separator = rest.chars().next().filter(|c| matches!(c, '-' | '/'))?;
        let (month, rest) = digits(&rest[1..], 2)?;
        let (day, rest) = digits(rest.strip_prefix(separator)?, 2)?;
        (year, month, day, rest)
    };
    let upper = rest.trim_end();
    let Some(before) = upper.strip_suffix("BC").or_else(|| upper.strip_suffix("bc")) else {
        return Some((civil(year, month, day)?, rest));
    };
    Some((civil(1 - year, month, day)?, before))
}

/// `YYYY-MM-DD`, in days since 1970; a time of day after it is left out.
pub(super) fn date(text: &str) -> Option<i64> {
    let (days, rest) = leading_date(text)?;
    if !rest.trim().is_empty() {
        let (clock, rest) = leading_time(rest.strip_prefix('T').unwrap_or(rest).trim_start())?;
        offset_seconds(rest.trim())?;
        clock.micros(6)?;
    }
    Some(days)
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

/// A time of day, in microseconds.
pub(super) fn time(text: &str) -> Option<i64> {
    let (clock, rest) = leading_time(text)?;
    rest.trim().is_empty().then(|| clock.micros(6))?
}

/// `Z`, `UTC`, `+HH`, `+HHMM` or `+HH:MM`, in seconds; nothing is zero.
fn offset_seconds(text: &str) -> Option<i64> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Some(0);
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let body = &text[1..];
    let (hours, minutes) = match body.split_once(':') {
        Some((hours, minutes)) => (digits(hours, 2)?, digits(minutes, 2)?),
        None if body.len() == 4 && body.is_ascii() => (digits(&body[..2], 2)?, digits(&body[2..], 2)?),
        None => (digits(body, 2)?, (0, "")),
    };
    let fits = hours.0 <= 15 && minutes.0 <= 59 && hours.1.is_empty() && minutes.1.is_empty();
    fits.then(|| sign * (hours.0 * 3600 + minutes.0 * 60))
}

/// Date and time of day with an optional offset from UTC, which counts only where `zone` is asked for. In
/// `unit`s since 1970, perhaps beyond 64 bits.
pub(super) fn timestamp(text: &str, unit: TimeUnit, zone: bool) -> Option<i128> {
    let (days, rest) = leading_date(text)?;
    let per_second = i128::from(unit.per_second());
    let midnight = i128::from(days) * 86_400 * per_second;
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
    if rest.is_empty() {
        return Some(midnight);
    }
    let (clock, rest) = leading_time(rest)?;
    let offset = offset_seconds(rest.trim())?;
    let clock = i128::from(clock.micros(unit.per_second().ilog10())?);
    Some(midnight + clock - if zone { i128::from(offset) * per_second } else { 0 })
}
