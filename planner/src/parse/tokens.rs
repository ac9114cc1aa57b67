//! What is settled on the tokens, before the grammar sees them: whether `?` is a parameter, whose number is its place
//! in the text, or an operator of JSON; integers in base 16, 8 and 2; bit strings.

use crate::error::{Error, ErrorKind, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// Rewrites the tokens of `sql`, which may be several statements.
pub(super) fn settle(tokens: &mut [TokenWithSpan], sql: &str) -> Result<()> {
    join(tokens);
    join_integers(tokens)?;
    // Parameters of the statement so far, and whether one was written as $n.
    let (mut questions, mut numbered) = (0, false);
    let lines: Vec<&str> = sql.split('\n').collect();
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::SemiColon => (questions, numbered) = (0, false),
            Token::Placeholder(name) if name == "?" => {
                questions += 1;
                *name = format!("${questions}");
            }
            Token::Placeholder(_) => numbered = true,
            Token::HexStringLiteral(digits) => {
                let line = lines.get((span.start.line as usize).saturating_sub(1));
                let first =
                    line.and_then(|line| line.chars().nth((span.start.column as usize).saturating_sub(1)));
                // `X'1F'` stays a string of bytes.
                if first == Some('0') {
                    let number = u128::from_str_radix(digits, 16).map_err(|_| {
                        Error::new(ErrorKind::Syntax, format!("0x{digits} has more than 32 digits")).at(*span)
                    })?;
                    *token = Token::Number(number.to_string(), false);
                }
            }
            _ => {}
        }
        if numbered && questions > 0 {
            let message = "a statement names its parameters ? or $1, $2, …, not both";
            return Err(Error::new(ErrorKind::Syntax, message).at(*span));
        }
    }
    Ok(())
}

/// `0b101` and `0o17`, which are tokens of a number and a word, as numbers (PostgreSQL).
fn join_integers(tokens: &mut [TokenWithSpan]) -> Result<()> {
    for place in 1..tokens.len() {
        let (before, after) = tokens.split_at_mut(place);
        let (Some(zero), Some(word)) = (before.last_mut(), after.first_mut()) else { continue };
        let (Token::Number(digit, false), Token::Word(name)) = (&zero.token, &word.token) else { continue };
        if digit != "0" || name.quote_style.is_some() || zero.span.end != word.span.start {
            continue;
        }
        let radix = match name.value.as_bytes().first() {
            Some(b'b' | b'B') => 2,
            Some(b'o' | b'O') => 8,
            _ => continue,
        };
        let digits = name.value[1..].replace('_', "");
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
            continue;
        }
        let number = u128::from_str_radix(&digits, radix).map_err(|_| {
            let message = format!("0{} has more than 128 bits", name.value);
            Error::new(ErrorKind::Syntax, message).at(zero.span)
        })?;
        zero.token = Token::Number(number.to_string(), false);
        word.token = Token::Whitespace(Whitespace::Space);
    }
    Ok(())
}

/// Makes one token of `?`, `?|` and `?&` between operands, and of `B'…'`.
fn join(tokens: &mut [TokenWithSpan]) {
    let blank = Token::Whitespace(Whitespace::Space);
    // The last token that is no blank.
    let mut before: Option<usize> = None;
    for place in 0..tokens.len() {
        let next = tokens.get(place + 1).filter(|next| next.span.start == tokens[place].span.end);
        let joined = match (&tokens[place].token, next.map(|next| &next.token)) {
            (Token::Whitespace(_), _) => continue,
            (Token::Word(word), Some(Token::SingleQuotedString(bits)))
                if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("b") =>
            {
                Some((Token::SingleQuotedByteStringLiteral(bits.clone()), true))
            }
            (Token::Placeholder(name), next) if name == "?" && is_operator(tokens, before, place) => {
                Some(match next {
                    Some(Token::Pipe) => (Token::QuestionPipe, true),
                    Some(Token::Ampersand) => (Token::QuestionAnd, true),
                    _ => (Token::Question, false),
                })
            }
            _ => None,
        };
        before = Some(place);
        if let Some((token, takes_next)) = joined {
            tokens[place].token = token;
            if takes_next {
                tokens[place + 1].token = blank.clone();
            }
        }
    }
}

/// Whether the `?` at a place stands between two operands. A parameter stands behind an operator, a comma, a bracket
/// or a word of the grammar.
fn is_operator(tokens: &[TokenWithSpan], before: Option<usize>, place: usize) -> bool {
    let mut after = tokens[place + 1..].iter().map(|token| &token.token);
    let adjacent = after.clone().next();
    if matches!(adjacent, Some(Token::Pipe | Token::Ampersand)) {
        after.next();
    }
    let after = after.find(|token| !matches!(token, Token::Whitespace(_)));
    let is_text = matches!(
        after,
        Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::Placeholder(_))
    );
    let starts = is_text
        || match after {
            Some(Token::LParen) => true,
            Some(Token::Word(word)) => {
                matches!(word.keyword, Keyword::NoKeyword | Keyword::ARRAY | Keyword::CAST | Keyword::CASE)
            }
            _ => false,
        };
    match before.map(|before| &tokens[before].token) {
        Some(Token::RParen | Token::RBracket | Token::Placeholder(_)) => starts,
        Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::Number(..)) => starts,
        Some(Token::Word(word))
            if word.quote_style.is_some()
                || matches!(word.keyword, Keyword::NoKeyword | Keyword::JSON | Keyword::JSONB) =>
        {
            starts
        }
        // A column or type whose name is a word of the grammar: behind one, no parameter is followed by a text.
        Some(Token::Word(_)) => is_text,
        _ => false,
    }
}
