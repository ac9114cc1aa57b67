//! Text to nested values: `[1, NULL, 'a, b']`, `{'a': 1, b: x}`, `{k=v}` and rows `(1, x)` as DuckDB writes
//! them, and lists as PostgreSQL does: `{1,NULL,"a, b"}`.
//!
//! A part begins with a quote or is bare: what stands up to the sign that ends it, without the blanks around.
//! A backslash takes the next character as it is. Bare `NULL` is null.

use super::build::{MOST_BYTES, part};
use crate::error::{Error, Result};
use crate::scalar::Scalar;
use crate::types::{DataType, Nested, NestedType};
use std::collections::HashSet;

/// How the text of a part that is not nested becomes its value.
pub type Leaf<'a> = &'a dyn Fn(&str, DataType) -> Result<Scalar>;

/// The packed bytes of the value that `text` spells.
///
/// # Errors
/// Text that is none of the type; a part that `leaf` refuses; a map with a key twice, a fixed array of another
/// length, and more than a nested value holds.
pub fn parse(text: &str, kind: NestedType, leaf: Leaf<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = Reader { rest: text, leaf };
    reader.whole(&mut out, kind).map_err(|fault| match fault {
        Fault::Text => Error::InvalidText {
            text: text.chars().take(200).collect(),
            data_type: DataType::Nested(kind).to_string(),
        },
        Fault::Value(error) => error,
    })?;
    Ok(out)
}

enum Fault {
    /// The text does not have the form of the type.
    Text,
    /// A part of it is no value, or the value cannot be.
    Value(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Value(error)
    }
}

type Parsed<T> = std::result::Result<T, Fault>;

struct Reader<'a> {
    rest: &'a str,
    leaf: Leaf<'a>,
}

/// A part that is not nested, or a name.
struct Word {
    text: String,
    is_quoted: bool,
}

impl Word {
    fn is_null(&self) -> bool {
        !self.is_quoted && self.text.eq_ignore_ascii_case("null")
    }
}

