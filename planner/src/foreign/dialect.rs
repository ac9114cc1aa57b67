//! What each engine calls things, and which of them mean there what they mean here.

use super::expression::keeps_values;
use super::relation::{Unsaid, unsaid};
use crate::catalog::Engine;
use columnar::{DataType, Scalar, TimeUnit, Value};
use exec::Expr;
use exec::plan::AggregateFunction;

type Result<T> = std::result::Result<T, Unsaid>;

/// The SQL of an engine, as far as it means the same as ours.
pub(super) trait Dialect: Sync {
    /// Whether it is asked for anything but columns of tables.
    fn computes(&self) -> bool {
        true
    }

    /// The type's name; `None`: it has no such type, or one of other values.
    fn type_name(&self, data_type: DataType) -> Option<String>;

    /// A column of a table, as Tundra has it.
    fn column(&self, quoted: &str, _: DataType) -> String {
        quoted.into()
    }

    /// An operand of `<` and the like, and of `ORDER BY`: text is ordered by its bytes.
    fn ordered(&self, text: String, _: DataType) -> String {
        text
    }

    /// Whether any division may be sent, since it is evaluated for the rows alone that the query asks it for.
    fn divides(&self) -> bool;

    /// Whether the cast gives the same value, and fails where ours does.
    fn casts(&self, from: DataType, to: DataType) -> bool;

    /// The type to cast to, `None`: there is none like it; empty: the value is as it is.
    fn cast_name(&self, _: DataType, to: DataType) -> Option<String> {
        self.type_name(to)
    }

    /// A function's call; `None`: there is none like it.
    fn call(&self, function: &str, args: &[Expr], texts: &[String], data_type: DataType) -> Option<String>;

    /// An aggregate: what comes before its filter, and what after.
    fn aggregate(
        &self,
        function: AggregateFunction,
        distinct: bool,
        arg: Option<(String, DataType)>,
        data_type: DataType,
    ) -> Result<(String, &'static str)>;

    /// A value.
    fn literal(&self, value: &Value) -> Result<String> {
        let data_type = value.data_type;
        if data_type == DataType::Null {
            return Ok("NULL".into());
        }
        let Some(name) = self.type_name(data_type) else { return unsaid(format!("{data_type}")) };
        Ok(match &value.scalar {
            Scalar::Null => format!("CAST(NULL AS {name})"),
            Scalar::Boolean(true) => "TRUE".into(),
            Scalar::Boolean(false) => "FALSE".into(),
            Scalar::Integer(number)
                if matches!(data_type, DataType::Int32 | DataType::Decimal { .. }) && *number >= 0 =>
            {
                value.to_string()
            }
            Scalar::Bytes(bytes) if bytes.contains(&0) && data_type == DataType::Varchar => {
                return unsaid("text with a zero byte");
            }
            Scalar::Bytes(_) if data_type == DataType::Varchar => quoted_text(&value.to_string()),
            _ => format!("CAST({} AS {name})", quoted_text(&value.to_string())),
        })
    }
}

/// The dialect of an engine.
pub(super) fn of(engine: Engine) -> &'static dyn Dialect {
    match engine {
        Engine::PostgreSql => &PostgreSql,
        Engine::Tundra => &Tundra,
        Engine::Plain => &Plain,
    }
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as every engine here quotes it.
pub(super) fn quoted(name: &str) -> Result<String> {
    if name.is_empty() || name.contains('\0') {
        return unsaid("a name that is empty or has a zero byte");
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Names that PostgreSQL and Tundra share.
fn shared_name(data_type: DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        DataType::Float32 => "real".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Date => "date".into(),
        DataType::Time => "time".into(),
        DataType::Timestamp { unit: TimeUnit::Microsecond, zone: false } => "timestamp".into(),
        DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true } => "timestamp with time zone".into(),
        DataType::Interval => "interval".into(),
        DataType::Varchar => "text".into(),
        DataType::Binary => "bytea".into(),
        _ => return None,
    })
}

/// A number of 32 bits.
fn small(expr: &Expr) -> Option<String> {
    let Expr::Literal(value) = expr else { return None };
    let number = i32::try_from(value.scalar.as_integer()?).ok()?;
    Some(if number < 0 { format!("({number})") } else { number.to_string() })
}

/// Functions that both engines have.
fn shared_call(function: &str, args: &[Expr], texts: &[String], data_type: DataType) -> Option<String> {
    let is_text = |expr: &Expr| expr.data_type() == DataType::Varchar;
    let whole_days =
        |expr: &Expr| matches!(expr.data_type(), DataType::Date) || expr.data_type() == DataType::TIMESTAMP;
    Some(match (function, args, texts) {
        ("coalesce", _, texts) => format!("coalesce({})", texts.join(", ")),
        ("||", [a, b], [x, y]) if is_text(a) && is_text(b) => format!("({x} || {y})"),
        ("length", [text], [x]) if is_text(text) => format!("CAST(char_length({x}) AS bigint)"),
        ("substring", [text, rest @ ..], [x, ..]) if is_text(text) && !rest.is_empty() => {
            let numbers = rest.iter().map(small).collect::<Option<Vec<_>>>()?;
            format!("substring({x}, {})", numbers.join(", "))
        }
        ("year" | "quarter" | "month" | "day", [moment], [x]) if whole_days(moment) => {
            format!("CAST(extract({function} FROM {x}) AS bigint)")
        }
        ("+" | "-", [a, b], [x, _]) if a.data_type() == DataType::Date && small(b).is_some() => {
            format!("({x} {function} {})", small(b)?)
        }
        ("+" | "-", [a, b], [x, y])
            if whole_days(a)
                && (matches!(b.data_type(), DataType::Interval)
                    || a.data_type() == DataType::Date && b.data_type() == DataType::Int32) =>
        {
            format!("({x} {function} {y})")
        }
        ("abs", [number], [x]) if data_type == number.data_type() => format!("abs({x})"),
        _ => return None,
    })
}

