//! Input of an aggregation: each task's groups, then one list of rows a partition.

use super::direct::{self, Direct, Touched};
use super::frequent::Frequent;
use super::groups::Groups;
use super::merge::MergeWork;
use super::regroup;
use super::scatter::Scattered;
use super::seen::Seen;
use super::state::Rows;
use super::words::Words;
use super::{Aggregation, Call, Merged};
use crate::operator::{Progress, Sink, SinkTask, Step, Work};
use crate::pages::evict::{Disturbance, Evictable, PageStore};
use crate::pages::{PARTITIONS, RowPages};
use crate::{Error, Result};
use columnar::bitmap::both_valid;
use columnar::{Batch, Flat, Values, Vector, kernels::take};
use std::sync::Arc;

/// The sink of an aggregation.
pub(super) struct AggregateSink(pub(super) Arc<Aggregation>);

struct AggregateTask {
    shared: Arc<Aggregation>,
    groups: Option<Groups>,
    direct: Option<Direct>,
    /// Where most rows are groups of their own: the rows set aside, and the keys whose rows are not.
    scattered: Option<Scattered>,
    frequent: Frequent,
    seen: Seen,
    touched: Touched,
    pending: Option<Batch>,
    numbers: Vec<u32>,
    disturbance: Option<Disturbance>,
}

/// Fewer rows than this are not worth a piece of work of their own.
const WORK_ROWS: usize = 16 << 10;

impl Sink for AggregateSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(AggregateTask {
            shared: self.0.clone(),
            groups: Some(Groups::new(&self.0)),
            direct: None,
            scattered: None,
            frequent: Frequent::new(),
            seen: Seen::default(),
            touched: Touched::default(),
            pending: None,
            numbers: Vec::new(),
            disturbance: Disturbance::new(&self.0.settings, 2),
        }))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        let shared = &self.0;
        let mut collected = std::mem::take(&mut *shared.collected.lock());
        if shared.keys.is_empty() && collected.iter().all(Vec::is_empty) {
            // Of no rows there is one group, whose state is as it starts.
            let mut rows = RowPages::new(&shared.layout, &shared.memory, "the groups of an aggregation");
            rows.push()?;
            collected = vec![vec![rows]];
        }
        let directs = std::mem::take(&mut *shared.directs.lock());
        if !directs.is_empty() {
            return direct::merges(shared, directs, collected.into_iter().flatten());
        }
        let scattered = std::mem::take(&mut *shared.scattered.lock());
        if !scattered.is_empty() {
            return regroup::work(shared, scattered, collected);
        }
        let mut pieces = Vec::<Vec<Vec<RowPages>>>::new();
        let mut room = 0;
        for partition in collected.into_iter().filter(|partition| !partition.is_empty()) {
            let rows: usize = partition.iter().map(RowPages::rows).sum();
            if room < rows || pieces.is_empty() {
                pieces.push(Vec::new());
                room = shared.settings.piece_rows(WORK_ROWS);
            }
            room = room.saturating_sub(rows);
            if let Some(piece) = pieces.last_mut() {
                piece.push(partition);
            }
        }
        if pieces.is_empty() {
            shared.finish(Vec::new())?;
        }
        let count = pieces.len();
        let work = |piece| Box::new(MergeWork::new(shared.clone(), piece, count)) as Box<dyn Work>;
        Ok(pieces.into_iter().map(work).collect())
    }
}

impl Aggregation {
    /// Takes rows of a task, which come by partition, over and over.
    fn collect(&self, rows: Vec<RowPages>) {
        let mut collected = self.collected.lock();
        collected.resize_with(PARTITIONS, Vec::new);
        for (index, rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            collected[index % PARTITIONS].push(rows);
        }
    }

    /// Takes what one of `pieces` pieces of work has merged; the last one publishes the groups.
    pub(super) fn piece_done(&self, done: &mut Vec<Merged>, pieces: usize) -> Result<()> {
        let mut merged = self.merged.lock();
        merged.0 += 1;
        merged.1.append(done);
        if merged.0 == pieces { self.finish(std::mem::take(&mut merged.1)) } else { Ok(()) }
    }

    /// Publishes the groups, once.
    pub(super) fn finish(&self, merged: Vec<Merged>) -> Result<()> {
        self.result.set(merged).map_err(|_| Error::Internal("an aggregation was finalized twice".into()))
    }
}

