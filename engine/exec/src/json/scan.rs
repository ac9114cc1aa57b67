//! Walks over JSON text. [`check`] reads every letter (RFC 8259); the others rely on checked text to skip values by
//! their quotes and brackets alone, and of damaged text give less, never harm.

use super::MAX_DEPTH;
use memchr::{memchr2, memchr3};

/// Why a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The byte where reading stopped, from 0.
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

impl Fault {
    /// The fault of a text, as SQL reports it.
    pub(crate) fn of(self, text: &str, data_type: &str) -> columnar::Error {
        const SHOWN: usize = 60;
        let shown = match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        let character = 1 + text.get(..self.at).map_or(self.at, |before| before.chars().count());
        let data_type = format!("{data_type}: {} at character {character}", self.what);
        columnar::Error::InvalidText { text: shown, data_type }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

/// The kind of a value by its first letter.
pub(crate) fn kind(text: &str) -> Kind {
    match text.as_bytes().get(blanks(text.as_bytes(), 0)) {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        _ => Kind::Null,
    }
}

/// Whether the text is one JSON value with nothing but blanks around it.
pub(crate) fn check(text: &str) -> Result<(), Fault> {
    let mut checker = Checker { bytes: text.as_bytes(), at: 0 };
    checker.value(0)?;
    checker.at = blanks(checker.bytes, checker.at);
    if checker.at < checker.bytes.len() { Err(checker.fault("the end is expected")) } else { Ok(()) }
}

/// Where the blanks from `at` on end.
pub(super) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

pub(super) struct Checker<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Checker<'_> {
    pub(super) fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over a sign after blanks, if it comes next.
    pub(super) fn takes(&mut self, sign: u8) -> bool {
        self.at = blanks(self.bytes, self.at);
        let takes = self.peek() == Some(sign);
        self.at += usize::from(takes);
        takes
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        self.at = blanks(self.bytes, self.at);
        match self.peek() {
            Some(b'{') => {
                self.enter(depth)?;
                if self.takes(b'}') {
                    return Ok(());
                }
                loop {
                    self.key()?;
                    self.value(depth + 1)?;
                    if self.takes(b'}') {
                        return Ok(());
                    }
                    if !self.takes(b',') {
                        return Err(self.fault("a comma or } is expected"));
                    }
                }
            }
            Some(b'[') => {
                self.enter(depth)?;
                if self.takes(b']') {
                    return Ok(());
                }
                loop {
                    self.value(depth + 1)?;
                    if self.takes(b']') {
                        return Ok(());
                    }
                    if !self.takes(b',') {
                        return Err(self.fault("a comma or ] is expected"));
                    }
                }
            }
            _ => self.scalar(),
        }
    }

    /// Steps into an array or object.
    pub(super) fn enter(&mut self, depth: usize) -> Result<(), Fault> {
        if depth >= MAX_DEPTH {
            return Err(self.fault("arrays and objects nest more than 128 deep"));
        }
        self.at += 1;
        Ok(())
    }

    /// A key and its colon.
    pub(super) fn key(&mut self) -> Result<(), Fault> {
        self.at = blanks(self.bytes, self.at);
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key in double quotes is expected"));
        }
        self.string()?;
        if self.takes(b':') { Ok(()) } else { Err(self.fault("a colon is expected")) }
    }

    /// A value that is neither array nor object.
    pub(super) fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(self.fault("a value is expected")),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.fault("a value is expected"));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("a digit is expected")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.fault("the quote of a text is not closed")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(0..0x20) => return Err(self.fault("a control character is not escaped")),
                Some(b'\\') => self.escape()?,
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let first = self.code().ok_or_else(|| self.fault("\\u takes four digits in base 16"))?;
                if (0xDC00..0xE000).contains(&first) {
                    return Err(self.fault("half of a surrogate pair"));
                }
                self.at += 6;
                if (0xD800..0xDC00).contains(&first) {
                    match self.code() {
                        Some(0xDC00..0xE000) => self.at += 6,
                        _ => return Err(self.fault("half of a surrogate pair")),
                    }
                }
            }
            _ => return Err(self.fault("a backslash escapes nothing")),
        }
        Ok(())
    }

    /// The number behind `\u` here.
    fn code(&self) -> Option<u32> {
        super::text::code(&self.bytes[self.at..])
    }
}

/// Where the value that starts at `at` ends, in checked text.
fn end_of(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => end_of_string(bytes, at),
        b'{' => end_of_brackets(bytes, at, b'{', b'}'),
        b'[' => end_of_brackets(bytes, at, b'[', b']'),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            Some(at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at))
        }
    }
}

fn end_of_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Brackets of the other kind are paired within, so that only those of one kind need to be counted.
fn end_of_brackets(bytes: &[u8], mut at: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        at += memchr3(b'"', open, close, bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at)?,
            byte if byte == open => {
                depth += 1;
                at += 1;
            }
            _ => {
                depth = depth.checked_sub(1)?;
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
    }
}

/// The elements of an array, as text; none of anything else.
pub(crate) fn elements(text: &str) -> Elements<'_> {
    let at = blanks(text.as_bytes(), 0);
    let at = if text.as_bytes().get(at) == Some(&b'[') { at + 1 } else { text.len() };
    Elements { text, at }
}

pub(crate) struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = blanks(bytes, self.at);
        if matches!(bytes.get(start)?, b']' | b',') {
            return None;
        }
        let end = end_of(bytes, start).unwrap_or(bytes.len());
        self.at = after_comma(bytes, end);
        self.text.get(start..end)
    }
}

/// The members of an object: the key with its quotes, and the value; none of anything else.
pub(crate) fn members(text: &str) -> Members<'_> {
    let at = blanks(text.as_bytes(), 0);
    let at = if text.as_bytes().get(at) == Some(&b'{') { at + 1 } else { text.len() };
    Members { text, at }
}

pub(crate) struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let bytes = self.text.as_bytes();
        let key = blanks(bytes, self.at);
        if *bytes.get(key)? != b'"' {
            return None;
        }
        let key_end = end_of_string(bytes, key)?;
        let colon = blanks(bytes, key_end);
        if *bytes.get(colon)? != b':' {
            return None;
        }
        let start = blanks(bytes, colon + 1);
        let end = end_of(bytes, start)?;
        self.at = after_comma(bytes, end);
        Some((self.text.get(key..key_end)?, self.text.get(start..end)?))
    }
}

/// Where the next value begins, or the end where there is none.
fn after_comma(bytes: &[u8], end: usize) -> usize {
    let at = blanks(bytes, end);
    if bytes.get(at) == Some(&b',') { at + 1 } else { bytes.len() }
}
