//! Segment files changed at random, their checksums left wrong or made right again: reading them gives errors
//! or values, never a panic, and takes no memory out of proportion.
//!
//! A run takes `FUZZ_SECONDS` (15 where it is not set). A failure names the `FUZZ_SEED` that begins with it.

#![allow(clippy::print_stdout, reason = "a run prints its seed")]

use crate::checksum::{Checksum, xxh64};
use crate::exhaust::exhaust;
use crate::format::{self, Block, Footer, HEADER_BYTES, Place, TRAILER_BYTES};
use crate::{BLOCK_ROWS, ColumnSchema, SegmentBuilder};
use columnar::{Batch, Bytes, DataType, Interval, Scalar, TimeUnit, Vector};
use prost::Message;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most that one allocation may take beyond what a block of the longest values needs.
const MOST_BYTES: usize = 32 << 20;

/// The system's allocator, and the largest allocation of this thread.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.set(LARGEST.get().max(layout.size()));
        // SAFETY: the caller keeps the contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.set(LARGEST.get().max(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.set(LARGEST.get().max(size));
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// Numbers at which something ends, and others.
    fn number(&mut self, near: u64) -> u64 {
        let edges = [0, 1, 2, 63, 64, 255, 256, 1 << 16, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX - 63];
        match self.below(4) {
            0 => *self.pick(&edges),
            1 => near.wrapping_add(*self.pick(&[1, u64::MAX, 64, u64::MAX - 63, 16, u64::MAX - 15])),
            2 => near ^ (1 << self.below(64)),
            _ => self.next() >> self.below(64),
        }
    }
}

#[test]
fn files_changed_at_random_do_no_harm() {
    let images = images();
    assert!(images.iter().all(|image| exhaust(image.clone()) == 0));
    let most = |bytes: usize| MOST_BYTES + 64 * bytes;
    let (rounds, opened) = run(15, |random| changed(&images, random), |bytes| exhaust(bytes) != 1, most);
    assert!(opened > rounds / 10, "{opened} of {rounds} files opened: too few reach the blocks");
}

/// Hands bytes that `change` draws to `read`, for `FUZZ_SECONDS` or else `seconds`; no allocation may exceed what `most`
/// says of their length. Gives how many there were, and how many `read` took for sound.
pub(crate) fn run(
    seconds: u64,
    change: impl Fn(&mut Random) -> Vec<u8>,
    read: impl Fn(Vec<u8>) -> bool,
    most: impl Fn(usize) -> usize,
) -> (u64, u64) {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_micros() as u64);
    let given = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, seconds) =
        (given("FUZZ_SEED").unwrap_or_else(drawn), given("FUZZ_SECONDS").unwrap_or(seconds));
    println!("FUZZ_SEED={seed}");
    let begun = Instant::now();
    let (mut rounds, mut sound) = (0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let round = seed.wrapping_add(rounds);
        let bytes = change(&mut Random(round));
        let most = most(bytes.len());
        LARGEST.set(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| read(bytes)));
        let largest = LARGEST.get();
        assert!(largest <= most, "an allocation of {largest} bytes with FUZZ_SEED={round}");
        match outcome {
            Ok(is_sound) => sound += u64::from(is_sound),
            Err(_) => panic!("a panic with FUZZ_SEED={round}"),
        }
        rounds += 1;
    }
    println!("{rounds} inputs, {sound} sound");
    (rounds, sound)
}

/// A file made from one or two of the images.
fn changed(images: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let (image, other): (&Vec<u8>, &Vec<u8>) = (random.pick(images), random.pick(images));
    let (mut footer, start) = parts(image);
    let mut buffers = image[..start].to_vec();
    match random.below(8) {
        // Nothing is made right again.
        0 => {
            let mut bytes = image.clone();
            change_bytes(&mut bytes, other, random);
            return bytes;
        }
        // Any message is a footer.
        1 => {
            let mut message = footer.encode_to_vec();
            change_bytes(&mut message, &parts(other).0.encode_to_vec(), random);
            return sealed(buffers, message);
        }
        2 | 3 => change_buffers(&mut buffers, &footer, random),
        4 | 5 => change_footer(&mut footer, &parts(other).0, random),
        _ => {
            change_buffers(&mut buffers, &footer, random);
            change_footer(&mut footer, &parts(other).0, random);
        }
    }
    for column in &mut footer.columns {
        blocks(column).into_iter().for_each(|block| renew_checksum(block, &buffers));
    }
    sealed(buffers, footer.encode_to_vec())
}

