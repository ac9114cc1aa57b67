//! Manifests in the object store: `<tenant>/<dataset>/manifests/<n>`. Creating one is the commit.
//!
//! The put is conditional: it succeeds only if nobody else has taken the number. A put whose reply was lost
//! is neither success nor failure: the object is read back, and it is ours if its bytes are.

use crate::error::{Error, Result};
use flight_proto::manifest::{MANIFEST_FORMAT, MANIFEST_FORMAT_MOST, Manifest};
use flight_proto::{Message, trace, work};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use shard::{Place, Stores};
use std::sync::Arc;

/// A manifest larger than this is taken for damage.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// The folder of copies of the catalog.
const CATALOG: &str = "catalog";
/// Manifests that are read at once.
const READS: usize = 16;

/// The part of an object store that Tundra keeps its own data in.
#[derive(Clone)]
pub(crate) struct Manifests {
    stores: Arc<Stores>,
    root: Place,
}

/// What became of an attempt to commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    Done,
    /// Another version took the number.
    Conflict,
}

impl Manifests {
    pub(crate) fn new(stores: Arc<Stores>, root: Place) -> Manifests {
        Manifests { stores, root }
    }

    /// The store as that tenant has it. What is no tenant's is in that of the node itself, which is that of the root.
    fn store_of(&self, tenant: &str) -> Result<Arc<dyn ObjectStore>> {
        let place = self.stores.of(tenant).again(&self.root);
        place.map(|place| place.store).map_err(|error| Error::Denied(error.to_string()))
    }

    fn prefix(&self) -> Path {
        self.root.path.clone()
    }

    fn folder(&self, tenant: &str, dataset: u64) -> Path {
        self.prefix().join(tenant).join(dataset.to_string()).join("manifests")
    }

    fn path(&self, tenant: &str, dataset: u64, version: u64) -> Path {
        self.folder(tenant, dataset).join(format!("{version:020}"))
    }

