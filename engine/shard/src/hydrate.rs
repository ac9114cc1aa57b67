//! Hydration: from Parquet files to pinned segments.
//!
//! Segments that lie on a shard's disk are mapped. The others are built by jobs: a job decodes each of its
//! row groups once, cuts the rows into the pieces that [`crate::placement`] planned, and writes a segment a
//! piece. Jobs run side by side within the limits of [`Options`].

use crate::decode::{self, FileColumns};
use crate::file_reader::FileReader;
use crate::footer::{self, Footer};
use crate::node::Resident;
use crate::placement::{self, Part, Piece, Target};
use crate::segment_files::{Key, KeyBuilder};
use crate::{Error, Placement, Progress, Result, Shard, Version};
use columnar::{Batch, Selection};
use exec::hash::{hash_vectors, route};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::sync::Arc;
use storage::{SegmentBuilder, TableStatistics};
use tokio::sync::Semaphore;

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
    /// runs alone.
    pub memory_bytes: u64,
    /// Datasets of at most this many rows lie on every shard.
    pub replicated_rows: u64,
    /// A file of fewer rows is not cut for the sake of several shards.
    pub split_rows: u64,
    /// The most rows a segment holds.
    pub segment_rows: usize,
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
        }
    }
}

/// Brings `version` onto `shards` (all shards, in order) and pins it there under its identity, so that
/// fragments can scan it. Segments that lie on local disk are mapped, the others built. Queries on other
/// versions are not touched; nothing is pinned if it fails.
pub async fn hydrate(
    shards: &[Arc<Shard>],
    version: &Version,
    options: &Options,
    progress: &Arc<Progress>,
) -> Result<Hydrated> {
    let first = shards.first().ok_or_else(|| Error::Internal("a hydration without shards".into()))?;
    let stores = &first.environment().stores;
    let footers = footer::load_all(stores, &version.files, progress).await?;
    progress.expect_rows(footers.iter().map(|footer| footer.rows).sum());
    let (placement, pieces) = placement::plan(&footers, &version.partition_by, shards.len(), options);

    let columns = version
        .files
        .iter()
        .zip(&footers)
        .map(|(file, footer)| FileColumns::new(&version.schema, file, footer));
    let readers = version.files.iter().map(|file| FileReader::new(stores, file, progress));
    let task = Arc::new(Task {
        shards: shards.to_vec(),
        version: version.clone(),
        columns: columns.collect::<Result<_>>()?,
        readers: readers.collect::<Result<_>>()?,
        footers,
        progress: progress.clone(),
        threads: Semaphore::new(options.threads.max(1)),
        memory: Semaphore::new((options.memory_bytes >> 20).clamp(1, MEMORY_UNITS) as usize),
        memory_units: (options.memory_bytes >> 20).clamp(1, MEMORY_UNITS) as u32,
    });

    // What is there already; `found[piece][shard]`.
    let found = {
        let (task, pieces) = (task.clone(), pieces.clone());
        blocking(move || pieces.iter().map(|piece| task.find(piece)).collect::<Result<Vec<_>>>()).await?
    };
    let mut segments: Vec<Vec<(usize, Arc<Resident>)>> = vec![Vec::new(); pieces.len()];
    let mut missing = Vec::new();
    for (index, (piece, found)) in pieces.iter().zip(found).enumerate() {
        match found {
            Some(residents) => {
                progress.add_rows(piece.rows());
                segments[index] = residents;
            }
            None => missing.push(index),
        }
    }
    let jobs = jobs(&pieces, &missing).into_iter().map(|job| {
        let job: Vec<(usize, Piece)> = job.into_iter().map(|index| (index, pieces[index].clone())).collect();
        build(task.clone(), job)
    });
    let jobs: Vec<_> = jobs.collect();
    let mut built = stream::iter(jobs).buffer_unordered(options.threads.max(1) * 2);
    while let Some(job) = built.try_next().await? {
        for (index, residents) in job {
            segments[index] = residents;
        }
    }

    // Pieces are in row order on each shard.
    let mut statistics = TableStatistics::empty(version.schema.len());
    for (index, shard) in shards.iter().enumerate() {
        let of_shard = segments.iter().flatten().filter(|(target, _)| *target == index);
        let residents: Vec<Arc<Resident>> = of_shard.map(|(_, resident)| resident.clone()).collect();
        if index == 0 || placement != Placement::Replicated {
            for resident in &residents {
                statistics = statistics.merge(&resident.statistics);
            }
        }
        shard.pin(&version.id, &version.schema, residents);
    }
    Ok(Hydrated { statistics: Arc::new(statistics), placement })
}

