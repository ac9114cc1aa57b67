//! Output of an aggregation.

use super::{Aggregation, WORD_BYTES};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::pages::cell::load;
use crate::{Error, Result, Shape};
use columnar::{Batch, Vector};
use parking_lot::Mutex;
use std::sync::Arc;

/// A source of an aggregation: its tasks share the groups batch by batch.
pub(super) struct AggregateSource {
    aggregation: Arc<Aggregation>,
    /// Which of the aggregation's columns it gives.
    columns: Arc<[usize]>,
    output: Vec<Shape>,
    cursor: Arc<Mutex<Cursor>>,
}

/// The next rows to read: which of the merged partitions, and from which of its rows.
#[derive(Default)]
struct Cursor {
    part: usize,
    row: usize,
}

struct AggregateSourceTask {
    aggregation: Arc<Aggregation>,
    columns: Arc<[usize]>,
    cursor: Arc<Mutex<Cursor>>,
}

impl AggregateSource {
    pub(super) fn new(aggregation: Arc<Aggregation>, columns: &[usize]) -> AggregateSource {
        let output = columns.iter().map(|&column| aggregation.output[column].clone()).collect();
        AggregateSource { aggregation, columns: columns.into(), output, cursor: Arc::default() }
    }
}

impl Source for AggregateSource {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        let batch_rows = self.aggregation.settings.batch_rows.max(1);
        let batches = |parts: &Vec<super::Merged>| {
            parts.iter().map(|part| part.numbers.len().div_ceil(batch_rows)).sum::<usize>().max(1)
        };
        self.aggregation.result.get().map_or(usize::MAX, batches)
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(AggregateSourceTask {
            aggregation: self.aggregation.clone(),
            columns: self.columns.clone(),
            cursor: self.cursor.clone(),
        }))
    }
}

impl SourceTask for AggregateSourceTask {
    fn next(&mut self, _step: &Step<'_>) -> Result<Output> {
        let shared = &self.aggregation;
        let parts = shared.result.get();
        let parts = parts.ok_or_else(|| Error::Internal("an aggregation was read before its end".into()))?;
        let (part, numbers) = {
            let mut cursor = self.cursor.lock();
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
        let unpacked = shared.packing.as_ref().map(|packing| {
            let words: Vec<u64> = numbers.iter().zip(&mut pointers).map(word).collect();
            packing.unpack(&words, &shared.key_shapes)
        });
        let column = |&column: &usize| match (column.checked_sub(shared.keys.len()), &unpacked) {
            (None, Some(keys)) => Ok(keys[column].clone()),
            (None, None) => Ok(part.rows.read(column, numbers, &pointers, false)),
            (Some(call), _) => shared.calls[call].state.finish(&part.rows, numbers, &pointers),
        };
        let columns = self.columns.iter().map(column).collect::<Result<Vec<Vector>>>()?;
        Ok(Output::Batch(Batch::of_rows(columns, numbers.len())))
    }
}
