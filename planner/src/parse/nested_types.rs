//! Types that the grammar reads in another spelling: `MAP(K, V)` as `MAP<K, V>`, `ROW(a INTEGER)` as
//! `STRUCT(a INTEGER)`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Rewrites the tokens where a type stands: after `::`, `AS`, a name, or within such a type.
pub(super) fn settle(tokens: &mut [TokenWithSpan]) {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|&place| !matches!(tokens[place].token, Token::Whitespace(_))).collect();
    // For each open parenthesis, whether it is one of a type, and whether it became a `<`.
    let mut open: Vec<(bool, bool)> = Vec::new();
    for number in 0..places.len() {
        let before = number.checked_sub(1).map(|before| tokens[places[before]].token.clone());
        let within = open.last().is_some_and(|(is_type, _)| *is_type);
        match tokens[places[number]].token.clone() {
            Token::LParen => {
                let word = before.as_ref().and_then(type_word);
                let announced = number.checked_sub(2).map(|place| &tokens[places[place]].token);
                let is_type = word.is_some() && (within || announced.is_some_and(announces_type));
                let is_map = is_type && word == Some(Keyword::MAP);
                if is_map {
                    tokens[places[number]].token = Token::Lt;
                }
                if is_type && word == Some(Keyword::ROW) {
                    tokens[places[number - 1]].token = Token::make_keyword("STRUCT");
                }
                open.push((is_type, is_map));
            }
            Token::RParen => {
                if let Some((_, true)) = open.pop() {
                    tokens[places[number]].token = Token::Gt;
                }
            }
            _ => {}
        }
    }
}

fn type_word(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word)
            if word.quote_style.is_none()
                && matches!(word.keyword, Keyword::MAP | Keyword::ROW | Keyword::STRUCT) =>
        {
            Some(word.keyword)
        }
        _ => None,
    }
}

fn announces_type(token: &Token) -> bool {
    match token {
        Token::DoubleColon => true,
        Token::Word(word) => {
            word.quote_style.is_some() || matches!(word.keyword, Keyword::NoKeyword | Keyword::AS)
        }
        _ => false,
    }
}
