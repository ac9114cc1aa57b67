//! Functions of lists, structs and maps. Values are packed bytes, which are equal where the values are and
//! ordered as they are, so that elements are searched, sorted and made distinct without reading them.

use super::arguments::out_of_range;
use super::{Arguments, Function, Parameter, Returns};
use columnar::packed::{self, Elements, MAX_ELEMENTS};
use columnar::types::{Nested, list_of};
use columnar::{DataType, Error, Result, Scalar, Value, Vector};

const LIST: Parameter = Parameter::List;
const ELEMENT: Parameter = Parameter::Element;
const INT: Parameter = Parameter::Exact(DataType::Int64);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);
const RETURNS_BOOLEAN: Returns = Returns::Type(DataType::Boolean);
/// The type of the elements of the first argument.
const RETURNS_ELEMENT: Returns = Returns::Of(|types| element_of(types.first().copied()));

fn element_of(list: Option<DataType>) -> DataType {
    list.and_then(DataType::as_nested).and_then(|kind| kind.element()).unwrap_or(DataType::Null)
}

/// Lists of the type of the argument at the place.
fn list(element: DataType) -> DataType {
    // Only a type that is as deep as types go has no list of it, and then there is no such value either.
    list_of(element).unwrap_or(DataType::Null)
}

pub(super) fn functions() -> Vec<Function> {
    let mut functions = making();
    functions.extend(reading());
    functions.extend(changing());
    functions.extend(records());
    functions
}

fn making() -> Vec<Function> {
    vec![
        Function::new("list_value", "A list of the arguments, also written `[…]`.", "list_value(1, NULL, 3) → [1, NULL, 3]")
            .aliases(&["list_pack"])
            .with_fallible(
                &[Parameter::Same],
                Returns::Of(|types| list(types.first().copied().unwrap_or(DataType::Null))),
                |args, data_type| {
                    let element = element_of(Some(data_type));
                    each(args, data_type, |row| {
                        let elements: Vec<Scalar> = args.flats.iter().map(|flat| flat.scalar(row)).collect();
                        packed_list(&elements, element).map(Some)
                    })
                },
            )
            .variadic()
            .sees_nulls(),
        Function::new(
            "string_to_array",
            "The parts of a text between separators; all its characters where that is null; parts that are the third argument are null.",
            "string_to_array('a,b,,', ',', '') → [a, b, NULL, NULL]",
        )
                .with_fallible(&[TEXT, TEXT], Returns::Of(|_| list(DataType::Varchar)), split)
        .sees_nulls()
        .with_fallible(&[TEXT, TEXT, TEXT], Returns::Of(|_| list(DataType::Varchar)), split)
        .sees_nulls(),
        Function::new(
            "array_to_string",
            "The elements of a list as text with a separator between; nulls are left out, or are the third argument.",
            "array_to_string([1, NULL, 3], ', ', '*') → 1, *, 3",
        )
        .aliases(&["list_to_string"])
        .with_fallible(&[LIST, TEXT], Returns::Type(DataType::Varchar), join)
        .with_fallible(&[LIST, TEXT, TEXT], Returns::Type(DataType::Varchar), join)
        .sees_nulls(),
    ]
}

