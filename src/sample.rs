//! Sample datasets: what `--sample` may name, and writing it once into the object store.
//!
//! A sample lies under `samples/<name>/`. Its `_complete` object is written last: where it is
//! missing, an earlier run was cut short and the files are written again.

mod tpch;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::Failure;

/// A sample dataset with its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sample {
    /// The eight TPC-H tables at a scale factor.
    Tpch { scale: f64 },
}

/// One table of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SampleTable {
    pub(crate) name: &'static str,
    /// The folder of its Parquet files inside the object store.
    pub(crate) folder: Path,
    partition_by: Option<&'static str>,
}

impl SampleTable {
    /// The statement that makes the table known, unless it is, over the folder `location`.
    pub(crate) fn create(&self, location: &str) -> String {
        let location = location.replace('\'', "''");
        let partition = self.partition_by.map(|key| format!(" PARTITION BY RANGE ({key})"));
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS {} STORED AS PARQUET LOCATION '{location}/'{}",
            self.name,
            partition.unwrap_or_default()
        )
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Sample, String> {
        let (kind, scale) = text.split_once(':').unwrap_or((text, "1"));
        if !kind.eq_ignore_ascii_case("tpch") {
            return Err(format!("unknown sample '{kind}'; expected tpch:SCALE, such as tpch:1"));
        }
        let scale: f64 = scale
            .parse()
            .map_err(|_| format!("expected a scale factor after 'tpch:', such as tpch:1, got '{scale}'"))?;
        if !(0.001..=1000.0).contains(&scale) {
            return Err(format!("expected a scale factor from 0.001 to 1000, got {scale}"));
        }
        Ok(Sample::Tpch { scale })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sample::Tpch { scale } => write!(f, "TPC-H scale factor {scale}"),
        }
    }
}

impl Sample {
    /// The folder of this sample.
    fn folder(&self) -> Path {
        match self {
            Sample::Tpch { scale } => Path::from(format!("samples/tpch/sf{scale}")),
        }
    }

    /// The tables that the sample consists of.
    pub(crate) fn tables(&self) -> Vec<SampleTable> {
        let folder = self.folder();
        let table = |name: &'static str| SampleTable {
            name,
            folder: folder.clone().join(name),
            partition_by: tpch::partition_key(name),
        };
        tpch::TABLES.iter().map(|name| table(name)).collect()
    }

    /// Whether a location is that of a table of this sample.
    pub(crate) fn lies_at(&self, location: &str, table: &str) -> bool {
        location.trim_end_matches('/').ends_with(&format!("/{}/{table}", self.folder()))
    }

    /// Why the sample cannot be brought in where another table has the name of one of its own.
    pub(crate) fn refused(&self, table: &str, location: &str) -> String {
        let there = match (Sample::at(location), location) {
            (Some(other), _) => format!("of {other}"),
            (None, "") => "filled by statements".to_string(),
            (None, location) => format!("over {location}"),
        };
        format!(
            "cannot bring in {self}: there is a table '{table}' already, {there}; \
             leave --sample out, drop that table, or name another folder with --data"
        )
    }

    /// The sample that a table at this location is of.
    fn at(location: &str) -> Option<Sample> {
        let (_, scale) = location.split_once("/samples/tpch/sf")?;
        Some(Sample::Tpch { scale: scale.split('/').next()?.parse().ok()? })
    }

    /// Writes the sample's Parquet files unless they are complete already. Uses `threads` cores and holds at
    /// most `threads` encoded files in memory.
    pub(crate) async fn ensure(&self, store: Arc<dyn ObjectStore>, threads: usize) -> Result<(), Failure> {
        let marker = self.folder().join("_complete");
        match store.head(&marker).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                return Err(format!("cannot look for sample data in the object store: {error}").into());
            }
        }
        match *self {
            Sample::Tpch { scale } => tpch::write(scale, &self.folder(), store.clone(), threads).await?,
        }
        store.put(&marker, PutPayload::from_static(b"")).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use object_store::memory::InMemory;

    #[test]
    fn samples_are_read_as_written() {
        assert_eq!("tpch:10".parse(), Ok(Sample::Tpch { scale: 10.0 }));
        assert_eq!("TPCH:0.01".parse(), Ok(Sample::Tpch { scale: 0.01 }));
        assert_eq!("tpch".parse(), Ok(Sample::Tpch { scale: 1.0 }));
        for text in ["", "tpcds:1", "tpch:", "tpch:x", "tpch:0", "tpch:-1", "tpch:nan", "tpch:1e9"] {
            assert!(text.parse::<Sample>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_sample_knows_its_tables_from_others() {
        let sample = Sample::Tpch { scale: 0.01 };
        assert!(sample.lies_at("file:///d/objects/samples/tpch/sf0.01/orders/", "orders"));
        for other in ["file:///d/objects/samples/tpch/sf0.1/orders/", "file:///orders", ""] {
            assert!(!sample.lies_at(other, "orders"), "{other}");
        }
        let refused = sample.refused("orders", "file:///d/objects/samples/tpch/sf0.1/orders/");
        assert!(refused.contains("scale factor 0.01:") && refused.contains("scale factor 0.1;"), "{refused}");
        assert!(sample.refused("orders", "").contains("filled by statements"));
    }

    #[test]
    fn tables_that_are_joined_lie_together() {
        let tables = Sample::Tpch { scale: 1.0 }.tables();
        let of = |name: &str| tables.iter().find(|table| table.name == name).unwrap().create("file:///it's");
        assert_eq!(
            of("orders"),
            "CREATE EXTERNAL TABLE IF NOT EXISTS orders STORED AS PARQUET LOCATION 'file:///it''s/' \
             PARTITION BY RANGE (o_orderkey)"
        );
        assert!(of("nation").ends_with("LOCATION 'file:///it''s/'"));
    }

    #[tokio::test]
    async fn a_sample_is_written_once() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let sample = Sample::Tpch { scale: 0.001 };
        sample.ensure(store.clone(), 2).await.unwrap();
        let written: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(written.len(), 9, "one file a table and the marker");
        for table in sample.tables() {
            assert!(written.iter().any(|object| object.location.prefix_matches(&table.folder)), "{table:?}");
        }

        // With the marker in place nothing is written again, without it everything is.
        let lost = written.iter().find(|object| object.location.as_ref().contains("orders")).unwrap();
        store.delete(&lost.location).await.unwrap();
        sample.ensure(store.clone(), 1).await.unwrap();
        assert!(store.head(&lost.location).await.is_err());
        store.delete(&sample.folder().join("_complete")).await.unwrap();
        sample.ensure(store.clone(), 1).await.unwrap();
        assert_eq!(store.head(&lost.location).await.unwrap().size, lost.size);
    }
}
