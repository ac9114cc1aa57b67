//! The network within one process: the nodes of an embedded server, of tests and of simulations.
//!
//! It behaves as QUIC does towards those who use it, and can be told to fail: [`MemoryNetwork::cut`] and
//! [`MemoryNetwork::heal`], [`MemoryNetwork::reset`], [`MemoryNetwork::stop`], [`MemoryNetwork::delay`]. Under a paused
//! runtime of one thread a run is the same each time.

mod connection;
mod faults;
mod stream;
mod wire;

use crate::{Connection, Error, Listener, Network, Result};
use connection::MemoryConnection;
use faults::{Delay, Link};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::Wire;

/// How long two nodes that are cut off from each other keep their connections; QUIC's idle timeout.
pub const SILENCE_TIME: Duration = Duration::from_secs(3);

/// Nodes of this process that reach each other by address.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    hub: Arc<Hub>,
}

impl MemoryNetwork {
    pub fn new() -> MemoryNetwork {
        MemoryNetwork::default()
    }

    /// A node, as it is started: after [`MemoryNetwork::stop`] a new one by the same name.
    pub fn node(&self, name: &str) -> Arc<dyn Network> {
        let run = self.hub.state.lock().runs.get(name).copied().unwrap_or_default();
        Arc::new(MemoryNode { hub: self.hub.clone(), name: name.to_string(), run })
    }

    /// From now on nothing passes between two nodes. Connections that are silent for [`SILENCE_TIME`] are lost. Within
    /// a runtime only.
    pub fn cut(&self, one: &str, other: &str) {
        let link = self.hub.link(one, other);
        let cut = link.cut();
        let (hub, one, other) = (self.hub.clone(), one.to_string(), other.to_string());
        tokio::spawn(async move {
            if link.stays_cut(cut, SILENCE_TIME).await {
                hub.lose("it does not answer", |wire| wire.joins(&one, &other));
            }
        });
    }

    /// Two nodes reach each other again; what was sent meanwhile on connections that are left arrives.
    pub fn heal(&self, one: &str, other: &str) {
        self.hub.link(one, other).heal();
    }

    /// Ends the connections between two nodes, which may connect again; what is under way is lost.
    pub fn reset(&self, one: &str, other: &str) {
        self.hub.lose("it was reset", |wire| wire.joins(one, other));
    }

    /// A node dies: its listeners and connections are gone, and what it still runs reaches nobody.
    pub fn stop(&self, node: &str) {
        let mut state = self.hub.state.lock();
        *state.runs.entry(node.to_string()).or_default() += 1;
        let gone = state.listeners.extract_if(.., |_, listening| listening.node == node).collect::<Vec<_>>();
        drop(state);
        drop(gone);
        self.hub.lose("it was stopped", |wire| wire.touches(node));
    }

    /// From now on `observer` is told of every message, as it is sent. It must not call this network.
    pub fn observe(&self, observer: Observer) {
        *self.hub.observer.lock() = Some(observer);
    }

    /// From now on every message takes a while, drawn at random by a seed.
    pub fn delay(&self, range: RangeInclusive<Duration>, seed: u64) {
        *self.hub.delay.lock() = Some(Delay::new(range, seed));
    }
}

/// Is told of a message: the node that sends it, the one that it is for, and its bytes.
pub type Observer = Box<dyn Fn(&str, &str, usize) + Send + Sync>;

/// What the nodes share.
#[derive(Default)]
struct Hub {
    state: Mutex<State>,
    observer: Mutex<Option<Observer>>,
    delay: Mutex<Option<Delay>>,
}

#[derive(Default)]
struct State {
    /// How often each node was stopped.
    runs: BTreeMap<String, u64>,
    /// By address.
    listeners: BTreeMap<String, Listening>,
    links: BTreeMap<[String; 2], Arc<Link>>,
    wires: Vec<Weak<Wire>>,
    /// The last free port that was given out, and the last number of a listener.
    port: u16,
    number: u64,
}

struct Listening {
    node: String,
    number: u64,
    connections: mpsc::UnboundedSender<Arc<dyn Connection>>,
}

impl Hub {
    /// The way between two nodes, the same in both directions.
    fn link(&self, one: &str, other: &str) -> Arc<Link> {
        let mut nodes = [one.to_string(), other.to_string()];
        nodes.sort_unstable();
        self.state.lock().links.entry(nodes).or_default().clone()
    }

