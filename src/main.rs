//! The `tundra` command. This file parses the arguments and hands over to the subcommand's module.

mod admin;
mod audit;
mod cert;
mod cluster;
mod config;
mod control;
mod coordinator;
mod durable;
mod foreign;
mod limits;
mod machine;
mod node;
mod process;
mod route;
mod s3;
mod sample;
mod scale;
mod schedule;
mod secrets;
mod shard;
mod size;
mod sql;
mod table;
mod telemetry;
mod tenant;
mod trail;
mod up;
mod usage;
mod users;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long memory that was freed stays with the process, in milliseconds: the next queries take it without faults.
const PURGE_DELAY_MS: std::ffi::c_long = 60_000;

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
    Cluster(cluster::Options),
    Coordinator(coordinator::Options),
    Shard(shard::Options),
    Cert(cert::Options),
    Admin(admin::Options),
    Control(control::Options),
    Tenant(tenant::Options),
    Audit(audit::Options),
    Scale(scale::Options),
    Route(route::Options),
    Usage(usage::Options),
    Schedule(schedule::Options),
    Config(config::Options),
}

fn main() -> ExitCode {
    keep_freed_memory();
    let arguments = match config::arguments() {
        Ok(matches) => Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
        Err(failure) => {
            complain(&failure);
            return ExitCode::FAILURE;
        }
    };
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = machine::limit_simd().and_then(|()| match arguments.command {
        Command::Up(options) => up::run(options),
        Command::Sql(options) => sql::run(options),
        Command::Cluster(options) => cluster::run(options),
        Command::Coordinator(options) => coordinator::run(options),
        Command::Shard(options) => shard::run(options),
        Command::Cert(options) => cert::run(options),
        Command::Admin(options) => admin::run(options),
        Command::Control(options) => control::run(options),
        Command::Tenant(options) => tenant::run(options),
        Command::Audit(options) => audit::run(options),
        Command::Scale(options) => scale::run(options),
        Command::Route(options) => route::run(options),
        Command::Usage(options) => usage::run(options),
        Command::Schedule(options) => schedule::run(options),
        Command::Config(options) => config::run(options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Sets [`PURGE_DELAY_MS`], unless the environment has `MIMALLOC_PURGE_DELAY`.
#[allow(unsafe_code, reason = "the allocator's options are set in C")]
fn keep_freed_memory() {
    /// `mi_option_purge_delay`, which the bindings have no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: the option is known to this version, and takes any number.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
    }
}

/// Writes one error to stderr.
#[allow(clippy::print_stderr)]
fn complain(failure: &Failure) {
    eprintln!("error: {failure}");
}
