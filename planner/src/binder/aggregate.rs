//! Aggregates in expressions, and what may stand beside them.

mod arguments;
mod json;
mod names;
mod stateful;

use super::Binder;
use super::expression::{Bound, Context, Literal};
use super::scope::suggest;
use super::sets::{SetFunction, set_function};
use super::subquery::Pending;
use super::window::is_window_function;
use crate::error::{Error, Result};
use crate::logical::{AggregateCall, ColumnId, ColumnSet, collect_columns};
pub(super) use arguments::{Argument, Arguments, arguments, null_treatment};
use columnar::{DataType, Value};
use exec::plan::{AggregateFunction, KeyOrder, StateFunction, Stateful};
use exec::{ArithmeticOp, Expr};
pub(crate) use names::AGGREGATES;
use names::{STATEFUL, UNBUILT};
use sqlparser::ast::{self, FunctionArguments, Spanned};
use sqlparser::tokenizer::Span;

/// The aggregates of one `SELECT`, gathered while its expressions are bound.
#[derive(Debug, Default)]
pub(crate) struct Aggregation {
    pub(crate) calls: Vec<(ColumnId, AggregateCall)>,
    /// Subqueries inside arguments: they are joined below the aggregate.
    pub(crate) pending: Vec<Pending>,
    /// What rows are grouped by.
    pub(crate) keys: Vec<Expr>,
    /// Each `GROUPING`, with the places of its arguments among the keys.
    pub(crate) groupings: Vec<(ColumnId, Vec<usize>)>,
}

