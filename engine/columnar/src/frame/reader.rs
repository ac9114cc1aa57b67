//! Reading a body section by section, within its end and within the memory that is left for it.

use super::{ALIGNMENT, FrameError, Result};
use crate::{Bitmap, Buffer, Bytes};
use arrow::datatypes::ArrowNativeType;

pub(super) struct Reader<'a> {
    body: &'a [u8],
    memory: Memory,
}

/// How much may still be allocated for a frame.
pub(super) struct Memory {
    left: usize,
    limit: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Memory {
        Memory { left: limit, limit }
    }

    /// To be called before `count` items of `bytes` are allocated.
    pub(super) fn reserve(&mut self, count: usize, bytes: usize) -> Result<()> {
        let left = count.checked_mul(bytes).and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or(FrameError::TooLarge { what: "bytes in memory", limit: self.limit })?;
        Ok(())
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8], memory: Memory) -> Reader<'a> {
        Reader { body, memory }
    }

    pub(super) fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Bytes that were not read.
    pub(super) fn left(&self) -> usize {
        self.body.len()
    }

    /// The next section, of `len` bytes.
    pub(super) fn section(&mut self, len: usize) -> Result<&'a [u8]> {
        let taken =
            len.checked_next_multiple_of(ALIGNMENT).and_then(|taken| self.body.split_at_checked(taken));
        let (section, rest) = taken.ok_or(FrameError::Malformed("cut short"))?;
        self.body = rest;
        Ok(&section[..len])
    }

    /// The next section, of a size that is known.
    pub(super) fn array<const BYTES: usize>(&mut self) -> Result<[u8; BYTES]> {
        let section = self.section(BYTES)?;
        Ok(*section.as_array().ok_or(FrameError::Malformed("cut short"))?)
    }

    /// A number that counts what is in memory.
    pub(super) fn count(&mut self) -> Result<usize> {
        let count = u64::from_le_bytes(self.array()?);
        usize::try_from(count).map_err(|_| FrameError::Malformed("a count beyond the memory of any node"))
    }

    /// The next section, of `count` numbers, copied.
    pub(super) fn numbers<T: ArrowNativeType>(&mut self, count: usize) -> Result<Buffer<T>> {
        let len = count.checked_mul(size_of::<T>()).ok_or(FrameError::Malformed("cut short"))?;
        let section = self.section(len)?;
        self.memory.reserve(count, size_of::<T>())?;
        Ok(Buffer::new(Bytes::from(section), 0, count))
    }

    /// The next section, of `len` bits in words.
    pub(super) fn bits(&mut self, len: usize) -> Result<Bitmap> {
        let words = self.numbers(len.div_ceil(64))?;
        Bitmap::from_shared(words, len).ok_or(FrameError::Malformed("bits beyond the last row"))
    }
}
