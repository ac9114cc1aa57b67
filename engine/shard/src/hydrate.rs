//! Hydration: from Parquet files to pinned segments.
//!
//! Each shard hydrates for itself: all plan the same pieces ([`crate::placement`]) and deal the same buckets
//! ([`crate::dealing`]). Segments that are held, or lie on the shard's disk, are taken as they are. The others are
//! built by jobs: a job decodes each of its row groups once and makes the segments of its pieces. Jobs run side by side within the limits of [`Options`] and the node's memory.
//!
//! A version that adds files to a pinned one starts from what is known of that: only the new files are looked
//! at, and rows that change their segment come from segments, not from files.

use crate::budget::Budget;
use crate::decode::{self, FileColumns};
use crate::file_reader::FileReader;
use crate::footer::{self, Footer};
use crate::node::Held;
use crate::placement::{Part, Piece, Plan};
use crate::segment_files::{Key, KeyBuilder};
use crate::{Error, Placement, Progress, Result, Shard, ShardSet, Version};
use columnar::{Batch, PhysicalType, Selection};
use exec::hash::{hash_vectors, route};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::sync::Arc;
use storage::{RowsRef, SegmentBuilder};
use tokio::sync::Semaphore;

/// A segment of more parts has a file whatever its size: a start would have to read as many data files anew.
const OWNED_PARTS: usize = 64;
/// Rows that are read from a segment at once.
const READ_ROWS: usize = 16_384;

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
    /// Into how many slices rows are cut where a hash places them.
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
        hydrations.map(|(shard, progress)| prepare(shard, set, version, options, false, progress));
    for (shard, prepared) in shards.iter().zip(try_join_all(hydrations).await?) {
        shard.pin(version, prepared);
    }
    Ok(())
}