/// What a call of an aggregate is written with.
pub(super) enum Made {
    /// The aggregate itself.
    Call(AggregateCall),
    /// This sum over how many values it has.
    Mean(AggregateCall),
    /// e to the power of that mean.
    ExpMean(AggregateCall),
    /// The aggregate, or this value over no rows.
    Or(AggregateCall, Value),
    /// A list of what each gives; null over no rows.
    List(Vec<Made>),
    /// A function, of that type, of the text that the aggregate gives.
    Enclosed(AggregateCall, &'static str, DataType),
}

impl Binder<'_> {
    /// A call: of an aggregate, of something with its own evaluation order, or of a scalar function.
    pub(crate) fn function(&mut self, call: &ast::Function, context: &mut Context<'_>) -> Result<Bound> {
        let span = call.span();
        let name = call.name.to_string().replace('"', "").to_lowercase();
        if !matches!(call.parameters, FunctionArguments::None) {
            return Err(Error::unsupported(format!("parameters of {name}")).at(span));
        }
        if let Some((_, needed)) = UNBUILT.iter().find(|(unbuilt, _)| *unbuilt == name) {
            return Err(Error::unsupported(format!("{name}(), which needs {needed},")).at(span));
        }
        if let Some(function) = set_function(&name) {
            return self.set_call(function, &name, call, context);
        }
        // Within another call it is a list.
        if name == "generate_series" && context.sets.is_some() && context.calls == 1 {
            return self.set_call(SetFunction::Of("generate_series"), &name, call, context);
        }
        if let Some(over) = &call.over {
            return self.window_function(&name, call, over, context);
        }
        if is_window_function(&name) {
            return Err(Error::value(format!("the window function {name}() needs OVER (…)")).at(span));
        }
        if AGGREGATES.contains(&name.as_str()) {
            return self.aggregate(&name, call, context);
        }
        if !call.within_group.is_empty() {
            return Err(Error::value(format!("WITHIN GROUP is for aggregates; {name} is none")).at(span));
        }
        if null_treatment(call).is_some() {
            return Err(Error::value(format!("{name} takes IGNORE or RESPECT NULLS only with OVER")).at(span));
        }
        if call.filter.is_some() {
            return Err(Error::value(format!("FILTER is for aggregates; {name} is none")).at(span));
        }
        if let Some(bound) = self.nested_call(&name, call, context)? {
            return Ok(bound);
        }
        if let Some(args) = self.named_arguments(&name, call)? {
            let mut bound = Vec::with_capacity(args.len());
            for arg in args {
                bound.push(match arg {
                    Some(arg) => self.bind(arg, context)?,
                    None => Bound::typed(Expr::Literal(Value::int64(0)), span),
                });
            }
            return Ok(Bound::typed(self.call(&name, bound, span)?, span));
        }
        let Arguments { distinct, args, order, separator, .. } = arguments(call)?;
        if distinct {
            return Err(Error::value(format!("DISTINCT is for aggregates; {name} is none")).at(span));
        }
        if !order.is_empty() || separator.is_some() {
            let message = format!("an order and a separator are told to aggregates; {name} is none");
            return Err(Error::value(message).at(span));
        }
        if matches!(name.as_str(), "grouping" | "grouping_id") {
            let args = args.into_iter().map(|arg| match arg {
                Argument::Expr(expr) => Ok(expr),
                Argument::Star => Err(Error::value("GROUPING takes expressions of GROUP BY").at(span)),
            });
            let args = args.collect::<Result<Vec<_>>>()?;
            return Ok(Bound::typed(self.grouping(args, span, context)?, span));
        }
        if name == "columns" {
            let error = Error::unsupported("COLUMNS here");
            return Err(error
                .at(span)
                .hint("it may stand in the select list, also within a call or arithmetic"));
        }
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                Argument::Expr(expr) => bound.push(self.bind(expr, context)?),
                Argument::Star => {
                    let error = Error::name(format!("only count takes *; {name} is another")).at(span);
                    return Err(suggest(error, &name, AGGREGATES.iter().copied()));
                }
            }
        }
        let expr = match self.meaning(&name, &bound, span)? {
            Some(expr) => expr,
            None => self.call(&name, bound, span)?,
        };
        Ok(Bound::typed(expr, span))
    }

    /// The first operand that is not null; later ones are evaluated only where it is needed.
    pub(super) fn coalesce(&mut self, values: Vec<Bound>) -> Result<Expr> {
        let (mut values, data_type) = self.unify_all(values, "COALESCE")?;
        if values.len() > 1
            && let Ok(resolved) = exec::functions::resolve("coalesce", &vec![data_type; values.len()])
            && resolved.returns == data_type
        {
            return Ok(Expr::Call { function: resolved.function, args: values, data_type });
        }
        let last = values.pop().ok_or_else(|| Error::internal("COALESCE of nothing"))?;
        if values.is_empty() {
            return Ok(last);
        }
        let branches = values
            .into_iter()
            .map(|value| (Expr::IsNull { input: Box::new(value.clone()), negated: true }, value))
            .collect();
        Ok(Expr::Case { branches, otherwise: Some(Box::new(last)), data_type })
    }

    fn aggregate(&mut self, name: &str, call: &ast::Function, context: &mut Context<'_>) -> Result<Bound> {
        let span = call.span();
        let Some(mut aggregation) = context.aggregation.take() else {
            let message = format!("the aggregate {name}() is not allowed in {}", context.clause);
            return Err(Error::value(message).at(span));
        };
        // Arguments see the rows below the aggregate; a further aggregate in them has no meaning.
        let clause = std::mem::replace(&mut context.clause, "an argument of an aggregate");
        let (outside, windows) = (std::mem::take(&mut context.pending), context.windows.take());
        let open = context.close_sets("an argument of an aggregate");
        let bound = self.aggregate_call(name, call, context);
        aggregation.pending.append(&mut context.pending);
        (context.clause, context.pending, context.windows) = (clause, outside, windows);
        context.reopen_sets(open);
        let result = bound.and_then(|call| self.register(name, call, &mut aggregation));
        context.aggregation = Some(aggregation);
        Ok(Bound::typed(result?, span))
    }

    pub(super) fn aggregate_call(
        &mut self,
        name: &str,
        call: &ast::Function,
        context: &mut Context<'_>,
    ) -> Result<Made> {
        let written = arguments(call)?;
        let filter = call.filter.as_deref().map(|filter| self.condition(filter, context)).transpose()?;
        let is_picked = name == "any_value" && !written.order.is_empty();
        if STATEFUL.contains(&name) || !call.within_group.is_empty() || is_picked {
            return self.stateful_call(name, call, written, filter, context);
        }
        match (&written.separator, written.nulls) {
            (None, None) => {}
            (None, Some(ast::NullTreatment::IgnoreNulls)) if name == "any_value" => {}
            (None, Some(treatment)) => {
                return Err(Error::unsupported(format!("{treatment} of {name}()")).at(call.span()));
            }
            (Some(_), _) => {
                let message = format!("SEPARATOR is for group_concat, not for {name}");
                return Err(Error::value(message).at(call.span()));
            }
        }
        // The order of rows changes nothing for the others.
        for item in written.order {
            self.expression(&item.expr, context)?;
        }
        let distinct = written.distinct;
        let wrong = || Error::value(format!("{name}() takes one argument")).at(call.span());
        let made = |function, args, data_type| AggregateCall { function, distinct, args, filter, data_type };
        let argument = match written.args.as_slice() {
            [] | [Argument::Star] if name == "count" && !distinct => {
                let call = made(AggregateFunction::CountRows, Vec::new(), DataType::Int64);
                return Ok(Made::Call(AggregateCall { distinct: false, ..call }));
            }
            [Argument::Expr(_), Argument::Expr(_)] if matches!(name, "min" | "max") => {
                return Err(Error::unsupported(format!("{name}() of several values, which is a list,"))
                    .at(call.span()));
            }
            [Argument::Expr(expr)] => self.bind(expr, context)?,
            _ => return Err(wrong()),
        };
        let span = argument.span;
        let found = argument.data_type();
        let refuse = || Error::value(format!("{name}({found}) does not exist; cast the argument")).at(span);
        let (function, data_type) = match name {
            "count" => (AggregateFunction::Count, DataType::Int64),
            "sum" | "avg" | "mean" => match (found, temporal_sum(name, found)) {
                // True counts as 1.
                (DataType::Boolean, _) if name == "sum" => {
                    let number = cast(argument.expr, DataType::Int32);
                    return Ok(Made::Call(made(AggregateFunction::Sum, vec![number], DataType::Int64)));
                }
                (_, Some((function, data_type))) => {
                    let arg = if found == DataType::Interval {
                        argument.expr
                    } else {
                        cast(argument.expr, data_type)
                    };
                    let function = AggregateFunction::Stateful(Stateful::new(function, KeyOrder::default()));
                    return Ok(Made::Call(made(function, vec![arg], data_type)));
                }
                // The mean is written as a sum and a count.
                _ => (AggregateFunction::Sum, sum_type(found).ok_or_else(refuse)?),
            },
            "min" | "max" | "any_value" => {
                let data_type = if found == DataType::Null && argument.literal != Literal::Null {
                    DataType::Varchar
                } else {
                    found
                };
                let function = match name {
                    "min" => AggregateFunction::Min,
                    "max" => AggregateFunction::Max,
                    _ => AggregateFunction::AnyValue,
                };
                (function, data_type)
            }
            _ if found != DataType::Boolean && found != DataType::Null => return Err(refuse()),
            "count_if" | "countif" => (AggregateFunction::Count, DataType::Int64),
            "bool_and" | "every" => (AggregateFunction::BoolAnd, DataType::Boolean),
            _ => (AggregateFunction::BoolOr, DataType::Boolean),
        };
        let arg = match (argument.literal, function) {
            (_, AggregateFunction::Count) if name != "count" => {
                // What is not true is not counted.
                let condition = self.coerce(argument, DataType::Boolean)?;
                let one = Expr::Literal(Value::boolean(true));
                Expr::Case { branches: vec![(condition, one)], otherwise: None, data_type: DataType::Boolean }
            }
            (Literal::Null | Literal::Parameter(_), AggregateFunction::Sum) => {
                self.coerce(argument, DataType::Int64)?
            }
            (_, AggregateFunction::Count) => self.settle(argument)?,
            _ => self.coerce(argument, if found == DataType::Null { data_type } else { found })?,
        };
        // Duplicates change nothing for these.
        let distinct = distinct && matches!(function, AggregateFunction::Count | AggregateFunction::Sum);
        let call = AggregateCall { distinct, ..made(function, vec![arg], data_type) };
        Ok(if matches!(name, "avg" | "mean") { Made::Mean(call) } else { Made::Call(call) })
    }

    /// The columns of what a call is made with; equal aggregates share one.
    pub(super) fn register(&mut self, name: &str, made: Made, into: &mut Aggregation) -> Result<Expr> {
        let (sum, is_power) = match made {
            Made::Call(call) => return Ok(self.shared(name, call, into)),
            Made::List(parts) => {
                let parts = parts.into_iter().map(|part| self.register(name, part, into));
                let parts = parts.collect::<Result<Vec<_>>>()?;
                return self.list_unless_null(parts);
            }
            Made::Or(call, value) => {
                let data_type = call.data_type;
                let given = self.shared(name, call, into);
                let is_there = Expr::IsNull { input: Box::new(given.clone()), negated: true };
                let otherwise = Some(Box::new(Expr::Literal(value)));
                return Ok(Expr::Case { branches: vec![(is_there, given)], otherwise, data_type });
            }
            Made::Enclosed(call, function, data_type) => {
                let args = vec![self.shared(name, call, into)];
                return Ok(Expr::Call { function: function.into(), args, data_type });
            }
            Made::Mean(sum) => (sum, false),
            Made::ExpMean(sum) => (sum, true),
        };
        let count =
            AggregateCall { function: AggregateFunction::Count, data_type: DataType::Int64, ..sum.clone() };
        let sum = self.shared("sum", sum, into);
        let count = self.shared("count", count, into);
        let double = |input: Expr| cast(input, DataType::Float64);
        let mean = Expr::arithmetic(ArithmeticOp::Divide, double(sum), double(count), DataType::Float64);
        match is_power {
            false => Ok(mean),
            true => self.call("exp", vec![Bound::typed(mean, Span::empty())], Span::empty()),
        }
    }

    fn shared(&mut self, name: &str, call: AggregateCall, into: &mut Aggregation) -> Expr {
        let found = into.calls.iter().find(|(_, other)| *other == call).map(|&(id, _)| id);
        let id = found.unwrap_or_else(|| {
            let id = self.columns.add(name, call.data_type);
            into.calls.push((id, call));
            id
        });
        self.columns.reference(id)
    }
}

