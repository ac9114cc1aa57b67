//! What files hold, by their footers.

use crate::file_reader::FileReader;
use crate::{Error, File, Place, Progress, Result, Stores, folders};
use arrow::datatypes::{DataType as ArrowType, Field, Fields, Schema, SchemaRef, TimeUnit as ArrowUnit};
use bytes::Bytes;
use columnar::DataType;
use columnar::arrow::data_type_of;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::DecodeResult;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{LogicalType, Type as PhysicalType};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, ParquetMetaDataReader,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use storage::ColumnSchema;

/// Footers that are fetched at once.
const PARALLEL: usize = 16;
/// The part of a file that says what it holds, in the words of errors.
const FOOTER: &str = "footer";
/// What is fetched of a file's end at first; most footers fit.
const TAIL_BYTES: u64 = 64 << 10;

/// What the footers of a dataset's files say.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// The columns of the files, then those of their folders.
    pub columns: Vec<ColumnSchema>,
    /// The files, with their numbers of rows.
    pub files: Vec<File>,
}

/// A file's footer: its row groups, and its columns in the Arrow types they are decoded to.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) reader_metadata: ArrowReaderMetadata,
    pub(crate) columns: Vec<ColumnSchema>,
    pub(crate) rows: u64,
}

impl Footer {
    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        self.reader_metadata.metadata()
    }

    /// Whether an INTERVAL of Parquet's own is read without its months: only a schema of Arrow's says that it has none.
    pub(crate) fn loses_months(&self) -> bool {
        let told = self.metadata().file_metadata().key_value_metadata();
        told.is_none_or(|told| told.iter().all(|pair| pair.key != ARROW_SCHEMA_META_KEY))
    }

    /// The rows of each row group.
    pub(crate) fn row_groups(&self) -> impl Iterator<Item = u64> {
        self.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64)
    }
}

/// Reads the footers of `files` and infers the schema that all share. Columns go by name, in the order of the
/// first file; files that differ in a name or a type are an error that names both.
pub async fn infer(stores: &Stores, mut files: Vec<File>) -> Result<Inferred> {
    let footers = load_all(stores, &files, &Arc::default()).await?;
    let (Some(first), Some(first_file)) = (footers.first(), files.first()) else {
        return Err(Error::Location("a dataset without files".into()));
    };
    let mut columns = first.columns.clone();
    for (file, footer) in files.iter().zip(&footers).skip(1) {
        let differ = |why: String| Err(Error::file(&file.url, format!("{why} in {}", first_file.url)));
        for column in &mut columns {
            match find(&footer.columns, &column.name) {
                None => return differ(format!("the column \"{}\" is missing, which is", column.name)),
                // Nothing but nulls goes with every type.
                Some(other) if column.data_type == DataType::Null => *column = other.clone(),
                Some(other) if other.data_type == DataType::Null => column.nullable = true,
                Some(other) if other.data_type != column.data_type => {
                    return differ(format!(
                        "the column \"{}\" is {}, but {}",
                        other.name, other.data_type, column.data_type
                    ));
                }
                Some(other) => column.nullable |= other.nullable,
            }
        }
        if let Some(extra) = footer.columns.iter().find(|column| find(&columns, &column.name).is_none()) {
            return differ(format!("the column \"{}\" is not", extra.name));
        }
    }
    for column in columns.iter_mut().filter(|column| column.data_type == DataType::Null) {
        column.data_type = DataType::Int32;
        column.nullable = true;
    }
    // A folder's column takes the place of one of the same name inside.
    let from_folders = folders::columns(&files);
    columns.retain(|column| find(&from_folders, &column.name).is_none());
    columns.extend(from_folders);
    for (file, footer) in files.iter_mut().zip(&footers) {
        file.rows = footer.rows;
    }
    Ok(Inferred { columns, files })
}

/// The file at `place` that holds `bytes`, as the store named it when it was put: it need not be listed, nor
/// its footer fetched.
pub fn written(stores: &Stores, place: &Place, bytes: &Bytes, etag: &str) -> Result<File> {
    let url = place.url();
    let read = || ParquetMetaDataReader::new().parse_and_finish(bytes);
    let footer = Arc::new(footer_of(&url, guarded(&url, FOOTER, read)?)?);
    let (size_bytes, rows) = (bytes.len() as u64, footer.rows);
    // With an ETag nobody looks at the time.
    let file = File { url, size_bytes, etag: etag.into(), rows, ..File::default() };
    stores.remember_footer(&file, footer);
    Ok(file)
}

/// The column of that name, without regard to case.
pub(crate) fn find<'a>(columns: &'a [ColumnSchema], name: &str) -> Option<&'a ColumnSchema> {
    columns.iter().find(|column| same_name(&column.name, name))
}

pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// The footers of files, in their order; those that were read before are remembered.
pub(crate) async fn load_all(
    stores: &Stores,
    files: &[File],
    progress: &Arc<Progress>,
) -> Result<Vec<Arc<Footer>>> {
    let one = |file: &File| {
        let known = stores.known_footer(file).ok_or_else(|| FileReader::new(stores, file, progress));
        async move {
            match known {
                Ok(footer) => Result::Ok((footer, None)),
                Err(reader) => {
                    let reader = reader?;
                    let footer = Arc::new(load(&reader).await?);
                    Ok((footer, Some(reader)))
                }
            }
        }
    };
    let loads: Vec<_> = files.iter().map(one).collect();
    let loaded: Vec<_> = stream::iter(loads).buffered(PARALLEL).try_collect::<Vec<_>>().await?;
    for (footer, read) in &loaded {
        if let Some(reader) = read {
            stores.remember_footer(reader.file(), footer.clone());
        }
    }
    Ok(loaded.into_iter().map(|(footer, _)| footer).collect())
}

