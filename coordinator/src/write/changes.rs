//! The rows of a query that changes others: which go, and the new ones as Parquet files.

use super::{Encoder, Taker, take_all};
use crate::error::{Error, Result};
use crate::query::RunningQuery;
use bytes::Bytes;
use columnar::{Batch, RowSet, Selection, Values, Vector};
use exec::memory::{MemoryPool, Reservation};
use planner::{Change, ChangeKind, MergedRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a statement makes of the version that it read.
pub(crate) struct Written {
    /// New rows.
    pub(crate) files: Vec<Bytes>,
    /// Rows that go, by the places of their files in the version that was read.
    pub(crate) marked: BTreeMap<usize, RowSet>,
    /// How many go, or come in addition.
    pub(crate) rows: u64,
    /// What `marked` takes.
    pub(crate) memory: Reservation,
}

/// Runs the query of a change to its end.
pub(crate) async fn collect_changes(
    query: &mut RunningQuery,
    change: &Change,
    memory: &Arc<MemoryPool>,
) -> Result<Written> {
    let table = &change.table;
    let clauses = match &change.kind {
        ChangeKind::Merge(clauses) => clauses.clone(),
        _ => Vec::new(),
    };
    let changes = Changes {
        table: format!("{}.{}", table.schema, table.name),
        encoder: (!matches!(change.kind, ChangeKind::Delete)).then(|| Encoder::new(&table.columns)),
        clauses,
        marked: BTreeMap::new(),
        inserted: 0,
        memory: memory.reservation("rows that a statement changes"),
    };
    take_all(query, changes).await
}

struct Changes {
    table: String,
    /// `None`: rows are deleted.
    encoder: Option<Encoder>,
    /// Of a merge.
    clauses: Vec<MergedRow>,
    marked: BTreeMap<usize, RowSet>,
    inserted: u64,
    memory: Reservation,
}

impl Changes {
    /// Notes rows that go; gives how many of them were noted before.
    fn mark(&mut self, mut addresses: Vec<u64>) -> Result<u64> {
        addresses.sort_unstable();
        let mut twice = 0;
        for of_file in addresses.chunk_by(|a, b| a >> shard::ROW_BITS == b >> shard::ROW_BITS) {
            let place = (of_file[0] >> shard::ROW_BITS) as usize;
            let rows = of_file.iter().map(|address| address & ((1 << shard::ROW_BITS) - 1));
            twice += self.marked.entry(place).or_default().insert_all(rows);
        }
        let bytes: usize = self.marked.values().map(RowSet::bytes).sum();
        self.memory.resize(bytes as u64)?;
        Ok(twice)
    }

    /// Takes rows of a merge, by what their clauses make of them.
    fn merge(&mut self, batch: Batch) -> Result<()> {
        let [addresses, numbers, values @ ..] = batch.columns.as_slice() else {
            return Err(Error::Internal("a merge without clauses".into()));
        };
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        let rows = batch.selection.as_ref().map(|selection| selection.rows());
        let count = rows.map_or(batch.rows, <[u32]>::len);
        for row in (0..count).map(|at| rows.map_or(at as u32, |rows| rows[at])) {
            let number = numbers.scalar(row as usize).as_integer();
            let number = number.and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
            match number.and_then(|number| self.clauses.get(number)) {
                Some(MergedRow::Deleted) => gone.push(address(addresses, row as usize)?),
                Some(MergedRow::Updated(_)) => {
                    gone.push(address(addresses, row as usize)?);
                    kept.push(row);
                }
                Some(MergedRow::Inserted(_)) => {
                    self.inserted += 1;
                    kept.push(row);
                }
                Some(MergedRow::Same) | None => {
                    return Err(Error::Internal("a row of no clause of the merge".into()));
                }
            }
        }
        if self.mark(gone)? > 0 {
            return Err(Error::Statement(format!(
                "MERGE would change a row of {} twice: several rows of the source match it",
                self.table
            )));
        }
        let columns = values.to_vec();
        match &mut self.encoder {
            Some(encoder) => {
                encoder.push(Batch { columns, rows: batch.rows, selection: Some(Selection::new(kept)) })
            }
            None => Ok(()),
        }
    }
}

impl Taker for Changes {
    type Output = Written;

    fn push(&mut self, batch: Batch) -> Result<()> {
        if !self.clauses.is_empty() {
            return self.merge(batch);
        }
        let Some((addresses, values)) = batch.columns.split_first() else {
            return Err(Error::Internal("a change without addresses".into()));
        };
        let gone = match &batch.selection {
            Some(selection) => selection.rows().iter().map(|&row| address(addresses, row as usize)).collect(),
            None => (0..batch.rows).map(|row| address(addresses, row)).collect::<Result<Vec<u64>>>(),
        }?;
        let columns = values.to_vec();
        let twice = self.mark(gone)?;
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        if twice > 0 {
            return Err(Error::Statement(format!(
                "UPDATE would change a row of {} twice: several rows of FROM match it",
                self.table
            )));
        }
        encoder.push(Batch { columns, ..batch })
    }

    fn finish(self) -> Result<Written> {
        let files = self.encoder.map(Encoder::finish).transpose()?.unwrap_or_default();
        let rows = self.inserted + self.marked.values().map(RowSet::len).sum::<u64>();
        Ok(Written { files, marked: self.marked, rows, memory: self.memory })
    }
}

fn address(addresses: &Vector, row: usize) -> Result<u64> {
    let address = match addresses {
        Vector::Flat(flat) => match &flat.values {
            Values::I64(values) if flat.validity.is_none() => values.get(row).copied(),
            _ => None,
        },
        _ => None,
    };
    let address =
        address.or_else(|| addresses.scalar(row).as_integer().and_then(|it| i64::try_from(it).ok()));
    let address = address.and_then(|address| u64::try_from(address).ok());
    address.ok_or_else(|| Error::Internal("a row without an address".into()))
}
