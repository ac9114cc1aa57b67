//! Fields of moments and intervals: `year`, `extract`, `date_part` and the like.

use super::arguments::Arguments;
use super::datetime::{Moment, moments, nanos_since_epoch};
use super::{Function, Parameter, Returns, Run};
use columnar::scalar::{civil_from_days, days_from_civil};
use columnar::{DataType, Error, Interval, Result, Vector};

const DATE: Parameter = Parameter::Exact(DataType::Date);
const TIME: Parameter = Parameter::Exact(DataType::Time);
const STAMP: Parameter = Parameter::Timestamp;
const SPAN: Parameter = Parameter::Exact(DataType::Interval);

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
pub(super) const FIELDS: [(Field, &str, &[&str], &str); 25] = [
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

/// The function of one field, on dates, timestamps, times and intervals as far as they have it.
pub(super) fn field_functions(
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
    function = since(bounded(function.with(&[DATE], returns(), run), field)).finite();
    function = since(bounded(function.with(&[STAMP], returns(), run), field)).finite();
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

pub(super) fn date_part(args: &Arguments, data_type: DataType) -> Result<Vector> {
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
        Ok(moment_part(moments[row], field))
    })
}

/// What `date_part` gives of a moment.
pub(super) fn moment_part(moment: Moment, field: Field) -> f64 {
    match field {
        Field::Epoch => nanos_since_epoch(moment) as f64 / 1e9,
        Field::Second => part(moment, Field::Microseconds) as f64 / 1e6,
        Field::Milliseconds => part(moment, Field::Microseconds) as f64 / 1e3,
        Field::Julian => julian(moment),
        field => part(moment, field) as f64,
    }
}
