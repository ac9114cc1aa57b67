//! The rows of a query that changes others: which go, and the new ones as Parquet files.

use super::{Encoder, Taker, take_all};
use crate::error::{Error, Result};
use crate::query::RunningQuery;
use bytes::Bytes;
use columnar::{Batch, RowSet, Values, Vector};
use exec::memory::{MemoryPool, Reservation};
use planner::Change;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a statement makes of the version that it read.
pub(crate) struct Written {
    /// New rows.
    pub(crate) files: Vec<Bytes>,
    /// Rows that go, by the places of their files in the version that was read.
    pub(crate) marked: BTreeMap<usize, RowSet>,
    /// How many go.
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
    let changes = Changes {
        table: format!("{}.{}", change.table.schema, change.table.name),
        encoder: change.set.is_some().then(|| Encoder::new(&change.table.columns)),
        marked: BTreeMap::new(),
        memory: memory.reservation("rows that a statement changes"),
    };
    take_all(query, changes).await
}

struct Changes {
    table: String,
    /// `None`: rows are deleted.
    encoder: Option<Encoder>,
    marked: BTreeMap<usize, RowSet>,
    memory: Reservation,
}

impl Taker for Changes {
    type Output = Written;

    fn push(&mut self, batch: Batch) -> Result<()> {
        let Some((addresses, values)) = batch.columns.split_first() else {
            return Err(Error::Internal("a change without addresses".into()));
        };
        let mut addresses = match &batch.selection {
            Some(selection) => selection.rows().iter().map(|&row| address(addresses, row as usize)).collect(),
            None => (0..batch.rows).map(|row| address(addresses, row)).collect::<Result<Vec<u64>>>(),
        }?;
        addresses.sort_unstable();
        let mut twice = 0;
        for of_file in addresses.chunk_by(|a, b| a >> shard::ROW_BITS == b >> shard::ROW_BITS) {
            let place = (of_file[0] >> shard::ROW_BITS) as usize;
            let rows = of_file.iter().map(|address| address & ((1 << shard::ROW_BITS) - 1));
            twice += self.marked.entry(place).or_default().insert_all(rows);
        }
        let bytes: usize = self.marked.values().map(RowSet::bytes).sum();
        self.memory.resize(bytes as u64)?;
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        if twice > 0 {
            return Err(Error::Statement(format!(
                "UPDATE would change a row of {} twice: several rows of FROM match it",
                self.table
            )));
        }
        let columns = values.to_vec();
        encoder.push(Batch { columns, ..batch })
    }

    fn finish(self) -> Result<Written> {
        let files = self.encoder.map(Encoder::finish).transpose()?.unwrap_or_default();
        let rows = self.marked.values().map(RowSet::len).sum();
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
