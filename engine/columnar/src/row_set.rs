//! Sets of rows of a file: which of them are deleted, in memory and as `docs/row-sets.md` has them on disk.
//!
//! Rows are kept by chunks of 65,536, each as a list or as bits, whichever is shorter, which is what Roaring bitmaps
//! do (Chambi, Lemire, Kaser, Godin 2016).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

/// Rows of a chunk.
const CHUNK_ROWS: u64 = 1 << 16;
/// Words of a chunk's bits.
const WORDS: usize = (CHUNK_ROWS / 64) as usize;
/// With more rows bits are shorter than a list.
const LIST_ROWS: usize = WORDS * 4;
/// The version of the format.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
const CHUNK_HEADER_BYTES: usize = 8;
/// What the map takes beside a chunk's rows, about.
const CHUNK_BYTES: usize = 64;

const LIST: u8 = 1;
const BITS: u8 = 2;
const RUNS: u8 = 3;

/// Bytes that are no row set, or not one of that file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged row set: {0}")]
pub struct Damaged(String);

/// Rows of a file, counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSet {
    /// By number; none is empty.
    chunks: BTreeMap<u64, Chunk>,
}

/// Rows within a chunk: a list as long as there are at most [`LIST_ROWS`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chunk {
    /// Ascending.
    List(Vec<u16>),
    Bits {
        words: Box<[u64]>,
        rows: usize,
    },
}

impl RowSet {
    /// Adds a row; `false`: it was there.
    pub fn insert(&mut self, row: u64) -> bool {
        let chunk = self.chunks.entry(row / CHUNK_ROWS).or_insert_with(|| Chunk::List(Vec::new()));
        chunk.insert((row % CHUNK_ROWS) as u16)
    }

    /// Adds rows, which are best ascending; gives how many were there already, or come twice.
    pub fn insert_all(&mut self, rows: impl IntoIterator<Item = u64>) -> u64 {
        let mut rows = rows.into_iter().peekable();
        let mut known = 0;
        while let Some(first) = rows.next() {
            let number = first / CHUNK_ROWS;
            let chunk = self.chunks.entry(number).or_insert_with(|| Chunk::List(Vec::new()));
            known += u64::from(!chunk.insert((first % CHUNK_ROWS) as u16));
            while let Some(row) = rows.next_if(|row| row / CHUNK_ROWS == number) {
                known += u64::from(!chunk.insert((row % CHUNK_ROWS) as u16));
            }
        }
        known
    }

    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len() as u64).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn contains(&self, row: u64) -> bool {
        let chunk = self.chunks.get(&(row / CHUNK_ROWS));
        chunk.is_some_and(|chunk| chunk.contains((row % CHUNK_ROWS) as u16))
    }

    /// The greatest row.
    pub fn last(&self) -> Option<u64> {
        let (number, chunk) = self.chunks.last_key_value()?;
        Some(number * CHUNK_ROWS + u64::from(chunk.last()))
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks.iter().flat_map(|(number, chunk)| chunk.rows().map(move |row| number * CHUNK_ROWS + row))
    }

    /// Whether any row is in both.
    pub fn intersects(&self, other: &RowSet) -> bool {
        let (few, many) = if self.chunks.len() <= other.chunks.len() { (self, other) } else { (other, self) };
        few.chunks
            .iter()
            .any(|(number, chunk)| many.chunks.get(number).is_some_and(|other| chunk.intersects(other)))
    }

    /// Adds the rows of another.
    pub fn unite(&mut self, other: &RowSet) {
        for (&number, chunk) in &other.chunks {
            match self.chunks.entry(number) {
                Entry::Vacant(entry) => {
                    entry.insert(chunk.clone());
                }
                Entry::Occupied(mut entry) => entry.get_mut().unite(chunk),
            }
        }
    }

    /// The rows that `other` has not.
    pub fn difference(&self, other: &RowSet) -> RowSet {
        let left = self.chunks.iter().filter_map(|(&number, chunk)| {
            let left = match other.chunks.get(&number) {
                Some(other) => chunk.without(other)?,
                None => chunk.clone(),
            };
            Some((number, left))
        });
        RowSet { chunks: left.collect() }
    }

    /// Sets, for each row of the range that is in the set, the bit that is as far from `at` as the row from the
    /// range's begin. Bits past the last word are left out.
    pub fn copy_into(&self, range: Range<u64>, words: &mut [u64], at: usize) {
        if range.is_empty() {
            return;
        }
        let chunks = range.start / CHUNK_ROWS..=(range.end - 1) / CHUNK_ROWS;
        for (number, chunk) in self.chunks.range(chunks) {
            let rows = chunk.rows().map(|row| number * CHUNK_ROWS + row);
            for row in rows.filter(|row| range.contains(row)) {
                let bit = at + (row - range.start) as usize;
                if let Some(word) = words.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        self.chunks.values().map(Chunk::bytes).sum()
    }

    /// The set as it is kept; `None`: a row lies past what the format can name, which no file has.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![VERSION, 0, 0, 0];
        bytes.extend(u32::try_from(self.chunks.len()).ok()?.to_le_bytes());
        for (&number, chunk) in &self.chunks {
            bytes.extend(u32::try_from(number).ok()?.to_le_bytes());
            chunk.encode(&mut bytes);
        }
        Some(bytes)
    }

    /// Reads what [`RowSet::encode`] gives. Every row must be one of the file, which has so many.
    pub fn decode(bytes: &[u8], rows_of_file: u64) -> Result<RowSet, Damaged> {
        let damaged = |why: &str| Damaged(why.into());
        let mut reader = Reader { bytes };
        match reader.take(4)? {
            [VERSION, 0, 0, 0] => {}
            [VERSION, ..] => return Err(damaged("the header has bytes that are not zero")),
            [version, ..] => return Err(Damaged(format!("version {version} is not known"))),
            [] => return Err(damaged("it is cut short")),
        }
        let count = reader.u32()?;
        // Every chunk takes its header and a row at least.
        if count as usize > (bytes.len() - HEADER_BYTES) / (CHUNK_HEADER_BYTES + 2) {
            return Err(damaged("it has more chunks than bytes for them"));
        }
        let mut chunks = BTreeMap::new();
        for _ in 0..count {
            let number = u64::from(reader.u32()?);
            if chunks.last_key_value().is_some_and(|(&last, _)| last >= number) {
                return Err(damaged("chunks are out of order"));
            }
            let chunk = Chunk::decode(&mut reader)?;
            if number * CHUNK_ROWS + u64::from(chunk.last()) >= rows_of_file {
                return Err(damaged("it has rows past the end of the file"));
            }
            chunks.insert(number, chunk);
        }
        match reader.bytes {
            [] => Ok(RowSet { chunks }),
            _ => Err(damaged("bytes follow the last chunk")),
        }
    }
}

