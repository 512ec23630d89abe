//! The node itself and its two endpoints.
use super::{in_range, name_of_ours};
use crate::config::Faults;
use crate::config::faults::OrNote;
use crate::config::files::Files;
use crate::config::load::{Endpoint, Node};
use crate::config::written::{self, AutoOr};
use crate::{limits, net};
use std::net::SocketAddr;
use std::time::Duration;

/// The section `node`.
pub(in crate::config) fn node(
    written: &written::Node,
    files: &Files,
    faults: &mut Faults,
) -> Option<Node> {
    name_of_ours(&written.name).or_note(faults, "name");
    let shards = match written.shards {
        AutoOr::Auto => Some(None),
        AutoOr::Number(number) if number as usize <= limits::SHARDS_MAX => {
            Some(Some(number as usize))
        }
        AutoOr::Number(number) => {
            let shards_max = limits::SHARDS_MAX;
            faults.note("shards", format_args!("{number} is not from 1 to {shards_max}"));
            None
        }
    };
    let drain =
        in_range(written.drain_timeout_seconds, 0..=3_600).or_note(faults, "drain_timeout_seconds");
    let state_dir = match written.state_dir.as_deref() {
        Some("") => {
            faults.note("state_dir", "expected a path, found nothing");
            return None;
        }
        state_dir => state_dir.map(|path| files.resolve(path)),
    };
    Some(Node {
        name: written.name.clone(),
        shards: shards?,
        io: match written.io {
            written::Io::Auto => net::Io::Auto,
            written::Io::IoUring => net::Io::IoUring,
            written::Io::Epoll => net::Io::Epoll,
        },
        steering: steering(written.steering),
        connections_max: match written.connections_max {
            AutoOr::Auto => None,
            AutoOr::Number(number) => Some(number as usize),
        },
        memory_budget_mib: written.memory_budget_mib,
        drain_timeout: Duration::from_secs(u64::from(drain?)),
        state_dir,
    })
}

/// The key `node.steering`.
pub(in crate::config) const fn steering(written: written::Steering) -> net::Steering {
    match written {
        written::Steering::Hash => net::Steering::Hash,
        written::Steering::IncomingCpu => net::Steering::IncomingCpu,
        written::Steering::Cbpf => net::Steering::Cbpf,
    }
}

/// The section `admin`.
pub(in crate::config) fn admin(
    written: &written::Admin,
    files: &Files,
    faults: &mut Faults,
) -> Option<Endpoint> {
    let Some(path) = written.bind.strip_prefix("unix:").filter(|path| !path.is_empty()) else {
        faults.note("bind", "expected unix:PATH; this build does not have another kind yet");
        return None;
    };
    let path = files.resolve(path);
    if path.as_os_str().len() > limits::SOCKET_PATH_BYTES_MAX {
        let bytes_max = limits::SOCKET_PATH_BYTES_MAX;
        let path = path.display();
        faults.note("bind", format_args!("{path}: a socket's path has at most {bytes_max} bytes"));
        return None;
    }
    Some(Endpoint::Unix(path))
}

/// The section `metrics`.
pub(in crate::config) fn metrics(
    written: &written::Metrics,
    faults: &mut Faults,
) -> Option<SocketAddr> {
    address(&written.bind).or_note(faults, "bind")
}

/// Address and port.
pub(super) fn address(written: &str) -> Result<SocketAddr, String> {
    written.parse().map_err(|_| {
        format!(
            "\"{written}\" is not an IP address and a port, such as 0.0.0.0:443 or \"[::]:443\""
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        assert_eq!(address("[::1]:0"), Ok("[::1]:0".parse().unwrap()));
        for written in ["", ":443", "443", "::1:443", "localhost:443", "10.0.0.1:65536", "0.0.0.0"]
        {
            assert!(address(written).is_err(), "{written}");
        }
    }

    #[test]
    fn the_admin_socket_has_a_path_that_fits() {
        let files = Files::new("/run".into());
        let mut faults = Faults::default();
        let bind =
            |bind: String, faults: &mut Faults| admin(&written::Admin { bind }, &files, faults);
        let unix = bind("unix:a.sock".to_owned(), &mut faults);
        assert_eq!(unix, Some(Endpoint::Unix("/run/a.sock".into())));
        assert!(faults.is_empty());
        for wrong in ["unix:".to_owned(), "127.0.0.1:1".to_owned(), format!("unix:{:0108}", 0)] {
            assert_eq!(bind(wrong, &mut faults), None);
        }
        assert_eq!(faults.list.len(), 3);
    }
}
