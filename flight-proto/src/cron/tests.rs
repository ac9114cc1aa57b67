use super::*;
use chrono::Timelike;
use proptest::prelude::*;

const MINUTE_US: i64 = 60_000_000;

fn utc(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp_micros()
}

/// The first moments after one, in UTC.
fn moments(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone): (Cron, Zone) = (cron.parse().unwrap(), zone.parse().unwrap());
    let next = |after: &i64| cron.next(*after, zone);
    let moments = std::iter::successors(next(&utc(after)), next).take(count);
    let shown = |at| DateTime::from_timestamp_micros(at).unwrap().format("%Y-%m-%d %H:%M").to_string();
    moments.map(shown).collect()
}

#[test]
fn fields_of_the_calendar() {
    let after = "2026-11-28 14:40"; // A Saturday.
    for (cron, expected) in [
        ("* * * * *", "2026-11-28 14:41"),
        ("*/15 * * * *", "2026-11-28 14:45"),
        ("5/20 * * * *", "2026-11-28 14:45"),
        ("40 14 * * *", "2026-11-29 14:40"),
        ("0 3 * * mon-fri", "2026-11-30 03:00"),
        ("0 3 * * MON,wed", "2026-11-30 03:00"),
        ("0 3 * * 0", "2026-11-29 03:00"),
        ("0 3 * * 7", "2026-11-29 03:00"),
        ("0 3 * * sat-sun", "2026-11-29 03:00"),
        ("0 3 * * 2-4/2", "2026-12-01 03:00"),
        ("30 4 1,15 * *", "2026-12-01 04:30"),
        // Either is enough.
        ("30 4 15 * sun", "2026-11-29 04:30"),
        // Both must fit, since one begins with a star.
        ("30 4 */2 * tue", "2026-12-01 04:30"),
        ("0 0 29 feb *", "2028-02-29 00:00"),
        ("0 0 31 4,dec *", "2026-12-31 00:00"),
        ("@hourly", "2026-11-28 15:00"),
        ("@daily", "2026-11-29 00:00"),
        ("@weekly", "2026-11-29 00:00"),
        (" @monthly ", "2026-12-01 00:00"),
        ("59 23 31 12 *", "2026-12-31 23:59"),
    ] {
        assert_eq!(moments(cron, "UTC", after, 1), [expected], "{cron}");
    }
}

