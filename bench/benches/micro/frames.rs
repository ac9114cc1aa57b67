//! Batches to frames and back, as they cross between nodes. Bytes are those of the vectors, for both directions; each
//! dictionary has crossed before.

use crate::data::{Random, integers, parts, strings};
use crate::report::{Group, Micro, time};
use columnar::{
    BATCH_ROWS, Batch, Codes, DataType, Dictionary, DictionaryVector, Flat, FrameDecoder, FrameEncoder,
    FrameLimits, FrameOptions, PhysicalType, Values, Vector,
};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

const BATCHES: usize = 64;
const ROWS: usize = BATCHES * BATCH_ROWS;

pub(crate) fn run(criterion: &mut Micro) {
    let mut group = criterion.benchmark_group("frames");
    let numbers = |bits: u32| move || columns(4, |seed| numbers(seed, bits));
    both(&mut group, "4 of i64, 16 bits", 32, false, numbers(16));
    both(&mut group, "4 of i64, 32 bits", 32, false, numbers(32));
    both(&mut group, "4 of i64, all bits", 32, false, numbers(64));
    both(&mut group, "4 of i64, 32 bits, LZ4", 32, true, numbers(32));
    both(&mut group, "codes of 16 bits", 2, false, codes);
    let short = || columns(1, |seed| texts(seed, &["quick ", "é ", "foxes "], 1));
    both(&mut group, "text of 5 bytes", 16, false, short);
    let words = ["furiously ", "special ", "requests ", "sleep ", "quickly "];
    // Five words of eight bytes on average.
    both(&mut group, "text of 40 bytes", 16 + 40, false, move || columns(1, |seed| texts(seed, &words, 5)));
    both(&mut group, "text of 40 bytes, LZ4", 16 + 40, true, move || {
        columns(1, |seed| texts(seed, &words, 5))
    });
    let cyrillic = ["погода ", "новости ", "карта "];
    both(&mut group, "text of 40 bytes, not ASCII", 16 + 40, false, move || {
        columns(1, |seed| texts(seed, &cyrillic, 3))
    });
    group.finish();
}

/// Times both directions of the batches that `make` makes, a row of which takes about so many bytes.
fn both(group: &mut Group<'_>, name: &str, row_bytes: usize, compress: bool, make: impl Fn() -> Vec<Batch>) {
    let size = (ROWS, ROWS * row_bytes);
    let stream = || {
        let mut encoder = FrameEncoder::new(FrameOptions { compress });
        let batches = make();
        let frames: Vec<Vec<u8>> = batches.iter().map(|batch| encoder.encode(batch)).collect();
        let mut decoder = FrameDecoder::new(FrameLimits::default());
        frames.iter().for_each(|frame| drop(decoder.decode(frame).unwrap()));
        let again = batches.iter().map(|batch| encoder.encode(batch)).collect();
        (batches, RefCell::new(encoder), again, RefCell::new(decoder))
    };
    type Stream = (Vec<Batch>, RefCell<FrameEncoder>, Vec<Vec<u8>>, RefCell<FrameDecoder>);
    time(group, format!("{name}/encode"), size, stream, |(batches, encoder, ..): &Stream| {
        let mut encoder = encoder.borrow_mut();
        batches.iter().for_each(|batch| drop(black_box(encoder.encode(black_box(batch)))));
    });
    time(group, format!("{name}/decode"), size, stream, |(_, _, frames, decoder): &Stream| {
        let mut decoder = decoder.borrow_mut();
        frames.iter().for_each(|frame| drop(black_box(decoder.decode(black_box(frame)).unwrap())));
    });
}

/// Batches of as many columns as are made, each of another seed.
fn columns(count: u64, make: impl Fn(u64) -> Vec<Vector>) -> Vec<Batch> {
    let columns: Vec<Vec<Vector>> = (0..count).map(make).collect();
    (0..BATCHES)
        .map(|batch| Batch::new(columns.iter().map(|column| column[batch].clone()).collect()))
        .collect()
}

fn flat(data_type: DataType, values: &Values) -> Vec<Vector> {
    parts(values, BATCH_ROWS).into_iter().map(|values| Flat::new(data_type, values, None).into()).collect()
}

fn numbers(seed: u64, bits: u32) -> Vec<Vector> {
    let mut random = Random(seed);
    let values = (0..ROWS).map(|_| (random.word() >> (64 - bits)) as i64);
    flat(DataType::Int64, &integers(values, PhysicalType::I64))
}

fn texts(seed: u64, words: &[&str], count: usize) -> Vec<Vector> {
    let mut random = Random(seed);
    let text = |_| (0..count).map(|_| words[random.below(words.len())]).collect::<String>();
    flat(DataType::Varchar, &strings(&(0..ROWS).map(text).collect::<Vec<_>>()))
}

/// Codes into a dictionary of 5,000 strings.
fn codes() -> Vec<Batch> {
    let values: Vec<String> = (0..5_000).map(|value| format!("Manufacturer#{value:05}")).collect();
    let values = Flat::new(DataType::Varchar, strings(&values), None);
    let dictionary = Arc::new(Dictionary::new(values, true));
    let mut random = Random(3);
    let mut batch = || {
        let codes = (0..BATCH_ROWS).map(|_| random.below(5_000) as u16).collect();
        let dictionary = dictionary.clone();
        Batch::new(vec![Vector::Dictionary(DictionaryVector {
            codes: Codes::U16(codes),
            dictionary,
            validity: None,
        })])
    };
    (0..BATCHES).map(|_| batch()).collect()
}
