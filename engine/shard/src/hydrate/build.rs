//! Jobs that build segments: a job decodes each of its row groups once, in the order of the rows, and finishes a
//! segment with the last of the row groups that it has rows in.

use super::blocking;
use super::wanted::{Missing, Wanted};
use crate::budget::Budget;
use crate::decode::{self, FileColumns};
use crate::file_reader::FileReader;
use crate::footer::{self, Footer};
use crate::node::Held;
use crate::placement::Part;
use crate::{Error, Result};
use columnar::{Batch, PhysicalType, Selection};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use storage::{RowsRef, SegmentBuilder};
use tokio::sync::Semaphore;

/// A segment of more parts has a file whatever its size: a start would have to read as many data files anew.
const OWNED_PARTS: usize = 64;
/// Rows that are read from a segment at once.
const READ_ROWS: usize = 16_384;
/// Ranges go into a job of their own where at most one in so many of their rows has to be decoded by another, too.
const SHARED_ROWS: u64 = 4;

/// What all jobs of a hydration share.
pub(super) struct Task {
    pub(super) wanted: Wanted,
    /// One a file from `first_file` on, like the next two.
    pub(super) columns: Vec<FileColumns>,
    pub(super) readers: Vec<FileReader>,
    pub(super) footers: Vec<Arc<Footer>>,
    pub(super) first_file: usize,
    pub(super) owned_bytes: usize,
    /// A permit a thread that computes.
    pub(super) threads: Semaphore,
    pub(super) budget: Budget,
}

/// Segments that are built together.
pub(super) type Job = Vec<Missing>;

/// Groups what is missing so that no two jobs need the same row group, except at the ends of ranges; jobs of those have
/// at least `rows` rows to decode.
pub(super) fn jobs(mut missing: Vec<Missing>, wanted: &Wanted, rows: u64) -> Vec<Job> {
    missing.sort_by_key(|missing| missing.parts.first().map(|part| (part.file, part.row_group, part.start)));
    if wanted.by_ranges() { jobs_of_ranges(missing, rows) } else { jobs_apart(missing) }
}

