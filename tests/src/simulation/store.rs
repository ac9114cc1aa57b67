//! An object store that all nodes of a simulation share: slow, and with faults while it is told to have some.

use super::trace::Trace;
use crate::random::Random;
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// How long a request takes.
const TIME: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(15));
/// How long one may take while reads are slow.
const SLOW: Duration = Duration::from_secs(4);
/// How long a request waits for a store that is away.
const AWAY: Duration = Duration::from_secs(2);

/// What may go wrong: of how many requests, in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFaults {
    /// Are refused as a busy S3 does (503).
    pub refused: usize,
    /// Of puts: are done, and their replies are lost.
    pub lost_replies: usize,
    /// Of puts: fail, and are done a while later.
    pub late: usize,
    /// Take up to 4 s.
    pub slow: usize,
    /// All of them find nobody.
    pub away: bool,
}

/// The store itself.
pub struct Objects {
    inner: InMemory,
    random: Mutex<Random>,
    faults: Mutex<StoreFaults>,
    /// Claims to have done what it has not.
    loses_puts: AtomicBool,
    trace: Arc<Trace>,
    /// The store's own machine.
    machine: Handle,
}

/// The store as one life of a node reaches it.
pub struct NodeStore {
    objects: Arc<Objects>,
    alive: Arc<AtomicBool>,
}

impl Objects {
    pub fn new(seed: u64, trace: Arc<Trace>, machine: Handle) -> Arc<Objects> {
        Arc::new(Objects {
            inner: InMemory::new(),
            random: Mutex::new(Random::new(seed)),
            faults: Mutex::default(),
            loses_puts: AtomicBool::new(false),
            trace,
            machine,
        })
    }

    /// The store for a node, until `alive` says that it has died.
    pub fn of_node(self: &Arc<Objects>, alive: Arc<AtomicBool>) -> Arc<dyn ObjectStore> {
        Arc::new(NodeStore { objects: self.clone(), alive })
    }

    /// The faults from now on.
    pub fn set_faults(&self, faults: StoreFaults) {
        *self.faults.lock() = faults;
    }

    /// Now and then drops data that it says it has taken: the fault that the checkers must find.
    pub fn lose_puts(&self) {
        self.loses_puts.store(true, Ordering::Relaxed);
    }

    fn drawn(&self, of_thousand: usize) -> bool {
        self.random.lock().below(1000) < of_thousand
    }

    fn time(&self, most: Duration) -> Duration {
        let spread = most.saturating_sub(TIME.0).as_micros() as usize;
        TIME.0 + Duration::from_micros(self.random.lock().below(spread) as u64)
    }

    /// The way there, and what goes wrong before anything is done.
    async fn request(&self, what: &str, path: Option<&Path>) -> Result<()> {
        let faults = *self.faults.lock();
        let named = || path.map(Path::to_string).unwrap_or_default();
        if faults.away {
            sleep(AWAY).await;
            return Err(failed("the store does not answer"));
        }
        let slow = self.drawn(faults.slow);
        sleep(self.time(if slow { SLOW } else { TIME.1 })).await;
        if self.drawn(faults.refused) {
            self.trace.event(format_args!("store: {what} {} refused", named()));
            return Err(failed("503 Slow Down"));
        }
        self.trace.event(format_args!("store: {what} {}", named()));
        Ok(())
    }
}

fn failed(why: &str) -> Error {
    Error::Generic { store: "simulation", source: why.into() }
}

impl NodeStore {
    async fn request(&self, what: &str, path: Option<&Path>) -> Result<()> {
        self.objects.request(what, path).await?;
        match self.alive.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(failed("the node has died")),
        }
    }
}

impl fmt::Display for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated store")
    }
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated store")
    }
}

#[async_trait]
impl ObjectStore for NodeStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.request("put", Some(path)).await?;
        let (objects, faults) = (&self.objects, *self.objects.faults.lock());
        let is_data = path.extension() == Some("parquet") || path.as_ref().contains("manifests");
        if objects.loses_puts.load(Ordering::Relaxed) && is_data && objects.drawn(100) {
            objects.trace.fault(format_args!("planted: {path} is lost"));
            return Ok(PutResult {
                e_tag: Some("lost".into()),
                version: None,
                extensions: Default::default(),
            });
        }
        if objects.drawn(faults.late) {
            let (store, path, later) = (objects.clone(), path.clone(), objects.time(SLOW));
            objects.trace.event(format_args!("store: {path} comes late"));
            // It is on its way, whatever becomes of the node.
            let arrival = async move {
                sleep(later).await;
                // Nobody waits for the answer.
                let _ = store.inner.put_opts(&path, payload, options).await;
            };
            objects.machine.spawn(arrival);
            return Err(failed("the connection was lost"));
        }
        let put = self.objects.inner.put_opts(path, payload, options).await?;
        if objects.drawn(faults.lost_replies) {
            objects.trace.event(format_args!("store: the reply for {path} is lost"));
            return Err(failed("the connection was lost"));
        }
        sleep(objects.time(TIME.1)).await;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.request("put", Some(path)).await?;
        self.objects.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.request("get", Some(path)).await?;
        self.objects.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (objects, alive) = (self.objects.clone(), self.alive.clone());
        let deleted = paths.and_then(move |path| {
            let store = NodeStore { objects: objects.clone(), alive: alive.clone() };
            async move {
                store.request("delete", Some(&path)).await?;
                let one = futures::stream::iter([Ok(path.clone())]).boxed();
                store.objects.inner.delete_stream(one).try_collect::<Vec<_>>().await?;
                Ok(path)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = NodeStore { objects: self.objects.clone(), alive: self.alive.clone() };
        let prefix = prefix.cloned();
        let listed = async move {
            store.request("list", prefix.as_ref()).await?;
            Ok::<_, Error>(store.objects.inner.list(prefix.as_ref()))
        };
        listed.into_stream().try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request("list", prefix).await?;
        self.objects.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.request("copy", Some(from)).await?;
        self.objects.inner.copy_opts(from, to, options).await
    }
}
