//! `strftime` and `strptime`: moments as text and back, with the specifiers of the language C.

use super::arguments::{Arguments, Memo};
use super::datetime::{DAYS, MONTHS, Moment, assemble, moments, valid_date};
use super::fields::{Field, part};
use super::text::append;
use super::zone::{Zone, offset_text, zone};
use super::zoned::moment;
use super::{Function, Parameter, Returns, Run};
use columnar::scalar::{civil_from_days, days_from_civil};
use columnar::{DataType, Error, Result, Vector};

const DATE: Parameter = Parameter::Exact(DataType::Date);
const STAMP: Parameter = Parameter::Timestamp;
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);

pub(super) fn functions() -> Vec<Function> {
    let format: Run = strftime;
    let strict_read: Run = |args, data_type| {
        let mut formats = Memo::new();
        args.map_integers(data_type, |row| {
            let (text, format) = (args.text(0, row), args.text(1, row));
            match read(formats.get(format, items)?, text) {
                Some(moment) => assemble(moment, data_type),
                None => Err(Error::InvalidText {
                    text: text.to_owned(),
                    data_type: format!("timestamp as {format}"),
                }),
            }
        })
    };
    let try_read: Run = |args, data_type| {
        let mut formats = Memo::new();
        args.or_null(
            |row| {
                let found = read(formats.get(args.text(1, row), items)?, args.text(0, row));
                Ok(found.and_then(|moment| assemble(moment, data_type).ok()))
            },
            |found, values| found.map_integers(data_type, |row| Ok(values[row])),
        )
    };
    vec![
        Function::new(
            "strftime",
            "A date or timestamp as text: %Y %y %m %d %H %I %M %S %f %p %a %A %b %B %j %u %w %U %W %V %G and others.",
            "strftime(DATE '1992-01-01', '%a, %-d %B %Y') → Wed, 1 January 1992",
        )
        .with_fallible(&[DATE, TEXT], Returns::Type(DataType::Varchar), format)
        .with_fallible(&[STAMP, TEXT], Returns::Type(DataType::Varchar), format),
        Function::new(
            "strptime",
            "The timestamp that a text spells, with the specifiers of strftime.",
            "strptime('Wed, 1 January 1992 - 08:38 PM', '%a, %-d %B %Y - %I:%M %p') → 1992-01-01 20:38:00",
        )
        .with_fallible(&[TEXT, TEXT], Returns::Type(DataType::TIMESTAMP), strict_read),
        Function::new(
            "try_strptime",
            "As strptime; null where the text spells none.",
            "try_strptime('31.12.x', '%d.%m.%Y') → NULL",
        )
        .with_fallible(&[TEXT, TEXT], Returns::Type(DataType::TIMESTAMP), try_read)
        .nullable(),
    ]
}

/// A part of a format.
enum Item {
    Text(char),
    /// A letter, and whether zeros before the number are left out.
    Specifier(char, bool),
}

fn items(format: &str) -> Result<Vec<Item>> {
    let (mut items, mut chars) = (Vec::new(), format.chars());
    let invalid = || Error::InvalidText { text: format.to_owned(), data_type: "format of strftime".into() };
    while let Some(c) = chars.next() {
        if c != '%' {
            items.push(Item::Text(c));
            continue;
        }
        let next = chars.next().ok_or_else(invalid)?;
        let (bare, letter) =
            if next == '-' { (true, chars.next().ok_or_else(invalid)?) } else { (false, next) };
        match letter {
            '%' => items.push(Item::Text('%')),
            // Several at once, in ISO 8601.
            'c' | 'x' | 'X' | 'F' | 'T' | 'D' | 'R' => {
                let long = match letter {
                    'c' => "%Y-%m-%d %H:%M:%S",
                    'x' | 'F' => "%Y-%m-%d",
                    'X' | 'T' => "%H:%M:%S",
                    'D' => "%m/%d/%y",
                    _ => "%H:%M",
                };
                items.extend(self::items(long)?);
            }
            'a' | 'A' | 'w' | 'u' | 'd' | 'e' | 'b' | 'h' | 'B' | 'm' | 'y' | 'Y' | 'G' | 'H' | 'I' | 'p'
            | 'M' | 'S' | 'f' | 'g' | 'n' | 'z' | 'Z' | 'j' | 'U' | 'W' | 'V' | 's' => {
                items.push(Item::Specifier(letter, bare))
            }
            _ => return Err(invalid()),
        }
    }
    Ok(items)
}

