//! Hydration: from Parquet files to pinned segments.
//!
//! Each shard hydrates for itself: all plan the same pieces ([`crate::placement`]) and deal the same buckets
//! ([`crate::dealing`]). Segments that are held, or lie on the shard's disk, are taken as they are ([`wanted`]). The
//! others are built by jobs ([`build`]), which run side by side within the limits of [`Options`] and the node's memory.
//!
//! A version that adds files to a pinned one starts from what is known of that: only the new files are looked
//! at, and rows that change their segment come from segments, not from files.

mod build;
mod dress;
mod take;
mod wanted;

use crate::budget::Budget;
use crate::decode::FileColumns;
use crate::deletes::{self, DeletedRows};
use crate::extremes;
use crate::file_reader::FileReader;
use crate::footer::{self, Footer};
use crate::node::Held;
use crate::others::Others;
use crate::placement::{Plan, RowGroup};
use crate::{Error, Placement, Progress, Result, Shard, ShardSet, Version};
use build::{Task, build, jobs, rows_of};
pub use dress::ROW_BITS;
use exec::memory::Reservation;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use tokio::sync::Semaphore;
use wanted::{Found, Wanted};

/// How a hydration goes about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that decode and encode.
    pub threads: usize,
    /// What fetched row groups and unfinished segments may hold together, about. A single job that needs more
    /// runs alone. It is reserved from the node's memory as well.
    pub memory_bytes: u64,
    /// Datasets of at most this many rows lie on every shard.
    pub replicated_rows: u64,
    /// Into how many buckets a larger dataset is cut at least, as far as each has `bucket_rows`.
    pub buckets: usize,
    pub bucket_rows: u64,
    /// Into how many slices rows are cut where their keys place them.
    pub slices: usize,
    /// The most rows a segment holds.
    pub segment_rows: usize,
    /// Segments of at most so many bytes are held in memory and have no file: what a small `INSERT` makes is
    /// soon merged, and made anew from its Parquet file more cheaply than it is brought to disk.
    pub owned_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        Options {
            threads,
            memory_bytes: 1 << 30,
            replicated_rows: 200_000,
            buckets: 1,
            bucket_rows: 131_072,
            slices: 1,
            segment_rows: 1 << 20,
            owned_bytes: 256 << 10,
        }
    }
}

/// Brings `version` onto all `shards`, which are those of `set` in its order, and pins it there under its identity,
/// so that fragments can scan it. Queries on other versions are not touched; nothing is pinned if it fails.
/// `progress` is one a shard.
pub async fn hydrate(
    shards: &[Arc<Shard>],
    set: &ShardSet,
    version: &Version,
    options: &Options,
    progress: &[Arc<Progress>],
) -> Result<()> {
    let hydrations = shards.iter().zip(progress);
    let hydrations =
        hydrations.map(|(shard, progress)| prepare(shard, set, version, options, false, None, progress));
    for (shard, prepared) in shards.iter().zip(try_join_all(hydrations).await?) {
        shard.pin(version, prepared);
    }
    Ok(())
}

/// Brings onto one shard what of `version` it is dealt among `set`, and pins it. With `keep`, buckets of it that it
/// holds already stay, whoever they are dealt to. Segments that `others` have are taken from them.
pub async fn hydrate_one(
    shard: &Arc<Shard>,
    set: &ShardSet,
    version: &Version,
    options: &Options,
    keep: bool,
    others: Option<&Others>,
    progress: &Arc<Progress>,
) -> Result<()> {
    let layout = prepare(shard, set, version, options, keep, others, progress).await?;
    shard.pin(version, layout);
    Ok(())
}

