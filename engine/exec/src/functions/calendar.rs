//! Moments and intervals made of numbers, counted, and fitted to a grid.

use super::arguments::{Arguments, in_range, out_of_range};
use super::datetime::{
    DAY_MICROS, Moment, assemble, days_in_month, moments, nanos_since_epoch, plus_times, valid_date,
};
use super::fields::{Field, named_field};
use super::zone::{INSTANT_TYPE, finite, micros_of, zone};
use super::{Function, Parameter, Returns, Run};
use columnar::scalar::{civil_from_days, days_from_civil};
use columnar::{DataType, Error, Interval, Result, TimeUnit, Vector};

const DATE: Parameter = Parameter::Exact(DataType::Date);
const TIME: Parameter = Parameter::Exact(DataType::Time);
const STAMP: Parameter = Parameter::Timestamp;
const PLAIN_STAMP: Parameter = Parameter::Exact(DataType::TIMESTAMP);
const INSTANT: Parameter = Parameter::Exact(INSTANT_TYPE);
const SPAN: Parameter = Parameter::Exact(DataType::Interval);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const BIG: Parameter = Parameter::Exact(DataType::Int64);
const DOUBLE: Parameter = Parameter::Exact(DataType::Float64);
const RETURNS_SPAN: Returns = Returns::Type(DataType::Interval);
const RETURNS_STAMP: Returns = Returns::Type(DataType::TIMESTAMP);
const RETURNS_INSTANT: Returns = Returns::Type(INSTANT_TYPE);
const RETURNS_BIG: Returns = Returns::Type(DataType::Int64);

const fn stamp(unit: TimeUnit) -> DataType {
    DataType::Timestamp { unit, zone: false }
}

