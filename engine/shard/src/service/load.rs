//! How much of a shard is used, as it tells coordinators.

use crate::Shard;
use flight_proto::node::Load;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokio::time::Instant;

/// How long what was read is good for: counting segments takes a while where there are many.
const FRESH: Duration = Duration::from_millis(500);

pub(super) struct LoadMeter {
    started: Instant,
    last: Mutex<Option<(Instant, Load)>>,
}

impl LoadMeter {
    pub(super) fn new() -> LoadMeter {
        LoadMeter { started: Instant::now(), last: Mutex::new(None) }
    }

    /// What is used at the moment, or was just now.
    pub(super) fn read(&self, shard: &Shard) -> Load {
        let mut last = self.last.lock();
        if let Some((at, load)) = *last
            && at.elapsed() < FRESH
        {
            return load;
        }
        let environment = shard.environment();
        let load = Load {
            uptime_us: micros(self.started.elapsed()),
            processor_us: processor_us(),
            threads: u32::try_from(environment.workers.threads()).unwrap_or(u32::MAX),
            segment_bytes: shard.segment_bytes(),
            memory_bytes: environment.memory.limit_bytes(),
        };
        *last = Some((Instant::now(), load));
        load
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Of all threads of this process.
fn processor_us() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000) + nanoseconds.unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_this_process() {
        let before = processor_us();
        let began = Instant::now();
        let mut number = 1_u64;
        while began.elapsed() < Duration::from_millis(200) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        let used = processor_us() - before;
        // Other tests may use processors meanwhile, and other processes this thread's.
        assert!(used >= 10_000, "{used}");
    }
}
