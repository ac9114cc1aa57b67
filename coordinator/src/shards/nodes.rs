//! Shards that are nodes of a cluster: which live, what they hold, what they are to hold.

use super::Holdings;
use super::leaving::{is_drained, order};
use super::pools::{members, seat_in_pool, wanted_in};
use super::seating::{NodeView, Seating};
use crate::catalog::{CatalogState, CatalogStore};
use crate::credentials::{TenantCredentials, ToldVersions};
use crate::error::{Error, Result};
use crate::losses::{Fate, LostShard};
use flight_proto::catalog::{Change, Command, SetShard, Shard, ShardStatus};
use flight_proto::credentials::StoreAccess;
use flight_proto::node::{Heartbeat, Load, Orders, StoreUse, VersionName, Wanted};
use flight_proto::policy::DEFAULT_TENANT;
use flight_proto::pool::{DEFAULT_POOL, in_message, named};
use network::{Peers, Versions};
use parking_lot::Mutex;
use shard::hydrate::Options;
use shard::service::words::{dealing_of, holding_of, hydration_of, versions_of};
use shard::{Hydration, HydrationState, Member, ShardSet, VersionId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it is looked whether shards have fallen silent.
const TICK: Duration = Duration::from_millis(100);

/// What a cluster expects of its shards.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// On how many shards each bucket lies.
    pub replicas: usize,
    /// A shard that is silent for so long takes no part in queries.
    pub silence: Duration,
    /// One that is silent for so long loses its buckets to the others.
    pub down_after: Duration,
    /// How datasets are cut.
    pub hydration: Options,
}

/// The shards of a cluster as one coordinator knows them.
pub(crate) struct Nodes {
    pub(super) catalog: Arc<dyn CatalogStore>,
    pub(crate) peers: Arc<Peers>,
    pub(super) options: NodeOptions,
    /// By which shards read tenants' objects.
    pub(super) credentials: Arc<TenantCredentials>,
    pub(super) known: Mutex<BTreeMap<u64, Known>>,
    /// Versions that are being brought in, and are to be kept meanwhile.
    pub(super) bringing: Mutex<Vec<VersionId>>,
    /// The pool that had all of a tenant's data when they were seated last. Once it is its own, it is not read elsewhere.
    pub(super) read_in: Mutex<BTreeMap<String, String>>,
    /// Counts the changes of who lives and what is held.
    changes: watch::Sender<u64>,
}

pub(super) struct Known {
    incarnation: u64,
    address: String,
    pub(super) pool: Arc<str>,
    weight: u32,
    versions: Versions,
    /// `None`: a call has failed since it was last heard of.
    heard: Option<Instant>,
    last_heard: Instant,
    pub(super) alive: bool,
    holdings_revision: u64,
    hydrated_revision: u64,
    /// Of the catalog: what that has of tenants' credentials this coordinator itself has told it. Another may lack the key.
    told_revision: u64,
    told_versions: ToldVersions,
    pub(super) holdings: Holdings,
    hydrations: Vec<Hydration>,
    /// What it told last.
    load: Option<Load>,
    store: Vec<StoreUse>,
}

/// A shard as operators see it.
#[derive(Clone, Debug)]
pub(crate) struct NodeSummary {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) pool: String,
    pub(crate) alive: bool,
    pub(crate) status: &'static str,
    pub(crate) buckets: usize,
    pub(crate) rows: u64,
    /// What it speaks; `None`: it was not heard of.
    pub(crate) versions: Option<Versions>,
    /// How much of it is used; `None`: it does not tell.
    pub(crate) load: Option<Load>,
}

impl Known {
    /// Whether it is known what it holds.
    pub(super) fn has_told(&self) -> bool {
        self.holdings_revision > 0
    }
}