fn reading() -> Vec<Function> {
    vec![
        Function::new("length", "", "").with_fallible(&[LIST], RETURNS_INT, count),
        Function::new("array_length", "The number of elements of a list; null where it has none, as PostgreSQL has it.", "array_length([1, 2], 1) → 2")
            .with_fallible(&[LIST], RETURNS_INT, count)
            .with_fallible(&[LIST, INT], RETURNS_INT, |args, data_type| {
                let levels = args.integers(1);
                each(args, data_type, |row| {
                    let len = elements(args, 0, row)?.len() as i128;
                    Ok((levels[row] == 1 && len > 0).then_some(Scalar::Integer(len)))
                })
            })
            .nullable(),
        Function::new("cardinality", "The number of elements of a list or entries of a map.", "cardinality([1, 2]) → 2")
            .with_fallible(&[Parameter::Map], RETURNS_INT, count)
            .with_fallible(&[LIST], RETURNS_INT, count),
        Function::new(
            "list_extract",
            "The element at a place, counted from 1, or from the end below 0; also written `l[i]`.",
            "list_extract(['a', 'b', 'c'], -1) → c",
        )
        .aliases(&["list_element", "array_extract"])
        .with_fallible(&[LIST, INT], RETURNS_ELEMENT, |args, data_type| {
            let places = args.integers(1);
            each(args, data_type, |row| {
                let elements = elements(args, 0, row)?;
                let Some(place) = place_of(places[row], elements.len()) else { return Ok(None) };
                elements[place].map(|bytes| packed::scalar_of(bytes, data_type)).transpose()
            })
        })
        .nullable(),
        Function::new(
            "list_contains",
            "Whether an element equals the value.",
            "list_contains([1, 2, NULL], 2) → true",
        )
        .aliases(&["array_contains", "list_has", "array_has"])
        .with_fallible(&[LIST, ELEMENT], RETURNS_BOOLEAN, |args, data_type| {
            each(args, data_type, |row| {
                let wanted = packed_of(args, 1, row)?;
                let found = elements(args, 0, row)?.contains(&Some(&wanted));
                Ok(Some(Scalar::Boolean(found)))
            })
        }),
        Function::new(
            "list_position",
            "The place of the first element that equals the value, from 1; null where there is none.",
            "list_position(['a', 'b'], 'b') → 2",
        )
        .aliases(&["array_position", "list_indexof", "array_indexof"])
        .with_fallible(&[LIST, ELEMENT], Returns::Type(DataType::Int32), |args, data_type| {
            each(args, data_type, |row| {
                if args.flats[0].is_null(row) {
                    return Ok(None);
                }
                let wanted = optional_packed(args, 1, row)?;
                let found = elements(args, 0, row)?.iter().position(|element| *element == wanted.as_deref());
                Ok(found.map(|place| Scalar::Integer(place as i128 + 1)))
            })
        })
        .sees_nulls(),
        Function::new(
            "any_of",
            "Whether a comparison (`=`, `<>`, `<`, `<=`, `>`, `>=`) of a value with some element is true; also written `x = ANY (l)`.",
            "any_of([1, 5], 3, '<') → true",
        )
        .with_fallible(&[LIST, ELEMENT, TEXT], RETURNS_BOOLEAN, |args, data_type| {
            each(args, data_type, |row| {
                let value = packed_of(args, 1, row)?;
                let test: fn(&[u8], &[u8]) -> bool = match args.text(2, row) {
                    "=" => |a, b| a == b,
                    "<>" => |a, b| a != b,
                    "<" => |a, b| a < b,
                    "<=" => |a, b| a <= b,
                    ">" => |a, b| a > b,
                    ">=" => |a, b| a >= b,
                    sign => return Err(Error::Told(format!("'{sign}' is no comparison"))),
                };
                let elements = elements(args, 0, row)?;
                let found = elements.iter().flatten().any(|element| test(&value, element));
                Ok((found || !elements.contains(&None)).then_some(Scalar::Boolean(found)))
            })
        })
        .nullable(),
        Function::new("list_has_any", "Whether two lists share an element that is not null.", "list_has_any([1, 2], [2, 3]) → true")
            .aliases(&["array_has_any", "&&"])
            .with_fallible(&[LIST, LIST], RETURNS_BOOLEAN, |args, data_type| {
                overlaps(args, data_type, |a, b| a.iter().any(|element| element.is_some() && b.contains(element)))
            }),
        Function::new("list_has_all", "Whether the first list has every element of the second, nulls left out.", "list_has_all([1, 2], [2]) → true")
            .aliases(&["array_has_all"])
            .with_fallible(&[LIST, LIST], RETURNS_BOOLEAN, has_all),
        Function::new("@>", "", "").with_fallible(&[LIST, LIST], RETURNS_BOOLEAN, has_all),
        Function::new("<@", "Whether the second list has every element of the first, nulls left out.", "[2] <@ [1, 2] → true")
            .aliases(&[])
            .with_fallible(&[LIST, LIST], RETURNS_BOOLEAN, |args, data_type| {
                overlaps(args, data_type, |a, b| a.iter().all(|element| element.is_none() || b.contains(element)))
            }),
    ]
}