pub(super) fn functions() -> Vec<Function> {
    let mut functions = vec![
        Function::new(
            "date_sub",
            "How many whole units lie between two dates or timestamps.",
            "date_sub('month', DATE '1995-01-31', DATE '1995-03-01') → 1",
        )
        .aliases(&["datesub"])
        .with_fallible(&[TEXT, DATE, DATE], RETURNS_BIG, whole_units)
        .finite()
        .with_fallible(&[TEXT, STAMP, STAMP], RETURNS_BIG, whole_units)
        .finite(),
        Function::new("date_diff", "", "").with_fallible(&[TEXT, TIME, TIME], RETURNS_BIG, |args, data_type| {
            let (from, to) = (args.longs(1), args.longs(2));
            args.map_integers(data_type, |row| {
                let unit = clock_micros(named_field(args.text(0, row))?)
                    .ok_or_else(|| Error::Unsupported(format!("date_diff of times in {}", args.text(0, row))))?;
                Ok(i128::from(to[row].div_euclid(unit) - from[row].div_euclid(unit)))
            })
        }),
        Function::new(
            "age",
            "The distance between two moments in years, months, days and time; of one from the current day.",
            "age(TIMESTAMP '2001-04-10', TIMESTAMP '1957-06-13') → 43 years 9 mons 27 days",
        )
        .with_fallible(&[PLAIN_STAMP, PLAIN_STAMP], RETURNS_SPAN, age)
        .finite()
        .with_fallible(&[INSTANT, INSTANT], RETURNS_SPAN, age)
        .finite(),
        Function::new("make_time", "The time of an hour, minute and second.", "make_time(8, 15, 23.5) → 08:15:23.5")
            .with_fallible(&[BIG, BIG, DOUBLE], Returns::Type(DataType::Time), |args, data_type| {
                let (hours, minutes, seconds) = (args.longs(0), args.longs(1), args.floats(2));
                args.map_integers(data_type, |row| clock(hours[row], minutes[row], seconds[row]).map(i128::from))
            }),
        Function::new(
            "make_timestamp",
            "The timestamp of a year, month, day, hour, minute and second, or of microseconds since 1970.",
            "make_timestamp(2013, 7, 15, 8, 15, 23.5) → 2013-07-15 08:15:23.5",
        )
        .with_fallible(&[BIG, BIG, BIG, BIG, BIG, DOUBLE], RETURNS_STAMP, |args, data_type| {
            let fields = Fields::of(args);
            args.map_integers(data_type, |row| fields.micros(row).map(i128::from))
        })
        .with_fallible(&[BIG], RETURNS_STAMP, |args, data_type| {
            let micros = args.longs(0);
            args.map_integers(data_type, |row| finite(micros[row].into(), data_type))
        }),
        Function::new(
            "make_timestamptz",
            "The instant of a year, month, day, hour, minute and second in UTC or a time zone.",
            "make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Europe/Berlin') → 2013-07-15 06:15:23.5+00",
        )
        .with_fallible(&[BIG, BIG, BIG, BIG, BIG, DOUBLE], RETURNS_INSTANT, |args, data_type| {
            let fields = Fields::of(args);
            args.map_integers(data_type, |row| fields.micros(row).map(i128::from))
        })
        .with_fallible(&[BIG, BIG, BIG, BIG, BIG, DOUBLE, TEXT], RETURNS_INSTANT, |args, data_type| {
            let fields = Fields::of(args);
            args.map_integers(data_type, |row| zone(args.text(6, row))?.instant(fields.micros(row)?))
        }),
        Function::new(
            "to_timestamp",
            "The instant so many seconds after 1970, or one read from a text by a template of PostgreSQL's.",
            "to_timestamp(1284352323.5) → 2010-09-13 04:32:03.5+00",
        )
        .with_fallible(&[DOUBLE], RETURNS_INSTANT, |args, data_type| {
            let seconds = args.floats(0);
            args.map_integers(data_type, |row| {
                let micros = seconds[row] * 1e6;
                if micros.is_infinite() && seconds[row].is_infinite() {
                    return Ok(i128::from(i64::MAX) * if micros > 0.0 { 1 } else { -1 });
                }
                if !micros.is_finite() || micros.abs() > 9.2e18 {
                    return Err(out_of_range("timestamp"));
                }
                Ok(micros.round_ties_even() as i128)
            })
        }),
        justify("justify_hours", "An interval with each 24 hours as a day.", "justify_hours(INTERVAL '27 hours') → 1 day 03:00:00"),
        justify("justify_days", "An interval with each 30 days as a month.", "justify_days(INTERVAL '35 days') → 1 mon 5 days"),
        justify(
            "justify_interval",
            "An interval with hours as days and days as months, all of one sign.",
            "justify_interval(INTERVAL '1 mon -1 hour') → 29 days 23:00:00",
        ),
        Function::new(
            "time_bucket",
            "The start of the bucket of a width that a date or timestamp lies in, counted from an origin or moved by an offset.",
            "time_bucket(INTERVAL '2 weeks', DATE '1992-04-20') → 1992-04-20",
        )
        .with_fallible(&[SPAN, DATE], Returns::Type(DataType::Date), bucket)
        .keeps_infinity()
        .with_fallible(&[SPAN, STAMP], Returns::Of(|types| types[1]), bucket)
        .keeps_infinity()
        .with_fallible(&[SPAN, DATE, DATE], Returns::Type(DataType::Date), bucket)
        .keeps_infinity()
        .with_fallible(&[SPAN, STAMP, STAMP], Returns::Of(|types| types[1]), bucket)
        .keeps_infinity()
        .with_fallible(&[SPAN, DATE, SPAN], Returns::Type(DataType::Date), bucket)
        .keeps_infinity()
        .with_fallible(&[SPAN, STAMP, SPAN], Returns::Of(|types| types[1]), bucket)
        .keeps_infinity(),
        Function::new(
            "date_bin",
            "The start of the bucket of a width that a timestamp lies in, counted from an origin.",
            "date_bin(INTERVAL '15 minutes', TIMESTAMP '2020-02-11 15:44:17', TIMESTAMP '2001-01-01') → 2020-02-11 15:30:00",
        )
        .with_fallible(&[SPAN, STAMP, STAMP], Returns::Of(|types| types[1]), |args, data_type| {
            let spans = args.intervals(0);
            if let Some(row) = (0..args.rows).find(|&row| args.is_valid(row) && spans[row].months != 0) {
                return Err(out_of_range(&format!("a width of {} months of date_bin", spans[row].months)));
            }
            bucket(args, data_type)
        })
        .keeps_infinity(),
        Function::new(
            "overlaps",
            "What OVERLAPS tests: whether two stretches of time, each given by its ends, have a moment in common.",
            "(DATE '2001-02-16', DATE '2001-12-21') OVERLAPS (DATE '2001-10-30', DATE '2002-10-30') → true",
        )
        .with(&[Parameter::Same, Parameter::Same, Parameter::Same, Parameter::Same], Returns::Type(DataType::Boolean), overlaps),
        Function::new("isfinite", "", "")
            .with(&[DATE], Returns::Type(DataType::Boolean), |args, _| finite_at(args, true))
            .with(&[STAMP], Returns::Type(DataType::Boolean), |args, _| finite_at(args, true)),
        Function::new("isfinite", "", "")
            .with(&[SPAN], Returns::Type(DataType::Boolean), |args, _| args.map_booleans(|_| true)),
        Function::new("date_trunc", "", "").with_fallible(&[TEXT, SPAN], RETURNS_SPAN, |args, _| {
            let spans = args.intervals(1);
            args.map_intervals(|row| truncated_span(spans[row], args.text(0, row)))
        }),
        Function::new("date_sub", "", "").with_fallible(&[TEXT, TIME, TIME], RETURNS_BIG, |args, data_type| {
            let (from, to) = (args.longs(1), args.longs(2));
            args.map_integers(data_type, |row| {
                let unit = clock_micros(named_field(args.text(0, row))?)
                    .ok_or_else(|| Error::Unsupported(format!("date_sub of times in {}", args.text(0, row))))?;
                Ok(i128::from((to[row] - from[row]) / unit))
            })
        }),
        Function::new("make_date", "", "").with_fallible(&[BIG], Returns::Type(DataType::Date), |args, data_type| {
            let days = args.longs(0);
            args.map_integers(data_type, |row| assemble(Moment { days: days[row], nanos: 0 }, data_type))
        }),
        Function::new("isinf", "", "")
            .with(&[DATE], Returns::Type(DataType::Boolean), |args, _| finite_at(args, false))
            .with(&[STAMP], Returns::Type(DataType::Boolean), |args, _| finite_at(args, false)),
    ];
    functions.extend(epochs());
    functions.extend(makers());
    functions
}

