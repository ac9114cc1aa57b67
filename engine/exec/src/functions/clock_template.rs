//! `to_char`, `to_date` and `to_timestamp` with PostgreSQL's templates of moments.

use super::arguments::{Arguments, Memo};
use super::datetime::{DAYS, MONTHS, Moment, assemble, moments, valid_date};
use super::fields::{Field, part};
use super::number_template::{ordinal_of, quoted, roman_numeral};
use super::strftime::{digits, named};
use super::text::append;
use super::zone::{INSTANT_TYPE, Zone, offset_text, zone};
use super::zoned::moment;
use super::{Function, Parameter, Returns};
use columnar::scalar::{civil_from_days, days_from_civil};
use columnar::{DataType, Error, Interval, Result, Vector};

const DATE: Parameter = Parameter::Exact(DataType::Date);
const STAMP: Parameter = Parameter::Timestamp;
const SPAN: Parameter = Parameter::Exact(DataType::Interval);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("to_char", "", "")
            .with_fallible(&[DATE, TEXT], RETURNS_TEXT, to_char)
            .finite()
            .with_fallible(&[STAMP, TEXT], RETURNS_TEXT, to_char)
            .finite()
            .with_fallible(&[SPAN, TEXT], RETURNS_TEXT, interval_to_char),
        Function::new(
            "to_date",
            "The date that a text spells by a template of PostgreSQL's.",
            "to_date('05 Dec 2000', 'DD Mon YYYY') → 2000-12-05",
        )
        .with_fallible(&[TEXT, TEXT], Returns::Type(DataType::Date), from_char),
        Function::new("to_timestamp", "", "")
            .with_fallible(&[TEXT, TEXT], Returns::Type(INSTANT_TYPE), from_char)
            .with_fallible(&[TEXT, TEXT, TEXT], Returns::Type(INSTANT_TYPE), |args, data_type| {
                let mut zones = Memo::new();
                read_all(args, data_type, |row| zones.get(args.text(2, row), zone).copied())
            }),
    ]
}

