//! The bytes of every message, as each version writes them.
//!
//! Nodes of two versions read each other's messages, and logs, snapshots and manifests outlive the code that wrote
//! them. If this test fails after a change, nodes of the version before would not understand what this one writes, or
//! this one would not read what lies on disk. So an entry is never changed: a field or a variant gets a new tag, one
//! that is no longer used keeps its own, and a field that is added is left out where it has its default. What is new
//! is added as a further sample, in the file of the version that has it first; `UPDATE_GOLDEN=1` writes its entry.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod file;
mod version_1;
mod version_2;

use file::Golden;
use flight_proto::Message;
use std::collections::BTreeSet;
use std::fmt::Debug;

/// What has been compared so far.
pub(crate) struct Samples {
    /// Of the version at hand.
    golden: Golden,
    types: BTreeSet<String>,
    /// All samples, for people.
    text: String,
}

impl Samples {
    fn new() -> Samples {
        Samples { golden: golden(1), types: BTreeSet::new(), text: String::new() }
    }

    /// A message is written as its golden bytes, and these are read as the message.
    pub(crate) fn check<M: Message + Default + PartialEq + Debug>(&mut self, name: &str, message: M) {
        let golden = self.golden.check(name, message.encode_to_vec());
        assert_eq!(M::decode(&golden[..]).unwrap(), message, "{name}");
        let path = std::any::type_name::<M>();
        self.types.insert(path.rsplit("::").next().unwrap_or(path).to_string());
        self.text += &format!("{message:?}\n");
    }

    /// As [`Samples::check`], for bytes that are no message by themselves.
    pub(crate) fn check_bytes(&mut self, name: &str, written: Vec<u8>) -> Vec<u8> {
        self.golden.check(name, written)
    }

    fn has(&self, declared: &Declared) -> bool {
        match declared {
            // One without fields is its name alone.
            Declared::Message(name) => {
                let inside = [format!("{name} {{"), format!("({name})")];
                self.types.contains(name) || inside.iter().any(|text| self.text.contains(text))
            }
            Declared::Variant(name) => self.text.contains(&format!("({name}(")),
            Declared::Value(name) => self.text.contains(&format!(": {name}")),
        }
    }
}

fn golden(version: u32) -> Golden {
    Golden::open(format!("{}/golden/{version}.txt", env!("CARGO_MANIFEST_DIR")))
}

/// What the sources declare.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Declared {
    Message(String),
    /// Of a choice.
    Variant(String),
    /// Of an enumeration.
    Value(String),
}

fn declared(source: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let derives = |what: &str| line.starts_with("#[derive(") && line.contains(what);
        let name_of =
            |line: &str| line.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap().to_string();
        if derives("prost::Message") {
            let declaration = lines.find_map(|line| line.strip_prefix("pub struct ")).unwrap();
            found.push(Declared::Message(name_of(declaration)));
        }
        let (variant, value) = (derives("prost::Oneof"), derives("prost::Enumeration"));
        if variant || value {
            let body = lines.by_ref().take_while(|line| *line != "}");
            let names =
                body.filter(|line| line.starts_with("    ") && line.trim().starts_with(char::is_uppercase));
            found.extend(names.map(|line| match variant {
                true => Declared::Variant(name_of(line)),
                false => Declared::Value(name_of(line)),
            }));
        }
    }
    found
}

#[test]
fn messages_are_written_and_read_as_ever() {
    let mut samples = Samples::new();
    version_1::samples(&mut samples);
    std::mem::replace(&mut samples.golden, golden(2)).finish();
    version_2::samples(&mut samples);
    let sources = [
        include_str!("../../src/access.rs"),
        include_str!("../../src/catalog.rs"),
        include_str!("../../src/credentials.rs"),
        include_str!("../../src/definition.rs"),
        include_str!("../../src/log.rs"),
        include_str!("../../src/manifest.rs"),
        include_str!("../../src/node.rs"),
        include_str!("../../src/replication.rs"),
        include_str!("../../src/schema.rs"),
        include_str!("../../src/sealed.rs"),
        include_str!("../../src/spending.rs"),
        include_str!("../../src/ticket.rs"),
    ];
    let all: Vec<Declared> = sources.into_iter().flat_map(declared).collect();
    assert!(all.len() > 150, "{all:?}");
    let missing: Vec<_> = all.iter().filter(|declared| !samples.has(declared)).collect();
    assert!(missing.is_empty(), "nothing is written of {missing:?}");
    samples.golden.finish();
}
