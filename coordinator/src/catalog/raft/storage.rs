//! Where a catalog lies: a file, or what a simulation gives instead.

use redb::StorageBackend;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where a catalog is kept.
pub enum Storage {
    /// A file, which is made where missing.
    File(PathBuf),
    Device(Box<dyn Device>),
}

/// A file as the catalog uses it. What was written is there after a crash once [`Device::sync`] has returned since.
pub trait Device: fmt::Debug + Send + Sync {
    fn bytes(&self) -> io::Result<u64>;
    /// Makes it longer, with zeros, or shorter.
    fn resize(&self, bytes: u64) -> io::Result<()>;
    /// Fills `out`; an error where there is not as much.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Within what it was resized to.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

impl From<&Path> for Storage {
    fn from(path: &Path) -> Storage {
        Storage::File(path.into())
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Storage::File(path) => path.display().fmt(f),
            Storage::Device(device) => write!(f, "{device:?}"),
        }
    }
}

/// A device as redb takes it.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Box<dyn Device>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.bytes()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.resize(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }
}
