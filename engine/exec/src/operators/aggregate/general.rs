//! Aggregation with any functions, also those whose states do not lie in rows ([`super::stateful`]): each task numbers its
//! groups and has [`GroupStates`] by those numbers; once all input is in, one task's groups take the others'.

use super::group_states::{GroupCalls, GroupResults, GroupStates, Position};
use super::table::Table;
use super::{Aggregation, WORD_BYTES};
use crate::operator::{Output, Progress, Sink, SinkTask, Source, SourceTask, Step, Work};
use crate::pages::cell::load;
use crate::pages::{FrozenRows, RowPages};
use crate::{Error, Expr, QueryContext, Result, Shape, plan};
use columnar::{Batch, Vector};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// What the parts share.
pub(super) struct General {
    /// The keys; it has no aggregates.
    keys: Arc<Aggregation>,
    calls: Arc<GroupCalls>,
    pub(super) output: Vec<Shape>,
    /// What tasks have left.
    left: Mutex<Vec<TaskGroups>>,
    result: OnceLock<Merged>,
}

/// The groups of a task.
struct TaskGroups {
    /// From keys to groups; of no use where there are no keys.
    table: Table<RowPages>,
    states: GroupStates,
}

/// All groups.
struct Merged {
    keys: FrozenRows,
    /// Those that count.
    groups: Vec<u32>,
    results: GroupResults,
}

impl General {
    pub(super) fn new(
        groups: &[Expr],
        aggregates: &[plan::Aggregate],
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<Arc<General>> {
        let keys = Arc::new(Aggregation::new(groups, &[], input, query)?);
        debug_assert!(keys.layout.width >= WORD_BYTES);
        let calls = GroupCalls::new(aggregates, input)?;
        let output = keys.key_shapes.iter().cloned().chain(calls.output()).collect();
        Ok(Arc::new(General { keys, calls, output, left: Mutex::default(), result: OnceLock::new() }))
    }

    fn groups(&self) -> Result<TaskGroups> {
        let mut states = self.calls.states(&self.keys.memory)?;
        if self.keys.keys.is_empty() {
            states.grow(1)?;
        }
        Ok(TaskGroups { table: Table::new(&self.keys, self.keys.new_rows()), states })
    }
}

/// The sink of an aggregation.
pub(super) struct GeneralSink(pub(super) Arc<General>);

struct GeneralTask {
    shared: Arc<General>,
    groups: Option<TaskGroups>,
    pending: Option<Batch>,
    numbers: Vec<u32>,
}

impl Sink for GeneralSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        let groups = Some(self.0.groups()?);
        Ok(Box::new(GeneralTask { shared: self.0.clone(), groups, pending: None, numbers: Vec::new() }))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        let mut others = std::mem::take(&mut *self.0.left.lock());
        let groups = match others.pop() {
            Some(groups) => groups,
            None => self.0.groups()?,
        };
        let merge = Merge {
            shared: self.0.clone(),
            groups: Some(groups),
            dead: Vec::new(),
            others,
            adopted: Vec::new(),
            stage: Stage::Adopt,
        };
        Ok(vec![Box::new(merge)])
    }
}

impl SinkTask for GeneralTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn advance(&mut self, _step: &Step<'_>) -> Result<Progress> {
        let (Some(batch), Some(groups)) = (self.pending.take(), &mut self.groups) else {
            return Ok(Progress::Ready);
        };
        let batch = batch.compact();
        if batch.rows == 0 {
            return Ok(Progress::Ready);
        }
        let keys =
            self.shared.keys.keys.iter().map(|key| key.evaluate(&batch)).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            self.numbers.clear();
            self.numbers.resize(batch.rows, 0);
        } else {
            groups.table.find(&keys, batch.rows, &mut self.numbers)?;
            groups.states.grow(groups.table.rows.rows())?;
        }
        groups.states.update(&batch, &self.numbers)?;
        Ok(Progress::Ready)
    }

    fn combine(&mut self, _step: &Step<'_>) -> Result<Progress> {
        // Of no rows there is nothing to take.
        let groups = self.groups.take().filter(|groups| groups.states.groups() > 0);
        self.shared.left.lock().extend(groups);
        Ok(Progress::Ready)
    }
}

/// Groups adopted at a time.
const CHUNK_ROWS: usize = 2048;

/// Merges what tasks have left.
struct Merge {
    shared: Arc<General>,
    groups: Option<TaskGroups>,
    /// Rows of keys that were there before, ascending.
    dead: Vec<u32>,
    others: Vec<TaskGroups>,
    /// Of the last of `others`: the groups here that take its groups.
    adopted: Vec<u32>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Finding, or making, the groups for those of the last of the others.
    Adopt,
    Absorb(Position),
    Settle(Position),
}

impl Work for Merge {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        while self.groups.is_some() {
            self.stage = match self.stage {
                Stage::Adopt => self.adopt()?,
                Stage::Absorb(position) => self.absorb(position)?,
                Stage::Settle(position) => match self.settle(position)? {
                    Some(position) => Stage::Settle(position),
                    None => {
                        self.publish()?;
                        return Ok(Progress::Ready);
                    }
                },
            };
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        Ok(Progress::Ready)
    }
}