impl Reader<'_> {
    /// Reads all of the text. Levels are those of the type, so that no text makes this deep.
    fn whole(&mut self, out: &mut Vec<u8>, kind: NestedType) -> Parsed<()> {
        self.blanks();
        self.nested(out, kind)?;
        self.blanks();
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::Text) }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, sign: char) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn nested(&mut self, out: &mut Vec<u8>, kind: NestedType) -> Parsed<()> {
        match &kind.info().shape {
            Nested::List(element) => {
                self.elements(out, *element)?;
                out.push(0);
                Ok(())
            }
            Nested::Array { element, len } => match self.elements(out, *element)? {
                count if count == *len as usize => Ok(()),
                count => {
                    let kind = DataType::Nested(kind);
                    Err(Error::Told(format!("{kind} takes {len} elements, not {count}")).into())
                }
            },
            Nested::Struct(_) => self.record(out, kind),
            Nested::Map { key, value } => self.map(out, *key, *value),
        }
    }

    fn elements(&mut self, out: &mut Vec<u8>, element: DataType) -> Parsed<usize> {
        let (end, quotes) = match (self.takes('['), self.rest.starts_with('{')) {
            (true, _) => (']', "'\""),
            (false, true) => {
                self.takes('{');
                ('}', "\"")
            }
            (false, false) => return Err(Fault::Text),
        };
        self.blanks();
        let mut count = 0;
        if self.takes(end) {
            return Ok(count);
        }
        loop {
            self.part(out, element, &[',', end], quotes)?;
            count += 1;
            if count > super::MAX_ELEMENTS || out.len() > MOST_BYTES {
                let what = format!("a list of more than {} elements", super::MAX_ELEMENTS);
                return Err(Error::OutOfRange { what }.into());
            }
            if self.takes(end) {
                return Ok(count);
            }
            if !self.takes(',') {
                return Err(Fault::Text);
            }
        }
    }

    fn record(&mut self, out: &mut Vec<u8>, kind: NestedType) -> Parsed<()> {
        let fields = kind.fields();
        let mut values: Vec<Option<Vec<u8>>> = vec![None; fields.len()];
        let (by_place, end) = match (self.takes('('), self.rest.starts_with('{')) {
            (true, _) => (true, ')'),
            (false, true) => {
                self.takes('{');
                (false, '}')
            }
            (false, false) => return Err(Fault::Text),
        };
        self.blanks();
        let mut place = 0;
        let mut ended = !by_place && self.takes(end);
        while !ended {
            let at = if by_place {
                place
            } else {
                let name = self.word(&[':', '}'], "'\"")?;
                if !self.takes(':') {
                    return Err(Fault::Text);
                }
                place_of(kind, &name.text)?
            };
            let field = fields.get(at).ok_or(Fault::Text)?;
            let value = values[at].insert(Vec::new());
            self.part(value, field.data_type, &[',', end], "'\"")?;
            place += 1;
            ended = self.takes(end);
            if !ended && !self.takes(',') {
                return Err(Fault::Text);
            }
            self.blanks();
        }
        if by_place && place != fields.len() {
            return Err(Fault::Text);
        }
        for value in values {
            match value {
                Some(bytes) => out.extend_from_slice(&bytes),
                None => out.push(2),
            }
        }
        Ok(())
    }

    fn map(&mut self, out: &mut Vec<u8>, key: DataType, value: DataType) -> Parsed<()> {
        if !self.takes('{') {
            return Err(Fault::Text);
        }
        self.blanks();
        let mut keys = HashSet::new();
        let mut ended = self.takes('}');
        while !ended {
            let mut own = Vec::new();
            self.part(&mut own, key, &['=', '}'], "'\"")?;
            if own == [2] {
                return Err(Error::Told("a key of a MAP is null".into()).into());
            }
            if !self.takes('=') {
                return Err(Fault::Text);
            }
            out.extend_from_slice(&own);
            self.part(out, value, &[',', '}'], "'\"")?;
            if keys.len() >= super::MAX_ELEMENTS || out.len() > MOST_BYTES {
                return Err(Error::OutOfRange { what: "a MAP of so many entries".into() }.into());
            }
            if !keys.insert(own) {
                return Err(Error::Told("two entries of a MAP have the same key".into()).into());
            }
            ended = self.takes('}');
            if !ended && !self.takes(',') {
                return Err(Fault::Text);
            }
        }
        out.push(0);
        Ok(())
    }

    /// A marker and the value that it announces, up to one of `ends` or the blanks before it.
    fn part(&mut self, out: &mut Vec<u8>, data_type: DataType, ends: &[char], quotes: &str) -> Parsed<()> {
        self.blanks();
        let DataType::Nested(kind) = data_type else {
            let word = self.word(ends, quotes)?;
            // PostgreSQL's rows leave a null out.
            let left_out = !word.is_quoted && word.text.is_empty();
            if left_out && !ends.contains(&')') {
                return Err(Fault::Text);
            }
            let value = match word.is_null() || left_out {
                true => Scalar::Null,
                false => (self.leaf)(&word.text, data_type)?,
            };
            return Ok(part(out, &value, data_type)?);
        };
        if self.rest.starts_with(['[', '{', '(']) {
            out.push(1);
            self.nested(out, kind)?;
            self.blanks();
            return Ok(());
        }
        let word = self.word(ends, quotes)?;
        if word.is_null() || !word.is_quoted && word.text.is_empty() && ends.contains(&')') {
            out.push(2);
            return Ok(());
        }
        if !word.is_quoted {
            return Err(Fault::Text);
        }
        out.push(1);
        Reader { rest: &word.text, leaf: self.leaf }.whole(out, kind)
    }

    /// What is quoted, or stands bare before one of `ends`; after it nothing but one of them follows.
    fn word(&mut self, ends: &[char], quotes: &str) -> Parsed<Word> {
        self.blanks();
        let quote = self.rest.chars().next().filter(|&sign| quotes.contains(sign));
        let mut text = String::new();
        let mut signs = self.rest.char_indices();
        if quote.is_some() {
            signs.next();
        }
        // Blanks at the end count where they were written with a backslash.
        let mut kept = 0;
        let mut end = None;
        while let Some((at, sign)) = signs.next() {
            match (sign, quote) {
                ('\\', _) => {
                    text.push(signs.next().ok_or(Fault::Text)?.1);
                    kept = text.len();
                }
                (sign, Some(quote)) if sign == quote => {
                    end = Some(at + quote.len_utf8());
                    break;
                }
                (sign, None) if ends.contains(&sign) => {
                    end = Some(at);
                    break;
                }
                (sign, _) => text.push(sign),
            }
        }
        self.rest = &self.rest[end.ok_or(Fault::Text)?..];
        self.blanks();
        if quote.is_none() {
            text.truncate(text.trim_end().len().max(kept));
        } else if !self.rest.starts_with(ends) {
            return Err(Fault::Text);
        }
        Ok(Word { text, is_quoted: quote.is_some() })
    }
}

