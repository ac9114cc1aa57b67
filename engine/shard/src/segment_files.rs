//! Segments on local disk: `<folder>/<tenant>/<dataset>/<key>.segment`, where the key says what the segment
//! was made of. A file is written once, under a name of its own, and renamed into place.

use crate::{Error, Result, VersionId};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use storage::{Segment, SegmentBytes, SegmentImage};

const EXTENSION: &str = "segment";

/// A name for what a segment is made of: the 128-bit FNV-1a hash (Fowler, Noll, Vo 1991) of its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Key> {
        bytes.try_into().ok().map(|bytes| Key(u128::from_be_bytes(bytes)))
    }
}

/// Collects the description behind a [`Key`].
pub(crate) struct KeyBuilder(u128);

impl KeyBuilder {
    pub(crate) fn new() -> KeyBuilder {
        KeyBuilder(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a text; its end is marked, so that `ab` `c` differs from `a` `bc`.
    pub(crate) fn text(&mut self, text: &str) -> &mut KeyBuilder {
        text.bytes().for_each(|byte| self.byte(byte));
        self.byte(0xff);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut KeyBuilder {
        number.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
        self
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }

    pub(crate) fn finish(&self) -> Key {
        Key(self.0)
    }
}

/// The segments of one shard.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFiles {
    folder: PathBuf,
}

impl SegmentFiles {
    pub(crate) fn new(folder: PathBuf) -> SegmentFiles {
        SegmentFiles { folder }
    }

    pub(crate) fn path(&self, id: &VersionId, key: Key) -> PathBuf {
        let tenant = safe_name(&id.tenant);
        self.folder.join(tenant).join(id.dataset.to_string()).join(format!("{:032x}.{EXTENSION}", key.0))
    }

    /// Deletes what is neither in `keep` nor of another program; also what was cut short in writing.
    pub(crate) fn sweep(&self, keep: &HashSet<PathBuf>) -> Result<()> {
        for tenant in entries(&self.folder)? {
            for dataset in entries(&tenant)? {
                for path in entries(&dataset)? {
                    let ours = path.extension().is_some_and(|is| is == EXTENSION || is == "tmp");
                    if ours && !keep.contains(&path) {
                        remove(&path)?;
                    }
                }
                // Fails where something is left, which is as it should be.
                let _ = fs::remove_dir(&dataset);
            }
        }
        Ok(())
    }
}

/// A tenant's name as that of a folder.
fn safe_name(tenant: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    };
    tenant.bytes().map(letter).collect()
}

/// What lies in a folder; nothing where it is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let listed = fs::read_dir(folder).map_err(|error| Error::disk(folder, error))?;
    let paths = listed.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<std::io::Result<_>>().map_err(|error| Error::disk(folder, error))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::disk(path, error)),
        _ => Ok(()),
    }
}

/// Maps the segment at `path`. One that is damaged, or of another version of the format, is deleted: `None`,
/// as where there is no file.
pub(crate) fn open(path: &Path) -> Result<Option<Segment>> {
    if !path.is_file() {
        return Ok(None);
    }
    match SegmentBytes::map(path).and_then(Segment::open) {
        Ok(segment) => Ok(Some(segment)),
        Err(error @ (storage::Error::Damaged(_) | storage::Error::Version { .. })) => {
            tracing::warn!(path = %path.display(), %error, "segment is built again");
            remove(path)?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a segment's file. It appears whole or not at all.
pub(crate) fn write(path: &Path, image: &SegmentImage) -> Result<()> {
    let temporary = beside(path)?;
    let written = fs::File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(image.as_slice())?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::disk(path, error)
    })
}

/// A segment's file that comes in pieces; it appears whole or not at all.
pub(crate) struct Incoming {
    path: PathBuf,
    temporary: PathBuf,
    file: fs::File,
}

impl Incoming {
    pub(crate) fn begin(path: PathBuf) -> Result<Incoming> {
        let temporary = beside(&path)?;
        let file = fs::File::create(&temporary).map_err(|error| Error::disk(&temporary, error))?;
        Ok(Incoming { path, temporary, file })
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.file.write_all(piece).map_err(|error| Error::disk(&self.temporary, error))
    }

    /// Brings the file into place and tells where that is.
    pub(crate) fn finish(self) -> Result<PathBuf> {
        let placed = self.file.sync_data().and_then(|()| fs::rename(&self.temporary, &self.path));
        placed.map_err(|error| Error::disk(&self.path, error))?;
        Ok(self.path.clone())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone where it was brought into place.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A new name beside `path`, whose folder is made.
fn beside(path: &Path) -> Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::disk(folder, error))?;
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(path.with_extension(format!("{}-{number}.tmp", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_descriptions_apart() {
        let of = |texts: &[&str]| {
            let mut key = KeyBuilder::new();
            texts.iter().for_each(|text| {
                key.text(text);
            });
            key.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    }

    #[test]
    fn tenants_stay_in_their_folder() {
        assert_eq!(safe_name("default"), "default");
        assert_eq!(safe_name("../x"), "%2e%2e%2fx");
        assert_ne!(safe_name("A"), safe_name("a"));
    }

    #[test]
    fn a_sweep_deletes_what_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let files = SegmentFiles::new(folder.path().into());
        let id = |dataset| VersionId { tenant: "t".into(), dataset, version: 1 };
        let (kept, lost) = (files.path(&id(1), Key(1)), files.path(&id(2), Key(2)));
        for path in [&kept, &lost] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        fs::write(kept.with_extension("1-1.tmp"), b"x").unwrap();
        let foreign = kept.with_file_name("notes.txt");
        fs::write(&foreign, b"x").unwrap();
        files.sweep(&HashSet::from([kept.clone()])).unwrap();
        assert!(kept.exists() && foreign.exists() && !lost.exists());
        assert!(!kept.with_extension("1-1.tmp").exists() && !lost.parent().unwrap().exists());
        assert!(open(&kept).unwrap().is_none() && !kept.exists(), "a damaged segment goes");
    }
}
