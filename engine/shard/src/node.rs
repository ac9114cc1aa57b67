//! The shard itself: what it holds.

use crate::hydrate::Layout;
use crate::segment_files::{self, Incoming, Key, SegmentFiles};
use crate::{Config, Environment, Error, Placement, Result, Version, VersionId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use storage::{ColumnFacts, Segment, SegmentImage, Table, TableStatistics};
use tokio::sync::watch;

/// A node that holds segments.
pub struct Shard {
    config: Config,
    environment: Environment,
    files: SegmentFiles,
    state: Mutex<State>,
    /// Counts the changes of what is held.
    changes: watch::Sender<u64>,
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
    layout: Arc<Layout>,
}

impl Pinned {
    fn residents(&self) -> impl Iterator<Item = &Arc<Resident>> {
        self.layout.held().map(|held| &held.resident)
    }
}

/// A segment, and the bucket whose rows it has.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) bucket: u32,
    /// All rows, whatever a version has of them.
    pub(crate) resident: Arc<Resident>,
    /// As queries of the version see it.
    segment: Arc<Segment>,
    /// Of the rows that they see, where these are not all.
    statistics: Option<Arc<TableStatistics>>,
}

impl Held {
    /// With all rows.
    pub(crate) fn whole(bucket: u32, resident: Arc<Resident>) -> Held {
        Held { bucket, segment: resident.segment.clone(), resident, statistics: None }
    }

    /// With those that `segment`, which is the resident's, shows.
    pub(crate) fn seen(bucket: u32, resident: Arc<Resident>, segment: Arc<Segment>) -> Result<Held> {
        let statistics = segment.is_masked().then(|| segment.statistics()).transpose()?;
        Ok(Held { bucket, resident, segment, statistics: statistics.map(Arc::new) })
    }

    /// As that bucket's.
    pub(crate) fn of_bucket(&self, bucket: u32) -> Held {
        Held { bucket, ..self.clone() }
    }

    fn statistics(&self) -> &TableStatistics {
        self.statistics.as_deref().unwrap_or(&self.resident.statistics)
    }
}

