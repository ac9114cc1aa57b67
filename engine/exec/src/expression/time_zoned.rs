//! Casts of times of day with an offset from UTC.

use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use crate::{Result, Shape};
use columnar::kernels::cast::{integer_at, to_width};
use columnar::{DataType, Flat, PhysicalType, TimeUnit, Values, Vector, time_zoned};

/// The cast, where one of the types is `TIME WITH TIME ZONE` and the other an integer underneath; an instant gives what clocks in
/// UTC show. Else the input as it came.
pub(super) fn cast(input: Node, target: DataType) -> std::result::Result<Node, Node> {
    let map: Map = match (input.data_type(), target) {
        (DataType::Time, DataType::TimeZoned) => |micros, _| time_zoned::encode(micros, 0),
        (DataType::TimeZoned, DataType::Time) => |value, _| time_zoned::decode(value).0,
        (DataType::Timestamp { zone: true, .. }, DataType::TimeZoned) => |instant, unit| {
            let second = unit.per_second();
            let micros = i128::from(instant.rem_euclid(86_400 * second)) * 1_000_000 / i128::from(second);
            time_zoned::encode(micros as i64, 0)
        },
        _ => return Err(input),
    };
    let unit = match input.data_type() {
        DataType::Timestamp { unit, .. } => unit,
        _ => TimeUnit::Microsecond,
    };
    let shape = plain_shape(target, input.shape().nullable);
    let kept = shape.clone();
    Ok(Node::over(vec![input], shape, false, |inputs| Box::new(Mapped { inputs, map, unit, shape: kept })))
}

type Map = fn(i64, TimeUnit) -> i64;

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
