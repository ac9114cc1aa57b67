//! What the session's user may do, and statements that change what others may.

use super::{Call, Session};
use crate::access::{Rights, Who, change_of};
use crate::datasets::to_the_end;
use crate::error::{Error, Result};
use crate::query::cancelled;
use crate::result::Rows;
use crate::view::View;
use flight_proto::access::{AccessAction, AccessChange, Role};
use flight_proto::catalog::Change;
use flight_proto::policy::DEFAULT_TENANT;
use planner::Access;
use tokio::sync::SemaphorePermit;

impl Session {
    /// What its user may do now.
    pub(crate) fn rights(&self) -> Result<Rights> {
        let who = Who {
            tenant: self.tenant.name(),
            principal: &self.principal,
            roles: &self.roles,
            is_admin: self.is_admin,
        };
        Rights::of(self.coordinator.tenants.catalog().snapshot(), &who)
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
    pub(super) async fn change_access(
        &self,
        access: &Access,
        rights: &Rights,
        view: &View,
        call: &Call,
    ) -> Result<Rows> {
        let _turn = self.turn_to_define(call).await?;
        let Some(action) = change_of(rights, view, access)? else { return Ok(Rows::changed()) };
        if let AccessAction::CreateRole(role) = &action {
            self.check_first(role, rights)?;
        }
        let (datasets, coordinator) = (self.tenant.datasets.clone(), self.coordinator.clone());
        let change = async move {
            let change = Change::Access(AccessChange { action: Some(action) });
            datasets.propose(change).await?;
            let copied = coordinator.tenants.copy_latest_catalog().await.map(drop);
            copied.map_err(|error| {
                let why =
                    format!("it is done, but a copy of the catalog in the object store lacks it: {error}");
                Error::Environment(why)
            })
        };
        to_the_end(change).await?;
        Ok(Rows::changed())
    }

    /// Where anybody may call, the first role ends that: it must be one that can go on.
    fn check_first(&self, role: &Role, rights: &Rights) -> Result<()> {
        let open = self.tenant() == DEFAULT_TENANT && self.coordinator.config.users.is_empty();
        if rights.are_restricted() || !open || (role.superuser && role.login && !role.verifier.is_empty()) {
            return Ok(());
        }
        Err(Error::Statement(
            "the first user must be able to create others, since with it nobody is let in without a password any more: \
             CREATE USER name SUPERUSER PASSWORD '…' (or start with --users)"
                .into(),
        ))
    }
}
