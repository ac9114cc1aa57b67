//! Table functions: `generate_series(start, stop [, step])` and `range`, over integers and timestamps.

use super::Binder;
use super::expression::{Bound, Context};
use super::from::Source;
use super::scope::{Relation, Scope, ScopeColumn};
use super::sets::set_function;
use super::subquery::attach;
use super::zones::{is_zoned, shown_in};
use crate::error::{Error, Result};
use crate::logical::{ColumnId, Logical, Series};
use columnar::types::TimeUnit;
use columnar::{DataType, Scalar, Value};
use exec::{ArithmeticOp, Expr};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr};
use sqlparser::tokenizer::Span;

/// A call in `FROM`.
pub(super) struct TableCall<'q> {
    pub(super) name: &'q ast::ObjectName,
    pub(super) args: &'q [FunctionArg],
    pub(super) with_ordinality: bool,
    pub(super) alias: Option<&'q ast::TableAlias>,
    pub(super) span: Span,
}

impl Binder<'_> {
    /// The rows of a table function, whose arguments may name columns of `scope`.
    pub(super) fn table_function(&mut self, call: &TableCall<'_>, scope: &Scope<'_>) -> Result<Source> {
        let TableCall { alias, span, .. } = *call;
        let name = call.name.to_string().to_lowercase();
        if let Some(function) = set_function(&name) {
            return self.table_set(function, call, scope);
        }
        let inclusive = match name.as_str() {
            "generate_series" => true,
            "range" => false,
            _ => return Err(Error::unsupported(format!("the table function {}", call.name)).at(span)),
        };
        let mut context = Context::new(scope, if inclusive { "generate_series" } else { "range" });
        let mut args = Vec::with_capacity(call.args.len());
        for arg in call.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return Err(Error::unsupported(format!("the argument {arg}")).at(span));
            };
            args.push(self.bind(expr, &mut context)?);
        }
        let integer = |value: i32| Bound::typed(Expr::Literal(Value::int32(value)), span);
        let mut args = args.into_iter();
        let (start, stop, step) = match (args.next(), args.next(), args.next(), args.next()) {
            (Some(stop), None, None, None) => (integer(0), stop, None),
            (Some(start), Some(stop), step, None) => (start, stop, step),
            _ => return Err(Error::value(format!("{name} takes a start, a stop and a step")).at(span)),
        };
        let types = [Some(&start), Some(&stop), step.as_ref()].map(|bound| bound.map(Bound::data_type));
        let data_type = series_type(&types, inclusive).ok_or_else(|| {
            let types = types.iter().flatten().map(DataType::to_string).collect::<Vec<_>>().join(", ");
            Error::value(format!("there is no {name}({types})"))
                .at(span)
                .hint("it takes integers, or dates or timestamps with an interval")
        })?;
        let moments = !data_type.is_integer();
        let step = match step {
            Some(step) => step,
            None if moments => {
                return Err(
                    Error::value(format!("{name} over timestamps takes an interval as a step")).at(span)
                );
            }
            None => integer(1),
        };
        let step = self.coerce(step, if moments { DataType::Interval } else { data_type })?;
        let (mut start, mut stop) = (self.cast(start, data_type, false)?, self.cast(stop, data_type, false)?);
        // Days and months are those of the session's clocks, time is the same in all zones.
        let zone = self.zone().filter(|_| is_zoned(data_type) && !is_time(&step));
        let mut of_series = data_type;
        if let Some(zone) = &zone {
            if !matches!(step, Expr::Literal(_)) {
                let what = "a series over TIMESTAMP WITH TIME ZONE by a step that is no constant, in another zone than UTC";
                return Err(Error::unsupported(what).at(span));
            }
            of_series = DataType::TIMESTAMP;
            start = shown_in(zone, start)?;
            stop = shown_in(zone, stop)?;
        }
        let input = Box::new(attach(Logical::one_row(), context.pending));
        let column_name = match alias {
            Some(alias) if alias.columns.len() > 1 + usize::from(call.with_ordinality) => {
                let extra = &alias.columns[1 + usize::from(call.with_ordinality)].name;
                let has = if call.with_ordinality { "two columns" } else { "one column" };
                let message = format!("\"{}\" has {has}, more are named", alias.name.value);
                return Err(Error::name(message).at(extra.span));
            }
            Some(alias) if !alias.columns.is_empty() => alias.columns[0].name.value.clone(),
            Some(alias) => alias.name.value.clone(),
            None => name.clone(),
        };
        let mut column = self.columns.add(&column_name, of_series);
        let place = call.with_ordinality.then(|| self.place_of(column, &start, &step, span)).transpose()?;
        let mut plan = Logical::Series(Series { input, column, start, stop, step, inclusive });
        if let Some(zone) = &zone {
            let instant = shown_in(zone, self.columns.reference(column))?;
            column = self.columns.add(&column_name, data_type);
            plan = plan.project(vec![(column, instant)]);
        }
        let mut columns = vec![ScopeColumn { name: column_name, id: column, qualified_only: false }];
        if let Some(place) = place {
            let id = self.columns.add("ordinality", DataType::Int64);
            plan = plan.project(vec![(column, self.columns.reference(column)), (id, place)]);
            let named = alias.and_then(|alias| alias.columns.get(1));
            let name = named.map_or_else(|| "ordinality".to_string(), |named| named.name.value.clone());
            columns.push(ScopeColumn { name, id, qualified_only: false });
        }
        let name = alias.map_or(name, |alias| alias.name.value.clone());
        Ok((plan, vec![Relation { schema: None, name: Some(name), columns }]))
    }
}

