//! `EXPLAIN COST`: what a query would use and cost, and the budgets that it would touch.

use super::{Call, Planned, Session};
use crate::datasets::now_us;
use crate::error::{Error, Result};
use crate::result::Rows;
use crate::usage::predict::{Predicted, predict};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_proto::spending::micros;
use flight_proto::usage::Measures;
use planner::PlannedQuery;
use std::sync::Arc;

/// A row a thing: its name, how much of it, in which unit, and a word about it.
pub(super) fn schema() -> SchemaRef {
    let texts = |name: &str| Field::new(name, DataType::Utf8, false);
    let amount = Field::new("predicted", DataType::Float64, false);
    Arc::new(Schema::new(vec![texts("what"), amount, texts("unit"), texts("note")]))
}

impl Session {
    /// Nothing is run.
    pub(super) fn predict(&self, query: &PlannedQuery, planned: &Planned, call: &Call) -> Result<Rows> {
        let shards = planned.view.shards(self.coordinator.config.shards);
        let predicted = predict(query, &planned.view, shards);
        let Predicted { processor_s, scanned_bytes, exchanged_bytes, returned_rows } = predicted;
        let used = Measures {
            processor_us: (processor_s * 1e6) as u64,
            scanned_bytes: scanned_bytes as u64,
            exchanged_bytes: exchanged_bytes as u64,
            ..Measures::default()
        };
        let policy = self.coordinator.tenants.catalog().snapshot().policy().clone();
        let price = micros(policy.prices().at(now_us()).picos(&used));
        let foreign = query.foreign.len();
        let beside = if foreign > 0 { "without what other engines do" } else { "without what is returned" };
        let mut rows: Vec<(&str, f64, &str, String)> = vec![
            ("processor", processor_s, "s", "of all shards together".into()),
            ("read", scanned_bytes, "bytes", "of segments, if zone maps rule out nothing".into()),
            ("exchanged", exchanged_bytes, "bytes", format!("between {shards} shards")),
            ("returned", returned_rows, "rows", String::new()),
            ("price", price as f64 / 1e6, "currency", beside.into()),
        ];
        let who = call.account.who();
        let states = self.coordinator.usage.budgets(&policy, &who.tenant);
        let touched = states.into_iter().filter(|state| state.budget.is_of(&who.user, &who.label));
        for state in touched {
            let cost = if state.of_bytes { used.scanned_bytes } else { price };
            let (limit, then) = (state.budget.limit_micros, state.spent.saturating_add(cost));
            let part = then as f64 / limit.max(1) as f64 * 100.0;
            let now = state.spent as f64 / limit.max(1) as f64 * 100.0;
            let on_limit = if then >= limit { state.budget.on_limit().name() } else { "goes on" };
            let note = format!("'{}', {now:.1} % now: {on_limit}", state.budget.name);
            rows.push(("budget", part, "%", note));
        }
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
        let columns: Vec<ArrayRef> = vec![
            text(rows.iter().map(|row| row.0).collect()),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1))),
            text(rows.iter().map(|row| row.2).collect()),
            text(rows.iter().map(|row| row.3.as_str()).collect()),
        ];
        let batch = RecordBatch::try_new(schema(), columns);
        Ok(Rows::of_batch(batch.map_err(|error| Error::Internal(error.to_string()))?))
    }
}
