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
