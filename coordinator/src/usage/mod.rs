//! Who uses how much, and what budgets have to say to that.
//!
//! Each statement has an [`Account`]. What accounts have come to is summed up a few times a second and at their end, in the
//! [`ledger`]: the control plane fetches it from there, and budgets are looked at with what it has. A coordinator asks nobody: it
//! acts on the limits that were published, on what others had spent by then, and on what it knows itself.

mod account;
mod budgets;
mod ledger;
pub(crate) mod predict;

pub(crate) use account::Account;
pub(crate) use budgets::{Level, State};

use crate::catalog::Policy;
use crate::coordinator::Coordinator;
use crate::datasets::now_us;
use exec::context::Cancel;
use flight_proto::spending::OnLimit;
use flight_proto::usage::{self, Measures, Resident, ShardUsage, UsageBatch};
use ledger::Ledger;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often accounts of running statements are summed up, and budgets looked at.
pub(crate) const SETTLE_EVERY: Duration = Duration::from_millis(250);
/// After how many of them prices are taken in.
const SETTLES_A_TIDY: u32 = 4;
/// How often shards tell what statements used, in milliseconds.
pub(crate) const SHARDS_TELL_MS: u32 = 500;
/// The longest label, in bytes.
pub(crate) const LABEL_MOST: usize = 64;
/// Budgets of tenants that nobody asked for so long are not remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// A statement that may run though a budget is spent ends after so long all the same.
const GRACE: Duration = Duration::from_secs(1);

/// Whose use it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) tenant: Arc<str>,
    pub(crate) user: Arc<str>,
    /// Empty: none.
    pub(crate) label: Arc<str>,
}

/// A tenant, and what it calls a budget.
type BudgetName = (Arc<str>, String);

/// The use of a coordinator's statements.
pub(crate) struct Usage {
    /// This start of it.
    pub(crate) source: String,
    ledger: Mutex<Ledger>,
    open: Mutex<HashMap<u64, Weak<Account>>>,
    next: AtomicU64,
    /// The budgets of tenants as they were looked at last.
    known: Mutex<HashMap<Arc<str>, Known>>,
    /// Budgets and tenants that have gauges.
    shown: Mutex<HashSet<(String, Option<String>)>>,
    /// Budgets that were told as warned of or spent, by tenant, name and end of the period.
    told: Mutex<HashMap<BudgetName, (Level, i64)>>,
}

/// The budgets of a tenant, as they were at a moment.
struct Known {
    policy: Arc<Policy>,
    at: Instant,
    states: Arc<[State]>,
}

/// What budgets have to say to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Free,
    /// It runs one at a time, after all others.
    Throttle,
    /// It does not run, and why.
    Stop(String),
}

