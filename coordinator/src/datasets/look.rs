//! What operators ask of datasets: their numbers, their versions, a copy of the catalog.

use super::{DEFAULT_TENANT, Datasets};
use crate::catalog::DEFAULT_SCHEMA;
use crate::error::{Error, Result};
use flight_proto::admin;
use flight_proto::manifest::Manifest;

impl Datasets {
    /// The dataset of a number, or of `schema.table`.
    pub(crate) fn number_of(&self, name: &str) -> Result<u64> {
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        let (schema, table) = name.split_once('.').unwrap_or((DEFAULT_SCHEMA, name));
        let snapshot = self.catalog().snapshot();
        let dataset = snapshot.table(DEFAULT_TENANT, schema, table).map(|dataset| dataset.id);
        dataset.ok_or_else(|| Error::NotFound(format!("there is no table '{schema}.{table}'")))
    }

    /// The latest versions of a dataset that the object store has, also of one that was dropped.
    pub(crate) async fn versions(&self, name: &str, limit: usize) -> Result<Vec<admin::Version>> {
        let dataset = self.number_of(name)?;
        let manifests = self.manifests.history(DEFAULT_TENANT, dataset, limit).await?;
        if manifests.is_empty() && limit > 0 {
            return Err(Error::NotFound(format!("dataset {dataset} has no version in the object store")));
        }
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(DEFAULT_TENANT, dataset).and_then(|dataset| dataset.version);
        let version = |manifest: &Manifest| admin::Version {
            version: manifest.version,
            rows: manifest.rows(),
            size_bytes: manifest.size_bytes(),
            files: manifest.files.len() as u64,
            created_at_us: manifest.created_at_us,
            published: known.is_some_and(|known| known.number == manifest.version),
            tombstone: manifest.tombstone,
        };
        Ok(manifests.iter().map(version).collect())
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
