//! JSON out of values of SQL, and the parts of which the binder makes aggregates: `json_agg(x)` is
//! `json_elements(string_agg(json_element(x), ', '))`.

use super::arguments::Arguments;
use super::json::{JSON, JSONB, write};
use super::{Function, Parameter, Returns, Run};
use crate::json::{Kind, Tree, check, kind, quote, scalar_text, write_json};
use columnar::{DataType, Error, Result, Scalar, Vector};

const ANY: Parameter = Parameter::Any;
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);

/// What stands between elements, between members, and between a key and its value.
#[derive(Clone, Copy)]
struct Signs {
    comma: &'static str,
    colon: &'static str,
}

const COMPACT: Signs = Signs { comma: ",", colon: ":" };
/// PostgreSQL's of `json_build_…`.
const WIDE: Signs = Signs { comma: ", ", colon: " : " };

pub(super) fn functions() -> Vec<Function> {
    let built = |name, description, example, returns, run: Run| {
        Function::new(name, description, example)
            .with_fallible(&[ANY], Returns::Type(returns), run)
            .variadic()
            .sees_nulls()
            .with_fallible(&[], Returns::Type(returns), run)
    };
    let value = |name, description, example, data_type| {
        Function::new(name, description, example).with_fallible(
            &[ANY],
            Returns::Type(data_type),
            |args, data_type| args.map_bytes(data_type, |row, out| element(args, 0, row, data_type, out)),
        )
    };
    vec![
        built(
            "json_object",
            "An object of keys and values, one after the other.",
            "json_object('a', 1, 'b', NULL) → {\"a\":1,\"b\":null}",
            JSON,
            |args, data_type| object(args, data_type, COMPACT),
        ),
        built(
            "json_build_object",
            "As json_object, with PostgreSQL's blanks.",
            "json_build_object('a', 1) → {\"a\" : 1}",
            JSON,
            |args, data_type| object(args, data_type, WIDE),
        ),
        built(
            "jsonb_build_object",
            "As json_object, as JSONB.",
            "jsonb_build_object('b', 1, 'a', 2) → {\"a\": 2, \"b\": 1}",
            JSONB,
            |args, data_type| object(args, data_type, COMPACT),
        ),
        built(
            "json_array",
            "An array of values.",
            "json_array(1, 'a', NULL) → [1,\"a\",null]",
            JSON,
            |args, data_type| array(args, data_type, COMPACT),
        ),
        built(
            "json_build_array",
            "As json_array, with PostgreSQL's blanks.",
            "json_build_array(1, 'a') → [1, \"a\"]",
            JSON,
            |args, data_type| array(args, data_type, WIDE),
        ),
        built(
            "jsonb_build_array",
            "As json_array, as JSONB.",
            "jsonb_build_array(1, 'a') → [1, \"a\"]",
            JSONB,
            |args, data_type| array(args, data_type, COMPACT),
        ),
        value("to_json", "A value as JSON.", "to_json('a') → \"a\"", JSON),
        value("to_jsonb", "A value as JSONB.", "to_jsonb('a') → \"a\"", JSONB),
        Function::new("json_quote", "A value as JSON.", "json_quote('a') → \"a\"").with_fallible(
            &[ANY],
            Returns::Type(JSON),
            |args, data_type| args.map_bytes(data_type, |row, out| element(args, 0, row, data_type, out)),
        ),
        Function::new(
            "json_element",
            "A value as the text of an element of an array, null too.",
            "json_element('a') → \"a\"",
        )
        .with_fallible(&[ANY], Returns::Type(DataType::Varchar), |args, data_type| {
            all(args).map_bytes(data_type, |row, out| element(args, 0, row, JSON, out))
        })
        .sees_nulls(),
        Function::new(
            "json_member",
            "A key and a value as the text of a member of an object, with a sign between.",
            "json_member('a', 1, ':') → \"a\":1",
        )
        .with_fallible(&[ANY, ANY, TEXT], Returns::Type(DataType::Varchar), |args, data_type| {
            all(args).map_bytes(data_type, |row, out| {
                key(args, 0, row, out)?;
                out.extend(args.bytes(2, row));
                element(args, 1, row, JSON, out)
            })
        })
        .sees_nulls(),
        enclosed(
            "json_elements",
            "The array whose elements a text spells.",
            "json_elements('1, 2') → [1, 2]",
            |args, data_type| enclose(args, data_type, ["[", "]"]),
        ),
        enclosed(
            "json_members",
            "The object whose members a text spells.",
            "json_members('\"a\":1') → {\"a\":1}",
            |args, data_type| enclose(args, data_type, ["{", "}"]),
        ),
        enclosed(
            "json_wide_members",
            "As json_members, with PostgreSQL's blanks.",
            "json_wide_members('\"a\" : 1') → { \"a\" : 1 }",
            |args, data_type| enclose(args, data_type, ["{ ", " }"]),
        ),
    ]
}

