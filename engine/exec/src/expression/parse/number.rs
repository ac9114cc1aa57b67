//! Numbers in text.

use std::borrow::Cow;

/// Digits without the underscores between them; `None` where an underscore stands elsewhere.
fn plain(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(text.into());
    }
    let bytes = text.as_bytes();
    let digit = |place: Option<usize>| {
        place.and_then(|place| bytes.get(place)).is_some_and(|byte| byte.is_ascii_hexdigit())
    };
    let between = |place: usize| digit(place.checked_sub(1)) && digit(Some(place + 1));
    let fits = bytes.iter().enumerate().all(|(place, &byte)| byte != b'_' || between(place));
    fits.then(|| text.replace('_', "").into())
}

/// An integer: digits, `0x1F`, `0o17`, `0b101`, or a number with a point or an exponent, rounded half away from zero (DuckDB).
/// The outer `None`: not one; the inner: too large for 128 bits.
pub(super) fn whole(text: &str) -> Option<Option<i128>> {
    let text = plain(text)?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let radix = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => 16,
        [b'0', b'o' | b'O', _, ..] => 8,
        [b'0', b'b' | b'B', _, ..] => 2,
        _ => 10,
    };
    if radix != 10 {
        let digits = &digits[2..];
        if !digits.chars().all(|digit| digit.is_digit(radix)) {
            return None;
        }
        // With its sign, since below zero there is room for one more.
        let signed = format!("{}{digits}", if negative { "-" } else { "" });
        return Some(i128::from_str_radix(&signed, radix).ok());
    }
    if digits.contains(['.', 'e', 'E']) {
        return decimal(&text, 0);
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().ok())
}

/// A decimal number times 10^`scale`, rounded half away from zero; `None`s as in [`whole`].
pub(super) fn decimal(text: &str, scale: u8) -> Option<Option<i128>> {
    let text = plain(text)?;
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let exponent: Option<i128> = exponent.parse().ok();
            (mantissa, exponent.unwrap_or(i128::from(i32::MAX)).clamp(-100_000, 100_000) as i64)
        }
        None => (unsigned, 0),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || before.bytes().chain(after.bytes());
    if before.len() + after.len() == 0 || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the unit of the result.
    let kept = before.len() as i64 + exponent + i64::from(scale);
    let mut value: i128 = 0;
    let mut round_up = false;
    for (index, digit) in digits().enumerate() {
        // Below zero there is room for one more.
        let digit = i128::from(digit - b'0') * if negative { -1 } else { 1 };
        if (index as i64) < kept {
            match value.checked_mul(10).and_then(|value| value.checked_add(digit)) {
                Some(next) => value = next,
                None => return Some(None),
            }
        } else {
            round_up = index as i64 == kept && digit.abs() >= 5;
            break;
        }
    }
    let missing = kept - (before.len() + after.len()) as i64;
    if value != 0 {
        for _ in 0..missing.max(0) {
            match value.checked_mul(10) {
                Some(next) => value = next,
                None => return Some(None),
            }
        }
    }
    let up = i128::from(round_up) * if negative { -1 } else { 1 };
    Some(value.checked_add(up))
}

/// A float, and whether the text itself says that it is infinite.
pub(super) fn float(text: &str) -> Option<(f64, bool)> {
    let lower = plain(text)?.to_ascii_lowercase();
    match lower.trim_start_matches(['+', '-']) {
        "inf" | "infinity" | "nan" => lower.parse().ok().map(|value| (value, true)),
        other if other.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
            lower.parse().ok().map(|value| (value, false))
        }
        _ => None,
    }
}

/// A float times 10^`scale` as PostgreSQL makes a `numeric` of it: by its first 15 significant digits (6 of
/// a `REAL`), then rounded half away from zero. `None`: not finite, or too large.
pub fn float_to_integer(value: f64, single: bool, scale: u8) -> Option<i128> {
    let text = if single { format!("{value:.5e}") } else { format!("{value:.14e}") };
    decimal(&text, scale)?
}
