//! What statements change: schemas and tables come and go, rows are added.

use super::partition::Partition;
use super::refresh;
use super::{COMMIT_ATTEMPTS, Datasets, Definition, Waiting, not_brought_in, shard_error, too_many_writers};
use crate::catalog::{DEFAULT_SCHEMA, Named, is_built_in};
use crate::error::{Error, Result};
use crate::manifests::Commit;
use bytes::Bytes;
use columnar::DataType;
use flight_proto::catalog::{Change, CreateSchema, Dataset, DropDataset, DropSchema};
use flight_proto::manifest::{File, Manifest};
use flight_proto::policy::DEFAULT_TENANT;
use flight_proto::{trace, work};
use object_store::{ObjectStoreExt, PutPayload};
use planner::catalog::Table;
use planner::{CreateExternalTable, TableName};
use shard::Place;
use shard::schema::{columns_to_stored, type_before};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use storage::ColumnSchema;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// Refuses to drop a dataset.
pub(crate) type MayDrop<'a> = dyn Fn(u64) -> Result<()> + Send + Sync + 'a;

/// How long the catalog is asked to switch a committed version on.
const SWITCHING: Duration = Duration::from_secs(60);

impl Datasets {
    /// `owner` of what is created is a role, or empty.
    pub(crate) async fn create_schema(&self, name: &str, if_not_exists: bool, owner: &str) -> Result<()> {
        let exists =
            self.catalog().snapshot().has_schema(&self.tenant, name) || is_built_in(&name.to_lowercase());
        if exists && if_not_exists {
            return Ok(());
        }
        self.propose(Change::CreateSchema(CreateSchema { name: name.into(), owner: owner.into() })).await?;
        self.show();
        Ok(())
    }

    /// `may_drop` is asked of each dataset, `may_drop_schema` at the end: others may have created some of the name meanwhile.
    pub(crate) async fn drop_schema(
        &self,
        name: &str,
        if_exists: bool,
        cascade: bool,
        may_drop: &MayDrop<'_>,
        may_drop_schema: &(dyn Fn() -> Result<()> + Send + Sync),
    ) -> Result<()> {
        let snapshot = self.catalog().snapshot();
        if if_exists && !snapshot.has_schema(&self.tenant, name) {
            return Ok(());
        }
        if cascade {
            self.drop_definitions(name, false).await?;
            let inside = snapshot.datasets(&self.tenant).into_iter();
            for dataset in inside.filter(|dataset| dataset.schema.to_lowercase() == name.to_lowercase()) {
                let schema = Some(dataset.schema.clone());
                let table = TableName { schema, name: dataset.name.clone() };
                self.drop_table(&table, true, true, may_drop).await?;
            }
            let foreign = snapshot.foreign_tables(&self.tenant);
            for table in foreign.filter(|table| table.schema.to_lowercase() == name.to_lowercase()) {
                let schema = Some(table.schema.clone());
                self.drop_foreign(&TableName { schema, name: table.name.clone() }, true, true).await?;
            }
            // Of which there are no columns any more.
            self.drop_definitions(name, true).await?;
        }
        may_drop_schema()?;
        self.propose(Change::DropSchema(DropSchema { name: name.into() })).await?;
        self.show();
        Ok(())
    }

    pub(crate) async fn create_external(&self, create: &CreateExternalTable, owner: &str) -> Result<()> {
        let schema = schema_of(&create.name);
        let _turn = self.turn(schema, &create.name.name).await;
        if !self.can_create(&create.name, create.if_not_exists)? {
            return Ok(());
        }
        self.check_location(&create.location)?;
        let (files, inferred) = self.list(&create.location, 0).await?;
        let columns = match &create.columns {
            Some(declared) => check_declared(declared, &inferred, &create.location)?,
            None => inferred,
        };
        check_columns(&columns, self.catalog().snapshot().cluster_version())?;
        let partition = self.partition(create.partition_by.as_ref(), &columns, &files).await?;
        let definition = Definition {
            schema: self.created_schema(schema),
            name: create.name.name.clone(),
            columns,
            columns_declared: create.columns.is_some(),
            location: create.location.clone(),
            partition,
            files,
            refresh: refresh::of_options(&create.refresh),
        };
        let dataset = self.allocate(schema, &create.name.name, owner).await?;
        self.create(dataset, definition).await
    }

