//! What the machine offers: memory and cores, within the limits set on the process's control group.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use columnar::kernels::isa::Isa;

use crate::Failure;

/// Bytes of memory that this process may use.
pub(crate) fn memory_bytes() -> u64 {
    let physical = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of_meminfo(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter();
    let limits = limits.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    limits.chain(physical).min().unwrap_or(4 << 30)
}

/// The files that may limit the memory of who is in these control groups (`/proc/self/cgroup`): of each group, and of
/// those around it. Within a container the outermost one is its own.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(kinds), Some(group)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match kinds {
            "" if number == "0" => ("/sys/fs/cgroup", "memory.max"),
            _ if kinds.split(',').any(|kind| kind == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let around = Path::new(group.trim_start_matches('/')).ancestors();
        files.extend(around.map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

/// Keeps kernels to the instructions that `TUNDRA_SIMD` names, where it is set: `base`, `avx2` or `avx512`. What the
/// processor lacks is not used in any case.
pub(crate) fn limit_simd() -> Result<(), Failure> {
    let Some(level) = std::env::var_os("TUNDRA_SIMD") else { return Ok(()) };
    let level = match level.to_str() {
        Some("base") => Isa::Base,
        Some("avx2") => Isa::V3,
        Some("avx512") => Isa::V4,
        _ => return Err(format!("TUNDRA_SIMD is base, avx2 or avx512, not {}", level.display()).into()),
    };
    columnar::kernels::isa::force(level);
    Ok(())
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
    fn limits_are_those_of_all_groups_around() {
        let paths = |groups: &str| -> Vec<String> {
            limit_files(groups).iter().map(|path| path.display().to_string()).collect()
        };
        let systemd = ["system.slice/tundra.service/memory.max", "system.slice/memory.max", "memory.max"];
        assert_eq!(
            paths("0::/system.slice/tundra.service\n"),
            systemd.map(|file| format!("/sys/fs/cgroup/{file}"))
        );
        assert_eq!(paths("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        let old = "9:name=systemd:/x\n4:cpu,memory:/a\n3:cpuset:/\n";
        let limits = ["a/memory.limit_in_bytes", "memory.limit_in_bytes"];
        assert_eq!(paths(old), limits.map(|file| format!("/sys/fs/cgroup/memory/{file}")));
        assert!(paths("nonsense\n").is_empty());
    }

    #[test]
    fn there_is_memory_and_a_core() {
        assert!(memory_bytes() > 1 << 20);
        assert!(cores() >= 1);
    }
}
