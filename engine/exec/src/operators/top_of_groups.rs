//! The first rows of each group, of rows that come sorted by their groups: one task has them all in order.

use crate::error::Result;
use crate::expr::{CompareOp, Expr};
use crate::expression::Compiled;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::plan::{self, SortKey};
use crate::shape::Shape;
use columnar::{Batch, Bitmap, Selection, Vector};
use std::sync::Arc;

pub struct TopOfGroups {
    plan: plan::TopOfGroups,
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    groups: Vec<Watched>,
    /// Those of the order, where rows that are alike in them are given together.
    ties: Option<Vec<Watched>>,
    limit: u64,
    offset: u64,
}

/// An expression by which rows are told apart.
pub(super) struct Watched {
    pub(super) value: Compiled,
    /// Whether two of its values, columns 0 and 1, are different.
    differs: Compiled,
}

struct TopOfGroupsTask {
    shared: Arc<Shared>,
    pending: Option<Batch>,
    /// The values of the last row, of the groups and then of the order.
    last: Vec<Vector>,
    /// How many rows its group has so far.
    seen: u64,
    /// It was given.
    given: bool,
}

impl TopOfGroups {
    /// `input` are the shapes that the plan's expressions refer to. Nulls are a group.
    pub fn new(plan: &plan::TopOfGroups, input: &[Shape]) -> Result<TopOfGroups> {
        let watched = |expr: &Expr| Watched::new(expr, input);
        let groups = plan.groups.iter().map(watched).collect::<Result<_>>()?;
        let ties = match plan.ties {
            true => Some(plan.keys.iter().map(|key| watched(&key.expr)).collect::<Result<_>>()?),
            false => None,
        };
        let shared = Arc::new(Shared { groups, ties, limit: plan.limit, offset: plan.offset });
        Ok(TopOfGroups { plan: plan.clone(), shared, output: input.to_vec() })
    }

    /// The order in which it takes rows, all in one task.
    pub fn order(&self) -> Vec<SortKey> {
        let by = |expr: &Expr| SortKey { expr: expr.clone(), descending: false, nulls_first: false };
        self.plan.groups.iter().map(by).chain(self.plan.keys.iter().cloned()).collect()
    }
}

impl Operator for TopOfGroups {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        let shared = self.shared.clone();
        Ok(Box::new(TopOfGroupsTask { shared, pending: None, last: Vec::new(), seen: 0, given: false }))
    }
}

impl OperatorTask for TopOfGroupsTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let mut batch = batch.compact();
        if batch.rows == 0 {
            return Ok(Output::NeedsInput);
        }
        let shared = self.shared.clone();
        let watched = || shared.groups.iter().chain(shared.ties.iter().flatten());
        let values = watched().map(|one| one.value.evaluate(&batch)).collect::<Result<Vec<_>>>()?;
        let changes = changes(watched(), &values, &self.last, batch.rows)?;
        let (of_groups, of_order) = changes.split_at(shared.groups.len());
        let any = |changes: &[Bitmap], row: usize| changes.iter().any(|change| change.get(row));
        let mut kept = Vec::new();
        for row in 0..batch.rows {
            if any(of_groups, row) {
                (self.seen, self.given) = (0, false);
            }
            let is_first = self.seen >= shared.offset && self.seen - shared.offset < shared.limit;
            self.given = is_first || shared.ties.is_some() && self.given && !any(of_order, row);
            if self.given {
                kept.push(row as u32);
            }
            self.seen += 1;
        }
        self.last = values.iter().map(|value| value.slice(batch.rows - 1, 1)).collect();
        if kept.is_empty() {
            return Ok(Output::NeedsInput);
        }
        if kept.len() < batch.rows {
            batch.selection = Some(Selection::new(kept));
        }
        Ok(Output::Batch(batch.compact()))
    }
}

impl Watched {
    /// `input` are the shapes that the expression refers to.
    pub(super) fn new(expr: &Expr, input: &[Shape]) -> Result<Watched> {
        let value = Compiled::compile(expr, input)?;
        let data_type = expr.data_type();
        let (a, b) = (Expr::column(0, data_type), Expr::column(1, data_type));
        let shapes = [value.shape().clone(), value.shape().clone()];
        let differs = Compiled::compile(&Expr::compare(CompareOp::IsDistinctFrom, a, b), &shapes)?;
        Ok(Watched { value, differs })
    }
}

