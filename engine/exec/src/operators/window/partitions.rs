//! Where partitions start among the sorted rows, and the units of whole partitions that tasks take.

use super::{UNIT_ROWS, Windowing};
use crate::memory::Reservation;
use crate::operator::{Progress, Sink, SinkTask, Step, Work};
use crate::{Error, Result};
use std::sync::Arc;

/// The sink of a sort, after which the starts of partitions are found.
pub(super) struct WindowSink {
    pub(super) sort: Arc<dyn Sink>,
    pub(super) shared: Arc<Windowing>,
}

impl Sink for WindowSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        self.sort.start()
    }

    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        let sorts = self.sort.finalize()?;
        self.shared.ranges.lock().resize_with(sorts.len(), RangeStarts::default);
        let work = |(range, sort)| {
            let (shared, memory) = (self.shared.clone(), self.shared.memory.reservation("partitions"));
            let found = RangeStarts { memory: Some(memory), ..RangeStarts::default() };
            Box::new(FindStarts { shared, range, sort: Some(sort), found }) as Box<dyn Work>
        };
        Ok(sorts.into_iter().enumerate().map(work).collect())
    }
}

/// What is found of a range of the sort.
#[derive(Default)]
pub(super) struct RangeStarts {
    rows: usize,
    /// Places within the range, after the first, of rows whose partition is another than that of the row before.
    starts: Vec<u32>,
    /// Of `starts`.
    memory: Option<Reservation>,
}

/// Sorts a range, and finds its partitions.
struct FindStarts {
    shared: Arc<Windowing>,
    range: usize,
    sort: Option<Box<dyn Work>>,
    found: RangeStarts,
}

/// Rows compared between looks at the clock.
const CHUNK_ROWS: usize = 4 << 10;

impl Work for FindStarts {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        if let Some(sort) = &mut self.sort {
            match sort.advance(step)? {
                Progress::Ready | Progress::Finished => self.sort = None,
                other => return Ok(other),
            }
        }
        let shared = &self.shared;
        let (rows, found) = (shared.sorted.rows()?, &mut self.found);
        while !shared.sorted.range(self.range, |numbers| {
            let end = match shared.partition_keys {
                0 => numbers.len(),
                _ => numbers.len().min(found.rows + CHUNK_ROWS),
            };
            let before = found.starts.len();
            if shared.partition_keys > 0 {
                let others = (found.rows.max(1)..end).filter(|&place| {
                    let keys = 0..shared.partition_keys;
                    !shared.sorted.are_alike(rows, keys, numbers[place - 1], numbers[place])
                });
                found.starts.extend(others.map(|place| place as u32));
            }
            found.rows = end;
            let bytes = size_of::<u32>() * (found.starts.len() - before);
            found.memory.as_mut().map_or(Ok(()), |memory| memory.grow(bytes as u64))?;
            Ok::<_, Error>(end == numbers.len())
        })?? {
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        let found = std::mem::take(&mut self.found);
        match shared.ranges.lock().get_mut(self.range) {
            Some(range) => *range = found,
            None => return Err(Error::Internal("a window has no such range".into())),
        }
        Ok(Progress::Ready)
    }
}

/// All sorted rows, cut into units.
pub(super) struct Units {
    ranges: Vec<UnitRange>,
    rows: usize,
    /// Every so many rows a unit ends with its last partition.
    unit_rows: usize,
}

struct UnitRange {
    /// How many rows there are before it.
    base: usize,
    /// Whether its first row starts a partition.
    opens: bool,
    found: RangeStarts,
}

impl Units {
    pub(super) fn new(shared: &Windowing, found: Vec<RangeStarts>) -> Result<Units> {
        let rows = shared.sorted.rows()?;
        let (mut ranges, mut base, mut last) = (Vec::with_capacity(found.len()), 0, None);
        for (range, found) in found.into_iter().enumerate() {
            let ends = shared
                .sorted
                .range(range, |numbers| numbers.first().copied().zip(numbers.last().copied()))?;
            let opens = match (last, ends) {
                (Some(last), Some((first, _))) => {
                    !shared.sorted.are_alike(rows, 0..shared.partition_keys, last, first)
                }
                (None, ends) => ends.is_some(),
                _ => false,
            };
            last = ends.map(|(_, last)| last).or(last);
            let rows = found.rows;
            ranges.push(UnitRange { base, opens, found });
            base += rows;
        }
        Ok(Units { ranges, rows: base, unit_rows: shared.settings.piece_rows(UNIT_ROWS).max(1) })
    }

    /// How many units there are; some may be empty.
    pub(super) fn count(&self) -> usize {
        self.rows.div_ceil(self.unit_rows)
    }

    /// The places of the rows of a unit among all: the first, and that after the last.
    pub(super) fn bounds(&self, unit: usize) -> (usize, usize) {
        (self.next_start(unit * self.unit_rows), self.next_start((unit + 1) * self.unit_rows))
    }

    /// The first place from `place` on where a partition starts, or the end.
    fn next_start(&self, place: usize) -> usize {
        let first = self.ranges.partition_point(|range| range.base + range.found.rows <= place);
        let mut starts = self.ranges.iter().skip(first).filter_map(|range| {
            let local = place.saturating_sub(range.base);
            if local == 0 && range.opens {
                return Some(range.base);
            }
            let at = range.found.starts.partition_point(|&start| (start as usize) < local);
            range.found.starts.get(at).map(|&start| range.base + start as usize)
        });
        starts.next().unwrap_or(self.rows)
    }

    /// Appends the numbers of the rows at the places `from .. to`, and where partitions start there, counted from `origin`.
    pub(super) fn read(
        &self,
        shared: &Windowing,
        (from, to): (usize, usize),
        origin: usize,
        numbers: &mut Vec<u32>,
        starts: &mut Vec<u32>,
    ) -> Result<()> {
        let first = self.ranges.partition_point(|range| range.base + range.found.rows <= from);
        for (index, range) in self.ranges.iter().enumerate().skip(first) {
            if range.base >= to {
                break;
            }
            let local = from.saturating_sub(range.base);
            let end = range.found.rows.min(to - range.base);
            shared.sorted.range(index, |all| {
                numbers.extend_from_slice(all.get(local..end).unwrap_or_default());
            })?;
            let place = |start: usize| (range.base + start - origin) as u32;
            if local == 0 && range.opens {
                starts.push(place(0));
            }
            let at = range.found.starts.partition_point(|&start| (start as usize) < local);
            let within = range.found.starts[at..].iter().map(|&start| start as usize);
            starts.extend(within.take_while(|&start| start < end).map(place));
        }
        Ok(())
    }
}