/// The calls that both engines have.
fn shared_aggregate(
    function: AggregateFunction,
    distinct: bool,
    arg: Option<&str>,
) -> Option<(String, &'static str)> {
    let word = if distinct { "DISTINCT " } else { "" };
    Some(match (function, arg) {
        (AggregateFunction::CountRows, _) => ("count(*)".into(), ""),
        (AggregateFunction::Count, Some(arg)) => (format!("count({word}{arg})"), ""),
        (AggregateFunction::Sum, Some(arg)) => (format!("sum({word}{arg})"), ""),
        (AggregateFunction::Min | AggregateFunction::AnyValue, Some(arg)) => (format!("min({arg})"), ""),
        (AggregateFunction::Max, Some(arg)) => (format!("max({arg})"), ""),
        (AggregateFunction::BoolAnd, Some(arg)) => (format!("bool_and({arg})"), ""),
        (AggregateFunction::BoolOr, Some(arg)) => (format!("bool_or({arg})"), ""),
        _ => return None,
    })
}

struct PostgreSql;

impl Dialect for PostgreSql {
    fn type_name(&self, data_type: DataType) -> Option<String> {
        shared_name(data_type)
    }

    /// `character(n)` compares without the blanks that it is padded with; as `text` it has none.
    fn column(&self, quoted: &str, data_type: DataType) -> String {
        match data_type {
            DataType::Varchar => format!("CAST({quoted} AS text)"),
            _ => quoted.into(),
        }
    }

    fn ordered(&self, text: String, data_type: DataType) -> String {
        match data_type {
            DataType::Varchar => format!("({text} COLLATE \"C\")"),
            _ => text,
        }
    }

    /// Conditions of one `WHERE`, and those of subqueries in it, are evaluated in any order.
    fn divides(&self) -> bool {
        false
    }

    fn casts(&self, from: DataType, to: DataType) -> bool {
        keeps_values(from, to)
    }

    /// Its decimals have as many digits as it takes.
    fn cast_name(&self, from: DataType, to: DataType) -> Option<String> {
        match (from, to) {
            (DataType::Decimal { .. }, DataType::Decimal { .. }) => Some(String::new()),
            (_, DataType::Decimal { .. }) => Some("numeric".into()),
            _ => self.type_name(to),
        }
    }

    fn call(&self, function: &str, args: &[Expr], texts: &[String], data_type: DataType) -> Option<String> {
        shared_call(function, args, texts, data_type)
    }

    fn aggregate(
        &self,
        function: AggregateFunction,
        distinct: bool,
        arg: Option<(String, DataType)>,
        data_type: DataType,
    ) -> Result<(String, &'static str)> {
        let of = arg.as_ref().map(|(_, data_type)| *data_type);
        let is_extreme =
            matches!(function, AggregateFunction::Min | AggregateFunction::Max | AggregateFunction::AnyValue);
        match of {
            Some(DataType::Float32) if function == AggregateFunction::Sum => {
                return unsaid("a sum of REAL, which the server rounds at each step");
            }
            Some(DataType::Boolean | DataType::Binary) if is_extreme => {
                return unsaid("an extreme of such values");
            }
            Some(data_type) if self.type_name(data_type).is_none() => return unsaid(format!("{data_type}")),
            _ => {}
        }
        let arg = arg.map(|(text, data_type)| if is_extreme { self.ordered(text, data_type) } else { text });
        let said = shared_aggregate(function, distinct, arg.as_deref());
        // A null of a type of its own would be text.
        let said = said.filter(|_| data_type != DataType::Null);
        said.map_or_else(|| unsaid("an aggregate of aggregates"), Ok)
    }
}

struct Tundra;

impl Dialect for Tundra {
    fn type_name(&self, data_type: DataType) -> Option<String> {
        match data_type {
            DataType::Int8 => Some("tinyint".into()),
            other => shared_name(other),
        }
    }

    fn divides(&self) -> bool {
        true
    }

    fn casts(&self, _: DataType, _: DataType) -> bool {
        true
    }

    fn call(&self, function: &str, args: &[Expr], texts: &[String], data_type: DataType) -> Option<String> {
        shared_call(function, args, texts, data_type).or_else(|| {
            let is_name = function
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit());
            is_name.then(|| format!("{function}({})", texts.join(", ")))
        })
    }

    fn aggregate(
        &self,
        function: AggregateFunction,
        distinct: bool,
        arg: Option<(String, DataType)>,
        _: DataType,
    ) -> Result<(String, &'static str)> {
        let arg = arg.map(|(text, _)| text);
        match (function, &arg) {
            (AggregateFunction::AnyValue, Some(arg)) => Ok((format!("any_value({arg})"), "")),
            _ => shared_aggregate(function, distinct, arg.as_deref())
                .map_or_else(|| unsaid("an aggregate of aggregates"), Ok),
        }
    }
}

/// Columns of tables, and nothing else.
struct Plain;

impl Dialect for Plain {
    fn computes(&self) -> bool {
        false
    }

    fn type_name(&self, _: DataType) -> Option<String> {
        None
    }

    fn divides(&self) -> bool {
        false
    }

    fn casts(&self, _: DataType, _: DataType) -> bool {
        false
    }

    fn call(&self, _: &str, _: &[Expr], _: &[String], _: DataType) -> Option<String> {
        None
    }

    fn aggregate(
        &self,
        _: AggregateFunction,
        _: bool,
        _: Option<(String, DataType)>,
        _: DataType,
    ) -> Result<(String, &'static str)> {
        unsaid("an aggregate")
    }
}
