//! By what the rows of a table are dealt to shards: from the words of a statement to what its manifests say.

use super::{Datasets, shard_error};
use crate::error::{Error, Result};
use exec::slices::Ranges;
use flight_proto::manifest::{File, Manifest};
use planner::PartitionBy;
use planner::catalog::Partitioning;
use shard::extremes;
use shard::schema::columns_from_stored;
use storage::ColumnSchema;

/// `partition_by` and `partition_span` of manifests.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) columns: Vec<String>,
    pub(super) span: u64,
}

/// A span is taken from another table where it is at most this much wider than needed: the two lie together then.
const SHARED_SPAN: f64 = 1.5;
/// A span stays until values span this many times as much.
const OUTGROWN: u64 = 2;

impl Datasets {
    pub(super) async fn partition(
        &self,
        by: Option<&PartitionBy>,
        columns: &[ColumnSchema],
        files: &[File],
    ) -> Result<Partition> {
        let Some(by) = by else { return Ok(Partition::default()) };
        match by {
            PartitionBy::Hash(names) => {
                names.iter().try_for_each(|name| find(columns, name).map(drop))?;
                Ok(Partition { columns: names.clone(), span: 0 })
            }
            PartitionBy::Range(name) => {
                let column = find(columns, name)?;
                if !Ranges::can_cut(column.data_type) {
                    return Err(Error::Statement(format!(
                        "PARTITION BY RANGE ({name}): the column is {}, which is no integer, decimal, date or time; use \
                         PARTITION BY HASH",
                        column.data_type
                    )));
                }
                let bounds = extremes::of_files(&self.stores(), files, column).await.map_err(shard_error)?;
                let bounds = bounds.map_err(|url| {
                    Error::Statement(format!(
                        "PARTITION BY RANGE ({name}): the footer of {url} does not tell the least and the greatest value; use \
                         PARTITION BY HASH"
                    ))
                })?;
                Ok(Partition { columns: vec![name.clone()], span: self.span_of(bounds) })
            }
        }
    }

    /// The span of a version with these files that comes after `head`: the same, unless values have outgrown it.
    pub(super) async fn next_span(&self, head: &Manifest, files: &[File]) -> Result<u64> {
        let (1.., [name]) = (head.partition_span, &head.partition_by[..]) else {
            return Ok(head.partition_span);
        };
        let columns = columns_from_stored(&head.columns).map_err(shard_error)?;
        let column = find(&columns, name)?;
        let bounds = extremes::of_files(&self.stores(), files, column).await.map_err(shard_error)?;
        let values = |(min, max): (i128, i128)| u64::try_from(max.saturating_sub(min)).unwrap_or(u64::MAX);
        Ok(match bounds {
            Ok(Some(bounds)) if values(bounds) / OUTGROWN >= head.partition_span => {
                self.span_of(Some(bounds))
            }
            _ => head.partition_span,
        })
    }

    /// That of another table, if one fits: tables that join by their keys have nearly the same values.
    fn span_of(&self, bounds: Option<(i128, i128)>) -> u64 {
        let Some((min, max)) = bounds else { return 1 };
        let own = Ranges::span_of(min, max);
        let view = self.view();
        let spans = view.residents().filter_map(|resident| match resident.table.partitioning {
            Partitioning::Ranges { span, .. } => Some(span),
            _ => None,
        });
        let fits = |span: &u64| *span >= own && *span as f64 <= own as f64 * SHARED_SPAN;
        spans.filter(fits).min().unwrap_or(own)
    }
}

fn find<'a>(columns: &'a [ColumnSchema], name: &str) -> Result<&'a ColumnSchema> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        Error::Statement(format!("PARTITION BY names '{name}', which is none of {}", names.join(", ")))
    })
}
