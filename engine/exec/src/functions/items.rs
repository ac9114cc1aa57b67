//! Elements of packed lists as slices of their bytes, and lists made of such slices. Equal elements have equal
//! bytes, and the order of the bytes is that of the elements.

use super::arguments::{Arguments, out_of_range};
use columnar::packed::{Elements, MAX_ELEMENTS, append_scalar};
use columnar::types::Nested;
use columnar::{DataType, Error, Result, Scalar, Vector};

/// An element's bytes, or nothing for a null.
pub(crate) type Item<'a> = Option<&'a [u8]>;

/// What a list or fixed array is of.
pub(crate) fn element_of(list: DataType) -> Option<DataType> {
    match &list.as_nested()?.info().shape {
        Nested::List(element) | Nested::Array { element, .. } => Some(*element),
        _ => None,
    }
}

/// The types of a map's keys and values.
pub(crate) fn entry_of(map: DataType) -> Option<(DataType, DataType)> {
    match &map.as_nested()?.info().shape {
        Nested::Map { key, value } => Some((*key, *value)),
        _ => None,
    }
}

/// The type of the elements, of an argument that is known to be a list.
pub(crate) fn element_or_null(list: DataType) -> DataType {
    element_of(list).unwrap_or(DataType::Null)
}

/// The elements of a list, fixed array or map (entries as structs of key and value).
pub(crate) fn items_of(bytes: &[u8], list: DataType) -> Result<Vec<Item<'_>>> {
    Elements::new(bytes, list).map(|element| element.map(|element| element.0)).collect()
}

/// The fields of a struct, or the key and value of an entry: as a list would have them, but of many types.
pub(crate) fn fields_of<'a>(bytes: &'a [u8], types: &[DataType]) -> Result<Vec<Item<'a>>> {
    columnar::packed::parts(bytes, types.iter().copied())
}

/// The value of an element.
pub(crate) fn scalar_of(item: Item<'_>, data_type: DataType) -> Result<Scalar> {
    columnar::packed::Element(item).scalar(data_type)
}

/// Adds an element, or a field of a struct.
pub(crate) fn push(out: &mut Vec<u8>, item: Item<'_>) {
    match item {
        Some(bytes) => {
            out.push(1);
            out.extend_from_slice(bytes);
        }
        None => out.push(2),
    }
}

/// As [`push`], of a value that is not packed.
pub(crate) fn push_scalar(out: &mut Vec<u8>, scalar: &Scalar, data_type: DataType) -> Result<()> {
    match scalar {
        Scalar::Null => out.push(2),
        scalar => {
            out.push(1);
            append_scalar(out, scalar, data_type)?;
        }
    }
    Ok(())
}

/// Writes a list.
pub(crate) fn write<'a>(out: &mut Vec<u8>, items: impl IntoIterator<Item = Item<'a>>) -> Result<()> {
    let mut elements = 0;
    for item in items {
        elements += 1;
        check_elements(elements)?;
        push(out, item);
    }
    out.push(0);
    Ok(())
}

/// Refuses lists of too many elements.
pub(crate) fn check_elements(elements: usize) -> Result<()> {
    match elements > MAX_ELEMENTS {
        true => Err(Error::Told(format!("a list of {elements} elements; at most {MAX_ELEMENTS}"))),
        false => Ok(()),
    }
}

impl Arguments {
    /// The elements of an argument that is not null.
    pub(super) fn items(&self, index: usize, row: usize) -> Result<Vec<Item<'_>>> {
        items_of(self.bytes(index, row), self.data_type(index))
    }

    /// As [`Arguments::items`]; none of a null.
    pub(super) fn items_or_none(&self, index: usize, row: usize) -> Result<Vec<Item<'_>>> {
        if self.is_null(index, row) { Ok(Vec::new()) } else { self.items(index, row) }
    }

    pub(super) fn is_null(&self, index: usize, row: usize) -> bool {
        self.flats.get(index).is_none_or(|flat| flat.is_null(row))
    }

    /// The packed bytes of a value of any type; nothing of a null.
    pub(super) fn packed(&self, index: usize, row: usize) -> Result<Option<Vec<u8>>> {
        let flat = &self.flats[index];
        match flat.scalar(row) {
            Scalar::Null => Ok(None),
            scalar => {
                let mut bytes = Vec::new();
                append_scalar(&mut bytes, &scalar, flat.data_type)?;
                Ok(Some(bytes))
            }
        }
    }

    /// An argument as a 64-bit integer.
    pub(super) fn long(&self, index: usize, row: usize) -> Result<i64> {
        let value = self.flats[index].scalar(row).as_integer().unwrap_or(0);
        i64::try_from(value).map_err(|_| out_of_range("the place in a list"))
    }

    /// A result of any type, one value a row; nulls where the code says so or an argument of strict code is null.
    pub(super) fn map_scalars(
        &self,
        data_type: DataType,
        mut compute: impl FnMut(usize) -> Result<Scalar>,
    ) -> Result<Vector> {
        let compute = |row| if self.is_valid(row) { compute(row) } else { Ok(Scalar::Null) };
        let scalars = (0..self.rows).map(compute).collect::<Result<Vec<_>>>()?;
        Ok(Vector::from_scalars(data_type, &scalars))
    }

    /// A result of packed bytes; null where the code says `false`.
    pub(super) fn map_packed(
        &self,
        data_type: DataType,
        mut compute: impl FnMut(usize, &mut Vec<u8>) -> Result<bool>,
    ) -> Result<Vector> {
        let mut bytes = 0;
        let found = |row| {
            let mut out = Vec::new();
            let found = compute(row, &mut out)?;
            bytes += out.len();
            if bytes > MOST_BYTES {
                return Err(out_of_range("the size of the lists that a function makes at once"));
            }
            Ok(found.then_some(out))
        };
        self.or_null(found, |found, values| {
            found.map_bytes(data_type, |row, out| {
                out.extend_from_slice(&values[row]);
                Ok(())
            })
        })
    }
}

/// What the lists of one result may take.
pub(crate) const MOST_BYTES: usize = 256 << 20;
