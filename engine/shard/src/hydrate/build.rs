//! Jobs that build segments: a job decodes each of its row groups once, in the order of the rows, and finishes a
//! segment with the last of the row groups that it has rows in.

use super::blocking;
use super::wanted::{Missing, Wanted};
use crate::budget::Budget;
use crate::decode::{self, FileColumns};
use crate::file_reader::FileReader;
use crate::footer::{self, Footer};
use crate::node::Held;
use crate::pages::{Page, Pages};
use crate::placement::Part;
use crate::{Error, Result};
use columnar::{Batch, PhysicalType, Selection};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use storage::{RowsRef, SegmentBuilder};
use tokio::sync::Semaphore;

/// A segment of more parts has a file whatever its size: a start would have to read as many data files anew.
const OWNED_PARTS: usize = 64;
/// Rows that are read from a segment at once.
const READ_ROWS: usize = 16_384;
/// Ranges go into a job of their own where at most one in so many of their rows has to be decoded by another, too.
const SHARED_ROWS: u64 = 4;
/// A row group of which a larger share is wanted is read whole.
const READ_WHOLE: f64 = 0.9;

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

/// A row group that is decoded.
struct Group {
    /// Of it, apart from each other.
    parts: Vec<Part>,
    rows: u64,
    /// The pages that are read; `None`: all of it.
    pages: Option<Pages>,
}

impl Group {
    /// A row group with the pages that may have rows of what is `open`.
    async fn choose(task: &Task, open: &[Open], parts: Vec<Part>) -> Result<Group> {
        let first = parts[0];
        let at = first.file - task.first_file;
        let (reader, footer) = (&task.readers[at], &task.footers[at]);
        let rows = footer.row_groups().nth(first.row_group).unwrap_or(0);
        let mut group = Group { parts, rows, pages: None };
        let Some(column) = task.wanted.ranged() else { return Ok(group) };
        let takers = open.iter().filter(|one| one.rows_in(group.id(), &(0..rows)) > 0);
        let mut buckets: Vec<u32> = takers.flat_map(|one| one.missing.buckets.iter().copied()).collect();
        buckets.sort_unstable();
        buckets.dedup();
        if task.wanted.share_of(&first, &buckets) <= READ_WHOLE && !task.columns[at].repeats(footer) {
            group.pages = Pages::of(reader, footer, first.row_group, column).await?;
        }
        if let Some(Pages { pages, .. }) = &mut group.pages {
            pages.retain(|page| {
                let announced = Part { keys: page.keys, ..first };
                seen(&group.parts, &page.rows) > 0 && task.wanted.share_of(&announced, &buckets) > 0.0
            });
        }
        Ok(group)
    }

    fn id(&self) -> (usize, usize) {
        group_of(&self.parts[0])
    }

    /// Counts the rows that are not read as looked at.
    fn leave_out(&self, task: &Task, open: &mut [Open]) {
        let Some(Pages { pages, .. }) = &self.pages else { return };
        for rows in between(pages, self.rows) {
            open.iter_mut().for_each(|one| one.left -= one.rows_in(self.id(), &rows));
            task.wanted.progress.add_rows(seen(&self.parts, &rows));
        }
    }

    /// What decodes the rows that are read; `None`: there are none.
    async fn fetch(&self, task: &Task) -> Result<Option<ParquetRecordBatchReader>> {
        if self.pages.as_ref().is_some_and(|chosen| chosen.pages.is_empty()) {
            return Ok(None);
        }
        let (file, row_group) = self.id();
        let at = file - task.first_file;
        let (reader, footer, columns) = (&task.readers[at], &task.footers[at], &task.columns[at]);
        decode::fetch(reader, footer, columns, row_group, self.pages.as_ref()).await.map(Some)
    }

