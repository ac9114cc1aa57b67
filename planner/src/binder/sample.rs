//! `TABLESAMPLE`: a part of a table's rows, drawn anew whenever the query runs.

use super::Binder;
use super::constants::fold;
use super::expression::{Bound, Context};
use super::from::Source;
use super::query::refuse_if;
use super::scope::Scope;
use crate::error::{Error, Result};
use crate::logical::{Logical, SortKey};
use columnar::{DataType, Scalar, Value};
use exec::{CompareOp, Expr};
use sqlparser::ast::{TableFactor, TableSample, TableSampleKind, TableSampleUnit};
use sqlparser::tokenizer::Span;

/// What a source in `FROM` is to be sampled by, and the source without it.
pub(super) fn sample_of(factor: &TableFactor) -> Option<(TableFactor, Box<TableSample>)> {
    let (TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. }) = factor
    else {
        return None;
    };
    let mut bare = factor.clone();
    let (TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. }) = &mut bare else {
        return None;
    };
    let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
        sample.take()?;
    Some((bare, sample))
}

impl Binder<'_> {
    /// Each row with the same chance, or so many of them. Rows have no places that would last, so `SYSTEM` draws rows as
    /// `BERNOULLI` does, and nothing is repeatable.
    pub(super) fn sampled(&mut self, source: Source, sample: &TableSample, span: Span) -> Result<Source> {
        refuse_if(sample.seed.is_some(), "TABLESAMPLE … REPEATABLE", span)?;
        refuse_if(sample.bucket.is_some(), "TABLESAMPLE of buckets", span)?;
        refuse_if(sample.offset.is_some(), "TABLESAMPLE … OFFSET", span)?;
        let Some(quantity) = &sample.quantity else {
            return Err(Error::value("TABLESAMPLE takes a number").at(span));
        };
        let scope = Scope::default();
        let mut context = Context::new(&scope, "TABLESAMPLE");
        let bound = self.bind(&quantity.value, &mut context)?;
        let is_rows = match (&quantity.unit, sample.name) {
            (Some(TableSampleUnit::Rows), None) => true,
            (Some(TableSampleUnit::Rows), Some(method)) => {
                return Err(Error::unsupported(format!("TABLESAMPLE {method} of ROWS")).at(span));
            }
            (None, None) => {
                let error = Error::value("TABLESAMPLE takes PERCENT or ROWS behind its number").at(span);
                return Err(error.hint("write TABLESAMPLE BERNOULLI (10), or TABLESAMPLE (10 ROWS)"));
            }
            _ => false,
        };
        let wanted = if is_rows { DataType::Int64 } else { DataType::Float64 };
        let place = bound.span;
        let number = match fold(self.coerce(bound, wanted)?) {
            Expr::Literal(value) if context.pending.is_empty() => value.scalar,
            _ => return Err(Error::unsupported("TABLESAMPLE of anything but a constant").at(place)),
        };
        let random = self.call("random", Vec::new(), span)?;
        let (plan, relations) = source;
        let plan = match number {
            Scalar::Integer(rows) => {
                let Ok(rows) = u64::try_from(rows) else {
                    return Err(Error::value("TABLESAMPLE takes no negative number of rows").at(place));
                };
                let outputs = plan.outputs();
                let all: Vec<_> = outputs.iter().map(|&id| (id, self.columns.reference(id))).collect();
                let chance = self.columns.add("chance", random.data_type());
                let drawn = plan.project(all.iter().cloned().chain([(chance, random)]).collect());
                let key =
                    SortKey { expr: self.columns.reference(chance), descending: false, nulls_first: false };
                let sorted = Logical::Sort { input: Box::new(drawn), keys: vec![key] };
                let first = Logical::Limit { input: Box::new(sorted), limit: Some(rows), offset: 0 };
                first.project(all)
            }
            Scalar::Float(percent) if (0.0..=100.0).contains(&percent) => {
                let bound = |expr| Bound::typed(expr, span);
                let share = Expr::Literal(Value::float64(percent / 100.0));
                plan.filter(vec![self.compare(CompareOp::Less, bound(random), bound(share))?])
            }
            Scalar::Null => return Err(Error::value("TABLESAMPLE takes no null").at(place)),
            _ => return Err(Error::value("TABLESAMPLE takes 0 to 100 percent").at(place)),
        };
        Ok((plan, relations))
    }
}
