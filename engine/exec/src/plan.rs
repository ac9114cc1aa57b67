//! The physical plan: plain data that a shard runs.
//!
//! Columns are positions in an operator's input. Parallelism is not in the plan: a pipeline is as parallel as
//! its source has morsels. [`Plan::Exchange`] stands where rows change shards; the fragmenter cuts there and
//! leaves a [`Plan::ReceiveProven`], or for shards of version 1 a [`Plan::Receive`].

mod stateful;
mod unroll;

use crate::expr::Expr;
use columnar::{DataType, Value};
use serde::{Deserialize, Serialize};
pub use stateful::{KeyOrder, Phase, StateFunction, Stateful};
pub use unroll::{Unroll, Unrolled, element_type};

/// An operator and its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Plan {
    Scan(Scan),
    /// Keeps the rows for which the predicate is true.
    Filter {
        input: Box<Plan>,
        predicate: Expr,
    },
    Project {
        input: Box<Plan>,
        exprs: Vec<Expr>,
    },
    HashJoin(HashJoin),
    /// Output: the group keys, then the aggregates. Without groups there is one row, even of no input.
    Aggregate {
        input: Box<Plan>,
        groups: Vec<Expr>,
        aggregates: Vec<Aggregate>,
    },
    Sort {
        input: Box<Plan>,
        keys: Vec<SortKey>,
    },
    /// The first `limit` rows after `offset` in the order of the keys.
    TopN {
        input: Box<Plan>,
        keys: Vec<SortKey>,
        limit: u64,
        offset: u64,
    },
    /// Any `limit` rows after `offset`; of a sorted input the first. `None`: all rows.
    Limit {
        input: Box<Plan>,
        limit: Option<u64>,
        offset: u64,
    },
    /// All rows of all inputs, which have the same types.
    Union {
        inputs: Vec<Plan>,
    },
    Values {
        types: Vec<DataType>,
        rows: Vec<Vec<Value>>,
    },
    /// Moves rows between shards. Only before fragments are cut.
    Exchange {
        input: Box<Plan>,
        routing: Routing,
    },
    /// The rows that the fragments of `fragment` send here.
    Receive {
        fragment: u32,
        types: Vec<DataType>,
    },
    /// Rows that are computed once, and read here and by each [`Plan::Reread`] of the number, all of which come
    /// later in preorder.
    Shared {
        number: u32,
        input: Box<Plan>,
    },
    /// Columns of the rows of a [`Plan::Shared`] of the same fragment.
    Reread {
        number: u32,
        columns: Vec<u32>,
        /// Of `columns`.
        types: Vec<DataType>,
    },
    /// As [`Plan::Receive`], where more than types is known. From cluster version 2 on.
    ReceiveProven {
        fragment: u32,
        columns: Vec<ReceivedColumn>,
    },
    /// Each row once for each list of expressions, which have the same types; the lists' values. From cluster version
    /// 2 on.
    Expand {
        input: Box<Plan>,
        lists: Vec<Vec<Expr>>,
    },
    /// From cluster version 2 on.
    Series(Series),
    /// From cluster version 2 on.
    TopOfGroups(TopOfGroups),
    /// From cluster version 2 on.
    AsOf(AsOf),
    /// Functions over the rows around each row. From cluster version 2 on.
    Window(Window),
    /// Lists as rows. From cluster version 2 on.
    Unroll(Unroll),
    /// As `Scan`, where `schema` has one type more than the dataset, `BIGINT`: the addresses of rows. From cluster version 2 on.
    ScanAddressed(Scan),
}

/// Of the rows with equal `groups` (nulls are alike) the first `limit` after `offset` in the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopOfGroups {
    pub input: Box<Plan>,
    pub groups: Vec<Expr>,
    pub keys: Vec<SortKey>,
    pub limit: u64,
    pub offset: u64,
    /// Also those after them whose keys are those of the last.
    pub ties: bool,
}

