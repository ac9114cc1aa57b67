//! State that can leave memory and come back.

use crate::{Error, Result, Settings};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// State in pages, in parts that can be moved out one by one. What needs a part brings it back itself.
pub trait Evictable {
    /// Bytes in memory.
    fn bytes(&self) -> u64;
    /// The number of its parts.
    fn partitions(&self) -> usize;
    /// Moves a part into `store`; returns the bytes freed, 0 where it is out already.
    fn evict(&mut self, partition: usize, store: &Arc<dyn PageStore>) -> Result<u64>;
}

/// Where pages go: a disk, or in tests memory.
pub trait PageStore: Send + Sync {
    /// Keeps bytes and gives a ticket for them.
    fn write(&self, bytes: &[u8]) -> Result<u64>;
    /// The bytes that [`PageStore::read`] will give.
    fn size(&self, ticket: u64) -> Result<u64>;
    /// Gives the bytes back and forgets them.
    fn read(&self, ticket: u64) -> Result<Vec<u8>>;
}

/// A store in memory, for tests.
#[derive(Default)]
pub struct MemoryStore {
    pages: Mutex<(u64, HashMap<u64, Vec<u8>>)>,
}

impl PageStore for MemoryStore {
    fn write(&self, bytes: &[u8]) -> Result<u64> {
        let mut pages = self.pages.lock();
        pages.0 += 1;
        let ticket = pages.0;
        pages.1.insert(ticket, bytes.to_vec());
        Ok(ticket)
    }

    fn size(&self, ticket: u64) -> Result<u64> {
        let pages = self.pages.lock();
        let page = pages.1.get(&ticket).ok_or_else(|| Error::Internal("a page was read twice".into()))?;
        Ok(page.len() as u64)
    }

    fn read(&self, ticket: u64) -> Result<Vec<u8>> {
        let page = self.pages.lock().1.remove(&ticket);
        page.ok_or_else(|| Error::Internal("a page was read twice".into()))
    }
}

/// Evicts at random where [`Settings::disturb`] asks for it.
pub struct Disturbance {
    random: u64,
    store: Arc<dyn PageStore>,
}

impl Disturbance {
    /// `None` unless the settings carry a seed. `salt` tells the users of one query apart.
    pub fn new(settings: &Settings, salt: u64) -> Option<Disturbance> {
        let random = crate::hash::combine(settings.disturb?, crate::hash::hash_word(salt));
        Some(Disturbance { random, store: Arc::new(MemoryStore::default()) })
    }

    fn next(&mut self, below: usize) -> usize {
        self.random = crate::hash::hash_word(self.random.wrapping_add(0x5851_f42d_4c95_7f2d));
        (self.random >> 33) as usize % below.max(1)
    }

    /// With a chance of one in four, evicts one part.
    pub fn strike(&mut self, state: &mut dyn Evictable) -> Result<()> {
        if state.partitions() > 0 && self.next(4) == 0 {
            let victim = self.next(state.partitions());
            let store = self.store.clone();
            state.evict(victim, &store)?;
        }
        Ok(())
    }
}