fn has_all(args: &Arguments, data_type: DataType) -> Result<Vector> {
    overlaps(args, data_type, |a, b| b.iter().all(|element| element.is_none() || a.contains(element)))
}

fn changing() -> Vec<Function> {
    let first = || Returns::First;
    vec![
        Function::new(
            "list_slice",
            "The elements from one place to another, both with it, counted from 1 or from the end below 0; also written `l[a:b]`. A step comes last.",
            "list_slice([1, 2, 3, 4], 2, 3) → [2, 3]",
        )
        .aliases(&["array_slice"])
        .with_fallible(&[LIST, INT, INT], first(), slice)
        .sees_nulls()
        .with_fallible(&[LIST, INT, INT, INT], first(), slice)
        .sees_nulls(),
        Function::new("list_concat", "Lists one after the other; also written `a || b`. Null lists are left out.", "list_concat([1], [2, 3]) → [1, 2, 3]")
            .aliases(&["list_cat", "array_concat", "array_cat"])
            .with_fallible(&[LIST], first(), concat)
            .variadic()
            .sees_nulls(),
        Function::new("||", "", "")
            .with_fallible(&[LIST, LIST], first(), concat)
            .sees_nulls()
            .with_fallible(&[LIST, ELEMENT], first(), append)
            .sees_nulls()
            .with_fallible(&[ELEMENT, LIST], Returns::Of(|types| types.get(1).copied().unwrap_or(DataType::Null)), prepend)
            .sees_nulls(),
        Function::new("list_append", "The list with a value at its end.", "list_append([1, 2], 3) → [1, 2, 3]")
            .aliases(&["array_append", "array_push_back"])
            .with_fallible(&[LIST, ELEMENT], first(), append)
            .sees_nulls(),
        Function::new("list_prepend", "The list with a value at its start.", "list_prepend(0, [1, 2]) → [0, 1, 2]")
            .aliases(&["array_prepend"])
            .with_fallible(&[ELEMENT, LIST], Returns::Of(|types| types.get(1).copied().unwrap_or(DataType::Null)), prepend)
            .sees_nulls(),
        Function::new("list_distinct", "The different elements, nulls left out, in the order in which they come first.", "list_distinct([2, 1, 2, NULL]) → [2, 1]")
            .aliases(&["array_distinct"])
            .with_fallible(&[LIST], first(), |args, data_type| {
                reordered(args, data_type, |elements| {
            let mut seen = std::collections::HashSet::new();
            elements.retain(|element| element.is_some() && seen.insert(*element));
        })
            }),
        Function::new("list_sort", "The elements in ascending order, nulls last.", "list_sort([3, 1, NULL, 2]) → [1, 2, 3, NULL]")
            .aliases(&["array_sort"])
            .with_fallible(&[LIST], first(), |args, data_type| {
                reordered(args, data_type, |elements| {
            elements.sort_by_key(|element| (element.is_none(), *element));
        })
            }),
        Function::new("list_reverse_sort", "The elements in descending order, nulls first.", "list_reverse_sort([3, 1, NULL, 2]) → [NULL, 3, 2, 1]")
            .aliases(&["array_reverse_sort"])
            .with_fallible(&[LIST], first(), |args, data_type| {
                reordered(args, data_type, |elements| {
            elements.sort_by_key(|element| std::cmp::Reverse((element.is_none(), *element)));
        })
            }),
        Function::new("list_reverse", "The elements in the opposite order.", "list_reverse([1, 2, 3]) → [3, 2, 1]")
            .aliases(&["array_reverse"])
            .with_fallible(&[LIST], first(), |args, data_type| {
                reordered(args, data_type, |elements| elements.reverse())
            }),
        Function::new("list_unique", "How many different elements a list has, nulls left out.", "list_unique([1, 1, NULL, 2]) → 2")
            .aliases(&["array_unique"])
            .with_fallible(&[LIST], RETURNS_INT, |args, data_type| {
                each(args, data_type, |row| {
                    let different: std::collections::HashSet<_> = elements(args, 0, row)?.into_iter().flatten().collect();
                    Ok(Some(Scalar::Integer(different.len() as i128)))
                })
            }),
        Function::new("array_remove", "The list without the elements that equal the value.", "array_remove([1, 2, 1], 1) → [2]")
            .with_fallible(&[LIST, ELEMENT], first(), |args, data_type| {
                each(args, data_type, |row| {
                    if args.flats[0].is_null(row) {
                        return Ok(None);
                    }
                    let unwanted = optional_packed(args, 1, row)?;
                    let kept = elements(args, 0, row)?.into_iter().filter(|element| *element != unwanted.as_deref());
                    rebuilt(kept).map(Some)
                })
            })
            .sees_nulls(),
        Function::new("list_intersect", "The different elements that both lists have, in the first one's order.", "list_intersect([1, 2, 3], [3, 1]) → [1, 3]")
            .aliases(&["array_intersect"])
            .with_fallible(&[LIST, LIST], first(), |args, data_type| {
                each(args, data_type, |row| {
                    let other = elements(args, 1, row)?;
                    let mut seen = std::collections::HashSet::new();
                    let kept = elements(args, 0, row)?.into_iter();
                    rebuilt(kept.filter(|element| element.is_some() && other.contains(element) && seen.insert(*element))).map(Some)
                })
            }),
        Function::new("flatten", "The elements of the lists in a list, one after the other.", "flatten([[1], [2, 3]]) → [1, 2, 3]")
            .with_fallible(&[LIST], RETURNS_ELEMENT, |args, data_type| {
                if element_of(Some(data_type)) == DataType::Null && data_type != DataType::Null && data_type.as_nested().is_none() {
                    return Err(Error::Unsupported(format!("flatten of a list of {data_type}")));
                }
                each(args, data_type, |row| {
                    let mut inner = Vec::new();
                    for list in elements(args, 0, row)?.into_iter().flatten() {
                        for element in Elements::new(list, data_type) {
                            inner.push(element?.0);
                        }
                    }
                    rebuilt(inner.into_iter()).map(Some)
                })
            }),
    ]
}

