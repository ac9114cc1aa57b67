//! Time zones: those of the IANA database, and abbreviations as PostgreSQL reads them.

use super::arguments::{Arguments, Memo, in_range, out_of_range};
use super::datetime::{Moment, moments};
use super::{Function, Parameter, Returns};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{OffsetName, Tz};
use columnar::{DataType, Error, Result, TimeUnit};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const SPAN: Parameter = Parameter::Exact(DataType::Interval);
const STAMP: Parameter = Parameter::Exact(DataType::TIMESTAMP);
const INSTANT: Parameter = Parameter::Exact(INSTANT_TYPE);
pub(super) const INSTANT_TYPE: DataType = DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true };

/// Abbreviations with a fixed distance from UTC, in hours times four, as PostgreSQL has them by default.
const ABBREVIATIONS: [(&str, i64); 29] = [
    ("z", 0),
    ("utc", 0),
    ("gmt", 0),
    ("wet", 0),
    ("bst", 4),
    ("west", 4),
    ("cet", 4),
    ("met", 4),
    ("cest", 8),
    ("eet", 8),
    ("eest", 12),
    ("msk", 12),
    ("ist", 8),
    ("pkt", 20),
    ("sgt", 32),
    ("hkt", 32),
    ("awst", 32),
    ("jst", 36),
    ("kst", 36),
    ("aest", 40),
    ("aedt", 44),
    ("nzst", 48),
    ("nzdt", 52),
    ("est", -20),
    ("edt", -16),
    ("cst", -24),
    ("cdt", -20),
    ("pst", -32),
    ("pdt", -28),
];

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Named(Tz),
    /// Seconds ahead of UTC.
    Fixed(i64),
}

/// The zone of that name, whatever its case, or so far ahead of UTC: `+02`, `-09:30`, `UTC+2`. A sign is meant as ISO 8601
/// has it: what is ahead of UTC, and so to the east, is positive.
pub(crate) fn zone(name: &str) -> Result<Zone> {
    let lower = name.trim().to_ascii_lowercase();
    if let Some((_, quarters)) = ABBREVIATIONS.iter().find(|(known, _)| *known == lower) {
        return Ok(Zone::Fixed(quarters * 900));
    }
    if lower == "mst" || lower == "mdt" {
        return Ok(Zone::Fixed(if lower == "mst" { -7 } else { -6 } * 3600));
    }
    let exact = name.trim().parse::<Tz>().ok();
    let found = exact.or_else(|| {
        chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(&lower)).copied()
    });
    let offset = || {
        let bare = lower.strip_prefix("utc").or_else(|| lower.strip_prefix("gmt")).unwrap_or(&lower);
        offset_seconds(bare).map(Zone::Fixed)
    };
    found.map(Zone::Named).or_else(offset).ok_or_else(|| Error::InvalidText {
        text: name.to_owned(),
        data_type: "time zone, such as Europe/Berlin or +02:00".into(),
    })
}

/// `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`, or with `-`, in seconds ahead of UTC.
pub(crate) fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let body = &text[1..];
    let number = |digits: &str| -> Option<i64> {
        let fits = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| digits.parse().ok())?
    };
    let parts: Vec<i64> = match body.len() {
        4 | 6 if body.bytes().all(|byte| byte.is_ascii_digit()) => body
            .as_bytes()
            .chunks(2)
            .map(|pair| number(std::str::from_utf8(pair).ok()?))
            .collect::<Option<_>>()?,
        _ => body.split(':').map(number).collect::<Option<_>>()?,
    };
    let part = |index: usize| parts.get(index).copied().unwrap_or(0);
    let fits = parts.len() <= 3 && part(0) <= 15 && part(1) <= 59 && part(2) <= 59;
    fits.then(|| sign * (part(0) * 3600 + part(1) * 60 + part(2)))
}

