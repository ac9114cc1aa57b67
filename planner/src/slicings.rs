//! How columns are best dealt to shards where their rows must move: as the key of the table lies that they are compared
//! with, which then need not move.

use crate::catalog::Partitioning;
use crate::logical::{ColumnId, Logical, equality};
use exec::{Expr, Slicing};
use std::collections::HashMap;

/// The ranges by which some table lies that each column meets in joins, as far as there is one.
pub(crate) fn of_plan(plan: &Logical) -> HashMap<ColumnId, Slicing> {
    let mut found = Found::default();
    found.visit(plan);
    let mut slicings = HashMap::new();
    let mut open = found.keys;
    while let Some((id, slicing)) = open.pop() {
        if slicings.contains_key(&id) {
            continue;
        }
        slicings.insert(id, slicing);
        let alike = found.alike.iter().filter_map(|&(a, b)| match id {
            _ if id == a => Some(b),
            _ if id == b => Some(a),
            _ => None,
        });
        open.extend(alike.map(|other| (other, slicing)));
    }
    slicings
}

#[derive(Default)]
struct Found {
    keys: Vec<(ColumnId, Slicing)>,
    /// Columns that have the same values, or are compared for equality.
    alike: Vec<(ColumnId, ColumnId)>,
}

impl Found {
    fn visit(&mut self, plan: &Logical) {
        match plan {
            Logical::Scan(scan) => {
                if let Partitioning::Ranges { column, span } = scan.table.partitioning {
                    let key = scan.columns.iter().find(|&&(position, _)| position == column);
                    self.keys.extend(key.map(|&(_, id)| (id, Slicing::Ranges { span })));
                }
            }
            Logical::Project { exprs, .. } => self.renamed(exprs),
            Logical::Aggregate { groups, .. } => self.renamed(groups),
            Logical::Join(join) => {
                let (left, right) = (join.left.output_set(), join.right.output_set());
                for expr in &join.on {
                    if let Some((Expr::Column { id: a, .. }, Expr::Column { id: b, .. }, _)) =
                        equality(expr, &left, &right)
                    {
                        self.alike.push((*a, *b));
                    }
                }
            }
            _ => {}
        }
        plan.inputs().into_iter().for_each(|input| self.visit(input));
    }

    fn renamed(&mut self, exprs: &[(ColumnId, Expr)]) {
        let columns = exprs.iter().filter_map(|(id, expr)| match expr {
            Expr::Column { id: other, .. } if other != id => Some((*id, *other)),
            _ => None,
        });
        self.alike.extend(columns);
    }
}
