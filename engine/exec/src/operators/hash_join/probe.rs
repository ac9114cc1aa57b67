//! The probe side: rows stream past the table, a batch at a time.
//!
//! A batch begins with the first row of each chain that may match (the candidates). A round compares all
//! candidates, keeps the pairs that match, and moves on to the next rows of the chains. Pairs are given as
//! soon as they fill a batch, so a row with a million matches is worked off over many calls.

use super::table::{Index, JoinTable, next_of, word_of};
use super::{Join, PairColumn, Residual};
use crate::hash::Hasher;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::operators::keys::at_width;
use crate::pages::{NO_ROW, equal_to_vector};
use crate::plan::JoinKind;
use crate::{Error, Result, Shape};
use columnar::{
    Batch, Bitmap, Constant, DataType, Flat, PhysicalType, Selection, Value, Values, Vector, kernels::take,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The operator of the probe side.
pub(super) struct Probe(pub(super) Arc<Join>);

impl Operator for Probe {
    fn output(&self) -> &[Shape] {
        &self.0.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(ProbeTask {
            join: self.0.clone(),
            hasher: Hasher::default(),
            current: None,
            pairs: Pairs::default(),
            next: Pairs::default(),
        }))
    }
}

/// Pairs of a position in the probe's batch and the number of a build row.
#[derive(Default)]
struct Pairs {
    positions: Vec<u32>,
    rows: Vec<u32>,
}

impl Pairs {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn push(&mut self, position: u32, row: u32) {
        self.positions.push(position);
        self.rows.push(row);
    }

    fn clear(&mut self) {
        self.positions.clear();
        self.rows.clear();
    }

    /// Keeps the pairs for which `keep` is true of their index.
    fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut len = 0;
        for index in 0..self.len() {
            if keep(index) {
                (self.positions[len], self.rows[len]) = (self.positions[index], self.rows[index]);
                len += 1;
            }
        }
        self.positions.truncate(len);
        self.rows.truncate(len);
    }
}

/// What is known of a probe row's match.
const NO_MATCH: u8 = 0;
/// The residual was null for some row (asked by [`JoinKind::Mark`] alone).
const MAYBE: u8 = 1;
const MATCH: u8 = 2;

struct ProbeTask {
    join: Arc<Join>,
    hasher: Hasher,
    current: Option<Current>,
    /// The candidates of the coming round.
    pairs: Pairs,
    next: Pairs,
}

/// A batch on its way.
struct Current {
    batch: Batch,
    /// The word of each row's key.
    words: Vec<u64>,
    /// The keys: at the width of the rows' fields where words are hashes.
    keys: Vec<Flat>,
    /// For joins without keys: the page, the row in it and the position that come next.
    cross: Option<(usize, u32, usize)>,
    /// [`NO_MATCH`], [`MAYBE`] or [`MATCH`] for each row.
    matches: Vec<u8>,
    /// Pairs to give, and how many of them were.
    output: Pairs,
    given: usize,
    /// Whether rows without a match were seen to.
    ended: bool,
}

impl OperatorTask for ProbeTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        let batch = batch.compact();
        if batch.rows > 0 {
            let join = self.join.clone();
            self.begin(&join, batch)?;
        }
        Ok(())
    }

    fn pull(&mut self, step: &Step<'_>) -> Result<Output> {
        let join = self.join.clone();
        let table = join.table()?;
        if table.rows.rows() == 0 && !join.gives_without_build() {
            return Ok(Output::Finished);
        }
        let batch_rows = join.settings.batch_rows.max(1);
        loop {
            let Some(current) = &mut self.current else { return Ok(Output::NeedsInput) };
            let ready = current.output.len() - current.given;
            let exhausted = self.pairs.len() == 0 && current.cross.is_none();
            if ready >= batch_rows || (ready > 0 && exhausted && current.ended) {
                return Ok(Output::Batch(current.give(&join, table, batch_rows)));
            }
            if !exhausted {
                current.round(&join, table, &mut self.pairs, &mut self.next, batch_rows)?;
            } else if !current.ended {
                current.ended = true;
                if let Some(batch) = current.end(&join) {
                    return Ok(Output::Batch(batch));
                }
            } else {
                self.current = None;
            }
            if step.expired() {
                return Ok(Output::Yield);
            }
        }
    }
}

