//! Statements about engines beside Tundra, as PostgreSQL writes them: `CREATE SERVER`, `CREATE FOREIGN TABLE`,
//! `IMPORT FOREIGN SCHEMA` and what drops them again.

use super::define::cascade;
use super::dialect::TundraDialect;
use super::{
    Syntax, column_definitions, expect_word, expected, identifier, identifiers_in_parentheses, if_not_exists,
    object_name, take_word,
};
use crate::error::{Error, ErrorKind, Result};
use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, Tokenizer};
use std::borrow::Cow;

/// `name 'value'`
#[derive(Clone)]
pub(crate) struct ServerOption {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) value: String,
    /// Of the name.
    pub(crate) span: Span,
}

/// Values may be secrets.
impl std::fmt::Debug for ServerOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} …", self.name)
    }
}

/// The text of a statement as others may see it: options of servers and passwords are left out, and what follows them, also of
/// statements that are refused.
pub fn listed_text(sql: &str) -> Cow<'_, str> {
    match before_secrets(sql) {
        None => Cow::Borrowed(sql),
        Some(head) => Cow::Owned(format!("{} …", head.join(" "))),
    }
}

/// Whether the text has a statement that may name secrets.
pub(crate) fn has_secrets(sql: &str) -> bool {
    before_secrets(sql).is_some()
}

