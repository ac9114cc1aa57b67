//! A cluster of processes on this machine.

use crate::connection::{Connection, Failure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Arguments for three coordinators, and for small tables in parts on three shards, each part twice.
pub const SMALL_PARTS: [&str; 12] = [
    "--coordinators",
    "3",
    "--shards",
    "3",
    "--memory",
    "2GB",
    "--replicated-rows",
    "10",
    "--bucket-rows",
    "100",
    "--buckets",
    "8",
];

/// `tundra cluster`, which starts its nodes as processes. It ends, and removes its data, when dropped.
pub struct ProcessCluster {
    process: Child,
    folder: TempDir,
    /// `HOST:PORT` of each coordinator's Flight SQL.
    pub coordinators: Vec<String>,
    /// `http://HOST:PORT` of each coordinator.
    pub http: Vec<String>,
}

/// A node beside those of a [`ProcessCluster`], which is not started again when it ends. It ends when dropped.
pub struct FurtherNode {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl FurtherNode {
    /// What its ready line has behind `key`, once it is ready.
    pub async fn ready(&mut self, key: &str) -> Result<String, Failure> {
        let line = self.lines.next_line().await.map_err(Failure::of)?;
        let line = line.ok_or_else(|| Failure::of("the node ended at its start"))?;
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
        word.map(str::to_string).ok_or_else(|| Failure(format!("no {key} in: {line}")))
    }

    /// Ends it, as the end of its machine would.
    pub async fn kill(mut self) -> Result<(), Failure> {
        self.process.kill().await.map_err(Failure::of)
    }

    /// Ends it as a service manager does.
    pub async fn end(mut self) -> Result<(), Failure> {
        let id = self.process.id().ok_or_else(|| Failure::of("the node has ended by itself"))?;
        Command::new("kill").args(["-TERM", &id.to_string()]).status().await.map_err(Failure::of)?;
        match self.process.wait().await.map_err(Failure::of)? {
            status if status.success() => Ok(()),
            status => Err(Failure(format!("the node ended with {status}"))),
        }
    }

    /// What it has logged when it has ended by itself, which it is to do soon.
    pub async fn failure(mut self) -> Result<String, Failure> {
        let mut log = String::new();
        let output = self.process.stderr.as_mut().ok_or_else(|| Failure::of("the log is not kept"))?;
        let ended = tokio::time::timeout(ENDING, output.read_to_string(&mut log)).await;
        ended.map_err(|_| Failure(format!("the node goes on: {log}")))?.map_err(Failure::of)?;
        let status = self.process.wait().await.map_err(Failure::of)?;
        match status.success() {
            true => Err(Failure(format!("the node ended as if it was told to: {log}"))),
            false => Ok(log),
        }
    }
}

/// How long a node may take to end by itself.
const ENDING: Duration = Duration::from_secs(30);

/// Makes a certificate of the authority in the folder `certificates`, which is made where there is none.
pub async fn certificate(certificates: &Path, name: &str) -> Result<(), Failure> {
    let mut cert = Command::new(tundra()?);
    cert.arg("cert").arg("--data").arg(certificates).args(["--name", name]).stdout(Stdio::null());
    match cert.status().await.map_err(Failure::of)?.success() {
        true => Ok(()),
        false => Err(Failure(format!("no certificate for {name}"))),
    }
}

/// Starts a node of a release, its log at this process's or, with `keep_log`, for [`FurtherNode::failure`].
pub fn start_node(release: &Path, arguments: &[String], keep_log: bool) -> Result<FurtherNode, Failure> {
    let mut command = Command::new(release);
    command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true);
    if keep_log {
        command.stderr(Stdio::piped());
    }
    let mut process = command.spawn().map_err(Failure::of)?;
    let output = process.stdout.take().ok_or_else(|| Failure::of("no output"))?;
    Ok(FurtherNode { process, lines: BufReader::new(output).lines() })
}

/// What `tundra admin` prints as JSON, asking the coordinator at `http://HOST:PORT`.
pub async fn admin(url: &str, arguments: &[&str]) -> Result<serde_json::Value, Failure> {
    let mut command = Command::new(tundra()?);
    command.args(["admin", "--json", "--url", url]).args(arguments).kill_on_drop(true);
    let output = command.output().await.map_err(Failure::of)?;
    match output.status.success() {
        true => serde_json::from_slice(&output.stdout).map_err(Failure::of),
        false => Err(Failure(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
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
        let words = |key: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.unwrap_or_default().split(',').map(str::to_string).collect::<Vec<_>>()
        };
        let addresses = words("flight=").into_iter();
        let coordinators: Vec<String> =
            addresses.filter_map(|url| Some(url.strip_prefix("grpc://")?.to_string())).collect();
        if coordinators.is_empty() {
            return Err(Failure(format!("not ready: {line}")));
        }
        Ok(ProcessCluster { process, folder, coordinators, http: words("http=") })
    }

    /// The folder of the cluster, with one below for each node.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// Where nodes reach the coordinators that it was started with, in the order of their numbers.
    pub fn members(&self) -> Result<Vec<String>, Failure> {
        let text = fs::read_to_string(self.data().join("coordinators")).map_err(Failure::of)?;
        Ok(text.lines().map(str::to_string).collect())
    }

    /// Starts `tundra KIND` with a certificate of the cluster and a folder called `name`.
    pub async fn further(&self, kind: &str, name: &str, arguments: &[&str]) -> Result<FurtherNode, Failure> {
        let certificates = self.data().join("certificates");
        certificate(&certificates, name).await?;
        let (data, own) = (self.data().join(name), certificates.join(name));
        let (data, own) = (data.display().to_string(), own.display().to_string());
        let words = [&[kind, "--data", &data, "--certificates", &own], arguments].concat();
        let words: Vec<String> = words.into_iter().map(str::to_string).collect();
        start_node(&tundra()?, &words, false)
    }

    /// What `tundra admin` prints as JSON, asking the coordinator in that place.
    pub async fn admin(&self, place: usize, arguments: &[&str]) -> Result<serde_json::Value, Failure> {
        admin(&self.http[place], arguments).await
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
pub fn tundra() -> Result<PathBuf, Failure> {
    let test = std::env::current_exe().map_err(Failure::of)?;
    let folders = test.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("tundra")).find(|path| path.is_file());
    found.ok_or_else(|| Failure::of("the binary is missing: build it with `cargo build --bin tundra`"))
}
