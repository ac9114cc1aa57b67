//! Functions and operators of JSON that take or give lists, or a type of their own.

use super::arguments::{Arguments, Memo};
use super::items::{element_or_null, push_scalar, scalar_of};
use super::json::{JSON, JSONB, tree, write};
use super::json_build::element;
use super::zone::zone;
use super::zoned::shown;
use super::{Function, Parameter, Returns, Run};
use crate::json::{
    Kind, Path, Reading, Tree, elements, kind, members, moment, quote, scalar_text, unquote, value_of,
};
use columnar::types::list_of;
use columnar::{DataType, Error, Result, Scalar, TimeUnit, Vector};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const INSTANT: Parameter = Parameter::Exact(DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true });

pub(super) fn functions() -> Vec<Function> {
    let more = |name| Function::new(name, "", "");
    let all = Function::new(
        "json_extract_all",
        "All that lies on a path with *, as a list; what json_extract gives of such a path.",
        "json_extract_all('{\"a\": [1, 2]}', '$.a[*]')::VARCHAR → [1, 2]",
    );
    let all_text = Function::new(
        "json_extract_all_string",
        "As json_extract_all, as texts.",
        "json_extract_all_string('{\"a\": [\"x\", null]}', '$.a[*]')::VARCHAR → [x, NULL]",
    );
    let keys = Function::new(
        "json_keys",
        "The keys of an object, or of the one on a path, as a list.",
        "json_keys('{\"b\": 1, \"a\": 2}')::VARCHAR → [b, a]",
    )
    .aliases(&["jsonb_keys"]);
    let keys = of_both(keys, &[], texts, |args, data_type| {
        args.map_packed(data_type, |row, out| write_keys(args.text(0, row), out))
    });
    let keys = of_both(keys, &[TEXT], texts, |args, data_type| {
        let mut paths = Memo::new();
        args.map_packed(data_type, |row, out| {
            match paths.get(args.text(1, row), Path::of_function)?.find(args.text(0, row)) {
                Some(found) => write_keys(found, out),
                None => Ok(false),
            }
        })
    });
    let read = |name, description, example, run: Run| {
        of_both(Function::new(name, description, example), &[], |_| JSON, run)
    };
    vec![
        of_both(all, &[TEXT], documents, every),
        of_both(all_text, &[TEXT], texts, every),
        of_both(more("->"), &[list()], documents, each),
        of_both(more("json_extract"), &[list()], documents, each),
        of_both(more("->>"), &[list()], texts, each),
        of_both(more("json_extract_string"), &[list()], texts, each),
        of_both(more("#>"), &[list()], |json| json, |args, data_type| {
            args.map_scalars(data_type, |row| Ok(along(args, row)?.map_or(Scalar::Null, raw)))
        }),
        of_both(more("#>>"), &[list()], |_| DataType::Varchar, |args, data_type| {
            args.map_scalars(data_type, |row| Ok(along(args, row)?.map_or(Scalar::Null, text)))
        }),
        of_both(more("?|"), &[list()], |_| DataType::Boolean, |args, _| {
            have(args, |document, names| names.iter().flatten().any(|name| super::json::has(document, name)))
        }),
        of_both(more("?&"), &[list()], |_| DataType::Boolean, |args, _| {
            have(args, |document, names| names.iter().flatten().all(|name| super::json::has(document, name)))
        }),
        more("-").with_fallible(&[Parameter::Exact(JSONB), list()], Returns::First, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                let mut left = tree(args, 0, row)?;
                for name in names(args, row)?.iter().flatten() {
                    left = super::json::without_key(left, name)?;
                }
                write(data_type, &left, out);
                Ok(())
            })
        }),
        Function::new(
            "#-",
            "JSON without what lies on a path of names and positions.",
            "'{\"a\": [1, 2]}'::JSONB #- '{a,0}' → {\"a\": [2]}",
        )
        .with_fallible(&[Parameter::Exact(JSONB), TEXT], Returns::First, |args, data_type| {
            let mut paths = Memo::new();
            args.map_bytes(data_type, |row, out| {
                let path = paths.get(args.text(1, row), |text| Ok(Path::of_array(text)?.names()))?;
                write(data_type, &without(tree(args, 0, row)?, path)?, out);
                Ok(())
            })
        })
        .with_fallible(&[Parameter::Exact(JSONB), list()], Returns::First, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                let path: Option<Vec<String>> = names(args, row)?.into_iter().collect();
                let path = path.ok_or_else(|| Error::Told("a step of a path of JSON is null".into()))?;
                write(data_type, &without(tree(args, 0, row)?, &path)?, out);
                Ok(())
            })
        }),
        keys,
        read(
            "from_json",
            "JSON as a value of the type that a structure names; what does not fit is null.",
            "from_json('{\"a\": 1}', '{\"a\": \"INTEGER\"}')::VARCHAR → {'a': 1}",
            |args, data_type| typed(args, data_type, Reading::Lenient),
        )
        .aliases(&["json_transform"]),
        read(
            "from_json_strict",
            "As from_json; what does not fit is an error.",
            "from_json_strict('[1]', '[\"INTEGER\"]')::VARCHAR → [1]",
            |args, data_type| typed(args, data_type, Reading::Strict),
        )
        .aliases(&["json_transform_strict"]),
        written("row_to_json", "A struct as JSON.", "row_to_json({'a': 1}) → {\"a\":1}", Parameter::Struct),
        written("array_to_json", "A list as JSON.", "array_to_json([1, 2]) → [1,2]", Parameter::OtherList),
        Function::new(
            "instant_json",
            "A timestamp with time zone as JSON, by the clocks of a zone.",
            "instant_json('2024-07-01 00:00:00+00'::TIMESTAMPTZ, 'Europe/Berlin') → \"2024-07-01T02:00:00+02:00\"",
        )
        .with_fallible(&[INSTANT, TEXT], Returns::Type(JSON), |args, data_type| {
            let (instants, mut zones) = (args.longs(0), Memo::new());
            args.map_bytes(data_type, |row, out| {
                let zone = *zones.get(args.text(1, row), zone)?;
                quote(&moment(shown(instants[row], zone)?, true), out);
                Ok(())
            })
        }),
    ]
}

