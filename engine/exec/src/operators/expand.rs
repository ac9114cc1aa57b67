//! Expand: gives each row once for each of several lists of expressions, so that its input is computed once.

use super::union::common_shapes;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::expression::{Compiled, cast_to_physical};
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::shape::Shape;
use columnar::Batch;
use std::sync::Arc;

pub struct Expand {
    lists: Arc<[Vec<Compiled>]>,
    output: Arc<[Shape]>,
}

struct ExpandTask {
    lists: Arc<[Vec<Compiled>]>,
    output: Arc<[Shape]>,
    pending: Option<Batch>,
    /// The list that the pending rows are given by next.
    next: usize,
}

impl Expand {
    /// `input` are the shapes that the expressions refer to; the lists have the same types.
    pub fn new(lists: &[Vec<Expr>], input: &[Shape]) -> Result<Expand> {
        let compile = |list: &Vec<Expr>| {
            list.iter().map(|expr| Compiled::compile(expr, input)).collect::<Result<Vec<_>>>()
        };
        let lists = lists.iter().map(compile).collect::<Result<Vec<_>>>()?;
        let shapes: Vec<Vec<Shape>> =
            lists.iter().map(|list| list.iter().map(|expr| expr.shape().clone()).collect()).collect();
        if shapes.is_empty() {
            return Err(Error::Internal("an expansion has no list of expressions".into()));
        }
        let shapes: Vec<&[Shape]> = shapes.iter().map(Vec::as_slice).collect();
        Ok(Expand { lists: lists.into(), output: common_shapes(&shapes)?.into() })
    }
}

impl Operator for Expand {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        let (lists, output) = (self.lists.clone(), self.output.clone());
        Ok(Box::new(ExpandTask { lists, output, pending: None, next: 0 }))
    }
}

impl OperatorTask for ExpandTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        (self.pending, self.next) = (Some(batch.compact()), 0);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let (Some(batch), Some(list)) = (&self.pending, self.lists.get(self.next)) else {
            self.pending = None;
            return Ok(Output::NeedsInput);
        };
        self.next += 1;
        let column =
            |(expr, shape): (&Compiled, &Shape)| Ok(cast_to_physical(&expr.evaluate(batch)?, shape.physical));
        let columns = list.iter().zip(self.output.iter()).map(column).collect::<Result<_>>()?;
        Ok(Output::Batch(Batch::of_rows(columns, batch.rows)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::operators::testing::{Row, batches_of, query, shapes_of, sorted, stream};
    use columnar::{DataType, Scalar, Value};

    #[test]
    fn each_row_comes_once_for_each_list() {
        let types = [DataType::Int64, DataType::Varchar];
        let row = |number: i128| -> Row {
            let text =
                if number % 4 == 0 { Scalar::Null } else { Scalar::Bytes(vec![b'a' + number as u8 % 3]) };
            vec![Scalar::Integer(number), text]
        };
        let rows: Vec<Row> = (0..50).map(row).collect();
        let (number, text) = (Expr::column(0, types[0]), Expr::column(1, types[1]));
        let constant = |value: i64| Expr::Literal(Value::int64(value));
        let lists = vec![
            vec![number.clone(), text, constant(0)],
            vec![number, Expr::Literal(Value::null(types[1])), constant(1 << 40)],
            vec![Expr::Literal(Value::null(types[0])), Expr::Literal(Value::null(types[1])), constant(2)],
        ];
        let wanted = rows.iter().flat_map(|row| {
            [
                vec![row[0].clone(), row[1].clone(), Scalar::Integer(0)],
                vec![row[0].clone(), Scalar::Null, Scalar::Integer(1 << 40)],
                vec![Scalar::Null, Scalar::Null, Scalar::Integer(2)],
            ]
        });
        let wanted: Vec<Row> = wanted.collect();
        for (batch_rows, tight) in [(3, false), (7, true), (64, true)] {
            let expand = Expand::new(&lists, &shapes_of(&types, &rows, tight)).unwrap();
            let given = stream(&expand, batches_of(&types, &rows, batch_rows), 2, &query(64, None)).unwrap();
            assert_eq!(sorted(&given), sorted(&wanted));
        }
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let expand = Expand::new(&[vec![], vec![]], &[]).unwrap();
        let given = stream(&expand, vec![Batch::of_rows(Vec::new(), 5)], 1, &query(64, None)).unwrap();
        assert_eq!(given.len(), 10);
    }

    #[test]
    fn no_list_and_lists_of_other_types_are_refused() {
        assert!(Expand::new(&[], &[]).is_err());
        let lists = [vec![Expr::Literal(Value::int64(1))], vec![Expr::Literal(Value::varchar("a"))]];
        assert!(Expand::new(&lists, &[]).is_err());
    }
}
