//! The statements of the test files, to draw others from.

use std::path::{Path, PathBuf};

use sqllogictest::{Record, parse_file};

use crate::connection::Failure;
use crate::text::Letter;

/// Every statement of `tests/slt` and the queries of `tests/tpch`, in a fixed order.
pub fn statements() -> Result<Vec<String>, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut statements = Vec::new();
    for file in files(&root.join("slt"), "slt")? {
        for record in parse_file::<Letter>(&file).map_err(Failure::of)? {
            if let Record::Statement { sql, .. } | Record::Query { sql, .. } = record {
                statements.push(sql);
            }
        }
    }
    for file in files(&root.join("tpch"), "sql")? {
        let text = std::fs::read_to_string(&file).map_err(Failure::of)?;
        statements.push(text.trim_end().trim_end_matches(';').to_string());
    }
    Ok(statements)
}

/// The files below a folder that end in `extension`, in order.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Failure::of)? {
        let path = entry.map_err(Failure::of)?.path();
        if path.is_dir() {
            files.extend(self::files(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