    /// Refuses a table that could not be created, before its query is run. `false`: it exists, and that is no
    /// fault.
    pub(crate) fn check_creatable(
        &self,
        name: &TableName,
        if_not_exists: bool,
        columns: &[ColumnSchema],
    ) -> Result<bool> {
        let version = self.catalog().snapshot().cluster_version();
        check_columns(columns, version)?;
        if version < 2
            && let Some(column) = columns.iter().find(|column| column.data_type == DataType::Interval)
        {
            return Err(needs_upgrade(column, version));
        }
        columns_to_stored(columns).map_err(shard_error)?;
        self.can_create(name, if_not_exists)
    }

    /// Creates a table that Tundra writes itself, of Parquet files, and returns its rows. `None`: it exists
    /// already, and that is no fault.
    pub(crate) async fn create_managed(
        &self,
        name: &TableName,
        if_not_exists: bool,
        columns: Vec<ColumnSchema>,
        files: Vec<Bytes>,
        owner: &str,
    ) -> Result<Option<u64>> {
        let schema = schema_of(name);
        let _turn = self.turn(schema, &name.name).await;
        if !self.check_creatable(name, if_not_exists, &columns)? {
            return Ok(None);
        }
        let dataset = self.allocate(schema, &name.name, owner).await?;
        let files = self.put(dataset, files).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        let definition = Definition {
            schema: self.created_schema(schema),
            name: name.name.clone(),
            columns,
            columns_declared: true,
            location: String::new(),
            partition: Partition::default(),
            files,
            refresh: None,
        };
        self.create(dataset, definition).await?;
        Ok(Some(rows))
    }

