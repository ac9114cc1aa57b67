//! Functions of dates, times, timestamps and intervals, and the operators `+`, `-`, `*`, `/` on them.

use super::arguments::{Arguments, in_range, out_of_range};
use super::fields::{FIELDS, Field, date_part, field, field_functions, named_field, part};
use super::general::arithmetic_of;
use super::infinite::{Infinite, may_be_infinite};
use super::{Function, Parameter, Returns, Run, call_of};
use crate::ArithmeticOp;
use crate::expression::node::Node;
use columnar::scalar::{civil_from_days, days_from_civil};
use columnar::{DataType, Error, Interval, Result, TimeUnit, Vector};

const DATE: Parameter = Parameter::Exact(DataType::Date);
const TIME: Parameter = Parameter::Exact(DataType::Time);
const STAMP: Parameter = Parameter::Timestamp;
const SPAN: Parameter = Parameter::Exact(DataType::Interval);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const BIG: Parameter = Parameter::Exact(DataType::Int64);
const DOUBLE: Parameter = Parameter::Exact(DataType::Float64);
const RETURNS_SPAN: Returns = Returns::Type(DataType::Interval);
const RETURNS_STAMP: Returns = Returns::Type(DataType::TIMESTAMP);

pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// A moment taken apart: days since 1970-01-01 and nanoseconds since midnight.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) days: i64,
    pub(super) nanos: i64,
}