/// The value in that type.
fn cast(input: Expr, data_type: DataType) -> Expr {
    if input.data_type() == data_type {
        return input;
    }
    Expr::Cast { input: Box::new(input), data_type, try_cast: false }
}

/// The function and the type of sums and means of what is no number.
fn temporal_sum(name: &str, argument: DataType) -> Option<(StateFunction, DataType)> {
    match (name, argument) {
        ("sum", DataType::Interval) => Some((StateFunction::SumInterval, argument)),
        ("sum", _) => None,
        (_, DataType::Interval) => Some((StateFunction::AvgInterval, argument)),
        (_, DataType::Date) => Some((StateFunction::AvgInteger, DataType::TIMESTAMP)),
        (_, DataType::Time | DataType::Timestamp { .. }) => Some((StateFunction::AvgInteger, argument)),
        _ => None,
    }
}

/// The type of a sum.
pub(crate) fn sum_type(argument: DataType) -> Option<DataType> {
    Some(match argument {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Null => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::Int64 | DataType::UInt64 => DataType::decimal(38, 0),
        DataType::Int128 => DataType::Int128,
        DataType::Decimal { scale, .. } => DataType::decimal(38, scale),
        DataType::Float32 | DataType::Float64 => argument,
        _ => return None,
    })
}

/// An expression above an aggregate: group expressions in it become their columns. Any other column of the
/// rows below is an error.
pub(crate) fn above_groups(
    expr: Expr,
    groups: &[(ColumnId, Expr)],
    below: &ColumnSet,
) -> std::result::Result<Expr, ColumnId> {
    let expr = replace_groups(expr, groups);
    let mut used = ColumnSet::new();
    collect_columns(&expr, &mut used);
    let stray =
        used.into_iter().find(|id| below.contains(id) && !groups.iter().any(|(group, _)| group == id));
    match stray {
        Some(id) => Err(id),
        None => Ok(expr),
    }
}

fn replace_groups(mut expr: Expr, groups: &[(ColumnId, Expr)]) -> Expr {
    if let Some((id, group)) = groups.iter().find(|(_, group)| *group == expr) {
        return Expr::column(*id, group.data_type());
    }
    for child in expr.children_mut() {
        let taken = std::mem::replace(child, Expr::Literal(Value::boolean(false)));
        *child = replace_groups(taken, groups);
    }
    expr
}
