//! Calls that mean an expression, something of the session, or the moment of the statement.

use super::Binder;
use super::constants::fold;
use super::expression::{Bound, Literal};
use super::zones::{INSTANT, is_zoned};
use crate::catalog::DEFAULT_SCHEMA;
use crate::error::{Error, Result};
use columnar::types::Nested;
use columnar::{DataType, Scalar, Value};
use exec::{ArithmeticOp, CompareOp, Expr};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments};
use sqlparser::tokenizer::Span;

/// What PostgreSQL's clients ask for.
const VERSION: &str = concat!("Tundra ", env!("CARGO_PKG_VERSION"));
/// The schema of names without one.
const DAY_MICROS: i64 = 86_400_000_000;

impl Binder<'_> {
    /// The call by what it means, where it is none of a function of values alone.
    pub(super) fn meaning(&mut self, name: &str, args: &[Bound], span: Span) -> Result<Option<Expr>> {
        if let Some(expr) = self.json_meaning(name, args, span)? {
            return Ok(Some(expr));
        }
        let text = |text: &str| Ok(Some(Expr::Literal(Value::varchar(text))));
        Ok(Some(match (name, args) {
            ("coalesce" | "ifnull" | "nvl", [_, ..]) => self.coalesce(args.to_vec())?,
            ("nullif", [left, right]) => {
                let value = self.settle(left.clone())?;
                let equal = self.compare(CompareOp::Equal, left.clone(), right.clone())?;
                let data_type = value.data_type();
                let null = Expr::Literal(Value::null(data_type));
                Expr::Case { branches: vec![(equal, null)], otherwise: Some(Box::new(value)), data_type }
            }
            ("if" | "iff", [condition, then, otherwise]) => {
                let condition = self.boolean(condition.clone(), "IF")?;
                self.either(condition, then.clone(), otherwise.clone())?
            }
            ("nvl2", [value, then, otherwise]) => {
                let input = Box::new(self.settle(value.clone())?);
                self.either(Expr::IsNull { input, negated: true }, then.clone(), otherwise.clone())?
            }
            ("typeof", [value]) => return text(&type_name(value)),
            ("pg_typeof", [value]) => return text(postgresql_name(value)),
            ("add", [left, right]) => {
                self.arithmetic(ArithmeticOp::Add, left.clone(), right.clone(), span)?
            }
            ("subtract", [left, right]) => {
                self.arithmetic(ArithmeticOp::Subtract, left.clone(), right.clone(), span)?
            }
            ("multiply", [left, right]) => {
                self.arithmetic(ArithmeticOp::Multiply, left.clone(), right.clone(), span)?
            }
            ("date_add", [moment, span_of_time]) => {
                self.call("+", vec![moment.clone(), span_of_time.clone()], span)?
            }
            ("date_subtract", [moment, span_of_time]) => {
                self.call("-", vec![moment.clone(), span_of_time.clone()], span)?
            }
            ("date_add", [_, _, _]) => self.call("instant_add", args.to_vec(), span)?,
            ("date_subtract", [_, _, _]) => self.call("instant_subtract", args.to_vec(), span)?,
            ("age", [moment]) => {
                let mut today = self.moment(DataType::Date, None)?;
                if is_zoned(moment.data_type()) {
                    today = self.cast_in_zone(today, INSTANT, false)?;
                }
                self.call("age", vec![Bound::typed(today, span), moment.clone()], span)?
            }
            ("version", []) => return text(VERSION),
            ("current_schema", []) => return text(DEFAULT_SCHEMA),
            ("current_database" | "current_catalog", []) => return text(&self.catalog.database()),
            ("current_user" | "session_user" | "current_role" | "user", []) => {
                return Ok(self.catalog.current_user().map(|user| Expr::Literal(Value::varchar(&user))));
            }
            (name, [] | [_]) => match moment_type(name, args.len()) {
                Some(data_type) => {
                    let digits = args.first().map(|arg| digits_of(arg, span)).transpose()?;
                    self.moment(data_type, digits)?
                }
                None => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    /// What a name that is no column's stands for in PostgreSQL.
    pub(super) fn session_name(&self, parts: &[ast::Ident]) -> Option<String> {
        let [name] = parts else { return None };
        if name.quote_style.is_some() {
            return None;
        }
        match name.value.to_ascii_lowercase().as_str() {
            "current_user" | "session_user" | "current_role" => self.catalog.current_user(),
            "current_schema" => Some(DEFAULT_SCHEMA.into()),
            "current_catalog" => Some(self.catalog.database()),
            _ => None,
        }
    }

    fn either(&mut self, condition: Expr, then: Bound, otherwise: Bound) -> Result<Expr> {
        let (mut values, data_type) = self.unify_all(vec![then, otherwise], "IF")?;
        let (Some(otherwise), Some(then)) = (values.pop(), values.pop()) else {
            return Err(Error::internal("IF without values"));
        };
        Ok(fold(Expr::Case {
            branches: vec![(condition, then)],
            otherwise: Some(Box::new(otherwise)),
            data_type,
        }))
    }

    /// The moment of the statement, the same wherever it is asked for, with so many digits of the second.
    fn moment(&mut self, data_type: DataType, digits: Option<u32>) -> Result<Expr> {
        let value = match data_type {
            DataType::Date => self.local_now(None)?.div_euclid(DAY_MICROS),
            DataType::Time => self.local_now(digits)?.rem_euclid(DAY_MICROS),
            data_type if is_zoned(data_type) => self.instant_now(digits),
            _ => self.local_now(digits)?,
        };
        Ok(Expr::Literal(Value::new(data_type, Scalar::Integer(value.into()))))
    }

    /// The moment of the statement in microseconds since 1970.
    pub(super) fn instant_now(&mut self, digits: Option<u32>) -> i64 {
        let micros = *self.now.get_or_insert_with(|| self.catalog.now_micros());
        let unit = 10_i64.pow(6 - digits.unwrap_or(6).min(6));
        (micros + unit / 2).div_euclid(unit) * unit
    }

    /// `(a, b) OVERLAPS (c, d)`, where b and d are ends or lengths.
    pub(super) fn overlaps(&mut self, left: Vec<Bound>, right: Vec<Bound>, span: Span) -> Result<Expr> {
        let mut ends = Vec::with_capacity(4);
        for stretch in [left, right] {
            let [start, end] = <[Bound; 2]>::try_from(stretch).map_err(|_| {
                Error::value("OVERLAPS takes two moments, or a moment and an interval, on each side").at(span)
            })?;
            if let Some(wrong) = [&start, &end].into_iter().find(|bound| !is_moment(bound)) {
                let message = format!("OVERLAPS takes moments, not {}", wrong.data_type());
                return Err(Error::value(message).at(wrong.span));
            }
            let end = match end.data_type() {
                DataType::Interval => Bound::typed(self.call("+", vec![start.clone(), end], span)?, span),
                _ => end,
            };
            ends.extend([start, end]);
        }
        self.call("overlaps", ends, span)
    }

    /// The arguments of a call that names them, in the order of the function; those that are left out are 0.
    pub(super) fn named_arguments<'e>(
        &self,
        name: &str,
        call: &'e ast::Function,
    ) -> Result<Option<Vec<Option<&'e ast::Expr>>>> {
        const INTERVAL: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
        let FunctionArguments::List(list) = &call.args else { return Ok(None) };
        if name != "make_interval" || !list.args.iter().any(|arg| matches!(arg, FunctionArg::Named { .. })) {
            return Ok(None);
        }
        let mut found: Vec<Option<&ast::Expr>> = vec![None; INTERVAL.len()];
        for (position, arg) in list.args.iter().enumerate() {
            let (place, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(position), value),
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(value),
                    operator: FunctionArgOperator::RightArrow,
                } => (INTERVAL.iter().position(|known| name.value.eq_ignore_ascii_case(known)), value),
                other => return Err(Error::unsupported(format!("the argument {other}"))),
            };
            match place.and_then(|place| found.get_mut(place)) {
                Some(slot) if slot.is_none() => *slot = Some(value),
                _ => {
                    let message = format!("make_interval takes each of {} once", INTERVAL.join(", "));
                    return Err(Error::value(message));
                }
            }
        }
        Ok(Some(found))
    }
}

