//! Functions of text. Positions and lengths count characters, from 1, as PostgreSQL has them.

use super::arguments::Arguments;
use super::{Function, Parameter, Returns, Run};
use columnar::kernels::text::characters;
use columnar::{DataType, Error, Result, Values, Vector};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const PRINTED: Parameter = Parameter::Printed;
const INT: Parameter = Parameter::Exact(DataType::Int64);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);
const RETURNS_BOOL: Returns = Returns::Type(DataType::Boolean);

/// The longest text that a function makes, in bytes.
const LONGEST_BYTES: usize = 256 << 20;

pub(super) fn functions() -> Vec<Function> {
    let mut functions = vec![
        Function::new("lower", "Text in lower case.", "lower('Tundra') → tundra").aliases(&["lcase"]).with(
            &[TEXT],
            RETURNS_TEXT,
            |args, _| args.map_text(|row, out| append(out, &args.text(0, row).to_lowercase())),
        ),
        Function::new("upper", "Text in upper case.", "upper('Tundra') → TUNDRA").aliases(&["ucase"]).with(
            &[TEXT],
            RETURNS_TEXT,
            |args, _| args.map_text(|row, out| append(out, &args.text(0, row).to_uppercase())),
        ),
        Function::new("initcap", "Text with each word capitalised.", "initcap('hello world') → Hello World")
            .with(&[TEXT], RETURNS_TEXT, |args, _| {
                args.map_text(|row, out| append(out, &capitalised(args.text(0, row))))
            }),
        Function::new("length", "The number of characters.", "length('tundra') → 6")
            .aliases(&["char_length", "character_length", "len"])
            .with(&[TEXT], RETURNS_INT, length)
            .within(0, i32::MAX.into()),
        Function::new("octet_length", "The number of bytes.", "octet_length('é') → 2")
            .aliases(&["strlen"])
            .with(&[TEXT], RETURNS_INT, byte_length)
            .within(0, i32::MAX.into())
            .with(&[Parameter::Exact(DataType::Binary)], RETURNS_INT, byte_length)
            .within(0, i32::MAX.into()),
        Function::new(
            "substring",
            "Characters from a position on, at most a number of them.",
            "substring('tundra', 2, 3) → und",
        )
        .aliases(&["substr"])
        .with(&[TEXT, INT], RETURNS_TEXT, substring)
        .with_fallible(&[TEXT, INT, INT], RETURNS_TEXT, substring),
        Function::new(
            "left",
            "The first characters; with a negative number all but the last.",
            "left('tundra', 3) → tun",
        )
        .with(&[TEXT, INT], RETURNS_TEXT, |args, _| {
            let counts = args.longs(1);
            args.map_text(|row, out| {
                let text = args.text(0, row);
                append(out, &text[..byte_of(text, count_from_start(text, counts[row]))])
            })
        }),
        Function::new(
            "right",
            "The last characters; with a negative number all but the first.",
            "right('tundra', 3) → dra",
        )
        .with(&[TEXT, INT], RETURNS_TEXT, |args, _| {
            let counts = args.longs(1);
            args.map_text(|row, out| {
                let text = args.text(0, row);
                let chars = text.chars().count() as i64;
                let skipped = match counts[row] {
                    count if count >= 0 => chars.saturating_sub(count).max(0),
                    count => count.unsigned_abs().min(chars as u64) as i64,
                };
                append(out, &text[byte_of(text, skipped as usize)..])
            })
        }),
        Function::new(
            "concat",
            "The arguments one after the other, nulls left out.",
            "concat('a', NULL, 'b') → ab",
        )
        .with_fallible(&[PRINTED], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| {
                (0..args.len())
                    .filter(|&index| !args.flats[index].is_null(row))
                    .try_for_each(|index| append(out, args.text(index, row)))
            })
        })
        .variadic()
        .sees_nulls(),
        Function::new("||", "One text after the other.", "'tun' || 'dra' → tundra")
            .with_fallible(&[TEXT, PRINTED], RETURNS_TEXT, join)
            .with_fallible(&[PRINTED, TEXT], RETURNS_TEXT, join),
        Function::new(
            "replace",
            "Every occurrence of a text replaced by another.",
            "replace('banana', 'an', 'o') → booa",
        )
        .with_fallible(&[TEXT, TEXT, TEXT], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| {
                let (text, from, to) = (args.text(0, row), args.text(1, row), args.text(2, row));
                if from.is_empty() {
                    return append(out, text);
                }
                let mut rest = text;
                while let Some(at) = rest.find(from) {
                    append(out, &rest[..at])?;
                    append(out, to)?;
                    rest = &rest[at + from.len()..];
                }
                append(out, rest)
            })
        }),
        Function::new(
            "translate",
            "Characters of a set replaced by those at the same place of another.",
            "translate('12345', '143', 'ax') → a2x5",
        )
        .with(&[TEXT, TEXT, TEXT], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| {
                let to: Vec<char> = args.text(2, row).chars().collect();
                let changed: String = args
                    .text(0, row)
                    .chars()
                    .filter_map(|c| match args.text(1, row).chars().position(|from| from == c) {
                        Some(place) => to.get(place).copied(),
                        None => Some(c),
                    })
                    .collect();
                append(out, &changed)
            })
        }),
        Function::new("reverse", "The characters in reverse order.", "reverse('abc') → cba").with(
            &[TEXT],
            RETURNS_TEXT,
            |args, _| {
                args.map_text(|row, out| append(out, &args.text(0, row).chars().rev().collect::<String>()))
            },
        ),
        Function::new("repeat", "Text a number of times.", "repeat('ab', 3) → ababab").with_fallible(
            &[TEXT, INT],
            RETURNS_TEXT,
            |args, _| {
                let counts = args.longs(1);
                args.map_text(|row, out| {
                    append_times(out, args.text(0, row), usize::try_from(counts[row]).unwrap_or(0))
                })
            },
        ),
        Function::new(
            "strpos",
            "The position of a text in another, 0 if it is not there.",
            "strpos('tundra', 'dr') → 4",
        )
        .aliases(&["instr"])
        .with(&[TEXT, TEXT], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| {
                let text = args.text(0, row);
                Ok(text.find(args.text(1, row)).map_or(0, |at| text[..at].chars().count() as i128 + 1))
            })
        }),
        Function::new(
            "split_part",
            "A part between delimiters, counted from 1, or from the end if negative.",
            "split_part('a,b,c', ',', 2) → b",
        )
        .with_fallible(&[TEXT, TEXT, INT], RETURNS_TEXT, |args, _| {
            let fields = args.longs(2);
            args.map_text(|row, out| {
                let (text, delimiter) = (args.text(0, row), args.text(1, row));
                let parts: Vec<&str> =
                    if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
                let place = match fields[row] {
                    0 => return Err(Error::OutOfRange { what: "field 0 of split_part".into() }),
                    field if field > 0 => usize::try_from(field - 1).ok(),
                    field => usize::try_from(field.unsigned_abs())
                        .ok()
                        .and_then(|back| parts.len().checked_sub(back)),
                };
                append(out, place.and_then(|place| parts.get(place)).copied().unwrap_or(""))
            })
        }),
        Function::new(
            "concat_ws",
            "Arguments joined by the first, nulls left out.",
            "concat_ws('-', 'a', NULL, 'b') → a-b",
        )
        .with_fallible(&[TEXT, PRINTED], RETURNS_TEXT, concat_with_separator)
        .variadic()
        .sees_nulls(),
        Function::new("chr", "The character of a Unicode code point.", "chr(65) → A").with_fallible(
            &[INT],
            RETURNS_TEXT,
            |args, _| {
                let codes = args.longs(0);
                args.map_text(|row, out| {
                    let found =
                        u32::try_from(codes[row]).ok().filter(|&code| code != 0).and_then(char::from_u32);
                    let found = found
                        .ok_or_else(|| Error::OutOfRange { what: format!("character {}", codes[row]) })?;
                    append(out, found.encode_utf8(&mut [0; 4]))
                })
            },
        ),
        Function::new(
            "ascii",
            "The Unicode code point of the first character, 0 of an empty text.",
            "ascii('A') → 65",
        )
        .with(&[TEXT], Returns::Type(DataType::Int32), |args, data_type| {
            args.map_integers(data_type, |row| Ok(args.text(0, row).chars().next().map_or(0, |c| c as i128)))
        }),
    ];
    let tests: [(&'static str, &'static [&'static str], &'static str, &'static str, Run); 3] = [
        (
            "starts_with",
            &["prefix", "^@"],
            "Whether text starts with another.",
            "starts_with('tundra', 'tun') → true",
            |args, _| args.map_booleans(|row| args.bytes(0, row).starts_with(args.bytes(1, row))),
        ),
        (
            "ends_with",
            &["suffix"],
            "Whether text ends with another.",
            "ends_with('tundra', 'dra') → true",
            |args, _| args.map_booleans(|row| args.bytes(0, row).ends_with(args.bytes(1, row))),
        ),
        (
            "contains",
            &[],
            "Whether text contains another.",
            "contains('tundra', 'und') → true",
            |args, _| {
                args.map_booleans(|row| {
                    memchr::memmem::find(args.bytes(0, row), args.bytes(1, row)).is_some()
                })
            },
        ),
    ];
    for (name, aliases, description, example, run) in tests {
        functions.push(Function::new(name, description, example).aliases(aliases).with(
            &[TEXT, TEXT],
            RETURNS_BOOL,
            run,
        ));
    }
    let trims: [(&'static str, &'static [&'static str], &'static str, &'static str, Run); 3] = [
        (
            "trim",
            &["btrim"],
            "Text without the given characters (blanks) at either end.",
            "trim('  a  ') → a",
            |args, _| trim(args, true, true),
        ),
        (
            "ltrim",
            &[],
            "Text without the given characters (blanks) at its start.",
            "ltrim('  a') → a",
            |args, _| trim(args, true, false),
        ),
        (
            "rtrim",
            &[],
            "Text without the given characters (blanks) at its end.",
            "rtrim('a  ') → a",
            |args, _| trim(args, false, true),
        ),
    ];
    for (name, aliases, description, example, run) in trims {
        let function = Function::new(name, description, example).aliases(aliases);
        functions.push(function.with(&[TEXT], RETURNS_TEXT, run).with(&[TEXT, TEXT], RETURNS_TEXT, run));
    }
    let pads: [(&'static str, &'static str, &'static str, Run); 2] = [
        (
            "lpad",
            "Text filled up at its start, or cut, to a length.",
            "lpad('7', 3, '0') → 007",
            |args, _| pad(args, true),
        ),
        (
            "rpad",
            "Text filled up at its end, or cut, to a length.",
            "rpad('7', 3, '.') → 7..",
            |args, _| pad(args, false),
        ),
    ];
    for (name, description, example, run) in pads {
        let function = Function::new(name, description, example);
        functions.push(function.with_fallible(&[TEXT, INT], RETURNS_TEXT, run).with_fallible(
            &[TEXT, INT, TEXT],
            RETURNS_TEXT,
            run,
        ));
    }
    functions
}

/// Appends text to a result, unless that grows beyond reason.
pub(super) fn append(out: &mut Vec<u8>, text: &str) -> Result<()> {
    if out.len() + text.len() > LONGEST_BYTES {
        return Err(Error::OutOfRange { what: format!("a text of more than {LONGEST_BYTES} bytes") });
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// As [`append`], so many times.
fn append_times(out: &mut Vec<u8>, text: &str, times: usize) -> Result<()> {
    match text.len().checked_mul(times) {
        Some(bytes) if out.len() + bytes <= LONGEST_BYTES => {
            out.extend_from_slice(text.repeat(times).as_bytes());
            Ok(())
        }
        _ => Err(Error::OutOfRange { what: format!("a text of more than {LONGEST_BYTES} bytes") }),
    }
}

fn join(args: &Arguments, _: DataType) -> Result<Vector> {
    args.map_text(|row, out| {
        append(out, args.text(0, row))?;
        append(out, args.text(1, row))
    })
}

/// Where character `index` of `text` starts, or its end.
pub(super) fn byte_of(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

/// How many characters from the start `left` means by `count`.
fn count_from_start(text: &str, count: i64) -> usize {
    match usize::try_from(count) {
        Ok(count) => count,
        Err(_) => text.chars().count().saturating_sub(count.unsigned_abs() as usize),
    }
}

fn byte_length(args: &Arguments, data_type: DataType) -> Result<Vector> {
    Ok(args.map_views(data_type, |views, row| views.view(row).len()))
}

fn length(args: &Arguments, data_type: DataType) -> Result<Vector> {
    if matches!(&args.flats[0].values, Values::View(views) if views.are_ascii()) {
        return byte_length(args, data_type);
    }
    Ok(args.map_views(data_type, |views, row| characters(views.get(row))))
}

fn capitalised(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            result.extend(c.to_lowercase());
        } else {
            result.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric();
    }
    result
}

/// Characters `start .. start + length` counted from 1; positions before the first count towards the length.
fn substring(args: &Arguments, _: DataType) -> Result<Vector> {
    let starts = args.longs(1);
    let lengths = (args.len() > 2).then(|| args.longs(2));
    args.map_text(|row, out| {
        let (text, start) = (args.text(0, row), starts[row]);
        let end = match &lengths {
            Some(lengths) if lengths[row] < 0 => {
                return Err(Error::OutOfRange { what: "a negative length of substring".into() });
            }
            Some(lengths) => start.saturating_add(lengths[row]),
            None => i64::MAX,
        };
        let first = start.max(1) - 1;
        let count = usize::try_from(end.saturating_sub(1).saturating_sub(first)).unwrap_or(0);
        if text.is_ascii() {
            let from = text.len().min(first as usize);
            return append(out, &text[from..from.saturating_add(count).min(text.len())]);
        }
        let rest = &text[byte_of(text, first as usize)..];
        append(out, &rest[..byte_of(rest, count)])
    })
}

fn trim(args: &Arguments, start: bool, end: bool) -> Result<Vector> {
    args.map_text(|row, out| {
        let set = if args.len() > 1 { args.text(1, row) } else { " " };
        let mut text = args.text(0, row);
        if start {
            text = text.trim_start_matches(|c| set.contains(c));
        }
        if end {
            text = text.trim_end_matches(|c| set.contains(c));
        }
        append(out, text)
    })
}

fn pad(args: &Arguments, at_start: bool) -> Result<Vector> {
    let lengths = args.longs(1);
    args.map_text(|row, out| {
        let text = args.text(0, row);
        let fill = if args.len() > 2 { args.text(2, row) } else { " " };
        let wanted = usize::try_from(lengths[row]).unwrap_or(0);
        let chars = text.chars().count();
        if chars >= wanted || fill.is_empty() {
            return append(out, &text[..byte_of(text, wanted)]);
        }
        if !at_start {
            append(out, text)?;
        }
        let (missing, length) = (wanted - chars, fill.chars().count());
        append_times(out, fill, missing / length)?;
        append(out, &fill[..byte_of(fill, missing % length)])?;
        if at_start { append(out, text) } else { Ok(()) }
    })
}

fn concat_with_separator(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let separators =
        Arguments { flats: Vec::new(), validity: args.flats[0].validity.clone(), rows: args.rows };
    debug_assert_eq!(data_type, DataType::Varchar);
    separators.map_text(|row, out| {
        let mut first = true;
        for index in (1..args.len()).filter(|&index| !args.flats[index].is_null(row)) {
            if !std::mem::take(&mut first) {
                append(out, args.text(0, row))?;
            }
            append(out, args.text(index, row))?;
        }
        Ok(())
    })
}
