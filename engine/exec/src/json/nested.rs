//! Lists, structs and maps as JSON, and JSON as such values.

use super::scan::{Kind, elements, kind, members};
use super::text::{quote, unquote};
use super::value::{read, write_json};
use crate::expression::json_cast::scalar;
use crate::expression::parse;
use crate::expression::text_cast::write_value;
use columnar::packed::{Element, Elements, MAX_BYTES, pack_list, pack_map, pack_struct, parts};
use columnar::types::{FieldType, Nested, NestedType};
use columnar::{DataType, Error, Result, Scalar};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What becomes of a part that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A member that no field has is an error, too.
    Cast,
    /// A field that no member has is an error; members that no field has are passed over.
    Strict,
    /// It is null.
    Lenient,
}

/// Appends a packed value: lists as arrays, structs and maps as objects. Fields without a name are called `f1`, `f2`, …
pub(super) fn write_nested(kind: NestedType, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let data_type = DataType::Nested(kind);
    let is_array = !matches!(kind.info().shape, Nested::Struct(_) | Nested::Map { .. });
    out.push(if is_array { b'[' } else { b'{' });
    let mut is_first = true;
    let mut comma = |out: &mut Vec<u8>| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
    };
    match &kind.info().shape {
        Nested::List(element) | Nested::Array { element, .. } => {
            for part in Elements::new(bytes, data_type) {
                comma(out);
                write_part(*element, part?, out)?;
            }
        }
        Nested::Struct(fields) => {
            let values = parts(bytes, fields.iter().map(|field| field.data_type))?;
            for (place, (field, value)) in fields.iter().zip(values).enumerate() {
                comma(out);
                quote(&name_of(field, place), out);
                out.push(b':');
                write_part(field.data_type, Element(value), out)?;
            }
        }
        Nested::Map { key, value } => {
            for entry in Elements::new(bytes, data_type) {
                comma(out);
                let entry = parts(entry?.0.unwrap_or_default(), [*key, *value])?;
                let [name, item] = <[_; 2]>::try_from(entry)
                    .map_err(|_| Error::Malformed("an entry of a MAP that is no pair".into()))?;
                let mut text = String::new();
                write_value(&mut text, *key, Element(name).scalar(*key)?);
                quote(&text, out);
                out.push(b':');
                write_part(*value, Element(item), out)?;
            }
        }
    }
    out.push(if is_array { b']' } else { b'}' });
    Ok(())
}

fn write_part(data_type: DataType, part: Element<'_>, out: &mut Vec<u8>) -> Result<()> {
    write_json(data_type, part.scalar(data_type)?, out)?;
    match out.len() > MAX_BYTES {
        true => Err(Error::OutOfRange { what: format!("JSON of more than {MAX_BYTES} bytes") }),
        false => Ok(()),
    }
}

fn name_of(field: &FieldType, place: usize) -> Cow<'_, str> {
    if field.name.is_empty() { format!("f{}", place + 1).into() } else { Cow::Borrowed(&field.name) }
}

/// JSON as a value of any type. `null` is a null, but of JSON itself.
pub(crate) fn value_of(json: &str, data_type: DataType, reading: Reading) -> Result<Scalar> {
    let read = match data_type {
        DataType::Json { canonical } => {
            read(json.trim(), canonical, data_type).map(|text| Scalar::Bytes(text.into_owned()))
        }
        _ if kind(json) == Kind::Null => Ok(Scalar::Null),
        DataType::Nested(nested) => nested_of(json, nested, reading),
        _ => scalar(json, data_type),
    };
    match read {
        Err(_) if reading == Reading::Lenient => Ok(Scalar::Null),
        read => read,
    }
}

fn nested_of(json: &str, nested: NestedType, reading: Reading) -> Result<Scalar> {
    let data_type = DataType::Nested(nested);
    let (wanted, word) = match nested.info().shape {
        Nested::List(_) | Nested::Array { .. } => (Kind::Array, "an array"),
        Nested::Struct(_) | Nested::Map { .. } => (Kind::Object, "an object"),
    };
    if kind(json) != wanted {
        return Err(Error::Told(format!("{word} of JSON is expected for {data_type}, not {}", short(json))));
    }
    let mut out = Vec::new();
    match &nested.info().shape {
        Nested::List(element) => {
            let values = elements(json).map(|part| value_of(part, *element, reading));
            pack_list(&mut out, &values.collect::<Result<Vec<_>>>()?, *element, false)?;
        }
        Nested::Array { element, len } => {
            let values = elements(json).map(|part| value_of(part, *element, reading));
            let values = values.collect::<Result<Vec<_>>>()?;
            if values.len() != *len as usize {
                return Err(Error::Told(format!(
                    "an array of {len} elements is expected, not of {}",
                    values.len()
                )));
            }
            pack_list(&mut out, &values, *element, true)?;
        }
        Nested::Struct(fields) => {
            let values = fields_of(json, fields, reading)?;
            pack_struct(&mut out, values.iter().zip(fields).map(|(value, field)| (value, field.data_type)))?;
        }
        Nested::Map { key, value } => {
            // Of members of one name the last counts.
            let (mut entries, mut places) = (Vec::new(), HashMap::new());
            for (name, item) in members(json) {
                let name = unquote(name);
                let item = value_of(item, *value, reading)?;
                match places.get(&name) {
                    Some(&place) => {
                        let entry: &mut (Scalar, Scalar) = &mut entries[place];
                        entry.1 = item;
                    }
                    None => {
                        entries.push((parse::scalar(&name, *key)?, item));
                        places.insert(name, entries.len() - 1);
                    }
                }
            }
            pack_map(&mut out, entries.iter().map(|(name, item)| (name, item)), *key, *value)?;
        }
    }
    Ok(Scalar::Bytes(out))
}

/// The members of an object by the names of fields, in any case where no name is the same.
fn fields_of(json: &str, fields: &[FieldType], reading: Reading) -> Result<Vec<Scalar>> {
    let (mut exact, mut folded) = (HashMap::new(), HashMap::new());
    for (name, item) in members(json) {
        let name = unquote(name);
        folded.insert(name.to_lowercase(), item);
        exact.insert(name, item);
    }
    let names: Vec<Cow<'_, str>> =
        fields.iter().enumerate().map(|(place, field)| name_of(field, place)).collect();
    if reading == Reading::Cast {
        let known: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        if let Some(other) = folded.keys().filter(|name| !known.contains(*name)).min() {
            return Err(Error::Told(format!("no field \"{other}\" for a member of {}", short(json))));
        }
    }
    let value = |(field, name): (&FieldType, &Cow<'_, str>)| {
        let item = exact.get(name).or_else(|| folded.get(&name.to_lowercase()));
        match item {
            Some(item) => value_of(item, field.data_type, reading),
            None if reading == Reading::Strict => {
                Err(Error::Told(format!("no member \"{name}\" in {}", short(json))))
            }
            None => Ok(Scalar::Null),
        }
    };
    fields.iter().zip(&names).map(value).collect()
}

/// The text, for an error.
fn short(json: &str) -> Cow<'_, str> {
    match json.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &json[..end]).into(),
        None => json.into(),
    }
}
