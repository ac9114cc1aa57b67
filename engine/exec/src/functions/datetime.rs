//! Functions of dates, times, timestamps and intervals, and the operators `+`, `-`, `*`, `/` on them.

use super::arguments::{Arguments, in_range, out_of_range};
use super::general::arithmetic_of;
use super::{Function, Parameter, Returns, Run};
use crate::ArithmeticOp;
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

/// A part of a moment that `extract` names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    Epoch,
    Era,
    YearWeek,
    Julian,
    Zone,
    ZoneHour,
    ZoneMinute,
}

/// Names of fields that are none of functions.
const SHORT_NAMES: [(&str, Field); 31] = [
    ("mil", Field::Millennium),
    ("mils", Field::Millennium),
    ("millenium", Field::Millennium),
    ("c", Field::Century),
    ("cent", Field::Century),
    ("dec", Field::Decade),
    ("decs", Field::Decade),
    ("y", Field::Year),
    ("yrs", Field::Year),
    ("qtr", Field::Quarter),
    ("mons", Field::Month),
    ("w", Field::Week),
    ("d", Field::Day),
    ("h", Field::Hour),
    ("hr", Field::Hour),
    ("hrs", Field::Hour),
    ("m", Field::Minute),
    ("min", Field::Minute),
    ("mins", Field::Minute),
    ("s", Field::Second),
    ("sec", Field::Second),
    ("secs", Field::Second),
    ("ms", Field::Milliseconds),
    ("msec", Field::Milliseconds),
    ("msecs", Field::Milliseconds),
    ("us", Field::Microseconds),
    ("usec", Field::Microseconds),
    ("usecs", Field::Microseconds),
    ("ns", Field::Nanoseconds),
    ("nsec", Field::Nanoseconds),
    ("nsecs", Field::Nanoseconds),
];

/// Each field's function, its other names, and what it is.
const FIELDS: [(Field, &str, &[&str], &str); 25] = [
    (Field::Millennium, "millennium", &["millennia"], "The millennium, from 1."),
    (Field::Century, "century", &["centuries"], "The century, from 1."),
    (Field::Decade, "decade", &["decades"], "The year divided by ten."),
    (Field::Year, "year", &["years", "yr"], "The year."),
    (Field::IsoYear, "isoyear", &[], "The year that the ISO week belongs to."),
    (Field::Quarter, "quarter", &["quarters"], "The quarter of the year, 1 to 4."),
    (Field::Month, "month", &["months", "mon"], "The month, 1 to 12."),
    (Field::Week, "week", &["weeks", "weekofyear"], "The ISO week of the year, 1 to 53."),
    (Field::Day, "day", &["days", "dayofmonth"], "The day of the month."),
    (Field::DayOfWeek, "dow", &["dayofweek", "weekday"], "The day of the week, Sunday as 0."),
    (Field::IsoDayOfWeek, "isodow", &[], "The day of the week, Monday as 1 and Sunday as 7."),
    (Field::DayOfYear, "doy", &["dayofyear"], "The day of the year, from 1."),
    (Field::Hour, "hour", &["hours"], "The hour, 0 to 23."),
    (Field::Minute, "minute", &["minutes"], "The minute, 0 to 59."),
    (Field::Second, "second", &["seconds"], "The whole second, 0 to 59."),
    (Field::Milliseconds, "millisecond", &["milliseconds"], "The second and its fraction in thousandths."),
    (Field::Microseconds, "microsecond", &["microseconds"], "The second and its fraction in millionths."),
    (Field::Nanoseconds, "nanosecond", &["nanoseconds"], "The second and its fraction in billionths."),
    (Field::Epoch, "epoch", &[], "Seconds since 1970-01-01 00:00:00."),
    (Field::Era, "era", &[], "The era: 1 since the year 1, 0 before."),
    (Field::YearWeek, "yearweek", &[], "The ISO year and week, as 199511."),
    (Field::Julian, "julian", &[], "Julian days, the time of day as a fraction."),
    (Field::Zone, "timezone", &[], "How many seconds the time zone is ahead of UTC; times are in UTC."),
    (Field::ZoneHour, "timezone_hour", &[], "The hours that the time zone is ahead of UTC."),
    (
        Field::ZoneMinute,
        "timezone_minute",
        &[],
        "The minutes beside the hours that the time zone is ahead of UTC.",
    ),
];

