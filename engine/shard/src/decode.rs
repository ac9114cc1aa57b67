//! Row groups to batches of a dataset's schema.

use crate::file_reader::FileReader;
use crate::footer::{Footer, damaged, guarded, same_name};
use crate::pages::Pages;
use crate::{Error, File, Result, folders};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use columnar::arrow::{Strings, arrow_type_of, vector};
use columnar::kernels::cast::to_width;
use columnar::types::{Nested, integer_as_decimal, unify};
use columnar::{Batch, DataType, Flat, Scalar, TimeUnit, Value, Values, Vector};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelectionPolicy};
use parquet::arrow::push_decoder::ParquetPushDecoderBuilder;
use std::sync::Arc;
use storage::ColumnSchema;

/// Rows that are decoded at once.
const DECODE_ROWS: usize = 16_384;

/// How the columns of a dataset come out of one file.
pub(crate) struct FileColumns {
    schema: Arc<[ColumnSchema]>,
    sources: Vec<ColumnSource>,
    /// Positions in the file of the columns that are read, ascending.
    projection: Vec<usize>,
}

enum ColumnSource {
    /// Position among the columns read.
    Stored(usize),
    /// The same in every row.
    Folder(Value),
}

impl FileColumns {
    /// Finds every column of `schema` in the file or its folders, by name without regard to case.
    pub(crate) fn new(schema: &Arc<[ColumnSchema]>, file: &File, footer: &Footer) -> Result<FileColumns> {
        let place = |column: &ColumnSchema| {
            let folder = file.folder_values.iter().find(|value| same_name(&value.column, &column.name));
            if let Some(value) = folder {
                return folders::typed_value(file, value, column.data_type).map(Err);
            }
            let stored = footer.columns.iter().position(|stored| same_name(&stored.name, &column.name));
            let Some(position) = stored else {
                return Err(Error::file(&file.url, format!("it has no column \"{}\"", column.name)));
            };
            let found = footer.columns[position].data_type;
            if found == DataType::Interval && footer.loses_months() {
                let why = format!(
                    "its column \"{}\" is an INTERVAL of Parquet's own, which is not supported yet: write it as text, or leave it out of the table's columns",
                    column.name
                );
                return Err(Error::file(&file.url, why));
            }
            if !reads_as(found, column.data_type) {
                let why = format!("its column \"{}\" is {found}, not {}", column.name, column.data_type);
                return Err(Error::file(&file.url, why));
            }
            Ok(Ok(position))
        };
        let places = schema.iter().map(place).collect::<Result<Vec<_>>>()?;
        let mut projection: Vec<usize> =
            places.iter().filter_map(|place| place.as_ref().ok().copied()).collect();
        projection.sort_unstable();
        projection.dedup();
        let source = |place: std::result::Result<usize, Value>| match place {
            Ok(position) => ColumnSource::Stored(projection.partition_point(|&read| read < position)),
            Err(value) => ColumnSource::Folder(value),
        };
        let sources = places.into_iter().map(source).collect();
        Ok(FileColumns { schema: schema.clone(), sources, projection })
    }

    /// Whether a row has several values of a column that is read, as lists do: such are not read by pages, which the
    /// decoder did wrong more than once.
    pub(crate) fn repeats(&self, footer: &Footer) -> bool {
        let schema = footer.metadata().file_metadata().schema_descr();
        (0..schema.num_columns()).any(|leaf| {
            schema.column(leaf).max_rep_level() > 0
                && self.projection.contains(&schema.get_column_root_idx(leaf))
        })
    }

    /// The batch as rows of the dataset.
    pub(crate) fn batch(&self, file: &File, rows: &RecordBatch) -> Result<Batch> {
        let column = |(column, source): (&ColumnSchema, &ColumnSource)| match source {
            ColumnSource::Folder(value) => Ok(Vector::constant(value.clone(), rows.num_rows())),
            ColumnSource::Stored(position) => {
                let array = rows.columns().get(*position);
                let array = array.ok_or_else(|| Error::Internal("a column was not decoded".into()))?;
                stored_vector(file, column, array)
            }
        };
        let columns = self.schema.iter().zip(&self.sources).map(column).collect::<Result<_>>()?;
        Ok(Batch::of_rows(columns, rows.num_rows()))
    }
}

