//! Statements about roles and grants, as PostgreSQL writes them: `CREATE`, `ALTER` and `DROP` of `USER` and `ROLE`, `GRANT`,
//! `REVOKE`, `ALTER … OWNER TO`, `REASSIGN OWNED`.

use super::{
    PARSER_DEPTH, Syntax, TundraDialect, expect_word, expected, identifier, identifiers_in_parentheses,
    if_not_exists, object_name, peek_word, take_word,
};
use crate::error::{Error, Result};
use crate::statement::{Grantee, Password, Privilege, RoleOptions};
use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

/// Statements about roles and grants as they were written.
#[derive(Debug, Clone)]
pub(crate) enum AccessSyntax {
    CreateRole {
        name: Ident,
        if_not_exists: bool,
        options: RoleOptions,
        member_of: Vec<Ident>,
    },
    AlterRole {
        role: Grantee,
        options: RoleOptions,
    },
    DropRole {
        names: Vec<Ident>,
        if_exists: bool,
    },
    Grant(GrantSyntax),
    /// `GRANT role TO role`, or `REVOKE role FROM role`.
    Membership {
        roles: Vec<Ident>,
        members: Vec<Grantee>,
        option: bool,
        revoke: bool,
    },
    AlterOwner {
        on: OnSyntax,
        owner: Grantee,
    },
    ReassignOwned {
        from: Vec<Grantee>,
        to: Grantee,
    },
    CreatePolicy {
        name: Ident,
        table: ObjectName,
        restrictive: bool,
        roles: Vec<Grantee>,
        condition: Box<ast::Expr>,
    },
    DropPolicy {
        name: Ident,
        table: ObjectName,
        if_exists: bool,
    },
    SetRowSecurity {
        table: ObjectName,
        enabled: bool,
    },
}

/// A privilege (`None`: all of them), the columns that it is limited to, and where it stands.
pub(crate) type WantedPrivilege = (Option<Privilege>, Vec<Ident>, Span);

/// `GRANT … ON … TO …`, or `REVOKE … ON … FROM …`.
#[derive(Debug, Clone)]
pub(crate) struct GrantSyntax {
    pub(crate) privileges: Vec<WantedPrivilege>,
    pub(crate) on: OnSyntax,
    pub(crate) grantees: Vec<Grantee>,
    /// `WITH GRANT OPTION`, or `GRANT OPTION FOR`.
    pub(crate) option: bool,
    pub(crate) revoke: bool,
}

/// What privileges are granted on.
#[derive(Debug, Clone)]
pub(crate) enum OnSyntax {
    Tables(Vec<ObjectName>),
    AllTables(Vec<Ident>),
    Schemas(Vec<Ident>),
    Databases(Vec<Ident>),
    Servers(Vec<Ident>),
}

fn names(parser: &mut Parser<'_>) -> Result<Vec<Ident>> {
    parser.parse_comma_separated(Parser::parse_identifier).map_err(Error::from_parser)
}

/// After `CREATE USER` or `CREATE ROLE`.
pub(super) fn create_role(parser: &mut Parser<'_>, login: bool) -> Result<Syntax> {
    let if_not_exists = if_not_exists(parser);
    let span = parser.peek_token().span;
    if login && peek_word(parser).as_deref() == Some("MAPPING") {
        return Err(Error::unsupported("CREATE USER MAPPING")
            .at(span)
            .hint("the credentials of a server are options of CREATE SERVER"));
    }
    let name = identifier(parser)?;
    let mut member_of = Vec::new();
    let mut options = role_options(parser, Some(&mut member_of))?;
    options.login.get_or_insert(login);
    Ok(Syntax::Access(AccessSyntax::CreateRole { name, if_not_exists, options, member_of }))
}