impl ProbeTask {
    /// Finds the first candidates of a batch.
    fn begin(&mut self, join: &Join, batch: Batch) -> Result<()> {
        let table = join.table()?;
        let keys = join.keys.iter().map(|key| key.probe.evaluate(&batch)).collect::<Result<Vec<_>>>()?;
        let valid = join.valid_keys(&keys).filter(|valid| !valid.all());
        let (mut words, mut flat_keys, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(packing) = &join.packing {
            words = packing.pack(&keys, batch.rows, join.may_leave.then_some(&mut outside));
            if join.given.iter().any(|given| given.key.is_some()) {
                flat_keys = keys.iter().map(Vector::flatten).collect();
            }
        } else if !keys.is_empty() {
            words = self.hasher.hash(&keys, batch.rows);
            flat_keys = keys
                .iter()
                .zip(&join.keys)
                .map(|(vector, key)| at_width(vector, join.layout.fields[key.field].shape.physical).flatten())
                .collect();
        }
        let positions: Option<Vec<u32>> = (valid.is_some() || !outside.is_empty()).then(|| {
            let inside = |row: &u32| outside.get(*row as usize).is_none_or(|&outside| outside == 0);
            match &valid {
                Some(valid) => take::indices_of(valid).into_iter().filter(inside).collect(),
                None => (0..batch.rows as u32).filter(inside).collect(),
            }
        });
        let Pairs { positions: found, rows } = &mut self.pairs;
        table.index.look_up(&words, positions.as_deref(), found, rows);
        let mut output = Pairs::default();
        let mut ended = false;
        if self.pairs.len() < batch.rows && join.is_total(&table.index) {
            // Each row has one match or none: given in order, the probe's columns stay as they are.
            output.positions = (0..batch.rows as u32).collect();
            output.rows = vec![NO_ROW; batch.rows];
            for (&position, &row) in self.pairs.positions.iter().zip(&self.pairs.rows) {
                output.rows[position as usize] = row;
            }
            self.pairs.clear();
            ended = true;
        }
        let crosses = matches!(*table.index, Index::Everything) && table.rows.rows() > 0;
        self.current = Some(Current {
            matches: vec![NO_MATCH; batch.rows],
            batch,
            words,
            keys: flat_keys,
            cross: crosses.then_some((0, 0, 0)),
            output,
            given: 0,
            ended,
        });
        Ok(())
    }
}

impl Join {
    /// Whether the probe gives anything where the build side is empty.
    fn gives_without_build(&self) -> bool {
        use JoinKind::*;
        matches!(self.kind, ProbeOuter | Full | ProbeAnti | Mark | Single)
    }

    /// Whether the index alone tells the one match of each probe row, all of which are given.
    fn is_total(&self, index: &Index) -> bool {
        matches!(self.kind, JoinKind::ProbeOuter | JoinKind::Single)
            && self.residual.is_none()
            && self.packing.is_some()
            && matches!(index, Index::Direct { .. })
            && !index.is_chained()
    }

    /// How many columns of the output are the probe's.
    fn probe_columns(&self) -> usize {
        if self.kind.gives_probe() { self.probe.len() } else { 0 }
    }

    /// Whether a probe row is done with once it has matched.
    fn wants_one_match(&self) -> bool {
        matches!(self.kind, JoinKind::ProbeSemi | JoinKind::ProbeAnti | JoinKind::Mark)
    }
}

impl Current {
    /// Compares the candidates in `pairs`, keeps those that match, and leaves the next candidates there.
    fn round(
        &mut self,
        join: &Join,
        table: &JoinTable,
        pairs: &mut Pairs,
        next: &mut Pairs,
        batch_rows: usize,
    ) -> Result<()> {
        next.clear();
        if self.cross.is_some() {
            self.cross_pairs(join, table, pairs, batch_rows);
        } else {
            match &*table.index {
                Index::Direct { .. } if !table.index.is_chained() => {}
                // All rows of a chain have the same key, of which the first is enough.
                Index::Direct { .. } if join.wants_one_match() && join.residual.is_none() => {}
                Index::Direct { .. } => {
                    for (&position, &row) in pairs.positions.iter().zip(&pairs.rows) {
                        let after = next_of(table.rows.pointer(row));
                        if after != 0 {
                            next.push(position, after - 1);
                        }
                    }
                }
                _ => self.follow_chains(table, pairs, next),
            }
            if join.packing.is_none() {
                self.retain_equal_keys(join, table, pairs);
            }
        }
        if let Some(residual) = &join.residual {
            self.retain_matches(join, residual, table, pairs)?;
        }
        self.take_pairs(join, table, pairs)?;
        std::mem::swap(pairs, next);
        if join.wants_one_match() {
            let matches = &self.matches;
            let open = |&position: &u32| matches[position as usize] != MATCH;
            let keep: Vec<bool> = pairs.positions.iter().map(open).collect();
            pairs.retain(|index| keep[index]);
            if self.cross.is_some() && matches.iter().all(|&state| state == MATCH) {
                self.cross = None;
            }
        }
        Ok(())
    }

