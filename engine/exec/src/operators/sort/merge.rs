//! Sorted runs become ranges in order, each merged by a piece of work of its own.

use super::{Entry, Sorting};
use crate::Result;
use crate::operator::{Progress, Step, Work};
use crate::pages::FrozenRows;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

/// For one range: where it starts and ends in each run.
pub(super) type Bounds = Vec<(usize, usize)>;

/// Samples a run and range, from which splitters are drawn.
const SAMPLES: usize = 8;

/// Cuts `runs` into `count` ranges of about the same number of entries.
pub(super) fn cut(shared: &Sorting, rows: &FrozenRows, runs: &[Vec<Entry>], count: usize) -> Vec<Bounds> {
    let mut samples = Vec::new();
    if count > 1 {
        for run in runs {
            let wanted = (SAMPLES * count / runs.len()).clamp(4, run.len().max(4));
            samples.extend((0..wanted).filter_map(|sample| run.get(sample * run.len() / wanted).copied()));
        }
        samples.sort_unstable_by(|a, b| shared.compare(a, b, rows));
    }
    let mut starts = vec![0; runs.len()];
    (1..=count)
        .map(|range| {
            let splitter = if range == count { None } else { samples.get(range * samples.len() / count) };
            let bounds = runs.iter().zip(&mut starts).map(|(run, start)| {
                let end = splitter.map_or(run.len(), |splitter| {
                    run.partition_point(|entry| shared.compare(entry, splitter, rows) == Ordering::Less)
                });
                let bounds = (*start, end.max(*start));
                *start = bounds.1;
                bounds
            });
            bounds.collect()
        })
        .collect()
}

/// Merges one range of all runs, two lists at a time.
pub(super) struct RangeWork {
    shared: Arc<Sorting>,
    runs: Arc<Vec<Vec<Entry>>>,
    range: usize,
    /// What of each run is not in `lists` yet, last first.
    bounds: Vec<(usize, (usize, usize))>,
    lists: VecDeque<Vec<Entry>>,
    merging: Option<Merging>,
}

/// Two lists on their way into one.
struct Merging {
    lists: [Vec<Entry>; 2],
    at: [usize; 2],
    merged: Vec<Entry>,
}

/// Entries merged between looks at the clock.
const CHUNK_ROWS: usize = 16 << 10;

impl RangeWork {
    pub(super) fn new(
        shared: Arc<Sorting>,
        runs: Arc<Vec<Vec<Entry>>>,
        range: usize,
        bounds: Bounds,
    ) -> RangeWork {
        let bounds = bounds.into_iter().enumerate().rev().collect();
        RangeWork { shared, runs, range, bounds, lists: VecDeque::new(), merging: None }
    }
}

impl Work for RangeWork {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        let shared = self.shared.clone();
        let sorted = shared.sorted()?;
        loop {
            if let Some((run, (start, end))) = self.bounds.pop() {
                if start < end {
                    self.lists.push_back(self.runs[run][start..end].to_vec());
                }
            } else if let Some(merging) = &mut self.merging {
                if merging.advance(&shared, &sorted.rows) {
                    self.lists.extend(self.merging.take().map(|merging| merging.merged));
                }
            } else if self.lists.len() > 1 {
                let lists = [0; 2].map(|_| self.lists.pop_front().unwrap_or_default());
                let merged = Vec::with_capacity(lists.iter().map(Vec::len).sum());
                self.merging = Some(Merging { lists, at: [0; 2], merged });
            } else {
                break;
            }
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        let entries = self.lists.pop_front().unwrap_or_default();
        if let Some(range) = sorted.ranges.get(self.range) {
            *range.lock() = entries.into_iter().map(|entry| entry.row).collect();
        }
        Ok(Progress::Ready)
    }
}

impl Merging {
    /// Merges some entries; true once none is left.
    fn advance(&mut self, shared: &Sorting, rows: &FrozenRows) -> bool {
        let [left, right] = &self.lists;
        let [mut a, mut b] = self.at;
        let mut room = CHUNK_ROWS;
        while room > 0
            && let (Some(first), Some(second)) = (left.get(a), right.get(b))
        {
            let right_first = shared.compare(second, first, rows) == Ordering::Less;
            self.merged.push(if right_first { *second } else { *first });
            a += usize::from(!right_first);
            b += usize::from(right_first);
            room -= 1;
        }
        let done = a == left.len() || b == right.len();
        if done {
            self.merged.extend_from_slice(&left[a..]);
            self.merged.extend_from_slice(&right[b..]);
        }
        self.at = [a, b];
        done
    }
}