/// The length of a unit of the clock.
fn clock_micros(field: Field) -> Option<i64> {
    Some(match field {
        Field::Hour => 3_600_000_000,
        Field::Minute => 60_000_000,
        Field::Second => 1_000_000,
        Field::Milliseconds => 1_000,
        Field::Microseconds => 1,
        _ => return None,
    })
}

/// Microseconds since midnight; 24:00:00 is the end of a day.
fn clock(hours: i64, minutes: i64, seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    let fits = (0..=24).contains(&hours) && (0..60).contains(&minutes) && (0.0..=60e6).contains(&micros);
    let total = if fits { hours * 3_600_000_000 + minutes * 60_000_000 + micros as i64 } else { i64::MAX };
    if total > DAY_MICROS {
        return Err(out_of_range(&format!("time {hours}:{minutes}:{seconds}")));
    }
    Ok(total)
}

/// Year, month, day, hour, minute and second in the first arguments.
struct Fields {
    whole: [Vec<i64>; 5],
    seconds: Vec<f64>,
}

impl Fields {
    fn of(args: &Arguments) -> Fields {
        Fields { whole: [0, 1, 2, 3, 4].map(|index| args.longs(index)), seconds: args.floats(5) }
    }

    /// Microseconds since 1970.
    fn micros(&self, row: usize) -> Result<i64> {
        let [year, month, day, hour, minute] = [0, 1, 2, 3, 4].map(|index: usize| self.whole[index][row]);
        let days = valid_date(year, month, day)
            .ok_or_else(|| out_of_range(&format!("date {year}-{month}-{day}")))?;
        let micros = days * i128::from(DAY_MICROS) + i128::from(clock(hour, minute, self.seconds[row])?);
        i64::try_from(micros).map_err(|_| out_of_range("timestamp"))
    }
}

