//! Bytes as text and back, and digests.

use super::arguments::{Arguments, Memo};
use super::bits::{bits, width};
use super::text::append;
use super::{Function, Parameter, Returns, Run};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use columnar::{DataType, Error, Result, Vector};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const BLOB: Parameter = Parameter::Exact(DataType::Binary);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const RETURNS_BLOB: Returns = Returns::Type(DataType::Binary);

/// How long the lines of `encode(…, 'base64')` are.
const LINE: usize = 76;

pub(super) fn functions() -> Vec<Function> {
    let mut functions = vec![
        Function::new(
            "hex",
            "Bytes, the bytes of a text, or an integer in base 16, in upper case.",
            "hex('duck') → 6475636B",
        )
        .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| in_hexadecimal(args, true))
        .with_fallible(&[BLOB], RETURNS_TEXT, |args, _| in_hexadecimal(args, true))
        .with(&[Parameter::Integer], RETURNS_TEXT, |args, _| {
            let (values, width) = (args.integers(0), width(args.data_type(0)));
            args.map_text(|row, out| append(out, &format!("{:X}", bits(values[row], width))))
        }),
        Function::new("to_hex", "An integer in base 16, in lower case.", "to_hex(255) → ff")
            .with(&[Parameter::Integer], RETURNS_TEXT, |args, _| {
                let (values, width) = (args.integers(0), width(args.data_type(0)));
                args.map_text(|row, out| append(out, &format!("{:x}", bits(values[row], width))))
            })
            .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| in_hexadecimal(args, false))
            .with_fallible(&[BLOB], RETURNS_TEXT, |args, _| in_hexadecimal(args, false)),
        Function::new("unhex", "The bytes that a text spells in base 16.", "unhex('6475636B') → \\x6475636b")
            .aliases(&["from_hex"])
            .with_fallible(&[TEXT], RETURNS_BLOB, |args, data_type| {
                args.map_bytes(data_type, |row, out| from_hexadecimal(args.text(0, row), out))
            }),
        Function::new("to_base64", "Bytes, or those of a text, in base 64.", "to_base64('tundra') → dHVuZHJh")
            .aliases(&["base64"])
            .with_fallible(&[TEXT], RETURNS_TEXT, to_base64)
            .with_fallible(&[BLOB], RETURNS_TEXT, to_base64),
        Function::new(
            "from_base64",
            "The bytes that a text spells in base 64.",
            "from_base64('dHVuZHJh') → \\x74756e647261",
        )
        .with_fallible(&[TEXT], RETURNS_BLOB, |args, data_type| {
            args.map_bytes(data_type, |row, out| from_base64(args.text(0, row), out))
        }),
        Function::new(
            "encode",
            "Bytes as text in the format hex, base64 or escape; without a format, the bytes of a text.",
            "encode('\\x0180'::BLOB, 'hex') → 0180",
        )
        .with_fallible(&[BLOB, TEXT], RETURNS_TEXT, encode)
        .with(&[TEXT], RETURNS_BLOB, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                out.extend_from_slice(args.bytes(0, row));
                Ok(())
            })
        }),
        Function::new(
            "decode",
            "The bytes that a text spells in the format hex, base64 or escape; of bytes, their text in UTF-8.",
            "decode('AYA=', 'base64') → \\x0180",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_BLOB, decode)
        .with_fallible(&[BLOB], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| match std::str::from_utf8(args.bytes(0, row)) {
                Ok(text) => append(out, text),
                Err(_) => {
                    let text = String::from_utf8_lossy(args.bytes(0, row)).into_owned();
                    Err(Error::InvalidText { text, data_type: "text in UTF-8".into() })
                }
            })
        }),
        Function::new(
            "url_encode",
            "Text with what an address must not have as %XX.",
            "url_encode('a b&c') → a%20b%26c",
        )
        .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| {
                args.bytes(0, row).iter().try_for_each(|&byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        out.push(byte);
                        Ok(())
                    }
                    byte => append(out, &format!("%{byte:02X}")),
                })
            })
        }),
        Function::new("url_decode", "Text with its %XX as what they stand for.", "url_decode('a%20b') → a b")
            .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
                args.map_text(|row, out| {
                    let bytes = url_decoded(args.bytes(0, row));
                    append(out, &String::from_utf8_lossy(&bytes))
                })
            }),
    ];
    // Of text PostgreSQL has md5 alone; the others are DuckDB's, which gives digits. Of bytes all are PostgreSQL's.
    let digests: [(&'static str, &'static str, &'static str, Run, Returns, Run); 6] = [
        (
            "md5",
            "The MD5 digest in base 16.",
            "md5('abc') → 900150983cd24fb0d6963f7d28e17f72",
            digits::<Md5>,
            RETURNS_TEXT,
            digits::<Md5>,
        ),
        (
            "sha1",
            "The SHA-1 digest in base 16.",
            "sha1('abc') → a9993e364706816aba3e25717850c26c9cd0d89d",
            digits::<Sha1>,
            RETURNS_TEXT,
            digits::<Sha1>,
        ),
        (
            "sha224",
            "The SHA-224 digest: of a text in base 16, of bytes as bytes.",
            "left(sha224('abc'), 8) → 23097d22",
            digits::<Sha224>,
            RETURNS_BLOB,
            raw::<Sha224>,
        ),
        (
            "sha256",
            "The SHA-256 digest: of a text in base 16, of bytes as bytes.",
            "left(sha256('abc'), 8) → ba7816bf",
            digits::<Sha256>,
            RETURNS_BLOB,
            raw::<Sha256>,
        ),
        (
            "sha384",
            "The SHA-384 digest: of a text in base 16, of bytes as bytes.",
            "left(sha384('abc'), 8) → cb00753f",
            digits::<Sha384>,
            RETURNS_BLOB,
            raw::<Sha384>,
        ),
        (
            "sha512",
            "The SHA-512 digest: of a text in base 16, of bytes as bytes.",
            "left(sha512('abc'), 8) → ddaf35a1",
            digits::<Sha512>,
            RETURNS_BLOB,
            raw::<Sha512>,
        ),
    ];
    for (name, description, example, of_text, returns, of_bytes) in digests {
        let function = Function::new(name, description, example);
        functions.push(function.with(&[TEXT], RETURNS_TEXT, of_text).with(&[BLOB], returns, of_bytes));
    }
    functions
}

