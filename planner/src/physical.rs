//! The distributed logical plan to what `exec` runs: ids of columns become positions, joins get a probe
//! and a build side, and the plan is cut into fragments where its rows change shards.

use crate::error::{Error, Result};
use crate::estimate::Estimator;
use crate::explain;
use crate::logical::{
    ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, Routing, SortKey, TopOfGroups, Window, equality,
};
use crate::proven::Proven;
use crate::statement::{FragmentNotes, OperatorNote, PlannerOptions, RemoteQuery};
use columnar::{DataType, Value};
use exec::plan::{
    Aggregate, AggregateFunction, Fragment, FragmentPlacement, HashJoin, JoinKey, JoinKind as Physical, Plan,
    Scan, TableRef, WindowCall, WindowFrame,
};
use exec::{CompareOp, Expr};
use std::collections::HashMap;

/// The first version of plans that has [`Plan::ReceiveProven`], and what [`needs_version_2`] is asked about.
const PROVEN_SINCE: u16 = 2;

/// The number of the first rows that other engines send; fragments are numbered from 0, and never so many.
const FIRST_FOREIGN: u32 = 1 << 31;

/// Cut and numbered.
pub(crate) struct Lowered {
    pub(crate) fragments: Vec<Fragment>,
    pub(crate) notes: Vec<FragmentNotes>,
    pub(crate) tables: Vec<TableRef>,
    pub(crate) foreign: Vec<RemoteQuery>,
}

/// The fragments of `plan`, whose rows end on one shard. `sources` says of a node's distribution whether it
/// is the same on all shards, or on one only: see [`crate::distribute`].
pub(crate) fn lower(
    plan: &Logical,
    results: &[ColumnId],
    columns: &Columns,
    estimator: &Estimator<'_>,
    options: &PlannerOptions,
) -> Result<Lowered> {
    check_functions(plan, options)?;
    check_types(plan, options.version)?;
    let mut lowering = Lowering {
        columns,
        estimator,
        shards: options.shards,
        version: options.version,
        proven: (options.version >= PROVEN_SINCE).then(|| Proven::of(plan)),
        fragments: Vec::new(),
        notes: Vec::new(),
        tables: Vec::new(),
        foreign: Vec::new(),
        current: vec![Current::default()],
    };
    let (mut root, outputs) = lowering.operator(plan, 0)?;
    if outputs != results {
        let positions = positions_of(&outputs);
        let exprs = results
            .iter()
            .map(|&id| resolve(&columns.reference(id), &positions))
            .collect::<Result<Vec<_>>>()?;
        root = Plan::Project { input: Box::new(root), exprs };
        let names: Vec<&str> = results.iter().map(|&id| columns.name(id)).collect();
        let rows = estimator.rows(plan);
        if let Some(current) = lowering.current.last_mut() {
            current.notes.iter_mut().for_each(|note| note.depth += 1);
            let text = format!("Project {}", names.join(", "));
            current.notes.insert(0, OperatorNote { depth: 0, text, receives: None, estimated_rows: rows });
        }
    }
    lowering.finish_fragment(root, None);
    let Lowering { fragments, notes, tables, foreign, .. } = lowering;
    if fragments.last().is_some_and(|root| root.placement == FragmentPlacement::AllShards) {
        return Err(Error::internal("the rows of the result do not end on one shard"));
    }
    Ok(Lowered { fragments, notes, tables, foreign })
}

/// Refuses functions that not all nodes of the cluster's version have.
fn check_functions(plan: &Logical, options: &PlannerOptions) -> Result<()> {
    let mut newer = None;
    for expr in plan.exprs() {
        expr.visit(&mut |node| {
            if let Expr::Lambda { .. } = node {
                newer = Some("that takes a lambda".into());
            }
            if let Expr::Call { function, args, .. } = node {
                let types: Vec<DataType> = args.iter().map(Expr::data_type).collect();
                if exec::functions::since(function, &types) >= 2 {
                    newer = Some(function.clone());
                }
            }
        });
    }
    if let Some(function) = newer {
        needs_version_2(options.version, &format!("the function {function}"))?;
    }
    plan.inputs().into_iter().try_for_each(|input| check_functions(input, options))
}

