//! Functions and operators of JSON. Where they take `JSON` they take text too, which is checked on the way.

use super::arguments::{Arguments, Memo};
use super::{Function, Parameter, Returns, Run};
use crate::json::{
    Fault, Kind, Path, Step, Structure, Tree, Work, canonical, check, compact, contains, contains_within,
    elements, kind, members, merge_patch, pretty, scalar_text, strip_nulls, type_name, unquote,
};
use columnar::{DataType, Error, Result, Vector};

pub(super) const JSON: DataType = DataType::Json { canonical: false };
pub(super) const JSONB: DataType = DataType::Json { canonical: true };
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const INT: Parameter = Parameter::Exact(DataType::Int64);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);
const RETURNS_BOOL: Returns = Returns::Type(DataType::Boolean);
const KINDS: [DataType; 2] = [JSON, JSONB];

/// What makes a path of a text.
type Reads = fn(&str) -> Result<Path>;

pub(super) fn functions() -> Vec<Function> {
    let mut functions = access();
    functions.extend(tests());
    functions.extend(shapes());
    functions.extend(changes());
    functions
}

fn found(
    name: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
    example: &'static str,
) -> Function {
    Function::new(name, description, example).aliases(aliases)
}

/// Adds an overload that begins with each kind of JSON.
fn of_both(mut function: Function, more: &[Parameter], returns: fn() -> Returns, run: Run) -> Function {
    for data_type in KINDS {
        let parameters: Vec<Parameter> =
            std::iter::once(Parameter::Exact(data_type)).chain(more.iter().copied()).collect();
        function = function.with_fallible(&parameters, returns(), run).nullable();
    }
    function
}

fn first() -> Returns {
    Returns::First
}

fn text() -> Returns {
    RETURNS_TEXT
}

fn int() -> Returns {
    RETURNS_INT
}

fn boolean() -> Returns {
    RETURNS_BOOL
}

fn access() -> Vec<Function> {
    let arrow = found(
        "->",
        &[],
        "The member of a name, or the element at a position from 0, as JSON; a name that begins with $ is a path.",
        "'{\"a\": [1, 2]}'::JSON -> 'a' → [1, 2]",
    );
    let arrow = of_both(arrow, &[TEXT], first, |args, _| extract(args, Path::of_operator));
    let arrow = of_both(arrow, &[INT], first, |args, _| extract_at(args));
    let long = found(
        "->>",
        &[],
        "As ->, as text: texts without their quotes, and nothing of null.",
        "'{\"a\": \"x\"}'::JSON ->> 'a' → x",
    );
    let long = of_both(long, &[TEXT], text, |args, _| extract_text(args, Path::of_operator));
    let long = of_both(long, &[INT], text, |args, _| extract_text_at(args));
    let hash = found(
        "#>",
        &[],
        "What lies on a path of names and positions, as JSON.",
        "'{\"a\": [1, 2]}'::JSON #> '{a,0}' → 1",
    );
    let hash = of_both(hash, &[TEXT], first, |args, _| extract(args, Path::of_array));
    let long_hash = found("#>>", &[], "As #>, as text.", "'{\"a\": [\"x\"]}'::JSON #>> '{a,0}' → x");
    let long_hash = of_both(long_hash, &[TEXT], text, |args, _| extract_text(args, Path::of_array));
    let extracts = found(
        "json_extract",
        &[],
        "What lies at a position, on a path like $.a[0] or /a/0, or under a name, as JSON.",
        "json_extract('{\"a\": [1, 2]}', '$.a[1]') → 2",
    );
    let extracts = of_both(extracts, &[TEXT], first, |args, _| extract(args, Path::of_function));
    let extracts = of_both(extracts, &[INT], first, |args, _| extract_at(args));
    let extracts_text = found(
        "json_extract_string",
        &[],
        "As json_extract, as text.",
        "json_extract_string('{\"a\": \"x\"}', '$.a') → x",
    );
    let extracts_text =
        of_both(extracts_text, &[TEXT], text, |args, _| extract_text(args, Path::of_function));
    let extracts_text = of_both(extracts_text, &[INT], text, |args, _| extract_text_at(args));
    let steps = found(
        "json_extract_path",
        &["jsonb_extract_path"],
        "What lies on a path of names and positions, each an argument; a single one may be a path.",
        "json_extract_path('{\"a\": {\"b\": 1}}', 'a', 'b') → 1",
    );
    let steps = variadic_of_both(steps, first, |args, data_type| along(args, data_type, false));
    let steps_text = found(
        "json_extract_path_text",
        &["jsonb_extract_path_text"],
        "As json_extract_path, as text.",
        "json_extract_path_text('{\"a\": {\"b\": \"x\"}}', 'a', 'b') → x",
    );
    let steps_text = variadic_of_both(steps_text, text, |args, data_type| along(args, data_type, true));
    let value = found(
        "json_value",
        &[],
        "The scalar on a path as text; null where an array or object is there.",
        "json_value('{\"a\": \"x\"}', '$.a') → x",
    );
    let value = of_both(value, &[TEXT], text, |args, _| {
        let mut paths = Memo::new();
        optional_text(args, DataType::Varchar, |row| {
            let at = paths.get(args.text(1, row), Path::of_function)?.find(args.text(0, row));
            let scalar = at.filter(|at| !matches!(kind(at), Kind::Array | Kind::Object));
            Ok(scalar.and_then(scalar_text).map(|text| text.into_owned()))
        })
    });
    vec![arrow, long, hash, long_hash, extracts, extracts_text, steps, steps_text, value]
}

