//! `DELETE` and `UPDATE`.

use super::{expect_word, object_name, peek_word, take_word};
use crate::error::{Error, Result};
use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// What changes rows of a table.
#[derive(Debug, Clone)]
pub(crate) struct ChangeSyntax {
    pub(crate) table: ObjectName,
    pub(crate) alias: Option<Ident>,
    /// `None`: rows are deleted.
    pub(crate) assignments: Option<Vec<ast::Assignment>>,
    /// Relations beside the table: `USING` or `FROM`.
    pub(crate) sources: Vec<ast::TableWithJoins>,
    pub(crate) condition: Option<ast::Expr>,
}

/// `DELETE FROM t [[AS] alias] [USING …] [WHERE condition]`, after its first word.
pub(super) fn delete(parser: &mut Parser<'_>) -> Result<ChangeSyntax> {
    expect_word(parser, "FROM")?;
    let (table, alias) = target(parser, "DELETE")?;
    let sources = sources(parser, "USING")?;
    finish(parser, "DELETE", ChangeSyntax { table, alias, assignments: None, sources, condition: None })
}

/// `UPDATE t [[AS] alias] SET column = value, … [FROM …] [WHERE condition]`, after its first word.
pub(super) fn update(parser: &mut Parser<'_>) -> Result<ChangeSyntax> {
    let (table, alias) = target(parser, "UPDATE")?;
    expect_word(parser, "SET")?;
    let mut assignments = vec![parser.parse_assignment().map_err(Error::from_parser)?];
    while parser.consume_token(&Token::Comma) {
        assignments.push(parser.parse_assignment().map_err(Error::from_parser)?);
    }
    let sources = sources(parser, "FROM")?;
    let assignments = Some(assignments);
    finish(parser, "UPDATE", ChangeSyntax { table, alias, assignments, sources, condition: None })
}

pub(super) fn target(parser: &mut Parser<'_>, statement: &str) -> Result<(ObjectName, Option<Ident>)> {
    let span = parser.peek_token().span;
    if peek_word(parser).as_deref() == Some("ONLY")
        && matches!(parser.peek_nth_token(1).token, Token::Word(_))
        && !matches!(&parser.peek_nth_token(1).token, Token::Word(word) if word.keyword == Keyword::SET)
    {
        return Err(Error::unsupported(format!("{statement} ONLY")).at(span));
    }
    let table = object_name(parser)?;
    let has_alias = take_word(parser, "AS")
        || match &parser.peek_token_ref().token {
            Token::Word(word) => {
                word.quote_style.is_some()
                    || !matches!(
                        word.value.to_ascii_uppercase().as_str(),
                        "SET" | "USING" | "WHERE" | "RETURNING" | "FROM" | "ORDER" | "LIMIT"
                    )
            }
            _ => false,
        };
    let alias = if has_alias { Some(super::identifier(parser)?) } else { None };
    Ok((table, alias))
}

fn sources(parser: &mut Parser<'_>, word: &str) -> Result<Vec<ast::TableWithJoins>> {
    let mut sources = Vec::new();
    if take_word(parser, word) {
        sources.push(parser.parse_table_and_joins().map_err(Error::from_parser)?);
        while parser.consume_token(&Token::Comma) {
            sources.push(parser.parse_table_and_joins().map_err(Error::from_parser)?);
        }
    }
    Ok(sources)
}

fn finish(parser: &mut Parser<'_>, statement: &str, mut change: ChangeSyntax) -> Result<ChangeSyntax> {
    if take_word(parser, "WHERE") {
        if peek_word(parser).as_deref() == Some("CURRENT")
            && matches!(&parser.peek_nth_token(1).token, Token::Word(word) if word.keyword == Keyword::OF)
        {
            let span = parser.peek_token().span;
            return Err(Error::unsupported("WHERE CURRENT OF").at(span));
        }
        change.condition = Some(parser.parse_expr().map_err(Error::from_parser)?);
    }
    let span = parser.peek_token().span;
    if let Some(word @ ("RETURNING" | "ORDER" | "LIMIT")) = peek_word(parser).as_deref() {
        return Err(Error::unsupported(format!("{statement} … {word}")).at(span));
    }
    Ok(change)
}