/// A function of the text that an aggregate gave, of the type that the call has.
fn enclosed(name: &'static str, description: &'static str, example: &'static str, run: Run) -> Function {
    Function::new(name, description, example).with_fallible(&[TEXT], Returns::Type(JSON), run)
}

/// All rows, also where arguments are null.
fn all(args: &Arguments) -> Arguments {
    Arguments { flats: Vec::new(), validity: None, rows: args.rows }
}

fn scalar(args: &Arguments, index: usize, row: usize) -> Scalar {
    args.flats[index].scalar(row)
}

/// Appends an argument as JSON; for `JSONB` in its canonical text.
pub(super) fn element(
    args: &Arguments,
    index: usize,
    row: usize,
    data_type: DataType,
    out: &mut Vec<u8>,
) -> Result<()> {
    let from = args.data_type(index);
    if data_type == JSONB && from != JSONB && matches!(from, DataType::Json { .. } | DataType::Nested(_)) {
        let mut text = Vec::new();
        write_json(from, scalar(args, index, row), &mut text)?;
        return settle(text, JSONB, out);
    }
    write_json(from, scalar(args, index, row), out)
}

/// Appends a key: a value as text.
fn key(args: &Arguments, index: usize, row: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut text = String::new();
    match scalar(args, index, row) {
        Scalar::Null => {
            return Err(Error::InvalidText { text: "NULL".into(), data_type: "key of a JSON object".into() });
        }
        Scalar::Bytes(bytes) if matches!(args.data_type(index), DataType::Json { .. }) => {
            let json = String::from_utf8_lossy(&bytes);
            match kind(&json) {
                Kind::Array | Kind::Object => {
                    return Err(Error::Told(format!("a key of a JSON object is a scalar, not {json}")));
                }
                _ => text.push_str(&scalar_text(&json).unwrap_or_default()),
            }
        }
        Scalar::Bytes(bytes) if args.data_type(index).as_nested().is_none() => {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        other => crate::expression::text_cast::write_value(&mut text, args.data_type(index), other),
    }
    quote(&text, out);
    Ok(())
}

/// Appends text that was put together, checked where what stands in it may be deep.
fn settle(text: Vec<u8>, data_type: DataType, out: &mut Vec<u8>) -> Result<()> {
    let text = String::from_utf8(text).map_err(|_| Error::Malformed("JSON that is no UTF-8".into()))?;
    match data_type {
        JSONB => write(JSONB, &Tree::parse(&text).map_err(|fault| fault.of(&text, "JSONB"))?, out),
        _ => {
            check(&text).map_err(|fault| fault.of(&text, "JSON"))?;
            out.extend(text.bytes());
        }
    }
    Ok(())
}

fn array(args: &Arguments, data_type: DataType, signs: Signs) -> Result<Vector> {
    args.map_bytes(data_type, |row, out| {
        let mut text = vec![b'['];
        for index in 0..args.len() {
            if index > 0 {
                text.extend(signs.comma.bytes());
            }
            element(args, index, row, JSON, &mut text)?;
        }
        text.push(b']');
        settle(text, data_type, out)
    })
}

fn object(args: &Arguments, data_type: DataType, signs: Signs) -> Result<Vector> {
    if args.len() % 2 == 1 {
        return Err(Error::InvalidText {
            text: format!("{} arguments", args.len()),
            data_type: "row of keys and values".into(),
        });
    }
    args.map_bytes(data_type, |row, out| {
        let mut text = vec![b'{'];
        for index in (0..args.len()).step_by(2) {
            if index > 0 {
                text.extend(signs.comma.bytes());
            }
            key(args, index, row, &mut text)?;
            text.extend(signs.colon.bytes());
            element(args, index + 1, row, JSON, &mut text)?;
        }
        text.push(b'}');
        settle(text, data_type, out)
    })
}

fn enclose(args: &Arguments, data_type: DataType, [open, close]: [&str; 2]) -> Result<Vector> {
    args.map_bytes(data_type, |row, out| {
        let mut text = open.as_bytes().to_vec();
        text.extend(args.bytes(0, row));
        text.extend(close.bytes());
        settle(text, data_type, out)
    })
}
