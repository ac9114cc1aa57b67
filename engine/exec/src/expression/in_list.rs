//! `IN` a list of values.

use super::node::{Input, Node, Operation, Side, boolean_shape, boolean_vector, null_vector};
use crate::{Result, Shape};
use columnar::kernels::boolean::Truth;
use columnar::kernels::cast::integer_at;
use columnar::kernels::compare::{ConstantRelation, compare_constant, fits, integers_between};
use columnar::{Bitmap, Scalar, Value, Values, Vector};
use hashbrown::HashSet;

/// Lists up to this long are compared value by value.
const SHORT: usize = 6;

/// Whether the input is one of `list`; with a null in it a miss is null.
pub(super) fn in_list(input: Node, list: &[Value], negated: bool) -> Node {
    let has_null = list.iter().any(Value::is_null);
    let scalars: Vec<Scalar> = list.iter().filter(|v| !v.is_null()).map(|v| v.scalar.clone()).collect();
    let shape = boolean_shape(input.shape().nullable || has_null);
    let kept = shape.clone();
    let set = Set::new(scalars);
    Node::over(vec![input], shape, false, |inputs| {
        Box::new(InList { inputs, set, has_null, negated, shape: kept })
    })
}

#[derive(Debug)]
enum Set {
    Few(Vec<Scalar>),
    /// Every integer from the first to the second.
    Range(i128, i128),
    Integers(HashSet<i128, foldhash::fast::FixedState>),
    Strings(HashSet<Box<[u8]>, foldhash::fast::FixedState>),
    Scalars(std::collections::HashSet<Scalar>),
}

impl Set {
    fn new(scalars: Vec<Scalar>) -> Set {
        let mut integers: Vec<i128> = scalars.iter().filter_map(Scalar::as_integer).collect();
        integers.sort_unstable();
        integers.dedup();
        if let (Some(&low), Some(&high)) = (integers.first(), integers.last())
            && scalars.iter().all(|scalar| matches!(scalar, Scalar::Integer(_)))
            && high.checked_sub(low) == Some(integers.len() as i128 - 1)
        {
            return Set::Range(low, high);
        }
        if scalars.len() <= SHORT {
            return Set::Few(scalars);
        }
        if integers.len() == scalars.len() {
            return Set::Integers(integers.into_iter().collect());
        }
        match scalars.iter().all(|scalar| matches!(scalar, Scalar::Bytes(_))) {
            true => Set::Strings(
                scalars
                    .into_iter()
                    .filter_map(|scalar| match scalar {
                        Scalar::Bytes(bytes) => Some(bytes.into_boxed_slice()),
                        _ => None,
                    })
                    .collect(),
            ),
            false => Set::Scalars(scalars.into_iter().collect()),
        }
    }

    fn contains(&self, values: &Values) -> Bitmap {
        let rows = values.len();
        match self {
            Set::Few(scalars) => {
                let mut found = Bitmap::filled(false, rows);
                for scalar in scalars {
                    let possible = scalar.as_integer().is_none_or(|integer| fits(integer, values.physical()));
                    if possible {
                        found = found.or(&compare_constant(ConstantRelation::Equal, values, scalar));
                    }
                }
                found
            }
            Set::Range(low, high) => {
                integers_between(values, *low, *high).unwrap_or_else(|| Bitmap::filled(false, rows))
            }
            Set::Integers(set) => Bitmap::from_fn(rows, |row| set.contains(&integer_at(values, row))),
            Set::Strings(set) => match values {
                Values::View(views) => Bitmap::from_fn(rows, |row| set.contains(views.get(row))),
                _ => Bitmap::filled(false, rows),
            },
            Set::Scalars(set) => Bitmap::from_fn(rows, |row| set.contains(&values.scalar(row))),
        }
    }
}

#[derive(Debug)]
struct InList {
    inputs: Vec<Node>,
    set: Set,
    has_null: bool,
    negated: bool,
    shape: Shape,
}

impl Operation for InList {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let flat = match Side::of(self.inputs[0].evaluate(input)?) {
            Side::Null => return Ok(null_vector(&self.shape, input.rows)),
            Side::Flat(flat) => flat,
            Side::Constant(scalar) => {
                let values = Values::repeat(&scalar, self.inputs[0].shape().physical, input.rows);
                columnar::Flat::new(self.inputs[0].data_type(), values, None)
            }
        };
        let found = self.set.contains(&flat.values);
        let mut truth = match self.has_null {
            false => Truth::new(found, flat.validity),
            true => {
                let known = match &flat.validity {
                    Some(validity) => validity.and(&found),
                    None => found.clone(),
                };
                Truth::new(found, Some(known))
            }
        };
        if self.negated {
            truth = truth.not();
        }
        Ok(boolean_vector(truth))
    }
}
