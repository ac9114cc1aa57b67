//! Segments as queries of a version see them: without the rows that are deleted, and with the addresses of all rows.
//!
//! A segment is built of all rows of its files, whatever is deleted of them: what it is found by does not know of
//! deletions, and neither does how rows are cut and dealt. Masks are made anew for each version, of its own sets.

use super::Layout;
use crate::deletes::{Deleted, DeletedRows};
use crate::node::Held;
use crate::placement::{Part, Piece};
use crate::{Error, Placement, Result};
use columnar::Bitmap;
use std::sync::Arc;
use storage::{Origin, Origins, Segment};

/// Bits of an address that are the row in the file; those above are the file's place in the version.
pub const ROW_BITS: u32 = 36;
/// Files of a version whose rows have addresses.
const FILES_MOST: usize = 1 << 27;

impl Layout {
    /// Has every segment seen by what is deleted of its rows. What `base` has seen alike is shared with it.
    pub(super) fn dress(&mut self, deleted: DeletedRows, base: Option<&Layout>) -> Result<()> {
        self.deleted = deleted;
        if !self.version.addressed {
            return Ok(());
        }
        if !matches!(self.plan.placement, Placement::Spread | Placement::Replicated) {
            return Err(Error::Internal("rows that statements change are placed by their keys".into()));
        }
        let known = base.map(|base| (base.plan.pieces(), &base.segments, &base.deleted));
        for (index, (piece, segments)) in self.plan.pieces().iter().zip(&mut self.segments).enumerate() {
            let known = known.and_then(|(pieces, segments, deleted)| {
                let same = Arc::ptr_eq(pieces.get(index)?, piece) && is_alike(piece, deleted, &self.deleted);
                same.then(|| &segments[index])
            });
            for held in segments {
                let same = known.and_then(|known| {
                    known.iter().find(|known| Arc::ptr_eq(&known.resident, &held.resident))
                });
                match same {
                    Some(same) => *held = same.of_bucket(held.bucket),
                    None => {
                        let segment = seen(&held.resident.segment, piece, &self.deleted)?;
                        *held = Held::seen(held.bucket, held.resident.clone(), segment)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the same is deleted of all files of a piece, which have the same places in both.
fn is_alike(piece: &Piece, a: &DeletedRows, b: &DeletedRows) -> bool {
    let told = |of: &DeletedRows, part: &Part| of.get(part.file).cloned().flatten();
    piece.parts.iter().all(|part| match (told(a, part), told(b, part)) {
        (None, None) => true,
        (Some(a), Some(b)) => a.told == b.told,
        _ => false,
    })
}

/// The segment of a piece's rows, all of them, as it is seen.
fn seen(segment: &Arc<Segment>, piece: &Piece, deleted: &DeletedRows) -> Result<Arc<Segment>> {
    let mut first = 0;
    let mut origins = Vec::with_capacity(piece.parts.len());
    for part in &piece.parts {
        let (row, rows) = (part.origin + part.start, part.rows as u32);
        if part.file >= FILES_MOST || (row + part.rows) >> ROW_BITS > 0 {
            return Err(Error::Unsupported("a table of so many files, or of a file of so many rows,".into()));
        }
        origins.push(Origin { first, rows, address: (part.file as i64) << ROW_BITS | row as i64 });
        first += rows;
    }
    let of_file = |part: &Part| -> Option<&Deleted> { deleted.get(part.file)?.as_deref() };
    let visible = piece.parts.iter().any(|part| of_file(part).is_some()).then(|| {
        let mut gone = vec![0; segment.rows().div_ceil(64)];
        let mut at = 0;
        for part in &piece.parts {
            if let Some(deleted) = of_file(part) {
                let row = part.origin + part.start;
                deleted.rows.copy_into(row..row + part.rows, &mut gone, at);
            }
            at += part.rows as usize;
        }
        Bitmap::from_words(gone, segment.rows()).not()
    });
    Ok(segment.seen_as(visible, Some(Arc::new(Origins::new(origins)?)))?)
}
