//! Users with passwords, as they come with the configuration.

use super::malformed;
use crate::config::User;
use crate::error::Result;

/// Whether a user of that name has that password.
pub(super) fn matches(users: &[User], user: &str, password: &str) -> bool {
    let known = users.iter().find(|known| known.name == user);
    // Compared in full also for unknown users, so that time tells nothing.
    let expected = known.map_or("", |known| known.password.as_str());
    same(expected.as_bytes(), password.as_bytes()) & known.is_some()
}

/// The user name and the password of the scheme `basic`.
pub(super) fn basic(value: &str) -> Result<(String, String)> {
    let decoded =
        decode_base64(value).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok((user.into(), password.into()))
}

/// Equality in a time that depends on the second argument's length only.
pub(super) fn same(expected: &[u8], given: &[u8]) -> bool {
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
