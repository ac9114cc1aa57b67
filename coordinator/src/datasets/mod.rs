//! The datasets of a tenant and their versions: committing them, bringing them onto the shards, switching them on.
//!
//! A version comes about in this order: its files lie in the object store; its manifest is created, which
//! commits it; the shards hydrate it; queries that start from then on see it; the catalog switches it on in
//! one command. Changes of one table take turns. [`changes`] holds what statements do, [`commit`] how they commit it where others change the same table, [`refresh`] how changes of
//! files are taken in, [`publish`] the switch, [`restore`] what a start does, [`follow`] what a coordinator of several
//! does all the time, [`foreign`] the tables of engines beside Tundra, [`definitions`] views and macros, [`found`] which manifests can never be a table, [`look`] what operators ask. What concerns all
//! tenants is in [`crate::tenants`].

mod changes;
mod commit;
mod definitions;
mod follow;
mod foreign;
mod found;
mod look;
mod partition;
mod publish;
mod refresh;
mod restore;

use self::partition::Partition;
use crate::catalog::{CatalogState, CatalogStore, Random, Reply};
use crate::definitions::Definitions;
use crate::error::{Error, Result};
use crate::manifests::{Commit, Manifests};
use crate::shards::pools::no_shard_of;
use crate::shards::{Brought, Shards};
use crate::view::{Resident, View};
pub(crate) use commit::{Rewrite, Rewritten};
use flight_proto::catalog::{AllocateDataset, Change, Command, Dataset, DropDataset, Refresh};
use flight_proto::manifest::{File, MANIFEST_FORMAT, Manifest};
use flight_proto::pool::DEFAULT_POOL;
use flight_proto::{trace, work};
use parking_lot::Mutex;
use planner::catalog::{Partitioning, Table};
use publish::dataset_of;
pub(crate) use refresh::Refreshed;
use shard::schema::columns_to_stored;
use shard::{Place, Placement, Stores, Version, VersionId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::ColumnSchema;
use tokio::sync::{Notify, OwnedMutexGuard, oneshot, watch};
use tracing::Instrument;

/// How long a query waits until this coordinator sees what the catalog has.
const FOLLOWING: Duration = Duration::from_secs(10);
/// How often a commit is tried against other writers of the same dataset.
const COMMIT_ATTEMPTS: usize = 16;

/// What the datasets of all tenants stand on.
pub(crate) struct Ground {
    pub(crate) catalog: Arc<dyn CatalogStore>,
    pub(crate) stores: Arc<Stores>,
    /// Where Tundra's own objects lie.
    pub(crate) root: Place,
    /// Where external tables may lie, beside the root.
    pub(crate) allowed: Vec<Place>,
    pub(crate) shards: Shards,
    /// Names what is put into the store.
    pub(crate) random: Random,
    pub(crate) shared: Shared,
}

/// What the tenants' datasets tell each other.
pub(crate) struct Shared {
    /// The highest number of a dataset that the object store knows of.
    pub(crate) highest_seen: AtomicU64,
    /// The revision of the catalog that queries see at least, on a cluster.
    pub(crate) followed: watch::Sender<u64>,
    /// The catalog is to be told of a version.
    pub(crate) unpublished: Notify,
    /// Tenants whose folders could not be listed when they were to be.
    pub(crate) unread: Mutex<HashSet<String>>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            highest_seen: AtomicU64::new(0),
            followed: watch::Sender::new(0),
            unpublished: Notify::new(),
            unread: Mutex::default(),
        }
    }
}

/// The datasets of a tenant.
pub(crate) struct Datasets {
    tenant: Arc<str>,
    ground: Arc<Ground>,
    manifests: Manifests,
    state: Mutex<State>,
    /// Held while the catalog is told of versions.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    view: Arc<View>,
    residents: BTreeMap<u64, Arc<Resident>>,
    /// The latest committed manifest of each dataset; hydration may be behind it.
    heads: HashMap<u64, Arc<Manifest>>,
    /// One a table name; held while the table is changed.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// Files that wait to be committed, by dataset: whoever has the turn commits all of them at once.
    waiting: HashMap<u64, Vec<Waiting>>,
    /// Versions that queries see and the catalog is still to be told of, by dataset.
    unpublished: BTreeMap<u64, Dataset>,
    /// Views that queries may still have, on a cluster.
    former_views: Vec<Weak<View>>,
}

