//! An S3 server over a folder, to try and to test what speaks S3 where there is none: `s3s-fs` with conditional puts
//! made atomic, and keys that reach some prefixes alone. It proves what a client does, not how durable S3 is.

mod keys;

use futures::{StreamExt, stream};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use s3s::dto::StreamingBlob;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::fs::File;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

pub use hyper::StatusCode;
pub use keys::Keys;
pub use s3s::{Body, HttpError, HttpResponse};

/// The server stands for any region.
pub const REGION: &str = "us-east-1";

/// Of an object that is sent.
const PIECE_BYTES: u64 = 1 << 20;

const DENIED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code></Error>";
const NO_SUCH_KEY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchKey</Code></Error>";

/// An access key with its secret.
#[derive(Clone)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

impl Credentials {
    /// What a client of the server at `url` needs, named as in its environment.
    pub fn settings(&self, url: &str) -> Vec<(String, String)> {
        let settings = [
            ("AWS_ENDPOINT", url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", self.access_key.as_str()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.as_str()),
            ("AWS_REGION", REGION),
        ];
        settings.map(|(name, value)| (name.to_string(), value.to_string())).into()
    }
}

/// A folder as S3 gives it: each folder in it is a bucket.
pub struct Folder {
    service: S3Service,
    root: PathBuf,
    keys: Keys,
    /// Held while a conditional put is looked at and done.
    conditional: Mutex<()>,
}

impl Folder {
    /// The folder `root`, with a bucket that is made unless it is there.
    ///
    /// # Errors
    /// Where the folder cannot be made or used.
    pub fn new(root: &Path, bucket: &str, credentials: &Credentials) -> Result<Folder> {
        Folder::with_keys(root, bucket, Keys::of(credentials))
    }

    /// As [`Folder::new`], for several users.
    ///
    /// # Errors
    /// Where the folder cannot be made or used.
    pub fn with_keys(root: &Path, bucket: &str, keys: Keys) -> Result<Folder> {
        std::fs::create_dir_all(root.join(bucket))?;
        let files = s3s_fs::FileSystem::new(root).map_err(|error| Error::other(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(keys.clone());
        Ok(Folder { service: builder.build(), root: root.into(), keys, conditional: Mutex::default() })
    }

    /// The reply to a request; an error ends the connection without one.
    pub async fn answer(&self, mut request: Request<Body>) -> std::result::Result<HttpResponse, HttpError> {
        if !self.keys.reaches(&request) {
            // A body that is not read would end the connection instead.
            while request.body_mut().next().await.is_some() {}
            return Ok(reply(StatusCode::FORBIDDEN, DENIED));
        }
        if self.is_folder(&request) {
            return Ok(reply(StatusCode::NOT_FOUND, NO_SUCH_KEY));
        }
        let headers = request.headers();
        let conditional = headers.contains_key("if-none-match") || headers.contains_key("if-match");
        // `s3s-fs` looks whether the condition holds, and writes later.
        let _turn = match conditional && *request.method() == Method::PUT {
            true => Some(self.conditional.lock().await),
            false => None,
        };
        let object = match *request.method() == Method::GET && request.uri().query().is_none() {
            true => self.object(request.uri().path()),
            false => None,
        };
        let reply = self.service.call(request).await?;
        Ok(match object {
            Some(object) => object.sent_as(reply),
            None => reply,
        })
    }

    /// Where an object of this path lies, or would lie; `None` for a path that leads elsewhere.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8().ok()?;
        let below = Path::new(path.as_ref());
        let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
        (plain && path.contains('/')).then(|| self.root.join(below))
    }

    fn object(&self, path: &str) -> Option<Object> {
        let path = self.place(path)?;
        let file = File::open(&path).ok()?;
        Some(Object { file, path })
    }

    /// Whether an object is asked for that is the folder of others: there is none for S3, and `s3s-fs` fails.
    fn is_folder(&self, request: &Request<Body>) -> bool {
        let reads =
            matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().query().is_none();
        reads && self.place(request.uri().path()).is_some_and(|place| place.is_dir())
    }
}

/// A file that was open before its object was asked for.
struct Object {
    file: File,
    path: PathBuf,
}

impl Object {
    /// The reply with a body that is read in large pieces: `s3s-fs` reads 4 KiB at a time, each in a turn of another thread.
    /// It stays as it is where the object was replaced meanwhile.
    fn sent_as(self, reply: HttpResponse) -> HttpResponse {
        let number = |name, part: fn(&str) -> &str| {
            let text = reply.headers().get(name)?.to_str().ok()?;
            part(text).parse::<u64>().ok()
        };
        let first = match reply.status() {
            StatusCode::OK => Some(0),
            StatusCode::PARTIAL_CONTENT => number(CONTENT_RANGE, |range| {
                range.trim_start_matches("bytes ").split('-').next().unwrap_or_default()
            }),
            _ => None,
        };
        let (Some(first), Some(length), true) =
            (first, number(CONTENT_LENGTH, |length| length), self.is_there())
        else {
            return reply;
        };
        let rest = (Arc::new(self.file), first, length);
        let pieces = stream::try_unfold(rest, |(file, first, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut piece = vec![0; left.min(PIECE_BYTES) as usize];
            let reader = file.clone();
            let read = move || reader.read_exact_at(&mut piece, first).map(|()| piece);
            let piece = tokio::task::spawn_blocking(read).await.map_err(Error::other)??;
            let read = piece.len() as u64;
            Result::Ok(Some((Bytes::from(piece), (file, first + read, left - read))))
        });
        reply.map(|_| Body::from(StreamingBlob::wrap(pieces)))
    }

    /// Whether the object still is this file.
    fn is_there(&self) -> bool {
        let id = |data: std::fs::Metadata| (data.dev(), data.ino(), data.len());
        let (own, now) = (self.file.metadata().map(id), std::fs::metadata(&self.path).map(id));
        matches!((own, now), (Ok(own), Ok(now)) if own == now)
    }
}

/// Serves a folder until it is dropped.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves at `HOST:PORT`; port 0 takes a free one. Within a tokio runtime.
    ///
    /// # Errors
    /// Where it cannot listen there.
    pub async fn start(listen: &str, folder: Folder) -> Result<Server> {
        let folder = Arc::new(folder);
        Server::start_with(listen, move |request| {
            let folder = folder.clone();
            async move { folder.answer(request.map(Body::from)).await }
        })
        .await
    }

    /// As [`Server::start`], with replies of one's own.
    ///
    /// # Errors
    /// Where it cannot listen there.
    pub async fn start_with<F>(
        listen: &str,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> Result<Server>
    where
        F: Future<Output = std::result::Result<HttpResponse, HttpError>> + Send + 'static,
    {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Server { address, task: tokio::spawn(serve(listener, answer)) })
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ready once it serves no more.
    pub async fn ended(&mut self) {
        // It was cancelled, or has panicked: it has ended.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<F>(listener: TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static)
where
    F: Future<Output = std::result::Result<HttpResponse, HttpError>> + Send + 'static,
{
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
        let answer = answer.clone();
        connections.spawn(async move {
            // It ends with an error where a request has no reply.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        });
    }
}

/// A reply with a text.
pub fn reply(status: StatusCode, body: &'static str) -> HttpResponse {
    let mut reply = HttpResponse::new(Body::from(Bytes::from_static(body.as_bytes())));
    *reply.status_mut() = status;
    reply
}
