//! Maps of entries and entries of maps. A map is a list of entries in the order in which they came; keys are neither null nor twice
//! the same.

use super::arguments::Arguments;
use super::items::{Item, element_or_null, entry_of, fields_of, push, scalar_of, write};
use super::{Function, Parameter, Returns};
use columnar::types::{FieldType, Nested, TypeError, list_of, nested};
use columnar::{DataType, Error, Result, Value, Vector};
use std::collections::{HashMap, HashSet};

const MAP: Parameter = Parameter::Map;

type Typed = std::result::Result<DataType, TypeError>;

fn map_type(key: DataType, value: DataType) -> Typed {
    // Of no entries there is no key either.
    let key = if key == DataType::Null { DataType::Varchar } else { key };
    nested(Nested::Map { key, value })
}

fn first(types: &[DataType]) -> DataType {
    types.first().copied().unwrap_or(DataType::Null)
}

fn entry(types: &[DataType]) -> (DataType, DataType) {
    entry_of(first(types)).unwrap_or((DataType::Null, DataType::Null))
}

/// The type of a map's entries as rows.
fn entries_type(map: DataType) -> std::result::Result<DataType, TypeError> {
    let (key, value) = entry_of(map).unwrap_or((DataType::Null, DataType::Null));
    list_of(nested(Nested::Struct(
        [("key", key), ("value", value)]
            .into_iter()
            .map(|(name, data_type)| FieldType { name: name.into(), data_type })
            .collect(),
    ))?)
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "map_from_entries",
            "A map of rows of two.",
            "map_extract(map_from_entries([(1, 2)]), 1) → [2]",
        )
        .with_fallible(
            &[Parameter::OtherList],
            Returns::Nested(|types| match super::structs::types_of(element_or_null(first(types)))[..] {
                [key, value] => map_type(key, value),
                _ => map_type(DataType::Null, DataType::Null),
            }),
            from_entries,
        ),
        Function::new(
            "map_entries",
            "The entries as structs of key and value.",
            "len(map_entries(MAP {'a': 1})) → 1",
        )
        .with(&[MAP], Returns::Nested(|types| entries_type(first(types))), |args, data_type| {
            args.map_packed(data_type, |row, out| write(out, args.items(0, row)?).map(|()| true))
        }),
        Function::new(
            "map_extract",
            "The value of a key as a list of one, or none.",
            "map_extract(MAP {'a': 1}, 'a') → [1]",
        )
        .aliases(&["element_at"])
        .with(&[MAP, Parameter::Key], Returns::Nested(|types| list_of(entry(types).1)), |args, data_type| {
            args.map_packed(data_type, |row, out| {
                if args.is_null(0, row) {
                    return Ok(false);
                }
                let key = args.packed(1, row)?;
                let found =
                    entries(args, 0, row)?.into_iter().find(|(known, _)| Some(*known) == key.as_deref());
                write(out, found.map(|(_, value)| value)).map(|()| true)
            })
        })
        .sees_nulls(),
        Function::new(
            "map_concat",
            "The entries of all maps; of a key in several the last value.",
            "map_values(map_concat(MAP {'a': 1}, MAP {'a': 2})) → [2]",
        )
        .with_fallible(&[MAP, MAP], Returns::First, concat)
        .sees_nulls(),
    ]
}

type Entry<'a> = (&'a [u8], Item<'a>);

fn entries<'a>(args: &'a Arguments, index: usize, row: usize) -> Result<Vec<Entry<'a>>> {
    let (key, value) = entry(&[args.data_type(index)]);
    let mut found = Vec::new();
    for item in args.items_or_none(index, row)?.into_iter().flatten() {
        if let [Some(key), value] = fields_of(item, &[key, value])?[..] {
            found.push((key, value));
        }
    }
    Ok(found)
}

/// A map being written, which refuses keys that are null or there already.
struct Builder<'k> {
    keys: HashSet<&'k [u8]>,
    key_type: DataType,
}

impl<'k> Builder<'k> {
    fn push(&mut self, out: &mut Vec<u8>, key: Item<'k>, value: Item<'_>) -> Result<()> {
        let Some(bytes) = key else { return Err(Error::Told("a key of a MAP is null".into())) };
        if !self.keys.insert(bytes) {
            let key = Value::new(self.key_type, scalar_of(key, self.key_type)?);
            return Err(Error::Told(format!("two entries of a MAP have the key '{key}'")));
        }
        push(out, key);
        push(out, value);
        Ok(())
    }
}

fn from_entries(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let types = super::structs::types_of(element_or_null(args.data_type(0)));
    let [key_type, _] = types[..] else {
        return Err(Error::Told("map_from_entries takes a list of rows of two".into()));
    };
    args.map_packed(data_type, |row, out| {
        let mut builder = Builder { keys: HashSet::new(), key_type };
        for item in args.items(0, row)? {
            let Some(item) = item else { return Err(Error::Told("an entry of a MAP is null".into())) };
            if let [key, value] = fields_of(item, &types)?[..] {
                builder.push(out, key, value)?;
            }
        }
        out.push(0);
        Ok(true)
    })
}

fn concat(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        let (mut places, mut merged): (HashMap<&[u8], usize>, Vec<Entry<'_>>) = (HashMap::new(), Vec::new());
        for index in 0..args.len() {
            for (key, value) in entries(args, index, row)? {
                match places.get(key) {
                    Some(&place) => merged[place].1 = value,
                    None => {
                        places.insert(key, merged.len());
                        merged.push((key, value));
                    }
                }
            }
        }
        for (key, value) in merged {
            push(out, Some(key));
            push(out, value);
        }
        out.push(0);
        Ok(args.nulls(row) < args.len())
    })
}