    /// When what is sent now arrives; at once where nothing is delayed.
    fn due(&self) -> Option<Instant> {
        self.delay.lock().as_mut().map(|delay| Instant::now() + delay.draw())
    }

    /// Ends the connections that are meant.
    fn lose(&self, why: &str, meant: impl Fn(&Wire) -> bool) {
        let wires = self.state.lock().wires.clone();
        for wire in wires.iter().filter_map(Weak::upgrade).filter(|wire| meant(wire)) {
            wire.lose(why);
        }
    }
}

/// A node while it runs.
struct MemoryNode {
    hub: Arc<Hub>,
    name: String,
    run: u64,
}

impl MemoryNode {
    fn check_running(&self, state: &State) -> Result<()> {
        if state.runs.get(&self.name).copied().unwrap_or_default() == self.run {
            return Ok(());
        }
        Err(Error::Environment(format!("node {} was stopped", self.name)))
    }

    fn listen_at(&self, address: &str) -> Result<Box<dyn Listener>> {
        let refused = |why: &str| Error::Environment(format!("cannot listen at {address}: {why}"));
        let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) = parts.ok_or_else(|| refused("expected HOST:PORT"))?;
        let mut state = self.hub.state.lock();
        self.check_running(&state)?;
        let mut taken = format!("{host}:{port}");
        if port == 0 {
            let ports = (1..=u16::MAX).map(|step| state.port.wrapping_add(step)).filter(|port| *port != 0);
            let free = ports.map(|port| (port, format!("{host}:{port}")));
            let mut free = free.filter(|(_, address)| !state.listeners.contains_key(address));
            let (port, address) = free.next().ok_or_else(|| refused("no port is free"))?;
            (state.port, taken) = (port, address);
        } else if state.listeners.contains_key(&taken) {
            return Err(refused("the address is in use"));
        }
        state.number += 1;
        let number = state.number;
        let (connections, incoming) = mpsc::unbounded_channel();
        let listening = Listening { node: self.name.clone(), number, connections };
        state.listeners.insert(taken.clone(), listening);
        drop(state);
        Ok(Box::new(MemoryListener { hub: self.hub.clone(), address: taken, number, incoming }))
    }

    async fn connect_to(&self, address: &str) -> Result<Arc<dyn Connection>> {
        let unreachable = |why: &str| Error::Unreachable { peer: address.to_string(), why: why.to_string() };
        let node = {
            let state = self.hub.state.lock();
            self.check_running(&state)?;
            state.listeners.get(address).map(|listening| listening.node.clone())
        };
        let node = node.ok_or_else(|| unreachable("nobody listens there"))?;
        let link = self.hub.link(&self.name, &node);
        // A handshake: there and back.
        let crossing = async {
            for _ in 0..2 {
                link.arrived(self.hub.due()).await;
            }
        };
        let crossed = tokio::time::timeout(SILENCE_TIME, crossing).await;
        crossed.map_err(|_| unreachable("it does not answer"))?;
        // Whoever listens there now: it may have been stopped, and started again.
        let mut state = self.hub.state.lock();
        self.check_running(&state)?;
        let listening = state.listeners.get(address).filter(|listening| listening.node == node);
        let connections = listening.ok_or_else(|| unreachable("nobody listens there"))?.connections.clone();
        let wire = Arc::new(Wire::new([self.name.clone(), node], link, self.hub.clone()));
        state.wires.retain(|wire| wire.strong_count() > 0);
        state.wires.push(Arc::downgrade(&wire));
        drop(state);
        let [near, far] = MemoryConnection::ends(wire, address);
        connections.send(far).map_err(|_| unreachable("nobody listens there"))?;
        Ok(near)
    }
}

impl Network for MemoryNode {
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        Box::pin(std::future::ready(self.listen_at(address)))
    }

    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>> {
        let address = address.to_string();
        Box::pin(async move { self.connect_to(&address).await })
    }
}

struct MemoryListener {
    hub: Arc<Hub>,
    address: String,
    number: u64,
    incoming: mpsc::UnboundedReceiver<Arc<dyn Connection>>,
}

impl Listener for MemoryListener {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        Box::pin(self.incoming.recv())
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut state = self.hub.state.lock();
        // Its node may have been stopped, and the address taken again.
        if state.listeners.get(&self.address).is_some_and(|listening| listening.number == self.number) {
            state.listeners.remove(&self.address);
        }
    }
}
