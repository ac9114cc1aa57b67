//! The configuration file.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::COMMANDS;
use crate::Failure;

/// A configuration file whose settings are all known.
pub(super) struct File {
    pub(super) path: PathBuf,
    settings: Vec<Setting>,
}

/// A setting as it stands in the file.
pub(super) struct Setting {
    /// The command whose table it stands in; `None`: it counts for all that have it.
    command: Option<String>,
    name: String,
    pub(super) values: Vec<String>,
    /// From 1.
    pub(super) line: usize,
}

impl File {
    /// Reads a file; `names` tells the settings of a command.
    pub(super) fn read(path: PathBuf, names: impl Fn(&str) -> Vec<String>) -> Result<File, Failure> {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let settings = parse(&text, names).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(File { path, settings })
    }

    /// A setting of a command: that of its table, else that of all commands.
    pub(super) fn find(&self, command: &str, name: &str) -> Option<&Setting> {
        let of = |wanted: Option<&str>| {
            let mut settings = self.settings.iter();
            settings.find(|setting| setting.command.as_deref() == wanted && setting.name == name)
        };
        of(Some(command)).or_else(|| of(None))
    }

    /// The line in which a value of a setting stands.
    pub(super) fn line_of(&self, name: &str, value: &str) -> Option<usize> {
        let mut settings = self.settings.iter().filter(|setting| setting.name == name);
        let found = settings.find(|setting| setting.values.iter().any(|known| known == value));
        found.map(|setting| setting.line)
    }
}

fn parse(text: &str, names: impl Fn(&str) -> Vec<String>) -> Result<Vec<Setting>, String> {
    let table = DeTable::parse(text).map_err(|error| format!("it is no TOML: {error}"))?;
    let line = |at: usize| text[..at].bytes().filter(|&byte| byte == b'\n').count() + 1;
    let everywhere: Vec<String> = COMMANDS.iter().flat_map(|command| names(command)).collect();
    let mut settings = Vec::new();
    let mut add =
        |command: Option<&str>, known: &[String], key: &Spanned<DeString<'_>>, value: &DeValue<'_>| {
            let (name, line) = (key.get_ref().to_string(), line(key.span().start));
            if !known.contains(&name) {
                let of = command.map_or("tundra".into(), |command| format!("tundra {command}"));
                return Err(format!(
                    "line {line}: {of} has no setting '{name}'; `tundra config` lists what there is"
                ));
            }
            let values = values(value)
                .ok_or_else(|| format!("line {line}: '{name}' takes a text, a number or a list of these"))?;
            settings.push(Setting { command: command.map(str::to_string), name, values, line });
            Ok(())
        };
    for (key, value) in table.get_ref() {
        match (COMMANDS.into_iter().find(|command| *command == key.get_ref()), value.get_ref()) {
            (Some(command), DeValue::Table(table)) => {
                let known = names(command);
                for (key, value) in table {
                    add(Some(command), &known, key, value.get_ref())?;
                }
            }
            (_, value) => add(None, &everywhere, key, value)?,
        }
    }
    Ok(settings)
}

/// A value as a flag would have it.
fn values(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| scalar(value.get_ref())).collect(),
        one => scalar(one).map(|value| vec![value]),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &str) -> Vec<String> {
        let names: &[&str] = if command == "shard" { &["memory", "listen"] } else { &["memory", "peers"] };
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn tables_of_commands_come_before_what_is_for_all() {
        let text = "memory = \"2GB\"\npeers = [\"1=a:1\", \"2=b:1\"]\n\n[shard]\nmemory = 5\n";
        let file = File { path: "x".into(), settings: parse(text, names).unwrap() };
        let found = |command, name| file.find(command, name).map(|one| (one.values.clone(), one.line));
        assert_eq!(found("up", "memory"), Some((vec!["2GB".into()], 1)));
        assert_eq!(found("shard", "memory"), Some((vec!["5".into()], 5)));
        assert_eq!(found("cluster", "peers"), Some((vec!["1=a:1".into(), "2=b:1".into()], 2)));
        assert_eq!(found("up", "listen"), None);
        assert_eq!((file.line_of("memory", "5"), file.line_of("memory", "6")), (Some(5), None));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("memory = 1\nmemroy = 2", "line 2: tundra has no setting 'memroy'"),
            ("[shard]\n\npeers = 2", "line 3: tundra shard has no setting 'peers'"),
            ("[sharp]\nlisten = 2", "line 1: tundra has no setting 'sharp'"),
            ("shard = 1", "line 1: tundra has no setting 'shard'"),
            ("memory = {a = 1}", "line 1: 'memory' takes"),
            ("memory = ", "no TOML"),
        ];
        for (text, words) in cases {
            let why = parse(text, names).err().unwrap();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
