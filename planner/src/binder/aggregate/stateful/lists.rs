//! Aggregates that give lists and maps.

use super::super::Made;
use super::{Call, ordered};
use crate::binder::Binder;
use crate::binder::constants::fold;
use crate::binder::expression::Bound;
use crate::error::{Error, Result};
use crate::logical::{AggregateCall, SortKey};
use columnar::packed::Elements;
use columnar::types::{Nested, list_of, nested};
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use exec::plan::{KeyOrder, StateFunction};
use sqlparser::tokenizer::Span;

/// Quantiles at once.
const MOST_FRACTIONS: usize = 100;

impl Binder<'_> {
    /// `array_agg`: also the nulls.
    pub(super) fn list_of_values(
        &mut self,
        call: Call<'_>,
        args: Vec<Bound>,
        mut keys: Vec<SortKey>,
    ) -> Result<Made> {
        let span = call.span;
        let value = self.one(&call, args)?;
        let value = self.settle(value)?;
        if call.distinct {
            if keys.iter().any(|key| key.expr != value) {
                let message =
                    "where the values of an aggregate are DISTINCT, they are what its order can be by";
                return Err(Error::value(message).at(span));
            }
            if keys.is_empty() {
                keys.push(SortKey { expr: value.clone(), descending: false, nulls_first: false });
            }
        }
        let data_type =
            list_of(value.data_type()).map_err(|error| Error::value(error.to_string()).at(span))?;
        of_type(ordered(call, StateFunction::ArrayAgg, vec![value], keys)?, data_type)
    }

    /// `map_agg(key, value)`: rows whose key is null are passed over.
    pub(super) fn map_of_values(
        &mut self,
        call: Call<'_>,
        args: Vec<Bound>,
        keys: Vec<SortKey>,
    ) -> Result<Made> {
        let span = call.span;
        let [key, value] = <[Bound; 2]>::try_from(args).map_err(|_| call.takes("a key and a value"))?;
        let (key, value) = (self.settle(key)?, self.settle(value)?);
        if call.distinct && keys.iter().any(|order| order.expr != key && order.expr != value) {
            let message = "where the values of an aggregate are DISTINCT, they are what its order can be by";
            return Err(Error::value(message).at(span));
        }
        let data_type = map_of(key.data_type(), value.data_type(), span)?;
        of_type(ordered(call, StateFunction::MapAgg, vec![key, value], keys)?, data_type)
    }

    pub(super) fn histogram(&mut self, call: Call<'_>, args: Vec<Bound>) -> Result<Made> {
        if args.len() > 1 {
            return Err(Error::unsupported("histogram() with bounds of its own").at(call.span));
        }
        let span = call.span;
        let value = self.one(&call, args)?;
        let value = self.settle(value)?;
        let data_type = map_of(value.data_type(), DataType::UInt64, span)?;
        Ok(Made::Call(call.make(StateFunction::Histogram, KeyOrder::default(), vec![value], data_type)))
    }

    /// The fractions of a constant list, each as a literal; `None` if it is no list.
    pub(super) fn fractions(&mut self, call: &Call<'_>, bound: &Bound) -> Result<Option<Vec<Bound>>> {
        let DataType::Nested(found) = bound.data_type() else { return Ok(None) };
        let (span, name) = (bound.span, call.name);
        if found.element().is_none() {
            return Err(call.refuse(bound.data_type(), span));
        }
        let doubles = list_of(DataType::Float64).map_err(|error| Error::value(error.to_string()).at(span))?;
        let Expr::Literal(Value { scalar, .. }) = fold(self.cast(bound.clone(), doubles, false)?) else {
            return Err(
                Error::unsupported(format!("a list of fractions of {name}() that is no constant")).at(span)
            );
        };
        let mut fractions = Vec::new();
        if let Scalar::Bytes(bytes) = &scalar {
            for element in Elements::new(bytes, doubles) {
                let value = element.and_then(|element| element.scalar(DataType::Float64));
                let value = value.map_err(|error| Error::value(error.to_string()).at(span))?;
                let literal = Expr::Literal(Value::new(DataType::Float64, value));
                fractions.push(Bound::typed(literal, span));
            }
        }
        if !(1..=MOST_FRACTIONS).contains(&fractions.len()) {
            let message = format!("{name}() takes 1 to {MOST_FRACTIONS} fractions, not {}", fractions.len());
            return Err(Error::value(message).at(span));
        }
        Ok(Some(fractions))
    }

    /// What `make` makes of each, as a list.
    pub(super) fn each(
        &mut self,
        fractions: Vec<Bound>,
        mut make: impl FnMut(&mut Self, Bound) -> Result<Made>,
    ) -> Result<Made> {
        let parts = fractions.into_iter().map(|fraction| make(self, fraction));
        Ok(Made::List(parts.collect::<Result<_>>()?))
    }

    /// The list of the values; null if the first is: then there was no row, and all are.
    pub(in crate::binder::aggregate) fn list_unless_null(&mut self, values: Vec<Expr>) -> Result<Expr> {
        let first = values.first().cloned().ok_or_else(|| Error::internal("a list of nothing"))?;
        let span = Span::empty();
        let values = values.into_iter().map(|value| Bound::typed(value, span)).collect();
        let list = self.call("list_value", values, span)?;
        let data_type = list.data_type();
        let is_there = Expr::IsNull { input: Box::new(first), negated: true };
        Ok(Expr::Case { branches: vec![(is_there, list)], otherwise: None, data_type })
    }
}

fn map_of(key: DataType, value: DataType, span: Span) -> Result<DataType> {
    nested(Nested::Map { key, value }).map_err(|error| Error::value(error.to_string()).at(span))
}

fn of_type(made: Made, data_type: DataType) -> Result<Made> {
    Ok(match made {
        Made::Call(call) => Made::Call(AggregateCall { data_type, ..call }),
        other => other,
    })
}
