//! SQL text to statements not yet bound. Queries are parsed by `sqlparser`; the other statements by
//! grammar of our own over its token stream.

mod access;
mod define;
mod dialect;
mod exclusion;
mod explain;
mod foreign;
mod limits;
mod merge;
mod nested_types;
mod operators;
mod options;
mod prepared;
mod sugar;
pub(crate) mod summary;
mod tokens;
mod truncate;
mod write;

use crate::error::{Error, ErrorKind, Result};
use crate::statement::{TableName, UseKind};
pub(crate) use access::{AccessSyntax, GrantSyntax, OnSyntax, condition};
pub(crate) use define::{
    DefineSyntax, Kept, OnSyntax as CommentOn, ParameterSyntax, expression_of, query_of,
};
use dialect::TundraDialect;
pub(crate) use exclusion::without_exclusion;
pub use foreign::listed_text;
pub(crate) use foreign::{ServerOption, has_secrets};
pub(crate) use merge::{MatchKind, MergeAction, MergeSyntax};
pub(crate) use options::TableOption;
pub(crate) use prepared::PreparedSyntax;
use sqlparser::ast::{self, Ident, ObjectName, ObjectNamePart, Query, Spanned};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, Tokenizer};
pub(crate) use write::ChangeSyntax;

/// How deep the parser follows nested parentheses, subqueries and the like.
const PARSER_DEPTH: usize = 400;
/// Longer texts are refused before they are read.
const MAX_SQL_BYTES: usize = 16 << 20;

/// A statement as it was written.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The whole text that the statement was part of: errors point into it.
    pub(crate) text: std::sync::Arc<str>,
    pub(crate) syntax: Syntax,
}

/// `PARTITION BY`.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    pub(crate) columns: Vec<Ident>,
    /// By ranges of the only column rather than by the hash.
    pub(crate) ranges: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Syntax {
    Query(Box<Query>),
    Explain {
        analyze: bool,
        json: bool,
        /// Which engine would answer it, and why.
        route: bool,
        query: Box<Query>,
    },
    ExplainCost(Box<Query>),
    CreateExternalTable {
        name: ObjectName,
        if_not_exists: bool,
        columns: Vec<ast::ColumnDef>,
        location: String,
        partition_by: Option<Partition>,
        options: Vec<TableOption>,
    },
    CreateTable {
        name: ObjectName,
        if_not_exists: bool,
        columns: Vec<ast::ColumnDef>,
    },
    CreateTableAs {
        name: ObjectName,
        if_not_exists: bool,
        columns: Vec<Ident>,
        query: Box<Query>,
    },
    Insert {
        table: ObjectName,
        columns: Vec<Ident>,
        /// The columns are those that the query's have the names of.
        by_name: bool,
        query: Box<Query>,
    },
    DropTable {
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
    CreateSchema {
        name: Ident,
        if_not_exists: bool,
    },
    DropSchema {
        name: Ident,
        if_exists: bool,
        cascade: bool,
    },
    ShowTables {
        schema: Option<Ident>,
    },
    Describe {
        table: ObjectName,
    },
    RefreshTable {
        table: ObjectName,
    },
    AlterTable {
        table: ObjectName,
        options: Vec<TableOption>,
    },
    Set {
        name: String,
        value: Option<String>,
    },
    Show {
        name: String,
    },
    CreateServer {
        name: Ident,
        if_not_exists: bool,
        wrapper: Ident,
        options: Vec<ServerOption>,
    },
    DropServer {
        name: Ident,
        if_exists: bool,
        cascade: bool,
    },
    CreateForeignTable {
        name: ObjectName,
        if_not_exists: bool,
        columns: Vec<ast::ColumnDef>,
        server: Ident,
        options: Vec<ServerOption>,
    },
    DropForeignTable {
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
    ImportForeignSchema {
        remote: Ident,
        /// `LIMIT TO` these alone, or `EXCEPT` these.
        selection: Option<(bool, Vec<Ident>)>,
        server: Ident,
        into: Ident,
    },
    Access(AccessSyntax),
    Define(DefineSyntax),
    ShowViews {
        schema: Option<Ident>,
    },
    DescribeQuery(Box<Query>),
    Summarize(Box<Query>),
    Prepared(PreparedSyntax),
    Truncate {
        tables: Vec<ObjectName>,
    },
    Change(Box<ChangeSyntax>),
    Merge(Box<MergeSyntax>),
    ExplainChange {
        json: bool,
        change: Box<ChangeSyntax>,
    },
}

impl Parsed {
    /// Whether it is a query, or asks how one would run.
    pub fn reads(&self) -> bool {
        matches!(self.syntax, Syntax::Query(_) | Syntax::Explain { .. })
    }

    /// Whether it gives rows and changes nothing.
    pub fn is_query(&self) -> bool {
        matches!(
            self.syntax,
            Syntax::Query(_)
                | Syntax::Explain { .. }
                | Syntax::ExplainChange { .. }
                | Syntax::ExplainCost(_)
                | Syntax::ShowTables { .. }
                | Syntax::Describe { .. }
                | Syntax::DescribeQuery(_)
                | Syntax::Summarize(_)
                | Syntax::ShowViews { .. }
                | Syntax::Show { .. }
        )
    }
}

/// The statements of `sql`, which semicolons separate. Empty statements are left out.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    if sql.len() > MAX_SQL_BYTES {
        let message = format!("the statement has {} bytes; the most is {MAX_SQL_BYTES}", sql.len());
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    crate::with_deep_stack(|| parse_statements(sql)).map_err(|error| error.in_text(sql))
}

fn parse_statements(sql: &str) -> Result<Vec<Parsed>> {
    let text: std::sync::Arc<str> = sql.into();
    let mut tokens = Tokenizer::new(&TundraDialect, sql)
        .tokenize_with_location()
        .map_err(|error| Error::from_parser(error.into()))?;
    limits::check(&tokens)?;
    tokens::settle(&mut tokens, sql)?;
    let mut tokens = sugar::plain(tokens)?;
    nested_types::settle(&mut tokens);
    exclusion::settle(&mut tokens);
    let mut parser =
        Parser::new(&TundraDialect).with_recursion_limit(PARSER_DEPTH).with_tokens_with_locations(tokens);
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        let mut syntax = statement(&mut parser)?;
        if let Syntax::Define(define) = &mut syntax {
            define.take_texts(sql)?;
        }
        if let Syntax::Prepared(prepared) = &mut syntax {
            prepared.take_text(sql)?;
        }
        statements.push(Parsed { text: text.clone(), syntax });
        let next = parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return Err(expected(&parser, "the end of the statement"));
        }
    }
}

