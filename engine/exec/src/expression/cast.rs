//! Casts between all types. Numbers and times are cast a vector at a time; text goes through
//! [`super::text_cast`].

use super::bounds::{contains, within};
use super::node::{Input, Node, Operation, Side, any_valid, bounded_shape, null_vector, plain_shape};
use super::{bit_cast, json_cast, nested_cast, parse, text_cast, time_zoned, uuid_cast};
use crate::{ArithmeticOp, Result, Shape};
use columnar::kernels::cast::{integer_at, integers_outside, integers_to_double, to_width};
use columnar::{
    Bitmap, DataType, Error, Flat, Interval, PhysicalType, Scalar, TimeUnit, Value, Values, Vector,
};

const DAY_MICROS: i128 = 86_400_000_000;

/// `input` as a value of `target`. With `lenient` what cannot be cast is null.
pub(crate) fn cast(input: Node, target: DataType, lenient: bool) -> Result<Node> {
    let source = input.data_type();
    if source == target {
        return Ok(input);
    }
    if source == DataType::Null || input.known().is_some_and(Value::is_null) {
        return Ok(Node::constant(Value::null(target)));
    }
    if json_cast::applies(source, target) {
        return Ok(json_cast::cast(input, target, lenient));
    }
    if bit_cast::applies(source, target) {
        return Ok(bit_cast::cast(input, target, lenient));
    }
    if source == DataType::Varchar || target == DataType::Varchar {
        return Ok(text_cast::cast(input, target, lenient));
    }
    if uuid_cast::applies(source, target) {
        return Ok(uuid_cast::cast(input, target, lenient));
    }
    if let (DataType::Enum(_), DataType::Enum(_)) = (source, target) {
        return Ok(text_cast::cast(text_cast::cast(input, DataType::Varchar, lenient), target, lenient));
    }
    if source.as_nested().is_some() && target.as_nested().is_some() {
        return nested_cast::nested(input, target, lenient);
    }
    if let Some(map) = time_zoned::map(source, target) {
        return Ok(time_zoned::cast(input, target, map));
    }
    if let Some(steps) = integer_steps(source, target) {
        return Ok(integers(input, target, steps, lenient));
    }
    let nullable = input.shape().nullable;
    let numeric = |data_type: DataType| data_type.is_numeric();
    let (fallible, shape) = match (source, target) {
        (source, target) if numeric(source) && target.is_float() => {
            // Only a float can be too large for another; 10^38 is within a REAL's range.
            let narrows = source == DataType::Float64 && target == DataType::Float32;
            (narrows, plain_shape(target, nullable))
        }
        (source, target) if source.is_float() && numeric(target) => (true, plain_shape(target, nullable)),
        (DataType::Boolean, target) if target.is_integer() => {
            (false, bounded_shape(target, nullable, (0, 1)))
        }
        (source, DataType::Boolean) if source.is_integer() => (false, plain_shape(target, nullable)),
        (DataType::Time, DataType::Interval) => (false, plain_shape(target, nullable)),
        (DataType::Interval, DataType::Time) => (false, plain_shape(target, nullable)),
        _ => return Err(crate::Error::Unsupported(format!("a cast of {source} to {target}"))),
    };
    let mut shape = shape;
    shape.nullable |= fallible && lenient;
    let kept = shape.clone();
    Ok(Node::over(vec![input], shape, fallible && !lenient, |inputs| {
        Box::new(Convert { inputs, source, lenient, shape: kept })
    }))
}

/// How an integer (scaled or not) becomes one of another type.
#[derive(Clone, Copy, Debug)]
enum Step {
    Multiply(i128),
    /// Rounds half away from zero.
    DivideRounding(i128),
    /// Rounds down.
    DivideDown(i128),
    /// What is left when rounding down.
    Remainder(i128),
}

impl Step {
    fn apply(self, value: i128) -> Option<i128> {
        Some(match self {
            Step::Multiply(factor) => value.checked_mul(factor)?,
            Step::DivideRounding(divisor) => divide_rounding(value, divisor),
            Step::DivideDown(divisor) => value.div_euclid(divisor),
            Step::Remainder(divisor) => value.rem_euclid(divisor),
        })
    }
}