/// After `ALTER USER` or `ALTER ROLE`.
pub(super) fn alter_role(parser: &mut Parser<'_>) -> Result<Syntax> {
    let role = grantee(parser)?;
    let span = parser.peek_token().span;
    if let Some(word @ ("RENAME" | "SET" | "RESET" | "IN")) = peek_word(parser).as_deref() {
        return Err(Error::unsupported(format!("ALTER ROLE … {word}")).at(span));
    }
    let options = role_options(parser, None)?;
    if options == RoleOptions::default() {
        return Err(expected(parser, "an option such as PASSWORD 'text', LOGIN or SUPERUSER"));
    }
    Ok(Syntax::Access(AccessSyntax::AlterRole { role, options }))
}

/// After `DROP USER` or `DROP ROLE`.
pub(super) fn drop_role(parser: &mut Parser<'_>) -> Result<Syntax> {
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    Ok(Syntax::Access(AccessSyntax::DropRole { names: names(parser)?, if_exists }))
}

/// The options that follow a role's name; `member_of` takes the roles of `IN ROLE`, where that may stand.
fn role_options(parser: &mut Parser<'_>, mut member_of: Option<&mut Vec<Ident>>) -> Result<RoleOptions> {
    let mut options = RoleOptions::default();
    take_word(parser, "WITH");
    loop {
        let span = parser.peek_token().span;
        let twice = |known: bool, word: &str| match known {
            true => Err(Error::value(format!("{word} is said twice, or with its opposite")).at(span)),
            false => Ok(()),
        };
        let Some(word) = peek_word(parser) else { return Ok(options) };
        match word.as_str() {
            "LOGIN" | "NOLOGIN" => {
                twice(options.login.is_some(), "LOGIN")?;
                options.login = Some(word == "LOGIN");
            }
            "SUPERUSER" | "NOSUPERUSER" => {
                twice(options.superuser.is_some(), "SUPERUSER")?;
                options.superuser = Some(word == "SUPERUSER");
            }
            "ENCRYPTED" | "PASSWORD" => {
                twice(options.password.is_some(), "PASSWORD")?;
                if take_word(parser, "ENCRYPTED") && peek_word(parser).as_deref() != Some("PASSWORD") {
                    return Err(expected(parser, "PASSWORD"));
                }
                parser.next_token();
                let password = match take_word(parser, "NULL") {
                    true => None,
                    false => Some(
                        parser
                            .parse_literal_string()
                            .map_err(|_| expected(parser, "a password in quotes, or NULL"))?,
                    ),
                };
                options.password = Some(Password(password));
                continue;
            }
            "IN" if member_of.is_some() => {
                parser.next_token();
                if !take_word(parser, "ROLE") && !take_word(parser, "GROUP") {
                    return Err(expected(parser, "ROLE"));
                }
                if let Some(member_of) = member_of.as_deref_mut() {
                    member_of.extend(names(parser)?);
                }
                continue;
            }
            // What every role is.
            "INHERIT" | "NOCREATEDB" | "NOCREATEROLE" | "NOREPLICATION" | "NOBYPASSRLS" => {}
            "NOINHERIT" | "CREATEDB" | "CREATEROLE" | "REPLICATION" | "BYPASSRLS" | "CONNECTION"
            | "VALID" | "ROLE" | "ADMIN" | "SYSID" | "IDENTIFIED" => {
                return Err(Error::unsupported(format!("{word} of a role")).at(span));
            }
            _ => return Ok(options),
        }
        parser.next_token();
    }
}

/// A role, or who stands for one.
fn grantee(parser: &mut Parser<'_>) -> Result<Grantee> {
    take_word(parser, "GROUP");
    match peek_word(parser).as_deref() {
        Some("PUBLIC") => {
            parser.next_token();
            Ok(Grantee::Everybody)
        }
        Some("CURRENT_USER" | "CURRENT_ROLE" | "SESSION_USER") => {
            parser.next_token();
            Ok(Grantee::Oneself)
        }
        _ => Ok(Grantee::Role(identifier(parser)?.value)),
    }
}

fn grantees(parser: &mut Parser<'_>) -> Result<Vec<Grantee>> {
    let mut all = vec![grantee(parser)?];
    while parser.consume_token(&Token::Comma) {
        all.push(grantee(parser)?);
    }
    Ok(all)
}