/// An interval without what is less than a unit (PostgreSQL); weeks are those of its days.
fn truncated_span(span: Interval, name: &str) -> Result<Interval> {
    let of_months = |unit: i32| Interval { months: span.months - span.months % unit, days: 0, micros: 0 };
    Ok(match named_field(name)? {
        Field::Millennium => of_months(12_000),
        Field::Century => of_months(1_200),
        Field::Decade => of_months(120),
        Field::Year => of_months(12),
        Field::Quarter => of_months(3),
        Field::Month => of_months(1),
        Field::Week => Interval { days: span.days - span.days % 7, micros: 0, ..span },
        Field::Day => Interval { micros: 0, ..span },
        other => match clock_micros(other) {
            Some(unit) => Interval { micros: span.micros - span.micros % unit, ..span },
            None => return Err(Error::Unsupported(format!("date_trunc of an interval to {name}"))),
        },
    })
}

/// Whether dates and timestamps are finite, or whether they are not.
fn finite_at(args: &Arguments, wanted: bool) -> Result<Vector> {
    let (values, data_type) = (args.longs(0), args.data_type(0));
    args.map_booleans(|row| (data_type.infinite_sign(values[row].into()) == 0) == wanted)
}

fn whole_units(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let (from, to) = (moments(args, 1), moments(args, 2));
    args.map_integers(data_type, |row| {
        let name = args.text(0, row);
        whole_units_between(name, named_field(name)?, from[row], to[row])
    })
}

/// How many whole units lie between two moments.
pub(super) fn whole_units_between(name: &str, field: Field, from: Moment, to: Moment) -> Result<i128> {
    let nanos = nanos_since_epoch(to) - nanos_since_epoch(from);
    let months = || i128::from(whole_months(from, to));
    Ok(match field {
        Field::Millennium => months() / 12_000,
        Field::Century => months() / 1_200,
        Field::Decade => months() / 120,
        Field::Year | Field::IsoYear => months() / 12,
        Field::Quarter => months() / 3,
        Field::Month => months(),
        Field::Week => nanos / (7 * 86_400_000_000_000),
        Field::Day => nanos / 86_400_000_000_000,
        other => match clock_micros(other) {
            Some(unit) => nanos / 1_000 / i128::from(unit),
            None => return Err(Error::Unsupported(format!("date_sub in {name}"))),
        },
    })
}

/// Months that were completed; a day that a month lacks is its last.
fn whole_months(from: Moment, to: Moment) -> i64 {
    if nanos_since_epoch(from) > nanos_since_epoch(to) {
        return -whole_months(to, from);
    }
    let ((y1, m1, d1), (y2, m2, d2)) = (civil_from_days(from.days), civil_from_days(to.days));
    let months = (y2 - y1) * 12 + i64::from(m2) - i64::from(m1);
    let reached = if d2 == days_in_month(y2, m2) && d1 > d2 {
        to.nanos >= from.nanos
    } else {
        (d2, to.nanos) >= (d1, from.nanos)
    };
    months - i64::from(!reached)
}

