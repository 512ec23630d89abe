//! The limit of open files: raised as far as the kernel lets us, and what it means for connections.
use crate::limits;
use rustix::io;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of open files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenFiles {
    /// Before it was raised; none where there was none.
    pub before: Option<u64>,
    /// Now; none where there is none.
    pub limit: Option<u64>,
}

/// Raises the soft limit to the hard one.
///
/// # Errors
/// What the kernel said; the limit is then as it was.
pub fn raise() -> io::Result<OpenFiles> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(OpenFiles { before: current, limit: maximum })
}

/// How many connections of clients fit under a limit of open files, at least one. Each may need another
/// one to its target, four of them share an idle one, `fixed` files are open whatever comes, and
/// `limits::RESERVED_FILES` stay free.
pub fn connections_max(limit: Option<u64>, fixed: usize) -> usize {
    let files_per_idle = CONNECTIONS_PER_IDLE * FILES_PER_CONNECTION + 1;
    (free(limit, fixed) / files_per_idle * CONNECTIONS_PER_IDLE).max(1)
}

/// How many files are left for connections of any kind, at least one.
pub fn free(limit: Option<u64>, fixed: usize) -> usize {
    let taken = limits::RESERVED_FILES.saturating_add(fixed as u64);
    let free = limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken));
    usize::try_from(free).unwrap_or(usize::MAX).max(1)
}

/// How many idle connections to targets go with so many of clients.
pub fn idle_targets_max(connections_max: usize) -> usize {
    (connections_max / CONNECTIONS_PER_IDLE).max(1)
}

/// The client's socket and the target's.
const FILES_PER_CONNECTION: usize = 2;

/// Connections of clients that share the room of one idle connection to a target.
const CONNECTIONS_PER_IDLE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise().unwrap().limit, hard);
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
        assert_eq!(raise().unwrap(), OpenFiles { before: hard, limit: hard });
    }

    #[test]
    fn each_connection_has_room_for_its_target_and_some_files_stay_free() {
        assert_eq!(connections_max(Some(limits::RESERVED_FILES + 100 + 9_000), 100), 4_000);
        assert_eq!(connections_max(Some(limits::RESERVED_FILES), 0), 1);
        assert_eq!(connections_max(Some(0), 100), 1);
        assert!(connections_max(None, 0) > 1_000_000_000);
        for limit in [1_024, 20_000, 1_048_576] {
            let clients = connections_max(Some(limit), 100);
            let open = 2 * clients + idle_targets_max(clients) + 100;
            assert!(open as u64 + limits::RESERVED_FILES <= limit, "{limit}: {open}");
        }
    }
}
