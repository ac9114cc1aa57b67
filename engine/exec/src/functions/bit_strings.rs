//! Functions and operators of bit strings, which are texts of `0` and `1`. Bits are counted from 0 at the left,
//! positions of `substring` and `position` from 1.

use super::arguments::Arguments;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error, Result, Vector};

const BITS: Parameter = Parameter::Exact(DataType::Bits);
const INT: Parameter = Parameter::Exact(DataType::Int64);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_BITS: Returns = Returns::Type(DataType::Bits);
const RETURNS_INT: Returns = Returns::Type(DataType::Int64);

/// The longest bit string that a function makes.
const MOST_BITS: usize = 256 << 20;

pub(super) fn functions() -> Vec<Function> {
    let more = |name| Function::new(name, "", "");
    vec![
        more("&").with_fallible(&[BITS, BITS], RETURNS_BITS, |args, _| combined(args, "&", |a, b| a & b)),
        more("|").with_fallible(&[BITS, BITS], RETURNS_BITS, |args, _| combined(args, "|", |a, b| a | b)),
        more("#").with_fallible(&[BITS, BITS], RETURNS_BITS, |args, _| combined(args, "#", |a, b| a != b)),
        more("~").with(&[BITS], RETURNS_BITS, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                out.extend(args.bytes(0, row).iter().map(|&bit| letter(bit == b'0')));
                Ok(())
            })
        }),
        more("<<").with(&[BITS, INT], RETURNS_BITS, |args, _| moved(args, false)),
        more(">>").with(&[BITS, INT], RETURNS_BITS, |args, _| moved(args, true)),
        more("||").with_fallible(&[BITS, BITS], RETURNS_BITS, |args, data_type| {
            args.map_bytes(data_type, |row, out| {
                out.extend(args.bytes(0, row));
                out.extend(args.bytes(1, row));
                Ok(())
            })
        }),
        more("length").with(&[BITS], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(args.bytes(0, row).len() as i128))
        }),
        more("octet_length").with(&[BITS], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(args.bytes(0, row).len().div_ceil(8) as i128))
        }),
        more("bit_length").with(&[BITS], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(args.bytes(0, row).len() as i128))
        }),
        more("overlay")
            .with_fallible(&[BITS, BITS, INT], RETURNS_BITS, overlaid)
            .with_fallible(&[BITS, BITS, INT, INT], RETURNS_BITS, overlaid),
        more("bit_count").with(&[BITS], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| {
                Ok(args.bytes(0, row).iter().filter(|&&bit| bit == b'1').count() as i128)
            })
        }),
        more("substring").with(&[BITS, INT], RETURNS_BITS, part).with_fallible(
            &[BITS, INT, INT],
            RETURNS_BITS,
            part,
        ),
        more("strpos").with(&[BITS, BITS], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(place(args.bytes(0, row), args.bytes(1, row))))
        }),
        Function::new(
            "bit_position",
            "Where the first bit string begins in the second, from 1; 0 where it does not.",
            "bit_position(B'01', B'1101') → 3",
        )
        .with(&[BITS, BITS], RETURNS_INT, |args, data_type| {
            args.map_integers(data_type, |row| Ok(place(args.bytes(1, row), args.bytes(0, row))))
        }),
        Function::new("get_bit", "The bit at a place, from 0.", "get_bit(B'010', 1) → 1").with_fallible(
            &[BITS, INT],
            Returns::Type(DataType::Int32),
            |args, data_type| {
                let places = args.longs(1);
                args.map_integers(data_type, |row| {
                    let bits = args.bytes(0, row);
                    Ok(i128::from(bits[index(bits.len(), places[row], "a bit string")?] == b'1'))
                })
            },
        ),
        Function::new("set_bit", "The bits with one at a place, from 0, set to 0 or 1.", "set_bit(B'000', 1, 1) → 010")
            .with_fallible(&[BITS, INT, INT], RETURNS_BITS, |args, data_type| {
                let (places, values) = (args.longs(1), args.longs(2));
                args.map_bytes(data_type, |row, out| {
                    out.extend(args.bytes(0, row));
                    let at = index(out.len(), places[row], "a bit string")?;
                    out[at] = letter(bit(values[row])?);
                    Ok(())
                })
            }),
        Function::new(
            "bitstring",
            "A bit string of a length, zeros put before its bits.",
            "bitstring('11', 5) → 00011",
        )
        .with_fallible(&[BITS, INT], RETURNS_BITS, lengthened)
        .with_fallible(&[TEXT, INT], RETURNS_BITS, lengthened),
        Function::new(
            "bit_fit",
            "The first bits of a bit string, zeros put behind where it has fewer; what a cast to BIT(n) gives.",
            "bit_fit(B'101', 5) → 10100",
        )
        .with_fallible(&[BITS, INT], RETURNS_BITS, |args, data_type| {
            let lengths = args.longs(1);
            args.map_bytes(data_type, |row, out| {
                let length = length(lengths[row])?;
                let bits = args.bytes(0, row);
                out.extend(&bits[..bits.len().min(length)]);
                out.resize(length, b'0');
                Ok(())
            })
        }),
        Function::new(
            "bit_of",
            "The last bits of an integer; what a cast of it to BIT(n) gives.",
            "bit_of(5, 4) → 0101",
        )
        .with_fallible(&[Parameter::Exact(DataType::Int64), INT], RETURNS_BITS, |args, data_type| {
            let (values, lengths) = (args.longs(0), args.longs(1));
            args.map_bytes(data_type, |row, out| {
                let length = length(lengths[row])?;
                out.extend((0..length).rev().map(|bit| letter(values[row] >> bit.min(63) & 1 == 1)));
                Ok(())
            })
        }),
    ]
}

