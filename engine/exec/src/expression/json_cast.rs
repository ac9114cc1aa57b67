//! Casts from JSON and to it.

use super::cast::without;
use super::node::{Input, Node, Operation, Side, null_vector, plain_shape};
use super::parse;
use crate::functions::MOST_TEXT_BYTES;
use crate::json::{Kind, Reading, kind, read, scalar_text, value_of, write_json};
use crate::{Result, Shape};
use columnar::view::ViewsBuilder;
use columnar::{DataType, Flat, Scalar, Values, Vector, Views};

/// Whether the cast is one of these.
pub(super) fn applies(source: DataType, target: DataType) -> bool {
    matches!(source, DataType::Json { .. }) || matches!(target, DataType::Json { .. })
}

pub(super) fn cast(input: Node, target: DataType, lenient: bool) -> Node {
    let source = input.data_type();
    let is_document = matches!(target, DataType::Json { .. });
    // JSON is text, and canonical JSON is JSON.
    let is_text_alone = target == DataType::Varchar || source == JSONB && is_document;
    let mut shape = plain_shape(target, input.shape().nullable);
    // A null of JSON is a null.
    shape.nullable |= !is_text_alone && (!is_document || lenient);
    let kept = shape.clone();
    let fallible = !lenient && !is_text_alone;
    Node::over(vec![input], shape, fallible, |inputs| {
        Box::new(Cast { inputs, is_text_alone, lenient, shape: kept })
    })
    .costly()
}

const JSONB: DataType = DataType::Json { canonical: true };

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
        if self.is_text_alone {
            return Ok(Flat::new(target, flat.values.clone(), flat.validity).into());
        }
        match (target, &flat.values) {
            (DataType::Json { canonical }, Values::View(views))
                if matches!(flat.data_type, DataType::Varchar | DataType::Json { .. }) =>
            {
                self.document(&flat, views, canonical, input.rows)
            }
            (DataType::Json { canonical }, _) => self.written(&flat, canonical, input.rows),
            (_, Values::View(views)) => self.values(&flat, views, input.rows),
            _ => Err(crate::Error::Internal(format!("{} that is no text", flat.data_type))),
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

    /// Values of other types as JSON.
    fn written(&self, flat: &Flat, canonical: bool, rows: usize) -> Result<Vector> {
        let target = self.shape.data_type;
        let (mut failed, mut builder) = (Vec::new(), ViewsBuilder::default());
        let mut bytes = 0;
        for row in 0..rows {
            let written = match flat.is_null(row) {
                true => Ok(Vec::new()),
                false => written(flat.data_type, flat.values.scalar(row), canonical),
            };
            let written = match written {
                Err(_) if self.lenient => {
                    failed.push(row);
                    Vec::new()
                }
                written => written?,
            };
            bytes += written.len();
            if bytes > MOST_TEXT_BYTES {
                let what = "the JSON that a cast makes at once".into();
                return Err(columnar::Error::OutOfRange { what }.into());
            }
            builder.push(&written);
        }
        let values = Values::View(builder.finish());
        Ok(Flat::new(target, values, without(flat.validity.clone(), &failed, rows)).into())
    }

    fn values(&self, flat: &Flat, views: &Views, rows: usize) -> Result<Vector> {
        let target = self.shape.data_type;
        let (mut empty, mut scalars) = (Vec::new(), Vec::with_capacity(rows));
        for row in 0..rows {
            let json = text(views, row);
            let scalar = match flat.is_null(row) {
                true => Ok(Scalar::Null),
                false => value_of(json, target, Reading::Cast),
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

fn written(data_type: DataType, scalar: Scalar, canonical: bool) -> columnar::Result<Vec<u8>> {
    let mut out = Vec::new();
    write_json(data_type, scalar, &mut out)?;
    // What is nested may have JSON within, whose depths add up.
    if data_type.as_nested().is_some() {
        let text = String::from_utf8_lossy(&out).into_owned();
        return read(&text, canonical, DataType::Json { canonical }).map(|text| text.into_owned());
    }
    Ok(out)
}

/// A scalar of JSON as a value that is not nested; of integers, numbers are rounded as decimals are.
pub(crate) fn scalar(json: &str, target: DataType) -> columnar::Result<Scalar> {
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
