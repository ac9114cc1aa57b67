//! The shard itself: what it holds, and running fragments on it.

use crate::hydrate::Layout;
use crate::segment_files::{self, Key, SegmentFiles};
use crate::{Config, Environment, Error, Result, Version, VersionId};
use exec::QueryContext;
use exec::plan::{Fragment, TableRef};
use exec::runtime::{Exchange, FragmentEnvironment, RunningFragment, Tables};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use storage::{ColumnSchema, Segment, SegmentImage, Table, TableStatistics};

/// A node that holds segments and runs fragments on them.
pub struct Shard {
    config: Config,
    environment: Environment,
    files: SegmentFiles,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    versions: HashMap<VersionId, Pinned>,
    /// Segments that someone has, by their files.
    residents: HashMap<PathBuf, Weak<Resident>>,
    /// How many were left when those that are gone were last taken out.
    residents_swept: usize,
}

struct Pinned {
    table: Arc<Table>,
    residents: Vec<Arc<Resident>>,
    /// On the first of all shards.
    layout: Option<Arc<Layout>>,
}

/// A segment with its file, if it has one. Versions that share rows share it.
pub(crate) struct Resident {
    pub(crate) segment: Arc<Segment>,
    pub(crate) statistics: TableStatistics,
    /// What it is found by; where its file would lie.
    pub(crate) path: PathBuf,
    /// The file goes with this.
    retired: AtomicBool,
}

impl Resident {
    /// Whether the segment is in memory only.
    fn is_owned(&self) -> bool {
        !self.segment.is_mapped()
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Relaxed)
            && !self.is_owned()
            && let Err(error) = segment_files::remove(&self.path)
        {
            tracing::warn!(%error, "a segment's file is left behind");
        }
    }
}

impl Shard {
    /// Starts a shard over its folder, which is created where missing.
    pub fn start(config: Config, environment: Environment) -> Result<Arc<Shard>> {
        std::fs::create_dir_all(&config.data).map_err(|error| Error::disk(&config.data, error))?;
        let files = SegmentFiles::new(config.data.clone());
        Ok(Arc::new(Shard { config, environment, files, state: Mutex::default() }))
    }

