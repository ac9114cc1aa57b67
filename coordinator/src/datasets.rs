//! Datasets and their versions: committing them, bringing them onto the shards, switching them on.
//!
//! A version comes about in this order: its files lie in the object store; its manifest is created, which
//! commits it; the shards hydrate it; the catalog switches it on in one command; queries that start from
//! then on see it. Changes of one table take turns.

use crate::catalog::{
    CatalogState, CatalogStore, DEFAULT_SCHEMA, INFORMATION_SCHEMA, Reply, columns_from_stored,
    columns_to_stored,
};
use crate::error::{Error, Result};
use crate::manifests::{Commit, Manifests};
use crate::random::random_u128;
use crate::view::{Resident, View};
use bytes::Bytes;
use exec::plan::TableRef;
use exec::runtime::Tables;
use flight_proto::catalog::{
    AllocateDataset, Change, Command, CreateSchema, Dataset, DropDataset, DropSchema, SwitchVersion,
    Version as StoredVersion,
};
use flight_proto::manifest::{File, MANIFEST_FORMAT, Manifest};
use object_store::{ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use planner::catalog::{Partitioning, Table};
use planner::{CreateExternalTable, TableName};
use shard::{Place, Placement, Progress, Shard, Stores, VersionId, hydrate};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::ColumnSchema;
use tokio::sync::OwnedMutexGuard;

/// The tenant of those who name none.
pub(crate) const DEFAULT_TENANT: &str = "default";
/// How often a commit is tried against other writers of the same dataset.
const COMMIT_ATTEMPTS: usize = 16;
/// How long changes of the catalog gather before it is copied to the object store.
const COPY_DELAY: Duration = Duration::from_millis(500);

/// The datasets of this process.
pub(crate) struct Datasets {
    pub(crate) catalog: Arc<dyn CatalogStore>,
    pub(crate) manifests: Manifests,
    pub(crate) stores: Arc<Stores>,
    /// Where Tundra's own objects lie.
    pub(crate) root: Place,
    /// Where external tables may lie, beside the root.
    pub(crate) allowed: Vec<Place>,
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) hydration: hydrate::Options,
    pub(crate) progress: Arc<Progress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    view: Arc<View>,
    residents: BTreeMap<u64, Arc<Resident>>,
    /// The latest committed manifest of each dataset; hydration may be behind it.
    heads: HashMap<u64, Arc<Manifest>>,
    failures: BTreeMap<u64, String>,
    /// One a table name; held while the table is changed.
    locks: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

/// What a new version is made with.
struct Definition {
    schema: String,
    name: String,
    columns: Vec<ColumnSchema>,
    columns_declared: bool,
    location: String,
    partition_by: Vec<String>,
    files: Vec<File>,
}

impl Datasets {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        catalog: Arc<dyn CatalogStore>,
        manifests: Manifests,
        stores: Arc<Stores>,
        root: Place,
        allowed: Vec<Place>,
        shards: Vec<Arc<Shard>>,
        hydration: hydrate::Options,
    ) -> Datasets {
        let state = Mutex::default();
        let progress = Arc::default();
        Datasets { catalog, manifests, stores, root, allowed, shards, hydration, progress, state }
    }

    /// What queries see now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.state.lock().view.clone()
    }

    /// Rebuilds the view after a change of residents, failures or schemas.
    fn show(&self) {
        let snapshot = self.catalog.snapshot();
        let mut state = self.state.lock();
        let schemas = snapshot.schemas(DEFAULT_TENANT);
        let mut view = View::new(DEFAULT_TENANT, schemas, state.residents.values().cloned());
        view.failures = state.failures.values().cloned().collect();
        state.view = Arc::new(view);
    }

    async fn lock(&self, name: &TableName) -> OwnedMutexGuard<()> {
        let key = format!("{}.{}", schema_of(name), name.name).to_lowercase();
        let lock = {
            let mut state = self.state.lock();
            state.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            state.locks.entry(key).or_default().clone()
        };
        lock.lock_owned().await
    }

    async fn propose(&self, change: Change) -> Result<Reply> {
        let command = Command { at_us: now_us(), tenant: DEFAULT_TENANT.into(), change: Some(change) };
        self.catalog.propose(command).await?.accepted()
    }

    fn known(&self, snapshot: &CatalogState, name: &TableName) -> Option<Dataset> {
        snapshot.table(DEFAULT_TENANT, schema_of(name), &name.name).cloned()
    }

    /// Whether a table of that name can be created: `false` where it exists and that is no fault.
    fn can_create(&self, name: &TableName, if_not_exists: bool) -> Result<bool> {
        let schema = schema_of(name);
        if schema.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
            return Err(Error::Statement(format!("schema '{INFORMATION_SCHEMA}' is built in")));
        }
        let snapshot = self.catalog.snapshot();
        if !snapshot.has_schema(DEFAULT_TENANT, schema) {
            return Err(Error::NotFound(format!("there is no schema '{schema}'")));
        }
        match self.known(&snapshot, name) {
            None => Ok(true),
            Some(_) if if_not_exists => Ok(false),
            Some(_) => Err(Error::AlreadyExists(format!("table '{name}' already exists"))),
        }
    }

    pub(crate) async fn create_schema(&self, name: &str, if_not_exists: bool) -> Result<()> {
        let exists = self.catalog.snapshot().has_schema(DEFAULT_TENANT, name)
            || name.eq_ignore_ascii_case(INFORMATION_SCHEMA);
        if exists && if_not_exists {
            return Ok(());
        }
        self.propose(Change::CreateSchema(CreateSchema { name: name.into() })).await?;
        self.show();
        Ok(())
    }

    pub(crate) async fn drop_schema(&self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let snapshot = self.catalog.snapshot();
        if !snapshot.has_schema(DEFAULT_TENANT, name) && if_exists {
            return Ok(());
        }
        if cascade {
            for dataset in snapshot.datasets(DEFAULT_TENANT) {
                if dataset.schema.eq_ignore_ascii_case(name) {
                    let table =
                        TableName { schema: Some(dataset.schema.clone()), name: dataset.name.clone() };
                    self.drop_table(&table, true).await?;
                }
            }
        }
        self.propose(Change::DropSchema(DropSchema { name: name.into() })).await?;
        self.show();
        Ok(())
    }

    pub(crate) async fn create_external(&self, create: &CreateExternalTable) -> Result<()> {
        let _turn = self.lock(&create.name).await;
        if !self.can_create(&create.name, create.if_not_exists)? {
            return Ok(());
        }
        self.check_location(&create.location)?;
        let (files, inferred) = self.list(&create.location).await?;
        let columns = match &create.columns {
            Some(declared) => check_declared(declared, &inferred, &create.location)?,
            None => inferred,
        };
        check_columns(&columns)?;
        let dataset = self.allocate().await?;
        self.create(
            dataset,
            Definition {
                schema: schema_of(&create.name).into(),
                name: create.name.name.clone(),
                columns,
                columns_declared: create.columns.is_some(),
                location: create.location.clone(),
                partition_by: create.partition_by_hash.clone(),
                files,
            },
        )
        .await
    }

    /// Creates a table that Tundra writes itself, of the files that `files` gives, and returns its rows. `None`:
    /// it exists already, and that is no fault.
    pub(crate) async fn create_managed(
        &self,
        name: &TableName,
        if_not_exists: bool,
        columns: Vec<ColumnSchema>,
        files: impl AsyncFnOnce() -> Result<Vec<Bytes>>,
    ) -> Result<Option<u64>> {
        let _turn = self.lock(name).await;
        if !self.can_create(name, if_not_exists)? {
            return Ok(None);
        }
        check_columns(&columns)?;
        // Types that cannot be stored are refused before the query runs.
        columns_to_stored(&columns)?;
        let files = files().await?;
        let dataset = self.allocate().await?;
        let files = self.put(dataset, files).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        self.create(
            dataset,
            Definition {
                schema: schema_of(name).into(),
                name: name.name.clone(),
                columns,
                columns_declared: true,
                location: String::new(),
                partition_by: Vec::new(),
                files,
            },
        )
        .await?;
        Ok(Some(rows))
    }

    /// Adds rows to a table that Tundra writes itself; returns how many.
    pub(crate) async fn append(&self, table: &Table, files: Vec<Bytes>) -> Result<u64> {
        let name = TableName { schema: Some(table.schema.clone()), name: table.name.clone() };
        let files = self.put(table.dataset, files).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        if files.is_empty() {
            return Ok(0);
        }
        let _turn = self.lock(&name).await;
        let manifest = self
            .commit_next(table.dataset, |manifest| {
                manifest.files.extend(files.iter().cloned());
                Ok(())
            })
            .await?;
        self.switch(&manifest).await?;
        Ok(rows)
    }

    /// Refuses what is not a table of Tundra's own.
    pub(crate) fn check_writable(&self, table: &Table) -> Result<()> {
        let snapshot = self.catalog.snapshot();
        match snapshot.dataset(DEFAULT_TENANT, table.dataset) {
            None => Err(Error::NotFound(format!("table '{}' was dropped", table.name))),
            Some(dataset) if !dataset.location.is_empty() => {
                Err(Error::Unsupported(format!("INSERT into the external table '{}'", table.name)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Lists the files of an external table anew and switches to them.
    pub(crate) async fn refresh(&self, name: &TableName) -> Result<()> {
        let _turn = self.lock(name).await;
        let dataset = self.known(&self.catalog.snapshot(), name).ok_or_else(|| not_found(name))?;
        if dataset.location.is_empty() {
            return Ok(());
        }
        self.check_location(&dataset.location)?;
        let (files, inferred) = self.list(&dataset.location).await?;
        let head = self.head(dataset.id).await?;
        if head.files == files && !self.state.lock().failures.contains_key(&dataset.id) {
            return Ok(());
        }
        let columns = match head.columns_declared {
            true => check_declared(&columns_from_stored(&head.columns)?, &inferred, &dataset.location)?,
            false => inferred,
        };
        check_columns(&columns)?;
        let manifest = self
            .commit_next(dataset.id, |manifest| {
                manifest.files = files.clone();
                manifest.columns = columns_to_stored(&columns)?;
                Ok(())
            })
            .await?;
        self.switch(&manifest).await
    }

    pub(crate) async fn drop_table(&self, name: &TableName, if_exists: bool) -> Result<()> {
        let _turn = self.lock(name).await;
        let Some(dataset) = self.known(&self.catalog.snapshot(), name) else {
            return if if_exists { Ok(()) } else { Err(not_found(name)) };
        };
        let tombstone = self
            .commit_next(dataset.id, |manifest| {
                manifest.files.clear();
                manifest.tombstone = true;
                Ok(())
            })
            .await;
        // A dataset whose manifests are lost can still be dropped from the catalog.
        let version = match tombstone {
            Ok(manifest) => manifest.version,
            Err(Error::NotFound(_)) => 0,
            Err(error) => return Err(error),
        };
        self.propose(Change::DropDataset(DropDataset { dataset: dataset.id, version })).await?;
        let removed = {
            let mut state = self.state.lock();
            state.failures.remove(&dataset.id);
            state.heads.remove(&dataset.id);
            state.residents.remove(&dataset.id)
        };
        self.show();
        if let Some(resident) = removed {
            self.let_go(&resident);
        }
        Ok(())
    }

    fn check_location(&self, location: &str) -> Result<()> {
        let place = self.stores.open(location).map_err(shard_error)?;
        if place.is_within(&self.root) || self.allowed.iter().any(|allowed| place.is_within(allowed)) {
            return Ok(());
        }
        Err(Error::Denied(format!(
            "the location '{location}' is outside the object store ({}) and of what --allow-location names",
            self.root.url()
        )))
    }

    /// The files at a location with their rows, and the columns that they share.
    async fn list(&self, location: &str) -> Result<(Vec<File>, Vec<ColumnSchema>)> {
        let files = shard::list(&self.stores, location).await.map_err(shard_error)?;
        let inferred = shard::infer(&self.stores, files).await.map_err(shard_error)?;
        Ok((inferred.files, inferred.columns))
    }

    /// Puts Parquet files among the dataset's objects.
    async fn put(&self, dataset: u64, files: Vec<Bytes>) -> Result<Vec<File>> {
        let mut urls = Vec::new();
        for bytes in files {
            let name = random_u128()?;
            let place = self.root.join(&format!("{DEFAULT_TENANT}/{dataset}/data/{name:032x}.parquet"));
            let url = place.url();
            let put = place.store.put(&place.path, PutPayload::from(bytes)).await;
            put.map_err(|error| Error::Environment(format!("{url}: {error}")))?;
            urls.extend(shard::list(&self.stores, &url).await.map_err(shard_error)?);
        }
        match urls.is_empty() {
            true => Ok(urls),
            false => Ok(shard::infer(&self.stores, urls).await.map_err(shard_error)?.files),
        }
    }

    /// A number for a new dataset.
    async fn allocate(&self) -> Result<u64> {
        match self.propose(Change::AllocateDataset(AllocateDataset {})).await? {
            Reply::Dataset(dataset) => Ok(dataset),
            other => Err(Error::Internal(format!("a dataset without a number: {other:?}"))),
        }
    }

    async fn create(&self, dataset: u64, definition: Definition) -> Result<()> {
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            tenant: DEFAULT_TENANT.into(),
            dataset,
            version: 1,
            schema: definition.schema,
            name: definition.name,
            columns: columns_to_stored(&definition.columns)?,
            location: definition.location,
            partition_by: definition.partition_by,
            files: definition.files,
            tombstone: false,
            created_at_us: now_us(),
            columns_declared: definition.columns_declared,
        };
        // What cannot be hydrated is not committed: a first version has no predecessor to fall back to.
        let resident = self.hydrate(&manifest).await?;
        let published = match self.manifests.commit(&manifest).await {
            Ok(Commit::Done) => self.publish(&manifest, resident.clone()).await,
            Ok(Commit::Conflict) => {
                Err(Error::Conflict(format!("dataset {dataset} was made twice; try again")))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            self.let_go(&resident);
            if matches!(error, Error::AlreadyExists(_) | Error::NotFound(_)) {
                // Lost to another creation of that name: the dataset must not come back from the store.
                let tombstone =
                    Manifest { version: 2, tombstone: true, files: Vec::new(), ..manifest.clone() };
                self.manifests.commit(&tombstone).await?;
            }
            return Err(error);
        }
        Ok(())
    }

    /// The latest committed manifest of a dataset.
    async fn head(&self, dataset: u64) -> Result<Arc<Manifest>> {
        if let Some(head) = self.state.lock().heads.get(&dataset) {
            return Ok(head.clone());
        }
        match self.manifests.latest(DEFAULT_TENANT, dataset).await? {
            Some(manifest) => Ok(Arc::new(manifest)),
            None => Err(Error::NotFound(format!("dataset {dataset} has no manifest in the object store"))),
        }
    }

    /// Commits the version after the latest, changed by `change`.
    async fn commit_next(
        &self,
        dataset: u64,
        change: impl Fn(&mut Manifest) -> Result<()>,
    ) -> Result<Arc<Manifest>> {
        let mut head = self.head(dataset).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            if head.tombstone {
                return Err(Error::NotFound(format!("table '{}' was dropped", head.name)));
            }
            let mut next = Manifest::clone(&head);
            next.version += 1;
            next.created_at_us = now_us();
            change(&mut next)?;
            match self.manifests.commit(&next).await? {
                Commit::Done => {
                    let next = Arc::new(next);
                    self.state.lock().heads.insert(dataset, next.clone());
                    return Ok(next);
                }
                // Another coordinator was faster: its version is the one to build upon.
                Commit::Conflict => {
                    head = Arc::new(self.manifests.read(DEFAULT_TENANT, dataset, next.version).await?);
                }
            }
        }
        Err(Error::Conflict(format!("table '{}' is changed by too many at once; try again", head.name)))
    }

    /// Hydrates a committed version and switches it on.
    async fn switch(&self, manifest: &Manifest) -> Result<()> {
        let resident = self.hydrate(manifest).await.map_err(|error| {
            Error::Environment(format!(
                "version {} of table '{}' is committed, but could not be brought in: {error}",
                manifest.version, manifest.name
            ))
        })?;
        self.publish(manifest, resident).await
    }

    async fn hydrate(&self, manifest: &Manifest) -> Result<Arc<Resident>> {
        let columns = columns_from_stored(&manifest.columns)?;
        let partition_by = manifest.partition_by.iter().map(|name| position_of(&columns, name));
        let id = VersionId {
            tenant: manifest.tenant.clone(),
            dataset: manifest.dataset,
            version: manifest.version,
        };
        let version = shard::Version {
            id,
            schema: columns.clone().into(),
            files: manifest.files.clone(),
            partition_by: partition_by.collect::<Result<_>>()?,
        };
        let hydrated = hydrate::hydrate(&self.shards, &version, &self.hydration, &self.progress)
            .await
            .map_err(shard_error)?;
        let partitioning = match hydrated.placement {
            Placement::Spread => Partitioning::Spread,
            Placement::Hash(columns) => Partitioning::Hash(columns),
            Placement::Replicated => Partitioning::Replicated,
        };
        let table = Table {
            tenant: manifest.tenant.clone(),
            schema: manifest.schema.clone(),
            name: manifest.name.clone(),
            dataset: manifest.dataset,
            version: manifest.version,
            columns,
            statistics: hydrated.statistics,
            partitioning,
        };
        let reference = TableRef {
            tenant: manifest.tenant.clone(),
            dataset: manifest.dataset,
            version: manifest.version,
            name: manifest.name.clone(),
        };
        let shards = self.shards.iter().map(|shard| shard.table(&reference));
        let shards = shards.collect::<exec::error::Result<_>>()?;
        Ok(Arc::new(Resident { table: Arc::new(table), shards }))
    }

    /// Makes a hydrated version the one that queries see.
    async fn publish(&self, manifest: &Manifest, resident: Arc<Resident>) -> Result<()> {
        let dataset = Dataset {
            id: manifest.dataset,
            schema: manifest.schema.clone(),
            name: manifest.name.clone(),
            columns: manifest.columns.clone(),
            location: manifest.location.clone(),
            partition_by: manifest.partition_by.clone(),
            version: Some(StoredVersion {
                number: manifest.version,
                rows: manifest.rows(),
                size_bytes: manifest.size_bytes(),
                published_at_us: 0,
            }),
        };
        self.propose(Change::SwitchVersion(SwitchVersion { dataset: Some(dataset) })).await?;
        self.seat(Arc::new(manifest.clone()), resident);
        self.show();
        Ok(())
    }

    /// Takes a version in as the resident one of its dataset; the former goes when its last query ends.
    fn seat(&self, manifest: Arc<Manifest>, resident: Arc<Resident>) {
        let former = {
            let mut state = self.state.lock();
            state.failures.remove(&manifest.dataset);
            state.residents.insert(manifest.dataset, resident)
        };
        self.state.lock().heads.insert(manifest.dataset, manifest);
        if let Some(former) = former {
            self.let_go(&former);
        }
    }

    fn let_go(&self, resident: &Resident) {
        let table = &resident.table;
        let id = VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version };
        self.shards.iter().for_each(|shard| shard.drop_version(&id));
    }

    /// Copies the catalog to the object store after each change, until `self` goes.
    pub(crate) async fn copy_catalog(self: Arc<Datasets>) {
        let mut changes = self.catalog.changes();
        while changes.changed().await.is_ok() {
            tokio::time::sleep(COPY_DELAY).await;
            changes.mark_unchanged();
            if let Err(error) = self.copy_catalog_now().await {
                tracing::warn!("the catalog could not be copied to the object store: {error}");
            }
        }
    }

    pub(crate) async fn copy_catalog_now(&self) -> Result<()> {
        let state = self.catalog.snapshot();
        if state.is_empty() {
            return Ok(());
        }
        self.manifests.put_catalog(state.revision(), state.to_bytes()).await
    }
}

/// Bringing back what was there before.
impl Datasets {
    /// Brings the catalog up to what the object store holds, and every dataset onto the shards. A dataset
    /// that cannot be read is left out, with the reason kept for those who ask for it.
    pub(crate) async fn restore(&self) -> Result<()> {
        if self.catalog.snapshot().is_empty()
            && let Some(bytes) = self.manifests.catalog().await?
        {
            let state = CatalogState::from_bytes(&bytes)?;
            tracing::info!("the catalog is rebuilt from the object store");
            self.propose(Change::Restore(state.stored().clone())).await?;
        }
        let mut ids = self.manifests.datasets(DEFAULT_TENANT).await?;
        let state = self.catalog.snapshot();
        ids.extend(state.datasets(DEFAULT_TENANT).iter().map(|dataset| dataset.id));
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let known = self.catalog.snapshot().dataset(DEFAULT_TENANT, id).cloned();
            if let Err(error) = self.restore_dataset(id, known.as_ref()).await {
                match known {
                    Some(dataset) => {
                        let message = format!("table '{}' could not be brought in: {error}", dataset.name);
                        tracing::warn!("{message}");
                        self.state.lock().failures.insert(id, message);
                    }
                    None => tracing::warn!("dataset {id} of the object store is left out: {error}"),
                }
            }
        }
        self.show();
        for shard in &self.shards {
            // Left-overs cost disk, not answers.
            if let Err(error) = shard.sweep() {
                tracing::warn!("old segments could not be deleted: {error}");
            }
        }
        Ok(())
    }

    async fn restore_dataset(&self, id: u64, known: Option<&Dataset>) -> Result<()> {
        let Some(manifest) = self.manifests.latest(DEFAULT_TENANT, id).await? else {
            return Err(Error::NotFound("it has no manifest in the object store".into()));
        };
        let switched_on = known.and_then(|dataset| dataset.version).map(|version| version.number);
        if manifest.tombstone {
            if known.is_some() {
                let drop = DropDataset { dataset: id, version: manifest.version };
                self.propose(Change::DropDataset(drop)).await?;
            }
            return Ok(());
        }
        if known.is_none() && !self.catalog.snapshot().has_schema(DEFAULT_TENANT, &manifest.schema) {
            self.propose(Change::CreateSchema(CreateSchema { name: manifest.schema.clone() })).await?;
        }
        let resident = self.hydrate(&manifest).await?;
        if switched_on == Some(manifest.version) {
            self.seat(Arc::new(manifest), resident);
            return Ok(());
        }
        // Committed, but the process ended before it was switched on.
        self.publish(&manifest, resident).await
    }
}

fn schema_of(name: &TableName) -> &str {
    name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA)
}