fn jobs_apart(missing: Vec<Missing>) -> Vec<Job> {
    // The job of each row group; jobs that turn out to share one are joined.
    let mut job_of: HashMap<(usize, usize), usize> = HashMap::new();
    let mut jobs: Vec<Job> = Vec::new();
    for piece in missing {
        let groups: Vec<(usize, usize)> = piece.parts.iter().map(group_of).collect();
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

fn jobs_of_ranges(missing: Vec<Missing>, rows: u64) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let (mut groups, mut held) = (HashSet::new(), 0);
    for range in missing {
        let (mut own, mut shared) = (0, 0);
        for part in &range.parts {
            let rows = if groups.contains(&group_of(part)) { &mut shared } else { &mut own };
            *rows += part.rows;
        }
        if jobs.is_empty() || held >= rows && shared * SHARED_ROWS <= own + shared {
            jobs.push(Vec::new());
            groups.clear();
            (held, own) = (0, own + shared);
        }
        held += own;
        groups.extend(range.parts.iter().map(group_of));
        if let Some(job) = jobs.last_mut() {
            job.push(range);
        }
    }
    jobs
}

fn group_of(part: &Part) -> (usize, usize) {
    (part.file, part.row_group)
}

/// The rows that a job decodes, by row groups in their order.
fn decoded(job: &Job) -> BTreeMap<(usize, usize), Vec<Part>> {
    let mut groups: BTreeMap<(usize, usize), Vec<Part>> = BTreeMap::new();
    for part in job.iter().flat_map(|missing| &missing.parts) {
        let parts = groups.entry(group_of(part)).or_default();
        if !parts.contains(part) {
            parts.push(*part);
        }
    }
    groups
}

/// How many rows a job decodes.
pub(super) fn rows_of(job: &Job) -> u64 {
    decoded(job).values().flatten().map(|part| part.rows).sum()
}

impl Task {
    /// What a job holds at its height, about: the largest row group as it is stored, and the rows of the segments that
    /// are open at once, decoded and encoded.
    fn memory_of(&self, job: &Job) -> u64 {
        let mut stored = 0;
        // What is added to what is open before each part, and taken off after it.
        let mut changes: BTreeMap<(usize, usize, u64), (f64, f64)> = BTreeMap::new();
        let place = |part: &Part| (part.file, part.row_group, part.start);
        let mut most = 0.0_f64;
        for missing in job {
            let held = missing.held.iter().flatten().flatten().map(|held| held.resident.segment.bytes());
            let mut bytes = held.sum::<u64>() as f64;
            for part in &missing.parts {
                let group = self.footers[part.file - self.first_file].metadata().row_group(part.row_group);
                stored = stored.max(group.compressed_size().max(0) as u64);
                let share = part.rows as f64 / group.num_rows().max(1) as f64;
                let share = share * self.wanted.share_of(part, &missing.buckets);
                bytes += group.total_byte_size().max(0) as f64 * share;
            }
            most = most.max(bytes);
            if let (Some(first), Some(last)) = (missing.parts.first(), missing.parts.last()) {
                changes.entry(place(first)).or_default().0 += bytes;
                changes.entry(place(last)).or_default().1 += bytes;
            }
        }
        let mut open = 0.0;
        for (begun, ended) in changes.into_values() {
            open += begun;
            most = most.max(open);
            open -= ended;
        }
        stored.saturating_add((most * 2.0) as u64)
    }
}

/// Segments that are being built.
struct Open {
    missing: Missing,
    /// One a bucket; emptied when they are finished.
    builders: Vec<SegmentBuilder>,
    /// Rows that are still to be looked at.
    left: u64,
}

/// Builds segments from what row groups they share.
pub(super) async fn build(task: Arc<Task>, job: Job) -> Result<Vec<(usize, Vec<Held>)>> {
    let closed = |_| Error::Internal("a hydration's limits are gone".into());
    let _memory = task.budget.reserve(task.memory_of(&job)).await?;
    let groups = decoded(&job);
    let mut open = Vec::new();
    let mut done = Vec::new();
    for missing in job {
        let left = missing.parts.iter().map(|part| part.rows).sum();
        let mut one = Open { missing, builders: Vec::new(), left };
        if !one.missing.held.is_empty() {
            let _thread = task.threads.acquire().await.map_err(closed)?;
            let task = task.clone();
            one = blocking(move || one.take_held(&task).map(|()| one)).await?;
        }
        match one.left {
            0 => done.push((one.missing.index, one.finish(&task)?)),
            _ => open.push(one),
        }
    }
    for ((file, row_group), parts) in groups {
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
                let slices = task.wanted.slices_of(&batch, &parts[0])?;
                for one in &mut open {
                    one.take(&task, &batch, slices.as_deref(), (file, row_group), row)?;
                    if one.left == 0 {
                        done.push((one.missing.index, one.finish(&task)?));
                    }
                }
                open.retain(|one| one.left > 0);
                let seen =
                    |part: &Part| (part.start + part.rows).min(end).saturating_sub(part.start.max(row));
                task.wanted.progress.add_rows(parts.iter().map(seen).sum());
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
            self.builders = self.missing.buckets.iter().map(builder).collect();
        }
    }

    /// Takes the rows of the segments that are held.
    fn take_held(&mut self, task: &Task) -> Result<()> {
        self.begin(task);
        for segments in &self.missing.held {
            for (builder, held) in self.builders.iter_mut().zip(segments) {
                let Some(held) = held else { continue };
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

    /// Takes what it wants of a batch that starts at `start` of a row group; `slices` are the batch's rows by slices.
    fn take(
        &mut self,
        task: &Task,
        batch: &Batch,
        slices: Option<&[Vec<u32>]>,
        group: (usize, usize),
        start: u64,
    ) -> Result<()> {
        let end = start + batch.rows as u64;
        let here = |part: &&Part| group_of(part) == group;
        let parts: Vec<Part> = self.missing.parts.iter().filter(here).copied().collect();
        for part in parts {
            let (from, to) = (part.start.max(start), (part.start + part.rows).min(end));
            if from >= to {
                continue;
            }
            self.begin(task);
            let (first, last) = ((from - start) as usize, (to - start) as usize);
            self.push(batch, slices, first, last).map_err(|error| match error {
                Error::Segment(error) => Error::file(&task.wanted.version.files[group.0].url, error),
                other => other,
            })?;
            self.left -= to - from;
        }
        Ok(())
    }

    /// Takes the rows from `first` to before `last`.
    fn push(&mut self, batch: &Batch, slices: Option<&[Vec<u32>]>, first: usize, last: usize) -> Result<()> {
        for (builder, &bucket) in self.builders.iter_mut().zip(&self.missing.buckets) {
            let Some(slices) = slices else {
                let whole = (first, last) == (0, batch.rows);
                builder.push(&if whole { batch.clone() } else { batch.slice(first, last - first) })?;
                continue;
            };
            let rows = &slices[bucket as usize];
            let before = |end: usize| rows.partition_point(|&row| (row as usize) < end);
            let rows = &rows[before(first)..before(last)];
            if rows.len() == batch.rows {
                builder.push(batch)?;
            } else if !rows.is_empty() {
                let selection = Some(Selection::new(rows.to_vec()));
                builder.push(&Batch { selection, ..batch.clone() })?;
            }
        }
        Ok(())
    }

    /// Encodes the segments and brings them to the shard.
    fn finish(&mut self, task: &Task) -> Result<Vec<Held>> {
        self.begin(task);
        let Wanted { shard, version, .. } = &task.wanted;
        let Missing { buckets, whole, .. } = &self.missing;
        let builders = std::mem::take(&mut self.builders);
        let segments = buckets.iter().zip(builders).map(|(&bucket, builder)| {
            let image = builder.finish()?;
            let owned = image.as_slice().len() <= task.owned_bytes && whole.len() <= OWNED_PARTS;
            let key = task.wanted.key(whole, bucket);
            Ok(Held { bucket, resident: shard.store(&version.id, key, image, owned)? })
        });
        segments.collect()
    }
}
