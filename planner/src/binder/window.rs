//! Window functions in expressions, and the windows that they are over.

use super::Binder;
use super::aggregate::{AGGREGATES, Aggregation, Argument, Arguments, arguments, null_treatment};
use super::constants::is_any_volatile;
use super::expression::{Bound, Context};
use super::query::sort_key;
use super::scope::same_name;
use super::subquery::Pending;
use crate::error::{Error, Result};
use crate::logical::{
    AggregateCall, ColumnId, ColumnSet, JoinKind, Logical, SortKey, Window, WindowCall, columns_of,
    substitute,
};
use crate::parse::without_exclusion;
use columnar::{DataType, Value};
use exec::operators::window::has_frames;
use exec::plan::{AggregateFunction, FrameExclusion, FrameUnit, WindowFrame, WindowFunction};
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, NullTreatment, Spanned, WindowType};
use sqlparser::tokenizer::Span;
use std::collections::HashMap;

/// The windows of one `SELECT`, gathered while its expressions are bound.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Of the clause `WINDOW`.
    named: Vec<(String, Specification)>,
    /// In the order in which they are computed: later ones may use the calls of earlier ones.
    found: Vec<Found>,
}

/// Calls over the same partitions in the same order, whose expressions need not be columns yet.
#[derive(Debug)]
struct Found {
    partition: Vec<Expr>,
    order: Vec<SortKey>,
    calls: Vec<(ColumnId, WindowCall)>,
}

/// A window as it was written, with what it has of the window that it is based on.
#[derive(Debug, Clone, Default)]
pub(super) struct Specification {
    partition_by: Vec<ast::Expr>,
    order_by: Vec<ast::OrderByExpr>,
    pub(super) frame: Option<ast::WindowFrame>,
    pub(super) exclusion: FrameExclusion,
}

/// Functions that have a meaning over windows alone.
pub(super) fn is_window_function(name: &str) -> bool {
    window_function(name).is_some()
}

fn window_function(name: &str) -> Option<WindowFunction> {
    Some(match name {
        "row_number" => WindowFunction::RowNumber,
        "rank" => WindowFunction::Rank,
        "dense_rank" => WindowFunction::DenseRank,
        "percent_rank" => WindowFunction::PercentRank,
        "cume_dist" => WindowFunction::CumeDist,
        "ntile" => WindowFunction::Ntile,
        "lag" => WindowFunction::Lag,
        "lead" => WindowFunction::Lead,
        "first_value" => WindowFunction::FirstValue,
        "last_value" => WindowFunction::LastValue,
        "nth_value" => WindowFunction::NthValue,
        _ => return None,
    })
}

impl Windows {
    /// Those of a clause `WINDOW`.
    pub(super) fn named(definitions: &[ast::NamedWindowDefinition]) -> Result<Windows> {
        let mut windows = Windows::default();
        for ast::NamedWindowDefinition(name, definition) in definitions {
            if windows.named.iter().any(|(known, _)| same_name(known, &name.value)) {
                let message = format!("the window \"{}\" is defined twice", name.value);
                return Err(Error::name(message).at(name.span));
            }
            let window = match definition {
                ast::NamedWindowExpr::NamedWindow(base) => windows.find(base)?.clone(),
                ast::NamedWindowExpr::WindowSpec(written) => windows.specification(written, name.span)?,
            };
            windows.named.push((name.value.clone(), window));
        }
        Ok(windows)
    }

    fn find(&self, name: &ast::Ident) -> Result<&Specification> {
        let known = self.named.iter().find(|(known, _)| same_name(known, &name.value));
        known.map(|(_, window)| window).ok_or_else(|| {
            let error = Error::name(format!("the window \"{}\" does not exist", name.value)).at(name.span);
            super::suggest(error, &name.value, self.named.iter().map(|(known, _)| known.as_str()))
        })
    }

