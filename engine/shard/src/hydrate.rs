//! Hydration: from Parquet files to pinned segments.
//!
//! Segments that are held, or lie on a shard's disk, are taken as they are. The others are built by jobs: a job
//! decodes each of its row groups once, cuts the rows into the buckets that [`crate::placement`] planned, and
//! makes a segment a bucket. Jobs run side by side within the limits of [`Options`] and the node's memory.
//!
//! A version that adds files to a pinned one starts from what is known of that: only the new files are looked
//! at, and rows that change their segment come from segments, not from files.

use crate::budget::Budget;
use crate::decode::{self, FileColumns};
use crate::file_reader::FileReader;
use crate::footer::{self, Footer};
use crate::node::Resident;
use crate::placement::{Bucket, Part, Plan, Target};
use crate::segment_files::{Key, KeyBuilder};
use crate::{Error, Placement, Progress, Result, Shard, Version};
use columnar::{Batch, PhysicalType, Selection};
use exec::hash::{hash_vectors, route};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::sync::Arc;
use storage::{RowsRef, SegmentBuilder, TableStatistics};
use tokio::sync::Semaphore;

/// A segment of more parts has a file whatever its size: a start would have to read as many data files anew.
const OWNED_PARTS: usize = 64;
/// Rows that are read from a segment at once.
const READ_ROWS: usize = 16_384;

/// What a hydration found.
#[derive(Clone, Debug)]
pub struct Hydrated {
    /// Merged over all shards.
    pub statistics: Arc<TableStatistics>,
    pub placement: Placement,
}

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
    /// A file of fewer rows is not cut for the sake of several shards.
    pub split_rows: u64,
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
            split_rows: 131_072,
            segment_rows: 1 << 20,
            owned_bytes: 256 << 10,
        }
    }
}

/// Brings `version` onto `shards` (all shards, in order) and pins it there under its identity, so that
/// fragments can scan it. Queries on other versions are not touched; nothing is pinned if it fails.
pub async fn hydrate(
    shards: &[Arc<Shard>],
    version: &Version,
    options: &Options,
    progress: &Arc<Progress>,
) -> Result<Hydrated> {
    let first = shards.first().ok_or_else(|| Error::Internal("a hydration without shards".into()))?;
    let stores = &first.environment().stores;
    let version = Arc::new(version.clone());
    let mut base = first.layout_before(&version);
    let known_files = base.as_ref().map_or(0, |base| base.version.files.len());
    let mut footers = footer::load_all(stores, &version.files[known_files..], progress).await?;
    let rows = |footers: &[Arc<Footer>]| -> Vec<Vec<u64>> {
        footers.iter().map(|footer| footer.row_groups().collect()).collect()
    };
    let extended = base
        .as_ref()
        .and_then(|base| base.plan.extended(&rows(&footers), &version.partition_by, shards.len(), options));
    let plan = match extended {
        Some(plan) => plan,
        None => {
            if base.take().is_some() {
                footers = footer::load_all(stores, &version.files, progress).await?;
            }
            Plan::new(&rows(&footers), &version.partition_by, shards.len(), options)
        }
    };
    progress.expect_rows(footers.iter().map(|footer| footer.rows).sum());
    let first_file = version.files.len() - footers.len();
    let files = &version.files[first_file..];
    let columns =
        files.iter().zip(&footers).map(|(file, footer)| FileColumns::new(&version.schema, file, footer));
    let readers = files.iter().map(|file| FileReader::new(stores, file, progress));
    let task = Arc::new(Task {
        shards: shards.to_vec(),
        version: version.clone(),
        columns: columns.collect::<Result<_>>()?,
        readers: readers.collect::<Result<_>>()?,
        footers,
        first_file,
        owned_bytes: options.owned_bytes,
        progress: progress.clone(),
        threads: Semaphore::new(options.threads.max(1)),
        budget: Budget::new(&first.environment().memory, options.memory_bytes),
    });

    let buckets: Vec<Arc<Bucket>> = plan.buckets().cloned().collect();
    let (mut segments, missing) = {
        let task = task.clone();
        let buckets = buckets.clone();
        blocking(move || task.find_all(&buckets, base.as_deref())).await?
    };
    let jobs: Vec<_> = jobs(missing).into_iter().map(|job| build(task.clone(), job)).collect();
    let mut built = stream::iter(jobs).buffer_unordered(options.threads.max(1) * 2);
    while let Some(job) = built.try_next().await? {
        for (index, placed) in job {
            segments[index] = placed;
        }
    }

    let layout = Arc::new(Layout { version: version.clone(), plan, segments });
    let mut statistics = TableStatistics::empty(version.schema.len());
    for (index, shard) in shards.iter().enumerate() {
        // Buckets are in row order on each shard.
        let of_shard = layout.segments.iter().flatten().filter(|(target, _)| *target == index);
        let residents: Vec<Arc<Resident>> = of_shard.map(|(_, resident)| resident.clone()).collect();
        if index == 0 || layout.plan.placement != Placement::Replicated {
            for resident in &residents {
                statistics = statistics.merge(&resident.statistics);
            }
        }
        shard.pin(&version.id, &version.schema, residents, (index == 0).then(|| layout.clone()));
    }
    Ok(Hydrated { statistics: Arc::new(statistics), placement: layout.plan.placement.clone() })
}