impl SinkTask for AggregateTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn advance(&mut self, _step: &Step<'_>) -> Result<Progress> {
        if let Some(batch) = self.pending.take() {
            let batch = batch.compact();
            if batch.rows > 0 {
                self.take(&batch)?;
            }
        }
        // Once it is known which groups are wanted, rows add nothing to groups without aggregates.
        let known = self.shared.calls.is_empty() && self.shared.wanted.get().is_some();
        Ok(if known { Progress::Finished } else { Progress::Ready })
    }

    fn combine(&mut self, _step: &Step<'_>) -> Result<Progress> {
        if let Some(direct) = self.direct.take() {
            self.shared.directs.lock().push(direct);
        }
        if let Some(scattered) = self.scattered.take() {
            self.shared.scattered.lock().push(scattered);
        }
        if let Some(groups) = self.groups.take() {
            self.shared.collect(groups.into_rows());
        }
        Ok(Progress::Ready)
    }
}

impl AggregateTask {
    fn take(&mut self, batch: &Batch) -> Result<()> {
        let shared = self.shared.clone();
        let keys = shared.keys.iter().map(|key| key.evaluate(batch)).collect::<Result<Vec<_>>>()?;
        if shared.wants_few() {
            return self.take_wanted(keys, batch);
        }
        if self.direct.is_none()
            && self.touched.add(&shared, &keys, batch.rows)
            && let Some(groups) = self.groups.replace(Groups::new(&shared))
        {
            self.direct = Some(Direct::new(&shared, groups)?);
        }
        let (mut batch, mut keys) = (batch, keys);
        let (new, frequent);
        if shared.calls.is_empty()
            && let Some(rows) = self.seen.new_keys(&keys)
        {
            if rows.is_empty() {
                return Ok(());
            }
            (new, keys) = (rows_of(batch, &rows), taken(&keys, &rows));
            batch = &new;
        }
        if let (Some(scattered), Some(records), Some(groups)) =
            (&mut self.scattered, &shared.records, &mut self.groups)
        {
            let words = groups.words(&keys, batch.rows);
            if shared.calls.is_empty()
                && let Some(rows) = self.seen.new_words(&shared, &words, &keys)
            {
                return scattered.take(records, &words_of(&words, &rows), &taken(&keys, &rows), batch);
            }
            let Some((some, others)) = self.frequent.split(&shared, &words) else {
                return scattered.take(records, &words, &keys, batch);
            };
            let words = words_of(&words, &others);
            scattered.take(records, &words, &taken(&keys, &others), &rows_of(batch, &others))?;
            (frequent, keys) = (rows_of(batch, &some), taken(&keys, &some));
            batch = &frequent;
        }
        self.update(&keys, batch)?;
        if let (Some(records), Some(groups)) = (&shared.records, &mut self.groups)
            && self.scattered.is_none()
            && groups.is_diffuse()
        {
            self.scattered = Some(Scattered::new(&shared, records)?);
            shared.collect(std::mem::replace(groups, Groups::new(&shared)).into_rows());
        }
        Ok(())
    }

    /// Takes the rows of groups that are wanted: the first ones that there are enough of.
    fn take_wanted(&mut self, keys: Vec<Vector>, batch: &Batch) -> Result<()> {
        let shared = self.shared.clone();
        let Some(groups) = &mut self.groups else { return Ok(()) };
        let Some(wanted) = shared.wanted.get() else {
            self.update(&keys, batch)?;
            let words = self.groups.as_ref().and_then(|groups| groups.first_words(shared.enough()));
            if let Some(words) = words {
                shared.wanted.get_or_init(|| {
                    let mut wanted = Words::new();
                    words.into_iter().for_each(|word| wanted.insert(&shared, word));
                    wanted
                });
            }
            return Ok(());
        };
        let words = groups.words(&keys, batch.rows);
        let is_wanted = |row: &u32| wanted.contains(&shared, words[*row as usize]);
        let rows: Vec<u32> = (0..words.len() as u32).filter(is_wanted).collect();
        if rows.is_empty() { Ok(()) } else { self.update(&taken(&keys, &rows), &rows_of(batch, &rows)) }
    }

