//! What a failed connect says: about the target, or about this node.
use crate::close::Reason;
use crate::net::ConnectError;
use std::io;

/// Why a request ends when this was its last try.
///
/// Running out of files, ports or memory is the node's own doing: the target is not passed over for
/// it, and the next one would fare no better.
pub(super) fn reason(error: &ConnectError) -> Reason {
    match error {
        ConnectError::Timeout => Reason::ConnectTimeout,
        ConnectError::Io(error) => io_reason(error),
    }
}

fn io_reason(error: &io::Error) -> Reason {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => Reason::ConnectTimeout,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL) => {
            Reason::Shed
        }
        _ => Reason::ConnectRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_of(code: i32) -> Reason {
        reason(&ConnectError::Io(io::Error::from_raw_os_error(code)))
    }

    #[test]
    fn what_the_network_or_the_target_says_lets_the_next_target_be_tried() {
        assert_eq!(reason(&ConnectError::Timeout), Reason::ConnectTimeout);
        assert_eq!(reason_of(libc::ETIMEDOUT), Reason::ConnectTimeout);
        for code in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::ECONNRESET] {
            assert_eq!(reason_of(code), Reason::ConnectRefused);
            assert!(reason_of(code).try_next_target());
        }
    }

    #[test]
    fn running_out_of_something_is_not_blamed_on_the_target() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL] {
            assert_eq!(reason_of(code), Reason::Shed);
            assert!(!reason_of(code).try_next_target());
        }
    }
}
