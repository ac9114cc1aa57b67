//! More functions of regular expressions, and the patterns of `SIMILAR TO` and `GLOB`, which become such.

use super::arguments::{Arguments, Memo};
use super::regular::{Found, Pattern, compile, with_pattern};
use super::text::{append, byte_of};
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error, Result, Vector};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const INT: Parameter = Parameter::Exact(DataType::Int64);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);
const RETURNS_BOOL: Returns = Returns::Type(DataType::Boolean);

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("regexp_matches", "", "").with_fallible(&[TEXT, TEXT, TEXT], RETURNS_BOOL, |args, _| {
            tests(args, |pattern| Ok(pattern.to_owned()))
        }),
        Function::new(
            "regexp_full_match",
            "Whether a regular expression matches the whole text.",
            "regexp_full_match('tundra', 't.*a') → true",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_BOOL, full_match)
        .with_fallible(&[TEXT, TEXT, TEXT], RETURNS_BOOL, full_match),
        Function::new("regexp_extract", "", "").with_fallible(&[TEXT, TEXT, INT, TEXT], RETURNS_TEXT, |args, _| {
            let groups = args.longs(2);
            args.map_text(|row, out| {
                with_pattern(args.text(1, row), args.text(3, row), |pattern| {
                    let group = group_of(pattern, groups[row])?;
                    match pattern.find(args.text(0, row), 0) {
                        Some(found) => append(out, found.group(group)),
                        None => Ok(()),
                    }
                })
            })
        }),
        Function::new(
            "regexp_count",
            "How often a regular expression matches, from a position on.",
            "regexp_count('banana', 'an') → 2",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_INT, count)
        .with_fallible(&[TEXT, TEXT, INT], RETURNS_INT, count)
        .with_fallible(&[TEXT, TEXT, INT, TEXT], RETURNS_INT, count),
        Function::new(
            "regexp_substr",
            "The match of a regular expression, or one of its groups: text, pattern, start, which match, flags, group. \
             Null without a match.",
            "regexp_substr('ABCDEF', 'c(.)(..)', 1, 1, 'i', 2) → EF",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_TEXT, substring)
        .nullable()
        .with_fallible(&[TEXT, TEXT, INT], RETURNS_TEXT, substring)
        .nullable()
        .with_fallible(&[TEXT, TEXT, INT, INT], RETURNS_TEXT, substring)
        .nullable()
        .with_fallible(&[TEXT, TEXT, INT, INT, TEXT], RETURNS_TEXT, substring)
        .nullable()
        .with_fallible(&[TEXT, TEXT, INT, INT, TEXT, INT], RETURNS_TEXT, substring)
        .nullable(),
        Function::new(
            "regexp_instr",
            "Where a regular expression matches, or 0: text, pattern, start, which match, 1 for behind the match, flags, \
             group.",
            "regexp_instr('ABCDEF', 'c(.)(..)', 1, 1, 0, 'i') → 3",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_INT, position)
        .with_fallible(&[TEXT, TEXT, INT], RETURNS_INT, position)
        .with_fallible(&[TEXT, TEXT, INT, INT], RETURNS_INT, position)
        .with_fallible(&[TEXT, TEXT, INT, INT, INT], RETURNS_INT, position)
        .with_fallible(&[TEXT, TEXT, INT, INT, INT, TEXT], RETURNS_INT, position)
        .with_fallible(&[TEXT, TEXT, INT, INT, INT, TEXT, INT], RETURNS_INT, position),
        Function::new(
            "regexp_escape",
            "A regular expression that matches the text itself.",
            "regexp_escape('a.b') → a\\.b",
        )
        .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| append(out, &escaped(args.text(0, row))))
        }),
        Function::new(
            "regexp_substring",
            "What SUBSTRING(text FROM pattern) gives: the match of a regular expression, or its first group. \
             Null without a match.",
            "substring('foobar' FROM 'o(.)b') → o",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_TEXT, |args, _| {
            args.or_null(
                |row| {
                    with_pattern(args.text(1, row), "", |pattern| {
                        let group = usize::from(pattern.groups() > 1);
                        Ok(pattern.find(args.text(0, row), 0).map(|found| found.group(group).to_owned()))
                    })
                },
                texts,
            )
        })
        .nullable(),
        Function::new(
            "similar_to",
            "What SIMILAR TO tests: whether a pattern of SQL with | * + ? { } ( ) [ ] matches the whole text.",
            "'abc' SIMILAR TO '%(b|d)%' → true",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_BOOL, |args, _| tests(args, |pattern| similar_to(pattern, Some('\\'))))
        .with_fallible(&[TEXT, TEXT, TEXT], RETURNS_BOOL, |args, _| {
            let mut translated = Memo::new();
            let found = args.each(|row| {
                let mut letters = args.text(2, row).chars();
                let escape = letters.next();
                if letters.next().is_some() {
                    let what = "ESCAPE, which takes one character,".into();
                    return Err(Error::OutOfRange { what });
                }
                // The escape character is constant in all but name: the pattern alone is remembered with it.
                let key = format!("{}{}", args.text(2, row), args.text(1, row));
                let text = args.text(1, row);
                let pattern = translated.get(&key, |_| similar_to(text, escape))?;
                with_pattern(pattern, "s", |pattern| Ok(pattern.is_match(args.text(0, row))))
            })?;
            args.map_booleans(|row| found[row])
        }),
        Function::new(
            "glob",
            "What GLOB tests: whether a pattern with * ? and [ ] matches the whole text.",
            "'best.txt' GLOB '*.txt' → true",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_BOOL, |args, _| tests(args, |pattern| Ok(glob(pattern)))),
    ]
}

