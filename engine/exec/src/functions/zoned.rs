//! Functions of instants by a time zone, which is an argument like others. A session that has another zone than UTC has its
//! calls planned as calls of these, so that all shards answer alike.

use super::arguments::{Arguments, Memo, out_of_range};
use super::calendar::{bucket_start, whole_units_between};
use super::clock_template::to_char_in;
use super::datetime::{
    DAY_MICROS, Moment, add_months, assemble, borders_between, clock_nanos, nanos_since_epoch, truncated,
};
use super::fields::{Field, moment_part, named_field};
use super::strftime::strftime_in;
use super::zone::{INSTANT_TYPE, Zone, finite, offset_text, zone};
use super::{Function, Parameter, Returns};
use crate::expression::parse;
use columnar::scalar::write_timestamp;
use columnar::{DataType, Error, Interval, Result, TimeUnit, Vector, time_zoned};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const SPAN: Parameter = Parameter::Exact(DataType::Interval);
const INSTANT: Parameter = Parameter::Exact(INSTANT_TYPE);
const DATE: Parameter = Parameter::Exact(DataType::Date);
const TIMETZ: Parameter = Parameter::Exact(DataType::TimeZoned);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const RETURNS_INSTANT: Returns = Returns::Type(INSTANT_TYPE);

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "instant_text",
            "An instant as a zone's clocks show it, with how far they are ahead of UTC.",
            "instant_text(TIMESTAMPTZ '2020-07-01 10:00:00+00', 'Europe/Berlin') → 2020-07-01 12:00:00+02",
        )
        .with_fallible(&[INSTANT, TEXT], RETURNS_TEXT, |args, _| {
            let (instants, mut zones) = (args.longs(0), Memo::new());
            args.map_text(|row, out| {
                let zone = *zones.get(args.text(1, row), zone)?;
                out.extend_from_slice(shown(instants[row], zone)?.as_bytes());
                Ok(())
            })
        }),
        Function::new(
            "text_instant",
            "The instant that a text spells; where it names no zone, as a zone's clocks show it.",
            "text_instant('2020-07-01 12:00:00', 'Europe/Berlin') → 2020-07-01 10:00:00+00",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_INSTANT, |args, data_type| {
            let mut zones = Memo::new();
            args.map_integers(data_type, |row| {
                parse::instant(args.text(0, row), *zones.get(args.text(1, row), zone)?)
            })
        }),
        Function::new("date_trunc", "", "")
            .with_fallible(&[TEXT, INSTANT, TEXT], RETURNS_INSTANT, |args, data_type| {
                let (instants, mut zones) = (args.longs(1), Memo::new());
                args.map_integers(data_type, |row| {
                    let (name, zone) = (args.text(0, row), *zones.get(args.text(2, row), zone)?);
                    let field = named_field(name)?;
                    let local = moment(zone.local(instants[row])? as i64);
                    let start = truncated(local, field)
                        .ok_or_else(|| Error::Unsupported(format!("date_trunc to {name}")))?;
                    match clock_nanos(field) {
                        // Within a day clocks do not go back: of an hour that they show twice the same is meant.
                        Some(_) if field != Field::Day => {
                            let back = nanos_since_epoch(local) - nanos_since_epoch(start);
                            Ok(i128::from(instants[row]) - back / 1_000)
                        }
                        _ => zone.instant(assemble(start, DataType::TIMESTAMP)? as i64),
                    }
                })
            })
            .keeps_infinity(),
        Function::new("date_part", "", "")
            .with_fallible(&[TEXT, INSTANT, TEXT], Returns::Type(DataType::Float64), |args, data_type| {
                let (instants, mut zones) = (args.longs(1), Memo::new());
                args.map_floats(data_type, |row| {
                    let zone = *zones.get(args.text(2, row), zone)?;
                    Ok(match named_field(args.text(0, row))? {
                        Field::Epoch => instants[row] as f64 / 1e6,
                        Field::Zone => ahead(zone, instants[row])? as f64,
                        Field::ZoneHour => (ahead(zone, instants[row])? / 3600) as f64,
                        Field::ZoneMinute => (ahead(zone, instants[row])? / 60 % 60) as f64,
                        field => moment_part(moment(zone.local(instants[row])? as i64), field),
                    })
                })
            })
            .finite(),
        Function::new("date_diff", "", "")
            .with_fallible(&[TEXT, INSTANT, INSTANT, TEXT], Returns::Type(DataType::Int64), |args, data_type| {
                between(args, data_type, borders_between)
            })
            .finite(),
        Function::new("date_sub", "", "")
            .with_fallible(&[TEXT, INSTANT, INSTANT, TEXT], Returns::Type(DataType::Int64), |args, data_type| {
                between(args, data_type, whole_units_between)
            })
            .finite(),
        Function::new(
            "instant_add",
            "An instant moved forward, by the days of a time zone's clocks.",
            "instant_add(TIMESTAMPTZ '2021-10-31 00:00:00+02', INTERVAL '1 day', 'Europe/Warsaw') → 2021-10-31 23:00:00+00",
        )
        .with_fallible(&[INSTANT, SPAN, TEXT], RETURNS_INSTANT, |args, data_type| moved_by(args, data_type, 1))
        .keeps_infinity(),
        Function::new(
            "instant_subtract",
            "An instant moved back, by the days of a time zone's clocks.",
            "instant_subtract(TIMESTAMPTZ '2021-11-01 00:00:00+01', INTERVAL '1 day', 'Europe/Warsaw') → 2021-10-30 22:00:00+00",
        )
        .with_fallible(&[INSTANT, SPAN, TEXT], RETURNS_INSTANT, |args, data_type| moved_by(args, data_type, -1))
        .keeps_infinity(),
        Function::new("time_bucket", "", "")
            .with_fallible(&[SPAN, INSTANT, TEXT], RETURNS_INSTANT, bucket)
            .keeps_infinity(),
        Function::new(
            "timetz",
            "What a zone's clocks show at an instant, with how far they are ahead of UTC.",
            "timetz(TIMESTAMPTZ '2020-07-01 10:00:00+00', 'Europe/Berlin') → 12:00:00+02",
        )
        .with_fallible(&[INSTANT, TEXT], Returns::Type(DataType::TimeZoned), |args, data_type| {
            let (instants, mut zones) = (args.longs(0), Memo::new());
            args.map_integers(data_type, |row| {
                let zone = *zones.get(args.text(1, row), zone)?;
                if INSTANT_TYPE.infinite_sign(instants[row].into()) != 0 {
                    return Err(out_of_range("the time of day of infinity"));
                }
                let local = zone.local(instants[row])? as i64;
                Ok(time_zoned::encode(local.rem_euclid(DAY_MICROS), ahead(zone, instants[row])?).into())
            })
        }),
        Function::new("date_part", "", "").with_fallible(
            &[TEXT, TIMETZ],
            Returns::Type(DataType::Float64),
            |args, data_type| {
                let values = args.longs(1);
                args.map_floats(data_type, |row| {
                    let name = args.text(0, row);
                    let (local, offset) = time_zoned::decode(values[row]);
                    Ok(match named_field(name)? {
                        Field::Zone => offset as f64,
                        Field::ZoneHour => (offset / 3600) as f64,
                        Field::ZoneMinute => (offset / 60 % 60) as f64,
                        Field::Epoch => (local - offset * 1_000_000) as f64 / 1e6,
                        field if clock_nanos(field).is_some() && field != Field::Day => {
                            moment_part(moment(local), field)
                        }
                        _ => return Err(Error::Unsupported(format!("{name} of a time"))),
                    })
                })
            },
        ),
        Function::new("+", "", "")
            .with(&[TIMETZ, SPAN], Returns::First, |args, data_type| moved_time(args, data_type, 1))
            .with_fallible(&[DATE, TIMETZ], RETURNS_INSTANT, |args, data_type| {
                let (days, values) = (args.longs(0), args.longs(1));
                args.map_integers(data_type, |row| {
                    let (local, offset) = time_zoned::decode(values[row]);
                    let micros = i128::from(local) - i128::from(offset) * 1_000_000;
                    finite(i128::from(days[row]) * i128::from(DAY_MICROS) + micros, data_type)
                })
            })
            .keeps_infinity(),
        Function::new("-", "", "")
            .with(&[TIMETZ, SPAN], Returns::First, |args, data_type| moved_time(args, data_type, -1)),
        Function::new("strftime", "", "")
            .with_fallible(&[INSTANT, TEXT, TEXT], RETURNS_TEXT, |args, _| {
                let mut zones = Memo::new();
                strftime_in(args, |row| zones.get(args.text(2, row), zone).copied())
            }),
        Function::new("to_char", "", "")
            .with_fallible(&[INSTANT, TEXT, TEXT], RETURNS_TEXT, |args, _| {
                let mut zones = Memo::new();
                to_char_in(args, |row| zones.get(args.text(2, row), zone).copied())
            })
            .finite(),
    ]
}

