//! Versions of datasets, as shards are told of them.

use crate::schema::columns_from_stored;
use crate::{Error, Placement, Result};
use flight_proto::manifest::{Deletes, File, Manifest};
use flight_proto::node::VersionName;
use std::sync::Arc;
use storage::ColumnSchema;

/// Names one version of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId {
    pub tenant: String,
    pub dataset: u64,
    pub version: u64,
}

/// One version of a dataset: what its manifest says, with the schema in our types.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: VersionId,
    /// Columns as declared or inferred; those that no file has come from its folders.
    pub schema: Arc<[ColumnSchema]>,
    /// In the order of the rows, and without what is deleted of them: so they are told from each other.
    pub files: Arc<[File]>,
    /// What is deleted of each file; empty where nothing is.
    pub deletes: Arc<[Option<Deletes>]>,
    /// Statements may change its rows, which have addresses for that.
    pub addressed: bool,
    /// How its rows are to lie on the shards, unless they are so few that they lie everywhere.
    pub placement: Placement,
}

impl Version {
    /// The version that a manifest holds.
    pub fn of_manifest(manifest: &Manifest) -> Result<Version> {
        let schema = columns_from_stored(&manifest.columns)?;
        let partition_by = manifest.partition_by.iter().map(|name| position_of(&schema, name));
        let placement = match (partition_by.collect::<Result<Vec<u32>>>()?, manifest.partition_span) {
            (columns, _) if columns.is_empty() => Placement::Spread,
            (columns, 0) => Placement::Hash(columns),
            (columns, span) => Placement::Ranges { column: columns[0], span },
        };
        let addressed = manifest.location.is_empty() && placement == Placement::Spread;
        let mut files = manifest.files.clone();
        let mut deletes: Vec<Option<Deletes>> = files.iter_mut().map(|file| file.deletes.take()).collect();
        for (file, deletes) in files.iter().zip(&deletes) {
            let Some(deletes) = deletes else { continue };
            let fits = addressed
                && (1..=file.rows).contains(&deletes.rows)
                && deletes.inline.is_empty() != deletes.url.is_empty();
            if !fits {
                return Err(Error::Stored(format!("{}: what is deleted of it cannot be", file.url)));
            }
        }
        if deletes.iter().all(Option::is_none) {
            deletes.clear();
        }
        Ok(Version {
            id: VersionId {
                tenant: manifest.tenant.clone(),
                dataset: manifest.dataset,
                version: manifest.version,
            },
            placement,
            schema: schema.into(),
            files: files.into(),
            deletes: deletes.into(),
            addressed,
        })
    }
}

fn position_of(columns: &[ColumnSchema], name: &str) -> Result<u32> {
    let position = columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let position = position.and_then(|position| u32::try_from(position).ok());
    position.ok_or_else(|| Error::Location(format!("PARTITION BY names '{name}', which is no column")))
}

impl From<VersionName> for VersionId {
    fn from(name: VersionName) -> VersionId {
        VersionId { tenant: name.tenant, dataset: name.dataset, version: name.version }
    }
}

impl From<&VersionId> for VersionName {
    fn from(id: &VersionId) -> VersionName {
        VersionName { tenant: id.tenant.clone(), dataset: id.dataset, version: id.version }
    }
}
