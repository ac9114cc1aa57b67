//! Morsels cut where a sorted column changes its value, so that all rows of a value come to one task.

use super::{Morsel, Shared};
use crate::error::{Error, Result};
use columnar::Scalar;
use storage::RowsRef;

impl Shared {
    /// What the task that takes morsel `index` reads: where runs are kept whole, the morsel without the rows that
    /// go on with the run of the one before it, and the rows of those after it that go on with its last run.
    pub(super) fn whole_runs(&self, index: usize) -> Result<Vec<Morsel>> {
        let mut morsel = self.morsels[index];
        let Some(&column) = self.runs.get() else { return Ok(vec![morsel]) };
        if let Some(before) = index.checked_sub(1) {
            let last = self.last_value(&self.morsels[before], column)?;
            let skipped = self.rows_of(&morsel, column, &last)?;
            morsel.start += skipped;
            morsel.len -= skipped;
        }
        if morsel.len == 0 {
            return Ok(Vec::new());
        }
        let last = self.last_value(&morsel, column)?;
        let mut taken = vec![morsel];
        for next in &self.morsels[index + 1..] {
            let len = self.rows_of(next, column, &last)?;
            if len > 0 {
                taken.push(Morsel { len, ..*next });
            }
            if len < next.len {
                break;
            }
        }
        Ok(taken)
    }

    fn last_value(&self, morsel: &Morsel, column: u32) -> Result<Scalar> {
        self.value(morsel, morsel.len.saturating_sub(1), column)
    }

    /// The value of the column in the `row`th row of a morsel.
    fn value(&self, morsel: &Morsel, row: usize, column: u32) -> Result<Scalar> {
        let segment = &self.segments[morsel.segment].segment;
        let physical = segment.schema()[column as usize].data_type.physical();
        let rows = [(morsel.start + row) as u32];
        let columns = segment.read(morsel.block, RowsRef::Indices(&rows), &[(column, physical)])?;
        let value = columns.first().map(|vector| vector.scalar(0));
        value.ok_or_else(|| Error::Internal("a read without its column".into()))
    }

    /// How many rows at the start of a morsel have this value; rows ascend by the column.
    fn rows_of(&self, morsel: &Morsel, column: u32, value: &Scalar) -> Result<usize> {
        let (mut low, mut high) = (0, morsel.len);
        // Most often none, or few.
        let mut probe = 0;
        while low < high {
            if self.value(morsel, probe, column)? == *value {
                low = probe + 1;
            } else {
                high = probe;
            }
            probe = if high == morsel.len { (2 * low).min(high - 1) } else { (low + high) / 2 };
        }
        Ok(low)
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::context::QueryContext;
    use crate::memory::MemoryPool;
    use crate::operators::scan::tests::{TYPES, plan};
    use columnar::Vector;
    use std::collections::HashMap;
    use std::task::Waker;
    use storage::{ColumnSchema, SegmentBuilder};

    /// Keys in ascending order: short runs, one over several blocks and segments, short ones again.
    fn keys() -> Vec<i128> {
        (0..70_000)
            .map(|row| row / 7)
            .chain(vec![10_000; 300_000])
            .chain((0..80_000).map(|row| 10_001 + row / 3))
            .collect()
    }

    fn table(keys: &[i128], segment_rows: usize) -> Table {
        let data_type = TYPES[0];
        let schema: Arc<[ColumnSchema]> =
            Arc::new([ColumnSchema { name: "k".into(), data_type, nullable: true }]);
        let segment = |keys: &[i128]| {
            let mut builder = SegmentBuilder::new(schema.clone());
            for chunk in keys.chunks(2048) {
                let scalars: Vec<Scalar> = chunk.iter().map(|&key| Scalar::Integer(key)).collect();
                builder.push(&Batch::new(vec![Vector::from_scalars(data_type, &scalars)])).unwrap();
            }
            Arc::new(storage::Segment::open(builder.finish().unwrap().into_bytes()).unwrap())
        };
        Table { segments: keys.chunks(segment_rows).map(segment).collect(), schema: schema.clone() }
    }

    #[test]
    fn rows_of_a_value_stay_with_one_task_in_order() {
        let keys = keys();
        for segment_rows in [50_000, 200_000, 1_000_000] {
            let table = table(&keys, segment_rows);
            let mut plan = plan(&[0], &[]);
            plan.schema.truncate(1);
            let scan = Scan::new(&plan, &table, 2048, 8, Arc::default()).unwrap();
            assert!(scan.is_sorted(0) && scan.keep_runs_whole(0));
            let query = QueryContext::new(1, MemoryPool::unlimited());
            let mut tasks: Vec<_> = (0..3).map(|_| scan.start().unwrap()).collect();
            let mut owners = HashMap::<i128, usize>::new();
            let (mut lasts, mut ended, mut rows) = ([-1; 3], [false; 3], 0);
            while ended != [true; 3] {
                for (number, task) in tasks.iter_mut().enumerate() {
                    let step = Step { query: &query, waker: Waker::noop(), started: query.now() };
                    match task.next(&step).unwrap() {
                        Output::Batch(batch) => {
                            for row in 0..batch.rows {
                                let key = batch.columns[0].scalar(row).as_integer().unwrap();
                                assert!(key >= lasts[number], "a task's keys ascend");
                                lasts[number] = key;
                                assert_eq!(*owners.entry(key).or_insert(number), number, "key {key}");
                            }
                            rows += batch.rows;
                        }
                        Output::Finished => ended[number] = true,
                        _ => {}
                    }
                }
            }
            assert_eq!(rows, keys.len());
            let used: std::collections::HashSet<usize> = owners.values().copied().collect();
            assert!(used.len() > 1, "the work was shared");
        }
    }
}
