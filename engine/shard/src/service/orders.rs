//! What a shard is to hold, as the coordinators tell it, and bringing it about.
//!
//! The shard tells every coordinator that it lives and what it holds; each answers with what the catalog wants
//! held. The wish of the latest catalog counts. A version goes once it is neither wanted nor read by a query of
//! any coordinator that was heard of lately.

use super::Node;
use super::spans;
use super::words::{from_dealing, held_of, speaks_of, told_hydration};
use crate::{Error, Others, Result, Version, VersionId, hydrate_one};
use flight_proto::Message;
use flight_proto::manifest::Manifest;
use flight_proto::node::{
    self, Dealing, Heartbeat, Held, Holdings, Hydrate, Orders, Service, VersionName, Wanted,
};
use flight_proto::pool::in_message;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(300);
/// How often a coordinator is told how much of the shard is used.
const LOAD: Duration = Duration::from_secs(1);
/// How long a coordinator may take to answer one.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a coordinator counts as heard after it has answered.
const HEARD: Duration = Duration::from_secs(3);
/// How long what a coordinator uses is kept after it was last heard of.
const LEASE: Duration = Duration::from_secs(30);
/// How long a version stays that was brought in before it is wanted.
const PREPARED: Duration = Duration::from_secs(120);
/// Between two looks at what nobody wants.
const TIDY: Duration = Duration::from_secs(1);
/// How soon what failed is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often in a row the store of a tenant's own credentials has failed before nobody waits for that tenant any more.
const OWN_FAILURES: u32 = 3;
/// Tenants with credentials of their own whose versions are brought in at once.
const OWN_AT_ONCE: usize = 4;
/// How long a coordinator may take to read a manifest.
const READING: Duration = Duration::from_secs(30);

/// What coordinators have told.
#[derive(Default)]
pub(super) struct Told {
    state: Mutex<State>,
    news: Notify,
    /// Something else is wanted, or credentials were told.
    learned: Notify,
    /// Held, shared, while segments are built.
    building: tokio::sync::RwLock<()>,
}

#[derive(Default)]
struct State {
    wanted: Option<Wanted>,
    settled_revision: u64,
    hydrated_revision: u64,
    /// Other shards that live, as far as they were told.
    shards: Vec<String>,
    /// By coordinator.
    in_use: HashMap<String, (Instant, Vec<VersionName>)>,
    prepared: HashMap<VersionId, Instant>,
    /// Held as dealt so; `true`: with what was held before.
    done: HashMap<VersionId, (Dealing, bool)>,
    /// Tenants with credentials of their own whose versions are brought in at the moment, beside all others.
    apart: HashSet<String>,
    /// How often in a row that failed by their stores.
    failures: HashMap<String, u32>,
    /// One a dataset that is being hydrated.
    turns: HashMap<(String, u64), Arc<tokio::sync::Mutex<()>>>,
}

