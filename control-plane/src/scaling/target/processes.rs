//! Processes that are provably one's own: known by number, by when they began, and by the start of the machine. Linux tells
//! these in `/proc`.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A process that no other one is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessId {
    pid: i32,
    /// Ticks between the start of the machine and its own.
    began: u64,
    /// Of the machine's start.
    boot: String,
}

impl ProcessId {
    /// Of a process that runs.
    pub(super) fn of(pid: u32) -> Option<ProcessId> {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let began = began(pid)?;
        Some(ProcessId { pid, began, boot: boot()? })
    }

    /// As [`ProcessId::to_string`] writes it.
    pub(super) fn read(text: &str) -> Option<ProcessId> {
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok().filter(|pid: &i32| *pid > 0)?;
        let (began, boot) = (words.next()?.parse().ok()?, words.next()?.to_string());
        words.next().is_none().then_some(ProcessId { pid, began, boot })
    }

    /// Whether it runs still.
    pub(super) fn runs(&self) -> bool {
        boot().is_some_and(|boot| boot == self.boot) && began(self.pid) == Some(self.began)
    }

    /// Sends a signal to it, and to no other that has its number by now; whether it ran.
    pub(super) fn signal(&self, signal: Signal) -> std::io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(false) };
        let held = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(held) => held,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // What the descriptor stands for stays the same from here on.
        if !self.runs() {
            return Ok(false);
        }
        match pidfd_send_signal(held, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A process of this user that was started as `shard --data FOLDER`.
    pub(super) fn of_folder(folder: &Path) -> Option<ProcessId> {
        let wanted: [&OsStr; 3] = ["shard".as_ref(), "--data".as_ref(), folder.as_os_str()];
        let numbers = std::fs::read_dir("/proc").ok()?.flatten();
        let mut numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers.find_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let words: Vec<&OsStr> = line.split(|byte| *byte == 0).map(OsStr::from_bytes).collect();
            words.windows(3).any(|three| three == wanted).then(|| ProcessId::of(pid)).flatten()
        })
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.pid, self.began, self.boot)
    }
}

fn boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_string())
}

/// When a process began that has not ended.
fn began(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may have anything in it: the fields follow its last parenthesis, from the third on.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X" | "x");
    fields.get(19)?.parse().ok().filter(|_| !ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_known_from_any_other() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert_eq!(ProcessId::read(&id.to_string()), Some(id.clone()));
        assert!(id.runs());
        // One that has the number, and began at another time or after another start of the machine.
        for other in
            [ProcessId { began: id.began + 1, ..id.clone() }, ProcessId { boot: "x".into(), ..id.clone() }]
        {
            assert!(!other.runs());
            assert!(!other.signal(Signal::KILL).unwrap());
        }
        assert!(child.try_wait().unwrap().is_none(), "it was not touched");
        assert!(id.signal(Signal::KILL).unwrap());
        child.wait().unwrap();
        assert!(!id.runs() && !id.signal(Signal::KILL).unwrap());
        for wrong in ["", "1", "1 2", "-1 2 x", "0 2 x", "a b c", "1 2 3 4"] {
            assert_eq!(ProcessId::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_that_ended_and_was_not_waited_for_runs_no_more() {
        let mut child = Command::new("true").spawn().unwrap();
        let id = loop {
            std::thread::sleep(std::time::Duration::from_millis(5));
            match ProcessId::of(child.id()) {
                Some(id) => {
                    if !id.runs() {
                        break Some(id);
                    }
                }
                None => break None,
            }
        };
        assert!(id.is_none_or(|id| !id.runs()));
        child.wait().unwrap();
    }
}
