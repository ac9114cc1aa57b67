//! A cluster of processes on this machine.

use crate::connection::{Connection, Failure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// `tundra cluster`, which starts its nodes as processes. It ends, and removes its data, when dropped.
pub struct ProcessCluster {
    process: Child,
    folder: TempDir,
    /// `HOST:PORT` of each coordinator's Flight SQL.
    pub coordinators: Vec<String>,
}

impl ProcessCluster {
    /// Starts with further arguments, and waits until it is ready.
    pub async fn start(arguments: &[&str]) -> Result<ProcessCluster, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::of)?;
        let mut command = Command::new(tundra()?);
        command.arg("cluster").arg("--data").arg(folder.path().join("cluster")).args(arguments);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(Failure::of)?;
        let output = process.stdout.take().ok_or_else(|| Failure::of("no output"))?;
        let line = BufReader::new(output).lines().next_line().await.map_err(Failure::of)?;
        let line = line.ok_or_else(|| Failure::of("the cluster ended at its start"))?;
        let flight = line.split_whitespace().find_map(|word| word.strip_prefix("flight="));
        let addresses = flight.unwrap_or_default().split(',').filter_map(|url| url.strip_prefix("grpc://"));
        let coordinators: Vec<String> = addresses.map(str::to_string).collect();
        if coordinators.is_empty() {
            return Err(Failure(format!("not ready: {line}")));
        }
        Ok(ProcessCluster { process, folder, coordinators })
    }

    /// One connection to all coordinators, which take turns.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        let mut connections = Vec::new();
        for address in &self.coordinators {
            connections.push(Connection::flight(address).await?);
        }
        Ok(Connection::Turns(connections, 0))
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends all nodes as a service manager does.
    pub async fn stop(mut self) -> Result<(), Failure> {
        if let Some(id) = self.process.id() {
            Command::new("kill").args(["-TERM", &id.to_string()]).status().await.map_err(Failure::of)?;
        }
        let status = self.process.wait().await.map_err(Failure::of)?;
        if status.success() { Ok(()) } else { Err(Failure(format!("the cluster ended with {status}"))) }
    }
}

/// The `tundra` binary that was built with this test.
fn tundra() -> Result<PathBuf, Failure> {
    let test = std::env::current_exe().map_err(Failure::of)?;
    let folders = test.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("tundra")).find(|path| path.is_file());
    found.ok_or_else(|| Failure::of("the binary is missing: build it with `cargo build --bin tundra`"))
}
