//! Cron: moments by fields of the calendar, in a zone. What a text means is part of the contract between who decides on
//! schedules and who keeps them.
//!
//! Five fields: minute, hour, day of month, month, day of week; each a list of `*`, numbers, ranges and steps, the last
//! two also by English names of three letters. Where day of month and day of week are both restricted (neither begins
//! with `*`) either is enough, as Vixie's cron (1987) has it.
//!
//! As clocks are put forward, moments of named hours that are left out come together at the end of the gap; as clocks are
//! put back, they come the first time alone. Where the hour is `*` real time counts: nothing is made up, nothing left out.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
};
pub use chrono_tz::IANA_TZDB_VERSION;
use chrono_tz::Tz;
use std::str::FromStr;

/// The longest text of a schedule, in bytes.
const TEXT_MOST: usize = 256;
/// How far the next moment is looked for: 29 February of a certain day of the week is up to 40 years away.
const DAYS_MOST: u64 = 45 * 366;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 8] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Moments by fields of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    /// From Sunday, 0, to Saturday.
    weekdays: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    /// The bit of each number that counts.
    numbers: u64,
    /// It begins with `*`.
    open: bool,
}

impl Field {
    fn has(self, number: u32) -> bool {
        self.numbers >> number & 1 == 1
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |&number| self.has(number))
    }
}

/// Where a schedule's clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    pub const UTC: Zone = Zone(Tz::UTC);

    /// Its name in the IANA database.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

/// Why a text is no schedule, or no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error(
        "'{0}' is no schedule: expected five fields (minute, hour, day of month, month, day of week) such as \
         '0 3 * * mon-fri', or @hourly, @daily, @weekly or @monthly"
    )]
    Fields(String),
    #[error(
        "'{text}' is no {what}: expected {expected}, lists such as 1,3, ranges such as 1-5, and steps such as */2"
    )]
    Field { what: &'static str, text: String, expected: &'static str },
    #[error("the range '{text}' of the {what} ends before it begins")]
    Backwards { what: &'static str, text: String },
    #[error("'{0}' never comes: there is no such day")]
    Never(String),
    #[error(
        "'{0}' is no zone that is known here: expected a name of the IANA database such as Europe/Berlin, or UTC"
    )]
    Zone(String),
}

impl FromStr for Zone {
    type Err = CronError;

    /// Names as the IANA database has them; none is UTC.
    fn from_str(text: &str) -> Result<Zone, CronError> {
        match text {
            "" => Ok(Zone::UTC),
            _ => text.parse().map(Zone).map_err(|_| CronError::Zone(shown(text))),
        }
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Cron, CronError> {
        let fields = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            fields => fields,
        };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = &fields[..] else {
            return Err(CronError::Fields(shown(text)));
        };
        if text.len() > TEXT_MOST {
            return Err(CronError::Fields(shown(text)));
        }
        let mut weekdays =
            Words::new("day of week", 0, 7, &WEEKDAYS, "0 (Sunday) to 7, sun to sat").field(weekdays)?;
        // Sunday is 0 and 7.
        weekdays.numbers = (weekdays.numbers | weekdays.numbers >> 7) & 0x7f;
        let cron = Cron {
            minutes: Words::new("minute", 0, 59, &[], "0 to 59").field(minutes)?,
            hours: Words::new("hour", 0, 23, &[], "0 to 23").field(hours)?,
            days: Words::new("day of month", 1, 31, &[], "1 to 31").field(days)?,
            months: Words::new("month", 1, 12, &MONTHS, "1 to 12, jan to dec").field(months)?,
            weekdays,
        };
        // Every day of a leap year is on every day of the week within 28 years from here.
        const LEAP_YEAR_US: i64 = 946_684_800_000_000;
        match cron.next(LEAP_YEAR_US - 1, Zone::UTC) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(shown(text))),
        }
    }
}

/// What a field may say.
struct Words {
    what: &'static str,
    least: u32,
    most: u32,
    /// From `least` on.
    names: &'static [&'static str],
    expected: &'static str,
}

