//! The type that two types meet in.

use super::interned::{FieldType, Nested, NestedType, TypeError, nested};
use super::{DECIMAL_MAX_PRECISION, DataType};

/// Bits and sign of an integer type.
fn integer(data_type: DataType) -> Option<(u32, bool)> {
    Some(match data_type {
        DataType::Int8 => (8, true),
        DataType::Int16 => (16, true),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::Int128 => (128, true),
        DataType::UInt8 => (8, false),
        DataType::UInt16 => (16, false),
        DataType::UInt32 => (32, false),
        DataType::UInt64 => (64, false),
        _ => return None,
    })
}

/// Of integers of like signs the wider one, else the least signed one that holds both.
fn unify_integers(a: DataType, b: DataType) -> Option<DataType> {
    let ((bits_a, signed_a), (bits_b, signed_b)) = (integer(a)?, integer(b)?);
    if signed_a == signed_b {
        return Some(if bits_a >= bits_b { a } else { b });
    }
    let (signed, unsigned) = if signed_a { (bits_a, bits_b) } else { (bits_b, bits_a) };
    Some(match signed.max(unsigned * 2) {
        16 => DataType::Int16,
        32 => DataType::Int32,
        64 => DataType::Int64,
        _ => DataType::Int128,
    })
}

/// Precision and scale of the decimal that holds every integer of the type (of `HUGEINT`: as many as there
/// are), or of the decimal itself.
pub fn integer_as_decimal(data_type: DataType) -> Option<(u8, u8)> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Int128 => (DECIMAL_MAX_PRECISION, 0),
        DataType::Decimal { precision, scale } => (precision, scale),
        _ => return None,
    })
}

/// The smallest decimal that holds the values of both.
pub fn unify_decimals((p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> DataType {
    let scale = s1.max(s2);
    let precision = ((p1 - s1).max(p2 - s2) + scale).min(DECIMAL_MAX_PRECISION);
    DataType::decimal(precision, scale)
}

/// The type that values of both take when they stand in one column or are compared; `None` where only a
/// cast that is written can bring them together.
pub fn unify(a: DataType, b: DataType) -> Option<DataType> {
    use DataType::{Date, Float32, Float64, Null, Timestamp};
    Some(match (a, b) {
        (a, b) if a == b => a,
        (Null, other) | (other, Null) => other,
        (a, b) if a.is_integer() && b.is_integer() => unify_integers(a, b)?,
        (a, b) if a.is_numeric() && b.is_numeric() => match (a, b) {
            (Float32, Float32) => Float32,
            (a, b) if a.is_float() || b.is_float() => Float64,
            (a, b) => unify_decimals(integer_as_decimal(a)?, integer_as_decimal(b)?),
        },
        (Date, Timestamp { unit, zone }) | (Timestamp { unit, zone }, Date) => Timestamp { unit, zone },
        (Timestamp { unit: u1, zone: z1 }, Timestamp { unit: u2, zone: z2 }) => {
            Timestamp { unit: u1.max(u2), zone: z1 || z2 }
        }
        (DataType::Json { .. }, DataType::Json { .. }) => DataType::Json { canonical: true },
        (DataType::Enum(_), DataType::Enum(_) | DataType::Varchar)
        | (DataType::Varchar, DataType::Enum(_)) => DataType::Varchar,
        (DataType::Nested(a), DataType::Nested(b)) => unify_nested(a, b)?.ok()?,
        _ => return None,
    })
}

/// Lists and fixed arrays by their elements, structs by their fields' names (by place where one has none),
/// maps by keys and values.
fn unify_nested(a: NestedType, b: NestedType) -> Option<Result<DataType, TypeError>> {
    let shape = match (&a.shape, &b.shape) {
        (Nested::Array { element: a, len }, Nested::Array { element: b, len: other }) if len == other => {
            Nested::Array { element: unify(*a, *b)?, len: *len }
        }
        (
            Nested::List(a) | Nested::Array { element: a, .. },
            Nested::List(b) | Nested::Array { element: b, .. },
        ) => Nested::List(unify(*a, *b)?),
        (Nested::Map { key: k1, value: v1 }, Nested::Map { key: k2, value: v2 }) => {
            Nested::Map { key: unify(*k1, *k2)?, value: unify(*v1, *v2)? }
        }
        (Nested::Struct(a), Nested::Struct(b)) if a.len() == b.len() => {
            let is_row = |fields: &[FieldType]| fields.iter().all(|field| field.name.is_empty());
            let fields = a.iter().enumerate().map(|(place, field)| {
                let other = if is_row(a) || is_row(b) {
                    b.get(place)?
                } else {
                    b.iter().find(|other| other.name.eq_ignore_ascii_case(&field.name))?
                };
                let name = if field.name.is_empty() { &other.name } else { &field.name };
                Some(FieldType { name: name.clone(), data_type: unify(field.data_type, other.data_type)? })
            });
            Nested::Struct(fields.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(nested(shape))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::super::interned::{list_of, struct_of};
    use super::DataType::*;
    use super::*;

    #[test]
    fn integers_meet_in_the_least_that_holds_both() {
        for (a, b, meet) in [
            (Int8, Int32, Int32),
            (UInt8, UInt16, UInt16),
            (UInt8, Int8, Int16),
            (UInt8, Int16, Int16),
            (UInt16, Int32, Int32),
            (UInt32, Int32, Int64),
            (UInt64, Int8, Int128),
            (Int128, UInt64, Int128),
            (UInt64, Decimal { precision: 4, scale: 2 }, Decimal { precision: 22, scale: 2 }),
            (Int128, Float32, Float64),
        ] {
            assert_eq!(unify(a, b), Some(meet), "{a} and {b}");
            assert_eq!(unify(b, a), Some(meet), "{b} and {a}");
        }
    }

    #[test]
    fn nested_types_meet_part_by_part() {
        let list = |element| list_of(element).unwrap();
        assert_eq!(unify(list(Null), list(Varchar)), Some(list(Varchar)));
        assert_eq!(
            unify(list(Int32), list(Decimal { precision: 3, scale: 1 })),
            Some(list(DataType::decimal(11, 1)))
        );
        assert_eq!(unify(list(Int32), list(Varchar)), None);
        let fields = |names: [&str; 2], types: [DataType; 2]| {
            struct_of(names.into_iter().map(String::from).zip(types)).unwrap()
        };
        assert_eq!(
            unify(fields(["a", "b"], [Int8, Varchar]), fields(["B", "a"], [Null, Int64])),
            Some(fields(["a", "b"], [Int64, Varchar]))
        );
        assert_eq!(unify(fields(["a", "b"], [Int8, Int8]), fields(["a", "c"], [Int8, Int8])), None);
        assert_eq!(
            unify(fields(["", ""], [Int8, Int8]), fields(["x", "y"], [Int16, Int8])),
            Some(fields(["x", "y"], [Int16, Int8]))
        );
    }
}
