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
  \\timing      switch the printing of times on or off
  \\?           this help
  \\q           quit (or Ctrl-D)
";

/// Runs until the user quits.
pub(super) fn run(
    runtime: &Runtime,
    mut client: Client,
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
            Command::Timing => {
                timing = !timing;
                writeln!(out, "Timing is {}.", if timing { "on" } else { "off" })?;
            }
            Command::Statements(text) => {
                for sql in statements::split(&text) {
                    let started = Instant::now();
                    if let Err(failure) = runtime.block_on(run_statement(&mut client, &printer, sql)) {
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
            Ok(line) if text.is_empty() && line.trim_start().starts_with('\\') => {
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
    Timing,
    Statements(String),
    Unknown,
}

impl Command {
    fn parse(entry: &str) -> Command {
        if !entry.starts_with('\\') {
            return Command::Statements(entry.to_string());
        }
        let mut words = entry.trim_end_matches(';').split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("\\q"), None, None) => Command::Quit,
            (Some("\\?" | "\\h"), None, None) => Command::Help,
            (Some("\\timing"), None, None) => Command::Timing,
            (Some("\\d" | "\\dt"), None, None) => Command::Statements("SHOW TABLES".into()),
            (Some("\\d"), Some(table), None) => Command::Statements(format!("DESCRIBE {table}")),
            _ => Command::Unknown,
        }
    }
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
        for line in ["\\", "\\x", "\\q now", "\\d a b"] {
            assert_eq!(Command::parse(line), Command::Unknown, "{line}");
        }
    }
}
