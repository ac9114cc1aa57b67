//! Nodes as processes of this machine: `tundra shard`, each with a folder of its own.
//!
//! They live on when the control plane ends, and are its own again when it is back: a folder has the process's number, when it
//! began and the machine's start, and nothing is done to a process of which all three are not the same.

use super::processes::ProcessId;
use super::{Instance, Listing, ScaleTarget};
use crate::error::{Error, Result};
use crate::{hex, signing};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustix::process::Signal;
use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the folders of nodes begin with.
const PREFIX: &str = "node-";
/// In the folder of a node.
const PID: &str = "pid";
const LOG: &str = "log";
const DATA: &str = "data";
/// How long a process may take to end before it is killed.
const END: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(50);
/// The most bytes of a log's end that are told.
const TOLD_BYTES: usize = 400;

/// How nodes are started.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The folder of their folders; no other control plane may use it.
    pub folder: PathBuf,
    /// The `tundra` program.
    pub program: PathBuf,
    /// Of `tundra shard`, all but `--data`.
    pub arguments: Vec<String>,
    /// Added to the environment, such as how S3 is reached: where there are any, no other `AWS_` variables count.
    pub settings: Vec<(String, String)>,
}

/// Nodes that are processes.
pub struct LocalProcesses {
    inner: Arc<Inner>,
}

struct Inner {
    options: LocalOptions,
    /// Those that this process started, which are waited for when they end.
    children: Mutex<HashMap<String, Child>>,
    /// One thing is done at a time.
    turn: Mutex<()>,
}

impl LocalProcesses {
    /// Takes the folder, which is made where it is missing.
    pub fn new(mut options: LocalOptions) -> Result<LocalProcesses> {
        fs::create_dir_all(&options.folder).map_err(|error| failed(&options.folder, &error))?;
        options.folder = options.folder.canonicalize().map_err(|error| failed(&options.folder, &error))?;
        if ProcessId::of(std::process::id()).is_none() {
            let why = "nodes cannot be processes of this machine: it has no /proc to tell them apart by";
            return Err(Error::Environment(why.into()));
        }
        let inner = Inner { options, children: Mutex::default(), turn: Mutex::default() };
        Ok(LocalProcesses { inner: Arc::new(inner) })
    }

    /// Ends the processes of all nodes. Their folders stay, by which they are found to have ended.
    pub async fn stop(&self) -> Result<()> {
        self.blocking(Inner::stop).await
    }

    fn blocking<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'a, Result<T>> {
        let inner = self.inner.clone();
        async move {
            let done = tokio::task::spawn_blocking(move || {
                let _turn = inner.turn.lock();
                work(&inner)
            });
            done.await.map_err(|error| Error::Internal(error.to_string()))?
        }
        .boxed()
    }
}

impl ScaleTarget for LocalProcesses {
    fn name(&self) -> String {
        format!("processes in {}", self.inner.options.folder.display())
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        self.blocking(Inner::list)
    }

    fn grow(&self, to: u32) -> BoxFuture<'_, Result<()>> {
        self.blocking(move |inner| {
            let running = inner.list()?.expected;
            (running..to).try_for_each(|_| inner.launch())
        })
    }

    fn terminate<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        let instance = instance.to_string();
        self.blocking(move |inner| inner.terminate(&instance))
    }
}

