//! Windows of the week in which a pool has more nodes at least: `mon-fri 08:00-18:00=6`, in UTC.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTE_US: i64 = 60_000_000;
const DAY_MINUTES: i64 = 24 * 60;

/// Hours of days of the week, in UTC, with the fewest nodes that there are then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Such as `mon-fri`, `sat,sun` or `daily`.
    pub days: String,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`, up to `24:00`; earlier than `from`: of the next day.
    pub to: String,
    pub minimum: u32,
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}-{}={}", self.days, self.from, self.to, self.minimum)
    }
}

impl std::str::FromStr for Window {
    type Err = String;

    /// Reads `DAYS HH:MM-HH:MM=N`.
    fn from_str(text: &str) -> Result<Window, String> {
        let wrong = || format!("expected a window such as 'mon-fri 08:00-18:00=6', got '{text}'");
        let (days, rest) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let (hours, minimum) = rest.split_once('=').ok_or_else(wrong)?;
        let (from, to) = hours.trim().split_once('-').ok_or_else(wrong)?;
        let minimum = minimum.trim().parse().map_err(|_| wrong())?;
        let window = Window { days: days.into(), from: from.into(), to: to.into(), minimum };
        window.parts()?;
        Ok(window)
    }
}

/// A window as it is compared with a time.
struct Parts {
    /// From Monday.
    days: [bool; 7],
    /// Minutes of the day.
    from: i64,
    to: i64,
}

impl Window {
    /// What is wrong with it, and what is expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.parts().map(drop)
    }

    /// Whether it has begun and not ended at a time in microseconds since 1970.
    pub(crate) fn holds(&self, at_us: i64) -> bool {
        let Ok(Parts { days, from, to }) = self.parts() else { return false };
        let minute = at_us.div_euclid(MINUTE_US);
        let (day, minute) = (minute.div_euclid(DAY_MINUTES), minute.rem_euclid(DAY_MINUTES));
        // 1970 began with a Thursday.
        let of_day = |day: i64| days[usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0)];
        match from < to {
            true => of_day(day) && (from..to).contains(&minute),
            false => of_day(day) && minute >= from || of_day(day - 1) && minute < to,
        }
    }

    fn parts(&self) -> Result<Parts, String> {
        let (from, to) = (minutes(&self.from)?, minutes(&self.to)?);
        if from == to || from == DAY_MINUTES {
            let (from, to) = (&self.from, &self.to);
            return Err(format!("a window from {from} to {to} has no length; a whole day is 00:00-24:00"));
        }
        Ok(Parts { days: days(&self.days)?, from, to })
    }
}

fn minutes(text: &str) -> Result<i64, String> {
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number <= most)
    };
    let parts =
        text.split_once(':').and_then(|(hour, minute)| Some((number(hour, 24)?, number(minute, 59)?)));
    let minutes = parts.map(|(hour, minute)| hour * 60 + minute).filter(|&minutes| minutes <= DAY_MINUTES);
    minutes.ok_or_else(|| format!("expected a time (UTC) such as 08:00, got '{text}'"))
}

fn days(text: &str) -> Result<[bool; 7], String> {
    if text == "daily" {
        return Ok([true; 7]);
    }
    let wrong = || format!("expected days such as mon-fri, sat,sun or daily, got '{text}'");
    let place = |name: &str| DAYS.iter().position(|day| *day == name).ok_or_else(wrong);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first)?, place(last)?);
        let length = (last + 7 - first) % 7;
        (first..=first + length).for_each(|day| days[day % 7] = true);
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, the 6th of January 2020, 00:00.
    const MONDAY: i64 = 1_578_268_800;

    fn holds(window: &str, day: i64, hour: i64, minute: i64) -> bool {
        let at_s = MONDAY + ((day * 24 + hour) * 60 + minute) * 60;
        window.parse::<Window>().unwrap().holds(at_s * 1_000_000)
    }

    #[test]
    fn windows_begin_and_end_by_the_week() {
        let office = "mon-fri 08:00-18:30=6";
        assert!(holds(office, 0, 8, 0) && holds(office, 4, 18, 29));
        assert!(!holds(office, 0, 7, 59) && !holds(office, 4, 18, 30) && !holds(office, 5, 12, 0));
        // Over midnight it is of the day on which it began; days may go round the week's end.
        let night = "sun 22:00-02:00=2";
        assert!(holds(night, 6, 23, 0) && holds(night, 7, 1, 59));
        assert!(!holds(night, 6, 1, 0) && !holds(night, 7, 2, 0) && !holds(night, 8, 1, 0));
        assert!(holds("sat-mon 00:00-24:00=1", 7, 0, 0) && !holds("sat-mon 00:00-24:00=1", 8, 0, 0));
        assert!(holds("daily 12:00-13:00=1", 2, 12, 30));
    }

    #[test]
    fn what_is_no_window_is_told() {
        for wrong in [
            "",
            "mon",
            "mon 8:00-9:00=1",
            "mon 08:00-08:00=1",
            "mon 24:00-01:00=1",
            "mon 08:00-25:00=1",
            "mon 24:01-08:00=1",
            "mom 08:00-09:00=1",
            "mon- 08:00-09:00=1",
            "mon 08:00-09:00=-1",
            "mon 08:00-09:00",
            "mon +8:00-09:00=1",
        ] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
        let text = "sat,sun 08:00-24:00=3";
        assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
    }
}
