//! The eight TPC-H tables as Parquet files, a folder a table.

use std::fs;
use std::path::Path;

use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchReader};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use crate::Failure;
use crate::parquet_files::{self, PART_ROWS, Progress, in_parallel};

/// A table, its primary key, and its rows at scale factor 1; of lineitem about, since orders vary in length.
/// Largest first, so that the last parts to finish are short ones.
pub(crate) const TABLES: [(&str, &[&str], f64); 8] = [
    ("lineitem", &["l_orderkey", "l_linenumber"], 6_001_215.0),
    ("orders", &["o_orderkey"], 1_500_000.0),
    ("partsupp", &["ps_partkey", "ps_suppkey"], 800_000.0),
    ("part", &["p_partkey"], 200_000.0),
    ("customer", &["c_custkey"], 150_000.0),
    ("supplier", &["s_suppkey"], 10_000.0),
    ("nation", &["n_nationkey"], 25.0),
    ("region", &["r_regionkey"], 5.0),
];

const BATCH_ROWS: usize = 8192;

/// One file to write: part `number` (from 1) of `count` of a table.
struct Part {
    table: &'static str,
    number: i32,
    count: i32,
}

/// Writes all tables under `folder`, on every core.
pub(crate) fn write(folder: &Path, scale: f64) -> Result<(), Failure> {
    let mut parts = Vec::new();
    let mut all_rows = 0.0;
    for (table, _, rows_at_one) in TABLES {
        fs::create_dir(folder.join(table))?;
        let rows = if rows_at_one < 100.0 { rows_at_one } else { rows_at_one * scale };
        let count = (rows / PART_ROWS as f64).ceil().max(1.0) as i32;
        parts.extend((1..=count).map(|number| Part { table, number, count }));
        all_rows += rows;
    }
    let progress = Progress::new(format!("generating TPC-H at scale {scale}"), all_rows as u64);
    in_parallel(parts, |part| {
        let path = parquet_files::part(&folder.join(part.table), part.number as usize);
        let batches = generator(&part, scale);
        let mut writer = parquet_files::create(&path, batches.schema())?;
        for batch in batches {
            let batch: RecordBatch = batch?;
            writer.write(&batch)?;
            progress.add(batch.num_rows() as u64);
        }
        writer.close()?;
        Ok(())
    })
}

/// The rows of one part.
fn generator(part: &Part, scale: f64) -> Box<dyn RecordBatchReader<Item = Result<RecordBatch, ArrowError>>> {
    macro_rules! batches {
        ($arrow:ident, $generator:ident) => {
            Box::new($arrow::new($generator::new(scale, part.number, part.count)).with_batch_size(BATCH_ROWS))
        };
    }
    match part.table {
        "lineitem" => batches!(LineItemArrow, LineItemGenerator),
        "orders" => batches!(OrderArrow, OrderGenerator),
        "partsupp" => batches!(PartSuppArrow, PartSuppGenerator),
        "part" => batches!(PartArrow, PartGenerator),
        "customer" => batches!(CustomerArrow, CustomerGenerator),
        "supplier" => batches!(SupplierArrow, SupplierGenerator),
        "nation" => batches!(NationArrow, NationGenerator),
        _ => batches!(RegionArrow, RegionGenerator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Table, rows};

    #[test]
    fn all_tables_are_written_with_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0.001).unwrap();
        for (name, key, at_one) in TABLES {
            let table = Table::at(name, &folder.path().join(name), key).unwrap();
            let expected = if at_one < 100.0 { at_one } else { at_one / 1000.0 };
            let found = rows(&table.files).unwrap() as f64;
            assert!((found - expected).abs() <= expected * 0.02, "{name} has {found} rows, not {expected}");
        }
    }
}
