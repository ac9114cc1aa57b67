//! `EXCLUDE` at the end of a window's frame, which the grammar does not know: it is settled on the tokens. What is
//! excluded becomes part of the name of the window that the frame's window is based on, so that it is in the syntax tree.

use exec::plan::FrameExclusion;
use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What no name that somebody writes begins with.
const MARK: char = '\0';

/// Moves each `EXCLUDE …` that follows a frame's last bound to the start of its parentheses.
pub(super) fn settle(tokens: &mut Vec<TokenWithSpan>) {
    if !tokens.iter().any(|token| is_word(&token.token, "EXCLUDE")) {
        return;
    }
    let mut settled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // Where parentheses are open, and the last token that is no space.
    let (mut open, mut last) = (Vec::new(), None::<usize>);
    let mut rest = tokens.drain(..).peekable();
    while let Some(token) = rest.next() {
        let ends_a_bound = last.is_some_and(|last| {
            ["ROW", "PRECEDING", "FOLLOWING"].iter().any(|word| is_word(&settled[last].token, word))
        });
        if ends_a_bound && is_word(&token.token, "EXCLUDE") {
            // A list of words up to the closing parenthesis; of others the parser will say what is wrong with them.
            let mut words = vec![token];
            while let Some(next) =
                rest.next_if(|next| !matches!(next.token, Token::RParen | Token::LParen | Token::SemiColon))
            {
                words.push(next);
            }
            let closes = rest.peek().is_some_and(|next| next.token == Token::RParen);
            match (exclusion(&words), open.last()) {
                (Some(name), Some(&start)) if closes => mark(&mut settled, start, name),
                _ => settled.append(&mut words),
            }
            last = None;
            continue;
        }
        match token.token {
            Token::LParen => open.push(settled.len()),
            Token::RParen => drop(open.pop()),
            _ => {}
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            last = Some(settled.len());
        }
        settled.push(token);
    }
    drop(rest);
    *tokens = settled;
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// How the words after `EXCLUDE` are marked.
fn exclusion(words: &[TokenWithSpan]) -> Option<&'static str> {
    let words: Vec<String> = words[1..]
        .iter()
        .filter(|word| !matches!(word.token, Token::Whitespace(_)))
        .map(|word| word.token.to_string().to_ascii_uppercase())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["NO", "OTHERS"] => "none",
        ["CURRENT", "ROW"] => "row",
        ["GROUP"] => "group",
        ["TIES"] => "ties",
        _ => return None,
    })
}

/// Puts a mark behind the parenthesis at `start`, before the name that may stand there.
fn mark(tokens: &mut Vec<TokenWithSpan>, start: usize, name: &str) {
    let next = tokens[start + 1..].iter().position(|token| !matches!(token.token, Token::Whitespace(_)));
    let next = next.map(|offset| start + 1 + offset);
    if let Some(TokenWithSpan { token: Token::Word(word), .. }) = next.and_then(|next| tokens.get_mut(next))
        && word.keyword == Keyword::NoKeyword
    {
        word.value = format!("{MARK}{name}{MARK}{}", word.value);
        word.quote_style = Some('"');
        return;
    }
    let word =
        Word { value: format!("{MARK}{name}{MARK}"), quote_style: Some('"'), keyword: Keyword::NoKeyword };
    let span = tokens[start].span;
    tokens.insert(start + 1, TokenWithSpan { token: Token::Word(word), span });
}

/// The name that a window is based on, if there is one, and what its frame excludes.
pub(crate) fn without_exclusion(name: Option<&Ident>) -> (Option<Ident>, FrameExclusion) {
    let marked =
        name.and_then(|name| name.value.strip_prefix(MARK)?.split_once(MARK).map(|parts| (name, parts)));
    let Some((ident, (exclusion, base))) = marked else { return (name.cloned(), FrameExclusion::NoOthers) };
    let exclusion = match exclusion {
        "row" => FrameExclusion::CurrentRow,
        "group" => FrameExclusion::Group,
        "ties" => FrameExclusion::Ties,
        _ => FrameExclusion::NoOthers,
    };
    let base = (!base.is_empty()).then(|| Ident { value: base.to_string(), ..ident.clone() });
    (base, exclusion)
}
