//! What has happened in a simulation, in order.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Duration;

/// Events that are shown where a run fails.
const TAIL: usize = 60;

/// All events of a run: counted, hashed and, of the last ones, kept.
#[derive(Default)]
pub struct Trace {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Duration,
    hash: Hash,
    messages: u64,
    tail: VecDeque<String>,
    faults: Vec<String>,
    /// Where `SIMULATION_TRACE` wants every event written.
    file: Option<BufWriter<File>>,
}

/// FNV-1a (Fowler, Noll, Vo 1991) of 64 bits.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Trace {
    /// Writes every event into a file where the variable `SIMULATION_TRACE` names a folder.
    pub fn new(seed: u64) -> Trace {
        let trace = Trace::default();
        if let Ok(folder) = std::env::var("SIMULATION_TRACE") {
            let count = (0..).find(|n| !std::path::Path::new(&format!("{folder}/{seed}.{n}")).exists());
            let path = format!("{folder}/{seed}.{}", count.unwrap_or(0));
            trace.state.lock().file = File::create(path).ok().map(BufWriter::new);
        }
        trace
    }

    /// The time of the events that follow.
    pub fn set_time(&self, now: Duration) {
        self.state.lock().now = now;
    }

    /// Something that happened, such as a statement's end.
    pub fn event(&self, what: impl Display) {
        self.state.lock().add(format_args!("{what}"));
    }

    /// A fault.
    pub fn fault(&self, what: impl Display) {
        let mut state = self.state.lock();
        let line = format!("{:.3} {what}", state.now.as_secs_f64());
        state.faults.push(line);
        state.add(format_args!("fault: {what}"));
    }

    /// A message between nodes.
    pub fn message(&self, from: &str, to: &str, bytes: usize) {
        let mut state = self.state.lock();
        state.messages += 1;
        let now = state.now.as_millis() as u64;
        state.hash.add(&now.to_le_bytes());
        state.hash.add(from.as_bytes());
        state.hash.add(to.as_bytes());
        state.hash.add(&(bytes as u64).to_le_bytes());
        if state.file.is_some() {
            state.write(format_args!("{from} to {to}: {bytes} bytes"));
        }
    }

    /// Tells this run from others.
    pub fn hash(&self) -> u64 {
        self.state.lock().hash.0
    }

    pub fn messages(&self) -> u64 {
        self.state.lock().messages
    }

    pub fn faults(&self) -> Vec<String> {
        self.state.lock().faults.clone()
    }

    /// The last events other than messages.
    pub fn tail(&self) -> Vec<String> {
        self.state.lock().tail.iter().cloned().collect()
    }
}

impl State {
    fn add(&mut self, what: fmt::Arguments<'_>) {
        let line = format!("{:.3} {what}", self.now.as_secs_f64());
        self.hash.add(line.as_bytes());
        self.write(format_args!("{what}"));
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    fn write(&mut self, what: fmt::Arguments<'_>) {
        let now = self.now.as_secs_f64();
        if let Some(file) = &mut self.file {
            // The trace helps to find a fault; a run without it is the same.
            let _ = writeln!(file, "{now:.3} {what}");
        }
    }
}
