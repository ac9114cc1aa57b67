//! Scan: reads what a shard holds of a dataset.
//!
//! The work is handed out in morsels, a block or a part of one. Of a morsel, storage first filters what it
//! can on encoded columns; then the key filters of joins further on drop rows; predicates that are left are
//! evaluated on the surviving rows, those that may fail last; then the columns asked for are read for the rows
//! that remain. Morsels may be cut so that [`runs`] of one value stay together; and where a table ascends by a
//! unique key, a join may [`lookup`] rows in it instead of scanning it. A top-N further on may tell the [`Bound`] of
//! the rows that it wants: morsels that may begin its order come first then, and rows behind the bound are dropped.

pub mod lookup;
mod predicate;
mod runs;
mod text_test;

use crate::context::QueryContext;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::expression::{Compiled, cast_to_physical};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::operators::bound::Bound;
use crate::operators::key_filter::{KeyFilter, KeyTest};
use crate::plan;
use crate::runtime::profile::MorselCount;
use crate::shape::Shape;
use columnar::kernels::take::{gather, indices_of};
use columnar::{Batch, DataType, Flat, PhysicalType, Scalar, Values, Vector};
use parking_lot::Mutex;
use predicate::{Predicate, Residual};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{BlockRows, ColumnFacts, ColumnPredicate, Length, RowsRef, SegmentFilter, Table, Test};

pub struct Scan {
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    segments: Vec<SegmentScan>,
    morsels: Vec<Morsel>,
    next: AtomicUsize,
    predicate: Predicate,
    key_filters: Mutex<Vec<(u32, PhysicalType, Arc<KeyFilter>)>>,
    /// The key filters once they are complete, the most selective first.
    key_tests: OnceLock<Vec<ColumnTest>>,
    /// The column whose runs of equal values stay with one task.
    runs: OnceLock<u32>,
    /// The column that a top-N orders rows by first, and what it tells of it.
    bound: OnceLock<(u32, Arc<Bound>)>,
    /// In which order morsels are read, where it is not theirs.
    order: OnceLock<Vec<usize>>,
    /// Whether blocks are cut into several morsels.
    is_cut: bool,
    /// By segment and block: the rows that pass the tests, where several morsels ask for them.
    filtered: Mutex<HashMap<(usize, u32), Arc<BlockRows>>>,
    /// Of the columns of the schema.
    facts: Vec<ColumnFacts>,
    /// The column that stands for the addresses of rows, which no segment holds.
    address: Option<u32>,
    /// Column and width of each column of the output.
    columns: Vec<(u32, PhysicalType)>,
    measures: Vec<Measure>,
    batch_rows: usize,
    count: Arc<MorselCount>,
}

struct SegmentScan {
    segment: Arc<storage::Segment>,
    /// Of the columns that are read.
    bytes: u64,
    /// Made by the first task that comes to the segment.
    prepared: OnceLock<storage::Result<PreparedSegment>>,
    /// By measure: those of the column's dictionary.
    tables: Vec<OnceLock<Result<Vec<i32>>>>,
}

struct PreparedSegment {
    filter: SegmentFilter,
    /// Blocks within the range of all key filters; `None`: all.
    key_blocks: Option<Vec<u32>>,
}

/// A column of the output that is not given, but its length.
struct Measure {
    position: usize,
    length: Length,
    /// Over a batch of the column alone.
    compiled: Compiled,
}

/// A key filter at work on a column.
type ColumnTest = ((u32, PhysicalType), KeyTest);

/// Rows `start .. start + len` of a block.
#[derive(Clone, Copy)]
struct Morsel {
    segment: usize,
    block: u32,
    start: usize,
    len: usize,
}

struct ScanTask {
    shared: Arc<Shared>,
    current: Option<Current>,
    /// What it has taken and not begun, last first.
    taken: Vec<Morsel>,
}

/// A morsel in work.
struct Current {
    morsel: Morsel,
    rows: Rows,
    /// While residual predicates are evaluated: how many of `rows` they have seen, and which passed.
    tested: Option<(usize, Vec<u32>)>,
    /// How often the bound that `rows` pass had moved.
    moves: u64,
    /// How many of `rows` were given.
    given: usize,
}

enum Rows {
    /// `start`, `len`.
    Range(usize, usize),
    Indices(Vec<u32>),
}

