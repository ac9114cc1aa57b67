//! A copy of a table with its rows in random order, by a seed.
//!
//! Rows are dealt at random into buckets of about a part's rows, each a file; then every bucket is put into random
//! order and becomes a part. So memory holds a bucket for every core, whatever the size of the table.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::Failure;
use crate::dataset::{self, Table};
use crate::parquet_files::{self, PART_ROWS, Progress, in_parallel};

/// Rows that are dealt at once: enough for a bucket to get many of them.
const BATCH_ROWS: usize = 131_072;

/// Writes the parts of a shuffled copy of `table` into `folder`.
pub(crate) fn write(table: &Table, folder: &Path, seed: u64) -> Result<(), Failure> {
    let rows = dataset::rows(&table.files)?;
    let count = rows.div_ceil(PART_ROWS).max(1);
    let dealt = folder.join("dealt");
    fs::create_dir_all(&dealt)?;
    let progress = Progress::new(format!("shuffling {}", table.name), rows * 2);
    let schema = deal(table, &dealt, count, seed, &progress)?;
    in_parallel((0..count).collect(), |bucket| {
        let path = dealt.join(bucket.to_string());
        let batches = StreamReader::try_new(BufReader::new(File::open(&path)?), None)?;
        let rows = concat_batches(&schema, &batches.collect::<Result<Vec<_>, _>>()?)?;
        fs::remove_file(&path)?;
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        let salt = mix(seed ^ mix(bucket));
        order.sort_by_cached_key(|row| mix(salt ^ u64::from(*row)));
        let target = parquet_files::part(folder, bucket as usize + 1);
        let mut writer = parquet_files::create(&target, schema.clone())?;
        for some in order.chunks(BATCH_ROWS) {
            writer.write(&take_record_batch(&rows, &UInt32Array::from(some.to_vec()))?)?;
        }
        writer.close()?;
        progress.add(rows.num_rows() as u64);
        Ok(())
    })?;
    fs::remove_dir(&dealt)?;
    Ok(())
}

/// Writes every row into the file of one of `count` buckets.
fn deal(
    table: &Table,
    folder: &Path,
    count: u64,
    seed: u64,
    progress: &Progress,
) -> Result<SchemaRef, Failure> {
    let mut schema: Option<SchemaRef> = None;
    let mut buckets: Vec<StreamWriter<BufWriter<File>>> = Vec::new();
    let mut first_row = 0;
    for path in &table.files {
        // A schema that only Arrow knows would not be written again.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let found = builder.schema().clone();
        if schema.as_ref().is_some_and(|schema| schema.fields() != found.fields()) {
            return Err(format!("{} has other columns than the files before it", path.display()).into());
        }
        if schema.is_none() {
            buckets = (0..count)
                .map(|bucket| open(&folder.join(bucket.to_string()), &found))
                .collect::<Result<_, _>>()?;
        }
        let schema = schema.get_or_insert_with(|| Arc::new(Schema::new(found.fields().clone())));
        for batch in builder.with_batch_size(BATCH_ROWS).build()? {
            let batch = batch?.with_schema(schema.clone())?;
            let mut rows_of = vec![Vec::new(); buckets.len()];
            for row in 0..batch.num_rows() {
                let bucket = mix(seed ^ mix(first_row + row as u64)) % count;
                rows_of[bucket as usize].push(row as u32);
            }
            for (writer, rows) in buckets.iter_mut().zip(rows_of) {
                writer.write(&take_record_batch(&batch, &UInt32Array::from(rows))?)?;
            }
            first_row += batch.num_rows() as u64;
            progress.add(batch.num_rows() as u64);
        }
    }
    for bucket in buckets {
        bucket.into_inner()?.flush()?;
    }
    schema.ok_or_else(|| format!("table {} has no file", table.name).into())
}

fn open(path: &Path, schema: &SchemaRef) -> Result<StreamWriter<BufWriter<File>>, Failure> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    Ok(StreamWriter::try_new_with_options(BufWriter::new(File::create(path)?), schema, options)?)
}

/// A permutation of 64-bit numbers that looks random (the finaliser of SplitMix64, Steele et al. 2014).
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;

    /// The rows of a table as (number, text).
    fn read(table: &Table) -> Vec<(i64, String)> {
        let mut rows = Vec::new();
        for file in &table.files {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
            for batch in reader.build().unwrap() {
                let batch: RecordBatch = batch.unwrap();
                let texts = batch.column(1).as_string::<i32>().iter();
                let numbers = batch.column(0).as_primitive::<Int64Type>().values().iter();
                rows.extend(numbers.zip(texts).map(|(number, text)| (*number, text.unwrap().to_string())));
            }
        }
        rows
    }

    #[test]
    fn rows_stay_whole_and_change_places() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::create_dir(&plain).unwrap();
        let all = PART_ROWS as i64 + 1000;
        for (number, rows) in [(1, 0..all / 2), (2, all / 2..all)] {
            let texts = StringArray::from_iter_values(rows.clone().map(|number| format!("t{number}")));
            let batch = RecordBatch::try_from_iter([
                ("number", Arc::new(Int64Array::from_iter_values(rows)) as _),
                ("text", Arc::new(texts) as _),
            ]);
            let batch = batch.unwrap();
            let mut writer =
                parquet_files::create(&parquet_files::part(&plain, number), batch.schema()).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        let table = Table::at("t", &plain, &[]).unwrap();
        let shuffled = |name: &str, seed| {
            let target = folder.path().join(name);
            fs::create_dir(&target).unwrap();
            write(&table, &target, seed).unwrap();
            assert_eq!(fs::read_dir(&target).unwrap().count(), 2, "two parts and nothing else");
            read(&Table::at("t", &target, &[]).unwrap())
        };
        let (once, again, other) = (shuffled("a", 1), shuffled("b", 1), shuffled("c", 2));
        assert_eq!(once, again);
        assert_ne!(once, other);
        let ascending = once.windows(2).filter(|pair| pair[0].0 < pair[1].0).count() as f64 / all as f64;
        assert!((0.49..0.51).contains(&ascending), "{ascending}");
        let low_in_first = once[..100_000].iter().filter(|row| row.0 < all / 2).count();
        assert!((49_000..51_000).contains(&low_in_first), "{low_in_first}");
        let mut sorted = once;
        sorted.sort();
        let expected: std::collections::BTreeSet<_> =
            (0..all).map(|number| (number, format!("t{number}"))).collect();
        assert!(sorted.iter().eq(&expected));
    }
}