/// Microseconds since 1970 taken apart.
pub(super) fn moment(micros: i64) -> Moment {
    Moment { days: micros.div_euclid(DAY_MICROS), nanos: micros.rem_euclid(DAY_MICROS) * 1_000 }
}

/// Seconds that a zone's clocks are ahead of UTC.
fn ahead(zone: Zone, instant: i64) -> Result<i64> {
    Ok(zone.ahead_at(instant)? / 1_000_000)
}

/// An instant in microseconds as the clocks of a zone show it; `None` where there is no such zone, or they do not reach it.
pub fn instant_text(micros: i64, zone: &str) -> Option<String> {
    shown(micros, self::zone(zone).ok()?).ok()
}

pub(super) fn shown(instant: i64, zone: Zone) -> Result<String> {
    match INSTANT_TYPE.infinite_sign(instant.into()) {
        0 => {}
        1 => return Ok("infinity".into()),
        _ => return Ok("-infinity".into()),
    }
    let (offset, mut text) = (offset_text(ahead(zone, instant)?), String::new());
    let local = zone.local(instant)? as i64;
    // Writing to a string cannot fail.
    let _ = write_timestamp(&mut text, local, TimeUnit::Microsecond, &offset);
    Ok(text)
}

/// What is between two instants in units of the name in the first argument: days and more by the zone's clocks, less by itself.
fn between(
    args: &Arguments,
    data_type: DataType,
    count: fn(&str, Field, Moment, Moment) -> Result<i128>,
) -> Result<Vector> {
    let (from, to, mut zones) = (args.longs(1), args.longs(2), Memo::new());
    args.map_integers(data_type, |row| {
        let (name, zone) = (args.text(0, row), *zones.get(args.text(3, row), zone)?);
        let field = named_field(name)?;
        let is_clock = clock_nanos(field).is_some() && field != Field::Day;
        let seen = |instant: i64| -> Result<Moment> {
            Ok(moment(if is_clock { instant } else { zone.local(instant)? as i64 }))
        };
        count(name, field, seen(from[row])?, seen(to[row])?)
    })
}