/// A list of texts.
fn list() -> Parameter {
    Parameter::Exact(texts(JSON))
}

fn texts(_: DataType) -> DataType {
    list_of(DataType::Varchar).unwrap_or(DataType::Null)
}

fn documents(json: DataType) -> DataType {
    list_of(json).unwrap_or(DataType::Null)
}

/// Overloads that begin with each kind of JSON; what they give is of a type by the kind.
fn of_both(
    mut function: Function,
    more: &[Parameter],
    returns: fn(DataType) -> DataType,
    run: Run,
) -> Function {
    for json in [JSON, JSONB] {
        let parameters: Vec<Parameter> =
            std::iter::once(Parameter::Exact(json)).chain(more.iter().copied()).collect();
        function = function.with_fallible(&parameters, Returns::Type(returns(json)), run).nullable();
    }
    function
}

fn written(
    name: &'static str,
    description: &'static str,
    example: &'static str,
    parameter: Parameter,
) -> Function {
    Function::new(name, description, example).with_fallible(
        &[parameter],
        Returns::Type(JSON),
        |args, data_type| args.map_bytes(data_type, |row, out| element(args, 0, row, data_type, out)),
    )
}

/// The texts of the second argument, which is a list of such.
fn names(args: &Arguments, row: usize) -> Result<Vec<Option<String>>> {
    let items = args.items(1, row)?;
    let name = |item| {
        Ok(match scalar_of(item, DataType::Varchar)? {
            Scalar::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        })
    };
    items.into_iter().map(name).collect()
}

fn raw(json: &str) -> Scalar {
    Scalar::Bytes(json.trim().as_bytes().to_vec())
}

fn text(json: &str) -> Scalar {
    scalar_text(json).map_or(Scalar::Null, |text| Scalar::Bytes(text.into_owned().into_bytes()))
}

/// Appends what was found as an element of a list of that type.
fn push_found(out: &mut Vec<u8>, found: Option<&str>, element: DataType) -> Result<()> {
    let scalar = match element {
        DataType::Varchar => found.map(text),
        _ => found.map(raw),
    };
    push_scalar(out, &scalar.unwrap_or(Scalar::Null), element)
}

/// All that lies on a path.
fn every(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let element = element_or_null(data_type);
    let mut paths = Memo::new();
    args.map_packed(data_type, |row, out| {
        let path = paths.get(args.text(1, row), Path::of_many)?;
        for found in path.find_all(args.text(0, row))? {
            push_found(out, Some(found), element)?;
        }
        out.push(0);
        Ok(true)
    })
}

/// What lies on each path of a list.
fn each(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let element = element_or_null(data_type);
    args.map_packed(data_type, |row, out| {
        for path in names(args, row)? {
            let path = path.map(|path| Path::of_function(&path)).transpose()?;
            push_found(out, path.and_then(|path| path.find(args.text(0, row))), element)?;
        }
        out.push(0);
        Ok(true)
    })
}

