//! What a shard is to hold of a version, and what of it there is.

use super::Layout;
use crate::node::Held;
use crate::placement::{Part, Piece, Plan};
use crate::segment_files::{Key, KeyBuilder};
use crate::{Placement, Progress, Result, Shard, Version};
use columnar::Batch;
use exec::Slicing;
use exec::hash::Hasher;
use exec::slices::Ranges;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Wanted {
    pub(super) shard: Arc<Shard>,
    pub(super) version: Arc<Version>,
    placement: Placement,
    pieces: Vec<Arc<Piece>>,
    /// The shard is dealt the bucket, one a bucket.
    mine: Vec<bool>,
    /// Where ranges place rows.
    ranges: Option<Ranges>,
    /// The slice of the least keys, in whose range the order of the rows begins.
    first_slice: usize,
    /// Rows of the files before are all in segments, of this shard or of others.
    pub(super) first_file: usize,
    pub(super) progress: Arc<Progress>,
}

/// What there is of a [`Wanted`], and what is to be built.
pub(super) struct Found {
    pub(super) wanted: Wanted,
    /// One list a piece of the plan.
    pub(super) segments: Vec<Vec<Held>>,
    pub(super) missing: Vec<Missing>,
}

/// Segments of a piece that there are not.
pub(super) struct Missing {
    /// The place of the piece in the plan.
    pub(super) index: usize,
    /// Those that a segment is built of.
    pub(super) buckets: Vec<u32>,
    /// All rows that they are cut from.
    pub(super) whole: Vec<Part>,
    /// Segments of the first rows, one list for some of the rows, with a segment a bucket.
    pub(super) held: Vec<Vec<Held>>,
    /// Where the other rows are.
    pub(super) parts: Vec<Part>,
}

impl Wanted {
    pub(super) fn new(
        shard: &Arc<Shard>,
        version: &Arc<Version>,
        plan: &Plan,
        mine: Vec<bool>,
        first_file: usize,
        progress: &Arc<Progress>,
    ) -> Wanted {
        let ranges = match plan.placement {
            Placement::Ranges { span, .. } => Some(Ranges::new(span, mine.len())),
            _ => None,
        };
        let parts = plan.pieces().iter().flat_map(|piece| &piece.parts);
        let least = parts.filter_map(|part| part.keys.map(|(min, _)| min)).min();
        Wanted {
            shard: shard.clone(),
            version: version.clone(),
            placement: plan.placement.clone(),
            pieces: plan.pieces().to_vec(),
            mine,
            first_slice: ranges.zip(least).map_or(0, |(ranges, least)| ranges.slice(least)),
            ranges,
            first_file,
            progress: progress.clone(),
        }
    }