/// What a shard holds of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub placement: Placement,
    /// How many buckets the version has, on all shards.
    pub buckets: usize,
    /// Numbers and rows of those held here, ascending. A bucket without rows may be left out.
    pub held: Vec<(u32, u64)>,
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
        let changes = watch::Sender::new(1);
        Ok(Arc::new(Shard { config, environment, files, state: Mutex::default(), changes }))
    }

    /// Its number among the shards.
    pub fn id(&self) -> u64 {
        self.config.id
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Counts the changes of what is held, from 1.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What is held of a version; `None` where it is not hydrated here.
    pub fn holding(&self, id: &VersionId) -> Option<Holding> {
        let state = self.state.lock();
        let layout = &state.versions.get(id)?.layout;
        let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
        for held in layout.held() {
            *rows.entry(held.bucket).or_default() += held.segment.visible_rows() as u64;
        }
        // What is damaged is not held.
        for held in layout.held().filter(|held| held.resident.segment.check().is_err()) {
            rows.remove(&held.bucket);
        }
        let held = rows.into_iter().collect();
        Some(Holding { placement: layout.placement().clone(), buckets: layout.buckets(), held })
    }

    /// Has who follows [`Shard::changes`] look at the holdings again.
    pub(crate) fn tell_of_damage(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The rows of the given buckets of a hydrated version, all of which are held here; they stay for as long as the result lives, also past
    /// [`Shard::drop_version`].
    pub fn share(&self, id: &VersionId, buckets: &[u32]) -> exec::Result<Arc<Table>> {
        storage::residency::advance_clock();
        let state = self.state.lock();
        let pinned = state.versions.get(id).ok_or_else(|| self.not_held(id))?;
        let wanted: HashSet<u32> = buckets.iter().copied().collect();
        let held = || pinned.layout.held().filter(|held| wanted.contains(&held.bucket));
        let found: HashSet<u32> = held().map(|held| held.bucket).collect();
        if found.len() < wanted.len() {
            return Err(self.not_held(id));
        }
        let segments: Vec<Arc<Segment>> = held().map(|held| held.segment.clone()).collect();
        Ok(match segments.len() == pinned.table.segments.len() {
            true => pinned.table.clone(),
            false => Arc::new(Table { schema: pinned.table.schema.clone(), segments }),
        })
    }

    /// The summary of the given buckets of a hydrated version.
    pub fn statistics(&self, id: &VersionId, buckets: &[u32]) -> exec::Result<TableStatistics> {
        let layout = {
            let state = self.state.lock();
            state.versions.get(id).ok_or_else(|| self.not_held(id))?.layout.clone()
        };
        let mut statistics = None;
        for held in layout.held().filter(|held| buckets.contains(&held.bucket)) {
            let one = held.statistics();
            statistics = Some(match statistics {
                None => one.clone(),
                Some(known) => TableStatistics::merge(&known, one),
            });
        }
        Ok(statistics.unwrap_or_else(|| TableStatistics::empty(layout.columns())))
    }

    /// What is proven of each column over one bucket of a hydrated version.
    pub fn facts(&self, id: &VersionId, bucket: u32) -> exec::Result<Vec<ColumnFacts>> {
        let table = self.share(id, &[bucket])?;
        Ok((0..table.schema.len() as u32).map(|column| table.column_facts(column)).collect())
    }

    fn not_held(&self, id: &VersionId) -> exec::Error {
        exec::Error::Storage(format!(
            "version {} of dataset {} is not held, or not whole, by shard {}; it may have been dropped",
            id.version, id.dataset, self.config.id
        ))
    }

    /// Unpins a version. Its segments go when the last query that pins them ends; their files go at once,
    /// unless another pinned version has them too.
    pub fn drop_version(&self, id: &VersionId) {
        let mut state = self.state.lock();
        let Some(dropped) = state.versions.remove(id) else { return };
        let kept = state.paths_of(|other| (&other.tenant, other.dataset) == (&id.tenant, id.dataset));
        for resident in dropped.residents() {
            resident.retired.store(!kept.contains(&resident.path), Ordering::Relaxed);
        }
        drop(state);
        drop(dropped);
        self.changes.send_modify(|changes| *changes += 1);
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
        let pinned = state.versions.values().flat_map(Pinned::residents);
        pinned.filter(|one| seen.insert(&one.path)).map(|one| one.segment.bytes()).sum()
    }

    /// The versions that are pinned.
    pub fn versions(&self) -> Vec<VersionId> {
        self.state.lock().versions.keys().cloned().collect()
    }

    /// Bytes that are reserved for what is deleted of the versions that are pinned.
    pub fn deletes_bytes(&self) -> u64 {
        self.state.lock().versions.values().map(|pinned| pinned.layout.memory.bytes()).sum()
    }

    /// Makes a version's segments known to queries.
    pub(crate) fn pin(&self, version: &Version, layout: Arc<Layout>) {
        let segments = layout.held().map(|held| held.segment.clone()).collect();
        let table = Arc::new(Table { schema: version.schema.clone(), segments });
        let mut state = self.state.lock();
        for held in layout.held() {
            held.resident.retired.store(false, Ordering::Relaxed);
        }
        let before = state.versions.insert(version.id.clone(), Pinned { table, layout });
        // A version that is held anew may have given segments away.
        if let Some(before) = &before {
            let kept = state.paths_of(|_| true);
            for resident in before.residents() {
                resident.retired.store(!kept.contains(&resident.path), Ordering::Relaxed);
            }
        }
        drop(state);
        drop(before);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The layout of a pinned version that `version` adds files to: of those, the one with most files.
    pub(crate) fn layout_before(&self, version: &Version) -> Option<Arc<Layout>> {
        let state = self.state.lock();
        let of_dataset = state
            .versions
            .iter()
            .filter(|(id, _)| (&id.tenant, id.dataset) == (&version.id.tenant, version.id.dataset));
        let layouts = of_dataset.map(|(_, pinned)| &pinned.layout);
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

    /// The segment of that key, if it is held.
    pub(crate) fn resident(&self, id: &VersionId, key: Key) -> Option<Arc<Resident>> {
        self.held(&self.files.path(id, key))
    }

    /// A segment of that key is about to come from another shard.
    pub(crate) fn receive(&self, id: &VersionId, key: Key) -> Result<Incoming> {
        Incoming::begin(self.files.path(id, key))
    }

    /// Takes in a segment that came.
    pub(crate) fn received(&self, incoming: Incoming) -> Result<Arc<Resident>> {
        self.open_written(incoming.finish()?)
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
        let residents = pinned.flat_map(|(_, pinned)| pinned.residents());
        residents.map(|resident| resident.path.clone()).collect()
    }
}
