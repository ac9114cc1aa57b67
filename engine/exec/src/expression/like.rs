//! `LIKE` and `ILIKE`: patterns compiled to the cheapest test that decides them.

use super::node::{Input, Node, Operation, Side, boolean_shape, boolean_vector, null_vector};
use crate::{Result, Shape};
use columnar::bitmap::both_valid;
use columnar::kernels::boolean::Truth;
use columnar::{Bitmap, Error, Flat, Scalar, Value, Values, Vector};
use memchr::memmem::Finder;
use storage::TextToken as Token;

/// `input LIKE pattern`.
pub(super) fn like(
    input: Node,
    pattern: Node,
    escape: Option<char>,
    case_insensitive: bool,
    negated: bool,
) -> Node {
    let shape = boolean_shape(input.shape().nullable || pattern.shape().nullable);
    // Only an escape can make a pattern wrong.
    let (compiled, fallible) = match pattern.known() {
        Some(Value { scalar: Scalar::Bytes(bytes), .. }) => {
            let compiled = Pattern::compile(bytes, escape, case_insensitive);
            let fallible = compiled.is_err();
            (Some(compiled), fallible)
        }
        _ => (None, escape.is_some()),
    };
    let kept = shape.clone();
    let node = Node::over(vec![input, pattern], shape, fallible, |operands| {
        Box::new(Like { operands, compiled, escape, case_insensitive, negated, shape: kept })
    });
    node.costly()
}

#[derive(Debug)]
struct Like {
    /// The text, the pattern.
    operands: Vec<Node>,
    compiled: Option<columnar::Result<Pattern>>,
    escape: Option<char>,
    case_insensitive: bool,
    negated: bool,
    shape: Shape,
}

impl Operation for Like {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let text = Side::of(self.operands[0].evaluate(input)?);
        if matches!(text, Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let text = flat_of(text, &self.operands[0], input.rows);
        let Values::View(views) = &text.values else { return Ok(null_vector(&self.shape, input.rows)) };
        let mut truth = match &self.compiled {
            Some(pattern) => {
                let pattern = pattern.as_ref().map_err(Clone::clone)?;
                let bits = Bitmap::from_fn(input.rows, |row| self.test(pattern, views.get(row)));
                Truth::new(bits, text.validity)
            }
            None => {
                let patterns = Side::of(self.operands[1].evaluate(input)?);
                if matches!(patterns, Side::Null) {
                    return Ok(null_vector(&self.shape, input.rows));
                }
                let patterns = flat_of(patterns, &self.operands[1], input.rows);
                let validity = both_valid(text.validity.as_ref(), patterns.validity.as_ref());
                let Values::View(sources) = &patterns.values else {
                    return Ok(null_vector(&self.shape, input.rows));
                };
                let mut last: Option<(&[u8], Pattern)> = None;
                let mut matched = Vec::with_capacity(input.rows);
                for row in 0..input.rows {
                    let source = sources.get(row);
                    if validity.as_ref().is_some_and(|validity| !validity.get(row)) {
                        matched.push(false);
                        continue;
                    }
                    let pattern = match last.take() {
                        Some((known, pattern)) if known == source => pattern,
                        _ => Pattern::compile(source, self.escape, self.case_insensitive)?,
                    };
                    matched.push(self.test(&pattern, views.get(row)));
                    last = Some((source, pattern));
                }
                Truth::new(matched.into_iter().collect(), validity)
            }
        };
        if self.negated {
            truth = truth.not();
        }
        Ok(boolean_vector(truth))
    }
}

impl Like {
    #[inline]
    fn test(&self, pattern: &Pattern, text: &[u8]) -> bool {
        if self.case_insensitive { pattern.matches(&folded(text)) } else { pattern.matches(text) }
    }
}

fn flat_of(side: Side, node: &Node, rows: usize) -> Flat {
    match side {
        Side::Flat(flat) => flat,
        Side::Constant(scalar) => {
            Flat::new(node.data_type(), Values::repeat(&scalar, node.shape().physical, rows), None)
        }
        Side::Null => {
            Flat::new(node.data_type(), Values::repeat(&Scalar::Null, node.shape().physical, rows), None)
        }
    }
}

fn folded(text: &[u8]) -> Vec<u8> {
    match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => String::from_utf8_lossy(text).to_lowercase().into_bytes(),
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) enum Pattern {
    Exact(Vec<u8>),
    /// Without `_`: starts with the first, ends with the last, and has the others between in their order.
    Parts {
        prefix: Vec<u8>,
        middle: Vec<Finder<'static>>,
        suffix: Vec<u8>,
    },
    General(Vec<Token>),
}

