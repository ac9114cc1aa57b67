//! A cluster of processes on this machine.

use crate::connection::{Connection, Failure};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
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
        ProcessCluster::start_in(tempfile::tempdir().map_err(Failure::of)?, arguments).await
    }

    /// As [`ProcessCluster::start`], in the folder `cluster` of `folder`.
    pub async fn start_in(folder: TempDir, arguments: &[&str]) -> Result<ProcessCluster, Failure> {
        ProcessCluster::start_with(folder, arguments, &[]).await
    }

    /// As [`ProcessCluster::start_in`], with further variables in the environment.
    pub async fn start_with(
        folder: TempDir,
        arguments: &[&str],
        variables: &[(String, String)],
    ) -> Result<ProcessCluster, Failure> {
        let mut command = Command::new(tundra()?);
        command.arg("cluster").arg("--data").arg(folder.path().join("cluster")).args(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
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

    /// Ends a node, called as its folder is, as the end of its machine would.
    pub fn kill(&self, name: &str) -> Result<(), Failure> {
        let process = self.process_of(name)?.ok_or_else(|| Failure(format!("{name} does not run")))?;
        let killed = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
        killed.map_err(Failure::of).map(drop)
    }

    /// Ends all at once, as the end of their machine would, and gives the folder.
    pub async fn crash(mut self) -> Result<TempDir, Failure> {
        let parent = self.process.id().ok_or_else(|| Failure::of("the cluster has ended"))?;
        let nodes = children(parent)?;
        let all = std::iter::once(&parent).chain(&nodes).map(u32::to_string);
        Command::new("kill").arg("-KILL").args(all).status().await.map_err(Failure::of)?;
        self.process.wait().await.map_err(Failure::of)?;
        // The nodes are another's children now; one that is gone, or only waits to be noticed, has no words.
        let runs =
            |node: &u32| fs::read(format!("/proc/{node}/cmdline")).is_ok_and(|words| !words.is_empty());
        while nodes.iter().any(runs) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(self.folder)
    }

    /// Waits until a node runs.
    pub async fn wait_for(&self, name: &str) -> Result<(), Failure> {
        while self.process_of(name)?.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The process of a node.
    fn process_of(&self, name: &str) -> Result<Option<u32>, Failure> {
        let parent = self.process.id().ok_or_else(|| Failure::of("the cluster has ended"))?;
        let folder = self.folder.path().join("cluster").join(name).display().to_string();
        for child in children(parent)? {
            let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if words.split(|&byte| byte == 0).any(|word| word == folder.as_bytes()) {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// Ends all nodes as a service manager does, and gives the folder.
    pub async fn end(mut self) -> Result<TempDir, Failure> {
        if let Some(id) = self.process.id() {
            Command::new("kill").args(["-TERM", &id.to_string()]).status().await.map_err(Failure::of)?;
        }
        let status = self.process.wait().await.map_err(Failure::of)?;
        match status.success() {
            true => Ok(self.folder),
            false => Err(Failure(format!("the cluster ended with {status}"))),
        }
    }

    /// Ends all nodes, and removes their data.
    pub async fn stop(self) -> Result<(), Failure> {
        self.end().await.map(drop)
    }
}

/// The processes that a process has started.
fn children(parent: u32) -> Result<Vec<u32>, Failure> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{parent}/task")).map_err(Failure::of)? {
        // A thread, or a process, may end meanwhile.
        let Ok(task) = task else { continue };
        let Ok(children) = fs::read_to_string(task.path().join("children")) else { continue };
        for child in children.split_whitespace() {
            found.push(child.parse().map_err(Failure::of)?);
        }
    }
    Ok(found)
}

/// The `tundra` binary that was built with this test.
fn tundra() -> Result<PathBuf, Failure> {
    let test = std::env::current_exe().map_err(Failure::of)?;
    let folders = test.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("tundra")).find(|path| path.is_file());
    found.ok_or_else(|| Failure::of("the binary is missing: build it with `cargo build --bin tundra`"))
}
