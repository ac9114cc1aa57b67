//! One `SELECT`: where, grouping, having, select list, distinct, order.

use super::aggregate::{Aggregation, above_groups};
use super::expression::{Context, text_of};
use super::query::{ordinal, refuse_if, sort_key};
use super::scope::{Scope, same_name};
use super::subquery::{Pending, attach};
use super::window::Windows;
use super::{Binder, BoundQuery, OutputColumn};
use crate::error::{Error, Result};
use crate::logical::{ColumnId, ColumnSet, JoinKind, Logical, SortKey, conjuncts};
use exec::Expr;
use sqlparser::ast::{self, GroupByExpr, SelectItem, Spanned};

/// An item of the select list.
struct Item {
    name: String,
    expr: Expr,
    /// As in [`OutputColumn`].
    text: Option<String>,
}

/// An item before it is bound: `*` is spread.
enum Listed<'a> {
    Column { name: String, id: ColumnId },
    Expr { name: String, alias: Option<&'a ast::Ident>, expr: &'a ast::Expr },
}

/// An expression of `GROUP BY`.
struct Group {
    expr: Expr,
    /// Positions of the items of the select list that are written alike.
    items: Vec<usize>,
}

impl Binder<'_> {
    pub(crate) fn select(
        &mut self,
        select: &ast::Select,
        order_by: &[ast::OrderByExpr],
        outer: Option<&Scope<'_>>,
    ) -> Result<BoundQuery> {
        refuse_clauses(select)?;
        let (mut plan, relations) = self.from(&select.from, outer)?;
        let scope = Scope { relations, outer };
        if let Some(selection) = &select.selection {
            let mut context = Context::new(&scope, "WHERE");
            context.null_is_false = true;
            let condition = self.condition(selection, &mut context)?;
            plan = filter(plan, condition, context.pending);
        }
        let listed = self.listed(&select.projection, &scope)?;
        let groups = self.group_by(&select.group_by, &listed, &scope, &mut plan)?;
        let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());

        // What may hold aggregates is bound before the aggregate below it is made.
        let mut context = Context::new(&scope, "SELECT");
        context.aggregation = Some(Aggregation::default());
        context.windows = Some(Windows::named(&select.named_window)?);
        let mut items = Vec::with_capacity(listed.len());
        for (position, item) in listed.iter().enumerate() {
            items.push(match item {
                Listed::Column { name, id } => {
                    Item { name: name.clone(), expr: self.columns.reference(*id), text: None }
                }
                Listed::Expr { name, expr, .. } => {
                    // What is grouped by is not bound again: its subqueries are evaluated below.
                    let known = groups.iter().find(|group| group.items.contains(&position));
                    let text = match expr {
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
        let having = match &select.having {
            Some(having) => {
                (context.clause, context.null_is_false) = ("HAVING", true);
                let windows = context.windows.take();
                let condition = self.condition(having, &mut context)?;
                (context.null_is_false, context.windows) = (false, windows);
                Some(condition)
            }
            None => None,
        };
        let qualify = match &select.qualify {
            Some(qualify) => {
                (context.clause, context.null_is_false) = ("QUALIFY", true);
                context.aliases = items.iter().map(|item| (item.name.clone(), item.expr.clone())).collect();
                let condition = self.condition(qualify, &mut context)?;
                (context.null_is_false, context.aliases) = (false, Vec::new());
                Some(condition)
            }
            None => None,
        };
        context.clause = "ORDER BY";
        let distinct = match &select.distinct {
            None | Some(ast::Distinct::All) => false,
            Some(ast::Distinct::Distinct) => true,
            Some(ast::Distinct::On(_)) => {
                return Err(Error::unsupported("DISTINCT ON").at(select.select_token.0.span));
            }
        };
        let mut keys = Vec::with_capacity(order_by.len());
        for key in order_by {
            let expr = self.order_key(&key.expr, &items, &mut context)?;
            keys.push(sort_key(expr, key));
        }

        let Context { pending, aggregation, windows, .. } = context;
        let (aggregation, mut windows) = (aggregation.unwrap_or_default(), windows.unwrap_or_default());
        let (mut having, mut qualify) = (having, qualify);
        let mut pending = pending;
        if grouped || !aggregation.calls.is_empty() || having.is_some() {
            let below = plan.output_set();
            plan = attach(plan, aggregation.pending);
            let groups = self.groups(groups.into_iter().map(|group| group.expr).collect());
            let mut above = |expr: &mut Expr| -> Result<()> {
                let taken = expr.clone();
                *expr = above_groups(taken, &groups, &below).map_err(|id| {
                    let name = self.columns.name(id);
                    Error::value(format!("column \"{name}\" must be in GROUP BY or in an aggregate"))
                        .at(select.select_token.0.span)
                        .hint(format!("write any_value({name}) if any of its values will do"))
                })?;
                Ok(())
            };
            for item in &mut items {
                above(&mut item.expr)?;
            }
            having.iter_mut().chain(&mut qualify).try_for_each(&mut above)?;
            windows.exprs_mut().try_for_each(&mut above)?;
            keys.iter_mut().try_for_each(|key| above(&mut key.expr))?;
            pending.iter_mut().flat_map(|join| &mut join.on).try_for_each(&mut above)?;
            plan = plan.aggregate(groups.clone(), aggregation.calls);
            let kept = plan.output_set();
            for join in &pending {
                if let Some(stray) =
                    join.plan.free_columns().iter().find(|id| below.contains(id) && !kept.contains(id))
                {
                    let name = self.columns.name(*stray);
                    let message = format!("column \"{name}\" of a subquery must be in GROUP BY outside it");
                    return Err(Error::value(message).at(select.select_token.0.span));
                }
            }
        }
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
        self.finish(plan, items, distinct, keys, select.select_token.0.span)
    }

    /// The select list, duplicates out, then the order.
    fn finish(
        &mut self,
        plan: Logical,
        items: Vec<Item>,
        distinct: bool,
        mut keys: Vec<SortKey>,
        span: sqlparser::tokenizer::Span,
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
            let text = item.text.filter(|_| !distinct);
            columns.push(OutputColumn { name: item.name, id, text });
        }
        let listed = exprs.len();
        for key in &mut keys {
            if matches!(key.expr, Expr::Literal(_)) {
                continue;
            }
            let known = exprs.iter().find(|(_, expr)| *expr == key.expr).map(|&(id, _)| id);
            let id = match (known, &key.expr) {
                (Some(id), _) => id,
                (None, _) if distinct => {
                    return Err(
                        Error::value("with DISTINCT, ORDER BY takes expressions of the select list").at(span)
                    );
                }
                (None, Expr::Column { id, .. }) if available.contains(id) => *id,
                (None, other) => self.columns.add("order", other.data_type()),
            };
            if known.is_none() {
                exprs.push((id, key.expr.clone()));
            }
            key.expr = self.columns.reference(id);
        }
        keys.retain(|key| !matches!(key.expr, Expr::Literal(_)));
        let hidden = exprs.len() > listed;
        let mut plan = plan.project(exprs);
        let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
        if distinct {
            plan = plan.distinct(&ids, &self.columns);
        }
        if !keys.is_empty() {
            plan = Logical::Sort { input: Box::new(plan), keys };
        }
        if hidden {
            plan = plan.project(ids.iter().map(|&id| (id, self.columns.reference(id))).collect());
        }
        Ok(BoundQuery { plan, columns })
    }

    /// Spreads `*` and names the items.
    fn listed<'q>(&self, projection: &'q [SelectItem], scope: &Scope<'_>) -> Result<Vec<Listed<'q>>> {
        let mut listed = Vec::with_capacity(projection.len());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    listed.push(Listed::Expr { name: name_of(expr), alias: None, expr });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    listed.push(Listed::Expr { name: alias.value.clone(), alias: Some(alias), expr });
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(Error::unsupported("several aliases of one expression").at(item.span()));
                }
                SelectItem::Wildcard(options) => {
                    if scope.relations.is_empty() {
                        return Err(Error::name("SELECT * needs a FROM clause").at(item.span()));
                    }
                    let excluded = excluded(options)?;
                    let columns = scope.relations.iter().flat_map(|relation| &relation.columns);
                    for column in columns.filter(|column| !column.qualified_only) {
                        if !excluded.iter().any(|name| same_name(&name.value, &column.name)) {
                            listed.push(Listed::Column { name: column.name.clone(), id: column.id });
                        }
                    }
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let excluded = excluded(options)?;
                    let ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(Error::unsupported("an expression before .*").at(item.span()));
                    };
                    let (name, span) = crate::parse::table_name(name)?;
                    let relation = scope
                        .relations
                        .iter()
                        .find(|relation| {
                            relation.name.as_ref().is_some_and(|own| same_name(own, &name.name))
                                && name.schema.as_ref().is_none_or(|schema| {
                                    relation.schema.as_ref().is_some_and(|own| same_name(own, schema))
                                })
                        })
                        .ok_or_else(|| {
                            Error::name(format!("unknown table \"{name}\" in this query")).at(span)
                        })?;
                    for column in &relation.columns {
                        if !excluded.iter().any(|name| same_name(&name.value, &column.name)) {
                            listed.push(Listed::Column { name: column.name.clone(), id: column.id });
                        }
                    }
                }
            }
        }
        if listed.is_empty() {
            return Err(Error::value("the select list is empty"));
        }
        Ok(listed)
    }

    /// The expressions of `GROUP BY`: positions, columns, aliases of the select list, anything else.
    fn group_by(
        &mut self,
        clause: &GroupByExpr,
        listed: &[Listed<'_>],
        scope: &Scope<'_>,
        plan: &mut Logical,
    ) -> Result<Vec<Group>> {
        let GroupByExpr::Expressions(exprs, modifiers) = clause else {
            return Err(Error::unsupported("GROUP BY ALL").at(clause.span()));
        };
        refuse_if(!modifiers.is_empty(), "GROUP BY … WITH", clause.span())?;
        let mut groups = Vec::with_capacity(exprs.len());
        for ast in exprs {
            match ast {
                ast::Expr::GroupingSets(_) => {
                    return Err(Error::unsupported("GROUPING SETS").at(ast.span()));
                }
                ast::Expr::Cube(_) => return Err(Error::unsupported("CUBE").at(ast.span())),
                ast::Expr::Rollup(_) => return Err(Error::unsupported("ROLLUP").at(ast.span())),
                ast::Expr::Tuple(parts) if parts.is_empty() => continue,
                _ => {}
            }
            let mut meant = ast;
            if let Some(position) = ordinal(ast, listed.len(), "GROUP BY")? {
                match &listed[position] {
                    Listed::Column { id, .. } => {
                        groups.push(Group { expr: self.columns.reference(*id), items: Vec::new() });
                        continue;
                    }
                    Listed::Expr { expr, .. } => meant = expr,
                }
            } else if let ast::Expr::Identifier(name) = ast
                && scope.resolve_here(std::slice::from_ref(name))?.is_none()
            {
                let alias = listed.iter().find_map(|item| match item {
                    Listed::Expr { alias: Some(alias), expr, .. } if same_name(&alias.value, &name.value) => {
                        Some(*expr)
                    }
                    _ => None,
                });
                meant = alias.unwrap_or(ast);
            }
            let mut context = Context::new(scope, "GROUP BY");
            let expr = self.expression(meant, &mut context)?;
            *plan = attach(plan.take(), context.pending);
            let items = listed
                .iter()
                .enumerate()
                .filter(|(_, item)| matches!(item, Listed::Expr { expr, .. } if *expr == meant))
                .map(|(position, _)| position)
                .collect();
            groups.push(Group { expr, items });
        }
        Ok(groups)
    }

    /// Ids for groups: a bare column keeps its own. Each group once.
    fn groups(&mut self, exprs: Vec<Expr>) -> Vec<(ColumnId, Expr)> {
        let mut groups: Vec<(ColumnId, Expr)> = Vec::with_capacity(exprs.len());
        for expr in exprs {
            if groups.iter().any(|(_, known)| *known == expr) {
                continue;
            }
            let id = match &expr {
                Expr::Column { id, .. } => *id,
                other => self.columns.add(describe(other), other.data_type()),
            };
            groups.push((id, expr));
        }
        groups
    }

    /// What a key of `ORDER BY` means: a position, an item by its name, or an expression.
    fn order_key(&mut self, ast: &ast::Expr, items: &[Item], context: &mut Context<'_>) -> Result<Expr> {
        if let Some(position) = ordinal(ast, items.len(), "ORDER BY")? {
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

/// Keeps the rows for which the condition is true. Subqueries whose mark is a conjunct by itself filter.
fn filter(plan: Logical, condition: Expr, mut pending: Vec<Pending>) -> Logical {
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

fn excluded(options: &ast::WildcardAdditionalOptions) -> Result<Vec<&ast::Ident>> {
    let span = options.wildcard_token.0.span;
    refuse_if(options.opt_ilike.is_some(), "* ILIKE", span)?;
    refuse_if(options.opt_except.is_some(), "* EXCEPT", span)?;
    refuse_if(options.opt_replace.is_some(), "* REPLACE", span)?;
    refuse_if(options.opt_rename.is_some(), "* RENAME", span)?;
    let names = match &options.opt_exclude {
        None => return Ok(Vec::new()),
        Some(ast::ExcludeSelectItem::Single(name)) => std::slice::from_ref(name),
        Some(ast::ExcludeSelectItem::Multiple(names)) => names.as_slice(),
    };
    names
        .iter()
        .map(|name| match name.0.as_slice() {
            [ast::ObjectNamePart::Identifier(ident)] => Ok(ident),
            _ => Err(Error::unsupported("a qualified name in EXCLUDE").at(name.span())),
        })
        .collect()
}

/// The name of an item without an alias.
fn name_of(expr: &ast::Expr) -> String {
    match expr {
        ast::Expr::Identifier(name) => name.value.clone(),
        ast::Expr::CompoundIdentifier(parts) => {
            parts.last().map_or_else(String::new, |part| part.value.clone())
        }
        ast::Expr::Nested(inner) => name_of(inner),
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

fn describe(expr: &Expr) -> &str {
    match expr {
        Expr::Call { function, .. } => function,
        _ => "group",
    }
}
