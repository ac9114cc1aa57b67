//! What can be wrong with a statement, and where.

use sqlparser::tokenizer::{Location, Span};
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a statement cannot be planned. Shown with the line it stands on and a caret below the spot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// 1-based line of the statement's text; 0 where the spot is not known.
    pub line: u64,
    /// 1-based column, in characters.
    pub column: u64,
    /// What to do about it.
    pub hint: Option<String>,
    /// The text of the line.
    pub source_line: Option<String>,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is not SQL.
    Syntax,
    /// A table, column, function or schema that does not exist, or more than one that could be meant.
    Name,
    /// Operands of the wrong type, a literal that is no value of its type, a fault of a constant expression.
    Value,
    /// What the user may not do.
    Denied,
    /// SQL that is right and not built.
    Unsupported,
    /// A defect of ours.
    Internal,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), line: 0, column: 0, hint: None, source_line: None }
    }

    pub(crate) fn name(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Name, message)
    }

    pub(crate) fn value(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Value, message)
    }

    pub(crate) fn unsupported(what: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{what} is not supported yet"))
    }

    pub(crate) fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, format!("internal error: {}", message.into()))
    }

    /// Names the spot, unless an inner spot is known already.
    pub(crate) fn at(mut self, span: Span) -> Error {
        if self.line == 0 {
            (self.line, self.column) = (span.start.line, span.start.column);
        }
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the line of `sql` at which the fault lies.
    pub(crate) fn in_text(mut self, sql: &str) -> Error {
        if self.line == 0 && self.message.ends_with(END_FOUND) {
            let text = sql.trim_end();
            self.line = text.matches('\n').count() as u64 + 1;
            self.column = text.rsplit('\n').next().map_or(0, |line| line.chars().count()) as u64 + 1;
        }
        if crate::parse::has_secrets(sql) {
            // Neither the text nor a word of it is repeated.
            if let Some(place) = self.message.find(", found ") {
                self.message.truncate(place);
            }
            return self;
        }
        if self.line > 0 && self.source_line.is_none() {
            self.source_line = sql.lines().nth(self.line as usize - 1).map(str::to_string);
        }
        self
    }

    /// The parser's error; it writes the spot into its message.
    pub(crate) fn from_parser(error: sqlparser::parser::ParserError) -> Error {
        use sqlparser::parser::ParserError;
        let text = match error {
            ParserError::RecursionLimitExceeded => {
                return Error::new(ErrorKind::Syntax, "the statement is nested too deeply");
            }
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        let (message, location) = split_location(&text);
        let message = match message.strip_prefix("Expected: ") {
            Some(rest) => format!("expected {}", rest.replacen(", found: ", ", found ", 1)),
            None => message.to_string(),
        };
        let message = message.replace("found EOF", END_FOUND);
        let mut error = Error::new(ErrorKind::Syntax, format!("syntax error: {message}"));
        if let Some(location) = location {
            (error.line, error.column) = (location.line, location.column);
        }
        error
    }
}

/// How a message ends where the text does.
const END_FOUND: &str = "found the end of the statement";
/// Of a message no more is shown, in characters: a name in it may be as long as the statement.
const MESSAGE_MAX: usize = 500;

/// Text from a statement as it may be shown: not endless, and nothing that a terminal would obey.
fn printable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (place, letter) in text.chars().enumerate() {
        match letter {
            _ if place == most => {
                shown.push('…');
                break;
            }
            '\n' => shown.push(letter),
            '\t' => shown.push(' '),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

fn split_location(text: &str) -> (&str, Option<Location>) {
    let found = text.rfind(" at Line: ").and_then(|start| {
        let (line, column) = text[start + " at Line: ".len()..].split_once(", Column: ")?;
        let location = Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? };
        Some((text[..start].trim_end(), location))
    });
    match found {
        Some((message, location)) => (message, Some(location)),
        None => (text, None),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.message, MESSAGE_MAX))?;
        if let Some(source) = &self.source_line {
            let prefix = format!("LINE {}: ", self.line);
            // Long lines are shown around the spot only.
            let characters: Vec<char> = source.chars().collect();
            let spot = (self.column.max(1) as usize - 1).min(characters.len());
            let start = if spot > 100 { spot - 60 } else { 0 };
            let end = characters.len().min(start + 160);
            let text = |from: usize, to: usize| -> String {
                printable(&characters[from..to].iter().collect::<String>(), usize::MAX)
            };
            let dots = if start > 0 { "..." } else { "" };
            let indent = prefix.width() + dots.width() + text(start, spot).width();
            write!(f, "\n{prefix}{dots}{}\n{:indent$}^", text(start, end).trim_end(), "")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nHINT: {}", printable(hint, MESSAGE_MAX)),
            None => Ok(()),
        }
    }
}
