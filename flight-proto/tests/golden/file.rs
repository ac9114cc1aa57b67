//! A file of golden bytes: a name and hexadecimal digits a line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The entries of a file, and what was compared with them.
pub(crate) struct Golden {
    path: PathBuf,
    entries: BTreeMap<String, Vec<u8>>,
    seen: BTreeSet<String>,
    new: Vec<(String, Vec<u8>)>,
}

impl Golden {
    pub(crate) fn open(path: impl Into<PathBuf>) -> Golden {
        let path = path.into();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let entry = |line: &str| {
            let (name, digits) = line.rsplit_once(": ").unwrap_or_else(|| panic!("no entry: {line}"));
            (name.to_string(), bytes_of(digits))
        };
        let entries = text.lines().map(entry).collect();
        Golden { path, entries, seen: BTreeSet::new(), new: Vec::new() }
    }

    /// Compares what is written today with the entry of that name, and gives the entry's bytes, to be read again.
    pub(crate) fn check(&mut self, name: &str, written: Vec<u8>) -> Vec<u8> {
        assert!(self.seen.insert(name.to_string()), "two samples are called {name}");
        match self.entries.get(name) {
            Some(golden) => {
                assert_eq!(
                    digits_of(golden),
                    digits_of(&written),
                    "{name} is written as other bytes than before"
                );
                golden.clone()
            }
            None => {
                self.new.push((name.to_string(), written.clone()));
                written
            }
        }
    }

    /// Every entry has a sample, and every sample an entry; with `UPDATE_GOLDEN` set, entries are added.
    pub(crate) fn finish(self) {
        let lost: Vec<_> = self.entries.keys().filter(|name| !self.seen.contains(*name)).collect();
        assert!(lost.is_empty(), "no samples for entries of {}: {lost:?}", self.path.display());
        if std::env::var_os("UPDATE_GOLDEN").is_none() {
            let new: Vec<_> = self.new.iter().map(|(name, _)| name).collect();
            assert!(
                new.is_empty(),
                "no entries in {}; add them with UPDATE_GOLDEN=1: {new:?}",
                self.path.display()
            );
            return;
        }
        let mut text = std::fs::read_to_string(&self.path).unwrap_or_default();
        for (name, bytes) in self.new {
            text += &format!("{name}: {}\n", digits_of(&bytes));
        }
        std::fs::write(&self.path, text).unwrap();
    }
}

fn digits_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
