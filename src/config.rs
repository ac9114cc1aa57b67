//! Settings of the commands that serve, and where they come from: flags win over the environment, that over the
//! configuration file, that over defaults. `tundra config` prints them.

mod file;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory};

use crate::{Arguments, Failure, table};
use file::File;

/// The commands that have settings.
const COMMANDS: [&str; 5] = ["up", "coordinator", "shard", "cluster", "control"];
/// Names the configuration file.
pub(crate) const FILE_VARIABLE: &str = "TUNDRA_CONFIG";
const FILE: &str = "config";

/// Print every setting with its value and where it comes from.
///
/// Flags win over the environment, that over the file, that over defaults. The file is TOML: a setting is called as
/// its flag is, and counts for all commands that have it, or for one where it stands in a table called as that.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra config --config tundra.toml\n  tundra config up --memory 16GB\n\n\
                        A file:\n  object-store = \"s3://bucket/tundra\"\n  [shard]\n  memory = \"200GB\""
)]
pub(crate) struct Options {
    /// up, coordinator, shard, cluster or control [default: all], and flags as it would get them
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// The arguments of this process, with what the environment and the file add. Ends it where they are wrong.
pub(crate) fn arguments() -> Result<ArgMatches, Failure> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let file = read(path_of(&words).map(|(_, path)| path))?;
    let command = COMMANDS.into_iter().fold(Arguments::command(), |command, name| {
        command.mut_subcommand(name, |command| with_settings(command, file.as_ref()))
    });
    let command = command.mut_subcommand(FILE, |command| command.arg(file_argument()));
    Ok(command.try_get_matches_from(words).unwrap_or_else(|error| refuse(&error, file.as_ref())))
}

/// The file that the words name by a flag, or the environment: `true` for a flag.
fn path_of(words: &[OsString]) -> Option<(bool, PathBuf)> {
    // Whatever else is wrong with them is told later.
    let mut command = Arguments::command().ignore_errors(true);
    for name in COMMANDS.into_iter().chain([FILE]) {
        command = command.mut_subcommand(name, |command| optional(command).arg(file_argument()));
    }
    let matches = command.try_get_matches_from(words).ok()?;
    let (_, matches) = matches.subcommand().filter(|(name, _)| COMMANDS.contains(name) || *name == FILE)?;
    let path = matches.get_one::<PathBuf>(FILE)?.clone();
    Some((matches.value_source(FILE) == Some(ValueSource::CommandLine), path))
}

fn read(path: Option<PathBuf>) -> Result<Option<File>, Failure> {
    path.map(|path| File::read(path, |command| names(command).collect())).transpose()
}

fn file_argument() -> Arg {
    Arg::new(FILE)
        .long(FILE)
        .value_name("FILE")
        .env(FILE_VARIABLE)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Settings as TOML; `tundra config` tells more")
}

/// A command whose settings may come from the environment and from the file.
fn with_settings(command: Command, file: Option<&File>) -> Command {
    let name = command.get_name().to_string();
    let command = command.mut_args(|argument| {
        let Some(long) = setting_of(&argument).map(str::to_string) else { return argument };
        let variable = format!("TUNDRA_{}", long.to_uppercase().replace('-', "_"));
        let argument = match argument.get_env().and_then(|declared| declared.to_str()) {
            // Variables that other programs have, too, come after ours.
            Some(declared) if declared.starts_with("TUNDRA_") || std::env::var_os(&variable).is_none() => {
                argument
            }
            _ => argument.env(variable),
        };
        match file.and_then(|file| file.find(&name, &long)) {
            Some(setting) => argument.required(false).default_values(setting.values.clone()),
            None => argument,
        }
    });
    command.arg(file_argument())
}

fn optional(command: Command) -> Command {
    command.mut_args(|argument| argument.required(false))
}

/// What an argument is called as a setting, where it is one.
fn setting_of(argument: &Arg) -> Option<&str> {
    argument.get_long().filter(|long| !argument.is_hide_set() && !["help", "version", FILE].contains(long))
}

/// The settings of a command.
fn names(command: &str) -> impl Iterator<Item = String> {
    let all = Arguments::command();
    let found = all.find_subcommand(command).cloned().into_iter();
    found.flat_map(|command| {
        command.get_arguments().filter_map(|one| setting_of(one).map(str::to_string)).collect::<Vec<_>>()
    })
}

/// Ends the process with what is wrong with its arguments.
#[allow(clippy::print_stderr)]
fn refuse(error: &clap::Error, file: Option<&File>) -> ! {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    if error.kind() == ErrorKind::ValueValidation
        && let Some(file) = file
        && let Some(name) = context(ContextKind::InvalidArg).strip_prefix("--")
        && let name = name.split_whitespace().next().unwrap_or_default()
        && let Some(line) = file.line_of(name, context(ContextKind::InvalidValue))
    {
        let _ = error.print();
        eprintln!("The value stands in {}, line {line}.", file.path.display());
        std::process::exit(2);
    }
    error.exit()
}

/// Prints what `tundra config` was asked for.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let mut words = options.command;
    let chosen = match words.first().and_then(|word| word.to_str()) {
        None => COMMANDS.to_vec(),
        Some(word) => match COMMANDS.into_iter().find(|name| *name == word) {
            Some(name) => vec![name],
            None => return Err(format!("'{word}' has no settings; {} have", COMMANDS.join(", ")).into()),
        },
    };
    // The file may stand before the command, or among its flags.
    let whole = std::env::args_os().collect::<Vec<_>>();
    let given = [path_of(&[&["tundra".into()], &words[..]].concat()), path_of(&whole)];
    let file = read(given.into_iter().flatten().max_by_key(|(flag, _)| *flag).map(|(_, path)| path))?;
    let flags = if words.is_empty() { Vec::new() } else { words.split_off(1) };
    let mut text = String::new();
    for name in chosen {
        if !text.is_empty() {
            text.push('\n');
        }
        text +=
            &table::aligned([&name.to_uppercase(), "VALUE", "FROM"], settings(name, &flags, file.as_ref()));
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Nobody reads any more, as in `tundra config | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Name, value and source of each setting of a command.
fn settings(name: &str, flags: &[OsString], file: Option<&File>) -> impl Iterator<Item = [String; 3]> {
    let all = Arguments::command();
    let command = all.find_subcommand(name).cloned().unwrap_or_default();
    let command = optional(with_settings(command, file)).no_binary_name(true);
    let parsed = command.clone().try_get_matches_from(flags);
    let matches = parsed.unwrap_or_else(|error| refuse(&error, file));
    let settings = command.get_arguments().filter_map(|argument| {
        let long = setting_of(argument)?;
        let id = argument.get_id().as_str();
        let values = matches.get_raw(id).into_iter().flatten();
        let values: Vec<String> = values.map(|value| value.to_string_lossy().into_owned()).collect();
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "flag".into(),
            Some(ValueSource::EnvVariable) => {
                argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            _ => match file.and_then(|file| Some((file, file.find(name, long)?))) {
                Some((file, setting)) => format!("{}, line {}", file.path.display(), setting.line),
                None => "default".into(),
            },
        };
        let secret = argument.is_hide_env_values_set() && !values.is_empty();
        let value = if secret { "(not shown)".into() } else { values.join(",") };
        Some([long.to_string(), value, source])
    });
    settings.collect::<Vec<_>>().into_iter()
}
