//! `hits`: a table of page views as a counter of web traffic keeps them, made up from a seed.
//!
//! Its 105 columns have the names and types of the public table of that name; its skew, cardinalities and
//! correlations resemble it. Sites, people and texts are invented. Rows are in the order of `CounterID`,
//! `EventDate`, a hash of `UserID`, `EventTime`. Sites and users are the same for every seed, so that a query
//! may name one; what happens on them is not.

mod columns;
mod hit;
mod plan;
mod random;
mod site;
#[cfg(test)]
mod tests;
mod user;
mod words;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use plan::Plan;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};

const MOST_FILE_ROWS: u64 = 2_000_000;
const GROUP_ROWS: usize = 500_000;
const BATCH_ROWS: usize = 8_192;
const THREADS: usize = 2;

/// Why the table could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Parquet { path: PathBuf, source: parquet::errors::ParquetError },
    #[error("{} is there already; give a folder without Parquet files", path.display())]
    Occupied { path: PathBuf },
}

/// Writes `rows` rows as Parquet files `hits-<number>.parquet` into `folder`, which is created and must hold
/// no Parquet file yet. `progress` gets the number of rows written so far, now and then, on this thread.
/// The files are a function of `rows` and `seed`.
pub(crate) fn write(folder: &Path, rows: u64, seed: u64, progress: &dyn Fn(u64)) -> Result<(), Error> {
    prepare(folder)?;
    let plan = Plan::new(rows, seed);
    // At least one file a thread, unless the table is small.
    let files = rows.div_ceil(MOST_FILE_ROWS).max(rows.div_ceil(GROUP_ROWS as u64).min(THREADS as u64));
    let next = AtomicU64::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (sender, plan, next) = (sender.clone(), &plan, &next);
            scope.spawn(move || {
                loop {
                    let file = next.fetch_add(1, Ordering::Relaxed);
                    if file >= files {
                        return;
                    }
                    let path = folder.join(format!("hits-{file:04}.parquet"));
                    let share = |file: u64| (u128::from(rows) * u128::from(file) / u128::from(files)) as u64;
                    if let Err(error) = write_file(plan, &path, share(file)..share(file + 1), &sender) {
                        next.store(files, Ordering::Relaxed);
                        // Nobody listens where another thread failed before.
                        let _ = sender.send(Err(error));
                    }
                }
            });
        }
        drop(sender);
        let mut written = 0;
        for rows in receiver {
            written += rows?;
            progress(written);
        }
        Ok(())
    })
}

fn prepare(folder: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            return Err(Error::Occupied { path });
        }
    }
    Ok(())
}

/// Writes the rows of one file; what it has written goes to `written`.
fn write_file(
    plan: &Plan,
    path: &Path,
    rows: Range<u64>,
    written: &Sender<Result<u64, Error>>,
) -> Result<(), Error> {
    let failed = |source| Error::Parquet { path: path.to_owned(), source };
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let file = File::create(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let schema = columns::schema();
    let mut writer = ArrowWriter::try_new_with_options(file, schema.clone(), options).map_err(failed)?;
    let mut hits = Vec::with_capacity(BATCH_ROWS);
    let mut flush = |hits: &mut Vec<hit::Hit<'_>>| {
        let count = hits.len() as u64;
        columns::batch(&schema, hits)
            .map_err(Into::into)
            .and_then(|batch| writer.write(&batch))
            .map_err(failed)?;
        hits.clear();
        // The receiver goes away only when the whole has failed.
        let _ = written.send(Ok(count));
        Ok(())
    };
    for cell in plan.cells(rows.clone()) {
        let mut first = cell.rows.start;
        for visit in plan.visits(&cell) {
            let end = first + u64::from(visit.hits);
            if first < rows.end && rows.start < end {
                hit::visit_hits(plan, &cell, visit, first, &rows, |hit| hits.push(hit));
            }
            first = end;
            if hits.len() >= BATCH_ROWS {
                flush(&mut hits)?;
            }
        }
    }
    flush(&mut hits)?;
    writer.close().map_err(failed)?;
    Ok(())
}