/// The words of a text.
pub(crate) fn tokens_of(sql: &str) -> Result<Vec<Token>> {
    Tokenizer::new(&TundraDialect, sql).tokenize().map_err(|error| Error::from_parser(error.into()))
}

/// The error that says what should have come next.
fn expected(parser: &Parser<'_>, what: &str) -> Error {
    match parser.expected::<()>(what, parser.peek_token()) {
        Err(error) => Error::from_parser(error),
        Ok(()) => Error::internal("the parser gave no error"),
    }
}

/// The next word in upper case, where the next token is a word without quotes.
fn peek_word(parser: &Parser<'_>) -> Option<String> {
    match &parser.peek_token_ref().token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    }
}

/// Takes the next token if it is this word (in upper case).
fn take_word(parser: &mut Parser<'_>, word: &str) -> bool {
    let found = peek_word(parser).as_deref() == Some(word);
    if found {
        parser.next_token();
    }
    found
}

fn expect_word(parser: &mut Parser<'_>, word: &str) -> Result<()> {
    if take_word(parser, word) { Ok(()) } else { Err(expected(parser, word)) }
}

fn statement(parser: &mut Parser<'_>) -> Result<Syntax> {
    let span = parser.peek_token().span;
    match peek_word(parser).as_deref() {
        Some("SELECT" | "WITH" | "VALUES" | "FROM") => return Ok(Syntax::Query(query(parser)?)),
        None if parser.peek_token_ref().token == Token::LParen => return Ok(Syntax::Query(query(parser)?)),
        Some("EXPLAIN") => {
            parser.next_token();
            if take_word(parser, "COST") {
                return Ok(Syntax::ExplainCost(query(parser)?));
            }
            return explain::explain(parser);
        }
        Some("CREATE") => {
            parser.next_token();
            return create(parser);
        }
        Some("IMPORT") => {
            parser.next_token();
            return foreign::import(parser);
        }
        Some("INSERT") => {
            parser.next_token();
            return insert(parser);
        }
        Some("DROP") => {
            parser.next_token();
            return drop(parser);
        }
        Some("SHOW") => {
            parser.next_token();
            return show(parser);
        }
        Some("PREPARE") => {
            parser.next_token();
            return prepared::prepare(parser);
        }
        Some("EXECUTE") => {
            parser.next_token();
            return prepared::execute(parser);
        }
        Some("DEALLOCATE") => {
            parser.next_token();
            return prepared::deallocate(parser);
        }
        Some("SUMMARIZE") => {
            parser.next_token();
            let is_query = parser.peek_token_ref().token == Token::LParen
                || matches!(peek_word(parser).as_deref(), Some("SELECT" | "WITH" | "VALUES"));
            let all = if is_query { query(parser)? } else { summary::all_of(object_name(parser)?)? };
            return Ok(Syntax::Summarize(all));
        }
        Some("DESCRIBE" | "DESC") => {
            parser.next_token();
            if matches!(peek_word(parser).as_deref(), Some("SELECT" | "WITH" | "VALUES"))
                || parser.peek_token_ref().token == Token::LParen
            {
                return Ok(Syntax::DescribeQuery(query(parser)?));
            }
            let _ = take_word(parser, "TABLE") || take_word(parser, "VIEW");
            return Ok(Syntax::Describe { table: object_name(parser)? });
        }
        Some("REFRESH") => {
            parser.next_token();
            expect_word(parser, "TABLE")?;
            return Ok(Syntax::RefreshTable { table: object_name(parser)? });
        }
        Some("ALTER") => {
            parser.next_token();
            return options::alter(parser);
        }
        Some("SET" | "RESET") => return set(parser),
        Some("GRANT") => {
            parser.next_token();
            return access::grant(parser);
        }
        Some("REVOKE") => {
            parser.next_token();
            return access::revoke(parser);
        }
        Some("COMMENT") => {
            parser.next_token();
            return define::comment(parser);
        }
        Some("DELETE") => {
            parser.next_token();
            return Ok(Syntax::Change(Box::new(write::delete(parser)?)));
        }
        Some("UPDATE") => {
            parser.next_token();
            return Ok(Syntax::Change(Box::new(write::update(parser)?)));
        }
        Some("MERGE") => {
            parser.next_token();
            return Ok(Syntax::Merge(Box::new(merge::merge(parser)?)));
        }
        Some("TRUNCATE") => {
            parser.next_token();
            return truncate::truncate(parser);
        }
        Some("REASSIGN") => {
            parser.next_token();
            return access::reassign(parser);
        }
        Some(
            word @ ("COPY" | "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "ANALYZE" | "VACUUM" | "CALL"
            | "USE" | "ATTACH" | "PIVOT" | "TABLE"),
        ) => return Err(Error::unsupported(word).at(span)),
        _ => {}
    }
    Err(expected(parser, "a statement such as SELECT, CREATE TABLE, INSERT or EXPLAIN"))
}

