//! Project: computes columns.

use crate::error::Result;
use crate::expr::Expr;
use crate::expression::Compiled;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::shape::Shape;
use columnar::Batch;
use std::sync::Arc;

pub struct Project {
    exprs: Arc<[Compiled]>,
    output: Vec<Shape>,
}

struct ProjectTask {
    exprs: Arc<[Compiled]>,
    pending: Option<Batch>,
}

impl Project {
    /// `input` are the shapes that the expressions refer to.
    pub fn new(exprs: &[Expr], input: &[Shape]) -> Result<Project> {
        let exprs: Vec<Compiled> =
            exprs.iter().map(|expr| Compiled::compile(expr, input)).collect::<Result<_>>()?;
        let output = exprs.iter().map(|expr| expr.shape().clone()).collect();
        Ok(Project { exprs: exprs.into(), output })
    }

    /// Whether evaluating an expression can fail.
    pub fn is_fallible(&self) -> bool {
        self.exprs.iter().any(Compiled::is_fallible)
    }
}

impl Operator for Project {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(ProjectTask { exprs: self.exprs.clone(), pending: None }))
    }
}

impl OperatorTask for ProjectTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let batch = batch.compact();
        let columns = self.exprs.iter().map(|expr| expr.evaluate(&batch)).collect::<Result<_>>()?;
        Ok(Output::Batch(Batch::of_rows(columns, batch.rows)))
    }
}
