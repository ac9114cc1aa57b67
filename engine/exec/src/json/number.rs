//! Numbers of JSON without exponents, as PostgreSQL's `numeric` prints them.

use std::borrow::Cow;

/// Numbers with more digits than this once written out stay as they are.
const MOST_DIGITS: usize = 1_000;

/// `1.5e1` as `15`, `1e-3` as `0.001`, `-0` as `0`: digits after the point are kept.
pub(crate) fn plain_number(number: &str) -> Cow<'_, str> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let is_zero = |mantissa: &str| mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return if sign == "-" && is_zero(digits) { Cow::Borrowed(digits) } else { Cow::Borrowed(number) };
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i32>() else { return Cow::Borrowed(number) };
    if exponent.unsigned_abs() as usize + mantissa.len() > MOST_DIGITS {
        return Cow::Borrowed(number);
    }
    let all = format!("{whole}{fraction}");
    // Where the point stands among all digits.
    let point = whole.len() as i64 + i64::from(exponent);
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= all.len() => (format!("{all}{}", "0".repeat(point - all.len())), String::new()),
        Ok(point) => (all[..point].to_owned(), all[point..].to_owned()),
        Err(_) => (String::new(), format!("{}{all}", "0".repeat(point.unsigned_abs() as usize))),
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if is_zero(mantissa) { "" } else { sign };
    let point = if fraction.is_empty() { "" } else { "." };
    Cow::Owned(format!("{sign}{whole}{point}{fraction}"))
}
