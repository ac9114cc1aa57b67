//! Functions of regular expressions.

use super::arguments::Arguments;
use super::text::append;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error, Result, Vector};
use regex::{CaptureLocations, Regex};
use std::cell::RefCell;
use std::collections::HashMap;

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const INT: Parameter = Parameter::Exact(DataType::Int64);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);

/// The most expressions that a thread remembers.
const MOST_PATTERNS: usize = 32;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "regexp_matches",
            "Whether a regular expression matches somewhere.",
            "regexp_matches('tundra', '^t.*a$') → true",
        )
        .aliases(&["regexp_like", "regexp"])
        .with_fallible(&[TEXT, TEXT], Returns::Type(DataType::Boolean), regexp_matches),
        Function::new(
            "regexp_replace",
            "The first match of a regular expression replaced (with flag g every match, with i whatever the case).",
            "regexp_replace('tundra', '[aeiou]', '*', 'g') → t*ndr*",
        )
        .with_fallible(&[TEXT, TEXT, TEXT], RETURNS_TEXT, regexp_replace)
        .with_fallible(&[TEXT, TEXT, TEXT, TEXT], RETURNS_TEXT, regexp_replace),
        Function::new(
            "regexp_extract",
            "The first match of a regular expression, or the text of one of its groups; empty without a match.",
            "regexp_extract('a1b22', '[0-9]+') → 1",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_TEXT, regexp_extract)
        .with_fallible(&[TEXT, TEXT, INT], RETURNS_TEXT, regexp_extract),
    ]
}

/// An expression, ready to run.
pub(super) struct Pattern {
    whole: Engine,
    /// The expression without a `.*$` at its end. In a text of one line that tail takes whatever is left, so
    /// that the groups are those of the head, found without a look at the rest.
    head: Option<Engine>,
}

struct Engine {
    regex: Regex,
    locations: CaptureLocations,
}

/// A match in a text.
pub(super) struct Found<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    locations: &'a CaptureLocations,
}

impl Pattern {
    fn new(pattern: &str, flags: &str) -> Result<Pattern> {
        let engine = |regex: Regex| Engine { locations: regex.capture_locations(), regex };
        let head = head_of(pattern, flags).and_then(|head| compile(head, flags).ok());
        Ok(Pattern { whole: engine(compile(pattern, flags)?), head: head.map(engine) })
    }

    /// How many groups it has, the whole among them.
    pub(super) fn groups(&self) -> usize {
        self.whole.locations.len()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.whole.regex.is_match(text)
    }

    /// The first match at or after a byte of the text.
    pub(super) fn find<'a>(&'a mut self, text: &'a str, from: usize) -> Option<Found<'a>> {
        let one_line = || memchr::memchr(b'\n', text.as_bytes()).is_none();
        let (engine, to_end) = match &mut self.head {
            Some(head) if one_line() => (head, true),
            _ => (&mut self.whole, false),
        };
        let found = engine.regex.captures_read_at(&mut engine.locations, text, from)?;
        let end = if to_end { text.len() } else { found.end() };
        Some(Found { text, start: found.start(), end, locations: &engine.locations })
    }
}

impl<'a> Found<'a> {
    /// The text of a group; 0 is the whole, and one that took no part is empty.
    pub(super) fn group(&self, group: usize) -> &'a str {
        self.place_of(group).map_or("", |(start, end)| &self.text[start..end])
    }

    /// Where the match starts and ends, in bytes.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// As [`Found::place`], of a group that took part.
    pub(super) fn place_of(&self, group: usize) -> Option<(usize, usize)> {
        if group == 0 { Some((self.start, self.end)) } else { self.locations.get(group) }
    }
}

pub(super) fn compile(pattern: &str, flags: &str) -> Result<Regex> {
    let literal = flags.contains(['l', 'q']).then(|| regex::escape(pattern));
    let pattern = literal.as_deref().unwrap_or(pattern);
    let mut builder = regex::RegexBuilder::new(pattern);
    for flag in flags.chars() {
        match flag {
            'i' => _ = builder.case_insensitive(true),
            'c' => _ = builder.case_insensitive(false),
            'x' => _ = builder.ignore_whitespace(true),
            'g' | 'l' | 'q' => {}
            's' => _ = builder.dot_matches_new_line(true),
            'm' | 'n' => _ = builder.multi_line(true),
            other => {
                return Err(Error::Unsupported(format!("flag '{other}' of a regular expression")));
            }
        }
    }
    builder
        .size_limit(1 << 22)
        .build()
        .map_err(|_| Error::InvalidText { text: pattern.to_owned(), data_type: "regular expression".into() })
}