impl Step {
    /// A division of 64-bit integers; `None` for steps that are none.
    fn apply_longs(self, values: &[i64]) -> Option<Vec<i64>> {
        let divisor = |divisor: i128| i64::try_from(divisor).ok();
        Some(match self {
            Step::Multiply(_) => return None,
            Step::DivideRounding(by) => {
                let by = divisor(by)?;
                let half = by - by / 2;
                let round = |value: i64| {
                    let (quotient, rest) = (value / by, value % by);
                    if rest >= half || -rest >= half { quotient + value.signum() } else { quotient }
                };
                values.iter().map(|&value| round(value)).collect()
            }
            Step::DivideDown(by) => {
                let by = divisor(by)?;
                values.iter().map(|&value| value.div_euclid(by)).collect()
            }
            Step::Remainder(by) => {
                let by = divisor(by)?;
                values.iter().map(|&value| value.rem_euclid(by)).collect()
            }
        })
    }
}

/// Integers of at most 64 bits at that width; others as they are.
fn narrowed(values: &Values) -> Values {
    match values.physical() {
        PhysicalType::I128 => values.clone(),
        _ => to_width(values, PhysicalType::I64),
    }
}

/// Half away from zero; the divisor is positive.
pub(crate) fn divide_rounding(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    if rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2) {
        quotient + value.signum()
    } else {
        quotient
    }
}

/// The steps between two types that are integers underneath; `None` for other types and for casts that do
/// not exist.
fn integer_steps(source: DataType, target: DataType) -> Option<Vec<Step>> {
    let scale_of = |data_type: DataType| match data_type {
        DataType::Decimal { scale, .. } => Some(u32::from(scale)),
        data_type => data_type.is_integer().then_some(0),
    };
    let day = |unit: TimeUnit| i128::from(unit.per_second()) * 86_400;
    let rescale = |from: i128, to: i128, down: fn(i128) -> Step| match from.cmp(&to) {
        std::cmp::Ordering::Less => vec![Step::Multiply(to / from)],
        std::cmp::Ordering::Equal => vec![],
        std::cmp::Ordering::Greater => vec![down(from / to)],
    };
    Some(match (source, target) {
        (DataType::Date, DataType::Timestamp { unit, .. }) => vec![Step::Multiply(day(unit))],
        (DataType::Timestamp { unit, .. }, DataType::Date) => vec![Step::DivideDown(day(unit))],
        (DataType::Timestamp { unit: from, .. }, DataType::Timestamp { unit: to, .. }) => {
            rescale(from.per_second().into(), to.per_second().into(), Step::DivideDown)
        }
        (DataType::Timestamp { unit, .. }, DataType::Time) => {
            let mut steps = vec![Step::Remainder(day(unit))];
            steps.extend(rescale(unit.per_second().into(), 1_000_000, Step::DivideDown));
            steps
        }
        _ => {
            let (from, to) = (scale_of(source)?, scale_of(target)?);
            rescale(10_i128.pow(from), 10_i128.pow(to), Step::DivideRounding)
        }
    })
}