/// After `GRANT`.
pub(super) fn grant(parser: &mut Parser<'_>) -> Result<Syntax> {
    let wanted = wanted(parser)?;
    if !take_word(parser, "ON") {
        let roles = as_roles(parser, wanted)?;
        expect_word(parser, "TO")?;
        let members = grantees(parser)?;
        let option = with_option(parser, "ADMIN")?;
        return Ok(Syntax::Access(AccessSyntax::Membership { roles, members, option, revoke: false }));
    }
    let privileges = as_privileges(wanted)?;
    let on = on(parser)?;
    expect_word(parser, "TO")?;
    let grantees = grantees(parser)?;
    let option = with_option(parser, "GRANT")?;
    Ok(Syntax::Access(AccessSyntax::Grant(GrantSyntax { privileges, on, grantees, option, revoke: false })))
}

/// After `REVOKE`.
pub(super) fn revoke(parser: &mut Parser<'_>) -> Result<Syntax> {
    let option = |parser: &mut Parser<'_>, word: &str| {
        let found = peek_word(parser).as_deref() == Some(word)
            && matches!(&parser.peek_nth_token(1).token, Token::Word(next) if next.value.eq_ignore_ascii_case("OPTION"));
        if found {
            parser.next_token();
            parser.next_token();
            expect_word(parser, "FOR")?;
        }
        Ok(found)
    };
    let (admin, grant) = (option(parser, "ADMIN")?, option(parser, "GRANT")?);
    let wanted = wanted(parser)?;
    let span = parser.peek_token().span;
    if !take_word(parser, "ON") {
        if grant {
            return Err(expected(parser, "ON"));
        }
        let roles = as_roles(parser, wanted)?;
        expect_word(parser, "FROM")?;
        let members = grantees(parser)?;
        restrict(parser)?;
        let membership = AccessSyntax::Membership { roles, members, option: admin, revoke: true };
        return Ok(Syntax::Access(membership));
    }
    if admin {
        return Err(Error::value("ADMIN OPTION is of roles, GRANT OPTION of privileges").at(span));
    }
    let privileges = as_privileges(wanted)?;
    let on = on(parser)?;
    expect_word(parser, "FROM")?;
    let grantees = grantees(parser)?;
    restrict(parser)?;
    let grant = GrantSyntax { privileges, on, grantees, option: grant, revoke: true };
    Ok(Syntax::Access(AccessSyntax::Grant(grant)))
}

/// Nothing hangs on a grant, so that none goes with another.
fn restrict(parser: &mut Parser<'_>) -> Result<()> {
    let span = parser.peek_token().span;
    if take_word(parser, "CASCADE") {
        return Err(Error::unsupported("REVOKE … CASCADE")
            .at(span)
            .hint("what was granted on with a grant option is revoked by itself"));
    }
    take_word(parser, "RESTRICT");
    Ok(())
}

fn with_option(parser: &mut Parser<'_>, of: &str) -> Result<bool> {
    let span = parser.peek_token().span;
    if peek_word(parser).as_deref() == Some("GRANTED") {
        return Err(Error::unsupported("GRANTED BY").at(span));
    }
    if !take_word(parser, "WITH") {
        return Ok(false);
    }
    expect_word(parser, of)?;
    expect_word(parser, "OPTION")?;
    Ok(true)
}

/// What stands after `GRANT` or `REVOKE`: words that may be privileges or roles, each with columns.
fn wanted(parser: &mut Parser<'_>) -> Result<Vec<(Ident, Vec<Ident>)>> {
    let mut all = Vec::new();
    loop {
        let name = identifier(parser)?;
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("ALL") {
            take_word(parser, "PRIVILEGES");
        }
        let columns = match parser.peek_token_ref().token == Token::LParen {
            true => identifiers_in_parentheses(parser)?,
            false => Vec::new(),
        };
        all.push((name, columns));
        if !parser.consume_token(&Token::Comma) {
            return Ok(all);
        }
    }
}

