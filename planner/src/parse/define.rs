//! `CREATE` and `DROP` of views and macros, and their texts as they are kept.

use super::dialect::TundraDialect;
use super::{
    PARSER_DEPTH, Syntax, expect_word, expected, identifier, identifiers_in_parentheses, if_not_exists,
    limits, nested_types, object_name, options, peek_word, query, take_word, tokens,
};
use crate::defined::MacroParameter;
use crate::error::{Error, Result};
use crate::statement::UseKind;
use sqlparser::ast::{self, Ident, ObjectName, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// The longest text of a definition, in bytes.
const LONGEST_BYTES: usize = 256 << 10;
/// The longest comment, in bytes.
const LONGEST_COMMENT: usize = 16 << 10;
/// Parameters of a macro.
const MOST_PARAMETERS: usize = 100;

#[derive(Debug, Clone)]
pub(crate) enum DefineSyntax {
    View {
        name: ObjectName,
        or_replace: bool,
        if_not_exists: bool,
        columns: Vec<Ident>,
        query: Box<Query>,
        text: Text,
    },
    Macro {
        name: ObjectName,
        or_replace: bool,
        if_not_exists: bool,
        parameters: Vec<ParameterSyntax>,
        is_table: bool,
        text: Text,
    },
    /// An enum.
    Type {
        name: ObjectName,
        or_replace: bool,
        if_not_exists: bool,
        values: Vec<String>,
    },
    Drop {
        kind: UseKind,
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
    Comment {
        on: OnSyntax,
        /// `None`: there is to be none.
        text: Option<String>,
    },
}

/// What a comment is on.
#[derive(Debug, Clone)]
pub(crate) enum OnSyntax {
    Schema(Ident),
    Relation(ObjectName),
    /// The last part is the column's.
    Column(ObjectName),
    Macro(ObjectName),
}

#[derive(Debug, Clone)]
pub(crate) struct ParameterSyntax {
    pub(crate) name: Ident,
    pub(crate) default: Option<Text>,
}

/// A part of a statement's text.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    start: Location,
    /// `None`: the end of the statement's text.
    end: Option<Location>,
    /// What is written there.
    pub(crate) sql: String,
}

/// Syntax, and how deep it may nest.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) syntax: T,
    /// In operators and parentheses.
    pub(crate) depth: usize,
}

impl<T> Kept<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Kept<U> {
        Kept { syntax: change(self.syntax), depth: self.depth }
    }
}

