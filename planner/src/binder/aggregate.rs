//! Aggregates in expressions, and what may stand beside them.

use super::Binder;
use super::expression::{Bound, Context, Literal};
use super::scope::suggest;
use super::subquery::Pending;
use super::window::is_window_function;
use crate::error::{Error, Result};
use crate::logical::{AggregateCall, ColumnId, ColumnSet, collect_columns};
use columnar::{DataType, Value};
use exec::plan::AggregateFunction;
use exec::{ArithmeticOp, Expr};
use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, NullTreatment, Spanned,
};

/// The aggregates of one `SELECT`, gathered while its expressions are bound.
#[derive(Debug, Default)]
pub(crate) struct Aggregation {
    pub(crate) calls: Vec<(ColumnId, AggregateCall)>,
    /// Subqueries inside arguments: they are joined below the aggregate.
    pub(crate) pending: Vec<Pending>,
}

pub(super) const AGGREGATES: [&str; 9] =
    ["count", "sum", "avg", "mean", "min", "max", "any_value", "bool_and", "bool_or"];

impl Binder<'_> {
    /// A call: of an aggregate, of something with its own evaluation order, or of a scalar function.
    pub(crate) fn function(&mut self, call: &ast::Function, context: &mut Context<'_>) -> Result<Bound> {
        let span = call.span();
        let name = call.name.to_string().replace('"', "").to_lowercase();
        if !call.within_group.is_empty() {
            return Err(Error::unsupported("WITHIN GROUP").at(span));
        }
        if call.over.is_none() && null_treatment(call).is_some() {
            return Err(Error::value(format!("{name} takes IGNORE or RESPECT NULLS only with OVER")).at(span));
        }
        if !matches!(call.parameters, FunctionArguments::None) {
            return Err(Error::unsupported(format!("parameters of {name}")).at(span));
        }
        let name = if name == "every" { "bool_and".to_string() } else { name };
        if let Some(over) = &call.over {
            return self.window_function(&name, call, over, context);
        }
        if is_window_function(&name) {
            return Err(Error::value(format!("the window function {name}() needs OVER (…)")).at(span));
        }
        if AGGREGATES.contains(&name.as_str()) {
            return self.aggregate(&name, call, context);
        }
        if call.filter.is_some() {
            return Err(Error::value(format!("FILTER is for aggregates; {name} is none")).at(span));
        }
        let (distinct, args) = arguments(call)?;
        if distinct {
            return Err(Error::value(format!("DISTINCT is for aggregates; {name} is none")).at(span));
        }
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                Argument::Expr(expr) => bound.push(self.bind(expr, context)?),
                Argument::Star => {
                    let error = Error::name(format!("only count takes *; {name} is another")).at(span);
                    return Err(suggest(error, &name, AGGREGATES));
                }
            }
        }
        let expr = match (name.as_str(), bound.len()) {
            ("coalesce" | "ifnull", 1..) => self.coalesce(bound)?,
            ("nullif", 2) => {
                let (left, right) = (bound[0].clone(), bound[1].clone());
                let value = self.settle(left.clone())?;
                let equal = self.compare(exec::CompareOp::Equal, left, right)?;
                let data_type = value.data_type();
                let null = Expr::Literal(Value::null(data_type));
                Expr::Case { branches: vec![(equal, null)], otherwise: Some(Box::new(value)), data_type }
            }
            _ => self.call(&name, bound, span).map_err(|error| {
                if error.hint.is_none() && error.message.starts_with("there is no function") {
                    suggest(error, &name, AGGREGATES)
                } else {
                    error
                }
            })?,
        };
        Ok(Bound::typed(expr, span))
    }

    /// The first operand that is not null; later ones are evaluated only where it is needed.
    fn coalesce(&mut self, values: Vec<Bound>) -> Result<Expr> {
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
        let bound = self.aggregate_call(name, call, context);
        aggregation.pending.append(&mut context.pending);
        (context.clause, context.pending, context.windows) = (clause, outside, windows);
        let result = bound.and_then(|call| self.register(name, call, &mut aggregation));
        context.aggregation = Some(aggregation);
        Ok(Bound::typed(result?, span))
    }

    pub(super) fn aggregate_call(
        &mut self,
        name: &str,
        call: &ast::Function,
        context: &mut Context<'_>,
    ) -> Result<AggregateCall> {
        let (distinct, args) = arguments(call)?;
        let filter = call.filter.as_deref().map(|filter| self.condition(filter, context)).transpose()?;
        let wrong = || Error::value(format!("{name}() takes one argument")).at(call.span());
        let call = |function, arg, data_type| AggregateCall { function, distinct, arg, filter, data_type };
        let argument = match args.as_slice() {
            [] | [Argument::Star] if name == "count" && !distinct => {
                return Ok(AggregateCall {
                    distinct: false,
                    ..call(AggregateFunction::CountRows, None, DataType::Int64)
                });
            }
            [Argument::Expr(expr)] => self.bind(expr, context)?,
            _ => return Err(wrong()),
        };
        let span = argument.span;
        let found = argument.data_type();
        let refuse = || Error::value(format!("{name}({found}) does not exist; cast the argument")).at(span);
        let (function, data_type) = match name {
            "count" => (AggregateFunction::Count, DataType::Int64),
            "sum" => (AggregateFunction::Sum, sum_type(found).ok_or_else(refuse)?),
            // Written by the caller as a sum and a count.
            "avg" | "mean" => (AggregateFunction::Sum, sum_type(found).ok_or_else(refuse)?),
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
            "bool_and" => (AggregateFunction::BoolAnd, DataType::Boolean),
            _ => (AggregateFunction::BoolOr, DataType::Boolean),
        };
        let arg = match (argument.literal, function) {
            (Literal::Null | Literal::Parameter(_), AggregateFunction::Sum) => {
                self.coerce(argument, DataType::Int64)?
            }
            (_, AggregateFunction::Count) => self.settle(argument)?,
            _ => self.coerce(argument, if found == DataType::Null { data_type } else { found })?,
        };
        // Duplicates change nothing for these.
        let distinct = distinct && matches!(function, AggregateFunction::Count | AggregateFunction::Sum);
        let arg = Some(arg);
        Ok(AggregateCall { distinct, ..call(function, arg, data_type) })
    }

    /// The column of an aggregate; equal aggregates share one. `avg` becomes a quotient.
    pub(super) fn register(
        &mut self,
        name: &str,
        call: AggregateCall,
        into: &mut Aggregation,
    ) -> Result<Expr> {
        if !matches!(name, "avg" | "mean") {
            return Ok(self.shared(name, call, into));
        }
        let count =
            AggregateCall { function: AggregateFunction::Count, data_type: DataType::Int64, ..call.clone() };
        let sum = self.shared("sum", call, into);
        let count = self.shared("count", count, into);
        let double = |input: Expr| match input.data_type() {
            DataType::Float64 => input,
            _ => Expr::Cast { input: Box::new(input), data_type: DataType::Float64, try_cast: false },
        };
        Ok(Expr::arithmetic(ArithmeticOp::Divide, double(sum), double(count), DataType::Float64))
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

pub(super) enum Argument<'a> {
    Star,
    Expr(&'a ast::Expr),
}

/// `IGNORE NULLS` or `RESPECT NULLS`, within the parentheses or after them.
pub(super) fn null_treatment(call: &ast::Function) -> Option<NullTreatment> {
    let within = match &call.args {
        FunctionArguments::List(list) => list.clauses.iter().find_map(|clause| match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => Some(*treatment),
            _ => None,
        }),
        _ => None,
    };
    call.null_treatment.or(within)
}

/// Whether `DISTINCT` was written, and the arguments.
pub(super) fn arguments(call: &ast::Function) -> Result<(bool, Vec<Argument<'_>>)> {
    let list = match &call.args {
        FunctionArguments::None => return Ok((false, Vec::new())),
        FunctionArguments::Subquery(_) => {
            return Err(Error::unsupported("a subquery as the only argument of a function").at(call.span()));
        }
        FunctionArguments::List(list) => list,
    };
    let null_treatment =
        |clause: &&FunctionArgumentClause| matches!(clause, FunctionArgumentClause::IgnoreOrRespectNulls(_));
    if let Some(clause) = list.clauses.iter().find(|clause| !null_treatment(clause)) {
        return Err(Error::unsupported(format!("{clause} in a call")).at(call.span()));
    }
    let args = list
        .args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(Argument::Expr(expr)),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(Argument::Star),
            other => Err(Error::unsupported(format!("the argument {other}")).at(call.span())),
        })
        .collect::<Result<_>>()?;
    Ok((list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct), args))
}

/// The type of a sum.
pub(crate) fn sum_type(argument: DataType) -> Option<DataType> {
    Some(match argument {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Null => DataType::Int64,
        DataType::Int64 => DataType::decimal(38, 0),
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