fn age(args: &Arguments, _: DataType) -> Result<Vector> {
    let (a, b) = (moments(args, 0), moments(args, 1));
    args.map_intervals(|row| Ok(symbolic(a[row], b[row])))
}

/// The distance field by field; a month that is borrowed from has the days of the earlier moment's month (PostgreSQL).
fn symbolic(a: Moment, b: Moment) -> Interval {
    let negative = nanos_since_epoch(a) < nanos_since_epoch(b);
    let (late, early) = if negative { (b, a) } else { (a, b) };
    let ((y1, m1, d1), (y2, m2, d2)) = (civil_from_days(early.days), civil_from_days(late.days));
    let mut micros = late.nanos / 1_000 - early.nanos / 1_000;
    let mut days = i64::from(d2) - i64::from(d1);
    let mut months = (y2 - y1) * 12 + i64::from(m2) - i64::from(m1);
    if micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    }
    while days < 0 {
        days += i64::from(days_in_month(y1, m1));
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    Interval { months: months as i32 * sign, days: days as i32 * sign, micros: micros * i64::from(sign) }
}

fn justify(name: &'static str, description: &'static str, example: &'static str) -> Function {
    let run: Run = match name {
        "justify_hours" => |args, _| justified(args, justify_hours),
        "justify_days" => |args, _| justified(args, justify_days),
        _ => |args, _| justified(args, justify_interval),
    };
    Function::new(name, description, example).with_fallible(&[SPAN], RETURNS_SPAN, run)
}

fn justified(args: &Arguments, of: fn(Parts) -> Parts) -> Result<Vector> {
    let spans = args.intervals(0);
    args.map_intervals(|row| of(Parts::of(spans[row])).interval())
}

/// An interval with room for what is carried.
#[derive(Clone, Copy)]
struct Parts {
    months: i64,
    days: i64,
    micros: i64,
}

impl Parts {
    fn of(span: Interval) -> Parts {
        Parts { months: span.months.into(), days: span.days.into(), micros: span.micros }
    }

    fn interval(self) -> Result<Interval> {
        let whole = |value: i64| i32::try_from(value).map_err(|_| out_of_range("interval"));
        Ok(Interval { months: whole(self.months)?, days: whole(self.days)?, micros: self.micros })
    }
}

/// Carries what is more than one of the larger unit, and gives both one sign.
fn carry(large: i64, small: i64, unit: i64) -> (i64, i64) {
    let (large, small) = (large + small / unit, small % unit);
    if large > 0 && small < 0 {
        (large - 1, small + unit)
    } else if large < 0 && small > 0 {
        (large + 1, small - unit)
    } else {
        (large, small)
    }
}

fn justify_hours(span: Parts) -> Parts {
    let (days, micros) = carry(span.days, span.micros, DAY_MICROS);
    Parts { days, micros, ..span }
}

fn justify_days(span: Parts) -> Parts {
    let (months, days) = carry(span.months, span.days, 30);
    Parts { months, days, ..span }
}

fn justify_interval(span: Parts) -> Parts {
    let (mut days, mut micros) = (span.days + span.micros / DAY_MICROS, span.micros % DAY_MICROS);
    let mut months = span.months + days / 30;
    days %= 30;
    let below = |days: i64, micros: i64| days < 0 || days == 0 && micros < 0;
    let above = |days: i64, micros: i64| days > 0 || days == 0 && micros > 0;
    if months > 0 && below(days, micros) {
        (days, months) = (days + 30, months - 1);
    } else if months < 0 && above(days, micros) {
        (days, months) = (days - 30, months + 1);
    }
    if days > 0 && micros < 0 {
        (micros, days) = (micros + DAY_MICROS, days - 1);
    } else if days < 0 && micros > 0 {
        (micros, days) = (micros - DAY_MICROS, days + 1);
    }
    Parts { months, days, micros }
}

