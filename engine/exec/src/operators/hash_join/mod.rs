//! Hash join: one side is held, the other streams past it.
//!
//! The build side's rows lie in partitioned pages ([`build`]). Integral keys whose bounds allow it are packed
//! into one word that is compared instead of them; otherwise the word is their hash and the keys are compared
//! a column at a time. The [`table`] leads from a word to rows, the [`probe`] follows it a batch at a time, and
//! [`rest`] gives the build rows that remain.

mod build;
mod probe;
mod rest;
mod table;
#[cfg(test)]
mod tests;

use super::keys::{Input, Packing};
use crate::error::Result;
use crate::expr::Expr;
use crate::memory::MemoryPool;
use crate::operator::{Operator, Sink, Source};
use crate::pages::RowLayout;
use crate::plan::{JoinKey, JoinKind};
use crate::{Error, QueryContext, Settings, Shape};
use parking_lot::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use table::JoinTable;

/// The parts of a join, which share one table. The build pipeline ends in `build`; once it is finalized
/// probe pipelines run through `probe`; once they have all ended, `rest` gives the rows of the build side that
/// the kind adds at the end, in the same shapes.
pub struct HashJoin {
    pub build: Arc<dyn Sink>,
    pub probe: Arc<dyn Operator>,
    /// For [`JoinKind::BuildOuter`], `Full`, `BuildSemi` and `BuildAnti`.
    pub rest: Option<Arc<dyn Source>>,
}

/// What the parts of a join share.
struct Join {
    kind: JoinKind,
    keys: Vec<Key>,
    packing: Option<Packing>,
    /// Whether a probe row's key may have no word.
    may_leave: bool,
    residual: Option<Residual>,
    probe: Vec<Shape>,
    output: Vec<Shape>,
    layout: Arc<RowLayout>,
    /// What each field of a row holds.
    fields: Vec<FieldInput>,
    /// The build columns that are given.
    given: Vec<Given>,
    memory: Arc<MemoryPool>,
    settings: Settings,
    /// What build tasks left, until it is finalized.
    built: Mutex<Vec<build::Built>>,
    table: OnceLock<JoinTable>,
    /// The page that [`rest`] reads next.
    rest_page: AtomicUsize,
}

struct Key {
    probe: Input,
    build: Input,
    null_equal: bool,
    /// Where the key lies in the row, unless it is packed.
    field: usize,
}

/// Where a build column of the output comes from.
struct Given {
    /// Its field in the row. `None`: it is in no row.
    field: Option<usize>,
    /// The key whose value it is in every pair, so that the probe row has it too.
    key: Option<usize>,
}

enum FieldInput {
    Column(usize),
    Key(usize),
}

/// A condition on pairs, over the few columns it needs.
struct Residual {
    condition: Input,
    columns: Vec<PairColumn>,
}

enum PairColumn {
    Probe(usize),
    /// A field of the row.
    Build(usize),
}

/// A row starts with the word of its key, then the number of the next row of its chain plus one.
const WORD: usize = 0;
const NEXT: usize = 8;
const HEADER_BYTES: usize = 12;
/// In place of the next row: the row has a null key and is in no chain.
const UNREACHABLE: u32 = u32::MAX;

impl JoinKind {
    fn gives_probe(self) -> bool {
        !matches!(self, JoinKind::BuildSemi | JoinKind::BuildAnti)
    }

    fn gives_build(self) -> bool {
        !matches!(self, JoinKind::ProbeSemi | JoinKind::ProbeAnti | JoinKind::Mark)
    }

    /// Whether build rows are given, or looked at, after the last probe.
    fn has_rest(self) -> bool {
        use JoinKind::*;
        matches!(self, BuildOuter | Full | BuildSemi | BuildAnti)
    }

    /// Whether build rows are given that matched nothing.
    fn gives_unmatched_build(self) -> bool {
        matches!(self, JoinKind::BuildOuter | JoinKind::Full | JoinKind::BuildAnti)
    }

    /// Whether probe rows without a match are given with nulls.
    fn fills_build(self) -> bool {
        matches!(self, JoinKind::ProbeOuter | JoinKind::Full | JoinKind::Single)
    }

    fn fills_probe(self) -> bool {
        matches!(self, JoinKind::BuildOuter | JoinKind::Full)
    }
}

impl HashJoin {
    /// `probe` and `build` are the shapes of the inputs; keys and residual as in [`crate::plan::HashJoin`].
    pub fn new(
        kind: JoinKind,
        keys: &[JoinKey],
        residual: Option<&Expr>,
        probe: &[Shape],
        build: &[Shape],
        query: &QueryContext,
    ) -> Result<HashJoin> {
        let join = Arc::new(Join::new(kind, keys, residual, probe, build, query)?);
        Ok(HashJoin {
            build: Arc::new(build::Build(join.clone())),
            probe: Arc::new(probe::Probe(join.clone())),
            rest: if kind.has_rest() { Some(Arc::new(rest::Rest(join))) } else { None },
        })
    }
}

