//! Several members in one process, on a network that delays, loses and cuts.

use super::{never, random};
use crate::catalog::raft::options::Random;
use crate::catalog::raft::transport::Transport;
use crate::catalog::{CatalogStore, RaftCatalog, RaftOptions};
use bytes::Bytes;
use flight_proto::Message;
use flight_proto::replication::{Question, Request};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// How the network behaves; shared by all members.
pub(super) struct Wires {
    state: Mutex<State>,
    random: Random,
}

#[derive(Default)]
struct State {
    members: BTreeMap<String, Weak<RaftCatalog>>,
    /// From whom to whom nothing passes.
    cut: HashSet<(String, String)>,
    /// Every message takes a random time up to this.
    delay_most: Duration,
    /// How many of a thousand messages are lost.
    lost_per_mille: u128,
    read_indexes: usize,
}

impl Wires {
    fn below(&self, end: u128) -> u128 {
        (self.random)().unwrap() % end.max(1)
    }

    /// A message's way; it never ends for one that is lost.
    async fn pass(&self, from: &str, to: &str) {
        let (cut, delay, lost) = {
            let state = self.state.lock();
            let cut = state.cut.contains(&(from.to_string(), to.to_string()));
            (cut, state.delay_most, state.lost_per_mille)
        };
        if cut || self.below(1_000) < lost {
            std::future::pending::<()>().await;
        }
        if !delay.is_zero() {
            sleep(Duration::from_micros(self.below(delay.as_micros()) as u64)).await;
        }
    }

    async fn exchange(&self, from: &str, to: &str, request: Bytes) -> network::Result<Bytes> {
        self.pass(from, to).await;
        let member = {
            let mut state = self.state.lock();
            let question = Request::decode(request.clone()).unwrap().question;
            state.read_indexes += usize::from(matches!(question, Some(Question::ReadIndex(_))));
            state.members.get(to).and_then(Weak::upgrade)
        };
        let Some(member) = member else {
            return Err(network::Error::Unreachable { peer: to.into(), why: "nobody is there".into() });
        };
        // Who asked may give up; who was asked goes on.
        let answer = tokio::spawn(member.answer(request)).await;
        let answer = answer.map_err(|_| network::Error::Stopped)?;
        drop(member);
        self.pass(to, from).await;
        Ok(answer)
    }
}

struct Wire {
    from: String,
    wires: Arc<Wires>,
}

impl Transport for Wire {
    fn call<'a>(
        &'a self,
        address: &'a str,
        request: Bytes,
        patience: Duration,
    ) -> BoxFuture<'a, network::Result<Bytes>> {
        Box::pin(async move {
            let exchange = self.wires.exchange(&self.from, address, request);
            timeout(patience, exchange).await.unwrap_or_else(|_| {
                let milliseconds = patience.as_millis() as u64;
                Err(network::Error::TimedOut { peer: address.into(), milliseconds })
            })
        })
    }
}

pub(super) fn address(id: u64) -> String {
    format!("node{id}:1")
}

/// Members by number; one that is down is missing.
pub(super) struct Cluster {
    pub(super) members: BTreeMap<u64, Arc<RaftCatalog>>,
    pub(super) wires: Arc<Wires>,
    folder: TempDir,
    founders: BTreeMap<u64, String>,
    tune: fn(&mut RaftOptions),
    starts: u64,
}

impl Cluster {
    /// Starts members 1 to `count` and waits until each is ready.
    pub(super) async fn start(count: u64, seed: u64, tune: fn(&mut RaftOptions)) -> Cluster {
        let wires = Arc::new(Wires { state: Mutex::default(), random: random(seed) });
        let mut cluster = Cluster {
            members: BTreeMap::new(),
            wires,
            folder: TempDir::new().unwrap(),
            founders: (1..=count).map(|id| (id, address(id))).collect(),
            tune,
            starts: seed,
        };
        for id in 1..=count {
            cluster.up(id).await;
        }
        for member in cluster.members.values() {
            member.ready().await.unwrap();
        }
        cluster
    }

