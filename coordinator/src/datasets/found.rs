//! What the object store has of datasets that the catalog does not know, and which of them can never be.
//!
//! A `CREATE` whose outcome nobody knew leaves a manifest in the store, or one that comes late. It may still be
//! switched on, but not after a table of that name has come and gone: that would bring a dropped table back. So a
//! number is given together with a name ([`AllocateDataset`]), never with that of a table that is there, and from then on
//! the catalog refuses every lower number of the name for good. Hence the rule: **of the datasets of one name only that
//! of the highest number can be**; the others were dropped, or overtaken before anyone saw them. Manifests alone tell
//! that, too, so that it holds where a lost catalog is filled from the store: nothing gets a number until that is done
//! ([`CatalogState::is_restoring`]). What can never be gets a tombstone.
//!
//! [`AllocateDataset`]: flight_proto::catalog::AllocateDataset
//! [`CatalogState::is_restoring`]: crate::catalog::CatalogState::is_restoring

use super::Datasets;
use crate::error::{Error, Result};
use crate::manifests::Commit;
use flight_proto::catalog::Dataset;
use flight_proto::manifest::Manifest;
use futures::{StreamExt, stream};
use std::collections::HashMap;

/// Manifests that are read at once.
const READS: usize = 16;

/// The datasets of the object store.
#[derive(Default)]
pub(super) struct Found {
    /// By lower-case schema and name, the highest number.
    latest: HashMap<(String, String), u64>,
    /// Of those of which the catalog has another version, or none: the number, the schema and the name.
    pub(super) different: Vec<(u64, String, String)>,
}

impl Found {
    fn add(&mut self, manifest: Manifest, known: Option<&Dataset>) {
        let latest = self.latest.entry(key(&manifest)).or_default();
        *latest = manifest.dataset.max(*latest);
        if !is_known(&manifest, known) {
            self.different.push((manifest.dataset, manifest.schema, manifest.name));
        }
    }

    /// Whether a later dataset has taken the name.
    fn has_later(&self, manifest: &Manifest) -> bool {
        self.latest.get(&key(manifest)).is_some_and(|&latest| latest > manifest.dataset)
    }
}

/// Whether the catalog has what the latest manifest of a dataset says.
pub(super) fn is_known(manifest: &Manifest, known: Option<&Dataset>) -> bool {
    match known {
        None => manifest.tombstone,
        Some(_) if manifest.tombstone => false,
        Some(known) => known.version.is_some_and(|version| version.number >= manifest.version),
    }
}

fn key(manifest: &Manifest) -> (String, String) {
    (manifest.schema.to_lowercase(), manifest.name.to_lowercase())
}

impl Datasets {
    /// Reads the latest manifest of each dataset. What is damaged is left out; what could not be read is an error where
    /// the catalog is to be filled from it.
    pub(super) async fn find(&self, ids: &[u64]) -> Result<Found> {
        let (mut found, snapshot) = (Found::default(), self.catalog().snapshot());
        let latest = |id| async move { (id, self.manifests.latest(&self.tenant, id).await) };
        let mut reads = stream::iter(ids.to_vec()).map(latest).buffered(READS);
        while let Some((id, read)) = reads.next().await {
            match read {
                Ok(Some(manifest)) => found.add(manifest, snapshot.dataset(&self.tenant, id)),
                Ok(None) => {}
                // The tenant's own credentials are the trouble of that tenant alone.
                Err(error @ (Error::Environment(_) | Error::Denied(_)))
                    if snapshot.is_restoring() && !snapshot.policy().has_credentials(&self.tenant) =>
                {
                    return Err(error);
                }
                Err(error) => tracing::warn!("dataset {id} of the object store is left as it is: {error}"),
            }
        }
        Ok(found)
    }

    /// Whether a dataset that the catalog does not know can never be; it has a tombstone then.
    pub(super) async fn bury(&self, manifest: &Manifest, found: &Found) -> Result<bool> {
        let snapshot = self.catalog().snapshot();
        let Manifest { dataset, schema, name, .. } = manifest;
        if !snapshot.is_past(&self.tenant, *dataset, schema, name) && !found.has_later(manifest) {
            return Ok(false);
        }
        tracing::info!("dataset {dataset} was to be table '{name}', which was made anew: it is dropped");
        match self.manifests.commit(&tombstone(manifest)).await? {
            Commit::Done => {}
            Commit::Conflict => tracing::debug!("dataset {dataset} has a later version"),
        }
        Ok(true)
    }
}

/// The version that drops a dataset after `manifest`.
pub(super) fn tombstone(manifest: &Manifest) -> Manifest {
    let version = manifest.version + 1;
    Manifest { version, tombstone: true, files: Vec::new(), ..manifest.clone() }
}