impl Binder<'_> {
    /// The place of a value in a series of integers, from 1 on.
    fn place_of(&mut self, column: ColumnId, start: &Expr, step: &Expr, span: Span) -> Result<Expr> {
        let value = self.columns.reference(column);
        if !value.data_type().is_integer() {
            return Err(Error::unsupported("WITH ORDINALITY of a series of timestamps").at(span));
        }
        // The way from the first value may be longer than a BIGINT.
        let wide = |expr: Expr| {
            let data_type = DataType::decimal(38, 0);
            Expr::Cast { input: Box::new(expr), data_type, try_cast: false }
        };
        let way = self.arithmetic(
            ArithmeticOp::Subtract,
            Bound::typed(wide(value), span),
            Bound::typed(wide(start.clone()), span),
            span,
        )?;
        let quotient =
            self.call("div", vec![Bound::typed(way, span), Bound::typed(wide(step.clone()), span)], span)?;
        let quotient = self.cast(Bound::typed(quotient, span), DataType::Int64, false)?;
        let one = Bound::typed(Expr::Literal(Value::int64(1)), span);
        self.arithmetic(ArithmeticOp::Add, Bound::typed(quotient, span), one, span)
    }
}

/// Whether an interval is one of time alone.
fn is_time(step: &Expr) -> bool {
    matches!(step, Expr::Literal(Value { scalar: Scalar::Interval(step), .. }) if step.months == 0 && step.days == 0)
}

/// The type of a series by the types of its start, stop and step; nothing is told of literals that are open.
fn series_type(types: &[Option<DataType>; 3], inclusive: bool) -> Option<DataType> {
    let known = || types.iter().flatten().filter(|data_type| **data_type != DataType::Null);
    if known().all(|data_type| data_type.is_integer()) {
        // `generate_series` of INTEGER is INTEGER, as in PostgreSQL; `range` is always BIGINT, as in DuckDB.
        let is_small = known().all(|data_type| *data_type != DataType::Int64);
        return Some(if inclusive && is_small { DataType::Int32 } else { DataType::Int64 });
    }
    let [start, stop, step] = types;
    let mut zone = false;
    for bound in [start, stop].into_iter().flatten() {
        match bound {
            DataType::Date | DataType::Null => {}
            DataType::Timestamp { zone: own, .. } => zone |= own,
            _ => return None,
        }
    }
    let steps = matches!(step, None | Some(DataType::Interval | DataType::Null));
    steps.then_some(DataType::Timestamp { unit: TimeUnit::Microsecond, zone })
}