fn not_found(name: &TableName) -> Error {
    Error::NotFound(format!("there is no table '{name}'"))
}

fn position_of(columns: &[ColumnSchema], name: &str) -> Result<u32> {
    let position = columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    position
        .map(|position| position as u32)
        .ok_or_else(|| Error::Statement(format!("PARTITION BY HASH names '{name}', which is no column")))
}

/// A table has columns, and no two of them differ by case alone.
fn check_columns(columns: &[ColumnSchema]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::Statement("a table needs at least one column".into()));
    }
    let mut seen = std::collections::HashSet::new();
    match columns.iter().find(|column| !seen.insert(column.name.to_lowercase())) {
        Some(twice) => Err(Error::Statement(format!("column '{}' occurs twice", twice.name))),
        None => Ok(()),
    }
}

/// Declared columns must be in the files.
fn check_declared(
    declared: &[ColumnSchema],
    inferred: &[ColumnSchema],
    location: &str,
) -> Result<Vec<ColumnSchema>> {
    for column in declared {
        if !inferred.iter().any(|found| found.name.eq_ignore_ascii_case(&column.name)) {
            let names: Vec<_> = inferred.iter().map(|found| found.name.as_str()).collect();
            return Err(Error::Statement(format!(
                "column '{}' is not in the files at '{location}'; they have {}",
                column.name,
                names.join(", ")
            )));
        }
    }
    Ok(declared.to_vec())
}

/// A shard's error by whose fault it is.
pub(crate) fn shard_error(error: shard::Error) -> Error {
    match error {
        shard::Error::Location(message) => Error::Statement(message),
        shard::Error::Execution(error) => Error::Execution(error),
        shard::Error::Unsupported(what) => Error::Unsupported(what),
        shard::Error::Internal(message) => Error::Internal(message),
        other => Error::Environment(other.to_string()),
    }
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