    /// Keeps the candidates whose word is right; the rows after each go to `next`.
    fn follow_chains(&self, table: &JoinTable, pairs: &mut Pairs, next: &mut Pairs) {
        let pointers = table.rows.pointers(&pairs.rows);
        let mut len = 0;
        for (index, &pointer) in pointers.iter().enumerate() {
            let (position, row) = (pairs.positions[index], pairs.rows[index]);
            let after = next_of(pointer);
            if after != 0 {
                next.push(position, after - 1);
            }
            (pairs.positions[len], pairs.rows[len]) = (position, row);
            len += usize::from(word_of(pointer) == self.words[position as usize]);
        }
        pairs.positions.truncate(len);
        pairs.rows.truncate(len);
    }

    fn retain_equal_keys(&self, join: &Join, table: &JoinTable, pairs: &mut Pairs) {
        let pointers = table.rows.pointers(&pairs.rows);
        let mut equal = vec![true; pairs.len()];
        for (key, flat) in join.keys.iter().zip(&self.keys) {
            let field = &join.layout.fields[key.field];
            let (positions, rows) = (&pairs.positions, &pairs.rows);
            equal_to_vector(field, flat, positions, &pointers, rows, &table.rows, &mut equal);
        }
        pairs.retain(|index| equal[index]);
    }

    /// The next pairs of a join without keys: build rows in order, each with every probe row.
    fn cross_pairs(&mut self, join: &Join, table: &JoinTable, pairs: &mut Pairs, batch_rows: usize) {
        pairs.clear();
        let Some((mut page, mut row, mut position)) = self.cross else { return };
        let one_match = join.wants_one_match();
        // The bound on rows looked at keeps a round short where most probe rows are done with.
        for _ in 0..batch_rows {
            if position == self.batch.rows {
                (row, position) = (row + 1, 0);
            }
            if row as usize >= table.rows.page_numbers(page).len() {
                (page, row) = (page + 1, 0);
            }
            if page == table.rows.page_count() {
                self.cross = None;
                return;
            }
            if !one_match || self.matches[position] != MATCH {
                pairs.push(position as u32, table.rows.page_numbers(page).start + row);
            }
            position += 1;
        }
        self.cross = Some((page, row, position));
    }

    /// Keeps the pairs for which the residual is true; [`JoinKind::Mark`] also notes for which it is null.
    fn retain_matches(
        &mut self,
        join: &Join,
        residual: &Residual,
        table: &JoinTable,
        pairs: &mut Pairs,
    ) -> Result<()> {
        if pairs.len() == 0 {
            return Ok(());
        }
        let pointers = table.rows.pointers(&pairs.rows);
        let column = |column: &PairColumn| match column {
            PairColumn::Probe(column) => take::take(&self.batch.columns[*column], &pairs.positions),
            PairColumn::Build(field) => table.rows.read(*field, &pairs.rows, &pointers, false),
        };
        let columns = residual.columns.iter().map(column).collect();
        let flat = residual.condition.evaluate(&Batch::of_rows(columns, pairs.len()))?.flatten();
        let Values::Bool(values) = &flat.values else {
            return Err(Error::Internal("a join condition is not boolean".into()));
        };
        if join.kind == JoinKind::Mark {
            for (index, &position) in pairs.positions.iter().enumerate() {
                let state = &mut self.matches[position as usize];
                if flat.is_null(index) && *state == NO_MATCH {
                    *state = MAYBE;
                }
            }
        }
        let matches = match &flat.validity {
            Some(validity) => values.and(validity),
            None => values.clone(),
        };
        if !matches.all() {
            pairs.retain(|index| matches.get(index));
        }
        Ok(())
    }

