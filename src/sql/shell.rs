//! The interactive shell: line editing with history, statements over several lines, backslash commands.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::runtime::Runtime;

use super::client::Client;
use super::output::Printer;
use super::{report_time, statements};
use crate::Failure;

/// Rows of a result that the shell shows.
const SHOWN_ROWS: usize = 1000;

const HELP: &str = "\
Statements end with a semicolon and may span lines. Ctrl-C cancels a line or a running statement.
  \\d           list the tables
  \\d TABLE     describe a table
  \\x           switch between tables and one line a value
  \\timing      switch the printing of times on or off
  \\?           this help
  \\q           quit (or exit, or Ctrl-D)
";

/// Runs until the user quits.
pub(super) fn run(
    runtime: &Runtime,
    client: &mut Client,
    mut printer: Printer,
    mut timing: bool,
) -> Result<(), Failure> {
    printer.limit_rows(SHOWN_ROWS);
    let mut editor = DefaultEditor::new()?;
    let history = history_file();
    if let Some(file) = &history {
        // There is none before the first session.
        let _ = editor.load_history(file);
    }
    let mut out = std::io::stdout();
    writeln!(out, "tundra {}: \\? for help, \\q to quit", env!("CARGO_PKG_VERSION"))?;
    while let Some(entry) = read_entry(&mut editor)? {
        editor.add_history_entry(entry.as_str())?;
        if let Some(file) = &history {
            // A read-only home folder does not stop the session.
            let _ = editor.save_history(file);
        }
        match Command::parse(&entry) {
            Command::Quit => break,
            Command::Help => out.write_all(HELP.as_bytes())?,
            Command::Unknown => writeln!(out, "unknown command {entry}; \\? lists them")?,
            Command::Timing(wanted) => {
                timing = wanted.unwrap_or(!timing);
                writeln!(out, "Timing is {}.", on_or_off(timing))?;
            }
            Command::Expanded(wanted) => {
                printer.expanded = wanted.unwrap_or(!printer.expanded);
                writeln!(out, "One line a value is {}.", on_or_off(printer.expanded))?;
            }
            Command::Statements(text) => {
                for sql in statements::split(&text) {
                    let started = Instant::now();
                    if let Err(failure) = runtime.block_on(run_statement(client, &printer, sql)) {
                        crate::complain(&failure);
                        break;
                    }
                    if timing {
                        report_time(started);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Reads lines up to the end of a statement, or one backslash command. `None`: the user has quit.
fn read_entry(editor: &mut DefaultEditor) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() { "tundra> " } else { "   ...> " };
        match editor.readline(prompt) {
            Ok(line) if text.is_empty() && is_command(&line) => {
                return Ok(Some(line.trim().to_string()));
            }
            Ok(line) => {
                text += &line;
                if text.trim().is_empty() {
                    text.clear();
                } else if statements::is_complete(&text) {
                    return Ok(Some(text));
                } else {
                    text.push('\n');
                }
            }
            Err(ReadlineError::Interrupted) => text.clear(),
            Err(ReadlineError::Eof) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs one statement; Ctrl-C drops it, which cancels it on the server.
async fn run_statement(client: &mut Client, printer: &Printer, sql: &str) -> Result<(), Failure> {
    let running = async {
        let rows = client.execute(sql).await?;
        printer.print(rows, &mut std::io::stdout()).await
    };
    tokio::select! {
        done = running => done,
        _ = tokio::signal::ctrl_c() => Err("canceled".into()),
    }
}

/// What an entry asks for.
#[derive(Debug, PartialEq)]
enum Command {
    Quit,
    Help,
    /// On, off, or the other way.
    Timing(Option<bool>),
    Expanded(Option<bool>),
    Statements(String),
    Unknown,
}

/// Whether a line is complete without a semicolon.
fn is_command(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('\\') || matches!(line.to_ascii_lowercase().as_str(), "quit" | "exit" | "help")
}

impl Command {
    fn parse(entry: &str) -> Command {
        let entry = entry.trim();
        if !is_command(entry) {
            return Command::Statements(entry.to_string());
        }
        let entry = entry.trim_end_matches(';').trim_end();
        let (name, argument) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
        let switch = match argument.trim() {
            "" => Some(None),
            "on" => Some(Some(true)),
            "off" => Some(Some(false)),
            _ => None,
        };
        match (name.to_ascii_lowercase().as_str(), argument.trim(), switch) {
            ("\\q" | "quit" | "exit", "", _) => Command::Quit,
            ("\\?" | "\\h" | "help", "", _) => Command::Help,
            ("\\timing", _, Some(wanted)) => Command::Timing(wanted),
            ("\\x", _, Some(wanted)) => Command::Expanded(wanted),
            ("\\d" | "\\dt", "", _) => Command::Statements("SHOW TABLES".into()),
            ("\\d", table, _) if is_name(table) => Command::Statements(format!("DESCRIBE {table}")),
            _ => Command::Unknown,
        }
    }
}

/// Whether a text is one word, but for what stands in double quotes.
fn is_name(text: &str) -> bool {
    let mut quoted = false;
    let mut parts = text.chars().filter(|&letter| {
        quoted ^= letter == '"';
        letter.is_whitespace() && !quoted
    });
    parts.next().is_none() && text.matches('"').count().is_multiple_of(2)
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// `~/.tundra_history`.
fn history_file() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".tundra_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslash_commands_are_read() {
        assert_eq!(Command::parse("\\q"), Command::Quit);
        assert_eq!(Command::parse("\\d"), Command::Statements("SHOW TABLES".into()));
        assert_eq!(Command::parse("\\d main.t;"), Command::Statements("DESCRIBE main.t".into()));
        assert_eq!(Command::parse("SELECT 1;"), Command::Statements("SELECT 1;".into()));
        assert_eq!(
            Command::parse("\\d \"My T\".\"a b\""),
            Command::Statements("DESCRIBE \"My T\".\"a b\"".into())
        );
        assert_eq!(Command::parse("exit"), Command::Quit);
        assert_eq!(Command::parse("\\timing on"), Command::Timing(Some(true)));
        assert_eq!(Command::parse("\\x"), Command::Expanded(None));
        for line in ["\\", "\\y", "\\q now", "\\d a b", "\\d \"a b", "\\timing maybe"] {
            assert_eq!(Command::parse(line), Command::Unknown, "{line}");
        }
    }
}
