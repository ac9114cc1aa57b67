//! `AND`, `OR`, `NOT`, `IS NULL`: three-valued, and lazy where an operand may fail.

use super::node::{Input, Node, Operation, boolean_shape, boolean_vector, truth_of};
use crate::Result;
use columnar::kernels::{boolean::Truth, select::scatter_bits, take::indices_of};
use columnar::{Bitmap, Vector};

/// The conjunction (`all`) or the disjunction of `operands`.
pub(super) fn junction(all: bool, operands: Vec<Node>) -> Node {
    let nullable = operands.iter().any(|node| node.shape().nullable);
    Node::over(operands, boolean_shape(nullable), false, |operands| Box::new(Junction { all, operands }))
}

pub(super) fn not(input: Node) -> Node {
    let shape = boolean_shape(input.shape().nullable);
    Node::over(vec![input], shape, false, |inputs| Box::new(Not { inputs }))
}

pub(super) fn is_null(input: Node, negated: bool) -> Node {
    Node::over(vec![input], boolean_shape(false), false, |inputs| Box::new(IsNull { inputs, negated }))
}

#[derive(Debug)]
struct Junction {
    all: bool,
    operands: Vec<Node>,
}

impl Operation for Junction {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let mut result = Truth::new(Bitmap::filled(self.all, input.rows), None);
        for (index, operand) in self.operands.iter().enumerate() {
            if index == 0 {
                result = operand.truth(input)?;
                continue;
            }
            // False decides a conjunction, true a disjunction.
            let open = if self.all { result.is_false().not() } else { result.is_true().not() };
            if open.none() {
                break;
            }
            let few = operand.is_costly() && open.count_ones() * 2 < input.rows;
            let truth = if (operand.is_fallible() || few) && !open.all() {
                let rows = indices_of(&open);
                let truth = truth_of(operand.evaluate_rows(input, &rows)?);
                // Rows that were decided stay as they are, whatever stands there.
                let validity = truth.validity.map(|bits| scatter_bits(&bits, &rows, input.rows));
                Truth::new(scatter_bits(&truth.values, &rows, input.rows), validity)
            } else {
                operand.truth(input)?
            };
            result = if self.all { result.and(&truth) } else { result.or(&truth) };
        }
        Ok(boolean_vector(result))
    }
}

#[derive(Debug)]
struct Not {
    inputs: Vec<Node>,
}

impl Operation for Not {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        Ok(boolean_vector(self.inputs[0].truth(input)?.not()))
    }
}

#[derive(Debug)]
struct IsNull {
    inputs: Vec<Node>,
    negated: bool,
}

impl Operation for IsNull {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let validity = self.inputs[0].evaluate(input)?.validity();
        let valid = validity.unwrap_or_else(|| Bitmap::filled(true, input.rows));
        let values = if self.negated { valid } else { valid.not() };
        Ok(boolean_vector(Truth::new(values, None)))
    }
}