    /// Adds rows to a table that Tundra writes itself; returns how many. Additions that wait for their turn
    /// are committed together, as one version.
    pub(crate) async fn append(&self, table: &Table, files: Vec<Bytes>) -> Result<u64> {
        if files.is_empty() {
            return Ok(0);
        }
        let files = self.put(table.dataset, files).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        let (done, mut outcome) = oneshot::channel();
        self.state.lock().waiting.entry(table.dataset).or_default().push(Waiting { files, done });
        let _turn = self.turn(&table.schema, &table.name).await;
        match outcome.try_recv() {
            Ok(outcome) => return outcome.map(|()| rows),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Closed) => return Err(Error::Internal("a commit ended half way".into())),
        }
        let group = self.state.lock().waiting.remove(&table.dataset).unwrap_or_default();
        let added = group.iter().flat_map(|waiting| waiting.files.iter().cloned()).collect();
        let committed = self.commit_files(table.dataset, added).await;
        for waiting in group {
            // One of these is ours; who does not listen any more has gone.
            let _ = waiting.done.send(committed.clone());
        }
        committed.map(|()| rows)
    }

    /// Commits the version with further files, and brings it onto the shards meanwhile.
    async fn commit_files(&self, dataset: u64, files: Vec<File>) -> Result<()> {
        let mut head = self.head(dataset).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let mut next = self.after(&head).await?;
            next.files.extend(files.iter().cloned());
            let version = next.version;
            if self.commit_shown(Arc::new(next)).await? == Commit::Done {
                return Ok(());
            }
            head = Arc::new(self.manifests.read(&self.tenant, dataset, version).await?);
        }
        Err(too_many_writers(&head))
    }

    /// Has the nodes of a cluster hold a committed version, and the catalog tell all coordinators of it. Shards that
    /// cannot at the moment will, as soon as they can; the inner result says why.
    pub(super) async fn bring_in_committed(&self, manifest: &Arc<Manifest>) -> Result<Result<()>> {
        self.state.lock().heads.insert(manifest.dataset, manifest.clone());
        let hydrated = self.hydrate(manifest).await;
        let begun = tokio::time::Instant::now();
        loop {
            match self.switch_on(manifest).await {
                Ok(()) => break,
                Err(Error::NotFound(why)) => return Err(Error::NotFound(why)),
                Err(error) if begun.elapsed() < SWITCHING => tracing::debug!("{error}; trying again"),
                // It must not be taken for undone: who repeats it has its rows twice.
                Err(error) => {
                    return Err(Error::Environment(format!(
                        "version {} of table '{}' is committed, and is seen once the catalog can be changed: {error}",
                        manifest.version, manifest.name
                    )));
                }
            }
        }
        match hydrated {
            Ok(resident) => {
                self.seat(Some(manifest.clone()), resident);
                self.show();
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(not_brought_in(manifest, &error))),
        }
    }

    /// Takes all rows of a table away, whatever others add meanwhile: what they commit before is gone, what after stays.
    pub(crate) async fn truncate(&self, table: &Table) -> Result<()> {
        let _turn = self.turn(&table.schema, &table.name).await;
        let emptied = self.commit_next(table.dataset, |manifest| {
            manifest.files.clear();
            Ok(())
        });
        self.switch(&emptied.await?).await
    }

    /// Refuses what is not a table of Tundra's own; `doing` is what is to be done, in the words of the error.
    pub(crate) fn check_writable(&self, table: &Table, doing: &str) -> Result<()> {
        match self.catalog().snapshot().dataset(&self.tenant, table.dataset) {
            None => Err(Error::NotFound(format!("table '{}' was dropped", table.name))),
            Some(dataset) if !dataset.location.is_empty() => {
                Err(Error::Unsupported(format!("{doing} the external table '{}'", table.name)))
            }
            Some(_) => Ok(()),
        }
    }

    /// `cascade`: with the views and macros that use it.
    pub(crate) async fn drop_table(
        &self,
        name: &TableName,
        if_exists: bool,
        cascade: bool,
        may_drop: &MayDrop<'_>,
    ) -> Result<()> {
        let _turn = self.turn(schema_of(name), &name.name).await;
        let Some(dataset) = self.known(name) else {
            if self.catalog().snapshot().foreign_table(&self.tenant, schema_of(name), &name.name).is_some() {
                return Err(Error::Statement(format!("'{name}' is a foreign table; use DROP FOREIGN TABLE")));
            }
            if self.catalog().snapshot().view(&self.tenant, schema_of(name), &name.name).is_some() {
                return Err(Error::Statement(format!("'{name}' is a view; use DROP VIEW")));
            }
            return if if_exists { Ok(()) } else { Err(not_found(name)) };
        };
        may_drop(dataset.id)?;
        if !cascade {
            // One that is created meanwhile goes with the table.
            let own = Named::relation(&dataset.schema, &dataset.name);
            self.catalog().snapshot().check_unused(&self.tenant, &own)?;
        }
        // A version that is published after the drop would bring the table back.
        self.publish_pending().await;
        let tombstone = self
            .commit_next(dataset.id, |manifest| {
                manifest.files.clear();
                manifest.tombstone = true;
                Ok(())
            })
            .await;
        match tombstone {
            Ok(manifest) => self.tell_dropped(dataset.id, manifest.version).await?,
            // A dataset whose manifests are lost can still be dropped from the catalog.
            Err(Error::NotFound(_)) => {
                let dropped = DropDataset { dataset: dataset.id, version: 0 };
                self.propose(Change::DropDataset(dropped)).await?;
            }
            Err(error) => return Err(error),
        }
        self.forget(dataset.id);
        Ok(())
    }

    /// Lets go of a dataset that the catalog does not have any more.
    pub(super) fn forget(&self, dataset: u64) {
        let removed = {
            let mut state = self.state.lock();
            state.heads.remove(&dataset);
            state.residents.remove(&dataset)
        };
        self.show();
        if let Some(resident) = removed {
            self.let_go(&resident);
        }
    }

    /// Lets go of every dataset that the catalog does not have any more.
    pub(crate) fn forget_dropped(&self) {
        let snapshot = self.catalog().snapshot();
        let residents: Vec<u64> = self.state.lock().residents.keys().copied().collect();
        let dropped = residents.into_iter().filter(|&id| snapshot.dataset(&self.tenant, id).is_none());
        dropped.for_each(|id| self.forget(id));
    }

    /// A schema's name as it was created.
    fn created_schema(&self, schema: &str) -> String {
        let created = self.catalog().snapshot().schema_name(&self.tenant, schema);
        created.unwrap_or_else(|| schema.into())
    }

    fn known(&self, name: &TableName) -> Option<Dataset> {
        self.catalog().snapshot().table(&self.tenant, schema_of(name), &name.name).cloned()
    }

    /// Whether a dataset of the catalog could not be brought in, or has lost what was.
    pub(super) fn is_absent(&self, dataset: u64) -> bool {
        let resident = self.state.lock().residents.get(&dataset).cloned();
        let whole = |shards: &[Arc<storage::Table>]| shards.iter().all(|shard| shard.check().is_ok());
        !resident.is_some_and(|resident| resident.shards.as_deref().is_ok_and(whole))
    }

    /// Whether a table of that name can be created: `false` where it exists and that is no fault.
    fn can_create(&self, name: &TableName, if_not_exists: bool) -> Result<bool> {
        let schema = schema_of(name);
        if is_built_in(&schema.to_lowercase()) {
            return Err(Error::Statement(format!("schema '{}' is built in", schema.to_lowercase())));
        }
        if !self.catalog().snapshot().has_schema(&self.tenant, schema) {
            return Err(Error::NotFound(format!("there is no schema '{schema}'")));
        }
        if self.catalog().snapshot().foreign_table(&self.tenant, schema, &name.name).is_some() {
            return match if_not_exists {
                true => Ok(false),
                false => Err(Error::AlreadyExists(format!("a foreign table '{name}' already exists"))),
            };
        }
        if self.catalog().snapshot().view(&self.tenant, schema, &name.name).is_some() {
            return match if_not_exists {
                true => Ok(false),
                false => Err(Error::AlreadyExists(format!("a view '{name}' already exists"))),
            };
        }
        match self.known(name) {
            None => Ok(true),
            Some(_) if if_not_exists => Ok(false),
            Some(_) => Err(Error::AlreadyExists(format!("table '{name}' already exists"))),
        }
    }

    pub(super) fn check_location(&self, location: &str) -> Result<()> {
        let place = self.ground.stores.open(location).map_err(shard_error)?;
        if self.allows(&place) {
            return Ok(());
        }
        Err(Error::Denied(match self.is_default() {
            true => format!(
                "the location '{location}' lies neither in the object store ({}) nor in what --allow-location names",
                self.root().url()
            ),
            false => format!(
                "the location '{location}' lies neither in the tenant's folder of the object store ({}) nor in what it \
                 was given beside",
                self.root().join(&self.tenant).url()
            ),
        }))
    }

    /// Refuses a version of files that a tenant may not read: whoever may write into its folder of the object store can
    /// write manifests, too. The default tenant's are the operators'.
    pub(super) fn check_files(&self, manifest: &Manifest) -> Result<()> {
        for file in manifest.files.iter().filter(|_| !self.is_default()) {
            if !self.allows(&self.ground.stores.open(&file.url).map_err(shard_error)?) {
                let (name, version, url) = (&manifest.name, manifest.version, &file.url);
                let why = format!(
                    "version {version} of table '{name}' has the file {url}, which the tenant may not read"
                );
                return Err(Error::Denied(why));
            }
        }
        // Sets of deleted rows are nobody's but ours, also where the tenant is the operators' own.
        let folder = self.root().join(&format!("{}/{}", self.tenant, manifest.dataset));
        let sets = manifest.files.iter().filter_map(|file| file.deletes.as_ref());
        for set in sets.filter(|set| !set.url.is_empty()) {
            let place = self.ground.stores.open(&set.url).map_err(shard_error)?;
            if !(place.is_within(&folder) && place.resolved().is_within(&folder.resolved())) {
                let (name, version, url) = (&manifest.name, manifest.version, &set.url);
                let why = format!(
                    "version {version} of table '{name}' has its deleted rows in {url}, which is not the table's"
                );
                return Err(Error::Denied(why));
            }
        }
        Ok(())
    }

    fn is_default(&self) -> bool {
        &*self.tenant == DEFAULT_TENANT
    }

    /// Whether a place lies where tables may be read from, also by the way that symbolic links lead: the default tenant's
    /// wherever no other tenant's may.
    fn allows(&self, place: &Place) -> bool {
        self.allows_at(place, &place.resolved())
    }

    /// The same of a place that is really at `real`.
    fn allows_at(&self, place: &Place, real: &Place) -> bool {
        let is_within = |outer: &Place| place.is_within(outer) && real.is_within(&outer.resolved());
        let snapshot = self.catalog().snapshot();
        let others = snapshot.tenants().filter(|tenant| *tenant != &*self.tenant);
        let mut others = others.map(|tenant| self.root().join(tenant));
        if others.any(|other| place.is_within(&other) || real.is_within(&other.resolved())) {
            return false;
        }
        if !self.is_default() {
            let given = snapshot.policy().tenant(&self.tenant).cloned();
            let given = given.iter().flat_map(|tenant| &tenant.locations);
            let mut given = given.filter_map(|url| self.ground.stores.open(url).ok());
            return is_within(&self.root().join(&self.tenant)) || given.any(|outer| is_within(&outer));
        }
        self.ground.allowed.iter().chain([self.root()]).any(is_within)
    }

    /// The files at a location with their rows, as of that generation, and the columns that they share.
    pub(super) async fn list(
        &self,
        location: &str,
        generation: u64,
    ) -> Result<(Vec<File>, Vec<ColumnSchema>)> {
        let stores = &self.stores();
        let mut files = shard::list(stores, location).await.map_err(shard_error)?;
        for file in &mut files {
            file.generation = generation;
            let place = stores.open(&file.url).map_err(shard_error)?;
            let real = place.opened(&file.etag).map_err(shard_error)?;
            if !self.allows_at(&place, &real) {
                let reach = match self.is_default() {
                    true => {
                        "neither the object store nor --allow-location reaches, or to another tenant's folder"
                    }
                    false => "the tenant may not read",
                };
                return Err(Error::Denied(format!("{} leads by a symbolic link to where {reach}", file.url)));
            }
        }
        let mut inferred = shard::infer(stores, files).await.map_err(shard_error)?;
        let version = self.catalog().snapshot().cluster_version();
        if version < DataType::UInt8.since() {
            for column in &mut inferred.columns {
                column.data_type = type_before(column.data_type);
            }
        }
        Ok((inferred.files, inferred.columns))
    }

    /// Puts Parquet files among the dataset's objects.
    pub(super) async fn put(&self, dataset: u64, files: Vec<Bytes>) -> Result<Vec<File>> {
        let bytes: usize = files.iter().map(Bytes::len).sum();
        let _span = work!(&trace::current(), "put files", dataset, files = files.len(), bytes);
        let mut known = Vec::new();
        for bytes in files {
            let name = (self.ground.random)()?;
            let place = self.root().join(&format!("{}/{dataset}/data/{name:032x}.parquet", self.tenant));
            let place = self.stores().again(&place).map_err(shard_error)?;
            let url = place.url();
            let put = place.store.put(&place.path, PutPayload::from(bytes.clone())).await;
            let put = put.map_err(|error| Error::Environment(format!("{url}: {error}")))?;
            match put.e_tag.filter(|etag| !etag.is_empty()) {
                Some(etag) => {
                    let file = shard::written(&self.stores(), &place, &bytes, &etag);
                    known.push(file.map_err(shard_error)?);
                }
                None => known.extend(self.list(&url, 0).await?.0),
            }
        }
        Ok(known)
    }
}

