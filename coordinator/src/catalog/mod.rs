//! The catalog: which schemas, datasets and versions there are.
//!
//! [`CatalogState`] is the pure state machine; [`CatalogStore`] makes its changes durable and orders them.
//! [`RaftCatalog`] does so with openraft over redb, on one coordinator or several. Nothing outside `raft` knows
//! either.

mod access;
mod comments;
mod definitions;
mod foreign;
mod policy;
mod raft;
mod reply;
mod schedules;
mod state;

pub use access::ADMIN;
pub(crate) use access::closure;
pub(crate) use definitions::Named;
pub use policy::{Closed, Policy};
pub use raft::{
    Device, MemberState, Nobody, OnFatal, RaftCatalog, RaftMember, RaftOptions, RaftStatus, Random, Storage,
    Timings, Transport,
};
pub use reply::{Refusal, Reply};
pub use schedules::TableSchedule;
pub use state::{CatalogState, DEFAULT_SCHEMA, INFORMATION_SCHEMA, SYSTEM_SCHEMA, is_built_in};

use crate::error::Result;
use flight_proto::catalog::Command;
use futures::future::BoxFuture;
use network::Versions;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A coordinator's knowledge of who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Each leader has a later one.
    pub term: u64,
    /// It is this coordinator.
    pub leads: bool,
}

/// Where the catalog is kept.
pub trait CatalogStore: Send + Sync {
    /// Orders the command, makes it durable, applies it, and gives the state machine's reply.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply>>;
    /// The latest applied state; it does not change.
    fn snapshot(&self) -> Arc<CatalogState>;
    /// Tells of every new state.
    fn changes(&self) -> watch::Receiver<Arc<CatalogState>>;
    /// Waits until the state holds everything that was acknowledged before the call, on whatever coordinator.
    fn linearize(&self) -> BoxFuture<'_, Result<()>>;
    /// The members, as far as this one knows.
    fn status(&self) -> RaftStatus;
    /// Who leads, as far as this coordinator knows.
    fn leadership(&self) -> Leadership;
    /// What this member speaks.
    fn speaks(&self) -> Versions;
    /// What each member speaks, asked anew; `None`: it does not answer.
    fn versions(&self) -> BoxFuture<'_, BTreeMap<u64, Option<Versions>>>;
    /// Takes a coordinator in that was started without being listed.
    fn add_member<'a>(&'a self, id: u64, address: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Leaves a coordinator out.
    fn remove_member(&self, id: u64) -> BoxFuture<'_, Result<()>>;
    /// Has another coordinator lead.
    fn hand_over(&self, to: u64) -> BoxFuture<'_, Result<()>>;
    /// Stops taking commands.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