/// The footer of an image, and where it starts.
fn parts(image: &[u8]) -> (Footer, usize) {
    let footer = format::open(&Bytes::from_vec(image.to_vec())).unwrap();
    let start = image.len() - TRAILER_BYTES - footer.encoded_len();
    (footer, start)
}

/// Buffers and a footer as a file whose trailer is right.
fn sealed(mut buffers: Vec<u8>, message: Vec<u8>) -> Vec<u8> {
    let len = (buffers.len() + message.len() + TRAILER_BYTES) as u64;
    let (message_len, checksum) = (message.len() as u64, xxh64(&message, 0));
    buffers.extend(message);
    [message_len, checksum, len].iter().for_each(|number| buffers.extend(number.to_le_bytes()));
    buffers.extend(b"TUNDREND");
    buffers
}

/// Bits and bytes changed, stretches left out, doubled, blanked, taken from elsewhere.
pub(crate) fn change_bytes(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + 1 + random.below(80));
        match random.below(7) {
            _ if bytes.is_empty() => return,
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => bytes[at..end].fill(*random.pick(&[0, 0xff, 0x80, 0x7f])),
            5 => {
                let from = random.below(other.len());
                let stretch = &other[from..other.len().min(from + end - at)];
                bytes.splice(at..end, stretch.iter().copied());
            }
            _ => {
                let stretch = bytes[at..end].to_vec();
                bytes.splice(at..at, stretch);
            }
        }
    }
}

/// Content of buffers changed, best near their ends, where encodings keep what they rely on.
fn change_buffers(bytes: &mut [u8], footer: &Footer, random: &mut Random) {
    let mut places = Vec::new();
    for column in &footer.columns {
        let own = column.blocks.iter().chain(&column.dictionary).chain(&column.sample);
        own.for_each(|block| block.places(&mut places));
    }
    places.retain(|place| place.len > 0);
    if places.is_empty() {
        return;
    }
    for _ in 0..1 + random.below(3) {
        let place = *random.pick(&places);
        let (start, len) = (place.offset as usize, place.len as usize);
        let within = match random.below(3) {
            0 => random.below(len.min(16)),
            1 => len - 1 - random.below(len.min(24)),
            _ => random.below(len),
        };
        let at = start + within;
        let end = (start + len).min(at + 1 + random.below(16));
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at..end].fill(*random.pick(&[0, 0xff, 0x80, 0x7f])),
            _ => {
                let from = random.below(bytes.len() - (end - at));
                bytes.copy_within(from..from + (end - at), at);
            }
        }
    }
}

/// Fields of the footer changed, or exchanged with those of another.
fn change_footer(footer: &mut Footer, other: &Footer, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(footer.columns.len());
        let donor = random.pick(&other.columns).clone();
        let rows = footer.rows;
        let column = &mut footer.columns[at];
        match random.below(12) {
            0 => footer.rows = random.number(rows),
            1 => footer.sample_rows = random.number(footer.sample_rows),
            2 => column.data_type = donor.data_type,
            3 => column.blocks = donor.blocks,
            4 => column.dictionary = donor.dictionary,
            5 => column.sample = donor.sample,
            6 => (column.min, column.max) = (donor.min, donor.max),
            7 => (column.unique, column.sorted) = (random.one_in(2), random.one_in(2)),
            8 => column.sketch.truncate(random.below(4096)),
            _ => {
                let mut blocks = blocks(column);
                if !blocks.is_empty() {
                    let at = random.below(blocks.len());
                    change_block(blocks[at], donor.blocks.first(), random);
                }
            }
        }
    }
}

fn change_block(block: &mut Block, donor: Option<&Block>, random: &mut Random) {
    if !block.children.is_empty() && random.one_in(3) {
        return change_block(&mut block.children[0], donor, random);
    }
    match random.below(12) {
        0 => block.encoding = random.below(11) as u32,
        1 => block.rows = random.number(block.rows),
        2 => block.nulls = random.number(block.nulls).min(block.rows),
        3 => block.validity = block.buffers.first().copied(),
        4 => block.validity = None,
        5 => block.buffers.truncate(random.below(4)),
        6 => drop(block.parameters.pop()),
        7 => {
            if let Some(donor) = donor {
                (block.encoding, block.parameters) = (donor.encoding, donor.parameters.clone());
                (block.buffers, block.children) = (donor.buffers.clone(), donor.children.clone());
            }
        }
        8 => block.children = vec![block.clone()],
        9 => {
            let len = block.parameters.len();
            if len > 0 {
                block.parameters[random.below(len)] = random.next() as u8;
            }
        }
        10 => (block.min, block.max) = (block.max.clone(), block.min.clone()),
        _ => {
            let count = block.buffers.len();
            if count > 0 {
                let place = &mut block.buffers[random.below(count)];
                match random.below(3) {
                    0 => place.offset = random.number(place.offset),
                    1 => place.offset = (random.below(1 << 16) & !63) as u64,
                    _ => place.len = random.number(place.len),
                }
            }
        }
    }
}

