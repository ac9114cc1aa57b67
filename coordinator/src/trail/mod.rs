//! The trail: who logged in, which statements were run, what was asked of the Admin API, in rows that are only added.
//!
//! Each tenant has a chain of its own a start of a coordinator, in which every row has a hash over the one before. The last
//! rows are kept for `system.audit`; where the operator wants it, all are written to the object store as Parquet
//! ([`export`]), whose files [`verify`] looks at.

mod entry;
pub(crate) mod export;
pub(crate) mod verify;

pub(crate) use entry::{Action, Deed, Entry};
pub(crate) use export::hexadecimal;

use crate::datasets::now_us;
use entry::{HASH_BYTES, Hashed};
use flight_proto::policy::DEFAULT_TENANT;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The chain of what is nobody's: logins that failed, and calls of the Admin API. No tenant can be called so.
pub(crate) const SYSTEM: &str = "system";
/// Rows and bytes of a chain that are kept to be asked for.
const RECENT: (usize, usize) = (10_000, 4 << 20);
/// Bytes of a chain that wait for the object store; beyond that, rows are lost, the oldest first.
const WAITING_BYTES: usize = 64 << 20;
/// Bytes of a statement that are written down.
const TEXT_BYTES: usize = 64 << 10;
/// Logins that failed and are written down, a second; the others are counted.
const FAILURES_A_SECOND: u32 = 20;

/// The trail of a coordinator since its start.
pub(crate) struct Trail {
    /// Which coordinator, and which start of it.
    chain: String,
    /// Whether rows are kept for the object store.
    exports: bool,
    chains: Mutex<BTreeMap<Arc<str>, Chain>>,
    failures: Mutex<Failures>,
}

/// The rows of a tenant.
#[derive(Default)]
struct Chain {
    next: u64,
    hash: [u8; HASH_BYTES],
    recent: Rows,
    waiting: Rows,
    /// Rows that were lost since there was no room for them.
    lost: u64,
}

#[derive(Default)]
struct Rows {
    rows: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Rows {
    fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += bytes(&entry);
        self.rows.push_back(entry);
    }

    fn pop(&mut self) {
        if let Some(entry) = self.rows.pop_front() {
            self.bytes -= bytes(&entry);
        }
    }
}

fn bytes(entry: &Entry) -> usize {
    let Deed { subject, text, detail, .. } = &entry.deed;
    size_of::<Entry>() + subject.len() + text.len() + detail.len()
}

/// How many logins failed in this second.
struct Failures {
    since: Instant,
    count: u32,
}

/// Rows of a tenant that wait for the object store.
pub(crate) struct Waiting {
    pub(crate) tenant: Arc<str>,
    pub(crate) rows: Vec<Arc<Entry>>,
}

impl Trail {
    /// `coordinator` is its number, and `start` tells its starts apart.
    pub(crate) fn new(coordinator: u64, start: u64, exports: bool) -> Trail {
        let failures = Failures { since: Instant::now(), count: 0 };
        Trail {
            chain: format!("{coordinator}-{start:016x}"),
            exports,
            chains: Mutex::default(),
            failures: Mutex::new(failures),
        }
    }

    pub(crate) fn chain(&self) -> &str {
        &self.chain
    }

    /// Writes down what was done in a tenant's name.
    pub(crate) fn add(&self, tenant: &str, mut deed: Deed) {
        cut(&mut deed);
        let mut chains = self.chains.lock();
        if !chains.contains_key(tenant) {
            chains.insert(tenant.into(), Chain::default());
        }
        let Some(chain) = chains.get_mut(tenant) else { return };
        let (sequence, at_us) = (chain.next, now_us());
        let hashed = Hashed {
            chain: &self.chain,
            tenant,
            sequence,
            at_us,
            principal: &deed.principal,
            action: deed.action.name(),
            subject: &deed.subject,
            text: &deed.text,
            detail: &deed.detail,
        };
        chain.hash = hashed.after(&chain.hash);
        chain.next += 1;
        let entry = Arc::new(Entry { sequence, at_us, hash: chain.hash, deed });
        chain.recent.push(entry.clone());
        while chain.recent.rows.len() > RECENT.0 || chain.recent.bytes > RECENT.1 {
            chain.recent.pop();
        }
        if self.exports {
            chain.waiting.push(entry);
            chain.bound();
        }
    }

