//! One `SELECT`: where, grouping, having, select list, distinct, order.

use super::aggregate::{Aggregation, above_groups};
use super::expression::Context;
use super::grouping::{Grouped, Grouping};
use super::literals::text_of;
use super::query::{ordinal, refuse_if, sort_key};
use super::scope::{Scope, same_name};
use super::sets::Sets;
use super::subquery::{Pending, attach};
use super::window::Windows;
use super::{Alias, Binder, BoundQuery, OutputColumn};
use crate::error::{Error, Result};
use crate::logical::{ColumnId, ColumnSet, JoinKind, Logical, SortKey, TopOfGroups, columns_of, conjuncts};
use exec::Expr;
use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::Span;
use std::borrow::Cow;
use std::collections::HashMap;

/// An item of the select list.
struct Item {
    name: String,
    expr: Expr,
    /// As in [`OutputColumn`].
    text: Option<String>,
}

/// An item before it is bound: `*` is spread.
pub(super) enum Listed<'a> {
    Column { name: String, id: ColumnId },
    Expr { name: String, alias: Option<&'a ast::Ident>, expr: Cow<'a, ast::Expr> },
}

/// An expression of `GROUP BY`.
pub(super) struct Group {
    pub(super) expr: Expr,
    /// Positions of the items of the select list that are written alike.
    pub(super) items: Vec<usize>,
}

/// `DISTINCT`.
enum Distinct {
    No,
    All,
    /// Of the rows with equal values of these the first.
    On(Vec<Expr>),
}