    /// Commits the version that `manifest` holds, unless its number is taken.
    pub(crate) async fn commit(&self, manifest: &Manifest) -> Result<Commit> {
        let path = self.path(&manifest.tenant, manifest.dataset, manifest.version);
        let (dataset, version) = (manifest.dataset, manifest.version);
        let _span = work!(&trace::current(), "put manifest", table = manifest.name, dataset, version);
        let bytes = manifest.encode_to_vec();
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let store = self.store_of(&manifest.tenant)?;
        match store.put_opts(&path, PutPayload::from(bytes.clone()), options).await {
            Ok(_) => Ok(Commit::Done),
            // Also a repeated request of ours whose first reply was lost ends here.
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                whose(&*store, &path, &bytes).await
            }
            Err(error) => match whose(&*store, &path, &bytes).await {
                Ok(commit) => Ok(commit),
                Err(Error::NotFound(_)) => Err(failed(&path, error)),
                Err(unknown) => Err(unknown),
            },
        }
    }

    /// The manifest of one version.
    pub(crate) async fn read(&self, tenant: &str, dataset: u64, version: u64) -> Result<Manifest> {
        let path = self.path(tenant, dataset, version);
        let manifest = decode(&path, &get(&*self.store_of(tenant)?, &path).await?)?;
        if (manifest.dataset, manifest.version) != (dataset, version) || manifest.tenant != tenant {
            return Err(Error::Damaged(format!("{path}: this is the manifest of another version")));
        }
        Ok(manifest)
    }

    /// The latest committed version of a dataset; it may be a tombstone.
    pub(crate) async fn latest(&self, tenant: &str, dataset: u64) -> Result<Option<Manifest>> {
        let versions = versions(&*self.store_of(tenant)?, &self.folder(tenant, dataset)).await?;
        match versions.into_iter().max() {
            Some(version) => self.read(tenant, dataset, version).await.map(Some),
            None => Ok(None),
        }
    }

    /// The latest `limit` versions of a dataset, the latest first.
    pub(crate) async fn history(&self, tenant: &str, dataset: u64, limit: usize) -> Result<Vec<Manifest>> {
        let mut versions = versions(&*self.store_of(tenant)?, &self.folder(tenant, dataset)).await?;
        versions.sort_unstable_by_key(|version| std::cmp::Reverse(*version));
        versions.truncate(limit);
        let reads = futures::stream::iter(versions).map(|version| self.read(tenant, dataset, version));
        reads.buffered(READS).try_collect().await
    }

    /// Every dataset of a tenant that has a folder in the store.
    pub(crate) async fn datasets(&self, tenant: &str) -> Result<Vec<u64>> {
        let folder = self.prefix().join(tenant);
        let listing = self
            .store_of(tenant)?
            .list_with_delimiter(Some(&folder))
            .await
            .map_err(|error| failed(&folder, error))?;
        Ok(listing.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok()).collect())
    }

    /// The folders of the store that datasets may be in, by the names of their tenants.
    pub(crate) async fn tenants(&self) -> Result<Vec<String>> {
        let failed = |error| Error::Environment(format!("{}: {error}", self.root.path));
        let listing = self.root.store.list_with_delimiter(Some(&self.root.path)).await.map_err(failed)?;
        Ok(listing.common_prefixes.iter().filter_map(|path| path.filename().map(String::from)).collect())
    }

    fn snapshots(&self) -> Path {
        self.prefix().join(CATALOG)
    }

    /// Copies the catalog beside the data, so that the store alone rebuilds it. Older copies go, but one. Gives its name below the prefix.
    pub(crate) async fn put_catalog(&self, revision: u64, state: Vec<u8>) -> Result<String> {
        let folder = self.snapshots();
        let failed = |error: object_store::Error| Error::Environment(format!("{folder}: {error}"));
        let path = folder.clone().join(format!("{revision:020}"));
        let store = &*self.root.store;
        store.put(&path, PutPayload::from(state)).await.map_err(failed)?;
        let mut revisions = versions(store, &folder).await?;
        revisions.sort_unstable();
        revisions.truncate(revisions.len().saturating_sub(2));
        for old in revisions {
            // What cannot be deleted now will be with the next copy.
            let _ = store.delete(&folder.clone().join(format!("{old:020}"))).await;
        }
        Ok(format!("{CATALOG}/{revision:020}"))
    }

    /// The latest copy of the catalog.
    pub(crate) async fn catalog(&self) -> Result<Option<Vec<u8>>> {
        let (store, folder) = (&*self.root.store, self.snapshots());
        match versions(store, &folder).await?.into_iter().max() {
            Some(revision) => get(store, &folder.join(format!("{revision:020}"))).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Whether the manifest at `path` is the one of these bytes.
async fn whose(store: &dyn ObjectStore, path: &Path, bytes: &[u8]) -> Result<Commit> {
    Ok(if get(store, path).await? == bytes { Commit::Done } else { Commit::Conflict })
}

async fn get(store: &dyn ObjectStore, path: &Path) -> Result<Vec<u8>> {
    let object = store.get(path).await.map_err(|error| failed(path, error))?;
    if object.meta.size > MANIFEST_BYTES_MAX {
        return Err(Error::Damaged(format!("{path}: {} bytes are no manifest", object.meta.size)));
    }
    Ok(object.bytes().await.map_err(|error| failed(path, error))?.to_vec())
}

/// What has gone wrong at a path. That it may not be reached is said apart: it may be the trouble of one tenant alone.
fn failed(path: &Path, error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => Error::NotFound(format!("{path}: no such object")),
        refused @ (object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. }) => Error::Denied(format!("{path}: {refused}")),
        other => Error::Environment(format!("{path}: {other}")),
    }
}