/// What a hydration made of a version; the next version starts from it.
pub(crate) struct Layout {
    version: Arc<Version>,
    plan: Plan,
    /// One a bucket of the plan, in its order.
    segments: Vec<Vec<Placed>>,
}

impl Layout {
    /// Whether `version` is this one with further files, or none, and the segments of this are whole.
    pub(crate) fn is_before(&self, version: &Version) -> bool {
        let known = &self.version;
        known.schema == version.schema
            && known.partition_by == version.partition_by
            && version.files.starts_with(&known.files[..])
            && self.segments.iter().flatten().all(|(_, resident)| resident.segment.check().is_ok())
    }

    pub(crate) fn files(&self) -> usize {
        self.version.files.len()
    }
}

/// What all jobs of a hydration share.
struct Task {
    shards: Vec<Arc<Shard>>,
    version: Arc<Version>,
    /// One a file from `first_file` on, like the next two.
    columns: Vec<FileColumns>,
    readers: Vec<FileReader>,
    footers: Vec<Arc<Footer>>,
    /// Rows of the files before are all in segments.
    first_file: usize,
    owned_bytes: usize,
    progress: Arc<Progress>,
    /// A permit a thread that computes.
    threads: Semaphore,
    budget: Budget,
}

/// A segment and the shard it is for.
type Placed = (usize, Arc<Resident>);

/// Runs `work` where it may compute or wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::Internal(format!("a hydration step failed: {error}"))),
    }
}

/// A bucket without a segment.
struct Missing {
    /// Its place in the plan.
    index: usize,
    bucket: Arc<Bucket>,
    /// Segments of its first rows.
    held: Vec<Vec<Placed>>,
    /// Where the other rows are.
    parts: Vec<Part>,
}

/// Groups missing buckets so that no two groups need the same row group; each in row order.
fn jobs(mut missing: Vec<Missing>) -> Vec<Vec<Missing>> {
    missing.sort_by_key(|missing| missing.parts.first().map(|part| (part.file, part.row_group, part.start)));
    // The job of each row group; jobs that turn out to share one are joined.
    let mut job_of: HashMap<(usize, usize), usize> = HashMap::new();
    let mut jobs: Vec<Vec<Missing>> = Vec::new();
    for bucket in missing {
        let groups: Vec<(usize, usize)> =
            bucket.parts.iter().map(|part| (part.file, part.row_group)).collect();
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
        jobs[job].push(bucket);
        job_of.extend(groups.into_iter().map(|group| (group, job)));
    }
    jobs.retain(|job| !job.is_empty());
    jobs
}

impl Task {
    /// The segments that the buckets have already, and the buckets that have none.
    fn find_all(
        &self,
        buckets: &[Arc<Bucket>],
        base: Option<&Layout>,
    ) -> Result<(Vec<Vec<Placed>>, Vec<Missing>)> {
        // A bucket begins with rows that no other bucket has.
        type Begun<'a> = HashMap<Part, (&'a Arc<Bucket>, &'a Vec<Placed>)>;
        let known = base.into_iter().flat_map(|base| base.plan.buckets().zip(&base.segments));
        let begun: Begun =
            known.filter_map(|(bucket, placed)| Some((*bucket.parts.first()?, (bucket, placed)))).collect();
        let mut segments = Vec::new();
        let mut missing = Vec::new();
        for (index, bucket) in buckets.iter().enumerate() {
            let same = bucket.parts.first().and_then(|part| begun.get(part));
            if let Some((_, placed)) = same.filter(|(known, _)| Arc::ptr_eq(known, bucket)) {
                segments.push(Vec::clone(placed));
                continue;
            }
            if let Some(found) = self.find(bucket)? {
                self.progress.add_rows(self.rows_of(&bucket.parts));
                segments.push(found);
                continue;
            }
            let (mut held, mut parts) = (Vec::new(), &bucket.parts[..]);
            while let Some((known, placed)) = parts.first().and_then(|part| begun.get(part))
                && let Some(rest) = parts.strip_prefix(&known.parts[..])
            {
                held.push(Vec::clone(placed));
                parts = rest;
            }
            if parts.iter().any(|part| part.file < self.first_file) {
                return Err(Error::Internal("rows of a known file that no segment holds".into()));
            }
            segments.push(Vec::new());
            missing.push(Missing { index, bucket: bucket.clone(), held, parts: parts.to_vec() });
        }
        Ok((segments, missing))
    }

    /// Rows of files that are new.
    fn rows_of(&self, parts: &[Part]) -> u64 {
        parts.iter().filter(|part| part.file >= self.first_file).map(|part| part.rows).sum()
    }

    /// Whom a bucket is for.
    fn targets(&self, bucket: &Bucket) -> std::ops::Range<usize> {
        match bucket.target {
            Target::One(shard) => shard..shard + 1,
            Target::All | Target::ByHash => 0..self.shards.len(),
        }
    }

