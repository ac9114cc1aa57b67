//! `tundra control` as a process, which launches nodes as processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Server, TUNDRA};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// `tundra control`, and the nodes that it launches; all are killed when dropped.
pub struct Control {
    process: Child,
    url: String,
    nodes: PathBuf,
}

impl Control {
    /// For a cluster, whose coordinator other nodes reach at `coordinator`.
    pub fn start(folder: &Path, cluster: &Server, coordinator: &str, certificates: &Path) -> Control {
        let nodes = folder.join("nodes");
        let mut command = Command::new(TUNDRA);
        command.arg("control").arg("--data").arg(folder.join("control"));
        command.args(["--listen", "127.0.0.1:0", "--scale-look", "200"]);
        command
            .arg("--coordinators")
            .arg(format!("http://{}", cluster.http))
            .arg("--scale-local")
            .arg(&nodes);
        for argument in [
            format!("--coordinators={coordinator}"),
            format!("--certificates={}", certificates.display()),
            "--memory=256MiB".into(),
            "--threads=1".into(),
        ] {
            command.arg("--scale-shard").arg(argument);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("tundra control ready http=").unwrap_or_else(|| panic!("{line}"));
        Control { url: url.into(), process, nodes }
    }

    /// What a subcommand of `tundra` prints that asks the control plane.
    pub fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(TUNDRA);
        let output = command.args(arguments).env("TUNDRA_CONTROL_URL", &self.url).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Of the pool.
    pub fn status(&self) -> Value {
        let status: Value = serde_json::from_str(&self.run(&["scale", "status", "--json"])).unwrap();
        status[0].clone()
    }

    /// Waits for the status to be so.
    pub fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {status:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The numbers of the processes that were launched for whatever pool, and run.
    pub fn pids(&self) -> Vec<String> {
        let pools = fs::read_dir(self.nodes.join("pools")).into_iter().flatten().flatten();
        let all = pools.map(|pool| pool.path()).chain([self.nodes.clone()]);
        let folders = all.flat_map(|nodes| fs::read_dir(nodes).into_iter().flatten().flatten());
        let pids = folders.filter_map(|folder| {
            let text = fs::read_to_string(folder.path().join("pid")).ok()?;
            let pid = text.split(' ').next()?.to_string();
            // Its number may be another process's by now.
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            String::from_utf8_lossy(&line).contains(folder.path().to_str()?).then_some(pid)
        });
        pids.collect()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in self.pids() {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    }
}