/// The start of a bucket. Buckets of months count from 2000-01, others from Monday, 2000-01-03 (DuckDB).
fn bucket(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let (widths, values) = (args.intervals(0), micros_of(args, 1));
    let (origins, offsets) = match (args.len() > 2).then(|| args.data_type(2)) {
        None => (None, None),
        Some(DataType::Interval) => (None, Some(args.intervals(2))),
        Some(_) => (Some(micros_of(args, 2)), None),
    };
    args.map_integers(data_type, |row| {
        let width = widths[row];
        let offset = offsets.as_ref().map_or(Interval::default(), |offsets| offsets[row]);
        if offset.months != 0 {
            return Err(out_of_range("an offset of months of time_bucket"));
        }
        let moved = i128::from(offset.days) * i128::from(DAY_MICROS) + i128::from(offset.micros);
        let value = i128::from(values[row]) - moved;
        let origin = origins.as_ref().map(|origins| i128::from(origins[row]));
        let micros = bucket_start(width, value, origin)? + moved;
        let day = i128::from(DAY_MICROS);
        let days = i64::try_from(micros.div_euclid(day)).map_err(|_| out_of_range("timestamp"))?;
        assemble(Moment { days, nanos: micros.rem_euclid(day) as i64 * 1_000 }, data_type)
    })
}

/// The start, in microseconds since 1970, of the bucket of a width that a moment lies in.
pub(super) fn bucket_start(width: Interval, value: i128, origin: Option<i128>) -> Result<i128> {
    let micros = i128::from(width.days) * i128::from(DAY_MICROS) + i128::from(width.micros);
    match (width.months, micros) {
        (months @ 1.., 0) => Ok(month_bucket(value, months.into(), origin)),
        (0, micros @ 1..) => {
            let origin = origin.unwrap_or(i128::from(days_from_civil(2000, 1, 3)) * i128::from(DAY_MICROS));
            Ok((value - origin).div_euclid(micros) * micros + origin)
        }
        _ => Err(out_of_range("the width of a bucket")),
    }
}

fn month_bucket(value: i128, width: i64, origin: Option<i128>) -> i128 {
    let month_of = |micros: i128| {
        let (year, month, _) = civil_from_days(micros.div_euclid(i128::from(DAY_MICROS)) as i64);
        year * 12 + i64::from(month) - 1
    };
    let first = origin.map_or(2000 * 12, month_of);
    let start = (month_of(value) - first).div_euclid(width) * width + first;
    i128::from(days_from_civil(start.div_euclid(12), start.rem_euclid(12) as u32 + 1, 1))
        * i128::from(DAY_MICROS)
}

fn overlaps(args: &Arguments, _: DataType) -> Result<Vector> {
    let ends: Vec<Vec<i128>> = (0..4).map(|index| args.integers(index)).collect();
    args.map_booleans(|row| {
        let stretch = |from: usize| {
            let (a, b) = (ends[from][row], ends[from + 1][row]);
            (a.min(b), a.max(b))
        };
        let ((s1, e1), (s2, e2)) = (stretch(0), stretch(2));
        match s1.cmp(&s2) {
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => s1 < e2,
            std::cmp::Ordering::Less => s2 < e1,
        }
    })
}