/// Refuses types that not all nodes of the cluster's version have.
fn check_types(plan: &Logical, version: u16) -> Result<()> {
    if version >= PROVEN_SINCE {
        return Ok(());
    }
    let mut newer = None;
    for expr in plan.exprs() {
        expr.visit(&mut |node| {
            let data_type = node.data_type();
            if data_type.since() > version {
                newer = Some(data_type);
            }
        });
    }
    if let Some(data_type) = newer {
        needs_version_2(version, &format!("the type {data_type}"))?;
    }
    plan.inputs().into_iter().try_for_each(|input| check_types(input, version))
}

struct Lowering<'a> {
    columns: &'a Columns,
    estimator: &'a Estimator<'a>,
    shards: usize,
    version: u16,
    /// Where plans may say what holds of rows that are sent.
    proven: Option<Proven>,
    fragments: Vec<Fragment>,
    notes: Vec<FragmentNotes>,
    tables: Vec<TableRef>,
    foreign: Vec<RemoteQuery>,
    /// Fragments being written, outermost first.
    current: Vec<Current>,
}

#[derive(Default)]
struct Current {
    notes: Vec<OperatorNote>,
    /// It reads what lies on many shards, or what an exchange brings to many.
    spread: bool,
}

/// Refuses what plans of the cluster's version do not have, since some of its nodes would not understand it.
pub(crate) fn needs_version_2(version: u16, what: &str) -> Result<()> {
    if version >= PROVEN_SINCE {
        return Ok(());
    }
    let error = Error::unsupported(format!("{what} while the cluster's version is {version}"));
    Err(error.hint("raise it with `tundra admin upgrade` once all nodes run a later release"))
}

type Positions = HashMap<ColumnId, u32>;

fn positions_of(outputs: &[ColumnId]) -> Positions {
    let mut positions = Positions::new();
    for (position, &id) in outputs.iter().enumerate() {
        positions.entry(id).or_insert(position as u32);
    }
    positions
}

/// The expression over positions.
fn resolve(expr: &Expr, positions: &Positions) -> Result<Expr> {
    let mut missing = None;
    let resolved = expr.clone().transform(&mut |node| match node {
        Expr::Column { id, data_type } => match positions.get(&id) {
            Some(&position) => Expr::column(position, data_type),
            None => {
                missing = Some(id);
                Expr::column(id, data_type)
            }
        },
        other => other,
    });
    match missing {
        None => Ok(resolved),
        Some(id) => Err(Error::internal(format!("no input gives column {id} of {expr:?}"))),
    }
}