pub(super) fn functions() -> Vec<Function> {
    let mut functions: Vec<Function> =
        FIELDS.iter().map(|(_, name, others, text)| field_functions(name, others, text)).collect();
    functions.extend([
        Function::new(
            "date_part",
            "The named field of a date or timestamp.",
            "date_part('year', DATE '1995-03-15') → 1995",
        )
        .aliases(&["datepart"])
        .with_fallible(&[TEXT, DATE], Returns::Type(DataType::Float64), date_part)
        .finite()
        .with_fallible(&[TEXT, STAMP], Returns::Type(DataType::Float64), date_part)
        .finite()
        .with_fallible(&[TEXT, TIME], Returns::Type(DataType::Float64), date_part)
        .later()
        .with_fallible(&[TEXT, SPAN], Returns::Type(DataType::Float64), date_part)
        .later(),
        Function::new(
            "date_trunc",
            "A date or timestamp cut to the named unit.",
            "date_trunc('month', DATE '1995-03-15') → 1995-03-01 00:00:00",
        )
        .aliases(&["datetrunc"])
        .with_fallible(&[TEXT, DATE], RETURNS_STAMP, date_trunc)
        .keeps_infinity()
        .with_fallible(&[TEXT, STAMP], Returns::Of(|types| types[1]), date_trunc)
        .keeps_infinity(),
        Function::new(
            "make_date",
            "The date of a year, month and day.",
            "make_date(1995, 3, 15) → 1995-03-15",
        )
        .with_fallible(&[BIG, BIG, BIG], Returns::Type(DataType::Date), |args, data_type| {
            let (years, months, days) = (args.longs(0), args.longs(1), args.longs(2));
            args.map_integers(data_type, |row| {
                valid_date(years[row], months[row], days[row]).ok_or_else(|| out_of_range("make_date"))
            })
        }),
        Function::new("last_day", "The last day of the month.", "last_day(DATE '1996-02-10') → 1996-02-29")
            .with(&[DATE], Returns::Type(DataType::Date), last_day)
            .finite()
            .with(&[STAMP], Returns::Type(DataType::Date), last_day)
            .finite(),
        Function::new(
            "dayname",
            "The English name of the day of the week.",
            "dayname(DATE '1995-03-15') → Wednesday",
        )
        .with(&[DATE], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::DayOfWeek, &DAYS))
        .finite()
        .with(&[STAMP], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::DayOfWeek, &DAYS))
        .finite(),
        Function::new("monthname", "The English name of the month.", "monthname(DATE '1995-03-15') → March")
            .with(&[DATE], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::Month, &MONTHS))
            .finite()
            .with(&[STAMP], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::Month, &MONTHS))
            .finite(),
        Function::new(
            "date_diff",
            "How many borders of the named unit lie between two dates or timestamps.",
            "date_diff('month', DATE '1995-01-31', DATE '1995-03-01') → 2",
        )
        .aliases(&["datediff"])
        .with_fallible(&[TEXT, DATE, DATE], Returns::Type(DataType::Int64), date_diff)
        .finite()
        .with_fallible(&[TEXT, STAMP, STAMP], Returns::Type(DataType::Int64), date_diff)
        .finite(),
        plus(),
        minus(),
        Function::new("*", "An interval a number of times.", "INTERVAL '1 day' * 3 → 3 days")
            .with_fallible(&[SPAN, DOUBLE], RETURNS_SPAN, |args, _| scale_interval(args, 0, 1, false))
            .with_fallible(&[DOUBLE, SPAN], RETURNS_SPAN, |args, _| scale_interval(args, 1, 0, false)),
        Function::new("/", "A part of an interval.", "INTERVAL '1 day' / 2 → 12:00:00").with_fallible(
            &[SPAN, DOUBLE],
            RETURNS_SPAN,
            |args, _| scale_interval(args, 0, 1, true),
        ),
    ]);
    functions
}

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const MONTHS: [&str; 13] = [
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn plus() -> Function {
    Function::new(
        "+",
        "A date, time or timestamp moved forward; the sum of intervals.",
        "DATE '1995-01-31' + INTERVAL '1 month' → 1995-02-28 00:00:00",
    )
    .with_expression(&[DATE, BIG], Returns::Type(DataType::Date), |args, data_type| {
        of_days(ArithmeticOp::Add, Infinite::Kept, args, data_type)
    })
    .with_expression(&[BIG, DATE], Returns::Type(DataType::Date), |args, data_type| {
        of_days(ArithmeticOp::Add, Infinite::Kept, args, data_type)
    })
    .with_fallible(&[DATE, SPAN], RETURNS_STAMP, |args, data_type| move_moment(args, data_type, 0, 1, 1))
    .keeps_infinity()
    .with_fallible(&[SPAN, DATE], RETURNS_STAMP, |args, data_type| move_moment(args, data_type, 1, 0, 1))
    .keeps_infinity()
    .with_fallible(&[STAMP, SPAN], Returns::First, |args, data_type| move_moment(args, data_type, 0, 1, 1))
    .keeps_infinity()
    .with_fallible(&[SPAN, STAMP], Returns::Of(|types| types[1]), |args, data_type| {
        move_moment(args, data_type, 1, 0, 1)
    })
    .keeps_infinity()
    .with_fallible(&[SPAN, SPAN], RETURNS_SPAN, |args, _| add_intervals(args, 1))
    .with_fallible(&[DATE, TIME], RETURNS_STAMP, |args, data_type| {
        let (days, micros) = (args.longs(0), args.longs(1));
        args.map_integers(data_type, |row| {
            in_range(
                i128::from(days[row]) * i128::from(DAY_MICROS) + i128::from(micros[row]),
                data_type,
                "timestamp",
            )
        })
    })
    .keeps_infinity()
    .with(&[TIME, SPAN], Returns::First, |args, data_type| move_time(args, data_type, 1))
}

fn minus() -> Function {
    Function::new(
        "-",
        "A date, time or timestamp moved back; the distance between two.",
        "DATE '1995-03-15' - DATE '1995-01-01' → 73",
    )
    .with_expression(&[DATE, BIG], Returns::Type(DataType::Date), |args, data_type| {
        of_days(ArithmeticOp::Subtract, Infinite::Kept, args, data_type)
    })
    .with_expression(&[DATE, DATE], Returns::Type(DataType::Int32), |args, data_type| {
        of_days(ArithmeticOp::Subtract, Infinite::Refused, args, data_type)
    })
    .with_fallible(&[DATE, SPAN], RETURNS_STAMP, |args, data_type| move_moment(args, data_type, 0, 1, -1))
    .keeps_infinity()
    .with_fallible(&[STAMP, SPAN], Returns::First, |args, data_type| move_moment(args, data_type, 0, 1, -1))
    .keeps_infinity()
    .with_fallible(&[STAMP, STAMP], RETURNS_SPAN, |args, _| {
        let (a, b) = (moments(args, 0), moments(args, 1));
        args.map_intervals(|row| {
            let nanos = nanos_since_epoch(a[row]) - nanos_since_epoch(b[row]);
            let micros = nanos / 1_000;
            let days = micros / i128::from(DAY_MICROS);
            Ok(Interval {
                months: 0,
                days: i32::try_from(days).map_err(|_| out_of_range("interval"))?,
                micros: (micros % i128::from(DAY_MICROS)) as i64,
            })
        })
    })
    .refuses_infinity()
    .with_fallible(&[SPAN, SPAN], RETURNS_SPAN, |args, _| add_intervals(args, -1))
    .with(&[TIME, TIME], RETURNS_SPAN, |args, _| {
        let (a, b) = (args.longs(0), args.longs(1));
        args.map_intervals(|row| Ok(Interval { micros: a[row] - b[row], ..Interval::default() }))
    })
    .with(&[TIME, SPAN], Returns::First, |args, data_type| move_time(args, data_type, -1))
    .with_fallible(&[SPAN], RETURNS_SPAN, |args, _| {
        let spans = args.intervals(0);
        args.map_intervals(|row| plus_times(Interval::default(), spans[row], -1))
    })
}

/// Days moved by a number, or the number of days between two. Infinite ones do not go through the kernels of numbers.
fn of_days(
    op: ArithmeticOp,
    infinite: Infinite,
    args: Vec<Node>,
    data_type: DataType,
) -> crate::Result<Node> {
    if !args.iter().any(may_be_infinite) {
        return arithmetic_of(op, args, data_type);
    }
    let run: Run = match op {
        ArithmeticOp::Subtract => |args, data_type| days_with(args, data_type, -1),
        _ => |args, data_type| days_with(args, data_type, 1),
    };
    Ok(call_of(run, infinite, args, data_type))
}

fn days_with(args: &Arguments, data_type: DataType, sign: i128) -> Result<Vector> {
    let (a, b) = (args.longs(0), args.longs(1));
    args.map_integers(data_type, |row| {
        let value =
            in_range(i128::from(a[row]) + sign * i128::from(b[row]), data_type, &data_type.to_string())?;
        match data_type.infinite_sign(value) {
            0 => Ok(value),
            _ => Err(out_of_range(&data_type.to_string())),
        }
    })
}

/// The moments of a date, time or timestamp argument.
pub(super) fn moments(args: &Arguments, index: usize) -> Vec<Moment> {
    let values = args.longs(index);
    let apart = |value: i64, unit: TimeUnit| {
        let day = 86_400 * unit.per_second();
        Moment {
            days: value.div_euclid(day),
            nanos: value.rem_euclid(day) * (1_000_000_000 / unit.per_second()),
        }
    };
    match args.data_type(index) {
        DataType::Date => values.into_iter().map(|days| Moment { days, nanos: 0 }).collect(),
        DataType::Timestamp { unit, .. } => values.into_iter().map(|value| apart(value, unit)).collect(),
        _ => values.into_iter().map(|value| apart(value, TimeUnit::Microsecond)).collect(),
    }
}

pub(super) fn nanos_since_epoch(moment: Moment) -> i128 {
    i128::from(moment.days) * 86_400_000_000_000 + i128::from(moment.nanos)
}

/// A moment as a value of a date or timestamp type.
pub(super) fn assemble(moment: Moment, data_type: DataType) -> Result<i128> {
    let value = match data_type {
        DataType::Timestamp { unit, .. } => {
            nanos_since_epoch(moment).div_euclid(i128::from(1_000_000_000 / unit.per_second()))
        }
        _ => i128::from(moment.days),
    };
    let what = if data_type == DataType::Date { "date" } else { "timestamp" };
    let value = in_range(value, data_type, what)?;
    // What stands for infinity is nothing that can be computed.
    if data_type.infinite_sign(value) != 0 { Err(out_of_range(what)) } else { Ok(value) }
}

pub(super) fn valid_date(year: i64, month: i64, day: i64) -> Option<i128> {
    let (small_month, small_day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    if !(-4712..=5_874_897).contains(&year) || !(1..=12).contains(&small_month) || small_day < 1 {
        return None;
    }
    (small_day <= days_in_month(year, small_month))
        .then(|| days_from_civil(year, small_month, small_day).into())
}

/// How many days a month has.
pub(super) fn days_in_month(year: i64, month: u32) -> u32 {
    let next =
        if month == 12 { days_from_civil(year + 1, 1, 1) } else { days_from_civil(year, month + 1, 1) };
    (next - days_from_civil(year, month, 1)) as u32
}

/// The start of the unit that a moment lies in.
pub(super) fn truncated(moment: Moment, field: Field) -> Option<Moment> {
    if let Some(nanos) = clock_nanos(field) {
        return Some(Moment { nanos: moment.nanos - moment.nanos % nanos, ..moment });
    }
    let (year, month, _) = civil_from_days(moment.days);
    let of_year = |year: i64, month: u32| Some(Moment { days: days_from_civil(year, month, 1), nanos: 0 });
    match field {
        Field::Millennium => of_year((year - 1).div_euclid(1000) * 1000 + 1, 1),
        Field::Century => of_year((year - 1).div_euclid(100) * 100 + 1, 1),
        Field::Decade => of_year(year.div_euclid(10) * 10, 1),
        Field::Year => of_year(year, 1),
        Field::Quarter => of_year(year, (month - 1) / 3 * 3 + 1),
        Field::Month => of_year(year, month),
        Field::Week => Some(Moment { days: moment.days - (moment.days + 3).rem_euclid(7), nanos: 0 }),
        _ => None,
    }
}

/// The length of a unit that a day is made of.
pub(super) fn clock_nanos(field: Field) -> Option<i64> {
    Some(match field {
        Field::Day => 86_400_000_000_000,
        Field::Hour => 3_600_000_000_000,
        Field::Minute => 60_000_000_000,
        Field::Second => 1_000_000_000,
        Field::Milliseconds => 1_000_000,
        Field::Microseconds => 1_000,
        _ => return None,
    })
}

fn date_trunc(args: &Arguments, data_type: DataType) -> Result<Vector> {
    if let DataType::Timestamp { unit, .. } = args.data_type(1)
        && let Some(nanos) = args.constant_text(0).and_then(field).and_then(clock_nanos)
    {
        let ticks = (nanos / (1_000_000_000 / unit.per_second())).max(1);
        let values = args.longs(1);
        return args.map_integers(data_type, |row| {
            let start = i128::from(values[row]) - i128::from(values[row].rem_euclid(ticks));
            in_range(start, data_type, "timestamp")
        });
    }
    let moments = moments(args, 1);
    args.map_integers(data_type, |row| {
        let name = args.text(0, row);
        let start = truncated(moments[row], named_field(name)?)
            .ok_or_else(|| Error::Unsupported(format!("date_trunc to {name}")))?;
        assemble(start, data_type)
    })
}

fn date_diff(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let (from, to) = (moments(args, 1), moments(args, 2));
    args.map_integers(data_type, |row| {
        let name = args.text(0, row);
        let count = borders_between(name, named_field(name)?, from[row], to[row])?;
        in_range(count, data_type, "date_diff")
    })
}

/// How many borders of a unit lie between two moments.
pub(super) fn borders_between(name: &str, field: Field, from: Moment, to: Moment) -> Result<i128> {
    let count = |moment: Moment| -> Result<i128> {
        let (year, month, _) = civil_from_days(moment.days);
        let nanos = nanos_since_epoch(moment);
        Ok(match field {
            Field::Millennium => year.div_euclid(1000).into(),
            Field::Century => year.div_euclid(100).into(),
            Field::Decade => year.div_euclid(10).into(),
            Field::Year => year.into(),
            Field::Quarter => (year * 4 + i64::from(month - 1) / 3).into(),
            Field::Month => (year * 12 + i64::from(month)).into(),
            Field::Week => (moment.days + 3).div_euclid(7).into(),
            Field::Day => moment.days.into(),
            Field::Hour => nanos.div_euclid(3_600_000_000_000),
            Field::Minute => nanos.div_euclid(60_000_000_000),
            Field::Second => nanos.div_euclid(1_000_000_000),
            Field::Milliseconds => nanos.div_euclid(1_000_000),
            Field::Microseconds => nanos.div_euclid(1_000),
            _ => return Err(Error::Unsupported(format!("date_diff in {name}"))),
        })
    };
    Ok(count(to)? - count(from)?)
}

fn last_day(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let moments = moments(args, 0);
    args.map_integers(data_type, |row| {
        let (year, month, _) = civil_from_days(moments[row].days);
        Ok(days_from_civil(year, month, days_in_month(year, month)).into())
    })
}

fn name_of(args: &Arguments, field: Field, names: &[&str]) -> Result<Vector> {
    let moments = moments(args, 0);
    args.map_text(|row, out| {
        let place = usize::try_from(part(moments[row], field)).unwrap_or(0);
        out.extend_from_slice(names.get(place).copied().unwrap_or("").as_bytes());
        Ok(())
    })
}

/// A day, as the number of days since 1970-01-01, moved by months: past the end of a month it falls on its last day.
pub(crate) fn add_months(days: i64, months: i64) -> i64 {
    let (year, month, day) = civil_from_days(days);
    let months = year * 12 + i64::from(month) - 1 + months;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) as u32 + 1);
    days_from_civil(year, month, day.min(days_in_month(year, month)))
}

