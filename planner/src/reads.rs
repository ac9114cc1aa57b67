//! What a query reads of the tables that it names: whoever asks it must be allowed that much.

use crate::binder::ViewRead;
use crate::logical::{ColumnId, ColumnSet, Columns, Logical};
use crate::rules;
use crate::statement::TableRead;
use std::sync::Arc;

/// The plan without columns that nothing hangs on, and what it reads. This is asked before any rule: what these drop, since
/// facts or conditions make it needless, is asked for all the same.
pub(crate) fn of(plan: Logical, results: &[ColumnId], columns: &Columns) -> (Logical, Vec<TableRead>) {
    let plan = rules::prune(plan, &results.iter().copied().collect(), columns);
    let mut reads = Vec::new();
    collect(&plan, &mut reads);
    (plan, reads)
}

/// Adds what is read of views: their columns that something above them hangs on, in a plan that has no others any more.
pub(crate) fn add_views(
    reads: &mut Vec<TableRead>,
    plan: &Logical,
    results: &[ColumnId],
    views: &[ViewRead],
) {
    if views.is_empty() {
        return;
    }
    let mut used: ColumnSet = results.iter().copied().collect();
    collect_projected(plan, &mut used);
    for ViewRead { view, columns } in views {
        let positions = (0..).zip(columns).filter(|(_, id)| used.contains(id)).map(|(position, _)| position);
        reads.push(TableRead { table: view.clone(), columns: positions.collect() });
    }
}

/// The columns that projections compute or pass on.
fn collect_projected(plan: &Logical, used: &mut ColumnSet) {
    if let Logical::Project { exprs, .. } = plan {
        used.extend(exprs.iter().map(|&(id, _)| id));
    }
    plan.inputs().into_iter().for_each(|input| collect_projected(input, used));
}

fn collect(plan: &Logical, reads: &mut Vec<TableRead>) {
    if let Logical::Scan(scan) = plan {
        // An address is nothing that rows have.
        let own = scan.table.columns.len() as u32 - u32::from(scan.table.addressed);
        let positions = scan.columns.iter().chain(&scan.filtered).map(|(position, _)| *position);
        let positions = positions.filter(|&position| position < own);
        let known = reads.iter_mut().find(|read| Arc::ptr_eq(&read.table, &scan.table));
        match known {
            Some(read) => read.columns.extend(positions),
            None => reads.push(TableRead { table: scan.table.clone(), columns: positions.collect() }),
        }
    }
    plan.inputs().into_iter().for_each(|input| collect(input, reads));
    for read in reads {
        read.columns.sort_unstable();
        read.columns.dedup();
    }
}