/// Rows in the order of their groups and then of the keys. Those for which `source` is true are not given; each other row
/// is, and after its columns those that are carried of the last source of its group before it: nulls where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AsOf {
    pub input: Box<Plan>,
    pub groups: Vec<Expr>,
    pub keys: Vec<SortKey>,
    pub source: Expr,
    pub carried: Vec<Expr>,
    /// Rows without a source are left out.
    pub required: bool,
}

/// Each row once for each value of a series, which comes after the row's columns; not at all where a bound is null.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Series {
    pub input: Box<Plan>,
    /// `INTEGER`, `BIGINT` or a timestamp in microseconds: the type of the series.
    pub start: Expr,
    /// Of the same type.
    pub stop: Expr,
    /// Of the same type, for a timestamp an interval. Zero is an error.
    pub step: Expr,
    /// Whether `stop` itself may be given.
    pub inclusive: bool,
}

/// What holds of a column of all rows that a fragment sends, whichever shard sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReceivedColumn {
    pub data_type: DataType,
    /// Whether a null can occur.
    pub nullable: bool,
    /// Inclusive bounds of the unscaled integers, for integral types.
    pub bounds: Option<(i128, i128)>,
}

/// Reads columns of one version of a dataset on the shard that runs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scan {
    pub table: TableRef,
    /// Types of the dataset's whole schema, by which `columns` and `predicate` count.
    pub schema: Vec<DataType>,
    /// Positions in the schema of the columns to give, in this order.
    pub columns: Vec<u32>,
    /// A conjunction over positions in the schema; only rows for which all are true are given.
    pub predicate: Vec<Expr>,
}

/// One version of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableRef {
    pub tenant: String,
    pub dataset: u64,
    pub version: u64,
    /// For people only; identity is `dataset`.
    pub name: String,
}

/// Matches rows of `probe` (streamed) with rows of `build` (held). Output: the probe's columns, then the
/// build's, as far as the kind gives them, then the mark.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HashJoin {
    pub probe: Box<Plan>,
    pub build: Box<Plan>,
    pub kind: JoinKind,
    /// A pair matches where all keys are equal; with no keys every pair does.
    pub keys: Vec<JoinKey>,
    /// A further condition on the pair, over the probe's columns followed by the build's.
    pub residual: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JoinKey {
    /// Over the probe's columns.
    pub probe: Expr,
    /// Over the build's columns; of the same type.
    pub build: Expr,
    /// Whether two nulls match (`IS NOT DISTINCT FROM`).
    pub null_equal: bool,
}

impl JoinKey {
    /// The columns of probe and build side that it compares, if it is two columns of which nulls are not equal.
    pub(crate) fn columns(&self) -> Option<(usize, usize)> {
        match self {
            JoinKey {
                probe: Expr::Column { id: probe, data_type },
                build: Expr::Column { id: build, data_type: build_type },
                null_equal: false,
            } if data_type == build_type => Some((*probe as usize, *build as usize)),
            _ => None,
        }
    }
}

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JoinKind {
    /// Every matching pair.
    Inner,
    /// Pairs, and probe rows without a match with nulls for the build's columns.
    ProbeOuter,
    /// Pairs, and build rows without a match with nulls for the probe's columns.
    BuildOuter,
    /// Both.
    Full,
    /// Probe rows that have a match, once each; the probe's columns only.
    ProbeSemi,
    /// Probe rows that have none.
    ProbeAnti,
    /// Build rows that have a match, once each; the build's columns only.
    BuildSemi,
    BuildAnti,
    /// Every probe row once, with a boolean after its columns: true if for some build row with equal keys
    /// the residual is true (or there is none), else null if for some it is null, else false.
    Mark,
    /// As [`JoinKind::ProbeOuter`], but a second match is the error of a scalar subquery with two rows.
    Single,
}

impl JoinKind {
    /// Whether a probe row without a match leaves no trace in the join's result.
    pub(crate) fn drops_probe_rows(self) -> bool {
        use JoinKind::*;
        matches!(self, Inner | BuildOuter | ProbeSemi | BuildSemi | BuildAnti)
    }

