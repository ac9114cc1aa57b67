//! 16-byte string views: short strings inline, long ones by prefix and place.
//!
//! The layout is Arrow's `StringView`/`BinaryView` (after Umbra's strings, Neumann & Freitag 2020), so that
//! results leave without a copy: 4 bytes of length, then up to 12 bytes of the string itself, or its first 4
//! bytes, the index of a buffer and an offset into it. Unused inline bytes are zero, so that equal short
//! strings are equal as integers.

use crate::{Buffer, Bytes, kernel};
use std::sync::Arc;

/// One string: its length and either itself or where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct View(pub u128);

/// The longest string that a view holds inline, in bytes.
pub const INLINE_BYTES: usize = 12;

impl View {
    /// A string of at most [`INLINE_BYTES`] bytes.
    #[inline]
    pub fn inline(bytes: &[u8]) -> View {
        debug_assert!(bytes.len() <= INLINE_BYTES);
        let mut raw = [0; 16];
        raw[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        raw[4..4 + bytes.len()].copy_from_slice(bytes);
        View(u128::from_le_bytes(raw))
    }

    /// A string of `bytes` that lies at `offset` of buffer `buffer`; short ones are inlined.
    #[inline]
    pub fn new(bytes: &[u8], buffer: u32, offset: u32) -> View {
        if bytes.len() <= INLINE_BYTES {
            return View::inline(bytes);
        }
        let mut raw = [0; 16];
        raw[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        raw[4..8].copy_from_slice(&bytes[..4]);
        raw[8..12].copy_from_slice(&buffer.to_le_bytes());
        raw[12..].copy_from_slice(&offset.to_le_bytes());
        View(u128::from_le_bytes(raw))
    }

    #[inline]
    pub fn len(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn is_inline(self) -> bool {
        self.len() <= INLINE_BYTES
    }

    /// Length and first four bytes: unequal heads mean unequal strings.
    #[inline]
    pub fn head(self) -> u64 {
        self.0 as u64
    }

    /// The buffer that a long string lies in.
    #[inline]
    pub fn buffer(self) -> u32 {
        (self.0 >> 64) as u32
    }

    /// Where a long string starts in its buffer.
    #[inline]
    pub fn offset(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// The same string in a buffer list where its buffer stands `shift` places later.
    #[inline]
    pub fn shifted(self, shift: u32) -> View {
        if self.is_inline() { self } else { View(self.0 + (u128::from(shift) << 64)) }
    }
}

/// Strings as views over shared buffers.
#[derive(Clone, Debug)]
pub struct Views {
    views: Buffer<u128>,
    buffers: Arc<[Bytes]>,
}

impl Views {
    /// Takes views whose places lie within `buffers`, which the caller has made sure of; a view that does
    /// not makes [`Views::get`] panic, never read elsewhere.
    pub fn new(views: Buffer<u128>, buffers: Arc<[Bytes]>) -> Views {
        Views { views, buffers }
    }

    /// Copies strings into one buffer of their own (several where they exceed 1 GiB).
    pub fn from_strings<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Views {
        let mut builder = ViewsBuilder::default();
        strings.into_iter().for_each(|string| builder.push(string));
        builder.finish()
    }

    pub fn len(&self) -> usize {
        self.views.len()
    }

    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    #[inline]
    pub fn view(&self, row: usize) -> View {
        View(self.views[row])
    }

    /// The raw views, for kernels.
    pub fn raw(&self) -> &Buffer<u128> {
        &self.views
    }

    pub fn buffers(&self) -> &Arc<[Bytes]> {
        &self.buffers
    }

    /// The bytes of `row`.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        let raw: &u128 = &self.views[row];
        let view = View(*raw);
        if view.is_inline() {
            // SAFETY: `raw` points at 16 initialised bytes that live as long as `self`; an inline string is
            // the `len <= 12` bytes after its length. (Little-endian, as the crate requires.)
            unsafe { std::slice::from_raw_parts(std::ptr::from_ref(raw).cast::<u8>().add(4), view.len()) }
        } else {
            let start = view.offset() as usize;
            &self.buffers[view.buffer() as usize][start..start + view.len()]
        }
    }

    /// Whether all strings are of ASCII characters, as far as that is told at once: false where it would be as quick
    /// to look at them one by one.
    pub fn are_ascii(&self) -> bool {
        let (high_bits, long_bytes) = summary(&self.views);
        let buffer_bytes: usize = self.buffers.iter().map(Bytes::len).sum();
        high_bits == 0
            && (long_bytes == 0
                || buffer_bytes / 2 <= long_bytes && self.buffers.iter().all(|bytes| bytes.is_ascii()))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Rows `start .. start + len`, sharing all memory.
    pub fn slice(&self, start: usize, len: usize) -> Views {
        Views { views: self.views.slice(start, len), buffers: self.buffers.clone() }
    }
}

#[cfg(target_endian = "big")]
compile_error!("views, segments and messages are little-endian");

kernel! {
    /// The highest bits of the bytes of inline strings, and how many bytes the others have.
    fn summary(views: &[u128]) -> (u64, usize) {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let (mut high_bits, mut long_bytes) = (0, 0);
        for &raw in views {
            let len = raw as u32;
            let inline = len as usize <= INLINE_BYTES;
            let bits = (raw as u64 >> 32 | (raw >> 64) as u64) & HIGH;
            high_bits |= if inline { bits } else { 0 };
            long_bytes += if inline { 0 } else { len as usize };
        }
        (high_bits, long_bytes)
    }
}

/// Collects strings into [`Views`].
#[derive(Default)]
pub struct ViewsBuilder {
    views: Vec<u128>,
    bytes: Vec<u8>,
    full: Vec<Bytes>,
}

impl ViewsBuilder {
    const BUFFER_LIMIT_BYTES: usize = 1 << 30;

    /// Appends a string; it must be shorter than 4 GiB.
    pub fn push(&mut self, string: &[u8]) {
        if string.len() <= INLINE_BYTES {
            self.views.push(View::inline(string).0);
            return;
        }
        if !self.bytes.is_empty() && self.bytes.len() + string.len() > Self::BUFFER_LIMIT_BYTES {
            self.full.push(std::mem::take(&mut self.bytes).into());
        }
        let view = View::new(string, self.full.len() as u32, self.bytes.len() as u32);
        self.bytes.extend_from_slice(string);
        self.views.push(view.0);
    }

    pub fn len(&self) -> usize {
        self.views.len()
    }

    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    pub fn finish(mut self) -> Views {
        if !self.bytes.is_empty() {
            self.full.push(self.bytes.into());
        }
        Views::new(self.views.into(), self.full.into())
    }
}
