//! Structs that are made. Names are in the types of results; the code knows fields by their places alone.

use super::arguments::Arguments;
use super::items::push;
use super::{Function, Parameter, Returns};
use columnar::types::{Nested, struct_of};
use columnar::{DataType, Result, Vector};

/// The types of a struct's fields.
pub(crate) fn types_of(data_type: DataType) -> Vec<DataType> {
    match data_type.as_nested().map(|kind| &kind.info().shape) {
        Some(Nested::Struct(fields)) => fields.iter().map(|field| field.data_type).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn functions() -> Vec<Function> {
    let row = || Returns::Nested(|types| struct_of(types.iter().map(|&kind| (String::new(), kind))));
    vec![
        Function::new(
            "row",
            "A row of values, whose fields have places alone; also written `(a, b)`.",
            "row(1, 2)[2] → 2",
        )
        .with_fallible(&[Parameter::Any], row(), pack)
        .variadic()
        .sees_nulls(),
        Function::new(
            "struct_insert",
            "A struct with more fields.",
            "struct_insert({'a': 1}, b := 2) → {'a': 1, 'b': 2}",
        )
        .with_fallible(&[Parameter::Struct, Parameter::Any], Returns::First, insert)
        .variadic()
        .sees_nulls(),
    ]
}

fn pack(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        for index in 0..args.len() {
            push(out, args.packed(index, row)?.as_deref());
        }
        Ok(true)
    })
}

fn insert(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        if args.is_null(0, row) {
            return Ok(false);
        }
        // A struct ends with its last field, so more fields go behind it.
        out.extend_from_slice(args.bytes(0, row));
        for index in 1..args.len() {
            push(out, args.packed(index, row)?.as_deref());
        }
        Ok(true)
    })
}
