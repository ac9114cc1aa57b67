//! Folders of Parquet files for tests.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its part")]

use columnar::{Batch, DataType, Scalar, Vector};
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use shard::{Config, Environment, ParquetWriter, Shard, Stores};
use std::sync::Arc;
use storage::{ColumnSchema, RowsRef, Table};

/// A temporary folder as an object store.
pub struct Folder {
    pub folder: tempfile::TempDir,
    pub stores: Arc<Stores>,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { folder: tempfile::tempdir().unwrap(), stores: Stores::new() }
    }

    pub fn url(&self, name: &str) -> String {
        format!("file://{}/{name}", self.folder.path().display())
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Shards whose segments lie in this folder, too.
    pub fn shards(&self, count: usize) -> Vec<Arc<Shard>> {
        self.shards_within(count, MemoryPool::unlimited())
    }

    pub fn shards_within(&self, count: usize, memory: Arc<MemoryPool>) -> Vec<Arc<Shard>> {
        let environment = Environment::new(Workers::inline(), memory, self.stores.clone());
        let start = |id| {
            let data = self.folder.path().join(format!("data/shard-{id}"));
            Shard::start(Config { data, id }, environment.clone()).unwrap()
        };
        (0..count as u64).map(start).collect()
    }
}

pub fn column(name: &str, data_type: DataType) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type, nullable: true }
}

pub fn ints(data_type: DataType, values: std::ops::Range<i64>) -> Vector {
    let scalars: Vec<Scalar> = values.map(|value| Scalar::Integer(value.into())).collect();
    Vector::from_scalars(data_type, &scalars)
}

pub fn texts(values: &[&str]) -> Vector {
    let scalars: Vec<Scalar> = values.iter().map(|text| Scalar::Bytes(text.as_bytes().to_vec())).collect();
    Vector::from_scalars(DataType::Varchar, &scalars)
}

/// A Parquet file of one batch.
pub fn file_bytes(schema: &[ColumnSchema], columns: Vec<Vector>) -> Vec<u8> {
    let mut writer = ParquetWriter::new(schema).unwrap();
    writer.push(Batch::new(columns)).unwrap();
    writer.finish().unwrap().to_vec()
}

/// All rows of a table, in order.
pub fn rows(table: &Table) -> Vec<Vec<Scalar>> {
    let columns: Vec<_> =
        table.schema.iter().enumerate().map(|(index, c)| (index as u32, c.data_type.physical())).collect();
    let mut rows = Vec::new();
    for segment in &table.segments {
        for block in 0..segment.block_count() {
            let len = segment.block_rows(block);
            let vectors = segment.read(block as u32, RowsRef::Range(0, len), &columns).unwrap();
            rows.extend((0..len).map(|row| vectors.iter().map(|vector| vector.scalar(row)).collect()));
        }
    }
    rows
}