/// The text with a backslash before each sign, as the library RE2 has it; `\<` and `\>` would mean borders of words.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii()
            && !c.is_ascii_alphanumeric()
            && !c.is_ascii_control()
            && !matches!(c, '_' | '<' | '>')
        {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn texts(found: &Arguments, values: Vec<String>) -> Result<Vector> {
    found.map_text(|row, out| append(out, &values[row]))
}

/// Whether what becomes of the second argument matches the first, with the third as flags.
fn tests(args: &Arguments, translate: fn(&str) -> Result<String>) -> Result<Vector> {
    let mut translated = Memo::new();
    let found = args.each(|row| {
        let flags = if args.len() > 2 { args.text(2, row) } else { "" };
        let pattern = translated.get(args.text(1, row), translate)?;
        with_pattern(pattern, flags, |pattern| Ok(pattern.is_match(args.text(0, row))))
    })?;
    args.map_booleans(|row| found[row])
}

fn full_match(args: &Arguments, _: DataType) -> Result<Vector> {
    tests(args, |pattern| {
        // On its own it must be one expression.
        compile(pattern, "")?;
        Ok(format!("\\A(?:{pattern})\\z"))
    })
}

/// A group that the pattern has; 0 is the whole.
fn group_of(pattern: &Pattern, group: i64) -> Result<usize> {
    let groups = pattern.groups();
    usize::try_from(group)
        .ok()
        .filter(|&group| group < groups)
        .ok_or_else(|| Error::OutOfRange { what: format!("group {group} of a regular expression") })
}

/// The byte at which a search starts that begins at a character counted from 1; `None` behind the text.
fn start_of(text: &str, start: i64) -> Result<Option<usize>> {
    match start {
        ..=0 => Err(Error::OutOfRange { what: format!("start {start} of a regular expression") }),
        1 => Ok(Some(0)),
        start => {
            let before = usize::try_from(start - 1).unwrap_or(usize::MAX);
            let at = byte_of(text, before);
            Ok((at < text.len() || text.chars().count() == before).then_some(at))
        }
    }
}

/// Matches in order that do not overlap; the code says whether to go on.
fn each_match(pattern: &mut Pattern, text: &str, from: usize, mut see: impl FnMut(&Found<'_>) -> bool) {
    let (mut from, mut last) = (from, None);
    while from <= text.len()
        && let Some(found) = pattern.find(text, from)
    {
        let (start, end) = found.place();
        // An empty match right behind another one is none.
        if (start < end || last != Some(end)) && !see(&found) {
            return;
        }
        last = Some(end);
        let step = if start < end { 0 } else { text[end..].chars().next().map_or(1, char::len_utf8) };
        from = end + step;
    }
}

fn count(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let starts = (args.len() > 2).then(|| args.longs(2));
    args.map_integers(data_type, |row| {
        let text = args.text(0, row);
        let flags = if args.len() > 3 { args.text(3, row) } else { "" };
        let Some(from) = start_of(text, starts.as_ref().map_or(1, |starts| starts[row]))? else {
            return Ok(0);
        };
        with_pattern(args.text(1, row), flags, |pattern| {
            let mut count = 0;
            each_match(pattern, text, from, |_| {
                count += 1;
                true
            });
            Ok(count)
        })
    })
}

/// Where the match that the arguments ask for, or a group of it, starts and ends in the text.
fn asked(
    args: &Arguments,
    row: usize,
    numbers: &[Option<Vec<i64>>; 3],
    flags: Option<usize>,
) -> Result<Option<(usize, usize)>> {
    let text = args.text(0, row);
    let [start, which, group] = [(0, 1), (1, 1), (2, 0)]
        .map(|(index, default)| numbers[index].as_ref().map_or(default, |numbers: &Vec<i64>| numbers[row]));
    let flags = flags.map_or("", |index| args.text(index, row));
    if which < 1 {
        return Err(Error::OutOfRange { what: format!("match {which} of a regular expression") });
    }
    let Some(from) = start_of(text, start)? else { return Ok(None) };
    with_pattern(args.text(1, row), flags, |pattern| {
        let group = group_of(pattern, group)?;
        let (mut left, mut place) = (which, None);
        each_match(pattern, text, from, |found| {
            left -= 1;
            if left == 0 {
                place = found.place_of(group);
            }
            left > 0
        });
        Ok(place)
    })
}

fn longs(args: &Arguments, index: usize) -> Option<Vec<i64>> {
    (args.len() > index).then(|| args.longs(index))
}

fn substring(args: &Arguments, _: DataType) -> Result<Vector> {
    let numbers = [longs(args, 2), longs(args, 3), longs(args, 5)];
    let flags = (args.len() > 4).then_some(4);
    args.or_null(
        |row| {
            let place = asked(args, row, &numbers, flags)?;
            Ok(place.map(|(start, end)| args.text(0, row)[start..end].to_owned()))
        },
        texts,
    )
}

fn position(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let numbers = [longs(args, 2), longs(args, 3), longs(args, 6)];
    let ends = longs(args, 4);
    let flags = (args.len() > 5).then_some(5);
    args.map_integers(data_type, |row| {
        let end = ends.as_ref().map_or(0, |ends| ends[row]);
        if !(0..=1).contains(&end) {
            return Err(Error::OutOfRange { what: format!("end option {end} of regexp_instr") });
        }
        let place = asked(args, row, &numbers, flags)?;
        let before = place.map(|(start, behind)| if end == 1 { behind } else { start });
        Ok(before.map_or(0, |at| args.text(0, row)[..at].chars().count() as i128 + 1))
    })
}

/// A pattern of SQL:2016's `SIMILAR TO` as a regular expression.
fn similar_to(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = String::from("\\A(?s:");
    let (mut chars, mut in_set) = (pattern.chars(), false);
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let next = chars.next().ok_or_else(|| Error::InvalidText {
                text: pattern.to_owned(),
                data_type: "pattern of SIMILAR TO".into(),
            })?;
            out += &regex::escape(next.encode_utf8(&mut [0; 4]));
            continue;
        }
        match c {
            ']' => {
                in_set = false;
                out.push(c);
            }
            _ if in_set && matches!(c, '\\' | '[' | '&' | '~') => out.extend(['\\', c]),
            _ if in_set => out.push(c),
            '[' => {
                in_set = true;
                out.push(c);
            }
            '%' => out += ".*",
            '_' => out.push('.'),
            '(' => out += "(?:",
            '.' | '^' | '$' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    Ok(out + ")\\z")
}

/// A pattern of a shell as a regular expression.
fn glob(pattern: &str) -> String {
    let mut out = String::from("\\A(?s:");
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => out += ".*",
            '?' => out.push('.'),
            '\\' if !rest.is_empty() => {
                let next = rest.chars().next().unwrap_or('\\');
                rest = &rest[next.len_utf8()..];
                out += &regex::escape(next.encode_utf8(&mut [0; 4]));
            }
            '[' => {
                let inside = rest.trim_start_matches(['!', '^']);
                let skipped = rest.len() - inside.len();
                // The first of a set may be the bracket that would end it.
                let end = inside.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at + skipped);
                match end.filter(|_| skipped <= 1) {
                    Some(end) => {
                        out += if skipped == 1 { "[^" } else { "[" };
                        for c in rest[skipped..end].chars() {
                            if matches!(c, '\\' | '[' | ']' | '&' | '~' | '^') {
                                out.push('\\');
                            }
                            out.push(c);
                        }
                        out.push(']');
                        rest = &rest[end + 1..];
                    }
                    // A set without an end matches nothing.
                    None => return "[^\\s\\S]".into(),
                }
            }
            c => out += &regex::escape(c.encode_utf8(&mut [0; 4])),
        }
    }
    out + ")\\z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_sql_become_regular_expressions() {
        let is_similar = |text: &str, pattern: &str| {
            regex::Regex::new(&similar_to(pattern, Some('\\')).unwrap()).unwrap().is_match(text)
        };
        for (text, pattern, expected) in [
            ("abc", "abc", true),
            ("abc", "a", false),
            ("abc", "%(b|d)%", true),
            ("abc", "(b|c)%", false),
            ("a.c", "a.c", true),
            ("abc", "a.c", false),
            ("a\nc", "a_c", true),
            ("x^y", "x^y", true),
            ("a%", "a\\%", true),
            ("ab", "a\\%", false),
            ("aaa", "a{2,3}", true),
            ("a]", "a[]]", true),
            ("b2", "[a-c][0-9]", true),
            ("d2", "[^a-c][0-9]", true),
            ("", "", true),
        ] {
            assert_eq!(is_similar(text, pattern), expected, "{text} {pattern}");
        }
        assert!(similar_to("a\\", Some('\\')).is_err() && similar_to("a\\", None).is_ok());
    }

    #[test]
    fn globs_become_regular_expressions() {
        let matches = |text: &str, pattern: &str| regex::Regex::new(&glob(pattern)).unwrap().is_match(text);
        for (text, pattern, expected) in [
            ("best.txt", "*.txt", true),
            ("best.txt", "????.txt", true),
            ("best.txt", "?.txt", false),
            ("best.txt", "[a-c]est.txt", true),
            ("best.txt", "[!a-c]est.txt", false),
            ("dest.txt", "[^a-c]est.txt", true),
            ("a]", "a[]]", true),
            ("a", "[a", false),
            ("a*", "a\\*", true),
            ("ab", "a\\*", false),
            ("a.b", "a.b", true),
            ("axb", "a.b", false),
            ("a\nb", "a*b", true),
            ("", "*", true),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
    }
}