pub(super) fn field(name: &str) -> Option<Field> {
    let name = name.to_lowercase();
    let known = FIELDS.iter().find(|(_, own, others, _)| *own == name || others.contains(&name.as_str()));
    let short = || SHORT_NAMES.iter().find(|(short, _)| *short == name).map(|(_, field)| *field);
    known.map(|(field, ..)| *field).or_else(short)
}

/// The function that gives the field of that name.
pub(super) fn field_function(name: &str) -> Option<&'static str> {
    let field = field(name)?;
    FIELDS.iter().find(|(known, ..)| *known == field).map(|(_, own, ..)| *own)
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
        .with_fallible(&[TEXT, STAMP], Returns::Type(DataType::Float64), date_part)
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
        .with_fallible(&[TEXT, STAMP], Returns::Of(|types| types[1]), date_trunc),
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
            .with(&[STAMP], Returns::Type(DataType::Date), last_day),
        Function::new(
            "dayname",
            "The English name of the day of the week.",
            "dayname(DATE '1995-03-15') → Wednesday",
        )
        .with(&[DATE], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::DayOfWeek, &DAYS))
        .with(&[STAMP], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::DayOfWeek, &DAYS)),
        Function::new("monthname", "The English name of the month.", "monthname(DATE '1995-03-15') → March")
            .with(&[DATE], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::Month, &MONTHS))
            .with(&[STAMP], Returns::Type(DataType::Varchar), |args, _| name_of(args, Field::Month, &MONTHS)),
        Function::new(
            "date_diff",
            "How many borders of the named unit lie between two dates or timestamps.",
            "date_diff('month', DATE '1995-01-31', DATE '1995-03-01') → 2",
        )
        .aliases(&["datediff"])
        .with_fallible(&[TEXT, DATE, DATE], Returns::Type(DataType::Int64), date_diff)
        .with_fallible(&[TEXT, STAMP, STAMP], Returns::Type(DataType::Int64), date_diff),
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

