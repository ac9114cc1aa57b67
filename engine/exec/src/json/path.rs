//! Where in a document a value is: `a`, `$.a."b c"[0]`, `$.a[#-1]`, `/a/0`, `{a,b}`.

use super::scan::{elements, members};
use super::text::unquote;
use columnar::{Error, Result};

/// The way from the root to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member of an object.
    Key(String),
    /// An element of an array, from 0; below 0 from the end.
    Index(i64),
    /// A member of an object or, if it is a number, an element of an array.
    Either(String),
    /// All members of an object.
    Members,
    /// All elements of an array.
    Elements,
}

/// The most values that are found on one path.
const MOST_FOUND: usize = columnar::packed::MAX_ELEMENTS;

impl Path {
    pub(crate) fn new(steps: Vec<Step>) -> Path {
        Path { steps }
    }

    /// What the operators take: a key as it is, unless it is a path that begins with `$`.
    pub(crate) fn of_operator(text: &str) -> Result<Path> {
        match text.strip_prefix('$') {
            Some(rest) if rest.is_empty() || rest.starts_with(['.', '[']) => match dollar(text)? {
                path if path.is_wild() => {
                    Err(Error::Unsupported(format!("the path {text} with *, which is many values, here")))
                }
                path => Ok(path),
            },
            _ => Ok(Path::new(vec![Step::Key(text.to_owned())])),
        }
    }

    /// As [`Path::of_operator`], of paths that lead to many values.
    pub(crate) fn of_many(text: &str) -> Result<Path> {
        if text.starts_with('$') { dollar(text) } else { Path::of_function(text) }
    }

    pub(crate) fn of_names(names: Vec<String>) -> Path {
        Path::new(names.into_iter().map(Step::Either).collect())
    }

    pub(crate) fn is_wild(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Members | Step::Elements))
    }

    /// What functions take: as operators, or a JSON pointer (RFC 6901), which begins with `/`.
    pub(crate) fn of_function(text: &str) -> Result<Path> {
        let Some(pointer) = text.strip_prefix('/') else { return Path::of_operator(text) };
        let step = |name: &str| Step::Either(name.replace("~1", "/").replace("~0", "~"));
        Ok(Path::new(pointer.split('/').map(step).collect()))
    }

    /// PostgreSQL's array of steps: `{a,0,"b c"}`.
    pub(crate) fn of_array(text: &str) -> Result<Path> {
        let invalid = || wrong(text, "a path like {a,b}");
        let trimmed = text.trim();
        let inner = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(invalid)?;
        let (mut steps, mut rest) = (Vec::new(), inner.trim_start());
        if rest.is_empty() {
            return Ok(Path::new(steps));
        }
        loop {
            let (name, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (name, after) = quoted_name(quoted).ok_or_else(invalid)?;
                    (name, after.trim_start())
                }
                None => {
                    let end = rest.find(',').unwrap_or(rest.len());
                    let name = rest[..end].trim_end();
                    if name.is_empty() || name.contains(['{', '}', '"', '\\']) {
                        return Err(invalid());
                    }
                    (name.to_owned(), &rest[end..])
                }
            };
            steps.push(Step::Either(name));
            if after.is_empty() {
                return Ok(Path::new(steps));
            }
            rest = after.strip_prefix(',').ok_or_else(invalid)?.trim_start();
        }
    }

    /// The names of the steps, for arrays of texts that are none.
    pub(crate) fn names(self) -> Vec<String> {
        let name = |step| match step {
            Step::Key(name) | Step::Either(name) => name,
            Step::Index(index) => index.to_string(),
            Step::Members | Step::Elements => "*".to_owned(),
        };
        self.steps.into_iter().map(name).collect()
    }

    /// The text of the value there; of keys that are there twice the last counts, as PostgreSQL has it.
    pub(crate) fn find<'a>(&self, document: &'a str) -> Option<&'a str> {
        self.steps.iter().try_fold(document.trim(), |value, step| step.one(value))
    }

    /// The texts of all values there, in their order.
    pub(crate) fn find_all<'a>(&self, document: &'a str) -> Result<Vec<&'a str>> {
        let mut found = vec![document.trim()];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                match step {
                    Step::Members => next.extend(members(value).map(|(_, value)| value)),
                    Step::Elements => next.extend(elements(value)),
                    step => next.extend(step.one(value)),
                }
                if next.len() > MOST_FOUND {
                    return Err(Error::OutOfRange {
                        what: format!("{} values on a path of JSON", next.len()),
                    });
                }
            }
            found = next;
        }
        Ok(found)
    }
}

