//! Texts that are split, or matched, to lists.

use super::arguments::Arguments;
use super::items::{check_elements, push};
use super::regular::with_pattern;
use super::{Function, Parameter, Returns};
use columnar::packed::append_scalar;
use columnar::types::{TypeError, list_of};
use columnar::{DataType, Result, Scalar, Vector};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);

fn texts(_: &[DataType]) -> std::result::Result<DataType, TypeError> {
    list_of(DataType::Varchar)
}

pub(super) fn functions() -> Vec<Function> {
    let list = || Returns::Nested(texts);
    vec![
        Function::new(
            "string_split",
            "The parts of a text between separators; without one, its characters.",
            "string_split('a,b', ',') → [a, b]",
        )
        .aliases(&["str_split", "split"])
        .with_fallible(&[TEXT, TEXT], list(), |args, data_type| {
            args.map_packed(data_type, |row, out| {
                let mut parts = Parts::new(out);
                split(args.text(0, row), args.text(1, row), &mut parts)?;
                parts.finish()
            })
        }),
        Function::new(
            "regexp_split_to_array",
            "The parts of a text between matches of a regular expression.",
            "regexp_split_to_array('a1b22c', '[0-9]+') → [a, b, c]",
        )
        .aliases(&["string_split_regex", "str_split_regex", "regexp_split"])
        .with_fallible(&[TEXT, TEXT], list(), regexp_split)
        .with_fallible(&[TEXT, TEXT, TEXT], list(), regexp_split),
        Function::new(
            "regexp_match",
            "The groups of the first match, or the match where there are no groups; null without one.",
            "regexp_match('a1b2', '([a-z])(\\d)') → [a, 1]",
        )
        .with_fallible(&[TEXT, TEXT], list(), regexp_match)
        .nullable()
        .with_fallible(&[TEXT, TEXT, TEXT], list(), regexp_match)
        .nullable(),
    ]
}

/// A list of texts being written.
struct Parts<'o> {
    out: &'o mut Vec<u8>,
    elements: usize,
}

impl<'o> Parts<'o> {
    fn new(out: &'o mut Vec<u8>) -> Parts<'o> {
        Parts { out, elements: 0 }
    }

    fn push(&mut self, part: Option<&str>) -> Result<()> {
        self.elements += 1;
        check_elements(self.elements)?;
        match part {
            None => push(self.out, None),
            Some(part) => {
                self.out.push(1);
                append_scalar(self.out, &Scalar::Bytes(part.as_bytes().to_vec()), DataType::Varchar)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<bool> {
        self.out.push(0);
        Ok(true)
    }
}

fn characters(text: &str, parts: &mut Parts<'_>) -> Result<()> {
    text.char_indices().try_for_each(|(at, character)| parts.push(Some(&text[at..at + character.len_utf8()])))
}

fn split(text: &str, separator: &str, parts: &mut Parts<'_>) -> Result<()> {
    if separator.is_empty() {
        return characters(text, parts);
    }
    text.split(separator).try_for_each(|part| parts.push(Some(part)))
}

fn flags(args: &Arguments, row: usize) -> &str {
    if args.len() > 2 { args.text(2, row) } else { "" }
}

fn regexp_split(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        let (text, mut parts) = (args.text(0, row), Parts::new(out));
        with_pattern(args.text(1, row), flags(args, row), |pattern| {
            let (mut start, mut from) = (0, 0);
            while from <= text.len() {
                let Some((first, last)) = pattern.find(text, from).map(|found| found.place()) else { break };
                // An empty match splits between characters, and neither at the start nor at the end.
                if first == last {
                    let next = text[last..].chars().next().map_or(1, char::len_utf8);
                    if first > start && first < text.len() {
                        parts.push(Some(&text[start..first]))?;
                        start = first;
                    }
                    from = last + next;
                } else {
                    parts.push(Some(&text[start..first]))?;
                    (start, from) = (last, last);
                }
            }
            parts.push(Some(&text[start..]))
        })?;
        parts.finish()
    })
}

fn regexp_match(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        let (text, mut parts) = (args.text(0, row), Parts::new(out));
        let matched = with_pattern(args.text(1, row), flags(args, row), |pattern| {
            // The match itself is the first of the groups.
            let groups = pattern.groups();
            let Some(found) = pattern.find(text, 0) else { return Ok(false) };
            if groups == 1 {
                parts.push(Some(found.group(0)))?;
            }
            for group in 1..groups {
                parts.push(found.place_of(group).map(|(start, end)| &text[start..end]))?;
            }
            Ok(true)
        })?;
        Ok(parts.finish()? && matched)
    })
}
