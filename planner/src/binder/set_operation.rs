//! `UNION`, `INTERSECT` and `EXCEPT`, of rows with and without duplicates, by position and by name.

use super::query::refuse_if;
use super::scope::{Scope, same_name};
use super::select::Order;
use super::{Binder, BoundQuery, MAX_QUERY_DEPTH, OutputColumn, types};
use crate::error::{Error, Result};
use crate::logical::{AggregateCall, ColumnId, JoinKind, Logical, Series};
use columnar::{DataType, Value};
use exec::plan::AggregateFunction;
use exec::{ArithmeticOp, CompareOp, Expr};
use sqlparser::ast::{SetExpr, SetOperator, SetQuantifier, Spanned};
use sqlparser::tokenizer::Span;

/// A side of a set operation, and where it was written.
type Side = (BoundQuery, Span);

impl Binder<'_> {
    pub(super) fn set_expr(&mut self, body: &SetExpr, outer: Option<&Scope<'_>>) -> Result<BoundQuery> {
        match body {
            SetExpr::Select(select) => self.select(select, Order::By(&[]), outer),
            SetExpr::Query(query) => self.query(query, outer),
            SetExpr::Values(values) => self.values(values, outer),
            SetExpr::SetOperation { op, set_quantifier, .. } => {
                let (all, by_name) = match set_quantifier {
                    SetQuantifier::All => (true, false),
                    SetQuantifier::None | SetQuantifier::Distinct => (false, false),
                    SetQuantifier::AllByName => (true, true),
                    SetQuantifier::ByName | SetQuantifier::DistinctByName => (false, true),
                };
                let is_union = matches!(op, SetOperator::Union);
                refuse_if(by_name && !is_union, &format!("{op} BY NAME"), body.span())?;
                // A chain of one operator is taken flat.
                let mut parts = Vec::new();
                let mut rest = body;
                while let SetExpr::SetOperation { op: other, set_quantifier: quantifier, left, right } = rest
                    && (parts.is_empty()
                        || is_union && !by_name && other == op && is_same(*quantifier, *set_quantifier))
                {
                    parts.push(right.as_ref());
                    rest = left;
                }
                parts.push(rest);
                let mut inputs = Vec::with_capacity(parts.len());
                for part in parts.into_iter().rev() {
                    self.query_depth += 1;
                    let input = if self.query_depth > MAX_QUERY_DEPTH {
                        Err(Error::value("set operations are nested too deeply").at(part.span()))
                    } else {
                        self.set_expr(part, outer)
                    };
                    self.query_depth -= 1;
                    inputs.push((input?, part.span()));
                }
                if by_name {
                    self.align(&mut inputs)?;
                }
                self.set_operation(*op, all, inputs).map_err(|error| error.at(body.span()))
            }
            SetExpr::Table(_) => Err(Error::unsupported("TABLE as a query").at(body.span())),
            _ => Err(Error::unsupported("a change of data inside a query").at(body.span())),
        }
    }

    /// `BY NAME`: all inputs have the columns of all, in the order in which they come first; those that one has not are
    /// null.
    fn align(&mut self, inputs: &mut [Side]) -> Result<()> {
        let mut names: Vec<String> = Vec::new();
        for (input, span) in inputs.iter() {
            for (place, column) in input.columns.iter().enumerate() {
                if input.columns[..place].iter().any(|other| same_name(&other.name, &column.name)) {
                    let message = format!("BY NAME of a query with two columns \"{}\"", column.name);
                    return Err(Error::name(message).at(*span));
                }
                if !names.iter().any(|name| same_name(name, &column.name)) {
                    names.push(column.name.clone());
                }
            }
        }
        for (input, _) in inputs {
            let mut columns = Vec::with_capacity(names.len());
            let mut missing = Vec::new();
            for name in &names {
                let known = input.columns.iter().find(|column| same_name(&column.name, name)).cloned();
                columns.push(known.unwrap_or_else(|| {
                    let id = self.columns.add(name.as_str(), DataType::Null);
                    missing.push((id, Expr::Literal(Value::null(DataType::Null))));
                    OutputColumn::typed(name.clone(), id)
                }));
            }
            if !missing.is_empty() {
                let given = input.plan.outputs().into_iter().map(|id| (id, self.columns.reference(id)));
                let exprs = given.chain(missing).collect();
                input.plan = input.plan.take().project(exprs);
            }
            input.columns = columns;
        }
        Ok(())
    }

    fn set_operation(&mut self, op: SetOperator, all: bool, inputs: Vec<Side>) -> Result<BoundQuery> {
        let width = inputs[0].0.columns.len();
        let mut target = vec![DataType::Null; width];
        for (input, span) in &inputs {
            if input.columns.len() != width {
                let found = input.columns.len();
                return Err(Error::value(format!("{op} of {width} columns and {found}")).at(*span));
            }
            for (position, column) in input.columns.iter().enumerate() {
                if column.text.is_some() {
                    continue;
                }
                let own = self.columns.data_type(column.id);
                target[position] = types::unify(target[position], own).ok_or_else(|| {
                    let so_far = target[position];
                    let name = &column.name;
                    Error::value(format!("{op} mixes {so_far} and {own} in column \"{name}\"")).at(*span)
                })?;
            }
        }
        // Literals that nothing gives a type are text.
        for column in inputs.iter().flat_map(|(input, _)| input.columns.iter().enumerate()) {
            if let (position, OutputColumn { text: Some(_), .. }) = column
                && target[position] == DataType::Null
            {
                target[position] = DataType::Varchar;
            }
        }
        let names: Vec<String> = inputs[0].0.columns.iter().map(|column| column.name.clone()).collect();
        let mut parts = Vec::new();
        for (input, span) in inputs {
            parts.push(self.cast_columns(input.plan, &input.columns, &target, span)?);
        }
        if op == SetOperator::Union {
            let columns: Vec<_> = names
                .iter()
                .zip(&target)
                .map(|(name, &data_type)| self.columns.add(name, data_type))
                .collect();
            let mut plan = Logical::Union { inputs: parts, columns: columns.clone() };
            if !all {
                plan = plan.distinct(&columns, &self.columns);
            }
            return Ok(outputs(plan, names, columns));
        }
        let right = parts.pop().ok_or_else(|| Error::internal("a set operation of nothing"))?;
        let left = parts.pop().ok_or_else(|| Error::internal("a set operation of one"))?;
        if all {
            let (plan, columns) = self.counted(op == SetOperator::Intersect, left, right);
            return Ok(outputs(plan, names, columns));
        }
        let kind = if op == SetOperator::Intersect { JoinKind::Semi } else { JoinKind::Anti };
        let ((left, left_ids), (right, right_ids)) = (left, right);
        let on = left_ids
            .iter()
            .zip(&right_ids)
            .map(|(&a, &b)| {
                let (a, b) = (self.columns.reference(a), self.columns.reference(b));
                Expr::compare(CompareOp::IsNotDistinctFrom, a, b)
            })
            .collect();
        let plan = left.distinct(&left_ids, &self.columns).join(right, kind, on);
        Ok(outputs(plan, names, left_ids))
    }

    /// `INTERSECT ALL` and `EXCEPT ALL`: the rows of both sides are counted, and each is given as often as the counts say.
    fn counted(
        &mut self,
        intersect: bool,
        left: (Logical, Vec<ColumnId>),
        right: (Logical, Vec<ColumnId>),
    ) -> (Logical, Vec<ColumnId>) {
        let number = |value: i64| Expr::Literal(Value::int64(value));
        let mut inputs = Vec::with_capacity(2);
        let columns: Vec<ColumnId> = left.1.iter().map(|&id| self.columns.copy(id)).collect();
        for (side, (plan, ids)) in [left, right].into_iter().enumerate() {
            let mut counts = [0, 0];
            counts[side] = 1;
            let mut exprs: Vec<(ColumnId, Expr)> =
                ids.iter().map(|&id| (self.columns.copy(id), self.columns.reference(id))).collect();
            exprs.extend(counts.map(|count| (self.columns.add("count", DataType::Int64), number(count))));
            let given = exprs.iter().map(|&(id, _)| id).collect();
            inputs.push((plan.project(exprs), given));
        }
        let counts = [(); 2].map(|()| self.columns.add("count", DataType::Int64));
        let all = columns.iter().copied().chain(counts).collect();
        let union = Logical::Union { inputs, columns: all };
        let sum = |count: ColumnId| AggregateCall {
            function: AggregateFunction::SumCounts,
            distinct: false,
            args: vec![Expr::column(count, DataType::Int64)],
            filter: None,
            data_type: DataType::Int64,
        };
        let sums = counts.map(|count| (self.columns.add("count", DataType::Int64), sum(count)));
        let [of_left, of_right] = [0, 1].map(|side: usize| Expr::column(sums[side].0, DataType::Int64));
        let groups = columns.iter().map(|&id| (id, self.columns.reference(id))).collect();
        let input = Box::new(union.aggregate(groups, sums.into()));
        let stop = match intersect {
            true => {
                let less = Expr::compare(CompareOp::Less, of_left.clone(), of_right.clone());
                let otherwise = Some(Box::new(of_right));
                Expr::Case { branches: vec![(less, of_left)], otherwise, data_type: DataType::Int64 }
            }
            false => Expr::arithmetic(ArithmeticOp::Subtract, of_left, of_right, DataType::Int64),
        };
        let column = self.columns.add("copy", DataType::Int64);
        let series = Series { input, column, start: number(1), stop, step: number(1), inclusive: true };
        let exprs = columns.iter().map(|&id| (id, self.columns.reference(id))).collect();
        (Logical::Series(series).project(exprs), columns)
    }
}

/// Whether two quantifiers are the same, however they are written.
fn is_same(a: SetQuantifier, b: SetQuantifier) -> bool {
    let plain = |quantifier| match quantifier {
        SetQuantifier::None => SetQuantifier::Distinct,
        other => other,
    };
    plain(a) == plain(b)
}

pub(super) fn outputs(plan: Logical, names: Vec<String>, ids: Vec<u32>) -> BoundQuery {
    let columns = names.into_iter().zip(ids).map(|(name, id)| OutputColumn::typed(name, id)).collect();
    BoundQuery { plan, columns }
}
