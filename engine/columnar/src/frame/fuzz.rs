//! Frames changed at random: decoding them gives errors or sound batches, never a panic, and allocates no more than
//! was allowed.
//!
//! A run takes `FUZZ_SECONDS` (5 where it is not set). A failure names the `FUZZ_SEED` that begins with it.

#![allow(clippy::print_stdout, reason = "a run prints its seed")]

use super::header::FrameHeader;
use super::samples::{Random, Samples, assert_sound};
use super::{FrameDecoder, FrameEncoder, FrameLimits, FrameOptions};
use crate::lz4;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LIMITS: FrameLimits = FrameLimits { rows: 4_096, bytes: 8 << 20 };

/// The system's allocator, and how much this thread has taken and not given back, now and at most.
struct Watched;

thread_local! {
    static TAKEN: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn note(bytes: isize) {
    let (now, most) = TAKEN.get();
    let now = now + bytes;
    TAKEN.set((now, most.max(now)));
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller keeps the contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

#[test]
fn frames_changed_at_random_do_no_harm() {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_micros() as u64);
    let given = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, seconds) = (given("FUZZ_SEED").unwrap_or_else(drawn), given("FUZZ_SECONDS").unwrap_or(5));
    println!("FUZZ_SEED={seed}");
    let streams: Vec<Vec<Vec<u8>>> = (0..40).map(stream).collect();
    let begun = Instant::now();
    let (mut rounds, mut decoded) = (0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let round = seed.wrapping_add(rounds);
        let mut random = Random(round);
        let frames = &streams[random.below(streams.len())];
        let last = random.below(frames.len());
        let frame = changed(&frames[last], &frames[random.below(frames.len())], &mut random);
        let mut decoder = FrameDecoder::new(LIMITS);
        frames[..last].iter().for_each(|frame| drop(decoder.decode(frame).unwrap()));
        TAKEN.set((0, 0));
        let batch = catch_unwind(AssertUnwindSafe(|| decoder.decode(&frame)));
        // What an error says, and small things beside the values.
        let most = LIMITS.bytes + frame.len() + 1024;
        assert!(TAKEN.get().1 <= most as isize, "{} bytes taken with FUZZ_SEED={round}", TAKEN.get().1);
        let sound = catch_unwind(AssertUnwindSafe(|| match batch {
            Ok(Ok(batch)) => {
                assert_sound(&batch);
                true
            }
            Ok(Err(_)) => false,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        match sound {
            Ok(sound) => decoded += u64::from(sound),
            Err(_) => panic!("a panic with FUZZ_SEED={round}"),
        }
        rounds += 1;
    }
    println!("{rounds} frames, {decoded} decoded");
    assert!(decoded > rounds / 20, "{decoded} of {rounds} frames decoded: too few changes are of values");
    assert!(decoded < rounds, "nothing was refused");
}

/// Frames of a stream, not compressed.
fn stream(seed: u64) -> Vec<Vec<u8>> {
    let mut samples = Samples::new(seed);
    let mut encoder = FrameEncoder::new(FrameOptions { compress: false });
    (0..4)
        .map(|_| {
            let (rows, columns) = (samples.random.below(200), samples.random.below(6));
            encoder.encode(&samples.batch(rows, columns))
        })
        .collect()
}

/// A frame with bits, bytes and stretches changed, taken from another frame or left out; as an LZ4 block at times.
fn changed(frame: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + 1 + random.below(40));
        match random.below(8) {
            _ if bytes.is_empty() => break,
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.next() as u8,
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => bytes[at..end].fill(random.pick(&[0, 0xff, 0x80, 0x7f])),
            6 => {
                let from = random.below(other.len());
                let stretch = &other[from..other.len().min(from + end - at)];
                bytes.splice(at..end, stretch.iter().copied());
            }
            _ => {
                // A whole word, where columns, counts and bases begin.
                let number = random.pick(&[0, 1, 255, 256, 4_096, 1 << 31, u64::MAX >> 1, u64::MAX]);
                let words = bytes.as_chunks_mut::<8>().0;
                if !words.is_empty() {
                    words[random.below(words.len())] = number.to_le_bytes();
                }
            }
        }
    }
    // Most lengths are made right again, so that the columns are read.
    if bytes.len() >= FrameHeader::BYTES && !random.one_in(4) {
        let body = bytes.split_off(FrameHeader::BYTES);
        bytes[16..].copy_from_slice(&(body.len() as u64).to_le_bytes());
        match lz4::compress(&body).filter(|_| random.one_in(3)) {
            Some(block) => {
                bytes[1] = 1;
                bytes.extend(block);
            }
            None => bytes.extend(body),
        }
    }
    bytes
}
