//! What of a segment is in memory, when it was used, and how to give it back.
//!
//! Bytes are counted as resident from a column's first touch until its release. The system may drop clean
//! pages of a mapped file on its own, so this is what may be resident at most.

use crate::segment::Segment;
use std::sync::atomic::{AtomicU64, Ordering};

static CLOCK: AtomicU64 = AtomicU64::new(1);

/// Lets later touches count as later. Called now and then, say once a query.
pub fn advance_clock() {
    CLOCK.fetch_add(1, Ordering::Relaxed);
}

/// When a column was last touched; 0: not since it was released.
#[derive(Debug, Default)]
pub(crate) struct LastUse(AtomicU64);

impl LastUse {
    /// Notes a touch; true where the column was not in use.
    #[inline]
    pub(crate) fn touch(&self) -> bool {
        let now = CLOCK.load(Ordering::Relaxed);
        let last = self.0.load(Ordering::Relaxed);
        // Stored only when it changes, so that workers do not contend for the line.
        if last != now {
            self.0.store(now, Ordering::Relaxed);
        }
        last == 0
    }
}

impl Segment {
    /// Bytes of a column in the file.
    pub fn column_bytes(&self, column: u32) -> u64 {
        self.content.columns.get(column as usize).map_or(0, |column| column.bytes)
    }

    /// Bytes of a column that may be resident: of a mapped segment, none before it is touched.
    pub fn resident_bytes(&self, column: u32) -> u64 {
        let resident = !self.content.bytes.is_mapped() || self.last_used(column) > 0;
        if resident { self.column_bytes(column) } else { 0 }
    }

    /// When a column was last touched, by a clock that [`advance_clock`] moves; 0: not since its release.
    pub fn last_used(&self, column: u32) -> u64 {
        self.content
            .columns
            .get(column as usize)
            .map_or(0, |column| column.last_use.0.load(Ordering::Relaxed))
    }

    /// Gives a column's pages back to the system. Vectors read earlier stay good: what they share is read from
    /// the file again. Returns the bytes freed, 0 for a segment that is not mapped.
    pub fn release(&self, column: u32) -> u64 {
        let bytes = &self.content.bytes;
        let freed = self.resident_bytes(column);
        let (Some(held), Some(message)) =
            (self.content.columns.get(column as usize), self.content.footer.columns.get(column as usize))
        else {
            return 0;
        };
        if !bytes.is_mapped() {
            return 0;
        }
        held.last_use.0.store(0, Ordering::Relaxed);
        let mut places = Vec::new();
        message.blocks.iter().chain(&message.dictionary).for_each(|block| block.places(&mut places));
        // The buffers of a column lie together, so that one call covers them.
        let start = places.iter().map(|place| place.offset).min().unwrap_or(0);
        let end = places.iter().map(|place| place.offset + place.len).max().unwrap_or(0);
        bytes.release(start as usize, (end - start) as usize);
        freed
    }
}
