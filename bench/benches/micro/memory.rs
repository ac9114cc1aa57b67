//! Reading memory in order, on one thread: what other benchmarks are compared with.

use crate::report::{Micro, processor_time, time};
use std::hint::black_box;

/// Far more than the caches hold.
const MEMORY_BYTES: usize = 256 << 20;
/// Within the second level of the caches.
const CACHE_BYTES: usize = 256 << 10;

columnar::kernel! {
    fn sum(values: &[u64]) -> u64 {
        values.iter().fold(0, |sum, &value| sum.wrapping_add(value))
    }
}

fn numbers(bytes: usize) -> Vec<u64> {
    (0..(bytes / size_of::<u64>()) as u64).collect()
}

/// Bytes a nanosecond: the best of several passes.
pub(crate) fn bandwidth() -> f64 {
    let values = numbers(MEMORY_BYTES);
    let passes = (0..10).map(|_| {
        let start = processor_time();
        black_box(sum(black_box(&values)));
        (processor_time() - start).as_nanos() as f64
    });
    MEMORY_BYTES as f64 / passes.fold(f64::MAX, f64::min)
}

pub(crate) fn run(criterion: &mut Micro) {
    let mut group = criterion.benchmark_group("memory");
    for (place, bytes) in [("cache", CACHE_BYTES), ("memory", MEMORY_BYTES)] {
        let rows = bytes / size_of::<u64>();
        let make = || numbers(bytes);
        time(&mut group, format!("sum of u64/{place}"), (rows, bytes), make, |values| sum(black_box(values)));
    }
    group.finish();
}
