//! Refuses text whose syntax tree would be too deep, before the tree is built.
//!
//! The parser builds a chain of operators as a tree as deep as the chain is long, and whatever walks the
//! tree later recurses. So depth is bounded here, on the tokens.

use crate::error::{Error, ErrorKind, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The deepest expression, by the operators that may nest.
const MAX_DEPTH: usize = 2_000;
/// The most `UNION`, `INTERSECT` and `EXCEPT` of a text.
const MAX_SET_OPERATIONS: usize = 300;

/// What is open: parentheses, innermost last.
#[derive(Default)]
struct Level {
    /// Of the operand being read.
    depth: usize,
    /// Of the deepest operand so far.
    deepest: usize,
}

/// How deep the tree may be, in operators and parentheses; an error where that is too deep.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<usize> {
    let mut levels = vec![Level::default()];
    let mut set_operations = 0;
    for TokenWithSpan { token, span } in tokens {
        if is_set_operation(token) {
            set_operations += 1;
            if set_operations > MAX_SET_OPERATIONS {
                let message = format!("more than {MAX_SET_OPERATIONS} set operations in one text");
                return Err(Error::new(ErrorKind::Syntax, message).at(*span));
            }
        }
        let nested = levels.len() > 1;
        let Some(level) = levels.last_mut() else { break };
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace if nested => {
                let inner = levels.pop().map_or(0, |level| level.deepest.max(level.depth));
                if let Some(level) = levels.last_mut() {
                    level.depth = level.depth.max(inner) + 1;
                }
            }
            Token::Comma | Token::SemiColon => {
                level.deepest = level.deepest.max(level.depth);
                level.depth = 0;
            }
            token if is_operator(token) => level.depth += 1,
            _ => {}
        }
        if levels.last().is_some_and(|level| level.depth > MAX_DEPTH) {
            let message = format!("an expression of more than {MAX_DEPTH} operators or levels");
            let error = Error::new(ErrorKind::Syntax, message).at(*span);
            return Err(match is_or(token) {
                true => error.hint("a chain of OR over one column is shorter as IN (…)"),
                false => error,
            });
        }
    }
    let open = levels.len();
    let deepest = levels.iter().map(|level| level.deepest.max(level.depth)).max().unwrap_or(0);
    Ok(deepest + open)
}

fn is_set_operation(token: &Token) -> bool {
    matches!(token, Token::Word(word)
        if matches!(word.keyword, Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT))
}

fn is_or(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.keyword == Keyword::OR)
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::SIMILAR
                | Keyword::GLOB
                | Keyword::AT
                | Keyword::CASE
                | Keyword::JOIN
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Whitespace(_)
        | Token::Period
        | Token::Placeholder(_)
        | Token::EOF => false,
        Token::LBracket | Token::RBracket | Token::LBrace | Token::RBrace | Token::RParen => false,
        other => !matches!(
            other,
            Token::DoubleQuotedString(_) | Token::NationalStringLiteral(_) | Token::HexStringLiteral(_)
        ),
    }
}