async fn versions(store: &dyn ObjectStore, folder: &Path) -> Result<Vec<u64>> {
    let listed = store.list(Some(folder)).try_collect().await;
    let objects: Vec<_> = listed.map_err(|error| failed(folder, error))?;
    Ok(objects.iter().filter_map(|object| object.location.filename()?.parse().ok()).collect())
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Manifest> {
    let manifest =
        Manifest::decode(bytes).map_err(|_| Error::Damaged(format!("{path}: this manifest is damaged")))?;
    match manifest.format {
        MANIFEST_FORMAT..=MANIFEST_FORMAT_MOST => Ok(manifest),
        later if later > MANIFEST_FORMAT_MOST => {
            Err(Error::Damaged(format!("{path}: this manifest was made by a later version of Tundra")))
        }
        _ => Err(Error::Damaged(format!("{path}: this manifest is damaged"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: u64, name: &str) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            tenant: "default".into(),
            dataset: 3,
            version,
            name: name.into(),
            ..Manifest::default()
        }
    }

    fn empty() -> Manifests {
        let stores = Stores::new();
        let root = stores.open("memory:///root").unwrap();
        Manifests::new(stores, root)
    }

    #[tokio::test]
    async fn a_number_is_taken_once() {
        let manifests = empty();
        assert_eq!(manifests.commit(&manifest(1, "a")).await.unwrap(), Commit::Done);
        assert_eq!(manifests.commit(&manifest(1, "b")).await.unwrap(), Commit::Conflict);
        assert_eq!(manifests.commit(&manifest(2, "b")).await.unwrap(), Commit::Done);
        assert_eq!(manifests.latest("default", 3).await.unwrap().unwrap().name, "b");
        assert_eq!(manifests.read("default", 3, 1).await.unwrap().name, "a");
        assert!(manifests.latest("default", 4).await.unwrap().is_none());
        assert_eq!(manifests.datasets("default").await.unwrap(), [3]);
    }

    /// The reply to the first put was lost and the request repeated: ours, not a conflict.
    #[tokio::test]
    async fn a_repeated_commit_is_done() {
        let manifests = empty();
        manifests.commit(&manifest(1, "a")).await.unwrap();
        assert_eq!(manifests.commit(&manifest(1, "a")).await.unwrap(), Commit::Done);
    }

    #[tokio::test]
    async fn damaged_and_later_manifests_are_refused() {
        let manifests = empty();
        let path = manifests.path("default", 3, 1);
        for (bytes, expected) in [
            (b"\xff\xff".to_vec(), "damaged"),
            (Manifest { format: 9, ..manifest(1, "a") }.encode_to_vec(), "later version"),
            (Vec::new(), "damaged"),
            (manifest(2, "a").encode_to_vec(), "another version"),
        ] {
            manifests.root.store.put(&path, PutPayload::from(bytes)).await.unwrap();
            let error = manifests.read("default", 3, 1).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn the_last_two_copies_of_the_catalog_stay() {
        let manifests = empty();
        assert!(manifests.catalog().await.unwrap().is_none());
        for revision in [1, 2, 10] {
            manifests.put_catalog(revision, vec![revision as u8]).await.unwrap();
        }
        assert_eq!(manifests.catalog().await.unwrap().unwrap(), [10]);
        assert_eq!(versions(&*manifests.root.store, &manifests.snapshots()).await.unwrap().len(), 2);
    }

    /// Manifests outlive the code that wrote them: these bytes are fixed.
    #[test]
    fn golden_manifest() {
        let file = flight_proto::manifest::File {
            url: "file:///a".into(),
            size_bytes: 300,
            etag: "e".into(),
            modified_at_us: 1,
            rows: 2,
            folder_values: vec![],
            generation: 0,
            deletes: None,
        };
        let manifest = Manifest { files: vec![file], tombstone: true, ..manifest(1, "t") };
        let expected = b"\x08\x01\x12\x07default\x18\x03\x20\x01\x32\x01t\
            R\x15\n\x09file:///a\x10\xac\x02\x1a\x01e\x20\x01\x28\x02X\x01";
        let bytes = manifest.encode_to_vec();
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    }
}
