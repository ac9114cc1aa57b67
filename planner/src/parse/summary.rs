//! The queries that `SUMMARIZE` asks.

use super::dialect::TundraDialect;
use super::{ObjectName, Query};
use crate::error::{Error, Result};
use columnar::DataType;
use sqlparser::ast::{SetExpr, TableFactor};
use sqlparser::parser::Parser;

/// All rows of a table.
pub(crate) fn all_of(table: ObjectName) -> Result<Box<Query>> {
    let mut query = parsed("SELECT * FROM t")?;
    match source(&mut query)? {
        TableFactor::Table { name, .. } => *name = table,
        _ => return Err(Error::internal("a table is none")),
    }
    Ok(query)
}

/// One row: of each column of `query`, whose types these are, what [`crate::binder`] lists of it, in order.
pub(crate) fn aggregates(query: &Query, types: &[DataType]) -> Result<Box<Query>> {
    let mut items = Vec::with_capacity(types.len() * 10);
    for (place, &data_type) in types.iter().enumerate() {
        let number = data_type.is_numeric();
        let moment = matches!(data_type, DataType::Date | DataType::Time | DataType::Timestamp { .. });
        let ordered = number
            || moment
            || matches!(data_type, DataType::Varchar | DataType::Binary | DataType::Boolean)
            || data_type == DataType::Interval;
        let text = |possible: bool, call: &str| match possible {
            true => format!("CAST({call} AS VARCHAR)").replace('#', &format!("c{place}")),
            false => "CAST(NULL AS VARCHAR)".to_string(),
        };
        items.push(text(ordered, "min(#)"));
        items.push(text(ordered, "max(#)"));
        items.push(match ordered {
            true => format!("approx_count_distinct(c{place})"),
            false => "CAST(NULL AS BIGINT)".into(),
        });
        items.push(text(number, "avg(#)"));
        items.push(text(number, "stddev(#)"));
        for fraction in ["0.25", "0.5", "0.75"] {
            items.push(text(number || moment, &format!("approx_quantile(#, {fraction})")));
        }
        items.push("count(*)".into());
        let nulls = format!("100.0 * (count(*) - count(c{place})) / count(*)");
        items.push(format!("CASE WHEN count(*) > 0 THEN CAST({nulls} AS DECIMAL(9,2)) END"));
    }
    let names: Vec<String> = (0..types.len()).map(|place| format!("c{place}")).collect();
    let sql = format!("SELECT {} FROM (SELECT 1) AS s({})", items.join(", "), names.join(", "));
    let mut outer = parsed(&sql)?;
    match source(&mut outer)? {
        TableFactor::Derived { subquery, .. } => **subquery = query.clone(),
        _ => return Err(Error::internal("a subquery is none")),
    }
    Ok(outer)
}

fn parsed(sql: &str) -> Result<Box<Query>> {
    let mut parser = Parser::new(&TundraDialect).try_with_sql(sql).map_err(Error::from_parser)?;
    super::query(&mut parser)
}

/// What a query of one source reads.
fn source(query: &mut Query) -> Result<&mut TableFactor> {
    match query.body.as_mut() {
        SetExpr::Select(select) => select.from.first_mut().map(|from| &mut from.relation),
        _ => None,
    }
    .ok_or_else(|| Error::internal("a query without a source"))
}
