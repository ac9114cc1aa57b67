//! Single values in their packed form: how long one is, what it is, and its bytes.

use crate::error::{Error, Result};
use crate::scalar::Scalar;
use crate::types::{DataType, Interval, Nested, PhysicalType};
use std::borrow::Cow;

/// Bytes of an interval: its length in microseconds, then months, days and microseconds.
const INTERVAL_BYTES: usize = 10 + 4 + 4 + 8;
/// Added to the length of an interval, so that it is not negative.
const INTERVAL_BIAS: i128 = 1 << 79;

#[cold]
pub(super) fn malformed() -> Error {
    Error::Malformed("bytes that are no packed value of their type".into())
}

/// Bytes of a value of a fixed length.
fn fixed_len(data_type: DataType) -> Option<usize> {
    Some(match data_type.physical() {
        PhysicalType::Bool | PhysicalType::I8 => 1,
        PhysicalType::I16 => 2,
        PhysicalType::I32 | PhysicalType::F32 => 4,
        PhysicalType::I64 | PhysicalType::F64 => 8,
        PhysicalType::I128 => 16,
        PhysicalType::Interval => INTERVAL_BYTES,
        PhysicalType::View => return None,
    })
}

/// How many bytes at the start of these are a value of the type.
///
/// # Errors
/// Bytes that are none.
#[inline]
pub fn len_of(bytes: &[u8], data_type: DataType) -> Result<usize> {
    if let Some(len) = fixed_len(data_type) {
        return if len <= bytes.len() { Ok(len) } else { Err(malformed()) };
    }
    match data_type {
        DataType::Nested(nested) => len_of_nested(bytes, &nested.shape),
        _ => {
            let mut at = 0;
            loop {
                let zero = bytes[at..].iter().position(|&byte| byte == 0).ok_or_else(malformed)?;
                match bytes.get(at + zero + 1) {
                    Some(0) => return Ok(at + zero + 2),
                    Some(0xff) => at += zero + 2,
                    _ => return Err(malformed()),
                }
            }
        }
    }
}

fn len_of_nested(bytes: &[u8], shape: &Nested) -> Result<usize> {
    // A marker and what it announces.
    let part = |at: usize, data_type: DataType| match bytes.get(at) {
        Some(1) => Ok(at + 1 + len_of(&bytes[at + 1..], data_type)?),
        Some(2) => Ok(at + 1),
        _ => Err(malformed()),
    };
    let mut at = 0;
    match shape {
        Nested::List(element) => {
            while bytes.get(at) != Some(&0) {
                at = part(at, *element)?;
            }
            at += 1;
        }
        Nested::Array { element, len } => {
            for _ in 0..*len {
                at = part(at, *element)?;
            }
        }
        Nested::Struct(fields) => {
            for field in fields {
                at = part(at, field.data_type)?;
            }
        }
        Nested::Map { key, value } => {
            while bytes.get(at) != Some(&0) {
                at = part(at, *key)?;
                at = part(at, *value)?;
            }
            at += 1;
        }
    }
    Ok(at)
}

/// The parts of a struct, or of an entry of a map, of these types; `None` where one is null.
///
/// # Errors
/// Bytes that are no such value.
pub fn parts(bytes: &[u8], types: impl IntoIterator<Item = DataType>) -> Result<Vec<Option<&[u8]>>> {
    let mut rest = bytes;
    let parts = types.into_iter().map(|data_type| {
        let (marker, after) = rest.split_first().ok_or_else(malformed)?;
        let len = match marker {
            1 => len_of(after, data_type)?,
            2 => 0,
            _ => return Err(malformed()),
        };
        let (part, after) = after.split_at(len);
        rest = after;
        Ok((*marker == 1).then_some(part))
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if rest.is_empty() { Ok(parts) } else { Err(malformed()) }
}

/// The value that these bytes are.
///
/// # Errors
/// Bytes that are none of the type.
pub fn scalar_of(bytes: &[u8], data_type: DataType) -> Result<Scalar> {
    if len_of(bytes, data_type)? != bytes.len() {
        return Err(malformed());
    }
    Ok(match data_type.physical() {
        PhysicalType::Bool => Scalar::Boolean(bytes[0] != 0),
        PhysicalType::F32 => {
            let bits = u32::from_be_bytes(bytes.try_into().map_err(|_| malformed())?);
            let bits = if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits };
            Scalar::Float(f32::from_bits(bits).into())
        }
        PhysicalType::F64 => {
            let bits = u64::from_be_bytes(bytes.try_into().map_err(|_| malformed())?);
            let bits = if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits };
            Scalar::Float(f64::from_bits(bits))
        }
        PhysicalType::Interval => {
            let part = |range: std::ops::Range<usize>| integer(&bytes[range]);
            Scalar::Interval(Interval {
                months: part(10..14) as i32,
                days: part(14..18) as i32,
                micros: part(18..26) as i64,
            })
        }
        PhysicalType::View if matches!(data_type, DataType::Nested(_)) => Scalar::Bytes(bytes.to_vec()),
        PhysicalType::View => Scalar::Bytes(string_of(bytes, data_type)?.into_owned()),
        _ => Scalar::Integer(integer(bytes)),
    })
}

