//! Ranged reads of a data file, on the condition that it is still the file that was listed.

use crate::store::Place;
use crate::{Error, File, Progress, Result, Stores};
use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore, coalesce_ranges};
use std::ops::Range;
use std::sync::Arc;

/// Requests that lie closer than this are made as one.
const COALESCE_BYTES: u64 = 1 << 20;

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
        let fetched = self.place.store.get_opts(&self.place.path, options).await;
        let fetched = fetched.map_err(|error| Error::store(url, error))?;
        let same_time = fetched.meta.last_modified.timestamp_micros() == self.file.modified_at_us;
        if fetched.meta.size != self.file.size_bytes || (self.file.etag.is_empty() && !same_time) {
            return Err(Error::Changed { url: url.clone() });
        }
        let bytes = fetched.bytes().await.map_err(|error| Error::store(url, error))?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(Error::file(url, format!("the store gave {} bytes for {range:?}", bytes.len())));
        }
        self.progress.add_bytes(bytes.len() as u64);
        Ok(bytes)
    }
}
