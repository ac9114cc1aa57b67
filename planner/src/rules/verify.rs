//! Checks that a plan makes sense: every column used is given by an input, types are consistent, the query's
//! columns are there.

use super::Context;
use crate::logical::{ColumnSet, Columns, JoinKind, Logical};
use columnar::DataType;
use exec::Expr;

pub(super) fn verify(plan: &Logical, context: &Context<'_>) -> Result<(), String> {
    let outputs = plan.output_set();
    if let Some(lost) = context.results.iter().find(|id| !outputs.contains(id)) {
        return Err(format!("it lost column {} \"{}\"", lost, context.columns.name(*lost)));
    }
    operator(plan, context.columns)
}

fn operator(plan: &Logical, columns: &Columns) -> Result<(), String> {
    for input in plan.inputs() {
        operator(input, columns)?;
    }
    let outputs = plan.outputs();
    let set: ColumnSet = outputs.iter().copied().collect();
    if set.len() != outputs.len() {
        return Err(format!("a column is given twice by {}", crate::explain::operator(plan, columns)));
    }
    let given: ColumnSet = match plan {
        Logical::Scan(scan) => scan.columns.iter().chain(&scan.filtered).map(|&(_, id)| id).collect(),
        other => other.inputs().iter().flat_map(|input| input.outputs()).collect(),
    };
    for expr in plan.exprs() {
        let mut fault = None;
        expr.visit(&mut |node| {
            if fault.is_none() {
                fault = expression(node, &given, columns);
            }
        });
        if let Some(fault) = fault {
            return Err(format!("{fault} in {}", crate::explain::operator(plan, columns)));
        }
    }
    match plan {
        Logical::Filter { predicate, .. } => booleans(predicate),
        Logical::Join(join) => {
            if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = join.kind
                && columns.data_type(mark) != DataType::Boolean
            {
                return Err("a mark is not BOOLEAN".into());
            }
            booleans(&join.on)
        }
        Logical::Scan(scan) => booleans(&scan.predicate),
        Logical::Project { exprs, .. } => exprs.iter().try_for_each(|(id, expr)| {
            if columns.data_type(*id) == expr.data_type() {
                return Ok(());
            }
            Err(format!("column \"{}\" changed its type to {}", columns.name(*id), expr.data_type()))
        }),
        Logical::Expand { lists, columns: ids, .. } => {
            let same = |list: &Vec<Expr>| {
                list.len() == ids.len()
                    && list.iter().zip(ids).all(|(expr, id)| columns.data_type(*id) == expr.data_type())
            };
            if lists.iter().all(same) { Ok(()) } else { Err("a list of an expansion has other types".into()) }
        }
        Logical::AsOf(join) => {
            let same = |(id, expr): &(u32, Expr)| columns.data_type(*id) == expr.data_type();
            match join.carried.iter().all(same) {
                true => booleans(std::slice::from_ref(&join.source)),
                false => Err("what is carried has another type".into()),
            }
        }
        Logical::Unroll(unroll) => {
            let fits = |(id, list): &(u32, Expr)| {
                exec::plan::element_type(list.data_type()) == Some(columns.data_type(*id))
            };
            match unroll.lists.iter().all(fits) {
                true if unroll.lists.is_empty() => Err("no list is unrolled".into()),
                true => Ok(()),
                false => Err("an element has another type than its list says".into()),
            }
        }
        Logical::Series(series) => match columns.data_type(series.column) == series.start.data_type() {
            true => Ok(()),
            false => Err("a series has another type than its start".into()),
        },
        Logical::Union { inputs, columns: ids } => inputs.iter().try_for_each(|(input, given)| {
            let outputs = input.output_set();
            let same = given.len() == ids.len()
                && given.iter().zip(ids).all(|(a, b)| columns.data_type(*a) == columns.data_type(*b))
                && given.iter().all(|id| outputs.contains(id));
            if same { Ok(()) } else { Err("an input of a union has other columns".into()) }
        }),
        _ => Ok(()),
    }
}

fn booleans(exprs: &[Expr]) -> Result<(), String> {
    match exprs.iter().find(|expr| !matches!(expr.data_type(), DataType::Boolean | DataType::Null)) {
        Some(expr) => Err(format!("a condition is {}", expr.data_type())),
        None => Ok(()),
    }
}

fn expression(node: &Expr, given: &ColumnSet, columns: &Columns) -> Option<String> {
    match node {
        Expr::Column { id, data_type } => {
            if !given.contains(id) {
                return Some(format!("no input gives column {id} \"{}\"", columns.name(*id)));
            }
            let known = columns.data_type(*id);
            (known != *data_type).then(|| format!("\"{}\" is {known}, not {data_type}", columns.name(*id)))
        }
        Expr::Compare { left, right, .. } => {
            let alike = match (left.data_type(), right.data_type()) {
                (DataType::Decimal { scale: a, .. }, DataType::Decimal { scale: b, .. }) => a == b,
                (a, b) => a == b || a == DataType::Null || b == DataType::Null,
            };
            (!alike).then(|| format!("{} is compared with {}", left.data_type(), right.data_type()))
        }
        _ => None,
    }
}