/// An instant moved by months and days of the zone's clocks, then by time (PostgreSQL).
fn moved(instant: i64, span: Interval, sign: i64, zone: Zone) -> Result<i128> {
    let mut instant = instant;
    if span.months != 0 || span.days != 0 {
        let mut local = moment(zone.local(instant)? as i64);
        if span.months != 0 {
            local.days = add_months(local.days, sign * i64::from(span.months));
            instant = zone.instant(assemble(local, DataType::TIMESTAMP)? as i64)? as i64;
        }
        if span.days != 0 {
            local = moment(zone.local(instant)? as i64);
            local.days += sign * i64::from(span.days);
            instant = zone.instant(assemble(local, DataType::TIMESTAMP)? as i64)? as i64;
        }
    }
    finite(i128::from(instant) + i128::from(sign) * i128::from(span.micros), INSTANT_TYPE)
}

/// A time of day with an offset moved around the clock.
fn moved_time(args: &Arguments, data_type: DataType, sign: i64) -> Result<Vector> {
    let (values, spans) = (args.longs(0), args.intervals(1));
    args.map_integers(data_type, |row| {
        let (local, offset) = time_zoned::decode(values[row]);
        let micros = i128::from(local) + i128::from(sign) * i128::from(spans[row].micros);
        Ok(time_zoned::encode(micros.rem_euclid(DAY_MICROS.into()) as i64, offset).into())
    })
}

fn moved_by(args: &Arguments, data_type: DataType, sign: i64) -> Result<Vector> {
    let (instants, spans, mut zones) = (args.longs(0), args.intervals(1), Memo::new());
    args.map_integers(data_type, |row| {
        moved(instants[row], spans[row], sign, *zones.get(args.text(2, row), zone)?)
    })
}

/// The start of the bucket that an instant lies in as the zone's clocks show it.
fn bucket(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let (spans, instants, mut zones) = (args.intervals(0), args.longs(1), Memo::new());
    args.map_integers(data_type, |row| {
        let zone = *zones.get(args.text(2, row), zone)?;
        let local = zone.local(instants[row])?;
        let start = bucket_start(spans[row], local, None)?;
        if spans[row].months == 0 && spans[row].days == 0 {
            // Of an hour that clocks show twice the same is meant.
            return finite(i128::from(instants[row]) - (local - start), INSTANT_TYPE);
        }
        let start = i64::try_from(start).map_err(|_| out_of_range("timestamp"))?;
        zone.instant(start)
    })
}
