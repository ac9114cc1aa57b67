//! Functions of text that need to know of Unicode, and small ones of single characters and bytes.

use super::text::{append, byte_of};
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const BLOB: Parameter = Parameter::Exact(DataType::Binary);
const INT: Parameter = Parameter::Exact(DataType::Int64);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("strip_accents", "Text without its accents.", "strip_accents('mühleisen') → muhleisen")
            .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
                args.map_text(|row, out| {
                    let text = args.text(0, row);
                    if text.is_ascii() {
                        return append(out, text);
                    }
                    let bare: String = text.nfd().filter(|&c| !is_combining_mark(c)).nfc().collect();
                    append(out, &bare)
                })
            }),
        Function::new("nfc_normalize", "Text in Unicode's form NFC.", "nfc_normalize('ardèch') → ardèch")
            .aliases(&["normalize"])
            .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
                args.map_text(|row, out| append(out, &args.text(0, row).nfc().collect::<String>()))
            }),
        Function::new(
            "unicode",
            "The Unicode code point of the first character, -1 of an empty text.",
            "unicode('é') → 233",
        )
        .aliases(&["ord"])
        .with(&[TEXT], Returns::Type(DataType::Int32), |args, data_type| {
            args.map_integers(data_type, |row| {
                Ok(args.text(0, row).chars().next().map_or(-1, |c| i128::from(c as u32)))
            })
        }),
        Function::new("bit_length", "The number of bits.", "bit_length('jose') → 32")
            .with(&[TEXT], RETURNS_INT, |args, data_type| {
                args.map_integers(data_type, |row| Ok(args.bytes(0, row).len() as i128 * 8))
            })
            .with(&[BLOB], RETURNS_INT, |args, data_type| {
                args.map_integers(data_type, |row| Ok(args.bytes(0, row).len() as i128 * 8))
            }),
        Function::new("length", "", "").with(&[BLOB], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(args.bytes(0, row).len() as i128))
        }),
        Function::new("||", "", "").with_fallible(
            &[BLOB, BLOB],
            Returns::Type(DataType::Binary),
            |args, data_type| {
                args.map_bytes(data_type, |row, out| {
                    out.extend_from_slice(args.bytes(0, row));
                    out.extend_from_slice(args.bytes(1, row));
                    Ok(())
                })
            },
        ),
        Function::new(
            "overlay",
            "Text with a number of characters from a position on replaced (by default as many as come in).",
            "overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4) → Thomas",
        )
        .with_fallible(&[TEXT, TEXT, INT], RETURNS_TEXT, overlay)
        .with_fallible(&[TEXT, TEXT, INT, INT], RETURNS_TEXT, overlay),
    ]
}

fn overlay(args: &super::Arguments, _: DataType) -> columnar::Result<columnar::Vector> {
    let starts = args.longs(2);
    let counts = (args.len() > 3).then(|| args.longs(3));
    args.map_text(|row, out| {
        let (text, new, start) = (args.text(0, row), args.text(1, row), starts[row]);
        if start <= 0 {
            return Err(Error::OutOfRange { what: format!("position {start} of overlay") });
        }
        let count = match &counts {
            Some(counts) => counts[row],
            None => new.chars().count() as i64,
        };
        let end = start.saturating_add(count).max(1) - 1;
        append(out, &text[..byte_of(text, start as usize - 1)])?;
        append(out, new)?;
        append(out, &text[byte_of(text, end as usize)..])
    })
}
