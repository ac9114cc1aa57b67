//! Packed nested values to Arrow arrays, level by level.

use super::export::malformed;
use super::types::{Strings, arrow_type_of};
use crate::error::{Error, Result};
use crate::packed::{Elements, parts, scalar_of};
use crate::types::{DataType, Nested};
use crate::{Scalar, Vector};
use ::arrow::array::{ArrayRef, FixedSizeListArray, ListArray, MapArray, StructArray};
use ::arrow::buffer::{NullBuffer, OffsetBuffer};
use ::arrow::datatypes::{DataType as ArrowType, Fields};
use std::sync::Arc;

/// The values, of which each is packed bytes or null, as an array of the type that [`arrow_type_of`] names.
///
/// # Errors
/// Bytes that are no values of the type; more than 2^31 elements; what the type itself cannot say in Arrow.
pub(super) fn array(rows: &[Option<&[u8]>], data_type: DataType, strings: Strings) -> Result<ArrayRef> {
    let DataType::Nested(kind) = data_type else {
        let scalars =
            rows.iter().map(|row| row.map_or(Ok(Scalar::Null), |bytes| scalar_of(bytes, data_type)));
        let scalars = scalars.collect::<Result<Vec<_>>>()?;
        return super::export::array(&Vector::from_scalars(data_type, &scalars), strings);
    };
    let nulls = NullBuffer::from_iter(rows.iter().map(Option::is_some));
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let wrong = || Error::Malformed(format!("{data_type} in Arrow"));
    Ok(match (&kind.info().shape, arrow_type_of(data_type, strings)) {
        (Nested::List(element), ArrowType::List(field)) => {
            let (elements, offsets) = gathered(rows, data_type)?;
            let elements = array(&elements, *element, strings)?;
            Arc::new(ListArray::try_new(field, offsets, elements, nulls).map_err(malformed)?)
        }
        (Nested::Array { element, len }, ArrowType::FixedSizeList(field, size)) => {
            let mut elements = Vec::with_capacity(rows.len() * *len as usize);
            for row in rows {
                match row {
                    Some(bytes) => {
                        for part in Elements::new(bytes, data_type) {
                            elements.push(part?.0);
                        }
                    }
                    None => elements.extend(std::iter::repeat_n(None, *len as usize)),
                }
            }
            let elements = array(&elements, *element, strings)?;
            Arc::new(FixedSizeListArray::try_new(field, size, elements, nulls).map_err(malformed)?)
        }
        (Nested::Struct(fields), ArrowType::Struct(names)) => {
            let types: Vec<DataType> = fields.iter().map(|field| field.data_type).collect();
            Arc::new(record(rows, &types, names, nulls, strings)?)
        }
        (Nested::Map { key, value }, ArrowType::Map(field, sorted)) => {
            let (entries, offsets) = gathered(rows, data_type)?;
            let ArrowType::Struct(names) = field.data_type().clone() else { return Err(wrong()) };
            let entries = record(&entries, &[*key, *value], names, None, strings)?;
            Arc::new(MapArray::try_new(field, offsets, entries, nulls, sorted).map_err(malformed)?)
        }
        _ => return Err(wrong()),
    })
}

type Parts<'a> = Vec<Option<&'a [u8]>>;

/// The elements of all lists one after the other, and where each list begins.
fn gathered<'a>(rows: &[Option<&'a [u8]>], data_type: DataType) -> Result<(Parts<'a>, OffsetBuffer<i32>)> {
    let (mut elements, mut offsets) = (Vec::new(), vec![0_i32]);
    for row in rows {
        if let Some(bytes) = row {
            for part in Elements::new(bytes, data_type) {
                elements.push(part?.0);
            }
        }
        let end = i32::try_from(elements.len());
        offsets
            .push(end.map_err(|_| Error::OutOfRange { what: "2^31 elements in one batch of Arrow".into() })?);
    }
    Ok((elements, OffsetBuffer::new(offsets.into())))
}

fn record(
    rows: &[Option<&[u8]>],
    types: &[DataType],
    names: Fields,
    nulls: Option<NullBuffer>,
    strings: Strings,
) -> Result<StructArray> {
    let mut columns: Vec<Parts<'_>> = vec![Vec::with_capacity(rows.len()); types.len()];
    for row in rows {
        let values = match row {
            Some(bytes) => parts(bytes, types.iter().copied())?,
            None => vec![None; types.len()],
        };
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let arrays = columns.iter().zip(types).map(|(column, data_type)| array(column, *data_type, strings));
    StructArray::try_new(names, arrays.collect::<Result<_>>()?, nulls).map_err(malformed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;
    use crate::packed::{pack_list, pack_struct};
    use crate::types::{list_of, struct_of};
    use ::arrow::util::display::{ArrayFormatter, FormatOptions};

    #[test]
    fn lists_of_structs_leave_as_arrow_has_them() {
        let row = struct_of([("a".into(), DataType::Int32), ("b".into(), DataType::Varchar)]).unwrap();
        let list = list_of(row).unwrap();
        let record = |a: Scalar, b: &str| {
            let mut out = Vec::new();
            let b = Scalar::Bytes(b.into());
            pack_struct(&mut out, [(&a, DataType::Int32), (&b, DataType::Varchar)]).unwrap();
            Scalar::Bytes(out)
        };
        let mut packed = Vec::new();
        let records = [record(Scalar::Integer(7), "x"), Scalar::Null, record(Scalar::Null, "")];
        pack_list(&mut packed, &records, row, false).unwrap();
        let array = array(&[Some(&packed), None, Some(&[0])], list, Strings::Offsets).unwrap();
        assert_eq!(array.data_type(), &arrow_type_of(list, Strings::Offsets));
        let options = FormatOptions::default().with_null("null");
        let shown = ArrayFormatter::try_new(&array, &options).unwrap();
        let rows: Vec<String> = (0..3).map(|row| shown.value(row).to_string()).collect();
        assert_eq!(rows, ["[{a: 7, b: x}, null, {a: null, b: }]", "null", "[]"]);
        assert!(super::array(&[Some(&[1])], list, Strings::Offsets).is_err());
    }
}
