//! DuckDB's and PostgreSQL's short forms, put into words that the grammar has: a query that begins with `FROM` or
//! `TABLE`, `GROUPING SETS` within `GROUPING SETS`, `ASOF` joins.

use crate::binder::grouping::EMPTY_SET;
use crate::error::{Error, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// What is open: parentheses, innermost last.
#[derive(Clone, Copy, Default)]
struct Level {
    /// A query may begin here.
    expects: bool,
    /// One must, after a `WITH` clause or the table of an `INSERT`.
    with: bool,
    sets: Sets,
}

/// Within `GROUPING SETS (…)`.
#[derive(Clone, Copy, Default, PartialEq)]
enum Sets {
    #[default]
    No,
    Outer,
    Nested,
}

/// The tokens in the grammar's words.
pub(super) fn plain(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    // Only what is no whitespace and no comment is looked at.
    let places: Vec<usize> =
        (0..tokens.len()).filter(|&place| !matches!(tokens[place].token, Token::Whitespace(_))).collect();
    let token = |number: usize| places.get(number).map(|&place| &tokens[place].token);
    let word = |number: usize| token(number).and_then(keyword);
    let mut written: Vec<(usize, Vec<Token>)> = Vec::new();
    let mut levels = vec![Level { expects: true, ..Level::default() }];
    for number in 0..places.len() {
        let span = tokens[places[number]].span;
        let before = |back: usize| number.checked_sub(back).and_then(word);
        let nested = levels.len() > 1;
        let Some(level) = levels.last_mut() else { break };
        match token(number) {
            Some(Token::LParen) => {
                let is_sets = before(1) == Some(Keyword::SETS) && before(2) == Some(Keyword::GROUPING);
                let separated = number.checked_sub(1).and_then(token);
                let separated = matches!(separated, Some(Token::LParen | Token::Comma));
                if level.sets == Sets::Nested && separated && token(number + 1) == Some(&Token::RParen) {
                    written.push((number, vec![Token::make_word(EMPTY_SET, Some('"'))]));
                    written.push((number + 1, Vec::new()));
                }
                let sets = match level.sets {
                    Sets::No if is_sets => Sets::Outer,
                    Sets::Outer if is_sets => Sets::Nested,
                    other => other,
                };
                if !level.with {
                    level.expects = false;
                }
                // `trim(FROM text)` is no query.
                let expects = before(1) != Some(Keyword::TRIM);
                levels.push(Level { expects, with: false, sets });
            }
            Some(Token::RParen) if nested => {
                levels.pop();
            }
            Some(Token::SemiColon) => {
                levels.clear();
                levels.push(Level { expects: true, ..Level::default() });
            }
            Some(other) => {
                let starts = level.expects || level.with;
                match keyword(other) {
                    Some(Keyword::WITH | Keyword::INSERT) if level.expects => {
                        (level.expects, level.with) = (false, true);
                    }
                    Some(Keyword::FROM) if starts => {
                        (level.expects, level.with) = (false, false);
                        if !selects_later(&places, &tokens, number) {
                            written.push((number, vec![select(), Token::Mul, other.clone()]));
                        }
                    }
                    Some(Keyword::TABLE) if starts && matches!(token(number + 1), Some(Token::Word(_))) => {
                        (level.expects, level.with) = (false, false);
                        written.push((number, vec![select(), Token::Mul, Token::make_keyword("FROM")]));
                    }
                    Some(Keyword::SELECT | Keyword::VALUES) => (level.expects, level.with) = (false, false),
                    // `* EXCEPT (a, b)`, as other engines write `EXCLUDE`.
                    Some(Keyword::EXCEPT)
                        if number.checked_sub(1).and_then(token) == Some(&Token::Mul)
                            && token(number + 1) == Some(&Token::LParen)
                            && matches!(token(number + 2), Some(Token::Word(_)))
                            && !matches!(
                                word(number + 2),
                                Some(
                                    Keyword::SELECT
                                        | Keyword::VALUES
                                        | Keyword::WITH
                                        | Keyword::FROM
                                        | Keyword::TABLE
                                )
                            ) =>
                    {
                        written.push((number, vec![Token::make_keyword("EXCLUDE")]));
                    }
                    Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT) => level.expects = true,
                    Some(Keyword::AS) if word(number + 1) == Some(Keyword::FROM) => level.expects = true,
                    Some(Keyword::ALL | Keyword::DISTINCT | Keyword::EXPLAIN | Keyword::ANALYZE) => {}
                    // `BY NAME` of a set operation; a column may have either name.
                    Some(Keyword::BY) if word(number + 1) == Some(Keyword::NAME) => {}
                    Some(Keyword::NAME) if before(1) == Some(Keyword::BY) => {}
                    // Parts of a query that are read twice are computed once in any case, where that is worth it.
                    Some(Keyword::NOT)
                        if before(1) == Some(Keyword::AS)
                            && word(number + 1) == Some(Keyword::MATERIALIZED) =>
                    {
                        written.push((number, Vec::new()));
                    }
                    Some(Keyword::MATERIALIZED)
                        if token(number + 1) == Some(&Token::LParen)
                            && matches!(before(1), Some(Keyword::AS | Keyword::NOT)) =>
                    {
                        written.push((number, Vec::new()));
                    }
                    Some(Keyword::SETS) if before(1) == Some(Keyword::GROUPING) && level.sets != Sets::No => {
                        written.push((number - 1, vec![Token::make_word("grouping sets", Some('"'))]));
                        written.push((number, Vec::new()));
                    }
                    Some(Keyword::GLOBAL) if is_join(word(number + 1), word(number + 2)) => {
                        return Err(Error::unsupported("GLOBAL JOIN").at(span));
                    }
                    Some(Keyword::ASOF) if is_join(word(number + 1), word(number + 2)) => {
                        // A word that the grammar has before any join, and that nobody else may write.
                        written.push((number, vec![Token::make_keyword("GLOBAL")]));
                    }
                    // What follows is no query, also where it is explained.
                    Some(Keyword::DELETE) => level.expects = false,
                    // `EXPLAIN COST` and the like.
                    _ if before(1) == Some(Keyword::EXPLAIN) => {}
                    _ if is_positional(other) && word(number + 1) == Some(Keyword::JOIN) => {
                        return Err(Error::unsupported("POSITIONAL JOIN").at(span));
                    }
                    _ => level.expects = false,
                }
            }
            None => break,
        }
    }
    if written.is_empty() {
        return Ok(tokens);
    }
    let mut written = written.into_iter().peekable();
    let mut plain = Vec::with_capacity(tokens.len() + 8);
    let mut number = 0;
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            plain.push(token);
            continue;
        }
        match written.next_if(|(place, _)| *place == number) {
            Some((_, others)) => {
                plain.extend(others.into_iter().map(|other| TokenWithSpan { token: other, ..token }));
            }
            None => plain.push(token),
        }
        number += 1;
    }
    Ok(plain)
}

/// Whether the query whose `FROM` is at `number` has its `SELECT` after it.
fn selects_later(places: &[usize], tokens: &[TokenWithSpan], number: usize) -> bool {
    let mut depth = 0_usize;
    for &place in &places[number + 1..] {
        match &tokens[place].token {
            Token::LParen => depth += 1,
            Token::RParen | Token::SemiColon if depth == 0 => return false,
            Token::RParen => depth -= 1,
            token if depth == 0 => match keyword(token) {
                Some(Keyword::SELECT) => return true,
                Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT) => return false,
                _ => {}
            },
            _ => {}
        }
    }
    false
}

fn keyword(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

fn is_positional(token: &Token) -> bool {
    matches!(token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("positional"))
}

fn is_join(next: Option<Keyword>, after: Option<Keyword>) -> bool {
    match next {
        Some(Keyword::JOIN) => true,
        Some(Keyword::INNER | Keyword::LEFT | Keyword::RIGHT | Keyword::FULL) => {
            matches!(after, Some(Keyword::JOIN | Keyword::OUTER))
        }
        _ => false,
    }
}

fn select() -> Token {
    Token::make_keyword("SELECT")
}