/// What stands before a `.*$` that ends every branch of the expression and means the rest of a line.
fn head_of<'a>(pattern: &'a str, flags: &str) -> Option<&'a str> {
    let head = pattern.strip_suffix(".*$")?;
    let escapes = head.bytes().rev().take_while(|&byte| byte == b'\\').count();
    // Flags inside, as (?x) or (?m:…), may change what the tail means; so does a branch.
    let plain = !head.contains('|') && !head.replace("(?:", "").contains("(?");
    (escapes % 2 == 0 && plain && !flags.contains(['m', 'n', 'l', 'q', 'x'])).then_some(head)
}

/// The expressions that a thread has met, with the one of the row before at hand.
#[derive(Default)]
struct Patterns {
    places: HashMap<(String, String), usize>,
    known: Vec<(String, String, Pattern)>,
    last: usize,
}

thread_local! {
    /// Compiled once a thread, not once a batch; and no thread waits for another's.
    static PATTERNS: RefCell<Patterns> = RefCell::default();
}

impl Patterns {
    fn get(&mut self, pattern: &str, flags: &str) -> Result<&mut Pattern> {
        let is_last = |(known, with, _): &(String, String, Pattern)| known == pattern && with == flags;
        if !self.known.get(self.last).is_some_and(is_last) {
            let key = (pattern.to_owned(), flags.to_owned());
            self.last = match self.places.get(&key) {
                Some(&place) => place,
                None => {
                    let compiled = Pattern::new(pattern, flags)?;
                    if self.known.len() == MOST_PATTERNS {
                        *self = Patterns::default();
                    }
                    self.known.push((key.0.clone(), key.1.clone(), compiled));
                    self.places.insert(key, self.known.len() - 1);
                    self.known.len() - 1
                }
            };
        }
        Ok(&mut self.known[self.last].2)
    }
}

/// Runs code with a pattern of the thread's.
pub(super) fn with_pattern<T>(
    pattern: &str,
    flags: &str,
    run: impl FnOnce(&mut Pattern) -> Result<T>,
) -> Result<T> {
    PATTERNS.with_borrow_mut(|patterns| run(patterns.get(pattern, flags)?))
}

fn regexp_matches(args: &Arguments, _: DataType) -> Result<Vector> {
    let matches = PATTERNS.with_borrow_mut(|patterns| {
        (0..args.rows)
            .map(|row| match args.is_valid(row) {
                true => Ok(patterns.get(args.text(1, row), "")?.whole.regex.is_match(args.text(0, row))),
                false => Ok(false),
            })
            .collect::<Result<Vec<bool>>>()
    })?;
    args.map_booleans(|row| matches[row])
}

fn regexp_replace(args: &Arguments, _: DataType) -> Result<Vector> {
    PATTERNS.with_borrow_mut(|patterns| {
        args.map_text(|row, out| {
            let flags = if args.len() > 3 { args.text(3, row) } else { "" };
            let (text, pattern) = (args.text(0, row), patterns.get(args.text(1, row), flags)?);
            replace(text, pattern, args.text(2, row), flags.contains('g'), out)
        })
    })
}

/// Appends `text` with the first match, or every one, replaced.
fn replace(text: &str, pattern: &mut Pattern, with: &str, every: bool, out: &mut Vec<u8>) -> Result<()> {
    let (mut copied, mut from, mut last) = (0, 0, None);
    while from <= text.len()
        && let Some(found) = pattern.find(text, from)
    {
        let (start, end) = (found.start, found.end);
        // An empty match right behind another one is none.
        if start < end || last != Some(end) {
            append(out, &text[copied..start])?;
            append_replacement(&found, with, out)?;
            (copied, last) = (end, Some(end));
            if !every {
                break;
            }
        }
        let step = if start < end { 0 } else { text[end..].chars().next().map_or(1, char::len_utf8) };
        from = end + step;
    }
    append(out, &text[copied..])
}

