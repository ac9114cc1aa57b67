//! Connections to foreign servers that wait for their next query, and how many there may be.

use super::connection::Remote;
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections to one server at once.
pub(super) const PER_SERVER: usize = 16;
/// Connections to all servers at once: each has a thread while it is used.
const ALL: usize = 64;
/// Of them, connections of one tenant.
const PER_TENANT: usize = 32;
/// How long a connection waits to be used again.
const IDLE: Duration = Duration::from_secs(60);

/// A server of a tenant: what tells it from all others, also from those that had its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) tenant: String,
    pub(super) revision: u64,
}

pub(super) struct Pool {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<String, Arc<Semaphore>>>,
    servers: Mutex<HashMap<Key, Server>>,
}

struct Server {
    permits: Arc<Semaphore>,
    idle: Vec<(Remote, Instant)>,
}

/// Leave to have connections. A thread that a driver does not give back holds it for as long.
pub(super) struct Permits {
    _all: OwnedSemaphorePermit,
    _tenant: OwnedSemaphorePermit,
    _server: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new() -> Pool {
        Pool { all: Arc::new(Semaphore::new(ALL)), tenants: Mutex::default(), servers: Mutex::default() }
    }

    /// Waits for `wanted[n]` connections to each server, all of one tenant. All of a server's are taken at once, and
    /// servers in order, so that no two queries wait for each other; then what the tenant may have and what all may, so that
    /// who waits for a server that is slow holds up nobody else.
    pub(super) async fn permits(&self, wanted: &mut [(Key, usize)]) -> Result<HashMap<Key, Vec<Permits>>> {
        wanted.sort();
        let count = wanted.iter().map(|(_, count)| count).sum::<usize>();
        if count > PER_TENANT || wanted.iter().any(|(_, count)| *count > PER_SERVER) {
            return Err(Error::Refused(format!(
                "a query that reads a foreign server in more than {PER_SERVER} places at once, or several in more than {PER_TENANT}, is not supported yet"
            )));
        }
        let closed = |_| Error::ShuttingDown;
        let Some((Key { tenant, .. }, _)) = wanted.first() else { return Ok(HashMap::new()) };
        let mut of_servers = Vec::with_capacity(wanted.len());
        for (key, count) in wanted.iter() {
            let server = self.semaphore(key);
            of_servers.push(server.acquire_many_owned(*count as u32).await.map_err(closed)?);
        }
        let of_tenant = self.of_tenant(tenant);
        let mut of_tenant = of_tenant.acquire_many_owned(count as u32).await.map_err(closed)?;
        let mut all = self.all.clone().acquire_many_owned(count as u32).await.map_err(closed)?;
        let mut permits = HashMap::new();
        for ((key, count), mut of_server) in wanted.iter().zip(of_servers) {
            let mut taken = Vec::with_capacity(*count);
            for _ in 0..*count {
                let (Some(_all), Some(_tenant), Some(_server)) =
                    (all.split(1), of_tenant.split(1), of_server.split(1))
                else {
                    return Err(Error::Internal("permits that were taken are gone".into()));
                };
                taken.push(Permits { _all, _tenant, _server });
            }
            permits.insert(key.clone(), taken);
        }
        Ok(permits)
    }

    fn of_tenant(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock();
        // Those that have no connections and wait for none.
        tenants.retain(|_, permits| Arc::strong_count(permits) > 1);
        tenants.entry(tenant.into()).or_insert_with(|| Arc::new(Semaphore::new(PER_TENANT))).clone()
    }

    fn semaphore(&self, key: &Key) -> Arc<Semaphore> {
        let mut servers = self.servers.lock();
        let server = servers
            .entry(key.clone())
            .or_insert_with(|| Server { permits: Arc::new(Semaphore::new(PER_SERVER)), idle: Vec::new() });
        server.permits.clone()
    }

    /// A connection that waits.
    pub(super) fn take(&self, key: &Key) -> Option<Remote> {
        self.servers.lock().get_mut(key)?.idle.pop().map(|(remote, _)| remote)
    }

    /// Keeps a connection on which nothing runs.
    pub(super) fn give_back(&self, key: &Key, remote: Remote) {
        let mut servers = self.servers.lock();
        let idle = |of: Option<&str>| {
            let servers = servers.iter().filter(|(key, _)| of.is_none_or(|tenant| key.tenant == tenant));
            servers.map(|(_, server)| server.idle.len()).sum::<usize>()
        };
        let is_room = idle(None) < ALL && idle(Some(&key.tenant)) < PER_TENANT;
        if let Some(server) = servers.get_mut(key).filter(|server| is_room && server.idle.len() < PER_SERVER)
        {
            server.idle.push((remote, Instant::now()));
            return;
        }
        // Closing it may block.
        drop(servers);
        drop(remote);
    }

    /// Connections that have waited for long, and those to servers that are no more, for whoever closes them.
    pub(super) fn tired(&self, exists: impl Fn(&Key) -> bool) -> Vec<Remote> {
        let mut tired = Vec::new();
        let mut servers = self.servers.lock();
        servers.retain(|key, server| {
            let exists = exists(key);
            let all = std::mem::take(&mut server.idle);
            let (old, fresh): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(_, since)| !exists || since.elapsed() >= IDLE);
            server.idle = fresh;
            tired.extend(old.into_iter().map(|(remote, _)| remote));
            exists || Arc::strong_count(&server.permits) > 1
        });
        tired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(revision: u64) -> Key {
        Key { tenant: "default".into(), revision }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_bounded() {
        let pool = Pool::new();
        let held = pool.permits(&mut [(key(1), PER_SERVER - 1), (key(2), 1)]).await.unwrap();
        assert_eq!(held[&key(1)].len(), PER_SERVER - 1);
        let waits = Duration::from_secs(1);
        let mut two = [(key(1), 2)];
        assert!(tokio::time::timeout(waits, pool.permits(&mut two)).await.is_err(), "one is left");
        assert!(
            tokio::time::timeout(waits, pool.permits(&mut [(key(2), 2)])).await.is_ok(),
            "of another server"
        );
        drop(held);
        assert!(tokio::time::timeout(waits, pool.permits(&mut two)).await.is_ok());
        assert!(pool.permits(&mut [(key(1), PER_SERVER + 1)]).await.is_err());
    }
}
