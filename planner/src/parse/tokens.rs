//! What is settled on the tokens, before the grammar sees them: the numbers of `?` parameters, by their place in
//! the text, and integers in base 16, 8 and 2.

use crate::error::{Error, ErrorKind, Result};
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// Rewrites the tokens of `sql`, which may be several statements.
pub(super) fn settle(tokens: &mut [TokenWithSpan], sql: &str) -> Result<()> {
    // Parameters of the statement so far, and whether one was written as $n.
    join_integers(tokens)?;
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
