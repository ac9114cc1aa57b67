//! `MERGE`.

use super::write::target;
use super::{expect_word, expected, object_name, peek_word, take_word};
use crate::error::{Error, Result};
use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

#[derive(Debug, Clone)]
pub(crate) struct MergeSyntax {
    pub(crate) table: ObjectName,
    pub(crate) alias: Option<Ident>,
    pub(crate) source: ast::TableWithJoins,
    pub(crate) on: ast::Expr,
    /// The first that applies to a row says what becomes of it.
    pub(crate) clauses: Vec<MergeClause>,
}

#[derive(Debug, Clone)]
pub(crate) struct MergeClause {
    pub(crate) kind: MatchKind,
    pub(crate) condition: Option<ast::Expr>,
    pub(crate) action: MergeAction,
    pub(crate) span: Span,
}

/// Which rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchKind {
    /// Of the table and of the source.
    Matched,
    /// Of the source alone.
    NotMatched,
    /// Of the table alone.
    BySource,
}

#[derive(Debug, Clone)]
pub(crate) enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<ast::Assignment>),
    /// No columns: all.
    Insert {
        columns: Vec<ObjectName>,
        values: Vec<ast::Expr>,
    },
}

/// `MERGE INTO t [[AS] alias] USING source ON condition WHEN [NOT] MATCHED [BY SOURCE | BY TARGET] [AND condition] THEN
/// UPDATE SET … | DELETE | INSERT [(columns)] VALUES (…) | DO NOTHING …`, after its first word.
pub(super) fn merge(parser: &mut Parser<'_>) -> Result<MergeSyntax> {
    expect_word(parser, "INTO")?;
    let (table, alias) = target(parser, "MERGE")?;
    expect_word(parser, "USING")?;
    let relation = parser.parse_table_factor().map_err(Error::from_parser)?;
    let source = ast::TableWithJoins { relation, joins: Vec::new() };
    expect_word(parser, "ON")?;
    let on = parser.parse_expr().map_err(Error::from_parser)?;
    let mut clauses = Vec::new();
    loop {
        let span = parser.peek_token_ref().span;
        if !take_word(parser, "WHEN") {
            break;
        }
        let mut kind = if take_word(parser, "NOT") { MatchKind::NotMatched } else { MatchKind::Matched };
        expect_word(parser, "MATCHED")?;
        if kind == MatchKind::NotMatched && take_word(parser, "BY") && !take_word(parser, "TARGET") {
            expect_word(parser, "SOURCE")?;
            kind = MatchKind::BySource;
        }
        let condition = match take_word(parser, "AND") {
            true => Some(parser.parse_expr().map_err(Error::from_parser)?),
            false => None,
        };
        expect_word(parser, "THEN")?;
        clauses.push(MergeClause { kind, condition, action: action(parser, kind)?, span });
    }
    if clauses.is_empty() {
        return Err(expected(parser, "WHEN"));
    }
    let span = parser.peek_token_ref().span;
    if peek_word(parser).as_deref() == Some("RETURNING") {
        return Err(Error::unsupported("MERGE … RETURNING").at(span));
    }
    Ok(MergeSyntax { table, alias, source, on, clauses })
}

fn action(parser: &mut Parser<'_>, kind: MatchKind) -> Result<MergeAction> {
    if take_word(parser, "DO") {
        expect_word(parser, "NOTHING")?;
        return Ok(MergeAction::Nothing);
    }
    if kind == MatchKind::NotMatched {
        expect_word(parser, "INSERT")?;
        let mut columns = Vec::new();
        if parser.consume_token(&Token::LParen) {
            columns.push(object_name(parser)?);
            while parser.consume_token(&Token::Comma) {
                columns.push(object_name(parser)?);
            }
            parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
        }
        expect_word(parser, "VALUES")?;
        parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
        let values = parser.parse_comma_separated(Parser::parse_expr).map_err(Error::from_parser)?;
        parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
        return Ok(MergeAction::Insert { columns, values });
    }
    if take_word(parser, "DELETE") {
        return Ok(MergeAction::Delete);
    }
    expect_word(parser, "UPDATE")?;
    expect_word(parser, "SET")?;
    let assignments = parser.parse_comma_separated(Parser::parse_assignment).map_err(Error::from_parser)?;
    Ok(MergeAction::Update(assignments))
}