/// Makes the segments that the shard is to hold.
async fn prepare(
    shard: &Arc<Shard>,
    set: &ShardSet,
    version: &Version,
    options: &Options,
    keep: bool,
    others: Option<&Others>,
    progress: &Arc<Progress>,
) -> Result<Arc<Layout>> {
    let stores = &shard.environment().stores.of(&version.id.tenant);
    let version = Arc::new(version.clone());
    let position = set.position(shard.id());
    let position = position.ok_or_else(|| {
        Error::Internal(format!("shard {} hydrates for shards that it is not among", shard.id()))
    })?;
    let mut base = shard.layout_before(&version);
    let known_files = base.as_ref().map_or(0, |base| base.version.files.len());
    let deleted = {
        let known = base.as_ref().map_or(&[][..], |base| &base.deleted[..]);
        deletes::load_all(stores, &version, known, progress).await?
    };
    let mut footers = footer::load_all(stores, &version.files[known_files..], progress).await?;
    let groups = |footers: &[Arc<Footer>]| row_groups(&version, footers);
    let extended = match &base {
        Some(base) => base.plan.extended(&groups(&footers)?, &version.placement, options),
        None => None,
    };
    let plan = match extended {
        Some(plan) => plan,
        None => {
            if base.take().is_some() {
                footers = footer::load_all(stores, &version.files, progress).await?;
            }
            Plan::new(&groups(&footers)?, &version.placement, options)
        }
    };
    let mut mine: Vec<bool> = match plan.placement {
        Placement::Replicated => vec![true],
        Placement::Spread | Placement::Hash(_) | Placement::Ranges { .. } => {
            let holders = set.deal(seed_of(&version, &plan.placement), &plan.buckets());
            holders.iter().map(|of| of.contains(&position)).collect()
        }
    };
    if keep
        && let Some(holding) = shard.holding(&version.id)
        && (&holding.placement, holding.buckets) == (&plan.placement, mine.len())
    {
        holding.held.iter().for_each(|&(bucket, _)| mine[bucket as usize] = true);
    }
    let before = base.clone();
    let found = {
        let wanted = Wanted::new(shard, &version, &plan, mine, version.files.len() - footers.len(), progress);
        blocking(move || wanted.find_all(base.as_deref())).await?
    };
    let Found { wanted, mut segments, mut missing } = found;
    if let Some(others) = others.filter(|_| !missing.is_empty()) {
        missing = take::take(others, &wanted, missing, &mut segments).await;
    }
    if missing.iter().flat_map(|missing| &missing.parts).any(|part| part.file < wanted.first_file) {
        // Rows that other shards held.
        footers = footer::load_all(stores, &version.files, progress).await?;
    }
    let first_file = version.files.len() - footers.len();
    let files = &version.files[first_file..];
    let columns =
        files.iter().zip(&footers).map(|(file, footer)| FileColumns::new(&version.schema, file, footer));
    let readers = files.iter().map(|file| FileReader::new(stores, file, progress));
    let task = Arc::new(Task {
        columns: columns.collect::<Result<_>>()?,
        readers: readers.collect::<Result<_>>()?,
        footers,
        first_file,
        owned_bytes: options.owned_bytes,
        threads: Semaphore::new(options.threads.max(1)),
        budget: Budget::new(&shard.environment().memory, options.memory_bytes),
        wanted,
    });
    let jobs = jobs(missing, &task.wanted, options.segment_rows as u64);
    progress.expect_rows(jobs.iter().map(rows_of).sum());
    let jobs: Vec<_> = jobs.into_iter().map(|job| build(task.clone(), job)).collect();
    let mut built = stream::iter(jobs).buffer_unordered(options.threads.max(1) * 2);
    while let Some(job) = built.try_next().await? {
        for (index, held) in job {
            segments[index].extend(held);
        }
    }
    for of_piece in &mut segments {
        of_piece.sort_by_key(|held| task.wanted.place_of(held.bucket));
    }
    let mut memory = shard.environment().memory.reservation("deleted rows");
    memory.grow(bytes_of(&deleted))?;
    let mut layout = Layout { version, plan, segments, deleted: Arc::default(), memory };
    blocking(move || {
        layout.dress(deleted, before.as_deref())?;
        Ok(Arc::new(layout))
    })
    .await
}

/// What the sets take, and about what the masks do that are made of them.
fn bytes_of(deleted: &DeletedRows) -> u64 {
    let sets = deleted.iter().flatten();
    sets.map(|deleted| deleted.rows.bytes() as u64 + deleted.rows.last().map_or(0, |last| last / 8)).sum()
}

/// Slices are dealt alike for all datasets, other buckets a dataset for itself.
fn seed_of(version: &Version, placement: &Placement) -> u64 {
    if placement.slicing().is_some() { 0 } else { version.id.dataset }
}

/// The row groups of a version's last files, those with these footers.
fn row_groups(version: &Version, footers: &[Arc<Footer>]) -> Result<Vec<Vec<RowGroup>>> {
    let files = &version.files[version.files.len() - footers.len()..];
    let of_file = |(file, footer): (_, &Arc<Footer>)| {
        let keys = match version.placement {
            Placement::Ranges { column, .. } => {
                extremes::of_row_groups(file, footer, &version.schema[column as usize])?
            }
            _ => Vec::new(),
        };
        let keys = keys.into_iter().chain(std::iter::repeat(None));
        Ok(footer.row_groups().zip(keys).map(|(rows, keys)| RowGroup { rows, keys }).collect())
    };
    files.iter().zip(footers).map(of_file).collect()
}

/// What a hydration made of a version on one shard; the next version starts from it.
pub(crate) struct Layout {
    version: Arc<Version>,
    plan: Plan,
    /// One a piece of the plan, in its order.
    segments: Vec<Vec<Held>>,
    /// One a file of the version; empty where nothing is deleted.
    deleted: DeletedRows,
    /// For the sets of deleted rows and the masks made of them.
    pub(crate) memory: Reservation,
}

impl Layout {
    /// Whether `version` is this one with further files, or none, and the segments of this are whole.
    pub(crate) fn is_before(&self, version: &Version) -> bool {
        let known = &self.version;
        known.schema == version.schema
            && known.placement == version.placement
            && version.files.starts_with(&known.files[..])
            && self.segments.iter().flatten().all(|held| held.resident.segment.check().is_ok())
    }

    pub(crate) fn files(&self) -> usize {
        self.version.files.len()
    }

    pub(crate) fn placement(&self) -> &Placement {
        &self.plan.placement
    }

    /// How many buckets there are, on all shards.
    pub(crate) fn buckets(&self) -> usize {
        self.plan.buckets().len()
    }

    pub(crate) fn columns(&self) -> usize {
        self.version.schema.len()
    }

    /// In the order of the rows.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.segments.iter().flatten()
    }
}

/// Runs `work` where it may compute or wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = crate::blocking(work).await;
    done.map_err(|error| Error::Internal(format!("a hydration step failed: {error}")))?
}
