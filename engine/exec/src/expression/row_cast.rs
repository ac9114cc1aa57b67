//! Casts whose rows are converted one by one, for types of which there are seldom many.

use super::cast::without;
use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use crate::{Result, Shape};
use columnar::{DataType, Flat, Scalar, Vector};

/// A value that is not null, of the first type, as one of the second.
pub(super) type Convert = fn(Scalar, DataType, DataType) -> columnar::Result<Scalar>;

/// `input` as `target`. `fails` is whether `convert` refuses some values: they are errors, or null where the cast is lenient.
pub(super) fn cast(input: Node, target: DataType, lenient: bool, fails: bool, convert: Convert) -> Node {
    let mut shape = plain_shape(target, input.shape().nullable);
    shape.nullable |= fails && lenient;
    let kept = shape.clone();
    Node::over(vec![input], shape, fails && !lenient, |inputs| {
        Box::new(Cast { inputs, convert, lenient, shape: kept })
    })
    .costly()
}

#[derive(Debug)]
struct Cast {
    inputs: Vec<Node>,
    convert: Convert,
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
        let (source, target) = (flat.data_type, self.shape.data_type);
        let (mut failed, mut scalars) = (Vec::new(), Vec::with_capacity(input.rows));
        for row in 0..input.rows {
            let scalar = match flat.is_null(row) {
                true => Ok(Scalar::Null),
                false => (self.convert)(flat.values.scalar(row), source, target),
            };
            match scalar {
                Ok(scalar) => scalars.push(scalar),
                Err(_) if self.lenient => {
                    failed.push(row);
                    scalars.push(Scalar::Null);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let values = Vector::from_scalars(target, &scalars).flatten().values;
        Ok(Flat::new(target, values, without(flat.validity, &failed, input.rows)).into())
    }
}