/// The shape of a column as the pinned segments prove it.
pub fn column_shape(data_type: DataType, facts: &ColumnFacts) -> Shape {
    let canonical = Shape::of_type(data_type);
    let bounds = facts.bounds.filter(|_| data_type.is_integral());
    Shape {
        data_type,
        physical: bounds.map_or(canonical.physical, |(min, max)| {
            PhysicalType::for_bounds(min, max).min(canonical.physical)
        }),
        nullable: facts.nulls > 0,
        bounds: bounds.or(canonical.bounds),
    }
}

impl Scan {
    /// `tasks` is how many tasks may share the scan: small tables are cut finer. Morsels are counted in
    /// `count`.
    pub fn new(
        scan: &plan::Scan,
        table: &Table,
        batch_rows: usize,
        tasks: usize,
        count: Arc<MorselCount>,
    ) -> Result<Scan> {
        Scan::make(scan, table, false, batch_rows, tasks, count)
    }

    /// As [`Scan::new`], where the schema of the plan has one more column than the table: the addresses of rows.
    pub fn addressed(
        scan: &plan::Scan,
        table: &Table,
        batch_rows: usize,
        tasks: usize,
        count: Arc<MorselCount>,
    ) -> Result<Scan> {
        Scan::make(scan, table, true, batch_rows, tasks, count)
    }

    fn make(
        scan: &plan::Scan,
        table: &Table,
        addressed: bool,
        batch_rows: usize,
        tasks: usize,
        count: Arc<MorselCount>,
    ) -> Result<Scan> {
        let address = addressed.then_some(table.schema.len() as u32);
        let held = table.schema.iter().map(|column| column.data_type);
        let matches = held.chain(address.map(|_| DataType::Int64)).eq(scan.schema.iter().copied())
            && scan.columns.iter().all(|&column| (column as usize) < scan.schema.len());
        if !matches {
            let name = &scan.table.name;
            return Err(Error::Internal(format!("the plan's schema of {name} is not that of its segments")));
        }
        if let Some(address) = address
            && scan.predicate.iter().any(|expr| names(expr, address))
        {
            return Err(Error::Internal("a scan tests the addresses of rows".into()));
        }
        // Nothing is known of addresses, but that there are no nulls.
        let facts: Vec<ColumnFacts> = (0..scan.schema.len())
            .map(|column| match address {
                Some(address) if address as usize == column => ColumnFacts::UNKNOWN,
                _ => table.column_facts(column as u32),
            })
            .collect();
        let shapes: Vec<Shape> = scan
            .schema
            .iter()
            .zip(&facts)
            .map(|(&data_type, facts)| column_shape(data_type, facts))
            .collect();
        let predicate = Predicate::new(&scan.predicate, &shapes)?;
        // Those that facts are of: a column may ascend only because a segment between two has no row any more.
        let segments: Vec<SegmentScan> = table
            .segments
            .iter()
            .filter(|segment| segment.visible_rows() > 0)
            .map(|segment| SegmentScan {
                segment: segment.clone(),
                bytes: bytes_read(segment, scan, &predicate),
                prepared: OnceLock::new(),
                tables: Vec::new(),
            })
            .collect();
        let (morsels, is_cut) = morsels(&segments, &predicate, tasks);
        count.add_total(morsels.len());
        let output: Vec<Shape> = scan.columns.iter().map(|&column| shapes[column as usize].clone()).collect();
        let columns =
            scan.columns.iter().zip(&output).map(|(&column, shape)| (column, shape.physical)).collect();
        let shared = Shared {
            segments,
            morsels,
            next: AtomicUsize::new(0),
            predicate,
            key_filters: Mutex::default(),
            key_tests: OnceLock::new(),
            runs: OnceLock::new(),
            bound: OnceLock::new(),
            order: OnceLock::new(),
            is_cut,
            filtered: Mutex::default(),
            facts,
            address,
            columns,
            measures: Vec::new(),
            batch_rows: batch_rows.max(1),
            count,
        };
        Ok(Scan { shared: Arc::new(shared), output })
    }

    /// Gives the length of column `position` of the output instead of the column, as `compiled` has it of a batch of
    /// the column alone. The scan must not be shared yet.
    pub fn measure(&mut self, position: usize, length: Length, compiled: Compiled) -> Result<()> {
        let shared = Arc::get_mut(&mut self.shared);
        let shared = shared.ok_or_else(|| Error::Internal("a scan at work was changed".into()))?;
        self.output[position] = compiled.shape().clone();
        shared.measures.push(Measure { position, length, compiled });
        shared.segments.iter_mut().for_each(|segment| segment.tables.push(OnceLock::new()));
        Ok(())
    }