fn query(parser: &mut Parser<'_>) -> Result<Box<Query>> {
    parser.parse_query().map_err(Error::from_parser)
}

fn object_name(parser: &mut Parser<'_>) -> Result<ObjectName> {
    parser.parse_object_name(false).map_err(Error::from_parser)
}

fn identifier(parser: &mut Parser<'_>) -> Result<Ident> {
    parser.parse_identifier().map_err(Error::from_parser)
}

fn if_not_exists(parser: &mut Parser<'_>) -> bool {
    parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
}

fn identifiers_in_parentheses(parser: &mut Parser<'_>) -> Result<Vec<Ident>> {
    parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
    let names = parser.parse_comma_separated(Parser::parse_identifier).map_err(Error::from_parser)?;
    parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    Ok(names)
}

fn column_definitions(parser: &mut Parser<'_>) -> Result<Vec<ast::ColumnDef>> {
    let span = parser.peek_token().span;
    let (columns, constraints) = parser.parse_columns().map_err(Error::from_parser)?;
    match constraints.first() {
        Some(constraint) => Err(Error::unsupported("a table constraint").at(constraint.span()).at(span)),
        None => Ok(columns),
    }
}

fn create(parser: &mut Parser<'_>) -> Result<Syntax> {
    let span = parser.peek_token().span;
    let or_replace = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    if let Some(define) = define::create(parser, or_replace)? {
        return Ok(define);
    }
    if or_replace {
        let what = peek_word(parser).unwrap_or_default();
        return Err(Error::unsupported(format!("CREATE OR REPLACE {what}").trim_end()).at(span));
    }
    if take_word(parser, "SCHEMA") {
        let if_not_exists = if_not_exists(parser);
        return Ok(Syntax::CreateSchema { name: identifier(parser)?, if_not_exists });
    }
    if take_word(parser, "SERVER") {
        return foreign::create_server(parser);
    }
    if take_word(parser, "USER") {
        return access::create_role(parser, true);
    }
    if take_word(parser, "ROLE") {
        return access::create_role(parser, false);
    }
    if take_word(parser, "POLICY") {
        return access::create_policy(parser);
    }
    if take_word(parser, "FOREIGN") {
        return foreign::create_table(parser);
    }
    let external = take_word(parser, "EXTERNAL");
    if !external && peek_word(parser).as_deref() != Some("TABLE") {
        let what = peek_word(parser).unwrap_or_default();
        return match what.as_str() {
            "INDEX" | "SEQUENCE" | "TEMP" | "TEMPORARY" | "RECURSIVE" | "MATERIALIZED" | "UNIQUE"
            | "DATABASE" => Err(Error::unsupported(format!("CREATE {what}")).at(span)),
            _ => Err(expected(parser, "TABLE, EXTERNAL TABLE, VIEW, MACRO, TYPE or SCHEMA")),
        };
    }
    expect_word(parser, "TABLE")?;
    let if_not_exists = if_not_exists(parser);
    let name = object_name(parser)?;
    if external {
        return create_external(parser, name, if_not_exists);
    }
    refuse_options(parser)?;
    if take_word(parser, "AS") {
        return Ok(Syntax::CreateTableAs { name, if_not_exists, columns: Vec::new(), query: query(parser)? });
    }
    if parser.peek_token_ref().token != Token::LParen {
        return Err(expected(parser, "( or AS"));
    }
    // `t (a, b) AS SELECT …`: names without types.
    let named_only = matches!(parser.peek_nth_token(1).token, Token::Word(_))
        && matches!(parser.peek_nth_token(2).token, Token::Comma | Token::RParen);
    if named_only {
        let columns = identifiers_in_parentheses(parser)?;
        refuse_options(parser)?;
        expect_word(parser, "AS")?;
        return Ok(Syntax::CreateTableAs { name, if_not_exists, columns, query: query(parser)? });
    }
    let columns = column_definitions(parser)?;
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Syntax, "a table needs at least one column").at(span));
    }
    refuse_options(parser)?;
    Ok(Syntax::CreateTable { name, if_not_exists, columns })
}

