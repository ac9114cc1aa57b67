//! Whether two plans compute the same rows, and one plan that gives the columns of both.

use crate::binder::constants::is_any_volatile;
use crate::logical::{ColumnId, ColumnSet, Columns, JoinKind, Logical, Routing, Scan, SortKey, rename};
use exec::{CompareOp, Expr};
use std::collections::HashMap;

/// Of a column of one plan, the column of the other that has the same values.
pub(crate) type Twins = HashMap<ColumnId, ColumnId>;

/// Whether an operator does nothing but leave columns out.
pub(crate) fn is_pass(plan: &Logical) -> bool {
    let Logical::Project { exprs, .. } = plan else { return false };
    exprs.iter().all(|(id, expr)| matches!(expr, Expr::Column { id: own, .. } if own == id))
}

/// Makes `a` give what `b` gives, too, and tells `twins` the columns of `a` that are those of `b`. False where
/// the two do not compute the same rows; `a` is then of no use.
pub(crate) fn merge(a: &mut Logical, b: &Logical, twins: &mut Twins, columns: &Columns) -> bool {
    let wanted = b.outputs();
    let mut b = b;
    while let (true, Logical::Project { input, .. }) = (is_pass(b), b) {
        b = input;
    }
    Merge { twins, columns }.under_passes(a, b, &wanted)
}

struct Merge<'a> {
    twins: &'a mut Twins,
    columns: &'a Columns,
}

