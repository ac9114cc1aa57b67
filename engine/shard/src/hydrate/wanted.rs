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
use storage::ColumnSchema;

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
    /// Segments of the first rows, one list for some of the rows, with one a bucket; `None`: the bucket has no rows there.
    pub(super) held: Vec<Vec<Option<Held>>>,
    /// Where the other rows are.
    pub(super) parts: Vec<Part>,
}

impl Missing {
    /// One of its segments is there.
    pub(super) fn leave_out(&mut self, bucket: u32) {
        if let Some(place) = self.buckets.iter().position(|&other| other == bucket) {
            self.buckets.remove(place);
            self.held.iter_mut().for_each(|held| drop(held.remove(place)));
        }
    }
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
            let mut lacking = Vec::new();
            // What was held of the same or fewer rows; nothing, where the bucket has no rows there.
            let held_of = |part: Option<&Part>, bucket: u32| {
                let (known, held) = part.and_then(|part| begun.get(part))?;
                let of_bucket = match self.placement.slicing() {
                    Some(_) => held.iter().find(|held| held.bucket == bucket).cloned(),
                    None => held.first().map(|held| Held::whole(bucket, held.resident.clone())),
                };
                let none = self.parts_of(&known.parts, bucket).is_empty();
                (of_bucket.is_some() || none).then_some((*known, of_bucket))
            };
            for bucket in self.buckets_of(index) {
                // The first piece has a segment of every bucket, which tells that it is held.
                let may_lack = index > 0;
                if let Some((known, held)) = held_of(piece.parts.first(), bucket)
                    && Arc::ptr_eq(known, piece)
                    && (may_lack || held.is_some())
                {
                    of_piece.extend(held);
                    continue;
                }
                let whole = self.parts_of(&piece.parts, bucket);
                if whole.is_empty() && may_lack {
                    continue;
                }
                match self.shard.find(&self.version.id, self.key(&whole, bucket))? {
                    Some(resident) => {
                        self.expect_found(&whole);
                        of_piece.push(Held::whole(bucket, resident));
                    }
                    None => lacking.push(bucket),
                }
            }
            segments.push(of_piece);
            // Ranges are built one by one, since each has its own row groups.
            let units: Vec<Vec<u32>> = match (&self.ranges, lacking.is_empty()) {
                (_, true) => Vec::new(),
                (Some(_), _) => lacking.into_iter().map(|bucket| vec![bucket]).collect(),
                (None, _) => vec![lacking],
            };
            for buckets in units {
                let (mut held, mut rest) = (Vec::new(), &piece.parts[..]);
                while let Some(next) =
                    buckets.iter().map(|&bucket| held_of(rest.first(), bucket)).collect::<Option<Vec<_>>>()
                    && let Some((known, _)) = next.first()
                    && let Some(after) = rest.strip_prefix(&known.parts[..])
                {
                    held.push(next.into_iter().map(|(_, held)| held).collect());
                    rest = after;
                }
                let of_buckets = |parts: &[Part]| match self.ranges {
                    Some(_) => self.parts_of(parts, buckets[0]),
                    None => parts.to_vec(),
                };
                let (whole, parts) = (of_buckets(&piece.parts), of_buckets(rest));
                missing.push(Missing { index, buckets, whole, held, parts });
            }
        }
        Ok(Found { wanted: self, segments, missing })
    }

    /// Counts rows of new files that need not be decoded.
    pub(super) fn expect_found(&self, parts: &[Part]) {
        let rows = parts.iter().filter(|part| part.file >= self.first_file).map(|part| part.rows).sum();
        self.progress.expect_rows(rows);
        self.progress.add_rows(rows);
    }

    /// The buckets of which this shard wants a segment of a piece.
    fn buckets_of(&self, index: usize) -> Vec<u32> {
        let mine = (0..self.mine.len() as u32).filter(|&bucket| self.mine[bucket as usize]);
        match self.placement {
            Placement::Spread => mine.filter(|&bucket| bucket as usize == index).collect(),
            Placement::Hash(_) | Placement::Ranges { .. } | Placement::Replicated => mine.collect(),
        }
    }

    /// Those of a piece's parts that may have rows of the bucket.
    fn parts_of(&self, parts: &[Part], bucket: u32) -> Vec<Part> {
        parts.iter().filter(|part| self.share_of(part, &[bucket]) > 0.0).copied().collect()
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

    /// The column by whose ranges rows are placed.
    pub(super) fn ranged(&self) -> Option<&ColumnSchema> {
        match self.placement {
            Placement::Ranges { column, .. } => self.version.schema.get(column as usize),
            _ => None,
        }
    }

    /// Where a bucket's rows stand among those of the shard.
    pub(super) fn place_of(&self, bucket: u32) -> usize {
        (bucket as usize + self.mine.len() - self.first_slice) % self.mine.len()
    }

    /// The rows of a batch by slices; `None` where all rows go the same way. An error where rows are not in the ranges
    /// that their row group and their page were announced with: other shards may have left them out.
    pub(super) fn slices_of(&self, batch: &Batch, announced: [Part; 2]) -> Result<Option<Vec<Vec<u32>>>> {
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
            let outside = (0..slices as u32).any(|slice| {
                !rows[slice as usize].is_empty()
                    && announced.iter().any(|part| self.share_of(part, &[slice]) == 0.0)
            });
            if outside {
                let column = &self.version.schema[columns[0] as usize].name;
                let why = format!("values of column \"{column}\" lie outside of what the file announces");
                let file = &self.version.files[announced[0].file];
                let part = crate::decode::part_of(announced[0].row_group);
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
            if file.generation > 0 {
                key.text("generation").number(file.generation);
            }
            for value in &file.folder_values {
                key.text(&value.column).number(value.text.is_some().into());
                key.text(value.text.as_deref().unwrap_or_default());
            }
            key.number(part.row_group as u64).number(part.start).number(part.rows);
        }
        key.finish()
    }
}