async fn load(reader: &FileReader) -> Result<Footer> {
    let file = reader.file();
    if file.size_bytes < 12 {
        let why = format!("not a Parquet file: it has {} bytes", file.size_bytes);
        return Err(Error::file(&file.url, why));
    }
    let tail = file.size_bytes.saturating_sub(TAIL_BYTES)..file.size_bytes;
    let bytes = reader.read(std::slice::from_ref(&tail)).await?;
    if !bytes.iter().all(|bytes| bytes.ends_with(b"PAR1")) {
        let why = format!(
            "not a Parquet file, or cut short: it ends after {} bytes without the mark PAR1",
            file.size_bytes
        );
        return Err(Error::file(&file.url, why));
    }
    let decoder = ParquetMetaDataPushDecoder::try_new(file.size_bytes);
    let mut decoder = decoder
        .map_err(|error| damaged(&file.url, FOOTER, error))?
        .with_page_index_policy(PageIndexPolicy::Skip);
    decoder.push_ranges(vec![tail], bytes).map_err(|error| damaged(&file.url, FOOTER, error))?;
    loop {
        match guarded(&file.url, FOOTER, || decoder.try_decode())? {
            DecodeResult::NeedsData(ranges) => {
                let bytes = reader.read(&ranges).await?;
                decoder.push_ranges(ranges, bytes).map_err(|error| damaged(&file.url, FOOTER, error))?;
            }
            DecodeResult::Data(metadata) => return footer_of(&file.url, metadata),
            DecodeResult::Finished => return Err(damaged(&file.url, FOOTER, "it is missing")),
        }
    }
}

fn footer_of(url: &str, metadata: ParquetMetaData) -> Result<Footer> {
    let metadata = Arc::new(metadata);
    let plain =
        guarded(url, FOOTER, || ArrowReaderMetadata::try_new(metadata.clone(), ArrowReaderOptions::new()))?;
    let schema = decoded_schema(&plain);
    let options = ArrowReaderOptions::new().with_schema(schema);
    let reader_metadata = guarded(url, FOOTER, || ArrowReaderMetadata::try_new(metadata.clone(), options))?;

    let roots = reader_metadata.parquet_schema().root_schema().get_fields();
    let is_uuid = |name: &str| {
        roots.iter().any(|root| {
            root.name() == name && root.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid)
        })
    };
    let mut columns: Vec<ColumnSchema> = Vec::new();
    for field in reader_metadata.schema().fields() {
        let data_type =
            data_type_of(field.name(), field.data_type()).map_err(|error| Error::file(url, error))?;
        let data_type = if is_uuid(field.name()) { DataType::Uuid } else { data_type };
        if let Some(twin) = find(&columns, field.name()) {
            let why = format!("the columns \"{}\" and \"{}\" differ by case alone", twin.name, field.name());
            return Err(Error::file(url, why));
        }
        columns.push(ColumnSchema { name: field.name().clone(), data_type, nullable: field.is_nullable() });
    }
    if columns.is_empty() {
        return Err(Error::file(url, "it has no columns"));
    }
    let counts = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()));
    let rows = counts
        .sum::<std::result::Result<u64, _>>()
        .map_err(|_| damaged(url, FOOTER, "a negative row count"))?;
    if metadata.file_metadata().num_rows() != rows as i64 {
        return Err(damaged(url, FOOTER, "row groups do not add up to the rows"));
    }
    Ok(Footer { reader_metadata, columns, rows })
}

/// The Arrow types to decode to: views for text, decimals as narrow as they are stored, INT96 timestamps in
/// microseconds (as nanoseconds they would end in 2262).
fn decoded_schema(plain: &ArrowReaderMetadata) -> SchemaRef {
    let roots = plain.parquet_schema().root_schema().get_fields();
    let stored = |name: &str| {
        let root = roots.iter().find(|root| root.name() == name && root.is_primitive());
        root.map(|root| root.get_physical_type())
    };
    let field = |field: &Arc<Field>| {
        let stored = stored(field.name());
        let flat = match field.data_type() {
            ArrowType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        let to = match (flat, stored) {
            (ArrowType::Utf8 | ArrowType::LargeUtf8, _) => ArrowType::Utf8View,
            (ArrowType::Binary | ArrowType::LargeBinary, _) => ArrowType::BinaryView,
            (ArrowType::Decimal128(p, s), Some(PhysicalType::INT32)) if *p <= 9 => {
                ArrowType::Decimal32(*p, *s)
            }
            (ArrowType::Decimal128(p, s), Some(PhysicalType::INT64)) if *p <= 18 => {
                ArrowType::Decimal64(*p, *s)
            }
            (ArrowType::Timestamp(_, None), Some(PhysicalType::INT96)) => {
                ArrowType::Timestamp(ArrowUnit::Microsecond, None)
            }
            (other, _) => other.clone(),
        };
        Field::new(field.name(), to, field.is_nullable())
    };
    let fields: Fields = plain.schema().fields().iter().map(field).collect();
    Arc::new(Schema::new(fields))
}

/// The error of a file that does not hold together, and in which part of it.
pub(crate) fn damaged(url: &str, part: &str, why: impl ToString) -> Error {
    Error::file(url, format!("damaged Parquet file: {part}: {}", why.to_string()))
}

/// Runs a step of the Parquet decoder on a part of a file; it may panic where that is damaged.
pub(crate) fn guarded<T, E: ToString>(
    url: &str,
    part: &str,
    step: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(done) => done.map_err(|error| damaged(url, part, error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
            Err(damaged(url, part, format!("the decoder gave up: {text}")))
        }
    }
}
