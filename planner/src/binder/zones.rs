//! The session's time zone. What of a statement depends on it becomes a call that has the zone as a constant argument, so that
//! a plan says by itself what it means. In UTC nothing is added.

use super::Binder;
use super::constants::{fold, literal_or};
use super::conversion::cast_literal_or;
use super::literals::parse_literal;
use crate::error::{Error, Result};
use columnar::{DataType, Scalar, TimeUnit, Value};
use exec::Expr;

pub(super) const INSTANT: DataType = DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true };
const DAY_MICROS: i64 = 86_400_000_000;

pub(super) fn is_zoned(data_type: DataType) -> bool {
    matches!(data_type, DataType::Timestamp { zone: true, .. })
}

impl Binder<'_> {
    /// The session's zone, where it is not UTC.
    pub(super) fn zone(&self) -> Option<Expr> {
        let zone = self.options.zone.as_str();
        (!zone.is_empty() && zone != "UTC").then(|| Expr::Literal(Value::varchar(zone)))
    }

    /// A cast, done at once where the input is a literal, and by the clocks of the session's zone where they matter.
    pub(super) fn cast_in_zone(&mut self, input: Expr, target: DataType, try_cast: bool) -> Result<Expr> {
        let source = input.data_type();
        let Some(zone) = self.zone().filter(|_| is_zoned(source) != is_zoned(target)) else {
            return cast_literal_or(input, target, try_cast);
        };
        let is_moment = |data_type| matches!(data_type, DataType::Date | DataType::Timestamp { .. });
        // JSON is read as the text that it is.
        let (input, source) = match source {
            DataType::Json { .. } => {
                let path = Expr::Literal(Value::varchar("$"));
                (raw_call("->>", vec![input, path])?, DataType::Varchar)
            }
            source => (input, source),
        };
        let is_literal = matches!(input, Expr::Literal(_));
        let expr = if source == DataType::Varchar {
            as_unit(raw_call("text_instant", vec![input, zone])?, target)
        } else if target == DataType::Varchar {
            raw_call("instant_text", vec![as_unit(input, INSTANT), zone])?
        } else if matches!(target, DataType::Json { .. }) {
            as_type(raw_call("instant_json", vec![as_unit(input, INSTANT), zone])?, target)
        } else if target == DataType::TimeZoned {
            raw_call("timetz", vec![as_unit(input, INSTANT), zone])?
        } else if is_zoned(target) && is_moment(source) {
            let local = cast_literal_or(input, DataType::TIMESTAMP, try_cast)?;
            as_unit(raw_call("timezone", vec![zone, local])?, target)
        } else if is_zoned(source) && (is_moment(target) || target == DataType::Time) {
            let local = raw_call("timezone", vec![zone, as_unit(input, INSTANT)])?;
            if target == DataType::TIMESTAMP { local } else { cast_literal_or(local, target, try_cast)? }
        } else {
            return cast_literal_or(input, target, try_cast);
        };
        let expr = if try_cast { raw_call("try", vec![expr])? } else { expr };
        if is_literal { literal_or(expr) } else { Ok(expr) }
    }

    /// What a literal text means as a value of a type.
    pub(super) fn text_value(&mut self, text: &str, target: DataType) -> Result<Expr> {
        if let Some(named) = self.named_moment(text, target)? {
            return Ok(named);
        }
        match self.zone().filter(|_| is_zoned(target)) {
            Some(_) => self.cast_in_zone(Expr::Literal(Value::varchar(text)), target, false),
            None => Ok(Expr::Literal(parse_literal(text, target)?)),
        }
    }

    /// `now`, `today`, `tomorrow` and `yesterday` (PostgreSQL).
    fn named_moment(&mut self, text: &str, target: DataType) -> Result<Option<Expr>> {
        let is_day = matches!(target, DataType::Date | DataType::Timestamp { .. });
        if !is_day && target != DataType::Time {
            return Ok(None);
        }
        let days = match text.trim().to_ascii_lowercase().as_str() {
            "now" => None,
            "today" if is_day => Some(0),
            "tomorrow" if is_day => Some(1),
            "yesterday" if is_day => Some(-1),
            _ => return Ok(None),
        };
        let local = self.local_now(None)?;
        let value = match days {
            None => local,
            Some(days) => (local.div_euclid(DAY_MICROS) + days) * DAY_MICROS,
        };
        let value = Expr::Literal(Value::new(DataType::TIMESTAMP, Scalar::Integer(value.into())));
        Ok(Some(if target == DataType::TIMESTAMP { value } else { self.cast_in_zone(value, target, false)? }))
    }

    /// What the clocks of the session's zone show at the moment of the statement, in microseconds, with so many digits of the
    /// second.
    pub(super) fn local_now(&mut self, digits: Option<u32>) -> Result<i64> {
        let instant = self.instant_now(digits);
        let Some(zone) = self.zone() else { return Ok(instant) };
        let instant = Expr::Literal(Value::new(INSTANT, Scalar::Integer(instant.into())));
        match raw_call("timezone", vec![zone, instant])? {
            Expr::Literal(Value { scalar: Scalar::Integer(local), .. }) => Ok(local as i64),
            _ => Err(Error::value("the moment of the statement is out of range of its time zone")),
        }
    }

    /// A call of a function over arguments of the types that it takes, by the session's zone where it matters; `None` where it
    /// does not.
    pub(super) fn call_in_zone(&mut self, function: &str, args: &[Expr]) -> Result<Option<Expr>> {
        let types: Vec<DataType> = args.iter().map(Expr::data_type).collect();
        // What is read by a format that names a zone or an offset is an instant.
        if let ("strptime" | "try_strptime", Some(Expr::Literal(Value { scalar: Scalar::Bytes(format), .. }))) =
            (function, args.get(1))
            && format.windows(2).any(|pair| pair == b"%Z" || pair == b"%z")
        {
            return Ok(Some(fold(as_type(raw_call(function, args.to_vec())?, INSTANT))));
        }
        let Some(zone) = self.zone() else { return Ok(None) };
        if makes_json(function) && types.iter().any(|&data_type| is_zoned(data_type)) {
            let args = args.iter().map(|arg| match is_zoned(arg.data_type()) {
                true => raw_call("instant_json", vec![as_unit(arg.clone(), INSTANT), zone.clone()]),
                false => Ok(arg.clone()),
            });
            return raw_call(function, args.collect::<Result<_>>()?).map(Some);
        }
        let is_clock = |data_type: DataType| matches!(data_type, DataType::Timestamp { zone: false, .. });
        if types.iter().any(|&data_type| is_zoned(data_type))
            && types.iter().any(|&data_type| is_clock(data_type))
        {
            // Beside an instant a timestamp is one, too.
            let args = args.iter().map(|arg| match is_clock(arg.data_type()) {
                true => self.cast_in_zone(arg.clone(), INSTANT, false),
                false => Ok(arg.clone()),
            });
            let args = args.collect::<Result<Vec<_>>>()?;
            return match self.call_in_zone(function, &args)? {
                Some(expr) => Ok(Some(expr)),
                None => raw_call(function, args).map(Some),
            };
        }
        let zoned: Vec<bool> = types.iter().map(|&data_type| is_zoned(data_type)).collect();
        let instants: Vec<Expr> = args.iter().map(|arg| as_unit(arg.clone(), INSTANT)).collect();
        let with_zone = |function: &str| {
            raw_call(function, instants.iter().cloned().chain([zone.clone()]).collect()).map(Some)
        };
        let local = |arg: &Expr| match is_zoned(arg.data_type()) {
            true => raw_call("timezone", vec![zone.clone(), as_unit(arg.clone(), INSTANT)]),
            false => Ok(arg.clone()),
        };
        let locals = || args.iter().map(local).collect::<Result<Vec<_>>>();
        match (function, zoned.as_slice()) {
            ("make_timestamptz", [_, _, _, _, _, _]) => with_zone(function),
            ("to_timestamp", [false, false]) => with_zone(function),
            ("date_part" | "date_trunc" | "time_bucket", [false, true]) => with_zone(function),
            ("date_diff" | "date_sub", [false, true, true]) => with_zone(function),
            ("strftime" | "to_char", [true, false]) => with_zone(function),
            ("+", [true, false]) => with_zone("instant_add"),
            ("+", [false, true]) => {
                let [span, moment] = instants.as_slice() else { return Ok(None) };
                raw_call("instant_add", vec![moment.clone(), span.clone(), zone.clone()]).map(Some)
            }
            ("-", [true, false]) => with_zone("instant_subtract"),
            ("age", [true, true]) => raw_call(function, locals()?).map(Some),
            ("time_bucket", [false, true, _]) if !types[2].is_text() => {
                let start = raw_call(function, locals()?)?;
                raw_call("timezone", vec![zone.clone(), start]).map(Some)
            }
            ("timezone" | "timezone_hour" | "timezone_minute", [true]) => {
                let name = Expr::Literal(Value::varchar(function));
                let part = raw_call("date_part", vec![name, instants[0].clone(), zone.clone()])?;
                Ok(Some(fold(as_type(part, DataType::Int64))))
            }
            ("last_day" | "dayname" | "monthname", [true]) => raw_call(function, locals()?).map(Some),
            (field, [true])
                if field != "epoch" && exec::functions::extract_function(field) == Some(field) =>
            {
                raw_call(function, locals()?).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Functions that write values as JSON.
fn makes_json(function: &str) -> bool {
    matches!(
        function,
        "to_json"
            | "to_jsonb"
            | "json_quote"
            | "json_array"
            | "json_object"
            | "json_build_array"
            | "json_build_object"
            | "jsonb_build_array"
            | "jsonb_build_object"
            | "json_element"
            | "json_member"
    )
}

/// What a zone's clocks show at an instant, or the instant at which they show a time.
pub(super) fn shown_in(zone: &Expr, moment: Expr) -> Result<Expr> {
    raw_call("timezone", vec![zone.clone(), moment])
}

/// The call of a function that takes arguments of just these types, without a look at the session.
fn raw_call(function: &str, args: Vec<Expr>) -> Result<Expr> {
    let types: Vec<DataType> = args.iter().map(Expr::data_type).collect();
    let resolved = exec::functions::resolve(function, &types)
        .map_err(|error| Error::internal(format!("a call by a time zone: {error}")))?;
    let args =
        args.into_iter().zip(&resolved.args).map(|(arg, &data_type)| as_type(arg, data_type)).collect();
    Ok(fold(Expr::Call { function: resolved.function, args, data_type: resolved.returns }))
}

/// An instant in another unit; other values as they are.
fn as_unit(expr: Expr, data_type: DataType) -> Expr {
    if is_zoned(expr.data_type()) { as_type(expr, data_type) } else { expr }
}

fn as_type(expr: Expr, data_type: DataType) -> Expr {
    match expr.data_type() == data_type {
        true => expr,
        false => fold(Expr::Cast { input: Box::new(expr), data_type, try_cast: false }),
    }
}
