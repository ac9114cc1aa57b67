//! What is known of a query at the moment in which it is decided who answers it.

use super::TUNDRA;
use super::choice::{Candidate, Choice};
use super::history::{History, Measured};
use crate::admission::Load;
use crate::shards::Shards;
use crate::view::View;
use exec::plan::TableRef;
use flight_proto::policy::Feature;
use planner::{Outline, OutlinedScan, Pushed, QueryShape};
use std::sync::Arc;
use std::time::Duration;

/// Segments of a table that are looked at, at most: a decision must not take long.
const SEGMENTS_MOST: usize = 64;
/// Samples from which on a measured latency counts, unless the policy says otherwise.
const SAMPLES: u32 = 3;

/// Milliseconds that any query takes, and what the costs of Tundra's steps are, in nanoseconds on one thread; bytes that
/// come back into memory in a second. Rough: what was measured is better, and takes their place.
const TUNDRA_MS: f64 = 1.0;
const VALUE_NS: f64 = 1.0;
const OPERATOR_ROW_NS: f64 = 20.0;
const RETURNING_BYTES: f64 = 200e6;
/// The same of another engine, of which less is known: how long it takes to be asked, a row of its tables that is read,
/// a look-up, and a row that comes from there.
const FOREIGN_MS: f64 = 3.0;
const FOREIGN_ROW_NS: f64 = 200.0;
const MOVED_ROW_NS: f64 = 1_000.0;

/// Everything that a decision may rest on.
pub(crate) struct Features {
    pub(crate) table_bytes: f64,
    pub(crate) table_rows: f64,
    pub(crate) read_rows: f64,
    pub(crate) read_bytes: f64,
    pub(crate) resident: Option<f64>,
    pub(crate) tables: usize,
    pub(crate) joins: usize,
    pub(crate) load: Load,
    pub(crate) shape: QueryShape,
    pub(crate) tier: String,
    pub(crate) user: Arc<str>,
    pub(crate) label: String,
    /// In the order of [`Choice::candidates`].
    pub(crate) engines: Vec<EngineFeatures>,
    /// How many decisions by what is expected there were for queries of this shape.
    pub(crate) turn: u64,
    /// The engine of the tables that are named; `None`: they are of several.
    pub(crate) named: Option<Arc<str>>,
}

/// What is known of one engine that can answer.
pub(crate) struct EngineFeatures {
    pub(crate) engine: Arc<str>,
    pub(crate) predicted_ms: f64,
    pub(crate) pushed: Option<Pushed>,
    pub(crate) measured: Measured,
    /// So many samples are enough.
    pub(crate) enough: u32,
    /// It failed so lately that it is not asked again yet.
    pub(crate) failed_ago: Option<Duration>,
}

impl EngineFeatures {
    pub(crate) fn is_tundra(&self) -> bool {
        &*self.engine == TUNDRA
    }

    pub(crate) fn measured_ms(&self) -> Option<f64> {
        (self.measured.count >= u64::from(self.enough)).then_some(self.measured.median_ms)
    }

    /// What it is expected to take: what was measured, where that is enough.
    pub(crate) fn expected_ms(&self) -> f64 {
        self.measured_ms().unwrap_or(self.predicted_ms)
    }
}

/// Who asks.
pub(crate) struct Asking {
    pub(crate) tier: String,
    pub(crate) user: Arc<str>,
    pub(crate) label: String,
}

/// Where queries run here.
pub(crate) struct Ground<'a> {
    pub(crate) view: &'a View,
    pub(crate) shards: &'a Shards,
    pub(crate) threads: usize,
    pub(crate) load: Load,
}

impl Features {
    pub(crate) fn of(choice: &Choice, ground: &Ground<'_>, asking: Asking, history: &History) -> Features {
        let outline = &choice.outline;
        let sum = |of: &dyn Fn(&OutlinedScan) -> f64| outline.scans.iter().map(of).sum::<f64>();
        let (measured, turn) = history.of(&choice.shape, choice.candidates.iter().map(|one| &*one.engine));
        let tundra = choice.tundra();
        let residency = tundra.and_then(|tundra| residency(&tundra.outline, ground));
        let enough = if choice.routes.samples == 0 { SAMPLES } else { choice.routes.samples };
        let engines = choice.candidates.iter().zip(measured).map(|(candidate, measured)| EngineFeatures {
            engine: candidate.engine.clone(),
            predicted_ms: predicted_ms(candidate, residency, ground),
            pushed: candidate.pushed,
            measured,
            enough,
            failed_ago: history.failed_ago(&candidate.engine),
        });
        let mut seen: Vec<&Arc<planner::catalog::Table>> = Vec::new();
        for scan in &outline.scans {
            if !seen.iter().any(|table| Arc::ptr_eq(table, &scan.table)) {
                seen.push(&scan.table);
            }
        }
        Features {
            table_bytes: seen.iter().map(|table| bytes_of(table)).sum(),
            table_rows: seen.iter().map(|table| table.statistics.rows as f64).sum(),
            read_rows: sum(&|scan| scan.rows),
            read_bytes: sum(&|scan| scan.bytes),
            resident: residency.map(|(part, _)| part),
            tables: seen.len(),
            joins: outline.joins,
            load: ground.load,
            shape: outline.shape,
            tier: asking.tier,
            user: asking.user,
            label: asking.label,
            engines: engines.collect(),
            turn,
            named: choice.named.clone(),
        }
    }