impl Words {
    fn new(
        what: &'static str,
        least: u32,
        most: u32,
        names: &'static [&'static str],
        expected: &'static str,
    ) -> Words {
        Words { what, least, most, names, expected }
    }

    fn wrong(&self, text: &str) -> CronError {
        CronError::Field { what: self.what, text: shown(text), expected: self.expected }
    }

    fn field(&self, text: &str) -> Result<Field, CronError> {
        let mut numbers = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                None => (part, None),
                Some((range, step)) => {
                    let step = digits(step).filter(|&step| step > 0);
                    (range, Some(step.ok_or_else(|| self.wrong(part))?))
                }
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((first, last)) => (self.number(first, part)?, self.number(last, part)?),
                None => {
                    let first = self.number(range, part)?;
                    (first, if step.is_some() { self.most } else { first })
                }
            };
            // A week ends on Sunday, too.
            let last = if last == 0 && first > 0 && self.most == 7 { 7 } else { last };
            if last < first {
                return Err(CronError::Backwards { what: self.what, text: shown(part) });
            }
            let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
            (first..=last).step_by(step).for_each(|number| numbers |= 1 << number);
        }
        Ok(Field { numbers, open: text.starts_with('*') })
    }

    fn number(&self, text: &str, part: &str) -> Result<u32, CronError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + self.least);
        let number = named.or_else(|| digits(text));
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| self.wrong(part))
    }
}

fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// What somebody typed, as far as a message repeats it.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

impl Cron {
    /// The first moment after `after_us`, both in microseconds since 1970; `None`: none comes, or not within 45 years.
    pub fn next(&self, after_us: i64, zone: Zone) -> Option<i64> {
        let after = DateTime::from_timestamp_micros(after_us)?;
        let local = after.with_timezone(&zone.0).naive_local().date();
        // What is left out or comes twice may belong to a day that the clock does not show at the moment.
        let mut day = local.checked_sub_days(Days::new(1))?;
        let end = day.checked_add_days(Days::new(DAYS_MOST))?;
        while day < end {
            if !self.months.has(day.month()) {
                day = first_of_next_month(day)?;
                continue;
            }
            let following = day.succ_opt()?;
            let found =
                [day, following].into_iter().filter_map(|day| self.first_on(day, after_us, zone)).min();
            if found.is_some() {
                return found;
            }
            day = following;
        }
        None
    }

    /// The first moment of a day that comes after another.
    fn first_on(&self, day: NaiveDate, after_us: i64, zone: Zone) -> Option<i64> {
        if !self.is_on(day) {
            return None;
        }
        let times = self.hours.numbers().flat_map(|hour| {
            self.minutes.numbers().filter_map(move |minute| NaiveTime::from_hms_opt(hour, minute, 0))
        });
        let moments = times.flat_map(|time| self.moments(day.and_time(time), zone));
        moments.flatten().filter(|&moment| moment > after_us).min()
    }

    fn is_on(&self, day: NaiveDate) -> bool {
        let (month, weekday) =
            (self.days.has(day.day()), self.weekdays.has(day.weekday().num_days_from_sunday()));
        let days = match self.days.open || self.weekdays.open {
            true => month && weekday,
            false => month || weekday,
        };
        days && self.months.has(day.month())
    }

    /// The moments at which the zone's clocks show a time.
    fn moments(&self, local: NaiveDateTime, zone: Zone) -> [Option<i64>; 2] {
        match zone.0.from_local_datetime(&local) {
            MappedLocalTime::Single(moment) => [Some(moment.timestamp_micros()), None],
            MappedLocalTime::Ambiguous(first, second) => {
                let (first, second) = (first.timestamp_micros(), second.timestamp_micros());
                [Some(first.min(second)), Some(first.max(second)).filter(|_| self.hours.open)]
            }
            MappedLocalTime::None if self.hours.open => [None, None],
            MappedLocalTime::None => [end_of_gap(local, zone), None],
        }
    }
}

/// The moment at which the clocks of a zone are put forward over a time.
fn end_of_gap(local: NaiveDateTime, zone: Zone) -> Option<i64> {
    // Clocks are put forward at whole minutes, by a day at most.
    let mut later = local;
    for _ in 0..=24 * 60 {
        later = later.checked_add_signed(TimeDelta::minutes(1))?;
        match zone.0.from_local_datetime(&later) {
            MappedLocalTime::None => {}
            MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(moment, _) => {
                return Some(moment.timestamp_micros());
            }
        }
    }
    None
}

fn first_of_next_month(day: NaiveDate) -> Option<NaiveDate> {
    match day.month() {
        12 => NaiveDate::from_ymd_opt(day.year() + 1, 1, 1),
        month => NaiveDate::from_ymd_opt(day.year(), month + 1, 1),
    }
}

#[cfg(test)]
mod tests;