fn variadic_of_both(mut function: Function, returns: fn() -> Returns, run: Run) -> Function {
    for data_type in KINDS {
        let parameters = [Parameter::Exact(data_type), TEXT];
        function = function.with_fallible(&parameters, returns(), run).nullable().variadic();
    }
    function
}

fn tests() -> Vec<Function> {
    let holds = found(
        "@>",
        &[],
        "Whether the second JSON is in the first at the same place, elements of arrays in any order.",
        "'{\"a\": [1, 2]}'::JSONB @> '{\"a\": [2]}' → true",
    );
    let within =
        found("<@", &[], "Whether the first JSON is in the second.", "'[1]'::JSONB <@ '[2, 1]' → true");
    let anywhere = found(
        "json_contains",
        &["jsonb_contains"],
        "Whether the second JSON is the first or is within it at any depth.",
        "json_contains('{\"a\": [1, 2]}', '2') → true",
    );
    let pair = |function: Function, run: Run| {
        KINDS.into_iter().fold(function, |function, data_type| {
            function.with_fallible(&[Parameter::Exact(data_type); 2], RETURNS_BOOL, run)
        })
    };
    let key = found("?", &[], "Whether a text is a key or an element.", "'{\"a\": 1}'::JSONB ? 'a' → true");
    let key = of_both(key, &[TEXT], boolean, |args, _| {
        args.map_booleans(|row| has(args.text(0, row), args.text(1, row)))
    });
    let any = found(
        "?|",
        &[],
        "Whether one of the texts of an array is a key or an element.",
        "'{\"a\": 1}'::JSONB ?| '{a,b}' → true",
    );
    let any =
        of_both(any, &[TEXT], boolean, |args, _| have(args, |wanted, object| wanted.iter().any(object)));
    let all = found(
        "?&",
        &[],
        "Whether all texts of an array are keys or elements.",
        "'{\"a\": 1}'::JSONB ?& '{a,b}' → false",
    );
    let all =
        of_both(all, &[TEXT], boolean, |args, _| have(args, |wanted, object| wanted.iter().all(object)));
    let exists = found(
        "json_exists",
        &[],
        "Whether there is something on a path.",
        "json_exists('{\"a\": 1}', '$.b') → false",
    );
    let exists = of_both(exists, &[TEXT], boolean, |args, _| {
        let mut paths = Memo::new();
        let found = args.each(|row| {
            Ok(paths.get(args.text(1, row), Path::of_function)?.find(args.text(0, row)).is_some())
        })?;
        args.map_booleans(|row| found[row])
    });
    let valid = found("json_valid", &[], "Whether a text is JSON.", "json_valid('{\"a\": }') → false").with(
        &[TEXT],
        RETURNS_BOOL,
        |args, _| args.map_booleans(|row| check(args.text(0, row)).is_ok()),
    );
    let valid = KINDS.into_iter().fold(valid, |function, data_type| {
        function.with(&[Parameter::Exact(data_type)], RETURNS_BOOL, |args, _| args.map_booleans(|_| true))
    });
    let is = found(
        "is_json",
        &[],
        "Whether a text is JSON of a kind: value, object, array or scalar; what IS JSON gives.",
        "is_json('[1]', 'array') → true",
    );
    let is = [DataType::Varchar, JSON, JSONB].into_iter().fold(is, |function, data_type| {
        function.with(&[Parameter::Exact(data_type), TEXT], RETURNS_BOOL, |args, _| {
            args.map_booleans(|row| {
                let text = args.text(0, row);
                let is_kind = match args.text(1, row) {
                    "object" => kind(text) == Kind::Object,
                    "array" => kind(text) == Kind::Array,
                    "scalar" => !matches!(kind(text), Kind::Array | Kind::Object),
                    _ => true,
                };
                is_kind && check(text).is_ok()
            })
        })
    });
    vec![
        pair(holds, |args, _| compare(args, contains)),
        pair(within, |args, _| compare(args, |a, b, work| contains(b, a, work))),
        pair(anywhere, |args, _| compare(args, contains_within)),
        key,
        any,
        all,
        exists,
        valid,
        is,
    ]
}

