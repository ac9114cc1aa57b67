//! Casts from bit strings and to them. Integers are their bits in two's complement.

use super::node::Node;
use super::row_cast;
use columnar::{DataType, Error, Scalar};

/// Whether the cast is one of these.
pub(super) fn applies(source: DataType, target: DataType) -> bool {
    let other = match (source, target) {
        (DataType::Bits, other) | (other, DataType::Bits) => other,
        _ => return false,
    };
    matches!(other, DataType::Varchar | DataType::Binary) || other.is_integer()
}

/// Whether the bytes are a bit string.
pub(crate) fn is_bits(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'0' | b'1'))
}

pub(super) fn cast(input: Node, target: DataType, lenient: bool) -> Node {
    let source = input.data_type();
    let fails = source == DataType::Varchar || target.is_integer();
    row_cast::cast(input, target, lenient, fails, convert)
}

fn convert(value: Scalar, source: DataType, target: DataType) -> columnar::Result<Scalar> {
    match (value, source, target) {
        (Scalar::Bytes(text), DataType::Varchar, _) => {
            let trimmed = text.trim_ascii();
            if is_bits(trimmed) {
                return Ok(Scalar::Bytes(trimmed.to_vec()));
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            Err(Error::InvalidText { text, data_type: target.to_string() })
        }
        (Scalar::Bytes(bytes), DataType::Binary, _) => {
            let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1)));
            Ok(Scalar::Bytes(bits.collect()))
        }
        (Scalar::Bytes(bits), _, DataType::Binary) => {
            // The first byte has the bits that are left over.
            let first = bits.len() % 8;
            let (first, rest) = bits.split_at(first);
            let chunks = (!first.is_empty()).then_some(first).into_iter().chain(rest.chunks(8));
            Ok(Scalar::Bytes(chunks.map(|bits| number(bits) as u8).collect()))
        }
        (Scalar::Bytes(bits), _, target) if target.is_integer() => {
            let width = width(target);
            if bits.len() > width {
                return Err(Error::OutOfRange { what: format!("a BIT of {} bits as {target}", bits.len()) });
            }
            let value = number(&bits);
            let negative = bits.len() == width && !target.is_unsigned() && bits.first() == Some(&b'1');
            let value = if negative && width < 128 { value as i128 - (1 << width) } else { value as i128 };
            Ok(Scalar::Integer(value))
        }
        (Scalar::Integer(value), source, _) => {
            let bits = (0..width(source)).rev().map(|bit| b'0' + (value >> bit & 1) as u8);
            Ok(Scalar::Bytes(bits.collect()))
        }
        (other, ..) => Ok(other),
    }
}

fn number(bits: &[u8]) -> u128 {
    bits.iter().fold(0, |number, &bit| number << 1 | u128::from(bit == b'1'))
}

/// Bits of an integer type.
fn width(data_type: DataType) -> usize {
    match data_type {
        DataType::Int8 | DataType::UInt8 => 8,
        DataType::Int16 | DataType::UInt16 => 16,
        DataType::Int32 | DataType::UInt32 => 32,
        DataType::Int64 | DataType::UInt64 => 64,
        _ => 128,
    }
}
