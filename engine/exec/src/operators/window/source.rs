//! Output of a window: unit by unit, each by one task.

use super::Windowing;
use super::unit::{Cursor, Unit};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::{Result, Shape};
use columnar::{Batch, Vector};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The source of a window.
pub(super) struct WindowSource(pub(super) Arc<Windowing>);

struct WindowSourceTask {
    shared: Arc<Windowing>,
    unit: Option<Unit>,
    /// How many rows of the unit were given, and where the next one stands.
    given: usize,
    cursor: Cursor,
}

impl Source for WindowSource {
    fn output(&self) -> &[Shape] {
        &self.0.output
    }

    fn parallelism(&self) -> usize {
        self.0.units().map_or(1, |units| units.count().max(1))
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        let shared = self.0.clone();
        Ok(Box::new(WindowSourceTask { shared, unit: None, given: 0, cursor: Cursor::default() }))
    }
}

impl SourceTask for WindowSourceTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        let shared = self.shared.clone();
        let units = shared.units()?;
        loop {
            if let Some(unit) = &mut self.unit {
                if !unit.gather(&shared, step)? {
                    return Ok(Output::Yield);
                }
                if self.given < unit.rows() {
                    return self.batch();
                }
                self.unit = None;
            }
            let next = shared.next_unit.fetch_add(1, Ordering::Relaxed);
            if next >= units.count() {
                return Ok(Output::Finished);
            }
            let bounds = units.bounds(next);
            if bounds.0 < bounds.1 {
                self.unit = Some(Unit::new(&shared, bounds)?);
                (self.given, self.cursor) = (0, Cursor::default());
            }
        }
    }
}

impl WindowSourceTask {
    /// The next rows of the unit.
    fn batch(&mut self) -> Result<Output> {
        let (shared, Some(unit)) = (&self.shared, &self.unit) else { return Ok(Output::Yield) };
        let rows = shared.sorted.rows()?;
        let end = unit.rows().min(self.given + shared.settings.batch_rows.max(1));
        let places = self.cursor.places(unit, self.given, end);
        let frames = shared.frames.iter().zip(&unit.keys);
        let bounds = frames
            .map(|(frame, keys)| frame.bounds(unit, &places, keys.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let numbers = &unit.numbers[self.given..end];
        let pointers = rows.pointers(numbers);
        let mut columns: Vec<Vector> =
            (0..shared.width).map(|column| rows.read(column, numbers, &pointers, false)).collect();
        for (call, state) in shared.calls.iter().zip(&unit.states) {
            let frame = (&shared.frames[call.frame], &bounds[call.frame][..]);
            columns.push(call.values(rows, unit, state, frame, &places)?);
        }
        let batch = Batch::of_rows(columns, end - self.given);
        self.given = end;
        Ok(Output::Batch(batch))
    }
}
