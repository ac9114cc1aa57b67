//! `try`: null in rows in which an expression fails.

use super::cast_to_physical;
use super::node::{Input, Node, Operation};
use crate::{Error, Result, Shape};
use columnar::{Scalar, Vector};

/// The value of `input`, or null where values make it fail.
pub(crate) fn attempt(input: Node) -> Node {
    let shape = Shape { nullable: true, ..input.shape().clone() };
    let kept = shape.clone();
    Node::over(vec![input], shape, false, |inputs| Box::new(Attempt { inputs, shape: kept })).infallible()
}

#[derive(Debug)]
struct Attempt {
    /// One.
    inputs: Vec<Node>,
    shape: Shape,
}

impl Operation for Attempt {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        match self.inputs[0].evaluate(input) {
            Err(Error::Value(_)) => {}
            other => return other,
        }
        let rows: Vec<u32> = (0..input.rows as u32).collect();
        let mut scalars = vec![Scalar::Null; input.rows];
        self.halves(input, &rows, &mut scalars)?;
        let values = Vector::from_scalars(self.shape.data_type, &scalars);
        Ok(cast_to_physical(&values, self.shape.physical))
    }
}

impl Attempt {
    /// Evaluates the halves of rows of which some fail, down to the rows that do.
    fn halves(&self, input: &Input<'_>, rows: &[u32], scalars: &mut [Scalar]) -> Result<()> {
        let (first, second) = rows.split_at(rows.len() / 2);
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            match self.inputs[0].evaluate_rows(input, half) {
                Ok(vector) => {
                    for (place, &row) in half.iter().enumerate() {
                        scalars[row as usize] = vector.scalar(place);
                    }
                }
                Err(Error::Value(_)) if half.len() == 1 => {}
                Err(Error::Value(_)) => self.halves(input, half, scalars)?,
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }
}
