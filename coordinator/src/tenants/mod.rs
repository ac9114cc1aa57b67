//! The tenants of a coordinator: each has its own [`Datasets`], which see and name nothing of another's. What is here is
//! done for all of them: [`restore`] at a start, [`follow`] all the time,
//! [`closing`] where the policy closes one.

pub(crate) mod closing;
mod follow;
mod restore;
mod tenant;

pub(crate) use tenant::Tenant;

use crate::catalog::{CatalogStore, Closed};
use crate::datasets::{Datasets, Ground};
use crate::error::{Error, Result};
use crate::manifests::Manifests;
use crate::shards::Shards;
use flight_proto::admin;
use flight_proto::manifest::Manifest;
use flight_proto::node::VersionName;
use flight_proto::policy::DEFAULT_TENANT;
use parking_lot::Mutex;
use shard::{Place, VersionId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tenants, and what the datasets of all of them stand on.
pub(crate) struct Tenants {
    ground: Arc<Ground>,
    manifests: Manifests,
    open: Mutex<BTreeMap<Arc<str>, Arc<Tenant>>>,
}

impl Tenants {
    pub(crate) fn new(ground: Ground) -> Tenants {
        let manifests = ground.manifests();
        let tenants = Tenants { ground: Arc::new(ground), manifests, open: Mutex::default() };
        tenants.open(DEFAULT_TENANT);
        tenants
    }

    pub(crate) fn catalog(&self) -> &dyn CatalogStore {
        &*self.ground.catalog
    }

    pub(crate) fn shards(&self) -> &Shards {
        &self.ground.shards
    }

    /// Where Tundra's own objects lie.
    pub(crate) fn root(&self) -> &Place {
        &self.ground.root
    }

    /// What hydrations of this process have done since the start.
    pub(crate) fn hydrated(&self) -> shard::Counts {
        self.shards().here().map_or(shard::Counts::default(), |here| here.counts())
    }

    /// Of those who name none.
    pub(crate) fn default(&self) -> Arc<Tenant> {
        self.open(DEFAULT_TENANT)
    }

    /// A tenant whose users may be served.
    pub(crate) fn serving(&self, tenant: &str) -> Result<Arc<Tenant>> {
        self.check_open(tenant)?;
        Ok(self.open(tenant))
    }

    /// Refuses a tenant that is not served. That there is none is told as that it is not served, to everybody: who may
    /// not ask learns nothing.
    pub(crate) fn check_open(&self, tenant: &str) -> Result<()> {
        match self.catalog().snapshot().policy().closed(tenant) {
            None => Ok(()),
            Some(Closed::Suspended | Closed::Unknown) => {
                Err(Error::Denied(format!("the tenant '{tenant}' is not served here")))
            }
        }
    }

    /// The datasets of a tenant that the catalog knows.
    pub(crate) fn known(&self, tenant: &str) -> Option<Arc<Datasets>> {
        let snapshot = self.catalog().snapshot();
        let known = tenant == DEFAULT_TENANT || snapshot.tenants().any(|known| known == tenant);
        known.then(|| self.open(tenant).datasets.clone())
    }

    /// The datasets of every tenant that the catalog knows, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Datasets>> {
        let snapshot = self.catalog().snapshot();
        snapshot.tenants().for_each(|tenant| drop(self.open(tenant)));
        self.open.lock().values().map(|tenant| tenant.datasets.clone()).collect()
    }

    /// The datasets of the tenant that a dataset is of, where the catalog knows it.
    pub(crate) fn of_dataset(&self, dataset: u64) -> Option<Arc<Datasets>> {
        let snapshot = self.catalog().snapshot();
        snapshot.find(dataset).map(|(tenant, _)| self.open(tenant).datasets.clone())
    }

    fn open(&self, tenant: &str) -> Arc<Tenant> {
        let mut open = self.open.lock();
        if let Some(tenant) = open.get(tenant) {
            return tenant.clone();
        }
        let opened = Arc::new(Tenant::new(Datasets::new(tenant, self.ground.clone())));
        open.insert(opened.name().clone(), opened.clone());
        opened
    }

    /// Forgets how queries of a tenant of this name were routed.
    pub(crate) fn forget_routes(&self, tenant: &str) {
        let known = self.open.lock().get(tenant).cloned();
        if let Some(known) = known {
            known.routing.forget();
        }
    }

    /// The versions that queries of any tenant may read, or soon will; those that they may read on a shard, where one is
    /// given for the tenant.
    pub(crate) fn in_use(&self, shard: impl Fn(&str) -> Option<u64>) -> Vec<VersionId> {
        let all = self.all();
        all.iter().flat_map(|datasets| datasets.in_use(shard(datasets.tenant()))).collect()
    }

    /// The tenants that are read in a pool that is not theirs, since their own does not have all of their data yet.
    pub(crate) fn moving(&self) -> Vec<admin::Moving> {
        let snapshot = self.catalog().snapshot();
        let moving = |datasets: &Arc<Datasets>| {
            let (view, tenant) = (datasets.view(), datasets.tenant().to_string());
            let (pool, read_in) =
                (snapshot.pool_of(&tenant).to_string(), view.seating.as_ref()?.pool.clone());
            (pool != read_in).then_some(admin::Moving { tenant, pool, read_in })
        };
        self.all().iter().filter_map(moving).collect()
    }

    /// How many of these are read in that pool.
    pub(crate) fn moving_from(&self, pool: &str) -> usize {
        self.moving().iter().filter(|moving| moving.read_in == pool).count()
    }

    /// The manifest of a version, for a shard that is to bring it in.
    pub(crate) async fn manifest(&self, name: &VersionName) -> Result<Arc<Manifest>> {
        match self.known(&name.tenant) {
            Some(datasets) => datasets.manifest(name).await,
            None => Err(Error::NotFound(format!("there is no tenant '{}'", name.tenant))),
        }
    }

    /// Lets go of what the catalog does not have any more, where shards are in this process.
    pub(crate) fn forget_dropped(&self) {
        if self.shards().here().is_some() {
            self.all().iter().for_each(|datasets| datasets.forget_dropped());
        }
    }

    /// Tells the catalog of what was switched on before it was told, for as long as it is polled.
    pub(crate) async fn publish_all(self: Arc<Tenants>) {
        loop {
            self.ground.shared.unpublished.notified().await;
            self.publish_pending().await;
        }
    }

    /// Tells the catalog of every version that waits.
    pub(crate) async fn publish_pending(&self) {
        for datasets in self.all() {
            datasets.publish_pending().await;
        }
    }

    /// The dataset that `NUMBER`, `SCHEMA.TABLE` or `TENANT/SCHEMA.TABLE` names, and the tenant's datasets.
    pub(crate) fn named(&self, name: &str) -> Result<(Arc<Datasets>, u64)> {
        if let Ok(number) = name.parse() {
            // The versions of one that was dropped can be listed, too.
            return Ok((self.of_dataset(number).unwrap_or_else(|| self.default().datasets.clone()), number));
        }
        let (tenant, table) = name.split_once('/').unwrap_or((DEFAULT_TENANT, name));
        let datasets = self.known(tenant);
        let datasets = datasets.ok_or_else(|| Error::NotFound(format!("there is no tenant '{tenant}'")))?;
        let number = datasets.number_of(table)?;
        Ok((datasets, number))
    }

    /// Copies the catalog to the object store as it is now, whoever leads.
    pub(crate) async fn copy_catalog_soon(&self) -> Result<()> {
        let state = self.catalog().snapshot();
        self.manifests.put_catalog(state.revision(), state.to_bytes()).await.map(drop)
    }

    /// Copies the catalog to the object store, with all that was acknowledged before.
    pub(crate) async fn copy_latest_catalog(&self) -> Result<admin::Snapshot> {
        self.publish_pending().await;
        self.catalog().linearize().await?;
        let state = self.catalog().snapshot();
        let name = self.manifests.put_catalog(state.revision(), state.to_bytes()).await?;
        Ok(admin::Snapshot { revision: state.revision(), url: self.root().join(&name).url() })
    }
}