/// Counts since 1970, and moments of such counts.
fn epochs() -> Vec<Function> {
    let mut functions = Vec::new();
    macro_rules! epoch {
        ($($name:literal, $maker:literal, $per_second:literal, $what:literal, $example:literal, $made:literal, $unit:expr;)*) => {
            $(
                let count: Run = |args, data_type| {
                    let moments = moments(args, 0);
                    args.map_integers(data_type, |row| {
                        let nanos = nanos_since_epoch(moments[row]);
                        in_range(nanos.div_euclid(1_000_000_000 / $per_second), data_type, $name)
                    })
                };
                functions.push(
                    Function::new($name, concat!("The ", $what, " since 1970-01-01 00:00:00."), $example)
                        .with_fallible(&[DATE], RETURNS_BIG, count)
                        .finite()
                        .with_fallible(&[STAMP], RETURNS_BIG, count)
                        .finite()
                        .with_fallible(&[TIME], RETURNS_BIG, count)
                        .with_fallible(&[SPAN], RETURNS_BIG, |args, data_type| {
                            let spans = args.intervals(0);
                            args.map_integers(data_type, |row| {
                                let micros = spans[row].comparison_micros();
                                in_range(micros * $per_second / 1_000_000, data_type, $name)
                            })
                        }),
                );
                functions.push(
                    Function::new($maker, concat!("The timestamp so many ", $what, " after 1970-01-01 00:00:00."), $made)
                        .with_fallible(&[BIG], Returns::Type($unit), |args, data_type| {
                            let counts = args.longs(0);
                            let DataType::Timestamp { unit, .. } = data_type else { return Err(out_of_range($maker)) };
                            args.map_integers(data_type, |row| {
                                let ticks = i128::from(counts[row]) * i128::from(unit.per_second());
                                in_range(ticks.div_euclid($per_second), data_type, $maker)
                            })
                        }),
                );
            )*
        };
    }
    epoch! {
        "epoch_ms", "make_timestamp_ms", 1_000, "milliseconds", "epoch_ms(TIMESTAMP '2021-08-03 11:59:44.123') → 1627991984123",
            "make_timestamp_ms(1627991984123) → 2021-08-03 11:59:44.123", DataType::TIMESTAMP;
        "epoch_us", "make_timestamp_us", 1_000_000, "microseconds", "epoch_us(DATE '1970-01-02') → 86400000000",
            "make_timestamp_us(86400000000) → 1970-01-02 00:00:00", DataType::TIMESTAMP;
        "epoch_ns", "make_timestamp_ns", 1_000_000_000, "nanoseconds", "epoch_ns(DATE '1970-01-02') → 86400000000000",
            "make_timestamp_ns(86400000000001) → 1970-01-02 00:00:00.000000001", stamp(TimeUnit::Nanosecond);
    }
    // DuckDB's `epoch_ms` goes both ways.
    functions.push(Function::new("epoch_ms", "", "").with_fallible(
        &[BIG],
        RETURNS_STAMP,
        |args, data_type| {
            let counts = args.longs(0);
            args.map_integers(data_type, |row| {
                in_range(i128::from(counts[row]) * 1_000, data_type, "epoch_ms")
            })
        },
    ));
    functions
}

