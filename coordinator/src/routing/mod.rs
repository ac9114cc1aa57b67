//! Which engine answers a query. The policy says which tables are elsewhere, too ([`twins`]); a query is planned for each
//! engine that has all its tables ([`choice`], [`stand_ins`]); rules decide by what is known of it at the moment
//! ([`features`], [`decide`]), among it what such queries took ([`history`]). [`explain`] shows it.
//!
//! A decision is a pure function of policy and features. What learns from the history in place of the rules would stand
//! in for [`decide::decide`], and see no more than that does.

pub(crate) mod choice;
pub(crate) mod decide;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod forced;
pub(crate) mod history;
mod stand_ins;
mod twins;

use history::History;
use parking_lot::Mutex;

/// What a coordinator has of one tenant's routes.
#[derive(Default)]
pub(crate) struct Routing {
    pub(crate) history: History,
    twins: Mutex<Option<twins::Known>>,
}

/// The engine that is no server.
pub(crate) const TUNDRA: &str = "tundra";
/// What rules, and `SET engine`, say in place of an engine.
const FASTEST: &str = "fastest";
const CHEAPEST: &str = "cheapest";
pub(crate) const AUTO: &str = "auto";
/// The engine of the tables that a query names.
pub(crate) const NAMED: &str = "named";

impl Routing {
    /// Forgets what was learned: the tenant is no more, and another may have its name.
    pub(crate) fn forget(&self) {
        self.history.clear();
        *self.twins.lock() = None;
    }
}