fn schema_of(name: &TableName) -> &str {
    name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA)
}

fn not_found(name: &TableName) -> Error {
    Error::NotFound(format!("there is no table '{name}'"))
}

/// A table has columns, and no two of them differ by case alone.
pub(super) fn check_columns(columns: &[ColumnSchema], version: u16) -> Result<()> {
    if let Some(newer) = columns.iter().find(|column| column.data_type.since() > version) {
        return Err(needs_upgrade(newer, version));
    }
    if columns.is_empty() {
        return Err(Error::Statement("a table needs at least one column".into()));
    }
    let mut seen = HashSet::new();
    match columns.iter().find(|column| !seen.insert(column.name.to_lowercase())) {
        Some(twice) => Err(Error::Statement(format!("column '{}' occurs twice", twice.name))),
        None => Ok(()),
    }
}

fn needs_upgrade(column: &ColumnSchema, version: u16) -> Error {
    Error::Statement(format!(
        "column '{}' has the type {}, which tables cannot have while the cluster's version is {version}: raise it with `tundra admin upgrade` once all nodes run a later release",
        column.name, column.data_type
    ))
}

/// Declared columns must be in the files.
pub(super) fn check_declared(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<ColumnSchema> {
        let column =
            |name: &&str| ColumnSchema { name: name.to_string(), data_type: DataType::Int32, nullable: true };
        names.iter().map(column).collect()
    }

    #[test]
    fn columns_differ_by_more_than_case() {
        assert!(check_columns(&columns(&["a", "b"]), 1).is_ok());
        assert!(check_columns(&columns(&["a", "A"]), 1).is_err());
        assert!(check_columns(&[], 1).is_err());
        let mut lists = columns(&["a"]);
        lists[0].data_type = columnar::types::list_of(DataType::Int32).unwrap();
        assert!(check_columns(&lists, 1).unwrap_err().to_string().contains("INTEGER[]"));
        assert!(check_columns(&lists, 2).is_ok());
    }

    #[test]
    fn declared_columns_are_in_the_files() {
        let inferred = columns(&["CounterID", "b"]);
        assert!(check_declared(&columns(&["counterid"]), &inferred, "x").is_ok());
        let error = check_declared(&columns(&["c"]), &inferred, "x").unwrap_err().to_string();
        assert!(error.contains("'c'") && error.contains("CounterID, b"), "{error}");
    }
}
