//! Which columns determine others: those of a table hang on each of its keys, and columns that a join equates are
//! as good as one.

use crate::catalog::Table;
use crate::logical::{ColumnId, ColumnSet, Join, JoinKind, Logical, equality};
use exec::{CompareOp, Expr};

/// What holds of the columns of a plan, in each of its rows. An outer join that leaves a table without a match makes
/// all its columns null at once, so that they still hang on a key, which itself is never null in the table.
#[derive(Default)]
pub(crate) struct Dependencies {
    /// Columns that have the same value, or all none.
    equal: Vec<ColumnSet>,
    /// Of each scan: keys, and all columns.
    tables: Vec<(ColumnSet, ColumnSet)>,
}

impl Dependencies {
    pub(crate) fn of(plan: &Logical) -> Dependencies {
        let mut dependencies = Dependencies::default();
        dependencies.collect(plan);
        dependencies
    }

    fn collect(&mut self, plan: &Logical) {
        match plan {
            Logical::Scan(scan) => {
                let keys = scan.columns.iter().filter(|(position, _)| is_key(&scan.table, *position));
                let keys = keys.map(|&(_, id)| id).collect();
                self.tables.push((keys, scan.columns.iter().map(|&(_, id)| id).collect()));
            }
            Logical::Filter { input, predicate } => {
                self.collect(input);
                predicate.iter().for_each(|expr| self.equate_of(expr));
            }
            Logical::Project { input, exprs } => {
                self.collect(input);
                for (id, expr) in exprs {
                    if let Expr::Column { id: source, .. } = expr {
                        self.equate(*id, *source);
                    }
                }
            }
            Logical::Join(join) => {
                self.collect(&join.left);
                if join.kind.gives_right() {
                    self.collect(&join.right);
                }
                if join.kind == JoinKind::Inner {
                    join.on.iter().for_each(|expr| self.equate_of(expr));
                }
            }
            Logical::Aggregate { input, .. }
            | Logical::Sort { input, .. }
            | Logical::TopN { input, .. }
            | Logical::Limit { input, .. }
            | Logical::Exchange { input, .. }
            | Logical::Shared { input, .. } => self.collect(input),
            Logical::Series(series) => self.collect(&series.input),
            Logical::Unroll(unroll) => self.collect(&unroll.input),
            Logical::TopOfGroups(top) => self.collect(&top.input),
            Logical::AsOf(join) => self.collect(&join.input),
            Logical::Window(window) => self.collect(&window.input),
            // Rows of several inputs, or lists: what holds in each need not hold in all.
            Logical::Union { .. }
            | Logical::Expand { .. }
            | Logical::Values { .. }
            | Logical::Foreign(_)
            | Logical::Reread { .. } => {}
        }
    }

    fn equate_of(&mut self, expr: &Expr) {
        let Expr::Compare { op: CompareOp::Equal, left, right } = expr else { return };
        if let (Expr::Column { id: a, data_type }, Expr::Column { id: b, data_type: other }) =
            (left.as_ref(), right.as_ref())
            && data_type == other
            && data_type.has_one_form()
        {
            self.equate(*a, *b);
        }
    }

    fn equate(&mut self, a: ColumnId, b: ColumnId) {
        let mut set = ColumnSet::from([a, b]);
        self.equal.retain(|known| {
            let apart = known.is_disjoint(&set);
            if !apart {
                set.extend(known);
            }
            apart
        });
        self.equal.push(set);
    }

    /// The columns that always have the value of this one, itself among them.
    pub(crate) fn equal_to(&self, id: ColumnId) -> ColumnSet {
        self.equal.iter().find(|set| set.contains(&id)).cloned().unwrap_or_else(|| ColumnSet::from([id]))
    }