/// Values of a file as a column of the dataset.
pub(crate) fn stored_vector(file: &File, column: &ColumnSchema, array: &ArrayRef) -> Result<Vector> {
    let wrong = |error: String| Error::file(&file.url, error);
    let mut vector = vector(&column.name, array).map_err(|error| wrong(error.to_string()))?;
    if vector.data_type() == DataType::Null {
        let nulls = Value::null(column.data_type);
        vector = Vector::constant(nulls, array.len());
    }
    if vector.data_type() != column.data_type && holds_text_of(vector.data_type(), column.data_type) {
        vector = checked_text(file, column, &vector)?;
    } else if vector.data_type() != column.data_type
        && let Some(taken) = taken_as(&vector, column.data_type)
    {
        vector = taken.map_err(|error| wrong(format!("column \"{}\": {error}", column.name)))?;
    }
    if vector.data_type() != column.data_type {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let to = arrow_type_of(column.data_type, Strings::Views);
        let cast = cast_with_options(array, &to, &options);
        let cast = cast.map_err(|error| wrong(format!("column \"{}\": {error}", column.name)))?;
        vector = columnar::arrow::vector(&column.name, &cast).map_err(|error| wrong(error.to_string()))?;
    }
    if !column.nullable && vector.validity().is_some_and(|validity| !validity.all()) {
        return Err(wrong(format!("column \"{}\" holds a null, but is NOT NULL", column.name)));
    }
    Ok(vector)
}

/// Text as the values of a type that is text underneath: others may have written the file.
fn checked_text(file: &File, column: &ColumnSchema, vector: &Vector) -> Result<Vector> {
    let wrong = |error: String| Error::file(&file.url, format!("column \"{}\": {error}", column.name));
    let stored = vector.data_type();
    let input = exec::Expr::Column { id: 0, data_type: stored };
    let cast = exec::Expr::Cast { input: Box::new(input), data_type: column.data_type, try_cast: false };
    let rows = vector.len();
    let shapes = [exec::Shape::of_type(stored)];
    let compiled =
        exec::expression::Compiled::compile(&cast, &shapes).map_err(|error| wrong(error.to_string()))?;
    compiled.evaluate(&Batch::of_rows(vec![vector.clone()], rows)).map_err(|error| wrong(error.to_string()))
}

/// Values as those of a type that Arrow does not cast to; `None` where it does.
fn taken_as(vector: &Vector, to: DataType) -> Option<columnar::Result<Vector>> {
    let from = vector.data_type();
    let is_whole = |data_type: DataType| {
        data_type.is_integer() || matches!(data_type, DataType::Decimal { scale: 0, .. })
    };
    let flat = vector.flatten();
    if is_whole(from) && is_whole(to) && reads_as(from, to) {
        let values = to_width(&flat.values, to.physical());
        return Some(Ok(Flat::new(to, values, flat.validity).into()));
    }
    let Values::View(views) = &flat.values else { return None };
    let one = |row: usize| match (flat.is_null(row), from) {
        (true, _) => Ok(Scalar::Null),
        (false, DataType::Binary) => {
            let bytes = views.get(row);
            let value = bytes.try_into().map(columnar::uuid::from_bytes).map(Scalar::Integer);
            let text = format!("a value of {} bytes", bytes.len());
            value.map_err(|_| columnar::Error::InvalidText { text, data_type: to.to_string() })
        }
        _ => exec::expression::parse::scalar(&String::from_utf8_lossy(views.get(row)), to),
    };
    let read = matches!(
        (from, to),
        (DataType::Binary | DataType::Varchar, DataType::Uuid) | (DataType::Varchar, DataType::Enum(_))
    );
    read.then(|| {
        let scalars = (0..flat.len()).map(one).collect::<columnar::Result<Vec<_>>>()?;
        Ok(Vector::from_scalars(to, &scalars))
    })
}

