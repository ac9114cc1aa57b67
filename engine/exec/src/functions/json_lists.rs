//! The parts of a JSON value as lists, of which the binder makes rows.

use super::arguments::Arguments;
use super::json::{JSON, JSONB};
use super::{Function, Parameter, Returns};
use crate::json::{Kind, elements, kind, members, scalar_text, unquote};
use columnar::packed::{MAX_ELEMENTS, pack_list, pack_struct};
use columnar::types::{list_of, struct_of};
use columnar::{DataType, Error, Result, Scalar, Vector};

/// What makes the elements of one value.
type Parts = fn(&str, DataType) -> Result<Vec<Scalar>>;

pub(super) fn functions() -> Vec<Function> {
    let function =
        |name, aliases, description, example| Function::new(name, description, example).aliases(aliases);
    let array_elements = function(
        "json_array_elements",
        &["jsonb_array_elements"],
        "A row for each element of an array.",
        "json_array_elements('[1]') → 1",
    );
    let array_texts = function(
        "json_array_elements_text",
        &["jsonb_array_elements_text"],
        "A row for each element of an array, as text.",
        "json_array_elements_text('[\"x\"]') → x",
    );
    let keys = function(
        "json_object_keys",
        &["jsonb_object_keys"],
        "A row for each key of an object.",
        "json_object_keys('{\"a\": 1}') → a",
    );
    let each = function(
        "json_each",
        &["jsonb_each"],
        "A row for each member of an object: its key and value.",
        "struct_extract(json_each('{\"a\": 1}'), 'key') → a",
    );
    let each_text = function(
        "json_each_text",
        &["jsonb_each_text"],
        "A row for each member of an object: its key, and its value as text.",
        "struct_extract(json_each_text('{\"a\": \"x\"}'), 'value') → x",
    );
    vec![
        of_both(array_elements, |json| json, |args, data_type| rows(args, data_type, elements_of)),
        of_both(array_texts, |_| DataType::Varchar, |args, data_type| rows(args, data_type, texts_of)),
        of_both(keys, |_| DataType::Varchar, |args, data_type| rows(args, data_type, keys_of)),
        of_both(each, member, |args, data_type| rows(args, data_type, members_of)),
        of_both(
            each_text,
            |_| member(DataType::Varchar),
            |args, data_type| rows(args, data_type, members_of),
        ),
    ]
}

/// A key and a value of that type.
fn member(value: DataType) -> DataType {
    let fields = [("key".to_string(), DataType::Varchar), ("value".to_string(), value)];
    struct_of(fields).unwrap_or(DataType::Null)
}

/// Overloads for both kinds of JSON; the elements are of a type by the kind.
fn of_both(function: Function, element: fn(DataType) -> DataType, run: super::Run) -> Function {
    let returned = |kind: DataType| list_of(element(kind)).unwrap_or(DataType::Null);
    [JSON, JSONB].into_iter().fold(function, |function, kind| {
        function.with_fallible(&[Parameter::Exact(kind)], Returns::Type(returned(kind)), run)
    })
}

fn rows(args: &Arguments, data_type: DataType, parts: Parts) -> Result<Vector> {
    let element = data_type.as_nested().and_then(|list| list.element()).unwrap_or(DataType::Null);
    let mut lists = Vec::with_capacity(args.rows);
    let mut bytes = 0;
    for row in 0..args.rows {
        if !args.is_valid(row) {
            lists.push(Scalar::Null);
            continue;
        }
        let parts = parts(args.text(0, row), element)?;
        if parts.len() > MAX_ELEMENTS {
            return Err(Error::OutOfRange {
                what: format!("a list of {} parts of a JSON value", parts.len()),
            });
        }
        let mut list = Vec::new();
        pack_list(&mut list, &parts, element, false)?;
        bytes += list.len();
        if bytes > super::arguments::MOST_TEXT_BYTES {
            return Err(Error::OutOfRange { what: "the lists that a function makes at once".into() });
        }
        lists.push(Scalar::Bytes(list));
    }
    Ok(Vector::from_scalars(data_type, &lists))
}

fn text(json: &str) -> Scalar {
    scalar_text(json).map_or(Scalar::Null, |text| Scalar::Bytes(text.into_owned().into_bytes()))
}

fn refused(document: &str, needed: &str) -> Error {
    let found = match kind(document) {
        Kind::Array => "an array",
        Kind::Object => "an object",
        _ => "a scalar",
    };
    Error::Told(format!("{needed} is expected here, not {found}"))
}

fn elements_of(document: &str, _: DataType) -> Result<Vec<Scalar>> {
    if kind(document) != Kind::Array {
        return Err(refused(document, "a JSON array"));
    }
    Ok(elements(document).map(|element| Scalar::Bytes(element.trim().as_bytes().to_vec())).collect())
}

fn texts_of(document: &str, _: DataType) -> Result<Vec<Scalar>> {
    if kind(document) != Kind::Array {
        return Err(refused(document, "a JSON array"));
    }
    Ok(elements(document).map(text).collect())
}

fn keys_of(document: &str, _: DataType) -> Result<Vec<Scalar>> {
    if kind(document) != Kind::Object {
        return Err(refused(document, "a JSON object"));
    }
    Ok(members(document).map(|(key, _)| Scalar::Bytes(unquote(key).into_owned().into_bytes())).collect())
}

fn members_of(document: &str, member: DataType) -> Result<Vec<Scalar>> {
    if kind(document) != Kind::Object {
        return Err(refused(document, "a JSON object"));
    }
    let value_type = member
        .as_nested()
        .and_then(|member| member.fields().get(1))
        .map_or(DataType::Null, |field| field.data_type);
    let packed = |(key, value): (&str, &str)| {
        let key = Scalar::Bytes(unquote(key).into_owned().into_bytes());
        let value = match value_type {
            DataType::Varchar => text(value),
            _ => Scalar::Bytes(value.trim().as_bytes().to_vec()),
        };
        let mut bytes = Vec::new();
        pack_struct(&mut bytes, [(&key, DataType::Varchar), (&value, value_type)])?;
        Ok(Scalar::Bytes(bytes))
    };
    members(document).map(packed).collect()
}
