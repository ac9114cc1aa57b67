//! Filter: keeps the rows for which a predicate is true.

use crate::error::Result;
use crate::expr::Expr;
use crate::expression::Compiled;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::shape::Shape;
use columnar::{Batch, Selection};
use std::sync::Arc;

pub struct Filter {
    predicate: Arc<Compiled>,
    output: Vec<Shape>,
}

struct FilterTask {
    predicate: Arc<Compiled>,
    pending: Option<Batch>,
}

impl Filter {
    /// `input` are the shapes that the predicate refers to.
    pub fn new(predicate: &Expr, input: &[Shape]) -> Result<Filter> {
        Ok(Filter { predicate: Arc::new(Compiled::compile(predicate, input)?), output: input.to_vec() })
    }

    /// Whether evaluating the predicate can fail.
    pub fn is_fallible(&self) -> bool {
        self.predicate.is_fallible()
    }
}

impl Operator for Filter {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(FilterTask { predicate: self.predicate.clone(), pending: None }))
    }
}

impl OperatorTask for FilterTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let mut batch = batch.compact();
        let matches = self.predicate.matches(&batch)?;
        if matches.none() {
            return Ok(Output::NeedsInput);
        }
        if !matches.all() {
            batch.selection = Some(Selection::from_bitmap(&matches));
        }
        Ok(Output::Batch(batch.compact()))
    }
}