fn records() -> Vec<Function> {
    vec![
        Function::new(
            "struct_pack",
            "A struct of the arguments, also written `{'a': 1}`.",
            "struct_pack(a := 1, b := 'x') → {'a': 1, 'b': x}",
        )
        .with_fallible(&[Parameter::Any], Returns::First, |args, data_type| {
            let fields = data_type.as_nested().map_or(&[][..], |kind| kind.fields());
            if fields.len() != args.len() {
                return Err(Error::Malformed(format!("{} fields for {data_type}", args.len())));
            }
            each(args, data_type, |row| {
                let values: Vec<Scalar> = args.flats.iter().map(|flat| flat.scalar(row)).collect();
                let mut bytes = Vec::new();
                packed::pack_struct(
                    &mut bytes,
                    values.iter().zip(fields.iter().map(|field| field.data_type)),
                )?;
                Ok(Some(Scalar::Bytes(bytes)))
            })
        })
        .variadic()
        .sees_nulls(),
        Function::new(
            "struct_extract_at",
            "The field of a struct at a place, counted from 1.",
            "struct_extract_at({'a': 1, 'b': 'x'}, 2) → x",
        )
        .with_fallible(&[Parameter::Struct, INT], Returns::First, |args, data_type| {
            let kind = args.data_type(0).as_nested();
            let fields = kind.map_or(&[][..], |kind| kind.fields());
            let places = args.integers(1);
            each(args, data_type, |row| {
                let values = packed::parts(args.bytes(0, row), fields.iter().map(|field| field.data_type))?;
                let place = place_of(places[row], fields.len())
                    .ok_or_else(|| out_of_range("the place of a field"))?;
                values[place].map(|bytes| packed::scalar_of(bytes, fields[place].data_type)).transpose()
            })
        })
        .nullable(),
        Function::new(
            "map",
            "A map of a list of keys and one of values, also written `MAP {'k': 1}`.",
            "map(['a', 'b'], [1, 2]) → {a=1, b=2}",
        )
        .with_fallible(&[LIST, Parameter::OtherList], Returns::Of(map_type), |args, data_type| {
            let Some((key, value)) = map_parts(data_type) else {
                return Err(Error::Malformed(format!("a map as {data_type}")));
            };
            each(args, data_type, |row| {
                let read = |index: usize, data_type: DataType| -> Result<Vec<Scalar>> {
                    let elements = elements(args, index, row)?.into_iter();
                    elements
                        .map(|bytes| {
                            bytes.map_or(Ok(Scalar::Null), |bytes| packed::scalar_of(bytes, data_type))
                        })
                        .collect()
                };
                let (keys, values) = (read(0, key)?, read(1, value)?);
                if keys.len() != values.len() {
                    return Err(Error::Told(format!(
                        "{} keys of a MAP and {} values",
                        keys.len(),
                        values.len()
                    )));
                }
                let mut bytes = Vec::new();
                packed::pack_map(&mut bytes, keys.iter().zip(&values), key, value)?;
                Ok(Some(Scalar::Bytes(bytes)))
            })
        }),
        Function::new(
            "map_extract_value",
            "The value of a key, null where the map has none; also written `m[k]`.",
            "map_extract_value(MAP {'a': 1}, 'a') → 1",
        )
        .with_fallible(
            &[Parameter::Map, Parameter::Key],
            Returns::Of(|types| {
                map_parts(types.first().copied().unwrap_or(DataType::Null))
                    .map_or(DataType::Null, |(_, value)| value)
            }),
            |args, data_type| {
                each(args, data_type, |row| {
                    let wanted = packed_of(args, 1, row)?;
                    let found = entries(args, row)?.into_iter().find(|(key, _)| *key == wanted);
                    found
                        .and_then(|(_, value)| value)
                        .map(|bytes| packed::scalar_of(bytes, data_type))
                        .transpose()
                })
            },
        )
        .nullable(),
        Function::new("map_contains", "Whether a map has a key.", "map_contains(MAP {'a': 1}, 'b') → false")
            .with_fallible(&[Parameter::Map, Parameter::Key], RETURNS_BOOLEAN, |args, data_type| {
                each(args, data_type, |row| {
                    let wanted = packed_of(args, 1, row)?;
                    Ok(Some(Scalar::Boolean(entries(args, row)?.iter().any(|(key, _)| *key == wanted))))
                })
            }),
        Function::new("map_keys", "The keys of a map.", "map_keys(MAP {'a': 1, 'b': 2}) → [a, b]")
            .with_fallible(
                &[Parameter::Map],
                Returns::Of(|types| map_list(types, true)),
                |args, data_type| {
                    each(args, data_type, |row| {
                        rebuilt(entries(args, row)?.into_iter().map(|(key, _)| Some(key))).map(Some)
                    })
                },
            ),
        Function::new("map_values", "The values of a map.", "map_values(MAP {'a': 1, 'b': 2}) → [1, 2]")
            .with_fallible(
                &[Parameter::Map],
                Returns::Of(|types| map_list(types, false)),
                |args, data_type| {
                    each(args, data_type, |row| {
                        rebuilt(entries(args, row)?.into_iter().map(|(_, value)| value)).map(Some)
                    })
                },
            ),
    ]
}

