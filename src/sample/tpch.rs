//! The TPC-H tables as Parquet files.
//!
//! A table is cut into parts of about a million rows, generated and encoded side by side. The bytes of a
//! part depend on the scale factor alone, not on the number of threads.

use std::io::IsTerminal;
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchReader};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use crate::Failure;

/// The tables, largest first, so that the last parts to finish are short ones.
pub(super) const TABLES: [&str; 8] =
    ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"];

/// The column by which a table's rows are dealt to shards: those that belong together lie together.
pub(super) fn partition_key(table: &str) -> Option<&'static str> {
    match table {
        "lineitem" => Some("l_orderkey"),
        "orders" => Some("o_orderkey"),
        "partsupp" => Some("ps_partkey"),
        "part" => Some("p_partkey"),
        "customer" => Some("c_custkey"),
        _ => None,
    }
}

/// Rows of a file, about.
const PART_ROWS: f64 = 1_000_000.0;
/// Rows of a row group at most: the unit that hydration decodes at once.
const ROW_GROUP_ROWS: usize = 524_288;
const BATCH_ROWS: usize = 8192;

/// One file to write: part `number` (from 1) of `count` of a table.
#[derive(Clone, Copy)]
struct Part {
    table: &'static str,
    number: i32,
    count: i32,
}

/// Rows of a table at a scale factor; of lineitem about, since orders vary in length.
fn rows(table: &str, scale: f64) -> f64 {
    match table {
        "lineitem" => 6_001_215.0 * scale,
        "orders" => 1_500_000.0 * scale,
        "partsupp" => 800_000.0 * scale,
        "part" => 200_000.0 * scale,
        "customer" => 150_000.0 * scale,
        "supplier" => 10_000.0 * scale,
        "nation" => 25.0,
        _ => 5.0,
    }
}

/// Writes all tables under `folder`, `threads` parts at a time.
pub(super) async fn write(
    scale: f64,
    folder: &Path,
    store: Arc<dyn ObjectStore>,
    threads: usize,
) -> Result<(), Failure> {
    let progress = progress_bar(TABLES.iter().map(|table| rows(table, scale)).sum());
    let parts = TABLES.into_iter().flat_map(|table| {
        let count = (rows(table, scale) / PART_ROWS).ceil().max(1.0) as i32;
        (1..=count).map(move |number| Part { table, number, count })
    });
    stream::iter(parts)
        .map(|part| {
            let (store, progress) = (store.clone(), progress.clone());
            let path = folder.clone().join(part.table).join(format!("part-{:05}.parquet", part.number));
            async move {
                let encoding = tokio::task::spawn_blocking(move || encode(part, scale, &progress));
                let file = encoding.await??;
                store.put(&path, PutPayload::from(file)).await?;
                Ok::<(), Failure>(())
            }
        })
        .buffer_unordered(threads.max(1))
        .try_collect::<Vec<()>>()
        .await?;
    progress.finish_and_clear();
    Ok(())
}

/// The Parquet bytes of one part.
fn encode(part: Part, scale: f64, progress: &ProgressBar) -> Result<Vec<u8>, Failure> {
    let batches = generator(part, scale);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batches.schema(), options)?;
    for batch in batches {
        let batch: RecordBatch = batch?;
        writer.write(&batch)?;
        progress.inc(batch.num_rows() as u64);
    }
    Ok(writer.into_inner()?)
}

/// The rows of one part.
fn generator(part: Part, scale: f64) -> Box<dyn RecordBatchReader<Item = Result<RecordBatch, ArrowError>>> {
    macro_rules! batches {
        ($arrow:ident, $generator:ident) => {
            Box::new($arrow::new($generator::new(scale, part.number, part.count)).with_batch_size(BATCH_ROWS))
        };
    }
    match part.table {
        "lineitem" => batches!(LineItemArrow, LineItemGenerator),
        "orders" => batches!(OrderArrow, OrderGenerator),
        "partsupp" => batches!(PartSuppArrow, PartSuppGenerator),
        "part" => batches!(PartArrow, PartGenerator),
        "customer" => batches!(CustomerArrow, CustomerGenerator),
        "supplier" => batches!(SupplierArrow, SupplierGenerator),
        "nation" => batches!(NationArrow, NationGenerator),
        _ => batches!(RegionArrow, RegionGenerator),
    }
}

/// Shows rows written on stderr when that is a terminal.
fn progress_bar(rows: f64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(rows as u64), target);
    let template = "generating TPC-H {wide_bar} {percent:>3}% {human_pos} rows, {eta} left";
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
