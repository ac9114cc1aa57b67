//! Casts between nested types, part by part: lists and fixed arrays by their elements, structs by their fields'
//! names (by place where one side has none), maps by keys and values.

use super::cast::cast;
use super::node::{Input, Node, Operation, plain_shape};
use crate::Result;
use columnar::packed::{self, Elements};
use columnar::types::{FieldType, Nested};
use columnar::{DataType, Error, Scalar, Vector};

/// `input` as `target`; both are nested.
///
/// # Errors
/// Types between which there is no cast.
pub(super) fn nested(input: Node, target: DataType, lenient: bool) -> Result<Node> {
    let source = input.data_type();
    let step = step(source, target)?;
    let mut shape = plain_shape(target, input.shape().nullable);
    shape.nullable |= lenient;
    let node = Node::over(vec![input], shape, !lenient, |inputs| {
        Box::new(Convert { inputs, step, target, lenient })
    });
    Ok(node.costly())
}

/// Whether there is a cast between the two, `leaf` says so of their parts that are not nested.
pub(crate) fn exists(source: DataType, target: DataType) -> bool {
    source == target || step(source, target).is_ok()
}

#[derive(Debug)]
enum Step {
    Keep,
    /// Over values of the type in the only column.
    Leaf {
        from: DataType,
        to: DataType,
        cast: Node,
    },
    /// To a list, or to an array of that many elements.
    List {
        from: DataType,
        element: Box<Step>,
        len: Option<u32>,
    },
    /// For each field of the target the place of its value among those of the source, of these types.
    Struct {
        from: Vec<DataType>,
        fields: Vec<(Option<usize>, Step)>,
    },
    Map {
        from: DataType,
        parts: [DataType; 2],
        key: Box<Step>,
        value: Box<Step>,
        to: DataType,
    },
}

fn step(source: DataType, target: DataType) -> Result<Step> {
    if source == target || source == DataType::Null {
        return Ok(Step::Keep);
    }
    let refused = || crate::Error::Unsupported(format!("a cast of {source} to {target}"));
    let (from, to) = match (source.as_nested(), target.as_nested()) {
        (Some(from), Some(to)) => (from, to),
        (None, Some(_)) if !matches!(source, DataType::Json { .. }) => return Err(refused()),
        (None, _) | (Some(_), None) => {
            let cast = cast(Node::column(0, plain_shape(source, true)), target, false)?;
            return Ok(Step::Leaf { from: source, to: target, cast });
        }
    };
    let boxed = |source, target| step(source, target).map(Box::new);
    Ok(match (&from.info().shape, &to.info().shape) {
        (Nested::List(a) | Nested::Array { element: a, .. }, Nested::List(b)) => {
            Step::List { from: source, element: boxed(*a, *b)?, len: None }
        }
        (Nested::List(a) | Nested::Array { element: a, .. }, Nested::Array { element: b, len }) => {
            Step::List { from: source, element: boxed(*a, *b)?, len: Some(*len) }
        }
        (Nested::Map { key: k1, value: v1 }, Nested::Map { key: k2, value: v2 }) => Step::Map {
            from: source,
            parts: [*k1, *v1],
            key: boxed(*k1, *k2)?,
            value: boxed(*v1, *v2)?,
            to: *k2,
        },
        (Nested::Struct(a), Nested::Struct(b)) => {
            let is_row = |fields: &[FieldType]| fields.iter().all(|field| field.name.is_empty());
            let by_place = is_row(a) || is_row(b);
            if by_place && a.len() != b.len() {
                return Err(refused());
            }
            let place_of = |place: usize, field: &FieldType| match by_place {
                true => Some(place),
                false => a.iter().position(|own| own.name.eq_ignore_ascii_case(&field.name)),
            };
            // A field that the target has not is not thrown away without a word.
            let has = |field: &FieldType| b.iter().any(|other| other.name.eq_ignore_ascii_case(&field.name));
            if !by_place && !a.iter().all(has) {
                return Err(refused());
            }
            let fields = b.iter().enumerate().map(|(place, field)| {
                let place = place_of(place, field);
                let own = place.and_then(|place| a.get(place)).map_or(DataType::Null, |own| own.data_type);
                Ok((place, step(own, field.data_type)?))
            });
            let fields = fields.collect::<Result<_>>()?;
            Step::Struct { from: a.iter().map(|field| field.data_type).collect(), fields }
        }
        _ => return Err(refused()),
    })
}

type Parts = Vec<Option<Vec<u8>>>;

