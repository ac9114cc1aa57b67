//! Simulated clusters under faults that a seed draws. `SIMULATION_SEEDS=FROM..TO` runs other seeds, and
//! `SIMULATION_TRACE=FOLDER` writes down what happens; the binary `tundra-simulation` runs many.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::ops::Range;
use std::path::Path;
use tundra_tests::simulation::planted::Planted;
use tundra_tests::simulation::{Report, Simulation};

const FAULTS: usize = 100;
/// Seeds that a planted fault is looked for in; the rarest are seen at the first of them.
const SEEDS: Range<u64> = 64..80;

fn run(seed: u64, faults: usize, planted: Option<Planted>) -> Report {
    Simulation { seed, faults, planted }.run_apart(Path::new(env!("CARGO_BIN_EXE_tundra-simulation")))
}

fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("SIMULATION_SEEDS") else { return default };
    let (from, to) = text.split_once("..").expect("SIMULATION_SEEDS is FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn clusters_withstand_faults() {
    let reports = seeds(1..13).map(|seed| run(seed, FAULTS, None));
    let failed = reports.filter(|report| !report.violations.is_empty() || report.faults.len() < FAULTS);
    let failed: Vec<String> = failed.map(|report| report.story()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn a_seed_gives_the_same_run() {
    for seed in 100..104 {
        let (one, other) = (run(seed, FAULTS, None), run(seed, FAULTS, None));
        assert!(one.messages > 1_000, "{one}");
        assert_eq!(one.hash, other.hash, "{one}\n{other}");
    }
}

/// The table is in `tests/src/simulation/planted.rs`.
#[test]
fn each_checker_finds_what_is_planted() {
    use Planted::*;
    for (planted, checkers) in [
        (OldVersion, ["catalog"].as_slice()),
        (StaleRead, &["catalog"]),
        (LostDrop, &["catalog"]),
        (RowsTwice, &["catalog", "version", "answer"]),
        (RowsLost, &["catalog", "version", "answer"]),
        (HalfVersion, &["version"]),
        (ShortManifest, &["catalog", "version", "answer"]),
        (WrongAnswer, &["answer"]),
        // What was lost is missed, or waited for.
        (LostPuts, &["catalog", "hang"]),
        (LyingDisk, &["catalog", "defect", "hang"]),
        (KeptQuery, &["leak"]),
        (UnheardEnd, &["leak"]),
        (KeptLease, &["leak"]),
        (NoHealing, &["hang"]),
        (NoDone, &["hang"]),
    ] {
        // Where it strikes and whether anyone looks there is drawn.
        let mut reports = SEEDS.chain(1..SEEDS.start).map(|seed| run(seed, FAULTS, Some(planted)));
        let by = |violation: &String| checkers.iter().any(|checker| violation.starts_with(checker));
        let found = reports.any(|report| report.violations.iter().any(by));
        assert!(found, "{planted:?} was not found");
    }
}
