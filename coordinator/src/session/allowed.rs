//! What the session's user may do, and statements that change what others may.

use super::{Call, Session};
use crate::access::{Rights, Who, change_of};
use crate::catalog::{Refusal, Reply};
use crate::datasets::to_the_end;
use crate::error::{Error, Result};
use crate::query::cancelled;
use crate::result::Rows;
use crate::view::View;
use flight_proto::access::AccessChange;
use flight_proto::catalog::Change;
use planner::Access;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// How often a change is tried against others.
const ATTEMPTS: usize = 10;
/// How long the object store may take for its copy of the catalog.
const COPYING: Duration = Duration::from_secs(20);

impl Session {
    /// What its user may do now.
    pub(crate) fn rights(&self) -> Result<Rights> {
        let (tenant, principal, caller) = (self.tenant.name(), &self.principal, &*self.caller);
        Rights::of(self.coordinator.tenants.catalog().snapshot(), &Who { tenant, principal, caller })
    }

    /// Its turn among the statements that define something.
    pub(super) async fn turn_to_define(&self, call: &Call) -> Result<Option<SemaphorePermit<'_>>> {
        let turn = self.in_time(call, async { Ok(self.tenant.defining.acquire().await.ok()) });
        tokio::select! {
            biased;
            () = cancelled(&call.cancel) => Err(exec::error::Error::Cancelled.into()),
            turn = turn => turn,
        }
    }

    /// Changes roles or grants. It is done once the object store has it, too: a catalog that comes back from there must not
    /// give back what was revoked.
    pub(super) async fn change_access(&self, access: &Access, view: &View, call: &Call) -> Result<Rows> {
        let turn = self.turn_to_define(call).await?;
        for _ in 0..ATTEMPTS {
            // What its user may do is looked at again for each attempt.
            let rights = self.rights()?;
            if !rights.are_restricted() && self.coordinator.config.users.is_empty() {
                return Err(Error::Statement(
                    "before there are roles, say who administers the cluster: start coordinators with \
                     --users name:password. Without, the Admin API is open to everybody, who could undo them"
                        .into(),
                ));
            }
            let Some(action) = change_of(&rights, view, access)? else { return Ok(Rows::changed()) };
            let seen = Some(rights.revision());
            let change = Change::Access(AccessChange { action: Some(action), seen });
            let datasets = self.tenant.datasets.clone();
            match to_the_end(async move { datasets.try_propose(change).await }).await? {
                Reply::Refused(Refusal::AccessChanged) => continue,
                reply => reply.accepted()?,
            };
            drop(turn);
            let tenants = self.coordinator.tenants.clone();
            let copied = to_the_end(async move {
                let copied = tokio::time::timeout(COPYING, tenants.copy_catalog_soon()).await;
                copied.unwrap_or_else(|_| Err(Error::Environment("the object store takes too long".into())))
            });
            copied.await.map_err(|error| {
                let why =
                    format!("it is done, but the copy of the catalog in the object store lacks it: {error}");
                Error::Environment(why)
            })?;
            return Ok(Rows::changed());
        }
        Err(Refusal::AccessChanged.into())
    }
}
