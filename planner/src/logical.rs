//! The logical plan: relational algebra over columns that have an identity.
//!
//! A column's id is unique in the query and stays with the value wherever it travels, so rewriting never
//! renumbers. An operator may refer to columns that no input gives: they come from the left side of a join
//! above it, which is then dependent. [`crate::unnest`] removes those before anything else looks.

use crate::catalog::Table;
use crate::estimate::Estimate;
use crate::statement::RemoteQuery;
use columnar::{DataType, Value};
use exec::plan::{AggregateFunction, WindowFrame, WindowFunction};
use exec::{CompareOp, Expr};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) type ColumnId = u32;
pub(crate) type ColumnSet = BTreeSet<ColumnId>;

/// What is known of every column of a query, by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    columns: Vec<Column>,
    /// Of scans' predicates, by a column of the scan: tried on samples once a query.
    pub(crate) selectivities: RefCell<HashMap<(ColumnId, Vec<Expr>), f64>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// For people.
    pub(crate) name: String,
    pub(crate) data_type: DataType,
}

impl Columns {
    pub(crate) fn add(&mut self, name: impl Into<String>, data_type: DataType) -> ColumnId {
        self.columns.push(Column { name: name.into(), data_type });
        (self.columns.len() - 1) as ColumnId
    }

    pub(crate) fn name(&self, id: ColumnId) -> &str {
        self.columns.get(id as usize).map_or("?", |column| &column.name)
    }

    pub(crate) fn data_type(&self, id: ColumnId) -> DataType {
        self.columns.get(id as usize).map_or(DataType::Null, |column| column.data_type)
    }

    /// A reference to the column.
    pub(crate) fn reference(&self, id: ColumnId) -> Expr {
        Expr::column(id, self.data_type(id))
    }

    /// A new column that is like another.
    pub(crate) fn copy(&mut self, id: ColumnId) -> ColumnId {
        let (name, data_type) = (self.name(id).to_string(), self.data_type(id));
        self.add(name, data_type)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Logical {
    Scan(Scan),
    /// Only the pass `foreign` writes it.
    Foreign(Foreign),
    /// Rows of constants. No columns and one row: `SELECT` without `FROM`.
    Values {
        columns: Vec<ColumnId>,
        rows: Vec<Vec<Value>>,
    },
    /// Rows for which all of the predicate is true.
    Filter {
        input: Box<Logical>,
        predicate: Vec<Expr>,
    },
    /// A column that is passed on keeps its id.
    Project {
        input: Box<Logical>,
        exprs: Vec<(ColumnId, Expr)>,
    },
    Join(Join),
    /// A group that is a bare column keeps its id. Without aggregates: `DISTINCT`.
    Aggregate {
        input: Box<Logical>,
        groups: Vec<(ColumnId, Expr)>,
        aggregates: Vec<(ColumnId, AggregateCall)>,
    },
    Sort {
        input: Box<Logical>,
        keys: Vec<SortKey>,
    },
    TopN {
        input: Box<Logical>,
        keys: Vec<SortKey>,
        limit: u64,
        offset: u64,
    },
    Limit {
        input: Box<Logical>,
        limit: Option<u64>,
        offset: u64,
    },
    TopOfGroups(TopOfGroups),
    AsOf(AsOf),
    /// Each row once for each list of expressions, which give `columns`, all of them new.
    Expand {
        input: Box<Logical>,
        lists: Vec<Vec<Expr>>,
        columns: Vec<ColumnId>,
        /// What is above puts groups of the input together, so that groups of each shard alone are as good.
        merges: bool,
    },
    Series(Series),
    /// All rows of all inputs; each input names the columns that it gives for `columns`.
    Union {
        inputs: Vec<(Logical, Vec<ColumnId>)>,
        columns: Vec<ColumnId>,
    },
    /// Moves rows between shards; only the pass `distribute` writes it.
    Exchange {
        input: Box<Logical>,
        routing: Routing,
    },
    /// Rows that are computed once and read here and by each `Reread` of the number; only the pass `share` writes
    /// the two.
    Shared {
        number: u32,
        input: Box<Logical>,
    },
    /// The rows of a `Shared` once more.
    Reread {
        number: u32,
        /// Position among the columns of the `Shared`, and an id of its own.
        columns: Vec<(u32, ColumnId)>,
        estimate: Arc<Estimate>,
    },
    /// The rows of the input, with values that hang on rows around them.
    Window(Window),
    Unroll(Unroll),
}

/// Rows that another engine gives.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub(crate) columns: Vec<ColumnId>,
    /// `fragment` is yet to be given.
    pub(crate) query: Arc<RemoteQuery>,
    pub(crate) estimate: Arc<Estimate>,
    /// Columns that are never null.
    pub(crate) not_null: ColumnSet,
}

impl PartialEq for Foreign {
    fn eq(&self, other: &Foreign) -> bool {
        Arc::ptr_eq(&self.query, &other.query) && self.columns == other.columns
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub(crate) table: Arc<Table>,
    /// Position in the table's schema and id.
    pub(crate) columns: Vec<(u32, ColumnId)>,
    /// Over `columns`, and over [`Scan::filtered`].
    pub(crate) predicate: Vec<Expr>,
    /// Columns that the predicate alone uses; the scan does not give them.
    pub(crate) filtered: Vec<(u32, ColumnId)>,
    /// The user may not read all rows: estimates say nothing of their values.
    pub(crate) hides_rows: bool,
}

impl PartialEq for Scan {
    fn eq(&self, other: &Scan) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
            && self.columns == other.columns
            && self.predicate == other.predicate
            && self.filtered == other.filtered
    }
}

/// Of rows with the same `groups` (nulls are alike) the first `limit` after `offset` in the order of the keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TopOfGroups {
    pub(crate) input: Box<Logical>,
    pub(crate) groups: Vec<Expr>,
    pub(crate) keys: Vec<SortKey>,
    pub(crate) limit: u64,
    pub(crate) offset: u64,
    /// Also those after them whose keys are those of the last.
    pub(crate) ties: bool,
}