fn shapes() -> Vec<Function> {
    let kinds = found(
        "json_type",
        &[],
        "The type of a JSON value, or of what is on a path: OBJECT, ARRAY, VARCHAR, UBIGINT, BIGINT, DOUBLE, BOOLEAN or NULL.",
        "json_type('[1]') → ARRAY",
    );
    let kinds = of_both(kinds, &[], text, |args, _| {
        args.map_text(|row, out| {
            out.extend(type_name(args.text(0, row)).bytes());
            Ok(())
        })
    });
    let kinds = of_both(kinds, &[TEXT], text, |args, _| {
        let mut paths = Memo::new();
        optional_text(args, DataType::Varchar, |row| {
            let at = paths.get(args.text(1, row), Path::of_function)?.find(args.text(0, row));
            Ok(at.map(|at| type_name(at).to_owned()))
        })
    });
    let plain = found(
        "json_typeof",
        &["jsonb_typeof"],
        "The type of a JSON value in JSON's words: object, array, string, number, boolean or null.",
        "json_typeof('[1]') → array",
    );
    let plain = of_both(plain, &[], text, |args, _| {
        args.map_text(|row, out| {
            out.extend(plain_name(args.text(0, row)).bytes());
            Ok(())
        })
    });
    let length = found(
        "json_array_length",
        &["jsonb_array_length"],
        "How many elements an array has, or the one on a path.",
        "json_array_length('[1, 2]') → 2",
    );
    let length = of_both(length, &[], int, |args, data_type| {
        args.map_integers(data_type, |row| array_length(args.text(0, row)))
    });
    let length = of_both(length, &[TEXT], int, |args, data_type| {
        let mut paths = Memo::new();
        args.or_null(
            |row| {
                let path = paths.get(args.text(1, row), Path::of_function)?;
                path.find(args.text(0, row)).map(array_length).transpose()
            },
            |args, lengths| args.map_integers(data_type, |row| Ok(lengths[row])),
        )
    });
    let structure = found(
        "json_structure",
        &[],
        "The types within a JSON value, as JSON.",
        "json_structure('{\"a\": [1, 2.5]}') → {\"a\":[\"DOUBLE\"]}",
    );
    let structure = KINDS.into_iter().fold(structure, |function, data_type| {
        function.with_fallible(&[Parameter::Exact(data_type)], Returns::Type(JSON), |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                Structure::of(&tree(args, 0, row)?).write(out);
                Ok(())
            })
        })
    });
    vec![kinds, plain, length, structure]
}