    /// All columns whose values follow from those of `known`.
    pub(crate) fn closure(&self, mut known: ColumnSet) -> ColumnSet {
        loop {
            let before = known.len();
            for set in &self.equal {
                if !set.is_disjoint(&known) {
                    known.extend(set);
                }
            }
            for (keys, columns) in &self.tables {
                if !keys.is_disjoint(&known) {
                    known.extend(columns);
                }
            }
            if known.len() == before {
                return known;
            }
        }
    }
}

/// Whether no two rows of the plan have the same values in all of `columns`.
pub(crate) fn names_rows(plan: &Logical, columns: &ColumnSet) -> bool {
    match plan {
        Logical::Scan(scan) => {
            scan.columns.iter().any(|(position, id)| columns.contains(id) && is_key(&scan.table, *position))
        }
        Logical::Filter { input, .. }
        | Logical::Sort { input, .. }
        | Logical::TopN { input, .. }
        | Logical::Limit { input, .. } => names_rows(input, columns),
        Logical::TopOfGroups(top) => names_rows(&top.input, columns),
        Logical::Window(window) => names_rows(&window.input, columns),
        Logical::Project { input, exprs } => {
            let passed = exprs.iter().filter_map(|(id, expr)| match expr {
                Expr::Column { id: source, .. } if columns.contains(id) => Some(*source),
                _ => None,
            });
            names_rows(input, &passed.collect())
        }
        Logical::Aggregate { groups, .. } => groups.iter().all(|(id, _)| columns.contains(id)),
        Logical::Join(join) => match join.kind {
            JoinKind::Semi
            | JoinKind::Anti
            | JoinKind::Mark(_)
            | JoinKind::NullMark(_)
            | JoinKind::Single => names_rows(&join.left, columns),
            JoinKind::Left => pairs_are_named(join, &join.left, &join.right, columns),
            JoinKind::Inner => {
                // One side alone is looked at twice: the smaller, or deep trees would take for ever.
                let (large, small) = match scans(&join.left) < scans(&join.right) {
                    true => (&join.right, &join.left),
                    false => (&join.left, &join.right),
                };
                match names_rows(small, columns) {
                    true => names_rows(large, &with_equated(join, small, large, columns)),
                    false => pairs_are_named(join, large, small, columns),
                }
            }
            JoinKind::Full => false,
        },
        Logical::Values { rows, .. } => rows.len() <= 1,
        // What lies on several shards, or is read twice, is not looked into.
        Logical::Union { .. }
        | Logical::Expand { .. }
        | Logical::Series(_)
        | Logical::Unroll(_)
        | Logical::AsOf(_)
        | Logical::Foreign(_)
        | Logical::Exchange { .. }
        | Logical::Shared { .. }
        | Logical::Reread { .. } => false,
    }
}

/// Whether the columns name the row of `one`, and it, with them, that of `other`.
fn pairs_are_named(join: &Join, one: &Logical, other: &Logical, columns: &ColumnSet) -> bool {
    names_rows(one, columns) && names_rows(other, &with_equated(join, one, other, columns))
}

fn scans(plan: &Logical) -> usize {
    match plan {
        Logical::Scan(_) => 1,
        plan => plan.inputs().into_iter().map(scans).sum(),
    }
}

/// The columns, and those of `other` that the join equates with what the row of `one` has.
fn with_equated(join: &Join, one: &Logical, other: &Logical, columns: &ColumnSet) -> ColumnSet {
    let (of_one, of_other) = (one.output_set(), other.output_set());
    let equated = join.on.iter().filter_map(|expr| match equality(expr, &of_one, &of_other) {
        Some((_, Expr::Column { id, .. }, _)) => Some(*id),
        _ => None,
    });
    columns.iter().copied().chain(equated).collect()
}

/// Whether a value of the column names a row.
pub(crate) fn is_key(table: &Table, position: u32) -> bool {
    let facts = table.facts_of(position);
    facts.unique
        && facts.nulls == 0
        && table.columns.get(position as usize).is_some_and(|column| column.data_type.has_one_form())
}
