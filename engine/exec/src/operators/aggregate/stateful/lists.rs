//! Lists and maps of all values of a group. Packed elements lie one after the other, so that a list is put together as a
//! text is, and their bytes order as their values do.

use super::collected::LONGEST_BYTES;
use crate::{Error, Result};
use columnar::packed::{MAX_ELEMENTS, append_scalar};
use columnar::{DataType, Scalar};
use std::collections::HashSet;

/// Before an element that is there, before a null, and after the last element.
const PRESENT: u8 = 1;
const NULL: u8 = 2;
const END: u8 = 0;

/// Bytes of a list or map that grows.
struct Growing<'a> {
    name: &'a str,
    bytes: Vec<u8>,
    elements: usize,
}

impl<'a> Growing<'a> {
    fn new(name: &'a str) -> Growing<'a> {
        Growing { name, bytes: Vec::new(), elements: 0 }
    }

    /// Adds a part, null or not.
    fn part(&mut self, scalar: &Scalar, data_type: DataType) -> Result<()> {
        match scalar {
            Scalar::Null => self.bytes.push(NULL),
            scalar => {
                self.bytes.push(PRESENT);
                append_scalar(&mut self.bytes, scalar, data_type)?;
            }
        }
        self.check()
    }

    /// Adds bytes that are packed already.
    fn packed(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.push(PRESENT);
        self.bytes.extend_from_slice(bytes);
        self.check()
    }

    /// One more element is there.
    fn counted(&mut self) -> Result<()> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            let what = format!("a result of {}() of more than {MAX_ELEMENTS} elements", self.name);
            return Err(Error::Value(columnar::Error::OutOfRange { what }));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.bytes.len() > LONGEST_BYTES {
            let what = format!("a result of {}() of more than {} MiB", self.name, LONGEST_BYTES >> 20);
            return Err(Error::Value(columnar::Error::OutOfRange { what }));
        }
        Ok(())
    }

    fn finish(mut self) -> Scalar {
        self.bytes.push(END);
        Scalar::Bytes(self.bytes)
    }
}

/// The list of the values, which are of that type.
pub(super) fn list(values: impl Iterator<Item = Scalar>, data_type: DataType) -> Result<Scalar> {
    let mut list = Growing::new("array_agg");
    for value in values {
        list.counted()?;
        list.part(&value, data_type)?;
    }
    Ok(list.finish())
}

/// The map of the entries, whose keys, which are not null, and values are of these types.
pub(super) fn map(
    entries: impl Iterator<Item = (Scalar, Scalar)>,
    (key_type, value_type): (DataType, DataType),
) -> Result<Scalar> {
    let mut map = Growing::new("map_agg");
    let mut seen = HashSet::new();
    for (key, value) in entries {
        let packed = packed(&key, key_type)?;
        map.counted()?;
        map.packed(&packed)?;
        map.part(&value, value_type)?;
        if !seen.insert(packed) {
            let key = columnar::Value::new(key_type, key);
            let told = format!("two entries of a MAP have the key {key}");
            return Err(Error::Value(columnar::Error::Told(told)));
        }
    }
    Ok(map.finish())
}

/// The map from each of the values, none of them null, to how often it comes.
pub(super) fn histogram(values: impl Iterator<Item = Scalar>, data_type: DataType) -> Result<Scalar> {
    let mut sorted = values.map(|value| packed(&value, data_type)).collect::<Result<Vec<_>>>()?;
    sorted.sort_unstable();
    let mut map = Growing::new("histogram");
    for run in sorted.chunk_by(|a, b| a == b) {
        map.counted()?;
        map.packed(&run[0])?;
        map.part(&Scalar::Integer(run.len() as i128), DataType::UInt64)?;
    }
    Ok(map.finish())
}

/// The bytes of a value; of null, none.
pub(super) fn packed(value: &Scalar, data_type: DataType) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if !matches!(value, Scalar::Null) {
        append_scalar(&mut bytes, value, data_type)?;
    }
    Ok(bytes)
}
