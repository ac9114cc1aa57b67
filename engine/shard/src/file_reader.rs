//! Ranged reads of a data file, on the condition that it is still the file that was listed.

use crate::store::Place;
use crate::{Error, File, Progress, Result, Stores};
use bytes::Bytes;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, coalesce_ranges,
};
use std::ops::Range;
use std::sync::Arc;

/// Requests that lie closer than this are made as one.
const COALESCE_BYTES: u64 = 256 << 10;

/// Reads parts of one file.
#[derive(Clone)]
pub(crate) struct FileReader {
    place: Place,
    file: Arc<File>,
    progress: Arc<Progress>,
}

impl FileReader {
    pub(crate) fn new(stores: &Stores, file: &File, progress: &Arc<Progress>) -> Result<FileReader> {
        let place = stores.open(&file.url)?;
        Ok(FileReader { place, file: Arc::new(file.clone()), progress: progress.clone() })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The bytes of each range; neighbours are fetched together, distant ones in parallel.
    pub(crate) async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Some(beyond) = ranges.iter().find(|range| range.end > self.file.size_bytes || range.is_empty())
        {
            let why = format!(
                "damaged Parquet file: it points at bytes {}..{} of {}",
                beyond.start, beyond.end, self.file.size_bytes
            );
            return Err(Error::file(&self.file.url, why));
        }
        coalesce_ranges(ranges, |range| self.fetch(range), COALESCE_BYTES).await
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let url = &self.file.url;
        let options = GetOptions {
            if_match: (!self.file.etag.is_empty()).then(|| self.file.etag.clone()),
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        self.progress.add_request();
        let fetched = self.place.store.get_opts(&self.place.path, options).await;
        let fetched = fetched.map_err(|error| Error::store(url, error))?;
        self.check_same(&fetched.meta)?;
        // An open file may be written to while it is read, an object of a store is replaced as a whole.
        let is_open_file = matches!(fetched.payload, GetResultPayload::File(..));
        let bytes = fetched.bytes().await.map_err(|error| Error::store(url, error))?;
        if is_open_file {
            let head = self.place.store.head(&self.place.path).await;
            self.check_same(&head.map_err(|error| Error::store(url, error))?)?;
        }
        if bytes.len() as u64 != range.end - range.start {
            return Err(Error::file(url, format!("the store gave {} bytes for {range:?}", bytes.len())));
        }
        self.progress.add_bytes(bytes.len() as u64);
        Ok(bytes)
    }

    /// That an object is the file that was listed.
    fn check_same(&self, found: &ObjectMeta) -> Result<()> {
        let file = &self.file;
        let same_tag = found.e_tag.as_ref().is_none_or(|tag| file.etag.is_empty() || *tag == file.etag);
        let modified = found.last_modified.timestamp_micros();
        // Stores tell whole seconds with an object, and may tell more in a listing.
        let exact = modified % 1_000_000 != 0;
        let listed = if exact { file.modified_at_us } else { file.modified_at_us / 1_000_000 * 1_000_000 };
        let same_time = modified == listed;
        match found.size == file.size_bytes && same_tag && (same_time || !file.etag.is_empty()) {
            true => Ok(()),
            false => Err(Error::Changed { url: file.url.clone() }),
        }
    }
}