fn as_roles(parser: &Parser<'_>, wanted: Vec<(Ident, Vec<Ident>)>) -> Result<Vec<Ident>> {
    let is_privilege = |name: &Ident| {
        name.quote_style.is_none()
            && (name.value.eq_ignore_ascii_case("ALL") || Privilege::named(&name.value).is_some())
    };
    if wanted.iter().any(|(name, columns)| is_privilege(name) || !columns.is_empty()) {
        return Err(expected(parser, "ON"));
    }
    Ok(wanted.into_iter().map(|(name, _)| name).collect())
}

fn as_privileges(wanted: Vec<(Ident, Vec<Ident>)>) -> Result<Vec<WantedPrivilege>> {
    let known = |(name, columns): (Ident, Vec<Ident>)| {
        let all = name.value.eq_ignore_ascii_case("ALL");
        let privilege = Privilege::named(&name.value);
        if !all && privilege.is_none() {
            let names: Vec<&str> = Privilege::ALL.into_iter().map(Privilege::name).collect();
            let message = format!("there is no privilege {}", name.value.to_ascii_uppercase());
            let hint = format!("the privileges are {}", names.join(", "));
            return Err(Error::value(message).at(name.span).hint(hint));
        }
        Ok((privilege.filter(|_| !all), columns, name.span))
    };
    wanted.into_iter().map(known).collect()
}

/// After `ON`.
fn on(parser: &mut Parser<'_>) -> Result<OnSyntax> {
    let span = parser.peek_token().span;
    let word = peek_word(parser);
    match word.as_deref() {
        Some("ALL") => {
            parser.next_token();
            let span = parser.peek_token().span;
            if let Some(word @ ("SEQUENCES" | "FUNCTIONS" | "PROCEDURES" | "ROUTINES")) =
                peek_word(parser).as_deref()
            {
                return Err(Error::unsupported(format!("GRANT ON ALL {word}")).at(span));
            }
            expect_word(parser, "TABLES")?;
            expect_word(parser, "IN")?;
            expect_word(parser, "SCHEMA")?;
            Ok(OnSyntax::AllTables(names(parser)?))
        }
        Some("SCHEMA") => {
            parser.next_token();
            Ok(OnSyntax::Schemas(names(parser)?))
        }
        Some("DATABASE") => {
            parser.next_token();
            Ok(OnSyntax::Databases(names(parser)?))
        }
        Some("FOREIGN") => {
            parser.next_token();
            expect_word(parser, "SERVER")?;
            Ok(OnSyntax::Servers(names(parser)?))
        }
        Some(
            "SEQUENCE" | "FUNCTION" | "PROCEDURE" | "ROUTINE" | "LANGUAGE" | "TABLESPACE" | "DOMAIN" | "TYPE"
            | "PARAMETER" | "LARGE",
        ) => Err(Error::unsupported(format!("GRANT ON {}", word.unwrap_or_default())).at(span)),
        _ => {
            take_word(parser, "TABLE");
            let names = parser.parse_comma_separated(|parser| parser.parse_object_name(false));
            Ok(OnSyntax::Tables(names.map_err(Error::from_parser)?))
        }
    }
}

/// After `ALTER SCHEMA` or `ALTER SERVER`.
pub(super) fn alter_owner(parser: &mut Parser<'_>, what: &str) -> Result<Syntax> {
    let name = vec![identifier(parser)?];
    let span = parser.peek_token().span;
    if let Some(word) = peek_word(parser).filter(|word| word != "OWNER") {
        return Err(Error::unsupported(format!("ALTER {what} … {word}")).at(span));
    }
    let on = if what == "SCHEMA" { OnSyntax::Schemas(name) } else { OnSyntax::Servers(name) };
    owner(parser, on)
}

/// `OWNER TO role`
pub(super) fn owner(parser: &mut Parser<'_>, on: OnSyntax) -> Result<Syntax> {
    expect_word(parser, "OWNER")?;
    expect_word(parser, "TO")?;
    Ok(Syntax::Access(AccessSyntax::AlterOwner { on, owner: grantee(parser)? }))
}