    /// Takes rows into their groups.
    fn update(&mut self, keys: &[Vector], batch: &Batch) -> Result<()> {
        let shared = self.shared.clone();
        let Some(groups) = &mut self.groups else { return Ok(()) };
        let single = keys.is_empty();
        let (mut pointers, mut few) = (Vec::new(), None);
        match (&mut self.direct, &shared.packing) {
            (Some(direct), Some(packing)) => {
                let words = packing.pack(keys, batch.rows, None);
                if shared.calls.is_empty() {
                    return direct.mark(&shared, &words);
                }
                // No state here asks for the numbers of rows.
                self.numbers.resize(batch.rows, 0);
                pointers = direct.pointers(&shared, &words)?;
            }
            _ => few = groups.find(keys, batch.rows, &mut self.numbers)?,
        }
        for call in &shared.calls {
            let taken = call.take(batch)?;
            let (argument, active) = (taken.argument.as_ref(), taken.active.as_deref());
            if single {
                let row = groups.rows().pointer_mut(0);
                if call.state.update_single(argument, active, taken.rows, row)? {
                    continue;
                }
            }
            if let Some(few) = few.as_ref().filter(|_| taken.positions.is_none() && active.is_none())
                && call.state.update_few(argument, few)?
            {
                continue;
            }
            if pointers.is_empty() && !single {
                if let Some(few) = &few {
                    self.numbers = few.numbers();
                }
                pointers = groups.rows().pointers_mut(&self.numbers);
            }
            let (chosen_numbers, chosen_pointers);
            let mut rows = Rows { active, numbers: &self.numbers, pointers: &pointers };
            if single {
                chosen_pointers = vec![groups.rows().pointer_mut(0); taken.rows];
                rows = Rows { numbers: &self.numbers[..taken.rows], pointers: &chosen_pointers, ..rows };
            } else if let Some(chosen) = &taken.positions {
                chosen_numbers = chosen.iter().map(|&row| self.numbers[row as usize]).collect::<Vec<_>>();
                chosen_pointers = chosen.iter().map(|&row| pointers[row as usize]).collect::<Vec<_>>();
                rows = Rows { numbers: &chosen_numbers, pointers: &chosen_pointers, ..rows };
            }
            call.state.update(argument, &rows, groups.rows())?;
        }
        if let Some(disturbance) = &mut self.disturbance {
            disturbance.strike(&mut Full(&mut groups.full))?;
        }
        Ok(())
    }
}

fn words_of(words: &[u64], rows: &[u32]) -> Vec<u64> {
    rows.iter().map(|&row| words[row as usize]).collect()
}

fn taken(columns: &[Vector], rows: &[u32]) -> Vec<Vector> {
    columns.iter().map(|column| take::take(column, rows)).collect()
}

pub(super) fn rows_of(batch: &Batch, rows: &[u32]) -> Batch {
    Batch::of_rows(taken(&batch.columns, rows), rows.len())
}

/// What an aggregate takes of a batch.
pub(super) struct Taken {
    /// Where a filter leaves some rows out: the positions of the others in the batch, which are what is counted
    /// here from 0.
    pub(super) positions: Option<Vec<u32>>,
    pub(super) rows: usize,
    pub(super) argument: Option<Flat>,
    /// Where some arguments are null: the rows whose argument is not.
    pub(super) active: Option<Vec<u32>>,
}

impl Call {
    /// Evaluates filter and argument; the argument only where the filter is true: elsewhere it may fail.
    pub(super) fn take(&self, batch: &Batch) -> Result<Taken> {
        let mut chosen = None;
        if let Some(filter) = &self.filter {
            let flat = filter.evaluate(batch)?.flatten();
            let Values::Bool(bits) = flat.values else {
                return Err(Error::Internal("a filter is not boolean".into()));
            };
            let bits = both_valid(Some(&bits), flat.validity.as_ref());
            if let Some(bits) = bits.filter(|bits| !bits.all()) {
                let rows = take::indices_of(&bits);
                chosen = Some((rows_of(batch, &rows), rows));
            }
        }
        let batch = chosen.as_ref().map_or(batch, |(chosen, _)| chosen);
        let argument = self.argument.as_ref().map(|input| input.evaluate(batch)).transpose()?;
        let argument = argument.map(|vector| vector.flatten());
        let active = argument.as_ref().and_then(valid_rows);
        let rows = batch.rows;
        Ok(Taken { positions: chosen.map(|(_, positions)| positions), rows, argument, active })
    }
}

/// Where some values are null: the rows whose value is not.
pub(super) fn valid_rows(flat: &Flat) -> Option<Vec<u32>> {
    flat.validity.as_ref().filter(|validity| !validity.all()).map(take::indices_of)
}

/// The rows of emptied tables can leave memory until they are merged.
struct Full<'a>(&'a mut [RowPages]);

impl Evictable for Full<'_> {
    fn bytes(&self) -> u64 {
        self.0.iter().map(RowPages::bytes).sum()
    }

    fn partitions(&self) -> usize {
        self.0.len()
    }

    fn evict(&mut self, partition: usize, store: &Arc<dyn PageStore>) -> Result<u64> {
        self.0[partition].evict(store)
    }
}
