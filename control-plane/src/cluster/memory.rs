//! A cluster in memory, which behaves as coordinators do, for tests.

use super::Cluster;
use crate::error::{Error, Result};
use crate::json::Coordinator;
use crate::{hex, signing};
use flight_proto::admin::{
    PastRefresh, Policy, PolicyDocument, PublishOutcome, Published, PublishedDocument, RunSchedule,
};
use flight_proto::policy::{Document, Signed, Subject};
use flight_proto::usage::Usage;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct MemoryCluster {
    state: Mutex<State>,
}

struct State {
    away: bool,
    /// What all of its nodes speak.
    version: u32,
    /// The key that documents are taken of: that of the first one.
    key: Option<Vec<u8>>,
    taken: BTreeMap<String, (Document, Signed)>,
    /// Names and versions, in the order in which they were taken.
    history: Vec<(String, u64)>,
    usage: Vec<Usage>,
    /// The name of documents that it does not know what to make of.
    not_understood: String,
    /// Schedules that were to run, in order.
    runs: Vec<RunSchedule>,
}

impl MemoryCluster {
    /// Has it not answer any more, or again.
    pub fn set_away(&self, away: bool) {
        self.state.lock().away = away;
    }

    /// Has its nodes speak that version.
    pub fn set_version(&self, version: u32) {
        self.state.lock().version = version;
    }

    /// Has it refuse documents of a name, as an older release does; empty: none.
    pub fn set_not_understood(&self, name: &str) {
        self.state.lock().not_understood = name.into();
    }

    /// Has its coordinators tell this; what was acknowledged they do not tell again.
    pub fn set_usage(&self, usage: Vec<Usage>) {
        self.state.lock().usage = usage;
    }

    /// What it has of a name.
    pub fn document(&self, name: &str) -> Option<Document> {
        self.state.lock().taken.get(name).map(|(document, _)| document.clone())
    }

    /// Schedules that were to run, in order.
    pub fn runs(&self) -> Vec<RunSchedule> {
        self.state.lock().runs.clone()
    }

    /// Names and versions of all documents in the order in which they were taken.
    pub fn history(&self) -> Vec<(String, u64)> {
        self.state.lock().history.clone()
    }
}

impl Default for State {
    fn default() -> State {
        State {
            away: false,
            version: 2,
            key: None,
            taken: BTreeMap::new(),
            history: Vec::new(),
            usage: Vec::new(),
            not_understood: String::new(),
            runs: Vec::new(),
        }
    }
}

impl State {
    fn reached(&self) -> Result<()> {
        let away = || Error::Cluster("the cluster is away".into());
        if self.away { Err(away()) } else { Ok(()) }
    }

    fn take(&mut self, signed: Signed) -> Result<PublishedDocument> {
        let document = signing::verified(&signed).map_err(|error| Error::Cluster(error.to_string()))?;
        let key = self.key.get_or_insert_with(|| signed.key.clone());
        if *key != signed.key {
            return Err(Error::Cluster("the document is signed with another key".into()));
        }
        let name = document.name.clone();
        if name == self.not_understood {
            return Err(Error::NotTaken(format!("policy document '{name}': it is not understood")));
        }
        let known = self.taken.get(&name).map(|(document, _)| document);
        let (outcome, version) = match known {
            Some(known) if *known == document => (PublishOutcome::Known, known.version),
            Some(known) if known.version >= document.version => (PublishOutcome::Stale, known.version),
            _ => (PublishOutcome::Taken, document.version),
        };
        if outcome == PublishOutcome::Taken {
            self.history.push((name.clone(), version));
            self.taken.insert(name.clone(), (document, signed));
        }
        Ok(PublishedDocument { name, outcome, version })
    }
}

impl Cluster for MemoryCluster {
    fn policy(&self) -> BoxFuture<'_, Result<Policy>> {
        async move {
            let state = self.state.lock();
            state.reached()?;
            let documents = state.taken.values().map(|(document, signed)| PolicyDocument {
                name: document.name.clone(),
                version: document.version,
                decided_at_us: document.decided_at_us,
                gone: matches!(document.subject, Some(Subject::Gone(_))),
                signed: hex::encode(&signed.encode_to_vec()),
            });
            let documents: Vec<PolicyDocument> = documents.collect();
            let version = documents.iter().map(|document| document.version).max().unwrap_or(0);
            Ok(Policy { key: state.key.as_deref().map(hex::encode), version, documents })
        }
        .boxed()
    }

    fn publish(&self, documents: Vec<Signed>) -> BoxFuture<'_, Result<Published>> {
        async move {
            let mut state = self.state.lock();
            state.reached()?;
            let documents = documents.into_iter().map(|signed| state.take(signed)).collect::<Result<_>>()?;
            Ok(Published { documents })
        }
        .boxed()
    }

    fn run_schedule(&self, wanted: RunSchedule) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut state = self.state.lock();
            state.reached()?;
            state.runs.push(wanted);
            Ok(())
        }
        .boxed()
    }

    fn version(&self) -> BoxFuture<'_, Result<u32>> {
        async move {
            let state = self.state.lock();
            state.reached()?;
            Ok(state.version)
        }
        .boxed()
    }

    fn usage(&self, taken: BTreeMap<String, u64>) -> BoxFuture<'_, Vec<Usage>> {
        async move {
            let mut state = self.state.lock();
            if state.away {
                return Vec::new();
            }
            for usage in &mut state.usage {
                let taken = taken.get(&usage.source).copied().unwrap_or(0);
                usage.batches.retain(|batch| batch.sequence > taken);
            }
            state.usage.clone()
        }
        .boxed()
    }

    /// It has no tables.
    fn past_refreshes(&self, _tenant: String, _limit: usize) -> BoxFuture<'_, Result<Vec<PastRefresh>>> {
        async move { self.state.lock().reached().map(|()| Vec::new()) }.boxed()
    }

    fn coordinators(&self) -> Vec<Coordinator> {
        let failure = self.state.lock().reached().err().map(|error| error.to_string());
        vec![Coordinator { url: "memory:".into(), reachable: failure.is_none(), failure }]
    }
}
