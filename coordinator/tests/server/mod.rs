//! A coordinator in this process, and clients of it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod policy;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use coordinator::{Config, Environment, Handle, Rows};
use futures::TryStreamExt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::transport::Channel;

pub struct Server {
    handle: Handle,
    folder: TempDir,
}

pub type Client = FlightSqlServiceClient<Channel>;

impl Server {
    /// Starts in a new folder; `change` may change the configuration.
    pub async fn start(change: impl FnOnce(&mut Config)) -> Server {
        Server::start_in(TempDir::new().unwrap(), change).await
    }

    pub async fn start_in(folder: TempDir, change: impl FnOnce(&mut Config)) -> Server {
        let mut config = Config::new(folder.path().join("data"));
        config.threads = 2;
        change(&mut config);
        let environment = Environment::listen("127.0.0.1:0", Some("127.0.0.1:0")).await.unwrap();
        let handle = coordinator::start(config, environment).await.unwrap();
        Server { handle, folder }
    }

    /// Stops, and starts again on the same folder.
    pub async fn restart(self, change: impl FnOnce(&mut Config)) -> Server {
        let folder = self.stop().await;
        Server::start_in(folder, change).await
    }

    pub async fn stop(self) -> TempDir {
        self.handle.shutdown().await.unwrap();
        self.folder
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn flight_address(&self) -> SocketAddr {
        self.handle.flight_address().unwrap()
    }

    pub async fn client(&self) -> Client {
        let url = format!("http://{}", self.flight_address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        FlightSqlServiceClient::new(channel)
    }

    /// A client that shows an API key or a token with each call.
    pub async fn client_with(&self, shown: &str) -> Client {
        let mut client = self.client().await;
        client.set_token(shown.into());
        client
    }

    /// Runs a statement in this process, and gives its rows.
    pub async fn run(&self, sql: &str) -> Result<RecordBatch, coordinator::Error> {
        gather(self.handle.session("test").execute(sql).await?).await
    }

    /// As [`Server::run`].
    pub async fn run_owned(&self, sql: String) -> Result<RecordBatch, coordinator::Error> {
        self.run(&sql).await
    }

    /// The only value of a statement's result, as text.
    pub async fn value(&self, sql: &str) -> String {
        let rows = self.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!((rows.num_rows(), rows.num_columns()), (1, 1), "{sql}");
        arrow::util::display::array_value_to_string(rows.column(0), 0).unwrap()
    }

    /// Status and body of a GET.
    pub async fn http(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "", "").await
    }

    /// Status and body of a request; `headers` are lines that end.
    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let address = self.handle.http_address().unwrap();
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             {headers}\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
    }
}

pub async fn gather(rows: Rows) -> Result<RecordBatch, coordinator::Error> {
    let schema = rows.schema().clone();
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// All rows behind the tickets of `info`.
pub async fn fetch(client: &mut Client, info: FlightInfo) -> Result<RecordBatch, FlightError> {
    let mut batches = Vec::new();
    let mut schema = None;
    for endpoint in info.endpoint {
        let mut stream = client.do_get(endpoint.ticket.unwrap()).await?;
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
        schema = stream.schema().cloned();
    }
    Ok(concat_batches(&schema.expect("a schema comes first"), &batches)?)
}

/// Runs a statement by way of Flight SQL, and gives its rows as text, cell by cell.
pub async fn ask(client: &mut Client, sql: &str) -> Result<Vec<String>, String> {
    let info = client.execute(sql.into(), None).await.map_err(|error| error.to_string())?;
    let rows = fetch(client, info).await.map_err(|error| error.to_string())?;
    let cell = |row: usize, column: usize| {
        arrow::util::display::array_value_to_string(rows.column(column), row).unwrap()
    };
    Ok((0..rows.num_rows())
        .flat_map(|row| (0..rows.num_columns()).map(move |column| cell(row, column)))
        .collect())
}