fn changes() -> Vec<Function> {
    let stripped = found(
        "json_strip_nulls",
        &["jsonb_strip_nulls"],
        "An object without its members that are null, at any depth.",
        "json_strip_nulls('{\"a\": null, \"b\": 1}') → {\"b\":1}",
    );
    let stripped = of_both(stripped, &[], first, |args, data_type| {
        args.map_bytes(data_type, |row, out| {
            write(data_type, &strip_nulls(tree(args, 0, row)?), out);
            Ok(())
        })
    });
    let short = found(
        "json",
        &[],
        "JSON without blanks, of two members of one key the last.",
        "json('{\"a\": [1, 2]}') → {\"a\":[1,2]}",
    );
    let short = of_both(
        short,
        &[],
        || Returns::Type(JSON),
        |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                compact(&tree(args, 0, row)?, out);
                Ok(())
            })
        },
    );
    let lines =
        found("json_pretty", &["jsonb_pretty"], "JSON over several lines, indented.", "json_pretty('1') → 1");
    let lines = of_both(lines, &[], text, |args, _| {
        args.map_text(|row, out| {
            pretty(&tree(args, 0, row)?, 0, out);
            Ok(())
        })
    });
    let patched = found(
        "json_merge_patch",
        &["jsonb_merge_patch"],
        "JSON with patches one after the other: members replace those of their keys, null takes them away (RFC 7396).",
        "json_merge_patch('{\"a\": 1, \"b\": 2}', '{\"b\": null}') → {\"a\":1}",
    );
    let patched = KINDS.into_iter().fold(patched, |function, data_type| {
        function
            .with_fallible(&[Parameter::Exact(data_type); 2], Returns::First, |args, data_type| {
                args.map_bytes(data_type, |row, out| {
                    let mut merged = tree(args, 0, row)?;
                    for index in 1..args.len() {
                        merged = merge_patch(merged, tree(args, index, row)?);
                    }
                    write(data_type, &merged, out);
                    Ok(())
                })
            })
            .variadic()
    });
    let joined = Function::new("||", "", "").with_fallible(
        &[Parameter::Exact(JSONB); 2],
        Returns::First,
        |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                write(data_type, &concatenated(tree(args, 0, row)?, tree(args, 1, row)?), out);
                Ok(())
            })
        },
    );
    let without = Function::new("-", "", "")
        .with_fallible(&[Parameter::Exact(JSONB), TEXT], Returns::First, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                let left = without_key(tree(args, 0, row)?, args.text(1, row))?;
                write(data_type, &left, out);
                Ok(())
            })
        })
        .with_fallible(&[Parameter::Exact(JSONB), INT], Returns::First, |args, data_type| {
            let places = args.longs(1);
            args.map_bytes(data_type, |row, out| {
                write(data_type, &without_element(tree(args, 0, row)?, places[row])?, out);
                Ok(())
            })
        });
    vec![stripped, short, lines, patched, joined, without]
}

/// The document of an argument.
pub(super) fn tree<'a>(args: &'a Arguments, index: usize, row: usize) -> Result<Tree<'a>> {
    let text = args.text(index, row);
    Tree::parse(text).map_err(|fault: Fault| fault.of(text, "JSON"))
}

/// Appends the tree as its type has it.
pub(super) fn write(data_type: DataType, tree: &Tree<'_>, out: &mut Vec<u8>) {
    if data_type == JSONB { canonical(tree, out) } else { compact(tree, out) }
}

/// Texts, null where there is none.
fn optional_text(
    args: &Arguments,
    data_type: DataType,
    compute: impl FnMut(usize) -> Result<Option<String>>,
) -> Result<Vector> {
    args.or_null(compute, |args, texts| {
        args.map_bytes(data_type, |row, out| {
            out.extend(texts[row].bytes());
            Ok(())
        })
    })
}

fn extract(args: &Arguments, read: Reads) -> Result<Vector> {
    let mut paths = Memo::new();
    borrowed(args, args.data_type(0), |row| Ok(paths.get(args.text(1, row), read)?.find(args.text(0, row))))
}

/// As [`optional_text`], of parts of the arguments.
fn borrowed<'a>(
    args: &'a Arguments,
    data_type: DataType,
    compute: impl FnMut(usize) -> Result<Option<&'a str>>,
) -> Result<Vector> {
    args.or_null(compute, |args, texts| {
        args.map_bytes(data_type, |row, out| {
            out.extend(texts[row].bytes());
            Ok(())
        })
    })
}

fn extract_at(args: &Arguments) -> Result<Vector> {
    let places = args.longs(1);
    borrowed(args, args.data_type(0), |row| Ok(at(args, row, places[row])))
}

fn at(args: &Arguments, row: usize, place: i64) -> Option<&str> {
    Path::new(vec![Step::Index(place)]).find(args.text(0, row))
}

fn extract_text(args: &Arguments, read: Reads) -> Result<Vector> {
    let mut paths = Memo::new();
    optional_text(args, DataType::Varchar, |row| {
        let found = paths.get(args.text(1, row), read)?.find(args.text(0, row));
        Ok(found.and_then(scalar_text).map(|text| text.into_owned()))
    })
}

