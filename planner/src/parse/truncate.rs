//! `TRUNCATE`.

use super::{Syntax, expected, object_name, peek_word, take_word};
use crate::error::{Error, Result};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// `TRUNCATE [TABLE] t, … [CONTINUE IDENTITY] [CASCADE | RESTRICT]`, after its first word.
pub(super) fn truncate(parser: &mut Parser<'_>) -> Result<Syntax> {
    take_word(parser, "TABLE");
    let span = parser.peek_token().span;
    let only = peek_word(parser).as_deref() == Some("ONLY")
        && matches!(parser.peek_nth_token(1).token, Token::Word(_));
    if only {
        return Err(Error::unsupported("TRUNCATE ONLY").at(span));
    }
    let mut tables = vec![object_name(parser)?];
    while parser.consume_token(&Token::Comma) {
        tables.push(object_name(parser)?);
    }
    let span = parser.peek_token().span;
    if take_word(parser, "RESTART") {
        return Err(Error::unsupported("TRUNCATE … RESTART IDENTITY").at(span));
    }
    if take_word(parser, "CONTINUE") && !take_word(parser, "IDENTITY") {
        return Err(expected(parser, "IDENTITY"));
    }
    // No table hangs on another's rows.
    let _ = take_word(parser, "CASCADE") || take_word(parser, "RESTRICT");
    Ok(Syntax::Truncate { tables })
}