    /// Lets members 1 to `count` be those that make the catalog.
    pub(super) fn found(&mut self, count: u64) {
        self.founders = (1..=count).map(|id| (id, address(id))).collect();
    }

    /// Starts a member, or starts it again.
    pub(super) async fn up(&mut self, id: u64) {
        self.starts += 1_000;
        let wire = Wire { from: address(id), wires: self.wires.clone() };
        let mut options =
            RaftOptions::new(id, self.founders.clone(), Arc::new(wire), random(self.starts + id));
        (self.tune)(&mut options);
        let path = self.path(id);
        let mut tries = 0;
        let member = loop {
            match RaftCatalog::open(&*path, options.clone(), never()).await {
                Ok(member) => break Arc::new(member),
                // The tasks of its former life let the file go one after the other.
                Err(error) if tries == 1_000 => panic!("{error}"),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(1)).await;
        };
        self.wires.state.lock().members.insert(address(id), Arc::downgrade(&member));
        self.members.insert(id, member);
    }

    /// Ends a member without a word to the others.
    pub(super) async fn crash(&mut self, id: u64) {
        self.wires.state.lock().members.remove(&address(id));
        let member = self.members.remove(&id).unwrap();
        member.member.close();
        member.member.raft.shutdown().await.unwrap();
    }

    /// Ends a member as a process that is told to stop.
    pub(super) async fn stop(&mut self, id: u64) {
        let member = self.members.remove(&id).unwrap();
        member.close().await.unwrap();
        self.wires.state.lock().members.remove(&address(id));
    }

    /// Loses the disk of a member that is down.
    pub(super) fn wipe(&self, id: u64) {
        std::fs::remove_file(self.path(id)).unwrap();
    }

    fn path(&self, id: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("{id}.redb"))
    }

    pub(super) fn member(&self, id: u64) -> &RaftCatalog {
        &self.members[&id]
    }

    /// The member that leads with the assent of others.
    pub(super) async fn leader(&self) -> u64 {
        let since = Instant::now();
        loop {
            let leads = |id: &&u64| {
                let followers = self.members.values().filter(|member| member.status().leader == Some(**id));
                followers.count() * 2 > self.members.len()
            };
            if let Some(id) = self.members.keys().find(leads) {
                return *id;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "no leader: {:#?}", self.statuses());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// A member that does not lead.
    pub(super) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        *self.members.keys().find(|id| **id != leader).unwrap()
    }

    pub(super) fn statuses(&self) -> Vec<crate::catalog::RaftStatus> {
        self.members.values().map(|member| member.status()).collect()
    }

    /// Cuts a member off from all others.
    pub(super) fn isolate(&self, id: u64) {
        let mut state = self.wires.state.lock();
        for other in (1..=9).filter(|other| *other != id) {
            state.cut.insert((address(id), address(other)));
            state.cut.insert((address(other), address(id)));
        }
    }

    /// Messages pass from anyone to anyone again.
    pub(super) fn heal(&self) {
        self.wires.state.lock().cut.clear();
    }

    /// From now on a message takes up to `delay_most`, and some are lost.
    pub(super) fn trouble(&self, delay_most: Duration, lost_per_mille: u128) {
        let mut state = self.wires.state.lock();
        (state.delay_most, state.lost_per_mille) = (delay_most, lost_per_mille);
    }

    /// How often a read index was asked for over the network.
    pub(super) fn read_indexes(&self) -> usize {
        self.wires.state.lock().read_indexes
    }

    /// Waits until all members are up to date; they must have the same state then.
    pub(super) async fn agree(&self) {
        for member in self.members.values() {
            member.ready().await.unwrap();
        }
        let mut states = self.members.values().map(|member| member.snapshot());
        let first = states.next().unwrap();
        for state in states {
            assert_eq!(first, state);
        }
    }
}