/// Files of one `INSERT`, and who waits for their commit.
struct Waiting {
    files: Vec<File>,
    done: oneshot::Sender<Result<()>>,
}

/// A table as those who start a coordinator see it.
#[derive(Clone, Debug)]
pub struct TableSummary {
    pub tenant: String,
    pub schema: String,
    pub name: String,
    /// What an external table was created over; empty for one that statements fill.
    pub location: String,
    /// Its data could not be brought in.
    pub absent: bool,
}

/// What a first version is made with.
struct Definition {
    schema: String,
    name: String,
    columns: Vec<ColumnSchema>,
    columns_declared: bool,
    location: String,
    partition: Partition,
    files: Vec<File>,
    refresh: Option<Refresh>,
}

impl Ground {
    /// What the object store has of versions.
    pub(crate) fn manifests(&self) -> Manifests {
        Manifests::new(self.stores.clone(), self.root.clone())
    }
}

impl Datasets {
    pub(crate) fn new(tenant: &str, ground: Arc<Ground>) -> Datasets {
        let manifests = ground.manifests();
        let (state, telling) = (Mutex::default(), tokio::sync::Mutex::default());
        Datasets { tenant: tenant.into(), ground, manifests, state, telling }
    }

    /// Whose they are.
    pub(crate) fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// What queries see now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.state.lock().view.clone()
    }

    pub(crate) fn catalog(&self) -> &dyn CatalogStore {
        &*self.ground.catalog
    }

    pub(crate) fn shards(&self) -> &Shards {
        &self.ground.shards
    }

    /// The tables of the catalog.
    pub(crate) fn tables(&self) -> Vec<TableSummary> {
        let snapshot = self.catalog().snapshot();
        let summary = |dataset: &Dataset| TableSummary {
            tenant: self.tenant.to_string(),
            schema: dataset.schema.clone(),
            name: dataset.name.clone(),
            location: dataset.location.clone(),
            absent: self.is_absent(dataset.id),
        };
        snapshot.datasets(&self.tenant).into_iter().map(summary).collect()
    }

    /// The object stores as the tenant has them: whatever is read or written for it goes by these.
    pub(crate) fn stores(&self) -> Stores {
        self.ground.stores.of(&self.tenant)
    }

    /// Where Tundra's own objects lie.
    pub(crate) fn root(&self) -> &Place {
        &self.ground.root
    }

    /// Rebuilds the view after a change of residents or schemas.
    pub(crate) fn show(&self) {
        let snapshot = self.ground.catalog.snapshot();
        let mut state = self.state.lock();
        let view = self.view_of(&state, &snapshot, None);
        if view.is_seated() && state.view.same_as(&view) {
            return;
        }
        let former = std::mem::replace(&mut state.view, Arc::new(view));
        if former.is_seated() {
            state.former_views.push(Arc::downgrade(&former));
            state.former_views.retain(|view| view.strong_count() > 0);
        }
    }

    /// What queries would see in a pool at the moment if that shard of it were not there; `None`: shards are no nodes.
    pub(crate) fn view_without(&self, pool: &str, shard: u64) -> Option<Arc<View>> {
        self.ground.shards.nodes()?;
        let snapshot = self.ground.catalog.snapshot();
        let mut state = self.state.lock();
        let view = Arc::new(self.view_of(&state, &snapshot, Some((pool, shard))));
        state.former_views.push(Arc::downgrade(&view));
        state.former_views.retain(|view| view.strong_count() > 0);
        Some(view)
    }

    fn view_of(&self, state: &State, snapshot: &CatalogState, but: Option<(&str, u64)>) -> View {
        let residents: Vec<Arc<Resident>> = state.residents.values().cloned().collect();
        let seating = self.ground.shards.nodes().map(|nodes| {
            let there = residents.iter().filter(|resident| resident.shards.is_ok());
            let versions: Vec<VersionId> = there.map(|resident| id_of(&resident.table)).collect();
            Arc::new(nodes.seating(&self.tenant, &versions, but))
        });
        let foreign = snapshot.foreign_tables(&self.tenant).filter_map(|table| {
            crate::foreign::table(&self.tenant, snapshot.server(&self.tenant, &table.server)?, table)
        });
        let known = &state.view.definitions;
        let definitions = match known.revision == snapshot.definitions_revision(&self.tenant) {
            true => known.clone(),
            false => Arc::new(Definitions::of(snapshot, &self.tenant)),
        };
        View::new(&self.tenant, snapshot.schemas(&self.tenant), residents, seating)
            .with_foreign(foreign)
            .with_definitions(definitions)
    }

    /// The versions that queries may read, or soon will; those that they may read on `shard`, where it is given.
    pub(crate) fn in_use(&self, shard: Option<u64>) -> Vec<VersionId> {
        let state = self.state.lock();
        let former = state.former_views.iter().filter_map(Weak::upgrade);
        let seats = |view: &Arc<View>, shard: u64| {
            view.seating.as_ref().is_some_and(|seating| seating.nodes.iter().any(|&(id, _)| id == shard))
        };
        let views = former.chain([state.view.clone()]);
        let views = views.filter(|view| shard.is_none_or(|shard| seats(view, shard)));
        let mut ids: Vec<VersionId> = views
            .flat_map(|view| view.residents().map(|one| id_of(&one.table)).collect::<Vec<_>>())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// What queries see, at least as new as anything that was acknowledged before, by whatever coordinator.
    pub(crate) async fn current_view(&self) -> Result<Arc<View>> {
        if self.ground.shards.nodes().is_some() {
            self.catalog().linearize().await?;
            let wanted = self.catalog().snapshot().revision();
            let mut followed = self.ground.shared.followed.subscribe();
            let reached = followed.wait_for(|followed| *followed >= wanted);
            if tokio::time::timeout(FOLLOWING, reached).await.is_err() {
                let why = "this coordinator is behind the catalog; try again, or another coordinator";
                return Err(Error::Unavailable(why.into()));
            }
        }
        Ok(self.view())
    }

    /// Waits until nobody else changes that table.
    async fn turn(&self, schema: &str, name: &str) -> OwnedMutexGuard<()> {
        let key = format!("{schema}.{name}").to_lowercase();
        let turn = {
            let mut state = self.state.lock();
            state.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            state.turns.entry(key).or_default().clone()
        };
        turn.lock_owned().await
    }

    async fn propose(&self, change: Change) -> Result<Reply> {
        self.try_propose(change).await?.accepted()
    }

    /// What the catalog answers, refusals included.
    pub(crate) async fn try_propose(&self, change: Change) -> Result<Reply> {
        let command = Command { at_us: now_us(), tenant: self.tenant.to_string(), change: Some(change) };
        let reply = self.ground.catalog.propose(command).await?;
        if self.ground.shards.nodes().is_some()
            && let Err(error) = self.catalog().linearize().await
        {
            // Another member has applied it; the next statement waits until this one has, too.
            tracing::debug!("a change is not seen here yet: {error}");
        }
        Ok(reply)
    }

    /// Has the catalog drop a dataset whose tombstone is in the object store; whoever else saw that one may have come first.
    async fn tell_dropped(&self, dataset: u64, version: u64) -> Result<()> {
        match self.propose(Change::DropDataset(DropDataset { dataset, version })).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A number for a dataset that is about to be created under a name.
    async fn allocate(&self, schema: &str, name: &str, owner: &str) -> Result<u64> {
        self.see_unread().await?;
        let above = self.ground.shared.highest_seen.load(Ordering::Relaxed);
        let allocate =
            AllocateDataset { above, schema: schema.into(), name: name.into(), owner: owner.into() };
        match self.propose(Change::AllocateDataset(allocate)).await? {
            Reply::Dataset(dataset) => Ok(dataset),
            other => Err(Error::Internal(format!("a dataset without a number: {other:?}"))),
        }
    }

    /// A name that is given to a new table is taken from what was committed and not seen yet: not before it is known what
    /// there is.
    async fn see_unread(&self) -> Result<()> {
        if !self.ground.shared.unread.lock().contains(&*self.tenant) {
            return Ok(());
        }
        let ids = self.manifests.datasets(&self.tenant).await.map_err(|error| {
            Error::Unavailable(format!(
                "no table can be created before it is known which ones the tenant '{}' has, and its folder of the object \
                 store cannot be read: {error}",
                self.tenant
            ))
        })?;
        self.see(&ids);
        let found = self.find(&ids).await?;
        let snapshot = self.catalog().snapshot();
        let is_new = |(id, schema, name): &(u64, String, String)| {
            snapshot.dataset(&self.tenant, *id).is_none()
                && !snapshot.is_past(&self.tenant, *id, schema, name)
        };
        if found.different.iter().any(is_new) {
            return Err(Error::Unavailable(format!(
                "tables of the tenant '{}' that could not be read before are brought in first: try again soon; if that does not \
                 help, set its credentials for the object store again",
                self.tenant
            )));
        }
        self.ground.shared.unread.lock().remove(&*self.tenant);
        Ok(())
    }

    /// The version of a dataset that queries see; `None`: there is none any more.
    pub(crate) fn version_of(&self, dataset: u64) -> Option<u64> {
        self.state.lock().residents.get(&dataset).map(|resident| resident.table.version)
    }

    /// Makes the first version of a dataset.
    async fn create(&self, dataset: u64, definition: Definition) -> Result<()> {
        let manifest = Arc::new(Manifest {
            format: MANIFEST_FORMAT,
            tenant: self.tenant.to_string(),
            dataset,
            version: 1,
            schema: definition.schema,
            name: definition.name,
            columns: columns_to_stored(&definition.columns).map_err(shard_error)?,
            location: definition.location,
            partition_by: definition.partition.columns,
            partition_span: definition.partition.span,
            files: definition.files,
            tombstone: false,
            created_at_us: now_us(),
            columns_declared: definition.columns_declared,
            refresh: definition.refresh,
            statement: Vec::new(),
        });
        // What cannot be hydrated is not committed: a first version has no predecessor to fall back to.
        let resident = self.hydrate(&manifest).await?;
        let published = match self.manifests.commit(&manifest).await {
            Ok(Commit::Done) => self.publish(&manifest, resident.clone()).await,
            Ok(Commit::Conflict) => {
                self.see(&[dataset]);
                Err(Error::Conflict(format!("dataset {dataset} was made twice; try again")))
            }
            Err(error) => Err(error),
        };
        let Err(error) = published else { return Ok(()) };
        self.let_go(&resident);
        let snapshot = self.catalog().snapshot();
        let is_past = snapshot.is_past(&self.tenant, dataset, &manifest.schema, &manifest.name);
        if is_past || matches!(error, Error::AlreadyExists(_) | Error::NotFound(_)) {
            // Another table took the name, or the schema went: the dataset must not come back from the store.
            self.manifests.commit(&found::tombstone(&manifest)).await?;
        }
        Err(error)
    }

    /// The latest committed manifest of a dataset.
    async fn head(&self, dataset: u64) -> Result<Arc<Manifest>> {
        let known = self.state.lock().heads.get(&dataset).cloned();
        match known {
            Some(head) => Ok(head),
            None => match self.manifests.latest(&self.tenant, dataset).await? {
                Some(manifest) => Ok(Arc::new(manifest)),
                None => {
                    Err(Error::NotFound(format!("dataset {dataset} has no manifest in the object store")))
                }
            },
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
            let mut next = self.after(&head).await?;
            change(&mut next)?;
            match self.manifests.commit(&next).await? {
                Commit::Done => {
                    let next = Arc::new(next);
                    self.state.lock().heads.insert(dataset, next.clone());
                    return Ok(next);
                }
                // Another coordinator was faster: its version is the one to build upon.
                Commit::Conflict => {
                    head = Arc::new(self.manifests.read(&self.tenant, dataset, next.version).await?);
                }
            }
        }
        Err(too_many_writers(&head))
    }

    /// What comes after a version, unchanged so far.
    async fn after(&self, head: &Manifest) -> Result<Manifest> {
        if head.tombstone {
            // Whoever dropped it may not have come to tell the catalog: who is told here that it is gone must not
            // find it afterwards, on whichever coordinator.
            if self.catalog().snapshot().dataset(&self.tenant, head.dataset).is_some() {
                self.tell_dropped(head.dataset, head.version).await?;
                self.forget(head.dataset);
            }
            return Err(Error::NotFound(format!("table '{}' was dropped", head.name)));
        }
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(&self.tenant, head.dataset);
        let refresh = known.map_or(head.refresh, |known| known.refresh);
        // Times of versions ascend, whatever clocks do.
        let created_at_us = now_us().max(head.created_at_us.saturating_add(1));
        let version = head.version + 1;
        Ok(Manifest { version, created_at_us, refresh, statement: Vec::new(), ..head.clone() })
    }

    /// Hydrates a committed version and switches it on.
    async fn switch(&self, manifest: &Arc<Manifest>) -> Result<()> {
        if self.ground.shards.nodes().is_some() {
            return self.bring_in_committed(manifest).await?;
        }
        let resident = self.hydrate(manifest).await.map_err(|error| not_brought_in(manifest, &error))?;
        self.publish(manifest, resident).await
    }

    /// Brings a version onto the shards.
    async fn hydrate(&self, manifest: &Manifest) -> Result<Arc<Resident>> {
        self.check_files(manifest)?;
        self.check_pool()?;
        let version = Version::of_manifest(manifest).map_err(shard_error)?;
        let (dataset, number) = (manifest.dataset, manifest.version);
        let span = work!(&trace::current(), "hydrate", table = manifest.name, dataset, version = number);
        let brought = self.ground.shards.bring_in(manifest, &version).instrument(span).await?;
        Ok(resident(&self.tenant, &dataset_of(manifest), version.schema.to_vec(), brought))
    }

    /// Refuses a tenant of another pool where the shards of this process are all that there is.
    pub(crate) fn check_pool(&self) -> Result<()> {
        let snapshot = self.catalog().snapshot();
        let pool = snapshot.pool_of(&self.tenant);
        if self.ground.shards.nodes().is_some() || pool == DEFAULT_POOL {
            return Ok(());
        }
        Err(Error::Unavailable(format!(
            "{}: this is a single process (tundra up), whose shards are of the pool '{DEFAULT_POOL}'",
            no_shard_of(pool)
        )))
    }

    /// Takes a version in as the resident one of its dataset; the former goes when its last query ends.
    fn seat(&self, manifest: Option<Arc<Manifest>>, resident: Arc<Resident>) {
        let (dataset, version) = (resident.table.dataset, resident.table.version);
        let former = {
            let mut state = self.state.lock();
            let known = state.residents.get(&dataset).map(|known| known.table.version);
            let dropped = self.catalog().snapshot().dataset(&self.tenant, dataset).is_none();
            let overtaken =
                self.ground.shards.nodes().is_some() && known.is_some_and(|known| known > version);
            // Whoever dropped it, or its tenant, was faster: it was taken out already, and would stay from now on.
            if dropped || overtaken {
                return;
            }
            if let Some(manifest) = manifest {
                state.heads.insert(dataset, manifest);
            }
            state.residents.insert(dataset, resident)
        };
        // The same version brought in again has taken the former's place on the shards already.
        if let Some(former) = former.filter(|former| former.table.version != version) {
            self.let_go(&former);
        }
    }

    fn let_go(&self, resident: &Resident) {
        self.ground.shards.let_go(&id_of(&resident.table));
    }
}

fn id_of(table: &Table) -> VersionId {
    VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version }
}

