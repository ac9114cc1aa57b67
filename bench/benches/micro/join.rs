//! The hash join: building its table of unique keys in random order with one more column, and inner joins with it.
//!
//! A build reads both columns. A probe reads a column of keys, of which all or 1 % are in the table; what it reads of
//! the table is not counted. Keys that lie close are their own places in the table, others are hashed.

use crate::data::Random;
use crate::operators::{Rows, fill, integer, query, stream};
use crate::report::{Group, Micro, time};
use exec::operators::hash_join::HashJoin;
use exec::plan::{JoinKey, JoinKind};
use exec::{QueryContext, Shape};
use std::time::Duration;

const PROBE_ROWS: usize = 1 << 20;

pub(crate) fn run(criterion: &mut Micro) {
    let mut group = criterion.benchmark_group("join");
    group.measurement_time(Duration::from_millis(1500));
    for (size, build_rows) in [("16 K", 16 << 10), ("4 M", 4 << 20)] {
        // The next integer after a key is none.
        for (keys, stride) in [("close", 2), ("far", 1_000_003)] {
            joins(&mut group, &format!("{size} {keys} keys"), build_rows, stride);
        }
    }
    group.finish();
}

fn joins(group: &mut Group<'_>, name: &str, build_rows: usize, stride: i64) {
    let query = query();
    let mut random = Random(17);
    let mut keys: Vec<i64> = (0..build_rows as i64).map(|key| key * stride).collect();
    random.shuffle(&mut keys);
    let build = Rows::new(vec![keys, (0..build_rows).map(|_| random.below(1_000_000) as i64).collect()]);
    let size = (build_rows, build.bytes(0) + build.bytes(1));
    time(group, format!("{name}/build"), size, || (), |()| built(&build, &build.shapes, &query));
    for percent in [100, 1] {
        let mut hits = 0;
        let mut key = || {
            let hit = random.below(100) < percent;
            hits += usize::from(hit);
            random.below(build_rows) as i64 * stride + i64::from(!hit)
        };
        let keys = (0..PROBE_ROWS).map(|_| key()).collect();
        let probe = Rows::new(vec![keys]);
        let make = || built(&build, &probe.shapes, &query);
        let run = |join: &HashJoin| {
            assert_eq!(stream(&*join.probe, &probe.batches, &query), hits);
        };
        let size = (PROBE_ROWS, probe.bytes(0));
        time(group, format!("{name}/probe, {percent} % found"), size, make, run);
    }
}

/// A join of which the build side is in.
fn built(build: &Rows, probe: &[Shape], query: &QueryContext) -> HashJoin {
    let key = JoinKey { probe: integer(0), build: integer(0), null_equal: false };
    let join = HashJoin::new(JoinKind::Inner, &[key], None, probe, &build.shapes, query).unwrap();
    fill(&*join.build, &build.batches, query);
    join
}