impl Inner {
    fn list(&self) -> Result<Listing> {
        // Those that have ended are waited for, so that they are gone.
        self.children.lock().retain(|_, child| !matches!(child.try_wait(), Ok(Some(_))));
        let mut listing = Listing::default();
        let folder = &self.options.folder;
        for entry in fs::read_dir(folder).map_err(|error| failed(folder, &error))? {
            let entry = entry.map_err(|error| failed(folder, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(PREFIX) || !entry.path().is_dir() {
                continue;
            }
            let runs = self.process(&name)?.is_some_and(|process| process.runs());
            let shard = fs::read_to_string(entry.path().join(DATA).join("shard-id")).ok();
            let gone = (!runs).then(|| match last_line(&entry.path().join(LOG)) {
                Some(line) => format!("its process ended: {line}"),
                None => "its process ended".into(),
            });
            listing.expected += u32::from(runs);
            let shard = shard.map(|id| id.trim().to_string());
            listing.instances.push(Instance { name, gone, shard, host: None });
        }
        listing.instances.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listing)
    }

    /// The process of a node, running or not. One that was started by a control plane which ended before it noted it is found by
    /// its folder.
    fn process(&self, name: &str) -> Result<Option<ProcessId>> {
        let folder = self.options.folder.join(name);
        if let Some(process) = fs::read_to_string(folder.join(PID)).ok().as_deref().and_then(ProcessId::read)
        {
            return Ok(Some(process));
        }
        let found = ProcessId::of_folder(&folder.join(DATA));
        found.as_ref().map_or(Ok(()), |process| note(&folder, process))?;
        Ok(found)
    }

    fn launch(&self) -> Result<()> {
        let name = format!("{PREFIX}{}", hex::encode(&signing::random::<6>()?));
        let folder = self.options.folder.join(&name);
        let wrong = |error: std::io::Error| failed(&folder, &error);
        fs::create_dir(&folder).map_err(wrong)?;
        let log = fs::File::create(folder.join(LOG)).map_err(wrong)?;
        let mut command = Command::new(&self.options.program);
        // Its settings are in its arguments.
        let settings = &self.options.settings;
        let of_other = |name: &str| {
            name.starts_with("TUNDRA_") && name != "TUNDRA_LOG"
                || name.starts_with("AWS_") && !settings.is_empty()
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_other)) {
            command.env_remove(name);
        }
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.arg("shard").arg("--data").arg(folder.join(DATA)).args(&self.options.arguments);
        command.stdin(Stdio::null()).stderr(log.try_clone().map_err(wrong)?).stdout(log);
        // What ends this process by its terminal does not end its nodes.
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            Error::Environment(format!("cannot start {}: {error}", self.options.program.display()))
        });
        let child = child.inspect_err(|_| {
            // Nothing runs in it.
            let _ = fs::remove_dir_all(&folder);
        })?;
        let process = ProcessId::of(child.id());
        self.children.lock().insert(name, child);
        // One that has ended already is found gone.
        process.map_or(Ok(()), |process| note(&folder, &process))
    }

    fn terminate(&self, name: &str) -> Result<()> {
        let folder = self.options.folder.join(name);
        let plain = name.starts_with(PREFIX) && !name.contains(['/', '\\', '.']);
        if !plain || !folder.is_dir() {
            return Ok(());
        }
        let wrong = |error: std::io::Error| failed(&folder, &error);
        if let Some(process) = self.process(name)? {
            self.end(name, &process)?;
        }
        if let Some(mut child) = self.children.lock().remove(name) {
            // It has ended, or never was.
            let _ = child.wait();
        }
        fs::remove_dir_all(&folder).map_err(wrong)
    }

    /// Ends a process: as it is asked to, or else at once.
    fn end(&self, name: &str, process: &ProcessId) -> Result<()> {
        let wrong = |error: std::io::Error| failed(&self.options.folder.join(name), &error);
        process.signal(Signal::TERM).map_err(wrong)?;
        if !self.ended(name, process) {
            process.signal(Signal::KILL).map_err(wrong)?;
            if !self.ended(name, process) {
                return Err(Error::Environment(format!("the process of {name} does not end")));
            }
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        let names: Vec<String> = self.list()?.instances.into_iter().map(|one| one.name).collect();
        let mut running = Vec::new();
        for name in names {
            running.extend(self.process(&name)?.filter(ProcessId::runs).map(|process| (name, process)));
        }
        // All are told before any is waited for.
        for (name, process) in &running {
            process.signal(Signal::TERM).map_err(|error| failed(&self.options.folder.join(name), &error))?;
        }
        running.iter().try_for_each(|(name, process)| self.end(name, process))
    }

    /// Waits for a process to end.
    fn ended(&self, name: &str, process: &ProcessId) -> bool {
        let until = Instant::now() + END;
        while process.runs() {
            if let Some(child) = self.children.lock().get_mut(name) {
                let _ = child.try_wait();
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

/// Notes a node's process, at once or not at all.
fn note(folder: &Path, process: &ProcessId) -> Result<()> {
    let wrong = |error: std::io::Error| failed(folder, &error);
    let new = folder.join("pid.new");
    fs::write(&new, format!("{process}\n")).map_err(wrong)?;
    fs::rename(&new, folder.join(PID)).map_err(wrong)
}

/// The end of a log.
fn last_line(log: &Path) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TOLD_BYTES as u64))).ok()?;
    let mut bytes = Vec::new();
    file.take(TOLD_BYTES as u64).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_string)
}

fn failed(folder: &Path, error: &std::io::Error) -> Error {
    Error::Environment(format!("{}: {error}", folder.display()))
}

#[cfg(test)]
#[path = "../tests/local.rs"]
mod tests;