fn strftime(args: &Arguments, _: DataType) -> Result<Vector> {
    let (moments, mut formats) = (moments(args, 0), Memo::new());
    let zoned = matches!(args.data_type(0), DataType::Timestamp { zone: true, .. });
    let (data_type, values) = (args.data_type(0), args.longs(0));
    args.map_text(|row, out| {
        let items = formats.get(args.text(1, row), items)?;
        match infinite_name(data_type, values[row]) {
            Some(name) => append(out, name),
            None => write(out, items, moments[row], if zoned { "UTC" } else { "" }, 0),
        }
    })
}

/// `strftime` of the instants in the first argument, each by its zone.
pub(super) fn strftime_in(
    args: &Arguments,
    mut zone_of: impl FnMut(usize) -> Result<Zone>,
) -> Result<Vector> {
    let (instants, mut formats) = (args.longs(0), Memo::new());
    args.map_text(|row, out| {
        let items = formats.get(args.text(1, row), items)?;
        if let Some(name) = infinite_name(args.data_type(0), instants[row]) {
            return append(out, name);
        }
        let zone = zone_of(row)?;
        let ahead = zone.ahead_at(instants[row])? / 1_000_000;
        write(out, items, moment(zone.local(instants[row])? as i64), &zone.name(), ahead)
    })
}

fn infinite_name(data_type: DataType, value: i64) -> Option<&'static str> {
    match data_type.infinite_sign(value.into()) {
        0 => None,
        1 => Some("infinity"),
        _ => Some("-infinity"),
    }
}

/// Writes a moment as the clocks of a zone show it that are so many seconds ahead of UTC.
fn write(out: &mut Vec<u8>, items: &[Item], moment: Moment, zone: &str, ahead: i64) -> Result<()> {
    for item in items {
        match item {
            Item::Text(c) => append(out, c.encode_utf8(&mut [0; 4]))?,
            Item::Specifier('z', _) => append(out, &offset_text(ahead - ahead % 60))?,
            Item::Specifier('Z', _) => append(out, zone)?,
            Item::Specifier(letter, bare) => append(out, &shown(moment, *letter, *bare))?,
        }
    }
    Ok(())
}

fn shown(moment: Moment, letter: char, bare: bool) -> String {
    let number = |value: i64, width: usize| if bare { value.to_string() } else { format!("{value:0width$}") };
    let (year, month, day) = civil_from_days(moment.days);
    let weekday = part(moment, Field::DayOfWeek);
    let name = |names: &[&str], place: i64| {
        names.get(usize::try_from(place).unwrap_or(0)).copied().unwrap_or("").to_owned()
    };
    let hour = part(moment, Field::Hour);
    let day_of_year = moment.days - days_from_civil(year, 1, 1) + 1;
    match letter {
        'a' => name(&DAYS, weekday)[..3].to_owned(),
        'A' => name(&DAYS, weekday),
        'w' => weekday.to_string(),
        'u' => part(moment, Field::IsoDayOfWeek).to_string(),
        'd' => number(day.into(), 2),
        'e' => format!("{day:2}"),
        'b' | 'h' => name(&MONTHS, month.into())[..3].to_owned(),
        'B' => name(&MONTHS, month.into()),
        'm' => number(month.into(), 2),
        'y' => number(year.rem_euclid(100), 2),
        'Y' if year < 0 => year.to_string(),
        'Y' => number(year, 4),
        'G' => number(part(moment, Field::IsoYear), 4),
        'H' => number(hour, 2),
        'I' => number((hour + 11) % 12 + 1, 2),
        'p' => String::from(if hour < 12 { "AM" } else { "PM" }),
        'M' => number(part(moment, Field::Minute), 2),
        'S' => number(part(moment, Field::Second), 2),
        'f' => format!("{:06}", moment.nanos / 1_000 % 1_000_000),
        'g' => format!("{:03}", moment.nanos / 1_000_000 % 1_000),
        'n' => format!("{:09}", moment.nanos % 1_000_000_000),
        'j' => number(day_of_year, 3),
        'U' => number((day_of_year + 6 - weekday) / 7, 2),
        'W' => number((day_of_year + 6 - (weekday + 6) % 7) / 7, 2),
        'V' => number(part(moment, Field::Week), 2),
        's' => part(moment, Field::Epoch).to_string(),
        _ => String::new(),
    }
}

/// What a text has told so far.
struct Told {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    /// Whether the year, and whether the month or the day was told.
    has_year: bool,
    has_date: bool,
    iso_year: Option<i64>,
    week: Option<Week>,
    /// From Sunday as 0.
    weekday: Option<i64>,
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i64,
    /// Seconds ahead of UTC.
    ahead: i64,
    epoch: Option<i64>,
    /// What the text names instead of an offset.
    zone: Option<Zone>,
}

