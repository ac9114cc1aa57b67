//! Writing Parquet the way Tundra's sample does: parts of about a million rows, Snappy, half a million rows a group.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::{Failure, progress};

/// Rows of a file, about.
pub(crate) const PART_ROWS: u64 = 1_000_000;
const ROW_GROUP_ROWS: usize = 524_288;
/// Work on fewer rows is done at once.
const TOLD_ROWS: u64 = 2_000_000;

/// A file of a table's folder, by its number from 1.
pub(crate) fn part(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("part-{number:05}.parquet"))
}

pub(crate) fn create(path: &Path, schema: SchemaRef) -> Result<ArrowWriter<File>, Failure> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    Ok(ArrowWriter::try_new_with_options(File::create(path)?, schema, options)?)
}

/// Does all jobs on every core, the first ones first; after a failure no further job is begun.
pub(crate) fn in_parallel<T: Send>(
    jobs: Vec<T>,
    work: impl Fn(T) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().ok().and_then(|mut jobs| jobs.next());
    let stop_all = || while next().is_some() {};
    thread::scope(|scope| {
        let worker = || {
            while let Some(job) = next() {
                work(job).inspect_err(|_| stop_all())?;
            }
            Ok::<(), Failure>(())
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a thread that writes panicked")?)
    })
}

/// Says how far a long piece of work is, at every tenth of it; a short one is not worth telling.
pub(crate) struct Progress {
    what: String,
    all: u64,
    done: AtomicU64,
}

impl Progress {
    pub(crate) fn new(what: String, all: u64) -> Progress {
        Progress { what, all: all.max(1), done: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, amount: u64) {
        let before = self.done.fetch_add(amount, Ordering::Relaxed);
        let tenth = |done: u64| (done * 10 / self.all).min(10);
        if self.all >= TOLD_ROWS && tenth(before + amount) > tenth(before) {
            progress(&format!("{}: {} %", self.what, tenth(before + amount) * 10));
        }
    }

    /// So much is done in all.
    pub(crate) fn reached(&self, done: u64) {
        self.add(done.saturating_sub(self.done.load(Ordering::Relaxed)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once() {
        let sum = AtomicU64::new(0);
        let add = |job: u64| {
            sum.fetch_add(job, Ordering::Relaxed);
            Ok(())
        };
        in_parallel((1..=100).collect(), add).unwrap();
        assert_eq!(sum.into_inner(), 5050);
    }

    #[test]
    fn a_failed_job_is_told() {
        let failing = |job: u64| if job == 3 { Err(format!("job {job}").into()) } else { Ok(()) };
        let failure = in_parallel((1..=100).collect(), failing).unwrap_err();
        assert_eq!(failure.to_string(), "job 3");
    }
}
