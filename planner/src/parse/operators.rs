//! Operators that the parser reads in one dialect alone, or binds otherwise than PostgreSQL: its precedence, from
//! the tightest: `^` and `**`, `* / // %`, `+ -`, any other operator, `BETWEEN IN LIKE`, comparisons.

use sqlparser::ast::{
    BinaryOperator, Expr, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, OneOrManyWithParens,
    TrimWhereField, TypedString, UnaryOperator,
};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Of `^` and of a minus before an operand, which binds even tighter: `-2 ^ 2` is 4.
const POWER: u8 = 45;

/// The longest operand, as text, that is copied: the parser lends what stands left of an operator, and copies of copies
/// would grow beyond all bounds.
const MOST_COPIED: usize = 100_000;
/// As [`MOST_COPIED`], where a copy is made twice.
const MOST_DOUBLED: usize = 10_000;

type Parsed = Result<Expr, ParserError>;

/// Whether the tokens at these places, counted from the next, are the same sign twice without a blank between.
fn is_double(parser: &Parser<'_>, sign: &Token, first: usize) -> bool {
    let (one, two) = (parser.peek_nth_token_ref(first), parser.peek_nth_token_ref(first + 1));
    one.token == *sign && two.token == *sign && one.span.end == two.span.start
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

/// How tightly the operator that comes next binds, where that is not as the parser has it.
pub(super) fn precedence(dialect: &dyn Dialect, parser: &Parser<'_>) -> Option<u8> {
    match &parser.peek_token_ref().token {
        Token::Mul if is_double(parser, &Token::Mul, 0) => Some(POWER),
        Token::Caret => Some(POWER),
        Token::LBracket => Some(dialect.prec_value(Precedence::DoubleColon)),
        Token::StringConcat
        | Token::Pipe
        | Token::Ampersand
        | Token::Sharp
        | Token::ShiftLeft
        | Token::ShiftRight
        | Token::Tilde
        | Token::TildeAsterisk
        | Token::ExclamationMarkTilde
        | Token::ExclamationMarkTildeAsterisk
        | Token::DoubleTilde
        | Token::DoubleTildeAsterisk
        | Token::ExclamationMarkDoubleTilde
        | Token::ExclamationMarkDoubleTildeAsterisk
        | Token::Overlap
        | Token::QuestionPipe
        | Token::CaretAt => Some(dialect.prec_value(Precedence::PgOther)),
        _ => None,
    }
}

/// A sign before an operand.
pub(super) fn prefix(dialect: &dyn Dialect, parser: &mut Parser<'_>) -> Option<Parsed> {
    let (op, binds) = match &parser.peek_token_ref().token {
        token if is_keyword(token, Keyword::TRIM) => return trim(parser),
        token
            if is_keyword(token, Keyword::VALUES) && parser.peek_nth_token_ref(1).token == Token::LParen =>
        {
            return Some(parser.parse_query().map(Expr::Subquery));
        }
        Token::Word(word) if is_timestamp_of_unit(&word.value) => return timestamp_of_unit(parser),
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("lambda") => {
            return lambda(parser);
        }
        Token::EscapedStringLiteral(_) => return Some(parser.parse_value().map(Expr::Value)),
        Token::Minus => (UnaryOperator::Minus, POWER),
        Token::AtSign => (UnaryOperator::PGAbs, dialect.prec_value(Precedence::PgOther)),
        Token::PGSquareRoot => (UnaryOperator::PGSquareRoot, dialect.prec_value(Precedence::PgOther)),
        Token::PGCubeRoot => (UnaryOperator::PGCubeRoot, dialect.prec_value(Precedence::PgOther)),
        Token::Tilde => (UnaryOperator::BitwiseNot, dialect.prec_value(Precedence::PgOther)),
        Token::DoubleExclamationMark => {
            (UnaryOperator::PGPrefixFactorial, dialect.prec_value(Precedence::PgOther))
        }
        _ => return None,
    };
    parser.next_token();
    Some(parser.parse_subexpr(binds).map(|operand| Expr::UnaryOp { op, expr: Box::new(operand) }))
}

fn is_timestamp_of_unit(name: &str) -> bool {
    ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_US", "TIMESTAMP_NS"]
        .iter()
        .any(|unit| name.eq_ignore_ascii_case(unit))
}

/// `TIMESTAMP_S 'text'`; the parser reads the literals of types that it has keywords for.
fn timestamp_of_unit(parser: &mut Parser<'_>) -> Option<Parsed> {
    if !matches!(parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_)) {
        return None;
    }
    let mut typed = || -> Parsed {
        let (data_type, value) = (parser.parse_data_type()?, parser.parse_value()?);
        Ok(Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }))
    };
    Some(typed())
}

/// `lambda x, i: expression`; a column may be named lambda, too.
fn lambda(parser: &mut Parser<'_>) -> Option<Parsed> {
    if !matches!(parser.peek_nth_token_ref(1).token, Token::Word(_))
        || !matches!(parser.peek_nth_token_ref(2).token, Token::Colon | Token::Comma)
    {
        return None;
    }
    // `SELECT lambda a, b` has no colon after its names.
    let mut ahead = 2;
    while parser.peek_nth_token_ref(ahead).token == Token::Comma {
        if !matches!(parser.peek_nth_token_ref(ahead + 1).token, Token::Word(_)) {
            return None;
        }
        ahead += 2;
    }
    if parser.peek_nth_token_ref(ahead).token != Token::Colon {
        return None;
    }
    parser.next_token();
    let mut rest = || -> Parsed {
        let names = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::Colon)?;
        let body = Box::new(parser.parse_expr()?);
        let params = names.into_iter().map(|name| LambdaFunctionParameter { name, data_type: None });
        Ok(Expr::Lambda(LambdaFunction {
            params: OneOrManyWithParens::Many(params.collect()),
            body,
            syntax: LambdaSyntax::LambdaKeyword,
        }))
    };
    Some(rest())
}

