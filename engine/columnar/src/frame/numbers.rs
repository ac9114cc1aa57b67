//! Integers as what they differ from the least of them, where that is narrower.

use super::reader::Reader;
use super::writer::Writer;
use super::{FrameError, Result};
use crate::kernels::cast::extremes;
use crate::kernels::number::Integer;
use crate::{Buffer, kernel};
use arrow::datatypes::ArrowNativeType;

/// Bytes of the base.
const BASE_BYTES: usize = 16;

/// An unsigned difference.
trait Delta: ArrowNativeType {
    /// The low bits.
    fn truncate(value: i128) -> Self;
    fn widen(self) -> i128;
}

macro_rules! delta {
    ($($type:ident)*) => { $(impl Delta for $type {
        #[inline(always)]
        fn truncate(value: i128) -> $type { value as $type }
        #[inline(always)]
        fn widen(self) -> i128 { self.into() }
    })* };
}
delta!(u8 u16 u32 u64);

kernel! {
    fn differences[T: Integer, D: Delta](values: &[T], base: T) -> Vec<D> {
        values.iter().map(|value| D::truncate(value.wrapping_sub(base).widen())).collect()
    }
}

kernel! {
    fn sums[T: Integer, D: Delta](deltas: &[D], base: T) -> Vec<T> {
        deltas.iter().map(|delta| base.wrapping_add(T::truncate(delta.widen()))).collect()
    }
}

/// Writes integers and gives the bytes of a difference: 0 where the integers themselves are written.
pub(super) fn write<T: Integer + ArrowNativeType>(writer: &mut Writer, values: &Buffer<T>) -> u8 {
    let (least, greatest) = extremes(values);
    let width = width(least, greatest, values.len());
    if width > 0 {
        writer.section(&least.widen().to_le_bytes());
    }
    match width {
        1 => writer.numbers(&Buffer::from(differences::<T, u8>(values, least))),
        2 => writer.numbers(&Buffer::from(differences::<T, u16>(values, least))),
        4 => writer.numbers(&Buffer::from(differences::<T, u32>(values, least))),
        8 => writer.numbers(&Buffer::from(differences::<T, u64>(values, least))),
        _ => writer.numbers(values),
    }
    width
}

/// Bytes of a difference, 0 where differences save nothing.
fn width<T: Integer>(least: T, greatest: T, rows: usize) -> u8 {
    let range = greatest.widen().checked_sub(least.widen());
    let width: u8 = match range {
        Some(0..=0xff) => 1,
        Some(0x100..=0xffff) => 2,
        Some(0x1_0000..=0xffff_ffff) => 4,
        Some(0x1_0000_0000..=0xffff_ffff_ffff_ffff) => 8,
        _ => return 0,
    };
    let saved = size_of::<T>().saturating_sub(width.into()).saturating_mul(rows);
    if saved > BASE_BYTES { width } else { 0 }
}

/// Reads `rows` integers that were written with differences of `width` bytes.
pub(super) fn read<T: Integer + ArrowNativeType>(
    reader: &mut Reader<'_>,
    rows: usize,
    width: u8,
) -> Result<Buffer<T>> {
    if width == 0 {
        return reader.numbers(rows);
    }
    if usize::from(width) >= size_of::<T>() {
        return Err(FrameError::Malformed("differences wider than their integers"));
    }
    let base = i128::from_le_bytes(reader.array()?);
    if !(T::MIN.widen()..=T::MAX.widen()).contains(&base) {
        return Err(FrameError::Malformed("a base wider than its integers"));
    }
    let base = T::truncate(base);
    match width {
        1 => read_sums::<T, u8>(reader, rows, base),
        2 => read_sums::<T, u16>(reader, rows, base),
        4 => read_sums::<T, u32>(reader, rows, base),
        8 => read_sums::<T, u64>(reader, rows, base),
        _ => Err(FrameError::Malformed("differences of an unknown width")),
    }
}

fn read_sums<T: Integer + ArrowNativeType, D: Delta>(
    reader: &mut Reader<'_>,
    rows: usize,
    base: T,
) -> Result<Buffer<T>> {
    let deltas = reader.numbers::<D>(rows)?;
    reader.memory().reserve(rows, size_of::<T>())?;
    Ok(sums(&deltas, base).into())
}