fn map_parts(data_type: DataType) -> Option<(DataType, DataType)> {
    match data_type.as_nested()?.info().shape {
        Nested::Map { key, value } => Some((key, value)),
        _ => None,
    }
}

fn map_type(types: &[DataType]) -> DataType {
    let element = |index: usize| element_of(types.get(index).copied());
    columnar::types::nested(Nested::Map { key: element(0), value: element(1) }).unwrap_or(DataType::Null)
}

fn map_list(types: &[DataType], keys: bool) -> DataType {
    let parts = types.first().copied().and_then(map_parts);
    parts.map_or(DataType::Null, |(key, value)| list(if keys { key } else { value }))
}

/// A key and its value, as packed bytes.
type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

/// Keys and values of a map.
fn entries(args: &Arguments, row: usize) -> Result<Vec<Entry<'_>>> {
    let Some((key, value)) = map_parts(args.data_type(0)) else { return Ok(Vec::new()) };
    let entries = Elements::new(args.bytes(0, row), args.data_type(0));
    entries
        .map(|entry| {
            let parts = packed::parts(entry?.0.unwrap_or_default(), [key, value])?;
            Ok((parts[0].unwrap_or_default(), parts[1]))
        })
        .collect()
}

/// A result made row by row, of the rows that are not null from the start.
fn each(
    args: &Arguments,
    data_type: DataType,
    mut compute: impl FnMut(usize) -> Result<Option<Scalar>>,
) -> Result<Vector> {
    let (mut scalars, mut bytes) = (Vec::with_capacity(args.rows), 0);
    for row in 0..args.rows {
        let value = if args.is_valid(row) { compute(row)? } else { None };
        if let Some(Scalar::Bytes(value)) = &value {
            bytes += value.len();
            if bytes > super::arguments::MOST_TEXT_BYTES {
                return Err(out_of_range("the lists that a function makes at once"));
            }
        }
        scalars.push(value.unwrap_or(Scalar::Null));
    }
    Ok(Vector::from_scalars(data_type, &scalars))
}