/// Intervals of a number of one unit, and of several.
fn makers() -> Vec<Function> {
    let mut functions = Vec::new();
    macro_rules! maker {
        ($($name:literal, $unit:literal, $example:literal, $one:expr;)*) => {
            $(functions.push(
                Function::new($name, concat!("An interval of so many ", $unit, "."), $example).with_fallible(
                    &[BIG],
                    RETURNS_SPAN,
                    |args, _| {
                        let counts = args.longs(0);
                        args.map_intervals(|row| times($one, counts[row]))
                    },
                ),
            );)*
        };
    }
    const NONE: Interval = Interval { months: 0, days: 0, micros: 0 };
    maker! {
        "to_millennia", "millennia", "to_millennia(1) → 1000 years", Interval { months: 12_000, ..NONE };
        "to_centuries", "centuries", "to_centuries(5) → 500 years", Interval { months: 1_200, ..NONE };
        "to_decades", "decades", "to_decades(5) → 50 years", Interval { months: 120, ..NONE };
        "to_years", "years", "to_years(5) → 5 years", Interval { months: 12, ..NONE };
        "to_quarters", "quarters", "to_quarters(5) → 1 year 3 mons", Interval { months: 3, ..NONE };
        "to_months", "months", "to_months(5) → 5 mons", Interval { months: 1, ..NONE };
        "to_weeks", "weeks", "to_weeks(5) → 35 days", Interval { days: 7, ..NONE };
        "to_days", "days", "to_days(5) → 5 days", Interval { days: 1, ..NONE };
        "to_hours", "hours", "to_hours(5) → 05:00:00", Interval { micros: 3_600_000_000, ..NONE };
        "to_minutes", "minutes", "to_minutes(5) → 00:05:00", Interval { micros: 60_000_000, ..NONE };
        "to_microseconds", "microseconds", "to_microseconds(5) → 00:00:00.000005", Interval { micros: 1, ..NONE };
    }
    let seconds: [(&'static str, &'static str, &'static str, Run); 2] = [
        ("to_seconds", "An interval of so many seconds.", "to_seconds(5.5) → 00:00:05.5", |args, _| {
            clock_spans(args, 1e6)
        }),
        (
            "to_milliseconds",
            "An interval of so many milliseconds.",
            "to_milliseconds(5.5) → 00:00:00.0055",
            |args, _| clock_spans(args, 1e3),
        ),
    ];
    for (name, description, example, run) in seconds {
        functions.push(Function::new(name, description, example).with_fallible(&[DOUBLE], RETURNS_SPAN, run));
    }
    let mut make_interval = Function::new(
        "make_interval",
        "An interval of years, months, weeks, days, hours, minutes and seconds, which may also be named.",
        "make_interval(days => 10, hours => 3) → 10 days 03:00:00",
    );
    for count in 1..=6 {
        make_interval = make_interval.with_fallible(&[BIG; 6][..count], RETURNS_SPAN, interval_of_fields);
    }
    let all = [BIG, BIG, BIG, BIG, BIG, BIG, DOUBLE];
    functions.push(make_interval.with_fallible(&all, RETURNS_SPAN, interval_of_fields));
    functions
}

fn times(one: Interval, count: i64) -> Result<Interval> {
    let whole = |unit: i32| {
        let product = i64::from(unit).checked_mul(count).and_then(|product| i32::try_from(product).ok());
        product.ok_or_else(|| out_of_range("interval"))
    };
    let micros = one.micros.checked_mul(count).ok_or_else(|| out_of_range("interval"))?;
    Ok(Interval { months: whole(one.months)?, days: whole(one.days)?, micros })
}

/// An interval of a number of units of so many microseconds.
fn clock_spans(args: &Arguments, unit: f64) -> Result<Vector> {
    let counts = args.floats(0);
    args.map_intervals(|row| {
        let micros = (counts[row] * unit).round_ties_even();
        if !micros.is_finite() || micros.abs() > 9e18 {
            return Err(out_of_range("interval"));
        }
        Ok(Interval { micros: micros as i64, ..Interval::default() })
    })
}

fn interval_of_fields(args: &Arguments, _: DataType) -> Result<Vector> {
    const UNITS: [Interval; 6] = [
        Interval { months: 12, days: 0, micros: 0 },
        Interval { months: 1, days: 0, micros: 0 },
        Interval { months: 0, days: 7, micros: 0 },
        Interval { months: 0, days: 1, micros: 0 },
        Interval { months: 0, days: 0, micros: 3_600_000_000 },
        Interval { months: 0, days: 0, micros: 60_000_000 },
    ];
    let counts: Vec<Vec<i64>> = (0..args.len().min(6)).map(|index| args.longs(index)).collect();
    let seconds = (args.len() > 6).then(|| args.floats(6));
    args.map_intervals(|row| {
        let mut sum = Interval::default();
        for (unit, counts) in UNITS.iter().zip(&counts) {
            sum = plus_times(sum, times(*unit, counts[row])?, 1)?;
        }
        let micros = seconds.as_ref().map_or(0.0, |seconds| (seconds[row] * 1e6).round_ties_even());
        if !micros.is_finite() || micros.abs() > 9e18 {
            return Err(out_of_range("interval"));
        }
        plus_times(sum, Interval { micros: micros as i64, ..Interval::default() }, 1)
    })
}
