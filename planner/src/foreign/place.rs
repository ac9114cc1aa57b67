//! What other engines compute of a plan: all of it, or all but the last steps; else their tables, with the conditions
//! and columns that a scan of them asks for.

use super::relation::{self, Unsaid};
use super::visit_scans;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::estimate::Estimator;
use crate::logical::{ColumnId, Columns, Foreign, Logical, columns_of_all};
use crate::nullability;
use crate::rules::{self, Context};
use crate::statement::RemoteQuery;
use std::sync::Arc;

/// The plan with rows that foreign servers give at its leaves, optimised.
pub(crate) fn push(plan: Logical, context: &mut Context<'_>, optimize: bool) -> Result<Logical> {
    if optimize {
        let plain = rules::make_plain(plan.clone(), context)?;
        let plain = rules::exactly(plain, context.results, context.columns);
        if let Ok(placed) = place(plain, None, context.columns) {
            rules::verify(&placed, context, "foreign")?;
            return Ok(placed);
        }
    }
    let plan = rules::optimize(plan, context, optimize)?;
    let mut failed = None;
    let columns = &*context.columns;
    let plan = plan.transform_up(&mut |plan| match plan {
        Logical::Scan(scan) => scanned(Logical::Scan(scan), columns).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Logical::one_row()
        }),
        other => other,
    });
    if let Some(failed) = failed {
        return Err(failed);
    }
    rules::verify(&plan, context, "foreign")?;
    Ok(plan)
}

/// All of the plan, or all but its last steps, as one query of a server. `most`: no more rows than that are wanted.
fn place(plan: Logical, most: Option<u64>, columns: &Columns) -> std::result::Result<Logical, Unsaid> {
    let whole = match most {
        Some(_) => Logical::Limit { input: Box::new(plan), limit: most, offset: 0 },
        None => plan,
    };
    let unsaid = match remote(&whole, columns) {
        Ok(foreign) => return Ok(foreign),
        Err(unsaid) => unsaid,
    };
    let plan = match (whole, most) {
        (Logical::Limit { input, .. }, Some(_)) => *input,
        (plan, _) => plan,
    };
    Ok(match plan {
        Logical::Project { input, exprs } => place(*input, most, columns)?.project(exprs),
        Logical::Filter { input, predicate } => place(*input, None, columns)?.filter(predicate),
        Logical::Sort { input, keys } => {
            Logical::Sort { input: Box::new(place(*input, None, columns)?), keys }
        }
        Logical::Window(mut window) => {
            *window.input = place(window.input.take(), None, columns)?;
            Logical::Window(window)
        }
        Logical::TopN { input, keys, limit, offset } => {
            Logical::TopN { input: Box::new(place(*input, None, columns)?), keys, limit, offset }
        }
        Logical::Limit { input, limit, offset } => {
            let most = limit.map(|limit| limit.saturating_add(offset));
            Logical::Limit { input: Box::new(place(*input, most, columns)?), limit, offset }
        }
        _ => return Err(unsaid),
    })
}

/// A table's rows: conditions that its engine cannot say are tested here.
fn scanned(plan: Logical, columns: &Columns) -> Result<Logical> {
    let unsayable = |unsaid: Unsaid| {
        Error::new(crate::ErrorKind::Unsupported, format!("a foreign table cannot be read: {}", unsaid.0))
    };
    let Logical::Scan(mut scan) = plan else { return Ok(plan) };
    let wanted: Vec<ColumnId> = scan.columns.iter().map(|&(_, id)| id).collect();
    let mut kept = Vec::new();
    for condition in std::mem::take(&mut scan.predicate) {
        scan.predicate.push(condition);
        if relation::select(&Logical::Scan(scan.clone()), columns).is_err() {
            kept.extend(scan.predicate.pop());
        }
    }
    // The columns that are tested here come, too.
    let tested = columns_of_all(&kept);
    let filtered = std::mem::take(&mut scan.filtered);
    let (given, filtered) = filtered.into_iter().partition(|(_, id)| tested.contains(id));
    scan.filtered = filtered;
    scan.columns.extend::<Vec<_>>(given);
    let foreign = remote(&Logical::Scan(scan), columns).map_err(unsayable)?;
    Ok(rules::exactly(foreign.filter(kept), &wanted, columns))
}

/// The plan as a query of the server that has all its tables.
fn remote(plan: &Logical, columns: &Columns) -> std::result::Result<Logical, Unsaid> {
    let mut tables: Vec<Arc<Table>> = Vec::new();
    visit_scans(plan, &mut |scan| {
        if !tables.iter().any(|table| Arc::ptr_eq(table, &scan.table)) {
            tables.push(scan.table.clone());
        }
    });
    let foreign = tables.first().and_then(|table| table.foreign.clone());
    let Some(server) = foreign else { return Err(Unsaid("it reads no foreign table".into())) };
    let sql = relation::select(plan, columns)?;
    let ids = plan.outputs();
    let not_null = nullability::not_null(plan);
    let query = RemoteQuery {
        fragment: 0,
        server: server.server,
        server_revision: server.server_revision,
        engine: server.engine,
        sql,
        types: ids.iter().map(|&id| columns.data_type(id)).collect(),
        not_null: (0..ids.len()).filter(|&place| not_null.contains(&ids[place])).collect(),
        tables,
    };
    let estimate = Arc::new(crate::estimate::Estimate::clone(&Estimator::new(columns).estimate(plan)));
    Ok(Logical::Foreign(Foreign { columns: ids, query: Arc::new(query), estimate, not_null }))
}
