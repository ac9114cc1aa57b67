//! The bytes of a segment: mapped from a file or owned.

use crate::error::{Error, Result, damaged};
use crate::mapping::Mapping;
use columnar::Bytes;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// A segment's bytes. Everything read from the segment shares them.
#[derive(Clone, Debug)]
pub struct SegmentBytes {
    bytes: Bytes,
    mapped: Option<Arc<Mapping>>,
}

impl SegmentBytes {
    /// Bytes in memory. They are copied if they do not start at a multiple of 64.
    pub fn owned(bytes: Bytes) -> SegmentBytes {
        let aligned = (bytes.as_ptr() as usize).is_multiple_of(64);
        let bytes = if aligned { bytes } else { aligned_copy(&bytes) };
        SegmentBytes { bytes, mapped: None }
    }

    /// Maps a file. Segment files are written once, under a name of their own, and never changed in place.
    pub fn map(path: &Path) -> Result<SegmentBytes> {
        let mapped =
            Mapping::open(path).map_err(|error| Error::Io(format!("{}: {error}", path.display())))?;
        let mapped = Arc::new(mapped);
        let len = mapped.map().len();
        let bytes = match NonNull::new(mapped.map().as_ptr().cast_mut()) {
            // SAFETY: the map covers `len` readable bytes and lives as long as its owner, which the buffer keeps.
            Some(start) => unsafe { Bytes::from_custom_allocation(start, len, mapped.clone()) },
            None => Bytes::from(Vec::<u8>::new()),
        };
        Ok(SegmentBytes { bytes, mapped: Some(mapped) })
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether pages can be given back and read again from a file.
    pub fn is_mapped(&self) -> bool {
        self.mapped.is_some()
    }

    /// That the mapped file still is as long as the map, and that no page of it was lost.
    pub fn check(&self) -> Result<()> {
        match &self.mapped {
            Some(mapped) => mapped.check().map_err(damaged),
            None => Ok(()),
        }
    }

    /// Gives the pages that lie wholly within `start .. start + len` back to the system; they are read from
    /// the file when next touched. Nothing happens to owned bytes.
    pub fn release(&self, start: usize, len: usize) {
        const PAGE_BYTES: usize = 4096;
        let Some(mapped) = &self.mapped else { return };
        let first = start.next_multiple_of(PAGE_BYTES);
        let end = (start + len).min(mapped.map().len()) / PAGE_BYTES * PAGE_BYTES;
        if first < end {
            // SAFETY: the map is shared and read only, so a dropped page is read back with the same content.
            let dropped = unsafe {
                mapped.map().unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, first, end - first)
            };
            // Advice that is refused leaves the pages where they are: correct, only larger.
            drop(dropped);
        }
    }
}

fn aligned_copy(bytes: &[u8]) -> Bytes {
    let mut copy = arrow::buffer::MutableBuffer::with_capacity(bytes.len());
    copy.extend_from_slice(bytes);
    copy.into()
}
