//! The hash aggregation: `sum` and `count(*)` by an integer key in random order, from the first row to the last group.
//!
//! Keys that lie close may be their own places among the groups, others are hashed.

use crate::data::Random;
use crate::operators::{Rows, drain, fill, integer, query};
use crate::report::{Group, Micro, time};
use columnar::DataType;
use exec::operators::aggregate::Aggregate;
use exec::plan::{self, AggregateFunction};
use std::time::Duration;

pub(crate) fn run(criterion: &mut Micro) {
    let mut group = criterion.benchmark_group("aggregation");
    group.measurement_time(Duration::from_millis(1500));
    for (keys, stride) in [("close", 1), ("far", 1_000_003)] {
        for (name, groups) in [("6", 6), ("10 K", 10_000), ("1 M", 1_000_000), ("4 M", 4_000_000)] {
            aggregation(&mut group, &format!("{name} groups, {keys} keys"), groups, stride);
        }
    }
    group.finish();
}

fn aggregation(group: &mut Group<'_>, name: &str, groups: usize, stride: i64) {
    let rows = (2 * groups).max(2 << 20);
    let query = query();
    let mut random = Random(19);
    let drawn: Vec<usize> = (0..rows).map(|_| random.below(groups)).collect();
    let mut seen = vec![false; groups];
    drawn.iter().for_each(|&group| seen[group] = true);
    let seen = seen.into_iter().filter(|&seen| seen).count();
    let keys = drawn.into_iter().map(|group| group as i64 * stride).collect();
    let input = Rows::new(vec![keys, (0..rows).map(|_| random.below(1_000_000) as i64).collect()]);
    let call = |function, args, data_type| plan::Aggregate { function, args, filter: None, data_type };
    let calls = [
        call(AggregateFunction::Sum, vec![integer(1)], DataType::decimal(38, 0)),
        call(AggregateFunction::CountRows, vec![], DataType::Int64),
    ];
    let run = |_: &()| {
        let aggregate = Aggregate::new(&[integer(0)], &calls, &input.shapes, &query).unwrap();
        fill(&*aggregate.sink(), &input.batches, &query);
        assert_eq!(drain(&*aggregate.source(), &query), seen);
    };
    time(group, name, (rows, input.bytes(0) + input.bytes(1)), || (), run);
}