    /// Counts its morsels as done, where it is not run.
    pub fn leave_out(&self) {
        self.shared.morsels.iter().for_each(|_| self.shared.count.add_done());
    }

    /// Whether rows ascend by column `position` of the output, without nulls.
    pub fn is_sorted(&self, position: usize) -> bool {
        self.shared
            .columns
            .get(position)
            .is_some_and(|&(column, _)| self.shared.facts[column as usize].sorted)
    }

    /// Gives all rows of a value of column `position` of the output to one task, in order; the column must be
    /// sorted, and only one can be chosen: false where it was another.
    pub fn keep_runs_whole(&self, position: usize) -> bool {
        let column = self.held(position).map(|(column, _)| column);
        column.is_some_and(|column| *self.shared.runs.get_or_init(|| column) == column)
    }

    /// Gives only rows whose column `position` of the output passes `filter`, which must be complete when the
    /// scan starts.
    pub fn filter_keys(&self, position: usize, filter: Arc<KeyFilter>) {
        if let Some((column, physical)) = self.held(position) {
            self.shared.key_filters.lock().push((column, physical, filter));
        }
    }

    /// Column `position` of the output, if segments hold it.
    fn held(&self, position: usize) -> Option<(u32, PhysicalType)> {
        self.shared.columns.get(position).copied().filter(|&(column, _)| Some(column) != self.shared.address)
    }

    /// Whether a predicate can fail for a row.
    pub fn is_fallible(&self) -> bool {
        self.shared.predicate.residual.iter().any(|residual| residual.compiled.is_fallible())
    }

    /// Gives only rows that `bound` lets pass by column `position` of the output.
    pub fn bound_by(&self, position: usize, bound: Arc<Bound>) {
        if let Some((column, _)) = self.held(position) {
            self.shared.bound.get_or_init(|| (column, bound));
        }
    }
}

/// Whether an expression names a column.
fn names(expr: &Expr, column: u32) -> bool {
    let mut found = false;
    expr.visit(&mut |node| found |= matches!(node, Expr::Column { id, .. } if *id == column));
    found
}

/// Bytes of the columns of a segment that a scan reads, as they are encoded.
fn bytes_read(segment: &storage::Segment, scan: &plan::Scan, predicate: &Predicate) -> u64 {
    let tested = predicate.tests.iter().map(|test| test.column);
    let evaluated = predicate.residual.iter().flat_map(|residual| &residual.columns);
    let columns = tested.chain(evaluated.map(|(column, _)| *column)).chain(scan.columns.iter().copied());
    let columns: BTreeSet<u32> = columns.collect();
    columns.into_iter().map(|column| segment.column_bytes(column)).sum()
}

/// The blocks that zone maps do not rule out, whole, or cut finer where there are few: then true.
fn morsels(segments: &[SegmentScan], predicate: &Predicate, tasks: usize) -> (Vec<Morsel>, bool) {
    const FINEST_ROWS: usize = 8 * columnar::BATCH_ROWS;
    let mut morsels = Vec::new();
    if predicate.never {
        return (morsels, false);
    }
    for (index, scan) in segments.iter().enumerate() {
        for block in scan.segment.prune(&predicate.tests) {
            let len = scan.segment.block_rows(block as usize);
            morsels.push(Morsel { segment: index, block, start: 0, len });
        }
    }
    if morsels.len() >= tasks * 4 {
        return (morsels, false);
    }
    let cut = |morsel: Morsel| {
        (0..morsel.len).step_by(FINEST_ROWS).map(move |start| Morsel {
            start,
            len: FINEST_ROWS.min(morsel.len - start),
            ..morsel
        })
    };
    (morsels.into_iter().flat_map(cut).collect(), true)
}

impl Source for Scan {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        self.shared.morsels.len()
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(ScanTask { shared: self.shared.clone(), current: None, taken: Vec::new() }))
    }
}

impl SourceTask for ScanTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        loop {
            let Some(current) = &mut self.current else {
                if step.expired() {
                    return Ok(Output::Yield);
                }
                let Some(morsel) = self.taken.pop() else {
                    let index = self.shared.next.fetch_add(1, Ordering::Relaxed);
                    if index >= self.shared.morsels.len() {
                        return Ok(Output::Finished);
                    }
                    self.taken = self.shared.whole_runs(self.shared.place(index))?;
                    self.taken.reverse();
                    self.shared.count.add_done();
                    continue;
                };
                self.current = self.shared.begin(morsel, step.query)?;
                continue;
            };
            if !current.test(&self.shared, step)? {
                return Ok(Output::Yield);
            }
            match current.give(&self.shared)? {
                Some(batch) => return Ok(Output::Batch(batch)),
                None => self.current = None,
            }
        }
    }
}