    fn specification(&self, written: &ast::WindowSpec, span: Span) -> Result<Specification> {
        let (base, exclusion) = without_exclusion(written.window_name.as_ref());
        let mut window = Specification {
            partition_by: written.partition_by.clone(),
            order_by: written.order_by.clone(),
            frame: written.window_frame.clone(),
            exclusion,
        };
        let Some(base) = base else { return Ok(window) };
        let of_base = self.find(&base)?;
        let refuse = |what: &str| Err(Error::value(what.to_string()).at(base.span).at(span));
        if !window.partition_by.is_empty() {
            return refuse(&format!("PARTITION BY of window \"{}\" cannot be overridden", base.value));
        }
        if !window.order_by.is_empty() && !of_base.order_by.is_empty() {
            return refuse(&format!("ORDER BY of window \"{}\" cannot be overridden", base.value));
        }
        if of_base.frame.is_some() {
            let message = format!("window \"{}\" cannot be copied: it has a frame clause", base.value);
            let error = Error::value(message).at(base.span).at(span);
            return Err(error.hint(format!("write OVER {} without parentheses", base.value)));
        }
        window.partition_by = of_base.partition_by.clone();
        if window.order_by.is_empty() {
            window.order_by = of_base.order_by.clone();
        }
        Ok(window)
    }

    /// Every expression that is evaluated for a window.
    pub(super) fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.found.iter_mut().flat_map(Found::exprs_mut)
    }

    /// Subqueries that do not use the windows' values, and those that do.
    pub(super) fn split(&self, pending: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let mut made: ColumnSet =
            self.found.iter().flat_map(|window| window.calls.iter().map(|&(id, _)| id)).collect();
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for join in pending {
            let mut used = join.plan.free_columns();
            join.on.iter().for_each(|expr| used.extend(columns_of(expr)));
            if used.is_disjoint(&made) {
                below.push(join);
                continue;
            }
            made.extend(join.plan.output_set());
            if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = join.kind {
                made.insert(mark);
            }
            above.push(join);
        }
        (below, above)
    }

    /// The column of a call over a window; equal calls share one. `after`: the window comes after that many others, whose
    /// calls it uses.
    fn add(
        &mut self,
        window: Found,
        call: (String, WindowCall),
        after: usize,
        binder: &mut Binder<'_>,
    ) -> Expr {
        let Found { partition, order, .. } = window;
        let (name, call) = call;
        let free = order.is_empty() && is_order_free(&call);
        let known = self.found.iter().skip(after).position(|known| {
            known.partition == partition
                && (known.order == order
                    || free
                    || known.order.is_empty() && known.calls.iter().all(|(_, call)| is_order_free(call)))
        });
        let at = match known {
            Some(position) => after + position,
            None => {
                self.found.push(Found { partition, order: order.clone(), calls: Vec::new() });
                self.found.len() - 1
            }
        };
        let found = &mut self.found[at];
        if found.order.is_empty() {
            found.order = order;
        }
        let is_volatile = call.args.iter().any(is_any_volatile);
        let twin = found.calls.iter().find(|(_, known)| *known == call && !is_volatile).map(|&(id, _)| id);
        let id = twin.unwrap_or_else(|| {
            let id = binder.columns.add(name, call.data_type);
            found.calls.push((id, call));
            id
        });
        binder.columns.reference(id)
    }
}

impl Found {
    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let of_calls =
            self.calls.iter_mut().flat_map(|(_, call)| call.args.iter_mut().chain(&mut call.frame.key));
        self.partition.iter_mut().chain(self.order.iter_mut().map(|key| &mut key.expr)).chain(of_calls)
    }
}

/// Whether a call over a window without an order may see its rows in any.
fn is_order_free(call: &WindowCall) -> bool {
    use WindowFunction::{CumeDist, DenseRank, PercentRank, Rank};
    let has_peers = matches!(call.function, Rank | DenseRank | PercentRank | CumeDist);
    let frame = &call.frame;
    let by_rows = frame.is_whole()
        || frame.unit == FrameUnit::Rows
            && matches!(frame.exclusion, FrameExclusion::NoOthers | FrameExclusion::CurrentRow);
    !has_peers && (by_rows || !call.function.has_frame())
}

