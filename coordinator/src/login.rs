//! Who may log in: users with passwords, or anybody where there are none.

use crate::config::User;
use crate::error::{Error, Result};

/// Who calls without saying who.
const ANONYMOUS: &str = "anonymous";

/// The principal of a call that shows nothing.
pub(crate) fn anonymous(users: &[User]) -> Result<String> {
    match users.is_empty() {
        true => Ok(ANONYMOUS.into()),
        false => Err(Error::Unauthenticated("log in with a user name and a password".into())),
    }
}

/// The principal that a user name and password name.
pub(crate) fn check(users: &[User], user: &str, password: &str) -> Result<String> {
    if users.is_empty() {
        return Ok(if user.is_empty() { ANONYMOUS.into() } else { user.into() });
    }
    let known = users.iter().find(|known| known.name == user);
    // Compared in full also for unknown users, so that time tells nothing.
    let expected = known.map_or("", |known| known.password.as_str());
    match same(expected.as_bytes(), password.as_bytes()) & known.is_some() {
        true => Ok(user.into()),
        false => Err(Error::Unauthenticated("the user name or the password is wrong".into())),
    }
}

/// An `Authorization` header: its scheme in lower case, and what follows.
pub(crate) fn scheme(header: &str) -> Result<(String, &str)> {
    let (scheme, value) = header.split_once(' ').ok_or_else(malformed)?;
    Ok((scheme.to_ascii_lowercase(), value.trim()))
}

/// The user name and the password of the scheme `basic`.
pub(crate) fn basic(value: &str) -> Result<(String, String)> {
    let decoded =
        decode_base64(value).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok((user.into(), password.into()))
}

pub(crate) fn malformed() -> Error {
    Error::Unauthenticated("the authorization header is malformed".into())
}

/// Equality in a time that depends on the second argument's length only.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = usize::from(expected.len() != given.len());
    for (index, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ expected.get(index).unwrap_or(&0));
    }
    difference == 0
}

/// Standard base64, padded or not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut held_bits) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        held_bits += 6;
        if held_bits >= 8 {
            held_bits -= 8;
            bytes.push((held >> held_bits) as u8);
            held &= (1 << held_bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        assert_eq!(decode_base64("dXNlcjpwYXNzd29yZA==").unwrap(), b"user:password");
        assert_eq!(decode_base64("YQ").unwrap(), b"a");
        assert_eq!(decode_base64("").unwrap(), b"");
        assert!(decode_base64("a b").is_none());
    }

    #[test]
    fn passwords_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secre"));
        assert!(!same(b"secret", b"secrets"));
        assert!(!same(b"secret", b""));
        assert!(same(b"", b""));
    }
}