/// The function of one field, on dates, timestamps, times and intervals as far as they have it.
fn field_functions(
    name: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
) -> Function {
    // A `Run` is a plain function, so each field has its own.
    macro_rules! run {
        ($($field:ident => $example:literal),*) => {
            match field(name) {
                $(Some(Field::$field) => {
                    let run: Run = |args, data_type| extract(args, data_type, Field::$field);
                    (run, Field::$field, $example)
                })*
                None => unreachable!("every field is listed"),
            }
        };
    }
    let (run, field, example) = run!(
        Millennium => "millennium(DATE '1995-03-15') → 2", Century => "century(DATE '1995-03-15') → 20",
        Decade => "decade(DATE '1995-03-15') → 199", Year => "year(DATE '1995-03-15') → 1995",
        IsoYear => "isoyear(DATE '1995-01-01') → 1994", Quarter => "quarter(DATE '1995-03-15') → 1",
        Month => "month(DATE '1995-03-15') → 3", Week => "week(DATE '1995-03-15') → 11", Day => "day(DATE '1995-03-15') → 15",
        DayOfWeek => "dow(DATE '1995-03-15') → 3", IsoDayOfWeek => "isodow(DATE '1995-03-15') → 3",
        DayOfYear => "doy(DATE '1995-03-15') → 74", Hour => "hour(TIMESTAMP '1995-03-15 12:34:56') → 12",
        Minute => "minute(TIMESTAMP '1995-03-15 12:34:56') → 34", Second => "second(TIMESTAMP '1995-03-15 12:34:56') → 56",
        Milliseconds => "millisecond(TIMESTAMP '1995-03-15 12:34:56') → 56000",
        Microseconds => "microsecond(TIMESTAMP '1995-03-15 12:34:56') → 56000000",
        Nanoseconds => "nanosecond(TIMESTAMP '1995-03-15 12:34:56') → 56000000000", Epoch => "epoch(DATE '1995-03-15') → 795225600",
        Era => "era(DATE '1995-03-15') → 1", YearWeek => "yearweek(DATE '1995-03-15') → 199511",
        Julian => "julian(DATE '1995-03-15') → 2449792", Zone => "EXTRACT(timezone FROM TIMESTAMPTZ '1995-03-15 12:00+02') → 0",
        ZoneHour => "EXTRACT(timezone_hour FROM TIMESTAMPTZ '1995-03-15 12:00+02') → 0",
        ZoneMinute => "EXTRACT(timezone_minute FROM TIMESTAMPTZ '1995-03-15 12:00+02') → 0"
    );
    let is_double = matches!(field, Field::Epoch | Field::Julian);
    let returns = || Returns::Type(if is_double { DataType::Float64 } else { DataType::Int64 });
    let is_new = matches!(
        field,
        Field::Nanoseconds
            | Field::Era
            | Field::YearWeek
            | Field::Julian
            | Field::Zone
            | Field::ZoneHour
            | Field::ZoneMinute
    );
    let since = |function: Function| if is_new { function.later() } else { function };
    let mut function = Function::new(name, description, example).aliases(aliases);
    function = since(bounded(function.with(&[DATE], returns(), run), field));
    function = since(bounded(function.with(&[STAMP], returns(), run), field));
    let clock = matches!(
        field,
        Field::Hour
            | Field::Minute
            | Field::Second
            | Field::Milliseconds
            | Field::Microseconds
            | Field::Nanoseconds
    );
    if clock || field == Field::Epoch {
        function = since(bounded(function.with(&[TIME], returns(), run), field));
    }
    if clock || matches!(field, Field::Epoch | Field::Year | Field::Month | Field::Day | Field::Quarter) {
        function = since(function.with(&[SPAN], returns(), run));
    }
    if matches!(field, Field::Millennium | Field::Century | Field::Decade) {
        function = function.with(&[SPAN], returns(), run).later();
    }
    function
}

/// Tells the last overload the values that a field of a date, timestamp or time has.
fn bounded(function: Function, field: Field) -> Function {
    match field {
        Field::Quarter => function.within(1, 4),
        Field::Month => function.within(1, 12),
        Field::Week => function.within(1, 53),
        Field::Day => function.within(1, 31),
        Field::DayOfWeek => function.within(0, 6),
        Field::IsoDayOfWeek => function.within(1, 7),
        Field::DayOfYear => function.within(1, 366),
        Field::Hour => function.within(0, 24),
        Field::Minute | Field::Second => function.within(0, 59),
        Field::Milliseconds => function.within(0, 59_999),
        Field::Microseconds => function.within(0, 59_999_999),
        Field::Era => function.within(0, 1),
        _ => function,
    }
}

fn plus() -> Function {
    Function::new(
        "+",
        "A date, time or timestamp moved forward; the sum of intervals.",
        "DATE '1995-01-31' + INTERVAL '1 month' → 1995-02-28 00:00:00",
    )
    .with_expression(&[DATE, BIG], Returns::Type(DataType::Date), |args, data_type| {
        arithmetic_of(ArithmeticOp::Add, args, data_type)
    })
    .with_expression(&[BIG, DATE], Returns::Type(DataType::Date), |args, data_type| {
        arithmetic_of(ArithmeticOp::Add, args, data_type)
    })
    .with_fallible(&[DATE, SPAN], RETURNS_STAMP, |args, data_type| move_moment(args, data_type, 0, 1, 1))
    .with_fallible(&[SPAN, DATE], RETURNS_STAMP, |args, data_type| move_moment(args, data_type, 1, 0, 1))
    .with_fallible(&[STAMP, SPAN], Returns::First, |args, data_type| move_moment(args, data_type, 0, 1, 1))
    .with_fallible(&[SPAN, STAMP], Returns::Of(|types| types[1]), |args, data_type| {
        move_moment(args, data_type, 1, 0, 1)
    })
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
    .with(&[TIME, SPAN], Returns::First, |args, data_type| move_time(args, data_type, 1))
}