fn digits<D: Digest>(args: &Arguments, _: DataType) -> Result<Vector> {
    args.map_text(|row, out| {
        D::digest(args.bytes(0, row)).iter().try_for_each(|byte| append(out, &format!("{byte:02x}")))
    })
}

fn raw<D: Digest>(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_bytes(data_type, |row, out| {
        out.extend(D::digest(args.bytes(0, row)).iter());
        Ok(())
    })
}

fn in_hexadecimal(args: &Arguments, upper: bool) -> Result<Vector> {
    args.map_text(|row, out| hexadecimal(args.bytes(0, row), upper, out))
}

fn hexadecimal(bytes: &[u8], upper: bool, out: &mut Vec<u8>) -> Result<()> {
    bytes
        .iter()
        .try_for_each(|byte| append(out, &if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }))
}

fn from_hexadecimal(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let invalid =
        || Error::InvalidText { text: text.to_owned(), data_type: "row of digits in base 16".into() };
    let mut digits = Vec::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_ascii_whitespace()) {
        digits.push(letter.to_digit(16).ok_or_else(invalid)? as u8);
    }
    if digits.len() % 2 == 1 {
        return Err(invalid());
    }
    out.extend(digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]));
    Ok(())
}

fn to_base64(args: &Arguments, _: DataType) -> Result<Vector> {
    args.map_text(|row, out| append(out, &STANDARD.encode(args.bytes(0, row))))
}

fn from_base64(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let plain: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(&plain)
        .map_err(|_| Error::InvalidText { text: text.to_owned(), data_type: "text in base 64".into() })?;
    out.extend_from_slice(&bytes);
    Ok(())
}

#[derive(Clone, Copy)]
enum Format {
    Hex,
    Base64,
    Escape,
}

fn format(name: &str) -> Result<Format> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "hex" => Format::Hex,
        "base64" => Format::Base64,
        "escape" => Format::Escape,
        _ => {
            let data_type = "format of bytes: hex, base64 or escape".into();
            return Err(Error::InvalidText { text: name.to_owned(), data_type });
        }
    })
}

fn encode(args: &Arguments, _: DataType) -> Result<Vector> {
    let mut formats = Memo::new();
    args.map_text(|row, out| {
        let bytes = args.bytes(0, row);
        match *formats.get(args.text(1, row), format)? {
            Format::Hex => hexadecimal(bytes, false, out),
            Format::Base64 => {
                let text = STANDARD.encode(bytes);
                let mut rest = text.as_str();
                while rest.len() > LINE {
                    append(out, &rest[..LINE])?;
                    append(out, "\n")?;
                    rest = &rest[LINE..];
                }
                append(out, rest)
            }
            Format::Escape => bytes.iter().try_for_each(|&byte| match byte {
                b'\\' => append(out, "\\\\"),
                0 | 0x80.. => append(out, &format!("\\{byte:03o}")),
                byte => {
                    out.push(byte);
                    Ok(())
                }
            }),
        }
    })
}

fn decode(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let mut formats = Memo::new();
    args.map_bytes(data_type, |row, out| {
        let text = args.text(0, row);
        match *formats.get(args.text(1, row), format)? {
            Format::Hex => from_hexadecimal(text, out),
            Format::Base64 => from_base64(text, out),
            Format::Escape => unescaped(text, out),
        }
    })
}

/// `\\` is a backslash and `\nnn` the byte of that octal number.
fn unescaped(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                ((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), after)
            }
            (b'\\', _) => {
                let data_type = "text of escaped bytes".into();
                return Err(Error::InvalidText { text: text.to_owned(), data_type });
            }
            plain => plain,
        };
        rest = left;
        out.push(byte);
    }
    Ok(())
}

fn url_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        if let (b'%', [high, low, left @ ..]) = (byte, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high * 16 + low);
            rest = left;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}
