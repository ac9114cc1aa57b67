//! What `SET` changes and `SHOW` shows of a session.

use crate::error::{Error, Result};
use crate::routing::AUTO;
use crate::usage::LABEL_MOST;
use exec::context::Settings;
use planner::Optimizer;
use std::time::Duration;

/// A session's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionSettings {
    pub(crate) execution: Settings,
    /// Longer queries are ended.
    pub(crate) query_timeout: Option<Duration>,
    /// Queries that one shard holds up are tried without it, too.
    pub(crate) hedge: bool,
    /// How far plans are improved.
    pub(crate) optimizer: Optimizer,
    /// Which engine answers: `auto`, or one that the session forces.
    pub(crate) engine: String,
    /// What the client calls its queries; empty: nothing.
    pub(crate) query_label: String,
    /// By which clocks instants are shown and read.
    pub(crate) zone: String,
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        SessionSettings {
            execution: Settings::default(),
            query_timeout: None,
            hedge: true,
            optimizer: Optimizer::On,
            engine: AUTO.into(),
            query_label: String::new(),
            zone: "UTC".into(),
        }
    }
}

/// The longest name of an engine or label, in bytes.
const TEXT_BYTES: usize = 128;

const NAMES: [&str; 10] = [
    "batch_rows",
    "parallelism",
    "disturb",
    "query_timeout",
    "hedge",
    "optimizer",
    "engine",
    "query_label",
    "timezone",
    "calendar",
];

impl SessionSettings {
    /// `SET name = value`; without a value the one in `defaults`.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>, defaults: &SessionSettings) -> Result<()> {
        let (execution, initial) = (&mut self.execution, &defaults.execution);
        match (name.to_ascii_lowercase().as_str(), value) {
            ("batch_rows", Some(value)) => {
                let most = columnar::BATCH_ROWS;
                execution.batch_rows = number(name, value, 1, most as u64)? as usize;
            }
            ("batch_rows", None) => execution.batch_rows = initial.batch_rows,
            ("parallelism", Some(value)) => {
                execution.parallelism = number(name, value, 1, u32::MAX.into())? as usize;
            }
            ("parallelism", None) => execution.parallelism = initial.parallelism,
            ("disturb", Some(value)) => {
                execution.disturb = match value.to_ascii_lowercase().as_str() {
                    "off" => None,
                    seed => Some(number(name, seed, 0, u64::MAX)?),
                };
            }
            ("disturb", None) => execution.disturb = initial.disturb,
            ("query_timeout", Some(value)) => {
                let milliseconds = duration_ms(value).ok_or_else(|| {
                    Error::Statement(format!(
                        "query_timeout takes a time such as '500ms', '30s' or '5min', not '{value}'"
                    ))
                })?;
                let timeout = Some(Duration::from_millis(milliseconds)).filter(|time| !time.is_zero());
                // The operator's limit is the most: 0 is none at all.
                if let Some(most) = defaults.query_timeout
                    && timeout.is_none_or(|timeout| timeout > most)
                {
                    return Err(Error::Statement(format!(
                        "query_timeout is at most {} ms here, and not '{value}'",
                        most.as_millis()
                    )));
                }
                self.query_timeout = timeout;
            }
            ("hedge", Some(value)) => self.hedge = switch(name, value)?,
            ("optimizer", Some(value)) => self.optimizer = optimizer(value)?,
            ("engine", value) => self.engine = text(name, value.unwrap_or(&defaults.engine))?,
            ("query_label", value) => {
                self.query_label = checked_label(value.unwrap_or(&defaults.query_label))?;
            }
            ("timezone", Some(value)) => {
                self.zone = exec::functions::zone_name(value).ok_or_else(|| {
                    Error::Statement(format!(
                        "timezone takes a name such as 'Europe/Berlin' or an offset such as '+02:00', not '{value}'"
                    ))
                })?;
            }
            // There is one, which DuckDB's scripts ask for.
            ("calendar", None) => {}
            ("calendar", Some(value)) if value.eq_ignore_ascii_case("gregorian") => {}
            ("calendar", Some(value)) => {
                return Err(Error::Statement(format!("calendar is 'gregorian', and not '{value}'")));
            }
            ("timezone", None) => self.zone = defaults.zone.clone(),
            ("hedge", None) => self.hedge = defaults.hedge,
            ("optimizer", None) => self.optimizer = defaults.optimizer,
            ("query_timeout", None) => self.query_timeout = defaults.query_timeout,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// The value of a setting as text.
    pub(crate) fn show(&self, name: &str) -> Result<String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "batch_rows" => self.execution.batch_rows.to_string(),
            "parallelism" if self.execution.parallelism == usize::MAX => "all".into(),
            "parallelism" => self.execution.parallelism.to_string(),
            "disturb" => self.execution.disturb.map_or("off".into(), |seed| seed.to_string()),
            "query_timeout" => {
                self.query_timeout.map_or("none".into(), |time| format!("{}ms", time.as_millis()))
            }
            "hedge" => if self.hedge { "on" } else { "off" }.into(),
            "optimizer" => match self.optimizer {
                Optimizer::Off => "off".into(),
                Optimizer::On => "on".into(),
                Optimizer::Random(seed) => format!("random {seed}"),
            },
            "engine" => self.engine.clone(),
            "query_label" => self.query_label.clone(),
            "timezone" => self.zone.clone(),
            "calendar" => "gregorian".into(),
            _ => return Err(unknown(name)),
        })
    }

    /// Every setting with its value.
    pub(crate) fn all(&self) -> Result<Vec<(String, String)>> {
        NAMES.iter().map(|name| Ok((name.to_string(), self.show(name)?))).collect()
    }
}

