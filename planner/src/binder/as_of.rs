//! `ASOF JOIN`: each left row with the nearest right row of those that a comparison holds for, among those with equal keys.
//!
//! Both sides are put into one order, by the keys and then by what is compared; a left row's partner is then the last right
//! row before it. So each side is sorted once, and no pairs are made.

use super::expression::{Bound, Context};
use super::from::{Source, together};
use super::query::refuse_if;
use super::scope::{Relation, Scope};
use super::{Binder, same_name};
use crate::error::{Error, Result};
use crate::logical::{AsOf, ColumnId, ColumnSet, Logical, SortKey, columns_of, conjuncts};
use columnar::{DataType, Value};
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, JoinConstraint, JoinOperator, Spanned};
use sqlparser::tokenizer::Span;
use std::collections::HashMap;

/// What rows are compared by: an expression of the left side and one of the right.
type Pair = (Expr, Expr);

impl Binder<'_> {
    /// The join; the tokens have it as one that is global.
    pub(super) fn as_of(
        &mut self,
        left: Source,
        right: Source,
        operator: &JoinOperator,
        span: Span,
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        let (constraint, required) = match operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (constraint, true),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, false),
            _ => return Err(Error::unsupported("such an ASOF JOIN").at(span)),
        };
        let (left_plan, left_relations) = left;
        let (right_plan, right_relations) = right;
        let mut hidden = Vec::new();
        let on = match constraint {
            JoinConstraint::On(condition) => {
                let relations = together(left_relations.clone(), right_relations.clone(), span)?;
                let scope = Scope { relations, outer };
                let mut context = Context::new(&scope, "ON");
                let on = conjuncts(self.condition(condition, &mut context)?);
                refuse_if(!context.pending.is_empty(), "a subquery in ON of an ASOF JOIN", condition.span())?;
                on
            }
            JoinConstraint::Using(names) => {
                self.as_of_using(names, &left_relations, &right_relations, &mut hidden)?
            }
            _ => return Err(Error::value("an ASOF JOIN needs ON or USING").at(span)),
        };
        let sides = (left_plan.output_set(), right_plan.output_set());
        let (mut equal, mut nearest): (Vec<Pair>, Option<(CompareOp, Pair)>) = (Vec::new(), None);
        for expr in on {
            let wrong = || {
                Error::value("an ASOF JOIN takes equalities and one of <, <=, > and >= between its sides")
                    .at(span)
            };
            let Expr::Compare { op, left, right } = expr else { return Err(wrong()) };
            let (op, pair) = sided(op, *left, *right, &sides).ok_or_else(wrong)?;
            match op {
                CompareOp::Equal => equal.push(pair),
                CompareOp::Less | CompareOp::LessOrEqual | CompareOp::Greater | CompareOp::GreaterOrEqual
                    if nearest.is_none() =>
                {
                    nearest = Some((op, pair));
                }
                _ => return Err(wrong()),
            }
        }
        let Some(nearest) = nearest else {
            return Err(Error::value("an ASOF JOIN needs one of <, <=, > and >= between its sides").at(span));
        };
        let (plan, renamed) = self.nearest(left_plan, right_plan, equal, nearest, required);
        let mut relations = together(left_relations, right_relations, span)?;
        for column in relations.iter_mut().flat_map(|relation| &mut relation.columns) {
            column.qualified_only |= hidden.contains(&column.id);
            column.id = renamed.get(&column.id).copied().unwrap_or(column.id);
        }
        Ok((plan, relations))
    }

    /// The columns of `USING`: all but the last are equal, the right side's last is the nearest before the left's. The
    /// right side's are `hidden` behind the left side's.
    fn as_of_using(
        &mut self,
        names: &[ast::ObjectName],
        left: &[Relation],
        right: &[Relation],
        hidden: &mut Vec<ColumnId>,
    ) -> Result<Vec<Expr>> {
        let mut on = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let [ast::ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
                return Err(Error::name("USING takes plain column names").at(name.span()));
            };
            let resolve = |relations: &[Relation]| {
                let scope = Scope { relations: relations.to_vec(), outer: None };
                scope.resolve(std::slice::from_ref(name))
            };
            let (a, b) = (resolve(left)?, resolve(right)?);
            hidden.push(b);
            let last = place + 1 == names.len();
            let op = if last { CompareOp::GreaterOrEqual } else { CompareOp::Equal };
            let bound = |binder: &Self, id| Bound::typed(binder.columns.reference(id), name.span);
            on.push(self.compare(op, bound(self, a), bound(self, b))?);
        }
        let once = |name: &ast::ObjectName| {
            names.iter().filter(|other| same_name(&other.to_string(), &name.to_string())).count()
        };
        match names.iter().find(|name| once(name) > 1) {
            Some(name) => Err(Error::name(format!("USING names {name} twice")).at(name.span())),
            None => Ok(on),
        }
    }

    /// Both sides' rows in one order; what the columns of each are called in the result.
    fn nearest(
        &mut self,
        left: Logical,
        right: Logical,
        equal: Vec<Pair>,
        (op, nearest): (CompareOp, Pair),
        required: bool,
    ) -> (Logical, HashMap<ColumnId, ColumnId>) {
        // The right row comes first where the comparison holds for equal values, too.
        let source_first = matches!(op, CompareOp::LessOrEqual | CompareOp::GreaterOrEqual);
        let descending = matches!(op, CompareOp::Less | CompareOp::LessOrEqual);
        let (of_left, of_right) = (left.outputs(), right.outputs());
        let known = |expr: &Expr| Expr::IsNull { input: Box::new(expr.clone()), negated: true };
        // A null is not near to anything.
        let tested: Vec<Expr> = equal.iter().chain([&nearest]).map(|(_, right)| known(right)).collect();
        let right = right.filter(tested);
        let boolean = |value: bool| Expr::Literal(Value::boolean(value));
        let null = |binder: &Self, id: ColumnId| Expr::Literal(Value::null(binder.columns.data_type(id)));
        let mut rows: [Vec<Expr>; 2] = [Vec::new(), Vec::new()];
        for &id in &of_left {
            rows[0].push(self.columns.reference(id));
            rows[1].push(null(self, id));
        }
        for &id in &of_right {
            rows[0].push(null(self, id));
            rows[1].push(self.columns.reference(id));
        }
        let value_null = Expr::IsNull { input: Box::new(nearest.0.clone()), negated: false };
        let extra =
            equal.into_iter().chain([nearest, (value_null, boolean(false)), (boolean(false), boolean(true))]);
        for (a, b) in extra {
            // Decimals are compared whatever their digits; in one column they have the same.
            let (of_a, of_b) = (a.data_type(), b.data_type());
            let target = super::types::unify(of_a, of_b).unwrap_or(of_a);
            rows[0].push(as_type(a, target));
            rows[1].push(as_type(b, target));
        }
        let columns: Vec<ColumnId> = rows[0]
            .iter()
            .map(|expr| match expr {
                Expr::Column { id, .. } => self.columns.copy(*id),
                other => self.columns.add("as_of", other.data_type()),
            })
            .collect();
        let mut inputs = Vec::with_capacity(2);
        for (plan, exprs) in [left, right].into_iter().zip(rows) {
            let ids: Vec<ColumnId> = columns.iter().map(|&id| self.columns.copy(id)).collect();
            inputs.push((plan.project(ids.iter().copied().zip(exprs).collect()), ids));
        }
        let input = Box::new(Logical::Union { inputs, columns: columns.clone() });
        let (given, extra) = columns.split_at(of_left.len() + of_right.len());
        let references: Vec<Expr> = extra.iter().map(|&id| self.columns.reference(id)).collect();
        let [groups @ .., value, unknown, source] = references.as_slice() else {
            return (*input, HashMap::new());
        };
        let key = |expr: &Expr, descending: bool| SortKey {
            expr: expr.clone(),
            descending,
            nulls_first: descending,
        };
        let carried: Vec<(ColumnId, Expr)> = given[of_left.len()..]
            .iter()
            .map(|&id| (self.columns.copy(id), self.columns.reference(id)))
            .collect();
        let mut renamed: HashMap<ColumnId, ColumnId> =
            of_left.into_iter().zip(given.iter().copied()).collect();
        renamed.extend(of_right.into_iter().zip(carried.iter().map(|&(id, _)| id)));
        let join = AsOf {
            input,
            groups: groups.iter().chain([unknown]).cloned().collect(),
            keys: vec![key(value, descending), key(source, source_first)],
            source: source.clone(),
            carried,
            required,
        };
        let exprs = renamed.values().map(|&id| (id, self.columns.reference(id)));
        let mut exprs: Vec<(ColumnId, Expr)> = exprs.collect();
        exprs.sort_by_key(|&(id, _)| id);
        (Logical::AsOf(join).project(exprs), renamed)
    }
}

/// A comparison with the left side's expression first.
fn sided(
    op: CompareOp,
    a: Expr,
    b: Expr,
    (left, right): &(ColumnSet, ColumnSet),
) -> Option<(CompareOp, Pair)> {
    let (of_a, of_b) = (columns_of(&a), columns_of(&b));
    if of_a.is_empty() || of_b.is_empty() || a.data_type() == DataType::Null {
        return None;
    }
    if of_a.is_subset(left) && of_b.is_subset(right) {
        return Some((op, (a, b)));
    }
    (of_a.is_subset(right) && of_b.is_subset(left)).then(|| (op.swapped(), (b, a)))
}

fn as_type(expr: Expr, data_type: DataType) -> Expr {
    match expr.data_type() == data_type {
        true => expr,
        false => Expr::Cast { input: Box::new(expr), data_type, try_cast: false },
    }
}