/// Memory is counted in MiB, and a semaphore cannot count further.
const MEMORY_UNITS: u64 = 1 << 24;

/// What all jobs of a hydration share.
struct Task {
    shards: Vec<Arc<Shard>>,
    version: Version,
    /// One a file, like the next two.
    columns: Vec<FileColumns>,
    readers: Vec<FileReader>,
    footers: Vec<Arc<Footer>>,
    progress: Arc<Progress>,
    /// A permit a thread that computes.
    threads: Semaphore,
    /// A permit a MiB.
    memory: Semaphore,
    memory_units: u32,
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

/// Groups missing pieces so that no two groups need the same row group; each in row order.
fn jobs(pieces: &[Piece], missing: &[usize]) -> Vec<Vec<usize>> {
    let mut order = missing.to_vec();
    let begin =
        |index: usize| pieces[index].parts.first().map(|part| (part.file, part.row_group, part.start));
    order.sort_by_key(|&index| begin(index));
    // The job of each row group; jobs that turn out to share one are joined.
    let mut job_of: HashMap<(usize, usize), usize> = HashMap::new();
    let mut jobs: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let groups: Vec<(usize, usize)> =
            pieces[index].parts.iter().map(|part| (part.file, part.row_group)).collect();
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
        jobs[job].push(index);
        job_of.extend(groups.into_iter().map(|group| (group, job)));
    }
    jobs.retain(|job| !job.is_empty());
    jobs
}

impl Task {
    /// Whom a piece is for.
    fn targets(&self, piece: &Piece) -> std::ops::Range<usize> {
        match piece.target {
            Target::One(shard) => shard..shard + 1,
            Target::All | Target::ByHash => 0..self.shards.len(),
        }
    }