/// A label that the use of statements is counted under.
pub(crate) fn checked_label(label: &str) -> Result<String> {
    let fits = label.len() <= LABEL_MOST && !label.chars().any(char::is_control);
    let wrong =
        || Error::Statement(format!("query_label takes up to {LABEL_MOST} bytes without control characters"));
    fits.then(|| label.to_string()).ok_or_else(wrong)
}

fn unknown(name: &str) -> Error {
    Error::Statement(format!("there is no setting '{name}'; there are {}", NAMES.join(", ")))
}

/// A short text on one line.
fn text(name: &str, value: &str) -> Result<String> {
    match value.len() <= TEXT_BYTES && !value.chars().any(char::is_control) {
        true => Ok(value.into()),
        false => Err(Error::Statement(format!(
            "{name} takes a text of at most {TEXT_BYTES} bytes without control characters"
        ))),
    }
}

fn switch(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(Error::Statement(format!("{name} takes 'on' or 'off', not '{value}'"))),
    }
}

fn optimizer(value: &str) -> Result<Optimizer> {
    let seed = value.get(.."random ".len()).filter(|word| word.eq_ignore_ascii_case("random "));
    match (seed, switch("optimizer", value)) {
        (Some(word), _) => {
            Ok(Optimizer::Random(number("optimizer random", &value[word.len()..], 0, u64::MAX)?))
        }
        (None, Ok(true)) => Ok(Optimizer::On),
        (None, Ok(false)) => Ok(Optimizer::Off),
        (None, Err(_)) => Err(Error::Statement(format!(
            "optimizer takes 'on', 'off' or 'random N' (joins in an order that N draws), not '{value}'"
        ))),
    }
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64> {
    let number = value.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        Error::Statement(format!("{name} takes a number from {least} to {most}, not '{value}'"))
    })
}

/// `500ms`, `30s`, `5min`; a bare number is milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_the_configuration_can_only_be_lowered() {
        let limit = Some(Duration::from_secs(30));
        let defaults = SessionSettings { query_timeout: limit, ..SessionSettings::default() };
        let mut settings = defaults.clone();
        settings.set("query_timeout", Some("20s"), &defaults).unwrap();
        for raised in ["0", "31s", "1h"] {
            let error = settings.set("query_timeout", Some(raised), &defaults).unwrap_err().to_string();
            assert!(error.contains("at most 30000 ms"), "{error}");
            assert_eq!(settings.show("query_timeout").unwrap(), "20000ms");
        }
        settings.set("query_timeout", Some("30s"), &defaults).unwrap();
    }

    #[test]
    fn set_show_and_back() {
        let defaults = SessionSettings::default();
        let mut settings = defaults.clone();
        for (name, value, shown) in [
            ("Batch_Rows", "3", "3"),
            ("parallelism", "1", "1"),
            ("disturb", "7", "7"),
            ("query_timeout", "2 min", "120000ms"),
            ("hedge", "OFF", "off"),
            ("optimizer", "Random 12", "random 12"),
            ("engine", "Warehouse", "Warehouse"),
            ("query_label", "nightly report", "nightly report"),
            ("TimeZone", "europe/berlin", "Europe/Berlin"),
            ("timezone", "-9.5", "-09:30"),
            ("timezone", "+5", "+05:00"),
            ("Calendar", "Gregorian", "gregorian"),
        ] {
            settings.set(name, Some(value), &defaults).unwrap();
            assert_eq!(settings.show(name).unwrap(), shown);
        }
        assert_eq!(settings.all().unwrap().len(), NAMES.len());
        for name in NAMES {
            settings.set(name, None, &defaults).unwrap();
        }
        assert_eq!(settings, defaults);
        for (name, value) in [
            ("batch_rows", "0"),
            ("batch_rows", "2049"),
            ("query_timeout", "soon"),
            ("hedge", "maybe"),
            ("optimizer", "fast"),
            ("optimizer", "random -1"),
            ("query_label", "two\nlines"),
            ("timezone", "Europe/Nowhere"),
            ("timezone", "+25"),
            ("calendar", "buddhist"),
            ("engine", &"x".repeat(129)),
            ("nothing", "1"),
            ("query_label", &"x".repeat(LABEL_MOST + 1)),
        ] {
            let error = settings.set(name, Some(value), &defaults).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