fn integers(input: Node, target: DataType, steps: Vec<Step>, lenient: bool) -> Node {
    let nullable = input.shape().nullable;
    let limits = target.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
    let infinite = Infinity::between(&input, target).filter(|_| !steps.is_empty());
    let mut exact = Some(match infinite {
        Some(Infinity { from, .. }) => within(input.bounds(), (1 - from, from - 1)),
        None => input.bounds(),
    });
    for step in &steps {
        exact = exact.and_then(|(low, high)| match step {
            Step::Remainder(divisor) => Some((0, divisor - 1)),
            // All others are monotonic.
            step => Some((step.apply(low)?, step.apply(high)?)),
        });
    }
    let proven = exact.is_some_and(|exact| contains(limits, exact))
        && infinite.is_none_or(|infinite| infinite.to.is_some());
    let bounds = match infinite {
        Some(_) => limits,
        None => exact.map_or(limits, |exact| within(exact, limits)),
    };
    let mut shape = bounded_shape(target, nullable, bounds);
    shape.nullable |= lenient && !proven;
    let kept = shape.clone();
    if let ([Step::Multiply(factor)], true, None) = (&steps[..], proven, infinite) {
        // The kernels of arithmetic do it.
        let factor = Node::constant(Value::new(target, Scalar::Integer(*factor)));
        return super::arithmetic(ArithmeticOp::Multiply, input, factor, target);
    }
    Node::over(vec![input], shape, !proven && !lenient, |inputs| {
        Box::new(Rescale { inputs, steps, infinite, limits, proven, lenient, shape: kept })
    })
}

/// What stands for infinity in a type of moments, and in the one that it is cast to.
#[derive(Clone, Copy, Debug)]
struct Infinity {
    from: i128,
    /// `None`: a time of day, which infinity has none of.
    to: Option<i128>,
}

impl Infinity {
    /// `None` where no value is infinite.
    fn between(input: &Node, target: DataType) -> Option<Infinity> {
        let from = input.data_type().infinity()?;
        input.data_type().may_be_infinite(input.bounds()).then(|| Infinity { from, to: target.infinity() })
    }

    /// The value of the other type, if the value is infinite; `None` within where there is none.
    fn apply(self, value: i128) -> Option<Option<i128>> {
        if value >= self.from {
            Some(self.to)
        } else if value <= -self.from {
            Some(self.to.map(|to| -to))
        } else {
            None
        }
    }
}

#[derive(Debug)]
struct Rescale {
    inputs: Vec<Node>,
    steps: Vec<Step>,
    infinite: Option<Infinity>,
    limits: (i128, i128),
    proven: bool,
    lenient: bool,
    shape: Shape,
}

impl Operation for Rescale {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        if matches!(Side::of(vector.clone()), Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let flat = vector.flatten();
        let (low, high) = self.limits;
        if self.steps.is_empty() && (self.proven || !integers_outside(&flat.values, low, high)) {
            let values = to_width(&flat.values, self.shape.physical);
            return Ok(Flat::new(self.shape.data_type, values, flat.validity).into());
        }
        if let (true, [step], Values::I64(longs)) = (self.proven, &self.steps[..], narrowed(&flat.values))
            && let Some(mut results) = step.apply_longs(&longs)
        {
            if let Some(infinite) = self.infinite {
                for (result, &value) in results.iter_mut().zip(longs.iter()) {
                    if let Some(Some(infinity)) = infinite.apply(value.into()) {
                        *result = infinity as i64;
                    }
                }
            }
            let values = to_width(&Values::I64(results.into()), self.shape.physical);
            return Ok(Flat::new(self.shape.data_type, values, flat.validity).into());
        }
        let mut results = Vec::with_capacity(input.rows);
        let mut failed = Vec::new();
        for row in 0..input.rows {
            let (value, mut steps) = (integer_at(&flat.values, row), self.steps.iter());
            let value = match self.infinite.and_then(|infinite| infinite.apply(value)) {
                Some(infinity) => infinity,
                None => steps.try_fold(value, |value, step| step.apply(value)),
            };
            match value {
                Some(value) if low <= value && value <= high => results.push(value),
                _ => {
                    results.push(0);
                    failed.push(row);
                }
            }
        }
        let failed: Vec<usize> = failed.into_iter().filter(|&row| !flat.is_null(row)).collect();
        if !failed.is_empty() && !self.lenient {
            return Err(out_of_range(self.shape.data_type));
        }
        let values = to_width(&Values::I128(results.into()), self.shape.physical);
        let validity = without(flat.validity, &failed, input.rows);
        Ok(Flat::new(self.shape.data_type, values, validity).into())
    }
}

fn out_of_range(target: DataType) -> crate::Error {
    Error::OutOfRange { what: format!("a value cast to {target}") }.into()
}