/// What a session calls its time zone that was named so: `europe/berlin` is `Europe/Berlin`, `-7` is `-07:00`. `None`: there
/// is no such zone.
pub fn zone_name(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if ["utc", "z", "gmt", "default", "local"].iter().any(|word| trimmed.eq_ignore_ascii_case(word)) {
        return Some("UTC".into());
    }
    // Hours, as in SET TIME ZONE 2 and SET TIME ZONE -9.5.
    let hours = trimmed.parse::<f64>().ok().filter(|hours| hours.is_finite() && hours.abs() < 16.0);
    let found = match hours {
        Some(hours) => Zone::Fixed((hours * 3600.0).round() as i64),
        None => zone(trimmed).ok()?,
    };
    Some(match found {
        Zone::Named(tz) => tz.name().into(),
        Zone::Fixed(0) => "UTC".into(),
        Zone::Fixed(seconds) => {
            let text = offset_text(seconds);
            if text.len() == 3 { format!("{text}:00") } else { text }
        }
    })
}

/// An offset from UTC as PostgreSQL writes it: `+02`, `+05:30`, `-00:25:21`.
pub(crate) fn offset_text(seconds: i64) -> String {
    let (sign, magnitude) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let (hours, minutes, rest) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
    match (minutes, rest) {
        (0, 0) => format!("{sign}{hours:02}"),
        (minutes, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        (minutes, rest) => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
    }
}

fn utc(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros)
        .map(|moment| moment.naive_utc())
        .ok_or_else(|| out_of_range("timestamp of a time zone"))
}

impl Zone {
    /// What the zone is called; an offset where it has no name.
    pub(crate) fn name(self) -> String {
        match self {
            Zone::Named(tz) => tz.name().into(),
            Zone::Fixed(0) => "UTC".into(),
            Zone::Fixed(seconds) => offset_text(seconds),
        }
    }

    /// What the zone's clocks call themselves at an instant: `CEST`; an offset where they have no name.
    pub(crate) fn abbreviation(self, instant: i64) -> Result<String> {
        Ok(match self {
            Zone::Fixed(0) => "UTC".into(),
            Zone::Fixed(seconds) => offset_text(seconds),
            Zone::Named(tz) => {
                let offset = tz.offset_from_utc_datetime(&utc(instant)?);
                match offset.abbreviation() {
                    "" => offset_text(offset.fix().local_minus_utc().into()),
                    name => name.to_string(),
                }
            }
        })
    }

    /// Microseconds that the zone's clocks are ahead of UTC at an instant.
    pub(crate) fn ahead_at(self, instant: i64) -> Result<i64> {
        Ok(match self {
            Zone::Fixed(seconds) => seconds * 1_000_000,
            Zone::Named(tz) => {
                i64::from(tz.offset_from_utc_datetime(&utc(instant)?).fix().local_minus_utc()) * 1_000_000
            }
        })
    }

    /// As [`Zone::ahead_at`], when its clocks show a time. One that they leave out is read as if they had not been put
    /// forward yet, and of one that they show twice the second is meant (PostgreSQL).
    pub(crate) fn ahead_of(self, local: i64) -> Result<i64> {
        let tz = match self {
            Zone::Fixed(seconds) => return Ok(seconds * 1_000_000),
            Zone::Named(tz) => tz,
        };
        let clock = utc(local)?;
        let offset = match tz.offset_from_local_datetime(&clock) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => offset,
            MappedLocalTime::None => {
                let before = clock.checked_sub_signed(TimeDelta::days(1));
                tz.offset_from_utc_datetime(&before.ok_or_else(|| out_of_range("timestamp of a time zone"))?)
            }
        };
        Ok(i64::from(offset.fix().local_minus_utc()) * 1_000_000)
    }

    /// What its clocks show at an instant; what is infinite stays so.
    pub(crate) fn local(self, instant: i64) -> Result<i128> {
        if INSTANT_TYPE.infinite_sign(instant.into()) != 0 {
            return Ok(instant.into());
        }
        finite(i128::from(instant) + i128::from(self.ahead_at(instant)?), DataType::TIMESTAMP)
    }

    /// The instant at which its clocks show a time.
    pub(crate) fn instant(self, local: i64) -> Result<i128> {
        if INSTANT_TYPE.infinite_sign(local.into()) != 0 {
            return Ok(local.into());
        }
        finite(i128::from(local) - i128::from(self.ahead_of(local)?), INSTANT_TYPE)
    }
}