/// Whether the types are alike but for text where a type is wanted that is text underneath, here or in a part.
fn holds_text_of(stored: DataType, wanted: DataType) -> bool {
    let (stored_parts, wanted_parts) = match (stored, wanted) {
        (DataType::Varchar, DataType::Json { .. } | DataType::Bits) => return true,
        (DataType::Varchar, DataType::Interval | DataType::TimeZoned) => return true,
        (DataType::Nested(stored), DataType::Nested(wanted)) => (stored.info(), wanted.info()),
        _ => return stored == wanted,
    };
    match (&stored_parts.shape, &wanted_parts.shape) {
        (Nested::List(stored), Nested::List(wanted)) => holds_text_of(*stored, *wanted),
        (Nested::Array { element: stored, len: a }, Nested::Array { element: wanted, len: b }) => {
            a == b && holds_text_of(*stored, *wanted)
        }
        (Nested::Map { key: k1, value: v1 }, Nested::Map { key: k2, value: v2 }) => {
            holds_text_of(*k1, *k2) && holds_text_of(*v1, *v2)
        }
        (Nested::Struct(stored), Nested::Struct(wanted)) => {
            stored.len() == wanted.len()
                && stored
                    .iter()
                    .zip(wanted)
                    .all(|(a, b)| a.name == b.name && holds_text_of(a.data_type, b.data_type))
        }
        _ => false,
    }
}

/// Whether stored values of one type may stand in a column of another without loss.
fn reads_as(stored: DataType, wanted: DataType) -> bool {
    use DataType::*;
    match (stored, wanted) {
        _ if stored == wanted => true,
        (Null, _) => true,
        _ if holds_text_of(stored, wanted) => true,
        _ if stored.is_integer() && wanted.is_integer() => unify(stored, wanted) == Some(wanted),
        (_, Decimal { precision, scale }) if stored.is_integer() && stored != Int128 => {
            integer_as_decimal(stored).is_some_and(|(digits, _)| digits + scale <= precision)
        }
        (Decimal { scale: 0, .. }, Int128) => true,
        (Uuid, Binary) | (Binary | Varchar, Uuid) | (Varchar, Enum(_)) => true,
        (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => {
            s <= scale && p - s <= precision.saturating_sub(scale)
        }
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Float32, Float64) | (Binary, Varchar) => true,
        (Timestamp { unit: from, zone: a }, Timestamp { unit: to, zone: b }) => a == b && from <= to,
        (Date, Timestamp { unit: TimeUnit::Microsecond, zone: false }) => true,
        _ => false,
    }
}

/// Fetches a row group, or those of its rows that are in `pages`; the reader that is given decodes them without further
/// I/O.
pub(crate) async fn fetch(
    reader: &FileReader,
    footer: &Footer,
    columns: &FileColumns,
    row_group: usize,
    pages: Option<&Pages>,
) -> Result<ParquetRecordBatchReader> {
    let url = &reader.file().url;
    let part = part_of(row_group);
    let mask =
        ProjectionMask::roots(footer.reader_metadata.parquet_schema(), columns.projection.iter().copied());
    let build = || {
        let builder = match pages {
            None => ParquetPushDecoderBuilder::new_with_metadata(footer.reader_metadata.clone())
                .with_row_groups(vec![row_group]),
            Some(Pages { pages, metadata }) => {
                let rows = footer.row_groups().nth(row_group).unwrap_or(0) as usize;
                let ranges = pages.iter().map(|page| page.rows.start as usize..page.rows.end as usize);
                ParquetPushDecoderBuilder::new_with_metadata(metadata.clone())
                    .with_row_groups(vec![0])
                    .with_row_selection(RowSelection::from_consecutive_ranges(ranges, rows))
                    // Pages in between are skipped, not decoded and left out.
                    .with_row_selection_policy(RowSelectionPolicy::Selectors)
            }
        };
        builder.with_projection(mask).with_batch_size(DECODE_ROWS).build()
    };
    let mut decoder = guarded(url, &part, build)?;
    loop {
        match guarded(url, &part, || decoder.try_next_reader())? {
            DecodeResult::NeedsData(ranges) => {
                let bytes = reader.read(&ranges).await?;
                decoder.push_ranges(ranges, bytes).map_err(|error| damaged(url, &part, error))?;
            }
            DecodeResult::Data(batches) => return Ok(batches),
            DecodeResult::Finished => return Err(damaged(url, &part, "it is missing")),
        }
    }
}

/// The next rows of a row group; errors and panics of the decoder name the file and the row group.
pub(crate) fn next_rows(
    file: &File,
    row_group: usize,
    batches: &mut ParquetRecordBatchReader,
) -> Result<Option<RecordBatch>> {
    guarded(&file.url, &part_of(row_group), || batches.next().transpose())
}

/// A row group in the words of errors.
pub(crate) fn part_of(row_group: usize) -> String {
    format!("row group {row_group}")
}