/// Tables that statements fill have no options.
fn refuse_options(parser: &mut Parser<'_>) -> Result<()> {
    let span = parser.peek_token().span;
    if !take_word(parser, "WITH") {
        return Ok(());
    }
    options::options(parser)?;
    Err(Error::value(
        "only external tables have options: one that statements fill has no files of others to look for",
    )
    .at(span)
    .hint("leave WITH (…) out"))
}

fn create_external(parser: &mut Parser<'_>, name: ObjectName, if_not_exists: bool) -> Result<Syntax> {
    let columns =
        if parser.peek_token_ref().token == Token::LParen { column_definitions(parser)? } else { Vec::new() };
    let (mut stored, mut location, mut partition_by, mut options) = (false, None, None, Vec::new());
    loop {
        let span = parser.peek_token().span;
        if take_word(parser, "STORED") {
            expect_word(parser, "AS")?;
            let format = identifier(parser)?;
            if !format.value.eq_ignore_ascii_case("PARQUET") {
                return Err(Error::unsupported(format!("STORED AS {}", format.value)).at(format.span));
            }
            stored = true;
        } else if take_word(parser, "LOCATION") {
            let text = parser.parse_literal_string().map_err(Error::from_parser)?;
            if text.trim().is_empty() {
                return Err(Error::value("LOCATION is empty").at(span).hint(
                    "name a Parquet file, a folder or a glob, such as LOCATION 's3://bucket/folder/'",
                ));
            }
            location = Some(text);
        } else if take_word(parser, "PARTITION") || take_word(parser, "PARTITIONED") {
            expect_word(parser, "BY")?;
            let ranges = take_word(parser, "RANGE");
            if !ranges && !take_word(parser, "HASH") {
                return Err(expected(parser, "HASH (columns) or RANGE (column)"));
            }
            let columns = identifiers_in_parentheses(parser)?;
            if let (true, Some(second)) = (ranges, columns.get(1)) {
                let error = Error::unsupported("PARTITION BY RANGE of several columns").at(second.span);
                return Err(error.hint("name one column, or use PARTITION BY HASH"));
            }
            partition_by = Some(Partition { columns, ranges });
        } else if take_word(parser, "WITH") {
            options.extend(options::options(parser)?);
        } else {
            break;
        }
    }
    if !stored {
        return Err(expected(parser, "STORED AS PARQUET"));
    }
    match location {
        Some(location) => {
            Ok(Syntax::CreateExternalTable { name, if_not_exists, columns, location, partition_by, options })
        }
        None => Err(expected(parser, "LOCATION 'url'")),
    }
}