/// Brings onto one shard what of `version` it is dealt among `set`, and pins it. With `keep`, buckets of it that it
/// holds already stay, whoever they are dealt to.
pub async fn hydrate_one(
    shard: &Arc<Shard>,
    set: &ShardSet,
    version: &Version,
    options: &Options,
    keep: bool,
    progress: &Arc<Progress>,
) -> Result<()> {
    let layout = prepare(shard, set, version, options, keep, progress).await?;
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
    progress: &Arc<Progress>,
) -> Result<Arc<Layout>> {
    let stores = &shard.environment().stores;
    let version = Arc::new(version.clone());
    let position = set.position(shard.id());
    let position = position.ok_or_else(|| {
        Error::Internal(format!("shard {} hydrates for shards that it is not among", shard.id()))
    })?;
    let mut base = shard.layout_before(&version);
    let known_files = base.as_ref().map_or(0, |base| base.version.files.len());
    let mut footers = footer::load_all(stores, &version.files[known_files..], progress).await?;
    let rows = |footers: &[Arc<Footer>]| -> Vec<Vec<u64>> {
        footers.iter().map(|footer| footer.row_groups().collect()).collect()
    };
    let extended =
        base.as_ref().and_then(|base| base.plan.extended(&rows(&footers), &version.partition_by, options));
    let plan = match extended {
        Some(plan) => plan,
        None => {
            if base.take().is_some() {
                footers = footer::load_all(stores, &version.files, progress).await?;
            }
            Plan::new(&rows(&footers), &version.partition_by, options)
        }
    };
    let mut mine: Vec<bool> = match plan.placement {
        Placement::Replicated => vec![true],
        Placement::Spread | Placement::Hash(_) => {
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
    let found = {
        let wanted = Wanted::new(shard, &version, &plan, mine, version.files.len() - footers.len(), progress);
        blocking(move || wanted.find_all(base.as_deref())).await?
    };
    let Found { wanted, mut segments, missing } = found;
    let parts = missing.iter().flat_map(|missing| &missing.parts);
    if parts.clone().any(|part| part.file < wanted.first_file) {
        // Rows that other shards held.
        footers = footer::load_all(stores, &version.files, progress).await?;
    }
    let first_file = version.files.len() - footers.len();
    let files = &version.files[first_file..];
    let columns =
        files.iter().zip(&footers).map(|(file, footer)| FileColumns::new(&version.schema, file, footer));
    let readers = files.iter().map(|file| FileReader::new(stores, file, progress));
    progress.expect_rows(parts.map(|part| part.rows).sum());
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
    let jobs: Vec<_> = jobs(missing).into_iter().map(|job| build(task.clone(), job)).collect();
    let mut built = stream::iter(jobs).buffer_unordered(options.threads.max(1) * 2);
    while let Some(job) = built.try_next().await? {
        for (index, held) in job {
            segments[index] = held;
        }
    }
    Ok(Arc::new(Layout { version, plan, segments }))
}

/// Slices are dealt alike for all datasets, other buckets a dataset for itself.
fn seed_of(version: &Version, placement: &Placement) -> u64 {
    match placement {
        Placement::Hash(_) => 0,
        Placement::Spread | Placement::Replicated => version.id.dataset,
    }
}

/// What a hydration made of a version on one shard; the next version starts from it.
pub(crate) struct Layout {
    version: Arc<Version>,
    plan: Plan,
    /// One a piece of the plan, in its order.
    segments: Vec<Vec<Held>>,
}

impl Layout {
    /// Whether `version` is this one with further files, or none, and the segments of this are whole.
    pub(crate) fn is_before(&self, version: &Version) -> bool {
        let known = &self.version;
        known.schema == version.schema
            && known.partition_by == version.partition_by
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

/// What a shard is to hold of a version.
struct Wanted {
    shard: Arc<Shard>,
    version: Arc<Version>,
    placement: Placement,
    pieces: Vec<Arc<Piece>>,
    /// The shard is dealt the bucket, one a bucket.
    mine: Vec<bool>,
    /// Rows of the files before are all in segments, of this shard or of others.
    first_file: usize,
    progress: Arc<Progress>,
}

/// What there is of a [`Wanted`], and what is to be built.
struct Found {
    wanted: Wanted,
    segments: Vec<Vec<Held>>,
    missing: Vec<Missing>,
}

/// What all jobs of a hydration share.
struct Task {
    wanted: Wanted,
    /// One a file from `first_file` on, like the next two.
    columns: Vec<FileColumns>,
    readers: Vec<FileReader>,
    footers: Vec<Arc<Footer>>,
    first_file: usize,
    owned_bytes: usize,
    /// A permit a thread that computes.
    threads: Semaphore,
    budget: Budget,
}

/// Runs `work` where it may compute or wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = crate::blocking(work).await;
    done.map_err(|error| Error::Internal(format!("a hydration step failed: {error}")))?
}

/// A piece without segments.
struct Missing {
    /// Its place in the plan.
    index: usize,
    piece: Arc<Piece>,
    /// Segments of its first rows.
    held: Vec<Vec<Held>>,
    /// Where the other rows are.
    parts: Vec<Part>,
}

/// Groups missing pieces so that no two groups need the same row group; each in row order.
fn jobs(mut missing: Vec<Missing>) -> Vec<Vec<Missing>> {
    missing.sort_by_key(|missing| missing.parts.first().map(|part| (part.file, part.row_group, part.start)));
    // The job of each row group; jobs that turn out to share one are joined.
    let mut job_of: HashMap<(usize, usize), usize> = HashMap::new();
    let mut jobs: Vec<Vec<Missing>> = Vec::new();
    for piece in missing {
        let groups: Vec<(usize, usize)> =
            piece.parts.iter().map(|part| (part.file, part.row_group)).collect();
        let mut known: Vec<usize> = groups.iter().filter_map(|group| job_of.get(group).copied()).collect();
        known.sort_unstable();
        known.dedup();
        let job = known.first().copied().unwrap_or_else(|| {
            jobs.push(Vec::new());
            jobs.len() - 1
        });
        for other in known.into_iter().skip(1) {
            let moved = std::mem::take(&mut jobs[other]);
            jobs[job].extend(moved);
            job_of.values_mut().filter(|of| **of == other).for_each(|of| *of = job);
        }
        jobs[job].push(piece);
        job_of.extend(groups.into_iter().map(|group| (group, job)));
    }
    jobs.retain(|job| !job.is_empty());
    jobs
}

impl Wanted {
    fn new(
        shard: &Arc<Shard>,
        version: &Arc<Version>,
        plan: &Plan,
        mine: Vec<bool>,
        first_file: usize,
        progress: &Arc<Progress>,
    ) -> Wanted {
        Wanted {
            shard: shard.clone(),
            version: version.clone(),
            placement: plan.placement.clone(),
            pieces: plan.pieces().to_vec(),
            mine,
            first_file,
            progress: progress.clone(),
        }
    }

    /// The segments that there are already, and the pieces that have none.
    fn find_all(self, base: Option<&Layout>) -> Result<Found> {
        // A piece begins with rows that no other piece has.
        type Begun<'a> = HashMap<Part, (&'a Arc<Piece>, &'a Vec<Held>)>;
        let known = base.into_iter().flat_map(|base| base.plan.pieces().iter().zip(&base.segments));
        let begun: Begun =
            known.filter_map(|(piece, held)| Some((*piece.parts.first()?, (piece, held)))).collect();
        let mut segments = Vec::new();
        let mut missing = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let buckets = self.buckets_of(index);
            if buckets.is_empty() {
                segments.push(Vec::new());
                continue;
            }
            // What was held of the same or fewer rows, as far as it is of all buckets that are wanted now.
            let held_of = |part: Option<&Part>| {
                let (known, held) = part.and_then(|part| begun.get(part))?;
                let moved = |(held, bucket): (&Held, &u32)| match self.placement {
                    Placement::Hash(_) if held.bucket != *bucket => None,
                    _ => Some(Held { bucket: *bucket, resident: held.resident.clone() }),
                };
                let all: Option<Vec<Held>> = held.iter().zip(&buckets).map(moved).collect();
                all.filter(|all| all.len() == buckets.len()).map(|all| (*known, all))
            };
            if let Some((known, held)) = held_of(piece.parts.first())
                && Arc::ptr_eq(known, piece)
            {
                segments.push(held);
                continue;
            }
            if let Some(found) = self.find(piece, &buckets)? {
                let rows = self.new_rows(&piece.parts);
                self.progress.expect_rows(rows);
                self.progress.add_rows(rows);
                segments.push(found);
                continue;
            }
            let (mut held, mut parts) = (Vec::new(), &piece.parts[..]);
            while let Some((known, segments)) = held_of(parts.first())
                && let Some(rest) = parts.strip_prefix(&known.parts[..])
            {
                held.push(segments);
                parts = rest;
            }
            segments.push(Vec::new());
            missing.push(Missing { index, piece: piece.clone(), held, parts: parts.to_vec() });
        }
        Ok(Found { wanted: self, segments, missing })
    }

    /// Rows of files that are new.
    fn new_rows(&self, parts: &[Part]) -> u64 {
        parts.iter().filter(|part| part.file >= self.first_file).map(|part| part.rows).sum()
    }

    /// The buckets of which this shard wants a segment of a piece, ascending.
    fn buckets_of(&self, index: usize) -> Vec<u32> {
        let all = 0..self.mine.len() as u32;
        match &self.placement {
            Placement::Spread => {
                all.skip(index).take(1).filter(|&bucket| self.mine[bucket as usize]).collect()
            }
            Placement::Hash(_) | Placement::Replicated => {
                all.filter(|&bucket| self.mine[bucket as usize]).collect()
            }
        }
    }

    /// The name of a piece's segment: everything that its content depends on.
    fn key(&self, piece: &Piece, bucket: u32) -> Key {
        let mut key = KeyBuilder::new();
        for column in self.version.schema.iter() {
            key.text(&column.name).text(&column.data_type.to_string()).number(column.nullable.into());
        }
        if let Placement::Hash(columns) = &self.placement {
            key.text("hash").number(bucket.into()).number(self.mine.len() as u64);
            columns.iter().for_each(|&column| {
                key.number(column.into());
            });
        }
        for part in &piece.parts {
            let file = &self.version.files[part.file];
            key.text(&file.url).number(file.size_bytes).text(&file.etag);
            if file.etag.is_empty() {
                key.number(file.modified_at_us as u64);
            }
            for value in &file.folder_values {
                key.text(&value.column).number(value.text.is_some().into());
                key.text(value.text.as_deref().unwrap_or_default());
            }
            key.number(part.row_group as u64).number(part.start).number(part.rows);
        }
        key.finish()
    }

    /// The segments of a piece, if all are at hand without decoding.
    fn find(&self, piece: &Piece, buckets: &[u32]) -> Result<Option<Vec<Held>>> {
        let mut found = Vec::new();
        for &bucket in buckets {
            match self.shard.find(&self.version.id, self.key(piece, bucket))? {
                Some(resident) => found.push(Held { bucket, resident }),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }
}

impl Task {
    /// What a job holds at its height, about: the largest row group as it is stored, and rows of the largest
    /// bucket, decoded and encoded.
    fn memory_of(&self, job: &[Missing]) -> u64 {
        let mut stored = 0;
        let mut decoded = 0.0_f64;
        for missing in job {
            let held = missing.held.iter().flatten().map(|held| held.resident.segment.bytes());
            let mut bytes = held.sum::<u64>() as f64;
            for part in &missing.parts {
                let group = self.footers[part.file - self.first_file].metadata().row_group(part.row_group);
                stored = stored.max(group.compressed_size().max(0) as u64);
                bytes +=
                    group.total_byte_size().max(0) as f64 * part.rows as f64 / group.num_rows().max(1) as f64;
            }
            decoded = decoded.max(bytes);
        }
        stored.saturating_add((decoded * 2.0) as u64)
    }
}

/// A piece whose segments are being built.
struct Open {
    index: usize,
    piece: Arc<Piece>,
    /// Those that a segment is built of.
    buckets: Vec<u32>,
    /// What comes from files.
    parts: Vec<Part>,
    /// One a bucket; emptied when they are finished.
    builders: Vec<SegmentBuilder>,
    /// Rows that are still to come.
    left: u64,
}

/// Builds the segments of pieces that share row groups.
async fn build(task: Arc<Task>, job: Vec<Missing>) -> Result<Vec<(usize, Vec<Held>)>> {
    let closed = |_| Error::Internal("a hydration's limits are gone".into());
    let _memory = task.budget.reserve(task.memory_of(&job)).await?;
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for part in job.iter().flat_map(|missing| &missing.parts) {
        groups.push((part.file, part.row_group));
    }
    groups.sort_unstable();
    groups.dedup();
    let mut open = Vec::new();
    let mut done = Vec::new();
    for missing in job {
        let (index, piece, held) = (missing.index, missing.piece, missing.held);
        let buckets = task.wanted.buckets_of(index);
        let left = missing.parts.iter().map(|part| part.rows).sum();
        let mut one = Open { index, piece, buckets, parts: missing.parts, builders: Vec::new(), left };
        if !held.is_empty() {
            let _thread = task.threads.acquire().await.map_err(closed)?;
            let task = task.clone();
            one = blocking(move || one.take_held(&task, &held).map(|()| one)).await?;
        }
        match one.left {
            0 => done.push((one.index, one.finish(&task)?)),
            _ => open.push(one),
        }
    }
    for (file, row_group) in groups {
        let at = file - task.first_file;
        let (reader, footer) = (&task.readers[at], &task.footers[at]);
        let mut batches = decode::fetch(reader, footer, &task.columns[at], row_group).await?;
        let _thread = task.threads.acquire().await.map_err(closed)?;
        let shared = task.clone();
        (open, done) = blocking(move || {
            let task = shared;
            let source = task.readers[at].file();
            let expected = task.footers[at].row_groups().nth(row_group).unwrap_or(0);
            let mut row = 0;
            while let Some(rows) = decode::next_rows(source, row_group, &mut batches)? {
                let batch = task.columns[at].batch(source, &rows)?;
                let end = row + batch.rows as u64;
                for one in &mut open {
                    one.take(&task, &batch, file, row_group, row)?;
                    if one.left == 0 {
                        done.push((one.index, one.finish(&task)?));
                    }
                }
                open.retain(|one| one.left > 0);
                row = end;
            }
            if row != expected {
                let why = format!("it has {row} rows where {expected} were announced");
                return Err(footer::damaged(&source.url, &decode::part_of(row_group), why));
            }
            Ok((open, done))
        })
        .await?;
    }
    if !open.is_empty() {
        return Err(Error::Internal("a segment did not get all of its rows".into()));
    }
    Ok(done)
}

impl Open {
    fn begin(&mut self, task: &Task) {
        if self.builders.is_empty() {
            let builder = |_: &u32| SegmentBuilder::new(task.wanted.version.schema.clone());
            self.builders = self.buckets.iter().map(builder).collect();
        }
    }

    /// Takes the rows of segments, each of which has a segment a builder.
    fn take_held(&mut self, task: &Task, held: &[Vec<Held>]) -> Result<()> {
        self.begin(task);
        for segments in held {
            for (builder, held) in self.builders.iter_mut().zip(segments) {
                let segment = &held.resident.segment;
                let columns = segment.schema().iter().enumerate();
                let columns: Vec<(u32, PhysicalType)> =
                    columns.map(|(index, column)| (index as u32, column.data_type.physical())).collect();
                for block in 0..segment.block_count() {
                    let rows = segment.block_rows(block);
                    for start in (0..rows).step_by(READ_ROWS) {
                        let len = READ_ROWS.min(rows - start);
                        let columns = segment.read(block as u32, RowsRef::Range(start, len), &columns)?;
                        builder.push(&Batch::of_rows(columns, len))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what the piece wants of a batch that starts at `start` of a row group.
    fn take(&mut self, task: &Task, batch: &Batch, file: usize, row_group: usize, start: u64) -> Result<()> {
        let end = start + batch.rows as u64;
        let here = |part: &&Part| (part.file, part.row_group) == (file, row_group);
        let parts: Vec<Part> = self.parts.iter().filter(here).copied().collect();
        for part in parts {
            let (from, to) = (part.start.max(start), (part.start + part.rows).min(end));
            if from >= to {
                continue;
            }
            self.begin(task);
            let whole = (from, to) == (start, end);
            let cut = if whole {
                batch.clone()
            } else {
                batch.slice((from - start) as usize, (to - from) as usize)
            };
            self.push(task, cut).map_err(|error| match error {
                Error::Segment(error) => Error::file(&task.wanted.version.files[file].url, error),
                other => other,
            })?;
            self.left -= to - from;
            task.wanted.progress.add_rows(to - from);
        }
        Ok(())
    }

    fn push(&mut self, task: &Task, batch: Batch) -> Result<()> {
        let Placement::Hash(columns) = &task.wanted.placement else {
            return self.builders.iter_mut().try_for_each(|builder| Ok(builder.push(&batch)?));
        };
        let slices = task.wanted.mine.len();
        if let [only] = &mut self.builders[..]
            && slices == 1
        {
            return Ok(only.push(&batch)?);
        }
        let keys: Vec<_> = columns.iter().map(|&column| batch.columns[column as usize].clone()).collect();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); slices];
        for (row, hash) in hash_vectors(&keys, batch.rows).into_iter().enumerate() {
            rows[route(hash, slices)].push(row as u32);
        }
        for (builder, &slice) in self.builders.iter_mut().zip(&self.buckets) {
            let rows = std::mem::take(&mut rows[slice as usize]);
            if !rows.is_empty() {
                builder.push(&Batch { selection: Some(Selection::new(rows)), ..batch.clone() })?;
            }
        }
        Ok(())
    }

    /// Encodes the segments and brings them to the shard.
    fn finish(&mut self, task: &Task) -> Result<Vec<Held>> {
        let Wanted { shard, version, .. } = &task.wanted;
        let builders = std::mem::take(&mut self.builders);
        let segments = self.buckets.iter().zip(builders).map(|(&bucket, builder)| {
            let image = builder.finish()?;
            let owned = image.as_slice().len() <= task.owned_bytes && self.piece.parts.len() <= OWNED_PARTS;
            let key = task.wanted.key(&self.piece, bucket);
            Ok(Held { bucket, resident: shard.store(&version.id, key, image, owned)? })
        });
        segments.collect()
    }
}
