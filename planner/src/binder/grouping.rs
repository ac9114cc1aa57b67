//! `GROUP BY`: what rows are grouped by, once or by several sets of keys, and `GROUPING`.
//!
//! Several sets are one aggregate of all keys, whose groups are given once for each set, with nulls for the keys that the
//! set has not and the number of the set, and then grouped again: rows are read once, and what is grouped twice are
//! groups ("grouping sets from the finest", as Gray et al. 1996 compute a cube).

use super::aggregate::Aggregation;
use super::expression::Context;
use super::query::{ordinal, refuse_if};
use super::scope::{Scope, same_name};
use super::select::{Group, Listed};
use super::sets::Sets;
use super::subquery::attach;
use super::{Alias, Binder};
use crate::error::{Error, Result};
use crate::logical::{AggregateCall, ColumnId, ColumnSet, Logical, collect_columns, columns_of};
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use exec::plan::AggregateFunction;
use sqlparser::ast::{self, GroupByExpr, Spanned};
use sqlparser::tokenizer::Span;
use std::collections::HashMap;

/// The most sets of one `GROUP BY`.
const MAX_SETS: usize = 4_096;
/// The most keys of a `CUBE`: twice as many would be too many sets.
const MAX_CUBE: usize = 12;
/// The most arguments of `GROUPING`: as many bits as an `INTEGER` has above zero.
const MAX_GROUPING: usize = 31;

/// What a `SELECT` groups by.
#[derive(Default)]
pub(super) struct Grouping {
    /// Each once.
    pub(super) keys: Vec<Group>,
    /// Each set's positions among the keys; one that has all of them where nothing else was written.
    pub(super) sets: Vec<Vec<usize>>,
    /// There is a `GROUP BY`.
    pub(super) is_written: bool,
    /// Lists whose elements are in keys; they are unrolled below.
    pub(super) lists: Vec<(ColumnId, Expr)>,
}

/// Rows grouped by several sets of keys.
pub(super) struct Grouped {
    pub(super) plan: Logical,
    /// The keys as the plan gives them, and what they are of the rows below.
    pub(super) keys: Vec<(ColumnId, Expr)>,
    /// The number of a row's set.
    pub(super) set: Option<ColumnId>,
}

/// What the expressions of one `GROUP BY` are bound with.
struct Clause<'b, 'q> {
    listed: &'b [Listed<'q>],
    aliases: &'b [Alias<'b>],
    scope: &'b Scope<'b>,
    plan: &'b mut Logical,
    keys: Vec<Group>,
    elements: Sets,
}

