//! As-of: rows of two kinds in one order; each row of the one kind is given with columns of the last row of the other kind
//! that its group has before it. They come sorted, all in one task.

use super::top_of_groups::{Watched, changes};
use crate::error::Result;
use crate::expr::Expr;
use crate::expression::{Compiled, cast_to_physical};
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::plan::{self, SortKey};
use crate::shape::Shape;
use columnar::kernels::concat::concat;
use columnar::kernels::take::take;
use columnar::{Batch, Value, Vector};
use std::sync::Arc;

/// The operator; its output are the input's columns, then what is carried.
pub struct AsOf {
    plan: plan::AsOf,
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    groups: Vec<Watched>,
    source: Compiled,
    carried: Vec<Compiled>,
    required: bool,
}

struct AsOfTask {
    shared: Arc<Shared>,
    pending: Option<Batch>,
    /// The groups of the last row.
    last: Vec<Vector>,
    /// What the last row that is carried has, one value each, if the group of the last row has one.
    held: Vec<Vector>,
    holds: bool,
}

/// Where the values that are carried are taken from: what is held, a null, then the batch.
const HELD: u32 = 0;
const NULL: u32 = 1;
const BATCH: u32 = 2;

impl AsOf {
    /// `input` are the shapes that the plan's expressions refer to.
    pub fn new(plan: &plan::AsOf, input: &[Shape]) -> Result<AsOf> {
        let compile = |exprs: &[Expr]| {
            exprs.iter().map(|expr| Compiled::compile(expr, input)).collect::<Result<Vec<_>>>()
        };
        let shared = Shared {
            groups: plan.groups.iter().map(|expr| Watched::new(expr, input)).collect::<Result<_>>()?,
            source: Compiled::compile(&plan.source, input)?,
            carried: compile(&plan.carried)?,
            required: plan.required,
        };
        let carried = shared.carried.iter().map(|one| Shape { nullable: true, ..one.shape().clone() });
        let output = input.iter().cloned().chain(carried).collect();
        Ok(AsOf { plan: plan.clone(), shared: Arc::new(shared), output })
    }

    /// The order in which it takes rows, all in one task.
    pub fn order(&self) -> Vec<SortKey> {
        let by = |expr: &Expr| SortKey { expr: expr.clone(), descending: false, nulls_first: false };
        self.plan.groups.iter().map(by).chain(self.plan.keys.iter().cloned()).collect()
    }
}

impl Operator for AsOf {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        let shared = self.shared.clone();
        let held = shared.carried.iter().map(|one| null_of(one.shape())).collect();
        Ok(Box::new(AsOfTask { shared, pending: None, last: Vec::new(), held, holds: false }))
    }
}

impl OperatorTask for AsOfTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let batch = batch.compact();
        if batch.rows == 0 {
            return Ok(Output::NeedsInput);
        }
        let shared = self.shared.clone();
        let groups =
            shared.groups.iter().map(|one| one.value.evaluate(&batch)).collect::<Result<Vec<_>>>()?;
        let changes = changes(shared.groups.iter(), &groups, &self.last, batch.rows)?;
        let sources = shared.source.matches(&batch)?;
        let mut from = if self.holds { HELD } else { NULL };
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        for row in 0..batch.rows {
            if changes.iter().any(|change| change.get(row)) {
                from = NULL;
            }
            if sources.get(row) {
                from = row as u32 + BATCH;
            } else if from != NULL || !shared.required {
                rows.push(row as u32);
                places.push(from);
            }
        }
        self.last = groups.iter().map(|group| group.slice(batch.rows - 1, 1)).collect();
        self.holds = from != NULL;
        let mut columns: Vec<Vector> = batch.columns.iter().map(|column| take(column, &rows)).collect();
        for (one, held) in shared.carried.iter().zip(&mut self.held) {
            let (null, values) = (null_of(one.shape()), one.evaluate(&batch)?);
            let values = cast_to_physical(&values, one.shape().physical);
            let Some(all) = concat(&[&*held, &null, &values]) else { continue };
            columns.push(take(&all, &places));
            *held = take(&all, &[from]);
        }
        if rows.is_empty() {
            return Ok(Output::NeedsInput);
        }
        Ok(Output::Batch(Batch::of_rows(columns, rows.len())))
    }
}

fn null_of(shape: &Shape) -> Vector {
    cast_to_physical(&Vector::constant(Value::null(shape.data_type), 1), shape.physical)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::operators::testing::{Random, Row, batches_of, query, shapes_of, stream};
    use columnar::{DataType, Scalar};

    #[test]
    fn each_row_meets_the_last_of_its_group_before_it() {
        // A group, whether it is carried, what is carried.
        let types = [DataType::Int32, DataType::Boolean, DataType::Varchar];
        let mut random = Random(3);
        let row = |number: usize, random: &mut Random| -> Row {
            let group = match number / 40 {
                3 => Scalar::Null,
                group => Scalar::Integer(group as i128),
            };
            let text = match random.below(4) {
                0 => Scalar::Null,
                _ => Scalar::Bytes(format!("value number {number}").into_bytes()),
            };
            vec![group, Scalar::Boolean(random.below(3) == 0), text]
        };
        let rows: Vec<Row> = (0..200).map(|number| row(number, &mut random)).collect();
        let text = Expr::column(2, types[2]);
        for required in [false, true] {
            let mut wanted: Vec<Row> = Vec::new();
            for group in rows.chunk_by(|a, b| a[0] == b[0]) {
                let mut last: Option<Scalar> = None;
                for row in group {
                    if row[1] == Scalar::Boolean(true) {
                        last = Some(row[2].clone());
                    } else if last.is_some() || !required {
                        let carried = last.clone().unwrap_or(Scalar::Null);
                        wanted.push([row.as_slice(), &[carried]].concat());
                    }
                }
            }
            let input = Box::new(plan::Plan::Values { types: Vec::new(), rows: Vec::new() });
            let plan = plan::AsOf {
                input,
                groups: vec![Expr::column(0, types[0])],
                keys: Vec::new(),
                source: Expr::column(1, types[1]),
                carried: vec![text.clone()],
                required,
            };
            for batch_rows in [1, 3, 64] {
                let as_of = AsOf::new(&plan, &shapes_of(&types, &rows, batch_rows == 3)).unwrap();
                let given =
                    stream(&as_of, batches_of(&types, &rows, batch_rows), 1, &query(64, None)).unwrap();
                assert_eq!(given, wanted, "{batch_rows} rows a batch");
            }
        }
    }
}
