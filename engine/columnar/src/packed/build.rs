//! Packed values from their parts.

use super::value::append_scalar;
use crate::error::{Error, Result};
use crate::scalar::Scalar;
use crate::types::DataType;

pub(super) use super::MAX_BYTES as MOST_BYTES;

/// The bytes of a list of these elements; of a fixed array without the end.
///
/// # Errors
/// More elements or bytes than a list may have; an element that is none of the type.
pub fn pack_list<'a>(
    into: &mut Vec<u8>,
    elements: impl IntoIterator<Item = &'a Scalar>,
    element: DataType,
    is_array: bool,
) -> Result<()> {
    let start = into.len();
    for (place, value) in elements.into_iter().enumerate() {
        if place >= super::MAX_ELEMENTS {
            return Err(Error::OutOfRange {
                what: format!("a list of more than {} elements", super::MAX_ELEMENTS),
            });
        }
        part(into, value, element)?;
        if into.len() - start > MOST_BYTES {
            return Err(Error::OutOfRange { what: format!("a list of more than {MOST_BYTES} bytes") });
        }
    }
    if !is_array {
        into.push(0);
    }
    Ok(())
}

/// The bytes of a struct of these fields.
///
/// # Errors
/// As [`pack_list`].
pub fn pack_struct<'a>(
    into: &mut Vec<u8>,
    fields: impl IntoIterator<Item = (&'a Scalar, DataType)>,
) -> Result<()> {
    let start = into.len();
    for (value, data_type) in fields {
        part(into, value, data_type)?;
    }
    if into.len() - start > MOST_BYTES {
        return Err(Error::OutOfRange { what: format!("a struct of more than {MOST_BYTES} bytes") });
    }
    Ok(())
}

/// The bytes of a map of these entries, in their order.
///
/// # Errors
/// As [`pack_list`]; a key that is null or occurs twice.
pub fn pack_map<'a>(
    into: &mut Vec<u8>,
    entries: impl IntoIterator<Item = (&'a Scalar, &'a Scalar)>,
    key: DataType,
    value: DataType,
) -> Result<()> {
    let start = into.len();
    let mut keys = std::collections::HashSet::new();
    for (name, item) in entries {
        let mut own = Vec::new();
        match name {
            Scalar::Null => return Err(Error::Told("a key of a MAP is null".into())),
            name => append_scalar(&mut own, name, key)?,
        }
        into.push(1);
        into.extend_from_slice(&own);
        part(into, item, value)?;
        if !keys.insert(own) {
            let name = crate::Value::new(key, name.clone());
            return Err(Error::Told(format!("two entries of a MAP have the key '{name}'")));
        }
        if keys.len() > super::MAX_ELEMENTS || into.len() - start > MOST_BYTES {
            return Err(Error::OutOfRange { what: "a MAP of so many entries".into() });
        }
    }
    into.push(0);
    Ok(())
}

/// A marker, and the value where there is one.
pub(super) fn part(into: &mut Vec<u8>, value: &Scalar, data_type: DataType) -> Result<()> {
    match value {
        Scalar::Null => into.push(2),
        value => {
            into.push(1);
            append_scalar(into, value, data_type)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::super::{Elements, len_of, scalar_of, text};
    use super::*;
    use crate::types::{Nested, list_of, nested, struct_of};

    fn bytes(text: &str) -> Scalar {
        Scalar::Bytes(text.as_bytes().to_vec())
    }

    fn list(elements: &[Scalar], element: DataType) -> Vec<u8> {
        let mut out = Vec::new();
        pack_list(&mut out, elements, element, false).unwrap();
        out
    }

    #[test]
    fn what_is_packed_is_read_back_and_written() {
        let values = [Scalar::Integer(-3), Scalar::Null, Scalar::Integer(70_000)];
        let packed = list(&values, DataType::Int32);
        let kind = list_of(DataType::Int32).unwrap();
        let read: Vec<Scalar> =
            Elements::new(&packed, kind).map(|part| part.unwrap().scalar(DataType::Int32).unwrap()).collect();
        assert_eq!(read, values);
        assert_eq!(text(&packed, kind.as_nested().unwrap()).unwrap(), "[-3, NULL, 70000]");

        let words = ["a b", "c,d", "", "null", "it's", " x", "b\\", "é", "a\0b"].map(bytes);
        let packed = list(&words, DataType::Varchar);
        let kind = list_of(DataType::Varchar).unwrap();
        let read: Vec<Scalar> = Elements::new(&packed, kind)
            .map(|part| part.unwrap().scalar(DataType::Varchar).unwrap())
            .collect();
        assert_eq!(read, words);
        assert_eq!(
            text(&packed, kind.as_nested().unwrap()).unwrap(),
            "[a b, 'c,d', '', 'null', 'it\\'s', ' x', 'b\\\\', é, a\0b]"
        );

        let row = struct_of([("a".into(), DataType::Boolean), ("b c".into(), kind)]).unwrap();
        let mut packed_row = Vec::new();
        let fields = [(&Scalar::Boolean(true), DataType::Boolean), (&Scalar::Bytes(packed.clone()), kind)];
        pack_struct(&mut packed_row, fields).unwrap();
        assert_eq!(scalar_of(&packed_row, row).unwrap(), Scalar::Bytes(packed_row.clone()));
        assert!(
            text(&packed_row, row.as_nested().unwrap()).unwrap().starts_with("{'a': true, 'b c': [a b, ")
        );
        for end in 0..packed_row.len() {
            assert!(len_of(&packed_row[..end], row).is_err(), "cut at {end}");
        }

        let map = nested(Nested::Map { key: DataType::Varchar, value: DataType::Int8 }).unwrap();
        let (one, two) = (bytes("k"), bytes("l=m"));
        let mut packed = Vec::new();
        let entries = [(&one, &Scalar::Integer(1)), (&two, &Scalar::Null)];
        pack_map(&mut packed, entries, DataType::Varchar, DataType::Int8).unwrap();
        assert_eq!(text(&packed, map.as_nested().unwrap()).unwrap(), "{k=1, 'l=m'=NULL}");
        let twice = [(&one, &Scalar::Null), (&one, &Scalar::Null)];
        assert!(pack_map(&mut Vec::new(), twice, DataType::Varchar, DataType::Int8).is_err());
        let null = [(&Scalar::Null, &Scalar::Null)];
        assert!(pack_map(&mut Vec::new(), null, DataType::Varchar, DataType::Int8).is_err());
    }

    #[test]
    fn bytes_have_the_order_of_values() {
        let integers = |values: &[i128]| {
            let values: Vec<Scalar> = values.iter().map(|value| Scalar::Integer(*value)).collect();
            list(&values, DataType::Int16)
        };
        let ascending = [&[][..], &[-5], &[-5, 3], &[0], &[1], &[1, -1], &[2], &[300]].map(integers);
        assert!(ascending.is_sorted());
        let texts =
            ["", "a", "a\0", "a\0b", "a b", "ab", "b"].map(|word| list(&[bytes(word)], DataType::Varchar));
        assert!(texts.is_sorted(), "{texts:?}");
        let floats = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY, f64::NAN];
        let floats = floats.map(|value| list(&[Scalar::Float(value)], DataType::Float64));
        assert!(floats.is_sorted());
        assert_eq!(floats[2], floats[3]);
        // Nulls within are above all and equal to each other.
        assert!(list(&[Scalar::Null], DataType::Int16) > integers(&[i128::from(i16::MAX)]));
    }
}