impl Binder<'_> {
    pub(super) fn group_by(
        &mut self,
        clause: &GroupByExpr,
        listed: &[Listed<'_>],
        aliases: &[Alias<'_>],
        scope: &Scope<'_>,
        plan: &mut Logical,
    ) -> Result<Grouping> {
        let mut bound = Clause { listed, aliases, scope, plan, keys: Vec::new(), elements: Sets::default() };
        let sets = match clause {
            GroupByExpr::All(modifiers) => {
                refuse_if(!modifiers.is_empty(), "GROUP BY ALL … WITH", clause.span())?;
                vec![self.group_by_all(&mut bound)?]
            }
            GroupByExpr::Expressions(exprs, modifiers) => {
                refuse_if(!modifiers.is_empty(), "GROUP BY … WITH", clause.span())?;
                let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
                for ast in exprs {
                    let own = self.sets_of(ast, &mut bound)?;
                    sets = product(&sets, &own).map_err(|error| error.at(ast.span()))?;
                }
                sets
            }
        };
        let is_written = !matches!(clause, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
        let lists = bound.elements.lists.clone();
        *bound.plan = bound.elements.over(bound.plan.take());
        Ok(Grouping { keys: bound.keys, sets, is_written, lists })
    }

    /// The items of the select list that have no aggregate.
    fn group_by_all(&mut self, clause: &mut Clause<'_, '_>) -> Result<Vec<usize>> {
        let mut set = Vec::new();
        let listed = clause.listed;
        for item in listed {
            let key = match item {
                Listed::Column { id, .. } => {
                    let expr = self.columns.reference(*id);
                    clause.add(Group { expr, items: Vec::new() })
                }
                Listed::Expr { expr, .. } => {
                    // Bound for its aggregates alone: what it is grouped by may hold none.
                    let mut context = Context::new(clause.scope, "SELECT");
                    context.aliases = clause.aliases;
                    context.aggregation = Some(Aggregation::default());
                    context.sets = Some(Sets::default());
                    let bound = self.expression(expr, &mut context)?;
                    let aggregation = context.aggregation.unwrap_or_default();
                    let used = columns_of(&bound);
                    let in_subqueries = || context.pending.iter().flat_map(|join| join.plan.free_columns());
                    if aggregation.calls.iter().any(|(id, _)| used.contains(id))
                        || aggregation.is_grouping(&used)
                        || in_subqueries().any(|id| aggregation.calls.iter().any(|(call, _)| *call == id))
                    {
                        continue;
                    }
                    self.group(expr, clause)?
                }
            };
            if !set.contains(&key) {
                set.push(key);
            }
        }
        Ok(set)
    }

    /// The sets that an element of `GROUP BY`, or of `GROUPING SETS`, stands for.
    fn sets_of(&mut self, ast: &ast::Expr, clause: &mut Clause<'_, '_>) -> Result<Vec<Vec<usize>>> {
        match ast {
            ast::Expr::Rollup(lists) => {
                let lists = self.keys_of(lists, clause)?;
                Ok((0..=lists.len()).rev().map(|end| distinct(lists[..end].concat())).collect())
            }
            ast::Expr::Cube(lists) => {
                if lists.len() > MAX_CUBE {
                    let message = format!("CUBE takes {MAX_CUBE} keys at most");
                    return Err(Error::value(message).at(ast.span()));
                }
                let lists = self.keys_of(lists, clause)?;
                let most = lists.len();
                // The first key is the highest bit, so that sets begin with all keys and end with none.
                let subset = |bits: usize| {
                    let has = |place: &usize| bits & (1 << (most - 1 - place)) != 0;
                    distinct((0..most).filter(has).flat_map(|place| lists[place].clone()).collect())
                };
                Ok((0..1 << most).rev().map(subset).collect())
            }
            ast::Expr::GroupingSets(lists) => {
                let mut sets = Vec::new();
                for list in lists {
                    match list.as_slice() {
                        [one] => sets.extend(self.sets_of(one, clause)?),
                        several => sets.push(self.set_of(several, clause)?),
                    }
                    check_count(sets.len()).map_err(|error| error.at(ast.span()))?;
                }
                Ok(sets)
            }
            ast::Expr::Tuple(parts) => Ok(vec![self.set_of(parts, clause)?]),
            // Within GROUPING SETS the grammar has the others as calls.
            ast::Expr::Function(call) if nested_sets(call).is_some() => {
                let Some((name, args)) = nested_sets(call) else { return Ok(Vec::new()) };
                let lists = args.into_iter().map(|arg| match arg {
                    ast::Expr::Tuple(parts) if name != "grouping sets" => parts,
                    ast::Expr::Nested(inner) if name != "grouping sets" => vec![*inner],
                    other => vec![other],
                });
                let lists: Vec<Vec<ast::Expr>> = lists.collect();
                let same = match name {
                    "rollup" => ast::Expr::Rollup(lists),
                    "cube" => ast::Expr::Cube(lists),
                    _ => ast::Expr::GroupingSets(lists),
                };
                self.sets_of(&same, clause)
            }
            ast::Expr::Identifier(name) if name.value == EMPTY_SET => Ok(vec![Vec::new()]),
            one => Ok(vec![vec![self.group(one, clause)?]]),
        }
    }

    /// Of each list the keys.
    fn keys_of(&mut self, lists: &[Vec<ast::Expr>], clause: &mut Clause<'_, '_>) -> Result<Vec<Vec<usize>>> {
        lists.iter().map(|list| self.set_of(list, clause)).collect()
    }

    fn set_of(&mut self, exprs: &[ast::Expr], clause: &mut Clause<'_, '_>) -> Result<Vec<usize>> {
        let keys = exprs.iter().map(|ast| self.group(ast, clause)).collect::<Result<_>>()?;
        Ok(distinct(keys))
    }

    /// The key that an expression of `GROUP BY` means: a position, a column, an alias of the select list, anything else.
    fn group(&mut self, ast: &ast::Expr, clause: &mut Clause<'_, '_>) -> Result<usize> {
        let ast = without_parentheses(ast);
        let mut meant = ast;
        if let Some(position) = ordinal(ast, clause.listed.len(), "GROUP BY")? {
            match &clause.listed[position] {
                Listed::Column { id, .. } => {
                    let expr = self.columns.reference(*id);
                    return Ok(clause.add(Group { expr, items: Vec::new() }));
                }
                Listed::Expr { expr, .. } => meant = without_parentheses(expr),
            }
        } else if let ast::Expr::Identifier(name) = ast
            && clause.scope.resolve_here(std::slice::from_ref(name))?.is_none()
        {
            let alias = clause.aliases.iter().find(|alias| same_name(&alias.name.value, &name.value));
            meant = alias.map_or(ast, |alias| without_parentheses(alias.expr));
        }
        let mut context = Context::new(clause.scope, "GROUP BY");
        context.aliases = clause.aliases;
        context.sets = Some(std::mem::take(&mut clause.elements));
        let expr = self.expression(meant, &mut context)?;
        clause.elements = context.sets.take().unwrap_or_default();
        let (pending, of_elements) = clause.elements.split(context.pending);
        refuse_if(!of_elements.is_empty(), "a subquery over elements in GROUP BY", meant.span())?;
        *clause.plan = attach(clause.plan.take(), pending);
        let is_meant = |item: &Listed<'_>| match item {
            Listed::Expr { expr, .. } => without_parentheses(expr) == meant,
            Listed::Column { .. } => false,
        };
        let items = clause.listed.iter().enumerate().filter(|(_, item)| is_meant(item));
        let items = items.map(|(position, _)| position).collect();
        Ok(clause.add(Group { expr, items }))
    }

    /// Ids for groups: a bare column keeps its own.
    /// Columns that the rows have keep their ids; one of a query around this one is another column here.
    fn ids_of(&mut self, exprs: Vec<Expr>, rows: &ColumnSet) -> Vec<(ColumnId, Expr)> {
        let mut groups = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let id = match &expr {
                Expr::Column { id, .. } if rows.contains(id) => *id,
                Expr::Column { id, .. } => self.columns.copy(*id),
                Expr::Call { function, .. } => self.columns.add(function.as_str(), expr.data_type()),
                other => self.columns.add("group", other.data_type()),
            };
            groups.push((id, expr));
        }
        groups
    }

    /// The rows of `plan` as groups by each of the sets of keys.
    pub(super) fn grouped(
        &mut self,
        plan: Logical,
        keys: Vec<Expr>,
        sets: &[Vec<usize>],
        calls: Vec<(ColumnId, AggregateCall)>,
    ) -> Grouped {
        let keys = self.ids_of(keys, &plan.output_set());
        if let [_] = sets {
            return Grouped { plan: plan.aggregate(keys.clone(), calls), keys, set: None };
        }
        // Rows of aggregates that are made in parts; with several that are not, each set has all rows.
        let distinct: Vec<&Expr> =
            calls.iter().filter(|(_, call)| call.distinct).filter_map(|(_, call)| call.arg()).collect();
        let in_parts = calls.iter().all(|(_, call)| merges(call.function))
            && distinct.iter().all(|arg| *arg == distinct[0])
            && calls.iter().all(|(_, call)| !call.distinct || call.filter.is_none());
        // An aggregate without groups has a row of no rows.
        let has_row = in_parts && keys.is_empty() && distinct.is_empty();
        let Finest { plan, groups, parts, calls } = match in_parts {
            true => self.finest(plan, keys.clone(), calls),
            false => self.unmerged(plan, keys.clone(), calls),
        };
        let set = self.columns.add("set", DataType::Int32);
        let given: Vec<(ColumnId, Expr)> =
            keys.iter().map(|(id, expr)| (self.columns.copy(*id), expr.clone())).collect();
        let carried: Vec<ColumnId> = parts.iter().map(|&(id, _)| self.columns.copy(id)).collect();
        let columns: Vec<ColumnId> =
            given.iter().map(|&(id, _)| id).chain(carried.iter().copied()).chain([set]).collect();
        let number = |set: usize| Expr::Literal(Value::int32(set as i32));
        let list = |(place, set): (usize, &Vec<usize>)| -> Vec<Expr> {
            let key = |(key, &(id, ref expr)): (usize, &(ColumnId, Expr))| match set.contains(&key) {
                true => Expr::column(id, expr.data_type()),
                false => Expr::Literal(Value::null(expr.data_type())),
            };
            let keys = groups.iter().enumerate().map(key);
            let parts = parts.iter().map(|&(id, _)| self.columns.reference(id));
            keys.chain(parts).chain([number(place)]).collect()
        };
        let lists: Vec<Vec<Expr>> = sets.iter().enumerate().map(list).collect();
        let mut plan =
            Logical::Expand { input: Box::new(plan), lists, columns: columns.clone(), merges: in_parts };
        // The set of no keys has a row even of no rows: what it is aggregated of is one that counts for nothing.
        let empty: Vec<usize> = (0..sets.len()).filter(|&set| sets[set].is_empty()).collect();
        if !empty.is_empty() && !has_row {
            let row = |&set: &usize| {
                let nulls = groups.iter().map(|(_, expr)| Value::null(expr.data_type()));
                let parts = parts.iter().map(|(_, nothing)| nothing.clone());
                nulls.chain(parts).chain([Value::int32(set as i32)]).collect()
            };
            let rows = empty.iter().map(row).collect();
            let nothing: Vec<ColumnId> = columns.iter().map(|&id| self.columns.copy(id)).collect();
            let values = Logical::Values { columns: nothing.clone(), rows };
            let all: Vec<ColumnId> = columns.iter().map(|&id| self.columns.copy(id)).collect();
            plan = Logical::Union { inputs: vec![(plan, columns.clone()), (values, nothing)], columns: all };
        }
        // Whatever gives them, the keys and what is merged are the plan's columns in this order.
        let outputs = plan.outputs();
        let renamed: HashMap<ColumnId, ColumnId> =
            parts.iter().map(|&(id, _)| id).zip(outputs[given.len()..].iter().copied()).collect();
        let calls = calls.into_iter().map(|(id, mut call)| {
            call.args
                .iter_mut()
                .chain(&mut call.filter)
                .for_each(|expr| crate::logical::rename(expr, &renamed));
            (id, call)
        });
        let keys: Vec<(ColumnId, Expr)> =
            outputs.iter().copied().zip(given.into_iter().map(|(_, expr)| expr)).collect();
        let set = outputs.last().copied().unwrap_or(set);
        let groups = keys.iter().map(|&(id, _)| id).chain([set]);
        let groups = groups.map(|id| (id, self.columns.reference(id))).collect();
        Grouped { plan: plan.aggregate(groups, calls.collect()), keys, set: Some(set) }
    }

    /// Groups by all keys, and by the argument of which values count once.
    fn finest(
        &mut self,
        plan: Logical,
        keys: Vec<(ColumnId, Expr)>,
        calls: Vec<(ColumnId, AggregateCall)>,
    ) -> Finest {
        let (mut groups, mut parts, mut partial, mut merged) =
            (keys.clone(), Vec::new(), Vec::new(), Vec::new());
        for (id, call) in calls {
            if let (true, Some(arg)) = (call.distinct, call.arg().cloned()) {
                let value = match groups[keys.len()..].iter().find(|(_, known)| *known == arg) {
                    Some(&(value, _)) => value,
                    None => {
                        // Its column is another than a key's, which becomes null where a set has it not.
                        let value = self.columns.add("distinct", arg.data_type());
                        parts.push((value, Value::null(arg.data_type())));
                        groups.push((value, arg));
                        value
                    }
                };
                let args = vec![self.columns.reference(value)];
                merged.push((id, AggregateCall { args, filter: None, ..call }));
                continue;
            }
            let none = nothing(&call);
            let (part, first, second) = call.in_two(&mut self.columns, id);
            merged.push((id, second));
            parts.push((part, none));
            partial.push((part, first));
        }
        Finest { plan: plan.aggregate(groups, partial), groups: keys, parts, calls: merged }
    }

    /// The rows themselves, with what the aggregates use; a mark tells them from the row that counts for nothing.
    fn unmerged(
        &mut self,
        plan: Logical,
        keys: Vec<(ColumnId, Expr)>,
        mut calls: Vec<(ColumnId, AggregateCall)>,
    ) -> Finest {
        let mut used = ColumnSet::new();
        for (_, call) in &calls {
            call.args.iter().chain(&call.filter).for_each(|expr| collect_columns(expr, &mut used));
        }
        let rows = plan.output_set();
        used.retain(|id| rows.contains(id));
        let mark = self.columns.add("present", DataType::Boolean);
        let mut exprs: Vec<(ColumnId, Expr)> =
            used.iter().map(|&id| (id, self.columns.reference(id))).collect();
        exprs.extend(keys.iter().filter(|(id, _)| !used.contains(id)).cloned());
        exprs.push((mark, Expr::Literal(Value::boolean(true))));
        let mut parts: Vec<(ColumnId, Value)> =
            used.iter().map(|&id| (id, Value::null(self.columns.data_type(id)))).collect();
        parts.push((mark, Value::boolean(false)));
        let mark = self.columns.reference(mark);
        for (_, call) in &mut calls {
            call.filter = Some(Expr::and([mark.clone()].into_iter().chain(call.filter.take())));
        }
        Finest { plan: plan.project(exprs), groups: keys, parts, calls }
    }

    /// `GROUPING` as columns of the groups.
    pub(super) fn with_groupings(
        &mut self,
        plan: Logical,
        set: Option<ColumnId>,
        sets: &[Vec<usize>],
        groupings: Vec<(ColumnId, Vec<usize>)>,
    ) -> Logical {
        if groupings.is_empty() {
            return plan;
        }
        let mut exprs: Vec<(ColumnId, Expr)> =
            plan.outputs().into_iter().map(|id| (id, self.columns.reference(id))).collect();
        for (id, args) in groupings {
            let mut masks: Vec<(i128, Vec<Value>)> = Vec::new();
            for (place, set) in sets.iter().enumerate() {
                let bit = |mask: i128, arg: &usize| mask * 2 + i128::from(!set.contains(arg));
                let mask = args.iter().fold(0, bit);
                let number = Value::int32(place as i32);
                match masks.iter_mut().find(|(known, _)| *known == mask) {
                    Some((_, list)) => list.push(number),
                    None => masks.push((mask, vec![number])),
                }
            }
            let literal = |mask| Expr::Literal(Value::new(DataType::Int32, Scalar::Integer(mask)));
            let last = masks.pop().map_or_else(|| literal(0), |(mask, _)| literal(mask));
            let branch = |set: ColumnId, (mask, list): (i128, Vec<Value>)| {
                let input = Box::new(Expr::column(set, DataType::Int32));
                (Expr::InList { input, list, negated: false }, literal(mask))
            };
            let expr = match set {
                Some(set) if !masks.is_empty() => Expr::Case {
                    branches: masks.into_iter().map(|mask| branch(set, mask)).collect(),
                    otherwise: Some(Box::new(last)),
                    data_type: DataType::Int32,
                },
                _ => last,
            };
            exprs.push((id, expr));
        }
        plan.project(exprs)
    }

    /// `GROUPING(a, b)`: a bit for each argument, the first the highest, which is set where the group has it not.
    pub(super) fn grouping(
        &mut self,
        args: Vec<&ast::Expr>,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        if args.is_empty() || args.len() > MAX_GROUPING {
            let message = format!("GROUPING takes 1 to {MAX_GROUPING} expressions of GROUP BY");
            return Err(Error::value(message).at(span));
        }
        let Some(mut aggregation) = context.aggregation.take() else {
            let message = format!("GROUPING is not allowed in {}", context.clause);
            return Err(Error::value(message).at(span));
        };
        let bound = args.into_iter().map(|arg| {
            let expr = self.expression(arg, context)?;
            let found = aggregation.keys.iter().position(|key| *key == expr);
            found.ok_or_else(|| {
                Error::value("an argument of GROUPING is no expression of GROUP BY").at(arg.span())
            })
        });
        let places = bound.collect::<Result<Vec<usize>>>();
        let id =
            places.map(|places| match aggregation.groupings.iter().find(|(_, known)| *known == places) {
                Some(&(id, _)) => id,
                None => {
                    let id = self.columns.add("grouping", DataType::Int32);
                    aggregation.groupings.push((id, places));
                    id
                }
            });
        context.aggregation = Some(aggregation);
        Ok(self.columns.reference(id?))
    }
}

