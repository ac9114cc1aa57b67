//! A child process: ended with this one, and measured from outside.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Killed when dropped, and when this process ends in whatever way.
pub(crate) struct Process {
    pub(crate) child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Process> {
        let die_with_parent = || {
            // SAFETY: a system call without memory of ours; async-signal-safe, as the fork's child needs.
            match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: what runs between fork and exec is one system call.
        unsafe { command.pre_exec(die_with_parent) };
        Ok(Process { child: command.spawn()? })
    }

    /// Bytes in memory, of the process and those that it started: now, and at most so far.
    pub(crate) fn memory(&self) -> Memory {
        let mut sum = Memory::default();
        let mut processes = vec![self.child.id()];
        while let Some(process) = processes.pop() {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            sum.resident_bytes += field_bytes(&status, "VmRSS:");
            sum.peak_bytes += field_bytes(&status, "VmHWM:");
            processes.extend(children(process));
        }
        sum
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: u64,
    pub(crate) peak_bytes: u64,
}

/// A line `name   123 kB` of a file under `/proc`, in bytes.
pub(crate) fn field_bytes(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn children(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let listed = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(listed.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_process_and_of_what_it_started() {
        let process = Process::start(Command::new("sh").args(["-c", "sleep 60 & wait"])).unwrap();
        let id = process.child.id();
        let begun = std::time::Instant::now();
        while children(id).is_empty() {
            assert!(begun.elapsed().as_secs() < 10, "the shell started nothing");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let memory = process.memory();
        assert!(memory.resident_bytes > 1 << 18 && memory.peak_bytes >= memory.resident_bytes, "{memory:?}");
        let grandchild = children(id)[0];
        drop(process);
        assert!(!fs::exists(format!("/proc/{id}")).unwrap());
        // The shell's own child is none of ours: ended here.
        Command::new("kill").arg(grandchild.to_string()).status().unwrap();
    }

    #[test]
    fn fields_are_read_in_kibibytes() {
        assert_eq!(field_bytes("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), 12 * 1024);
        assert_eq!(field_bytes("VmPeak:\t 9 kB\n", "VmRSS:"), 0);
    }
}
