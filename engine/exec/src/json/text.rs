//! Strings of JSON with their quotes and escapes, and without.

use std::borrow::Cow;

/// The number behind the `\u` that the bytes begin with.
pub(super) fn code(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |code, &digit| Some(code * 16 + (digit as char).to_digit(16)?))
}

/// The text that a string in its quotes stands for. What was not checked keeps what stands for nothing.
pub(crate) fn unquote(string: &str) -> Cow<'_, str> {
    let inner = string.strip_prefix('"').unwrap_or(string);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, length) = escaped(rest);
        text.push(character);
        rest = rest.get(length..).unwrap_or("");
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character that the escape at the start of the text stands for, and its bytes.
fn escaped(text: &str) -> (char, usize) {
    let bytes = text.as_bytes();
    let character = match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = match code(bytes) {
                Some(first) => first,
                None => return ('\u{fffd}', 2),
            };
            let low = bytes.get(6..).and_then(code).filter(|low| (0xDC00..0xE000).contains(low));
            return match (first, low) {
                (0xD800..0xDC00, Some(low)) => {
                    let joined = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
                    (char::from_u32(joined).unwrap_or('\u{fffd}'), 12)
                }
                _ => (char::from_u32(first).unwrap_or('\u{fffd}'), 6),
            };
        }
        Some(&byte) if byte.is_ascii() => byte as char,
        // A backslash that escapes nothing stands for itself.
        _ => return ('\\', 1),
    };
    (character, 2)
}

/// Appends the text as a string of JSON, with as few escapes as PostgreSQL writes.
pub(crate) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0x8 => out.extend(b"\\b"),
            0xC => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}
