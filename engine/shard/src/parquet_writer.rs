//! Batches to a Parquet file: what `CREATE TABLE AS` and `INSERT` write.

use crate::schema::unstored_part;
use crate::{Error, Result};
use arrow::datatypes::{Fields, Schema};
use bytes::Bytes;
use columnar::arrow::{STORED_HUGEINT, STORED_INTERVAL, Strings, record_batch, schema};
use columnar::{Batch, DataType};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, LogicalType, Type as PhysicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{SchemaDescriptor, Type};
use std::sync::Arc;
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
        let shown = schema(fields, Strings::Views);
        let stored = shown.fields().iter().zip(columns).map(|(field, column)| match column.data_type {
            DataType::Int128 => Arc::new(field.as_ref().clone().with_data_type(STORED_HUGEINT)),
            DataType::Interval => Arc::new(field.as_ref().clone().with_data_type(STORED_INTERVAL)),
            _ => field.clone(),
        });
        let schema = Arc::new(Schema::new(stored.collect::<Fields>()));
        let properties = properties.set_max_row_group_row_count(Some(ROW_GROUP_ROWS)).build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let options = match columns.iter().any(|column| column.data_type == DataType::Uuid) {
            true => options.with_parquet_schema(with_uuids(&schema, columns).map_err(refused)?),
            false => options,
        };
        let writer =
            ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options).map_err(refused)?;
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

fn refused(error: ParquetError) -> Error {
    Error::Unsupported(format!("writing Parquet: {error}"))
}

/// The schema of a file, whose UUIDs say what they are.
fn with_uuids(schema: &Schema, columns: &[ColumnSchema]) -> parquet::errors::Result<SchemaDescriptor> {
    let plain = ArrowSchemaConverter::new().convert(schema)?;
    let root = plain.root_schema();
    let field = |(field, column): (&Arc<Type>, &ColumnSchema)| match column.data_type {
        DataType::Uuid => Type::primitive_type_builder(field.name(), PhysicalType::FIXED_LEN_BYTE_ARRAY)
            .with_length(16)
            .with_logical_type(Some(LogicalType::Uuid))
            .with_repetition(field.get_basic_info().repetition())
            .build()
            .map(Arc::new),
        _ => Ok(field.clone()),
    };
    let fields = root.get_fields().iter().zip(columns).map(field).collect::<parquet::errors::Result<_>>()?;
    Ok(SchemaDescriptor::new(Arc::new(Type::group_type_builder(root.name()).with_fields(fields).build()?)))
}