    /// Whether what the join gives of one probe row depends on no other, so that rows that a later join would drop
    /// may be left out before it.
    pub(crate) fn passes_probe_rows(self) -> bool {
        use JoinKind::*;
        matches!(self, Inner | ProbeOuter | ProbeSemi | ProbeAnti | Mark)
    }
}

/// One aggregate over the rows of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aggregate {
    pub function: AggregateFunction,
    /// None for `count(*)`, one for the other simple ones; of a [`Stateful`] one what its function says.
    pub args: Vec<Expr>,
    /// Only rows for which it is true are aggregated.
    pub filter: Option<Expr>,
    pub data_type: DataType,
}

/// Aggregates as shards compute them. The planner writes the others with these (`avg` as sum and count,
/// `DISTINCT` as two levels of grouping), so that a second phase over partial results is another plan, not
/// another mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AggregateFunction {
    /// Rows; `BIGINT`.
    CountRows,
    /// Rows whose argument is not null; `BIGINT`.
    Count,
    /// Null over no values. The result type is the aggregate's: leaving it is an error.
    Sum,
    /// The sum of `BIGINT` counts as `BIGINT`, 0 over none: the second phase of counts.
    SumCounts,
    Min,
    Max,
    /// Some value, null only if all are.
    AnyValue,
    BoolAnd,
    BoolOr,
    /// What is not written with those above; since version 2 of plans.
    Stateful(Stateful),
}

impl AggregateFunction {
    /// Whether a row whose first argument is null counts.
    pub fn takes_nulls(self) -> bool {
        match self {
            AggregateFunction::CountRows => true,
            AggregateFunction::Stateful(call) => call.function.strict_arguments() == 0,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// Functions over the rows around each row. Output: the input's columns, then the calls; the order of the rows is left
/// open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    pub input: Box<Plan>,
    /// Rows with equal values, nulls being alike, are of one partition.
    pub partition: Vec<Expr>,
    /// The order within a partition. Rows that are alike in all keys are peers.
    pub order: Vec<SortKey>,
    pub calls: Vec<WindowCall>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowCall {
    pub function: WindowFunction,
    /// Columns of the input; after the first also literals.
    pub args: Vec<Expr>,
    /// Rows whose first argument is null are passed over.
    pub ignore_nulls: bool,
    /// For functions that look at a frame.
    pub frame: WindowFrame,
    pub data_type: DataType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    /// Of so many buckets.
    Ntile,
    /// The value so many rows before; less than 0: after. Null where there is no such row in the partition.
    Lag,
    /// As [`WindowFunction::Lag`], the other way.
    Lead,
    FirstValue,
    LastValue,
    /// Of the frame's rows the value of this one, from 1 on.
    NthValue,
    /// Over the frame's rows. Such as pass over nulls; without arguments it counts rows.
    Aggregate(AggregateFunction),
}

/// The rows of its partition that a function looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowFrame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclusion: FrameExclusion,
    /// For [`FrameUnit::Range`] with offsets: a column by which the rows are ordered as by the only sort key.
    pub key: Option<Expr>,
}

/// What offsets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameUnit {
    Rows,
    /// Differences of the key.
    Range,
    /// Groups of peers.
    Groups,
}

/// An offset is not negative. Of [`FrameUnit::Range`] it has the key's type, or is an interval beside a timestamp; else it
/// is an integer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Value),
    /// The row itself; in all units but rows its peers, too.
    CurrentRow,
    Following(Value),
    UnboundedFollowing,
}

/// Which rows are no part of a frame although they lie within its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameExclusion {
    #[default]
    NoOthers,
    CurrentRow,
    /// The row and its peers.
    Group,
    /// Its peers.
    Ties,
}

impl WindowFrame {
    /// All rows of the partition.
    pub fn whole() -> WindowFrame {
        WindowFrame {
            unit: FrameUnit::Rows,
            start: FrameBound::UnboundedPreceding,
            end: FrameBound::UnboundedFollowing,
            exclusion: FrameExclusion::NoOthers,
            key: None,
        }
    }