/// The elements of a list, as packed bytes.
fn elements(args: &Arguments, index: usize, row: usize) -> Result<Vec<Option<&[u8]>>> {
    if args.data_type(index).as_nested().is_none() || args.flats[index].is_null(row) {
        return Ok(Vec::new());
    }
    Elements::new(args.bytes(index, row), args.data_type(index)).map(|element| Ok(element?.0)).collect()
}

/// An argument that is not null, as an element's bytes.
fn packed_of(args: &Arguments, index: usize, row: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    packed::append_scalar(&mut bytes, &args.flats[index].scalar(row), args.data_type(index))?;
    Ok(bytes)
}

fn optional_packed(args: &Arguments, index: usize, row: usize) -> Result<Option<Vec<u8>>> {
    if args.flats[index].is_null(row) { Ok(None) } else { packed_of(args, index, row).map(Some) }
}

fn packed_list(elements: &[Scalar], element: DataType) -> Result<Scalar> {
    let mut bytes = Vec::new();
    packed::pack_list(&mut bytes, elements, element, false)?;
    Ok(Scalar::Bytes(bytes))
}

/// A list of elements that are packed.
fn rebuilt<'a>(elements: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Scalar> {
    let mut bytes = Vec::new();
    for (place, element) in elements.enumerate() {
        if place >= MAX_ELEMENTS {
            return Err(out_of_range("the elements of a list"));
        }
        match element {
            Some(element) => {
                bytes.push(1);
                bytes.extend_from_slice(element);
            }
            None => bytes.push(2),
        }
    }
    bytes.push(0);
    Ok(Scalar::Bytes(bytes))
}

/// Where the place, counted from 1 or from the end below 0, lies among as many elements.
fn place_of(place: i128, len: usize) -> Option<usize> {
    let len = len as i128;
    let place = match place {
        1.. => place - 1,
        0 => return None,
        _ => len + place,
    };
    (0..len).contains(&place).then_some(place as usize)
}

fn count(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_integers(data_type, |row| {
        let mut elements = Elements::new(args.bytes(0, row), args.data_type(0));
        let mut count = 0;
        while elements.advance()?.is_some() {
            count += 1;
        }
        Ok(count)
    })
}

/// Elements as packed bytes.
type Elems<'a> = [Option<&'a [u8]>];

fn overlaps(
    args: &Arguments,
    data_type: DataType,
    test: fn(&Elems<'_>, &Elems<'_>) -> bool,
) -> Result<Vector> {
    each(args, data_type, |row| {
        Ok(Some(Scalar::Boolean(test(&elements(args, 0, row)?, &elements(args, 1, row)?))))
    })
}

fn reordered(
    args: &Arguments,
    data_type: DataType,
    change: impl Fn(&mut Vec<Option<&[u8]>>),
) -> Result<Vector> {
    each(args, data_type, |row| {
        let mut elements = elements(args, 0, row)?;
        change(&mut elements);
        rebuilt(elements.into_iter()).map(Some)
    })
}

