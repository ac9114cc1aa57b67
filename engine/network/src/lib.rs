//! The way between nodes: connections, streams of messages, calls.
//!
//! A node listens at one address and has one connection to each other node; each exchange of messages takes a
//! stream of it. What crosses a stream are whole messages, in order, as fast as the receiver takes them: a sender
//! waits for room. Nothing here knows what the messages say.

mod certificates;
mod error;
mod free;
mod memory;
mod message;
mod peers;
mod protocol;
mod quic;
mod server;
mod tcp;
mod tls;
mod transport;
mod versions;

pub use certificates::{AUTHORITY_DAYS, Authority, Credentials, NODE_DAYS, SERVER_NAME};
pub use error::{Error, Result};
pub use free::free_address;
pub use memory::{MemoryNetwork, Observer, SILENCE_TIME};
pub use peers::Peers;
pub use protocol::{PROTOCOL_VERSIONS, Service};
pub use quic::{Quic, QuicOptions};
pub use server::{Handler, Handlers, SERVED_STREAMS_MAX, call_handler, serve};
pub use tcp::{Tcp, TcpOptions};
pub use versions::{Spoken, Versions};

use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;

/// The most bytes of one message; a longer one is refused by the sender and ends the stream at the receiver.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A way to reach other nodes: QUIC or TCP between processes, memory within one.
pub trait Network: Send + Sync {
    /// Listens at `HOST:PORT`; port 0 takes a free one.
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>>;
    /// A new connection to the node that listens at `HOST:PORT`.
    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>>;
}

/// Where a node is reached.
pub trait Listener: Send {
    /// `HOST:PORT` with the real port.
    fn address(&self) -> String;
    /// The next connection of another node; `None` once the listener is closed. Handshakes that fail are logged and
    /// left out.
    fn accept(&mut self) -> BoxFuture<'_, Option<Arc<dyn Connection>>>;
}

/// A connection with another node; either side opens streams. It closes when dropped.
pub trait Connection: Send + Sync {
    /// The other node's address, for people.
    fn peer(&self) -> String;
    /// A new stream; waits where there are too many.
    fn open(&self) -> BoxFuture<'_, Result<Stream>>;
    /// The next stream that the other node opens; an error once the connection is lost. A stream is seen when its
    /// first message arrives.
    fn accept(&self) -> BoxFuture<'_, Result<Stream>>;
    /// Ends all streams, here and there.
    fn close(&self);
    /// Ready once the connection is lost or closed.
    fn closed(&self) -> BoxFuture<'_, Error>;
}

/// Both directions of a stream. A half that is dropped before its end is reset: the other side learns that what
/// it sends is not wanted, or that what it awaits will not come.
pub struct Stream {
    pub sender: Box<dyn Sender>,
    pub receiver: Box<dyn Receiver>,
}

/// The half of a stream that sends.
pub trait Sender: Send {
    /// Sends a message; returns once there is room for it, which bounds what is under way.
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>>;
    /// No message follows. Messages that were sent arrive even if this is dropped afterwards.
    fn finish(&mut self) -> Result<()>;
    /// Ready once the receiver wants no more ([`Error::Stopped`]) or the connection is lost.
    fn stopped(&mut self) -> BoxFuture<'_, Error>;
}

/// The half of a stream that receives.
pub trait Receiver: Send {
    /// The next message; `None` after the last one, [`Error::Stopped`] where the sender broke off. Dropping the
    /// future loses nothing.
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>>;
}
