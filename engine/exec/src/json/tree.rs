//! A document as a tree, for what turns it round as a whole: canonical text, containment, merging.

use super::number::plain_number;
use super::scan::{Checker, Fault, blanks};
use super::text::{quote, unquote};
use columnar::{Error, Result};
use std::borrow::Cow;
use std::collections::HashMap;

/// The longest document of which a tree is made, in bytes: a tree takes many times its text.
const LONGEST_BYTES: usize = 16 << 20;

#[derive(Clone, Debug)]
pub(crate) enum Tree<'a> {
    /// A number, `true`, `false` or `null`, as it is written.
    Plain(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Tree<'a>>),
    /// No key is there twice: the last is kept.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Reads and checks a document.
    pub(crate) fn parse(text: &'a str) -> std::result::Result<Tree<'a>, Fault> {
        if text.len() > LONGEST_BYTES {
            return Err(Fault { at: LONGEST_BYTES, what: "more than 16 MiB, which is too long," });
        }
        let mut reader = Reader { text, checker: Checker { bytes: text.as_bytes(), at: 0 } };
        let tree = reader.value(0)?;
        let checker = &mut reader.checker;
        checker.at = blanks(checker.bytes, checker.at);
        if checker.at < text.len() { Err(checker.fault("the end is expected")) } else { Ok(tree) }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Tree::Plain("null"))
    }

    fn is_container(&self) -> bool {
        matches!(self, Tree::Array(_) | Tree::Object(_))
    }
}

struct Reader<'a> {
    text: &'a str,
    checker: Checker<'a>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> std::result::Result<Tree<'a>, Fault> {
        let checker = &mut self.checker;
        checker.at = blanks(checker.bytes, checker.at);
        match checker.peek() {
            Some(b'{') => {
                checker.enter(depth)?;
                let mut members = Vec::new();
                if checker.takes(b'}') {
                    return Ok(Tree::Object(members));
                }
                loop {
                    self.checker.at = blanks(self.checker.bytes, self.checker.at);
                    let start = self.checker.at;
                    self.checker.key()?;
                    let key = self.text[start..self.checker.at - 1].trim_end();
                    members.push((unquote(key), self.value(depth + 1)?));
                    if self.checker.takes(b'}') {
                        return Ok(Tree::Object(without_repeats(members)));
                    }
                    if !self.checker.takes(b',') {
                        return Err(self.checker.fault("a comma or } is expected"));
                    }
                }
            }
            Some(b'[') => {
                checker.enter(depth)?;
                let mut elements = Vec::new();
                if checker.takes(b']') {
                    return Ok(Tree::Array(elements));
                }
                loop {
                    elements.push(self.value(depth + 1)?);
                    if self.checker.takes(b']') {
                        return Ok(Tree::Array(elements));
                    }
                    if !self.checker.takes(b',') {
                        return Err(self.checker.fault("a comma or ] is expected"));
                    }
                }
            }
            first => {
                let start = checker.at;
                checker.scalar()?;
                let raw = &self.text[start..checker.at];
                Ok(if first == Some(b'"') { Tree::Text(unquote(raw)) } else { Tree::Plain(raw) })
            }
        }
    }
}

/// The last member of each key.
fn without_repeats<'a>(members: Vec<(Cow<'a, str>, Tree<'a>)>) -> Vec<(Cow<'a, str>, Tree<'a>)> {
    let last: HashMap<&str, usize> =
        members.iter().enumerate().map(|(place, (key, _))| (key.as_ref(), place)).collect();
    if last.len() == members.len() {
        return members;
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    let mut kept = kept.into_iter().peekable();
    let is_kept = |place: usize| kept.next_if_eq(&place).is_some();
    let keep: Vec<bool> = (0..members.len()).map(is_kept).collect();
    members.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(member, _)| member).collect()
}

