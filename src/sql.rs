//! `tundra sql`: runs statements against a server, from the command line, from files or interactively.

pub(crate) mod client;
mod output;
mod shell;
mod statements;
mod table;

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::Failure;
use client::{Client, Login};
use output::{Format, Printer};

/// Run SQL against a server; without -c or -f, an interactive shell.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra sql\n  tundra sql -c \"SELECT count(*) FROM lineitem\" --format csv\n  \
                        tundra sql --url grpc://127.0.0.1:31337 -f queries.sql --timing\n  \
                        tundra sql --token \"$(tundra tenant token acme --user ann)\""
)]
pub(crate) struct Options {
    /// The server
    #[arg(long, value_name = "URL", default_value = "grpc://127.0.0.1:31337", env = "TUNDRA_URL")]
    url: String,
    /// An access token or an API key to log in with
    #[arg(long, value_name = "TOKEN", env = "TUNDRA_TOKEN", hide_env_values = true, conflicts_with = "user")]
    token: Option<String>,
    /// Who asks, where users are configured
    #[arg(long, value_name = "NAME:PASSWORD", env = "TUNDRA_USER", hide_env_values = true)]
    user: Option<String>,
    /// Statements to run; may be given several times
    #[arg(short = 'c', long, value_name = "SQL")]
    command: Vec<String>,
    /// A file of statements to run after those of -c; - reads from stdin
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How to print rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print the time that each statement took, on stderr
    #[arg(long)]
    timing: bool,
}

/// Runs the statements, or the shell; ends at the first statement that fails.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let login = options.login()?;
    let mut client = runtime.block_on(Client::connect(&options.url, &login))?;
    let printer = Printer::new(options.format);
    let given = !options.command.is_empty() || !options.file.is_empty();
    let done = match given || !std::io::stdin().is_terminal() {
        true => run_texts(&runtime, &mut client, &printer, &options),
        false => shell::run(&runtime, &mut client, printer, options.timing),
    };
    runtime.block_on(client.close());
    done
}

impl Options {
    fn login(&self) -> Result<Login, Failure> {
        Ok(match (&self.token, &self.user) {
            (Some(token), _) => Login::Token(token.trim().into()),
            (None, Some(user)) => {
                let parts = user.split_once(':').filter(|(name, _)| !name.is_empty());
                let (user, password) = parts.ok_or("--user: expected NAME:PASSWORD")?;
                Login::Password { user: user.into(), password: password.into() }
            }
            (None, None) => Login::Nobody,
        })
    }
}

fn run_texts(
    runtime: &tokio::runtime::Runtime,
    client: &mut Client,
    printer: &Printer,
    options: &Options,
) -> Result<(), Failure> {
    if options.command.is_empty() && options.file.is_empty() {
        return run_script(runtime, client, printer, &read_stdin()?, options.timing);
    }
    for text in &options.command {
        run_script(runtime, client, printer, text, options.timing)?;
    }
    for path in &options.file {
        let text = if path.as_os_str() == "-" {
            read_stdin()?
        } else {
            std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?
        };
        run_script(runtime, client, printer, &text, options.timing)?;
    }
    Ok(())
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Runs the statements of a text one after another.
fn run_script(
    runtime: &tokio::runtime::Runtime,
    client: &mut Client,
    printer: &Printer,
    text: &str,
    timing: bool,
) -> Result<(), Failure> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for statement in statements::split(text) {
        let started = Instant::now();
        let ran = runtime.block_on(async {
            let rows = client.execute(statement).await?;
            printer.print(rows, &mut std::io::stdout().lock()).await
        });
        match ran {
            // Nobody reads any more, as in `tundra sql … | head`.
            Err(failure) if is_broken_pipe(&failure) => return Ok(()),
            other => other?,
        }
        if timing {
            report_time(started);
        }
    }
    Ok(())
}

fn is_broken_pipe(failure: &Failure) -> bool {
    let error = failure.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Prints the time since a statement was sent.
fn report_time(started: Instant) {
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    let _ = writeln!(std::io::stderr(), "Time: {milliseconds:.3} ms");
}
