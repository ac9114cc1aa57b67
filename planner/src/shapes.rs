//! What is proven of the values of a plan's columns: the facts of tables, and what operators make of them.

use crate::logical::{ColumnId, Logical, rename};
use exec::expression::Compiled;
use exec::operators::scan::column_shape;
use exec::plan::AggregateFunction;
use exec::{Expr, Shape};
use std::collections::HashMap;

/// The bounds of columns, by id. Any of them may be null.
#[derive(Default)]
pub(crate) struct Shapes {
    known: HashMap<ColumnId, Shape>,
}

impl Shapes {
    /// Of the columns that the plan gives and uses.
    pub(crate) fn of(plan: &Logical) -> Shapes {
        let mut shapes = Shapes::default();
        shapes.collect(plan);
        shapes
    }

    fn collect(&mut self, plan: &Logical) {
        plan.inputs().into_iter().for_each(|input| self.collect(input));
        match plan {
            Logical::Scan(scan) => {
                for &(position, id) in scan.columns.iter().chain(&scan.filtered) {
                    if let Some(column) = scan.table.columns.get(position as usize) {
                        let shape = column_shape(column.data_type, &scan.table.facts_of(position));
                        self.known.insert(id, Shape { nullable: true, ..shape });
                    }
                }
            }
            Logical::Project { exprs, .. } => exprs.iter().for_each(|(id, expr)| self.learn(*id, expr)),
            Logical::Aggregate { groups, aggregates, .. } => {
                groups.iter().for_each(|(id, expr)| self.learn(*id, expr));
                for (id, call) in aggregates {
                    use AggregateFunction::{AnyValue, Max, Min};
                    if let (Min | Max | AnyValue, Some(arg)) = (call.function, call.arg()) {
                        self.learn(*id, arg);
                    }
                }
            }
            _ => {}
        }
    }

    /// The column has values of the expression.
    fn learn(&mut self, id: ColumnId, expr: &Expr) {
        let is_itself = matches!(expr, Expr::Column { id: own, .. } if *own == id);
        if !is_itself
            && expr.data_type().is_integral()
            && let Some(compiled) = self.compile(expr)
        {
            self.known.insert(id, Shape { nullable: true, ..compiled.shape().clone() });
        }
    }

    /// The expression, compiled for such columns: it says whether it may fail, and what bounds it keeps.
    pub(crate) fn compile(&self, expr: &Expr) -> Option<Compiled> {
        let (mut positions, mut shapes) = (HashMap::new(), Vec::new());
        expr.visit(&mut |node| {
            if let Expr::Column { id, data_type } = node {
                positions.entry(*id).or_insert_with(|| {
                    shapes.push(self.known.get(id).cloned().unwrap_or_else(|| Shape::of_type(*data_type)));
                    (shapes.len() - 1) as u32
                });
            }
        });
        let mut local = expr.clone();
        rename(&mut local, &positions);
        Compiled::compile(&local, &shapes).ok()
    }
}
