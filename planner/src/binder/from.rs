//! `FROM`: tables, subqueries and joins.

use super::expression::{Bound, Context};
use super::query::refuse_if;
use super::sample::sample_of;
use super::scope::{Relation, Scope, ScopeColumn, same_name};
use super::series::TableCall;
use super::subquery::attach;
use super::{Binder, BoundQuery};
use crate::error::{Error, Result};
use crate::logical::{JoinKind, Logical, Scan, conjuncts};
use crate::parse::table_name;
use crate::statement::UseKind;
use columnar::Value;
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, JoinConstraint, JoinOperator, Spanned, TableFactor};
use sqlparser::tokenizer::Span;

/// A plan and the names by which its columns are known.
pub(super) type Source = (Logical, Vec<Relation>);

impl Binder<'_> {
    /// The product of a comma list; nothing is one row without columns.
    pub(crate) fn from(&mut self, from: &[ast::TableWithJoins], outer: Option<&Scope<'_>>) -> Result<Source> {
        let mut source: Option<Source> = None;
        for item in from {
            let known = source.as_ref().map_or(&[][..], |(_, relations)| relations);
            let next = self.table_with_joins(item, known, outer)?;
            source = Some(match source {
                None => next,
                Some((plan, relations)) => (
                    plan.join(next.0, JoinKind::Inner, Vec::new()),
                    together(relations, next.1, item.span())?,
                ),
            });
        }
        Ok(source.unwrap_or_else(|| (Logical::one_row(), Vec::new())))
    }

    /// `known` are the relations before it, which a lateral subquery may name.
    fn table_with_joins(
        &mut self,
        item: &ast::TableWithJoins,
        known: &[Relation],
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        let mut source = self.table_factor(&item.relation, known, outer)?;
        for join in &item.joins {
            let span = join.relation.span();
            let mut before = known.to_vec();
            before.extend(source.1.iter().cloned());
            let right = self.table_factor(&join.relation, &before, outer)?;
            // The tokens have `GLOBAL` for `ASOF`.
            source = match join.global {
                true => self.as_of(source, right, &join.join_operator, span, outer)?,
                false => self.join(source, right, &join.join_operator, span, outer)?,
            };
        }
        Ok(source)
    }

    fn join(
        &mut self,
        left: Source,
        right: Source,
        operator: &JoinOperator,
        span: Span,
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        /// How SQL names it; `Right` is `Left` with the sides exchanged.
        #[derive(PartialEq)]
        enum Side {
            Inner,
            Left,
            Right,
            Full,
            Semi,
            Anti,
        }
        let (side, constraint) = match operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (Side::Inner, constraint),
            JoinOperator::CrossJoin(constraint) => (Side::Inner, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (Side::Left, constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (Side::Right, constraint)
            }
            JoinOperator::FullOuter(constraint) => (Side::Full, constraint),
            JoinOperator::Semi(constraint) | JoinOperator::LeftSemi(constraint) => (Side::Semi, constraint),
            JoinOperator::Anti(constraint) | JoinOperator::LeftAnti(constraint) => (Side::Anti, constraint),
            other => {
                let name = format!("{other:?}");
                let name = name.split(['(', ' ', '{']).next().unwrap_or_default().to_string();
                return Err(Error::unsupported(format!("the join {name}")).at(span));
            }
        };
        if matches!(constraint, JoinConstraint::None) && !matches!(operator, JoinOperator::CrossJoin(_)) {
            return Err(Error::value("a JOIN needs ON or USING; a product is written CROSS JOIN").at(span));
        }
        let (left_plan, mut left_relations) = left;
        let (right_plan, mut right_relations) = right;
        if matches!(side, Side::Right | Side::Full)
            && !right_plan.free_columns().is_disjoint(&left_plan.output_set())
        {
            let message =
                "what uses columns of the join's left side cannot be its right side in a RIGHT or FULL JOIN";
            return Err(Error::value(message).at(span));
        }
        let mut on = Vec::new();
        let mut pending = Vec::new();
        let mut merged = Vec::new();
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                let relations = together(left_relations.clone(), right_relations.clone(), span)?;
                let scope = Scope { relations, outer };
                let mut context = Context::new(&scope, "ON");
                context.null_is_false = true;
                on = conjuncts(self.condition(condition, &mut context)?);
                pending = context.pending;
                if !pending.is_empty() && side != Side::Inner {
                    return Err(Error::unsupported("a subquery in ON of an outer join").at(condition.span()));
                }
            }
            JoinConstraint::Using(names) => {
                for name in names {
                    let [ast::ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
                        return Err(Error::name("USING takes plain column names").at(name.span()));
                    };
                    merged.push((name.value.clone(), name.span));
                }
            }
            JoinConstraint::Natural => {
                let in_right = |name: &str| {
                    right_relations.iter().flat_map(|r| &r.columns).any(|c| same_name(&c.name, name))
                };
                for column in left_relations.iter().flat_map(|relation| &relation.columns) {
                    if !column.qualified_only && in_right(&column.name) {
                        merged.push((column.name.clone(), span));
                    }
                }
            }
        }
        // The columns of USING: one column that stands for both, before all others.
        let mut shared = Vec::new();
        let mut coalesced = Vec::new();
        for (name, span) in merged {
            let ident = ast::Ident::with_span(span, name.clone());
            let resolve = |relations: &[Relation]| {
                let scope = Scope { relations: relations.to_vec(), outer: None };
                scope.resolve(std::slice::from_ref(&ident))
            };
            let (a, b) = (resolve(&left_relations)?, resolve(&right_relations)?);
            let bound = |binder: &Self, id| Bound::typed(binder.columns.reference(id), span);
            let (x, y) = (bound(self, a), bound(self, b));
            on.push(self.compare(CompareOp::Equal, x.clone(), y.clone())?);
            for relation in left_relations.iter_mut().chain(&mut right_relations) {
                for column in &mut relation.columns {
                    if column.id == a || column.id == b {
                        column.qualified_only = true;
                    }
                }
            }
            let id = match side {
                Side::Right => b,
                Side::Full => {
                    let (mut values, data_type) = self.unify_all(vec![x, y], "USING")?;
                    let otherwise = values.pop().map(Box::new);
                    let first = values.pop().unwrap_or(Expr::Literal(Value::null(data_type)));
                    let known = Expr::IsNull { input: Box::new(first.clone()), negated: true };
                    let id = self.columns.add(&name, data_type);
                    coalesced.push((id, Expr::Case { branches: vec![(known, first)], otherwise, data_type }));
                    id
                }
                _ => a,
            };
            shared.push(ScopeColumn { name, id, qualified_only: false });
        }
        let mut plan = match side {
            Side::Inner if !pending.is_empty() => {
                attach(left_plan.join(right_plan, JoinKind::Inner, Vec::new()), pending).filter(on)
            }
            Side::Inner => left_plan.join(right_plan, JoinKind::Inner, on),
            Side::Left => left_plan.join(right_plan, JoinKind::Left, on),
            Side::Right => right_plan.join(left_plan, JoinKind::Left, on),
            Side::Full => left_plan.join(right_plan, JoinKind::Full, on),
            Side::Semi => left_plan.join(right_plan, JoinKind::Semi, on),
            Side::Anti => left_plan.join(right_plan, JoinKind::Anti, on),
        };
        if !coalesced.is_empty() {
            let mut exprs: Vec<_> =
                plan.outputs().into_iter().map(|id| (id, self.columns.reference(id))).collect();
            exprs.extend(coalesced);
            plan = plan.project(exprs);
        }
        let mut relations = Vec::new();
        if !shared.is_empty() {
            relations.push(Relation { schema: None, name: None, columns: shared });
        }
        if matches!(side, Side::Semi | Side::Anti) {
            relations.extend(left_relations);
            return Ok((plan, relations));
        }
        relations.extend(together(left_relations, right_relations, span)?);
        Ok((plan, relations))
    }

    pub(super) fn table_factor(
        &mut self,
        factor: &TableFactor,
        known: &[Relation],
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        let span = factor.span();
        if let Some((bare, sample)) = sample_of(factor) {
            let source = self.table_factor(&bare, known, outer)?;
            return self.sampled(source, &sample, span);
        }
        self.count_relation(span)?;
        match factor {
            TableFactor::Table { name, alias, args: None, version: None, sample: None, .. } => {
                self.named(name, alias.as_ref())
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                let scope = Scope { relations: known.to_vec(), outer };
                let bound = self.query(subquery, if *lateral { Some(&scope) } else { outer })?;
                derived(bound, None, alias.as_ref(), span)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut source = self.table_with_joins(table_with_joins, known, outer)?;
                if let Some(alias) = alias {
                    rename_relation(&mut source, alias)?;
                }
                Ok(source)
            }
            TableFactor::Table { name, alias, args: Some(args), version: None, sample: None, .. }
                if self.macro_named(name).is_some() =>
            {
                self.table_macro(name, args, alias.as_ref(), outer)
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                with_ordinality,
                version: None,
                sample: None,
                ..
            } => {
                refuse_if(args.settings.is_some(), "SETTINGS", span)?;
                let (args, with_ordinality) = (&args.args[..], *with_ordinality);
                let call = TableCall { name, args, with_ordinality, alias: alias.as_ref(), span };
                self.table_function(&call, &Scope { relations: known.to_vec(), outer })
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                let with_ordinality = *with_ordinality;
                let call = TableCall { name, args, with_ordinality, alias: alias.as_ref(), span };
                self.table_function(&call, &Scope { relations: known.to_vec(), outer })
            }
            TableFactor::Table { .. } => Err(Error::unsupported("a version of a table").at(span)),
            TableFactor::UNNEST { .. } => Err(Error::unsupported("UNNEST").at(span)),
            TableFactor::Pivot { .. } => self.pivot(factor, known, outer),
            TableFactor::Unpivot { .. } => self.unpivot(factor, known, outer),
            _ => Err(Error::unsupported("this kind of source in FROM").at(span)),
        }
    }

    /// A CTE or a table.
    fn named(&mut self, name: &ast::ObjectName, alias: Option<&ast::TableAlias>) -> Result<Source> {
        let (name, span) = table_name(name)?;
        let cte = match name.schema {
            None => self.ctes.iter().rposition(|cte| same_name(&cte.name, &name.name)),
            Some(_) => None,
        };
        if let Some(position) = cte {
            let cte = self.ctes[position].clone();
            // The CTE sees only those before it.
            let hidden = self.ctes.split_off(cte.sees);
            let bound = self.query(&cte.query, None);
            self.ctes.truncate(cte.sees);
            self.ctes.extend(hidden);
            let mut bound = bound?;
            rename_columns(&mut bound, &cte.column_names, &cte.name)?;
            return derived(bound, Some(&cte.name), alias, span);
        }
        if let Some(table) = self.catalog.table(name.schema.as_deref(), &name.name) {
            self.check_allowed(&table, span)?;
            self.uses(UseKind::Relation, &table.schema, &table.name);
            self.hides_columns |= !table.columns.iter().all(|column| self.sees_column(&table, &column.name));
            let columns: Vec<(u32, u32)> = table
                .columns
                .iter()
                .enumerate()
                .map(|(position, column)| (position as u32, self.columns.add(&column.name, column.data_type)))
                .collect();
            let mut names: Vec<ScopeColumn> = columns
                .iter()
                .zip(&table.columns)
                .map(|(&(_, id), column)| ScopeColumn {
                    name: column.name.clone(),
                    id,
                    qualified_only: false,
                })
                .collect();
            apply_alias(&mut names, alias, &table.name)?;
            let relation = Relation {
                schema: if alias.is_some() { None } else { Some(table.schema.clone()) },
                name: Some(alias.map_or_else(|| table.name.clone(), |alias| alias.name.value.clone())),
                columns: names,
            };
            let filter = self.row_filter(&table, &columns)?;
            let hides_rows = filter.is_some();
            let (predicate, filtered) = (filter.unwrap_or_default(), Vec::new());
            let scan = Scan { table, columns, predicate, filtered, hides_rows };
            return Ok((Logical::Scan(scan), vec![relation]));
        }
        if let Some(view) = self.catalog.view(name.schema.as_deref(), &name.name) {
            return self.view(&view, alias, span);
        }
        if let Some(table) = self.catalog.virtual_table(name.schema.as_deref(), &name.name) {
            let columns: Vec<u32> =
                table.columns.iter().map(|column| self.columns.add(&column.name, column.data_type)).collect();
            let mut names: Vec<ScopeColumn> = columns
                .iter()
                .zip(&table.columns)
                .map(|(&id, column)| ScopeColumn { name: column.name.clone(), id, qualified_only: false })
                .collect();
            apply_alias(&mut names, alias, &table.name)?;
            let own = alias.map_or_else(|| table.name.clone(), |alias| alias.name.value.clone());
            let schema = if alias.is_some() { None } else { name.schema };
            let relation = Relation { schema, name: Some(own), columns: names };
            return Ok((Logical::Values { columns, rows: table.rows }, vec![relation]));
        }
        Err(self.unknown_table(&name, span))
    }
}

