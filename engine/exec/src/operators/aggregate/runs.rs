//! Aggregation of rows that come in the order of their key: a group is done as soon as another key comes, so that
//! nothing is hashed and only one group is held back. Whoever uses it makes sure that all rows of a key come to
//! one task ([`crate::operators::scan::Scan::keep_runs_whole`]) and that a task's keys ascend.

use super::state::{Keep, Rows};
use super::{Aggregation, Call};
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::pages::cell::{load, store};
use crate::pages::{FrozenRows, RowPages};
use crate::{Error, Result, Shape};
use columnar::{Batch, View, kernel};
use std::sync::Arc;

/// The operator; its output are the keys, then the aggregates.
pub(super) struct RunAggregate(pub(super) Arc<Aggregation>);

struct RunTask {
    shared: Arc<Aggregation>,
    pending: Option<Batch>,
    /// The group of the last row, which may go on.
    open: Option<RowPages>,
    ended: bool,
}

impl Operator for RunAggregate {
    fn output(&self) -> &[Shape] {
        &self.0.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(RunTask { shared: self.0.clone(), pending: None, open: None, ended: false }))
    }
}

impl OperatorTask for RunTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        if let Some(batch) = self.pending.take() {
            let batch = batch.compact();
            if batch.rows > 0
                && let Some(groups) = self.take(&batch)?
            {
                return Ok(Output::Batch(groups));
            }
        }
        match self.open.take_if(|_| self.ended) {
            Some(rows) => Ok(Output::Batch(self.give(rows, 1)?)),
            None => Ok(Output::NeedsInput),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        Ok(())
    }
}

impl RunTask {
    /// Takes a batch and gives the groups that are done.
    fn take(&mut self, batch: &Batch) -> Result<Option<Batch>> {
        let shared = self.shared.clone();
        let keys = shared.keys.iter().map(|key| key.evaluate(batch)).collect::<Result<Vec<_>>>()?;
        let Some(packing) = &shared.packing else {
            return Err(Error::Internal("runs of keys that are not packed".into()));
        };
        let words = packing.pack(&keys, batch.rows, None);
        let mut rows = self.open.take().unwrap_or_else(|| shared.new_rows());
        // The run that the open group goes on with has no start of its own.
        let mut starts = run_starts(&words);
        if rows.rows() == 1 && load::<u64>(rows.pointer(0), 0) == words[0] {
            starts.remove(0);
        }
        let first_new = rows.rows() as u32;
        rows.make_room(starts.len())?;
        for &start in &starts {
            let row = rows.push()?;
            store(rows.pointer_mut(row), 0, words[start as usize]);
        }
        if first_new == 1 {
            starts.insert(0, 0);
        }
        let pointers: Vec<*mut u8> = (0..rows.rows() as u32).map(|row| rows.pointer_mut(row)).collect();
        let runs = Runs { starts: &starts, pointers: &pointers, rows: batch.rows };
        for call in &shared.calls {
            update(call, batch, &runs, &mut rows)?;
        }
        let done = rows.rows() - 1;
        let mut open = shared.new_rows();
        let copy = open.copy_row(&rows, done as u32)?;
        for call in &shared.calls {
            let pointer = open.pointer_mut(copy);
            call.state.keep_copied(&rows, pointer, |bytes| open.keep(bytes))?;
        }
        self.open = Some(open);
        if done > 0 { self.give(rows, done).map(Some) } else { Ok(None) }
    }

    /// The first `count` groups of `rows`.
    fn give(&self, rows: RowPages, count: usize) -> Result<Batch> {
        let rows = FrozenRows::new(&self.shared.layout, vec![rows])?;
        let numbers: Vec<u32> = (0..count as u32).collect();
        let pointers = rows.pointers(&numbers);
        let words: Vec<u64> = pointers.iter().map(|&row| load(row, 0)).collect();
        let mut columns = match &self.shared.packing {
            Some(packing) => packing.unpack(&words, &self.shared.key_shapes),
            None => Vec::new(),
        };
        for call in &self.shared.calls {
            columns.push(call.state.finish(&rows, &numbers, &pointers)?);
        }
        Ok(Batch::of_rows(columns, count))
    }
}

/// The runs of a batch.
pub(super) struct Runs<'a> {
    /// The first position of each, ascending from 0. Two runs start at 0 where the first has no row here.
    pub(super) starts: &'a [u32],
    /// The address of each run's group.
    pub(super) pointers: &'a [*mut u8],
    /// Positions in all.
    pub(super) rows: usize,
}

impl Runs<'_> {
    /// The end of each run.
    pub(super) fn ends(&self) -> impl Iterator<Item = usize> {
        let next = self.starts.iter().skip(1).map(|&start| start as usize);
        next.chain(std::iter::once(self.rows))
    }
}

/// Takes a batch into the states of one aggregate.
fn update(call: &Call, batch: &Batch, runs: &Runs<'_>, heap: &mut RowPages) -> Result<()> {
    let taken = call.take(batch)?;
    if taken.positions.is_none()
        && taken.active.is_none()
        && call.state.update_runs(taken.argument.as_ref(), runs)
    {
        return Ok(());
    }
    let (mut numbers, mut pointers) = (Vec::with_capacity(runs.rows), Vec::with_capacity(runs.rows));
    for (run, end) in runs.ends().enumerate() {
        numbers.resize(end, run as u32);
        pointers.resize(end, runs.pointers[run]);
    }
    if let Some(positions) = &taken.positions {
        numbers = positions.iter().map(|&row| numbers[row as usize]).collect();
        pointers = positions.iter().map(|&row| pointers[row as usize]).collect();
    }
    let rows = Rows { active: taken.active.as_deref(), numbers: &numbers, pointers: &pointers };
    call.state.update(taken.argument.as_ref(), &rows, heap)
}

impl Keep for RowPages {
    fn keep(&mut self, _row: u32, bytes: &[u8]) -> Result<View> {
        RowPages::keep(self, bytes)
    }
}

/// The positions at which words differ from those before them; 0 is one.
fn run_starts(words: &[u64]) -> Vec<u32> {
    let mut changes = vec![1_u8; words.len()];
    mark_changes(words, &mut changes);
    let mut starts = vec![0; words.len()];
    let mut count = 0;
    for (position, &change) in changes.iter().enumerate() {
        starts[count] = position as u32;
        count += usize::from(change);
    }
    starts.truncate(count);
    starts
}

kernel! {
    /// Sets each byte but the first to whether the word differs from the one before it.
    fn mark_changes(words: &[u64], changes: &mut [u8]) {
        for (pair, change) in words.windows(2).zip(&mut changes[1..]) {
            *change = u8::from(pair[0] != pair[1]);
        }
    }
}