impl Step {
    fn one<'a>(&self, value: &'a str) -> Option<&'a str> {
        match self {
            Step::Key(key) => member(value, key),
            Step::Index(index) => element(value, *index),
            Step::Either(name) if value.starts_with('[') => element(value, name.trim().parse().ok()?),
            Step::Either(name) => member(value, name),
            Step::Members | Step::Elements => None,
        }
    }
}

fn wrong(text: &str, what: &str) -> Error {
    Error::InvalidText { text: text.to_owned(), data_type: what.to_owned() }
}

pub(super) fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    let is_key = |raw: &str| {
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
        inner == key || inner.contains('\\') && unquote(raw) == key
    };
    members(object).filter(|(raw, _)| is_key(raw)).last().map(|(_, value)| value)
}

fn element(array: &str, index: i64) -> Option<&str> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => elements(array).count().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    elements(array).nth(index)
}

/// The name up to its closing quote, and what follows; a backslash takes the next character as it is.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, &text[at + 1..])),
            '\\' => name.push(characters.next()?.1),
            other => name.push(other),
        }
    }
    None
}

/// `$`, then `.name`, `."name"`, `[0]`, `[-1]`, `[#-1]` and `["name"]`.
fn dollar(text: &str) -> Result<Path> {
    let invalid = || wrong(text, "a path like $.a[0]");
    let (mut steps, mut rest) = (Vec::new(), text.strip_prefix('$').ok_or_else(invalid)?);
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err(Error::Unsupported(format!("the path {text} with .., which is at any depth,")));
        }
        let wild = [(".*", Step::Members), ("[*]", Step::Elements)]
            .into_iter()
            .find_map(|(sign, step)| Some((rest.strip_prefix(sign)?, step)))
            .filter(|(left, _)| left.is_empty() || left.starts_with(['.', '[']));
        if let Some((left, step)) = wild {
            steps.push(step);
            rest = left;
            continue;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (name, left) = match after.strip_prefix('"') {
                Some(quoted) => quoted_name(quoted).ok_or_else(invalid)?,
                None => {
                    let end = after.find(['.', '[']).unwrap_or(after.len());
                    (after[..end].to_owned(), &after[end..])
                }
            };
            if name.is_empty() && !after.starts_with('"') {
                return Err(invalid());
            }
            steps.push(Step::Key(name));
            rest = left;
            continue;
        }
        let after = rest.strip_prefix('[').ok_or_else(invalid)?;
        let left = match after.strip_prefix('"') {
            Some(quoted) => {
                let (name, left) = quoted_name(quoted).ok_or_else(invalid)?;
                steps.push(Step::Key(name));
                left
            }
            None => {
                let end = after.find(']').ok_or_else(invalid)?;
                let number = &after[..end];
                let index = match number.strip_prefix('#') {
                    Some(back) if back.starts_with('-') => back.parse().map_err(|_| invalid())?,
                    Some(_) => return Err(invalid()),
                    None => number.parse().map_err(|_| invalid())?,
                };
                steps.push(Step::Index(index));
                &after[end..]
            }
        };
        rest = left.strip_prefix(']').ok_or_else(invalid)?;
    }
    Ok(Path::new(steps))
}
