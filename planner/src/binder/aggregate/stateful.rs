//! Aggregates with a state of their own: what they take, and of which type they are.

mod lists;

use super::arguments::{Argument, Arguments};
use super::{Made, cast};
use crate::binder::Binder;
use crate::binder::constants::fold;
use crate::binder::expression::{Bound, Context, Literal};
use crate::binder::query::sort_key;
use crate::error::{Error, Result};
use crate::logical::{AggregateCall, SortKey};
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use exec::plan::{AggregateFunction, KeyOrder, StateFunction, Stateful};
use sqlparser::ast::{self, NullTreatment, OrderByExpr, Spanned};
use sqlparser::tokenizer::Span;

/// A call while it is put together.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) span: Span,
    pub(super) distinct: bool,
    filter: Option<Expr>,
}

impl Call<'_> {
    fn make(
        self,
        function: StateFunction,
        order: KeyOrder,
        args: Vec<Expr>,
        data_type: DataType,
    ) -> AggregateCall {
        let function = AggregateFunction::Stateful(Stateful::new(function, order));
        AggregateCall { function, distinct: self.distinct, args, filter: self.filter, data_type }
    }

    /// A call of these arguments, in no order.
    fn plain(self, function: StateFunction, args: Vec<Expr>, data_type: DataType) -> AggregateCall {
        self.make(function, KeyOrder::default(), args, data_type)
    }

    /// Leaves out rows where an expression is null.
    fn without_nulls(&mut self, expr: &Expr) {
        let is_there = Expr::IsNull { input: Box::new(expr.clone()), negated: true };
        self.filter = Some(Expr::and(self.filter.take().into_iter().chain([is_there])));
    }

    pub(super) fn takes(&self, what: &str) -> Error {
        Error::value(format!("{}() takes {what}", self.name)).at(self.span)
    }

    fn refuse(&self, found: DataType, span: Span) -> Error {
        Error::value(format!("{}({found}) does not exist; cast the argument", self.name)).at(span)
    }
}

