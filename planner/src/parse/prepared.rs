//! `PREPARE`, `EXECUTE` and `DEALLOCATE`.

use super::define::Text;
use super::{Syntax, expect_word, identifier, peek_word, statement, take_word};
use crate::error::{Error, Result};
use sqlparser::ast::{self, Ident};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

#[derive(Debug, Clone)]
pub(crate) enum PreparedSyntax {
    Prepare {
        name: Ident,
        /// Of its first parameters.
        types: Vec<ast::DataType>,
        text: Text,
    },
    Execute {
        name: Ident,
        args: Vec<ast::Expr>,
    },
    Deallocate {
        /// `None`: all.
        name: Option<Ident>,
    },
}

impl PreparedSyntax {
    /// Keeps its text, which is of `sql`.
    pub(super) fn take_text(&mut self, sql: &str) -> Result<()> {
        match self {
            PreparedSyntax::Prepare { text, .. } => text.take(sql),
            PreparedSyntax::Execute { .. } | PreparedSyntax::Deallocate { .. } => Ok(()),
        }
    }
}

/// After `PREPARE`: `name [(type, …)] AS statement`.
pub(super) fn prepare(parser: &mut Parser<'_>) -> Result<Syntax> {
    let name = identifier(parser)?;
    let mut types = Vec::new();
    if parser.consume_token(&Token::LParen) {
        types = parser.parse_comma_separated(Parser::parse_data_type).map_err(Error::from_parser)?;
        parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    }
    expect_word(parser, "AS")?;
    let span = parser.peek_token().span;
    if matches!(peek_word(parser).as_deref(), Some("PREPARE" | "EXECUTE" | "DEALLOCATE")) {
        return Err(Error::unsupported("PREPARE of a statement that is prepared").at(span));
    }
    let (_, text) = Text::of(parser, statement)?;
    Ok(Syntax::Prepared(PreparedSyntax::Prepare { name, types, text }))
}

/// After `EXECUTE`: `name [(value, …)]`.
pub(super) fn execute(parser: &mut Parser<'_>) -> Result<Syntax> {
    let name = identifier(parser)?;
    let mut args = Vec::new();
    if parser.consume_token(&Token::LParen) && !parser.consume_token(&Token::RParen) {
        args = parser.parse_comma_separated(Parser::parse_expr).map_err(Error::from_parser)?;
        parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    }
    Ok(Syntax::Prepared(PreparedSyntax::Execute { name, args }))
}

/// After `DEALLOCATE`: `[PREPARE] name` or `ALL`.
pub(super) fn deallocate(parser: &mut Parser<'_>) -> Result<Syntax> {
    let _ = take_word(parser, "PREPARE");
    let name = if take_word(parser, "ALL") { None } else { Some(identifier(parser)?) };
    Ok(Syntax::Prepared(PreparedSyntax::Deallocate { name }))
}
