//! What a coordinator keeps for its clients between calls: so many things of all tenants together. Where there are too many, the
//! tenant that has the most loses those that it used longest ago, and no other one loses anything.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How often things that were not used for long are looked for: looking through all with each call would be too slow.
const SWEEP: Duration = Duration::from_secs(10);

/// Things by keys, each of a tenant.
pub(super) struct Kept<K, V> {
    most: usize,
    idle: Duration,
    entries: HashMap<K, Entry<V>>,
    swept: Instant,
}

struct Entry<V> {
    tenant: String,
    used: Instant,
    value: V,
}

impl<K: Eq + Hash, V> Kept<K, V> {
    /// Keeps at most so many, each until it was not used for so long.
    pub(super) fn new(most: usize, idle: Duration) -> Kept<K, V> {
        Kept { most, idle, entries: HashMap::new(), swept: Instant::now() }
    }

    /// One that is kept; it counts as used now.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        let found = self.entries.get_mut(key).filter(|entry| entry.used.elapsed() < self.idle)?;
        found.used = Instant::now();
        Some(&mut found.value)
    }

    pub(super) fn insert(&mut self, tenant: &str, key: K, value: V) {
        self.make_room();
        self.entries.insert(key, Entry { tenant: tenant.into(), used: Instant::now(), value });
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|entry| entry.value)
    }

    fn make_room(&mut self) {
        let full = self.entries.len() >= self.most;
        if !full && self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        self.entries.retain(|_, entry| entry.used.elapsed() < self.idle);
        if self.entries.len() < self.most {
            return;
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for entry in self.entries.values() {
            *counts.entry(&entry.tenant).or_default() += 1;
        }
        let Some((tenant, held)) = counts.into_iter().max_by_key(|&(tenant, held)| (held, tenant)) else {
            return;
        };
        let tenant = tenant.to_string();
        // Several at once, since looking for them is slow.
        let goes = (self.most / 10).min(held / 2).max(1);
        let mine = self.entries.values().filter(|entry| entry.tenant == tenant);
        let mut used: Vec<Instant> = mine.map(|entry| entry.used).collect();
        let (_, last, _) = used.select_nth_unstable(goes - 1);
        let last = *last;
        self.entries.retain(|_, entry| entry.tenant != tenant || entry.used > last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_most_makes_room() {
        let mut kept = Kept::new(100, Duration::from_secs(60));
        for number in 0..30 {
            kept.insert("acme", ("acme", number), number);
        }
        for number in 0..1000 {
            kept.insert("rival", ("rival", number), number);
            assert!(kept.entries.len() <= 100);
        }
        assert!((0..30).all(|number| kept.get(&("acme", number)) == Some(&mut { number })));
        assert!(kept.get(&("rival", 0)).is_none(), "the oldest went");
        assert!(kept.get(&("rival", 999)).is_some());
        assert_eq!(kept.remove(&("acme", 3)), Some(3));
        assert_eq!(kept.get(&("acme", 3)), None);
    }

    #[test]
    fn what_is_not_used_is_forgotten() {
        let mut kept = Kept::new(2, Duration::ZERO);
        kept.insert("acme", 1, ());
        assert!(kept.get(&1).is_none());
        kept.insert("acme", 2, ());
        kept.insert("acme", 3, ());
        assert_eq!(kept.entries.len(), 1);
    }
}
