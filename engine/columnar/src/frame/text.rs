//! Strings as their lengths and their bytes one after the other.

use super::reader::Reader;
use super::writer::Writer;
use super::{FrameError, Result};
use crate::view::INLINE_BYTES;
use crate::{Bitmap, Buffer, Bytes, View, Views, kernel};
use std::sync::Arc;

kernel! {
    fn lengths_of(views: &[u128]) -> Vec<u32> {
        views.iter().map(|&view| view as u32).collect()
    }
}

/// Writes strings, those of null rows as empty, and gives the bytes of a length.
pub(super) fn write(writer: &mut Writer, views: &Views, validity: Option<&Bitmap>) -> u8 {
    let mut lengths = lengths_of(views.raw());
    if let Some(validity) = validity {
        validity.not().ones().for_each(|row| lengths[row] = 0);
    }
    let lengths = Buffer::from(lengths);
    let width = match lengths.iter().max() {
        None | Some(..=0xff) => 1,
        Some(0x100..=0xffff) => 2,
        Some(_) => 4,
    };
    match width {
        1 => writer.section(&lengths.iter().map(|&len| len as u8).collect::<Vec<_>>()),
        2 => writer.numbers(&lengths.iter().map(|&len| len as u16).collect::<Buffer<u16>>()),
        _ => writer.numbers(&lengths),
    }
    gather(&mut writer.bytes, views, &lengths);
    writer.fill_up();
    width
}

/// Appends the bytes of strings, or as many of each as `lengths` say: all or none.
fn gather(bytes: &mut Vec<u8>, views: &Views, lengths: &[u32]) {
    let mut at = bytes.len();
    let end = at + lengths.iter().map(|&len| len as usize).sum::<usize>();
    // Short strings are copied as whole views; what follows them is overwritten or cut off.
    bytes.resize(end + INLINE_BYTES, 0);
    for (row, &len) in lengths.iter().enumerate() {
        let len = len as usize;
        if len <= INLINE_BYTES {
            let view = views.view(row).0.to_le_bytes();
            bytes[at..at + INLINE_BYTES].copy_from_slice(&view[size_of::<u32>()..]);
        } else {
            bytes[at..at + len].copy_from_slice(views.get(row));
        }
        at += len;
    }
    bytes.truncate(end);
}

/// Reads `rows` strings whose lengths were written in `width` bytes; with `is_text` they must be UTF-8.
pub(super) fn read(reader: &mut Reader<'_>, rows: usize, width: u8, is_text: bool) -> Result<Views> {
    let lengths = read_lengths(reader, rows, width)?;
    let total: u64 = lengths.iter().map(|&len| u64::from(len)).sum();
    // Offsets have 32 bits.
    let total = u32::try_from(total).map_err(|_| FrameError::Malformed("strings of more than 4 GiB"))?;
    let bytes = reader.section(total as usize)?;
    if is_text {
        check_text(bytes, &lengths)?;
    }
    reader.memory().reserve(rows, size_of::<u128>())?;
    let views = views_of(bytes, &lengths);
    let mut buffers: Arc<[Bytes]> = Arc::new([]);
    if lengths.iter().any(|&len| len as usize > INLINE_BYTES) {
        reader.memory().reserve(bytes.len(), 1)?;
        buffers = Arc::new([Bytes::from(bytes)]);
    }
    Ok(Views::new(views.into(), buffers))
}

fn read_lengths(reader: &mut Reader<'_>, rows: usize, width: u8) -> Result<Buffer<u32>> {
    fn widened<T: Copy + Into<u32>>(lengths: &[T]) -> Buffer<u32> {
        lengths.iter().map(|&len| len.into()).collect()
    }
    if matches!(width, 1 | 2) {
        reader.memory().reserve(rows, size_of::<u32>())?;
    }
    match width {
        1 => Ok(widened(reader.section(rows)?)),
        2 => Ok(widened(&reader.numbers::<u16>(rows)?)),
        4 => reader.numbers(rows),
        _ => Err(FrameError::Malformed("lengths of an unknown width")),
    }
}

/// Views of strings that lie one after the other in `bytes`, which are the first of their buffers.
fn views_of(bytes: &[u8], lengths: &[u32]) -> Vec<u128> {
    let mut start = 0;
    let view = |&len: &u32| {
        let at = start;
        start += len as usize;
        if len as usize > INLINE_BYTES {
            return View::new(&bytes[at..start], 0, at as u32).0;
        }
        match bytes[at..].first_chunk() {
            Some(&chunk) => {
                let string = u128::from_le_bytes(chunk) & ((1 << (8 * len)) - 1);
                string << u32::BITS | u128::from(len)
            }
            None => View::inline(&bytes[at..start]).0,
        }
    };
    lengths.iter().map(view).collect()
}

/// That strings one after the other are UTF-8, each of them.
fn check_text(bytes: &[u8], lengths: &[u32]) -> Result<()> {
    if bytes.is_ascii() {
        return Ok(());
    }
    let text =
        simdutf8::basic::from_utf8(bytes).map_err(|_| FrameError::Malformed("text that is not UTF-8"))?;
    let mut end = 0;
    let whole = lengths.iter().all(|&len| {
        end += len as usize;
        text.is_char_boundary(end)
    });
    if whole { Ok(()) } else { Err(FrameError::Malformed("a string that ends within a character")) }
}
