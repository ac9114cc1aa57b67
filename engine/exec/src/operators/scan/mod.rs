//! Scan: reads what a shard holds of a dataset.
//!
//! The work is handed out in morsels, a block or a part of one. Of a morsel, storage first filters what it
//! can on encoded columns; predicates that are left are evaluated on the surviving rows, those that may fail
//! last; then the columns asked for are read for the rows that remain.

mod predicate;

use crate::error::{Error, Result};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::plan;
use crate::runtime::profile::MorselCount;
use crate::shape::Shape;
use columnar::{Batch, DataType, PhysicalType, Selection};
use predicate::{Predicate, Residual};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{BlockRows, ColumnFacts, RowsRef, SegmentFilter, Table};

pub struct Scan {
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    segments: Vec<SegmentScan>,
    morsels: Vec<Morsel>,
    next: AtomicUsize,
    predicate: Predicate,
    /// Column and width of each column of the output.
    columns: Vec<(u32, PhysicalType)>,
    batch_rows: usize,
    count: Arc<MorselCount>,
}

struct SegmentScan {
    segment: Arc<storage::Segment>,
    /// Made by the first task that comes to the segment.
    filter: OnceLock<storage::Result<SegmentFilter>>,
}

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
}

/// A morsel in work.
struct Current {
    morsel: Morsel,
    rows: Rows,
    /// While residual predicates are evaluated: how many of `rows` they have seen, and which passed.
    tested: Option<(usize, Vec<u32>)>,
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
        let matches = scan.schema.len() == table.schema.len()
            && scan.schema.iter().zip(table.schema.iter()).all(|(plan, held)| *plan == held.data_type)
            && scan.columns.iter().all(|&column| (column as usize) < scan.schema.len());
        if !matches {
            let name = &scan.table.name;
            return Err(Error::Internal(format!("the plan's schema of {name} is not that of its segments")));
        }
        let facts: Vec<ColumnFacts> =
            (0..scan.schema.len()).map(|column| table.column_facts(column as u32)).collect();
        let shapes: Vec<Shape> = scan
            .schema
            .iter()
            .zip(&facts)
            .map(|(&data_type, facts)| column_shape(data_type, facts))
            .collect();
        let predicate = Predicate::new(&scan.predicate, &shapes)?;
        let segments: Vec<SegmentScan> = table
            .segments
            .iter()
            .map(|segment| SegmentScan { segment: segment.clone(), filter: OnceLock::new() })
            .collect();
        let morsels = morsels(&segments, &predicate, tasks);
        count.add_total(morsels.len());
        let output: Vec<Shape> = scan.columns.iter().map(|&column| shapes[column as usize].clone()).collect();
        let columns =
            scan.columns.iter().zip(&output).map(|(&column, shape)| (column, shape.physical)).collect();
        let next = AtomicUsize::new(0);
        let batch_rows = batch_rows.max(1);
        let shared = Shared { segments, morsels, next, predicate, columns, batch_rows, count };
        Ok(Scan { shared: Arc::new(shared), output })
    }
}

/// The blocks that zone maps do not rule out, whole; without a predicate cut finer where there are few.
fn morsels(segments: &[SegmentScan], predicate: &Predicate, tasks: usize) -> Vec<Morsel> {
    const FINEST_ROWS: usize = 8 * columnar::BATCH_ROWS;
    let mut morsels = Vec::new();
    if predicate.never {
        return morsels;
    }
    for (index, scan) in segments.iter().enumerate() {
        for block in scan.segment.prune(&predicate.tests) {
            let len = scan.segment.block_rows(block as usize);
            morsels.push(Morsel { segment: index, block, start: 0, len });
        }
    }
    if !predicate.tests.is_empty() || morsels.len() >= tasks * 4 {
        return morsels;
    }
    let cut = |morsel: Morsel| {
        (0..morsel.len).step_by(FINEST_ROWS).map(move |start| Morsel {
            start,
            len: FINEST_ROWS.min(morsel.len - start),
            ..morsel
        })
    };
    morsels.into_iter().flat_map(cut).collect()
}

impl Source for Scan {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        self.shared.morsels.len()
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(ScanTask { shared: self.shared.clone(), current: None }))
    }
}

impl SourceTask for ScanTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        loop {
            let Some(current) = &mut self.current else {
                if step.expired() {
                    return Ok(Output::Yield);
                }
                let index = self.shared.next.fetch_add(1, Ordering::Relaxed);
                let Some(&morsel) = self.shared.morsels.get(index) else { return Ok(Output::Finished) };
                self.current = self.shared.begin(morsel)?;
                if self.current.is_none() {
                    self.shared.count.add_done();
                }
                continue;
            };
            if !current.test(&self.shared, step)? {
                return Ok(Output::Yield);
            }
            match current.give(&self.shared)? {
                Some(batch) => return Ok(Output::Batch(batch)),
                None => {
                    self.current = None;
                    self.shared.count.add_done();
                }
            }
        }
    }
}

impl Shared {
    /// Filters a morsel on its encoded columns; `None` where no row is left.
    fn begin(&self, morsel: Morsel) -> Result<Option<Current>> {
        let scan = &self.segments[morsel.segment];
        let filter = scan.filter.get_or_init(|| scan.segment.prepare(&self.predicate.tests));
        let filter = filter.as_ref().map_err(|error| Error::from(error.clone()))?;
        if filter.blocks().binary_search(&morsel.block).is_err() {
            return Ok(None);
        }
        let end = morsel.start + morsel.len;
        let rows = match filter.filter(morsel.block)? {
            BlockRows::All => Rows::Range(morsel.start, morsel.len),
            BlockRows::None => return Ok(None),
            BlockRows::Some(mut rows) => {
                rows.truncate(rows.partition_point(|&row| (row as usize) < end));
                rows.drain(..rows.partition_point(|&row| (row as usize) < morsel.start));
                Rows::Indices(rows)
            }
        };
        let tested = (!self.predicate.residual.is_empty()).then(|| (0, Vec::new()));
        Ok((rows.len() > 0).then_some(Current { morsel, rows, tested, given: 0 }))
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
                if chunk.is_empty() {
                    break;
                }
            }
            passed.extend_from_slice(&chunk);
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

    /// The next batch of the rows that are left.
    fn give(&mut self, shared: &Shared) -> Result<Option<Batch>> {
        let len = shared.batch_rows.min(self.rows.len() - self.given);
        if len == 0 {
            return Ok(None);
        }
        let rows = self.rows.reference(self.given, len);
        self.given += len;
        if shared.columns.is_empty() {
            return Ok(Some(Batch::of_rows(Vec::new(), len)));
        }
        let segment = &shared.segments[self.morsel.segment].segment;
        let columns = segment.read(self.morsel.block, rows, &shared.columns)?;
        Ok(Some(Batch::of_rows(columns, len)))
    }
}

/// Which of `rows` of the block pass.
fn passing(residual: &Residual, segment: &storage::Segment, block: u32, rows: Vec<u32>) -> Result<Vec<u32>> {
    let columns = match residual.columns.is_empty() {
        true => Vec::new(),
        false => segment.read(block, RowsRef::Indices(&rows), &residual.columns)?,
    };
    let matches = residual.compiled.matches(&Batch::of_rows(columns, rows.len()))?;
    Ok(if matches.all() { rows } else { Selection::new(rows).refine(&matches).rows().to_vec() })
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

    fn part(&self, start: usize, len: usize) -> Vec<u32> {
        match self {
            Rows::Range(first, _) => ((first + start) as u32..(first + start + len) as u32).collect(),
            Rows::Indices(rows) => rows[start..start + len].to_vec(),
        }
    }
}
