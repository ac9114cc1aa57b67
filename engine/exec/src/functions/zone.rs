//! Time zones: those of the IANA database, and abbreviations as PostgreSQL reads them.

use super::arguments::{Arguments, Memo, in_range, out_of_range};
use super::datetime::{Moment, assemble, moments, truncated};
use super::fields::named_field;
use super::{Function, Parameter, Returns};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
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
#[derive(Clone, Copy)]
pub(super) enum Zone {
    Named(Tz),
    /// Seconds ahead of UTC.
    Fixed(i64),
}

/// The zone of that name, whatever its case.
pub(super) fn zone(name: &str) -> Result<Zone> {
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
    found.map(Zone::Named).ok_or_else(|| Error::InvalidText {
        text: name.to_owned(),
        data_type: "time zone, such as Europe/Berlin".into(),
    })
}

fn utc(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros)
        .map(|moment| moment.naive_utc())
        .ok_or_else(|| out_of_range("timestamp of a time zone"))
}

impl Zone {
    /// Microseconds that the zone's clocks are ahead of UTC at an instant.
    pub(super) fn ahead_at(self, instant: i64) -> Result<i64> {
        Ok(match self {
            Zone::Fixed(seconds) => seconds * 1_000_000,
            Zone::Named(tz) => {
                i64::from(tz.offset_from_utc_datetime(&utc(instant)?).fix().local_minus_utc()) * 1_000_000
            }
        })
    }

    /// As [`Zone::ahead_at`], when its clocks show a time. One that they leave out is read as if they had not been put
    /// forward yet, and of one that they show twice the second is meant (PostgreSQL).
    pub(super) fn ahead_of(self, local: i64) -> Result<i64> {
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

    /// What its clocks show at an instant.
    pub(super) fn local(self, instant: i64) -> Result<i128> {
        in_range(i128::from(instant) + i128::from(self.ahead_at(instant)?), DataType::TIMESTAMP, "timestamp")
    }

    /// The instant at which its clocks show a time.
    pub(super) fn instant(self, local: i64) -> Result<i128> {
        in_range(i128::from(local) - i128::from(self.ahead_of(local)?), INSTANT_TYPE, "timestamp")
    }
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
        Function::new("date_trunc", "", "").with_fallible(
            &[TEXT, INSTANT, TEXT],
            Returns::Type(INSTANT_TYPE),
            |args, data_type| {
                let (instants, mut zones) = (args.longs(1), Memo::new());
                args.map_integers(data_type, |row| {
                    let (name, zone) = (args.text(0, row), *zones.get(args.text(2, row), zone)?);
                    let local = zone.local(instants[row])? as i64;
                    let day = super::datetime::DAY_MICROS;
                    let moment = Moment { days: local.div_euclid(day), nanos: local.rem_euclid(day) * 1_000 };
                    let start = truncated(moment, named_field(name)?)
                        .ok_or_else(|| Error::Unsupported(format!("date_trunc to {name}")))?;
                    zone.instant(assemble(start, DataType::TIMESTAMP)? as i64)
                })
            },
        ),
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