impl Node {
    /// Tells one coordinator of this shard, again and again, and takes its orders.
    pub(super) async fn report_to(self: Arc<Node>, coordinator: String) {
        let mut changes = self.shard.changes();
        let mut known = 0;
        let (mut told, mut refused) = (None, None);
        let mut load_told: Option<Instant> = None;
        loop {
            let revision = *changes.borrow_and_update();
            let hydrations = self.hydrations.list().into_iter().map(told_hydration).collect();
            let hydrations = Some(node::Hydrations { hydrations });
            let mut heartbeat = self.heartbeat(revision, known);
            if told != hydrations {
                heartbeat.hydrations = hydrations.clone();
            }
            if load_told.is_none_or(|at| at.elapsed() >= LOAD) {
                heartbeat.load = Some(self.load.read(&self.shard));
                heartbeat.store = self.store_use();
            }
            let tells_load = heartbeat.load.is_some();
            let call = self.peers.call(
                &coordinator,
                network::Service(Service::Heartbeat as u16),
                heartbeat.encode_to_vec().into(),
                ANSWER,
            );
            let orders = match call.await {
                Ok(bytes) => Orders::decode(bytes).map_err(|error| error.to_string()),
                Err(network::Error::Outdated(why)) => {
                    self.outdated.send_replace(Some(why));
                    return;
                }
                Err(error) => {
                    let why = error.to_string();
                    if matches!(error, network::Error::Refused(_)) && refused.as_ref() != Some(&why) {
                        tracing::warn!("coordinator {coordinator} refuses this shard: {why}");
                        refused = Some(why.clone());
                    }
                    Err(why)
                }
            };
            known = match orders {
                Ok(orders) => {
                    let known = orders.holdings_revision;
                    // One that knows nothing of what is held was started anew.
                    told = hydrations.filter(|_| known > 0);
                    if tells_load {
                        load_told = Some(Instant::now());
                    }
                    self.take(&coordinator, orders);
                    known
                }
                Err(why) => {
                    tracing::debug!("coordinator {coordinator} gives no orders: {why}");
                    (told, load_told) = (None, None);
                    0
                }
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep(HEARTBEAT) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    fn heartbeat(&self, revision: u64, known: u64) -> Heartbeat {
        let (wanted_revision, hydrated_revision) = {
            let state = self.told.state.lock();
            (state.wanted.as_ref().map_or(0, |wanted| wanted.revision), state.hydrated_revision)
        };
        Heartbeat {
            shard: self.shard.id(),
            incarnation: self.incarnation,
            address: self.address.clone(),
            weight: self.weight,
            holdings_revision: revision,
            holdings: (known != revision).then(|| self.holdings()),
            hydrated_revision,
            wanted_revision,
            hydrations: None,
            speaks: Some(speaks_of(self.peers.spoken().versions())),
            load: None,
            store: Vec::new(),
            pool: in_message(&self.pool).into(),
        }
    }

    fn store_use(&self) -> Vec<node::StoreUse> {
        let by_tenant = self.hydrations.by_tenant().into_iter();
        let used = by_tenant.map(|(tenant, counts)| node::StoreUse {
            tenant,
            requests: counts.requests,
            bytes: counts.bytes_read,
        });
        used.collect()
    }

    fn holdings(&self) -> Holdings {
        let versions = self.shard.versions().into_iter();
        let held = versions.filter_map(|id| Some(held_of(&id, &self.shard.holding(&id)?)));
        Holdings { versions: held.collect() }
    }

    fn take(self: &Arc<Node>, coordinator: &str, orders: Orders) {
        self.hear_of(orders.epoch);
        self.peers.spoken().agree(u16::try_from(orders.cluster_version).unwrap_or(u16::MAX));
        orders.coordinators.iter().for_each(|address| self.contact(address, true));
        let mut state = self.told.state.lock();
        state.in_use.insert(coordinator.into(), (Instant::now(), orders.in_use));
        state.settled_revision = state.settled_revision.max(orders.settled_revision);
        if !orders.shards.is_empty() {
            state.shards = orders.shards;
        }
        let known = state.wanted.as_ref().map_or(0, |wanted| wanted.revision);
        let has_news = orders.wanted.is_some();
        if let Some(mut wanted) = orders.wanted {
            let given = self.shard.environment().stores.given();
            std::mem::take(&mut wanted.access).into_iter().for_each(|access| given.take(access));
            if wanted.revision > known {
                state.wanted = Some(wanted);
            }
        }
        drop(state);
        self.told.news.notify_one();
        if has_news {
            self.told.learned.notify_one();
        }
    }

    /// How many coordinators have answered lately.
    pub(super) fn heard(&self) -> usize {
        let state = self.told.state.lock();
        state.in_use.values().filter(|(at, _)| at.elapsed() < HEARD).count()
    }

    /// Brings about what is wanted, for as long as it is polled.
    pub(super) async fn follow(self: Arc<Node>) {
        let mut swept = false;
        let mut pause = RETRY.0;
        let mut apart = Apart::default();
        // Those of a `follow` that is not polled any more were ended.
        self.told.state.lock().apart.clear();
        loop {
            while apart.tasks.try_join_next().is_some() {}
            let news = self.told.news.notified();
            match self.hydrate_wanted(&mut apart).await {
                Ok(whole) => {
                    pause = RETRY.0;
                    // Files of what is being built are not known yet.
                    if whole
                        && !swept
                        && let Ok(_quiet) = self.told.building.try_write()
                    {
                        swept = true;
                        // Left-overs cost disk, not answers.
                        if let Err(error) = self.shard.sweep() {
                            tracing::warn!("old segments could not be deleted: {error}");
                        }
                    }
                    news.await;
                }
                Err(error) => {
                    tracing::warn!("what is wanted could not be brought in: {error}; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY.1),
                        // It may be what was lacking.
                        () = self.told.learned.notified() => {}
                    }
                }
            }
        }
    }

    /// Lets go of versions that nobody wants, for as long as it is polled; also while others are brought in.
    pub(super) async fn tidy(self: Arc<Node>) {
        loop {
            tokio::time::sleep(TIDY).await;
            self.drop_unwanted();
            self.contacts.tidy();
        }
    }

    /// Hydrates what is wanted and not held; `false` where this shard is not among those that are to hold anything, or some
    /// is still brought in beside. What tenants read by credentials of their own is: their stores are not this node's, and
    /// may fail or not answer.
    async fn hydrate_wanted(self: &Arc<Node>, apart: &mut Apart) -> Result<bool> {
        let (wanted, settled) = {
            let state = self.told.state.lock();
            let Some(wanted) = state.wanted.clone() else { return Ok(false) };
            let settled = state.settled_revision == wanted.revision;
            (wanted, settled)
        };
        let Some(dealing) = &wanted.dealing else { return Ok(false) };
        let own = dealing.shards.iter().find(|member| member.id == self.shard.id());
        let takes_part = own.is_some();
        // What drains keeps what it holds until it is told to hold nothing.
        let keep = !settled || own.is_some_and(|member| member.weight == 0);
        let mut failed = None;
        let given = self.shard.environment().stores.given();
        let lacking = wanted.versions.iter().filter(|name| takes_part && !self.is_done(name, dealing, keep));
        let (own, others): (Vec<&VersionName>, Vec<_>) =
            lacking.partition(|name| given.has_own(&name.tenant));
        let mut by_tenant: BTreeMap<&str, Vec<VersionName>> = BTreeMap::new();
        for name in own {
            by_tenant.entry(&name.tenant).or_default().push(name.clone());
        }
        for (&tenant, names) in &by_tenant {
            let has_failed = {
                let mut state = self.told.state.lock();
                if !state.apart.insert(tenant.into()) {
                    continue;
                }
                state.failures.contains_key(tenant)
            };
            let (node, dealing, lane) =
                (self.clone(), dealing.clone(), apart.lanes[usize::from(has_failed)].clone());
            let (tenant, names) = (tenant.to_string(), names.clone());
            apart.tasks.spawn(async move { node.bring_apart(&tenant, &names, &dealing, keep, &lane).await });
        }
        for name in others {
            if let Err(error) = self.bring_wanted(name, dealing, keep).await {
                // The others may fare better.
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Who has ended meanwhile tells of news, and it is looked again.
        let mut state = self.told.state.lock();
        if by_tenant.keys().all(|&tenant| is_given_up(&state, tenant)) {
            state.hydrated_revision = state.hydrated_revision.max(wanted.revision);
        }
        Ok(takes_part && by_tenant.is_empty())
    }

    fn is_done(&self, name: &VersionName, dealing: &Dealing, keep: bool) -> bool {
        let done = self.told.state.lock().done.get(&VersionId::from(name.clone())).cloned();
        done.is_some_and(|(known, kept)| known == *dealing && (!kept || keep))
    }

    async fn bring_wanted(&self, name: &VersionName, dealing: &Dealing, keep: bool) -> Result<VersionId> {
        let manifest = self.manifest(name).await?;
        let span = spans::of_hydration(self, &manifest, "");
        let others = self.others();
        let bringing = self.bring_in(&manifest, dealing, keep, Some(&others));
        spans::of_outcome(bringing).instrument(span).await
    }

    /// Brings in versions of a tenant with credentials of its own, and pauses where that fails.
    async fn bring_apart(
        &self,
        tenant: &str,
        names: &[VersionName],
        dealing: &Dealing,
        keep: bool,
        lane: &Semaphore,
    ) {
        let turn = lane.acquire().await;
        let mut failed = None;
        for name in names {
            match self.bring_wanted(name, dealing, keep).await {
                Ok(_) => {}
                // By the same credentials the others would fail, too, and each after a while.
                Err(error @ Error::Store { .. }) => {
                    failed = Some(error);
                    break;
                }
                Err(error) => failed = Some(error),
            }
        }
        drop(turn);
        let pause = {
            let mut state = self.told.state.lock();
            match &failed {
                Some(Error::Store { .. }) => {
                    let failures = state.failures.entry(tenant.into()).or_default();
                    *failures = failures.saturating_add(1);
                    Some((RETRY.0 * (1 << (*failures).min(8))).min(RETRY.1))
                }
                // Nobody else's store is asked for it; but it is no matter of credentials.
                Some(_) => Some(RETRY.1),
                None => {
                    state.failures.remove(tenant);
                    None
                }
            }
        };
        self.told.news.notify_one();
        if let (Some(error), Some(pause)) = (failed, pause) {
            tracing::warn!("what the tenant '{tenant}' wants could not be brought in: {error}; trying again");
            tokio::time::sleep(pause).await;
        }
        self.told.state.lock().apart.remove(tenant);
        self.told.news.notify_one();
    }

    /// Those who may have segments that this shard is to hold.
    fn others(&self) -> Others {
        Others::new(self.peers.clone(), self.told.state.lock().shards.clone())
    }

    /// Hydrates this shard's part of a version.
    async fn bring_in(
        &self,
        manifest: &Manifest,
        dealing: &Dealing,
        keep: bool,
        others: Option<&Others>,
    ) -> Result<VersionId> {
        let version = Version::of_manifest(manifest)?;
        let turn = {
            let mut state = self.told.state.lock();
            state.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            state.turns.entry((version.id.tenant.clone(), version.id.dataset)).or_default().clone()
        };
        let _turn = turn.lock().await;
        let _building = self.told.building.read().await;
        let (set, options) = from_dealing(dealing, &self.options);
        let hydrating = self.hydrations.begin(&version.id);
        let hydrated =
            hydrate_one(&self.shard, &set, &version, &options, keep, others, hydrating.progress()).await;
        hydrating.end(&hydrated);
        hydrated?;
        self.told.state.lock().done.insert(version.id.clone(), (dealing.clone(), keep));
        Ok(version.id)
    }

    /// Builds again what a query has found damaged.
    pub(super) fn mend(&self, ids: impl Iterator<Item = VersionId>) {
        let mut state = self.told.state.lock();
        for id in ids {
            state.done.remove(&id);
        }
        drop(state);
        self.shard.tell_of_damage();
        self.told.news.notify_one();
    }

    /// A manifest, from whichever coordinator has it.
    async fn manifest(&self, name: &VersionName) -> Result<Manifest> {
        let mut why = String::from("no coordinator is known");
        for coordinator in &self.contacts.addresses() {
            let request = name.encode_to_vec().into();
            let call =
                self.peers.call(coordinator, network::Service(Service::Manifest as u16), request, READING);
            why = match call.await {
                Ok(bytes) => match Manifest::decode(bytes) {
                    Ok(manifest) => return Ok(manifest),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
        }
        Err(Error::Store { url: format!("manifest {} of dataset {}", name.version, name.dataset), why })
    }

    /// Brings in a version that is not wanted yet, as a coordinator asks.
    pub(super) async fn hydrate(&self, request: Hydrate) -> std::result::Result<Held, String> {
        self.fence(request.epoch).map_err(|failure| failure.message)?;
        // It may be later than what was wanted last.
        let given = self.shard.environment().stores.given();
        request.access.into_iter().for_each(|access| given.take(access));
        let (Some(manifest), Some(dealing)) = (request.manifest, request.dealing) else {
            return Err("a hydration without manifest or shards".into());
        };
        let id = VersionId {
            tenant: manifest.tenant.clone(),
            dataset: manifest.dataset,
            version: manifest.version,
        };
        self.told.state.lock().prepared.insert(id.clone(), Instant::now());
        // Nobody has it before.
        let span = spans::of_hydration(self, &manifest, &request.traceparent);
        let bringing = spans::of_outcome(self.bring_in(&manifest, &dealing, true, None)).instrument(span);
        bringing.await.map_err(|error| error.to_string())?;
        self.told.state.lock().prepared.insert(id.clone(), Instant::now());
        let holding = self.shard.holding(&id).ok_or("the version was dropped meanwhile")?;
        Ok(held_of(&id, &holding))
    }

    /// Lets go of versions that nobody wants.
    fn drop_unwanted(&self) {
        let mut state = self.told.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        state.prepared.retain(|_, since| now - *since < PREPARED);
        state.in_use.retain(|_, (heard, _)| now - *heard < LEASE);
        let Some(wanted) = &state.wanted else { return };
        let in_use = state.in_use.values().flat_map(|(_, names)| names);
        let versions = wanted.versions.iter().filter(|_| !wanted.nothing);
        let needed: HashSet<VersionId> = versions.chain(in_use).map(|name| name.clone().into()).collect();
        for id in self.shard.versions() {
            let prepared = state.prepared.contains_key(&id) && !wanted.nothing;
            if !needed.contains(&id) && !prepared {
                state.done.remove(&id);
                self.shard.drop_version(&id);
            }
        }
    }
}

/// What is brought in beside all else.
struct Apart {
    tasks: JoinSet<()>,
    /// How many at once: of tenants that have not failed, and of those that have, which may take long to fail again.
    lanes: [Arc<Semaphore>; 2],
}

impl Default for Apart {
    fn default() -> Apart {
        let lane = || Arc::new(Semaphore::new(OWN_AT_ONCE));
        Apart { tasks: JoinSet::new(), lanes: [lane(), lane()] }
    }
}

/// Whether a tenant's own store has failed so often that nobody waits for it: it is still tried.
fn is_given_up(state: &State, tenant: &str) -> bool {
    state.failures.get(tenant).is_some_and(|&failures| failures >= OWN_FAILURES)
}
