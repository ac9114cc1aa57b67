//! Distinct strings by number, in the order they came: what dictionaries are built from.

use crate::sketch::hash_integer;

/// Distinct strings. Open addressing with linear probing over numbers; strings lie end to end.
#[derive(Default)]
pub(crate) struct Interner {
    /// Number + 1 of the string in a slot, 0 where it is empty. A power of two, at most half full.
    slots: Vec<u32>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Interner {
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + 16 * self.hashes.len() + 4 * self.slots.len()
    }

    /// String number `id`.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start..self.ends[id]]
    }

    pub(crate) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The number of a string, a new one if it is new.
    pub(crate) fn intern(&mut self, string: &[u8]) -> u32 {
        if self.slots.len() < 2 * (self.len() + 1) {
            self.grow();
        }
        let hash = hash_bytes(string);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => {
                    let id = self.len() as u32;
                    self.slots[slot] = id + 1;
                    self.hashes.push(hash);
                    self.bytes.extend_from_slice(string);
                    self.ends.push(self.bytes.len());
                    return id;
                }
                found if self.hashes[found as usize - 1] == hash && self.get(found - 1) == string => {
                    return found - 1;
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots = vec![0; size];
        for (id, &hash) in self.hashes.iter().enumerate() {
            let mut slot = hash as usize & (size - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = id as u32 + 1;
        }
    }
}

/// A well mixed hash of a string, by words of 8 bytes.
#[inline]
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = bytes.len() as u64;
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    let tail = rest.iter().rev().fold(0, |tail, &byte| tail << 8 | u64::from(byte));
    hash_integer((hash ^ tail).wrapping_mul(FACTOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_distinct() {
        let mut interner = Interner::default();
        for round in 0..2 {
            for value in 0..5_000_u32 {
                let string = format!("value {value}");
                assert_eq!(interner.intern(string.as_bytes()), value, "round {round}");
                assert_eq!(interner.get(value), string.as_bytes());
            }
        }
        assert_eq!(interner.intern(b""), 5_000);
        assert_eq!(interner.len(), 5_001);
    }
}