/// For each expression the rows whose value, of `values`, differs from that of the row before; before the first is that
/// of which `last` has the values, if there is one.
pub(super) fn changes<'w>(
    watched: impl Iterator<Item = &'w Watched>,
    values: &[Vector],
    last: &[Vector],
    rows: usize,
) -> Result<Vec<Bitmap>> {
    let change = |(place, (watched, value)): (usize, (&Watched, &Vector))| {
        let first = match last.get(place) {
            Some(last) => {
                let pair = Batch::new(vec![last.clone(), value.slice(0, 1)]);
                watched.differs.matches(&pair)?.get(0)
            }
            None => false,
        };
        let pairs = Batch::new(vec![value.slice(0, rows - 1), value.slice(1, rows - 1)]);
        let others = watched.differs.matches(&pairs)?;
        Ok(Bitmap::from_fn(rows, |row| if row == 0 { first } else { others.get(row - 1) }))
    };
    watched.zip(values).enumerate().map(change).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::operators::testing::{Random, Row, batches_of, query, shapes_of, stream};
    use columnar::{DataType, Scalar};

    fn plan_of(
        groups: Vec<Expr>,
        keys: Vec<SortKey>,
        (limit, offset): (usize, usize),
        ties: bool,
    ) -> plan::TopOfGroups {
        let input = Box::new(plan::Plan::Values { types: Vec::new(), rows: Vec::new() });
        plan::TopOfGroups { input, groups, keys, limit: limit as u64, offset: offset as u64, ties }
    }

    #[test]
    fn of_each_group_some_rows_are_given() {
        let types = [DataType::Int32, DataType::Varchar, DataType::Int64];
        let mut random = Random(7);
        let mut rows: Vec<Row> = Vec::new();
        for number in 0..300 {
            let key = match random.below(6) {
                0 => Scalar::Null,
                key => Scalar::Integer(key as i128),
            };
            let text = match random.below(3) {
                0 => Scalar::Null,
                letter => Scalar::Bytes(vec![b'a' + letter as u8]),
            };
            rows.push(vec![key, text, Scalar::Integer(number)]);
        }
        rows.sort_by_key(|row| format!("{:?}", &row[..2]));
        let groups = [Expr::column(0, types[0]), Expr::column(1, types[1])];
        for (limit, offset) in [(1, 0), (2, 1), (3, 0), (0, 0), (1000, 5)] {
            let mut wanted: Vec<Row> = Vec::new();
            for group in rows.chunk_by(|a, b| a[..2] == b[..2]) {
                wanted.extend(group.iter().skip(offset).take(limit).cloned());
            }
            for batch_rows in [1, 3, 64] {
                let shapes = shapes_of(&types, &rows, batch_rows == 3);
                let plan = plan_of(groups.to_vec(), Vec::new(), (limit, offset), false);
                let top = TopOfGroups::new(&plan, &shapes).unwrap();
                let given = stream(&top, batches_of(&types, &rows, batch_rows), 1, &query(64, None)).unwrap();
                assert_eq!(given, wanted, "{limit} after {offset}, {batch_rows} rows a batch");
            }
        }
    }

    #[test]
    fn without_groups_all_rows_are_one() {
        let rows: Vec<Row> = (0..10).map(|number| vec![Scalar::Integer(number)]).collect();
        let types = [DataType::Int64];
        let plan = plan_of(Vec::new(), Vec::new(), (2, 3), false);
        let top = TopOfGroups::new(&plan, &shapes_of(&types, &rows, true)).unwrap();
        let given = stream(&top, batches_of(&types, &rows, 4), 1, &query(64, None)).unwrap();
        assert_eq!(given, rows[3..5]);
    }

    #[test]
    fn rows_like_the_last_are_given_with_it() {
        let types = [DataType::Int32, DataType::Int32];
        let pair = |(key, order): (i128, i128)| vec![Scalar::Integer(key), Scalar::Integer(order)];
        let rows: Vec<Row> =
            [(1, 1), (1, 2), (1, 2), (1, 2), (1, 3), (2, 2), (2, 2), (3, 1)].map(pair).to_vec();
        let (group, order) = (Expr::column(0, types[0]), Expr::column(1, types[1]));
        let key = SortKey { expr: order, descending: false, nulls_first: false };
        for (range, wanted) in [
            ((2, 0), [0, 1, 2, 3, 5, 6, 7].as_slice()),
            ((1, 0), &[0, 5, 6, 7]),
            ((1, 1), &[1, 2, 3, 6]),
            ((1, 3), &[3]),
            ((0, 0), &[]),
        ] {
            let wanted: Vec<Row> = wanted.iter().map(|&row: &usize| rows[row].clone()).collect();
            for batch_rows in [1, 3, 64] {
                let plan = plan_of(vec![group.clone()], vec![key.clone()], range, true);
                let top = TopOfGroups::new(&plan, &shapes_of(&types, &rows, true)).unwrap();
                let given = stream(&top, batches_of(&types, &rows, batch_rows), 1, &query(64, None)).unwrap();
                assert_eq!(given, wanted, "{range:?}, {batch_rows} rows a batch");
            }
        }
    }
}