/// What lies on the path whose steps a list has; nothing where one is null.
fn along(args: &Arguments, row: usize) -> Result<Option<&str>> {
    let steps: Option<Vec<String>> = names(args, row)?.into_iter().collect();
    Ok(steps.and_then(|steps| Path::of_names(steps).find(args.text(0, row))))
}

fn have(args: &Arguments, test: fn(&str, &[Option<String>]) -> bool) -> Result<Vector> {
    let found = args.each(|row| Ok(test(args.text(0, row), &names(args, row)?)))?;
    args.map_booleans(|row| found[row])
}

fn write_keys(document: &str, out: &mut Vec<u8>) -> Result<bool> {
    for (key, _) in members(document) {
        push_scalar(out, &Scalar::Bytes(unquote(key).into_owned().into_bytes()), DataType::Varchar)?;
    }
    out.push(0);
    Ok(true)
}

fn typed(args: &Arguments, data_type: DataType, reading: Reading) -> Result<Vector> {
    args.map_scalars(data_type, |row| value_of(args.text(0, row), data_type, reading))
}

/// The tree without what lies at the end of the path.
fn without<'a>(tree: Tree<'a>, path: &[String]) -> Result<Tree<'a>> {
    let Some((first, rest)) = path.split_first() else { return Ok(tree) };
    let descend = |part: Tree<'a>| match part {
        // Nothing lies within a scalar.
        scalar @ (Tree::Plain(_) | Tree::Text(_)) => Ok(scalar),
        part => without(part, rest),
    };
    match tree {
        Tree::Object(mut members) => {
            let place = members.iter().position(|(key, _)| key == first);
            if let Some(place) = place {
                match rest.is_empty() {
                    true => _ = members.remove(place),
                    false => {
                        let part = std::mem::replace(&mut members[place].1, Tree::Plain("null"));
                        members[place].1 = descend(part)?;
                    }
                }
            }
            Ok(Tree::Object(members))
        }
        Tree::Array(mut elements) => {
            let place: i64 = first
                .trim()
                .parse()
                .map_err(|_| Error::Told(format!("'{first}' is no position in an array of JSON")))?;
            let place = if place < 0 { place + elements.len() as i64 } else { place };
            if let Some(place) = usize::try_from(place).ok().filter(|&place| place < elements.len()) {
                match rest.is_empty() {
                    true => _ = elements.remove(place),
                    false => {
                        let part = std::mem::replace(&mut elements[place], Tree::Plain("null"));
                        elements[place] = descend(part)?;
                    }
                }
            }
            Ok(Tree::Array(elements))
        }
        _ => Err(Error::Told("a path cannot be taken from a scalar of JSON".into())),
    }
}

/// Whether a path has a step that many values may lie on.
pub fn is_wild_path(path: &str) -> bool {
    Path::of_many(path).is_ok_and(|path| path.is_wild())
}

/// The type that a structure names, as SQL writes it: `{"a": "INTEGER", "b": ["VARCHAR"]}` is
/// `STRUCT("a" INTEGER, "b" VARCHAR[])`.
///
/// # Errors
/// What is no such structure.
pub fn structure_type(structure: &str) -> Result<String> {
    let mut out = String::new();
    Tree::parse(structure).map_err(|fault| fault.of(structure, "a structure of JSON"))?;
    write_type(structure.trim(), &mut out)?;
    Ok(out)
}

fn write_type(structure: &str, out: &mut String) -> Result<()> {
    let refused =
        || Error::Told(format!("{structure} names no type; a structure is like {{\"a\": \"INTEGER\"}}"));
    match kind(structure) {
        Kind::String => match unquote(structure).as_ref() {
            "NULL" => out.push_str("JSON"),
            name => out.push_str(name),
        },
        Kind::Array => {
            let mut parts = elements(structure);
            let (Some(element), None) = (parts.next(), parts.next()) else { return Err(refused()) };
            write_type(element.trim(), out)?;
            out.push_str("[]");
        }
        Kind::Object => {
            out.push_str("STRUCT(");
            let mut is_first = true;
            for (name, part) in members(structure) {
                if !std::mem::take(&mut is_first) {
                    out.push_str(", ");
                }
                out.push('"');
                out.push_str(&unquote(name).replace('"', "\"\""));
                out.push_str("\" ");
                write_type(part.trim(), out)?;
            }
            if is_first {
                return Err(refused());
            }
            out.push(')');
        }
        _ => return Err(refused()),
    }
    Ok(())
}
