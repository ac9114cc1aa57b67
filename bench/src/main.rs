//! Tundra against its alternatives: loads the same Parquet files into every engine, asks the same queries in turn,
//! compares the answers, and writes what it measured.
//!
//! Depends on no crate of the engine: Tundra is a process like the others.

mod answer;
mod bytes;
mod compare;
mod dataset;
mod driver;
mod engine;
mod groups;
mod hits;
mod html;
mod machine;
mod measure;
mod options;
mod outputs;
mod parquet_files;
mod process;
mod python;
mod queries;
mod report;
mod selectivity;
mod shuffle;
mod statistics;
mod svg;
mod table;
mod tpch;
mod tundra;

use std::process::ExitCode;

use clap::Parser;

/// What went wrong, in words for the user.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ends with 0 where every engine that answered gave the same answers, else with 1.
fn main() -> ExitCode {
    match options::Command::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            progress(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on stderr: what is going on.
#[allow(clippy::print_stderr, reason = "progress belongs to the terminal")]
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// A result on stdout.
#[allow(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
