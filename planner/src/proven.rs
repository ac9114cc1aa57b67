//! What is proven of the rows that exchanges bring, wherever they come from: a shard sees no segments but its own.

use crate::logical::{ColumnId, ColumnSet, Columns, Logical};
use crate::nullability;
use exec::Expr;
use exec::plan::{AggregateFunction, ReceivedColumn};
use std::collections::HashMap;

/// Inclusive, of unscaled integers.
type Bounds = (i128, i128);

/// The bounds of a plan's columns.
pub(crate) struct Proven {
    /// `None`: nothing is known.
    bounds: HashMap<ColumnId, Option<Bounds>>,
}

impl Proven {
    /// As the facts of the tables' versions say.
    pub(crate) fn of(plan: &Logical) -> Proven {
        let mut proven = Proven { bounds: HashMap::new() };
        proven.visit(plan);
        proven
    }

    /// What holds of these columns of an exchange's input.
    pub(crate) fn of_sent(
        &self,
        input: &Logical,
        outputs: &[ColumnId],
        columns: &Columns,
    ) -> Vec<ReceivedColumn> {
        let not_null: ColumnSet = nullability::not_null_of_versions(input);
        let of = |&id: &ColumnId| ReceivedColumn {
            data_type: columns.data_type(id),
            nullable: !not_null.contains(&id),
            bounds: self.of_column(id),
        };
        outputs.iter().map(of).collect()
    }

    fn of_column(&self, id: ColumnId) -> Option<Bounds> {
        self.bounds.get(&id).copied().flatten()
    }

    fn of_expr(&self, expr: &Expr) -> Option<Bounds> {
        match expr {
            Expr::Column { id, .. } => self.of_column(*id),
            _ => None,
        }
    }

    fn visit(&mut self, plan: &Logical) {
        plan.inputs().into_iter().for_each(|input| self.visit(input));
        let given: Vec<(ColumnId, Option<Bounds>)> = match plan {
            Logical::Scan(scan) => scan
                .columns
                .iter()
                .map(|&(position, id)| (id, scan.table.facts_of(position).bounds))
                .collect(),
            Logical::Project { exprs, .. } => self.of_exprs(exprs),
            Logical::Aggregate { groups, aggregates, .. } => {
                let calls = aggregates.iter().map(|(id, call)| {
                    let bounds = match call.function {
                        // Some value of the argument.
                        AggregateFunction::Min | AggregateFunction::Max | AggregateFunction::AnyValue => {
                            call.arg.as_ref().and_then(|arg| self.of_expr(arg))
                        }
                        _ => None,
                    };
                    (*id, bounds)
                });
                self.of_exprs(groups).into_iter().chain(calls).collect()
            }
            Logical::Union { inputs, columns } => {
                let of = |(position, &id): (usize, &ColumnId)| {
                    let parts = inputs.iter().map(|(_, ids)| self.of_column(*ids.get(position)?));
                    let parts: Option<Vec<Bounds>> = parts.collect();
                    (id, parts.and_then(|parts| parts.into_iter().reduce(hull)))
                };
                columns.iter().enumerate().map(of).collect()
            }
            Logical::Expand { lists, columns, .. } => {
                let of = |(position, &id): (usize, &ColumnId)| {
                    // A null is no value to be bound.
                    let exprs = lists.iter().filter_map(|list| list.get(position));
                    let values =
                        exprs.filter(|expr| !matches!(expr, Expr::Literal(value) if value.is_null()));
                    let parts: Option<Vec<Bounds>> = values.map(|expr| self.of_expr(expr)).collect();
                    (id, parts.and_then(|parts| parts.into_iter().reduce(hull)))
                };
                columns.iter().enumerate().map(of).collect()
            }
            // They give what their inputs do, or what nothing is known of.
            _ => Vec::new(),
        };
        for (id, bounds) in given {
            // A column that is computed in two places has the values of both.
            let both = |known: &mut Option<Bounds>| *known = known.zip(bounds).map(|(a, b)| hull(a, b));
            self.bounds.entry(id).and_modify(both).or_insert(bounds);
        }
    }

    fn of_exprs(&self, exprs: &[(ColumnId, Expr)]) -> Vec<(ColumnId, Option<Bounds>)> {
        // What passes through is known.
        let computed =
            exprs.iter().filter(|(id, expr)| !matches!(expr, Expr::Column { id: own, .. } if own == id));
        computed.map(|(id, expr)| (*id, self.of_expr(expr))).collect()
    }
}

fn hull(a: Bounds, b: Bounds) -> Bounds {
    (a.0.min(b.0), a.1.max(b.1))
}
