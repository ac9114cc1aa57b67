//! Bringing back what was there before: the catalog from the object store, the datasets of all tenants onto the shards.

use super::Tenants;
use crate::catalog::{CatalogState, Reply};
use crate::datasets::now_us;
use crate::error::{Error, Result};
use crate::upgrade;
use flight_proto::catalog::{Change, Command, Restored};
use flight_proto::policy::{DEFAULT_TENANT, check_tenant_name};
use futures::{StreamExt, stream};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long changes of the catalog gather before it is copied to the object store.
const COPY_DELAY: Duration = Duration::from_millis(500);

/// Datasets of higher numbers are not taken over from an object store.
const NUMBER_MOST: u64 = 1 << 53;
/// Nor are those of which the catalog has not given nearly as high ones.
const NUMBERS_AHEAD: u64 = 1_000_000;
/// How many numbers are passed over where a tenant's folder could not be read: it may have some that nobody knows of.
const NUMBERS_UNREAD: u64 = 1_000_000;

/// Tenants whose folders are listed at once.
const LISTS: usize = 16;
/// How long the store of a tenant's own credentials may take to list its folder: the others wait for it.
const OWN_LIST: Duration = Duration::from_secs(20);

impl Tenants {
    /// Brings the catalog up to what the object store holds, and every dataset onto the shards.
    pub(crate) async fn restore(&self) -> Result<()> {
        let stored = self.filled().await?;
        for datasets in self.with_stored(&stored) {
            datasets.restore(ids_of(&stored, datasets.tenant())).await?;
        }
        self.restored().await?;
        for datasets in self.all() {
            datasets.show();
        }
        for shard in self.shards().here().into_iter().flat_map(|here| here.shards()) {
            // Left-overs cost disk, not answers.
            if let Err(error) = shard.sweep() {
                tracing::warn!("old segments could not be deleted: {error}");
            }
        }
        Ok(())
    }

