//! When tables are refreshed, and how: from options as they are written to what they mean.

use crate::error::{Error, Result};
use crate::parse::TableOption;
use crate::statement::{RefreshMode, RefreshOptions};
use sqlparser::tokenizer::Span;
use std::time::Duration;

/// The least and the greatest time between two refreshes.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(366 * 86_400));

pub(crate) fn refresh_options(options: &[TableOption]) -> Result<RefreshOptions> {
    let mut known = RefreshOptions::default();
    for TableOption { name, value, span } in options {
        let again = match name.as_str() {
            "refresh_every" => {
                let every = value.as_deref().map(|text| every(text, *span)).transpose()?;
                known.every.replace(every).is_some()
            }
            "refresh_mode" => {
                let mode = value.as_deref().map_or(Ok(RefreshMode::Incremental), |text| mode(text, *span))?;
                known.mode.replace(mode).is_some()
            }
            _ => {
                return Err(Error::name(format!("a table has no option \"{name}\""))
                    .at(*span)
                    .hint("the options are refresh_every and refresh_mode"));
            }
        };
        if again {
            return Err(Error::name(format!("the option \"{name}\" is named twice")).at(*span));
        }
    }
    Ok(known)
}

fn every(text: &str, span: Span) -> Result<Duration> {
    let wrong = |what: &str| {
        Error::value(format!("refresh_every is '{text}', {what}"))
            .at(span)
            .hint("name an interval, such as '15 minutes' or '1 day'")
    };
    if text.trim().parse::<f64>().is_ok() {
        return Err(wrong("a number without a unit"));
    }
    let interval = exec::expression::parse::interval(text).ok_or_else(|| wrong("which is no interval"))?;
    let every = u64::try_from(interval.comparison_micros()).map_err(|_| wrong("which is not positive"))?;
    let every = Duration::from_micros(every);
    if every < EVERY.0 {
        return Err(wrong("the least is 1 second"));
    }
    if every > EVERY.1 {
        return Err(wrong("the most is 366 days"));
    }
    Ok(every)
}

fn mode(text: &str, span: Span) -> Result<RefreshMode> {
    match text.to_ascii_lowercase().as_str() {
        "incremental" => Ok(RefreshMode::Incremental),
        "full" => Ok(RefreshMode::Full),
        _ => Err(Error::value(format!("refresh_mode is '{text}'")).at(span).hint(
            "it is 'incremental' (files that were added, replaced or removed) or 'full' (all files anew)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: Option<&str>) -> Result<RefreshOptions> {
        let value = value.map(str::to_string);
        refresh_options(&[TableOption { name: name.into(), value, span: Span::empty() }])
    }

    #[test]
    fn intervals_of_postgresql() {
        for (text, seconds) in [
            ("1 second", 1),
            ("15 minutes", 900),
            ("1h", 3_600),
            ("1 day 02:00:00", 93_600),
            ("PT1M", 60),
            ("2 weeks", 1_209_600),
            ("1 year", 360 * 86_400),
            ("366 days", 366 * 86_400),
        ] {
            let every = check("refresh_every", Some(text)).unwrap().every;
            assert_eq!(every, Some(Some(Duration::from_secs(seconds))), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_between_refreshes_is_refused() {
        for (text, why) in [
            ("999 ms", "least is 1 second"),
            ("0 hours", "least is 1 second"),
            ("-1 hour", "not positive"),
            ("1 hour ago", "not positive"),
            ("367 days", "most is 366 days"),
            ("100000 years", "most is 366 days"),
            ("99999999999999999999 years", "no interval"),
            ("15", "without a unit"),
            ("1e3", "without a unit"),
            ("hourly", "no interval"),
            ("", "no interval"),
        ] {
            let error = check("refresh_every", Some(text)).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("15 minutes"), "{text}: {error}");
        }
    }

    #[test]
    fn options_are_known_and_named_once() {
        assert_eq!(check("refresh_mode", Some("FULL")).unwrap().mode, Some(RefreshMode::Full));
        assert_eq!(check("refresh_mode", None).unwrap().mode, Some(RefreshMode::Incremental));
        assert_eq!(check("refresh_every", None).unwrap().every, Some(None));
        assert!(check("refresh_mode", Some("both")).unwrap_err().to_string().contains("incremental"));
        assert!(check("retention", Some("1 day")).unwrap_err().to_string().contains("refresh_every"));
        let option = TableOption { name: "refresh_every".into(), value: None, span: Span::empty() };
        let twice = refresh_options(&[option.clone(), option]).unwrap_err().to_string();
        assert!(twice.contains("twice"), "{twice}");
    }
}