fn extract_text_at(args: &Arguments) -> Result<Vector> {
    let places = args.longs(1);
    optional_text(args, DataType::Varchar, |row| {
        Ok(at(args, row, places[row]).and_then(scalar_text).map(|text| text.into_owned()))
    })
}

/// Along the steps that are the arguments after the first.
fn along(args: &Arguments, data_type: DataType, as_text: bool) -> Result<Vector> {
    optional_text(args, data_type, |row| {
        let path = match args.len() {
            2 => Path::of_function(args.text(1, row))?,
            many => {
                Path::new((1..many).map(|index| Step::Either(args.text(index, row).to_owned())).collect())
            }
        };
        let found = path.find(args.text(0, row));
        Ok(match as_text {
            true => found.and_then(scalar_text).map(|text| text.into_owned()),
            false => found.map(str::to_owned),
        })
    })
}

type Test = fn(&Tree<'_>, &Tree<'_>, &mut Work) -> Result<bool>;

fn compare(args: &Arguments, test: Test) -> Result<Vector> {
    let found = args.each(|row| test(&tree(args, 0, row)?, &tree(args, 1, row)?, &mut Work::new()))?;
    args.map_booleans(|row| found[row])
}

/// Whether a text is a key of an object, an element of an array, or the document.
pub(super) fn has(document: &str, wanted: &str) -> bool {
    let is_wanted = |raw: &str| kind(raw) == Kind::String && unquote(raw.trim()) == wanted;
    match kind(document) {
        Kind::Object => members(document).any(|(key, _)| is_wanted(key)),
        Kind::Array => elements(document).any(is_wanted),
        _ => is_wanted(document),
    }
}

/// Of names and of whether a document has one.
type TestOfNames = fn(&[String], &dyn Fn(&String) -> bool) -> bool;

fn have(args: &Arguments, test: TestOfNames) -> Result<Vector> {
    let mut texts = Memo::new();
    let found = args.each(|row| {
        let wanted = texts.get(args.text(1, row), |text| Ok(Path::of_array(text)?.names()))?;
        let document = args.text(0, row);
        Ok(test(wanted, &|name| has(document, name)))
    })?;
    args.map_booleans(|row| found[row])
}

fn array_length(document: &str) -> Result<i128> {
    match kind(document) {
        Kind::Array => Ok(elements(document).count() as i128),
        _ => Err(Error::InvalidText {
            text: plain_name(document).to_owned(),
            data_type: "kind of JSON here: json_array_length takes an array".into(),
        }),
    }
}

fn plain_name(document: &str) -> &'static str {
    match kind(document) {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}

/// PostgreSQL's `||`: members of both objects, or the elements of both arrays; what is no array is one of one element.
fn concatenated<'a>(left: Tree<'a>, right: Tree<'a>) -> Tree<'a> {
    match (left, right) {
        (Tree::Object(mut members), Tree::Object(more)) => {
            let taken: std::collections::HashSet<&str> = more.iter().map(|(key, _)| key.as_ref()).collect();
            members.retain(|(key, _)| !taken.contains(key.as_ref()));
            drop(taken);
            members.extend(more);
            Tree::Object(members)
        }
        (left, right) => {
            let listed = |tree| match tree {
                Tree::Array(elements) => elements,
                other => vec![other],
            };
            let mut elements = listed(left);
            elements.extend(listed(right));
            Tree::Array(elements)
        }
    }
}

pub(super) fn without_key<'a>(tree: Tree<'a>, key: &str) -> Result<Tree<'a>> {
    match tree {
        Tree::Object(mut members) => {
            members.retain(|(own, _)| own != key);
            Ok(Tree::Object(members))
        }
        Tree::Array(mut elements) => {
            elements.retain(|element| !matches!(element, Tree::Text(text) if text == key));
            Ok(Tree::Array(elements))
        }
        _ => Err(Error::Unsupported(format!("taking '{key}' from a scalar of JSON"))),
    }
}

fn without_element(tree: Tree<'_>, place: i64) -> Result<Tree<'_>> {
    let Tree::Array(mut elements) = tree else {
        return Err(Error::Unsupported(
            "taking an element by its position from what is no array of JSON".into(),
        ));
    };
    let place = if place < 0 { elements.len() as i64 + place } else { place };
    if let Ok(place) = usize::try_from(place)
        && place < elements.len()
    {
        elements.remove(place);
    }
    Ok(Tree::Array(elements))
}
