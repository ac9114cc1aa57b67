//! Output of a window: a task gathers a unit and gives its rows. Those of a large one are shared with tasks that have
//! nothing else left to do.

use super::unit::{Cursor, Unit};
use super::{UNIT_ROWS, Windowing};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::runtime::waiters::Waiters;
use crate::{Error, Result, Shape};
use columnar::{Batch, Vector};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The source of a window.
pub(super) struct WindowSource(pub(super) Arc<Windowing>);

/// Large units, while they last.
#[derive(Default)]
pub(super) struct Large {
    /// How many are being gathered.
    gathering: usize,
    gathered: Vec<Arc<Slices>>,
    /// Tasks that wait for one to be gathered.
    waiters: Waiters,
}

/// A unit that is gathered, whose rows tasks take slice by slice.
struct Slices {
    unit: Unit,
    next: AtomicUsize,
    slice_rows: usize,
}

impl Slices {
    /// The next rows that nobody has taken yet.
    fn take(&self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed).checked_mul(self.slice_rows)?;
        (start < self.unit.rows()).then(|| start..self.unit.rows().min(start + self.slice_rows))
    }
}

/// Units of so many times as many rows as others are large.
const LARGE: usize = 4;

struct WindowSourceTask {
    shared: Arc<Windowing>,
    /// The unit that is being gathered, and whether it is a large one.
    gathering: Option<(Unit, bool)>,
    /// The unit that is read, what is left of the slice, and where its next row stands.
    reading: Option<(Arc<Slices>, Range<usize>, Cursor)>,
}

impl Source for WindowSource {
    fn output(&self) -> &[Shape] {
        &self.0.output
    }

    fn parallelism(&self) -> usize {
        self.0.units().map_or(1, |units| units.count().max(1))
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(WindowSourceTask { shared: self.0.clone(), gathering: None, reading: None }))
    }
}

impl SourceTask for WindowSourceTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        let shared = self.shared.clone();
        let units = shared.units()?;
        loop {
            if let Some((slices, rows, cursor)) = &mut self.reading {
                if rows.start >= rows.end {
                    match slices.take() {
                        Some(next) => (*cursor, *rows) = (Cursor::at(&slices.unit, next.start), next),
                        None => self.reading = None,
                    }
                    continue;
                }
                let end = rows.end.min(rows.start + shared.settings.batch_rows.max(1));
                let batch = shared.batch(&slices.unit, cursor, rows.start..end)?;
                rows.start = end;
                return Ok(Output::Batch(batch));
            }
            if let Some((unit, _)) = &mut self.gathering {
                if !unit.gather(&shared, step)? {
                    return Ok(Output::Yield);
                }
                self.read_gathered();
                continue;
            }
            let next = shared.next_unit.fetch_add(1, Ordering::Relaxed);
            if next < units.count() {
                let bounds = units.bounds(next);
                if bounds.0 < bounds.1 {
                    let large = bounds.1 - bounds.0 > LARGE * shared.settings.piece_rows(UNIT_ROWS);
                    shared.large.lock().gathering += usize::from(large);
                    self.gathering = Some((Unit::new(&shared, bounds)?, large));
                }
                continue;
            }
            let mut large = shared.large.lock();
            match large.gathered.pop() {
                Some(slices) => {
                    if let Some(rows) = slices.take() {
                        large.gathered.push(slices.clone());
                        self.reading =
                            Some((slices.clone(), rows.clone(), Cursor::at(&slices.unit, rows.start)));
                    }
                }
                None if large.gathering > 0 => {
                    large.waiters.add(step.waker);
                    return Ok(Output::Blocked);
                }
                None => return Ok(Output::Finished),
            }
        }
    }
}

impl WindowSourceTask {
    /// Goes on to read the unit that was gathered; others may help where it is large.
    fn read_gathered(&mut self) {
        let Some((unit, is_large)) = self.gathering.take() else { return };
        let slice_rows = self.shared.settings.piece_rows(UNIT_ROWS).max(1);
        let slices = Arc::new(Slices { unit, next: AtomicUsize::new(0), slice_rows });
        self.reading = Some((slices.clone(), 0..0, Cursor::default()));
        if is_large {
            let waiters = {
                let mut large = self.shared.large.lock();
                large.gathering -= 1;
                large.gathered.push(slices);
                large.waiters.take()
            };
            waiters.wake();
        }
    }
}

impl Windowing {
    /// Rows of a unit that is gathered; the first of them stands where `cursor` does.
    fn batch(&self, unit: &Unit, cursor: &mut Cursor, rows: Range<usize>) -> Result<Batch> {
        let sorted = self.sorted.rows()?;
        let places = cursor.places(unit, rows.start, rows.end);
        let frames = self.frames.iter().zip(&unit.keys);
        let bounds = frames
            .map(|(frame, keys)| frame.bounds(unit, &places, keys.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let numbers = &unit.numbers[rows.clone()];
        let pointers = sorted.pointers(numbers);
        let mut columns: Vec<Vector> =
            (0..self.width).map(|column| sorted.read(column, numbers, &pointers, false)).collect();
        for (call, state) in self.calls.iter().zip(&unit.states) {
            let missing = || Error::Internal("a call has no frame".into());
            let frame = self.frames.get(call.frame).zip(bounds.get(call.frame)).ok_or_else(missing)?;
            columns.push(call.values(sorted, unit, state, (frame.0, frame.1), &places)?);
        }
        Ok(Batch::of_rows(columns, rows.len()))
    }
}