/// `ORDER BY` as it was written.
#[derive(Clone, Copy)]
pub(super) enum Order<'q> {
    By(&'q [ast::OrderByExpr]),
    /// By all columns of the result.
    All(&'q ast::OrderByOptions),
}

impl Binder<'_> {
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order: Order<'_>,
        outer: Option<&Scope<'_>>,
    ) -> Result<BoundQuery> {
        refuse_clauses(select)?;
        let (mut plan, relations) = self.from(&select.from, outer)?;
        let scope = Scope { relations, outer };
        // `FROM t` alone gives all of its columns.
        let all = [ast::SelectItem::Wildcard(ast::WildcardAdditionalOptions::default())];
        let is_from_alone = select.flavor == ast::SelectFlavor::FromFirstNoSelect;
        let listed = self.listed(if is_from_alone { &all } else { &select.projection }, &scope)?;
        let aliases: Vec<Alias<'_>> = listed.iter().filter_map(Listed::alias).collect();
        if let Some(selection) = &select.selection {
            let mut context = Context::new(&scope, "WHERE");
            (context.null_is_false, context.aliases) = (true, &aliases);
            let condition = self.condition(selection, &mut context)?;
            plan = filter(plan, condition, context.pending);
        }
        let grouping = self.group_by(&select.group_by, &listed, &aliases, &scope, &mut plan)?;
        let Grouping { keys: groups, sets, is_written, lists } = grouping;

        // What may hold aggregates is bound before the aggregate below it is made.
        let mut context = Context::new(&scope, "SELECT");
        let keys = groups.iter().map(|group| group.expr.clone()).collect();
        context.aggregation = Some(Aggregation { keys, ..Aggregation::default() });
        context.windows = Some(Windows::named(&select.named_window)?);
        context.sets = Some(Sets::beside(lists));
        let mut items = Vec::with_capacity(listed.len());
        // An item may use the aliases before it.
        let mut known_aliases = 0;
        for (position, item) in listed.iter().enumerate() {
            context.aliases = &aliases[..known_aliases];
            known_aliases += usize::from(item.alias().is_some());
            items.push(match item {
                Listed::Column { name, id } => {
                    Item { name: name.clone(), expr: self.columns.reference(*id), text: None }
                }
                Listed::Expr { name, expr, .. } => {
                    // What is grouped by is not bound again: its subqueries are evaluated below.
                    let known = groups.iter().find(|group| group.items.contains(&position));
                    let text = match &**expr {
                        ast::Expr::Value(value) if known.is_none() => text_of(&value.value),
                        _ => None,
                    };
                    let expr = match known {
                        Some(group) => group.expr.clone(),
                        None => self.expression(expr, &mut context)?,
                    };
                    Item { name: name.clone(), expr, text }
                }
            });
        }
        context.aliases = &aliases;
        let mut having = match &select.having {
            Some(having) => {
                (context.clause, context.null_is_false) = ("HAVING", true);
                let windows = context.windows.take();
                let open = context.close_sets("HAVING");
                let condition = self.condition(having, &mut context)?;
                (context.null_is_false, context.windows) = (false, windows);
                context.reopen_sets(open);
                Some(condition)
            }
            None => None,
        };
        let mut qualify = match &select.qualify {
            Some(qualify) => {
                (context.clause, context.null_is_false) = ("QUALIFY", true);
                context.items = items.iter().map(|item| (item.name.clone(), item.expr.clone())).collect();
                let open = context.close_sets("QUALIFY");
                let condition = self.condition(qualify, &mut context)?;
                (context.null_is_false, context.items) = (false, Vec::new());
                context.reopen_sets(open);
                let used = columns_of(&condition);
                let lists = context.sets.iter().flat_map(|sets| &sets.lists);
                let unrolled = lists.into_iter().any(|(id, _)| used.contains(id));
                refuse_if(unrolled, "what unnest gives in QUALIFY", qualify.span())?;
                Some(condition)
            }
            None => None,
        };
        context.clause = "DISTINCT ON";
        let mut distinct = match &select.distinct {
            None | Some(ast::Distinct::All) => Distinct::No,
            Some(ast::Distinct::Distinct) => Distinct::All,
            Some(ast::Distinct::On(exprs)) => Distinct::On(
                exprs.iter().map(|ast| self.order_key(ast, &items, &mut context)).collect::<Result<_>>()?,
            ),
        };
        context.clause = "ORDER BY";
        let mut keys = Vec::new();
        match order {
            Order::By(items_of_order) => {
                for key in items_of_order {
                    let expr = self.order_key(&key.expr, &items, &mut context)?;
                    keys.push(sort_key(expr, &key.options));
                }
            }
            Order::All(options) => {
                keys.extend(items.iter().map(|item| sort_key(item.expr.clone(), options)));
            }
        }

        let span = select.select_token.0.span;
        let Context { mut pending, aggregation, windows, sets: elements, .. } = context;
        let (aggregation, mut windows) = (aggregation.unwrap_or_default(), windows.unwrap_or_default());
        let mut elements = elements.unwrap_or_default();
        if is_written
            || !aggregation.calls.is_empty()
            || !aggregation.groupings.is_empty()
            || having.is_some()
        {
            let below = plan.output_set();
            plan = attach(plan, aggregation.pending);
            let exprs = groups.into_iter().map(|group| group.expr).collect();
            let grouped = self.grouped(plan, exprs, &sets, aggregation.calls);
            let Grouped { keys: groups, set, .. } = grouped;
            plan = self.with_groupings(grouped.plan, set, &sets, aggregation.groupings);
            let mut above = |expr: &mut Expr| -> Result<()> {
                let taken = expr.clone();
                *expr = above_groups(taken, &groups, &below).map_err(|id| {
                    let name = self.columns.name(id);
                    Error::value(format!("column \"{name}\" must be in GROUP BY or in an aggregate"))
                        .at(span)
                        .hint(format!("write any_value({name}) if any of its values will do"))
                })?;
                Ok(())
            };
            for item in &mut items {
                above(&mut item.expr)?;
            }
            having.iter_mut().chain(&mut qualify).try_for_each(&mut above)?;
            windows.exprs_mut().try_for_each(&mut above)?;
            elements.lists.iter_mut().try_for_each(|(_, list)| above(list))?;
            if let Distinct::On(exprs) = &mut distinct {
                exprs.iter_mut().try_for_each(&mut above)?;
            }
            keys.iter_mut().try_for_each(|key| above(&mut key.expr))?;
            pending.iter_mut().flat_map(|join| &mut join.on).try_for_each(&mut above)?;
            // Subqueries see a column that is grouped by as the groups have it.
            let renamed = groups.iter().filter_map(|(id, expr)| match expr {
                Expr::Column { id: of, .. } if of != id => Some((*of, *id)),
                _ => None,
            });
            let renamed: HashMap<ColumnId, ColumnId> = renamed.collect();
            let kept = plan.output_set();
            for join in &mut pending {
                if !renamed.is_empty() {
                    join.plan.rename_free(&renamed);
                }
                if let Some(stray) =
                    join.plan.free_columns().iter().find(|id| below.contains(id) && !kept.contains(id))
                {
                    let name = self.columns.name(*stray);
                    let message = format!("column \"{name}\" of a subquery must be in GROUP BY outside it");
                    return Err(Error::value(message).at(span));
                }
            }
        }
        let (pending, of_elements) = elements.split(pending);
        // Subqueries that are compared with a window's values are joined above it, others below.
        let (below, above) = windows.split(pending);
        plan = match having {
            Some(having) => filter(plan, having, below),
            None => attach(plan, below),
        };
        plan = self.over_windows(plan, windows);
        plan = match qualify {
            Some(qualify) => filter(plan, qualify, above),
            None => attach(plan, above),
        };
        // Elements come last: a window sees the rows that have the lists.
        plan = attach(elements.over(plan), of_elements);
        self.finish(plan, items, distinct, keys, span)
    }

    /// The select list, duplicates out, then the order.
    fn finish(
        &mut self,
        plan: Logical,
        items: Vec<Item>,
        distinct: Distinct,
        mut keys: Vec<SortKey>,
        span: Span,
    ) -> Result<BoundQuery> {
        let available = plan.output_set();
        let (mut exprs, mut columns) = (Vec::new(), Vec::new());
        let mut used = ColumnSet::new();
        for item in items {
            let id = match &item.expr {
                Expr::Column { id, .. } if available.contains(id) && !used.contains(id) => *id,
                other => self.columns.add(&item.name, other.data_type()),
            };
            used.insert(id);
            exprs.push((id, item.expr));
            // Rows are told apart by values of a type.
            let text = item.text.filter(|_| !matches!(distinct, Distinct::All));
            columns.push(OutputColumn { name: item.name, id, text });
        }
        let listed = exprs.len();
        let mut hidden = |expr: &mut Expr| -> Result<()> {
            if matches!(expr, Expr::Literal(_)) {
                return Ok(());
            }
            let known = exprs.iter().find(|(_, known)| known == expr).map(|&(id, _)| id);
            let id = match (known, &*expr) {
                (Some(id), _) => id,
                (None, _) if matches!(distinct, Distinct::All) => {
                    return Err(
                        Error::value("with DISTINCT, ORDER BY takes expressions of the select list").at(span)
                    );
                }
                (None, Expr::Column { id, .. }) if available.contains(id) => *id,
                (None, other) => self.columns.add("order", other.data_type()),
            };
            if known.is_none() {
                exprs.push((id, expr.clone()));
            }
            *expr = self.columns.reference(id);
            Ok(())
        };
        keys.iter_mut().try_for_each(|key| hidden(&mut key.expr))?;
        let mut on = match &distinct {
            Distinct::On(on) => on.clone(),
            _ => Vec::new(),
        };
        on.iter_mut().try_for_each(&mut hidden)?;
        keys.retain(|key| !matches!(key.expr, Expr::Literal(_)));
        // A constant tells no rows apart.
        on.retain(|expr| !matches!(expr, Expr::Literal(_)));
        let hidden = exprs.len() > listed;
        let mut plan = plan.project(exprs);
        let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
        match distinct {
            Distinct::No => {}
            Distinct::All => plan = plan.distinct(&ids, &self.columns),
            Distinct::On(_) => {
                let order = keys.iter().filter(|key| !on.contains(&key.expr)).cloned().collect();
                let input = Box::new(plan);
                let top = TopOfGroups { input, groups: on, keys: order, limit: 1, offset: 0, ties: false };
                plan = Logical::TopOfGroups(top);
            }
        }
        if !keys.is_empty() {
            plan = Logical::Sort { input: Box::new(plan), keys };
        }
        if hidden {
            plan = plan.project(ids.iter().map(|&id| (id, self.columns.reference(id))).collect());
        }
        Ok(BoundQuery { plan, columns })
    }

    /// What a key of `ORDER BY` means: a position, an item by its name, or an expression.
    fn order_key(&mut self, ast: &ast::Expr, items: &[Item], context: &mut Context<'_>) -> Result<Expr> {
        if let Some(position) = ordinal(ast, items.len(), context.clause)? {
            return Ok(items[position].expr.clone());
        }
        if let ast::Expr::Identifier(name) = ast {
            let mut named = items.iter().filter(|item| same_name(&item.name, &name.value));
            if let Some(first) = named.next() {
                if named.any(|other| other.expr != first.expr) {
                    return Err(Error::name(format!("\"{}\" is ambiguous", name.value)).at(name.span));
                }
                return Ok(first.expr.clone());
            }
        }
        self.expression(ast, context)
    }
}