/// After `REASSIGN`.
pub(super) fn reassign(parser: &mut Parser<'_>) -> Result<Syntax> {
    expect_word(parser, "OWNED")?;
    expect_word(parser, "BY")?;
    let from = grantees(parser)?;
    expect_word(parser, "TO")?;
    Ok(Syntax::Access(AccessSyntax::ReassignOwned { from, to: grantee(parser)? }))
}

/// After `CREATE POLICY`.
pub(super) fn create_policy(parser: &mut Parser<'_>) -> Result<Syntax> {
    let name = identifier(parser)?;
    expect_word(parser, "ON")?;
    let table = object_name(parser)?;
    let restrictive = match take_word(parser, "AS") {
        true if take_word(parser, "RESTRICTIVE") => true,
        true => {
            expect_word(parser, "PERMISSIVE")?;
            false
        }
        false => false,
    };
    let span = parser.peek_token().span;
    if !(take_word(parser, "FOR") && take_word(parser, "SELECT")) {
        return Err(Error::unsupported("a policy of other statements than SELECT")
            .at(span)
            .hint("write FOR SELECT; only the owner of a table with row level security inserts into it"));
    }
    let roles = match take_word(parser, "TO") {
        true => grantees(parser)?,
        false => vec![Grantee::Everybody],
    };
    expect_word(parser, "USING")?;
    parser.expect_token(&Token::LParen).map_err(Error::from_parser)?;
    let condition = Box::new(parser.parse_expr().map_err(Error::from_parser)?);
    parser.expect_token(&Token::RParen).map_err(Error::from_parser)?;
    let span = parser.peek_token().span;
    if take_word(parser, "WITH") {
        return Err(Error::unsupported("WITH CHECK").at(span));
    }
    let policy = AccessSyntax::CreatePolicy { name, table, restrictive, roles, condition };
    Ok(Syntax::Access(policy))
}

/// After `DROP POLICY`.
pub(super) fn drop_policy(parser: &mut Parser<'_>) -> Result<Syntax> {
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = identifier(parser)?;
    expect_word(parser, "ON")?;
    let table = object_name(parser)?;
    let _ = take_word(parser, "CASCADE") || take_word(parser, "RESTRICT");
    Ok(Syntax::Access(AccessSyntax::DropPolicy { name, table, if_exists }))
}

/// `{ENABLE | DISABLE} ROW LEVEL SECURITY`, of which the first word was taken.
pub(super) fn row_security(parser: &mut Parser<'_>, table: ObjectName, enabled: bool) -> Result<Syntax> {
    for word in ["ROW", "LEVEL", "SECURITY"] {
        expect_word(parser, word)?;
    }
    Ok(Syntax::Access(AccessSyntax::SetRowSecurity { table, enabled }))
}

/// A condition that was kept as text.
pub(crate) fn condition(text: &str) -> Result<ast::Expr> {
    let tokens = sqlparser::tokenizer::Tokenizer::new(&TundraDialect, text).tokenize_with_location();
    let tokens = tokens.map_err(|error| Error::from_parser(error.into()))?;
    let mut parser =
        Parser::new(&TundraDialect).with_recursion_limit(PARSER_DEPTH).with_tokens_with_locations(tokens);
    let condition = parser.parse_expr().map_err(Error::from_parser)?;
    match parser.peek_token().token {
        Token::EOF => Ok(condition),
        _ => Err(expected(&parser, "the end of the condition")),
    }
}