/// The place of a field: of that name, else of one that differs by case alone.
fn place_of(kind: NestedType, name: &str) -> Parsed<usize> {
    let fields = kind.fields();
    let exact = fields.iter().position(|field| &*field.name == name);
    exact.or_else(|| fields.iter().position(|field| field.name.eq_ignore_ascii_case(name))).ok_or_else(|| {
        let kind = DataType::Nested(kind);
        Fault::Value(Error::Told(format!("there is no field \"{name}\" in {kind}")))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::super::text;
    use super::*;
    use crate::types::{list_of, nested, struct_of};
    use proptest::prelude::*;

    fn leaf(text: &str, data_type: DataType) -> Result<Scalar> {
        let invalid = || Error::InvalidText { text: text.into(), data_type: data_type.to_string() };
        match data_type {
            DataType::Varchar => Ok(Scalar::Bytes(text.into())),
            DataType::Boolean => text.parse().map(Scalar::Boolean).map_err(|_| invalid()),
            _ => text.parse().map(Scalar::Integer).map_err(|_| invalid()),
        }
    }

    fn kinds() -> [DataType; 6] {
        let words = list_of(DataType::Varchar).unwrap();
        let row = struct_of([("a".into(), DataType::Int32), ("b c".into(), words)]).unwrap();
        [
            words,
            row,
            list_of(row).unwrap(),
            nested(Nested::Map { key: DataType::Varchar, value: row }).unwrap(),
            nested(Nested::Array { element: DataType::Boolean, len: 2 }).unwrap(),
            struct_of([(String::new(), DataType::Varchar), (String::new(), words)]).unwrap(),
        ]
    }

    fn again(written: &str, data_type: DataType) -> Result<String> {
        let kind = data_type.as_nested().unwrap();
        text(&parse(written, kind, &leaf)?, kind)
    }

    #[test]
    fn what_duckdb_and_postgresql_write_is_read() {
        let [words, row, rows, map, flags, pair] = kinds();
        let numbers = list_of(DataType::Int32).unwrap();
        for (data_type, written, expected) in [
            (numbers, " [1, NULL ,-3] ", "[1, NULL, -3]"),
            (numbers, "{1,null,3}", "[1, NULL, 3]"),
            (numbers, "[]", "[]"),
            (numbers, "{ }", "[]"),
            (list_of(numbers).unwrap(), "{{1},{2,3},NULL}", "[[1], [2, 3], NULL]"),
            (words, "[a b , 'c, d', \"e\", '', NULL, 'NULL']", "[a b, 'c, d', e, '', NULL, 'NULL']"),
            (words, r#"{a b,"c, d",it's,"\"",""}"#, r#"[a b, 'c, d', 'it\'s', '"', '']"#),
            (words, r"[a\,b, c\ ]", "['a,b', 'c ']"),
            (row, "{'a': 1, 'b c': [x]}", "{'a': 1, 'b c': [x]}"),
            (row, "{ B C : [x, y] }", "{'a': NULL, 'b c': [x, y]}"),
            (row, "(7,)", "{'a': 7, 'b c': NULL}"),
            (rows, "[{'a': 1}, NULL]", "[{'a': 1, 'b c': NULL}, NULL]"),
            (rows, r#"{"(1,\"{x,y}\")"}"#, "[{'a': 1, 'b c': [x, y]}]"),
            (map, "{k={a: 1}, 'l=m'=NULL}", "{k={'a': 1, 'b c': NULL}, 'l=m'=NULL}"),
            (flags, "[true, false]", "[true, false]"),
            (pair, "(x, [y])", "(x, [y])"),
        ] {
            assert_eq!(again(written, data_type).as_deref(), Ok(expected), "{written}");
        }
        for (data_type, written) in [
            (numbers, ""),
            (numbers, "1"),
            (numbers, "[1"),
            (numbers, "[1,]"),
            (numbers, "[1] 2"),
            (numbers, "[[1]]"),
            (numbers, "[1}"),
            (numbers, "[x]"),
            (words, "['a' b]"),
            (words, "['a"),
            (words, "[a\\"),
            (row, "{a 1}"),
            (row, "{d: 1}"),
            (row, "(1)"),
            (map, "{k}"),
            (map, "{NULL={a: 1}}"),
            (map, "{k=NULL, k=NULL}"),
            (flags, "[true]"),
            (rows, "[1]"),
        ] {
            assert!(again(written, data_type).is_err(), "{written} as {data_type}");
        }
    }

    /// Packed bytes of a random value.
    fn value(data_type: DataType) -> BoxedStrategy<Vec<u8>> {
        let marked = |data_type: DataType| {
            prop_oneof![
                1 => Just(vec![2_u8]),
                4 => value(data_type).prop_map(|bytes| [&[1][..], &bytes].concat()),
            ]
        };
        match data_type {
            DataType::Nested(kind) => match &kind.info().shape {
                Nested::List(element) => prop::collection::vec(marked(*element), 0..4)
                    .prop_map(|parts| [parts.concat(), vec![0]].concat())
                    .boxed(),
                Nested::Array { element, len } => prop::collection::vec(marked(*element), *len as usize)
                    .prop_map(|parts| parts.concat())
                    .boxed(),
                Nested::Struct(fields) => {
                    let parts: Vec<_> = fields.iter().map(|field| marked(field.data_type)).collect();
                    parts.prop_map(|parts| parts.concat()).boxed()
                }
                Nested::Map { key, value: item } => {
                    prop::collection::btree_map(value(*key), marked(*item), 0..4)
                        .prop_map(|entries| {
                            let entries =
                                entries.into_iter().map(|(key, value)| [vec![1], key, value].concat());
                            [entries.collect::<Vec<_>>().concat(), vec![0]].concat()
                        })
                        .boxed()
                }
            },
            DataType::Varchar => "[a-z '\"\\\\,:=(){}\\[\\]é\n]{0,6}|null|NULL"
                .prop_map(|text| packed(&Scalar::Bytes(text.into()), DataType::Varchar))
                .boxed(),
            DataType::Boolean => {
                any::<bool>().prop_map(|value| packed(&Scalar::Boolean(value), DataType::Boolean)).boxed()
            }
            _ => {
                any::<i32>().prop_map(|value| packed(&Scalar::Integer(value.into()), DataType::Int32)).boxed()
            }
        }
    }

    fn packed(scalar: &Scalar, data_type: DataType) -> Vec<u8> {
        let mut out = Vec::new();
        super::super::append_scalar(&mut out, scalar, data_type).unwrap();
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            (data_type, bytes) in prop::sample::select(kinds().to_vec())
                .prop_flat_map(|data_type| (Just(data_type), value(data_type)))
        ) {
            let kind = data_type.as_nested().unwrap();
            let written = text(&bytes, kind).unwrap();
            prop_assert_eq!(parse(&written, kind, &leaf), Ok(bytes), "{}", written);
        }

        #[test]
        fn no_text_makes_it_fail_otherwise(
            data_type in prop::sample::select(kinds().to_vec()),
            written in "[a1 '\"\\\\,:=(){}\\[\\]é]{0,16}",
        ) {
            let _ = again(&written, data_type);
        }
    }
}