impl Shared {
    /// The morsel that is read as the `index`th.
    fn place(&self, index: usize) -> usize {
        if self.runs.get().is_some() {
            return index;
        }
        let Some((column, bound)) = self.bound.get() else {
            if !self.is_cut || self.predicate.tests.is_empty() {
                return index;
            }
            // Tasks begin with different blocks, so that no two filter the same one.
            let order = || {
                let mut order: Vec<usize> = (0..self.morsels.len()).collect();
                order.sort_by_key(|&index| self.morsels[index].start);
                order
            };
            return self.order.get_or_init(order)[index];
        };
        let order = || {
            let first = |morsel: &Morsel| {
                let segment = &self.segments[morsel.segment].segment;
                let (min, max, nulls) = segment.block_limits(morsel.block, *column)?;
                bound.first(min, max, nulls, segment.block_rows(morsel.block as usize) as u64)
            };
            let firsts: Vec<Option<&Scalar>> = self.morsels.iter().map(first).collect();
            let mut order: Vec<usize> = (0..firsts.len()).collect();
            order.sort_by(|&a, &b| match (firsts[a], firsts[b]) {
                (Some(a), Some(b)) => bound.order(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            });
            order
        };
        self.order.get_or_init(order)[index]
    }

    /// How often the bound has moved.
    fn moves(&self) -> u64 {
        self.bound.get().map_or(0, |(_, bound)| bound.moves())
    }

    /// What the bound asks of rows, and how often it had moved, at least, when it did.
    fn bounding(&self) -> (u64, Option<ColumnPredicate>) {
        let moves = self.moves();
        let test = self.bound.get().filter(|_| moves > 0);
        let test =
            test.and_then(|&(column, ref bound)| Some(ColumnPredicate { column, test: bound.test()? }));
        (moves, test)
    }

    /// Filters a morsel on its encoded columns; `None` where no row is left.
    fn begin(&self, morsel: Morsel, query: &QueryContext) -> Result<Option<Current>> {
        let scan = &self.segments[morsel.segment];
        let prepared = scan.prepared.get_or_init(|| self.prepare(&scan.segment));
        let PreparedSegment { filter, key_blocks } =
            prepared.as_ref().map_err(|error| Error::from(error.clone()))?;
        let lacks = |blocks: &[u32]| blocks.binary_search(&morsel.block).is_err();
        if lacks(filter.blocks()) || key_blocks.as_deref().is_some_and(lacks) {
            return Ok(None);
        }
        query.meter.add_scanned(scan.bytes * morsel.len as u64 / scan.segment.rows().max(1) as u64);
        let end = morsel.start + morsel.len;
        let (moves, bounding) = self.bounding();
        let rows = match self.filter(filter, &morsel, bounding.as_slice())? {
            BlockRows::All => Rows::Range(morsel.start, morsel.len),
            BlockRows::None => return Ok(None),
            BlockRows::Some(mut rows) => {
                rows.truncate(rows.partition_point(|&row| (row as usize) < end));
                rows.drain(..rows.partition_point(|&row| (row as usize) < morsel.start));
                Rows::Indices(rows)
            }
        };
        let rows = self.with_keys(&scan.segment, morsel.block, rows)?;
        let tested = (!self.predicate.residual.is_empty()).then(|| (0, Vec::new()));
        Ok((rows.len() > 0).then_some(Current { morsel, rows, tested, moves, given: 0 }))
    }

    /// The rows of the morsel's block that pass the tests, at least those of the morsel.
    fn filter(
        &self,
        filter: &SegmentFilter,
        morsel: &Morsel,
        bounding: &[ColumnPredicate],
    ) -> Result<BlockRows> {
        // Without tests only deleted rows do not pass.
        let passes = self.predicate.tests.is_empty() && !filter.segment().is_masked();
        if !self.is_cut || !bounding.is_empty() || passes {
            return Ok(filter.filter_also(morsel.block, bounding)?);
        }
        let place = (morsel.segment, morsel.block);
        let known = self.filtered.lock().get(&place).cloned();
        let filtered = match known {
            Some(filtered) => filtered,
            None => {
                let filtered = Arc::new(filter.filter_also(morsel.block, bounding)?);
                self.filtered.lock().insert(place, filtered.clone());
                filtered
            }
        };
        let end = morsel.start + morsel.len;
        Ok(match &*filtered {
            BlockRows::All => BlockRows::All,
            BlockRows::None => BlockRows::None,
            BlockRows::Some(rows) => {
                let before = |place: usize| rows.partition_point(|&row| (row as usize) < place);
                BlockRows::Some(rows[before(morsel.start)..before(end)].to_vec())
            }
        })
    }

    fn prepare(&self, segment: &Arc<storage::Segment>) -> storage::Result<PreparedSegment> {
        let filter = segment.prepare(&self.predicate.tests)?;
        let ranges: Vec<ColumnPredicate> = self
            .key_tests()
            .iter()
            .map(|(column, test)| {
                let bound = |bound: i64| Scalar::Integer(bound.into());
                let range = test.keys.bounds.map(|(min, max)| Test::Between(bound(min), bound(max)));
                // No key: no value is one of none.
                ColumnPredicate { column: column.0, test: range.unwrap_or(Test::In(Vec::new())) }
            })
            .collect();
        let key_blocks = (!ranges.is_empty()).then(|| segment.prune(&ranges));
        Ok(PreparedSegment { filter, key_blocks })
    }

    fn key_tests(&self) -> &[ColumnTest] {
        self.key_tests.get_or_init(|| {
            let filters = std::mem::take(&mut *self.key_filters.lock());
            let complete = filters.into_iter().filter_map(|(column, physical, filter)| {
                Some(((column, physical), KeyTest::new(filter.complete()?)))
            });
            let mut tests: Vec<ColumnTest> = complete.collect();
            tests.sort_by(|(_, a), (_, b)| a.keys.density.total_cmp(&b.keys.density));
            tests
        })
    }

    /// The columns of the output.
    fn read(&self, scan: &SegmentScan, block: u32, rows: RowsRef<'_>) -> Result<Vec<Vector>> {
        if self.measures.is_empty() && self.address.is_none() {
            return Ok(scan.segment.read(block, rows, &self.columns)?);
        }
        let column = |(position, column): (usize, &(u32, PhysicalType))| {
            if Some(column.0) == self.address {
                return Ok(scan.segment.addresses(block, rows)?);
            }
            let mut measures = self.measures.iter().zip(&scan.tables);
            match measures.find(|(measure, _)| measure.position == position) {
                Some((measure, table)) => measure.read(&scan.segment, block, rows, *column, table),
                None => Ok(scan.segment.read(block, rows, &[*column])?.swap_remove(0)),
            }
        };
        self.columns.iter().enumerate().map(column).collect()
    }

    /// The rows of the block that the key filters let pass.
    fn with_keys(&self, segment: &storage::Segment, block: u32, mut rows: Rows) -> Result<Rows> {
        for (column, test) in self.key_tests() {
            if rows.len() == 0 || !test.is_worth_it() {
                continue;
            }
            let columns = segment.read(block, rows.reference(0, rows.len()), &[*column])?;
            let Some(column) = columns.first() else { continue };
            let passing = test.passing(column);
            if passing.len() < rows.len() {
                rows = rows.only(passing);
            }
        }
        Ok(rows)
    }
}

impl Measure {
    fn read(
        &self,
        segment: &storage::Segment,
        block: u32,
        rows: RowsRef<'_>,
        column: (u32, PhysicalType),
        table: &OnceLock<Result<Vec<i32>>>,
    ) -> Result<Vector> {
        let shape = self.compiled.shape();
        if let Some(lengths) = segment.lengths(block, rows, column.0, self.length)? {
            return Ok(cast_to_physical(&lengths, shape.physical));
        }
        let text = segment.read(block, rows, &[column])?;
        let Some(Vector::Dictionary(vector)) = text.first() else {
            return self.compiled.evaluate(&Batch::of_rows(text, rows.len()));
        };
        // A segment has one dictionary a column.
        let table = table.get_or_init(|| self.table(&vector.dictionary.values));
        let table = table.as_ref().map_err(Error::clone)?;
        let lengths = Values::I32(gather(table, &vector.codes.to_indices()).into());
        let lengths = Flat::new(shape.data_type, lengths, vector.validity.clone()).into();
        Ok(cast_to_physical(&lengths, shape.physical))
    }

