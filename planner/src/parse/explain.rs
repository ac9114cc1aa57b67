//! `EXPLAIN`, its options in words or in brackets.

use super::{Syntax, expected, peek_word, query, take_word, write};
use crate::error::{Error, Result};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// What follows `EXPLAIN` but for `COST`: `[ANALYZE | ROUTE] query`, or
/// `(ANALYZE [on | off], FORMAT TEXT | JSON) query` as PostgreSQL writes it. In place of the query a `DELETE` or an
/// `UPDATE` may stand, which is not run.
pub(super) fn explain(parser: &mut Parser<'_>) -> Result<Syntax> {
    let (mut analyze, mut json) = (false, false);
    if has_options(parser) {
        parser.next_token();
        loop {
            let token = parser.next_token();
            let Token::Word(word) = &token.token else {
                return Err(expected(parser, "an option of EXPLAIN"));
            };
            match word.value.to_ascii_uppercase().as_str() {
                "ANALYZE" => analyze = switch(parser)?,
                "FORMAT" => {
                    json = take_word(parser, "JSON");
                    if !json && !take_word(parser, "TEXT") {
                        return Err(expected(parser, "TEXT or JSON"));
                    }
                }
                _ => {
                    return Err(Error::unsupported(format!("the option {word} of EXPLAIN")).at(token.span));
                }
            }
            match parser.next_token().token {
                Token::Comma => {}
                Token::RParen => break,
                _ => {
                    parser.prev_token();
                    return Err(expected(parser, ", or )"));
                }
            }
        }
        return explained(parser, analyze, json, false);
    }
    let analyze = take_word(parser, "ANALYZE");
    let route = !analyze && take_word(parser, "ROUTE");
    explained(parser, analyze, json, route)
}

fn explained(parser: &mut Parser<'_>, analyze: bool, json: bool, route: bool) -> Result<Syntax> {
    let span = parser.peek_token_ref().span;
    let word = match peek_word(parser).as_deref() {
        Some(word @ ("DELETE" | "UPDATE")) => word.to_string(),
        _ => return Ok(Syntax::Explain { analyze, json, route, query: query(parser)? }),
    };
    if analyze || route {
        let how = if analyze { "ANALYZE" } else { "ROUTE" };
        return Err(Error::unsupported(format!("EXPLAIN {how} of {word}")).at(span));
    }
    parser.next_token();
    let change = if word == "DELETE" { write::delete(parser) } else { write::update(parser) }?;
    Ok(Syntax::ExplainChange { json, change: Box::new(change) })
}

/// Whether options in brackets come, and not a query in brackets.
fn has_options(parser: &Parser<'_>) -> bool {
    let is_query = |word: &str| ["SELECT", "WITH", "VALUES", "FROM", "TABLE"].contains(&word);
    parser.peek_token_ref().token == Token::LParen
        && matches!(parser.peek_nth_token_ref(1).token, Token::Word(ref word)
            if !is_query(&word.value.to_ascii_uppercase()))
}

/// On unless it says otherwise.
fn switch(parser: &mut Parser<'_>) -> Result<bool> {
    if ["TRUE", "ON"].into_iter().any(|word| take_word(parser, word)) {
        return Ok(true);
    }
    if ["FALSE", "OFF"].into_iter().any(|word| take_word(parser, word)) {
        return Ok(false);
    }
    match peek_word(parser) {
        None => Ok(true),
        Some(_) => Err(expected(parser, "on or off")),
    }
}