/// Patterns, a longer one before those that it starts with.
static PATTERNS: [(&str, Pattern); 57] = [
    ("SSSSS", Pattern::SecondOfDay),
    ("SSSS", Pattern::SecondOfDay),
    ("SS", Pattern::Second),
    ("HH24", Pattern::Hour),
    ("HH12", Pattern::Hour12),
    ("HH", Pattern::Hour12),
    ("MI", Pattern::Minute),
    ("MS", Pattern::Fraction(3)),
    ("US", Pattern::Fraction(6)),
    ("FF1", Pattern::Fraction(1)),
    ("FF2", Pattern::Fraction(2)),
    ("FF3", Pattern::Fraction(3)),
    ("FF4", Pattern::Fraction(4)),
    ("FF5", Pattern::Fraction(5)),
    ("FF6", Pattern::Fraction(6)),
    ("A.M.", Pattern::Half(true)),
    ("P.M.", Pattern::Half(true)),
    ("AM", Pattern::Half(false)),
    ("PM", Pattern::Half(false)),
    ("A.D.", Pattern::Era(true)),
    ("B.C.", Pattern::Era(true)),
    ("AD", Pattern::Era(false)),
    ("BC", Pattern::Era(false)),
    ("Y,YYY", Pattern::GroupedYear),
    ("YYYY", Pattern::Year(4)),
    ("YYY", Pattern::Year(3)),
    ("YY", Pattern::Year(2)),
    ("Y", Pattern::Year(1)),
    ("IYYY", Pattern::IsoYear(4)),
    ("IYY", Pattern::IsoYear(3)),
    ("IY", Pattern::IsoYear(2)),
    ("IDDD", Pattern::IsoDayOfYear),
    ("ID", Pattern::IsoDayOfWeek),
    ("IW", Pattern::IsoWeek),
    ("I", Pattern::IsoYear(1)),
    ("MONTH", Pattern::MonthName(Letters::Upper)),
    ("Month", Pattern::MonthName(Letters::Mixed)),
    ("month", Pattern::MonthName(Letters::Lower)),
    ("MON", Pattern::ShortMonth(Letters::Upper)),
    ("Mon", Pattern::ShortMonth(Letters::Mixed)),
    ("mon", Pattern::ShortMonth(Letters::Lower)),
    ("MM", Pattern::Month),
    ("DAY", Pattern::DayName(Letters::Upper)),
    ("Day", Pattern::DayName(Letters::Mixed)),
    ("day", Pattern::DayName(Letters::Lower)),
    ("DY", Pattern::ShortDay(Letters::Upper)),
    ("Dy", Pattern::ShortDay(Letters::Mixed)),
    ("dy", Pattern::ShortDay(Letters::Lower)),
    ("DDD", Pattern::DayOfYear),
    ("DD", Pattern::Day),
    ("D", Pattern::DayOfWeek),
    ("WW", Pattern::WeekOfYear),
    ("W", Pattern::WeekOfMonth),
    ("CC", Pattern::Century),
    ("J", Pattern::Julian),
    ("Q", Pattern::Quarter),
    ("RM", Pattern::RomanMonth),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Letters {
    Upper,
    Mixed,
    Lower,
}

impl Letters {
    fn of(self, name: &str) -> String {
        match self {
            Letters::Upper => name.to_ascii_uppercase(),
            Letters::Mixed => name.to_owned(),
            Letters::Lower => name.to_ascii_lowercase(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pattern {
    Hour,
    Hour12,
    Minute,
    Second,
    SecondOfDay,
    /// Digits of the fraction of the second.
    Fraction(u32),
    /// `AM` and `PM`, with dots or not.
    Half(bool),
    Era(bool),
    GroupedYear,
    /// The last digits.
    Year(u32),
    IsoYear(u32),
    MonthName(Letters),
    ShortMonth(Letters),
    Month,
    DayName(Letters),
    ShortDay(Letters),
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    WeekOfYear,
    WeekOfMonth,
    IsoWeek,
    Century,
    Julian,
    Quarter,
    RomanMonth,
    /// `TZ`
    Zone(Letters),
    /// `OF` and `TZH:TZM`
    Offset,
    OffsetHours,
    OffsetMinutes,
}

enum Part {
    Text(String),
    Pattern {
        pattern: Pattern,
        /// Written in lower case.
        lower: bool,
        /// `FM`: without padding.
        bare: bool,
        /// `th` behind it, in upper case or not.
        ordinal: Option<bool>,
    },
}

fn parse(template: &str) -> Result<Vec<Part>> {
    let (mut parts, mut rest) = (Vec::new(), template);
    let zones = [
        ("TZH", Pattern::OffsetHours),
        ("TZM", Pattern::OffsetMinutes),
        ("TZ", Pattern::Zone(Letters::Upper)),
        ("OF", Pattern::Offset),
    ];
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let (text, used) = quoted(rest);
            parts.push(Part::Text(text));
            rest = &rest[used..];
            continue;
        }
        let starts =
            |name: &str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let (mut bare, mut after) = (false, rest);
        for prefix in ["FM", "FX", "TM"] {
            if starts(prefix) {
                bare |= prefix == "FM";
                after = &rest[2..];
                break;
            }
        }
        let exact = PATTERNS.iter().find(|(name, _)| after.starts_with(name));
        let starts =
            |name: &str| after.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let loose = || PATTERNS.iter().chain(&zones).find(|(name, _)| starts(name));
        let longest = match (exact, loose()) {
            (Some(exact), Some(loose)) if exact.0.len() >= loose.0.len() => Some(exact),
            (_, loose) => loose,
        };
        let Some((name, pattern)) = longest else {
            if after.len() < rest.len() {
                rest = after;
                continue;
            }
            let escaped = (c == '\\').then(|| rest[1..].chars().next()).flatten();
            let text = escaped.unwrap_or(c);
            parts.push(Part::Text(text.to_string()));
            rest = &rest[text.len_utf8() + usize::from(escaped.is_some())..];
            continue;
        };
        let lower = after.starts_with(|c: char| c.is_ascii_lowercase());
        let pattern = match pattern {
            Pattern::Zone(_) if lower => Pattern::Zone(Letters::Lower),
            other => *other,
        };
        rest = &after[name.len()..];
        let mut ordinal = None;
        if let Some(suffix) = rest.get(..2).filter(|suffix| suffix.eq_ignore_ascii_case("TH")) {
            ordinal = Some(suffix == "TH");
            rest = &rest[2..];
        }
        parts.push(Part::Pattern { pattern, lower, bare, ordinal });
    }
    Ok(parts)
}

/// What templates show of a moment or an interval.
struct Shown {
    moment: Moment,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    /// Of the clock within the day, in nanoseconds; of an interval with its sign.
    nanos: i64,
    is_interval: bool,
    /// What the zone calls itself, and how many seconds it is ahead of UTC.
    zone: String,
    ahead: i64,
}

fn to_char(args: &Arguments, _: DataType) -> Result<Vector> {
    let zoned = matches!(args.data_type(0), DataType::Timestamp { zone: true, .. });
    let (moments, mut templates) = (moments(args, 0), Memo::new());
    args.map_text(|row, out| {
        let zone = if zoned { "UTC" } else { "" };
        write(&shown(moments[row], zone.into(), 0), templates.get(args.text(1, row), parse)?, out)
    })
}

/// `to_char` of the instants in the first argument, each by its zone.
pub(super) fn to_char_in(args: &Arguments, mut zone_of: impl FnMut(usize) -> Result<Zone>) -> Result<Vector> {
    let (instants, mut templates) = (args.longs(0), Memo::new());
    args.map_text(|row, out| {
        let zone = zone_of(row)?;
        let local = moment(zone.local(instants[row])? as i64);
        let ahead = zone.ahead_at(instants[row])? / 1_000_000;
        let shown = shown(local, zone.abbreviation(instants[row])?, ahead);
        write(&shown, templates.get(args.text(1, row), parse)?, out)
    })
}

fn shown(moment: Moment, zone: String, ahead: i64) -> Shown {
    let (year, month, day) = civil_from_days(moment.days);
    Shown {
        moment,
        year,
        month: month.into(),
        day: day.into(),
        hour: part(moment, Field::Hour),
        nanos: moment.nanos,
        is_interval: false,
        zone,
        ahead,
    }
}

fn interval_to_char(args: &Arguments, _: DataType) -> Result<Vector> {
    let (spans, mut templates) = (args.intervals(0), Memo::new());
    args.map_text(|row, out| {
        let Interval { months, days, micros } = spans[row];
        let shown = Shown {
            moment: Moment { days: 0, nanos: 0 },
            year: (months / 12).into(),
            month: (months % 12).into(),
            day: days.into(),
            hour: micros / 3_600_000_000,
            nanos: micros % 86_400_000_000 * 1_000,
            is_interval: true,
            zone: String::new(),
            ahead: 0,
        };
        write(&shown, templates.get(args.text(1, row), parse)?, out)
    })
}

fn write(shown: &Shown, parts: &[Part], out: &mut Vec<u8>) -> Result<()> {
    for one in parts {
        match one {
            Part::Text(text) => append(out, text)?,
            Part::Pattern { pattern, lower, bare, ordinal } => {
                let text = written(shown, *pattern, *lower, *bare)?;
                append(out, &text)?;
                if let (Some(upper), Ok(number)) = (ordinal, text.trim().parse::<i64>()) {
                    let suffix = ordinal_of(number);
                    append(out, &if *upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() })?;
                }
            }
        }
    }
    Ok(())
}

fn written(shown: &Shown, pattern: Pattern, lower: bool, bare: bool) -> Result<String> {
    let moment = shown.moment;
    let of_day = |text: String| -> Result<String> {
        if shown.is_interval {
            return Err(Error::Unsupported(format!("{pattern:?} of an interval in to_char")));
        }
        Ok(text)
    };
    let number = |value: i64, width: usize| {
        let width = width + usize::from(value < 0);
        if bare { value.to_string() } else { format!("{value:0width$}") }
    };
    let cased = |text: &str| if lower { text.to_ascii_lowercase() } else { text.to_owned() };
    let name = |names: &[&str], place: i64, letters: Letters, most: usize| {
        let name = names.get(usize::try_from(place).unwrap_or(0)).copied().unwrap_or("");
        let text = letters.of(name.get(..most).unwrap_or(name));
        if bare || most == 3 { text } else { format!("{text:9}") }
    };
    // The year 0 is 1 BC.
    let year = if shown.is_interval || shown.year > 0 { shown.year } else { 1 - shown.year };
    let nanos = shown.nanos;
    let week_day = part(moment, Field::DayOfWeek);
    let day_of_year = moment.days - days_from_civil(civil_from_days(moment.days).0, 1, 1) + 1;
    let iso_year = part(moment, Field::IsoYear);
    Ok(match pattern {
        Pattern::Hour => number(shown.hour, 2),
        Pattern::Hour12 => number(if shown.hour % 12 == 0 { 12 } else { shown.hour % 12 }, 2),
        Pattern::Minute => number(nanos / 60_000_000_000 % 60, 2),
        Pattern::Second => number(nanos / 1_000_000_000 % 60, 2),
        Pattern::SecondOfDay => (nanos / 1_000_000_000 % 3_600 + shown.hour * 3_600).to_string(),
        Pattern::Fraction(digits) => {
            let width = digits as usize;
            format!("{:0width$}", (nanos % 1_000_000_000).abs() / 10_i64.pow(9 - digits))
        }
        Pattern::Half(dots) => cased(match (shown.hour.rem_euclid(24) >= 12, dots) {
            (false, false) => "AM",
            (true, false) => "PM",
            (false, true) => "A.M.",
            (true, true) => "P.M.",
        }),
        Pattern::Era(dots) => of_day(cased(match (shown.year > 0, dots) {
            (true, false) => "AD",
            (false, false) => "BC",
            (true, true) => "A.D.",
            (false, true) => "B.C.",
        }))?,
        Pattern::GroupedYear => format!("{},{:03}", year / 1000, year % 1000),
        Pattern::Year(4) => number(year, 4),
        Pattern::Year(digits) => number(year % 10_i64.pow(digits), digits as usize),
        Pattern::IsoYear(4) => of_day(number(iso_year, 4))?,
        Pattern::IsoYear(digits) => of_day(number(iso_year % 10_i64.pow(digits), digits as usize))?,
        Pattern::MonthName(letters) => of_day(name(&MONTHS, shown.month, letters, 9))?,
        Pattern::ShortMonth(letters) => of_day(name(&MONTHS, shown.month, letters, 3))?,
        Pattern::Month => number(shown.month, 2),
        Pattern::DayName(letters) => of_day(name(&DAYS, week_day, letters, 9))?,
        Pattern::ShortDay(letters) => of_day(name(&DAYS, week_day, letters, 3))?,
        Pattern::DayOfYear if shown.is_interval => number(shown.day, 3),
        Pattern::DayOfYear => number(day_of_year, 3),
        Pattern::IsoDayOfYear => {
            of_day(number((part(moment, Field::Week) - 1) * 7 + part(moment, Field::IsoDayOfWeek), 3))?
        }
        Pattern::Day => number(shown.day, 2),
        Pattern::DayOfWeek => of_day((week_day + 1).to_string())?,
        Pattern::IsoDayOfWeek => of_day(part(moment, Field::IsoDayOfWeek).to_string())?,
        Pattern::WeekOfYear => {
            number((if shown.is_interval { shown.day } else { day_of_year } - 1) / 7 + 1, 2)
        }
        Pattern::WeekOfMonth => ((shown.day - 1) / 7 + 1).to_string(),
        Pattern::IsoWeek => of_day(number(part(moment, Field::Week), 2))?,
        Pattern::Century if shown.is_interval => number(year / 100, 2),
        Pattern::Century => number(part(moment, Field::Century), 2),
        Pattern::Julian => of_day((moment.days + 2_440_588).to_string())?,
        Pattern::Quarter => of_day(((shown.month - 1) / 3 + 1).to_string())?,
        Pattern::RomanMonth => {
            let text =
                roman_numeral(shown.month.rem_euclid(12) as u32 + if shown.month == 12 { 12 } else { 0 });
            let text = cased(&text);
            if bare { text } else { format!("{text:4}") }
        }
        Pattern::Zone(letters) => of_day(letters.of(&shown.zone))?,
        Pattern::Offset => of_day(offset_text(shown.ahead - shown.ahead % 60))?,
        Pattern::OffsetHours => of_day(offset_text(shown.ahead)[..3].to_owned())?,
        Pattern::OffsetMinutes => of_day(format!("{:02}", shown.ahead.abs() / 60 % 60))?,
    })
}

/// What a text has told so far.
#[derive(Default)]
struct Told {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    iso: (Option<i64>, Option<i64>, Option<i64>),
    hour: i64,
    is_12: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    second_of_day: Option<i64>,
    nanos: i64,
    bc: bool,
    ahead: i64,
}

fn from_char(args: &Arguments, data_type: DataType) -> Result<Vector> {
    read_all(args, data_type, |_| Ok(Zone::Fixed(0)))
}

/// The moments that texts spell; those that name no offset are of their rows' zones.
fn read_all(
    args: &Arguments,
    data_type: DataType,
    mut zone_of: impl FnMut(usize) -> Result<Zone>,
) -> Result<Vector> {
    let mut templates = Memo::new();
    args.map_integers(data_type, |row| {
        let (text, template) = (args.text(0, row), args.text(1, row));
        let parts = templates.get(template, parse)?;
        let moment = read(parts, text).ok_or_else(|| Error::InvalidText {
            text: text.to_owned(),
            data_type: format!(
                "{} as {template}",
                if data_type == DataType::Date { "date" } else { "timestamp" }
            ),
        })?;
        let told = |part: &Part| {
            let Part::Pattern { pattern, .. } = part else { return false };
            matches!(pattern, Pattern::Zone(_) | Pattern::Offset | Pattern::OffsetHours)
        };
        match zone_of(row)? {
            zone if zone != Zone::Fixed(0) && !parts.iter().any(told) => {
                zone.instant(assemble(moment, DataType::TIMESTAMP)? as i64)
            }
            _ => assemble(moment, data_type),
        }
    })
}

fn is_separator(c: char) -> bool {
    !c.is_alphanumeric()
}

/// The moment that a text spells; what is left behind it does not matter.
fn read(parts: &[Part], text: &str) -> Option<Moment> {
    let (mut told, mut rest) = (Told::default(), text.trim_start());
    for (place, one) in parts.iter().enumerate() {
        match one {
            // Separators stand for each other, and blanks for any number of them.
            Part::Text(text) if text.chars().all(is_separator) => {
                let trimmed = rest.trim_start();
                let one = trimmed
                    .chars()
                    .next()
                    .filter(|&c| is_separator(c) && !matches!(c, '+' | '-') || text.contains(c));
                rest = match one {
                    Some(c) if !text.chars().all(char::is_whitespace) => trimmed[c.len_utf8()..].trim_start(),
                    _ => rest.trim_start_matches(|c: char| is_separator(c) && c != '+' && c != '-'),
                };
            }
            Part::Text(text) => {
                rest =
                    rest.get(rest.chars().take(text.chars().count()).map(char::len_utf8).sum::<usize>()..)?
            }
            Part::Pattern { pattern, bare, ordinal, .. } => {
                let beside = !bare && matches!(parts.get(place + 1), Some(Part::Pattern { .. }));
                rest = read_one(&mut told, *pattern, rest.trim_start(), beside)?;
                if ordinal.is_some() && rest.len() >= 2 {
                    rest = rest.get(2..)?;
                }
            }
        }
    }
    told.moment()
}

fn read_one<'a>(told: &mut Told, pattern: Pattern, text: &'a str, beside: bool) -> Option<&'a str> {
    // Right before another pattern a number has its own digits alone.
    let number = |width: usize| digits(text, if beside { width } else { width.max(9) });
    let exactly = |width: usize| digits(text, width);
    macro_rules! set {
        ($into:expr, $number:expr) => {{
            let (value, rest) = $number?;
            $into = value.into();
            Some(rest)
        }};
    }
    match pattern {
        Pattern::Hour => set!(told.hour, exactly(2)),
        Pattern::Hour12 => {
            told.is_12 = true;
            set!(told.hour, exactly(2))
        }
        Pattern::Minute => set!(told.minute, exactly(2)),
        Pattern::Second => set!(told.second, exactly(2)),
        Pattern::SecondOfDay => set!(told.second_of_day, exactly(5)),
        Pattern::Fraction(width) => {
            let (value, rest) = exactly(width as usize)?;
            let read = (text.len() - rest.len()) as u32;
            told.nanos = value * 10_i64.pow(9 - read);
            Some(rest)
        }
        Pattern::Half(_) => {
            let letters: String = text.chars().take(4).filter(char::is_ascii_alphabetic).take(2).collect();
            told.afternoon = Some(letters.eq_ignore_ascii_case("PM"));
            let dots = text.as_bytes().get(1) == Some(&b'.');
            let valid = letters.eq_ignore_ascii_case("PM") || letters.eq_ignore_ascii_case("AM");
            text.get(if dots { 4 } else { 2 }..).filter(|_| valid)
        }
        Pattern::Era(_) => {
            told.bc = text.starts_with(['B', 'b']);
            text.get(if text.as_bytes().get(1) == Some(&b'.') { 4 } else { 2 }..)
        }
        Pattern::GroupedYear => {
            let (thousands, rest) = digits(text, 6)?;
            let (below, rest) = digits(rest.strip_prefix(',')?, 3)?;
            told.year = Some(thousands * 1000 + below);
            Some(rest)
        }
        Pattern::Year(width) => {
            let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
            let (year, rest) = digits(unsigned, if beside || width < 4 { width as usize } else { 7 })?;
            let read = (unsigned.len() - rest.len()) as u32;
            told.year = Some(sign * if width < 4 && read < 4 { near_2020(year, read) } else { year });
            Some(rest)
        }
        Pattern::IsoYear(width) => set!(told.iso.0, exactly(width as usize)),
        Pattern::IsoWeek => set!(told.iso.1, exactly(2)),
        Pattern::IsoDayOfWeek => set!(told.iso.2, exactly(1)),
        Pattern::MonthName(_) | Pattern::ShortMonth(_) => set!(told.month, named(text, &MONTHS)),
        Pattern::Month => set!(told.month, exactly(2)),
        Pattern::DayName(_) | Pattern::ShortDay(_) => Some(named(text, &DAYS)?.1),
        Pattern::DayOfYear | Pattern::IsoDayOfYear => set!(told.day_of_year, exactly(3)),
        Pattern::Day => set!(told.day, exactly(2)),
        Pattern::DayOfWeek | Pattern::WeekOfMonth | Pattern::Quarter => Some(exactly(1)?.1),
        Pattern::WeekOfYear | Pattern::Century => Some(exactly(2)?.1),
        Pattern::Julian => set!(told.julian, number(7)),
        Pattern::RomanMonth => {
            let signs =
                text.chars().take_while(|c| matches!(c.to_ascii_uppercase(), 'I' | 'V' | 'X')).count();
            let month = (1..=12).find(|&month| roman_numeral(month).eq_ignore_ascii_case(&text[..signs]))?;
            told.month = Some(month.into());
            Some(&text[signs..])
        }
        Pattern::Zone(_) => {
            let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
            let name = text[..end].to_ascii_uppercase();
            matches!(name.as_str(), "UTC" | "GMT" | "Z").then(|| &text[end..])
        }
        Pattern::OffsetHours | Pattern::Offset => {
            let sign = if text.starts_with('-') { -1 } else { 1 };
            let (hours, rest) = digits(text.trim_start_matches(['+', '-']), 2)?;
            told.ahead = sign * hours * 3_600;
            Some(rest)
        }
        Pattern::OffsetMinutes => {
            let (minutes, rest) = exactly(2)?;
            told.ahead += if told.ahead < 0 { -minutes } else { minutes } * 60;
            Some(rest)
        }
    }
}

