//! Micro-benchmarks of kernels, encodings, frames, joins and aggregations, each on one thread: ns a row, GB/s of what is
//! read, and how much that is of the memory bandwidth measured at the start of the run.
//!
//! `cargo bench -p tundra-bench --bench micro [-- FILTER]`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

mod aggregation;
mod data;
mod encodings;
mod frames;
mod join;
mod kernels;
mod memory;
mod operators;
mod report;

use criterion::Criterion;
use report::ProcessorTime;
use std::time::Duration;

/// That of the `tundra` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let bandwidth = memory::bandwidth();
    println!("kernels for {:?}; 100 % is {bandwidth:.1} GB/s", columnar::kernels::isa::isa());
    let mut criterion = Criterion::default()
        .with_measurement(ProcessorTime { bandwidth })
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots()
        .configure_from_args();
    memory::run(&mut criterion);
    kernels::run(&mut criterion);
    encodings::run(&mut criterion);
    frames::run(&mut criterion);
    join::run(&mut criterion);
    aggregation::run(&mut criterion);
    criterion.final_summary();
}
