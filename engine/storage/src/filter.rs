//! Filtering blocks: zone maps first, then the encodings, the cheapest test first, then values.

use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::predicate::{ColumnPredicate, Test};
use crate::prepared::PreparedTest;
use crate::rows::{BlockRows, RowsRef};
use crate::segment::{BLOCK_ROWS, Segment};
use crate::zone::Verdict;
use columnar::kernels::take::indices_of;
use columnar::{BATCH_ROWS, Bitmap};
use std::sync::Arc;

/// A segment with predicates made ready for it: dictionaries are looked through once, not once a block.
#[derive(Debug)]
pub struct SegmentFilter {
    segment: Arc<Segment>,
    tests: Vec<PreparedTest>,
    blocks: Vec<u32>,
}

impl SegmentFilter {
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The blocks that may hold matches, ascending.
    pub fn blocks(&self) -> &[u32] {
        &self.blocks
    }

    /// As [`Segment::filter`].
    pub fn filter(&self, block: u32) -> Result<BlockRows> {
        self.filter_also(block, &[])
    }

    /// As [`SegmentFilter::filter`], of rows that match `more` as well, which was not known when it was made.
    pub fn filter_also(&self, block: u32, more: &[ColumnPredicate]) -> Result<BlockRows> {
        let more = self.segment.prepare_tests(more)?;
        self.segment.filter_by(block as usize, self.tests.iter().chain(&more), None)
    }
}

impl Segment {
    /// Makes predicates ready for many blocks.
    pub fn prepare(self: &Arc<Segment>, predicates: &[ColumnPredicate]) -> Result<SegmentFilter> {
        let tests = self.prepare_tests(predicates)?;
        Ok(SegmentFilter { segment: self.clone(), tests, blocks: self.prune(predicates) })
    }

    pub(crate) fn prepare_tests(&self, predicates: &[ColumnPredicate]) -> Result<Vec<PreparedTest>> {
        let prepare = |predicate: &ColumnPredicate| {
            let column = predicate.column as usize;
            let schema = self.schema().get(column);
            let schema = schema.ok_or_else(|| Error::Internal(format!("column {column} does not exist")))?;
            PreparedTest::new(column, predicate.test.clone(), schema.data_type)
        };
        predicates.iter().map(prepare).collect()
    }

    pub(crate) fn prune_by<'a>(&self, tests: impl Iterator<Item = (usize, &'a Test)> + Clone) -> Vec<u32> {
        let may_match = |block: &u32| {
            tests.clone().all(|(column, test)| {
                let zone =
                    self.content.columns.get(column).and_then(|column| column.zones.get(*block as usize));
                zone.is_none_or(|zone| zone.judge(test) != Verdict::None)
            })
        };
        (0..self.block_count() as u32).filter(may_match).collect()
    }

    /// The visible rows of a block, or of those in `among`, that pass all tests.
    pub(crate) fn filter_by<'a>(
        &self,
        block: usize,
        tests: impl IntoIterator<Item = &'a PreparedTest>,
        among: Option<Bitmap>,
    ) -> Result<BlockRows> {
        let rows = self.block_rows(block);
        let mut open = Vec::new();
        for test in tests {
            let zone = self.content.columns.get(test.column).and_then(|column| column.zones.get(block));
            match zone.map(|zone| zone.judge(test.test())) {
                Some(Verdict::None) => return Ok(BlockRows::None),
                Some(Verdict::All) => {}
                _ => open.push(test),
            }
        }
        let visible = self.visible.as_ref().map(|visible| visible.rows.slice(block * BLOCK_ROWS, rows));
        let mut alive = match (visible, among) {
            (Some(visible), Some(among)) => Some(visible.and(&among)),
            (visible, among) => visible.or(among),
        };
        open.sort_by_cached_key(|test| match test.test() {
            Test::IsNull | Test::IsNotNull => 0,
            _ => self.content.block(test.column, block).map_or(0, |block| block.values.filter_cost()),
        });
        for test in open {
            let passing = self.test_block(block, test, alive.as_ref())?;
            let left = match alive {
                Some(alive) => alive.and(&passing),
                None => passing,
            };
            if left.none() {
                return Ok(BlockRows::None);
            }
            alive = Some(left);
        }
        Ok(match alive {
            Some(alive) if alive.none() => BlockRows::None,
            Some(alive) if !alive.all() => BlockRows::Some(indices_of(&alive)),
            _ if rows == 0 => BlockRows::None,
            _ => BlockRows::All,
        })
    }

    /// The rows of a block that pass a test; bits of rows that are not alive mean nothing.
    fn test_block(&self, index: usize, test: &PreparedTest, alive: Option<&Bitmap>) -> Result<Bitmap> {
        let rows = self.block_rows(index);
        let block = self.content.block(test.column, index)?;
        let all_null = self.content.columns[test.column].zones[index].nulls == rows as u64;
        let passing = match test.test() {
            Test::IsNull if all_null => return Ok(Bitmap::filled(true, rows)),
            Test::IsNull => {
                return Ok(block.validity.as_ref().map_or_else(|| Bitmap::filled(false, rows), Bitmap::not));
            }
            Test::OrNull(_) if all_null => return Ok(Bitmap::filled(true, rows)),
            _ if all_null => return Ok(Bitmap::filled(false, rows)),
            Test::IsNotNull => Bitmap::filled(true, rows),
            _ => match block.values.filter(test, alive)? {
                Some(passing) => passing,
                None => self.test_values(index, test, alive)?,
            },
        };
        Ok(match (&block.validity, test.test()) {
            (Some(validity), Test::OrNull(_)) => passing.or(&validity.not()),
            (Some(validity), _) => passing.and(validity),
            (None, _) => passing,
        })
    }

    /// Reads the rows that are alive, a batch at a time, and tests their values.
    fn test_values(&self, block: usize, test: &PreparedTest, alive: Option<&Bitmap>) -> Result<Bitmap> {
        let rows = self.block_rows(block);
        let physical = self.schema()[test.column].data_type.physical();
        let mut words = vec![0_u64; rows.div_ceil(64)];
        let indices = alive.filter(|alive| !alive.all()).map(indices_of);
        match indices {
            None => {
                for start in (0..rows).step_by(BATCH_ROWS) {
                    let range = RowsRef::Range(start, BATCH_ROWS.min(rows - start));
                    let values = self.read_column(block, range, test.column, physical)?;
                    // Batches are whole words, so their bits need no shifting.
                    let bits = evaluate(test.test(), &values)?;
                    words[start / 64..start / 64 + bits.words().len()].copy_from_slice(bits.words());
                }
            }
            Some(indices) => {
                for chunk in indices.chunks(BATCH_ROWS) {
                    let values = self.read_column(block, RowsRef::Indices(chunk), test.column, physical)?;
                    for passing in evaluate(test.test(), &values)?.ones() {
                        let row = chunk[passing] as usize;
                        words[row / 64] |= 1 << (row % 64);
                    }
                }
            }
        }
        Ok(Bitmap::from_words(words, rows))
    }
}
