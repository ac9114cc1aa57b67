//! Users with passwords, as they come with the configuration.

use super::malformed;
use crate::config::User;
use crate::error::Result;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padded or not.
const BASE64: GeneralPurpose = {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config)
};

/// Whether a user of that name has that password.
pub(super) fn matches(users: &[User], user: &str, password: &str) -> bool {
    let known = users.iter().find(|known| known.name == user);
    // Compared in full also for unknown users, so that time tells nothing.
    let expected = known.map_or("", |known| known.password.as_str());
    same(expected.as_bytes(), password.as_bytes()) & known.is_some()
}

/// The user name and the password of the scheme `basic`.
pub(super) fn basic(value: &str) -> Result<(String, String)> {
    let decoded = BASE64.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(malformed)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        assert_eq!(BASE64.decode("dXNlcjpwYXNzd29yZA==").unwrap(), b"user:password");
        assert_eq!(BASE64.decode("YQ").unwrap(), b"a");
        assert_eq!(BASE64.decode("").unwrap(), b"");
        assert!(BASE64.decode("a b").is_err());
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