/// Rows that are no sources, each with what is carried of the last source of its group before it: see
/// [`exec::plan::AsOf`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AsOf {
    pub(crate) input: Box<Logical>,
    pub(crate) groups: Vec<Expr>,
    pub(crate) keys: Vec<SortKey>,
    pub(crate) source: Expr,
    /// New columns, which come after the input's.
    pub(crate) carried: Vec<(ColumnId, Expr)>,
    /// Rows without a source are left out.
    pub(crate) required: bool,
}

/// Each row once for each value from `start` to `stop` by `step`: see [`exec::plan::Series`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) input: Box<Logical>,
    /// The value.
    pub(crate) column: ColumnId,
    pub(crate) start: Expr,
    pub(crate) stop: Expr,
    pub(crate) step: Expr,
    /// Whether `stop` itself may be given.
    pub(crate) inclusive: bool,
}

/// Each row once for each place of its longest list: see [`exec::plan::Unroll`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unroll {
    pub(crate) input: Box<Logical>,
    /// The elements, and the list that they are of.
    pub(crate) lists: Vec<(ColumnId, Expr)>,
    /// The place of the elements in their lists, from 1 on.
    pub(crate) position: Option<ColumnId>,
    /// Rows without elements are given once, with nulls.
    pub(crate) keeps_empty: bool,
    /// Columns of the input that are not given: those that nothing above wants, most often the lists.
    pub(crate) dropped: ColumnSet,
}

impl Unroll {
    /// The columns of the input that are given.
    pub(crate) fn kept(&self) -> Vec<ColumnId> {
        let mut kept = self.input.outputs();
        kept.retain(|id| !self.dropped.contains(id));
        kept
    }

