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

/// How many connections of clients fit under a limit of open files: each may need another one to its
/// target, and `limits::RESERVED_FILES` stay free. At least one.
pub fn connections_max(limit: Option<u64>) -> usize {
    let free = limit.map_or(u64::MAX, |limit| limit.saturating_sub(limits::RESERVED_FILES));
    usize::try_from(free / FILES_PER_CONNECTION).unwrap_or(usize::MAX).max(1)
}

/// The client's socket and the target's.
const FILES_PER_CONNECTION: u64 = 2;

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
        assert_eq!(connections_max(Some(limits::RESERVED_FILES + 2_000)), 1_000);
        assert_eq!(connections_max(Some(limits::RESERVED_FILES + 2_001)), 1_000);
        assert_eq!(connections_max(Some(limits::RESERVED_FILES)), 1);
        assert_eq!(connections_max(Some(0)), 1);
        assert!(connections_max(None) > 1_000_000_000);
    }
}