    pub fn index(&self) -> usize {
        self.config.index
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Starts a fragment here, over the versions that its scans name.
    pub fn run(
        self: &Arc<Shard>,
        fragment: &Fragment,
        query: Arc<QueryContext>,
        exchange: Arc<dyn Exchange>,
    ) -> exec::Result<RunningFragment> {
        let environment = FragmentEnvironment {
            query,
            workers: self.environment.workers.clone(),
            tables: self.clone(),
            exchange,
            shard: self.config.index,
        };
        exec::runtime::run(fragment, environment)
    }

    /// Unpins a version. Its segments go when the last query that pins them ends; their files go at once,
    /// unless another pinned version has them too.
    pub fn drop_version(&self, id: &VersionId) {
        let mut state = self.state.lock();
        let Some(dropped) = state.versions.remove(id) else { return };
        let kept = state.paths_of(|other| (&other.tenant, other.dataset) == (&id.tenant, id.dataset));
        for resident in &dropped.residents {
            resident.retired.store(!kept.contains(&resident.path), Ordering::Relaxed);
        }
        drop(state);
        drop(dropped);
    }

    /// Deletes local files that no pinned version has, such as those of datasets that are gone. To be called
    /// once all live versions are hydrated, and while nothing is.
    pub fn sweep(&self) -> Result<()> {
        let kept = self.state.lock().paths_of(|_| true);
        self.files.sweep(&kept)
    }

    /// Bytes of all segments held.
    pub fn segment_bytes(&self) -> u64 {
        let state = self.state.lock();
        let mut seen = HashSet::new();
        let pinned = state.versions.values().flat_map(|pinned| &pinned.residents);
        pinned.filter(|one| seen.insert(&one.path)).map(|one| one.segment.bytes()).sum()
    }

    /// The versions that are pinned.
    pub fn versions(&self) -> Vec<VersionId> {
        self.state.lock().versions.keys().cloned().collect()
    }

    /// Makes segments of `id` known to queries.
    pub(crate) fn pin(
        &self,
        id: &VersionId,
        schema: &Arc<[ColumnSchema]>,
        residents: Vec<Arc<Resident>>,
        layout: Option<Arc<Layout>>,
    ) {
        let segments = residents.iter().map(|resident| resident.segment.clone()).collect();
        let table = Arc::new(Table { schema: schema.clone(), segments });
        let mut state = self.state.lock();
        for resident in &residents {
            resident.retired.store(false, Ordering::Relaxed);
        }
        let before = state.versions.insert(id.clone(), Pinned { table, residents, layout });
        drop(state);
        drop(before);
    }

    /// The layout of a pinned version that `version` adds files to: of those, the one with most files.
    pub(crate) fn layout_before(&self, version: &Version) -> Option<Arc<Layout>> {
        let state = self.state.lock();
        let of_dataset = state
            .versions
            .iter()
            .filter(|(id, _)| (&id.tenant, id.dataset) == (&version.id.tenant, version.id.dataset));
        let layouts = of_dataset.filter_map(|(_, pinned)| pinned.layout.as_ref());
        layouts.filter(|layout| layout.is_before(version)).max_by_key(|layout| layout.files()).cloned()
    }

    /// The segment of that key, if it is held or on disk and whole.
    pub(crate) fn find(&self, id: &VersionId, key: Key) -> Result<Option<Arc<Resident>>> {
        let path = self.files.path(id, key);
        if let Some(held) = self.held(&path) {
            return Ok(Some(held));
        }
        match segment_files::open(&path)? {
            Some(segment) => self.admit(path, segment).map(Some),
            None => Ok(None),
        }
    }

    /// Takes in a segment that was built: into memory, or by way of a file.
    pub(crate) fn store(
        &self,
        id: &VersionId,
        key: Key,
        image: SegmentImage,
        owned: bool,
    ) -> Result<Arc<Resident>> {
        let path = self.files.path(id, key);
        if owned {
            return self.admit(path, Segment::open(image.into_bytes())?);
        }
        segment_files::write(&path, &image)?;
        self.open_written(path)
    }

    /// Takes in a segment that another shard of this machine has.
    pub(crate) fn share(&self, id: &VersionId, key: Key, other: &Resident) -> Result<Arc<Resident>> {
        let path = self.files.path(id, key);
        if other.is_owned() {
            return self.admit(path, Segment::clone(&other.segment));
        }
        segment_files::share(&other.path, &path)?;
        self.open_written(path)
    }

    fn open_written(&self, path: PathBuf) -> Result<Arc<Resident>> {
        match segment_files::open(&path)? {
            Some(segment) => self.admit(path, segment),
            None => Err(Error::Disk(format!("{}: the segment just written is not readable", path.display()))),
        }
    }

    /// The segment of that file, if someone has it and it is whole.
    fn held(&self, path: &PathBuf) -> Option<Arc<Resident>> {
        let held = self.state.lock().residents.get(path).and_then(Weak::upgrade);
        held.filter(|resident| resident.segment.check().is_ok())
    }

    fn admit(&self, path: PathBuf, segment: Segment) -> Result<Arc<Resident>> {
        let statistics = segment.statistics()?;
        let resident = Arc::new(Resident {
            segment: Arc::new(segment),
            statistics,
            path: path.clone(),
            retired: AtomicBool::new(false),
        });
        self.environment.residency.add(&resident.segment);
        let mut state = self.state.lock();
        if state.residents.len() >= state.residents_swept * 2 + 64 {
            state.residents.retain(|_, held| held.strong_count() > 0);
            state.residents_swept = state.residents.len();
        }
        state.residents.insert(path, Arc::downgrade(&resident));
        Ok(resident)
    }
}

impl State {
    /// The files of pinned versions.
    fn paths_of(&self, wanted: impl Fn(&VersionId) -> bool) -> HashSet<PathBuf> {
        let pinned = self.versions.iter().filter(|(id, _)| wanted(id));
        let residents = pinned.flat_map(|(_, pinned)| &pinned.residents);
        residents.map(|resident| resident.path.clone()).collect()
    }
}

impl Tables for Shard {
    /// What this shard holds of a hydrated version; it stays for as long as the result lives, also past
    /// [`Shard::drop_version`].
    fn table(&self, table: &TableRef) -> exec::Result<Arc<Table>> {
        let id = VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version };
        storage::residency::advance_clock();
        let state = self.state.lock();
        state.versions.get(&id).map(|pinned| pinned.table.clone()).ok_or_else(|| {
            exec::Error::Storage(format!(
                "version {} of {} is not held by shard {}; it may have been dropped",
                table.version, table.name, self.config.index
            ))
        })
    }
}
