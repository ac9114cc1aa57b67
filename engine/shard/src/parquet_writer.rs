//! Batches to a Parquet file: what `CREATE TABLE AS` and `INSERT` write.

use crate::schema::unstored_part;
use crate::{Error, Result};
use bytes::Bytes;
use columnar::arrow::{Strings, record_batch, schema};
use columnar::{Batch, DataType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use storage::ColumnSchema;

/// The most rows of a row group.
pub const ROW_GROUP_ROWS: usize = 1 << 20;

/// Encodes batches into one Parquet file in memory.
pub struct ParquetWriter {
    writer: ArrowWriter<Vec<u8>>,
    schema: arrow::datatypes::SchemaRef,
    rows: u64,
}

impl ParquetWriter {
    /// Names must be distinct.
    pub fn new(columns: &[ColumnSchema]) -> Result<ParquetWriter> {
        let level = ZstdLevel::try_new(1).map_err(|error| Error::Internal(error.to_string()))?;
        ParquetWriter::with(columns, WriterProperties::builder().set_compression(Compression::ZSTD(level)))
    }

    /// As [`ParquetWriter::new`], for so few rows that setting up a compressor would take longer than all else.
    pub fn of_few_rows(columns: &[ColumnSchema]) -> Result<ParquetWriter> {
        ParquetWriter::with(columns, WriterProperties::builder().set_dictionary_enabled(false))
    }

    fn with(columns: &[ColumnSchema], properties: WriterPropertiesBuilder) -> Result<ParquetWriter> {
        if let Some(column) = columns.iter().find(|column| column.data_type == DataType::Interval) {
            return Err(Error::Unsupported(format!(
                "storing column \"{}\": INTERVAL in Parquet",
                column.name
            )));
        }
        let unstored = |column: &ColumnSchema| {
            column.data_type.as_nested()?;
            Some(format!(
                "storing column \"{}\": {} in Parquet",
                column.name,
                unstored_part(column.data_type)?
            ))
        };
        if let Some(refused) = columns.iter().find_map(unstored) {
            return Err(Error::Unsupported(refused));
        }
        let fields = columns.iter().map(|column| (column.name.as_str(), column.data_type, column.nullable));
        let schema = std::sync::Arc::new(schema(fields, Strings::Views));
        let properties = properties.set_max_row_group_row_count(Some(ROW_GROUP_ROWS)).build();
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
        let writer = writer.map_err(|error| Error::Unsupported(format!("writing Parquet: {error}")))?;
        Ok(ParquetWriter { writer, schema, rows: 0 })
    }

    /// Appends the selected rows of a batch of the schema's types.
    pub fn push(&mut self, batch: Batch) -> Result<()> {
        let rows = record_batch(batch, self.schema.clone()).map_err(exec::Error::from)?;
        self.rows += rows.num_rows() as u64;
        self.writer.write(&rows).map_err(|error| Error::Internal(format!("writing Parquet: {error}")))
    }

    /// Rows pushed so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes held, about.
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_size() + self.writer.bytes_written()
    }

    /// The file's content.
    pub fn finish(self) -> Result<Bytes> {
        let bytes = self.writer.into_inner();
        bytes.map(Bytes::from).map_err(|error| Error::Internal(format!("writing Parquet: {error}")))
    }
}
