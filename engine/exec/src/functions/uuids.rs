//! What UUIDs say of how and when they were made (RFC 9562).

use super::arguments::Arguments;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Result, TimeUnit, Vector, uuid};

const UUID: Parameter = Parameter::Exact(DataType::Uuid);
/// From 1582-10-15, when the Gregorian calendar began, to 1970-01-01, in microseconds.
const GREGORIAN_MICROS: i128 = 12_219_292_800_000_000;

pub(super) fn functions() -> Vec<Function> {
    let instant = DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true };
    vec![
        Function::new(
            "uuid_extract_version",
            "The version of a UUID; null of one that is not of RFC 9562.",
            "uuid_extract_version('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID) → 4",
        )
        .with(&[UUID], Returns::Type(DataType::Int16), |args, data_type| {
            each(args, data_type, |bytes| version(bytes).map(i128::from))
        })
        .nullable(),
        Function::new(
            "uuid_extract_timestamp",
            "When a UUID of version 1 or 7 was made; null of others.",
            "uuid_extract_timestamp('0189c13a-e000-7000-8000-000000000000'::UUID) → 2023-08-04 15:46:48.448+00",
        )
        .with(&[UUID], Returns::Type(instant), |args, data_type| each(args, data_type, made_at))
        .nullable(),
    ]
}

fn each(args: &Arguments, data_type: DataType, of: fn([u8; 16]) -> Option<i128>) -> Result<Vector> {
    let values = args.integers(0);
    args.or_null(
        |row| Ok(of(uuid::to_bytes(values[row]))),
        |args, values| args.map_integers(data_type, |row| Ok(values[row])),
    )
}

fn version(bytes: [u8; 16]) -> Option<u8> {
    (bytes[8] >> 6 == 0b10).then_some(bytes[6] >> 4)
}

/// In microseconds since 1970.
fn made_at(bytes: [u8; 16]) -> Option<i128> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_i128, |number, &byte| number << 8 | i128::from(byte));
    match version(bytes)? {
        1 => {
            let ticks =
                (number(&bytes[6..8]) & 0xfff) << 48 | number(&bytes[4..6]) << 32 | number(&bytes[..4]);
            Some(ticks.div_euclid(10) - GREGORIAN_MICROS)
        }
        7 => Some(number(&bytes[..6]) * 1_000),
        _ => None,
    }
}
