//! Casts of times of day with an offset from UTC.

use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use crate::{Result, Shape};
use columnar::kernels::cast::{integer_at, to_width};
use columnar::{DataType, Flat, PhysicalType, TimeUnit, Values, Vector, time_zoned};

/// What a cast makes of each value, where one of the types is `TIME WITH TIME ZONE` and the other an integer underneath; an
/// instant gives what clocks in UTC show.
pub(super) fn map(source: DataType, target: DataType) -> Option<Map> {
    match (source, target) {
        (DataType::Time, DataType::TimeZoned) => Some(|micros, _| time_zoned::encode(micros, 0)),
        (DataType::TimeZoned, DataType::Time) => Some(|value, _| time_zoned::decode(value).0),
        (DataType::Timestamp { zone: true, .. }, DataType::TimeZoned) => Some(|instant, unit| {
            let second = unit.per_second();
            let micros = i128::from(instant.rem_euclid(86_400 * second)) * 1_000_000 / i128::from(second);
            time_zoned::encode(micros as i64, 0)
        }),
        _ => None,
    }
}

/// The cast by such a map.
pub(super) fn cast(input: Node, target: DataType, map: Map) -> Node {
    let unit = match input.data_type() {
        DataType::Timestamp { unit, .. } => unit,
        _ => TimeUnit::Microsecond,
    };
    let shape = plain_shape(target, input.shape().nullable);
    let kept = shape.clone();
    Node::over(vec![input], shape, false, |inputs| Box::new(Mapped { inputs, map, unit, shape: kept }))
}

/// Of a value and the unit of its type.
pub(super) type Map = fn(i64, TimeUnit) -> i64;

#[derive(Debug)]
struct Mapped {
    inputs: Vec<Node>,
    map: Map,
    unit: TimeUnit,
    shape: Shape,
}

impl Operation for Mapped {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        if matches!(Side::of(vector.clone()), Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let flat = vector.flatten();
        let values = to_width(&flat.values, PhysicalType::I64);
        let mapped = (0..input.rows).map(|row| match flat.is_null(row) {
            true => 0,
            false => (self.map)(integer_at(&values, row) as i64, self.unit),
        });
        let values = Values::I64(mapped.collect::<Vec<_>>().into());
        Ok(Flat::new(self.shape.data_type, to_width(&values, self.shape.physical), flat.validity).into())
    }
}