impl Merge<'_> {
    /// Where `a` leaves columns out, those of `wanted` pass from now on.
    fn under_passes(&mut self, a: &mut Logical, b: &Logical, wanted: &[ColumnId]) -> bool {
        if !is_pass(a) {
            return self.operators(a, b);
        }
        let Logical::Project { input, exprs } = a else { return false };
        if !self.under_passes(input, b, wanted) {
            return false;
        }
        for id in wanted.iter().filter_map(|id| self.twins.get(id)) {
            if !exprs.iter().any(|(own, _)| own == id) {
                exprs.push((*id, self.columns.reference(*id)));
            }
        }
        true
    }

    fn operators(&mut self, a: &mut Logical, b: &Logical) -> bool {
        match (a, b) {
            (Logical::Scan(a), Logical::Scan(b)) => self.scans(a, b),
            (Logical::Values { columns: x, rows: a }, Logical::Values { columns: y, rows: b }) => {
                self.twins.extend(y.iter().copied().zip(x.iter().copied()));
                x.len() == y.len() && a == b
            }
            (Logical::Filter { input: x, predicate: a }, Logical::Filter { input: y, predicate: b }) => {
                self.inputs(x, y) && self.same_conditions(a, b)
            }
            (Logical::Project { input: x, exprs: a }, Logical::Project { input: y, exprs: b }) => {
                self.inputs(x, y) && self.projections(a, b)
            }
            (Logical::Join(a), Logical::Join(b)) => {
                if !self.inputs(&mut a.left, &b.left) || !self.inputs(&mut a.right, &b.right) {
                    return false;
                }
                let same = match (a.kind, b.kind) {
                    (JoinKind::Mark(x), JoinKind::Mark(y))
                    | (JoinKind::NullMark(x), JoinKind::NullMark(y)) => {
                        self.twins.insert(y, x);
                        true
                    }
                    (x, y) => x == y,
                };
                same && self.same_conditions(&a.on, &b.on)
            }
            (
                Logical::Aggregate { input: x, groups: a, aggregates: calls },
                Logical::Aggregate { input: y, groups: b, aggregates: others },
            ) => {
                if a.len() != b.len() || !self.inputs(x, y) {
                    return false;
                }
                let mut left: Vec<&(ColumnId, Expr)> = a.iter().collect();
                for (id, expr) in b {
                    let Some(twin) = left.iter().position(|(_, own)| self.same(own, expr)) else {
                        return false;
                    };
                    self.twins.insert(*id, left.swap_remove(twin).0);
                }
                for (id, call) in others {
                    let mut call = call.clone();
                    if call.args.iter().chain(&call.filter).any(is_any_volatile) {
                        return false;
                    }
                    call.args.iter_mut().chain(&mut call.filter).for_each(|expr| rename(expr, self.twins));
                    let twin = calls.iter().find(|(_, own)| *own == call).map(|(twin, _)| *twin);
                    self.twins.insert(*id, twin.unwrap_or(*id));
                    if twin.is_none() {
                        calls.push((*id, call));
                    }
                }
                true
            }
            (Logical::Window(a), Logical::Window(b)) => {
                let alike = self.inputs(&mut a.input, &b.input)
                    && a.partition.len() == b.partition.len()
                    && a.partition.iter().zip(&b.partition).all(|(a, b)| self.same(a, b))
                    && self.same_keys(&a.order, &b.order);
                if !alike {
                    return false;
                }
                for (id, call) in &b.calls {
                    let mut call = call.clone();
                    call.args.iter_mut().chain(&mut call.frame.key).for_each(|expr| rename(expr, self.twins));
                    let twin = a.calls.iter().find(|(_, own)| *own == call).map(|(twin, _)| *twin);
                    self.twins.insert(*id, twin.unwrap_or(*id));
                    if twin.is_none() {
                        a.calls.push((*id, call));
                    }
                }
                true
            }
            (Logical::Sort { input: x, keys: a }, Logical::Sort { input: y, keys: b }) => {
                self.inputs(x, y) && self.same_keys(a, b)
            }
            (
                Logical::TopN { input: x, keys: a, limit, offset },
                Logical::TopN { input: y, keys: b, limit: other_limit, offset: other_offset },
            ) => {
                *limit == *other_limit
                    && *offset == *other_offset
                    && self.inputs(x, y)
                    && self.same_keys(a, b)
            }
            (Logical::TopOfGroups(a), Logical::TopOfGroups(b)) => {
                (a.limit, a.offset, a.ties) == (b.limit, b.offset, b.ties)
                    && self.inputs(&mut a.input, &b.input)
                    && a.groups.len() == b.groups.len()
                    && a.groups.iter().zip(&b.groups).all(|(a, b)| self.same(a, b))
                    && self.same_keys(&a.keys, &b.keys)
            }
            (Logical::AsOf(a), Logical::AsOf(b)) => {
                a.required == b.required
                    && self.inputs(&mut a.input, &b.input)
                    && a.groups.len() == b.groups.len()
                    && a.groups.iter().zip(&b.groups).all(|(a, b)| self.same(a, b))
                    && self.same_keys(&a.keys, &b.keys)
                    && self.same(&a.source, &b.source)
                    && self.projections(&mut a.carried, &b.carried)
            }
            (Logical::Series(a), Logical::Series(b)) => {
                if !self.inputs(&mut a.input, &b.input) {
                    return false;
                }
                self.twins.insert(b.column, a.column);
                a.inclusive == b.inclusive
                    && self.same(&a.start, &b.start)
                    && self.same(&a.stop, &b.stop)
                    && self.same(&a.step, &b.step)
            }
            (Logical::Unroll(a), Logical::Unroll(b)) => {
                let alike = a.keeps_empty == b.keeps_empty
                    && a.position.is_some() == b.position.is_some()
                    && a.lists.len() == b.lists.len()
                    && self.inputs(&mut a.input, &b.input)
                    && a.lists.iter().zip(&b.lists).all(|((_, a), (_, b))| self.same(a, b));
                if !alike {
                    return false;
                }
                self.twins.extend(b.made().zip(a.made()));
                // What either gives.
                let given: ColumnSet =
                    b.kept().iter().map(|id| self.twins.get(id).copied().unwrap_or(*id)).collect();
                a.dropped.retain(|id| !given.contains(id));
                true
            }
            (
                Logical::Expand { input: x, lists: a, columns: ids, merges },
                Logical::Expand { input: y, lists: b, columns: others, merges: other_merges },
            ) => {
                if *merges != *other_merges || a.len() != b.len() || !self.inputs(x, y) {
                    return false;
                }
                // Each column of `b` is one of `a`, or becomes one.
                for (place, &other) in others.iter().enumerate() {
                    let mut wanted: Vec<Expr> =
                        b.iter().filter_map(|list| list.get(place).cloned()).collect();
                    if wanted.len() != a.len() || wanted.iter().any(is_any_volatile) {
                        return false;
                    }
                    wanted.iter_mut().for_each(|expr| rename(expr, self.twins));
                    let twin = (0..ids.len())
                        .find(|&own| a.iter().zip(&wanted).all(|(list, expr)| list.get(own) == Some(expr)));
                    let id = twin.map_or(other, |own| ids[own]);
                    if twin.is_none() {
                        ids.push(id);
                        a.iter_mut().zip(wanted).for_each(|(list, expr)| list.push(expr));
                    }
                    self.twins.insert(other, id);
                }
                true
            }
            (
                Logical::Limit { input: x, limit, offset },
                Logical::Limit { input: y, limit: other_limit, offset: other_offset },
            ) => *limit == *other_limit && *offset == *other_offset && self.inputs(x, y),
            (Logical::Union { inputs: a, columns: x }, Logical::Union { inputs: b, columns: y }) => {
                self.twins.extend(y.iter().copied().zip(x.iter().copied()));
                x.len() == y.len()
                    && a.len() == b.len()
                    && a.iter_mut().zip(b).all(|((a, given), (b, others))| {
                        // It gives these columns and no others.
                        self.inputs(a, b)
                            && a.outputs() == *given
                            && given.len() == others.len()
                            && given.iter().zip(others).all(|(id, other)| self.twins.get(other) == Some(id))
                    })
            }
            (Logical::Exchange { input: x, routing: a }, Logical::Exchange { input: y, routing: b }) => {
                self.inputs(x, y)
                    && match (a, b) {
                        (Routing::Hash(a), Routing::Hash(b)) => {
                            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same(a, b))
                        }
                        (Routing::Ranges { key: a, span }, Routing::Ranges { key: b, span: other }) => {
                            span == other && self.same(a, b)
                        }
                        (a, b) => a == b,
                    }
            }
            _ => false,
        }
    }

    fn inputs(&mut self, a: &mut Logical, b: &Logical) -> bool {
        merge(a, b, self.twins, self.columns)
    }

    fn scans(&mut self, a: &mut Scan, b: &Scan) -> bool {
        if (a.table.dataset, a.table.version) != (b.table.dataset, b.table.version) {
            return false;
        }
        let find = |columns: &[(u32, ColumnId)], position: u32| {
            columns.iter().find(|(known, _)| *known == position).map(|&(_, id)| id)
        };
        for &(position, id) in &b.columns {
            let twin = find(&a.columns, position).unwrap_or_else(|| {
                let tested = a.filtered.iter().position(|(known, _)| *known == position);
                let column = tested.map_or((position, id), |tested| a.filtered.remove(tested));
                a.columns.push(column);
                column.1
            });
            self.twins.insert(id, twin);
        }
        for &(position, id) in &b.filtered {
            let Some(twin) = find(&a.columns, position).or_else(|| find(&a.filtered, position)) else {
                return false;
            };
            self.twins.insert(id, twin);
        }
        self.same_conditions(&a.predicate, &b.predicate)
    }

    fn projections(&mut self, a: &mut Vec<(ColumnId, Expr)>, b: &[(ColumnId, Expr)]) -> bool {
        for (id, expr) in b {
            if is_any_volatile(expr) {
                return false;
            }
            let mut own = expr.clone();
            rename(&mut own, self.twins);
            let twin = a.iter().find(|(_, known)| *known == own).map(|(twin, _)| *twin);
            let twin = twin.unwrap_or_else(|| {
                // A column that is passed on keeps its id.
                let passed = matches!(expr, Expr::Column { id: passed, .. } if passed == id);
                let twin = if passed { self.twins.get(id).copied().unwrap_or(*id) } else { *id };
                a.push((twin, own));
                twin
            });
            self.twins.insert(*id, twin);
        }
        true
    }

    fn same_keys(&self, a: &[SortKey], b: &[SortKey]) -> bool {
        let same = |(a, b): (&SortKey, &SortKey)| {
            (a.descending, a.nulls_first) == (b.descending, b.nulls_first) && self.same(&a.expr, &b.expr)
        };
        a.len() == b.len() && a.iter().zip(b).all(same)
    }

    /// Whether the two conjunctions are one, in whatever order.
    fn same_conditions(&self, a: &[Expr], b: &[Expr]) -> bool {
        let mut left: Vec<&Expr> = a.iter().collect();
        a.len() == b.len()
            && b.iter().all(|b| {
                let twin = left.iter().position(|a| self.same(a, b));
                twin.map(|twin| left.swap_remove(twin)).is_some()
            })
    }

    /// Whether an expression of `a` has the values of one of `b`.
    fn same(&self, a: &Expr, b: &Expr) -> bool {
        let mut b = b.clone();
        rename(&mut b, self.twins);
        let swapped = || match (a, &b) {
            (
                Expr::Compare { op: CompareOp::Equal, left, right },
                Expr::Compare { op: CompareOp::Equal, left: other_left, right: other_right },
            ) => left == other_right && right == other_left,
            _ => false,
        };
        (*a == b || swapped()) && !is_any_volatile(a)
    }
}
