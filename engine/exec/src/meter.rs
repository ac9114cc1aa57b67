//! What a query uses, as it uses it: counters that all its tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the tasks of one query have used on this node. They add once a step or a morsel, never once a row.
#[derive(Debug, Default)]
pub struct Meter {
    processor_ns: AtomicU64,
    scanned_bytes: AtomicU64,
}

impl Meter {
    /// Time that a processor worked for the query.
    pub fn add_processor(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.processor_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Bytes of segments, as they are encoded.
    pub fn add_scanned(&self, bytes: u64) {
        self.scanned_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn processor(&self) -> Duration {
        Duration::from_nanos(self.processor_ns.load(Ordering::Relaxed))
    }

    pub fn scanned_bytes(&self) -> u64 {
        self.scanned_bytes.load(Ordering::Relaxed)
    }
}

/// Processor time of this thread since it began.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_thread_that_sleeps_uses_no_processor() {
        let begun = thread_time();
        std::thread::sleep(Duration::from_millis(50));
        assert!(thread_time() - begun < Duration::from_millis(40));
        let (begun, started) = (thread_time(), Instant::now());
        let mut number = 1_u64;
        while thread_time() - begun < Duration::from_millis(5) {
            number = std::hint::black_box(number.wrapping_mul(3));
            assert!(started.elapsed() < Duration::from_secs(60), "its time does not pass");
        }
    }
}