impl FromIterator<u64> for RowSet {
    fn from_iter<I: IntoIterator<Item = u64>>(rows: I) -> RowSet {
        let mut set = RowSet::default();
        set.insert_all(rows);
        set
    }
}

impl Chunk {
    /// From bits, at least one of which is set.
    fn of_words(words: Box<[u64]>) -> Chunk {
        let rows = words.iter().map(|word| word.count_ones() as usize).sum();
        if rows > LIST_ROWS {
            return Chunk::Bits { words, rows };
        }
        Chunk::List(ones(&words).map(|row| row as u16).collect())
    }

    fn words(&self) -> Box<[u64]> {
        match self {
            Chunk::Bits { words, .. } => words.clone(),
            Chunk::List(rows) => {
                let mut words = vec![0; WORDS].into_boxed_slice();
                rows.iter().for_each(|&row| words[usize::from(row) / 64] |= 1 << (row % 64));
                words
            }
        }
    }

    fn insert(&mut self, row: u16) -> bool {
        match self {
            Chunk::Bits { words, rows } => {
                let (word, bit) = (&mut words[usize::from(row) / 64], 1 << (row % 64));
                let new = *word & bit == 0;
                *word |= bit;
                *rows += usize::from(new);
                return new;
            }
            Chunk::List(rows) => match rows.last() {
                Some(&last) if last >= row => match rows.binary_search(&row) {
                    Ok(_) => return false,
                    Err(place) => rows.insert(place, row),
                },
                _ => rows.push(row),
            },
        }
        if self.len() > LIST_ROWS {
            *self = Chunk::of_words(self.words());
        }
        true
    }

    fn len(&self) -> usize {
        match self {
            Chunk::List(rows) => rows.len(),
            Chunk::Bits { rows, .. } => *rows,
        }
    }

    fn contains(&self, row: u16) -> bool {
        match self {
            Chunk::List(rows) => rows.binary_search(&row).is_ok(),
            Chunk::Bits { words, .. } => words[usize::from(row) / 64] >> (row % 64) & 1 == 1,
        }
    }

    fn last(&self) -> u16 {
        match self {
            Chunk::List(rows) => rows.last().copied().unwrap_or(0),
            Chunk::Bits { words, .. } => {
                let last = words.iter().rposition(|&word| word != 0).unwrap_or(0);
                (last * 64) as u16 + (63 - words[last].leading_zeros().min(63)) as u16
            }
        }
    }

