//! Scalar expressions, compiled once for a pipeline and evaluated a batch at a time.
//!
//! Compilation chooses widths from the bounds of the inputs, so that most arithmetic is proven free of
//! overflow and runs narrow and unchecked. Evaluation is dense: nulls are computed like any value and masked
//! afterwards; what may fail under a condition runs on the rows that need it, taken out and put back.

mod arithmetic;
mod attempt;
pub(crate) mod bit_cast;
mod bounds;
mod cast;
mod compare;
mod compile;
mod conditional;
pub mod constant;
mod distinct;
mod in_list;
pub(crate) mod json_cast;
pub mod lambda;
mod like;
mod logic;
mod nested_cast;
pub(crate) mod node;
pub mod parse;
mod row_cast;
#[cfg(test)]
mod tests;
pub(crate) mod text_cast;
mod time_zoned;
mod uuid_cast;

pub(crate) use arithmetic::arithmetic;
pub(crate) use attempt::attempt;
pub(crate) use cast::cast;
pub(crate) use conditional::extreme;
pub(crate) use like::tokens as pattern_tokens;

use crate::{Expr, Result, Shape};
use columnar::kernels::cast::to_width;
use columnar::{Batch, Bitmap, Constant, Dictionary, DictionaryVector, Flat, PhysicalType, Vector};
use node::{Input, Node};
use std::sync::Arc;

/// An expression ready to run on batches whose columns have the shapes it was compiled for. Shared by all
/// workers of a pipeline.
#[derive(Debug)]
pub struct Compiled {
    root: Node,
}

impl Compiled {
    /// Compiles `expr`, whose column ids are positions in `input`.
    pub fn compile(expr: &Expr, input: &[Shape]) -> Result<Compiled> {
        Ok(Compiled { root: compile::compile(expr, input)? })
    }

    /// What every result looks like.
    pub fn shape(&self) -> &Shape {
        self.root.shape()
    }

    /// The value of every row of `batch`, which has no selection. The vector has the shape's width.
    pub fn evaluate(&self, batch: &Batch) -> Result<Vector> {
        debug_assert!(batch.selection.is_none());
        self.root.evaluate(&Input { columns: &batch.columns, rows: batch.rows })
    }

    /// The rows of `batch` (without selection) for which a predicate is true, so neither false nor null.
    pub fn matches(&self, batch: &Batch) -> Result<Bitmap> {
        debug_assert!(batch.selection.is_none());
        Ok(self.root.truth(&Input { columns: &batch.columns, rows: batch.rows })?.is_true())
    }

    /// Whether some value of the input could make it fail.
    pub fn is_fallible(&self) -> bool {
        self.root.is_fallible()
    }
}

/// Whether there is a cast between two nested types.
pub fn casts_nested(source: columnar::DataType, target: columnar::DataType) -> bool {
    nested_cast::exists(source, target)
}

/// The same integers at another width that is known to hold all of them; other vectors as they are.
pub fn cast_to_physical(vector: &Vector, physical: PhysicalType) -> Vector {
    if vector.physical() == physical {
        return vector.clone();
    }
    match vector {
        Vector::Flat(flat) => {
            Flat::new(flat.data_type, to_width(&flat.values, physical), flat.validity.clone()).into()
        }
        Vector::Constant(constant) => Vector::Constant(Constant { physical, ..constant.clone() }),
        Vector::Dictionary(vector) if vector.dictionary.values.len() <= vector.codes.len() => {
            let values = &vector.dictionary.values;
            let values = Flat::new(values.data_type, to_width(&values.values, physical), None);
            let dictionary = Arc::new(Dictionary::new(values, vector.dictionary.sorted));
            Vector::Dictionary(DictionaryVector { dictionary, ..vector.clone() })
        }
        Vector::Dictionary(_) => {
            let flat = vector.flatten();
            Flat::new(flat.data_type, to_width(&flat.values, physical), flat.validity).into()
        }
    }
}
