//! Union: several pipelines that feed one sink. What it takes is that all come at the same widths.

use crate::error::{Error, Result};
use crate::expression::cast_to_physical;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::shape::Shape;
use columnar::{Batch, PhysicalType};
use std::sync::Arc;

/// The shapes that hold the rows of all inputs, which have the same types.
pub fn common_shapes(inputs: &[&[Shape]]) -> Result<Vec<Shape>> {
    let Some((first, rest)) = inputs.split_first() else { return Ok(Vec::new()) };
    let mut common = first.to_vec();
    for shapes in rest {
        let alike = common.len() == shapes.len()
            && common.iter().zip(shapes.iter()).all(|(a, b)| a.data_type == b.data_type);
        if !alike {
            return Err(Error::Internal("the inputs of a union have different types".into()));
        }
        common = common.iter().zip(shapes.iter()).map(|(a, b)| a.union(b)).collect();
    }
    Ok(common)
}

/// Brings columns to given widths, which hold them.
pub struct Widen {
    widths: Arc<[PhysicalType]>,
    output: Vec<Shape>,
}

struct WidenTask {
    widths: Arc<[PhysicalType]>,
    pending: Option<Batch>,
}

impl Widen {
    pub fn new(output: &[Shape]) -> Widen {
        let widths = output.iter().map(|shape| shape.physical).collect();
        Widen { widths, output: output.to_vec() }
    }

    /// Whether rows of shapes `from` need it to have shapes `to`.
    pub fn is_needed(from: &[Shape], to: &[Shape]) -> bool {
        from.iter().zip(to).any(|(from, to)| from.physical != to.physical)
    }
}

impl Operator for Widen {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(WidenTask { widths: self.widths.clone(), pending: None }))
    }
}

impl OperatorTask for WidenTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(mut batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        for (column, &width) in batch.columns.iter_mut().zip(self.widths.iter()) {
            if column.physical() != width {
                *column = cast_to_physical(column, width);
            }
        }
        Ok(Output::Batch(batch))
    }
}