impl Binder<'_> {
    pub(super) fn stateful_call(
        &mut self,
        name: &str,
        ast: &ast::Function,
        written: Arguments<'_>,
        filter: Option<Expr>,
        context: &mut Context<'_>,
    ) -> Result<Made> {
        let mut args = Vec::with_capacity(written.args.len());
        for arg in &written.args {
            match arg {
                Argument::Expr(expr) => args.push(self.bind(expr, context)?),
                Argument::Star => {
                    return Err(Error::name(format!("only count takes *; {name} is another")).at(ast.span()));
                }
            }
        }
        let mut call = Call { name, span: ast.span(), distinct: written.distinct, filter };
        let within = !ast.within_group.is_empty();
        if within && !written.order.is_empty() {
            return Err(
                Error::value("an order stands inside a call or WITHIN GROUP, not in both").at(call.span)
            );
        }
        if within
            && !matches!(name, "percentile_cont" | "percentile_disc" | "mode" | "listagg" | "string_agg")
        {
            let message = format!(
                "WITHIN GROUP is for percentile_cont, percentile_disc, mode and listagg, not for {name}"
            );
            return Err(Error::value(message).at(call.span));
        }
        let order = if within { &ast.within_group[..] } else { written.order };
        let mut keys = Vec::with_capacity(order.len());
        for item in order {
            keys.push(self.call_key(item, context)?);
        }
        if written.separator.is_some() && name != "group_concat" {
            return Err(Error::value(format!("SEPARATOR is for group_concat, not for {name}")).at(call.span));
        }
        match (written.nulls, name) {
            (None, _)
            | (Some(NullTreatment::RespectNulls), "first" | "last" | "arbitrary" | "array_agg" | "list") => {}
            (
                Some(NullTreatment::IgnoreNulls),
                "first" | "last" | "arbitrary" | "any_value" | "array_agg" | "list",
            ) => {}
            (Some(treatment), _) => {
                return Err(Error::unsupported(format!("{treatment} of {name}()")).at(call.span));
            }
        }
        if let [value] = args.as_slice()
            && (name == "any_value" || written.nulls == Some(NullTreatment::IgnoreNulls))
        {
            call.without_nulls(&value.expr);
        }
        match name {
            "first" | "last" | "arbitrary" | "any_value" => self.picked(call, args, keys),
            "arg_min" | "argmin" | "min_by" | "arg_max" | "argmax" | "max_by" | "arg_min_null"
            | "arg_max_null" => self.picked_by(call, args, keys),
            "string_agg" | "group_concat" | "listagg" => self.text(call, args, keys, written.separator),
            "json_agg" | "jsonb_agg" | "json_group_array" => self.json_array(call, args, keys),
            "json_object_agg" | "jsonb_object_agg" | "json_group_object" => {
                self.json_object(call, args, keys)
            }
            "percentile_cont" | "percentile_disc" if within => self.percentile(call, args, keys),
            "percentile_cont" | "percentile_disc" => {
                Err(call.takes("a fraction, and WITHIN GROUP (ORDER BY …)"))
            }
            "mode" => self.mode(call, args, keys, within),
            "array_agg" | "list" => self.list_of_values(call, args, keys),
            "map_agg" => self.map_of_values(call, args, keys),
            "histogram" => self.histogram(call, args),
            "quantile" | "quantile_cont" | "quantile_disc" | "median" => self.quantile(call, args, keys),
            // The order of rows changes nothing for the others.
            _ => self.folded(call, args),
        }
    }

    fn call_key(&mut self, item: &OrderByExpr, context: &mut Context<'_>) -> Result<SortKey> {
        Ok(sort_key(self.expression(&item.expr, context)?, &item.options))
    }

    /// The only argument as a `DOUBLE`, or one of two.
    fn double(&mut self, call: &Call<'_>, arg: Bound) -> Result<Expr> {
        let (found, span) = (arg.data_type(), arg.span);
        if !found.is_numeric() && found != DataType::Null {
            return Err(call.refuse(found, span));
        }
        self.coerce(arg, DataType::Float64)
    }

    fn one(&mut self, call: &Call<'_>, args: Vec<Bound>) -> Result<Bound> {
        let [arg] = <[Bound; 1]>::try_from(args).map_err(|_| call.takes("one argument"))?;
        Ok(arg)
    }

    /// The value of the first or last row.
    fn picked(&mut self, mut call: Call<'_>, args: Vec<Bound>, keys: Vec<SortKey>) -> Result<Made> {
        let value = self.one(&call, args)?;
        let value = self.settle(value)?;
        let function = if call.name == "last" { StateFunction::Last } else { StateFunction::First };
        call.distinct = false;
        ordered(call, function, vec![value], keys)
    }

    /// The value of the row with the least or largest key.
    fn picked_by(&mut self, mut call: Call<'_>, args: Vec<Bound>, keys: Vec<SortKey>) -> Result<Made> {
        if args.len() == 3 {
            let message = format!("{}() of several values, which is a list,", call.name);
            return Err(Error::unsupported(message).at(call.span));
        }
        let [value, by] = <[Bound; 2]>::try_from(args).map_err(|_| call.takes("two arguments"))?;
        let (value, by) = (self.settle(value)?, self.settle(by)?);
        if !call.name.ends_with("_null") {
            call.without_nulls(&value);
        }
        call.without_nulls(&by);
        call.distinct = false;
        let descending = call.name.contains("max");
        let by = SortKey { expr: by, descending, nulls_first: false };
        ordered(call, StateFunction::First, vec![value], std::iter::once(by).chain(keys).collect())
    }

    fn text(
        &mut self,
        call: Call<'_>,
        args: Vec<Bound>,
        mut keys: Vec<SortKey>,
        separator: Option<String>,
    ) -> Result<Made> {
        let mut args = args.into_iter();
        let (value, between) = match (args.next(), args.next(), args.next()) {
            (Some(value), between, None) if between.is_none() || separator.is_none() => (value, between),
            _ => return Err(call.takes("a text and a separator")),
        };
        let between = match between {
            Some(between) => self.assign(between, DataType::Varchar)?,
            None => Expr::Literal(Value::varchar(separator.as_deref().unwrap_or(","))),
        };
        let own = value.expr.clone();
        let value = self.assign(value, DataType::Varchar)?;
        if call.distinct {
            if keys.iter().any(|key| key.expr != own && key.expr != value && key.expr != between) {
                let message =
                    "where the values of an aggregate are DISTINCT, they are what its order can be by";
                return Err(Error::value(message).at(call.span));
            }
            if keys.is_empty() {
                keys.push(SortKey { expr: own, descending: false, nulls_first: false });
            }
        }
        ordered(call, StateFunction::StringAgg, vec![value, between], keys)
    }

    /// `percentile_cont(f) WITHIN GROUP (ORDER BY x)`: numbers in between are `DOUBLE`.
    fn percentile(&mut self, call: Call<'_>, args: Vec<Bound>, keys: Vec<SortKey>) -> Result<Made> {
        let fraction = self.one(&call, args)?;
        let ([key], false) = (keys.as_slice(), call.distinct) else {
            return Err(call.takes("one fraction and one key to order by, and no DISTINCT"));
        };
        if let Some(fractions) = self.fractions(&call, &fraction)? {
            return self.each(fractions, |binder, fraction| {
                binder.percentile(call.clone(), vec![fraction], keys.clone())
            });
        }
        let fraction = self.fraction(&call, fraction, 0.0)?;
        let value = key.expr.clone();
        if call.name == "percentile_disc" {
            let data_type = value.data_type();
            return Ok(Made::Call(call.make(
                StateFunction::QuantileDisc,
                direction(key.descending),
                vec![value, fraction],
                data_type,
            )));
        }
        let value = if value.data_type().is_numeric() { cast(value, DataType::Float64) } else { value };
        interpolated(call, value, fraction, key.descending)
    }

    /// DuckDB's quantiles: of the type of what they are of, from the end where the fraction is below 0.
    fn quantile(&mut self, call: Call<'_>, args: Vec<Bound>, keys: Vec<SortKey>) -> Result<Made> {
        if let [value, fraction] = args.as_slice()
            && let Some(fractions) = self.fractions(&call, fraction)?
        {
            return self.each(fractions, |binder, fraction| {
                binder.quantile(call.clone(), vec![value.clone(), fraction], keys.clone())
            });
        }
        let mut args = args.into_iter();
        let (value, fraction) = match (args.next(), args.next(), args.next(), call.name == "median") {
            (Some(value), None, None, true) => (value, Expr::Literal(Value::float64(0.5))),
            (Some(value), Some(fraction), None, false) => {
                let fraction = self.fraction(&call, fraction, -1.0)?;
                (value, fraction)
            }
            (.., true) => return Err(call.takes("one argument")),
            (.., false) => return Err(call.takes("a value and a fraction")),
        };
        let is_null = value.literal == Literal::Null;
        let value = self.settle(value)?;
        let mut descending = match keys.as_slice() {
            [] => false,
            [key] if key.expr == value => key.descending,
            _ => return Err(call.takes("an order by its own argument alone")),
        };
        let fraction = match fraction {
            Expr::Literal(Value { scalar: Scalar::Float(below), .. }) if below < 0.0 => {
                descending = !descending;
                Expr::Literal(Value::float64(-below))
            }
            fraction => fraction,
        };
        let value = if is_null { Expr::Literal(Value::null(DataType::Float64)) } else { value };
        let data_type = value.data_type();
        let discrete = match call.name {
            "median" => {
                matches!(data_type, DataType::Varchar | DataType::Binary | DataType::Boolean | DataType::Null)
            }
            name => name != "quantile_cont",
        };
        if discrete {
            let args = vec![value, fraction];
            return Ok(Made::Call(call.make(
                StateFunction::QuantileDisc,
                direction(descending),
                args,
                data_type,
            )));
        }
        let value = if data_type.is_integer() { cast(value, DataType::Float64) } else { value };
        interpolated(call, value, fraction, descending)
    }

    /// A constant from `least` to 1.
    fn fraction(&mut self, call: &Call<'_>, bound: Bound, least: f64) -> Result<Expr> {
        let (span, is_unknown) = (bound.span, matches!(bound.literal, Literal::Parameter(_)));
        let expr = fold(self.coerce(bound, DataType::Float64)?);
        match expr {
            // Only types are asked for.
            _ if is_unknown => Ok(Expr::Literal(Value::float64(0.5))),
            Expr::Literal(Value { scalar: Scalar::Float(value), .. }) if (least..=1.0).contains(&value) => {
                Ok(expr)
            }
            Expr::Literal(_) => {
                Err(Error::value(format!("the fraction of {}() lies between {least} and 1", call.name))
                    .at(span))
            }
            _ => {
                Err(Error::unsupported(format!("a fraction of {}() that is no constant", call.name)).at(span))
            }
        }
    }

    fn mode(
        &mut self,
        mut call: Call<'_>,
        args: Vec<Bound>,
        keys: Vec<SortKey>,
        within: bool,
    ) -> Result<Made> {
        let (value, descending) = match (within, keys.as_slice()) {
            (true, [key]) if args.is_empty() => (key.expr.clone(), key.descending),
            (true, _) => return Err(call.takes("no argument and one key to order by")),
            (false, keys) => {
                let value = self.one(&call, args)?;
                let value = self.settle(value)?;
                let descending = keys.first().is_some_and(|key| key.expr == value && key.descending);
                (value, descending)
            }
        };
        let data_type = value.data_type();
        // Where values count once, each is as frequent as the others.
        call.distinct &= !within;
        Ok(Made::Call(call.make(StateFunction::Mode, direction(descending), vec![value], data_type)))
    }

    /// Functions of rows in any order.
    fn folded(&mut self, call: Call<'_>, args: Vec<Bound>) -> Result<Made> {
        use StateFunction::*;
        let of_one = match call.name {
            "stddev" | "stddev_samp" => Some(StddevSamp),
            "stddev_pop" => Some(StddevPop),
            "variance" | "var_samp" => Some(VarSamp),
            "var_pop" => Some(VarPop),
            "sem" => Some(StandardError),
            "skewness" => Some(Skewness),
            "kurtosis" => Some(Kurtosis),
            "kurtosis_pop" => Some(KurtosisPop),
            "product" => Some(Product),
            "fsum" | "sumkahan" | "kahan_sum" | "favg" => Some(SumCompensated),
            _ => None,
        };
        if let Some(function) = of_one {
            let value = self.one(&call, args)?;
            let value = self.double(&call, value)?;
            let is_mean = call.name == "favg";
            let sum = call.plain(function, vec![value], DataType::Float64);
            return Ok(if is_mean { Made::Mean(sum) } else { Made::Call(sum) });
        }
        let of_two = match call.name {
            "covar_pop" => Some(CovarPop),
            "covar_samp" => Some(CovarSamp),
            "corr" => Some(Corr),
            "regr_slope" => Some(RegrSlope),
            "regr_intercept" => Some(RegrIntercept),
            "regr_r2" => Some(RegrR2),
            "regr_avgx" => Some(RegrAvgX),
            "regr_avgy" => Some(RegrAvgY),
            "regr_sxx" => Some(RegrSxx),
            "regr_syy" => Some(RegrSyy),
            "regr_sxy" => Some(RegrSxy),
            _ => None,
        };
        if of_two.is_some() || call.name == "regr_count" {
            let [y, x] = <[Bound; 2]>::try_from(args).map_err(|_| call.takes("two arguments"))?;
            let (y, x) = (self.double(&call, y)?, self.double(&call, x)?);
            return match of_two {
                Some(function) => Ok(Made::Call(call.plain(function, vec![y, x], DataType::Float64))),
                None => pairs(call, y, x),
            };
        }
        match call.name {
            "geomean" | "geometric_mean" => {
                let value = self.one(&call, args)?;
                let (value, span) = (self.double(&call, value)?, call.span);
                let logarithm = self.call("ln", vec![Bound::typed(value, span)], span)?;
                let Call { distinct, filter, .. } = call;
                let data_type = DataType::Float64;
                let function = AggregateFunction::Sum;
                Ok(Made::ExpMean(AggregateCall {
                    function,
                    distinct,
                    args: vec![logarithm],
                    filter,
                    data_type,
                }))
            }
            "bit_and" | "bit_or" | "bit_xor" => {
                let value = self.one(&call, args)?;
                let (found, span) = (value.data_type(), value.span);
                let value = match found {
                    DataType::Null => self.coerce(value, DataType::Int32)?,
                    found if found.is_integer() => value.expr,
                    found => return Err(call.refuse(found, span)),
                };
                let function = match call.name {
                    "bit_and" => BitAnd,
                    "bit_or" => BitOr,
                    _ => BitXor,
                };
                let data_type = value.data_type();
                Ok(Made::Call(call.plain(function, vec![value], data_type)))
            }
            "mad" => {
                let value = self.one(&call, args)?;
                let (found, span) = (value.data_type(), value.span);
                let value = match found {
                    DataType::Float32 | DataType::Decimal { .. } => value.expr,
                    DataType::Date | DataType::Time | DataType::Timestamp { .. } => {
                        return Err(Error::unsupported(format!("mad({found})")).at(span));
                    }
                    _ => self.double(&call, value)?,
                };
                let data_type = value.data_type();
                Ok(Made::Call(call.plain(MedianDeviation, vec![value], data_type)))
            }
            "entropy" => {
                let value = self.one(&call, args)?;
                let value = self.settle(value)?;
                let call = call.plain(Entropy, vec![value], DataType::Float64);
                Ok(Made::Or(call, Value::float64(0.0)))
            }
            "approx_count_distinct" => {
                let value = self.one(&call, args)?;
                let value = self.settle(value)?;
                let call =
                    Call { distinct: false, ..call }.plain(ApproxCountDistinct, vec![value], DataType::Int64);
                Ok(Made::Or(call, Value::int64(0)))
            }
            "approx_quantile" | "approx_median" => self.approximate(call, args),
            other => Err(Error::internal(format!("the aggregate {other} is not known"))),
        }
    }

    fn approximate(&mut self, call: Call<'_>, args: Vec<Bound>) -> Result<Made> {
        if let [value, fraction] = args.as_slice()
            && let Some(fractions) = self.fractions(&call, fraction)?
        {
            return self.each(fractions, |binder, fraction| {
                binder.approximate(call.clone(), vec![value.clone(), fraction])
            });
        }
        let mut args = args.into_iter();
        let (value, fraction) = match (args.next(), args.next(), args.next(), call.name) {
            (Some(value), None, None, "approx_median") => (value, Expr::Literal(Value::float64(0.5))),
            (Some(value), Some(fraction), None, "approx_quantile") => {
                let fraction = self.fraction(&call, fraction, 0.0)?;
                (value, fraction)
            }
            (.., "approx_median") => return Err(call.takes("one argument")),
            _ => return Err(call.takes("a value and a fraction")),
        };
        let (found, span) = (value.data_type(), value.span);
        let value = match found {
            DataType::Null => self.coerce(value, DataType::Float64)?,
            DataType::Date | DataType::Time | DataType::Timestamp { .. } => value.expr,
            found if found.is_numeric() => value.expr,
            found => return Err(call.refuse(found, span)),
        };
        let data_type = value.data_type();
        Ok(Made::Call(call.plain(StateFunction::ApproxQuantile, vec![value, fraction], data_type)))
    }
}

