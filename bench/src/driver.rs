//! An engine that lives in Python, behind `drivers/driver.py`: a line of JSON there, a line back.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use arrow::ipc::reader::StreamReader;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Failure;
use crate::engine::{Engine, Kind, LOAD_TIMEOUT, Loaded, Run, Work};
use crate::process::{Memory, Process};
use crate::python::last_lines;

const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/drivers/driver.py");

pub(crate) struct Driver {
    process: Process,
    requests: ChildStdin,
    replies: Receiver<String>,
    timeout: Duration,
    /// Whether every request got its reply.
    answers: bool,
    log: PathBuf,
    answer: PathBuf,
}

#[derive(Deserialize)]
struct Ran {
    seconds: f64,
    rows: u64,
}

impl Driver {
    /// `folder` gets the log and the answers.
    pub(crate) fn start(python: &Path, kind: Kind, folder: &Path, work: &Work) -> Result<Driver, Failure> {
        let log = folder.join(format!("{}.log", kind.name()));
        let mut command = Command::new(python);
        let threads = work.threads.to_string();
        command.arg("-B").arg(DRIVER).arg(kind.name());
        // Pools that are sized when a library is loaded.
        command.env("POLARS_MAX_THREADS", &threads).env("TOKIO_WORKER_THREADS", &threads);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = Process::start(&mut command)
            .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
        let (Some(requests), Some(replies)) = (process.child.stdin.take(), process.child.stdout.take())
        else {
            return Err("the driver has no pipes".into());
        };
        let answer = folder.join(format!("{}.arrow", kind.name()));
        Ok(Driver {
            process,
            requests,
            replies: lines_of(replies),
            timeout: work.timeout,
            answers: true,
            log,
            answer,
        })
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> Result<T, Failure> {
        // A driver that has ended is told by the end of its replies.
        let _ = writeln!(self.requests, "{request}");
        let reply = self.replies.recv_timeout(self.timeout);
        self.answers &= reply.is_ok();
        let reply = reply.map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer after {} s", self.timeout.as_secs()),
            RecvTimeoutError::Disconnected => {
                let ending = self.process.child.wait().map_or(String::new(), |status| status.to_string());
                format!("the process ended ({ending}): {}", last_lines(&self.log))
            }
        })?;
        let reply: Value = serde_json::from_str(&reply)?;
        match reply.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.trim().into()),
            None => Ok(serde_json::from_value(reply)?),
        }
    }
}

/// The lines of a pipe, read by a thread of their own.
fn lines_of(pipe: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        for line in lines {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Engine for Driver {
    fn load(&mut self, work: &Work) -> Result<Loaded, Failure> {
        let usual = self.timeout;
        self.timeout = LOAD_TIMEOUT.max(usual);
        let loaded = self.ask(&json!({"load": {
            "tables": work.tables, "folder": work.folder, "threads": work.threads,
            "memory_bytes": work.memory_bytes, "in_memory": work.in_memory,
        }}));
        self.timeout = usual;
        loaded
    }

    fn run(&mut self, sql: &str, answer: bool) -> Result<Run, Failure> {
        let path = answer.then_some(&self.answer);
        let ran: Ran = self.ask(&json!({"run": sql, "answer": path}))?;
        let answer = match answer {
            true => Some(StreamReader::try_new(File::open(&self.answer)?, None)?.collect::<Result<_, _>>()?),
            false => None,
        };
        Ok(Run { seconds: ran.seconds, rows: ran.rows, answer })
    }

    fn usable(&mut self) -> bool {
        self.answers
    }

    fn memory(&self) -> Memory {
        self.process.memory()
    }
}