impl Listed<'_> {
    fn alias(&self) -> Option<Alias<'_>> {
        match self {
            Listed::Expr { alias: Some(name), expr, .. } => Some(Alias { name, expr }),
            _ => None,
        }
    }
}

/// Keeps the rows for which the condition is true. Subqueries whose mark is a conjunct by itself filter.
pub(super) fn filter(plan: Logical, condition: Expr, mut pending: Vec<Pending>) -> Logical {
    let mut predicate = conjuncts(condition);
    predicate.retain(|conjunct| {
        let (mark, kind) = match conjunct {
            Expr::Column { id, .. } => (*id, JoinKind::Semi),
            Expr::Not(inner) => match inner.as_ref() {
                Expr::Column { id, .. } => (*id, JoinKind::Anti),
                _ => return true,
            },
            _ => return true,
        };
        // A null mark negated is another question than an anti join's: see the rule `null_marks`.
        match pending.iter_mut().find(|join| join.kind == JoinKind::Mark(mark)) {
            Some(join) => {
                join.kind = kind;
                false
            }
            None => true,
        }
    });
    attach(plan, pending).filter(predicate)
}

fn refuse_clauses(select: &ast::Select) -> Result<()> {
    let span = select.select_token.0.span;
    refuse_if(select.top.is_some(), "TOP", span)?;
    refuse_if(select.exclude.is_some(), "EXCLUDE after the select list", span)?;
    refuse_if(select.into.is_some(), "SELECT INTO", span)?;
    refuse_if(!select.lateral_views.is_empty(), "LATERAL VIEW", span)?;
    refuse_if(select.prewhere.is_some(), "PREWHERE", span)?;
    refuse_if(!select.connect_by.is_empty(), "CONNECT BY", span)?;
    refuse_if(!select.cluster_by.is_empty(), "CLUSTER BY", span)?;
    refuse_if(!select.distribute_by.is_empty(), "DISTRIBUTE BY", span)?;
    refuse_if(!select.sort_by.is_empty(), "SORT BY", span)?;
    refuse_if(select.value_table_mode.is_some(), "SELECT AS VALUE", span)
}

/// The name of an item without an alias.
pub(super) fn name_of(expr: &ast::Expr) -> String {
    match expr {
        ast::Expr::Identifier(name) => name.value.clone(),
        ast::Expr::CompoundIdentifier(parts) => {
            parts.last().map_or_else(String::new, |part| part.value.clone())
        }
        ast::Expr::Nested(inner) => name_of(inner),
        ast::Expr::Collate { expr, .. } => name_of(expr),
        ast::Expr::Cast { expr, .. }
            if matches!(**expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)) =>
        {
            name_of(expr)
        }
        ast::Expr::Function(ast::Function { over: Some(_), name, .. }) => name.to_string().to_lowercase(),
        ast::Expr::Function(call) => {
            let text = call.to_string();
            if text.len() <= 60 { text.to_lowercase() } else { call.name.to_string().to_lowercase() }
        }
        other => {
            let text = other.to_string();
            match text.char_indices().nth(60) {
                Some((end, _)) => text[..end].to_string(),
                None => text,
            }
        }
    }
}
