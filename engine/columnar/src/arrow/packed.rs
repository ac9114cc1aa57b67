//! Nested Arrow arrays to packed values.

use super::import::vector;
use super::types::data_type_of as data_type_of_any;
use crate::error::{Error, Result};
use crate::packed::{MAX_BYTES, MAX_ELEMENTS, append_scalar};
use crate::types::{DataType, FieldType, Nested, nested};
use crate::view::ViewsBuilder;
use crate::{Bitmap, Flat, Values};
use ::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use ::arrow::buffer::NullBuffer;
use ::arrow::datatypes::{DataType as ArrowType, Field};
use std::collections::HashSet;

/// The type that a nested Arrow type has here; `column` names it in the error.
pub(super) fn data_type_of(column: &str, arrow: &ArrowType) -> Result<DataType> {
    let of = |field: &Field| data_type_of_any(column, field.data_type());
    let unsupported = || Error::Unsupported(format!("column \"{column}\": the nested type {arrow}"));
    let shape = match arrow {
        ArrowType::List(element)
        | ArrowType::LargeList(element)
        | ArrowType::ListView(element)
        | ArrowType::LargeListView(element) => Nested::List(of(element)?),
        ArrowType::FixedSizeList(element, len) => {
            Nested::Array { element: of(element)?, len: u32::try_from(*len).map_err(|_| unsupported())? }
        }
        ArrowType::Struct(fields) => {
            let field = |field: &std::sync::Arc<Field>| {
                Ok(FieldType { name: field.name().as_str().into(), data_type: of(field)? })
            };
            Nested::Struct(fields.iter().map(field).collect::<Result<_>>()?)
        }
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) if fields.len() == 2 => {
                Nested::Map { key: of(&fields[0])?, value: of(&fields[1])? }
            }
            _ => return Err(unsupported()),
        },
        _ => return Err(unsupported()),
    };
    nested(shape).map_err(|error| Error::Unsupported(format!("column \"{column}\": {error}: {arrow}")))
}

/// The values of a nested array, which is of the type `to`, as packed bytes; nulls as none.
///
/// # Errors
/// What no vector can hold, and a map with a key that is null or occurs twice.
pub(super) fn values(column: &str, array: &ArrayRef, to: DataType) -> Result<Values> {
    let level = Level::of(column, array, to)?;
    let mut packed = ViewsBuilder::default();
    let mut bytes = Vec::new();
    for row in 0..array.len() {
        bytes.clear();
        if !array.is_null(row) {
            level.append(&mut bytes, row)?;
        }
        packed.push(&bytes);
    }
    Ok(Values::View(packed.finish()))
}