    /// The columns that it makes.
    pub(crate) fn made(&self) -> impl Iterator<Item = ColumnId> {
        self.lists.iter().map(|&(id, _)| id).chain(self.position)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Join {
    pub(crate) left: Box<Logical>,
    pub(crate) right: Box<Logical>,
    pub(crate) kind: JoinKind,
    /// A conjunction. Over the columns of both sides.
    pub(crate) on: Vec<Expr>,
    /// Whether the left side is the one that is held. Written by the pass `build_side`.
    pub(crate) build_left: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    /// Left rows without a match are kept with nulls.
    Left,
    Full,
    /// Left rows with a match, once; the left columns only.
    Semi,
    /// Left rows without.
    Anti,
    /// Left rows once each, and a boolean: whether there is a match.
    Mark(ColumnId),
    /// As `Mark`, but null where there is no match and `on` is null of some right row: `IN` as a value.
    NullMark(ColumnId),
    /// As `Left`; a second match of a row is an error.
    Single,
}

impl JoinKind {
    /// Whether the right side's columns are given.
    pub(crate) fn gives_right(self) -> bool {
        matches!(self, JoinKind::Inner | JoinKind::Left | JoinKind::Full | JoinKind::Single)
    }

    /// Whether every left row is given at least once, so that `on` does not filter.
    pub(crate) fn keeps_left(self) -> bool {
        matches!(
            self,
            JoinKind::Left | JoinKind::Full | JoinKind::Mark(_) | JoinKind::NullMark(_) | JoinKind::Single
        )
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AggregateCall {
    pub(crate) function: AggregateFunction,
    pub(crate) distinct: bool,
    /// As the function takes them; of an order inside the call its keys at the end.
    pub(crate) args: Vec<Expr>,
    pub(crate) filter: Option<Expr>,
    pub(crate) data_type: DataType,
}

/// Calls over the same partitions in the same order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) input: Box<Logical>,
    /// Columns of the input; nulls are alike.
    pub(crate) partition: Vec<Expr>,
    /// By columns of the input.
    pub(crate) order: Vec<SortKey>,
    pub(crate) calls: Vec<(ColumnId, WindowCall)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowCall {
    pub(crate) function: WindowFunction,
    /// Columns of the input; after the first also literals.
    pub(crate) args: Vec<Expr>,
    pub(crate) ignore_nulls: bool,
    /// Its key is a column of the input.
    pub(crate) frame: WindowFrame,
    pub(crate) data_type: DataType,
}

impl Window {
    /// The columns by which rows are of one partition, as far as they are bare columns.
    pub(crate) fn partition_columns(&self) -> ColumnSet {
        let column = |expr: &Expr| match expr {
            Expr::Column { id, .. } => Some(*id),
            _ => None,
        };
        self.partition.iter().filter_map(column).collect()
    }

    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let of_calls = self.calls.iter().flat_map(|(_, call)| call.args.iter().chain(&call.frame.key));
        self.partition.iter().chain(self.order.iter().map(|key| &key.expr)).chain(of_calls)
    }

    pub(crate) fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let of_calls =
            self.calls.iter_mut().flat_map(|(_, call)| call.args.iter_mut().chain(&mut call.frame.key));
        self.partition.iter_mut().chain(self.order.iter_mut().map(|key| &mut key.expr)).chain(of_calls)
    }
}

impl AggregateCall {
    /// A call over all values of an argument.
    pub(crate) fn of(function: AggregateFunction, arg: Expr, data_type: DataType) -> AggregateCall {
        AggregateCall { function, distinct: false, args: vec![arg], filter: None, data_type }
    }

    /// The argument of a simple function, or the first one.
    pub(crate) fn arg(&self) -> Option<&Expr> {
        self.args.first()
    }

    /// Whether results of parts of a group can be put together.
    pub(crate) fn is_mergeable(&self) -> bool {
        match self.function {
            AggregateFunction::Stateful(call) => call.function.is_mergeable(),
            _ => true,
        }
    }

    /// The call in two phases, over rows and over what the first gives, which is the column `between`.
    pub(crate) fn in_two(
        self,
        columns: &mut Columns,
        id: ColumnId,
    ) -> (ColumnId, AggregateCall, AggregateCall) {
        let (first, second) = match self.function {
            AggregateFunction::CountRows | AggregateFunction::Count => {
                (self.function, AggregateFunction::SumCounts)
            }
            AggregateFunction::Stateful(call) => {
                let (first, second) = call.split();
                (AggregateFunction::Stateful(first), AggregateFunction::Stateful(second))
            }
            simple => (simple, simple),
        };
        let given = match first {
            AggregateFunction::Stateful(_) => DataType::Binary,
            _ => self.data_type,
        };
        let between = columns.add(columns.name(id).to_string(), given);
        let merged = AggregateCall::of(second, columns.reference(between), self.data_type);
        (between, AggregateCall { function: first, data_type: given, ..self }, merged)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortKey {
    pub(crate) expr: Expr,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Routing {
    Hash(Vec<Expr>),
    /// By the ranges of a key.
    Ranges {
        key: Expr,
        span: u64,
    },
    Broadcast,
    Gather,
}

impl Logical {
    /// One row without columns.
    pub(crate) fn one_row() -> Logical {
        Logical::Values { columns: Vec::new(), rows: vec![Vec::new()] }
    }

    pub(crate) fn filter(self, predicate: Vec<Expr>) -> Logical {
        if predicate.is_empty() {
            return self;
        }
        match self {
            Logical::Filter { input, predicate: mut inner } => {
                inner.extend(predicate);
                Logical::Filter { input, predicate: inner }
            }
            input => Logical::Filter { input: Box::new(input), predicate },
        }
    }

    pub(crate) fn project(self, exprs: Vec<(ColumnId, Expr)>) -> Logical {
        Logical::Project { input: Box::new(self), exprs }
    }

    pub(crate) fn join(self, right: Logical, kind: JoinKind, on: Vec<Expr>) -> Logical {
        Logical::Join(Join { left: Box::new(self), right: Box::new(right), kind, on, build_left: false })
    }

    pub(crate) fn aggregate(
        self,
        groups: Vec<(ColumnId, Expr)>,
        aggregates: Vec<(ColumnId, AggregateCall)>,
    ) -> Logical {
        Logical::Aggregate { input: Box::new(self), groups, aggregates }
    }

    /// The rows without duplicates in `columns`, and only those columns.
    pub(crate) fn distinct(self, ids: &[ColumnId], columns: &Columns) -> Logical {
        let groups = ids.iter().map(|&id| (id, columns.reference(id))).collect();
        self.aggregate(groups, Vec::new())
    }

    /// A placeholder while a plan is taken apart.
    pub(crate) fn take(&mut self) -> Logical {
        std::mem::replace(self, Logical::Values { columns: Vec::new(), rows: Vec::new() })
    }

    /// The ids of the columns it gives, in order.
    pub(crate) fn outputs(&self) -> Vec<ColumnId> {
        match self {
            Logical::Scan(Scan { columns, .. }) | Logical::Reread { columns, .. } => {
                columns.iter().map(|&(_, id)| id).collect()
            }
            Logical::Values { columns, .. }
            | Logical::Union { columns, .. }
            | Logical::Expand { columns, .. }
            | Logical::Foreign(Foreign { columns, .. }) => columns.clone(),
            Logical::Filter { input, .. }
            | Logical::Sort { input, .. }
            | Logical::TopN { input, .. }
            | Logical::Limit { input, .. }
            | Logical::Exchange { input, .. }
            | Logical::Shared { input, .. } => input.outputs(),
            Logical::TopOfGroups(top) => top.input.outputs(),
            Logical::AsOf(join) => {
                let carried = join.carried.iter().map(|&(id, _)| id);
                join.input.outputs().into_iter().chain(carried).collect()
            }
            Logical::Series(series) => {
                let mut outputs = series.input.outputs();
                outputs.push(series.column);
                outputs
            }
            Logical::Unroll(unroll) => unroll.kept().into_iter().chain(unroll.made()).collect(),
            Logical::Project { exprs, .. } => exprs.iter().map(|&(id, _)| id).collect(),
            Logical::Join(join) => {
                let mut outputs = join.left.outputs();
                match join.kind {
                    JoinKind::Mark(mark) | JoinKind::NullMark(mark) => outputs.push(mark),
                    kind if kind.gives_right() => outputs.extend(join.right.outputs()),
                    _ => {}
                }
                outputs
            }
            Logical::Aggregate { groups, aggregates, .. } => {
                groups.iter().map(|&(id, _)| id).chain(aggregates.iter().map(|&(id, _)| id)).collect()
            }
            Logical::Window(window) => {
                let mut outputs = window.input.outputs();
                outputs.extend(window.calls.iter().map(|&(id, _)| id));
                outputs
            }
        }
    }

    pub(crate) fn output_set(&self) -> ColumnSet {
        self.outputs().into_iter().collect()
    }

    pub(crate) fn inputs(&self) -> Vec<&Logical> {
        match self {
            Logical::Scan(_) | Logical::Foreign(_) | Logical::Values { .. } | Logical::Reread { .. } => {
                vec![]
            }
            Logical::Filter { input, .. }
            | Logical::Project { input, .. }
            | Logical::Aggregate { input, .. }
            | Logical::Sort { input, .. }
            | Logical::TopN { input, .. }
            | Logical::Expand { input, .. }
            | Logical::Limit { input, .. }
            | Logical::Exchange { input, .. }
            | Logical::Shared { input, .. } => vec![input],
            Logical::Series(series) => vec![&series.input],
            Logical::TopOfGroups(top) => vec![&top.input],
            Logical::AsOf(join) => vec![&join.input],
            Logical::Window(window) => vec![&window.input],
            Logical::Unroll(unroll) => vec![&unroll.input],
            Logical::Join(join) => vec![&join.left, &join.right],
            Logical::Union { inputs, .. } => inputs.iter().map(|(input, _)| input).collect(),
        }
    }

    pub(crate) fn inputs_mut(&mut self) -> Vec<&mut Logical> {
        match self {
            Logical::Scan(_) | Logical::Foreign(_) | Logical::Values { .. } | Logical::Reread { .. } => {
                vec![]
            }
            Logical::Filter { input, .. }
            | Logical::Project { input, .. }
            | Logical::Aggregate { input, .. }
            | Logical::Sort { input, .. }
            | Logical::TopN { input, .. }
            | Logical::Expand { input, .. }
            | Logical::Limit { input, .. }
            | Logical::Exchange { input, .. }
            | Logical::Shared { input, .. } => vec![input],
            Logical::Series(series) => vec![&mut series.input],
            Logical::TopOfGroups(top) => vec![&mut top.input],
            Logical::AsOf(join) => vec![&mut join.input],
            Logical::Window(window) => vec![&mut window.input],
            Logical::Unroll(unroll) => vec![&mut unroll.input],
            Logical::Join(join) => vec![&mut join.left, &mut join.right],
            Logical::Union { inputs, .. } => inputs.iter_mut().map(|(input, _)| input).collect(),
        }
    }

    /// The expressions of this operator alone.
    pub(crate) fn exprs(&self) -> Vec<&Expr> {
        match self {
            Logical::Scan(scan) => scan.predicate.iter().collect(),
            Logical::Filter { predicate, .. } => predicate.iter().collect(),
            Logical::Project { exprs, .. } => exprs.iter().map(|(_, expr)| expr).collect(),
            Logical::Join(join) => join.on.iter().collect(),
            Logical::Aggregate { groups, aggregates, .. } => groups
                .iter()
                .map(|(_, expr)| expr)
                .chain(aggregates.iter().flat_map(|(_, call)| call.args.iter().chain(&call.filter)))
                .collect(),
            Logical::Sort { keys, .. } | Logical::TopN { keys, .. } => {
                keys.iter().map(|key| &key.expr).collect()
            }
            Logical::TopOfGroups(top) => {
                top.groups.iter().chain(top.keys.iter().map(|key| &key.expr)).collect()
            }
            Logical::AsOf(join) => join
                .groups
                .iter()
                .chain(join.keys.iter().map(|key| &key.expr))
                .chain([&join.source])
                .chain(join.carried.iter().map(|(_, expr)| expr))
                .collect(),
            Logical::Expand { lists, .. } => lists.iter().flatten().collect(),
            Logical::Series(series) => vec![&series.start, &series.stop, &series.step],
            Logical::Window(window) => window.exprs().collect(),
            Logical::Unroll(unroll) => unroll.lists.iter().map(|(_, expr)| expr).collect(),
            Logical::Exchange { routing: Routing::Hash(keys), .. } => keys.iter().collect(),
            Logical::Exchange { routing: Routing::Ranges { key, .. }, .. } => vec![key],
            Logical::Values { .. }
            | Logical::Foreign(_)
            | Logical::Limit { .. }
            | Logical::Union { .. }
            | Logical::Exchange { .. }
            | Logical::Shared { .. }
            | Logical::Reread { .. } => vec![],
        }
    }

    pub(crate) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Logical::Scan(scan) => scan.predicate.iter_mut().collect(),
            Logical::Filter { predicate, .. } => predicate.iter_mut().collect(),
            Logical::Project { exprs, .. } => exprs.iter_mut().map(|(_, expr)| expr).collect(),
            Logical::Join(join) => join.on.iter_mut().collect(),
            Logical::Aggregate { groups, aggregates, .. } => groups
                .iter_mut()
                .map(|(_, expr)| expr)
                .chain(
                    aggregates.iter_mut().flat_map(|(_, call)| call.args.iter_mut().chain(&mut call.filter)),
                )
                .collect(),
            Logical::Sort { keys, .. } | Logical::TopN { keys, .. } => {
                keys.iter_mut().map(|key| &mut key.expr).collect()
            }
            Logical::TopOfGroups(top) => {
                top.groups.iter_mut().chain(top.keys.iter_mut().map(|key| &mut key.expr)).collect()
            }
            Logical::AsOf(join) => join
                .groups
                .iter_mut()
                .chain(join.keys.iter_mut().map(|key| &mut key.expr))
                .chain([&mut join.source])
                .chain(join.carried.iter_mut().map(|(_, expr)| expr))
                .collect(),
            Logical::Expand { lists, .. } => lists.iter_mut().flatten().collect(),
            Logical::Series(series) => vec![&mut series.start, &mut series.stop, &mut series.step],
            Logical::Window(window) => window.exprs_mut().collect(),
            Logical::Unroll(unroll) => unroll.lists.iter_mut().map(|(_, expr)| expr).collect(),
            Logical::Exchange { routing: Routing::Hash(keys), .. } => keys.iter_mut().collect(),
            Logical::Exchange { routing: Routing::Ranges { key, .. }, .. } => vec![key],
            Logical::Values { .. }
            | Logical::Foreign(_)
            | Logical::Limit { .. }
            | Logical::Union { .. }
            | Logical::Exchange { .. }
            | Logical::Shared { .. }
            | Logical::Reread { .. } => vec![],
        }
    }

    /// The columns that this plan uses and does not itself give: those of a join above it.
    pub(crate) fn free_columns(&self) -> ColumnSet {
        let mut free = ColumnSet::new();
        let mut given = ColumnSet::new();
        for input in self.inputs() {
            free.extend(input.free_columns());
            given.extend(input.output_set());
        }
        if let Logical::Scan(scan) = self {
            given.extend(scan.columns.iter().chain(&scan.filtered).map(|&(_, id)| id));
        }
        for expr in self.exprs() {
            collect_columns(expr, &mut free);
        }
        free.retain(|id| !given.contains(id));
        free
    }

    /// Exchanges the ids of columns that the plan uses and does not give.
    pub(crate) fn rename_free(&mut self, map: &HashMap<ColumnId, ColumnId>) {
        self.inputs_mut().into_iter().for_each(|input| input.rename_free(map));
        self.exprs_mut().into_iter().for_each(|expr| rename(expr, map));
    }

    /// Rebuilds the plan from its leaves up.
    pub(crate) fn transform_up(mut self, change: &mut impl FnMut(Logical) -> Logical) -> Logical {
        for input in self.inputs_mut() {
            let taken = input.take();
            *input = taken.transform_up(change);
        }
        change(self)
    }

    /// A copy in which every column that the plan itself makes has a new id; `map` learns them.
    pub(crate) fn with_fresh_columns(
        &self,
        columns: &mut Columns,
        map: &mut HashMap<ColumnId, ColumnId>,
    ) -> Logical {
        let mut copy = self.clone();
        copy.rename_columns(columns, map);
        copy
    }

    fn rename_columns(&mut self, columns: &mut Columns, map: &mut HashMap<ColumnId, ColumnId>) {
        for input in self.inputs_mut() {
            input.rename_columns(columns, map);
        }
        let mut fresh = |id: &mut ColumnId| {
            *id = *map.entry(*id).or_insert_with(|| columns.copy(*id));
        };
        match self {
            Logical::Scan(scan) => {
                scan.columns.iter_mut().chain(&mut scan.filtered).for_each(|(_, id)| fresh(id))
            }
            Logical::Values { columns, .. } | Logical::Foreign(Foreign { columns, .. }) => {
                columns.iter_mut().for_each(fresh)
            }
            Logical::Project { exprs, .. } => exprs.iter_mut().for_each(|(id, _)| fresh(id)),
            Logical::Expand { columns, .. } => columns.iter_mut().for_each(fresh),
            Logical::Series(series) => fresh(&mut series.column),
            Logical::AsOf(join) => join.carried.iter_mut().for_each(|(id, _)| fresh(id)),
            Logical::Join(Join { kind: JoinKind::Mark(mark) | JoinKind::NullMark(mark), .. }) => fresh(mark),
            Logical::Aggregate { groups, aggregates, .. } => {
                groups.iter_mut().for_each(|(id, _)| fresh(id));
                aggregates.iter_mut().for_each(|(id, _)| fresh(id));
            }
            Logical::Window(window) => window.calls.iter_mut().for_each(|(id, _)| fresh(id)),
            Logical::Unroll(unroll) => {
                unroll.lists.iter_mut().map(|(id, _)| id).chain(&mut unroll.position).for_each(&mut fresh);
                let dropped = std::mem::take(&mut unroll.dropped).into_iter();
                unroll.dropped = dropped.map(|id| map.get(&id).copied().unwrap_or(id)).collect();
            }
            Logical::Union { columns, inputs } => {
                columns.iter_mut().for_each(&mut fresh);
                inputs.iter_mut().flat_map(|(_, given)| given).for_each(fresh);
            }
            _ => {}
        }
        for expr in self.exprs_mut() {
            rename(expr, map);
        }
    }
}

/// Adds the columns of an expression.
pub(crate) fn collect_columns(expr: &Expr, into: &mut ColumnSet) {
    expr.visit(&mut |node| {
        if let Expr::Column { id, .. } = node {
            into.insert(*id);
        }
    });
}

pub(crate) fn columns_of(expr: &Expr) -> ColumnSet {
    let mut set = ColumnSet::new();
    collect_columns(expr, &mut set);
    set
}

pub(crate) fn columns_of_all<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> ColumnSet {
    let mut set = ColumnSet::new();
    exprs.into_iter().for_each(|expr| collect_columns(expr, &mut set));
    set
}

/// Exchanges the ids of columns.
pub(crate) fn rename(expr: &mut Expr, map: &HashMap<ColumnId, ColumnId>) {
    if let Expr::Column { id, .. } = expr {
        if let Some(&new) = map.get(id) {
            *id = new;
        }
        return;
    }
    for child in expr.children_mut() {
        rename(child, map);
    }
}

/// Puts expressions in the places of columns.
pub(crate) fn substitute(expr: Expr, map: &HashMap<ColumnId, Expr>) -> Expr {
    expr.transform(&mut |node| match &node {
        Expr::Column { id, .. } => map.get(id).cloned().unwrap_or(node),
        _ => node,
    })
}

/// The operands of nested conjunctions, true ones left out.
pub(crate) fn conjuncts(expr: Expr) -> Vec<Expr> {
    let mut stack = vec![expr];
    let mut flat = Vec::new();
    while let Some(expr) = stack.pop() {
        match expr {
            Expr::And(operands) => stack.extend(operands.into_iter().rev()),
            expr if is_true(&expr) => {}
            expr => flat.push(expr),
        }
    }
    flat
}

pub(crate) fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value) if value.scalar == columnar::Scalar::Boolean(true))
}

/// Whether the predicate can keep no row: it is false or null.
pub(crate) fn is_never(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value)
        if value.is_null() || value.scalar == columnar::Scalar::Boolean(false))
}

/// The two sides of an equality between an expression over `left` and one over `right`, in that order; and
/// whether nulls are equal.
pub(crate) fn equality<'a>(
    expr: &'a Expr,
    left: &ColumnSet,
    right: &ColumnSet,
) -> Option<(&'a Expr, &'a Expr, bool)> {
    let Expr::Compare { op: op @ (CompareOp::Equal | CompareOp::IsNotDistinctFrom), left: a, right: b } =
        expr
    else {
        return None;
    };
    let null_equal = *op == CompareOp::IsNotDistinctFrom;
    let (in_a, in_b) = (columns_of(a), columns_of(b));
    if in_a.is_empty() || in_b.is_empty() {
        return None;
    }
    if in_a.is_subset(left) && in_b.is_subset(right) {
        return Some((a, b, null_equal));
    }
    if in_a.is_subset(right) && in_b.is_subset(left) {
        return Some((b, a, null_equal));
    }
    None
}