impl Nodes {
    pub(crate) fn new(
        catalog: Arc<dyn CatalogStore>,
        peers: Arc<Peers>,
        options: NodeOptions,
        credentials: Arc<TenantCredentials>,
    ) -> Nodes {
        Nodes {
            catalog,
            peers,
            options,
            credentials,
            known: Mutex::default(),
            bringing: Mutex::default(),
            read_in: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Tells when shards come, go, or hold something else.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Answers a shard's heartbeat; `in_use` are the versions that queries here may read.
    pub(crate) fn heartbeat(&self, heartbeat: Heartbeat, mut in_use: Vec<VersionName>) -> Result<Orders> {
        in_use.extend(self.bringing.lock().iter().map(VersionName::from));
        let now = Instant::now();
        let snapshot = self.catalog.snapshot();
        let (versions, cluster_version) = (versions_of(heartbeat.speaks), snapshot.cluster_version());
        if let Some(why) = versions.refusal(cluster_version) {
            return Err(Error::Environment(why));
        }
        self.check_pool(&snapshot, &heartbeat)?;
        let holdings = match heartbeat.holdings {
            Some(holdings) => {
                let held: shard::Result<HashMap<_, _>> =
                    holdings.versions.into_iter().map(holding_of).collect();
                Some(Arc::new(held.map_err(|error| Error::Environment(error.to_string()))?))
            }
            None => None,
        };
        // One that has missed an answer tells all.
        let has_missed =
            heartbeat.hydrations.is_some() && (heartbeat.holdings_revision == 0 || holdings.is_some());
        let behind = heartbeat.wanted_revision < snapshot.revision();
        let (holdings_revision, changed, (access, told_all)) = {
            let mut known = self.known.lock();
            let node = known.entry(heartbeat.shard).or_insert_with(|| Known {
                incarnation: 0,
                address: String::new(),
                pool: DEFAULT_POOL.into(),
                weight: 1,
                versions,
                heard: None,
                last_heard: now,
                alive: false,
                holdings_revision: 0,
                hydrated_revision: 0,
                told_revision: 0,
                told_versions: ToldVersions::default(),
                holdings: Arc::default(),
                hydrations: Vec::new(),
                load: None,
                store: Vec::new(),
            });
            let mut changed = !node.alive;
            if node.incarnation != heartbeat.incarnation {
                (node.holdings_revision, node.holdings, changed) = (0, Arc::default(), true);
                (node.load, node.store) = (None, Vec::new());
            }
            if node.incarnation != heartbeat.incarnation || has_missed {
                (node.told_revision, node.told_versions) = (0, ToldVersions::default());
            }
            changed |= node.address != heartbeat.address;
            node.incarnation = heartbeat.incarnation;
            node.address = heartbeat.address;
            changed |= *node.pool != *named(&heartbeat.pool);
            node.pool = named(&heartbeat.pool).into();
            node.weight = heartbeat.weight.max(1);
            node.versions = versions;
            node.hydrated_revision = heartbeat.hydrated_revision;
            (node.heard, node.last_heard, node.alive) = (Some(now), now, true);
            if heartbeat.load.is_some() {
                (node.load, node.store) = (heartbeat.load, heartbeat.store);
            }
            if let Some(told) = heartbeat.hydrations {
                node.hydrations = told.hydrations.into_iter().filter_map(hydration_of).collect();
            }
            if let Some(holdings) = holdings {
                changed |= node.holdings != holdings;
                (node.holdings, node.holdings_revision) = (holdings, heartbeat.holdings_revision);
            }
            let is_told = node.told_revision >= snapshot.revision() || is_drained(&snapshot, heartbeat.shard);
            let news = match is_told {
                true => (Vec::new(), true),
                false => self.credentials.news(&snapshot, &mut node.told_versions),
            };
            if !is_told && news.1 {
                node.told_revision = snapshot.revision();
            }
            (node.holdings_revision, changed, news)
        };
        if changed {
            self.changed();
        }
        let pool = self.pool_of_shard(&snapshot, heartbeat.shard);
        in_use.extend(self.unmoved(&snapshot, heartbeat.shard));
        // What is wanted is not told before all that it is read by. Of revision 0 nothing is wanted.
        let wanted = match behind && told_all {
            true => Some(self.wanted(&snapshot, &pool, heartbeat.shard, access)),
            false if access.is_empty() => None,
            false => Some(Wanted { access, ..Wanted::default() }),
        };
        let members = self.catalog.status().members.into_iter();
        let lacking = heartbeat.hydrated_revision < snapshot.revision();
        // Those of its pool, and those that have what is to come into it.
        let has_segments = |node: &NodeView| {
            let own = |id: &VersionId| snapshot.pool_of(&id.tenant) == pool;
            *node.pool == *pool || node.holdings.keys().any(own)
        };
        let others = self.alive().into_iter().filter(|node| lacking && node.id != heartbeat.shard);
        let others = others.filter(has_segments);
        Ok(Orders {
            shards: others.map(|node| node.address).collect(),
            epoch: self.catalog.leadership().term,
            holdings_revision,
            wanted,
            in_use,
            settled_revision: self.settled_revision(&snapshot, &pool),
            coordinators: members.map(|member| member.address).collect(),
            cluster_version: cluster_version.into(),
        })
    }

    /// What the shards of a pool are to hold by that state of the catalog, as it is told to one of them.
    fn wanted(&self, snapshot: &CatalogState, pool: &str, shard: u64, access: Vec<StoreAccess>) -> Wanted {
        Wanted {
            revision: snapshot.revision(),
            dealing: Some(dealing_of(&self.set(snapshot, pool), &self.options.hydration)),
            versions: [wanted_in(snapshot, pool), self.stranded_in(snapshot, pool)].concat(),
            nothing: is_drained(snapshot, shard),
            access,
        }
    }

    /// Those of a pool that buckets are dealt to, and those that drain.
    pub(super) fn set(&self, snapshot: &CatalogState, pool: &str) -> ShardSet {
        members(snapshot, pool, self.options.replicas)
    }

    /// The revision of the catalog, once all of a pool that take part have brought in what it wants; else 0.
    fn settled_revision(&self, snapshot: &CatalogState, pool: &str) -> u64 {
        let revision = snapshot.revision();
        if self.have_hydrated(snapshot, pool, revision) { revision } else { 0 }
    }

    /// Whether all of a pool that buckets are dealt to have brought in what the catalog wanted at that revision.
    pub(super) fn have_hydrated(&self, snapshot: &CatalogState, pool: &str, revision: u64) -> bool {
        let known = self.known.lock();
        let has = |shard: &Member| {
            known.get(&shard.id).is_some_and(|node| node.alive && node.hydrated_revision >= revision)
        };
        self.set(snapshot, pool).shards.iter().filter(|shard| shard.weight > 0).all(has)
    }

    /// Calls to the shard have failed: it takes no part until it is heard of again.
    pub(crate) fn suspect(&self, address: &str) {
        let mut found = false;
        for node in self.known.lock().values_mut().filter(|node| node.address == address && node.alive) {
            (node.heard, node.alive, found) = (None, false, true);
        }
        if found {
            self.changed();
        }
    }

    /// Watches who falls silent, for as long as it is polled.
    pub(crate) async fn watch(self: Arc<Nodes>) {
        loop {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            let mut fell_silent = false;
            let snapshot = self.catalog.snapshot();
            let mut known = self.known.lock();
            // Who was removed from the catalog, and is gone.
            known.retain(|id, node| node.alive || snapshot.shards().contains_key(id));
            for node in known.values_mut() {
                let alive = node.heard.is_some_and(|heard| now - heard < self.options.silence);
                fell_silent |= node.alive && !alive;
                node.alive = alive;
            }
            drop(known);
            if fell_silent {
                self.changed();
            }
        }
    }

    /// Tells the catalog of shards that come, are lost and return, whenever this coordinator leads, for as long as it
    /// is polled.
    pub(crate) async fn tell(self: Arc<Nodes>) {
        let mut leads_since = None;
        loop {
            tokio::time::sleep(TICK).await;
            if !self.catalog.leadership().leads {
                leads_since = None;
            } else {
                let since = *leads_since.get_or_insert_with(Instant::now);
                let news = self.news(since).into_iter();
                let news = news
                    .map(|(shard, state)| (shard, Change::SetShard(SetShard { shard, state: Some(state) })));
                let drained =
                    self.emptied().into_iter().map(|shard| (shard, order(shard, ShardStatus::Drained)));
                for (shard, change) in news.chain(drained) {
                    if let Err(error) = self.propose(change).await {
                        tracing::warn!("the catalog was not told of shard {shard}: {error}");
                        break;
                    }
                }
            }
        }
    }

    /// What the catalog does not know of the shards yet, of which this coordinator, leading since `since`, could have
    /// heard.
    fn news(&self, since: Instant) -> Vec<(u64, Shard)> {
        let snapshot = self.catalog.snapshot();
        let known = self.known.lock();
        let mut news = Vec::new();
        for (&id, node) in known.iter().filter(|(_, node)| node.alive) {
            let before = snapshot.shards().get(&id);
            let mut state = before.cloned().unwrap_or_default();
            (state.weight, state.address) = (node.weight, node.address.clone());
            state.pool = in_message(&node.pool).into();
            if !matches!(state.status(), ShardStatus::Draining | ShardStatus::Drained) {
                state.set_status(ShardStatus::Active);
            }
            if before != Some(&state) {
                news.push((id, state));
            }
        }
        for (&id, shard) in snapshot.shards() {
            let node = known.get(&id);
            let heard = node.map_or(since, |node| node.last_heard.max(since));
            let lost = heard.elapsed() >= self.options.down_after && !node.is_some_and(|node| node.alive);
            if lost && shard.status() == ShardStatus::Active {
                let mut state = shard.clone();
                state.set_status(ShardStatus::Down);
                news.push((id, state));
            }
        }
        news
    }

    pub(super) async fn propose(&self, change: Change) -> Result<()> {
        let command =
            Command { at_us: crate::datasets::now_us(), tenant: DEFAULT_TENANT.into(), change: Some(change) };
        self.catalog.propose(command).await?.accepted().map(drop)
    }

    /// The term of the leader that this coordinator follows.
    pub(crate) fn term(&self) -> u64 {
        self.catalog.leadership().term
    }

    /// Whether a shard takes part in queries, and is still where it was: one that was started again is elsewhere.
    pub(crate) fn is_alive_at(&self, id: u64, address: &str) -> bool {
        self.known.lock().get(&id).is_some_and(|node| node.alive && node.address == address)
    }

    /// The incarnation of a shard at that address, and when it was heard of last.
    pub(super) fn last_heard(&self, id: u64, address: &str) -> Option<(u64, Instant)> {
        let known = self.known.lock();
        let node = known.get(&id).filter(|node| node.address == address)?;
        Some((node.incarnation, node.last_heard))
    }

    /// What became of a shard that was lost.
    pub(crate) fn fate(&self, lost: &LostShard) -> Fate {
        let known = self.known.lock();
        match known.get(&lost.id) {
            Some(node) if node.incarnation != lost.incarnation => Fate::Dead,
            Some(node) if node.last_heard > lost.at => Fate::Lives,
            // Where none is heard of, the fault may be here.
            _ if known.values().any(|node| node.last_heard > lost.at) => Fate::Dead,
            _ => Fate::Unknown,
        }
    }

    pub(super) fn alive(&self) -> Vec<NodeView> {
        let known = self.known.lock();
        let alive = known.iter().filter(|(_, node)| node.alive);
        alive
            .map(|(&id, node)| NodeView {
                id,
                address: node.address.clone(),
                pool: node.pool.clone(),
                holdings: node.holdings.clone(),
            })
            .collect()
    }

    /// Who reads what of these versions of a tenant: all, or of those of one pool all but one shard.
    pub(crate) fn seating(&self, tenant: &str, versions: &[VersionId], but: Option<(&str, u64)>) -> Seating {
        let (within, without) = (but.map(|(pool, _)| pool), but.map(|(_, shard)| shard));
        let snapshot = self.catalog.snapshot();
        let mut nodes = self.readable(&snapshot, tenant);
        nodes.retain(|node| Some(node.id) != without && within.is_none_or(|pool| *node.pool == *pool));
        let (pool, slices) = (within.unwrap_or(snapshot.pool_of(tenant)), self.options.hydration.slices);
        let mut seating = seat_in_pool(nodes, pool, versions, slices);
        if without.is_none() {
            self.note_read_in(&snapshot, tenant, &seating);
        }
        seating.add_failures(|id| self.failure_of(id));
        seating
    }

    /// What a shard that lives failed with when it last brought in a version.
    fn failure_of(&self, id: &VersionId) -> Option<String> {
        let known = self.known.lock();
        let last = known.values().filter(|node| node.alive).flat_map(|node| &node.hydrations);
        last.filter(|one| one.version == *id).find_map(|one| match &one.state {
            HydrationState::Failed(why) => Some(why.clone()),
            _ => None,
        })
    }

    /// What each shard that lives holds, by number.
    pub(crate) fn holdings(&self) -> Vec<(u64, Holdings)> {
        self.alive().into_iter().map(|node| (node.id, node.holdings)).collect()
    }

    /// What shards that live bring in, or have brought in, by number.
    pub(crate) fn hydrations(&self) -> Vec<(u64, Vec<Hydration>)> {
        let known = self.known.lock();
        let alive = known.iter().filter(|(_, node)| node.alive);
        alive.map(|(&id, node)| (id, node.hydrations.clone())).collect()
    }

    /// All shards that were ever heard of, for operators.
    pub(crate) fn summaries(&self) -> Vec<NodeSummary> {
        let snapshot = self.catalog.snapshot();
        let known = self.known.lock();
        let mut ids: Vec<u64> = snapshot.shards().keys().chain(known.keys()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let summary = |id: u64| {
            let (node, shard) = (known.get(&id), snapshot.shards().get(&id));
            let held = node.into_iter().flat_map(|node| node.holdings.values()).flat_map(|held| &held.held);
            NodeSummary {
                id,
                address: node
                    .map(|node| node.address.clone())
                    .or(shard.map(|shard| shard.address.clone()))
                    .unwrap_or_default(),
                pool: match shard {
                    Some(shard) => named(&shard.pool).into(),
                    None => node.map_or(DEFAULT_POOL.into(), |node| node.pool.to_string()),
                },
                alive: node.is_some_and(|node| node.alive),
                status: match shard.map(Shard::status) {
                    Some(ShardStatus::Active) => "active",
                    Some(ShardStatus::Draining) => "draining",
                    Some(ShardStatus::Drained) => "drained",
                    Some(ShardStatus::Down) => "down",
                    Some(ShardStatus::Unknown) | None => "joining",
                },
                buckets: held.clone().count(),
                rows: held.map(|&(_, rows)| rows).sum(),
                versions: node.map(|node| node.versions),
                load: node.and_then(|node| node.load),
            }
        };
        ids.into_iter().map(summary).collect()
    }

    /// What each shard has asked of the object store since its start, by shard and start.
    pub(crate) fn store_use(&self) -> Vec<(String, Vec<StoreUse>)> {
        let known = self.known.lock();
        let told = known.iter().filter(|(_, node)| !node.store.is_empty());
        told.map(|(id, node)| (format!("{id:016x}-{:016x}", node.incarnation), node.store.clone())).collect()
    }
}
