//! Intervals in text: PostgreSQL's verbose form and ISO 8601's.

use columnar::Interval;

const DAY_MICROS: i128 = 86_400_000_000;
/// No number of a unit is larger in an interval; sums of these stay far within 128 bits.
const MOST: i128 = 1 << 64;
/// Fractions are numbers of this part of one; digits beyond are cut.
const PART: i128 = 1_000_000_000_000_000_000;

/// Collects parts; overflow shows at the end.
#[derive(Default)]
struct Parts {
    months: i128,
    days: i128,
    micros: i128,
}

impl Parts {
    /// Adds a whole number and a fraction of a unit; fractions go down to the next smaller kind, and to the nearest
    /// microsecond. Of a microsecond itself they are cut.
    fn add(&mut self, whole: i128, fraction: i128, unit: &str) -> Option<()> {
        if whole.unsigned_abs() > MOST.unsigned_abs() {
            return None;
        }
        let months = |count: i128| (count, 0, 0);
        let days = |count: i128| (0, count, 0);
        let micros = |count: i128| (0, 0, count);
        let (months, days, micros) = match unit {
            "millennium" | "millenniums" | "millennia" | "mil" | "mils" => months(12_000),
            "century" | "centuries" | "cent" | "c" => months(1200),
            "decade" | "decades" | "dec" | "decs" => months(120),
            "year" | "years" | "yr" | "yrs" | "y" => months(12),
            "quarter" | "quarters" | "qtr" | "qtrs" => months(3),
            "month" | "months" | "mon" | "mons" => months(1),
            "week" | "weeks" | "w" => days(7),
            "day" | "days" | "d" => days(1),
            "hour" | "hours" | "hr" | "hrs" | "h" => micros(3_600_000_000),
            "minute" | "minutes" | "min" | "mins" | "m" => micros(60_000_000),
            "second" | "seconds" | "sec" | "secs" | "s" => micros(1_000_000),
            "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" | "mseconds" | "msecond" => {
                micros(1_000)
            }
            "microsecond" | "microseconds" | "usec" | "usecs" | "us" | "useconds" | "usecond" => micros(1),
            _ => return None,
        };
        self.months += whole * months;
        self.days += whole * days;
        self.micros += whole * micros;
        let mut of_days = fraction * days;
        if months == 1 {
            // Of a month: days of 30, then the clock.
            of_days += fraction * 30;
        } else {
            self.months += rounded(fraction * months);
        }
        self.days += of_days / PART;
        self.micros += rounded(of_days % PART * DAY_MICROS);
        self.micros += if micros == 1 { 0 } else { rounded(fraction * micros) };
        Some(())
    }

    fn finish(self, sign: i128) -> Option<Interval> {
        Some(Interval {
            months: i32::try_from(self.months * sign).ok()?,
            days: i32::try_from(self.days * sign).ok()?,
            micros: i64::try_from(self.micros * sign).ok()?,
        })
    }
}

/// A number of [`PART`]s as the nearest whole number, half away from zero.
fn rounded(parts: i128) -> i128 {
    (parts + parts.signum() * (PART / 2)) / PART
}

/// A number at the start of `text`: its whole part, its fraction in [`PART`]s (both with the sign), and the rest.
fn number(text: &str) -> Option<(i128, i128, &str)> {
    let sign_end = usize::from(text.starts_with(['+', '-']));
    let negative = text.starts_with('-');
    let body = &text[sign_end..];
    let end = body.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(body.len());
    let whole: i128 = if end == 0 { 0 } else { body[..end].parse().ok().filter(|whole| *whole <= MOST)? };
    let (mut fraction, mut rest) = (0, &body[end..]);
    if let Some(after) = rest.strip_prefix('.') {
        let length = after.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
        let (mut place, digits) = (PART, &after[..length]);
        for digit in digits.bytes() {
            place /= 10;
            fraction += i128::from(digit - b'0') * place;
        }
        rest = &after[length..];
        if length == 0 && end == 0 {
            return None;
        }
    } else if end == 0 {
        return None;
    }
    Some(if negative { (-whole, -fraction, rest) } else { (whole, fraction, rest) })
}