fn minus() -> Function {
    Function::new(
        "-",
        "A date, time or timestamp moved back; the distance between two.",
        "DATE '1995-03-15' - DATE '1995-01-01' → 73",
    )
    .with_expression(&[DATE, BIG], Returns::Type(DataType::Date), |args, data_type| {
        arithmetic_of(ArithmeticOp::Subtract, args, data_type)
    })
    .with_expression(&[DATE, DATE], Returns::Type(DataType::Int32), |args, data_type| {
        arithmetic_of(ArithmeticOp::Subtract, args, data_type)
    })
    .with_fallible(&[DATE, SPAN], RETURNS_STAMP, |args, data_type| move_moment(args, data_type, 0, 1, -1))
    .with_fallible(&[STAMP, SPAN], Returns::First, |args, data_type| move_moment(args, data_type, 0, 1, -1))
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
    in_range(value, data_type, if data_type == DataType::Date { "date" } else { "timestamp" })
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

/// The ISO year and week of a day.
pub(super) fn iso_week(days: i64) -> (i64, i64) {
    // The week belongs to the year of its Thursday.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, ..) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

pub(super) fn part(moment: Moment, field: Field) -> i64 {
    match field {
        Field::Hour => return moment.nanos / 3_600_000_000_000,
        Field::Minute => return moment.nanos / 60_000_000_000 % 60,
        Field::Second => return moment.nanos / 1_000_000_000 % 60,
        Field::Milliseconds => return moment.nanos / 1_000_000 % 60_000,
        Field::Microseconds => return moment.nanos / 1_000 % 60_000_000,
        Field::Nanoseconds => return moment.nanos % 60_000_000_000,
        Field::Zone | Field::ZoneHour | Field::ZoneMinute => return 0,
        Field::YearWeek => {
            let (year, week) = iso_week(moment.days);
            return year * 100 + if year < 0 { -week } else { week };
        }
        Field::Epoch => return moment.days * 86_400 + moment.nanos / 1_000_000_000,
        Field::DayOfWeek => return (moment.days + 4).rem_euclid(7),
        Field::IsoDayOfWeek => return (moment.days + 3).rem_euclid(7) + 1,
        _ => {}
    }
    let (year, month, day) = civil_from_days(moment.days);
    let up = |n: i64| if year > 0 { (year + n - 1).div_euclid(n) } else { -((n - year).div_euclid(n)) };
    match field {
        Field::Millennium => up(1000),
        Field::Century => up(100),
        Field::Decade => year.div_euclid(10),
        // As PostgreSQL counts, without a year zero: 1 BC is -1.
        Field::Year if year <= 0 => year - 1,
        Field::Year => year,
        Field::IsoYear => iso_week(moment.days).0,
        Field::Quarter => i64::from(month - 1) / 3 + 1,
        Field::Month => month.into(),
        Field::Week => iso_week(moment.days).1,
        Field::Era => i64::from(year > 0),
        Field::Day => day.into(),
        _ => moment.days - days_from_civil(year, 1, 1) + 1,
    }
}

fn extract(args: &Arguments, data_type: DataType, field: Field) -> Result<Vector> {
    if args.data_type(0) == DataType::Interval {
        return extract_from_interval(args, data_type, field);
    }
    let moments = moments(args, 0);
    if field == Field::Epoch {
        return args.map_floats(data_type, |row| Ok(nanos_since_epoch(moments[row]) as f64 / 1e9));
    }
    if field == Field::Julian {
        return args.map_floats(data_type, |row| Ok(julian(moments[row])));
    }
    args.map_integers(data_type, |row| Ok(part(moments[row], field).into()))
}

/// Days since 4714-11-24 BC.
fn julian(moment: Moment) -> f64 {
    moment.days as f64 + 2_440_588.0 + moment.nanos as f64 / 86_400e9
}

/// A part of an interval that `extract` gives as a whole number.
fn part_of_interval(span: Interval, field: Field) -> Result<i64> {
    let (micros, years) = (span.micros, i64::from(span.months / 12));
    Ok(match field {
        Field::Millennium => years / 1000,
        Field::Century => years / 100,
        Field::Decade => years / 10,
        Field::Year => years,
        Field::Quarter => i64::from(span.months % 12 / 3 + 1),
        Field::Month => i64::from(span.months % 12),
        Field::Day => i64::from(span.days),
        Field::Hour => micros / 3_600_000_000,
        Field::Minute => micros / 60_000_000 % 60,
        Field::Second => micros / 1_000_000 % 60,
        Field::Milliseconds => micros / 1_000 % 60_000,
        Field::Microseconds => micros % 60_000_000,
        Field::Nanoseconds => micros % 60_000_000 * 1_000,
        other => return Err(Error::Unsupported(format!("{other:?} of an interval"))),
    })
}

/// PostgreSQL counts a year as 365.25 days here, and a month as 30.
fn epoch_of_interval(span: Interval) -> f64 {
    let days = f64::from(span.months / 12) * 365.25 + f64::from(span.months % 12 * 30) + f64::from(span.days);
    days * 86_400.0 + span.micros as f64 / 1e6
}

fn extract_from_interval(args: &Arguments, data_type: DataType, field: Field) -> Result<Vector> {
    let spans = args.intervals(0);
    if field == Field::Epoch {
        return args.map_floats(data_type, |row| Ok(epoch_of_interval(spans[row])));
    }
    args.map_integers(data_type, |row| Ok(part_of_interval(spans[row], field)?.into()))
}

pub(super) fn named_field(name: &str) -> Result<Field> {
    field(name).ok_or_else(|| Error::InvalidText { text: name.to_owned(), data_type: "unit of time".into() })
}

fn date_part(args: &Arguments, data_type: DataType) -> Result<Vector> {
    if args.data_type(1) == DataType::Interval {
        let spans = args.intervals(1);
        return args.map_floats(data_type, |row| {
            let span = spans[row];
            Ok(match named_field(args.text(0, row))? {
                Field::Epoch => epoch_of_interval(span),
                Field::Second => (span.micros % 60_000_000) as f64 / 1e6,
                Field::Milliseconds => (span.micros % 60_000_000) as f64 / 1e3,
                field => part_of_interval(span, field)? as f64,
            })
        });
    }
    let moments = moments(args, 1);
    let is_time = args.data_type(1) == DataType::Time;
    args.map_floats(data_type, |row| {
        let field = named_field(args.text(0, row))?;
        let of_time = matches!(
            field,
            Field::Epoch
                | Field::Hour
                | Field::Minute
                | Field::Second
                | Field::Milliseconds
                | Field::Microseconds
                | Field::Nanoseconds
        );
        if is_time && !of_time {
            return Err(Error::Unsupported(format!("{} of a time", args.text(0, row))));
        }
        Ok(match field {
            Field::Epoch => nanos_since_epoch(moments[row]) as f64 / 1e9,
            Field::Second => part(moments[row], Field::Microseconds) as f64 / 1e6,
            Field::Milliseconds => part(moments[row], Field::Microseconds) as f64 / 1e3,
            Field::Julian => julian(moments[row]),
            field => part(moments[row], field) as f64,
        })
    })
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
fn clock_nanos(field: Field) -> Option<i64> {
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
        let field = named_field(name)?;
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
        in_range(count(to[row])? - count(from[row])?, data_type, "date_diff")
    })
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
            let (year, month, day) = civil_from_days(moment.days);
            let months = year * 12 + i64::from(month) - 1 + sign * i64::from(span.months);
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12) as u32 + 1);
            moment.days = days_from_civil(year, month, day.min(days_in_month(year, month)));
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