    /// The lengths of these texts.
    fn table(&self, values: &Flat) -> Result<Vec<i32>> {
        let lengths = self.compiled.evaluate(&Batch::of_rows(vec![values.clone().into()], values.len()))?;
        match cast_to_physical(&lengths, PhysicalType::I32).flatten().values {
            Values::I32(lengths) => Ok(lengths.to_vec()),
            _ => Err(Error::Internal("lengths are not integers".into())),
        }
    }
}

impl Current {
    /// Evaluates residual predicates; false where time ran out first.
    fn test(&mut self, shared: &Shared, step: &Step<'_>) -> Result<bool> {
        let Some((tested, passed)) = &mut self.tested else { return Ok(true) };
        let segment = &shared.segments[self.morsel.segment].segment;
        while *tested < self.rows.len() {
            let len = shared.batch_rows.min(self.rows.len() - *tested);
            let mut chunk = self.rows.part(*tested, len);
            for residual in &shared.predicate.residual {
                chunk = passing(residual, segment, self.morsel.block, chunk)?;
                if chunk.len() == 0 {
                    break;
                }
            }
            match chunk {
                Rows::Range(start, len) => passed.extend(start as u32..(start + len) as u32),
                Rows::Indices(rows) => passed.extend_from_slice(&rows),
            }
            *tested += len;
            if step.expired() && *tested < self.rows.len() {
                return Ok(false);
            }
        }
        if passed.len() < self.rows.len() {
            self.rows = Rows::Indices(std::mem::take(passed));
        }
        self.tested = None;
        Ok(true)
    }

