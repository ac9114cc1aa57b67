//! What is known of a dataset: the summaries that shards publish and the planner estimates with.
//!
//! Summaries may be stale, so nothing here may change an answer. Facts that do (unique, dense, sorted,
//! bounds) are taken from the pinned segments themselves when a pipeline is built.

use crate::sketch::DistinctSketch;
use columnar::{Batch, DataType, Scalar, Vector};
use std::cmp::Ordering;

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// As it was created; looked up without regard to case.
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
}

/// The summary of one version of a dataset, merged from those of its segments.
#[derive(Clone, Debug, Default)]
pub struct TableStatistics {
    pub rows: u64,
    /// One a column of the schema, in its order.
    pub columns: Vec<ColumnStatistics>,
    /// Some rows of the dataset, drawn evenly, all columns in schema order; `None` where nothing is known.
    pub sample: Option<Batch>,
}

/// The summary of one column.
#[derive(Clone, Debug)]
pub struct ColumnStatistics {
    pub nulls: u64,
    /// The least value, or null where there is none.
    pub min: Scalar,
    pub max: Scalar,
    /// Distinct values that are not null; exact where `unique`.
    pub distinct: f64,
    /// No value occurs twice (nulls aside).
    pub unique: bool,
    /// Rows ascend by this column within every segment.
    pub sorted: bool,
    /// Mean bytes of a value in memory, encoded.
    pub average_bytes: f64,
    /// What `distinct` was estimated from; it lets summaries be merged.
    pub sketch: Option<DistinctSketch>,
}

/// The most rows that a sample holds.
pub const SAMPLE_ROWS: usize = 1024;

impl ColumnStatistics {
    /// A column of no rows.
    pub fn empty() -> ColumnStatistics {
        ColumnStatistics {
            nulls: 0,
            min: Scalar::Null,
            max: Scalar::Null,
            distinct: 0.0,
            unique: true,
            sorted: true,
            average_bytes: 0.0,
            sketch: Some(DistinctSketch::default()),
        }
    }
}

impl TableStatistics {
    /// The summary of no rows of `columns` columns.
    pub fn empty(columns: usize) -> TableStatistics {
        TableStatistics { rows: 0, columns: vec![ColumnStatistics::empty(); columns], sample: None }
    }

    /// The summary of both. They are of one schema.
    pub fn merge(&self, other: &TableStatistics) -> TableStatistics {
        if self.rows == 0 || other.rows == 0 {
            return if self.rows == 0 { other.clone() } else { self.clone() };
        }
        let rows = self.rows + other.rows;
        let columns = self.columns.iter().zip(&other.columns).map(|(a, b)| {
            let sketch = a.sketch.as_ref().zip(b.sketch.as_ref()).map(|(a, b)| {
                let mut merged = a.clone();
                merged.merge(b);
                merged
            });
            let apart = a.max.compare(&b.min) == Some(Ordering::Less)
                || b.max.compare(&a.min) == Some(Ordering::Less);
            let unique = a.unique && b.unique && apart;
            let values = (rows - a.nulls.saturating_add(b.nulls).min(rows)) as f64;
            let distinct = match &sketch {
                _ if unique => values,
                Some(sketch) => sketch.estimate().clamp(a.distinct.max(b.distinct).min(values), values),
                None => a.distinct.max(b.distinct),
            };
            ColumnStatistics {
                nulls: a.nulls + b.nulls,
                min: extreme(&a.min, &b.min, Ordering::Less),
                max: extreme(&a.max, &b.max, Ordering::Greater),
                distinct,
                unique,
                sorted: a.sorted && b.sorted,
                average_bytes: (a.average_bytes * self.rows as f64 + b.average_bytes * other.rows as f64)
                    / rows as f64,
                sketch,
            }
        });
        TableStatistics { rows, columns: columns.collect(), sample: merge_samples(self, other) }
    }
}

/// The value of the two that orders as `wanted` against the other; the one that is not null if one is.
fn extreme(a: &Scalar, b: &Scalar, wanted: Ordering) -> Scalar {
    let second = match a.compare(b) {
        Some(ordering) => ordering != wanted,
        None => matches!(a, Scalar::Null),
    };
    if second { b.clone() } else { a.clone() }
}

/// Rows of both samples, as many of each as its share of the rows, at most [`SAMPLE_ROWS`].
fn merge_samples(a: &TableStatistics, b: &TableStatistics) -> Option<Batch> {
    let (left, right) = (a.sample.as_ref()?.clone().compact(), b.sample.as_ref()?.clone().compact());
    // The fraction of rows that both samples can afford and that fits.
    let rate = [(left.rows, a.rows), (right.rows, b.rows), (SAMPLE_ROWS, a.rows + b.rows)]
        .map(|(sampled, rows)| sampled as f64 / rows as f64)
        .into_iter()
        .fold(1.0, f64::min);
    let pick = |sample: &Batch, rows: u64| spread(sample.rows, (rate * rows as f64).round() as usize);
    let (left_rows, right_rows) = (pick(&left, a.rows), pick(&right, b.rows));
    let columns = left.columns.iter().zip(&right.columns).map(|(x, y)| {
        let scalars: Vec<Scalar> = left_rows
            .iter()
            .map(|&row| x.scalar(row))
            .chain(right_rows.iter().map(|&row| y.scalar(row)))
            .collect();
        Vector::from_scalars(x.data_type(), &scalars)
    });
    Some(Batch::of_rows(columns.collect(), left_rows.len() + right_rows.len()))
}

/// `wanted` numbers below `rows` at even distances; all if there are not more.
pub(crate) fn spread(rows: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(rows);
    (0..wanted).map(|index| (2 * index + 1) * rows / (2 * wanted)).collect()
}
