//! What `/proc` says of this process. What cannot be read is left out.
//!
//! Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_fd(5).
use std::fs;

/// Units of the times in `/proc/self/stat` in a second: USER_HZ, 100 on every architecture that Rust's
/// standard library supports on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time used so far, user and system.
pub(super) fn cpu_seconds() -> Option<f64> {
    cpu_ticks(&fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| ticks / TICKS_PER_SECOND)
}

/// Memory that is not swapped out.
pub fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// File descriptors open now.
pub(super) fn open_files() -> Option<f64> {
    // From Linux 6.2 the size of the directory is the answer; before, it is 0 and must be counted,
    // which costs about a microsecond for each descriptor.
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    Some(if size > 0 { size as f64 } else { fs::read_dir("/proc/self/fd").ok()?.count() as f64 })
}

/// File descriptors that may be open at once; none without a limit.
pub(super) fn files_max() -> Option<f64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(|limit| limit as f64)
}

/// utime and stime, the 14th and 15th field. The second one is the program's name in parentheses, which
/// may hold anything, so fields are counted from the last closing one.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_program_name_does_not_shift_the_fields() {
        let stat = "7 (a) 1 2 (b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 6 7 20 0 4 0 1000";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks("7 (cut"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident("VmRSS:\t many\n"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(cpu_seconds().is_some());
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(open_files().is_some_and(|count| count >= 3.0));
    }
}