/// The table that `ALTER TABLE` names, as what has an owner.
pub(super) fn of_table(table: ObjectName) -> OnSyntax {
    OnSyntax::Tables(vec![table])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(sql: &str) -> AccessSyntax {
        match crate::parse_one(sql).map(|parsed| parsed.syntax) {
            Ok(Syntax::Access(access)) => access,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn roles_have_options() {
        let AccessSyntax::CreateRole { name, options, member_of, if_not_exists } = access(
            "CREATE USER IF NOT EXISTS \"ann@x\" WITH ENCRYPTED PASSWORD 'secret' INHERIT IN ROLE a, b NOSUPERUSER",
        ) else {
            panic!()
        };
        assert_eq!((&*name.value, if_not_exists, member_of.len()), ("ann@x", true, 2));
        assert_eq!((options.login, options.superuser), (Some(true), Some(false)));
        assert_eq!(options.password, Some(Password(Some("secret".into()))));
        assert!(!format!("{options:?}").contains("secret"));
        let AccessSyntax::CreateRole { options, .. } = access("create role r") else { panic!() };
        assert_eq!(options, RoleOptions { login: Some(false), ..RoleOptions::default() });
        let AccessSyntax::AlterRole { options, role } = access("ALTER USER CURRENT_USER PASSWORD NULL")
        else {
            panic!()
        };
        assert_eq!((role, options.password), (Grantee::Oneself, Some(Password(None))));
    }

    #[test]
    fn privileges_and_roles_are_told_apart() {
        let AccessSyntax::Grant(grant) = access(
            "GRANT SELECT (a, b), ALL PRIVILEGES ON TABLE s.t, u TO PUBLIC, GROUP g WITH GRANT OPTION",
        ) else {
            panic!()
        };
        assert_eq!(grant.privileges[0].0, Some(Privilege::Select));
        assert_eq!((grant.privileges[0].1.len(), grant.privileges[1].0), (2, None));
        assert_eq!(grant.grantees, [Grantee::Everybody, Grantee::Role("g".into())]);
        assert!(
            grant.option && !grant.revoke && matches!(&grant.on, OnSyntax::Tables(names) if names.len() == 2)
        );
        let AccessSyntax::Grant(grant) =
            access("REVOKE GRANT OPTION FOR INSERT ON ALL TABLES IN SCHEMA s FROM g RESTRICT")
        else {
            panic!()
        };
        assert!(grant.option && grant.revoke && matches!(grant.on, OnSyntax::AllTables(_)));
        for (sql, (options, revokes)) in [
            ("GRANT a, b TO c WITH ADMIN OPTION", (true, false)),
            ("REVOKE ADMIN OPTION FOR a FROM c", (true, true)),
            ("REVOKE a FROM c", (false, true)),
            // Names in quotes are names.
            ("GRANT \"select\" TO c", (false, false)),
        ] {
            let AccessSyntax::Membership { option, revoke, .. } = access(sql) else { panic!("{sql}") };
            assert_eq!((option, revoke), (options, revokes), "{sql}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (sql, words) in [
            ("GRANT SELECT TO a", "expected ON"),
            ("GRANT READ ON t TO a", "there is no privilege READ"),
            ("GRANT SELECT ON t FROM a", "expected TO"),
            ("GRANT SELECT ON t TO a WITH ADMIN OPTION", "expected GRANT"),
            ("REVOKE ADMIN OPTION FOR SELECT ON t FROM a", "ADMIN OPTION is of roles"),
            ("REVOKE SELECT ON t FROM a CASCADE", "REVOKE … CASCADE is not supported"),
            ("GRANT EXECUTE ON FUNCTION f TO a", "there is no privilege EXECUTE"),
            ("CREATE USER a LOGIN NOLOGIN", "LOGIN is said twice"),
            ("CREATE USER a CREATEDB", "CREATEDB of a role is not supported"),
            ("CREATE USER a PASSWORD", "expected a password in quotes, or NULL"),
            ("ALTER USER a", "expected an option"),
            ("ALTER USER a RENAME TO b", "ALTER ROLE … RENAME is not supported"),
            ("CREATE USER MAPPING FOR a SERVER s", "CREATE USER MAPPING is not supported"),
            ("ALTER SCHEMA s RENAME TO r", "ALTER SCHEMA … RENAME is not supported"),
            ("DROP OWNED BY a", "DROP OWNED is not supported"),
        ] {
            let error = crate::parse(sql).unwrap_err().to_string();
            assert!(error.contains(words), "{sql}: {error}");
        }
    }
}