    /// Whether it has every row of the partition.
    pub fn is_whole(&self) -> bool {
        (&self.start, &self.end, self.exclusion)
            == (&FrameBound::UnboundedPreceding, &FrameBound::UnboundedFollowing, FrameExclusion::NoOthers)
    }

    /// Whether the frame of a row has all that those of rows before it have.
    pub fn grows(&self) -> bool {
        self.start == FrameBound::UnboundedPreceding && self.exclusion == FrameExclusion::NoOthers
    }
}

impl WindowFunction {
    /// Whether it depends on the frame.
    pub fn has_frame(self) -> bool {
        use WindowFunction::{Aggregate, FirstValue, LastValue, NthValue};
        matches!(self, FirstValue | LastValue | NthValue | Aggregate(_))
    }

    /// Whether there is always a value, whatever its arguments.
    pub fn is_never_null(self) -> bool {
        use AggregateFunction::{Count, CountRows, SumCounts};
        use WindowFunction::{Aggregate, CumeDist, DenseRank, PercentRank, Rank, RowNumber};
        matches!(
            self,
            RowNumber | Rank | DenseRank | PercentRank | CumeDist | Aggregate(Count | CountRows | SumCounts)
        )
    }
}

/// Where an exchange sends a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Routing {
    /// To the shard that the hash of the keys names ([`crate::hash`]: stable between nodes).
    Hash(Vec<Expr>),
    /// To every shard.
    Broadcast,
    /// All to one.
    Gather,
    /// To the shard that the key's range names ([`crate::slices::Ranges`]).
    Ranges { key: Expr, span: u64 },
}

/// A plan that runs on every shard of its set, and where its rows go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fragment {
    pub id: u32,
    pub plan: Plan,
    /// Which shards run it.
    pub placement: FragmentPlacement,
    /// `None` for the root, whose rows are the query's result.
    pub output: Option<Routing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FragmentPlacement {
    /// On every shard.
    AllShards,
    /// On one shard, which the coordinator picks.
    OneShard,
}