impl Usage {
    pub(crate) fn new(source: u128) -> Arc<Usage> {
        Arc::new(Usage {
            source: format!("{source:032x}"),
            ledger: Mutex::default(),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            known: Mutex::default(),
            shown: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// Opens the account of a statement, which `cancel` ends.
    pub(crate) fn open(self: &Arc<Usage>, who: Who, cancel: Cancel) -> Arc<Account> {
        let who = self.ledger.lock().known(who);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let account = Arc::new(Account::new(self, number, who, cancel));
        self.open.lock().insert(number, Arc::downgrade(&account));
        account
    }

    fn forget(&self, number: u64) {
        self.open.lock().remove(&number);
    }

    fn add(&self, who: &Who, used: &Measures) {
        self.ledger.lock().add(who, used, now_us());
    }

    /// What the control plane has not acknowledged; `taken` is the last number that it has of this start.
    pub(crate) fn give(&self, taken: u64) -> Vec<UsageBatch> {
        self.ledger.lock().give(taken)
    }

    /// Counts the planning of a statement, which may never run.
    pub(crate) fn add_planning(&self, who: Who, time: Duration) {
        let processor_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if processor_us > 0 {
            let mut ledger = self.ledger.lock();
            let who = ledger.known(who);
            ledger.add(&who, &Measures { processor_us, ..Measures::default() }, now_us());
        }
    }

    /// Forgets what a tenant used that is made anew: what counts from now on is the new one's.
    pub(crate) fn forget_tenant(&self, tenant: &str) {
        self.ledger.lock().forget_tenant(tenant);
        self.known.lock().remove(tenant);
        self.told.lock().retain(|(of, _), _| &**of != tenant);
    }

    /// What a tenant has used through this coordinator, by minute.
    pub(crate) fn minutes(&self, tenant: &str) -> Vec<(i64, Who, Measures)> {
        self.ledger.lock().minutes(tenant)
    }

    /// The budgets of a tenant as they are now.
    pub(crate) fn budgets(&self, policy: &Policy, tenant: &str) -> Vec<State> {
        let budgets = policy.budgets(tenant);
        let quotas = policy.tenant(tenant).and_then(|tenant| tenant.quotas).unwrap_or_default();
        if !budgets::has_any(budgets, &quotas) {
            return Vec::new();
        }
        let ledger = self.ledger.lock();
        let own: Vec<_> = ledger.totals(tenant).collect();
        let spend = policy.spend(tenant).map(|spend| &**spend);
        budgets::states(budgets, &quotas, spend, own.iter().copied(), &self.source, now_us())
    }

    /// What budgets have to say to a statement of somebody, by what was known of them a moment ago: to sum up all that
    /// a tenant used is too much for each statement.
    pub(crate) fn verdict(&self, policy: &Arc<Policy>, who: &Who) -> Verdict {
        let known = self.known.lock().get(&who.tenant).and_then(|known| {
            let holds = Arc::ptr_eq(&known.policy, policy) && known.at.elapsed() < SETTLE_EVERY;
            holds.then(|| known.states.clone())
        });
        verdict(&known.unwrap_or_else(|| self.look(policy, &who.tenant)), who)
    }

    /// The budgets of a tenant as they are now, which are remembered.
    fn look(&self, policy: &Arc<Policy>, tenant: &Arc<str>) -> Arc<[State]> {
        let states: Arc<[State]> = self.budgets(policy, tenant).into();
        let known = Known { policy: policy.clone(), at: Instant::now(), states: states.clone() };
        self.known.lock().insert(tenant.clone(), known);
        states
    }

    /// Sums up what running statements have used, and ends those whose budget is spent.
    pub(crate) fn settle(&self, policy: &Arc<Policy>) {
        let open: Vec<Arc<Account>> = self.open.lock().values().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|account| account.settle(false));
        let tenants: HashSet<&Arc<str>> = open.iter().map(|account| &account.who.tenant).collect();
        for tenant in tenants {
            let states = self.look(policy, tenant);
            if states.is_empty() {
                continue;
            }
            self.tell(tenant, &states);
            for account in open.iter().filter(|account| account.who.tenant == *tenant) {
                if let Verdict::Stop(why) = verdict(&states, &account.who)
                    && account.outlasts(GRACE)
                    && account.stop(&why)
                {
                    metrics::counter!("tundra_statements_stopped_total", "tenant" => tenant.to_string())
                        .increment(1);
                }
            }
        }
    }

    /// Logs budgets that have come to another level.
    fn tell(&self, tenant: &Arc<str>, states: &[State]) {
        let mut told = self.told.lock();
        for state in states.iter().filter(|state| state.level() > Level::Free) {
            let (level, until_us) = (state.level(), state.until_us);
            let before = told.insert((tenant.clone(), state.budget.name.clone()), (level, until_us));
            if before.is_none_or(|(before, until)| before < level || until != until_us) {
                let (name, on_limit) = (&state.budget.name, state.budget.on_limit().name());
                let level = if level == Level::Spent { "spent" } else { "nearly spent" };
                tracing::warn!(
                    "the budget '{name}' of the tenant '{tenant}' is {level}; at its limit: {on_limit}"
                );
            }
        }
        // Those that were removed, or whose period is over, are forgotten.
        let now_us = now_us();
        told.retain(|_, (_, until_us)| *until_us > now_us);
    }

    /// Takes prices in, forgets who is idle, and tells what tenants have spent.
    pub(crate) fn tidy(&self, policy: &Arc<Policy>) {
        let open: Vec<Arc<Account>> = self.open.lock().values().filter_map(Weak::upgrade).collect();
        let names: HashSet<&Who> = open.iter().map(|account| &account.who).collect();
        let spent = {
            let (now_us, mut ledger) = (now_us(), self.ledger.lock());
            ledger.prices = policy.prices();
            ledger.forget_idle(now_us, |who| names.contains(who));
            ledger.spent(now_us)
        };
        self.known.lock().retain(|_, known| known.at.elapsed() < REMEMBERED);
        let mut shown = HashSet::new();
        for (tenant, micros) in spent {
            show(&tenant, None, micros as f64 / 1e6);
            shown.insert((tenant.to_string(), None));
            for state in self.look(policy, &tenant).iter().filter(|state| state.budget.limit_micros > 0) {
                let name = state.budget.name.clone();
                show(&tenant, Some(&name), state.spent as f64 / state.budget.limit_micros as f64);
                shown.insert((tenant.to_string(), Some(name)));
            }
        }
        // What is over has no value any more, and a gauge cannot be taken back.
        let before = std::mem::replace(&mut *self.shown.lock(), shown.clone());
        for (tenant, budget) in before.difference(&shown) {
            show(tenant, budget.as_deref(), 0.0);
        }
    }
}

/// Sets the gauge of a tenant, or of a budget of it.
fn show(tenant: &str, budget: Option<&str>, value: f64) {
    match budget {
        None => {
            let labels = [("tenant", tenant.to_string())];
            metrics::gauge!("tundra_tenant_spent_this_month", &labels).set(value);
        }
        Some(budget) => {
            let labels = [("tenant", tenant.to_string()), ("budget", budget.to_string())];
            metrics::gauge!("tundra_budget_spent_ratio", &labels).set(value);
        }
    }
}

/// What the control plane is told, which has everything of the start `source` up to the number `taken`.
pub(crate) fn told(coordinator: &Coordinator, source: &str, taken: u64) -> usage::Usage {
    let (usage, shards) = (&coordinator.usage, coordinator.tenants.shards());
    let taken = if source == usage.source { taken } else { 0 };
    let (used, own) = match (shards.here(), shards.nodes()) {
        // They begin with this coordinator.
        (Some(here), _) => (here.store_use(), format!("{}-", usage.source)),
        (None, Some(nodes)) => (nodes.store_use(), String::new()),
        (None, None) => (Vec::new(), String::new()),
    };
    let shards = used.into_iter().flat_map(|(shard, used)| {
        let source = format!("{own}{shard}");
        used.into_iter().map(move |used| ShardUsage {
            source: source.clone(),
            tenant: used.tenant,
            store_requests: used.requests,
            store_bytes: used.bytes,
        })
    });
    let resident = coordinator.tenants.all().into_iter().map(|datasets| Resident {
        tenant: datasets.tenant().to_string(),
        bytes: datasets.view().resident_bytes(),
    });
    usage::Usage {
        source: usage.source.clone(),
        batches: usage.give(taken),
        shards: shards.collect(),
        resident: resident.filter(|one| one.bytes > 0).collect(),
    }
}

/// Sums up and looks at budgets, for as long as it is polled.
pub(crate) async fn watch(coordinator: Arc<Coordinator>) {
    let policy = || coordinator.tenants.catalog().snapshot().policy().clone();
    loop {
        coordinator.usage.tidy(&policy());
        for _ in 0..SETTLES_A_TIDY {
            tokio::time::sleep(SETTLE_EVERY).await;
            coordinator.usage.settle(&policy());
        }
    }
}

impl Account {
    /// Whether it is to be ended where its budget is spent: at once, but those that were let in all the same after a
    /// while, and those that define something not at all.
    fn outlasts(&self, grace: Duration) -> bool {
        !self.is_exempt() && (!self.is_small() || self.begun.elapsed() >= grace)
    }
}

/// What budgets have to say to somebody: the strictest counts.
fn verdict(states: &[State], who: &Who) -> Verdict {
    let mut verdict = Verdict::Free;
    for state in states.iter().filter(|state| state.budget.is_of(&who.user, &who.label)) {
        match state.acts() {
            Some(OnLimit::Stop) => return Verdict::Stop(state.told()),
            Some(OnLimit::Throttle) => verdict = Verdict::Throttle,
            _ => {}
        }
    }
    verdict
}