/// A bound query as a relation.
pub(super) fn derived(
    mut bound: BoundQuery,
    name: Option<&str>,
    alias: Option<&ast::TableAlias>,
    span: Span,
) -> Result<Source> {
    if let Some(alias) = alias {
        refuse_if(alias.at.is_some(), "AT in an alias", span)?;
        let names: Vec<ast::Ident> = alias.columns.iter().map(|column| column.name.clone()).collect();
        rename_columns(&mut bound, &names, &alias.name.value)?;
    }
    let columns = bound
        .columns
        .into_iter()
        .map(|column| ScopeColumn { name: column.name, id: column.id, qualified_only: false })
        .collect();
    let name = alias.map(|alias| alias.name.value.clone()).or_else(|| name.map(str::to_string));
    Ok((bound.plan, vec![Relation { schema: None, name, columns }]))
}

pub(super) fn rename_relation(source: &mut Source, alias: &ast::TableAlias) -> Result<()> {
    let all = source.1.drain(..).flat_map(|relation| relation.columns);
    let mut columns: Vec<ScopeColumn> = all.filter(|column| !column.qualified_only).collect();
    apply_alias(&mut columns, Some(alias), &alias.name.value)?;
    source.1.push(Relation { schema: None, name: Some(alias.name.value.clone()), columns });
    Ok(())
}