/// Appends the tree with no blanks.
pub(crate) fn compact(tree: &Tree<'_>, out: &mut Vec<u8>) {
    match tree {
        Tree::Plain(text) => out.extend(text.bytes()),
        Tree::Text(text) => quote(text, out),
        Tree::Array(elements) => {
            out.push(b'[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                compact(element, out);
            }
            out.push(b']');
        }
        Tree::Object(members) => {
            out.push(b'{');
            for (place, (key, value)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                quote(key, out);
                out.push(b':');
                compact(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Whether two scalars are equal: numbers as numbers, so that `1` is `1.0`.
fn same_plain(a: &str, b: &str) -> bool {
    fn digits(number: &str) -> Cow<'_, str> {
        match plain_number(number) {
            Cow::Borrowed(text) if text.contains('.') && !text.contains(['e', 'E']) => {
                Cow::Borrowed(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Cow::Owned(text) if text.contains('.') => {
                Cow::Owned(text.trim_end_matches('0').trim_end_matches('.').to_owned())
            }
            text => text,
        }
    }
    a == b || digits(a) == digits(b)
}

/// The most comparisons of parts that a test of two documents makes: an array within another may be looked for at each of
/// its elements.
const MOST_COMPARISONS: u64 = 50_000_000;

/// Comparisons that are left.
pub(crate) struct Work(u64);

impl Work {
    pub(crate) fn new() -> Work {
        Work(MOST_COMPARISONS)
    }

    fn takes(&mut self, comparisons: usize) -> Result<()> {
        self.0 = self.0.checked_sub(comparisons as u64 + 1).ok_or_else(|| {
            Error::Told(format!(
                "two JSON documents of more than {MOST_COMPARISONS} comparisons of their parts"
            ))
        })?;
        Ok(())
    }
}

/// Whether two trees are one value; the order of members does not count.
pub(crate) fn same(a: &Tree<'_>, b: &Tree<'_>, work: &mut Work) -> Result<bool> {
    work.takes(0)?;
    match (a, b) {
        (Tree::Plain(a), Tree::Plain(b)) => Ok(same_plain(a, b)),
        (Tree::Text(a), Tree::Text(b)) => Ok(a == b),
        (Tree::Array(a), Tree::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                if !same(a, b, work)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Tree::Object(a), Tree::Object(b)) if a.len() == b.len() => {
            work.takes(a.len())?;
            let known = by_key(a);
            for (key, value) in b {
                match known.get(key.as_ref()) {
                    Some(own) if same(own, value, work)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn by_key<'t, 'a>(members: &'t [(Cow<'a, str>, Tree<'a>)]) -> HashMap<&'t str, &'t Tree<'a>> {
    members.iter().map(|(key, value)| (key.as_ref(), value)).collect()
}

/// PostgreSQL's `@>`: every member and element of the needle is in the haystack at the same place, elements in any
/// order; an array also contains a scalar that is an element.
pub(crate) fn contains(haystack: &Tree<'_>, needle: &Tree<'_>, work: &mut Work) -> Result<bool> {
    match (haystack, needle) {
        (Tree::Array(elements), scalar) if !scalar.is_container() => {
            any(elements.iter(), |element| same(element, scalar, work))
        }
        _ => covers(haystack, needle, work),
    }
}

fn any<T>(parts: impl Iterator<Item = T>, mut test: impl FnMut(T) -> Result<bool>) -> Result<bool> {
    for part in parts {
        if test(part)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn covers(haystack: &Tree<'_>, needle: &Tree<'_>, work: &mut Work) -> Result<bool> {
    match (haystack, needle) {
        (Tree::Object(members), Tree::Object(wanted)) => {
            work.takes(members.len())?;
            let known = by_key(members);
            for (key, value) in wanted {
                match known.get(key.as_ref()) {
                    Some(own) if covers(own, value, work)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Tree::Array(elements), Tree::Array(wanted)) => {
            for wanted in wanted {
                if !any(elements.iter(), |element| covers(element, wanted, work))? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => same(haystack, needle, work),
    }
}

/// DuckDB's `json_contains`: the needle is the value or is within it at any depth.
pub(crate) fn contains_within(haystack: &Tree<'_>, needle: &Tree<'_>, work: &mut Work) -> Result<bool> {
    if covers(haystack, needle, work)? {
        return Ok(true);
    }
    match haystack {
        Tree::Array(elements) => any(elements.iter(), |element| contains_within(element, needle, work)),
        Tree::Object(members) => any(members.iter(), |(_, value)| contains_within(value, needle, work)),
        _ => Ok(false),
    }
}

/// The target with the members of the patch, of which those that are null take a member away (RFC 7396).
pub(crate) fn merge_patch<'a>(target: Tree<'a>, patch: Tree<'a>) -> Tree<'a> {
    let Tree::Object(changes) = patch else { return patch };
    let mut members = match target {
        Tree::Object(members) => members,
        _ => Vec::new(),
    };
    let mut places: HashMap<String, usize> =
        members.iter().enumerate().map(|(place, (key, _))| (key.clone().into_owned(), place)).collect();
    let mut removed = vec![false; members.len()];
    for (key, change) in changes {
        match (places.get(key.as_ref()).copied(), change.is_null()) {
            (Some(place), true) => removed[place] = true,
            (None, true) => {}
            (Some(place), false) => {
                let own = std::mem::replace(&mut members[place].1, Tree::Plain("null"));
                members[place].1 = merge_patch(own, change);
            }
            (None, false) => {
                places.insert(key.clone().into_owned(), members.len());
                members.push((key, merge_patch(Tree::Plain("null"), change)));
                removed.push(false);
            }
        }
    }
    let kept = members.into_iter().zip(removed).filter(|(_, removed)| !removed).map(|(member, _)| member);
    Tree::Object(kept.collect())
}

/// The tree without members that are null, at any depth; elements of arrays stay.
pub(crate) fn strip_nulls(tree: Tree<'_>) -> Tree<'_> {
    match tree {
        Tree::Object(members) => Tree::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, strip_nulls(value)))
                .collect(),
        ),
        Tree::Array(elements) => Tree::Array(elements.into_iter().map(strip_nulls).collect()),
        scalar => scalar,
    }
}