impl Lowering<'_> {
    fn finish_fragment(&mut self, plan: Plan, output: Option<exec::plan::Routing>) -> u32 {
        let id = self.fragments.len() as u32;
        let Current { notes, spread } = self.current.pop().unwrap_or_default();
        let placement = if spread && self.shards > 1 {
            FragmentPlacement::AllShards
        } else {
            FragmentPlacement::OneShard
        };
        self.fragments.push(Fragment { id, plan, placement, output });
        self.notes.push(FragmentNotes { fragment: id, operators: notes });
        id
    }

    fn note(&mut self, plan: &Logical, depth: usize, receives: Option<u32>) -> usize {
        let text = explain::operator(plan, self.columns);
        let note = OperatorNote { depth, text, receives, estimated_rows: self.estimator.rows(plan) };
        match self.current.last_mut() {
            Some(current) => {
                current.notes.push(note);
                current.notes.len() - 1
            }
            None => 0,
        }
    }

    /// The operator, and the columns it gives in order.
    fn operator(&mut self, plan: &Logical, depth: usize) -> Result<(Plan, Vec<ColumnId>)> {
        if let Logical::Exchange { input, routing } = plan {
            return self.exchange(plan, input, routing, depth);
        }
        let note = self.note(plan, depth, None);
        let depth = depth + 1;
        Ok(match plan {
            Logical::Scan(scan) => (self.scan(scan)?, plan.outputs()),
            Logical::Foreign(foreign) => {
                let number = self.foreign.len() as u32;
                let fragment = FIRST_FOREIGN + number;
                self.foreign.push(RemoteQuery { fragment, ..RemoteQuery::clone(&foreign.query) });
                (Plan::Receive { fragment, types: foreign.query.types.clone() }, foreign.columns.clone())
            }
            Logical::Values { columns, rows } => {
                let types = columns.iter().map(|&id| self.columns.data_type(id)).collect();
                (Plan::Values { types, rows: rows.clone() }, columns.clone())
            }
            Logical::Filter { input, predicate } => {
                let (input, outputs) = self.operator(input, depth)?;
                let predicate = resolve(&Expr::and(predicate.iter().cloned()), &positions_of(&outputs))?;
                (Plan::Filter { input: Box::new(input), predicate }, outputs)
            }
            Logical::Project { input, exprs } => {
                let (input, outputs) = self.operator(input, depth)?;
                let positions = positions_of(&outputs);
                let ids = exprs.iter().map(|&(id, _)| id).collect();
                let exprs =
                    exprs.iter().map(|(_, expr)| resolve(expr, &positions)).collect::<Result<Vec<_>>>()?;
                (Plan::Project { input: Box::new(input), exprs }, ids)
            }
            Logical::Join(join) => self.join(join, note, depth)?,
            Logical::Aggregate { input, groups, aggregates } => {
                let (input, outputs) = self.operator(input, depth)?;
                let positions = positions_of(&outputs);
                let keys =
                    groups.iter().map(|(_, expr)| resolve(expr, &positions)).collect::<Result<Vec<_>>>()?;
                let mut calls = Vec::with_capacity(aggregates.len());
                for (_, call) in aggregates {
                    if let AggregateFunction::Stateful(stateful) = call.function {
                        needs_version_2(self.version, &format!("{}()", stateful.function.name()))?;
                    }
                    if call.distinct {
                        return Err(Error::internal("a DISTINCT aggregate was not rewritten"));
                    }
                    let args =
                        call.args.iter().map(|arg| resolve(arg, &positions)).collect::<Result<Vec<_>>>()?;
                    let filter =
                        call.filter.as_ref().map(|filter| resolve(filter, &positions)).transpose()?;
                    calls.push(Aggregate {
                        function: call.function,
                        args,
                        filter,
                        data_type: call.data_type,
                    });
                }
                let input = Box::new(input);
                (Plan::Aggregate { input, groups: keys, aggregates: calls }, plan.outputs())
            }
            Logical::Window(window) => {
                needs_version_2(self.version, "window functions")?;
                let (input, mut outputs) = self.operator(&window.input, depth)?;
                let window_plan = physical_window(window, input, &outputs)?;
                outputs.extend(window.calls.iter().map(|&(id, _)| id));
                (Plan::Window(window_plan), outputs)
            }
            Logical::Sort { input, keys } => {
                let (input, outputs) = self.operator(input, depth)?;
                let keys = sort_keys(keys, &outputs)?;
                (Plan::Sort { input: Box::new(input), keys }, outputs)
            }
            Logical::TopN { input, keys, limit, offset } => {
                let (input, outputs) = self.operator(input, depth)?;
                let keys = sort_keys(keys, &outputs)?;
                (Plan::TopN { input: Box::new(input), keys, limit: *limit, offset: *offset }, outputs)
            }
            Logical::Limit { input, limit, offset } => {
                let (input, outputs) = self.operator(input, depth)?;
                (Plan::Limit { input: Box::new(input), limit: *limit, offset: *offset }, outputs)
            }
            Logical::TopOfGroups(TopOfGroups { input, groups, keys, limit, offset, ties }) => {
                needs_version_2(self.version, "the first rows of each group")?;
                let (input, outputs) = self.operator(input, depth)?;
                let positions = positions_of(&outputs);
                let groups =
                    groups.iter().map(|expr| resolve(expr, &positions)).collect::<Result<Vec<_>>>()?;
                let (keys, input) = (sort_keys(keys, &outputs)?, Box::new(input));
                let (limit, offset, ties) = (*limit, *offset, *ties);
                let top = exec::plan::TopOfGroups { input, groups, keys, limit, offset, ties };
                (Plan::TopOfGroups(top), outputs)
            }
            Logical::AsOf(join) => {
                needs_version_2(self.version, "an ASOF JOIN")?;
                let (input, mut outputs) = self.operator(&join.input, depth)?;
                let positions = positions_of(&outputs);
                let resolved = |exprs: &mut dyn Iterator<Item = &Expr>| {
                    exprs.map(|expr| resolve(expr, &positions)).collect::<Result<Vec<_>>>()
                };
                let physical = exec::plan::AsOf {
                    input: Box::new(input),
                    groups: resolved(&mut join.groups.iter())?,
                    keys: sort_keys(&join.keys, &outputs)?,
                    source: resolve(&join.source, &positions)?,
                    carried: resolved(&mut join.carried.iter().map(|(_, expr)| expr))?,
                    required: join.required,
                };
                outputs.extend(join.carried.iter().map(|&(id, _)| id));
                (Plan::AsOf(physical), outputs)
            }
            Logical::Expand { input, lists, columns, .. } => {
                needs_version_2(self.version, "grouping by several sets")?;
                let (input, outputs) = self.operator(input, depth)?;
                let positions = positions_of(&outputs);
                let list = |list: &Vec<Expr>| list.iter().map(|expr| resolve(expr, &positions)).collect();
                let lists = lists.iter().map(list).collect::<Result<Vec<Vec<Expr>>>>()?;
                (Plan::Expand { input: Box::new(input), lists }, columns.clone())
            }
            Logical::Series(series) => {
                needs_version_2(self.version, "a series")?;
                let (input, mut outputs) = self.operator(&series.input, depth)?;
                let positions = positions_of(&outputs);
                let physical = exec::plan::Series {
                    input: Box::new(input),
                    start: resolve(&series.start, &positions)?,
                    stop: resolve(&series.stop, &positions)?,
                    step: resolve(&series.step, &positions)?,
                    inclusive: series.inclusive,
                };
                outputs.push(series.column);
                (Plan::Series(physical), outputs)
            }
            Logical::Unroll(unroll) => {
                needs_version_2(self.version, "unnest")?;
                let (input, outputs) = self.operator(&unroll.input, depth)?;
                let positions = positions_of(&outputs);
                let lists = unroll.lists.iter().map(|(id, list)| {
                    let (list, data_type) = (resolve(list, &positions)?, self.columns.data_type(*id));
                    Ok(exec::plan::Unrolled { list, data_type })
                });
                let lists = lists.collect::<Result<Vec<_>>>()?;
                let (keep, mut ids): (Vec<u32>, Vec<ColumnId>) = (0..)
                    .zip(&outputs)
                    .filter(|(_, id)| !unroll.dropped.contains(id))
                    .map(|(place, &id)| (place, id))
                    .unzip();
                ids.extend(unroll.made());
                let (position, keeps_empty) = (unroll.position.is_some(), unroll.keeps_empty);
                let input = Box::new(input);
                (Plan::Unroll(exec::plan::Unroll { input, keep, lists, position, keeps_empty }), ids)
            }
            Logical::Union { inputs, columns } => {
                let mut plans = Vec::with_capacity(inputs.len());
                for (input, given) in inputs {
                    plans.push(self.in_order(input, given, depth)?);
                }
                (Plan::Union { inputs: plans }, columns.clone())
            }
            Logical::Shared { number, input } => {
                // Others read its columns by their places.
                let outputs = input.outputs();
                let input = self.in_order(input, &outputs, depth)?;
                (Plan::Shared { number: *number, input: Box::new(input) }, outputs)
            }
            Logical::Reread { number, columns, .. } => {
                let types = columns.iter().map(|&(_, id)| self.columns.data_type(id)).collect();
                let positions = columns.iter().map(|&(position, _)| position).collect();
                (Plan::Reread { number: *number, columns: positions, types }, plan.outputs())
            }
            Logical::Exchange { .. } => return Err(Error::internal("an exchange is not an operator")),
        })
    }

    /// The operator, giving these columns in this order: a join that holds its left side gives the right one's first.
    fn in_order(&mut self, plan: &Logical, wanted: &[ColumnId], depth: usize) -> Result<Plan> {
        let first = self.current.last().map_or(0, |current| current.notes.len());
        let (input, outputs) = self.operator(plan, depth)?;
        if outputs == wanted {
            return Ok(input);
        }
        let positions = positions_of(&outputs);
        let exprs = wanted
            .iter()
            .map(|&id| resolve(&self.columns.reference(id), &positions))
            .collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = wanted.iter().map(|&id| self.columns.name(id)).collect();
        let text = format!("Project {}", names.join(", "));
        let note = OperatorNote { depth, text, receives: None, estimated_rows: self.estimator.rows(plan) };
        if let Some(current) = self.current.last_mut() {
            current.notes[first..].iter_mut().for_each(|note| note.depth += 1);
            current.notes.insert(first, note);
        }
        Ok(Plan::Project { input: Box::new(input), exprs })
    }

    fn exchange(
        &mut self,
        plan: &Logical,
        input: &Logical,
        routing: &Routing,
        depth: usize,
    ) -> Result<(Plan, Vec<ColumnId>)> {
        self.current.push(Current::default());
        let (sent, outputs) = self.operator(input, 0)?;
        let output = match routing {
            Routing::Hash(keys) => {
                let positions = positions_of(&outputs);
                let keys = keys.iter().map(|key| resolve(key, &positions)).collect::<Result<Vec<_>>>()?;
                exec::plan::Routing::Hash(keys)
            }
            Routing::Ranges { key, span } => {
                let key = resolve(key, &positions_of(&outputs))?;
                exec::plan::Routing::Ranges { key, span: *span }
            }
            Routing::Broadcast => exec::plan::Routing::Broadcast,
            Routing::Gather => exec::plan::Routing::Gather,
        };
        let fragment = self.finish_fragment(sent, Some(output));
        self.note(plan, depth, Some(fragment));
        if let Some(current) = self.current.last_mut() {
            current.spread |= *routing != Routing::Gather;
        }
        let received = match &self.proven {
            Some(proven) => {
                Plan::ReceiveProven { fragment, columns: proven.of_sent(input, &outputs, self.columns) }
            }
            None => {
                let types: Vec<DataType> = outputs.iter().map(|&id| self.columns.data_type(id)).collect();
                Plan::Receive { fragment, types }
            }
        };
        Ok((received, outputs))
    }

    fn scan(&mut self, scan: &crate::logical::Scan) -> Result<Plan> {
        let table = TableRef {
            tenant: scan.table.tenant.clone(),
            dataset: scan.table.dataset,
            version: scan.table.version,
            name: format!("{}.{}", scan.table.schema, scan.table.name),
        };
        if !self.tables.contains(&table) {
            self.tables.push(table.clone());
        }
        if let Some(current) = self.current.last_mut() {
            current.spread |= scan.table.partitioning != crate::catalog::Partitioning::Replicated;
        }
        let positions: Positions =
            scan.columns.iter().chain(&scan.filtered).map(|&(position, id)| (id, position)).collect();
        let predicate =
            scan.predicate.iter().map(|expr| resolve(expr, &positions)).collect::<Result<Vec<_>>>()?;
        let lowered = Scan {
            table,
            schema: scan.table.columns.iter().map(|column| column.data_type).collect(),
            columns: scan.columns.iter().map(|&(position, _)| position).collect(),
            predicate,
        };
        if scan.table.addressed {
            needs_version_2(self.version, "a statement that changes rows")?;
            return Ok(Plan::ScanAddressed(lowered));
        }
        Ok(Plan::Scan(lowered))
    }

    fn join(&mut self, join: &Join, note: usize, depth: usize) -> Result<(Plan, Vec<ColumnId>)> {
        let build_left = join.build_left;
        let (probe, build) = if build_left { (&join.right, &join.left) } else { (&join.left, &join.right) };
        let (probe_plan, probe_outputs) = self.operator(probe, depth)?;
        let (build_plan, build_outputs) = self.operator(build, depth)?;
        let kind = match (join.kind, build_left) {
            (JoinKind::Inner, _) => Physical::Inner,
            (JoinKind::Left, false) => Physical::ProbeOuter,
            (JoinKind::Left, true) => Physical::BuildOuter,
            (JoinKind::Full, _) => Physical::Full,
            (JoinKind::Semi, false) => Physical::ProbeSemi,
            (JoinKind::Semi, true) => Physical::BuildSemi,
            (JoinKind::Anti, false) => Physical::ProbeAnti,
            (JoinKind::Anti, true) => Physical::BuildAnti,
            (JoinKind::Mark(_) | JoinKind::NullMark(_), false) => Physical::Mark,
            (JoinKind::Single, false) => Physical::Single,
            (kind, true) => return Err(Error::internal(format!("{kind:?} cannot hold its left side"))),
        };
        let probe_set: ColumnSet = probe_outputs.iter().copied().collect();
        let build_set: ColumnSet = build_outputs.iter().copied().collect();
        let (probe_positions, build_positions) = (positions_of(&probe_outputs), positions_of(&build_outputs));
        let mut pair = probe_positions.clone();
        for (&id, &position) in &build_positions {
            pair.entry(id).or_insert(position + probe_outputs.len() as u32);
        }
        let (mut keys, mut residual) = (Vec::new(), Vec::new());
        for conjunct in &join.on {
            // A key matches or not; where a null must show in the mark, the comparison is evaluated.
            let key = equality(conjunct, &probe_set, &build_set)
                .filter(|&(_, _, null_equal)| null_equal || !matches!(join.kind, JoinKind::NullMark(_)));
            match key {
                Some((probe, build, null_equal)) => keys.push(JoinKey {
                    probe: resolve(probe, &probe_positions)?,
                    build: resolve(build, &build_positions)?,
                    null_equal,
                }),
                None => {
                    let test = resolve(conjunct, &pair)?;
                    residual.push(match join.kind {
                        JoinKind::Mark(_) => is_true(test),
                        _ => test,
                    });
                }
            }
        }
        let residual = if residual.is_empty() { None } else { Some(Expr::and(residual)) };
        if let Some(note) = self.current.last_mut().and_then(|current| current.notes.get_mut(note)) {
            note.text = explain::join(join, &keys, self.columns, kind);
        }
        let outputs = match kind {
            Physical::ProbeSemi | Physical::ProbeAnti => probe_outputs,
            Physical::BuildSemi | Physical::BuildAnti => build_outputs,
            Physical::Mark => {
                let mut outputs = probe_outputs;
                if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = join.kind {
                    outputs.push(mark);
                }
                outputs
            }
            _ => [probe_outputs, build_outputs].concat(),
        };
        let (probe, build) = (Box::new(probe_plan), Box::new(build_plan));
        Ok((Plan::HashJoin(HashJoin { probe, build, kind, keys, residual }), outputs))
    }
}