    /// Writes down that somebody was not let in, unless many were in this second.
    pub(crate) fn add_failed_login(&self, principal: &str, why: String) {
        let mut left_out = 0;
        {
            let mut failures = self.failures.lock();
            if failures.since.elapsed() >= Duration::from_secs(1) {
                left_out = failures.count.saturating_sub(FAILURES_A_SECOND);
                *failures = Failures { since: Instant::now(), count: 0 };
            }
            failures.count = failures.count.saturating_add(1);
            if failures.count > FAILURES_A_SECOND {
                return;
            }
        }
        let deed = |principal: &str, detail| Deed {
            principal: principal.into(),
            action: Action::LoginFailed,
            subject: String::new(),
            text: "".into(),
            detail,
        };
        if left_out > 0 {
            self.add(SYSTEM, deed("", format!("{left_out} more within a second")));
        }
        self.add(SYSTEM, deed(principal, why));
    }

    /// The last rows that a tenant may see, by chain, the first first: its own, and for the tenant of those who name none what is
    /// nobody's.
    pub(crate) fn recent(&self, tenant: &str) -> Vec<(Arc<str>, Arc<Entry>)> {
        let chains = self.chains.lock();
        let seen = chains
            .iter()
            .filter(|(name, _)| &***name == tenant || (&***name == SYSTEM && tenant == DEFAULT_TENANT));
        seen.flat_map(|(name, chain)| chain.recent.rows.iter().map(|entry| (name.clone(), entry.clone())))
            .collect()
    }

    /// What waits for the object store; who takes it writes it, or gives it back.
    pub(crate) fn take(&self) -> Vec<Waiting> {
        let mut chains = self.chains.lock();
        let waiting = chains.iter_mut().filter(|(_, chain)| !chain.waiting.rows.is_empty());
        waiting
            .map(|(tenant, chain)| Waiting {
                tenant: tenant.clone(),
                rows: std::mem::take(&mut chain.waiting).rows.into(),
            })
            .collect()
    }

    /// Has rows that could not be written wait again.
    pub(crate) fn give_back(&self, waiting: Waiting) {
        let mut chains = self.chains.lock();
        let Some(chain) = chains.get_mut(&waiting.tenant) else { return };
        let mut rows = Rows::default();
        waiting
            .rows
            .into_iter()
            .chain(std::mem::take(&mut chain.waiting).rows)
            .for_each(|row| rows.push(row));
        chain.waiting = rows;
        chain.bound();
    }

    /// How many rows were lost since there was no room for them.
    pub(crate) fn lost(&self) -> u64 {
        self.chains.lock().values().map(|chain| chain.lost).sum()
    }
}

impl Chain {
    fn bound(&mut self) {
        while self.waiting.bytes > WAITING_BYTES {
            self.waiting.pop();
            self.lost += 1;
        }
    }
}

/// Leaves the beginning of long texts.
fn cut(deed: &mut Deed) {
    if deed.text.len() > TEXT_BYTES {
        let end = deed.text.floor_char_boundary(TEXT_BYTES);
        deed.text = format!("{}… ({} bytes)", &deed.text[..end], deed.text.len()).into();
    }
    if deed.detail.len() > TEXT_BYTES {
        deed.detail.truncate(deed.detail.floor_char_boundary(TEXT_BYTES));
    }
    if deed.principal.len() > TEXT_BYTES {
        deed.principal = deed.principal[..deed.principal.floor_char_boundary(TEXT_BYTES)].into();
    }
}

#[cfg(test)]
mod tests;
