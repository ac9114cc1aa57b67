//! Aggregates of a whole table that its facts tell: `count(*)`, `count(x)`, the sum of a column of integers or decimals
//! (and so their mean), and the least and the greatest of such a column, of dates or of times.

use crate::logical::{AggregateCall, Logical, Scan};
use columnar::{Scalar, Value};
use exec::Expr;
use exec::plan::AggregateFunction;

/// The plan without scans that such aggregates alone read. Where one of them is not told, all are computed.
pub(crate) fn answer(plan: Logical) -> Logical {
    plan.transform_up(&mut |plan| match plan {
        Logical::Aggregate { input, groups, aggregates } if groups.is_empty() => {
            let values = match &*input {
                Logical::Scan(scan) if scan.predicate.is_empty() => {
                    aggregates.iter().map(|(_, call)| value(scan, call)).collect()
                }
                _ => None,
            };
            match values {
                Some(row) => {
                    let columns = aggregates.into_iter().map(|(id, _)| id).collect();
                    Logical::Values { columns, rows: vec![row] }
                }
                None => Logical::Aggregate { input, groups, aggregates },
            }
        }
        other => other,
    })
}

fn value(scan: &Scan, call: &AggregateCall) -> Option<Value> {
    let column = match call.arg() {
        None => 0,
        Some(Expr::Column { id, .. }) => scan.columns.iter().find(|(_, given)| given == id)?.0,
        Some(_) => return None,
    };
    let facts = scan.table.facts_of(column);
    if !facts.exact || call.distinct || call.filter.is_some() {
        return None;
    }
    let values = facts.rows - facts.nulls;
    let scalar = match call.function {
        AggregateFunction::CountRows => Scalar::Integer(facts.rows.into()),
        AggregateFunction::Count => Scalar::Integer(values.into()),
        AggregateFunction::Sum | AggregateFunction::Min | AggregateFunction::Max if values == 0 => {
            Scalar::Null
        }
        AggregateFunction::Sum => {
            let (least, most) = call.data_type.integer_bounds()?;
            // A sum that does not fit fails where it is computed.
            Scalar::Integer(facts.sum.filter(|sum| (least..=most).contains(sum))?)
        }
        AggregateFunction::Min => Scalar::Integer(facts.bounds?.0),
        AggregateFunction::Max => Scalar::Integer(facts.bounds?.1),
        _ => return None,
    };
    Some(Value::new(call.data_type, scalar))
}