/// The parts of a pattern, in lower case with `fold`.
pub(crate) fn tokens(pattern: &[u8], escape: Option<char>, fold: bool) -> columnar::Result<Vec<Token>> {
    let text = String::from_utf8_lossy(pattern);
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            character if Some(character) == escape => {
                characters.next().ok_or_else(|| Error::InvalidText {
                    text: text.to_string(),
                    data_type: "LIKE pattern: it ends with the escape character".into(),
                })?
            }
            '%' => {
                if tokens.last() != Some(&Token::Run) {
                    tokens.push(Token::Run);
                }
                continue;
            }
            '_' => {
                tokens.push(Token::Character);
                continue;
            }
            character => character,
        };
        let mut push = |character: char| {
            let mut bytes = [0; 4];
            tokens.extend(character.encode_utf8(&mut bytes).bytes().map(Token::Byte));
        };
        if fold { literal.to_lowercase().for_each(&mut push) } else { push(literal) }
    }
    Ok(tokens)
}

impl Pattern {
    pub(crate) fn compile(pattern: &[u8], escape: Option<char>, fold: bool) -> columnar::Result<Pattern> {
        Ok(Pattern::of_tokens(tokens(pattern, escape, fold)?))
    }

    fn of_tokens(tokens: Vec<Token>) -> Pattern {
        if tokens.contains(&Token::Character) {
            return Pattern::General(tokens);
        }
        let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
        for token in &tokens {
            match (token, parts.last_mut()) {
                (Token::Byte(byte), Some(part)) => part.push(*byte),
                _ => parts.push(Vec::new()),
            }
        }
        let suffix = parts.pop().unwrap_or_default();
        if parts.is_empty() {
            return Pattern::Exact(suffix);
        }
        let prefix = parts.remove(0);
        let middle = parts.iter().map(|part| Finder::new(part).into_owned()).collect();
        Pattern::Parts { prefix, middle, suffix }
    }

    #[inline]
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Pattern::Exact(exact) => text == exact,
            Pattern::Parts { prefix, middle, suffix } => {
                if text.len() < prefix.len() + suffix.len()
                    || !text.starts_with(prefix)
                    || !text.ends_with(suffix)
                {
                    return false;
                }
                let mut rest = &text[prefix.len()..text.len() - suffix.len()];
                for finder in middle {
                    match finder.find(rest) {
                        Some(at) => rest = &rest[at + finder.needle().len()..],
                        None => return false,
                    }
                }
                true
            }
            Pattern::General(tokens) => matches_tokens(tokens, text),
        }
    }
}

/// Greedy matching with one point to return to: a later `%` never needs an earlier one to stretch.
fn matches_tokens(tokens: &[Token], text: &[u8]) -> bool {
    let (mut at, mut token) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match tokens.get(token) {
            None if at == text.len() => return true,
            None => None,
            Some(Token::Run) => {
                retry = Some((at, token + 1));
                token += 1;
                continue;
            }
            Some(Token::Character) => text.get(at).map(|&byte| width_of(byte)),
            Some(Token::Byte(byte)) => (text.get(at) == Some(byte)).then_some(1),
        };
        match (step, &mut retry) {
            (Some(width), _) => {
                at += width;
                token += 1;
            }
            (None, Some((from, after))) if *from < text.len() => {
                *from += width_of(text[*from]);
                at = *from;
                token = *after;
            }
            (None, _) => return false,
        }
    }
}

/// Bytes of the character that starts with `byte`.
fn width_of(byte: u8) -> usize {
    match byte {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some(('_', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((first, rest)) => text.first() == Some(first) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matches_as_the_definition_says(pattern in "[ab%_é]{0,7}", text in "[abé]{0,8}") {
            let expected = naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            let compiled = Pattern::compile(pattern.as_bytes(), None, false).unwrap();
            prop_assert_eq!(compiled.matches(text.as_bytes()), expected, "{} LIKE {}", text, pattern);
        }
    }

    #[test]
    fn escapes() {
        let compiled = Pattern::compile(b"10!%_", Some('!'), false).unwrap();
        assert!(compiled.matches(b"10%x"));
        assert!(!compiled.matches(b"100x"));
        assert!(Pattern::compile(b"10!", Some('!'), false).is_err());
    }
}