fn slice(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let (starts, ends) = (args.integers(1), args.integers(2));
    let steps = (args.len() > 3).then(|| args.integers(3));
    each(args, data_type, |row| {
        if args.flats[0].is_null(row) || args.len() > 3 && args.flats[3].is_null(row) {
            return Ok(None);
        }
        let elements = elements(args, 0, row)?;
        let len = elements.len() as i128;
        // A bound that is left out is null.
        let start = match starts[row] {
            _ if args.flats[1].is_null(row) => 1,
            start if start < 0 => (len + start + 1).max(1),
            start => start.max(1),
        };
        let end = match ends[row] {
            _ if args.flats[2].is_null(row) => len,
            end if end < 0 => len + end + 1,
            end => end.min(len),
        };
        let step = steps.as_ref().map_or(1, |steps| steps[row]);
        if step == 0 {
            return Err(Error::Told("the step of a slice is 0".into()));
        }
        let taken: Vec<_> =
            (start..=end).filter_map(|place| elements.get(place as usize - 1).copied()).collect();
        let by = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        if step > 0 {
            rebuilt(taken.into_iter().step_by(by)).map(Some)
        } else {
            rebuilt(taken.into_iter().rev().step_by(by)).map(Some)
        }
    })
}

fn concat(args: &Arguments, data_type: DataType) -> Result<Vector> {
    each(args, data_type, |row| {
        if args.nulls(row) == args.len() {
            return Ok(None);
        }
        let mut all = Vec::new();
        for index in 0..args.len() {
            all.extend(elements(args, index, row)?);
        }
        rebuilt(all.into_iter()).map(Some)
    })
}

type Spliced = (Vec<Option<Vec<u8>>>, Vec<Option<Vec<u8>>>);

/// The list of an argument with elements before and behind; a null list is taken for an empty one.
fn spliced(
    args: &Arguments,
    data_type: DataType,
    index: usize,
    more: impl Fn(usize) -> Result<Spliced>,
) -> Result<Vector> {
    each(args, data_type, |row| {
        let (before, behind) = more(row)?;
        let elements = elements(args, index, row)?;
        let before = before.iter().map(Option::as_deref);
        rebuilt(before.chain(elements).chain(behind.iter().map(Option::as_deref))).map(Some)
    })
}

fn append(args: &Arguments, data_type: DataType) -> Result<Vector> {
    spliced(args, data_type, 0, |row| Ok((Vec::new(), vec![optional_packed(args, 1, row)?])))
}

fn prepend(args: &Arguments, data_type: DataType) -> Result<Vector> {
    spliced(args, data_type, 1, |row| Ok((vec![optional_packed(args, 0, row)?], Vec::new())))
}

fn split(args: &Arguments, data_type: DataType) -> Result<Vector> {
    each(args, data_type, |row| {
        if args.flats[0].is_null(row) {
            return Ok(None);
        }
        let text = args.text(0, row);
        let parts: Vec<&str> = match args.text(1, row) {
            _ if text.is_empty() => Vec::new(),
            _ if args.flats[1].is_null(row) => text.split("").filter(|part| !part.is_empty()).collect(),
            "" => vec![text],
            separator => text.split(separator).collect(),
        };
        let null = (args.len() > 2 && !args.flats[2].is_null(row)).then(|| args.text(2, row));
        let parts = parts.into_iter().map(|part| match null {
            Some(null) if part == null => Scalar::Null,
            _ => Scalar::Bytes(part.as_bytes().to_vec()),
        });
        packed_list(&parts.collect::<Vec<_>>(), DataType::Varchar).map(Some)
    })
}

fn join(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let element = element_of(Some(args.data_type(0)));
    each(args, data_type, |row| {
        if args.flats[0].is_null(row) || args.flats[1].is_null(row) {
            return Ok(None);
        }
        let null = (args.len() > 2 && !args.flats[2].is_null(row)).then(|| args.text(2, row));
        let mut text = String::new();
        let mut is_first = true;
        for part in elements(args, 0, row)? {
            let part = match (part, null) {
                (Some(bytes), _) => Value::new(element, packed::scalar_of(bytes, element)?).to_string(),
                (None, Some(null)) => null.to_owned(),
                (None, None) => continue,
            };
            if !is_first {
                text.push_str(args.text(1, row));
            }
            is_first = false;
            text.push_str(&part);
        }
        Ok(Some(Scalar::Bytes(text.into_bytes())))
    })
}