impl Text {
    /// What is written from here on: up to where the parser is once `parse` is done.
    pub(super) fn of<T>(
        parser: &mut Parser<'_>,
        parse: impl FnOnce(&mut Parser<'_>) -> Result<T>,
    ) -> Result<(T, Text)> {
        let start = parser.peek_token_ref().span.start;
        let parsed = parse(parser)?;
        let next = parser.peek_token_ref();
        let end = (next.token != Token::EOF).then_some(next.span.start);
        Ok((parsed, Text { start, end, sql: String::new() }))
    }

    pub(super) fn take(&mut self, sql: &str) -> Result<()> {
        let from = offset(sql, self.start);
        let to = self.end.map_or(sql.len(), |end| offset(sql, end));
        let text = sql.get(from..to).ok_or_else(|| Error::internal("a text that ends before it begins"))?;
        if text.len() > LONGEST_BYTES {
            let message = format!(
                "the text of a view, a macro or a prepared statement has {LONGEST_BYTES} bytes at most"
            );
            return Err(Error::value(message));
        }
        self.sql = text.trim_end().into();
        Ok(())
    }
}

/// The byte at which a place lies; places count lines, and characters in them, from 1.
fn offset(sql: &str, place: Location) -> usize {
    let lines = usize::try_from(place.line).unwrap_or(0).saturating_sub(1);
    let before: usize = sql.split('\n').take(lines).map(|line| line.len() + 1).sum();
    let rest = sql.get(before..).unwrap_or_default();
    let letters = usize::try_from(place.column).unwrap_or(0).saturating_sub(1);
    before + rest.char_indices().nth(letters).map_or(rest.len(), |(at, _)| at)
}

impl DefineSyntax {
    /// Keeps its texts, which are of `sql`.
    pub(super) fn take_texts(&mut self, sql: &str) -> Result<()> {
        match self {
            DefineSyntax::View { text, .. } => text.take(sql),
            DefineSyntax::Macro { parameters, text, .. } => {
                let mut defaults = parameters.iter_mut().filter_map(|parameter| parameter.default.as_mut());
                defaults.try_for_each(|default| default.take(sql))?;
                text.take(sql)
            }
            DefineSyntax::Type { .. } | DefineSyntax::Drop { .. } | DefineSyntax::Comment { .. } => Ok(()),
        }
    }
}

impl From<&ParameterSyntax> for MacroParameter {
    fn from(parameter: &ParameterSyntax) -> MacroParameter {
        let default = parameter.default.as_ref().map(|text| text.sql.clone());
        MacroParameter { name: parameter.name.value.clone(), default }
    }
}

/// After `CREATE`, and `OR REPLACE` where that was written: what makes a definition; `None`: something else comes.
pub(super) fn create(parser: &mut Parser<'_>, or_replace: bool) -> Result<Option<Syntax>> {
    if take_word(parser, "VIEW") {
        return create_view(parser, or_replace).map(Some);
    }
    if take_word(parser, "MACRO") || take_word(parser, "FUNCTION") {
        return create_macro(parser, or_replace).map(Some);
    }
    if take_word(parser, "TYPE") {
        return create_type(parser, or_replace).map(Some);
    }
    Ok(None)
}

fn create_view(parser: &mut Parser<'_>, or_replace: bool) -> Result<Syntax> {
    let if_not_exists = if_not_exists(parser);
    let name = object_name(parser)?;
    let columns = match parser.peek_token_ref().token {
        Token::LParen => identifiers_in_parentheses(parser)?,
        _ => Vec::new(),
    };
    if take_word(parser, "WITH") {
        for option in options::options(parser)? {
            let value = option.value.as_deref().unwrap_or_default();
            match (option.name.as_str(), value.to_ascii_lowercase().as_str()) {
                ("security_invoker", "true" | "on" | "1") => {}
                ("security_invoker", _) => {
                    let error = Error::unsupported("a view by the rights of its owner").at(option.span);
                    return Err(error.hint("views read their tables by the rights of whoever asks"));
                }
                (other, _) => {
                    return Err(Error::unsupported(format!("the option {other} of a view")).at(option.span));
                }
            }
        }
    }
    expect_word(parser, "AS")?;
    let (query, text) = Text::of(parser, query)?;
    let span = parser.peek_token_ref().span;
    if let Some(word @ "WITH") = peek_word(parser).as_deref() {
        return Err(Error::unsupported(format!("CREATE VIEW … {word}")).at(span));
    }
    Ok(Syntax::Define(DefineSyntax::View { name, or_replace, if_not_exists, columns, query, text }))
}

fn create_macro(parser: &mut Parser<'_>, or_replace: bool) -> Result<Syntax> {
    let if_not_exists = if_not_exists(parser);
    let name = object_name(parser)?;
    parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
    let mut parameters = Vec::new();
    while parser.peek_token_ref().token != Token::RParen {
        if parameters.len() >= MOST_PARAMETERS {
            let message = format!("a macro has {MOST_PARAMETERS} parameters at most");
            return Err(Error::value(message).at(parser.peek_token_ref().span));
        }
        parameters.push(parameter(parser)?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    expect_word(parser, "AS")?;
    let is_table = take_word(parser, "TABLE");
    let text = match is_table {
        true => Text::of(parser, query)?.1,
        false => Text::of(parser, |parser| parser.parse_expr().map_err(Error::from_parser))?.1,
    };
    if parser.peek_token_ref().token == Token::Comma {
        let span = parser.peek_token_ref().span;
        return Err(Error::unsupported("a macro of several forms").at(span));
    }
    Ok(Syntax::Define(DefineSyntax::Macro { name, or_replace, if_not_exists, parameters, is_table, text }))
}

/// `name AS ENUM ('a', …)`
fn create_type(parser: &mut Parser<'_>, or_replace: bool) -> Result<Syntax> {
    let if_not_exists = if_not_exists(parser);
    let name = object_name(parser)?;
    let other = || Error::unsupported("CREATE TYPE of what is no ENUM");
    let span = parser.peek_token_ref().span;
    if !take_word(parser, "AS") {
        return Err(other().at(span));
    }
    let span = parser.peek_token_ref().span;
    if !take_word(parser, "ENUM") {
        return Err(other().at(span));
    }
    parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
    let span = parser.peek_token_ref().span;
    if peek_word(parser).as_deref() == Some("SELECT") {
        return Err(Error::unsupported("an ENUM of the values of a query").at(span));
    }
    let mut values = Vec::new();
    while parser.peek_token_ref().token != Token::RParen {
        values.push(parser.parse_literal_string().map_err(Error::from_parser)?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    Ok(Syntax::Define(DefineSyntax::Type { name, or_replace, if_not_exists, values }))
}

/// `name` or `name := default`
fn parameter(parser: &mut Parser<'_>) -> Result<ParameterSyntax> {
    let name = identifier(parser)?;
    let default = match parser.consume_token(&Token::Assignment) {
        true => Some(Text::of(parser, |parser| parser.parse_expr().map_err(Error::from_parser))?.1),
        false => None,
    };
    if !matches!(parser.peek_token_ref().token, Token::Comma | Token::RParen) {
        let span = parser.peek_token_ref().span;
        return Err(match parser.peek_token_ref().token {
            Token::Word(_) => Error::unsupported("a type of a macro's parameter").at(span),
            _ => expected(parser, ":= and a default, a comma or )"),
        });
    }
    Ok(ParameterSyntax { name, default })
}

/// After `DROP VIEW`, `DROP MACRO` or `DROP TYPE`.
pub(super) fn drop(parser: &mut Parser<'_>, kind: UseKind) -> Result<Syntax> {
    if kind == UseKind::Macro {
        take_word(parser, "TABLE");
    }
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = parser.parse_comma_separated(|p| p.parse_object_name(false)).map_err(Error::from_parser)?;
    let cascade = cascade(parser);
    Ok(Syntax::Define(DefineSyntax::Drop { kind, names, if_exists, cascade }))
}

/// After `COMMENT`.
pub(super) fn comment(parser: &mut Parser<'_>) -> Result<Syntax> {
    expect_word(parser, "ON")?;
    let span = parser.peek_token_ref().span;
    let on = match peek_word(parser).as_deref() {
        Some("SCHEMA") => {
            parser.next_token();
            OnSyntax::Schema(identifier(parser)?)
        }
        Some("TABLE" | "VIEW") => {
            parser.next_token();
            OnSyntax::Relation(object_name(parser)?)
        }
        Some("COLUMN") => {
            parser.next_token();
            OnSyntax::Column(object_name(parser)?)
        }
        Some("MACRO" | "FUNCTION") => {
            parser.next_token();
            OnSyntax::Macro(object_name(parser)?)
        }
        Some(what) => return Err(Error::unsupported(format!("COMMENT ON {what}")).at(span)),
        None => return Err(expected(parser, "TABLE, VIEW, COLUMN, SCHEMA or MACRO")),
    };
    expect_word(parser, "IS")?;
    let span = parser.peek_token_ref().span;
    let text = match take_word(parser, "NULL") {
        true => None,
        false => Some(parser.parse_literal_string().map_err(Error::from_parser)?),
    };
    match text {
        Some(text) if text.len() > LONGEST_COMMENT => {
            let message = format!("a comment has {LONGEST_COMMENT} bytes at most");
            Err(Error::value(message).at(span))
        }
        text => Ok(Syntax::Define(DefineSyntax::Comment { on, text })),
    }
}

/// `CASCADE` or `RESTRICT`, where one of them is written.
pub(super) fn cascade(parser: &mut Parser<'_>) -> bool {
    let cascade = take_word(parser, "CASCADE");
    cascade || {
        take_word(parser, "RESTRICT");
        false
    }
}

/// A query that was kept as text.
pub(crate) fn query_of(text: &str) -> Result<Kept<Box<Query>>> {
    kept(text, query)
}

/// An expression that was kept as text.
pub(crate) fn expression_of(text: &str) -> Result<Kept<ast::Expr>> {
    kept(text, |parser| parser.parse_expr().map_err(Error::from_parser))
}

fn kept<T>(text: &str, parse: impl FnOnce(&mut Parser<'_>) -> Result<T>) -> Result<Kept<T>> {
    let mut found = Tokenizer::new(&TundraDialect, text)
        .tokenize_with_location()
        .map_err(|error| Error::from_parser(error.into()))?;
    let depth = limits::check(&found)?;
    tokens::settle(&mut found, text)?;
    nested_types::settle(&mut found);
    let mut parser =
        Parser::new(&TundraDialect).with_recursion_limit(PARSER_DEPTH).with_tokens_with_locations(found);
    let syntax = parse(&mut parser)?;
    match parser.peek_token_ref().token {
        Token::EOF => Ok(Kept { syntax, depth }),
        _ => Err(expected(&parser, "the end of the text")),
    }
}