/// The words of a text up to its first secret, where a statement in it may name one: `CREATE` or `ALTER` of a server, a user
/// mapping, a user or a role, with `OPTIONS` or `PASSWORD`.
fn before_secrets(sql: &str) -> Option<Vec<String>> {
    const NAMES: [&str; 3] = ["server", "user", "role"];
    const SECRETS: [&str; 2] = ["options", "password"];
    let has = |word: &str| {
        sql.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    if !NAMES.iter().any(|name| has(name)) || !SECRETS.iter().any(|secret| has(secret)) {
        return None;
    }
    let (mut words, whole) = words(sql);
    let is_one = |word: &String, names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    let names_one = |at: usize| {
        let mut rest = words[at + 1..].iter().skip_while(|word| is_one(word, &["or", "replace"]));
        is_one(&words[at], &["create", "alter"]) && rest.next().is_some_and(|word| is_one(word, &NAMES))
    };
    let begins = (0..words.len()).find(|&at| names_one(at));
    let secret = begins.and_then(|at| Some(at + words[at..].iter().position(|word| is_one(word, &SECRETS))?));
    match secret {
        Some(secret) => words.truncate(secret + 1),
        // It may stand in what is no SQL.
        None if !whole => {}
        None => return None,
    }
    Some(words)
}

/// The words of a text, up to where it is no SQL any more, and whether that is its end.
fn words(sql: &str) -> (Vec<String>, bool) {
    let mut tokens = Vec::new();
    // What was read before a fault stands in `tokens`.
    let read = Tokenizer::new(&TundraDialect, sql).tokenize_with_location_into_buf(&mut tokens);
    let words = tokens.into_iter().filter_map(|token| match token.token {
        Token::Word(word) => Some(word.to_string()),
        Token::Whitespace(_) => None,
        other => Some(other.to_string()),
    });
    (words.collect(), read.is_ok())
}

/// `OPTIONS (name 'value', …)`, where it is there.
fn options(parser: &mut Parser<'_>) -> Result<Vec<ServerOption>> {
    if !take_word(parser, "OPTIONS") {
        return Ok(Vec::new());
    }
    parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
    let mut options: Vec<ServerOption> = Vec::new();
    loop {
        if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
            return Err(expected(parser, "the name of an option"));
        }
        let name = identifier(parser)?;
        let value = parser.parse_literal_string().map_err(Error::from_parser)?;
        let option = ServerOption { name: name.value.to_lowercase(), value, span: name.span };
        if options.iter().any(|other| other.name == option.name) {
            return Err(Error::value(format!("the option {} is given twice", option.name)).at(option.span));
        }
        options.push(option);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    Ok(options)
}

pub(super) fn create_server(parser: &mut Parser<'_>) -> Result<Syntax> {
    let if_not_exists = if_not_exists(parser);
    let name = identifier(parser)?;
    let mut wrapper = None;
    if take_word(parser, "TYPE") {
        let span = parser.peek_token().span;
        let text = parser.parse_literal_string().map_err(Error::from_parser)?;
        wrapper = Some(Ident::with_span(span, text));
    }
    let span = parser.peek_token().span;
    if take_word(parser, "VERSION") {
        return Err(Error::unsupported("VERSION of a server").at(span));
    }
    if take_word(parser, "FOREIGN") {
        expect_word(parser, "DATA")?;
        expect_word(parser, "WRAPPER")?;
        let named = identifier(parser)?;
        if wrapper.is_some_and(|kind| !kind.value.eq_ignore_ascii_case(&named.value)) {
            let message = "TYPE and FOREIGN DATA WRAPPER name two kinds of servers";
            return Err(Error::value(message).at(named.span).hint("name one of them"));
        }
        wrapper = Some(named);
    }
    match wrapper {
        Some(wrapper) => Ok(Syntax::CreateServer { name, if_not_exists, wrapper, options: options(parser)? }),
        None => Err(expected(parser, "FOREIGN DATA WRAPPER name, such as postgresql")),
    }
}

pub(super) fn drop_server(parser: &mut Parser<'_>) -> Result<Syntax> {
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = identifier(parser)?;
    let cascade = take_word(parser, "CASCADE");
    take_word(parser, "RESTRICT");
    Ok(Syntax::DropServer { name, if_exists, cascade })
}

pub(super) fn create_table(parser: &mut Parser<'_>) -> Result<Syntax> {
    let span = parser.peek_token().span;
    if take_word(parser, "DATA") {
        return Err(Error::unsupported("CREATE FOREIGN DATA WRAPPER")
            .at(span)
            .hint("wrappers are the drivers that the operator has allowed by --foreign-drivers"));
    }
    expect_word(parser, "TABLE")?;
    let if_not_exists = if_not_exists(parser);
    let name = object_name(parser)?;
    let columns = match parser.peek_token_ref().token == Token::LParen {
        true => column_definitions(parser)?,
        false => Vec::new(),
    };
    expect_word(parser, "SERVER")?;
    let server = identifier(parser)?;
    Ok(Syntax::CreateForeignTable { name, if_not_exists, columns, server, options: options(parser)? })
}

pub(super) fn drop_table(parser: &mut Parser<'_>) -> Result<Syntax> {
    expect_word(parser, "TABLE")?;
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = parser.parse_comma_separated(|p| p.parse_object_name(false)).map_err(Error::from_parser)?;
    Ok(Syntax::DropForeignTable { names, if_exists, cascade: cascade(parser) })
}

pub(super) fn import(parser: &mut Parser<'_>) -> Result<Syntax> {
    expect_word(parser, "FOREIGN")?;
    expect_word(parser, "SCHEMA")?;
    let remote = identifier(parser)?;
    let mut selection = None;
    if take_word(parser, "LIMIT") {
        expect_word(parser, "TO")?;
        selection = Some((true, identifiers_in_parentheses(parser)?));
    } else if take_word(parser, "EXCEPT") {
        selection = Some((false, identifiers_in_parentheses(parser)?));
    }
    expect_word(parser, "FROM")?;
    expect_word(parser, "SERVER")?;
    let server = identifier(parser)?;
    expect_word(parser, "INTO")?;
    let into = identifier(parser)?;
    if let Some(option) = options(parser)?.first() {
        let message = format!("IMPORT FOREIGN SCHEMA has no option {}", option.name);
        return Err(Error::new(ErrorKind::Value, message).at(option.span));
    }
    Ok(Syntax::ImportForeignSchema { remote, selection, server, into })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_listed() {
        let text = |sql: &'static str| listed_text(sql).into_owned();
        assert_eq!(text("SELECT 'server', 'create'"), "SELECT 'server', 'create'");
        let create = "create  server s FOREIGN DATA WRAPPER postgresql OPTIONS (password 'x''y')";
        assert_eq!(text(create), "create server s FOREIGN DATA WRAPPER postgresql OPTIONS …");
        for plain in [
            "CREATE TABLE t AS SELECT server, options FROM u",
            "SELECT password FROM user",
            "CREATE USER ann",
        ] {
            assert_eq!(text(plain), plain);
        }
        for secret in [
            "CREATE USER MAPPING FOR ann SERVER s OPTIONS (password 'secret')",
            "ALTER SERVER s OPTIONS (SET password 'secret')",
            "create or replace server s options (password 'secret')",
            "ALTER USER ann PASSWORD 'secret'; SELECT 'secret'",
            "CREATE \"SERVER s OPTIONS (password 'secret')",
        ] {
            assert!(!text(secret).contains("secret"), "{}", text(secret));
        }
        let broken = "CREATE /* a */ SERVER s TYPE 'a' options (password 'secret";
        assert!(!text(broken).contains("secret"), "{}", text(broken));
        assert!(!text("SELECT 1; CREATE SERVER s OPTIONS (password 'secret')").contains("secret"));
    }

    #[test]
    fn errors_do_not_repeat_secrets() {
        for sql in [
            "CREATE SERVER s FOREIGN DATA WRAPPER postgresql OPTIONS (password 'secret' 'secret')",
            "CREATE SERVER s FOREIGN DATA WRAPPER postgresql OPTIONS (password 'secret'), 'secret'",
            "CREATE SERVER s OPTIONS (password 'secret')",
            "CREATE SERVER s FOREIGN DATA WRAPPER postgresql OPTIONS (password secret)",
            "CREATE SERVER s FOREIGN DATA WRAPPER postgresql OPTIONS ('secret' 'password')",
            "CREATE SERVER s FOREIGN DATA WRAPPER postgresql OPTIONS (password 'secret",
        ] {
            let error = crate::parse(sql).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
