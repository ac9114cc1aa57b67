//! Faults that are planted in a simulated cluster, which the checkers must find.
//!
//! Nodes run as they always do. What is wrong is what they stand on: the network, the disk, the store; or a client.
//!
//! | planted | where | what a user would call it | found as |
//! |---|---|---|---|
//! | [`OldVersion`](Planted::OldVersion) | client | an answer of an older version | `catalog` |
//! | [`StaleRead`](Planted::StaleRead) | network: a coordinator gets the log late, and is told the first read index for ever | a read that misses what was acknowledged | `catalog` |
//! | [`LostDrop`](Planted::LostDrop) | network: a `DROP` for the leader becomes a change that does nothing | a dropped table that is still there | `catalog` |
//! | [`RowsTwice`](Planted::RowsTwice) | network: frames of rows are delivered twice | rows counted twice | `catalog`, `version`, `answer` |
//! | [`RowsLost`](Planted::RowsLost) | network: frames of rows are dropped, and nobody is told | rows that are missing | `catalog`, `version`, `answer` |
//! | [`HalfVersion`](Planted::HalfVersion) | client | a part of a version | `version` |
//! | [`ShortManifest`](Planted::ShortManifest) | network: one shard's manifests lack their last file | a shard that serves a wrong version | `version`, `answer`, `catalog` |
//! | [`WrongAnswer`](Planted::WrongAnswer) | client | an answer that a single node does not give | `answer` |
//! | [`LostPuts`](Planted::LostPuts) | store: puts are acknowledged and forgotten | a lost commit | `catalog`, `hang` |
//! | [`LyingDisk`](Planted::LyingDisk) | disk: syncs are acknowledged, and lost with a crash | a lost commit | `catalog`, `defect`, `hang` |
//! | [`KeptQuery`](Planted::KeptQuery) | client: a result that nobody reads | a query that holds memory | `leak` |
//! | [`UnheardEnd`](Planted::UnheardEnd) | network: shards do not hear that a query was given up | a query that holds memory | `leak` |
//! | [`KeptLease`](Planted::KeptLease) | network: what a coordinator once used it uses for ever | versions that never go | `leak` |
//! | [`NoHealing`](Planted::NoHealing) | network: coordinators stay cut off | | `hang` |
//! | [`NoDone`](Planted::NoDone) | network: a coordinator does not hear that shards are done | | `hang` |

use crate::random::Random;
use bytes::Bytes;
use flight_proto::Message;
use flight_proto::catalog::{Change, Restored};
use flight_proto::manifest::Manifest;
use flight_proto::node::{Hydrate, Orders, Ran, Service, Told, VersionName};
use flight_proto::replication::{Answer, Question, Request, Response};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A fault that the checkers must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Planted {
    OldVersion,
    HalfVersion,
    WrongAnswer,
    KeptQuery,
    LostPuts,
    LyingDisk,
    NoHealing,
    StaleRead,
    LostDrop,
    RowsTwice,
    RowsLost,
    ShortManifest,
    UnheardEnd,
    KeptLease,
    NoDone,
}

impl Planted {
    /// Whether it lies in what nodes send and receive.
    pub fn is_in_messages(self) -> bool {
        use Planted::*;
        matches!(
            self,
            StaleRead | LostDrop | RowsTwice | RowsLost | ShortManifest | UnheardEnd | KeptLease | NoDone
        )
    }
}

/// Spoils what one life of a node sends, and what it is answered, on streams that it opens.
pub struct Spoiler {
    planted: Planted,
    node: String,
    state: Mutex<State>,
}

struct State {
    random: Random,
    read_index: Option<u64>,
    in_use: BTreeSet<VersionName>,
}

/// A message on a stream.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub service: u16,
    pub to: &'a str,
    /// Those before it, the header left out.
    pub number: usize,
}

impl Place<'_> {
    fn is(&self, service: Service) -> bool {
        self.service == service as u16
    }
}