/// How many pairs have no null.
fn pairs(call: Call<'_>, y: Expr, x: Expr) -> Result<Made> {
    if call.distinct {
        return Err(Error::unsupported("DISTINCT in regr_count()").at(call.span));
    }
    let is_there = Expr::IsNull { input: Box::new(x), negated: true };
    let data_type = y.data_type();
    let arg = Expr::Case { branches: vec![(is_there, y)], otherwise: None, data_type };
    let Call { distinct, filter, .. } = call;
    let (function, data_type) = (AggregateFunction::Count, DataType::Int64);
    Ok(Made::Call(AggregateCall { function, distinct, args: vec![arg], filter, data_type }))
}

/// A value between others, of what has values between.
fn interpolated(call: Call<'_>, value: Expr, fraction: Expr, descending: bool) -> Result<Made> {
    let value = match value.data_type() {
        DataType::Date => cast(value, DataType::TIMESTAMP),
        DataType::Null => cast(value, DataType::Float64),
        DataType::Float32
        | DataType::Float64
        | DataType::Decimal { .. }
        | DataType::Time
        | DataType::Timestamp { .. } => value,
        DataType::Interval => {
            let message = format!("{}() of intervals", call.name);
            return Err(Error::unsupported(message).at(call.span));
        }
        found => return Err(call.refuse(found, call.span)),
    };
    let data_type = value.data_type();
    Ok(Made::Call(call.make(
        StateFunction::QuantileCont,
        direction(descending),
        vec![value, fraction],
        data_type,
    )))
}

/// A call whose rows have an order. The type is that of its first argument.
pub(super) fn ordered(
    call: Call<'_>,
    function: StateFunction,
    mut args: Vec<Expr>,
    keys: Vec<SortKey>,
) -> Result<Made> {
    // A constant orders nothing.
    let keys: Vec<SortKey> = keys.into_iter().filter(|key| !matches!(key.expr, Expr::Literal(_))).collect();
    if keys.len() > KeyOrder::MOST_KEYS {
        let message = format!("an order by more than {} keys inside a call", KeyOrder::MOST_KEYS);
        return Err(Error::unsupported(message).at(call.span));
    }
    let order = KeyOrder::new(keys.iter().map(|key| (key.descending, key.nulls_first)));
    let data_type = args.first().map_or(DataType::Null, Expr::data_type);
    args.extend(keys.into_iter().map(|key| key.expr));
    Ok(Made::Call(call.make(function, order, args, data_type)))
}

/// The direction of what is ordered by its argument.
fn direction(descending: bool) -> KeyOrder {
    KeyOrder { descending: descending.into(), ..KeyOrder::default() }
}
