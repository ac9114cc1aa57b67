//! What operators ask of datasets: their numbers, their versions, a copy of the catalog.

use super::Datasets;
use crate::catalog::DEFAULT_SCHEMA;
use crate::error::{Error, Result};
use flight_proto::admin;
use flight_proto::manifest::Manifest;

impl Datasets {
    /// The dataset of `schema.table`.
    pub(crate) fn number_of(&self, name: &str) -> Result<u64> {
        let (schema, table) = name.split_once('.').unwrap_or((DEFAULT_SCHEMA, name));
        let snapshot = self.catalog().snapshot();
        let dataset = snapshot.table(&self.tenant, schema, table).map(|dataset| dataset.id);
        dataset.ok_or_else(|| Error::NotFound(format!("there is no table '{schema}.{table}'")))
    }

    /// The latest versions of a dataset that the object store has, also of one that was dropped.
    pub(crate) async fn versions(&self, dataset: u64, limit: usize) -> Result<Vec<admin::Version>> {
        let manifests = self.manifests.history(&self.tenant, dataset, limit).await?;
        if manifests.is_empty() && limit > 0 {
            return Err(Error::NotFound(format!("dataset {dataset} has no version in the object store")));
        }
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(&self.tenant, dataset).and_then(|dataset| dataset.version);
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
}
