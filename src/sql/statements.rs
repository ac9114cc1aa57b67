//! Cutting a text into statements at the semicolons outside of quotes and comments.

/// The statements of a text, without their semicolons. Empty ones are left out.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut start = 0;
    while let Some(end) = end_of_statement(text, start) {
        statements.push(&text[start..end]);
        start = end + 1;
    }
    statements.push(&text[start..]);
    statements.retain(|statement| !is_blank(statement));
    statements.iter().map(|statement| statement.trim()).collect()
}

/// Whether the text ends with a complete statement (or holds none).
pub(super) fn is_complete(text: &str) -> bool {
    let mut start = 0;
    while let Some(end) = end_of_statement(text, start) {
        start = end + 1;
    }
    is_blank(&text[start..])
}

/// The position of the semicolon that ends the statement at `start`.
fn end_of_statement(text: &str, start: usize) -> Option<usize> {
    let mut rest = &text[start..];
    loop {
        let token = token_length(rest)?;
        if rest.starts_with(';') {
            return Some(text.len() - rest.len());
        }
        rest = &rest[token..];
    }
}

/// Whether there is nothing but blanks and comments.
fn is_blank(text: &str) -> bool {
    let mut rest = text;
    while let Some(length) = token_length(rest) {
        // An open comment waits for its end.
        let is_comment = rest.starts_with("--") || rest.starts_with("/*") && rest[..length].ends_with("*/");
        if !is_comment && !rest.starts_with(char::is_whitespace) {
            return false;
        }
        rest = &rest[length..];
    }
    true
}

/// The length of what the text starts with: a quoted part, a comment or one character. `None` at the end.
fn token_length(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let to_end = text.len();
    let length = match first {
        '\'' | '"' => text[1..].find(first).map_or(to_end, |close| close + 2),
        '-' if text.starts_with("--") => text.find('\n').map_or(to_end, |newline| newline + 1),
        '/' if text.starts_with("/*") => comment_length(text),
        '$' => dollar_quote_length(text).unwrap_or(1),
        _ => first.len_utf8(),
    };
    Some(length)
}

/// The length of a comment, which may hold others.
fn comment_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`, if the text starts with one.
fn dollar_quote_length(text: &str) -> Option<usize> {
    let close = text[1..].find('$')? + 1;
    let tag = &text[..=close];
    let is_tag = tag[1..close].chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag[1..].starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return None;
    }
    Some(text[tag.len()..].find(tag).map_or(text.len(), |end| end + 2 * tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes_and_comments() {
        assert_eq!(split("SELECT 1; SELECT 2 ;"), ["SELECT 1", "SELECT 2"]);
        assert_eq!(split("SELECT ';' ; SELECT \"a;b\""), ["SELECT ';'", "SELECT \"a;b\""]);
        assert_eq!(split("SELECT 'it''s; so'; x"), ["SELECT 'it''s; so'", "x"]);
        assert_eq!(split("SELECT 1 -- no; end\n+ 1;"), ["SELECT 1 -- no; end\n+ 1"]);
        assert_eq!(split("SELECT /* ; /* ; */ ; */ 1; 2"), ["SELECT /* ; /* ; */ ; */ 1", "2"]);
        assert_eq!(split("SELECT $$;$$, $a$;$$;$a$; $1; 3"), ["SELECT $$;$$, $a$;$$;$a$", "$1", "3"]);
        assert_eq!(split(" ;; -- nothing\n /* at all */ ;"), [] as [&str; 0]);
        assert_eq!(split("SELECT 'öpen;"), ["SELECT 'öpen;"]);
    }

    #[test]
    fn a_text_is_complete_after_its_last_semicolon() {
        for text in ["", " ", "SELECT 1;", "SELECT 1; -- done", "/* only */"] {
            assert!(is_complete(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 /* ;", "/* open"] {
            assert!(!is_complete(text), "{text}");
        }
    }
}
