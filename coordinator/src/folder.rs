//! The lock on a data folder: one process at a time.

use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Held for as long as the process uses the folder; the system gives it back when the process ends.
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, which is created where missing.
    pub fn take(folder: &Path) -> Result<FolderLock> {
        let failed = |error: std::io::Error| {
            Error::Environment(format!("the data folder {} cannot be used: {error}", folder.display()))
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Environment(format!(
                "the data folder {} is used by another process; stop it, or name another folder with --data",
                folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).err().unwrap().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }
}
