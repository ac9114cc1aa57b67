//! Where the rows of a segment lie in the files of a version: what statements name rows by that change them.

use crate::error::{Error, Result};
use crate::rows::RowsRef;

/// Rows of a segment that follow each other in a file, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The first of them in the segment.
    pub first: u32,
    pub rows: u32,
    /// The address of the first; those of the others follow it.
    pub address: i64,
}

/// The addresses of all rows of a segment, which ascend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Of parts that follow each other without a gap; neighbours in a file become one.
    pub fn new(parts: impl IntoIterator<Item = Origin>) -> Result<Origins> {
        let wrong = |why: &str| Error::Internal(format!("addresses of rows: {why}"));
        let mut origins: Vec<Origin> = Vec::new();
        let (mut rows, mut least) = (0_u32, 0_i64);
        for part in parts.into_iter().filter(|part| part.rows > 0) {
            if part.first != rows {
                return Err(wrong("a part does not begin where the one before it ends"));
            }
            if part.address < least {
                return Err(wrong("they do not ascend"));
            }
            let ends = rows.checked_add(part.rows).zip(part.address.checked_add(part.rows.into()));
            (rows, least) = ends.ok_or_else(|| wrong("there are too many"))?;
            match origins.last_mut() {
                Some(last) if last.address + i64::from(last.rows) == part.address => last.rows += part.rows,
                _ => origins.push(part),
            }
        }
        Ok(Origins(origins))
    }

    /// How many rows have an address.
    pub fn rows(&self) -> usize {
        self.0.last().map_or(0, |last| last.first as usize + last.rows as usize)
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.0.len() * size_of::<Origin>()
    }

    /// The addresses of rows of the block that begins with row `start` of the segment, all of which there are.
    pub(crate) fn addresses(&self, start: usize, rows: RowsRef<'_>) -> Vec<i64> {
        let mut part = 0;
        let mut address = |row: usize| {
            let row = start + row;
            let has = |part: &Origin| {
                (part.first as usize..part.first as usize + part.rows as usize).contains(&row)
            };
            if !self.0.get(part).is_some_and(has) {
                part = self.0.partition_point(|part| part.first as usize <= row).saturating_sub(1);
            }
            self.0.get(part).map_or(0, |part| part.address + (row - part.first as usize) as i64)
        };
        match rows {
            RowsRef::Range(first, len) => (first..first + len).map(address).collect(),
            RowsRef::Indices(indices) => indices.iter().map(|&row| address(row as usize)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(first: u32, rows: u32, address: i64) -> Origin {
        Origin { first, rows, address }
    }

    #[test]
    fn neighbours_in_a_file_are_one() {
        let parts = [origin(0, 3, 10), origin(3, 0, 0), origin(3, 2, 13), origin(5, 4, 1 << 36)];
        let origins = Origins::new(parts).unwrap();
        assert_eq!(origins.0, [origin(0, 5, 10), origin(5, 4, 1 << 36)]);
        assert_eq!(origins.rows(), 9);
        assert_eq!(origins.addresses(0, RowsRef::Range(3, 4)), [13, 14, 1 << 36, (1 << 36) + 1]);
        assert_eq!(origins.addresses(1, RowsRef::Indices(&[7, 0, 4])), [(1 << 36) + 3, 11, 1 << 36]);
        assert_eq!(Origins::new([]).unwrap().rows(), 0);
    }

    #[test]
    fn gaps_and_disorder_are_refused() {
        for parts in [
            [origin(0, 3, 10), origin(4, 1, 20)],
            [origin(1, 3, 10), origin(4, 1, 20)],
            [origin(0, 3, 10), origin(3, 1, 12)],
            [origin(0, 3, -1), origin(3, 1, 20)],
            [origin(0, 3, 10), origin(3, 1, i64::MAX)],
        ] {
            assert!(Origins::new(parts).is_err(), "{parts:?}");
        }
    }
}