fn letter(bit: bool) -> u8 {
    if bit { b'1' } else { b'0' }
}

/// A bit that is given as a number.
pub(super) fn bit(value: i64) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::InvalidText { text: other.to_string(), data_type: "bit: it is 0 or 1".into() }),
    }
}

/// A place from 0 in what has `len` of them.
pub(super) fn index(len: usize, place: i64, what: &str) -> Result<usize> {
    usize::try_from(place).ok().filter(|&place| place < len).ok_or_else(|| Error::OutOfRange {
        what: format!("the place {place} in {what} of {len}, whose places are counted from 0,"),
    })
}

fn length(value: i64) -> Result<usize> {
    usize::try_from(value)
        .ok()
        .filter(|&length| length <= MOST_BITS)
        .ok_or_else(|| Error::OutOfRange { what: format!("a bit string of {value} bits") })
}

fn combined(args: &Arguments, sign: &str, of: fn(bool, bool) -> bool) -> Result<Vector> {
    args.map_bytes(DataType::Bits, |row, out| {
        let (a, b) = (args.bytes(0, row), args.bytes(1, row));
        if a.len() != b.len() {
            return Err(Error::OutOfRange {
                what: format!(
                    "{sign} of bit strings of {} and {} bits, which must be as many,",
                    a.len(),
                    b.len()
                ),
            });
        }
        out.extend(a.iter().zip(b).map(|(&a, &b)| letter(of(a == b'1', b == b'1'))));
        Ok(())
    })
}

/// The bits moved by places, zeros in their stead.
fn moved(args: &Arguments, right: bool) -> Result<Vector> {
    let places = args.longs(1);
    args.map_bytes(DataType::Bits, |row, out| {
        let bits = args.bytes(0, row);
        let count = usize::try_from(places[row].unsigned_abs()).unwrap_or(usize::MAX).min(bits.len());
        let zeros = std::iter::repeat_n(b'0', count);
        if right == (places[row] >= 0) {
            out.extend(zeros);
            out.extend(&bits[..bits.len() - count]);
        } else {
            out.extend(&bits[count..]);
            out.extend(zeros);
        }
        Ok(())
    })
}

/// The first bits with others put in the place of some, from a position on: of as many as these are, or of a number.
fn overlaid(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let from = args.longs(2);
    let counts = (args.len() > 3).then(|| args.longs(3));
    args.map_bytes(data_type, |row, out| {
        let (bits, other) = (args.bytes(0, row), args.bytes(1, row));
        let count = counts.as_ref().map_or(other.len() as i64, |counts| counts[row]);
        if from[row] < 1 || count < 0 {
            let what = format!("{count} bits from the position {}, which is from 1 on,", from[row]);
            return Err(Error::OutOfRange { what });
        }
        let place = |position: i128| (position - 1).clamp(0, bits.len() as i128) as usize;
        let start = i128::from(from[row]);
        out.extend(&bits[..place(start)]);
        out.extend(other);
        out.extend(&bits[place(start + i128::from(count))..]);
        Ok(())
    })
}

/// The bytes of an argument from a position on, as PostgreSQL's `substring` counts.
pub(super) fn part(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let from = args.longs(1);
    let lengths = (args.len() > 2).then(|| args.longs(2));
    args.map_bytes(data_type, |row, out| {
        let bytes = args.bytes(0, row);
        let start = i128::from(from[row]);
        let end = match lengths.as_ref().map(|lengths| lengths[row]) {
            Some(length) if length < 0 => {
                return Err(Error::OutOfRange { what: format!("a length of {length}") });
            }
            Some(length) => start + i128::from(length),
            None => i128::MAX,
        };
        let place = |position: i128| (position - 1).clamp(0, bytes.len() as i128) as usize;
        out.extend(&bytes[place(start)..place(end).max(place(start))]);
        Ok(())
    })
}

/// Where the needle begins, from 1; 0 where it does not.
pub(super) fn place(bytes: &[u8], needle: &[u8]) -> i128 {
    memchr::memmem::find(bytes, needle).map_or(0, |at| at as i128 + 1)
}

fn lengthened(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let lengths = args.longs(1);
    args.map_bytes(data_type, |row, out| {
        let (bits, length) = (args.bytes(0, row), length(lengths[row])?);
        if !crate::expression::bit_cast::is_bits(bits) {
            let text = args.text(0, row).to_owned();
            return Err(Error::InvalidText { text, data_type: "BIT".into() });
        }
        if bits.len() > length {
            return Err(Error::OutOfRange {
                what: format!("{} bits in a bit string of {length}", bits.len()),
            });
        }
        out.resize(length - bits.len(), b'0');
        out.extend(bits);
        Ok(())
    })
}
