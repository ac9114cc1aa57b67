//! The trail in the object store: Parquet files that are never written again.

use super::{Entry, Trail, Waiting, verify};
use crate::error::{Error, Result};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use columnar::scalar::civil_from_days;
use object_store::{ObjectStoreExt, PutMode};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use shard::Place;
use std::sync::Arc;
use std::time::Duration;

/// Below the object store's root: a folder a tenant, below it one a day.
const FOLDER: &str = "system/audit";
/// The columns that are text, in their order behind `tenant`, `chain`, `sequence` and `at`.
pub(super) const TEXTS: [&str; 6] = ["principal", "action", "subject", "text", "detail", "hash"];

/// Writes what there is at every interval, for as long as it is polled.
pub(crate) async fn run(trail: Arc<Trail>, root: Place, interval: Duration) {
    let mut lost = 0;
    loop {
        tokio::time::sleep(interval).await;
        if let Err(error) = write(&trail, &root).await {
            tracing::warn!("the trail is not written, which is tried again: {error}");
        }
        let now = trail.lost();
        if now > lost {
            tracing::error!("{} rows of the trail are lost: the object store takes none", now - lost);
            lost = now;
        }
    }
}

/// Writes what waits, a file a tenant.
pub(crate) async fn write(trail: &Trail, root: &Place) -> Result<()> {
    let mut failure = None;
    for waiting in trail.take() {
        if let Err(error) = write_one(trail, root, &waiting).await {
            trail.give_back(waiting);
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn write_one(trail: &Trail, root: &Place, waiting: &Waiting) -> Result<()> {
    let failed = |error: object_store::Error| Error::Environment(error.to_string());
    let mut rows = &waiting.rows[..];
    while let Some(first) = rows.first() {
        let file = encode(trail.chain(), &waiting.tenant, rows)?;
        let (day, sequence) = (day(first.at_us), first.sequence);
        let name = format!("{FOLDER}/{}/{day}/{}-{sequence:012}.parquet", waiting.tenant, trail.chain());
        let path = root.join(&name).path;
        match root.store.put_opts(&path, file.into(), PutMode::Create.into()).await {
            Ok(_) => return Ok(()),
            // An earlier try, of fewer rows, came through, and its answer did not: nobody else writes this chain.
            Err(object_store::Error::AlreadyExists { .. }) => {
                let there = root.store.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
                let there = verify::rows(there).map_err(Error::Environment)?.len();
                rows = rows.get(there.max(1)..).unwrap_or_default();
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn encode(chain: &str, tenant: &str, rows: &[Arc<Entry>]) -> Result<Bytes> {
    let text = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..rows.len()).map(of)))
    };
    let mut columns = vec![
        text(&|_| tenant.to_string()),
        text(&|_| chain.to_string()),
        Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| i64::try_from(row.sequence).unwrap_or(i64::MAX)),
        )),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at_us))
                .with_timezone("UTC"),
        ),
    ];
    columns.extend([
        text(&|row| rows[row].deed.principal.to_string()),
        text(&|row| rows[row].deed.action.name().to_string()),
        text(&|row| rows[row].deed.subject.clone()),
        text(&|row| rows[row].deed.text.to_string()),
        text(&|row| rows[row].deed.detail.clone()),
        text(&|row| hexadecimal(&rows[row].hash)),
    ]);
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("tenant", DataType::Utf8, false),
        Field::new("chain", DataType::Utf8, false),
        Field::new("sequence", DataType::Int64, false),
        Field::new("at", at, false),
    ];
    fields.extend(TEXTS.map(|name| Field::new(name, DataType::Utf8, false)));
    let schema = Arc::new(Schema::new(fields));
    let broken = |error: String| Error::Internal(format!("the trail as Parquet: {error}"));
    let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|error| broken(error.to_string()))?;
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))
        .map_err(|error| broken(error.to_string()))?;
    writer.write(&batch).map_err(|error| broken(error.to_string()))?;
    Ok(writer.into_inner().map_err(|error| broken(error.to_string()))?.into())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The day of a moment, in UTC, as `2026-11-28`.
fn day(at_us: i64) -> String {
    let (year, month, day) = civil_from_days(at_us.div_euclid(86_400_000_000));
    format!("{year:04}-{month:02}-{day:02}")
}
