//! `SUMMARIZE`: a row for each column of a query, with what its values are like.

use super::{Binder, BoundQuery, OutputColumn};
use crate::error::Result;
use crate::logical::{Logical, SortKey};
use crate::parse::summary;
use columnar::{DataType, Value};
use exec::Expr;
use sqlparser::ast;

/// What is told of a column: first what it is, then aggregates.
const LISTED: [(&str, DataType); 12] = [
    ("column_name", DataType::Varchar),
    ("column_type", DataType::Varchar),
    ("min", DataType::Varchar),
    ("max", DataType::Varchar),
    ("approx_unique", DataType::Int64),
    ("avg", DataType::Varchar),
    ("std", DataType::Varchar),
    ("q25", DataType::Varchar),
    ("q50", DataType::Varchar),
    ("q75", DataType::Varchar),
    ("count", DataType::Int64),
    ("null_percentage", DataType::Decimal { precision: 9, scale: 2 }),
];

impl Binder<'_> {
    /// The rows are read once: one row of all aggregates is spread into one for each column.
    pub(crate) fn summary(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        let mut apart = Binder::new(self.catalog, self.options);
        let described = apart.query(query, None)?;
        let types: Vec<DataType> =
            described.columns.iter().map(|column| apart.columns.data_type(column.id)).collect();
        let row = self.query(&*summary::aggregates(query, &types)?, None)?;
        let position = self.columns.add("position", DataType::Int32);
        let listed: Vec<OutputColumn> = LISTED
            .iter()
            .map(|&(name, data_type)| OutputColumn::typed(name.into(), self.columns.add(name, data_type)))
            .collect();
        let aggregates = row.columns.chunks(LISTED.len() - 2);
        let lists = described.columns.iter().zip(&types).zip(aggregates).enumerate();
        let lists = lists.map(|(place, ((column, data_type), aggregates))| {
            let own = [
                Value::int32(place as i32),
                Value::varchar(&column.name),
                Value::varchar(&data_type.to_string()),
            ];
            let own = own.into_iter().map(Expr::Literal);
            own.chain(aggregates.iter().map(|of| self.columns.reference(of.id))).collect()
        });
        let lists: Vec<Vec<Expr>> = lists.collect();
        let columns = std::iter::once(position).chain(listed.iter().map(|column| column.id)).collect();
        let plan = Logical::Expand { input: Box::new(row.plan), lists, columns, merges: false };
        let key = SortKey { expr: self.columns.reference(position), descending: false, nulls_first: false };
        let plan = Logical::Sort { input: Box::new(plan), keys: vec![key] };
        let exprs = listed.iter().map(|column| (column.id, self.columns.reference(column.id))).collect();
        Ok(BoundQuery { plan: plan.project(exprs), columns: listed })
    }
}
