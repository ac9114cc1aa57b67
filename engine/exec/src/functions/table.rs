//! Functions of one date whose column spans few days: computed once a day, then looked up.

use super::arguments::{Arguments, Run};
use crate::Shape;
use crate::expression::node::{Input, Node, Operation, Side, bounded_shape, null_vector, plain_shape};
use columnar::kernels::cast::{integer_at, integer_extremes, to_width};
use columnar::kernels::take::{take_bits, take_values};
use columnar::{DataType, Flat, Scalar, Value, Values, Vector};

/// The most days a table has: some 22 years.
const MOST_DAYS: i128 = 1 << 13;

/// The call as a table, where all arguments but a date are known and the date's column spans few days; a
/// function that fails for one of the days is not tabulated. Else the arguments as they came.
pub(super) fn tabulate(
    strict: bool,
    run: Run,
    mut args: Vec<Node>,
    returns: DataType,
) -> Result<Node, Vec<Node>> {
    let mut varying = args.iter().enumerate().filter(|(_, arg)| arg.known().is_none());
    let (Some((place, date)), None) = (varying.next(), varying.next()) else { return Err(args) };
    let (low, high) = date.bounds();
    let known_null = args.iter().any(|arg| arg.known().is_some_and(Value::is_null));
    if date.data_type() != DataType::Date || high - low >= MOST_DAYS || !strict || known_null {
        return Err(args);
    }
    let days: Vec<i32> = (low..=high).map(|day| day as i32).collect();
    let rows = days.len();
    let days: Vector = Flat::new(DataType::Date, Values::I32(days.into()), None).into();
    let vectors: Vec<Vector> = args
        .iter()
        .map(|arg| match arg.known() {
            Some(value) => Vector::constant(value.clone(), rows),
            None => days.clone(),
        })
        .collect();
    let Ok(table) = run(&Arguments::new(&vectors, rows, true), returns) else { return Err(args) };
    let mut table = table.flatten();
    let nullable = date.shape().nullable || table.validity.is_some();
    let shape = match integer_extremes(&table.values) {
        Some(bounds) if returns.is_integral() => bounded_shape(returns, nullable, bounds),
        _ => plain_shape(returns, nullable),
    };
    table.values = to_width(&table.values, shape.physical);
    let kept = shape.clone();
    let date = args.swap_remove(place);
    Ok(Node::over(vec![date], shape, false, |date| {
        Box::new(Table { date, low: low as i64, table, shape: kept })
    }))
}

#[derive(Debug)]
struct Table {
    /// One.
    date: Vec<Node>,
    /// The day of the first entry.
    low: i64,
    table: Flat,
    shape: Shape,
}

impl Operation for Table {
    fn evaluate(&self, input: &Input<'_>) -> crate::Result<Vector> {
        let physical = self.date[0].shape().physical;
        let (values, validity) = match Side::of(self.date[0].evaluate(input)?) {
            Side::Null => return Ok(null_vector(&self.shape, input.rows)),
            Side::Flat(flat) => (flat.values, flat.validity),
            Side::Constant(scalar @ Scalar::Integer(_)) => {
                (Values::repeat(&scalar, physical, input.rows), None)
            }
            Side::Constant(_) => return Ok(null_vector(&self.shape, input.rows)),
        };
        // Null rows may hold anything: their place is cut to the table.
        let last = self.table.len() as u32 - 1;
        let place = |day: i64| (day.wrapping_sub(self.low) as u32).min(last);
        let places: Vec<u32> = match &values {
            Values::I16(days) => days.iter().map(|&day| place(day.into())).collect(),
            Values::I32(days) => days.iter().map(|&day| place(day.into())).collect(),
            other => (0..input.rows).map(|row| place(integer_at(other, row) as i64)).collect(),
        };
        let found = self.table.validity.as_ref().map(|bits| take_bits(bits, &places));
        let validity = columnar::bitmap::both_valid(validity.as_ref(), found.as_ref());
        Ok(Flat::new(self.shape.data_type, take_values(&self.table.values, &places), validity).into())
    }
}
