//! The `tundra` command. This file parses the arguments and hands over to the subcommand's module.

mod machine;
mod sample;
mod size;
mod sql;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any failure that the command reports in one message.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A SQL engine that keeps Parquet datasets in memory and answers over Arrow Flight SQL.
#[derive(Parser)]
#[command(name = "tundra", version, about, max_term_width = 110)]
#[command(
    after_help = "Example:\n  tundra up --sample tpch:1\n  tundra sql -c \"SELECT count(*) FROM lineitem\""
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Options),
    Sql(sql::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match arguments.command {
        Command::Up(options) => up::run(options),
        Command::Sql(options) => sql::run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Writes one error to stderr.
#[allow(clippy::print_stderr)]
fn complain(failure: &Failure) {
    eprintln!("error: {failure}");
}