impl Plan {
    /// The types of the rows the plan gives.
    pub fn output_types(&self) -> Vec<DataType> {
        match self {
            Plan::Scan(scan) | Plan::ScanAddressed(scan) => {
                scan.columns.iter().map(|&column| scan.schema[column as usize]).collect()
            }
            Plan::Filter { input, .. }
            | Plan::Sort { input, .. }
            | Plan::TopN { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Exchange { input, .. }
            | Plan::Shared { input, .. } => input.output_types(),
            Plan::Project { exprs, .. } => exprs.iter().map(Expr::data_type).collect(),
            Plan::HashJoin(join) => match join.kind {
                JoinKind::ProbeSemi | JoinKind::ProbeAnti => join.probe.output_types(),
                JoinKind::BuildSemi | JoinKind::BuildAnti => join.build.output_types(),
                JoinKind::Mark => [join.probe.output_types(), vec![DataType::Boolean]].concat(),
                _ => [join.probe.output_types(), join.build.output_types()].concat(),
            },
            Plan::Aggregate { groups, aggregates, .. } => groups
                .iter()
                .map(Expr::data_type)
                .chain(aggregates.iter().map(|call| call.data_type))
                .collect(),
            Plan::Union { inputs } => inputs.first().map(Plan::output_types).unwrap_or_default(),
            Plan::Values { types, .. } | Plan::Receive { types, .. } | Plan::Reread { types, .. } => {
                types.clone()
            }
            Plan::ReceiveProven { columns, .. } => columns.iter().map(|column| column.data_type).collect(),
            Plan::Expand { lists, .. } => lists.first().into_iter().flatten().map(Expr::data_type).collect(),
            Plan::TopOfGroups(top) => top.input.output_types(),
            Plan::AsOf(join) => {
                let carried = join.carried.iter().map(Expr::data_type);
                join.input.output_types().into_iter().chain(carried).collect()
            }
            Plan::Series(series) => [series.input.output_types(), vec![series.start.data_type()]].concat(),
            Plan::Unroll(unroll) => {
                let input = unroll.input.output_types();
                let kept = unroll.keep.iter().map(|&column| input[column as usize]);
                let elements = unroll.lists.iter().map(|list| list.data_type);
                kept.chain(elements).chain(unroll.position.then_some(DataType::Int64)).collect()
            }
            Plan::Window(window) => {
                let calls = window.calls.iter().map(|call| call.data_type);
                window.input.output_types().into_iter().chain(calls).collect()
            }
        }
    }

    /// The fragments whose rows the plan receives, in preorder.
    pub fn received(&self) -> Vec<u32> {
        match self {
            Plan::Receive { fragment, .. } | Plan::ReceiveProven { fragment, .. } => vec![*fragment],
            _ => self.inputs().into_iter().flat_map(Plan::received).collect(),
        }
    }

    /// The types of the rows that the plan receives of a fragment.
    pub fn received_types(&self, of: u32) -> Option<Vec<DataType>> {
        match self {
            Plan::Receive { fragment, types } if *fragment == of => Some(types.clone()),
            Plan::ReceiveProven { fragment, columns } if *fragment == of => {
                Some(columns.iter().map(|column| column.data_type).collect())
            }
            _ => self.inputs().into_iter().find_map(|input| input.received_types(of)),
        }
    }

    /// The fragments, with a column of theirs, of whose rows joins in the plan may want some alone, by that key: who runs the
    /// plan tells those who send them which, or that it wants all.
    pub fn asked(&self) -> Vec<(u32, usize)> {
        let mut asked = Vec::new();
        self.sent_columns(&mut asked);
        asked
    }

    /// For each column, the fragment that sends it and its position there, where rows come straight from there; columns at the
    /// end may be missing.
    fn sent_columns(&self, asked: &mut Vec<(u32, usize)>) -> Vec<Option<(u32, usize)>> {
        match self {
            Plan::ReceiveProven { fragment, columns } => {
                (0..columns.len()).map(|column| Some((*fragment, column))).collect()
            }
            Plan::Filter { input, .. } => input.sent_columns(asked),
            Plan::Project { input, exprs } => {
                let sent = input.sent_columns(asked);
                let of = |expr: &Expr| match expr {
                    Expr::Column { id, .. } => sent.get(*id as usize).copied().flatten(),
                    _ => None,
                };
                exprs.iter().map(of).collect()
            }
            Plan::Unroll(unroll) => {
                let sent = unroll.input.sent_columns(asked);
                unroll.keep.iter().map(|&column| sent.get(column as usize).copied().flatten()).collect()
            }
            Plan::HashJoin(join) => {
                let sent = join.probe.sent_columns(asked);
                join.build.sent_columns(asked);
                if join.kind.drops_probe_rows() {
                    let columns = join.keys.iter().filter_map(JoinKey::columns);
                    asked.extend(columns.filter_map(|(probe, _)| sent.get(probe).copied().flatten()));
                }
                if join.kind.passes_probe_rows() { sent } else { Vec::new() }
            }
            _ => {
                self.inputs().into_iter().for_each(|input| drop(input.sent_columns(asked)));
                Vec::new()
            }
        }
    }

    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Plan::Scan(_)
            | Plan::ScanAddressed(_)
            | Plan::Values { .. }
            | Plan::Receive { .. }
            | Plan::ReceiveProven { .. }
            | Plan::Reread { .. } => vec![],
            Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Sort { input, .. }
            | Plan::TopN { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Expand { input, .. }
            | Plan::Exchange { input, .. }
            | Plan::Shared { input, .. } => vec![input],
            Plan::Series(series) => vec![&series.input],
            Plan::TopOfGroups(top) => vec![&top.input],
            Plan::AsOf(join) => vec![&join.input],
            Plan::HashJoin(join) => vec![&join.probe, &join.build],
            Plan::Window(window) => vec![&window.input],
            Plan::Unroll(unroll) => vec![&unroll.input],
            Plan::Union { inputs } => inputs.iter().collect(),
        }
    }
}
