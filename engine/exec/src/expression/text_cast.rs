//! Casts from text and to text.

use super::cast::without;
use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use super::parse;
use crate::{Result, Shape};
use columnar::view::ViewsBuilder;
use columnar::{DataType, Flat, Scalar, Value, Values, Vector};
use std::fmt::Write;

/// `input` as `target`, one of which is text.
pub(super) fn cast(input: Node, target: DataType, lenient: bool) -> Node {
    let reads = target != DataType::Varchar;
    // A blob shows as text and text may be read as a blob, if it is not broken hexadecimal.
    let mut shape = plain_shape(target, input.shape().nullable);
    shape.nullable |= reads && lenient;
    let kept = shape.clone();
    let node = match reads {
        true => Node::over(vec![input], shape, !lenient, |inputs| {
            Box::new(FromText { inputs, lenient, shape: kept })
        }),
        false => Node::over(vec![input], shape, false, |inputs| Box::new(ToText { inputs, shape: kept })),
    };
    node.costly()
}

#[derive(Debug)]
struct FromText {
    inputs: Vec<Node>,
    lenient: bool,
    shape: Shape,
}

impl Operation for FromText {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        if matches!(Side::of(vector.clone()), Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let flat = vector.flatten();
        let target = self.shape.data_type;
        let mut failed = Vec::new();
        let mut scalars = Vec::with_capacity(input.rows);
        for row in 0..input.rows {
            let parsed = match &flat.values {
                Values::View(views) if !flat.is_null(row) => {
                    parse::scalar(&String::from_utf8_lossy(views.get(row)), target)
                }
                _ => Ok(Scalar::Null),
            };
            match parsed {
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

#[derive(Debug)]
struct ToText {
    inputs: Vec<Node>,
    shape: Shape,
}

impl Operation for ToText {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        if matches!(Side::of(vector.clone()), Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let flat = vector.flatten();
        let mut strings = ViewsBuilder::default();
        let mut text = String::new();
        for row in 0..input.rows {
            text.clear();
            if !flat.is_null(row) {
                write_value(&mut text, flat.data_type, flat.values.scalar(row));
            }
            strings.push(text.as_bytes());
        }
        Ok(Flat::new(DataType::Varchar, Values::View(strings.finish()), flat.validity).into())
    }
}

/// The value as SQL prints it.
pub(crate) fn write_value(text: &mut String, data_type: DataType, scalar: Scalar) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", Value::new(data_type, scalar));
}