fn insert(parser: &mut Parser<'_>) -> Result<Syntax> {
    expect_word(parser, "INTO")?;
    let table = object_name(parser)?;
    let by_name = take_word(parser, "BY");
    if by_name && !take_word(parser, "NAME") {
        expect_word(parser, "POSITION")?;
        return Ok(Syntax::Insert { table, columns: Vec::new(), by_name: false, query: query(parser)? });
    }
    let starts_query = |token: &Token| matches!(token, Token::Word(word) if word.keyword == Keyword::SELECT || word.keyword == Keyword::WITH || word.keyword == Keyword::VALUES);
    let columns = if !by_name
        && parser.peek_token_ref().token == Token::LParen
        && !starts_query(&parser.peek_nth_token(1).token)
        && parser.peek_nth_token(1).token != Token::LParen
    {
        identifiers_in_parentheses(parser)?
    } else {
        Vec::new()
    };
    let span = parser.peek_token().span;
    if take_word(parser, "DEFAULT") {
        return Err(Error::unsupported("INSERT … DEFAULT VALUES").at(span));
    }
    let query = query(parser)?;
    let span = parser.peek_token().span;
    if let Some(word @ ("ON" | "RETURNING")) = peek_word(parser).as_deref() {
        return Err(Error::unsupported(format!("INSERT … {word}")).at(span));
    }
    Ok(Syntax::Insert { table, columns, by_name, query })
}

fn drop(parser: &mut Parser<'_>) -> Result<Syntax> {
    let span = parser.peek_token().span;
    if take_word(parser, "SERVER") {
        return foreign::drop_server(parser);
    }
    if take_word(parser, "FOREIGN") {
        return foreign::drop_table(parser);
    }
    if take_word(parser, "USER") || take_word(parser, "ROLE") {
        return access::drop_role(parser);
    }
    if take_word(parser, "POLICY") {
        return access::drop_policy(parser);
    }
    if take_word(parser, "VIEW") {
        return define::drop(parser, UseKind::Relation);
    }
    if take_word(parser, "MACRO") || take_word(parser, "FUNCTION") {
        return define::drop(parser, UseKind::Macro);
    }
    if take_word(parser, "TYPE") {
        return define::drop(parser, UseKind::Type);
    }
    let schema = take_word(parser, "SCHEMA");
    if !schema && !take_word(parser, "TABLE") {
        return match peek_word(parser).as_deref() {
            Some(what @ ("INDEX" | "DATABASE" | "SEQUENCE" | "OWNED" | "MATERIALIZED")) => {
                Err(Error::unsupported(format!("DROP {what}")).at(span))
            }
            _ => Err(expected(parser, "TABLE, VIEW, MACRO, TYPE or SCHEMA")),
        };
    }
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    if schema {
        let name = identifier(parser)?;
        let cascade = take_word(parser, "CASCADE");
        take_word(parser, "RESTRICT");
        return Ok(Syntax::DropSchema { name, if_exists, cascade });
    }
    let names = parser.parse_comma_separated(|p| p.parse_object_name(false)).map_err(Error::from_parser)?;
    Ok(Syntax::DropTable { names, if_exists, cascade: define::cascade(parser) })
}

