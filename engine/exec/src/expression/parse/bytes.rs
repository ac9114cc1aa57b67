//! Bytes written as text.

/// PostgreSQL's `\x` and pairs of digits in base 16 to the end, or text with DuckDB's `\xNN` and PostgreSQL's `\\` and
/// `\nnn` (octal) in it. `None`: a backslash that is none of these.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) if !digits.contains('\\') => hexadecimal(digits),
        _ => escaped(text.as_bytes()),
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .map(|digit| digit.to_digit(16))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

fn escaped(mut text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8, base| (byte as char).to_digit(base);
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&first, after)) = text.split_first() {
        let (byte, rest) = match (first, after) {
            (b'\\', [b'x', high, low, rest @ ..]) => (digit(*high, 16)? * 16 + digit(*low, 16)?, rest),
            (b'\\', [b'\\', rest @ ..]) => (u32::from(b'\\'), rest),
            (b'\\', [a, b, c, rest @ ..]) => (digit(*a, 8)? * 64 + digit(*b, 8)? * 8 + digit(*c, 8)?, rest),
            (b'\\', _) => return None,
            (byte, rest) => (byte.into(), rest),
        };
        bytes.push(u8::try_from(byte).ok()?);
        text = rest;
    }
    Some(bytes)
}