pub(super) fn rename_columns(bound: &mut BoundQuery, names: &[ast::Ident], relation: &str) -> Result<()> {
    if let Some(extra) = names.get(bound.columns.len()) {
        let found = bound.columns.len();
        return Err(Error::name(format!("\"{relation}\" has {found} columns, more are named")).at(extra.span));
    }
    for (column, name) in bound.columns.iter_mut().zip(names) {
        column.name = name.value.clone();
    }
    Ok(())
}

pub(super) fn apply_alias(
    columns: &mut [ScopeColumn],
    alias: Option<&ast::TableAlias>,
    table: &str,
) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    if let Some(extra) = alias.columns.get(columns.len()) {
        let found = columns.len();
        return Err(
            Error::name(format!("\"{table}\" has {found} columns, more are named")).at(extra.name.span)
        );
    }
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name = name.name.value.clone();
    }
    Ok(())
}

/// The relations of both sides; no name twice.
pub(super) fn together(mut left: Vec<Relation>, right: Vec<Relation>, span: Span) -> Result<Vec<Relation>> {
    for relation in &right {
        let twice = relation.name.as_ref().is_some_and(|name| {
            left.iter().any(|other| {
                other.name.as_ref().is_some_and(|own| same_name(own, name)) && other.schema == relation.schema
            })
        });
        if let (true, Some(name)) = (twice, &relation.name) {
            return Err(Error::name(format!("the name \"{name}\" stands for two relations of this query"))
                .at(span)
                .hint("give one of them an alias"));
        }
    }
    left.extend(right);
    Ok(left)
}