/// An array and those within it.
struct Level<'a> {
    column: &'a str,
    nulls: Option<NullBuffer>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Leaf { values: Flat },
    List { places: Vec<(usize, usize)>, element: Box<Level<'a>>, ends: bool },
    Struct { fields: Vec<Level<'a>> },
    Map { places: Vec<(usize, usize)>, key: Box<Level<'a>>, value: Box<Level<'a>> },
}

impl<'a> Level<'a> {
    fn of(column: &'a str, array: &ArrayRef, data_type: DataType) -> Result<Level<'a>> {
        let wrong = || Error::Malformed(format!("column \"{column}\": {} as {data_type}", array.data_type()));
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let inner = |array: &ArrayRef, data_type| Level::of(column, array, data_type).map(Box::new);
        // A dictionary of nested values is packed as a leaf is.
        let shape = match (data_type, array.data_type()) {
            (DataType::Nested(kind), arrow)
                if arrow.is_nested() && !matches!(arrow, ArrowType::Dictionary(..)) =>
            {
                &kind.info().shape
            }
            _ => {
                let values = vector(column, array)?.flatten();
                if values.data_type != data_type {
                    return Err(wrong());
                }
                let nulls = values.validity.as_ref().map(null_buffer);
                return Ok(Level { column, nulls, kind: Kind::Leaf { values } });
            }
        };
        let kind = match (shape, array.data_type()) {
            (Nested::List(element), arrow) => {
                let (places, values) = match arrow {
                    ArrowType::List(_) => lists::<i32>(array),
                    ArrowType::LargeList(_) => lists::<i64>(array),
                    ArrowType::ListView(_) => list_views::<i32>(array),
                    ArrowType::LargeListView(_) => list_views::<i64>(array),
                    _ => return Err(wrong()),
                };
                let places = places.filter(|places| within(places, values)).ok_or_else(wrong)?;
                Kind::List { places, element: inner(values, *element)?, ends: true }
            }
            (Nested::Array { element, len }, ArrowType::FixedSizeList(..)) => {
                let (list, len) = (array.as_fixed_size_list(), *len as usize);
                // Sliced lists keep all values: the first of theirs is at `value_offset`.
                let first = list.value_offset_at(0);
                let places: Vec<_> = (0..array.len()).map(|row| (first + row * len, len)).collect();
                if list.value_length() as usize != len || !within(&places, list.values()) {
                    return Err(wrong());
                }
                Kind::List { places, element: inner(list.values(), *element)?, ends: false }
            }
            (Nested::Struct(fields), ArrowType::Struct(_)) => {
                let columns = array.as_struct().columns();
                if columns.len() != fields.len() || columns.iter().any(|part| part.len() != array.len()) {
                    return Err(wrong());
                }
                let parts = columns.iter().zip(fields);
                let fields = parts.map(|(part, field)| Level::of(column, part, field.data_type));
                Kind::Struct { fields: fields.collect::<Result<_>>()? }
            }
            (Nested::Map { key, value }, ArrowType::Map(..)) => {
                let map = array.as_map();
                let places = by_offsets(map.value_offsets()).ok_or_else(wrong)?;
                if !within(&places, map.keys()) || !within(&places, map.values()) {
                    return Err(wrong());
                }
                let (key, value) = (inner(map.keys(), *key)?, inner(map.values(), *value)?);
                Kind::Map { places, key, value }
            }
            _ => return Err(wrong()),
        };
        Ok(Level { column, nulls, kind })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Adds a marker, and the value where there is one.
    fn part(&self, out: &mut Vec<u8>, row: usize) -> Result<()> {
        if self.is_null(row) {
            out.push(2);
            return Ok(());
        }
        out.push(1);
        self.append(out, row)?;
        if out.len() > MAX_BYTES {
            let what = format!("a value of more than {MAX_BYTES} bytes in column \"{}\"", self.column);
            return Err(Error::OutOfRange { what });
        }
        Ok(())
    }

    /// Adds the value of a row that is not null.
    fn append(&self, out: &mut Vec<u8>, row: usize) -> Result<()> {
        match &self.kind {
            Kind::Leaf { values } => append_scalar(out, &values.scalar(row), values.data_type)?,
            Kind::List { places, element, ends } => {
                let (start, len) = self.elements(places, row)?;
                (start..start + len).try_for_each(|place| element.part(out, place))?;
                if *ends {
                    out.push(0);
                }
            }
            Kind::Struct { fields } => fields.iter().try_for_each(|field| field.part(out, row))?,
            Kind::Map { places, key, value } => {
                let (start, len) = self.elements(places, row)?;
                let mut keys = HashSet::with_capacity(len);
                for place in start..start + len {
                    let before = out.len();
                    key.part(out, place)?;
                    let own = out[before..].to_vec();
                    let of_column = format!("column \"{}\": a MAP has", self.column);
                    if own == [2] {
                        return Err(Error::Told(format!("{of_column} a null key")));
                    }
                    if !keys.insert(own) {
                        return Err(Error::Told(format!("{of_column} two entries of one key")));
                    }
                    value.part(out, place)?;
                }
                out.push(0);
            }
        }
        Ok(())
    }

    fn elements(&self, places: &[(usize, usize)], row: usize) -> Result<(usize, usize)> {
        let (start, len) = places[row];
        if len > MAX_ELEMENTS {
            return Err(Error::OutOfRange {
                what: format!(
                    "a list of {len} elements, at most {MAX_ELEMENTS}, in column \"{}\"",
                    self.column
                ),
            });
        }
        Ok((start, len))
    }
}

fn null_buffer(validity: &Bitmap) -> NullBuffer {
    (0..validity.len()).map(|row| validity.get(row)).collect::<Vec<bool>>().into()
}

/// Where the elements of each list start, and how many they are; `None` where an offset makes no sense.
type Places = Option<Vec<(usize, usize)>>;

fn by_offsets<T: OffsetSizeTrait>(offsets: &[T]) -> Places {
    let place = |pair: &[T]| {
        let (start, end) = (pair[0].to_usize()?, pair[1].to_usize()?);
        Some((start, end.checked_sub(start)?))
    };
    offsets.windows(2).map(place).collect()
}

fn lists<T: OffsetSizeTrait>(array: &ArrayRef) -> (Places, &ArrayRef) {
    let list = array.as_list::<T>();
    (by_offsets(list.value_offsets()), list.values())
}

fn list_views<T: OffsetSizeTrait>(array: &ArrayRef) -> (Places, &ArrayRef) {
    let list = array.as_list_view::<T>();
    let places = list.value_offsets().iter().zip(list.value_sizes());
    (places.map(|(start, len)| Some((start.to_usize()?, len.to_usize()?))).collect(), list.values())
}

fn within(places: &[(usize, usize)], values: &ArrayRef) -> bool {
    places.iter().all(|(start, len)| start.checked_add(*len).is_some_and(|end| end <= values.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;
    use crate::Value;
    use crate::arrow::{Strings, array, arrow_type_of};
    use ::arrow::array::*;
    use ::arrow::buffer::{OffsetBuffer, ScalarBuffer};
    use ::arrow::datatypes::Int32Type;
    use std::sync::Arc;

    fn shown(array: ArrayRef) -> Vec<String> {
        let imported = vector("c", &array).unwrap();
        (0..array.len())
            .map(|row| Value::new(imported.data_type(), imported.scalar(row)).to_string())
            .collect()
    }

    fn numbers() -> ListArray {
        let rows = [Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(3), Some(4), Some(5)])];
        ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
    }

    #[test]
    fn lists_of_all_forms_are_taken_in() {
        let list = numbers();
        let expected = ["[1, NULL]", "NULL", "[]", "[3, 4, 5]"];
        assert_eq!(shown(Arc::new(list.clone())), expected);
        assert_eq!(shown(Arc::new(list.slice(2, 2))), expected[2..]);
        let element = Arc::new(Field::new("element", ArrowType::Int32, true));
        let large = LargeListArray::try_new(
            element.clone(),
            OffsetBuffer::new(vec![0_i64, 2, 2, 2, 5].into()),
            list.values().clone(),
            list.nulls().cloned(),
        );
        assert_eq!(shown(Arc::new(large.unwrap())), expected);
        // Views may overlap and come in any order.
        let views = ListViewArray::try_new(
            element.clone(),
            ScalarBuffer::from(vec![3, 0, 2]),
            ScalarBuffer::from(vec![2, 2, 0]),
            list.values().clone(),
            None,
        );
        assert_eq!(shown(Arc::new(views.unwrap())), ["[4, 5]", "[1, NULL]", "[]"]);
        // A null whose range is not empty.
        let hidden = ListArray::try_new(
            element.clone(),
            OffsetBuffer::new(vec![0, 2, 5].into()),
            list.values().clone(),
            Some(vec![false, true].into()),
        );
        assert_eq!(shown(Arc::new(hidden.unwrap())), ["NULL", "[3, 4, 5]"]);
        let fixed = FixedSizeListArray::try_new(
            element,
            2,
            Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])),
            Some(vec![true, false, true].into()),
        );
        let fixed = fixed.unwrap();
        assert_eq!(shown(Arc::new(fixed.clone())), ["[1, 2]", "NULL", "[5, 6]"]);
        assert_eq!(shown(Arc::new(fixed.slice(1, 2))), ["NULL", "[5, 6]"]);
    }

    #[test]
    fn maps_have_each_key_once() {
        let map = |keys: Vec<&str>| {
            let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
            for (place, key) in keys.into_iter().enumerate() {
                builder.keys().append_value(key);
                builder.values().append_value(place as i32);
            }
            builder.append(true).unwrap();
            builder.append(false).unwrap();
            Arc::new(builder.finish()) as ArrayRef
        };
        assert_eq!(shown(map(vec!["a", "b"])), ["{a=0, b=1}", "NULL"]);
        let error = vector("tags", &map(vec!["a", "a"])).unwrap_err().to_string();
        assert!(error.contains("tags") && error.contains("one key"), "{error}");
    }

    #[test]
    fn what_leaves_comes_back() {
        let list = vector("c", &(Arc::new(numbers()) as ArrayRef)).unwrap();
        let words = Arc::new(StringArray::from(vec![Some("x"), None, Some("a\0b"), Some("")])) as ArrayRef;
        let row = StructArray::try_new(
            vec![
                Field::new("l", numbers().data_type().clone(), true),
                Field::new("w", ArrowType::Utf8, true),
            ]
            .into(),
            vec![Arc::new(numbers()), words],
            Some(vec![true, true, false, true].into()),
        );
        let row = vector("c", &(Arc::new(row.unwrap()) as ArrayRef)).unwrap();
        for vector in [list, row] {
            for strings in [Strings::Offsets, Strings::Views] {
                let out = array(&vector, strings).unwrap();
                assert_eq!(out.data_type(), &arrow_type_of(vector.data_type(), strings));
                let back = super::vector("c", &out).unwrap();
                assert_eq!(back.data_type(), vector.data_type());
                for row in 0..4 {
                    assert_eq!(back.scalar(row), vector.scalar(row));
                }
            }
        }
    }
}
