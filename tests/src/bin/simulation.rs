//! `tundra-simulation`: simulated clusters under faults, a process for each seed.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use clap::Parser;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tundra_tests::simulation::Simulation;
use tundra_tests::simulation::planted::Planted;

/// Run simulated clusters, each under the faults that its seed draws
#[derive(Parser)]
struct Options {
    /// The seeds, the last one left out
    #[arg(long, value_name = "FROM..TO", value_parser = seeds, default_value = "1..101")]
    seeds: Range<u64>,
    /// Faults of each seed
    #[arg(long, default_value_t = 100)]
    faults: usize,
    /// Seeds at a time
    #[arg(long, default_value_t = 1)]
    processes: usize,
    /// Plant a fault that the checkers must find, by its name in `planted.rs`
    #[arg(long, value_name = "NAME", value_parser = planted)]
    planted: Option<Planted>,
    /// One simulation, which is run in this process
    #[arg(long, hide = true)]
    one: Option<String>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let numbers = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    numbers.ok_or_else(|| format!("expected FROM..TO, got '{text}'"))
}

fn planted(name: &str) -> Result<Planted, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all seeds went well.
fn run(options: Options) -> Result<bool, String> {
    if let Some(one) = options.one {
        let one: Simulation = serde_json::from_str(&one).map_err(|error| error.to_string())?;
        let report = serde_json::to_string(&one.run()).map_err(|error| error.to_string())?;
        println!("{report}");
        return Ok(true);
    }
    let binary: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let (next, failed) = (AtomicU64::new(options.seeds.start), AtomicU64::new(0));
    let one_after_the_other = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.seeds.end {
                return;
            }
            let report =
                Simulation { seed, faults: options.faults, planted: options.planted }.run_apart(&binary);
            println!("{report}");
            if !report.violations.is_empty() {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("{}", report.story());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.processes.max(1) {
            scope.spawn(one_after_the_other);
        }
    });
    let (count, failed) = (options.seeds.end.saturating_sub(options.seeds.start), failed.into_inner());
    println!("{count} seeds, {failed} failed");
    Ok(failed == 0)
}