    /// Does with matching pairs what the kind asks.
    fn take_pairs(&mut self, join: &Join, table: &JoinTable, pairs: &Pairs) -> Result<()> {
        if join.kind.has_rest() {
            for &row in &pairs.rows {
                let (word, bit) = (&table.matched[row as usize / 64], 1 << (row % 64));
                if word.load(Relaxed) & bit == 0 {
                    word.fetch_or(bit, Relaxed);
                }
            }
        }
        match join.kind {
            JoinKind::Inner | JoinKind::BuildOuter => {}
            JoinKind::BuildSemi | JoinKind::BuildAnti => return Ok(()),
            JoinKind::Single => {
                for &position in &pairs.positions {
                    let state = &mut self.matches[position as usize];
                    if *state == MATCH {
                        return Err(Error::SubqueryRows);
                    }
                    *state = MATCH;
                }
            }
            _ => pairs.positions.iter().for_each(|&position| self.matches[position as usize] = MATCH),
        }
        if join.kind.gives_build() {
            self.output.positions.extend_from_slice(&pairs.positions);
            self.output.rows.extend_from_slice(&pairs.rows);
        }
        Ok(())
    }

    /// Once every candidate was compared: what the kind gives for rows by whether they matched.
    fn end(&mut self, join: &Join) -> Option<Batch> {
        let with = |wanted: bool| {
            let state = |row: u32| (self.matches[row as usize] == MATCH) == wanted;
            (0..self.batch.rows as u32).filter(|&row| state(row)).collect::<Vec<u32>>()
        };
        match join.kind {
            JoinKind::ProbeOuter | JoinKind::Full | JoinKind::Single => {
                let unmatched = with(false);
                self.output.rows.resize(self.output.rows.len() + unmatched.len(), NO_ROW);
                self.output.positions.extend(unmatched);
                None
            }
            JoinKind::ProbeSemi | JoinKind::ProbeAnti => {
                let kept = with(join.kind == JoinKind::ProbeSemi);
                let selection = (kept.len() < self.batch.rows).then(|| Selection::new(kept));
                let empty = selection.as_ref().is_some_and(Selection::is_empty);
                let columns = std::mem::take(&mut self.batch.columns);
                (!empty).then_some(Batch { columns, rows: self.batch.rows, selection })
            }
            JoinKind::Mark => {
                let bits = |state: u8| Bitmap::from_fn(self.batch.rows, |row| self.matches[row] == state);
                let validity = bits(MAYBE).not();
                let mark = Flat::new(
                    DataType::Boolean,
                    Values::Bool(bits(MATCH)),
                    Some(validity).filter(|v| !v.all()),
                );
                let mut columns = std::mem::take(&mut self.batch.columns);
                columns.push(mark.into());
                Some(Batch::of_rows(columns, self.batch.rows))
            }
            _ => None,
        }
    }

    /// The next pairs of the output as a batch.
    fn give(&mut self, join: &Join, table: &JoinTable, batch_rows: usize) -> Batch {
        let end = self.output.len().min(self.given + batch_rows);
        let (positions, rows) = (&self.output.positions[self.given..end], &self.output.rows[self.given..end]);
        let mut columns = self.batch.columns.clone();
        let all = self.are_all(positions);
        if !all {
            columns.iter_mut().for_each(|column| *column = take::take(column, positions));
        }
        if !join.given.is_empty() {
            let missing = join.kind.fills_build();
            let pointers = if missing {
                table.rows.pointers_or_null(rows)
            } else if join.given.iter().all(|given| given.key.is_some()) {
                Vec::new()
            } else {
                table.rows.pointers(rows)
            };
            for (given, shape) in join.given.iter().zip(&join.output[join.probe_columns()..]) {
                columns.push(match (given.key, given.field) {
                    (Some(key), _) => self.key_column(key, positions, all, shape),
                    (None, Some(field)) => table.rows.read(field, rows, &pointers, missing),
                    (None, None) => nulls(shape.data_type, shape.physical, rows.len()),
                });
            }
        }
        let batch = Batch::of_rows(columns, rows.len());
        self.given = end;
        if self.given == self.output.len() {
            self.output.clear();
            self.given = 0;
        }
        batch
    }

    /// The build side's column of a key, which pairs have in common.
    fn key_column(&self, key: usize, positions: &[u32], all: bool, shape: &Shape) -> Vector {
        let key = &self.keys[key];
        // A pair has no null key.
        let values = if all { key.values.clone() } else { take::take_values(&key.values, positions) };
        at_width(&Flat::new(shape.data_type, values, None).into(), shape.physical)
    }

    /// Whether positions are all of the batch in order.
    fn are_all(&self, positions: &[u32]) -> bool {
        positions.len() == self.batch.rows
            && positions.iter().enumerate().all(|(index, &position)| index == position as usize)
    }
}

/// `rows` nulls in the given shape.
pub(super) fn nulls(data_type: DataType, physical: PhysicalType, rows: usize) -> Vector {
    Vector::Constant(Constant { value: Value::null(data_type), physical, len: rows })
}
