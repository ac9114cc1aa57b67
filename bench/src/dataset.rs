//! What is loaded: tables of Parquet files, and preparing them once.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Serialize;

use crate::Failure;

/// A table: its name, its Parquet files in order, and the columns to order it by where an engine wants such.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) key: Vec<String>,
    /// The file or folder that holds all files and nothing else.
    #[serde(skip)]
    pub(crate) place: PathBuf,
}

impl Table {
    /// The table over a Parquet file, or over the Parquet files of a folder.
    pub(crate) fn at(name: &str, place: &Path, key: &[&str]) -> Result<Table, Failure> {
        let place =
            fs::canonicalize(place).map_err(|error| format!("cannot read {}: {error}", place.display()))?;
        let mut files = if place.is_dir() { parquet_files_of(&place)? } else { vec![place.clone()] };
        files.sort();
        if files.is_empty() {
            return Err(format!("there is no .parquet file in {}", place.display()).into());
        }
        let key = key.iter().map(ToString::to_string).collect();
        Ok(Table { name: name.to_string(), files, key, place })
    }

    /// The table named after the file or folder.
    pub(crate) fn named_after(place: &Path) -> Result<Table, Failure> {
        let absolute = std::path::absolute(place)?;
        let name = if absolute.is_dir() { absolute.file_name() } else { absolute.file_stem() };
        let name = name.and_then(OsStr::to_str);
        let name = name.ok_or_else(|| format!("name the table of {} with --table", place.display()))?;
        Table::at(name, place, &[])
    }

    /// The place as a URL: a folder ends in a slash.
    pub(crate) fn url(&self) -> String {
        format!("file://{}{}", self.place.display(), if self.place.is_dir() { "/" } else { "" })
    }

    pub(crate) fn bytes(&self) -> Result<u64, Failure> {
        self.files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
    }

    /// Differs where the files differ in name, size or time of change.
    pub(crate) fn fingerprint(&self) -> Result<u64, Failure> {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            let about = fs::metadata(file)?;
            (file, about.len(), about.modified()?).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

fn parquet_files_of(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The rows of Parquet files, by their footers.
pub(crate) fn rows(files: &[PathBuf]) -> Result<u64, Failure> {
    let of_file = |file: &PathBuf| {
        let reader = SerializedFileReader::new(File::open(file)?)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(reader.metadata().file_metadata().num_rows() as u64)
    };
    files.iter().map(of_file).sum()
}

/// Has `folder` filled by `write` unless that was done before: it is written beside and renamed when complete.
pub(crate) fn prepare_once(
    folder: &Path,
    write: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if folder.exists() {
        return Ok(());
    }
    let partial = folder.with_added_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial).map_err(|error| format!("cannot create {}: {error}", partial.display()))?;
    write(&partial)?;
    fs::rename(&partial, folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_prepared_once_and_only_when_complete() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("tpch-sf0.1");
        prepare_once(&folder, |_| Err("disk full".into())).unwrap_err();
        assert!(!folder.exists());
        let write = |text: &'static str| {
            move |folder: &Path| {
                assert!(fs::read_dir(folder)?.next().is_none(), "what an earlier run left is removed");
                Ok(fs::write(folder.join("file"), text)?)
            }
        };
        prepare_once(&folder, write("first")).unwrap();
        prepare_once(&folder, write("second")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "first");
    }

    #[test]
    fn tables_are_named_after_their_place() {
        let data = tempfile::tempdir().unwrap();
        let trips = data.path().join("trips");
        fs::create_dir(&trips).unwrap();
        let failure = Table::named_after(&trips).unwrap_err().to_string();
        assert!(failure.contains("no .parquet file"), "{failure}");
        for name in ["b.parquet", "a.parquet", "notes.txt"] {
            fs::write(trips.join(name), "").unwrap();
        }
        let table = Table::named_after(&trips).unwrap();
        assert_eq!(table.name, "trips");
        let names: Vec<_> = table.files.iter().filter_map(|file| file.file_name()).collect();
        assert_eq!(names, ["a.parquet", "b.parquet"]);
        assert_eq!(Table::named_after(&trips.join("a.parquet")).unwrap().name, "a");
        assert!(Table::named_after(&data.path().join("absent.parquet")).is_err());
    }
}