/// Appends a replacement with PostgreSQL's references: \1 to \9 for groups, \& for the whole match.
fn append_replacement(found: &Found, with: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut rest = with;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        append(out, &rest[..at])?;
        let mut chars = rest[at + 1..].chars();
        match chars.next() {
            Some('&') => append(out, found.group(0))?,
            Some(digit @ '0'..='9') => append(out, found.group(digit as usize - '0' as usize))?,
            Some(other) => append(out, other.encode_utf8(&mut [0; 4]))?,
            None => append(out, "\\")?,
        }
        rest = chars.as_str();
    }
    append(out, rest)
}

fn regexp_extract(args: &Arguments, _: DataType) -> Result<Vector> {
    let groups = if args.len() > 2 { args.longs(2) } else { vec![0; args.rows] };
    PATTERNS.with_borrow_mut(|patterns| {
        args.map_text(|row, out| {
            let (text, pattern) = (args.text(0, row), patterns.get(args.text(1, row), "")?);
            let count = pattern.whole.locations.len();
            let group =
                usize::try_from(groups[row]).ok().filter(|&group| group < count).ok_or_else(|| {
                    Error::OutOfRange { what: format!("group {} of regexp_extract", groups[row]) }
                })?;
            match pattern.find(text, 0) {
                Some(found) => append(out, found.group(group)),
                None => Ok(()),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replacement as the expression says it, by whole matches with their groups.
    fn naive(text: &str, pattern: &str, flags: &str) -> String {
        let regex = compile(pattern, flags).unwrap();
        let with = |groups: &regex::Captures| {
            let group = |number| groups.get(number).map_or("", |group| group.as_str());
            format!("<{}|{}|{}>", group(0), group(1), group(2))
        };
        let limit = if flags.contains('g') { 0 } else { 1 };
        regex.replacen(text, limit, with).into_owned()
    }

    #[test]
    fn replacement_is_that_of_whole_matches() {
        let patterns = [
            "^[a-z]+://(www[.])?([^/]+).*$",
            "a(.*)$",
            "a(b)?.*$",
            "(a+?).*$",
            "b*",
            "x*.*$",
            ".*$",
            "(?i)a.*$",
            "(?s)a.*$",
            "a|b.*$",
            "a\\.*$",
            "a\\\\.*$",
            "[.*$]",
            "(a)|(b)",
            "$",
            "^",
            "é",
            "(?:a|é)(.)?.*$",
            "(?:é)(.)?.*$",
        ];
        let texts = [
            "",
            "a",
            "aab",
            "http://www.kora.example/a/b",
            "https://kora.example",
            "ab\nab",
            "\n",
            "é",
            "aéb",
            "éé",
            "a.*$",
            "a\\x",
            "xxab",
            "AB",
            "http://a\nb/",
        ];
        for (pattern, text) in patterns.iter().flat_map(|pattern| texts.map(|text| (pattern, text))) {
            for flags in ["", "g", "i", "gs", "gm"] {
                let mut out = Vec::new();
                let mut compiled = Pattern::new(pattern, flags).unwrap();
                replace(text, &mut compiled, "<\\&|\\1|\\2>", flags.contains('g'), &mut out).unwrap();
                let expected = naive(text, pattern, flags);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{pattern:?} {text:?} {flags:?}");
            }
        }
    }

    #[test]
    fn only_a_tail_that_takes_the_rest_of_a_line_is_left_out() {
        assert_eq!(head_of("^(a).*$", ""), Some("^(a)"));
        assert_eq!(head_of("a\\\\.*$", "i"), Some("a\\\\"));
        for pattern in ["a.*", "a\\.*$", "a|b.*$", "(?m)a.*$", "(?x)a #.*$"] {
            assert_eq!(head_of(pattern, ""), None, "{pattern}");
        }
        assert_eq!(head_of("a.*$", "gm"), None);
    }

    #[test]
    fn more_expressions_than_are_remembered_do_no_harm() {
        let mut patterns = Patterns::default();
        for round in 0..2 {
            for number in 0..MOST_PATTERNS * 2 {
                let pattern = patterns.get(&format!("^{number}$"), "").unwrap();
                assert!(pattern.find(&number.to_string(), 0).is_some(), "{number} in round {round}");
            }
        }
        assert!(patterns.get("(", "").is_err() && patterns.get("(", "").is_err());
    }
}