/// `TRIM ([LEADING] FROM text)`, which names no characters; the parser reads all other forms.
fn trim(parser: &mut Parser<'_>) -> Option<Parsed> {
    let place = match &parser.peek_nth_token_ref(2).token {
        token if is_keyword(token, Keyword::BOTH) => Some(TrimWhereField::Both),
        token if is_keyword(token, Keyword::LEADING) => Some(TrimWhereField::Leading),
        token if is_keyword(token, Keyword::TRAILING) => Some(TrimWhereField::Trailing),
        _ => None,
    };
    let from = 2 + usize::from(place.is_some());
    if parser.peek_nth_token_ref(1).token != Token::LParen
        || !is_keyword(&parser.peek_nth_token_ref(from).token, Keyword::FROM)
    {
        return None;
    }
    (0..=from).for_each(|_| _ = parser.next_token());
    let mut rest = || -> Parsed {
        let expr = Box::new(parser.parse_expr()?);
        parser.expect_token(&Token::RParen)?;
        Ok(Expr::Trim { expr, trim_where: place, trim_what: None, trim_characters: None })
    };
    Some(rest())
}

/// An operator behind an operand; the parser reads what this does not.
pub(super) fn infix(parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Parsed> {
    let op = match &parser.peek_token_ref().token {
        Token::LBracket => return Some(subscripts(parser, left)),
        Token::Mul if is_double(parser, &Token::Mul, 0) => {
            parser.next_token();
            BinaryOperator::PGExp
        }
        Token::Div if is_double(parser, &Token::Div, 0) => {
            parser.next_token();
            BinaryOperator::DuckIntegerDivide
        }
        Token::DuckIntDiv => BinaryOperator::DuckIntegerDivide,
        Token::Caret => BinaryOperator::PGExp,
        Token::Sharp => BinaryOperator::PGBitwiseXor,
        Token::CaretAt => BinaryOperator::PGStartsWith,
        Token::Overlap => BinaryOperator::PGOverlap,
        token if is_keyword(token, Keyword::GLOB) => BinaryOperator::Glob,
        token if is_keyword(token, Keyword::BETWEEN) => return symmetric(parser, left, precedence, false),
        token if is_keyword(token, Keyword::NOT) => {
            let next = parser.peek_nth_token_ref(1);
            return match &next.token {
                token if is_keyword(token, Keyword::BETWEEN) => symmetric(parser, left, precedence, true),
                token if is_keyword(token, Keyword::GLOB) => {
                    parser.next_token();
                    parser.next_token();
                    Some(parser.parse_subexpr(precedence).and_then(|right| {
                        let test =
                            Box::new(Expr::Nested(Box::new(binary(left, BinaryOperator::Glob, right)?)));
                        Ok(Expr::UnaryOp { op: UnaryOperator::Not, expr: test })
                    }))
                }
                _ => None,
            };
        }
        _ => return None,
    };
    parser.next_token();
    Some(parser.parse_subexpr(precedence).and_then(|right| binary(left, op, right)))
}

/// Subscripts behind what the parser does not take for a column.
fn subscripts(parser: &mut Parser<'_>, left: &Expr) -> Parsed {
    check_length(left, MOST_COPIED, &"a subscript")?;
    let mut access_chain = Vec::new();
    parser.parse_multi_dim_subscript(&mut access_chain)?;
    Ok(Expr::CompoundFieldAccess { root: Box::new(left.clone()), access_chain })
}

fn binary(left: &Expr, op: BinaryOperator, right: Expr) -> Parsed {
    check_length(left, MOST_COPIED, &op)?;
    Ok(Expr::BinaryOp { left: Box::new(left.clone()), op, right: Box::new(right) })
}

fn check_length(operand: &Expr, most: usize, of: &dyn std::fmt::Display) -> Result<(), ParserError> {
    if operand.to_string().len() <= most {
        return Ok(());
    }
    Err(ParserError::ParserError(format!("an operand of {of} has more than {most} characters")))
}

/// `[NOT] BETWEEN SYMMETRIC a AND b` is within bounds one way round or the other; `ASYMMETRIC` says nothing.
fn symmetric(parser: &mut Parser<'_>, left: &Expr, precedence: u8, negated: bool) -> Option<Parsed> {
    let word = match &parser.peek_nth_token_ref(1 + usize::from(negated)).token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        _ => return None,
    };
    if word != "SYMMETRIC" && word != "ASYMMETRIC" {
        return None;
    }
    (0..2 + usize::from(negated)).for_each(|_| _ = parser.next_token());
    let mut bounds = || -> Result<(Expr, Expr), ParserError> {
        let low = parser.parse_subexpr(precedence)?;
        parser.expect_keyword_is(Keyword::AND)?;
        Ok((low, parser.parse_subexpr(precedence)?))
    };
    Some(bounds().and_then(|(a, b)| {
        [left, &a, &b]
            .into_iter()
            .try_for_each(|operand| check_length(operand, MOST_DOUBLED, &"BETWEEN SYMMETRIC"))?;
        let between = |low: &Expr, high: &Expr| Expr::Between {
            expr: Box::new(left.clone()),
            negated: false,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        };
        let within = match word.as_str() {
            "SYMMETRIC" => {
                let either = Expr::BinaryOp {
                    left: Box::new(between(&a, &b)),
                    op: BinaryOperator::Or,
                    right: Box::new(between(&b, &a)),
                };
                Expr::Nested(Box::new(either))
            }
            _ => between(&a, &b),
        };
        Ok(match negated {
            true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(within))) },
            false => within,
        })
    }))
}
