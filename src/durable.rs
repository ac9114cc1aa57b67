//! Small files that a node must find again after the machine has failed.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::Path;

/// Puts a file of this text in its place, as a whole and for good.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
