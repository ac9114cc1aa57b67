//! Which rows of a version's files are deleted: the sets that its manifest names, brought in and checked.

use crate::{Error, File, Progress, Result, Stores, Version};
use columnar::RowSet;
use flight_proto::manifest::Deletes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectStore};
use std::sync::Arc;

/// Sets that are fetched at once.
const PARALLEL: usize = 16;

/// What is deleted of a file.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// As the manifest has it: what tells it from other sets of the file.
    pub(crate) told: Deletes,
    pub(crate) rows: RowSet,
}

/// One a file of a version.
pub(crate) type DeletedRows = Arc<[Option<Arc<Deleted>>]>;

/// The sets of all files of a version; those that `known` has of the first files are not fetched again.
pub(crate) async fn load_all(
    stores: &Stores,
    version: &Version,
    known: &[Option<Arc<Deleted>>],
    progress: &Arc<Progress>,
) -> Result<DeletedRows> {
    let one = |(place, told): (usize, &Option<Deletes>)| {
        let told = told.clone();
        let known = known.get(place).and_then(Option::as_ref);
        let known = known.filter(|known| Some(&known.told) == told.as_ref()).cloned();
        let (rows, url) = (version.files[place].rows, &version.files[place].url);
        async move {
            let Some(told) = told else { return Ok(None) };
            if known.is_some() {
                return Ok(known);
            }
            load(stores, told, rows, url, progress).await.map(|deleted| Some(Arc::new(deleted)))
        }
    };
    let loads: Vec<_> = version.deletes.iter().enumerate().map(one).collect();
    let sets: Vec<_> = stream::iter(loads).buffered(PARALLEL).try_collect().await?;
    Ok(sets.into())
}

/// The rows that a manifest says are deleted of a file.
pub async fn read_deletes(stores: &Stores, told: &Deletes, file: &File) -> Result<RowSet> {
    let deleted = load(stores, told.clone(), file.rows, &file.url, &Arc::default()).await?;
    Ok(deleted.rows)
}

/// Reads the set that a manifest names of the file at `url`, which has so many rows.
async fn load(
    stores: &Stores,
    told: Deletes,
    rows: u64,
    url: &str,
    progress: &Arc<Progress>,
) -> Result<Deleted> {
    let bytes = if told.url.is_empty() {
        told.inline.clone().into()
    } else {
        let place = stores.open(&told.url)?;
        let end = told.offset.checked_add(told.length);
        let end =
            end.ok_or_else(|| Error::Stored(format!("{url}: where its deleted rows lie is damaged")))?;
        let options = GetOptions {
            if_match: (!told.etag.is_empty()).then(|| told.etag.clone()),
            range: Some(GetRange::Bounded(told.offset..end)),
            ..GetOptions::default()
        };
        progress.add_request();
        let fetched = place.store.get_opts(&place.path, options).await;
        let fetched = fetched.map_err(|error| Error::store(&told.url, error))?;
        let bytes = fetched.bytes().await.map_err(|error| Error::store(&told.url, error))?;
        progress.add_bytes(bytes.len() as u64);
        bytes
    };
    let source = if told.url.is_empty() { url } else { &told.url };
    let damaged = |why: String| Error::Stored(format!("{source}: the deleted rows of {url}: {why}"));
    if !told.url.is_empty()
        && (bytes.len() as u64 != told.length || storage::checksum::xxh64(&bytes, 0) != told.checksum)
    {
        return Err(damaged("these are not the bytes that were written".into()));
    }
    let set = RowSet::decode(&bytes, rows).map_err(|error| damaged(error.to_string()))?;
    match set.len() == told.rows {
        true => Ok(Deleted { told, rows: set }),
        false => Err(damaged(format!("there are {} where {} were announced", set.len(), told.rows))),
    }
}