fn is_moment(bound: &Bound) -> bool {
    matches!(
        bound.data_type(),
        DataType::Null | DataType::Date | DataType::Time | DataType::Timestamp { .. } | DataType::Interval
    )
}

/// The type of a moment that a call without arguments, or with a number of digits, gives.
fn moment_type(name: &str, args: usize) -> Option<DataType> {
    Some(match (name, args) {
        ("now" | "transaction_timestamp" | "statement_timestamp" | "get_current_timestamp", 0) => INSTANT,
        ("current_timestamp", _) => INSTANT,
        ("localtimestamp" | "current_localtimestamp", _) => DataType::TIMESTAMP,
        ("current_date" | "today", 0) => DataType::Date,
        ("current_time" | "localtime" | "get_current_time" | "current_localtime", _) => DataType::Time,
        _ => return None,
    })
}

fn digits_of(arg: &Bound, span: Span) -> Result<u32> {
    match &arg.expr {
        Expr::Literal(Value { scalar: Scalar::Integer(digits @ 0..=6), data_type })
            if data_type.is_integer() =>
        {
            Ok(*digits as u32)
        }
        _ => Err(Error::value("the digits of a second are a number from 0 to 6").at(span)),
    }
}

fn type_name(value: &Bound) -> String {
    match value.literal {
        Literal::Text => DataType::Varchar.to_string(),
        _ => value.data_type().to_string(),
    }
}

/// What PostgreSQL calls the type.
fn postgresql_name(value: &Bound) -> &'static str {
    match value.data_type() {
        DataType::Null if value.literal == Literal::Text => "text",
        DataType::Null => "unknown",
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Decimal { .. } => "numeric",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Date => "date",
        DataType::Time => "time without time zone",
        DataType::Timestamp { zone: false, .. } => "timestamp without time zone",
        DataType::Timestamp { zone: true, .. } => "timestamp with time zone",
        DataType::Interval => "interval",
        DataType::Varchar => "text",
        DataType::Binary => "bytea",
        DataType::UInt8 => "smallint",
        DataType::UInt16 => "integer",
        DataType::UInt32 => "bigint",
        DataType::UInt64 | DataType::Int128 => "numeric",
        DataType::Uuid => "uuid",
        DataType::TimeZoned => "time with time zone",
        DataType::Json { canonical: false } => "json",
        DataType::Json { canonical: true } => "jsonb",
        DataType::Bits => "bit varying",
        DataType::Enum(kind) => kind.info().name.as_deref().unwrap_or("text"),
        DataType::Nested(kind) => match kind.info().shape {
            Nested::List(_) | Nested::Array { .. } => "anyarray",
            Nested::Struct(_) | Nested::Map { .. } => "record",
        },
    }
}