/// A moment moved by an interval: months first (a day past the month's end falls on its last), then days,
/// then the clock.
fn move_moment(
    args: &Arguments,
    data_type: DataType,
    moment: usize,
    span: usize,
    sign: i64,
) -> Result<Vector> {
    let (moments, spans) = (moments(args, moment), args.intervals(span));
    args.map_integers(data_type, |row| {
        let (mut moment, span) = (moments[row], spans[row]);
        if span.months != 0 {
            moment.days = add_months(moment.days, sign * i64::from(span.months));
        }
        moment.days += sign * i64::from(span.days);
        let nanos = i128::from(moment.nanos) + i128::from(sign) * i128::from(span.micros) * 1_000;
        const DAY_NANOS: i128 = 86_400_000_000_000;
        moment.days += nanos.div_euclid(DAY_NANOS) as i64;
        moment.nanos = nanos.rem_euclid(DAY_NANOS) as i64;
        assemble(moment, data_type)
    })
}

fn move_time(args: &Arguments, data_type: DataType, sign: i64) -> Result<Vector> {
    let (times, spans) = (args.longs(0), args.intervals(1));
    args.map_integers(data_type, |row| {
        let micros = i128::from(times[row]) + i128::from(sign) * i128::from(spans[row].micros);
        Ok(micros.rem_euclid(DAY_MICROS.into()))
    })
}

