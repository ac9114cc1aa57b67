//! Options of tables: `ALTER TABLE t SET (name = value, …)`, `ALTER TABLE t RESET (name, …)` and
//! `CREATE … WITH (name = value, …)`.

use super::{Syntax, access, expected, identifier, object_name, peek_word, take_word};
use crate::error::{Error, Result};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

/// An option as it was written.
#[derive(Debug, Clone)]
pub(crate) struct TableOption {
    /// In lower case.
    pub(crate) name: String,
    /// `None`: back to the default.
    pub(crate) value: Option<String>,
    /// Of the value, where there is one.
    pub(crate) span: Span,
}

pub(super) fn alter(parser: &mut Parser<'_>) -> Result<Syntax> {
    let span = parser.peek_token().span;
    if take_word(parser, "USER") || take_word(parser, "ROLE") {
        return access::alter_role(parser);
    }
    for what in ["SCHEMA", "SERVER"] {
        if take_word(parser, what) {
            return access::alter_owner(parser, what);
        }
    }
    if take_word(parser, "VIEW") {
        let view = object_name(parser)?;
        let span = parser.peek_token().span;
        return match peek_word(parser).as_deref() {
            Some(word) if word != "OWNER" => Err(Error::unsupported(format!("ALTER VIEW … {word}")).at(span)),
            _ => access::owner(parser, access::of_table(view)),
        };
    }
    take_word(parser, "FOREIGN");
    if !take_word(parser, "TABLE") {
        let what = peek_word(parser).unwrap_or_default();
        return Err(Error::unsupported(format!("ALTER {what}").trim_end()).at(span));
    }
    let span = parser.peek_token().span;
    if peek_word(parser).as_deref() == Some("IF") {
        return Err(Error::unsupported("ALTER TABLE IF EXISTS").at(span));
    }
    let table = object_name(parser)?;
    let span = parser.peek_token().span;
    match peek_word(parser).as_deref() {
        Some("SET") => {
            parser.next_token();
            Ok(Syntax::AlterTable { table, options: options(parser)? })
        }
        Some("RESET") => {
            parser.next_token();
            Ok(Syntax::AlterTable { table, options: names(parser)? })
        }
        Some(word @ ("ENABLE" | "DISABLE")) => {
            parser.next_token();
            access::row_security(parser, table, word == "ENABLE")
        }
        Some("OWNER") => access::owner(parser, access::of_table(table)),
        Some(word) => Err(Error::unsupported(format!("ALTER TABLE … {word}")).at(span)),
        None => Err(expected(parser, "SET (option = value) or RESET (option)")),
    }
}

/// `(name = value, …)`
pub(super) fn options(parser: &mut Parser<'_>) -> Result<Vec<TableOption>> {
    in_parentheses(parser, |parser| {
        let name = identifier(parser)?.value.to_lowercase();
        parser.expect_token(&Token::Eq).map_err(Error::from_parser)?;
        // `INTERVAL '1 hour'` is the same as its text.
        let _ = matches!(parser.peek_nth_token(1).token, Token::SingleQuotedString(_))
            && take_word(parser, "INTERVAL");
        let span = parser.peek_token().span;
        let value = match parser.peek_token().token {
            Token::Word(word) => word.value,
            Token::Number(digits, _) => digits,
            Token::SingleQuotedString(text) => text,
            _ => return Err(expected(parser, "a value")),
        };
        parser.next_token();
        Ok(TableOption { name, value: Some(value), span })
    })
}

/// `(name, …)`
fn names(parser: &mut Parser<'_>) -> Result<Vec<TableOption>> {
    in_parentheses(parser, |parser| {
        let span = parser.peek_token().span;
        Ok(TableOption { name: identifier(parser)?.value.to_lowercase(), value: None, span })
    })
}

fn in_parentheses<T>(
    parser: &mut Parser<'_>,
    mut one: impl FnMut(&mut Parser<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
    let mut all = vec![one(parser)?];
    while parser.consume_token(&Token::Comma) {
        all.push(one(parser)?);
    }
    parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    Ok(all)
}
