//! The loop of the instance that leads, one for each pool: looks at it, decides, acts, and notes what it saw.
//!
//! What there is comes from the target and the coordinators each time, so that whoever leads next counts the same nodes. A turn
//! that cannot see enough changes nothing.

use super::decide::{Decision, decide, forget_old};
use super::meter::Meter;
use super::observation::{KEPT_US, MINUTE_US, Minutes, Observation};
use super::phase::phase_of;
use super::plan::{Act, Member, launch_at_us, plan, stays};
use super::policy::ScalePolicy;
use super::sleep::{Quiet, SLEEPS, Turn, ends, turn};
use super::status::{GONE_US, Kept};
use super::target::{Listing, ScaleTargets};
use super::view::{PoolView, ShardSeen, View, merge};
use crate::database::Database;
use crate::database::SCALE;
use crate::decisions::{ITSELF, pools};
use crate::error::{Error, Result};
use crate::json::{Phase, PoolNode, PoolStatus, Step};
use crate::lease::Lease;
use flight_proto::admin::{PoolRest, PoolState};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Failures of so long count, before another node is launched.
const FAILURES_US: i64 = 3_600_000_000;
/// For so long coordinators may still say that a node lives which has ended.
const ECHO_US: i64 = 10_000_000;
/// A pool that sleeps or is woken is looked at as often at least: somebody waits for it.
const LOOK_ASLEEP: Duration = Duration::from_secs(1);
/// How long coordinators go by what they were told of the pool, at least.
const TOLD: Duration = Duration::from_secs(30);
/// Between tries of what failed, the first and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));

/// What a control plane needs to scale pools.
#[derive(Clone)]
pub struct Scaling {
    pub view: Arc<dyn PoolView>,
    /// What each pool's nodes are launched on. Of a pool that has none, nodes are launched by somebody else; what would be is
    /// told.
    pub targets: Arc<dyn ScaleTargets>,
    /// Between two looks.
    pub look: Duration,
}

pub(crate) struct Scaler {
    pool: String,
    database: Arc<Database>,
    lease: Arc<Lease>,
    scaling: Scaling,
    meter: Meter,
    recent: Vec<Observation>,
    minutes: Minutes,
    /// By instance; those that are gone for a while included.
    nodes: BTreeMap<String, PoolNode>,
    kept: Kept,
    /// The above are what the database has.
    is_loaded: bool,
    /// The minute that was kept last.
    minute: i64,
    /// What coordinators were told last by this instance.
    told: PoolRest,
    /// Nothing is done before.
    act_at: Instant,
    failures: u32,
}

impl Scaler {
    pub(crate) fn new(pool: &str, database: Arc<Database>, lease: Arc<Lease>, scaling: Scaling) -> Scaler {
        Scaler {
            pool: pool.into(),
            database,
            lease,
            scaling,
            meter: Meter::default(),
            recent: Vec::new(),
            minutes: Minutes::default(),
            nodes: BTreeMap::new(),
            kept: Kept::default(),
            is_loaded: false,
            minute: 0,
            told: PoolRest::Awake,
            act_at: Instant::now(),
            failures: 0,
        }
    }