impl Step {
    /// The packed values, of which some are null, as those of the target.
    fn apply(&self, values: &[Option<&[u8]>]) -> Result<Parts> {
        match self {
            Step::Keep => Ok(values.iter().map(|value| value.map(<[u8]>::to_vec)).collect()),
            Step::Leaf { from, to, cast } => {
                if values.is_empty() {
                    return Ok(Vec::new());
                }
                let read = |value: &Option<&[u8]>| {
                    value.map_or(Ok(Scalar::Null), |value| packed::scalar_of(value, *from))
                };
                let scalars = values.iter().map(read).collect::<columnar::Result<Vec<_>>>()?;
                let columns = [Vector::from_scalars(*from, &scalars)];
                let result = cast.evaluate(&Input { columns: &columns, rows: values.len() })?;
                let pack = |row: usize| match result.scalar(row) {
                    Scalar::Null => Ok(None),
                    scalar => {
                        let mut bytes = Vec::new();
                        packed::append_scalar(&mut bytes, &scalar, *to)?;
                        Ok(Some(bytes))
                    }
                };
                (0..values.len()).map(pack).collect()
            }
            Step::List { from, element, len } => {
                let (mut all, mut counts) = (Vec::new(), Vec::with_capacity(values.len()));
                for value in values {
                    let before = all.len();
                    if let Some(bytes) = value {
                        for part in Elements::new(bytes, *from) {
                            all.push(part?.0);
                        }
                    }
                    counts.push(value.map(|_| all.len() - before));
                }
                let mut elements = element.apply(&all)?.into_iter();
                let rebuild = |count: Option<usize>| {
                    let Some(count) = count else { return Ok(None) };
                    if let Some(len) = len.filter(|len| *len as usize != count) {
                        return Err(Error::Told(format!(
                            "an array of {len} elements is expected, not of {count}"
                        ))
                        .into());
                    }
                    let mut bytes = Vec::new();
                    elements.by_ref().take(count).for_each(|element| append(&mut bytes, element.as_deref()));
                    if len.is_none() {
                        bytes.push(0);
                    }
                    Ok(Some(bytes))
                };
                counts.into_iter().map(rebuild).collect()
            }
            Step::Struct { from, fields } => {
                let mut rows: Vec<Vec<Option<&[u8]>>> = Vec::with_capacity(values.len());
                for value in values {
                    rows.push(match value {
                        Some(bytes) => packed::parts(bytes, from.iter().copied())?,
                        None => vec![None; from.len()],
                    });
                }
                let mut results: Parts = values.iter().map(|value| value.map(|_| Vec::new())).collect();
                for (place, step) in fields {
                    let column: Vec<Option<&[u8]>> =
                        rows.iter().map(|row| place.and_then(|place| row[place])).collect();
                    for (result, part) in results.iter_mut().zip(step.apply(&column)?) {
                        if let Some(bytes) = result {
                            append(bytes, part.as_deref());
                        }
                    }
                }
                Ok(results)
            }
            Step::Map { from, parts, key, value, to } => {
                let (mut keys, mut items, mut counts) = (Vec::new(), Vec::new(), Vec::new());
                for map in values {
                    let before = keys.len();
                    if let Some(bytes) = map {
                        for entry in Elements::new(bytes, *from) {
                            let entry = packed::parts(entry?.0.unwrap_or_default(), *parts)?;
                            keys.push(entry[0]);
                            items.push(entry[1]);
                        }
                    }
                    counts.push(map.map(|_| keys.len() - before));
                }
                let (keys, items) = (key.apply(&keys)?, value.apply(&items)?);
                let mut entries = keys.into_iter().zip(items);
                let rebuild = |count: Option<usize>| {
                    let Some(count) = count else { return Ok(None) };
                    let (mut bytes, mut seen) = (Vec::new(), std::collections::HashSet::new());
                    for (key, item) in entries.by_ref().take(count) {
                        append(&mut bytes, key.as_deref());
                        append(&mut bytes, item.as_deref());
                        let Some(key) = key else {
                            return Err(Error::Told("a key of a MAP is null".into()).into());
                        };
                        if !seen.insert(key) {
                            return Err(Error::Told(format!("two keys of a MAP are the same as {to}")).into());
                        }
                    }
                    bytes.push(0);
                    Ok(Some(bytes))
                };
                counts.into_iter().map(rebuild).collect()
            }
        }
    }
}

/// A marker and the bytes of a part.
fn append(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        Some(part) => {
            bytes.push(1);
            bytes.extend_from_slice(part);
        }
        None => bytes.push(2),
    }
}

#[derive(Debug)]
struct Convert {
    inputs: Vec<Node>,
    step: Step,
    target: DataType,
    lenient: bool,
}

impl Operation for Convert {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = self.inputs[0].evaluate(input)?;
        let scalars: Vec<Scalar> = (0..input.rows).map(|row| vector.scalar(row)).collect();
        let values: Vec<Option<&[u8]>> = scalars
            .iter()
            .map(|scalar| match scalar {
                Scalar::Bytes(bytes) => Some(bytes.as_slice()),
                _ => None,
            })
            .collect();
        let parts = match self.step.apply(&values) {
            Ok(parts) => parts,
            // Which value it was: each by itself.
            Err(_) if self.lenient => {
                let one = |value| self.step.apply(&[value]).ok().and_then(|mut parts| parts.pop()).flatten();
                values.into_iter().map(one).collect()
            }
            Err(error) => return Err(error),
        };
        let scalars: Vec<Scalar> =
            parts.into_iter().map(|part| part.map_or(Scalar::Null, Scalar::Bytes)).collect();
        Ok(Vector::from_scalars(self.target, &scalars))
    }
}
