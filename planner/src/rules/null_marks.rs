//! `x [NOT] IN (subquery)` as a value may be null. Where neither side can be null it is a plain mark; where
//! the subquery stands alone, a plain mark and two counts tell the cases apart. A plain mark that a filter
//! asks for and nothing else does is a semi or anti join.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, Columns, Join, JoinKind, Logical, columns_of_all};
use crate::nullability::{never_null, not_null};
use columnar::{DataType, Scalar, Value};
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr};
use std::collections::HashMap;

pub(super) struct NullMarks;

impl Rule for NullMarks {
    fn name(&self) -> &'static str {
        "null_marks"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &mut *context.columns;
        let plan = plan.transform_up(&mut |plan| match plan {
            Logical::Join(join) if matches!(join.kind, JoinKind::NullMark(_)) => plain(join, columns),
            other => other,
        });
        let mut uses = HashMap::new();
        count_uses(&plan, &mut uses);
        for id in context.results {
            *uses.entry(*id).or_insert(0) += 1;
        }
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Filter { mut input, mut predicate } => {
                predicate.retain(|expr| {
                    let (mark, kind) = match expr {
                        Expr::Column { id, .. } => (*id, JoinKind::Semi),
                        Expr::Not(inner) => match inner.as_ref() {
                            Expr::Column { id, .. } => (*id, JoinKind::Anti),
                            _ => return true,
                        },
                        _ => return true,
                    };
                    uses.get(&mark) != Some(&1) || !turn(&mut input, mark, kind)
                });
                input.filter(predicate)
            }
            other => other,
        }))
    }
}

fn count_uses(plan: &Logical, uses: &mut HashMap<ColumnId, usize>) {
    for expr in plan.exprs() {
        expr.visit(&mut |node| {
            if let Expr::Column { id, .. } = node {
                *uses.entry(*id).or_insert(0) += 1;
            }
        });
    }
    for input in plan.inputs() {
        count_uses(input, uses);
    }
}

/// Turns the join that makes the mark into one that filters; it lies on the left spine below.
fn turn(plan: &mut Logical, mark: ColumnId, kind: JoinKind) -> bool {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Mark(mark) => {
            join.kind = kind;
            true
        }
        Logical::Join(join) if join.kind != JoinKind::Full => turn(&mut join.left, mark, kind),
        Logical::Filter { input, .. } => turn(input, mark, kind),
        _ => false,
    }
}

/// The join with a mark that is never null, and the null put back where it can be.
fn plain(join: Join, columns: &mut Columns) -> Logical {
    let JoinKind::NullMark(mark) = join.kind else { return Logical::Join(join) };
    let mut known = not_null(&join.left);
    known.extend(not_null(&join.right));
    if join.on.iter().all(|expr| {
        matches!(expr, Expr::Compare { op, .. } if *op == CompareOp::IsNotDistinctFrom)
            || never_null(expr, &known)
    }) {
        return Logical::Join(Join { kind: JoinKind::Mark(mark), ..join });
    }
    let [Expr::Compare { op: CompareOp::Equal, left, right }] = join.on.as_slice() else {
        return Logical::Join(join);
    };
    let (left, right) = ((**left).clone(), (**right).clone());
    let right_set = join.right.output_set();
    if !join.right.free_columns().is_empty()
        || !columns_of_all([&right]).is_subset(&right_set)
        || !columns_of_all([&left]).is_disjoint(&right_set)
    {
        return Logical::Join(join);
    }
    let outputs = join.left.outputs();
    let matched = columns.add("in", DataType::Boolean);
    let mut map = HashMap::new();
    let counted = join.right.with_fresh_columns(columns, &mut map);
    let mut value = right.clone();
    crate::logical::rename(&mut value, &map);
    let count = |function, arg: Option<Expr>| AggregateCall {
        function,
        distinct: false,
        args: arg.into_iter().collect(),
        filter: None,
        data_type: DataType::Int64,
    };
    let (rows, values) = (columns.add("rows", DataType::Int64), columns.add("values", DataType::Int64));
    let counts = counted.aggregate(
        Vec::new(),
        vec![
            (rows, count(AggregateFunction::CountRows, None)),
            (values, count(AggregateFunction::Count, Some(value))),
        ],
    );
    let (rows, values) = (columns.reference(rows), columns.reference(values));
    let plan = Logical::Join(Join { kind: JoinKind::Mark(matched), ..join });
    let plan = plan.join(counts, JoinKind::Inner, Vec::new());
    let boolean = |value| Expr::Literal(Value::boolean(value));
    let zero = Expr::Literal(Value::new(DataType::Int64, Scalar::Integer(0)));
    let expr = Expr::Case {
        branches: vec![
            (columns.reference(matched), boolean(true)),
            (Expr::compare(CompareOp::Equal, rows.clone(), zero), boolean(false)),
            (
                Expr::Or(vec![
                    Expr::IsNull { input: Box::new(left), negated: false },
                    Expr::compare(CompareOp::Less, values, rows),
                ]),
                Expr::Literal(Value::null(DataType::Boolean)),
            ),
        ],
        otherwise: Some(Box::new(boolean(false))),
        data_type: DataType::Boolean,
    };
    let mut exprs: Vec<(ColumnId, Expr)> =
        outputs.into_iter().map(|id| (id, columns.reference(id))).collect();
    exprs.push((mark, expr));
    plan.project(exprs)
}