    /// The name of a piece's segment on a shard: everything that its content depends on.
    fn key(&self, piece: &Piece, shard: usize) -> Key {
        let mut key = KeyBuilder::new();
        for column in self.version.schema.iter() {
            key.text(&column.name).text(&column.data_type.to_string()).number(column.nullable.into());
        }
        if piece.target == Target::ByHash {
            key.text("hash").number(shard as u64).number(self.shards.len() as u64);
            self.version.partition_by.iter().for_each(|&column| {
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

    /// The segments of a piece, if every shard that wants it can have it without decoding.
    fn find(&self, piece: &Piece) -> Result<Option<Vec<Placed>>> {
        let mut found = Vec::new();
        let mut lacking = Vec::new();
        for shard in self.targets(piece) {
            match self.shards[shard].find(&self.version.id, self.key(piece, shard))? {
                Some(resident) => found.push((shard, resident)),
                None => lacking.push(shard),
            }
        }
        if !lacking.is_empty() {
            let Some((_, any)) = found.first().cloned().filter(|_| piece.target == Target::All) else {
                return Ok(None);
            };
            for shard in lacking {
                let key = self.key(piece, shard);
                found.push((shard, self.shards[shard].share(&self.version.id, key, &any)?));
            }
        }
        Ok(Some(found))
    }

    /// What a job holds at its height, about: the largest row group as it is stored, and rows of the largest
    /// piece, decoded and encoded.
    fn memory_of(&self, job: &[(usize, Piece)]) -> u32 {
        let mut stored = 0;
        let mut decoded = 0.0_f64;
        for (_, piece) in job {
            let mut bytes = 0.0;
            for part in &piece.parts {
                let group = self.footers[part.file].metadata().row_group(part.row_group);
                stored = stored.max(group.compressed_size().max(0) as u64);
                bytes +=
                    group.total_byte_size().max(0) as f64 * part.rows as f64 / group.num_rows().max(1) as f64;
            }
            decoded = decoded.max(bytes);
        }
        let bytes = stored.saturating_add((decoded * 3.0) as u64);
        (bytes >> 20).clamp(1, u64::from(self.memory_units)) as u32
    }
}

/// A piece whose segments are being built.
struct Open {
    index: usize,
    piece: Piece,
    /// One a target; emptied when they are finished.
    builders: Vec<SegmentBuilder>,
    /// Rows that are still to come.
    left: u64,
}

/// Builds the segments of pieces that share row groups.
async fn build(task: Arc<Task>, job: Vec<(usize, Piece)>) -> Result<Vec<(usize, Vec<Placed>)>> {
    let closed = |_| Error::Internal("a hydration's limits are gone".into());
    let _memory = task.memory.acquire_many(task.memory_of(&job)).await.map_err(closed)?;
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for part in job.iter().flat_map(|(_, piece)| &piece.parts) {
        groups.push((part.file, part.row_group));
    }
    groups.sort_unstable();
    groups.dedup();
    let mut open: Vec<Open> = job
        .into_iter()
        .map(|(index, piece)| Open { index, left: piece.rows(), piece, builders: Vec::new() })
        .collect();
    let mut done = Vec::new();
    for (file, row_group) in groups {
        let (reader, footer) = (&task.readers[file], &task.footers[file]);
        let mut batches = decode::fetch(reader, footer, &task.columns[file], row_group).await?;
        let _thread = task.threads.acquire().await.map_err(closed)?;
        let shared = task.clone();
        (open, done) = blocking(move || {
            let task = shared;
            let source = task.readers[file].file();
            let expected = task.footers[file].row_groups().nth(row_group).unwrap_or(0);
            let mut row = 0;
            while let Some(rows) = decode::next_rows(source, &mut batches)? {
                let batch = task.columns[file].batch(source, &rows)?;
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
                let why = format!("row group {row_group} has {row} rows where {expected} were announced");
                return Err(footer::damaged(&source.url, why));
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
    /// Takes what the piece wants of a batch that starts at `start` of a row group.
    fn take(&mut self, task: &Task, batch: &Batch, file: usize, row_group: usize, start: u64) -> Result<()> {
        let end = start + batch.rows as u64;
        let here = |part: &&Part| (part.file, part.row_group) == (file, row_group);
        let parts: Vec<Part> = self.piece.parts.iter().filter(here).copied().collect();
        for part in parts {
            let (from, to) = (part.start.max(start), (part.start + part.rows).min(end));
            if from >= to {
                continue;
            }
            if self.builders.is_empty() {
                let targets = if self.piece.target == Target::ByHash { task.shards.len() } else { 1 };
                self.builders =
                    (0..targets).map(|_| SegmentBuilder::new(task.version.schema.clone())).collect();
            }
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
        for (shard, builder) in task.targets(&self.piece).zip(std::mem::take(&mut self.builders)) {
            let image = builder.finish()?;
            placed.push((shard, task.shards[shard].store(id, task.key(&self.piece, shard), &image)?));
        }
        // Where all shards want the same rows, one was built.
        for shard in task.targets(&self.piece).skip(placed.len()) {
            let Some((_, first)) = placed.first() else { break };
            let resident = task.shards[shard].share(id, task.key(&self.piece, shard), first)?;
            placed.push((shard, resident));
        }
        Ok(placed)
    }
}
