//! UUIDs as integers whose order is that of their bytes, and as text.

use std::fmt;

const SIGN: u128 = 1 << 127;

/// The value of 16 bytes.
pub fn from_bytes(bytes: [u8; 16]) -> i128 {
    (u128::from_be_bytes(bytes) ^ SIGN) as i128
}

/// The 16 bytes of a value.
pub fn to_bytes(value: i128) -> [u8; 16] {
    (value as u128 ^ SIGN).to_be_bytes()
}

/// Writes `a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11`.
pub fn write(f: &mut impl fmt::Write, value: i128) -> fmt::Result {
    for (place, byte) in to_bytes(value).into_iter().enumerate() {
        let hyphen = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(f, "{hyphen}{byte:02x}")?;
    }
    Ok(())
}

/// Reads 32 hexadecimal digits of any case, with or without a hyphen after any four of them and braces around, as
/// PostgreSQL does; `None` of anything else.
pub fn read(text: &str) -> Option<i128> {
    let text = text.as_bytes();
    let mut rest = match text {
        [b'{', inner @ .., b'}'] => inner,
        [b'{', ..] => return None,
        other => other,
    };
    let nibble = |byte: u8| (byte as char).to_digit(16);
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let &[high, low, ref more @ ..] = rest else { return None };
        *byte = (nibble(high)? * 16 + nibble(low)?) as u8;
        rest = match more {
            [b'-', after @ ..] if place % 2 == 1 && place < 15 => after,
            after => after,
        };
    }
    rest.is_empty().then(|| from_bytes(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;

    fn shown(value: i128) -> String {
        let mut text = String::new();
        write(&mut text, value).unwrap();
        text
    }

    #[test]
    fn all_forms_are_read() {
        let expected = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [
            expected,
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert_eq!(read(text).map(shown), Some(expected.into()), "{text}");
        }
        for text in [
            "",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "a-0eebc999c0b4ef8bb6d6bb9bd380a11",
            "g0eebc999c0b4ef8bb6d6bb9bd380a11",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn order_is_that_of_the_bytes() {
        let low = read("00000000000000000000000000000000").unwrap();
        let middle = read("7fffffffffffffffffffffffffffffff").unwrap();
        let high = read("ffffffffffffffffffffffffffffffff").unwrap();
        assert!(low < middle && middle < high);
        assert_eq!((low, high), (i128::MIN, i128::MAX));
        assert_eq!(from_bytes(to_bytes(middle)), middle);
    }
}