/// `validity` less the `failed` rows.
pub(super) fn without(validity: Option<Bitmap>, failed: &[usize], rows: usize) -> Option<Bitmap> {
    if failed.is_empty() {
        return validity;
    }
    let mut words = validity.unwrap_or_else(|| Bitmap::filled(true, rows)).words().to_vec();
    for row in failed {
        words[row / 64] &= !(1 << (row % 64));
    }
    Some(Bitmap::from_words(words, rows))
}

/// Casts between kinds: integers, floats, booleans, intervals.
#[derive(Debug)]
struct Convert {
    inputs: Vec<Node>,
    source: DataType,
    lenient: bool,
    shape: Shape,
}

impl Operation for Convert {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        if matches!(Side::of(vector.clone()), Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let flat = vector.flatten();
        let target = self.shape.data_type;
        let mut failed = Vec::new();
        let values = match (&flat.values, target) {
            (values, DataType::Float64 | DataType::Float32) if !self.source.is_float() => {
                let scale = match self.source {
                    DataType::Decimal { scale, .. } => scale,
                    _ => 0,
                };
                let doubles = integers_to_double(values, 10_f64.powi(scale.into())).unwrap_or_default();
                to_width(&Values::F64(doubles.into()), self.shape.physical)
            }
            (Values::F64(doubles), DataType::Float32) => {
                let fails = |row: usize| doubles[row].is_finite() && (doubles[row] as f32).is_infinite();
                if any_valid(flat.validity.as_ref(), input.rows, fails) {
                    failed = (0..input.rows).filter(|&row| fails(row) && !flat.is_null(row)).collect();
                }
                to_width(&flat.values, PhysicalType::F32)
            }
            (Values::F32(_), DataType::Float64) => to_width(&flat.values, PhysicalType::F64),
            (Values::F32(_) | Values::F64(_), _) => {
                let single = matches!(flat.values, Values::F32(_));
                let doubles = match to_width(&flat.values, PhysicalType::F64) {
                    Values::F64(doubles) => doubles,
                    _ => Vec::new().into(),
                };
                let limits = target.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
                let mut results = Vec::with_capacity(input.rows);
                for row in 0..input.rows {
                    let value = float_as_integer(doubles[row], single, target)
                        .filter(|value| limits.0 <= *value && *value <= limits.1);
                    if value.is_none() && !flat.is_null(row) {
                        failed.push(row);
                    }
                    results.push(value.unwrap_or(0));
                }
                to_width(&Values::I128(results.into()), self.shape.physical)
            }
            (Values::Bool(bits), _) => {
                let bits = (0..bits.len()).map(|row| i8::from(bits.get(row))).collect();
                to_width(&Values::I8(bits), self.shape.physical)
            }
            (values, DataType::Boolean) => {
                Values::Bool(Bitmap::from_fn(input.rows, |row| integer_at(values, row) != 0))
            }
            (Values::Interval(intervals), DataType::Time) => Values::I64(
                intervals.iter().map(|i| i128::from(i.micros).rem_euclid(DAY_MICROS) as i64).collect(),
            ),
            (values, _) => Values::Interval(
                (0..input.rows)
                    .map(|row| Interval { micros: integer_at(values, row) as i64, ..Interval::default() })
                    .collect(),
            ),
        };
        if !failed.is_empty() && !self.lenient {
            return Err(out_of_range(target));
        }
        Ok(Flat::new(target, values, without(flat.validity, &failed, input.rows)).into())
    }
}

/// Half to even for integers, by decimal digits for decimals, as PostgreSQL casts. `None`: not finite.
fn float_as_integer(value: f64, single: bool, target: DataType) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    match target {
        DataType::Decimal { scale, .. } => parse::float_to_integer(value, single, scale),
        _ => {
            // A power of two, and so exact as a double.
            const LIMIT: f64 = -(i128::MIN as f64);
            let rounded = value.round_ties_even();
            (-LIMIT..LIMIT).contains(&rounded).then_some(rounded as i128)
        }
    }
}