/// What sets of groups are made of.
struct Finest {
    plan: Logical,
    /// The keys as the plan gives them.
    groups: Vec<(ColumnId, Expr)>,
    /// What it gives besides for the aggregates, and what that is of no rows.
    parts: Vec<(ColumnId, Value)>,
    /// The aggregates, of these.
    calls: Vec<(ColumnId, AggregateCall)>,
}

impl Clause<'_, '_> {
    /// The place of the key among those that are known.
    fn add(&mut self, group: Group) -> usize {
        match self.keys.iter_mut().position(|known| known.expr == group.expr) {
            Some(place) => {
                self.keys[place].items.extend(group.items);
                place
            }
            None => {
                self.keys.push(group);
                self.keys.len() - 1
            }
        }
    }
}

impl Aggregation {
    /// Whether one of the columns is a `GROUPING`.
    fn is_grouping(&self, used: &ColumnSet) -> bool {
        self.groupings.iter().any(|(id, _)| used.contains(id))
    }
}

/// How the tokens name `()` within nested `GROUPING SETS`.
pub(crate) const EMPTY_SET: &str = "grouping set of nothing";

/// The name of a call that stands for sets, and its arguments.
fn nested_sets(call: &ast::Function) -> Option<(&'static str, Vec<ast::Expr>)> {
    let name = call.name.to_string();
    let name = ["rollup", "cube", "grouping sets"]
        .into_iter()
        .find(|known| name.trim_matches('"').eq_ignore_ascii_case(known))?;
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    let arg = |arg: &ast::FunctionArg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    Some((name, list.args.iter().map(arg).collect::<Option<_>>()?))
}