/// The year that a few digits mean: the one that is nearest to 2020.
fn near_2020(year: i64, digits: u32) -> i64 {
    match digits {
        1 | 2 if year < 70 => year + 2000,
        1 | 2 => year + 1900,
        _ if year < 520 => year + 2000,
        _ => year + 1000,
    }
}

impl Told {
    fn moment(self) -> Option<Moment> {
        let valid = |year: i64, month: i64, day: i64| i64::try_from(valid_date(year, month, day)?).ok();
        let year = match (self.year, self.bc) {
            (Some(year), true) => Some(1 - year),
            (Some(year), false) if year < 0 => Some(year + 1),
            (year, _) => year,
        };
        let days = match (self.julian, self.iso, self.day_of_year) {
            (Some(julian), ..) => julian - 2_440_588,
            (None, (Some(year), Some(week), day), _) => {
                let fourth = valid(year, 1, 4)?;
                let monday = fourth - (fourth + 3).rem_euclid(7);
                let day = day.unwrap_or(1);
                ((1..=53).contains(&week) && (1..=7).contains(&day))
                    .then_some(monday + (week - 1) * 7 + day - 1)?
            }
            (None, _, Some(day)) => {
                let first = valid(year?, 1, 1)?;
                (1..=366).contains(&day).then_some(first + day - 1)?
            }
            // PostgreSQL starts at 1 BC where no year is told.
            _ => valid(year.unwrap_or(0), self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let hour = match (self.is_12 || self.afternoon.is_some(), self.afternoon) {
            (true, Some(_) | None) if !(1..=12).contains(&self.hour) && self.hour != 0 => return None,
            (_, Some(afternoon)) => self.hour % 12 + if afternoon { 12 } else { 0 },
            (true, None) => self.hour % 12,
            (false, None) => self.hour,
        };
        let seconds = match self.second_of_day {
            Some(seconds) => seconds,
            None => hour * 3_600 + self.minute * 60 + self.second,
        };
        if hour > 23 || self.minute > 59 || self.second > 59 || seconds >= 86_400 {
            return None;
        }
        let seconds = days * 86_400 + seconds - self.ahead;
        Some(Moment {
            days: seconds.div_euclid(86_400),
            nanos: seconds.rem_euclid(86_400) * 1_000_000_000 + self.nanos,
        })
    }
}