fn show(parser: &mut Parser<'_>) -> Result<Syntax> {
    if let Some(what @ ("TABLES" | "VIEWS")) = peek_word(parser).as_deref() {
        let views = what == "VIEWS";
        parser.next_token();
        let named = take_word(parser, "FROM") || take_word(parser, "IN");
        let schema = if named { Some(identifier(parser)?) } else { None };
        return Ok(if views { Syntax::ShowViews { schema } } else { Syntax::ShowTables { schema } });
    }
    if take_word(parser, "FUNCTIONS") {
        let like = if take_word(parser, "LIKE") {
            let pattern = parser.parse_literal_string().map_err(Error::from_parser)?;
            format!("WHERE function_name LIKE '{}'", pattern.replace('\'', "''"))
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT function_name, category, signature, description FROM system.functions {like} \
             ORDER BY function_name, signature"
        );
        let mut parser = Parser::new(&TundraDialect).try_with_sql(&sql).map_err(Error::from_parser)?;
        return Ok(Syntax::Query(query(&mut parser)?));
    }
    if take_word(parser, "TIME") {
        expect_word(parser, "ZONE")?;
        return Ok(Syntax::Show { name: "timezone".into() });
    }
    Ok(Syntax::Show { name: setting_name(parser)? })
}

fn setting_name(parser: &mut Parser<'_>) -> Result<String> {
    let name = object_name(parser)?;
    Ok(identifiers(&name)?.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join("."))
}

fn set(parser: &mut Parser<'_>) -> Result<Syntax> {
    if take_word(parser, "RESET") {
        return Ok(Syntax::Set { name: setting_name(parser)?, value: None });
    }
    expect_word(parser, "SET")?;
    let _ = take_word(parser, "SESSION") || take_word(parser, "LOCAL");
    if take_word(parser, "TIME") {
        expect_word(parser, "ZONE")?;
        return Ok(Syntax::Set { name: "timezone".into(), value: setting_value(parser)? });
    }
    let name = setting_name(parser)?;
    if !parser.consume_token(&Token::Eq) && !take_word(parser, "TO") {
        return Err(expected(parser, "= or TO"));
    }
    Ok(Syntax::Set { name, value: setting_value(parser)? })
}

/// A word, number or text, `-` before a number, or several separated by commas. `None` for `DEFAULT`.
fn setting_value(parser: &mut Parser<'_>) -> Result<Option<String>> {
    if take_word(parser, "DEFAULT") {
        return Ok(None);
    }
    let mut values = Vec::new();
    loop {
        let sign = if parser.consume_token(&Token::Minus) { "-" } else { "" };
        let value = match parser.peek_token().token {
            Token::Word(word) => word.value,
            Token::Number(digits, _) => format!("{sign}{digits}"),
            Token::SingleQuotedString(text) => text,
            _ => return Err(expected(parser, "a value")),
        };
        parser.next_token();
        values.push(value);
        if !parser.consume_token(&Token::Comma) {
            return Ok(Some(values.join(", ")));
        }
    }
}

/// The parts of a dotted name.
pub(crate) fn identifiers(name: &ObjectName) -> Result<Vec<&Ident>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(ident),
            ObjectNamePart::Function(_) => Err(Error::unsupported("a function as a name").at(part.span())),
        })
        .collect()
}

/// A name of the form `[schema.]table`.
pub(crate) fn table_name(name: &ObjectName) -> Result<(TableName, Span)> {
    let span = name.span();
    match identifiers(name)?.as_slice() {
        [table] => Ok((TableName { schema: None, name: table.value.clone() }, span)),
        [schema, table] => {
            Ok((TableName { schema: Some(schema.value.clone()), name: table.value.clone() }, span))
        }
        _ => Err(Error::name(format!("\"{name}\" is not a table's name"))
            .at(span)
            .hint("a table is named [schema.]table")),
    }
}
