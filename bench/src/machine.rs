//! What the run ran on: the machine, and the commit of the tree.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

use crate::process::field_bytes;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn here() -> Machine {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cpu: model.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_string(),
            cores: cores(),
            memory_bytes: memory_bytes(),
            kernel: format!("{} {}", std::env::consts::OS, kernel.trim()),
        }
    }
}

/// Threads that can run at once.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Bytes of memory that may be used, within the limit of the control group.
fn memory_bytes() -> u64 {
    let physical = field_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:");
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(physical, |limit| limit.min(physical))
}

/// The commit that is checked out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Commit {
    /// Empty outside a repository.
    pub(crate) hash: String,
    /// Whether files differ from it.
    pub(crate) dirty: bool,
}

impl Commit {
    pub(crate) fn of(repository: &Path) -> Commit {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(repository).args(arguments).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
            output.status.success().then_some(text)
        };
        let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
        Commit {
            hash: git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default(),
            dirty: changes.is_some_and(|changes| !changes.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_machine() {
        let machine = Machine::here();
        assert!(
            !machine.cpu.is_empty() && machine.cores > 0 && machine.memory_bytes > 1 << 28,
            "{machine:?}"
        );
    }
}