/// A version that was brought in, as queries see it.
fn resident(tenant: &str, dataset: &Dataset, columns: Vec<ColumnSchema>, brought: Brought) -> Arc<Resident> {
    let table = Table {
        tenant: tenant.into(),
        schema: dataset.schema.clone(),
        name: dataset.name.clone(),
        dataset: dataset.id,
        version: dataset.version.map_or(0, |version| version.number),
        columns,
        statistics: Arc::new(brought.statistics),
        facts: brought.facts,
        partitioning: match brought.placement {
            Placement::Spread => Partitioning::Spread,
            Placement::Hash(columns) => Partitioning::Hash(columns),
            Placement::Ranges { column, span } => Partitioning::Ranges { column, span },
            Placement::Replicated => Partitioning::Replicated,
        },
        foreign: None,
        addressed: false,
    };
    Arc::new(Resident { table: Arc::new(table), shards: Ok(brought.shards) })
}

/// Runs `work` to its end, whether or not the caller waits for it: a client that goes away must not leave a
/// change half done.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.map_err(|error| Error::Internal(error.to_string()))?
}

fn not_brought_in(manifest: &Manifest, error: &Error) -> Error {
    Error::Environment(format!(
        "version {} of table '{}' is committed, but could not be brought in: {error}",
        manifest.version, manifest.name
    ))
}

fn too_many_writers(head: &Manifest) -> Error {
    Error::Conflict(format!("table '{}' is changed by too many at once; try again", head.name))
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