    /// The segments that there are already, and those that there are not.
    pub(super) fn find_all(self, base: Option<&Layout>) -> Result<Found> {
        // A piece begins with rows that no other piece has.
        type Begun<'a> = HashMap<Part, (&'a Arc<Piece>, &'a Vec<Held>)>;
        let known = base.into_iter().flat_map(|base| base.plan.pieces().iter().zip(&base.segments));
        let begun: Begun =
            known.filter_map(|(piece, held)| Some((*piece.parts.first()?, (piece, held)))).collect();
        let mut segments = Vec::new();
        let mut missing = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut of_piece = Vec::new();
            for buckets in self.units(index) {
                // What was held of the same or fewer rows, as far as it is of all these buckets; nothing, where those
                // have no rows there.
                let held_of = |part: Option<&Part>| {
                    let (known, held) = part.and_then(|part| begun.get(part))?;
                    let of_bucket = |bucket: &u32| match self.placement.slicing() {
                        Some(_) => held.iter().find(|held| held.bucket == *bucket).cloned(),
                        None => Some(Held { bucket: *bucket, resident: held.first()?.resident.clone() }),
                    };
                    let all: Option<Vec<Held>> = buckets.iter().map(of_bucket).collect();
                    let none = || self.parts_of(&known.parts, &buckets).is_empty().then(Vec::new);
                    all.or_else(none).map(|all| (*known, all))
                };
                // The first piece has a segment of every bucket, which tells that it is held.
                let may_lack = index > 0;
                if let Some((known, held)) = held_of(piece.parts.first())
                    && Arc::ptr_eq(known, piece)
                    && (may_lack || !held.is_empty())
                {
                    of_piece.extend(held);
                    continue;
                }
                let whole = self.parts_of(&piece.parts, &buckets);
                if whole.is_empty() && may_lack {
                    continue;
                }
                if let Some(found) = self.find(&whole, &buckets)? {
                    let rows =
                        whole.iter().filter(|part| part.file >= self.first_file).map(|part| part.rows).sum();
                    self.progress.expect_rows(rows);
                    self.progress.add_rows(rows);
                    of_piece.extend(found);
                    continue;
                }
                let (mut held, mut rest) = (Vec::new(), &piece.parts[..]);
                while let Some((known, segments)) = held_of(rest.first())
                    && let Some(after) = rest.strip_prefix(&known.parts[..])
                {
                    held.push(segments);
                    rest = after;
                }
                let parts = self.parts_of(rest, &buckets);
                missing.push(Missing { index, buckets, whole, held, parts });
            }
            segments.push(of_piece);
        }
        Ok(Found { wanted: self, segments, missing })
    }

    /// The buckets of which this shard wants a segment of a piece: each list is built at once. Ranges are built one by
    /// one, since each has its own row groups.
    fn units(&self, index: usize) -> Vec<Vec<u32>> {
        let all = (0..self.mine.len() as u32).filter(|&bucket| self.mine[bucket as usize]);
        let wanted: Vec<u32> = match self.placement {
            Placement::Spread => all.filter(|&bucket| bucket as usize == index).collect(),
            Placement::Hash(_) | Placement::Ranges { .. } | Placement::Replicated => all.collect(),
        };
        match self.ranges {
            Some(_) => wanted.into_iter().map(|bucket| vec![bucket]).collect(),
            None if wanted.is_empty() => Vec::new(),
            None => vec![wanted],
        }
    }

    /// Those of a piece's parts that may have rows of the buckets.
    fn parts_of(&self, parts: &[Part], buckets: &[u32]) -> Vec<Part> {
        let has_rows = |part: &&Part| self.share_of(part, buckets) > 0.0;
        parts.iter().filter(has_rows).copied().collect()
    }

    /// About how much of a part's rows are in the buckets; 0: none.
    pub(super) fn share_of(&self, part: &Part, buckets: &[u32]) -> f64 {
        match (&self.ranges, &self.placement) {
            (Some(ranges), _) => {
                buckets.iter().map(|&slice| part.share_of(ranges, slice, self.mine.len())).sum()
            }
            (None, Placement::Hash(_)) => buckets.len() as f64 / self.mine.len() as f64,
            (None, _) => 1.0,
        }
    }

    /// Whether segments have row groups of their own.
    pub(super) fn by_ranges(&self) -> bool {
        self.ranges.is_some()
    }

    /// Where a bucket's rows stand among those of the shard.
    pub(super) fn place_of(&self, bucket: u32) -> usize {
        (bucket as usize + self.mine.len() - self.first_slice) % self.mine.len()
    }

    /// The rows of a batch by slices; `None` where all rows go the same way. An error where rows are not in the range
    /// that their row group was announced with: other shards have left it out.
    pub(super) fn slices_of(&self, batch: &Batch, group: &Part) -> Result<Option<Vec<Vec<u32>>>> {
        let slices = self.mine.len();
        let Some((columns, slicing)) = self.placement.slicing().filter(|_| slices > 1) else {
            return Ok(None);
        };
        let keys: Vec<_> = columns.iter().map(|&column| batch.columns[column as usize].clone()).collect();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); slices];
        for (row, slice) in
            slicing.slices_of(&mut Hasher::default(), &keys, batch.rows, slices).into_iter().enumerate()
        {
            rows[slice as usize].push(row as u32);
        }
        if let Slicing::Ranges { .. } = slicing {
            let outside = (0..slices as u32)
                .any(|slice| !rows[slice as usize].is_empty() && self.share_of(group, &[slice]) == 0.0);
            if outside {
                let column = &self.version.schema[columns[0] as usize].name;
                let why = format!("values of column \"{column}\" lie outside of what the footer announces");
                let file = &self.version.files[group.file];
                let part = crate::decode::part_of(group.row_group);
                return Err(crate::footer::damaged(&file.url, &part, why));
            }
        }
        Ok(Some(rows))
    }

    /// The name of the segment of a bucket that is cut from these rows: everything that its content depends on.
    pub(super) fn key(&self, parts: &[Part], bucket: u32) -> Key {
        let mut key = KeyBuilder::new();
        for column in self.version.schema.iter() {
            key.text(&column.name).text(&column.data_type.to_string()).number(column.nullable.into());
        }
        if let Some((columns, slicing)) = self.placement.slicing() {
            match slicing {
                Slicing::Hash => key.text("hash"),
                Slicing::Ranges { span } => key.text("ranges").number(span),
            };
            key.number(bucket.into()).number(self.mine.len() as u64);
            columns.iter().for_each(|&column| {
                key.number(column.into());
            });
        }
        for part in parts {
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

    /// The segments of buckets that are cut from these rows, if all are at hand without decoding.
    fn find(&self, parts: &[Part], buckets: &[u32]) -> Result<Option<Vec<Held>>> {
        let mut found = Vec::new();
        for &bucket in buckets {
            match self.shard.find(&self.version.id, self.key(parts, bucket))? {
                Some(resident) => found.push(Held { bucket, resident }),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }
}
