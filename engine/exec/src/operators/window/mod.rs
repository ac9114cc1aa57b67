//! Functions over the rows around each row.
//!
//! Rows go into a [`super::sort`] by the keys of partition and order. Once they are sorted, where partitions start is
//! found beside, range by range ([`partitions`]). What is then read, in parallel, are units: whole partitions, one after
//! the other, until there are enough rows. Of each unit a task first gathers what tells the value of any frame fast
//! ([`state`]): counts and sums from the first row on, of which the difference is that of a frame, the best row so far,
//! and [`tree`]s of parts. Then it gives the unit's rows batch by batch: the bounds of every row's frame ([`frame`]), and
//! the values by them ([`call`]).

mod call;
mod frame;
mod partitions;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod unit;

use super::sort::SortedRows;
use crate::error::Result;
use crate::expr::Expr;
use crate::memory::MemoryPool;
use crate::operator::{Sink, Source};
use crate::plan::{self, AggregateFunction, FrameUnit, SortKey};
use crate::{Error, QueryContext, Settings, Shape};
use call::Call;
pub use call::has_frames;
use frame::Frame;
use parking_lot::Mutex;
use partitions::{RangeStarts, Units};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// The two parts: rows go into `sink`; once it is finalized, they come out of `source` with the calls after their
/// columns. Tasks of the source share the work by whole partitions, and the rows of large ones.
pub struct Window {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
}

impl Window {
    /// `input` are the shapes of the rows, which the expressions of `window` refer to.
    pub fn new(window: &plan::Window, input: &[Shape], query: &QueryContext) -> Result<Window> {
        let by_partition = window.partition.iter().map(|key| SortKey {
            expr: key.clone(),
            descending: false,
            nulls_first: false,
        });
        let mut keys: Vec<SortKey> = by_partition.chain(window.order.iter().cloned()).collect();
        let peer_keys = keys.len();
        if window.calls.iter().any(tells_peers_apart) {
            // So that an answer does not hang on which row came first: what is alike in all columns may change places.
            let columns = input.iter().enumerate();
            let columns = columns.map(|(column, shape)| Expr::column(column as u32, shape.data_type));
            let others: Vec<Expr> =
                columns.filter(|column| keys.iter().all(|key| key.expr != *column)).collect();
            keys.extend(others.into_iter().map(|expr| SortKey {
                expr,
                descending: false,
                nulls_first: false,
            }));
        }
        let (sort, sorted) = SortedRows::new(&keys, input, query)?;
        let mut frames: Vec<Frame> = Vec::new();
        let (mut specified, mut calls) = (Vec::new(), Vec::new());
        for call in &window.calls {
            let frame = match specified.iter().position(|known| *known == &call.frame) {
                Some(known) => known,
                None => {
                    frames.push(Frame::new(&call.frame, &window.order, input)?);
                    specified.push(&call.frame);
                    frames.len() - 1
                }
            };
            calls.push(Call::new(call, frame, input)?);
        }
        let kept = calls.iter().map(Call::bytes_a_row).sum::<u64>()
            + frames.iter().map(Frame::bytes_a_row).sum::<u64>();
        let shared = Arc::new(Windowing {
            sorted,
            partition_keys: window.partition.len(),
            peer_keys,
            output: input.iter().chain(calls.iter().map(|call| &call.shape)).cloned().collect(),
            width: input.len(),
            frames,
            calls,
            // Beside what is kept for calls: the number of the row, where its partition and its peers start.
            bytes_a_row: kept + 12,
            memory: query.memory.clone(),
            settings: query.settings.clone(),
            ranges: Mutex::default(),
            units: OnceLock::new(),
            next_unit: AtomicUsize::new(0),
            large: Mutex::default(),
        });
        Ok(Window {
            sink: Arc::new(partitions::WindowSink { sort, shared: shared.clone() }),
            source: Arc::new(source::WindowSource(shared)),
        })
    }
}

/// What the parts share.
struct Windowing {
    sorted: SortedRows,
    /// How many of the sort's keys are those of the partition, and with those by which rows are peers.
    partition_keys: usize,
    peer_keys: usize,
    /// How many columns of the output are the input's.
    width: usize,
    output: Vec<Shape>,
    /// Each once.
    frames: Vec<Frame>,
    calls: Vec<Call>,
    /// What a task keeps of a unit's row, at most.
    bytes_a_row: u64,
    memory: Arc<MemoryPool>,
    settings: Settings,
    /// Until there are units: what is found of each range of the sort.
    ranges: Mutex<Vec<RangeStarts>>,
    units: OnceLock<Units>,
    next_unit: AtomicUsize,
    large: Mutex<source::Large>,
}

/// Rows of a unit, about: a task has one at a time.
const UNIT_ROWS: usize = 32 << 10;

impl Windowing {
    fn units(&self) -> Result<&Units> {
        if let Some(units) = self.units.get() {
            return Ok(units);
        }
        // Once one has them all others find them: nobody takes the ranges twice while the lock is held.
        let mut ranges = self.ranges.lock();
        if self.units.get().is_none() {
            let made = Units::new(self, std::mem::take(&mut *ranges))?;
            self.units.set(made).map_err(|_| Error::Internal("units were made twice".into()))?;
        }
        self.units.get().ok_or_else(|| Error::Internal("there are no units".into()))
    }
}

/// Whether peers may have other values by the order in which they stand.
fn tells_peers_apart(call: &plan::WindowCall) -> bool {
    use plan::WindowFunction::{Aggregate, CumeDist, DenseRank, PercentRank, Rank};
    match call.function {
        Rank | DenseRank | PercentRank | CumeDist => false,
        Aggregate(AggregateFunction::AnyValue) => true,
        Aggregate(_) => call.frame.unit == FrameUnit::Rows && !call.frame.is_whole(),
        _ => true,
    }
}

/// The field that a column of the input has in the sorted rows.
fn field_of(expr: &Expr, input: &[Shape]) -> Result<usize> {
    match expr {
        Expr::Column { id, .. } if (*id as usize) < input.len() => Ok(*id as usize),
        other => Err(Error::Internal(format!("a window takes columns, not {other:?}"))),
    }
}
