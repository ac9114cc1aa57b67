//! Tundra as a process of its own, asked over Arrow Flight SQL; and building it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::engine::{Engine, LOAD_TIMEOUT, Loaded, Run, Work};
use crate::process::{Memory, Process};
use crate::python::last_lines;
use crate::{Failure, progress};

/// The largest message that is accepted: a batch, not a whole result.
const MESSAGE_BYTES: usize = 1 << 30;

/// Builds the binary in a repository, and says where it is.
pub(crate) fn build(repository: &Path) -> Result<PathBuf, Failure> {
    progress("building tundra");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--bin", "tundra", "--message-format", "json-render-diagnostics"])
        .current_dir(repository)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}; name a binary with --tundra"))?;
    if !output.status.success() {
        return Err("cargo build --release --bin tundra failed".into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executable = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    executable.next_back().ok_or_else(|| "cargo named no executable".into())
}

pub(crate) struct Tundra {
    process: Process,
    runtime: Runtime,
    client: FlightSqlServiceClient<Channel>,
    version: String,
    timeout: Duration,
}

impl Tundra {
    /// Starts `tundra up` with an empty data folder; the tables' places are allowed.
    pub(crate) fn start(binary: &Path, folder: &Path, work: &Work) -> Result<Tundra, Failure> {
        let cannot = |error| format!("cannot start {}: {error}", binary.display());
        let version = Command::new(binary).arg("--version").output().map_err(cannot)?;
        let log = folder.join("tundra.log");
        let mut command = Command::new(binary);
        command.arg("up").arg("--data").arg(work.folder);
        command.args(["--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(["--threads", &work.threads.to_string(), "--memory", &work.memory_bytes.to_string()]);
        for table in work.tables {
            command.args(["--allow-location", &table.url()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = Process::start(&mut command).map_err(cannot)?;
        let mut line = String::new();
        if let Some(output) = process.child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let url = line.split_whitespace().find_map(|word| word.strip_prefix("flight=grpc://"));
        let url = url.ok_or_else(|| format!("tundra did not start: {line}{}", last_lines(&log)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("http://{url}"))?.tcp_nodelay(true);
        let channel = runtime.block_on(endpoint.connect())?;
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let client = FlightSqlServiceClient::new_from_inner(inner);
        let version =
            String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("tundra ").to_string();
        Ok(Tundra { process, runtime, client, version, timeout: work.timeout })
    }

    fn rows(&mut self, sql: &str, timeout: Duration) -> Result<Vec<RecordBatch>, Failure> {
        let client = &mut self.client;
        let asking = async {
            let info = client.execute(sql.to_string(), None).await?;
            let mut batches = Vec::new();
            for endpoint in info.endpoint {
                let ticket = endpoint.ticket.ok_or("an endpoint without a ticket")?;
                batches.extend(client.do_get(ticket).await?.try_collect::<Vec<_>>().await?);
            }
            Ok::<_, Failure>(batches)
        };
        let answered = self.runtime.block_on(async { tokio::time::timeout(timeout, asking).await });
        answered.map_err(|_| format!("no answer after {} s", timeout.as_secs()))?
    }
}

impl Engine for Tundra {
    fn load(&mut self, work: &Work) -> Result<Loaded, Failure> {
        let begun = Instant::now();
        for table in work.tables {
            let (name, url) = (table.name.replace('"', "\"\""), table.url().replace('\'', "''"));
            let sql = format!("CREATE EXTERNAL TABLE \"{name}\" STORED AS PARQUET LOCATION '{url}'");
            self.rows(&sql, LOAD_TIMEOUT).map_err(|error| format!("cannot load {}: {error}", table.name))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let store_bytes = Some(folder_bytes(&work.folder.join("segments"))?);
        let form = "encoded segments in mapped files".to_string();
        Ok(Loaded { seconds, version: self.version.clone(), form, store_bytes })
    }

    fn run(&mut self, sql: &str, answer: bool) -> Result<Run, Failure> {
        let begun = Instant::now();
        let batches = self.rows(sql, self.timeout)?;
        let seconds = begun.elapsed().as_secs_f64();
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Ok(Run { seconds, rows, answer: answer.then_some(batches) })
    }

    /// A query that is given up is cancelled, so nothing hangs.
    fn usable(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    fn memory(&self) -> Memory {
        self.process.memory()
    }
}

/// What the files under a folder take.
fn folder_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum +=
            if entry.file_type()?.is_dir() { folder_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
