//! An S3 server for tests: `s3s-fs` over a folder, with conditional puts made atomic and with faults that are
//! switched on while it runs. It proves what a client does, not how durable S3 is.

use crate::connection::Failure;
use crate::random::Random;
use futures::StreamExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The one user that the server knows.
pub const ACCESS_KEY: &str = "tundra";
pub const SECRET_KEY: &str = "tundra-secret";
/// The server stands for any region.
pub const REGION: &str = "us-east-1";
/// Where faults are set over HTTP; no bucket can be called so.
const FAULTS: &str = "/_faults";

const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

const NO_SUCH_KEY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchKey</Code></Error>";

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
    address: SocketAddr,
    bucket: String,
    state: Arc<State>,
    task: JoinHandle<()>,
    _folder: Option<TempDir>,
}

struct State {
    service: S3Service,
    root: PathBuf,
    /// Held while a conditional put is looked at and done.
    conditional: tokio::sync::Mutex<()>,
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
        std::fs::create_dir_all(root.join(bucket)).map_err(Failure::of)?;
        let files = s3s_fs::FileSystem::new(root).map_err(|error| Failure(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let state = Arc::new(State {
            service: builder.build(),
            root: root.into(),
            conditional: tokio::sync::Mutex::default(),
            faults: Mutex::default(),
            random: Mutex::new(Random::new(1)),
            hits: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let listener = TcpListener::bind(listen).await.map_err(Failure::of)?;
        let address = listener.local_addr().map_err(Failure::of)?;
        let task = tokio::spawn(serve(listener, state.clone()));
        Ok(S3Server { address, bucket: bucket.into(), state, task, _folder: None })
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a prefix in the bucket.
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }

    /// What a client needs, named as in its environment.
    pub fn settings(&self) -> Vec<(String, String)> {
        let url = self.url();
        let settings = [
            ("AWS_ENDPOINT", url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", REGION),
        ];
        settings.map(|(name, value)| (name.to_string(), value.to_string())).into()
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
    pub async fn run(mut self) -> Result<(), Failure> {
        (&mut self.task).await.map_err(Failure::of)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // Without it, small replies wait for the client's acknowledgement.
        let Ok(socket) = accepted.and_then(|(socket, _)| socket.set_nodelay(true).map(|()| socket)) else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| state.clone().answer(request));
            // It ends with an error where a reply is to be lost.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
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
        if self.is_folder(&request) {
            return Ok(reply(StatusCode::NOT_FOUND, NO_SUCH_KEY));
        }
        let headers = request.headers();
        let conditional = headers.contains_key("if-none-match") || headers.contains_key("if-match");
        let put = *request.method() == Method::PUT;
        let write = put || *request.method() == Method::POST || *request.method() == Method::DELETE;
        // `s3s-fs` looks whether the condition holds, and writes later.
        let turn = match conditional && put {
            true => Some(self.conditional.lock().await),
            false => None,
        };
        let answer = self.service.call(request).await?;
        drop(turn);
        match write && answer.status().is_success() && self.strikes(faults.lost_replies) {
            true => Err(HttpError::new("lost".into())),
            false => Ok(answer),
        }
    }

    /// Whether an object is asked for that is the folder of others: there is none for S3, and `s3s-fs` fails.
    fn is_folder(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path().trim_start_matches('/');
        let reads =
            matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().query().is_none();
        reads && path.contains('/') && self.root.join(path).is_dir()
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

fn reply(status: StatusCode, body: &'static str) -> HttpResponse {
    let mut reply = HttpResponse::new(Body::from(bytes::Bytes::from_static(body.as_bytes())));
    *reply.status_mut() = status;
    reply
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