    /// A feature that is a number; `None`: it is not known.
    pub(crate) fn number(&self, feature: Feature) -> Option<f64> {
        let least = |numbers: &mut dyn Iterator<Item = f64>| numbers.reduce(f64::min);
        let tundra = || self.engines.iter().find(|engine| engine.is_tundra());
        match feature {
            Feature::TableBytes => Some(self.table_bytes),
            Feature::TableRows => Some(self.table_rows),
            Feature::ReadRows => Some(self.read_rows),
            Feature::ReadBytes => Some(self.read_bytes),
            Feature::Resident => self.resident,
            Feature::Tables => Some(self.tables as f64),
            Feature::Joins => Some(self.joins as f64),
            Feature::PredictedMs => tundra().map(|tundra| tundra.predicted_ms),
            Feature::Running => Some(self.load.running as f64),
            Feature::Waiting => Some(self.load.waiting as f64),
            Feature::OldestWaitMs => Some(self.load.oldest_wait.as_secs_f64() * 1e3),
            Feature::MeasuredTundraMs => tundra().and_then(EngineFeatures::measured_ms),
            Feature::MeasuredForeignMs => {
                let others = self.engines.iter().filter(|engine| !engine.is_tundra());
                least(&mut others.filter_map(EngineFeatures::measured_ms))
            }
            _ => None,
        }
    }

    /// A feature that is a word; `None`: there is none.
    pub(crate) fn word(&self, feature: Feature) -> Option<&str> {
        match feature {
            Feature::Shape => Some(self.shape.name()),
            Feature::Tier => Some(&self.tier),
            Feature::User => Some(&self.user),
            Feature::Label => Some(&self.label),
            Feature::Pushed => self.engines.iter().filter_map(|engine| engine.pushed).max().map(Pushed::name),
            _ => None,
        }
    }
}

/// Bytes of all columns of a table, as far as statistics tell.
fn bytes_of(table: &planner::catalog::Table) -> f64 {
    let width: f64 = match table.statistics.columns.is_empty() {
        true => table.columns.len() as f64 * 8.0,
        false => table.statistics.columns.iter().map(|column| column.average_bytes).sum(),
    };
    table.statistics.rows as f64 * width
}

/// The part of the columns that are read which is in memory, and bytes of them that are not. Of nodes it is known how much
/// memory they have for all segments, and no more. `None`: nothing is read.
fn residency(outline: &Outline, ground: &Ground<'_>) -> Option<(f64, f64)> {
    if outline.scans.is_empty() {
        return None;
    }
    let (mut all, mut here) = (0.0, 0.0);
    for scan in &outline.scans {
        let of = &scan.table;
        let table = TableRef {
            tenant: of.tenant.clone(),
            dataset: of.dataset,
            version: of.version,
            name: of.name.clone(),
        };
        let parts = ground.view.pinned(&table).unwrap_or_default();
        let segments = || parts.iter().flat_map(|part| &part.segments);
        let count = segments().count();
        let step = count.div_ceil(SEGMENTS_MOST).max(1);
        for segment in segments().step_by(step) {
            for &column in &scan.columns {
                all += segment.column_bytes(column) as f64 * step as f64;
                here += segment.resident_bytes(column) as f64 * step as f64;
            }
        }
    }
    if let Shards::Nodes(nodes) = ground.shards {
        let pool = ground.view.seating.as_ref().map(|seating| &seating.pool);
        let own = nodes.summaries().into_iter().filter(|node| node.alive && Some(&node.pool) == pool);
        let loads = own.filter_map(|node| node.load);
        let (segments, memory) = loads.fold((0.0, 0.0), |(segments, memory), load| {
            (segments + load.segment_bytes as f64, memory + load.memory_bytes.min(1 << 60) as f64)
        });
        let part: f64 = if segments > 0.0 { (memory / segments).min(1.0) } else { 1.0 };
        let read: f64 = outline.scans.iter().map(|scan| scan.bytes).sum();
        return Some((part, read * (1.0 - part)));
    }
    Some(if all > 0.0 { (here / all, all - here) } else { (1.0, 0.0) })
}

/// A rough guess of how long an engine takes, in milliseconds.
fn predicted_ms(candidate: &Candidate, residency: Option<(f64, f64)>, ground: &Ground<'_>) -> f64 {
    let outline = &candidate.outline;
    if candidate.is_tundra() {
        let nodes = match ground.shards {
            Shards::Nodes(_) => ground.view.shards(1),
            Shards::Here(_) => 1,
        };
        let threads = (ground.threads * nodes).max(1) as f64;
        let work_ns = outline.scan_values * VALUE_NS + outline.operator_rows * OPERATOR_ROW_NS;
        let missing = residency.map_or(0.0, |(_, missing)| missing);
        // What a sorted column leaves out need not come back.
        let part = match outline.scans.iter().map(|scan| bytes_of(&scan.table)).sum::<f64>() {
            all if all > 0.0 => (outline.scan_values * 8.0 / all).min(1.0),
            _ => 1.0,
        };
        return TUNDRA_MS + work_ns / threads / 1e6 + missing * part / RETURNING_BYTES * 1e3;
    }
    let rows: f64 = outline.scans.iter().map(|scan| scan.table.statistics.rows as f64).sum();
    let (read, moved) = match (candidate.pushed, outline.shape) {
        (Some(Pushed::Whole | Pushed::Partly), QueryShape::Lookup) => {
            (outline.result_rows, outline.result_rows)
        }
        (Some(Pushed::Whole | Pushed::Partly), _) => (rows + outline.operator_rows, outline.result_rows),
        _ => (rows, outline.scans.iter().map(|scan| scan.rows).sum()),
    };
    FOREIGN_MS + (read * FOREIGN_ROW_NS + moved * MOVED_ROW_NS) / 1e6
}