pub(super) fn plus_times(a: Interval, b: Interval, times: i32) -> Result<Interval> {
    let sum = || {
        Some(Interval {
            months: a.months.checked_add(b.months.checked_mul(times)?)?,
            days: a.days.checked_add(b.days.checked_mul(times)?)?,
            micros: a.micros.checked_add(b.micros.checked_mul(times.into())?)?,
        })
    };
    sum().ok_or_else(|| out_of_range("interval"))
}

fn add_intervals(args: &Arguments, sign: i32) -> Result<Vector> {
    let (a, b) = (args.intervals(0), args.intervals(1));
    args.map_intervals(|row| plus_times(a[row], b[row], sign))
}

/// An interval times a number; what is less than a month becomes days of 30 to the month, what is less than a
/// day becomes time.
fn scale_interval(args: &Arguments, span: usize, factor: usize, divide: bool) -> Result<Vector> {
    let (spans, factors) = (args.intervals(span), args.floats(factor));
    args.map_intervals(|row| {
        let (span, mut factor) = (spans[row], factors[row]);
        if divide {
            if factor == 0.0 {
                return Err(Error::DivisionByZero);
            }
            factor = 1.0 / factor;
        }
        let months = f64::from(span.months) * factor;
        let days = f64::from(span.days) * factor + (months - months.trunc()) * 30.0;
        // Fractions of a day are rounded to microseconds, so that 1/3 does not leave a day short.
        let micros = (span.micros as f64 * factor + (days - days.trunc()) * DAY_MICROS as f64).round();
        let fits = |value: f64, limit: f64| value.is_finite() && value.abs() < limit;
        if !fits(months, 2e9) || !fits(days, 2e9) || !fits(micros, 9e18) {
            return Err(out_of_range("interval"));
        }
        Ok(Interval { months: months.trunc() as i32, days: days.trunc() as i32, micros: micros as i64 })
    })
}
