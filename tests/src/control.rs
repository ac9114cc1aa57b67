//! `tundra control` beside a cluster of processes.

use crate::cluster::{FurtherNode, ProcessCluster, start_node, tundra};
use crate::connection::{Connection, Failure, number};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How long a decision may take to be acted on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane. It ends when dropped.
pub struct Control {
    pub node: FurtherNode,
    url: String,
}

impl Control {
    /// Starts it over the database in a folder.
    pub async fn start(cluster: &ProcessCluster, data: &str, further: &[&str]) -> Result<Control, Failure> {
        let coordinators = cluster.http.join(",");
        let words = ["control", "--data", data, "--listen", "127.0.0.1:0", "--coordinators", &coordinators];
        let words: Vec<String> = words.iter().chain(further).map(|word| word.to_string()).collect();
        let mut node = start_node(&tundra()?, &words, false)?;
        let url = node.ready("http=").await?;
        Ok(Control { node, url })
    }

    /// What a command that talks to it prints.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(tundra()?);
        let output = command.args(arguments).env("TUNDRA_CONTROL_URL", &self.url).output().await;
        let output = output.map_err(Failure::of)?;
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_string();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(Failure(text(&output.stderr))),
        }
    }
}

/// A connection to all coordinators, which take turns, that shows a key or a token.
pub async fn connect(cluster: &ProcessCluster, shown: &str) -> Result<Connection, Failure> {
    let mut connections = Vec::new();
    for address in &cluster.coordinators {
        connections.push(Connection::flight_as(address, shown).await?);
    }
    Ok(Connection::Turns(connections, 0))
}

/// Waits until a statement is answered as it is to be, three times in a row: by every coordinator of up to three.
pub async fn until(
    connection: &mut Connection,
    sql: &str,
    wanted: impl Fn(&Result<i64, Failure>) -> bool,
) -> Result<(), Failure> {
    let (begun, mut agreed) = (Instant::now(), 0);
    while agreed < 3 {
        let answer = number(connection, sql).await;
        agreed = if wanted(&answer) { agreed + 1 } else { 0 };
        if begun.elapsed() >= PATIENCE {
            return Err(Failure(format!("{sql}: {answer:?}")));
        }
        if agreed == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