/// An interval such as `1 year 2 mons -3 days 04:05:06`, `1.5 hours ago`, `1-2` (years and months), `90`
/// (seconds) or `P1Y2M3DT4H5M6S`. `None`: it is none, or too long.
pub fn interval(text: &str) -> Option<Interval> {
    let lower = text.trim().to_ascii_lowercase();
    if let Some(body) = lower.strip_prefix('p') {
        return iso(body);
    }
    let (body, sign) = match lower.strip_suffix("ago") {
        Some(body) => (body.trim_end(), -1),
        None => (lower.as_str(), 1),
    };
    let mut parts = Parts::default();
    let mut rest = body.strip_prefix('@').unwrap_or(body).trim_start();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let token_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (token, after) = rest.split_at(token_end);
        if token.contains(':') {
            parts.micros += clock(token)?;
            rest = after.trim_start();
            continue;
        }
        if let Some((years, months)) = token.get(1..).and_then(|tail| tail.split_once('-')) {
            let (years, months) =
                (format!("{}{years}", &token[..1]), i128::from(months.parse::<i64>().ok()?));
            let years = i128::from(years.parse::<i64>().ok()?);
            let months = if token.starts_with('-') { -months } else { months };
            parts.add(years, 0, "year")?;
            parts.add(months, 0, "month")?;
            rest = after.trim_start();
            continue;
        }
        let (whole, fraction, tail) = number(rest)?;
        let tail = tail.trim_start();
        let end = tail.bytes().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        rest = tail.trim_start();
        let is_before_clock = || rest.split_whitespace().next().is_some_and(|next| next.contains(':'));
        let unit = match unit {
            // As in `1 12:30:00`.
            "" if is_before_clock() => "day",
            "" => "second",
            unit => unit,
        };
        parts.add(whole, fraction, unit)?;
    }
    parts.finish(sign)
}

/// `[-]HH:MM[:SS[.fraction]]` of any number of hours, in microseconds.
fn clock(token: &str) -> Option<i128> {
    let (negative, body) = match token.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, token.strip_prefix('+').unwrap_or(token)),
    };
    let mut fields = body.split(':');
    let whole = |field: &str| -> Option<i128> {
        (!field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| field.parse::<i64>().ok().map(i128::from))?
    };
    let (hours, minutes) = (whole(fields.next()?)?, whole(fields.next()?)?);
    let (seconds, fraction) = match fields.next() {
        None => (0, 0),
        Some(field) => match number(field)? {
            (seconds, fraction, "") if !field.starts_with(['+', '-']) => (seconds, fraction),
            _ => return None,
        },
    };
    if fields.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let micros = (hours * 3600 + minutes * 60 + seconds) * 1_000_000 + rounded(fraction * 1_000_000);
    Some(if negative { -micros } else { micros })
}

/// What follows the `P` of ISO 8601, in lower case.
fn iso(body: &str) -> Option<Interval> {
    let mut parts = Parts::default();
    let (mut rest, mut in_time) = (body, false);
    if rest.is_empty() {
        return None;
    }
    if let Some(found) = iso_fields(body) {
        return Some(found);
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('t') {
            in_time = true;
            rest = after;
            continue;
        }
        let (whole, fraction, tail) = number(rest)?;
        let unit = match (tail.chars().next()?, in_time) {
            ('y', false) => "year",
            ('m', false) => "month",
            ('w', false) => "week",
            ('d', false) => "day",
            ('h', true) => "hour",
            ('m', true) => "minute",
            ('s', true) => "second",
            _ => return None,
        };
        parts.add(whole, fraction, unit)?;
        rest = &tail[1..];
    }
    parts.finish(1)
}

/// `YYYY-MM-DDTHH:MM:SS`, which may end with any of its fields.
fn iso_fields(body: &str) -> Option<Interval> {
    let mut parts = Parts::default();
    let (date, time) = body.split_once('t').map_or((body, None), |(date, time)| (date, Some(time)));
    if !date.is_empty() {
        let mut units = ["year", "month", "day"].into_iter();
        if !date.contains('-') {
            return None;
        }
        for field in date.split('-') {
            match number(field)? {
                (whole, 0, "") => parts.add(whole, 0, units.next()?)?,
                _ => return None,
            }
        }
    }
    if let Some(time) = time {
        parts.micros += clock(time).filter(|_| time.contains(':'))?;
    }
    parts.finish(1)
}
