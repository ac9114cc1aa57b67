//! Output of an aggregation.

use super::{Aggregation, WORD_BYTES};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::pages::cell::load;
use crate::{Error, Result, Shape};
use columnar::{Batch, Vector};
use std::sync::Arc;

/// The source of an aggregation: its tasks share the groups batch by batch.
pub(super) struct AggregateSource(pub(super) Arc<Aggregation>);

/// The next rows to read: which of the merged partitions, and from which of its rows.
#[derive(Default)]
pub(super) struct Cursor {
    part: usize,
    row: usize,
}

struct AggregateSourceTask(Arc<Aggregation>);

impl Source for AggregateSource {
    fn output(&self) -> &[Shape] {
        &self.0.output
    }

    fn parallelism(&self) -> usize {
        let batch_rows = self.0.settings.batch_rows.max(1);
        let batches = |parts: &Vec<super::Merged>| {
            parts.iter().map(|part| part.numbers.len().div_ceil(batch_rows)).sum::<usize>().max(1)
        };
        self.0.result.get().map_or(usize::MAX, batches)
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(AggregateSourceTask(self.0.clone())))
    }
}

impl SourceTask for AggregateSourceTask {
    fn next(&mut self, _step: &Step<'_>) -> Result<Output> {
        let shared = &self.0;
        let parts = shared.result.get();
        let parts = parts.ok_or_else(|| Error::Internal("an aggregation was read before its end".into()))?;
        let (part, numbers) = {
            let mut cursor = shared.cursor.lock();
            while parts.get(cursor.part).is_some_and(|part| cursor.row == part.numbers.len()) {
                *cursor = Cursor { part: cursor.part + 1, row: 0 };
            }
            let Some(part) = parts.get(cursor.part) else { return Ok(Output::Finished) };
            let start = cursor.row;
            cursor.row = part.numbers.len().min(start + shared.settings.batch_rows.max(1));
            (part, &part.numbers[start..cursor.row])
        };
        let mut pointers = part.rows.pointers(numbers);
        let word = |(&number, pointer): (&u32, &mut *const u8)| match part.first_word {
            Some(first) => {
                // Where the row would start if it held its word.
                *pointer = pointer.wrapping_sub(WORD_BYTES);
                first + u64::from(number)
            }
            None => load(*pointer, 0),
        };
        let mut columns: Vec<Vector> = match &shared.packing {
            Some(packing) => {
                let words: Vec<u64> = numbers.iter().zip(&mut pointers).map(word).collect();
                packing.unpack(&words, &shared.key_shapes)
            }
            None => (0..shared.keys.len())
                .map(|key| part.rows.read(key, numbers, &pointers, false))
                .collect(),
        };
        for call in &shared.calls {
            columns.push(call.state.finish(&part.rows, numbers, &pointers)?);
        }
        Ok(Output::Batch(Batch::of_rows(columns, numbers.len())))
    }
}