/// A week of a year, by what its weeks begin with.
#[derive(Clone, Copy)]
enum Week {
    Sunday(i64),
    Monday(i64),
    Iso(i64),
}

impl Told {
    /// The day that the week and its day are; `None`: there is no such week.
    fn day_of_week(&self, week: Week) -> Option<i64> {
        let first = |year: i64| i64::try_from(valid_date(year, 1, 1)?).ok();
        let after_sunday = self.weekday.unwrap_or(0);
        let after_monday = (self.weekday.unwrap_or(1) + 6).rem_euclid(7);
        Some(match week {
            Week::Sunday(week) => {
                let first = first(self.year)?;
                first + (-(first + 4)).rem_euclid(7) + (week - 1) * 7 + after_sunday
            }
            Week::Monday(week) => {
                let first = first(self.year)?;
                first + (-(first + 3)).rem_euclid(7) + (week - 1) * 7 + after_monday
            }
            Week::Iso(week) => {
                // The fourth of January is in the first week.
                let fourth = first(self.iso_year.unwrap_or(1900))? + 3;
                fourth - (fourth + 3).rem_euclid(7) + (week - 1) * 7 + after_monday
            }
        })
    }
}

/// The moment that a text spells, all of it.
fn read(items: &[Item], text: &str) -> Option<Moment> {
    let mut told = Told {
        year: 1900,
        month: 1,
        day: 1,
        day_of_year: None,
        has_year: false,
        has_date: false,
        iso_year: None,
        week: None,
        weekday: None,
        hour: 0,
        afternoon: None,
        minute: 0,
        second: 0,
        nanos: 0,
        ahead: 0,
        epoch: None,
        zone: None,
    };
    let mut rest = text.trim_end();
    for (place, item) in items.iter().enumerate() {
        match item {
            Item::Text(c) if c.is_whitespace() => rest = rest.trim_start(),
            Item::Text(c) => rest = rest.strip_prefix(*c)?,
            Item::Specifier(letter, _) => {
                // A number right before another one has its own digits alone.
                let beside = matches!(items.get(place + 1), Some(Item::Specifier(next, _)) if !matches!(next, 'p' | 'z' | 'Z'));
                rest = read_one(&mut told, *letter, rest, beside)?;
            }
        }
    }
    if !rest.trim().is_empty() {
        return None;
    }
    if let Some(seconds) = told.epoch {
        return Some(Moment {
            days: seconds.div_euclid(86_400),
            nanos: seconds.rem_euclid(86_400) * 1_000_000_000 + told.nanos,
        });
    }
    let hour = match told.afternoon {
        Some(_) if !(1..=12).contains(&told.hour) => return None,
        Some(afternoon) => told.hour % 12 + if afternoon { 12 } else { 0 },
        None => told.hour,
    };
    if hour > 23 || told.minute > 59 || told.second > 59 {
        return None;
    }
    let weeks = told.week.or_else(|| told.iso_year.filter(|_| !told.has_year).map(|_| Week::Iso(1)));
    let weeks = weeks.filter(|week| !told.has_date && (!matches!(week, Week::Iso(_)) || !told.has_year));
    if told.day_of_year.is_some() && (told.week.is_some() || told.iso_year.is_some()) {
        return None;
    }
    let days = match told.day_of_year {
        Some(day) => {
            let first = i64::try_from(valid_date(told.year, 1, 1)?).ok()?;
            let next = i64::try_from(valid_date(told.year + 1, 1, 1)?).ok()?;
            Some(first + day - 1).filter(|&found| day >= 1 && found < next)?
        }
        None => match weeks {
            Some(week) => told.day_of_week(week)?,
            None => i64::try_from(valid_date(told.year, told.month, told.day)?).ok()?,
        },
    };
    let local = days * 86_400 + hour * 3_600 + told.minute * 60 + told.second;
    let ahead = match told.zone {
        Some(zone) => zone.ahead_of(local.checked_mul(1_000_000)?).ok()? / 1_000_000,
        None => told.ahead,
    };
    let seconds = local - ahead;
    Some(Moment {
        days: seconds.div_euclid(86_400),
        nanos: seconds.rem_euclid(86_400) * 1_000_000_000 + told.nanos,
    })
}

