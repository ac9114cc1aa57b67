//! Casts from JSON and to it.

use super::cast::without;
use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use super::parse;
use crate::json::{Kind, kind, read, scalar_text};
use crate::{Result, Shape};
use columnar::view::ViewsBuilder;
use columnar::{DataType, Flat, Scalar, Values, Vector, Views};

/// Whether the cast is one of these.
pub(super) fn applies(source: DataType, target: DataType) -> bool {
    use DataType::{Boolean, Json, Varchar};
    match (source, target) {
        (Varchar | Json { .. }, Json { .. }) | (Json { .. }, Varchar | Boolean) => true,
        (Json { .. }, target) => target.is_numeric(),
        _ => false,
    }
}

pub(super) fn cast(input: Node, target: DataType, lenient: bool) -> Node {
    let source = input.data_type();
    let is_scalar = target.is_numeric() || target == DataType::Boolean;
    // JSON is text, and canonical JSON is JSON.
    let is_text_alone =
        target == DataType::Varchar || source == DataType::Json { canonical: true } && !is_scalar;
    let mut shape = plain_shape(target, input.shape().nullable);
    // A null of JSON is a null.
    shape.nullable |= is_scalar || lenient && !is_text_alone;
    let kept = shape.clone();
    let fallible = !lenient && !is_text_alone;
    Node::over(vec![input], shape, fallible, |inputs| {
        Box::new(Cast { inputs, is_text_alone, lenient, shape: kept })
    })
    .costly()
}

#[derive(Debug)]
struct Cast {
    inputs: Vec<Node>,
    is_text_alone: bool,
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
            return Err(crate::Error::Internal(format!("{} that is no text", flat.data_type)));
        };
        if self.is_text_alone {
            return Ok(Flat::new(target, flat.values.clone(), flat.validity).into());
        }
        match target {
            DataType::Json { canonical } => self.document(&flat, views, canonical, input.rows),
            _ => self.scalars(&flat, views, input.rows),
        }
    }
}

/// The text of a row; what is no UTF-8 can only come from a damaged segment.
fn text(views: &Views, row: usize) -> &str {
    std::str::from_utf8(views.get(row)).unwrap_or("\u{fffd}")
}

impl Cast {
    fn document(&self, flat: &Flat, views: &Views, canonical: bool, rows: usize) -> Result<Vector> {
        let target = self.shape.data_type;
        let (mut failed, mut builder) = (Vec::new(), ViewsBuilder::default());
        for row in 0..rows {
            let read = match flat.is_null(row) {
                true => Ok(Default::default()),
                false => read(text(views, row), canonical, target),
            };
            match read {
                Ok(text) if canonical => builder.push(&text),
                Ok(_) => {}
                Err(_) if self.lenient => {
                    failed.push(row);
                    if canonical {
                        builder.push(b"");
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let values = if canonical { Values::View(builder.finish()) } else { flat.values.clone() };
        Ok(Flat::new(target, values, without(flat.validity.clone(), &failed, rows)).into())
    }

    fn scalars(&self, flat: &Flat, views: &Views, rows: usize) -> Result<Vector> {
        let target = self.shape.data_type;
        let (mut empty, mut scalars) = (Vec::new(), Vec::with_capacity(rows));
        for row in 0..rows {
            let json = text(views, row);
            let scalar = match flat.is_null(row) {
                true => Ok(Scalar::Null),
                false => scalar(json, target),
            };
            match scalar {
                Err(error) if !self.lenient => return Err(error.into()),
                Ok(scalar) if scalar != Scalar::Null => scalars.push(scalar),
                _ => {
                    empty.push(row);
                    scalars.push(Scalar::Null);
                }
            }
        }
        let values = Vector::from_scalars(target, &scalars).flatten().values;
        Ok(Flat::new(target, values, without(flat.validity.clone(), &empty, rows)).into())
    }
}

/// A scalar of JSON as a number or boolean; of integers, numbers are rounded as decimals are.
fn scalar(json: &str, target: DataType) -> columnar::Result<Scalar> {
    let Some(text) = scalar_text(json) else { return Ok(Scalar::Null) };
    let read = parse::scalar(&text, target);
    if read.is_ok() || kind(json) != Kind::Number || !target.is_integer() {
        return read;
    }
    let Ok(Scalar::Integer(rounded)) = parse::scalar(&text, DataType::decimal(38, 0)) else { return read };
    match target.integer_bounds() {
        Some((low, high)) if low <= rounded && rounded <= high => Ok(Scalar::Integer(rounded)),
        _ => Err(columnar::Error::OutOfRange { what: format!("'{text}' as {target}") }),
    }
}