fn without_parentheses(ast: &ast::Expr) -> &ast::Expr {
    match ast {
        ast::Expr::Nested(inner) => without_parentheses(inner),
        other => other,
    }
}

/// Each set of the one with each of the other.
fn product(left: &[Vec<usize>], right: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
    check_count(left.len().saturating_mul(right.len()))?;
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| [a.as_slice(), b].concat()));
    Ok(pairs.map(distinct).collect())
}

fn check_count(sets: usize) -> Result<()> {
    if sets > MAX_SETS {
        return Err(Error::value(format!("GROUP BY has more than {MAX_SETS} sets of keys")));
    }
    Ok(())
}

fn distinct(keys: Vec<usize>) -> Vec<usize> {
    let mut once = Vec::with_capacity(keys.len());
    for key in keys {
        if !once.contains(&key) {
            once.push(key);
        }
    }
    once
}

/// What a part of no rows is.
fn nothing(call: &AggregateCall) -> Value {
    match call.function {
        AggregateFunction::CountRows | AggregateFunction::Count | AggregateFunction::SumCounts => {
            Value::new(call.data_type, Scalar::Integer(0))
        }
        _ => Value::null(call.data_type),
    }
}

/// Whether an aggregate can be made of aggregates of parts.
fn merges(function: AggregateFunction) -> bool {
    match function {
        AggregateFunction::CountRows
        | AggregateFunction::Count
        | AggregateFunction::Sum
        | AggregateFunction::SumCounts
        | AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::AnyValue
        | AggregateFunction::BoolAnd
        | AggregateFunction::BoolOr => true,
        // A set that has no rows has no state of any.
        AggregateFunction::Stateful(_) => false,
    }
}