impl Join {
    fn new(
        kind: JoinKind,
        keys: &[JoinKey],
        residual: Option<&Expr>,
        probe: &[Shape],
        build: &[Shape],
        query: &QueryContext,
    ) -> Result<Join> {
        let mut compiled = Vec::new();
        for key in keys {
            let (probe, build) = (Input::compile(&key.probe, probe)?, Input::compile(&key.build, build)?);
            if probe.shape().physical != build.shape().physical && !probe.shape().data_type.is_integral() {
                return Err(Error::Internal("join keys of two types".into()));
            }
            compiled.push(Key { probe, build, null_equal: key.null_equal, field: 0 });
        }
        let mut keys = compiled;
        let packing = pack(&keys);
        let may_leave = packing.as_ref().is_some_and(|packing| {
            keys.iter().enumerate().any(|(index, key)| packing.may_leave(index, key.probe.shape()))
        });

        let mut fields = Vec::new();
        let mut shapes: Vec<Shape> = Vec::new();
        let keeps_null_keys = kind.gives_unmatched_build();
        if packing.is_none() {
            for (index, key) in keys.iter_mut().enumerate() {
                let (ours, theirs) = (key.build.shape(), key.probe.shape());
                key.field = fields.len();
                shapes.push(Shape {
                    physical: ours.physical.max(theirs.physical),
                    nullable: ours.nullable && (key.null_equal || keeps_null_keys),
                    ..ours.clone()
                });
                fields.push(FieldInput::Key(index));
            }
        }
        let key_of_column = |column: usize| {
            let is_it = |key: &&Key| packing.is_none() && key.build.column() == Some(column);
            keys.iter().find(is_it).map(|key| key.field)
        };
        let mut field_of = |column: usize| {
            let known =
                fields.iter().position(|field| matches!(field, FieldInput::Column(c) if *c == column));
            known.or(key_of_column(column)).unwrap_or_else(|| {
                shapes.push(build[column].clone());
                fields.push(FieldInput::Column(column));
                fields.len() - 1
            })
        };
        let mut given = Vec::new();
        if kind.gives_build() {
            given.extend((0..build.len()).map(|column| {
                let is_it = |key: &Key| key.build.column() == Some(column) && !key.null_equal;
                let key = keys.iter().position(is_it).filter(|_| packing.is_some() && !kind.fills_build());
                let field = (key.is_none() || kind.has_rest()).then(|| field_of(column));
                Given { field, key }
            }));
        }
        let used = residual.map(used_columns).unwrap_or_default();
        let mut pair_columns = Vec::new();
        for &column in &used {
            pair_columns.push(match column.checked_sub(probe.len()) {
                None => PairColumn::Probe(column),
                Some(column) if column < build.len() => PairColumn::Build(field_of(column)),
                Some(_) => return Err(Error::Internal("a join condition names no column".into())),
            });
        }
        let layout = Arc::new(RowLayout::new(&shapes, HEADER_BYTES, 0));
        let residual = match residual {
            None => None,
            Some(residual) => Some(Residual::new(residual, &used, pair_columns, probe, &layout)?),
        };

        let mut output = Vec::new();
        if kind.gives_probe() {
            output.extend(probe.iter().map(|shape| shape.clone().or_null(kind.fills_probe())));
        }
        if kind.gives_build() {
            // A column that is kept as a key is as wide as the keys of both sides.
            output.extend(build.iter().zip(&given).map(|(shape, given)| {
                let physical = given.field.map_or(shape.physical, |field| shapes[field].physical);
                Shape { physical, ..shape.clone() }.or_null(kind.fills_build())
            }));
        }
        if kind == JoinKind::Mark {
            output.push(Shape::of_type(columnar::DataType::Boolean));
        }
        Ok(Join {
            kind,
            keys,
            packing,
            may_leave,
            residual,
            probe: probe.to_vec(),
            output,
            layout,
            fields,
            given,
            memory: query.memory.clone(),
            settings: query.settings.clone(),
            built: Mutex::default(),
            table: OnceLock::new(),
            rest_page: AtomicUsize::new(0),
        })
    }

    fn table(&self) -> Result<&JoinTable> {
        self.table.get().ok_or_else(|| Error::Internal("a join was probed before it was built".into()))
    }
}

/// How keys pack by the bounds of the build side: probe values beyond them match nothing.
fn pack(keys: &[Key]) -> Option<Packing> {
    let shapes: Vec<Shape> = keys.iter().map(|key| key.build.shape().clone()).collect();
    let null_digits: Vec<bool> = keys
        .iter()
        .map(|key| key.null_equal && (key.probe.shape().nullable || key.build.shape().nullable))
        .collect();
    let packing = Packing::of(&shapes, &null_digits)?;
    let wide = keys.iter().any(|key| key.probe.shape().physical == columnar::PhysicalType::I128);
    (!wide || packing.tells_wide_apart()).then_some(packing)
}

fn used_columns(expr: &Expr) -> Vec<usize> {
    let mut used = Vec::new();
    expr.visit(&mut |node| {
        if let Expr::Column { id, .. } = node {
            used.push(*id as usize);
        }
    });
    used.sort_unstable();
    used.dedup();
    used
}

impl Residual {
    fn new(
        residual: &Expr,
        used: &[usize],
        columns: Vec<PairColumn>,
        probe: &[Shape],
        layout: &RowLayout,
    ) -> Result<Residual> {
        let moved = residual.clone().transform(&mut |node| match node {
            Expr::Column { id, data_type } => {
                let place = used.iter().position(|&column| column == id as usize).unwrap_or_default();
                Expr::Column { id: place as u32, data_type }
            }
            other => other,
        });
        let shapes: Vec<Shape> = columns
            .iter()
            .map(|column| match column {
                PairColumn::Probe(column) => probe[*column].clone(),
                PairColumn::Build(field) => layout.fields[*field].shape.clone(),
            })
            .collect();
        Ok(Residual { condition: Input::compile(&moved, &shapes)?, columns })
    }
}

impl Shape {
    /// The shape with nulls among its values, if `nulls` says so.
    fn or_null(mut self, nulls: bool) -> Shape {
        self.nullable |= nulls;
        self
    }
}