    fn rows(&self) -> Box<dyn Iterator<Item = u64> + '_> {
        match self {
            Chunk::List(rows) => Box::new(rows.iter().map(|&row| u64::from(row))),
            Chunk::Bits { words, .. } => Box::new(ones(words)),
        }
    }

    fn intersects(&self, other: &Chunk) -> bool {
        match (self, other) {
            (Chunk::Bits { words: a, .. }, Chunk::Bits { words: b, .. }) => {
                a.iter().zip(b).any(|(a, b)| a & b != 0)
            }
            (Chunk::List(rows), other) | (other, Chunk::List(rows)) => {
                rows.iter().any(|&row| other.contains(row))
            }
        }
    }

    fn unite(&mut self, other: &Chunk) {
        let mut words = self.words();
        match other {
            Chunk::Bits { words: others, .. } => {
                words.iter_mut().zip(others).for_each(|(word, other)| *word |= other);
            }
            Chunk::List(rows) => rows.iter().for_each(|&row| words[usize::from(row) / 64] |= 1 << (row % 64)),
        }
        *self = Chunk::of_words(words);
    }

    /// What is left without the rows of another; `None`: nothing.
    fn without(&self, other: &Chunk) -> Option<Chunk> {
        let mut words = self.words();
        words.iter_mut().zip(other.words()).for_each(|(word, other)| *word &= !other);
        words.iter().any(|&word| word != 0).then(|| Chunk::of_words(words))
    }

    fn bytes(&self) -> usize {
        CHUNK_BYTES
            + match self {
                Chunk::List(rows) => rows.capacity() * 2,
                Chunk::Bits { words, .. } => words.len() * 8,
            }
    }

    /// Adjacent rows as the first and how many follow it.
    fn runs(&self) -> Vec<(u16, u16)> {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for row in self.rows().map(|row| row as u16) {
            match runs.last_mut() {
                Some((start, more)) if u32::from(*start) + u32::from(*more) + 1 == u32::from(row) => {
                    *more += 1;
                }
                _ => runs.push((row, 0)),
            }
        }
        runs
    }

    /// Everything but its number, by the shortest of the kinds.
    fn encode(&self, bytes: &mut Vec<u8>) {
        let runs = self.runs();
        let (list_bytes, bits_bytes, runs_bytes) = (self.len() * 2, WORDS * 8, 2 + runs.len() * 4);
        let kind = match list_bytes.min(bits_bytes).min(runs_bytes) {
            least if least == list_bytes => LIST,
            least if least == runs_bytes => RUNS,
            _ => BITS,
        };
        bytes.extend([kind, 0]);
        bytes.extend(((self.len() - 1) as u16).to_le_bytes());
        match kind {
            LIST => self.rows().for_each(|row| bytes.extend((row as u16).to_le_bytes())),
            RUNS => {
                // Shorter than a list, so that the number fits.
                bytes.extend((runs.len() as u16).to_le_bytes());
                for (start, more) in runs {
                    bytes.extend(start.to_le_bytes());
                    bytes.extend(more.to_le_bytes());
                }
            }
            _ => self.words().iter().for_each(|word| bytes.extend(word.to_le_bytes())),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Chunk, Damaged> {
        let damaged = |why: &str| Damaged(why.into());
        let &[kind, 0] = reader.take(2)? else {
            return Err(damaged("a chunk's header has a byte that is not zero"));
        };
        let count = usize::from(reader.u16()?) + 1;
        let chunk = match kind {
            LIST => {
                let list = reader.take(count * 2)?.chunks_exact(2);
                let list: Vec<u16> = list.map(|row| u16::from_le_bytes([row[0], row[1]])).collect();
                if !list.is_sorted_by(|a, b| a < b) {
                    return Err(damaged("rows are out of order"));
                }
                match list.len() <= LIST_ROWS {
                    true => Chunk::List(list),
                    false => Chunk::of_words(Chunk::List(list).words()),
                }
            }
            BITS => {
                let words = reader.take(WORDS * 8)?.as_chunks::<8>().0;
                let words: Box<[u64]> = words.iter().map(|&word| u64::from_le_bytes(word)).collect();
                if words.iter().all(|&word| word == 0) {
                    return Err(damaged("a chunk without rows"));
                }
                Chunk::of_words(words)
            }
            RUNS => {
                let runs = usize::from(reader.u16()?);
                let mut words = vec![0_u64; WORDS].into_boxed_slice();
                // The least row that a run may begin with.
                let mut free = 0_u32;
                for _ in 0..runs {
                    let (start, more) = (u32::from(reader.u16()?), u32::from(reader.u16()?));
                    let last = start + more;
                    if start < free || last >= CHUNK_ROWS as u32 {
                        return Err(damaged("runs are out of order"));
                    }
                    (start..=last).for_each(|row| words[row as usize / 64] |= 1 << (row % 64));
                    free = last + 2;
                }
                if runs == 0 {
                    return Err(damaged("a chunk without rows"));
                }
                Chunk::of_words(words)
            }
            other => return Err(Damaged(format!("chunks of kind {other} are not known"))),
        };
        match chunk.len() == count {
            true => Ok(chunk),
            false => Err(damaged("a chunk has not as many rows as it says")),
        }
    }
}

/// The places of the bits that are set, ascending.
fn ones(words: &[u64]) -> impl Iterator<Item = u64> + '_ {
    words.iter().enumerate().flat_map(|(index, &word)| {
        std::iter::successors((word != 0).then_some(word), |rest| {
            let rest = rest & (rest - 1);
            (rest != 0).then_some(rest)
        })
        .map(move |rest| index as u64 * 64 + u64::from(rest.trailing_zeros()))
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let taken = self.bytes.split_at_checked(count);
        let (taken, rest) = taken.ok_or_else(|| Damaged("it is cut short".into()))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Damaged> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

#[cfg(test)]
mod tests;
