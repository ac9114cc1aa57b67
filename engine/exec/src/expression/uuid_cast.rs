//! Casts between UUIDs and their 16 bytes.

use super::cast::without;
use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use crate::{Result, Shape};
use columnar::kernels::cast::integer_at;
use columnar::view::ViewsBuilder;
use columnar::{DataType, Error, Flat, Values, Vector, uuid};

/// Whether the cast is one of these.
pub(super) fn applies(source: DataType, target: DataType) -> bool {
    matches!((source, target), (DataType::Uuid, DataType::Binary) | (DataType::Binary, DataType::Uuid))
}

pub(super) fn cast(input: Node, target: DataType, lenient: bool) -> Node {
    let reads = target == DataType::Uuid;
    let mut shape = plain_shape(target, input.shape().nullable);
    shape.nullable |= reads && lenient;
    let kept = shape.clone();
    Node::over(vec![input], shape, reads && !lenient, |inputs| {
        Box::new(Cast { inputs, lenient, shape: kept })
    })
}

#[derive(Debug)]
struct Cast {
    inputs: Vec<Node>,
    lenient: bool,
    shape: Shape,
}

impl Operation for Cast {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        if matches!(Side::of(vector.clone()), Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let flat = vector.flatten();
        let target = self.shape.data_type;
        let Values::View(views) = &flat.values else {
            let mut bytes = ViewsBuilder::default();
            for row in 0..input.rows {
                bytes.push(&uuid::to_bytes(integer_at(&flat.values, row)));
            }
            return Ok(Flat::new(target, Values::View(bytes.finish()), flat.validity).into());
        };
        let (mut failed, mut values) = (Vec::new(), Vec::with_capacity(input.rows));
        for row in 0..input.rows {
            let bytes = views.get(row);
            let value = bytes.try_into().ok().map(uuid::from_bytes);
            if value.is_none() && !flat.is_null(row) {
                if !self.lenient {
                    let text = format!("a BLOB of {} bytes", bytes.len());
                    return Err(Error::InvalidText { text, data_type: target.to_string() }.into());
                }
                failed.push(row);
            }
            values.push(value.unwrap_or(0));
        }
        let validity = without(flat.validity.clone(), &failed, input.rows);
        Ok(Flat::new(target, Values::I128(values.into()), validity).into())
    }
}
