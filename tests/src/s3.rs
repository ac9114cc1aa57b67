//! An S3 server for tests, with faults that are switched on while it runs.

use crate::connection::Failure;
use crate::random::Random;
use futures::StreamExt;
use hyper::body::Incoming;
use hyper::{Method, Request};
use parking_lot::Mutex;
use s3::{Body, Credentials, Folder, HttpError, HttpResponse, Server, StatusCode, reply};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The one user that the server knows.
pub const ACCESS_KEY: &str = "tundra";
pub const SECRET_KEY: &str = "tundra-secret";
/// Where faults are set over HTTP; no bucket can be called so.
const FAULTS: &str = "/_faults";

const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

/// What goes wrong; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// So many requests of a hundred are answered 503 SlowDown, and nothing is done.
    pub slow_down: u8,
    /// So many writes of a hundred are done, and the connection ends without a reply.
    pub lost_replies: u8,
    /// Before each request.
    pub delay: Duration,
    /// Every connection ends at its next request.
    pub down: bool,
}

impl Faults {
    /// `slow_down=30&lost_replies=5&delay_ms=20&down=true`, in any order; what is left out does not happen.
    fn parse(query: &str) -> Option<Faults> {
        let mut faults = Faults::default();
        for word in query.split('&').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=')?;
            match name {
                "slow_down" => faults.slow_down = value.parse().ok()?,
                "lost_replies" => faults.lost_replies = value.parse().ok()?,
                "delay_ms" => faults.delay = Duration::from_millis(value.parse().ok()?),
                "down" => faults.down = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(faults)
    }
}

/// Ends when dropped.
pub struct S3Server {
    server: Server,
    bucket: String,
    state: Arc<State>,
    _folder: Option<TempDir>,
}

struct State {
    folder: Folder,
    faults: Mutex<Faults>,
    random: Mutex<Random>,
    /// Requests that a fault other than the delay has hit.
    hits: AtomicU64,
    requests: AtomicU64,
}

impl S3Server {
    /// Starts on a free port of this machine, over a folder of its own, with one empty bucket.
    pub async fn start() -> Result<S3Server, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::of)?;
        let mut server = S3Server::start_in(folder.path(), "127.0.0.1:0", "bucket").await?;
        server._folder = Some(folder);
        Ok(server)
    }

    /// Starts at `HOST:PORT` over a folder, where the bucket is made unless it is there.
    pub async fn start_in(root: &Path, listen: &str, bucket: &str) -> Result<S3Server, Failure> {
        let state = Arc::new(State {
            folder: Folder::new(root, bucket, &credentials()).map_err(Failure::of)?,
            faults: Mutex::default(),
            random: Mutex::new(Random::new(1)),
            hits: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let shared = state.clone();
        let answer = move |request| shared.clone().answer(request);
        let server = Server::start_with(listen, answer).await.map_err(Failure::of)?;
        Ok(S3Server { server, bucket: bucket.into(), state, _folder: None })
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The URL of a prefix in the bucket.
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }

    /// What a client needs, named as in its environment.
    pub fn settings(&self) -> Vec<(String, String)> {
        credentials().settings(&self.url())
    }

    /// What is to go wrong from the next request on.
    pub fn set(&self, faults: Faults) {
        *self.state.faults.lock() = faults;
    }

    /// Requests so far, and those of them that a fault other than the delay has hit.
    pub fn requests(&self) -> (u64, u64) {
        (self.state.requests.load(Ordering::Relaxed), self.state.hits.load(Ordering::Relaxed))
    }

    /// Serves until the process ends.
    pub async fn run(mut self) {
        self.server.ended().await;
    }
}

fn credentials() -> Credentials {
    Credentials { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() }
}

impl State {
    /// The reply; an error ends the connection without one.
    async fn answer(self: Arc<State>, request: Request<Incoming>) -> Result<HttpResponse, HttpError> {
        if request.uri().path() == FAULTS {
            return Ok(self.control(&request));
        }
        let mut request = request.map(Body::from);
        let faults = *self.faults.lock();
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !faults.delay.is_zero() {
            tokio::time::sleep(faults.delay).await;
        }
        if faults.down {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Err(HttpError::new("down".into()));
        }
        if self.strikes(faults.slow_down) {
            // A body that is not read would end the connection instead.
            while request.body_mut().next().await.is_some() {}
            return Ok(reply(StatusCode::SERVICE_UNAVAILABLE, SLOW_DOWN));
        }
        let write = matches!(*request.method(), Method::PUT | Method::POST | Method::DELETE);
        let answer = self.folder.answer(request).await?;
        match write && answer.status().is_success() && self.strikes(faults.lost_replies) {
            true => Err(HttpError::new("lost".into())),
            false => Ok(answer),
        }
    }

    fn control(&self, request: &Request<Incoming>) -> HttpResponse {
        if *request.method() != Method::PUT {
            return reply(StatusCode::METHOD_NOT_ALLOWED, "faults are set by PUT\n");
        }
        match Faults::parse(request.uri().query().unwrap_or_default()) {
            Some(faults) => {
                *self.faults.lock() = faults;
                reply(StatusCode::OK, "")
            }
            None => reply(
                StatusCode::BAD_REQUEST,
                "expected ?slow_down=30&lost_replies=5&delay_ms=20&down=true\n",
            ),
        }
    }

    /// Whether one of the so many of a hundred is drawn.
    fn strikes(&self, percent: u8) -> bool {
        let strikes = self.random.lock().below(100) < usize::from(percent);
        self.hits.fetch_add(u64::from(strikes), Ordering::Relaxed);
        strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use object_store::path::Path;
    use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
    use shard::{Place, Stores};

    fn place(server: &S3Server) -> Place {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Stores::with_settings(server.settings()).open(&server.location("a")).unwrap()
    }

    async fn create(store: &dyn ObjectStore, path: &Path, text: &str) -> object_store::Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(path, text.to_string().into(), options).await.map(drop)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_of_many_creates() {
        let server = S3Server::start().await.unwrap();
        let place = place(&server);
        for round in 0..10 {
            let path = place.path.clone().join(round.to_string());
            let racing = (0..16).map(|writer| {
                let (store, path) = (place.store.clone(), path.clone());
                tokio::spawn(async move { create(store.as_ref(), &path, &writer.to_string()).await })
            });
            let mut winners = 0;
            for outcome in join_all(racing).await {
                match outcome.unwrap() {
                    Ok(()) => winners += 1,
                    Err(Error::AlreadyExists { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(winners, 1, "round {round}");
        }
    }

    #[tokio::test]
    async fn faults_are_switched_on_and_off() {
        let server = S3Server::start().await.unwrap();
        let place = place(&server);
        server.set(Faults { lost_replies: 100, ..Faults::default() });
        assert!(create(place.store.as_ref(), &place.path, "x").await.is_err(), "the reply is lost");
        server.set(Faults { slow_down: 50, ..Faults::default() });
        for _ in 0..10 {
            assert_eq!(place.store.get(&place.path).await.unwrap().bytes().await.unwrap(), "x");
        }
        assert!(server.requests().1 > 1, "{:?}", server.requests());
    }

    #[tokio::test]
    async fn a_folder_is_no_object() {
        let server = S3Server::start().await.unwrap();
        let place = place(&server);
        create(place.store.as_ref(), &place.path.clone().join("b"), "x").await.unwrap();
        for path in [place.path.clone(), place.path.clone().join("c")] {
            let found = place.store.head(&path).await;
            assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
        }
        assert!(place.store.head(&place.path.clone().join("b")).await.is_ok());
    }

    #[tokio::test]
    async fn objects_come_whole_and_in_ranges() {
        let server = S3Server::start().await.unwrap();
        let place = place(&server);
        let bytes: Vec<u8> = (0..2_500_000_u32).map(|n| (n * 7 / 3) as u8).collect();
        // Names as they are told apart only once their escapes are resolved.
        place.store.put(&place.path.clone().join("name%20with%20a%20blank"), "another".into()).await.unwrap();
        for name in ["large", "name with a blank", "empty"] {
            let path = place.path.clone().join(name);
            let bytes = if name == "empty" { &[] } else { &bytes[..] };
            place.store.put(&path, bytes.to_vec().into()).await.unwrap();
            assert_eq!(place.store.get(&path).await.unwrap().bytes().await.unwrap(), bytes);
            if !bytes.is_empty() {
                for range in [0..1, 5..2_400_000, 1_048_576..2_097_152, 2_499_999..2_500_000] {
                    let found = place.store.get_range(&path, range.clone()).await.unwrap();
                    assert_eq!(found, bytes[range.start as usize..range.end as usize]);
                }
            }
        }
    }

    #[test]
    fn faults_are_named() {
        let all = Faults { slow_down: 30, lost_replies: 5, delay: Duration::from_millis(20), down: true };
        assert_eq!(Faults::parse("slow_down=30&lost_replies=5&delay_ms=20&down=true"), Some(all));
        assert_eq!(Faults::parse(""), Some(Faults::default()));
        for wrong in ["slow_down", "slow_down=x", "slow_down=300", "down=1", "up=true"] {
            assert_eq!(Faults::parse(wrong), None, "{wrong}");
        }
    }
}
