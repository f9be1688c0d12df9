//! The machine that all this runs on, as far as its system tells.

use std::{fs, path::Path};

/// The processor's name.
pub fn processor_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_string())
}

/// Bytes of memory that this process may still take: what the system has, and what a limit on its group leaves.
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kb: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    let available = kb * 1024;
    Some(group_left().map_or(available, |left| left.min(available)))
}

/// What is left of the control group's limit; files that are cached count as used there, so they are given back.
fn group_left() -> Option<u64> {
    let group = Path::new("/sys/fs/cgroup");
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    let cached = read("memory.stat").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("file "))?;
        line.trim().parse::<u64>().ok()
    });
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_what_is_available() {
        assert!(!cfg!(target_os = "linux") || available_memory().unwrap() > 1 << 20);
    }
}