/// `test IS TRUE`: never null.
fn is_true(test: Expr) -> Expr {
    match &test {
        Expr::Compare { op: CompareOp::IsNotDistinctFrom | CompareOp::IsDistinctFrom, .. }
        | Expr::IsNull { .. } => test,
        _ => Expr::compare(CompareOp::IsNotDistinctFrom, test, Expr::Literal(Value::boolean(true))),
    }
}

/// The window over an input that gives `outputs`.
fn physical_window(window: &Window, input: Plan, outputs: &[ColumnId]) -> Result<exec::plan::Window> {
    let positions = positions_of(outputs);
    let all = |exprs: &[Expr]| exprs.iter().map(|expr| resolve(expr, &positions)).collect::<Result<Vec<_>>>();
    let calls = window.calls.iter().map(|(_, call)| {
        let key = call.frame.key.as_ref().map(|key| resolve(key, &positions)).transpose()?;
        Ok(WindowCall {
            function: call.function,
            args: all(&call.args)?,
            ignore_nulls: call.ignore_nulls,
            frame: WindowFrame { key, ..call.frame.clone() },
            data_type: call.data_type,
        })
    });
    Ok(exec::plan::Window {
        partition: all(&window.partition)?,
        order: sort_keys(&window.order, outputs)?,
        calls: calls.collect::<Result<_>>()?,
        input: Box::new(input),
    })
}

fn sort_keys(keys: &[SortKey], outputs: &[ColumnId]) -> Result<Vec<exec::plan::SortKey>> {
    let positions = positions_of(outputs);
    keys.iter()
        .map(|key| {
            Ok(exec::plan::SortKey {
                expr: resolve(&key.expr, &positions)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
            })
        })
        .collect()
}
