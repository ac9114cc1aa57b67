//! From counters, as coordinators and shards tell them, to what was used since the look before.

use super::observation::Observation;
use super::view::View;
use flight_proto::admin::{Load, ShardLoad};
use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Meter {
    shards: HashMap<String, Measured>,
    coordinators: HashMap<String, Load>,
}

#[derive(Clone, Copy)]
struct Measured {
    load: ShardLoad,
    /// The part of its workers that was busy; `None`: it was seen once.
    busy: Option<f64>,
}

impl Meter {
    /// What is seen of the shards that are ready; `None` until it was measured for a while.
    pub(crate) fn observe(&mut self, view: &View, ready: &[String], now_us: i64) -> Option<Observation> {
        let mut seen = Observation { at_us: now_us, ready: ready.len() as u32, ..Observation::default() };
        let shards = std::mem::take(&mut self.shards);
        let mut measured = Vec::new();
        for (id, shard) in &view.shards {
            let Some(load) = shard.load else { continue };
            let before = shards.get(id);
            let busy = before.and_then(|before| match busy(&before.load, &load) {
                Some(busy) => Some(busy),
                // It has told nothing new.
                None => before.busy.filter(|_| before.load == load),
            });
            self.shards.insert(id.clone(), Measured { load, busy });
            if ready.contains(id) {
                seen.resident_bytes += load.segment_bytes;
                seen.memory_bytes += load.memory_bytes;
                measured.extend(busy);
            }
        }
        let (mut waited_us, mut admitted) = (0, 0);
        for (coordinator, load) in &view.loads {
            seen.running += load.running as f64;
            // Those that wait until the pool is woken need no more nodes than come.
            seen.queued += load.queued.saturating_sub(load.waking) as f64;
            seen.queue_ms = seen.queue_ms.max(load.oldest_wait_ms as f64);
            let before = self.coordinators.insert(coordinator.clone(), *load);
            // One that was started again counts anew.
            let before = before.filter(|before| before.admitted <= load.admitted).unwrap_or(*load);
            waited_us += load.waited_us.saturating_sub(before.waited_us);
            admitted += load.admitted - before.admitted;
        }
        if admitted > 0 {
            seen.queue_ms = seen.queue_ms.max(waited_us as f64 / admitted as f64 / 1e3);
        }
        // Those of which nothing is known are taken to be as busy as the others.
        let mean = measured.iter().sum::<f64>() / measured.len().max(1) as f64;
        seen.busy = mean * f64::from(seen.ready);
        (!measured.is_empty()).then_some(seen)
    }
}

/// The part of workers that were busy between two counts of one process.
fn busy(before: &ShardLoad, now: &ShardLoad) -> Option<f64> {
    let elapsed = now.uptime_us.checked_sub(before.uptime_us).filter(|elapsed| *elapsed > 0)?;
    let used = now.processor_us.checked_sub(before.processor_us)?;
    Some((used as f64 / elapsed as f64 / f64::from(now.threads.max(1))).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::view::ShardSeen;
    use super::*;

    fn view(uptime_us: u64, processor_us: u64, load: Load) -> View {
        let counts = ShardLoad { uptime_us, processor_us, threads: 2, segment_bytes: 30, memory_bytes: 100 };
        let shard = |load| ShardSeen { load, ..ShardSeen::default() };
        View {
            shards: [("1".into(), shard(Some(counts))), ("2".into(), shard(None))].into(),
            loads: [("a".into(), load)].into(),
            asked: 1,
            hears: true,
            of_others: Vec::new(),
        }
    }

    #[test]
    fn counters_become_shares() {
        let mut meter = Meter::default();
        let ready = ["1".to_string(), "2".to_string()];
        let load = |admitted, waited_us| Load {
            running: 3,
            queued: 3,
            waking: 2,
            admitted,
            waited_us,
            oldest_wait_ms: 4,
            ..Load::default()
        };
        assert_eq!(meter.observe(&view(1_000_000, 500_000, load(10, 0)), &ready, 1), None, "seen once");
        let seen = meter.observe(&view(2_000_000, 1_500_000, load(14, 40_000)), &ready, 2).unwrap();
        // One of two workers was busy, and the other shard is taken to be as busy.
        assert_eq!((seen.busy, seen.ready, seen.resident_bytes, seen.memory_bytes), (1.0, 2, 30, 100));
        assert_eq!((seen.running, seen.queued, seen.queue_ms), (3.0, 1.0, 10.0));
        let same = meter.observe(&view(2_000_000, 1_500_000, load(14, 40_000)), &ready, 3).unwrap();
        assert_eq!((same.busy, same.queue_ms), (1.0, 4.0), "nothing new was told");
        // The shard and the coordinator were started again.
        assert_eq!(meter.observe(&view(10, 10, load(1, 5)), &ready, 4), None);
        assert_eq!(meter.observe(&view(1_000_010, 10, load(1, 5)), &ready, 5).unwrap().busy, 0.0);
    }
}
