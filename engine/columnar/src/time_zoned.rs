//! Times of day with an offset from UTC, as integers whose order is PostgreSQL's: by the moment in UTC, then by the offset,
//! east first.

use crate::types::TimeUnit;
use std::fmt;

/// The greatest offset, 15:59:59, in seconds.
pub const MOST_OFFSET: i64 = 57_599;
const OFFSET_BITS: u32 = 17;

/// The value of a time of day, in microseconds, by clocks that are so many seconds ahead of UTC, at most [`MOST_OFFSET`] either
/// way.
pub fn encode(local_micros: i64, offset: i64) -> i64 {
    ((local_micros - (offset - MOST_OFFSET) * 1_000_000) << OFFSET_BITS) + (MOST_OFFSET - offset)
}

/// The time of day and the offset behind a value.
pub fn decode(value: i64) -> (i64, i64) {
    let offset = MOST_OFFSET - (value & ((1 << OFFSET_BITS) - 1));
    ((value >> OFFSET_BITS) + (offset - MOST_OFFSET) * 1_000_000, offset)
}

/// Writes `12:30:00+02`.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, value: i64) -> fmt::Result {
    let (local, offset) = decode(value);
    super::scalar::write_clock(f, local.max(0), TimeUnit::Microsecond)?;
    let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    write!(f, "{sign}{:02}", seconds / 3600)?;
    if seconds % 3600 != 0 {
        write!(f, ":{:02}", seconds / 60 % 60)?;
    }
    if seconds % 60 != 0 {
        write!(f, ":{:02}", seconds % 60)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, Scalar, Value};

    #[test]
    fn ordered_by_the_moment_then_by_the_offset() {
        let hour = 3_600_000_000;
        let text = |value: i64| Value::new(DataType::TimeZoned, Scalar::Integer(value.into())).to_string();
        let times = [
            (0, MOST_OFFSET),
            (12 * hour, 7_200),
            (10 * hour, 0),
            (10 * hour, -19_815),
            (24 * hour, -MOST_OFFSET),
        ];
        for (local, offset) in times {
            assert_eq!(decode(encode(local, offset)), (local, offset));
        }
        assert!(times.windows(2).all(|pair| encode(pair[0].0, pair[0].1) < encode(pair[1].0, pair[1].1)));
        assert_eq!(text(encode(12 * hour + 500_000, 7_200)), "12:00:00.5+02");
        assert_eq!(text(encode(0, -19_815)), "00:00:00-05:30:15");
        assert_eq!(text(encode(0, 19_800)), "00:00:00+05:30");
    }
}