    /// The name of a bucket's segment on a shard: everything that its content depends on.
    fn key(&self, bucket: &Bucket, shard: usize) -> Key {
        let mut key = KeyBuilder::new();
        for column in self.version.schema.iter() {
            key.text(&column.name).text(&column.data_type.to_string()).number(column.nullable.into());
        }
        if bucket.target == Target::ByHash {
            key.text("hash").number(shard as u64).number(self.shards.len() as u64);
            self.version.partition_by.iter().for_each(|&column| {
                key.number(column.into());
            });
        }
        for part in &bucket.parts {
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

    /// The segments of a bucket, if every shard that wants it can have it without decoding.
    fn find(&self, bucket: &Bucket) -> Result<Option<Vec<Placed>>> {
        let mut found = Vec::new();
        let mut lacking = Vec::new();
        for shard in self.targets(bucket) {
            match self.shards[shard].find(&self.version.id, self.key(bucket, shard))? {
                Some(resident) => found.push((shard, resident)),
                None => lacking.push(shard),
            }
        }
        if !lacking.is_empty() {
            let Some((_, any)) = found.first().cloned().filter(|_| bucket.target == Target::All) else {
                return Ok(None);
            };
            for shard in lacking {
                let key = self.key(bucket, shard);
                found.push((shard, self.shards[shard].share(&self.version.id, key, &any)?));
            }
        }
        Ok(Some(found))
    }

    /// What a job holds at its height, about: the largest row group as it is stored, and rows of the largest
    /// bucket, decoded and encoded.
    fn memory_of(&self, job: &[Missing]) -> u64 {
        let mut stored = 0;
        let mut decoded = 0.0_f64;
        for missing in job {
            let held = missing.held.iter().flatten().map(|(_, resident)| resident.segment.bytes());
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

/// A bucket whose segments are being built.
struct Open {
    index: usize,
    bucket: Arc<Bucket>,
    /// What comes from files.
    parts: Vec<Part>,
    /// One a target; emptied when they are finished.
    builders: Vec<SegmentBuilder>,
    /// Rows that are still to come.
    left: u64,
}

/// Builds the segments of buckets that share row groups.
async fn build(task: Arc<Task>, job: Vec<Missing>) -> Result<Vec<(usize, Vec<Placed>)>> {
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
        let (index, bucket, held) = (missing.index, missing.bucket, missing.held);
        let left = missing.parts.iter().map(|part| part.rows).sum();
        let mut one = Open { index, bucket, parts: missing.parts, builders: Vec::new(), left };
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
            let targets = if self.bucket.target == Target::ByHash { task.shards.len() } else { 1 };
            let builder = |_| SegmentBuilder::new(task.version.schema.clone());
            self.builders = (0..targets).map(builder).collect();
        }
    }

    /// Takes the rows of segments, each of which has a segment a builder.
    fn take_held(&mut self, task: &Task, held: &[Vec<Placed>]) -> Result<()> {
        self.begin(task);
        for placed in held {
            for (builder, (_, resident)) in self.builders.iter_mut().zip(placed) {
                let segment = &resident.segment;
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

    /// Takes what the bucket wants of a batch that starts at `start` of a row group.
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
                Error::Segment(error) => Error::file(&task.version.files[file].url, error),
                other => other,
            })?;
            self.left -= to - from;
            task.progress.add_rows(to - from);
        }
        Ok(())
    }

    fn push(&mut self, task: &Task, batch: Batch) -> Result<()> {
        if let [only] = &mut self.builders[..] {
            return Ok(only.push(&batch)?);
        }
        let keys: Vec<_> =
            task.version.partition_by.iter().map(|&column| batch.columns[column as usize].clone()).collect();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.builders.len()];
        for (row, hash) in hash_vectors(&keys, batch.rows).into_iter().enumerate() {
            rows[route(hash, self.builders.len())].push(row as u32);
        }
        for (builder, rows) in self.builders.iter_mut().zip(rows) {
            if !rows.is_empty() {
                builder.push(&Batch { selection: Some(Selection::new(rows)), ..batch.clone() })?;
            }
        }
        Ok(())
    }

    /// Encodes the segments and brings them to their shards.
    fn finish(&mut self, task: &Task) -> Result<Vec<Placed>> {
        let id = &task.version.id;
        let mut placed: Vec<Placed> = Vec::new();
        for (shard, builder) in task.targets(&self.bucket).zip(std::mem::take(&mut self.builders)) {
            let image = builder.finish()?;
            let owned = image.as_slice().len() <= task.owned_bytes && self.bucket.parts.len() <= OWNED_PARTS;
            let key = task.key(&self.bucket, shard);
            placed.push((shard, task.shards[shard].store(id, key, image, owned)?));
        }
        // Where all shards want the same rows, one was built.
        for shard in task.targets(&self.bucket).skip(placed.len()) {
            let Some((_, first)) = placed.first() else { break };
            let resident = task.shards[shard].share(id, task.key(&self.bucket, shard), first)?;
            placed.push((shard, resident));
        }
        Ok(placed)
    }
}
