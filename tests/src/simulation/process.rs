//! What a process takes from the system below all libraries: its clocks and its random numbers.
//!
//! On a thread that simulates, `clock_gettime` and `getrandom` of the C library give what the simulation says, so that
//! `Instant`, `SystemTime` and the keys of hash maps follow from the seed in every crate. On other threads they are what
//! they always were.

use std::cell::Cell;
use std::panic;
use std::sync::Once;
use std::time::{Duration, Instant};

/// What simulated clocks show when a simulation begins: since their epochs.
const MONOTONIC: Duration = Duration::from_secs(1_000_000);
const WALL: Duration = Duration::from_secs(1_800_000_000);

#[derive(Clone, Copy)]
struct Clocks {
    monotonic: Duration,
    wall: Duration,
}

thread_local! {
    /// `None`: this thread does not simulate.
    static CLOCKS: Cell<Option<Clocks>> = const { Cell::new(None) };
    static ENTROPY: Cell<u64> = const { Cell::new(0) };
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Makes this thread one that simulates, for good; gives the moment at which the simulation begins.
pub fn simulate(seed: u64) -> Instant {
    static COUNT_PANICS: Once = Once::new();
    COUNT_PANICS.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    ENTROPY.set(seed);
    set_clocks(Duration::ZERO, 0);
    let begun = Instant::now();
    set_clocks(Duration::from_secs(1), 0);
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "the clock of the C library was not replaced");
    set_clocks(Duration::ZERO, 0);
    begun
}

/// Lets the clocks show the time since the beginning; the wall clock goes wrong by `skew_ms`.
pub fn set_clocks(since: Duration, skew_ms: i64) {
    let skew = Duration::from_millis(skew_ms.unsigned_abs());
    let wall = WALL + since;
    let wall = if skew_ms < 0 { wall - skew } else { wall + skew };
    CLOCKS.set(Some(Clocks { monotonic: MONOTONIC + since, wall }));
}

/// Panics of this thread so far, those that were caught included.
pub fn panics() -> u64 {
    PANICS.get()
}

/// Replaces the C library's.
///
/// # Safety
/// `time` is valid for a write, as callers of the C library promise.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let clocks = CLOCKS.try_with(Cell::get).ok().flatten();
    let shown = clocks.and_then(|clocks| match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => Some(clocks.wall),
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME
        // What is counted of processors must not hang on the machine: nodes tell each other.
        | libc::CLOCK_THREAD_CPUTIME_ID
        | libc::CLOCK_PROCESS_CPUTIME_ID => Some(clocks.monotonic),
        _ => None,
    });
    match shown {
        Some(shown) => {
            let shown = libc::timespec {
                tv_sec: shown.as_secs() as libc::time_t,
                tv_nsec: shown.subsec_nanos() as libc::c_long,
            };
            // SAFETY: `time` is valid for a write.
            unsafe { time.write(shown) };
            0
        }
        // SAFETY: the system call that the function stands for, with its arguments.
        None => unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int },
    }
}

/// Replaces the C library's.
///
/// # Safety
/// `buffer` is valid for writes of `length` bytes, as callers of the C library promise.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    if CLOCKS.try_with(Cell::get).ok().flatten().is_none() {
        // SAFETY: the system call that the function stands for, with its arguments.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as libc::ssize_t };
    }
    // SAFETY: `buffer` is valid for writes of `length` bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    let mut random = crate::random::Random::new(ENTROPY.get());
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&random.number().to_ne_bytes()[..chunk.len()]);
    }
    ENTROPY.set(random.number());
    length as libc::ssize_t
}
