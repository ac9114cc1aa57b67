//! Row sets against `BTreeSet`, and bytes that are none.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Rows of a file: scattered ones, runs, and chunks that are nearly full.
fn rows() -> impl Strategy<Value = BTreeSet<u64>> {
    let scattered = prop::collection::vec(0..FILE_ROWS, 0..200);
    let runs = prop::collection::vec((0..FILE_ROWS, 1..9_000_u64), 0..4);
    let stepped = prop::collection::vec((0..FILE_ROWS, 2..5_u64), 0..2);
    (scattered, runs, stepped).prop_map(|(scattered, runs, stepped)| {
        let mut rows: BTreeSet<u64> = scattered.into_iter().collect();
        for (start, len) in runs {
            rows.extend(start..FILE_ROWS.min(start + len));
        }
        for (start, step) in stepped {
            rows.extend((start..FILE_ROWS.min(start + 40_000)).step_by(step as usize));
        }
        rows
    })
}

const FILE_ROWS: u64 = 3 * CHUNK_ROWS + 77;

fn set(rows: &BTreeSet<u64>) -> RowSet {
    rows.iter().copied().collect()
}

fn check(set: &RowSet, rows: &BTreeSet<u64>) {
    assert!(set.iter().eq(rows.iter().copied()));
    assert_eq!((set.len(), set.is_empty()), (rows.len() as u64, rows.is_empty()));
    assert_eq!(set.last(), rows.last().copied());
    assert!(set.chunks.values().all(|chunk| match chunk {
        Chunk::List(list) => (1..=LIST_ROWS).contains(&list.len()),
        Chunk::Bits { words, rows } => *rows > LIST_ROWS && ones(words).count() == *rows,
    }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sets_are_sets(a in rows(), b in rows(), some in prop::collection::vec(0..FILE_ROWS + 9, 50)) {
        let (x, y) = (set(&a), set(&b));
        check(&x, &a);
        for row in some {
            prop_assert_eq!(x.contains(row), a.contains(&row));
        }
        prop_assert_eq!(x.intersects(&y), !a.is_disjoint(&b));
        prop_assert_eq!(y.intersects(&x), !a.is_disjoint(&b));
        let mut both = x.clone();
        both.unite(&y);
        check(&both, &a.union(&b).copied().collect());
        check(&x.difference(&y), &a.difference(&b).copied().collect());
        // The same set is the same value, however it came about.
        let mut backwards = RowSet::default();
        a.iter().rev().for_each(|&row| assert!(backwards.insert(row)));
        a.iter().for_each(|&row| assert!(!backwards.insert(row)));
        prop_assert_eq!(&backwards, &x);
        prop_assert_eq!(backwards.insert_all(b.iter().copied()), a.intersection(&b).count() as u64);
        prop_assert_eq!(&backwards, &both);
    }

    #[test]
    fn what_is_encoded_is_read(a in rows()) {
        let bytes = set(&a).encode().unwrap();
        let read = RowSet::decode(&bytes, FILE_ROWS).unwrap();
        check(&read, &a);
        prop_assert_eq!(read.encode().unwrap(), &bytes[..]);
        if let Some(&last) = a.last() {
            prop_assert!(RowSet::decode(&bytes, last + 1).is_ok());
            prop_assert!(RowSet::decode(&bytes, last).is_err());
        }
        for cut in [0, 3, 7, bytes.len() / 2, bytes.len() - 1] {
            prop_assert!(RowSet::decode(&bytes[..cut], FILE_ROWS).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(RowSet::decode(&longer, FILE_ROWS).is_err());
    }

    /// Whatever the bytes are, what is read holds together.
    #[test]
    fn damage_is_refused_or_makes_another_set(
        a in rows(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = set(&a).encode().unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(read) = RowSet::decode(&bytes, FILE_ROWS) {
            let rows: BTreeSet<u64> = read.iter().collect();
            check(&read, &rows);
            prop_assert!(rows.last().is_none_or(|&last| last < FILE_ROWS));
        }
    }

    #[test]
    fn bits_are_copied_to_their_places(a in rows(), start in 0..FILE_ROWS, len in 0..90_000_u64, at in 0..130_usize) {
        let range = start..FILE_ROWS.min(start + len);
        let count = (range.end - range.start) as usize;
        let mut words = vec![0; (at + count).div_ceil(64)];
        set(&a).copy_into(range.clone(), &mut words, at);
        let expected = a.range(range.clone()).map(|row| at as u64 + row - range.start);
        prop_assert!(ones(&words).eq(expected));
    }
}

#[test]
fn the_shortest_kind_is_written() {
    let kind = |rows: &mut dyn Iterator<Item = u64>| {
        let bytes = rows.collect::<RowSet>().encode().unwrap();
        (bytes[HEADER_BYTES + 4], bytes.len() - HEADER_BYTES - CHUNK_HEADER_BYTES)
    };
    assert_eq!(kind(&mut [7].into_iter()), (LIST, 2));
    assert_eq!(kind(&mut (0..CHUNK_ROWS)), (RUNS, 6));
    assert_eq!(kind(&mut (0..CHUNK_ROWS).step_by(2)), (BITS, 8192));
    assert_eq!(kind(&mut (10..20)), (RUNS, 6));
}

/// The example of `docs/row-sets.md`.
#[test]
fn the_format_is_as_it_is_described() {
    let set: RowSet = [3, 9, 65_536, 65_537, 65_538, 65_539].into_iter().collect();
    let expected = [
        1, 0, 0, 0, 2, 0, 0, 0, // version, chunks
        0, 0, 0, 0, 1, 0, 1, 0, 3, 0, 9, 0, // chunk 0: a list of 2
        1, 0, 0, 0, 3, 0, 3, 0, 1, 0, 0, 0, 3, 0, // chunk 1: 4 rows in a run
    ];
    assert_eq!(set.encode().unwrap(), expected);
    assert_eq!(RowSet::decode(&expected, 65_540).unwrap(), set);
}

#[test]
fn what_cannot_be_is_refused() {
    let chunk = |number: u8, rest: &[u8]| [&[number, 0, 0, 0][..], rest].concat();
    let refused = |chunks: &[Vec<u8>], why: &str| {
        let bytes = [&[1, 0, 0, 0, chunks.len() as u8, 0, 0, 0][..], &chunks.concat()].concat();
        let error = RowSet::decode(&bytes, 1 << 20).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let one = [LIST, 0, 0, 0, 5, 0];
    refused(&[chunk(1, &one), chunk(1, &one)], "chunks are out of order");
    refused(&[chunk(1, &one), chunk(0, &one)], "chunks are out of order");
    refused(&[chunk(0, &[LIST, 0, 1, 0, 5, 0, 5, 0])], "rows are out of order");
    refused(&[chunk(0, &[LIST, 1, 0, 0, 5, 0])], "not zero");
    refused(&[chunk(0, &[9, 0, 0, 0, 5, 0])], "kind 9");
    refused(&[chunk(0, &[RUNS, 0, 0, 0, 0, 0])], "without rows");
    refused(&[chunk(0, &[RUNS, 0, 1, 0, 2, 0, 5, 0, 0, 0, 6, 0, 0, 0])], "runs are out of order");
    refused(&[chunk(0, &[RUNS, 0, 1, 0, 1, 0, 255, 255, 1, 0])], "runs are out of order");
    refused(&[chunk(0, &[RUNS, 0, 7, 0, 1, 0, 5, 0, 1, 0])], "as many rows");
    refused(&[chunk(0, &[&[BITS, 0, 0, 0][..], &[0; 8192]].concat())], "without rows");
    refused(&[chunk(16, &one)], "past the end");
    assert!(RowSet::decode(&[2, 0, 0, 0, 0, 0, 0, 0], 9).unwrap_err().to_string().contains("version 2"));
    assert!(RowSet::decode(&[1, 0, 0, 1, 0, 0, 0, 0], 9).is_err());
    assert!(RowSet::decode(&[1, 0, 0, 0, 255, 255, 255, 255], 9).unwrap_err().to_string().contains("chunks"));
    assert!(RowSet::decode(&[1, 0, 0, 0, 0, 0, 0, 0], 0).unwrap().is_empty());
}