impl Binder<'_> {
    /// A call with `OVER`.
    pub(super) fn window_function(
        &mut self,
        name: &str,
        call: &ast::Function,
        over: &WindowType,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        let span = call.span();
        let Some(mut windows) = context.windows.take() else {
            let message = match context.clause {
                "a window function" => "calls of window functions cannot be nested".to_string(),
                clause => format!("window functions are not allowed in {clause}"),
            };
            return Err(Error::value(message).at(span));
        };
        let clause = std::mem::replace(&mut context.clause, "a window function");
        let open = context.close_sets("a window function");
        let bound = self.window_call(name, call, over, &mut windows, context);
        (context.clause, context.windows) = (clause, Some(windows));
        context.reopen_sets(open);
        Ok(Bound::typed(bound?, span))
    }

    fn window_call(
        &mut self,
        name: &str,
        call: &ast::Function,
        over: &WindowType,
        windows: &mut Windows,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let span = call.span();
        let written = match over {
            WindowType::NamedWindow(name) => windows.find(name)?.clone(),
            WindowType::WindowSpec(written) => windows.specification(written, span)?,
        };
        let mut partition = Vec::new();
        for key in &written.partition_by {
            let key = self.expression(key, context)?;
            if !matches!(key, Expr::Literal(_)) && !partition.contains(&key) {
                partition.push(key);
            }
        }
        let mut order = Vec::new();
        for key in &written.order_by {
            order.push(sort_key(self.expression(&key.expr, context)?, &key.options));
        }
        let frame = self.frame(&written, &order, span, context)?;
        if frame.key.is_none() {
            order.retain(|key| !matches!(key.expr, Expr::Literal(_)));
        }
        let window = Found { partition, order, calls: Vec::new() };
        if AGGREGATES.contains(&name) {
            return self.aggregate_over(name, call, window, frame, windows, context);
        }
        let Some(function) = window_function(name) else {
            let error =
                Error::value(format!("{name} is neither a window function nor an aggregate")).at(span);
            return Err(super::suggest(error, name, AGGREGATES.iter().copied()));
        };
        if call.filter.is_some() {
            return Err(Error::value(format!("FILTER is for aggregates; {name} is none")).at(span));
        }
        let ignore_nulls = null_treatment(call) == Some(NullTreatment::IgnoreNulls);
        let takes_nulls = matches!(
            function,
            WindowFunction::Lag
                | WindowFunction::Lead
                | WindowFunction::FirstValue
                | WindowFunction::LastValue
                | WindowFunction::NthValue
        );
        if null_treatment(call).is_some() && !takes_nulls {
            return Err(Error::value(format!("{name} takes no IGNORE or RESPECT NULLS")).at(span));
        }
        let Arguments { distinct, args, order: within, separator, .. } = arguments(call)?;
        if !within.is_empty() || separator.is_some() || !call.within_group.is_empty() {
            let message = format!("an order and a separator are told to aggregates; {name} is none");
            return Err(Error::value(message).at(span));
        }
        if distinct {
            return Err(Error::value(format!("DISTINCT is for aggregates; {name} is none")).at(span));
        }
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                Argument::Expr(expr) => bound.push(self.bind(expr, context)?),
                Argument::Star => return Err(Error::value(format!("{name} takes no *")).at(span)),
            }
        }
        let frame = if function.has_frame() { frame } else { WindowFrame::whole() };
        let mut add = |binder: &mut Self, args: Vec<Expr>, ignore_nulls: bool, data_type: DataType| {
            let window =
                Found { partition: window.partition.clone(), order: window.order.clone(), calls: Vec::new() };
            let call = WindowCall { function, args, ignore_nulls, frame: frame.clone(), data_type };
            windows.add(window, (name.to_string(), call), 0, binder)
        };
        let wrong = |what: &str| Err(Error::value(format!("{name}() takes {what}")).at(span));
        use WindowFunction::{Lag, Lead, NthValue, Ntile};
        match function {
            Lag | Lead => {
                if bound.is_empty() || bound.len() > 3 {
                    return wrong("a value, and if need be a number of rows and a default");
                }
                let mut bound = bound.into_iter();
                let value = bound.next().ok_or_else(|| Error::internal("no argument"))?;
                let rows = bound.next();
                let (value, default) = match bound.next() {
                    None => (self.settle(value)?, None),
                    Some(default) => {
                        let (mut values, _) = self.unify_all(vec![value, default], name)?;
                        let default = values.pop();
                        let value = values.pop().ok_or_else(|| Error::internal("no argument"))?;
                        (value, default)
                    }
                };
                let data_type = value.data_type();
                let mut args = vec![value];
                if let Some(rows) = rows {
                    args.push(self.coerce(rows, DataType::Int64)?);
                }
                let rows = args.get(1).cloned();
                let moved = add(self, args, ignore_nulls, data_type);
                let default =
                    default.filter(|default| !matches!(default, Expr::Literal(value) if value.is_null()));
                let Some(default) = default else { return Ok(moved) };
                // The default is for where there is no such row: nulls of a row that is there stay.
                let found = match ignore_nulls {
                    true => moved.clone(),
                    false => {
                        let there = Expr::Literal(Value::boolean(true));
                        let args = std::iter::once(there).chain(rows.clone()).collect();
                        add(self, args, false, DataType::Boolean)
                    }
                };
                let missing = Expr::IsNull { input: Box::new(found), negated: false };
                let counted = rows.filter(|rows| !matches!(rows, Expr::Literal(rows) if !rows.is_null()));
                let counted = counted.map(|rows| Expr::IsNull { input: Box::new(rows), negated: true });
                let missing = Expr::and(counted.into_iter().chain([missing]));
                let branches = vec![(missing, default)];
                Ok(Expr::Case { branches, otherwise: Some(Box::new(moved)), data_type })
            }
            WindowFunction::FirstValue | WindowFunction::LastValue | NthValue => {
                let wanted = if function == NthValue { 2 } else { 1 };
                if bound.len() != wanted {
                    return wrong(if wanted == 1 {
                        "one argument"
                    } else {
                        "a value and the number of a row"
                    });
                }
                let mut bound = bound.into_iter();
                let value = bound.next().ok_or_else(|| Error::internal("no argument"))?;
                let mut args = vec![self.settle(value)?];
                if let Some(row) = bound.next() {
                    args.push(self.coerce(row, DataType::Int64)?);
                }
                let data_type = args[0].data_type();
                Ok(add(self, args, ignore_nulls, data_type))
            }
            Ntile => {
                let mut bound = bound.into_iter();
                let (Some(buckets), None) = (bound.next(), bound.next()) else {
                    return wrong("a number of buckets");
                };
                let buckets = self.coerce(buckets, DataType::Int64)?;
                Ok(add(self, vec![buckets], false, DataType::Int64))
            }
            _ if !bound.is_empty() => wrong("no argument"),
            WindowFunction::PercentRank | WindowFunction::CumeDist => {
                Ok(add(self, Vec::new(), false, DataType::Float64))
            }
            _ => Ok(add(self, Vec::new(), false, DataType::Int64)),
        }
    }

    /// An aggregate over a window: those that the planner writes with others become several calls.
    fn aggregate_over(
        &mut self,
        name: &str,
        call: &ast::Function,
        window: Found,
        frame: WindowFrame,
        windows: &mut Windows,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let span = call.span();
        if null_treatment(call).is_some() {
            return Err(Error::value(format!("{name} takes no IGNORE or RESPECT NULLS")).at(span));
        }
        let aggregate = self.aggregate_call(name, call, context)?;
        let mut simple = Aggregation::default();
        let expr = self.register(name, aggregate, &mut simple)?;
        let mut made = HashMap::new();
        for (id, aggregate) in simple.calls {
            if !has_frames(aggregate.function) {
                return Err(Error::unsupported(format!("the aggregate {name} with OVER")).at(span));
            }
            if aggregate.distinct && !frame.is_whole() {
                let what = format!("{name}(DISTINCT …) over less than a whole partition");
                return Err(Error::unsupported(what).at(span));
            }
            let column = self.simple_aggregate_over(name, aggregate, &window, &frame, windows);
            made.insert(id, column);
        }
        Ok(substitute(expr, &made))
    }

    fn simple_aggregate_over(
        &mut self,
        name: &str,
        aggregate: AggregateCall,
        window: &Found,
        frame: &WindowFrame,
        windows: &mut Windows,
    ) -> Expr {
        let AggregateCall { mut function, distinct, args, mut filter, data_type } = aggregate;
        // Those that have frames take one at most.
        let mut arg = args.into_iter().next();
        let mut after = 0;
        if let (true, Some(value)) = (distinct, &arg) {
            // Of rows with the same value, and of those alone that the filter leaves, one counts.
            let mut partition = window.partition.clone();
            partition.extend(std::iter::once(value.clone()).chain(filter.clone()));
            let number = WindowCall {
                function: WindowFunction::RowNumber,
                args: Vec::new(),
                ignore_nulls: false,
                frame: WindowFrame::whole(),
                data_type: DataType::Int64,
            };
            let of_value = Found { partition, order: Vec::new(), calls: Vec::new() };
            let number = windows.add(of_value, ("number".to_string(), number), 0, self);
            let first = Expr::compare(CompareOp::Equal, number, Expr::Literal(Value::int64(1)));
            filter = Some(Expr::and(filter.into_iter().chain([first])));
            after = windows.found.len();
        }
        if let Some(filter) = filter {
            // Aggregates pass over nulls.
            let value = arg.unwrap_or_else(|| {
                function = AggregateFunction::Count;
                Expr::Literal(Value::boolean(true))
            });
            let data_type = value.data_type();
            arg = Some(Expr::Case { branches: vec![(filter, value)], otherwise: None, data_type });
        }
        let call = WindowCall {
            function: WindowFunction::Aggregate(function),
            args: arg.into_iter().collect(),
            ignore_nulls: false,
            frame: frame.clone(),
            data_type,
        };
        let window =
            Found { partition: window.partition.clone(), order: window.order.clone(), calls: Vec::new() };
        windows.add(window, (name.to_string(), call), after, self)
    }

    /// The plan with the windows on top, each over columns: what they compute is projected below.
    pub(super) fn over_windows(&mut self, mut plan: Logical, windows: Windows) -> Logical {
        for mut window in windows.found {
            let mut computed: Vec<(ColumnId, Expr)> = Vec::new();
            let Found { partition, order, calls } = &mut window;
            let of_calls = calls.iter_mut().flat_map(|(_, call)| {
                let count = usize::from(call.function != WindowFunction::Ntile);
                let args = call.args.iter_mut().enumerate();
                // Numbers of rows may be literals.
                let args = args.filter(move |(at, arg)| *at < count || !matches!(arg, Expr::Literal(_)));
                args.map(|(_, arg)| arg).chain(&mut call.frame.key)
            });
            let all = partition.iter_mut().chain(order.iter_mut().map(|key| &mut key.expr)).chain(of_calls);
            for expr in all {
                if matches!(expr, Expr::Column { .. }) {
                    continue;
                }
                let known = computed.iter().find(|(_, known)| known == expr && !is_any_volatile(expr));
                let id = known.map(|&(id, _)| id).unwrap_or_else(|| {
                    let id = self.columns.add("window", expr.data_type());
                    computed.push((id, expr.clone()));
                    id
                });
                *expr = self.columns.reference(id);
            }
            if !computed.is_empty() {
                let passed = plan.outputs().into_iter().map(|id| (id, self.columns.reference(id)));
                let exprs = passed.chain(computed).collect();
                plan = plan.project(exprs);
            }
            let Found { partition, order, calls } = window;
            plan = Logical::Window(Window { input: Box::new(plan), partition, order, calls });
        }
        plan
    }
}