/// At most so many digits at the start of a text, and what is left.
pub(super) fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Which of some names, or their first three letters, a text starts with, and what is left.
pub(super) fn named<'a>(text: &'a str, names: &[&str]) -> Option<(i64, &'a str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let whole = names.iter().enumerate().find(|(_, name)| !name.is_empty() && starts(name));
    let whole = whole.map(|(place, name)| (place as i64, name.len()));
    let short =
        || names.iter().position(|name| name.get(..3).is_some_and(starts)).map(|place| (place as i64, 3));
    let (place, length) = whole.or_else(short)?;
    Some((place, &text[length..]))
}

fn read_one<'a>(told: &mut Told, letter: char, text: &'a str, beside: bool) -> Option<&'a str> {
    let mut number = |most: usize, into: fn(&mut Told) -> &mut i64| {
        let (value, rest) = digits(text, most)?;
        *into(told) = value;
        Some(rest)
    };
    match letter {
        'Y' => {
            let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
            let (year, rest) = digits(text, if beside { 4 } else { 7 })?;
            (told.year, told.has_year) = (sign * year, true);
            Some(rest)
        }
        'y' => {
            let (year, rest) = digits(text, 2)?;
            (told.year, told.has_year) = (if year < 69 { 2000 } else { 1900 } + year, true);
            Some(rest)
        }
        'm' | 'd' | 'e' => {
            let (value, rest) = digits(text, 2)?;
            *(if letter == 'm' { &mut told.month } else { &mut told.day }) = value;
            told.has_date = true;
            Some(rest)
        }
        'H' | 'I' => number(2, |told| &mut told.hour),
        'M' => number(2, |told| &mut told.minute),
        'S' => number(2, |told| &mut told.second),
        'j' => {
            let (day, rest) = digits(text, 3)?;
            told.day_of_year = Some(day);
            Some(rest)
        }
        'f' | 'g' | 'n' => {
            let most = match letter {
                'f' => 6,
                'g' => 3,
                _ => 9,
            };
            let (value, rest) = digits(text, most)?;
            told.nanos = value * 10_i64.pow((9 - (text.len() - rest.len())) as u32);
            Some(rest)
        }
        's' => {
            let (seconds, rest) = digits(text, 12)?;
            told.epoch = Some(seconds);
            Some(rest)
        }
        'b' | 'B' | 'h' => {
            let (month, rest) = named(text, &MONTHS)?;
            (told.month, told.has_date) = (month, true);
            Some(rest)
        }
        'a' | 'A' => Some(named(text, &DAYS)?.1),
        'w' | 'u' => {
            let (day, rest) = digits(text, 1)?;
            let fits = if letter == 'w' { 0..=6 } else { 1..=7 };
            told.weekday = Some(day % 7);
            fits.contains(&day).then_some(rest)
        }
        'U' | 'W' | 'V' => {
            let (week, rest) = digits(text, 2)?;
            let is_iso = letter == 'V';
            // One kind of weeks, and an ISO week of an ISO year.
            if told.week.is_some()
                || is_iso && told.has_year && !told.has_date
                || !is_iso && told.iso_year.is_some()
                || !(i64::from(is_iso)..=53).contains(&week)
            {
                return None;
            }
            told.week = Some(match letter {
                'U' => Week::Sunday(week),
                'W' => Week::Monday(week),
                _ => Week::Iso(week),
            });
            Some(rest)
        }
        'G' => {
            if matches!(told.week, Some(Week::Sunday(_) | Week::Monday(_))) {
                return None;
            }
            let (year, rest) = digits(text, 4)?;
            told.iso_year = Some(year);
            Some(rest)
        }
        'p' => {
            let half = text.get(..2)?.to_ascii_uppercase();
            told.afternoon = Some(half == "PM");
            (half == "AM" || half == "PM").then(|| &text[2..])
        }
        'z' => {
            let (ahead, rest) = offset(text)?;
            told.ahead = ahead;
            Some(rest)
        }
        'Z' => {
            let letter = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '_' | '+' | '-' | ':');
            let (name, rest) = text.split_at(text.find(letter).unwrap_or(text.len()));
            told.zone = Some(zone(name).ok()?);
            Some(rest)
        }
        _ => None,
    }
}

/// `Z`, `+HH`, `+HHMM` or `+HH:MM` in seconds, and what is left.
fn offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let two = |text: &str| text.bytes().take(2).filter(u8::is_ascii_digit).count() == 2;
    if !two(&text[1..]) {
        return None;
    }
    let (hours, rest) = digits(&text[1..], 2)?;
    let after = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = match after.starts_with(|c: char| c.is_ascii_digit()) {
        true if two(after) => digits(after, 2)?,
        true => return None,
        false => (0, rest),
    };
    Some((sign * (hours * 3_600 + minutes * 60), rest))
}