/// The integer of these bytes: big-endian, the first bit turned.
fn integer(bytes: &[u8]) -> i128 {
    let unsigned = bytes.iter().fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
    let bits = 8 * bytes.len() as u32;
    let turned = unsigned ^ 1 << (bits - 1);
    (turned << (128 - bits)) as i128 >> (128 - bits)
}

/// The text or bytes that these bytes, of a value that is not nested, are.
///
/// # Errors
/// Bytes that do not end as a packed text does, or are no UTF-8 where the type is text.
pub(super) fn string_of(bytes: &[u8], data_type: DataType) -> Result<Cow<'_, [u8]>> {
    let Some((text, [0, 0])) = bytes.split_last_chunk::<2>() else { return Err(malformed()) };
    let text = if text.contains(&0) { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) };
    if data_type.is_text() && std::str::from_utf8(&text).is_err() {
        return Err(malformed());
    }
    Ok(text)
}

fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut escaped = false;
    for &byte in bytes {
        if !escaped {
            text.push(byte);
        }
        escaped = !escaped && byte == 0;
    }
    text
}

/// Adds the bytes of a value that is not null.
///
/// # Errors
/// A value that is none of the type.
pub fn append_scalar(into: &mut Vec<u8>, scalar: &Scalar, data_type: DataType) -> Result<()> {
    match (scalar, data_type.physical()) {
        (Scalar::Boolean(value), PhysicalType::Bool) => into.push((*value).into()),
        (Scalar::Float(value), PhysicalType::F32) => {
            let value = *value as f32;
            let value = if value.is_nan() { f32::NAN.abs() } else { value + 0.0 };
            let bits = value.to_bits();
            let bits = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
            into.extend_from_slice(&bits.to_be_bytes());
        }
        (Scalar::Float(value), PhysicalType::F64) => {
            let value = if value.is_nan() { f64::NAN.abs() } else { *value + 0.0 };
            let bits = value.to_bits();
            let bits = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
            into.extend_from_slice(&bits.to_be_bytes());
        }
        (Scalar::Interval(value), PhysicalType::Interval) => {
            let length = value.comparison_micros() + INTERVAL_BIAS;
            into.extend_from_slice(&length.to_be_bytes()[6..]);
            into.extend_from_slice(&(value.months ^ i32::MIN).to_be_bytes());
            into.extend_from_slice(&(value.days ^ i32::MIN).to_be_bytes());
            into.extend_from_slice(&(value.micros ^ i64::MIN).to_be_bytes());
        }
        (Scalar::Bytes(bytes), PhysicalType::View) if matches!(data_type, DataType::Nested(_)) => {
            into.extend_from_slice(bytes);
        }
        (Scalar::Bytes(bytes), PhysicalType::View) => {
            for &byte in bytes {
                into.push(byte);
                if byte == 0 {
                    into.push(0xff);
                }
            }
            into.extend_from_slice(&[0, 0]);
        }
        (Scalar::Integer(value), physical) if physical.is_integer() => {
            let bytes = (*value ^ 1 << (8 * physical.width_bytes() - 1)).to_be_bytes();
            into.extend_from_slice(&bytes[16 - physical.width_bytes()..]);
        }
        (scalar, _) => return Err(Error::Malformed(format!("{scalar:?} is no {data_type}"))),
    }
    Ok(())
}