impl Merge {
    fn adopt(&mut self) -> Result<Stage> {
        let (Some(groups), Some(other)) = (&mut self.groups, self.others.last()) else {
            return Ok(Stage::Settle(Position::default()));
        };
        if self.shared.keys.keys.is_empty() {
            self.adopted = vec![0];
            return Ok(Stage::Absorb(Position::default()));
        }
        let (from, count) = (&other.table.rows, other.table.rows.rows());
        for row in self.adopted.len()..count.min(self.adopted.len() + CHUNK_ROWS) {
            let (copy, known) = groups.table.adopt(from, row as u32)?;
            if known.is_some() {
                self.dead.push(copy);
            }
            self.adopted.push(known.unwrap_or(copy));
        }
        if self.adopted.len() < count {
            return Ok(Stage::Adopt);
        }
        groups.states.grow(groups.table.rows.rows())?;
        Ok(Stage::Absorb(Position::default()))
    }

    fn absorb(&mut self, position: Position) -> Result<Stage> {
        if let (Some(groups), Some(other)) = (&mut self.groups, self.others.last_mut())
            && let Some(position) = groups.states.absorb(&mut other.states, &self.adopted, position)?
        {
            return Ok(Stage::Absorb(position));
        }
        self.others.pop();
        self.adopted.clear();
        Ok(Stage::Adopt)
    }

    fn settle(&mut self, position: Position) -> Result<Option<Position>> {
        self.groups.as_mut().map_or(Ok(None), |groups| groups.states.settle(position))
    }

    fn publish(&mut self) -> Result<()> {
        let Some(TaskGroups { table, states }) = self.groups.take() else { return Ok(()) };
        let groups = match self.shared.keys.keys.is_empty() {
            true => vec![0],
            false => {
                let mut dead = self.dead.iter().peekable();
                (0..table.rows.rows() as u32).filter(|row| dead.next_if_eq(&row).is_none()).collect()
            }
        };
        let keys = FrozenRows::new(&self.shared.keys.layout, vec![table.rows])?;
        let merged = Merged { keys, groups, results: states.finish()? };
        let published = self.shared.result.set(merged);
        published.map_err(|_| Error::Internal("an aggregation was finalized twice".into()))
    }
}

/// The source of an aggregation: its tasks share the groups batch by batch.
pub(super) struct GeneralSource {
    shared: Arc<General>,
    columns: Arc<[usize]>,
    output: Vec<Shape>,
    /// The next group to read.
    next: Arc<Mutex<usize>>,
}

struct GeneralSourceTask {
    shared: Arc<General>,
    columns: Arc<[usize]>,
    next: Arc<Mutex<usize>>,
}

impl GeneralSource {
    /// Gives these columns: keys first, then the aggregates.
    pub(super) fn new(shared: Arc<General>, columns: &[usize]) -> GeneralSource {
        let output = columns.iter().map(|&column| shared.output[column].clone()).collect();
        GeneralSource { shared, columns: columns.into(), output, next: Arc::default() }
    }
}

impl Source for GeneralSource {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        let batch_rows = self.shared.keys.settings.batch_rows.max(1);
        let batches = |merged: &Merged| merged.groups.len().div_ceil(batch_rows).max(1);
        self.shared.result.get().map_or(usize::MAX, batches)
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        let (shared, columns, next) = (self.shared.clone(), self.columns.clone(), self.next.clone());
        Ok(Box::new(GeneralSourceTask { shared, columns, next }))
    }
}

impl SourceTask for GeneralSourceTask {
    fn next(&mut self, _step: &Step<'_>) -> Result<Output> {
        let (shared, keys) = (&self.shared, &self.shared.keys);
        let merged = shared.result.get();
        let merged =
            merged.ok_or_else(|| Error::Internal("an aggregation was read before its end".into()))?;
        let groups = {
            let mut next = self.next.lock();
            let left = &merged.groups[*next..];
            let groups = &left[..left.len().min(keys.settings.batch_rows.max(1))];
            let groups = &groups[..merged.results.at_once(groups)];
            *next += groups.len();
            groups
        };
        if groups.is_empty() {
            return Ok(Output::Finished);
        }
        let pointers = if keys.keys.is_empty() { Vec::new() } else { merged.keys.pointers(groups) };
        let unpacked = keys.packing.as_ref().map(|packing| {
            let words: Vec<u64> = pointers.iter().map(|&row| load(row, 0)).collect();
            packing.unpack(&words, &keys.key_shapes)
        });
        let column = |&column: &usize| match (column.checked_sub(keys.keys.len()), &unpacked) {
            (None, Some(unpacked)) => Ok(unpacked[column].clone()),
            (None, None) => Ok(merged.keys.read(column, groups, &pointers, false)),
            (Some(call), _) => merged.results.read(call, groups),
        };
        let columns = self.columns.iter().map(column).collect::<Result<Vec<Vector>>>()?;
        Ok(Output::Batch(Batch::of_rows(columns, groups.len())))
    }
}