    /// The datasets that have a folder in the object store, by tenant. Of a catalog that is new all tenants are looked
    /// for, else those that it knows.
    pub(super) async fn stored(&self) -> Result<BTreeMap<String, Vec<u64>>> {
        let snapshot = self.catalog().snapshot();
        let is_filled = snapshot.is_empty() || snapshot.is_restoring();
        let mut tenants: Vec<String> = match is_filled {
            true => self.manifests.tenants().await?,
            false => snapshot.tenants().map(String::from).collect(),
        };
        tenants.push(DEFAULT_TENANT.into());
        tenants.retain(|tenant| check_tenant_name(tenant).is_ok());
        tenants.sort_unstable();
        tenants.dedup();
        let mut stored = BTreeMap::new();
        let policy = snapshot.policy();
        let list = |tenant: String| async move {
            let listing = self.manifests.datasets(&tenant);
            let listed = match policy.has_credentials(&tenant) {
                true => tokio::time::timeout(OWN_LIST, listing).await.unwrap_or_else(|_| {
                    let seconds = OWN_LIST.as_secs();
                    Err(Error::Environment(format!("its object store did not answer within {seconds} s")))
                }),
                false => listing.await,
            };
            (tenant, listed)
        };
        let mut lists = stream::iter(tenants).map(list).buffered(LISTS);
        while let Some((tenant, listed)) = lists.next().await {
            let has_own = policy.has_credentials(&tenant);
            let mut ids = match listed {
                Ok(ids) => ids,
                // The others have nothing to do with that, and what it lacks comes with a later comparison. Where the catalog is
                // filled, names must not be given away before it is known why: but a tenant's own credentials stop nobody else.
                Err(error) if has_own || !is_filled && matches!(error, Error::Denied(_)) => {
                    tracing::warn!(
                        "what the tenant '{tenant}' has in the object store is not looked at: {error}"
                    );
                    self.ground.shared.unread.lock().insert(tenant.clone());
                    if is_filled {
                        self.default()
                            .datasets
                            .see(&[snapshot.last_dataset().saturating_add(NUMBERS_UNREAD)]);
                    }
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
            // Whoever may write into a folder can make numbers up, which would use all of them up.
            let most = match is_filled {
                true => NUMBER_MOST,
                false => snapshot.last_dataset().saturating_add(NUMBERS_AHEAD),
            };
            ids.retain(|&id| id <= most);
            self.default().datasets.see(&ids);
            stored.insert(tenant, ids);
        }
        Ok(stored)
    }

    /// The datasets of the tenants that the catalog knows, and of those that are in the store while it is filled.
    pub(super) fn with_stored(
        &self,
        stored: &BTreeMap<String, Vec<u64>>,
    ) -> Vec<Arc<crate::datasets::Datasets>> {
        if self.catalog().snapshot().is_restoring() {
            let filled = stored.iter().filter(|(_, ids)| !ids.is_empty());
            filled.for_each(|(tenant, _)| drop(self.open(tenant)));
        }
        self.all()
    }

    /// Has a catalog that is empty filled from the object store: at first by the copy there, which may be behind the
    /// manifests. Gives the datasets that are stored, which tenants' own credentials may be needed for: the copy has them.
    pub(super) async fn filled(&self) -> Result<BTreeMap<String, Vec<u64>>> {
        let is_empty = self.catalog().snapshot().is_empty();
        let copy = if is_empty { self.manifests.catalog().await? } else { None };
        let has_copy = copy.is_some();
        if let Some(bytes) = copy {
            self.take_over(CatalogState::from_bytes(&bytes)?).await?;
        }
        let stored = self.stored().await?;
        if is_empty && !has_copy && !stored.values().all(Vec::is_empty) {
            self.take_over(CatalogState::default()).await?;
        }
        Ok(stored)
    }

    async fn take_over(&self, copy: CatalogState) -> Result<()> {
        // What a version has brought is read by nodes of that version alone.
        let (copied, speaks) = (copy.cluster_version(), self.catalog().speaks());
        if let Some(why) = speaks.refusal(copied).filter(|_| copied > speaks.most) {
            return Err(Error::Environment(format!(
                "the catalog in the object store cannot be taken over: {why}"
            )));
        }
        if copied > self.catalog().snapshot().cluster_version() {
            upgrade::upgrade(self.catalog(), self.shards()).await?;
        }
        tracing::info!("the catalog is rebuilt from the object store");
        self.propose(Change::Restore(copy.stored().clone())).await
    }

    /// The catalog has what the object store has.
    pub(super) async fn restored(&self) -> Result<()> {
        match self.catalog().snapshot().is_restoring() {
            true => self.propose(Change::Restored(Restored {})).await,
            false => Ok(()),
        }
    }

    async fn propose(&self, change: Change) -> Result<()> {
        self.try_propose(change).await?.accepted().map(drop)
    }

    /// Changes what no tenant alone has; gives what the catalog answers, refusals included.
    pub(crate) async fn try_propose(&self, change: Change) -> Result<Reply> {
        let command = Command { at_us: now_us(), tenant: DEFAULT_TENANT.into(), change: Some(change) };
        let reply = self.catalog().propose(command).await?;
        if self.shards().nodes().is_some()
            && let Err(error) = self.catalog().linearize().await
        {
            // Another member has applied it; the next statement waits until this one has, too.
            tracing::debug!("a change is not seen here yet: {error}");
        }
        Ok(reply)
    }

    /// Brings in what is absent of a tenant whose credentials were set, until the catalog is closed. Where shards are nodes of
    /// their own they try again themselves.
    pub(crate) async fn follow_credentials(self: Arc<Tenants>) {
        let mut changes = self.catalog().changes();
        let versions = |snapshot: &CatalogState| -> BTreeMap<String, u64> {
            let policy = snapshot.policy();
            let versions = snapshot.tenants().filter_map(|name| Some((name, policy.credentials(name)?.0)));
            versions.map(|(name, version)| (name.to_string(), version)).collect()
        };
        let mut before = versions(&changes.borrow_and_update());
        while changes.changed().await.is_ok() {
            let now = versions(&changes.borrow_and_update());
            for datasets in self.all() {
                let name: &str = datasets.tenant();
                if now.get(name) != before.get(name) {
                    tokio::spawn(async move { datasets.bring_absent().await });
                }
            }
            before = now;
        }
    }

    /// Copies the catalog to the object store after each change, until the catalog is closed.
    pub(crate) async fn copy_catalog(self: Arc<Tenants>) {
        let mut changes = self.catalog().changes();
        while changes.changed().await.is_ok() {
            tokio::time::sleep(COPY_DELAY).await;
            changes.mark_unchanged();
            if let Err(error) = self.copy_catalog_now().await {
                tracing::warn!("the catalog could not be copied to the object store: {error}");
            }
        }
    }

    pub(crate) async fn copy_catalog_now(&self) -> Result<()> {
        let state = self.catalog().snapshot();
        // Of several coordinators the one that leads does it.
        if state.is_empty() || !self.catalog().leadership().leads {
            return Ok(());
        }
        self.manifests.put_catalog(state.revision(), state.to_bytes()).await.map(drop)
    }
}

/// The datasets of a tenant that are in the store.
pub(super) fn ids_of<'a>(stored: &'a BTreeMap<String, Vec<u64>>, tenant: &str) -> &'a [u64] {
    stored.get(tenant).map_or(&[], Vec::as_slice)
}