    /// Drops rows to be given that the bound, which has moved, does not let pass any more.
    fn narrow(&mut self, shared: &Shared) -> Result<()> {
        let (moves, bounding) = shared.bounding();
        self.moves = moves;
        let left = self.rows.len() - self.given;
        if left == 0 || bounding.is_none() {
            return Ok(());
        }
        let segment = &shared.segments[self.morsel.segment].segment;
        let rows = self.rows.reference(self.given, left);
        let passing = match segment.filter_rows(self.morsel.block, rows, bounding.as_slice())? {
            BlockRows::All => return Ok(()),
            BlockRows::Some(passing) => passing,
            BlockRows::None => Vec::new(),
        };
        if passing.len() < left {
            (self.rows, self.given) = (Rows::Indices(passing), 0);
        }
        Ok(())
    }

    /// The next batch of the rows that are left.
    fn give(&mut self, shared: &Shared) -> Result<Option<Batch>> {
        if self.moves < shared.moves() {
            self.narrow(shared)?;
        }
        let len = shared.batch_rows.min(self.rows.len() - self.given);
        if len == 0 {
            return Ok(None);
        }
        let rows = self.rows.reference(self.given, len);
        self.given += len;
        if shared.columns.is_empty() {
            return Ok(Some(Batch::of_rows(Vec::new(), len)));
        }
        let segment = &shared.segments[self.morsel.segment];
        Ok(Some(Batch::of_rows(shared.read(segment, self.morsel.block, rows)?, len)))
    }
}

/// Which of `rows` of the block pass.
fn passing(residual: &Residual, segment: &storage::Segment, block: u32, rows: Rows) -> Result<Rows> {
    let columns = match residual.columns.is_empty() {
        true => Vec::new(),
        false => segment.read(block, rows.reference(0, rows.len()), &residual.columns)?,
    };
    let matches = residual.compiled.matches(&Batch::of_rows(columns, rows.len()))?;
    if matches.all() {
        return Ok(rows);
    }
    Ok(rows.only(indices_of(&matches)))
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Range(_, len) => *len,
            Rows::Indices(rows) => rows.len(),
        }
    }

    fn reference(&self, start: usize, len: usize) -> RowsRef<'_> {
        match self {
            Rows::Range(first, _) => RowsRef::Range(first + start, len),
            Rows::Indices(rows) => RowsRef::Indices(&rows[start..start + len]),
        }
    }

    /// Those at `positions`, ascending.
    fn only(self, positions: Vec<u32>) -> Rows {
        Rows::Indices(match self {
            Rows::Range(0, _) => positions,
            Rows::Range(start, _) => positions.into_iter().map(|row| start as u32 + row).collect(),
            Rows::Indices(rows) => gather(&rows, &positions),
        })
    }

    fn part(&self, start: usize, len: usize) -> Rows {
        match self {
            Rows::Range(first, _) => Rows::Range(first + start, len),
            Rows::Indices(rows) => Rows::Indices(rows[start..start + len].to_vec()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