/// Every block of a column that is no child.
fn blocks(column: &mut format::Column) -> Vec<&mut Block> {
    column.blocks.iter_mut().chain(&mut column.dictionary).chain(&mut column.sample).collect()
}

/// Makes a block's checksum right, where its buffers lie within the file.
fn renew_checksum(block: &mut Block, bytes: &[u8]) {
    let mut checksum = Checksum::new();
    for Place { offset, len } in block.validity.iter().chain(&block.buffers) {
        let end = offset.checked_add(*len).filter(|&end| end <= bytes.len() as u64);
        let Some(end) = end else { return };
        checksum.add(&bytes[*offset as usize..end as usize]);
    }
    block.checksum = checksum.value();
    block.children.iter_mut().for_each(|child| renew_checksum(child, bytes));
}

/// Segments of every type and encoding, small ones and one of two blocks.
fn images() -> Vec<Vec<u8>> {
    use DataType::*;
    let zone = Timestamp { unit: TimeUnit::Nanosecond, zone: true };
    let types = [Boolean, Int8, Int16, Int32, Int64, Float32, Float64, Date, Time, zone, Interval, Varchar];
    let more = [Binary, DataType::decimal(9, 2), DataType::decimal(38, 4)];
    let texts = [Varchar, Varchar, Binary, Varchar];
    let mut images: Vec<Vec<u8>> = [1, 70, 700]
        .into_iter()
        .flat_map(|rows| [image(&types, rows), image(&more, rows), image(&texts, rows)])
        .collect();
    images.push(image(&[Varchar, Int64, Varchar, Int32], 4_000));
    images.push(image(&[Int64, Float64], BLOCK_ROWS + 100));
    assert!(images[0].len() > HEADER_BYTES);
    images
}

fn image(types: &[DataType], rows: usize) -> Vec<u8> {
    let schema: Vec<ColumnSchema> = types
        .iter()
        .enumerate()
        .map(|(index, &data_type)| ColumnSchema { name: format!("c{index}"), data_type, nullable: true })
        .collect();
    let mut builder = SegmentBuilder::new(schema.into());
    let columns = types.iter().enumerate().map(|(column, &data_type)| {
        let scalars: Vec<Scalar> = (0..rows).map(|row| value(data_type, column, row)).collect();
        Vector::from_scalars(data_type, &scalars)
    });
    builder.push(&Batch::new(columns.collect())).unwrap();
    builder.finish().unwrap().as_slice().to_vec()
}

/// Values that columns of different places hold differently: in runs, in few distinct values, scattered.
fn value(data_type: DataType, column: usize, row: usize) -> Scalar {
    if row % 13 == 7 && column % 3 != 1 {
        return Scalar::Null;
    }
    let number = match column % 4 {
        0 => (row / 40) as i128,
        1 => row as i128 * 7_919 % 1_009 - 500,
        2 => 12,
        _ => (row as i128 * 2_654_435_761) % (1 << 31),
    };
    match data_type {
        DataType::Boolean => Scalar::Boolean(number % 3 == 0),
        DataType::Int8 => Scalar::Integer(number % 100),
        DataType::Int16 => Scalar::Integer(number % 30_000),
        DataType::Decimal { precision: 38, .. } => Scalar::Integer(number << 80),
        DataType::Decimal { .. } => Scalar::Integer(number % 1_000_000_000),
        DataType::Float32 | DataType::Float64 => Scalar::Float(number as f64 / 8.0),
        DataType::Interval => Scalar::Interval(Interval {
            months: row as i32 % 5,
            days: row as i32 % 40,
            micros: number as i64,
        }),
        DataType::Varchar | DataType::Binary => Scalar::Bytes(match column % 4 {
            0 => format!("é{}", row % 7).into_bytes(),
            1 => format!("some text about the number {row} ü").repeat(row % 3).into_bytes(),
            2 => Vec::new(),
            _ => format!("{number}").into_bytes(),
        }),
        _ => Scalar::Integer(number),
    }
}
