//! How benchmarks are timed, and what is printed of them.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::cell::LazyCell;
use std::time::Duration;

pub(crate) type Micro = Criterion<ProcessorTime>;
pub(crate) type Group<'a> = BenchmarkGroup<'a, ProcessorTime>;

/// The time that this thread ran, which other processes disturb less than they do the clock.
pub(crate) struct ProcessorTime {
    /// Bytes a nanosecond that one thread reads of memory.
    pub(crate) bandwidth: f64,
}

/// Times `run` on what `make` makes, which is called only where the benchmark is wanted. `run` handles `rows` and reads
/// `bytes`; what it writes is not counted.
pub(crate) fn time<T, O>(
    group: &mut Group<'_>,
    name: impl Into<String>,
    (rows, bytes): (usize, usize),
    make: impl FnOnce() -> T,
    run: impl Fn(&T) -> O,
) {
    let input = LazyCell::new(make);
    group.throughput(Throughput::ElementsAndBytes { elements: rows as u64, bytes: bytes as u64 });
    group.bench_function(name.into(), |bencher| {
        let input = LazyCell::force(&input);
        bencher.iter(|| run(input));
    });
}

/// Since the thread began.
pub(crate) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is there to be written to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        processor_time()
    }

    fn end(&self, start: Duration) -> Duration {
        processor_time() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

/// Values are nanoseconds.
impl ValueFormatter for ProcessorTime {
    fn format_throughput(&self, throughput: &Throughput, value: f64) -> String {
        match throughput {
            Throughput::Elements(rows) => format!("{:.3} ns/row", value / *rows as f64),
            Throughput::Bytes(bytes) => {
                let speed = *bytes as f64 / value;
                format!("{speed:.2} GB/s ({:.1} %)", 100.0 * speed / self.bandwidth)
            }
            other => WallTime.formatter().format_throughput(other, value),
        }
    }

    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, throughput, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