#[test]
fn clocks_that_are_put_forward_and_back() {
    // 02:00 becomes 03:00 in Berlin on 29 March 2026, and 03:00 becomes 02:00 on 25 October.
    let named = moments("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", 3);
    assert_eq!(named, ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"]);
    let several = moments("*/20 2 * * *", "Europe/Berlin", "2026-03-29 00:00", 2);
    assert_eq!(several, ["2026-03-29 01:00", "2026-03-30 00:00"], "they come together");
    let hourly = moments("30 * * * *", "Europe/Berlin", "2026-03-29 00:00", 2);
    assert_eq!(hourly, ["2026-03-29 00:30", "2026-03-29 01:30"]);
    let once = moments("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", 2);
    assert_eq!(once, ["2026-10-25 00:30", "2026-10-26 01:30"]);
    let hourly = moments("30 * * * *", "Europe/Berlin", "2026-10-25 00:00", 3);
    assert_eq!(hourly, ["2026-10-25 00:30", "2026-10-25 01:30", "2026-10-25 02:30"]);
    // A whole day was left out in Samoa.
    let left_out = moments("0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00", 2);
    assert_eq!(left_out, ["2011-12-30 10:00", "2012-12-29 22:00"]);
}

#[test]
fn what_is_no_schedule_is_told() {
    for (cron, told) in [
        ("", "expected five fields"),
        ("* * * *", "expected five fields"),
        ("@yearly", "expected five fields"),
        ("60 * * * *", "'60' is no minute: expected 0 to 59"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of month: expected 1 to 31"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * * 8", "'8' is no day of week"),
        ("* * * * mo", "'mo' is no day of week"),
        ("jan * * * *", "no minute"),
        ("*/0 * * * *", "no minute"),
        ("1, * * * *", "'' is no minute"),
        ("1-2-3 * * * *", "no minute"),
        ("+1 * * * *", "no minute"),
        ("5-1 * * * *", "the range '5-1' of the minute ends before it begins"),
        ("* * * * fri-mon", "ends before it begins"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 31 2,4,jun *", "never comes"),
        ("99999999999999999999 * * * *", "no minute"),
    ] {
        let error = cron.parse::<Cron>().unwrap_err().to_string();
        assert!(error.contains(told), "{cron}: {error}");
    }
    assert!(format!("{}0 * * * *", " ".repeat(300)).parse::<Cron>().is_err());
    for zone in ["Berlin", "europe/berlin", "+01:00", "é"] {
        assert!(zone.parse::<Zone>().unwrap_err().to_string().contains("Europe/Berlin"), "{zone}");
    }
    assert_eq!("".parse::<Zone>().unwrap().name(), "UTC");
}

#[test]
fn moments_out_of_reach_are_none() {
    let cron: Cron = "0 0 1 1 *".parse().unwrap();
    for at_us in [i64::MIN, i64::MAX, i64::MAX - 1] {
        assert_eq!(cron.next(at_us, "Asia/Kathmandu".parse().unwrap()), None);
    }
}

/// What a field may be, and the numbers that it stands for.
fn field(least: u32, most: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    let number = least..=most;
    prop_oneof![
        3 => Just(("*".to_string(), (least..=most).collect())),
        2 => (2..=most).prop_map(move |step| {
            (format!("*/{step}"), (least..=most).filter(|number| (number - least).is_multiple_of(step)).collect())
        }),
        3 => proptest::collection::vec(number.clone(), 1..4).prop_map(|numbers| {
            let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
            (words.join(","), numbers)
        }),
        2 => (number.clone(), number, 1..4_u32).prop_map(|(one, other, step)| {
            let (first, last) = (one.min(other), one.max(other));
            (format!("{first}-{last}/{step}"), (first..=last).filter(|number| (number - first) % step == 0).collect())
        }),
    ]
}

/// The first moment after one, found minute by minute; `None`: not before `end_us`.
fn naive(fields: &[(String, Vec<u32>)], zone: Zone, after_us: i64, end_us: i64) -> Option<i64> {
    let open = |at: usize| fields[at].0.starts_with('*');
    let fits = |local: NaiveDateTime| {
        let has = |at: usize, number: u32| fields[at].1.contains(&number);
        let (day, weekday) = (has(2, local.day()), has(4, local.weekday().num_days_from_sunday()));
        let days = if open(2) || open(4) { day && weekday } else { day || weekday };
        has(0, local.minute()) && has(1, local.hour()) && has(3, local.month()) && days
    };
    let local_at =
        |at_us: i64| DateTime::from_timestamp_micros(at_us).unwrap().with_timezone(&zone.0).naive_local();
    let first = after_us.div_euclid(MINUTE_US) * MINUTE_US;
    // Clocks are never put back by more than a day here.
    let mut latest = local_at(first - 1_440 * MINUTE_US);
    let mut at_us = first - 1_440 * MINUTE_US;
    while at_us < end_us {
        at_us += MINUTE_US;
        let local = local_at(at_us);
        let mut fit = fits(local) && (open(1) || local > latest);
        let mut left_out = latest + TimeDelta::minutes(1);
        while !open(1) && left_out < local {
            fit |= fits(left_out);
            left_out += TimeDelta::minutes(1);
        }
        latest = latest.max(local);
        if fit && at_us > after_us {
            return Some(at_us);
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn as_a_search_minute_by_minute(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut"]),
        day in 0_i64..1_500,
        second in 0_i64..86_400,
    ) {
        let fields = [fields.0, fields.1, fields.2, fields.3, fields.4];
        let text = fields.each_ref().map(|(text, _)| text.as_str()).join(" ");
        let zone: Zone = zone.parse().unwrap();
        // From 2023 on; days on which clocks change are among them.
        let after_us = utc("2023-01-01 00:00") + (day * 86_400 + second) * 1_000_000;
        let end_us = after_us + 40 * 1_440 * MINUTE_US;
        match text.parse::<Cron>() {
            Ok(cron) => {
                let next = cron.next(after_us, zone).filter(|&next| next <= end_us);
                prop_assert_eq!(next, naive(&fields, zone, after_us, end_us), "{} {}", text, zone.name());
            }
            Err(error) => prop_assert!(matches!(error, CronError::Never(_)), "{error}"),
        }
    }

    #[test]
    fn texts_of_any_kind_are_answered(text in "[-*/,0-9a-z@ ]{0,40}|\\PC{0,20}") {
        if let Ok(cron) = text.parse::<Cron>() {
            prop_assert!(cron.next(0, Zone::UTC).is_some());
        }
        let _ = text.parse::<Zone>();
    }
}