    /// Scales while this instance leads, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            if self.lease.leads() {
                let lease = self.lease.clone();
                tokio::select! {
                    biased;
                    // What others decide meanwhile is not known.
                    () = lease.lost() => self.is_loaded = false,
                    () = self.turn() => {}
                }
            } else {
                self.is_loaded = false;
            }
            let is_awake = self.kept.pool.rest() == PoolRest::Awake || !self.is_loaded;
            let look = self.scaling.look;
            tokio::time::sleep(if is_awake { look } else { look.min(LOOK_ASLEEP) }).await;
        }
    }

    /// Looks, decides and acts once; notes what came of it.
    pub(crate) async fn turn(&mut self) {
        let failure = match self.look_and_act().await {
            Ok(false) => return,
            Ok(true) => None,
            Err(error) => Some(error.to_string()),
        };
        if failure.is_some() && failure != self.kept.status.failure {
            tracing::warn!("pool {}: {}", self.pool, failure.as_deref().unwrap_or_default());
        }
        self.kept.status.failure = failure;
        if let Err(error) = self.database.keep_pool_state(&self.pool, &self.kept).await {
            tracing::warn!("how pool {} is scaled is not noted: {error}", self.pool);
        }
    }

    /// Whether there is a policy to follow.
    async fn look_and_act(&mut self) -> Result<bool> {
        let policies = self.database.scale_policies().await?;
        let Some(policy) = policies.into_iter().find(|one| one.pool == self.pool).map(|one| one.policy)
        else {
            if self.is_loaded {
                // A policy that is set later begins with what there is then.
                self.database.forget_pool_state(&self.pool).await?;
            }
            self.is_loaded = false;
            return Ok(false);
        };
        let now_us = self.database.now_us().await?;
        if !self.is_loaded {
            self.load(now_us).await?;
        }
        let target = self.scaling.targets.of(&self.pool)?;
        self.kept.status.pool.clone_from(&self.pool);
        self.kept.status.target = target.as_ref().map(|target| target.name());
        // The view first: a shard that is heard of is named by the target then, and not taken for somebody else's.
        let (asked, looks) = self.scaling.view.look().await;
        let view = merge(&self.pool, asked, looks)?;
        let listing = match &target {
            Some(target) => target.list().await?,
            None => Listing::default(),
        };
        self.check_pools(&listing, &view)?;
        let shards = self.follow(&listing, &view, &policy, now_us).await?;
        let members = self.members(&listing, &view, &shards, now_us);
        let unnamed = listing.expected.saturating_sub(running(&listing));
        let measured = self.measure(&policy, &view, &members, now_us).await?;
        self.note(&members, unnamed, now_us);
        let present = members.iter().filter(|member| stays(member.phase)).count() as u32 + unnamed;
        let why_awake = match policy.paused {
            true => None,
            false => self.rest(&policy, &view, &members, unnamed, now_us).await?,
        };
        if self.kept.pool.asleep_us.is_some() {
            let status = &mut self.kept.status;
            (status.wanted, status.busy, status.running, status.queued) = (0, 0.0, 0.0, 0.0);
            (status.queue_ms, status.resident_bytes, status.memory_bytes) = (0.0, 0, 0);
        } else if !measured {
            // An empty pool comes to its minimum all the same.
            let pool = &mut self.kept.pool;
            pool.wanted = if pool.wanted == 0 { present } else { pool.wanted };
            pool.wanted = pool.wanted.clamp(policy.floor(), policy.maximum);
            self.kept.status.wanted = pool.wanted;
            self.kept.status.reasons = vec!["no shard has told how much of it is used yet".into()];
        } else {
            self.decide(&policy, present, now_us).await?;
        }
        self.kept.status.reasons.extend(why_awake);
        (self.kept.status.rest, self.kept.status.asleep_us) =
            (self.kept.pool.rest().name().into(), self.kept.pool.asleep_us);
        if policy.paused {
            return Err(Error::Conflict("the policy is paused: nothing is done".into()));
        }
        self.act(&policy, &members, (unnamed, measured), &view, now_us).await?;
        Ok(true)
    }

    async fn load(&mut self, now_us: i64) -> Result<()> {
        self.kept = self.database.pool_state(&self.pool).await?.unwrap_or_default();
        let nodes = self.database.pool_nodes(&self.pool, now_us - GONE_US).await?;
        self.nodes = nodes.into_iter().map(|node| (node.instance.clone(), node)).collect();
        self.minutes = Minutes::default();
        let first = (now_us - KEPT_US).div_euclid(MINUTE_US);
        for (minute, demand) in self.database.minutes(&self.pool, first).await? {
            self.minutes.put(minute, demand);
        }
        (self.meter, self.recent) = (Meter::default(), Vec::new());
        (self.is_loaded, self.minute) = (true, now_us.div_euclid(MINUTE_US));
        self.database.forget_pool_before(&self.pool, now_us - GONE_US, first).await
    }

    /// Refuses machines of the target that are of another pool: they have its data, and are not to be ended for this one.
    fn check_pools(&self, listing: &Listing, view: &View) -> Result<()> {
        for instance in listing.instances.iter().filter(|instance| instance.gone.is_none()) {
            let Some(host) = instance.host.as_deref() else { continue };
            let is_there = |seen: &&ShardSeen| seen.by_any && seen.host() == Some(host);
            if view.shards.values().any(|seen| is_there(&seen)) {
                continue;
            }
            if let Some(other) = view.of_others.iter().find(is_there) {
                let (pool, name) = (&self.pool, &instance.name);
                return Err(Error::Conflict(format!(
                    "machine {name} ({host}) was launched for the pool '{pool}', and is of the pool '{}': start `tundra shard` \
                     with --pool {pool} in the launch template, then end it; until then nothing is done for the pool '{pool}'",
                    other.pool
                )));
            }
        }
        Ok(())
    }

    /// Brings what is known of each node up to date; the shard of each instance.
    async fn follow(
        &mut self,
        listing: &Listing,
        view: &View,
        policy: &ScalePolicy,
        now_us: i64,
    ) -> Result<BTreeMap<String, String>> {
        let mut shards = BTreeMap::new();
        let mut changed = Vec::new();
        for instance in &listing.instances {
            let node = self.nodes.entry(instance.name.clone()).or_insert_with(|| {
                let step = Step { phase: Phase::Launching, at_us: now_us, detail: String::new() };
                changed.push(instance.name.clone());
                let (instance, shard) = (instance.name.clone(), String::new());
                PoolNode { instance, shard, phase: Phase::Launching, steps: vec![step] }
            });
            let on_host =
                |seen: &ShardSeen| instance.host.is_some() && seen.host() == instance.host.as_deref();
            // An address is given again: a shard that is not heard of is of this machine only if it was before.
            let was = node.shard.clone();
            let found = view.shards.iter().filter(|(id, seen)| on_host(seen) && (seen.by_any || **id == was));
            let by_host = || found.max_by_key(|(_, seen)| seen.by_any).map(|(id, _)| id.clone());
            let shard = instance.shard.clone().or_else(by_host);
            if let Some(shard) = shard.filter(|shard| view.shards.contains_key(shard)) {
                if node.shard != shard {
                    node.shard.clone_from(&shard);
                    changed.push(instance.name.clone());
                }
                shards.insert(instance.name.clone(), shard);
            }
            let seen = shards.get(&instance.name).and_then(|shard| view.shards.get(shard));
            let (phase, detail) = phase_of(node, instance, seen, policy, view.hears(), now_us);
            if step(node, phase, detail, now_us) {
                changed.push(instance.name.clone());
            }
        }
        for node in self.nodes.values_mut() {
            let is_listed = listing.instances.iter().any(|instance| instance.name == node.instance);
            let why = if self.kept.pool.asleep_us.is_some() { SLEEPS } else { "" };
            if !is_listed && step(node, Phase::Gone, why.into(), now_us) {
                changed.push(node.instance.clone());
            }
        }
        changed.dedup();
        for name in changed {
            if let Some(node) = self.nodes.get(&name) {
                self.database.keep_pool_node(&self.pool, node).await?;
                if matches!(node.phase, Phase::Ready | Phase::Failed) {
                    let told = node.steps.last().map(|last| last.detail.clone()).unwrap_or_default();
                    self.record(node.phase.name(), &format!("node/{name}"), told).await?;
                }
            }
        }
        self.nodes.retain(|_, node| {
            node.phase != Phase::Gone || node.steps.last().is_some_and(|last| now_us - last.at_us < GONE_US)
        });
        Ok(shards)
    }

    /// The nodes of the pool: those of the target, and shards that somebody else started.
    fn members(
        &self,
        listing: &Listing,
        view: &View,
        shards: &BTreeMap<String, String>,
        now_us: i64,
    ) -> Vec<Member> {
        let own = listing.instances.iter().filter_map(|instance| {
            let node = self.nodes.get(&instance.name)?;
            Some(Member {
                instance: Some(instance.name.clone()),
                shard: shards.get(&instance.name).cloned(),
                phase: node.phase,
                launched_us: node.steps.first().map_or(now_us, |first| first.at_us),
                is_lost: instance.gone.is_some() || node.steps.iter().all(|step| step.phase != Phase::Ready),
            })
        });
        let is_own = |id: &String| shards.values().any(|shard| shard == id);
        let was_own = |id: &String| self.nodes.values().any(|node| node.shard == *id);
        // Coordinators hear for a moment of one that was just ended from here.
        let just_ended = |id: &String| {
            let mut known = self.nodes.values().filter(|node| node.shard == *id);
            let last_us = |node: &PoolNode| node.steps.last().map_or(0, |last| last.at_us);
            known.any(|node| node.phase != Phase::Gone || now_us.saturating_sub(last_us(node)) < ECHO_US)
        };
        // One that lives, and that this target does not have, may be of another instance's machine: it counts.
        let others = view
            .shards
            .iter()
            .filter(|(id, seen)| !is_own(id) && (seen.by_any && !just_ended(id) || !was_own(id)));
        let others = others.map(|(id, seen)| Member {
            instance: None,
            shard: Some(id.clone()),
            phase: match seen.status.as_str() {
                "draining" if seen.by_any => Phase::Draining,
                "drained" => Phase::Drained,
                "active" if seen.by_all => Phase::Ready,
                _ if seen.by_any => Phase::Fetching,
                _ => Phase::Failed,
            },
            launched_us: 0,
            is_lost: false,
        });
        own.chain(others).collect()
    }

    /// Observes; whether enough is known to decide.
    async fn measure(
        &mut self,
        policy: &ScalePolicy,
        view: &View,
        members: &[Member],
        now_us: i64,
    ) -> Result<bool> {
        let ready = members.iter().filter(|member| member.phase == Phase::Ready);
        let ready: Vec<String> = ready.filter_map(|member| member.shard.clone()).collect();
        let Some(seen) = self.meter.observe(view, &ready, now_us) else { return Ok(false) };
        self.minutes.add(&seen);
        let minute = now_us.div_euclid(MINUTE_US);
        if minute > self.minute {
            if let Some(demand) = self.minutes.get(self.minute) {
                self.database.keep_minute(&self.pool, self.minute, demand).await?;
            }
            self.minute = minute;
            let first = (now_us - KEPT_US).div_euclid(MINUTE_US);
            self.database.forget_pool_before(&self.pool, now_us - GONE_US, first).await?;
        }
        self.recent.push(seen);
        forget_old(&mut self.recent, policy, now_us);
        let status = &mut self.kept.status;
        (status.busy, status.running, status.queued) = (seen.busy, seen.running, seen.queued);
        (status.queue_ms, status.resident_bytes) = (seen.queue_ms, seen.resident_bytes);
        status.memory_bytes = seen.memory_bytes;
        Ok(true)
    }

    fn note(&mut self, members: &[Member], unnamed: u32, now_us: i64) {
        let count = |of: &dyn Fn(Phase) -> bool| members.iter().filter(|one| of(one.phase)).count() as u32;
        let ready = count(&|phase| phase == Phase::Ready);
        let status: &mut PoolStatus = &mut self.kept.status;
        status.at_us = now_us;
        status.coming = count(&stays) - ready + unnamed;
        status.ready = ready;
        status.leaving = count(&|phase| matches!(phase, Phase::Draining | Phase::Drained));
    }

    async fn decide(&mut self, policy: &ScalePolicy, present: u32, now_us: i64) -> Result<()> {
        if self.kept.pool.wanted == 0 {
            // What there is, is what was wanted until now.
            self.kept.pool.wanted = present;
        }
        let before = self.kept.pool.wanted;
        let Decision { wanted, reasons } =
            decide(policy, &self.kept.pool, &self.recent, &self.minutes, now_us);
        (self.kept.status.wanted, self.kept.status.reasons) = (wanted, reasons.clone());
        if wanted == before || policy.paused {
            return Ok(());
        }
        let mut change = self.database.change(ITSELF).await?;
        let (told, after) = (json!({ "wanted": before }), json!({ "wanted": wanted, "reasons": reasons }));
        change
            .record(&format!("{SCALE} decide"), &pools::subject(&self.pool), Some(told), Some(after))
            .await?;
        change.commit().await?;
        self.kept.pool.wanted = wanted;
        match wanted > before {
            true => self.kept.pool.out_us = Some(now_us),
            false => self.kept.pool.in_us = Some(now_us),
        }
        // Kept before anything is done: whoever leads next waits for the same cool-downs.
        self.database.keep_pool_state(&self.pool, &self.kept).await
    }

    /// Has the pool sleep or wake where that is to be, and tells coordinators; why one that might sleep does not.
    async fn rest(
        &mut self,
        policy: &ScalePolicy,
        view: &View,
        members: &[Member],
        unnamed: u32,
        now_us: i64,
    ) -> Result<Option<String>> {
        let launches = self.scaling.targets.of(&self.pool)?.is_some();
        let quiet = Quiet::of(view, members, unnamed, launches);
        let mut why_awake = None;
        let before = self.kept.pool;
        let decided = match turn(policy, &before, &quiet, now_us) {
            Turn::Stay(why) => {
                why_awake = why;
                None
            }
            Turn::Sleep(why) => match self.close().await {
                Ok(()) => {
                    let last = self.recent.last().filter(|last| last.ready > 0);
                    self.kept.pool.fall_asleep(policy, last, now_us);
                    Some(why)
                }
                Err(why) => {
                    why_awake = Some(why);
                    None
                }
            },
            Turn::Wake(why) => {
                self.kept.pool.wake(policy, now_us);
                Some(why)
            }
        };
        if let Some(why) = decided
            && let Err(error) = self.note_rest(before.wanted, why).await
        {
            // What is not written down is not done.
            self.kept.pool = before;
            return Err(error);
        }
        let ready = members.iter().filter(|member| member.phase == Phase::Ready).count() as u32;
        self.kept.pool.follow_waking(policy, ready, now_us);
        let rest = self.kept.pool.rest();
        // Of a pool that never sleeps nothing is said.
        if policy.minimum == 0 || rest != PoolRest::Awake || self.told != PoolRest::Awake {
            self.tell(rest).await;
        }
        Ok(why_awake)
    }

    /// Has no statement begin that needs shards, for as long as it takes to end them; why that cannot be now.
    async fn close(&mut self) -> std::result::Result<(), String> {
        let (asked, uses) = self.tell(PoolRest::Closing).await;
        if uses.len() < asked {
            return Err(format!("{} of {asked} coordinators agree that the pool sleeps", uses.len()));
        }
        match uses.iter().map(|one| one.in_use).sum::<u64>() {
            0 => Ok(()),
            in_use => Err(format!("the pool does not sleep: {in_use} statements need shards")),
        }
    }

    async fn tell(&mut self, rest: PoolRest) -> (usize, Vec<flight_proto::admin::PoolUse>) {
        let pool = &self.kept.pool;
        let wanted = if rest == PoolRest::Asleep { pool.wake_nodes } else { pool.wanted };
        let valid = TOLD.max(self.scaling.look.saturating_mul(3));
        let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        self.told = rest;
        self.scaling.view.tell(&self.pool, PoolState { rest, wanted, valid_ms }).await
    }

    /// Writes down that the pool sleeps or was woken, before anything is done.
    async fn note_rest(&mut self, before: u32, why: String) -> Result<()> {
        let wanted = self.kept.pool.wanted;
        tracing::info!("pool {} is {} now: {why}", self.pool, self.kept.pool.rest().name());
        (self.kept.status.wanted, self.kept.status.reasons) = (wanted, vec![why]);
        let after = json!({ "wanted": wanted, "reasons": &self.kept.status.reasons });
        let mut change = self.database.change(ITSELF).await?;
        let told = json!({ "wanted": before });
        change
            .record(&format!("{SCALE} decide"), &pools::subject(&self.pool), Some(told), Some(after))
            .await?;
        change.commit().await?;
        self.database.keep_pool_state(&self.pool, &self.kept).await
    }

    async fn act(
        &mut self,
        policy: &ScalePolicy,
        members: &[Member],
        (unnamed, measured): (u32, bool),
        view: &View,
        now_us: i64,
    ) -> Result<()> {
        if Instant::now() < self.act_at {
            // Why is told already.
            return self.kept.status.failure.clone().map_or(Ok(()), |why| Err(Error::Environment(why)));
        }
        self.forget_ended(view).await;
        let sleeps = self.kept.pool.asleep_us.is_some();
        if self.kept.pool.wanted == 0 && !sleeps {
            return Ok(());
        }
        let failed = self.nodes.values().flat_map(|node| &node.steps);
        // Not those of a clock that was put back.
        let of_late = |one: &&Step| (0..FAILURES_US).contains(&(now_us - one.at_us));
        let failed = failed.filter(|one| one.phase == Phase::Failed).filter(of_late);
        let held = now_us < launch_at_us(&failed.map(|one| one.at_us).collect::<Vec<_>>());
        let mut failure = None;
        let acts = match sleeps {
            true => ends(members),
            false => plan(policy, self.kept.pool.wanted, members, unnamed, held, measured),
        };
        for act in acts {
            if let Err(error) = self.carry_out(&act).await {
                failure.get_or_insert(error);
            }
        }
        if let Some(error) = failure {
            let wait = RETRY.0.saturating_mul(1 << self.failures.min(16)).min(RETRY.1);
            self.failures += 1;
            self.act_at = Instant::now() + wait;
            return Err(error);
        }
        self.failures = 0;
        Ok(())
    }

    /// Does one thing, which the audit has before it is begun.
    async fn carry_out(&self, act: &Act) -> Result<()> {
        let Some(target) = self.scaling.targets.of(&self.pool)? else {
            return Err(Error::Environment(format!(
                "nodes of pool {} are not launched from here: start the control plane with --scale-local or --scale-group",
                self.pool
            )));
        };
        match act {
            Act::Drain(shard) => {
                self.record("drain", &format!("shard/{shard}"), String::new()).await?;
                self.scaling.view.drain(shard, true).await
            }
            Act::Undrain(shard) => {
                self.record("undrain", &format!("shard/{shard}"), String::new()).await?;
                self.scaling.view.drain(shard, false).await
            }
            Act::Terminate(instance) => {
                self.record("terminate", &format!("node/{instance}"), String::new()).await?;
                target.terminate(instance).await
            }
            Act::Grow(to) => {
                let told = format!("the target is to have {to} nodes");
                self.record("launch", &pools::subject(&self.pool), told).await?;
                target.grow(*to).await
            }
        }
    }

    /// Shards of nodes that are gone are forgotten by the cluster. One whose buckets nobody else holds is kept until somebody
    /// does, and asked for again at the next look; not where it was ended since the pool sleeps, whose buckets nobody holds.
    async fn forget_ended(&self, view: &View) {
        for node in self.nodes.values().filter(|node| node.phase == Phase::Gone) {
            let force = node.steps.last().is_some_and(|last| last.detail == SLEEPS);
            if view.shards.get(&node.shard).is_some_and(|seen| !seen.by_any)
                && let Err(error) = self.scaling.view.forget(&node.shard, force).await
            {
                tracing::debug!("shard {} is not forgotten yet: {error}", node.shard);
            }
        }
    }

    async fn record(&self, action: &str, subject: &str, told: String) -> Result<()> {
        let after = if told.is_empty() { json!({}) } else { json!({ "told": told }) };
        let mut change = self.database.change(ITSELF).await?;
        change.record(&format!("{SCALE} {action}"), subject, None, Some(after)).await?;
        change.commit().await
    }
}

/// Nodes that run or come up.
fn running(listing: &Listing) -> u32 {
    listing.instances.iter().filter(|instance| instance.gone.is_none()).count() as u32
}

/// Has a node come to a phase; whether it was in another one.
fn step(node: &mut PoolNode, phase: Phase, detail: String, now_us: i64) -> bool {
    if node.phase == phase {
        return false;
    }
    node.phase = phase;
    node.steps.push(Step { phase, at_us: now_us, detail });
    // One that is silent again and again: the first steps and the last are kept.
    if node.steps.len() > 100 {
        node.steps.remove(50);
    }
    true
}

#[cfg(test)]
#[path = "tests/run.rs"]
mod tests;
