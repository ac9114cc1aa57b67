//! Functions of bytes. Bits within a byte are counted from its lowest, as PostgreSQL does for `BYTEA`.

use super::bit_strings::{bit, index, part, place};
use super::text::append;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error, Result};

const BLOB: Parameter = Parameter::Exact(DataType::Binary);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const INT: Parameter = Parameter::Exact(DataType::Int64);
const RETURNS_BLOB: Returns = Returns::Type(DataType::Binary);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);

pub(super) fn functions() -> Vec<Function> {
    let more = |name| Function::new(name, "", "");
    vec![
        more("||").with_fallible(&[BLOB, BLOB], RETURNS_BLOB, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                out.extend(args.bytes(0, row));
                out.extend(args.bytes(1, row));
                Ok(())
            })
        }),
        more("length").with(&[BLOB], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(args.bytes(0, row).len() as i128))
        }),
        more("substring").with(&[BLOB, INT], RETURNS_BLOB, part).with_fallible(
            &[BLOB, INT, INT],
            RETURNS_BLOB,
            part,
        ),
        more("strpos").with(&[BLOB, BLOB], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(place(args.bytes(0, row), args.bytes(1, row))))
        }),
        Function::new(
            "get_byte",
            "The byte at a place, from 0, as a number.",
            "get_byte('\\x0180'::BLOB, 1) → 128",
        )
        .with_fallible(&[BLOB, INT], Returns::Type(DataType::Int32), |args, data_type| {
            let places = args.longs(1);
            args.map_integers(data_type, |row| {
                let bytes = args.bytes(0, row);
                Ok(bytes[index(bytes.len(), places[row], "a BLOB")?].into())
            })
        }),
        Function::new(
            "set_byte",
            "The bytes with one at a place, from 0, set to a number.",
            "set_byte('\\x0180'::BLOB, 0, 255) → \\xff80",
        )
        .with_fallible(&[BLOB, INT, INT], RETURNS_BLOB, |args, data_type| {
            let (places, values) = (args.longs(1), args.longs(2));
            args.map_bytes(data_type, |row, out| {
                out.extend(args.bytes(0, row));
                let at = index(out.len(), places[row], "a BLOB")?;
                out[at] = u8::try_from(values[row])
                    .map_err(|_| Error::OutOfRange { what: format!("{} as a byte", values[row]) })?;
                Ok(())
            })
        }),
        more("get_bit").with_fallible(&[BLOB, INT], Returns::Type(DataType::Int32), |args, data_type| {
            let places = args.longs(1);
            args.map_integers(data_type, |row| {
                let bytes = args.bytes(0, row);
                let at = index(bytes.len() * 8, places[row], "the bits of a BLOB")?;
                Ok((bytes[at / 8] >> (at % 8) & 1).into())
            })
        }),
        more("set_bit").with_fallible(&[BLOB, INT, INT], RETURNS_BLOB, |args, data_type| {
            let (places, values) = (args.longs(1), args.longs(2));
            args.map_bytes(data_type, |row, out| {
                out.extend(args.bytes(0, row));
                let at = index(out.len() * 8, places[row], "the bits of a BLOB")?;
                let mask = 1 << (at % 8);
                if bit(values[row])? {
                    out[at / 8] |= mask
                } else {
                    out[at / 8] &= !mask
                }
                Ok(())
            })
        }),
        Function::new(
            "convert_from",
            "The text that bytes are in an encoding, UTF8 or LATIN1.",
            "convert_from('\\x6475636b'::BLOB, 'UTF8') → duck",
        )
        .with_fallible(&[BLOB, TEXT], Returns::Type(DataType::Varchar), |args, _| {
            args.map_text(|row, out| {
                let bytes = args.bytes(0, row);
                if is_latin(args.text(1, row))? {
                    return append(out, &bytes.iter().map(|&byte| byte as char).collect::<String>());
                }
                let text = std::str::from_utf8(bytes).map_err(|_| Error::InvalidText {
                    text: String::from_utf8_lossy(bytes).into_owned(),
                    data_type: "text in UTF-8".into(),
                })?;
                append(out, text)
            })
        }),
        Function::new(
            "convert_to",
            "The bytes of a text in an encoding, UTF8 or LATIN1.",
            "convert_to('duck', 'UTF8') → \\x6475636b",
        )
        .with_fallible(&[TEXT, TEXT], RETURNS_BLOB, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                let text = args.text(0, row);
                if !is_latin(args.text(1, row))? {
                    return append(out, text);
                }
                text.chars().try_for_each(|character| {
                    let byte = u8::try_from(character).map_err(|_| Error::InvalidText {
                        text: text.to_owned(),
                        data_type: "text in LATIN1".into(),
                    });
                    byte.map(|byte| out.push(byte))
                })
            })
        }),
        Function::new("crc32", "The CRC-32 of bytes or of a text.", "crc32('abc') → 891568578")
            .with(&[TEXT], RETURNS_INT, crc32_of)
            .with(&[BLOB], RETURNS_INT, crc32_of),
    ]
}

/// Whether the encoding is Latin 1 rather than UTF-8.
fn is_latin(encoding: &str) -> Result<bool> {
    match encoding.to_ascii_uppercase().replace(['-', '_'], "").as_str() {
        "UTF8" | "UNICODE" => Ok(false),
        "LATIN1" | "ISO88591" => Ok(true),
        _ => Err(Error::Unsupported(format!("the encoding {encoding}"))),
    }
}

fn crc32_of(args: &super::Arguments, data_type: DataType) -> Result<columnar::Vector> {
    args.map_integers(data_type, |row| Ok(crc32(args.bytes(0, row)).into()))
}

/// CRC-32 of IEEE 802.3, bit by bit reversed, a table entry a byte.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| crc >> 8 ^ TABLE[((crc ^ u32::from(byte)) & 0xFF) as usize])
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
