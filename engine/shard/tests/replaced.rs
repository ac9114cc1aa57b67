//! A file that is replaced while it is read is an error that names it; its data is never mixed with the former.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use shard::{Error, ShardSet, Version, VersionId, hydrate, infer, list};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Folder, rows};

/// When a file is replaced.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Before a request is answered.
    Before(usize),
    /// After a request's answer has begun, before its bytes are read.
    Within(usize),
}

/// A store in which an object becomes another at the moment of a request.
#[derive(Debug)]
struct Replacing {
    inner: Arc<dyn ObjectStore>,
    requests: AtomicUsize,
    moment: Moment,
    content: Vec<u8>,
    /// The file that is overwritten where it lies; without one, the object is replaced as a whole.
    file: Option<PathBuf>,
}

impl Replacing {
    async fn replace(&self, path: &Path) {
        // The clock of file systems ticks in milliseconds.
        tokio::time::sleep(Duration::from_millis(20)).await;
        match &self.file {
            Some(file) => std::fs::write(file, &self.content).unwrap(),
            None => drop(self.inner.put(path, self.content.clone().into()).await.unwrap()),
        }
    }
}

impl fmt::Display for Replacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that replaces objects")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Replacing {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.inner.get_opts(path, options).await;
        }
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        if matches!(self.moment, Moment::Before(at) if at == request) {
            self.replace(path).await;
        }
        let answer = self.inner.get_opts(path, options).await?;
        if matches!(self.moment, Moment::Within(at) if at == request) {
            self.replace(path).await;
        }
        Ok(answer)
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A file of several row groups whose every value is `value`; files of other values have the same size.
fn file(value: i64) -> Vec<u8> {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(std::iter::repeat_n(value, 3_000)));
    let batch = RecordBatch::try_from_iter([("a", values)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1_000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Lists `location`, brings it onto a shard, and returns the distinct values found there.
async fn values(folder: &Folder, location: &str) -> Result<Vec<i128>, Error> {
    let files = list(&folder.stores, location).await?;
    let inferred = infer(&folder.stores, files).await?;
    let id = VersionId { tenant: "default".into(), dataset: 7, version: 1 };
    let schema = inferred.columns.into();
    let version = Version {
        id,
        schema,
        files: inferred.files.into(),
        placement: shard::Placement::Spread,
        deletes: Arc::default(),
        addressed: false,
    };
    let shards = folder.shards(1);
    let hydrated =
        hydrate(&shards, &ShardSet::even(1), &version, &hydrate::Options::default(), &[Arc::default()]).await;
    if let Err(error) = hydrated {
        assert!(shards[0].versions().is_empty());
        return Err(error);
    }
    let found = rows(&shards[0].share(&version.id, &[0]).unwrap());
    assert_eq!(found.len(), 3_000);
    let mut values: Vec<i128> = found.iter().map(|row| row[0].as_integer().unwrap()).collect();
    values.dedup();
    Ok(values)
}

/// Replaces the file at every moment of being read; returns how often that was an error.
async fn replace_at_every_moment(
    make: impl Fn(&Folder) -> (String, Option<PathBuf>, Arc<dyn ObjectStore>, &'static str),
) -> usize {
    let (old, new) = (file(1), file(2));
    assert_eq!(old.len(), new.len());
    let mut changed = 0;
    for moment in (0..8).flat_map(|at| [Moment::Before(at), Moment::Within(at)]) {
        let folder = Folder::new();
        let (location, file, inner, base) = make(&folder);
        let path = Path::parse(location.trim_start_matches(base)).unwrap();
        inner.put(&path, old.clone().into()).await.unwrap();
        let requests = AtomicUsize::new(0);
        let store = Arc::new(Replacing { inner, requests, moment, content: new.clone(), file });
        folder.stores.mount(base, store.clone());
        tokio::time::sleep(Duration::from_millis(20)).await;
        match values(&folder, &location).await {
            Ok(values) => assert!(values == [1] || values == [2], "{moment:?}: {values:?}"),
            Err(Error::Changed { url }) => {
                assert_eq!(url, location);
                changed += 1;
            }
            Err(other) => panic!("{moment:?}: {other}"),
        }
        // Read anew, it is the new one.
        if store.requests.load(Ordering::SeqCst) > 4 {
            assert_eq!(values(&folder, &location).await.unwrap(), [2]);
        }
    }
    changed
}

#[tokio::test]
async fn an_object_that_is_replaced_while_it_is_read_is_named() {
    let make = |_: &Folder| {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        ("memory:///t/a.parquet".to_string(), None, store, "memory://")
    };
    let changed = replace_at_every_moment(make).await;
    assert!(changed >= 6, "{changed}");
}

#[tokio::test]
async fn a_file_that_is_overwritten_while_it_is_read_is_named() {
    let make = |folder: &Folder| {
        let file = folder.folder.path().join("t/a.parquet");
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new());
        (folder.url("t/a.parquet"), Some(file), store, "file://")
    };
    let changed = replace_at_every_moment(make).await;
    assert!(changed >= 6, "{changed}");
}
