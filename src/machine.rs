//! What the machine offers: memory and cores, within the limits set on the process's control group.

use std::fs;
use std::thread::available_parallelism;

/// Bytes of memory that this process may use.
pub(crate) fn memory_bytes() -> u64 {
    let physical = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of_meminfo(&text));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    let known = [physical, limit].into_iter().flatten().min();
    known.unwrap_or(4 << 30)
}

/// Threads that can run at once.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, |cores| cores.get())
}

/// The `MemTotal` line of `/proc/meminfo`, in bytes.
fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_kibibytes() {
        assert_eq!(total_of_meminfo("MemTotal:       24000 kB\nMemFree: 1 kB\n"), Some(24000 * 1024));
        assert_eq!(total_of_meminfo("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn there_is_memory_and_a_core() {
        assert!(memory_bytes() > 1 << 20);
        assert!(cores() >= 1);
    }
}