/// The value of a timestamp type, or an error where it is beyond all that are finite.
pub(super) fn finite(value: i128, data_type: DataType) -> Result<i128> {
    let value = in_range(value, data_type, "timestamp")?;
    if data_type.infinite_sign(value) != 0 { Err(out_of_range("timestamp")) } else { Ok(value) }
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "timezone",
            "What AT TIME ZONE gives: an instant as the zone's clocks show it, or the instant at which they show a time.",
            "TIMESTAMP '2020-07-01 12:00:00' AT TIME ZONE 'Europe/Berlin' → 2020-07-01 10:00:00+00",
        )
        .with_fallible(&[TEXT, INSTANT], Returns::Type(DataType::TIMESTAMP), |args, data_type| {
            let (instants, mut zones) = (args.longs(1), Memo::new());
            args.map_integers(data_type, |row| zones.get(args.text(0, row), zone)?.local(instants[row]))
        })
        .with_fallible(&[TEXT, STAMP], Returns::Type(INSTANT_TYPE), |args, data_type| {
            let (times, mut zones) = (args.longs(1), Memo::new());
            args.map_integers(data_type, |row| zones.get(args.text(0, row), zone)?.instant(times[row]))
        })
        .with_fallible(&[SPAN, INSTANT], Returns::Type(DataType::TIMESTAMP), |args, data_type| {
            let (spans, instants) = (args.intervals(0), args.longs(1));
            args.map_integers(data_type, |row| fixed(spans[row])?.local(instants[row]))
        })
        .with_fallible(&[SPAN, STAMP], Returns::Type(INSTANT_TYPE), |args, data_type| {
            let (spans, times) = (args.intervals(0), args.longs(1));
            args.map_integers(data_type, |row| fixed(spans[row])?.instant(times[row]))
        }),
    ]
}

/// The zone that is an interval of time ahead of UTC.
fn fixed(ahead: columnar::Interval) -> Result<Zone> {
    if ahead.months != 0
        || ahead.days != 0
        || ahead.micros % 1_000_000 != 0
        || ahead.micros.abs() > 86_400_000_000
    {
        return Err(out_of_range("an interval as a time zone"));
    }
    Ok(Zone::Fixed(ahead.micros / 1_000_000))
}

/// The microseconds of a moment that an argument has, for those who count no finer.
pub(super) fn micros_of(args: &Arguments, index: usize) -> Vec<i64> {
    let micros = |moment: Moment| {
        moment.days.saturating_mul(super::datetime::DAY_MICROS).saturating_add(moment.nanos / 1_000)
    };
    moments(args, index).into_iter().map(micros).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_zones() {
        for (text, name) in [
            ("europe/berlin", Some("Europe/Berlin")),
            (" UTC ", Some("UTC")),
            ("z", Some("UTC")),
            ("-7", Some("-07:00")),
            ("5.75", Some("+05:45")),
            ("+0530", Some("+05:30")),
            ("UTC+2", Some("+02:00")),
            ("-00:25:21", Some("-00:25:21")),
            ("CET", Some("+01:00")),
            ("Mars/Olympus", None),
            ("+16", None),
            ("+1:60", None),
            ("nan", None),
            ("", None),
        ] {
            assert_eq!(zone_name(text).as_deref(), name, "{text}");
            if let Some(name) = name {
                assert_eq!(zone_name(name).as_deref(), Some(name), "a name is read as itself");
            }
        }
    }

    #[test]
    fn clocks_that_skip_and_repeat() {
        let berlin = zone("Europe/Berlin").unwrap();
        let hour = 3_600_000_000;
        // 2021-03-28 and 2021-10-31, at midnight in UTC.
        let (spring, autumn) = (1_616_889_600_000_000, 1_635_638_400_000_000);
        assert_eq!(berlin.instant(spring + 2 * hour + hour / 2), Ok((spring + hour + hour / 2).into()));
        assert_eq!(berlin.instant(autumn + 2 * hour), Ok((autumn + hour).into()));
        assert_eq!(berlin.local(autumn), Ok((autumn + 2 * hour).into()));
        for infinite in [i64::MAX, -i64::MAX] {
            assert_eq!(
                (berlin.local(infinite), berlin.instant(infinite)),
                (Ok(infinite.into()), Ok(infinite.into()))
            );
        }
        assert!(berlin.local(i64::MAX - 1).is_err());
    }
}