impl Spoiler {
    pub fn new(planted: Planted, node: &str, random: Random) -> Spoiler {
        let state = State { random, read_index: None, in_use: BTreeSet::new() };
        Spoiler { planted, node: node.into(), state: Mutex::new(state) }
    }

    /// Whether a stream that this node gives up stays open.
    pub fn keeps(&self, service: u16) -> bool {
        self.planted == Planted::UnheardEnd && service == Service::Run as u16
    }

    /// What is sent instead of a message.
    pub fn sent(&self, place: Place<'_>, message: Bytes) -> Vec<Bytes> {
        let mut state = self.state.lock();
        match self.planted {
            Planted::RowsTwice | Planted::RowsLost if place.is(Service::Rows) && place.number > 0 => {
                self.rows(&mut state, message)
            }
            Planted::StaleRead if place.is(Service::Raft) && place.to.starts_with("c3:") => {
                match Request::decode(message.clone()).ok().and_then(|request| request.question) {
                    Some(Question::Append(append))
                        if !append.entries.is_empty() && state.random.one_in(2) =>
                    {
                        Vec::new()
                    }
                    _ => vec![message],
                }
            }
            Planted::LostDrop if place.is(Service::Raft) => {
                vec![changed(message, |request: &mut Request| {
                    if let Some(Question::Propose(propose)) = &mut request.question
                        && let Some(command) = &mut propose.command
                        && let Some(Change::DropDataset(_)) = command.change
                    {
                        command.change = Some(Change::Restored(Restored {}));
                    }
                })]
            }
            Planted::ShortManifest if place.is(Service::Hydrate) && place.to.starts_with("s1:") => {
                vec![changed(message, |hydrate: &mut Hydrate| {
                    hydrate.manifest.iter_mut().for_each(shorten);
                })]
            }
            _ => vec![message],
        }
    }

    /// What is received instead of a message.
    pub fn received(&self, place: Place<'_>, message: Bytes) -> Vec<Bytes> {
        let mut state = self.state.lock();
        let state = &mut *state;
        match self.planted {
            Planted::RowsTwice | Planted::RowsLost if place.is(Service::Run) && tells_rows(&message) => {
                self.rows(state, message)
            }
            Planted::StaleRead if place.is(Service::Raft) => {
                vec![changed(message, |response: &mut Response| {
                    if let Some(Answer::ReadIndex(index)) = &mut response.answer {
                        *index = *state.read_index.get_or_insert(*index);
                    }
                })]
            }
            Planted::ShortManifest if place.is(Service::Manifest) && self.node == "s1" => {
                vec![changed(message, shorten)]
            }
            Planted::KeptLease if place.is(Service::Heartbeat) => {
                vec![changed(message, |orders: &mut Orders| {
                    state.in_use.extend(orders.in_use.drain(..));
                    orders.in_use = state.in_use.iter().cloned().collect();
                })]
            }
            Planted::NoDone if place.is(Service::Run) && self.node == "c2" => {
                let told = Ran::decode(message.clone()).ok().and_then(|ran| ran.told);
                if matches!(told, Some(Told::Done(_))) { Vec::new() } else { vec![message] }
            }
            _ => vec![message],
        }
    }

    fn rows(&self, state: &mut State, message: Bytes) -> Vec<Bytes> {
        match state.random.one_in(4) {
            false => vec![message],
            true if self.planted == Planted::RowsTwice => vec![message.clone(), message],
            true => Vec::new(),
        }
    }
}

fn tells_rows(message: &Bytes) -> bool {
    matches!(Ran::decode(message.clone()), Ok(Ran { told: Some(Told::Rows(_)) }))
}

fn shorten(manifest: &mut Manifest) {
    if manifest.files.len() > 1 {
        manifest.files.pop();
    }
}

/// A message of that kind, changed; any other as it is.
fn changed<M: Message + Default>(message: Bytes, change: impl FnOnce(&mut M)) -> Bytes {
    let Ok(mut decoded) = M::decode(message.clone()) else { return message };
    change(&mut decoded);
    decoded.encode_to_vec().into()
}