    /// Decodes the rows, and gives them to what is open; what has got all of its rows is finished.
    fn take(
        &self,
        task: &Task,
        mut batches: ParquetRecordBatchReader,
        open: &mut Vec<Open>,
        done: &mut Vec<(usize, Vec<Held>)>,
    ) -> Result<()> {
        let (file, row_group) = self.id();
        let at = file - task.first_file;
        let source = task.readers[at].file();
        let mut pages = match &self.pages {
            Some(chosen) => chosen.pages.clone(),
            None => vec![Page { rows: 0..self.rows, keys: self.parts[0].keys }],
        };
        pages.reverse();
        let expected: u64 = pages.iter().map(|page| length(&page.rows)).sum();
        let mut found = 0;
        while let Some(rows) = decode::next_rows(source, row_group, &mut batches)? {
            let batch = task.columns[at].batch(source, &rows)?;
            found += batch.rows as u64;
            let mut first = 0;
            while first < batch.rows
                && let Some(Page { rows, keys }) = pages.last_mut()
            {
                let count = length(rows).min((batch.rows - first) as u64);
                let here = rows.start..rows.start + count;
                let piece = match count as usize {
                    all if all == batch.rows => batch.clone(),
                    some => batch.slice(first, some),
                };
                let announced = [self.parts[0], Part { keys: *keys, ..self.parts[0] }];
                let slices = task.wanted.slices_of(&piece, announced)?;
                for one in open.iter_mut() {
                    one.take(task, &piece, slices.as_deref(), self.id(), &here)?;
                }
                task.wanted.progress.add_rows(seen(&self.parts, &here));
                first += count as usize;
                rows.start = here.end;
                if rows.is_empty() {
                    pages.pop();
                }
            }
            finish_whole(task, open, done)?;
        }
        if found != expected {
            let why = format!("it has {found} rows where {expected} were announced");
            return Err(footer::damaged(&source.url, &decode::part_of(row_group), why));
        }
        Ok(())
    }
}

/// Finishes the segments that have got all of their rows.
fn finish_whole(task: &Task, open: &mut Vec<Open>, done: &mut Vec<(usize, Vec<Held>)>) -> Result<()> {
    for one in open.extract_if(.., |one| one.left == 0) {
        done.push((one.missing.index, one.finish(task)?));
    }
    Ok(())
}

/// The rows of a row group between pages, ascending.
fn between(pages: &[Page], rows: u64) -> Vec<Range<u64>> {
    let ends = std::iter::once(0).chain(pages.iter().map(|page| page.rows.end));
    let starts = pages.iter().map(|page| page.rows.start).chain(std::iter::once(rows));
    ends.zip(starts).map(|(start, end)| start..end).filter(|rows| !rows.is_empty()).collect()
}

fn common(part: &Part, rows: &Range<u64>) -> Range<u64> {
    part.start.max(rows.start)..(part.start + part.rows).min(rows.end)
}

fn length(rows: &Range<u64>) -> u64 {
    rows.end.saturating_sub(rows.start)
}

/// How many of these rows are in any of the parts, which are of one row group and apart.
fn seen(parts: &[Part], rows: &Range<u64>) -> u64 {
    parts.iter().map(|part| length(&common(part, rows))).sum()
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
    for parts in groups.into_values() {
        let group = Group::choose(&task, &open, parts).await?;
        group.leave_out(&task, &mut open);
        let batches = group.fetch(&task).await?;
        let _thread = task.threads.acquire().await.map_err(closed)?;
        let task = task.clone();
        (open, done) = blocking(move || {
            if let Some(batches) = batches {
                group.take(&task, batches, &mut open, &mut done)?;
            }
            finish_whole(&task, &mut open, &mut done)?;
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

    /// How many of these rows of a row group it looks at.
    fn rows_in(&self, group: (usize, usize), rows: &Range<u64>) -> u64 {
        let parts = self.missing.parts.iter().filter(|part| group_of(part) == group);
        parts.map(|part| length(&common(part, rows))).sum()
    }

    /// Takes what it wants of a batch that is `here` in a row group; `slices` are the batch's rows by slices.
    fn take(
        &mut self,
        task: &Task,
        batch: &Batch,
        slices: Option<&[Vec<u32>]>,
        group: (usize, usize),
        here: &Range<u64>,
    ) -> Result<()> {
        let parts = self.missing.parts.iter().filter(|part| group_of(part) == group);
        let parts: Vec<Range<u64>> = parts.map(|part| common(part, here)).collect();
        for Range { start: from, end: to } in parts {
            if from >= to {
                continue;
            }
            self.begin(task);
            let (first, last) = ((from - here.start) as usize, (to - here.start) as usize);
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
    fn finish(mut self, task: &Task) -> Result<Vec<Held>> {
        self.begin(task);
        let Wanted { shard, version, .. } = &task.wanted;
        let Missing { buckets, whole, .. } = &self.missing;
        let builders = std::mem::take(&mut self.builders);
        let segments = buckets.iter().zip(builders).map(|(&bucket, builder)| {
            let image = builder.finish()?;
            let owned = image.as_slice().len() <= task.owned_bytes && whole.len() <= OWNED_PARTS;
            let key = task.wanted.key(whole, bucket);
            Ok(Held::whole(bucket, shard.store(&version.id, key, image, owned)?))
        });
        segments.collect()
    }
}
