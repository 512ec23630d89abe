//! TCP connections: to which address, and from which.
//!
//! A local address has some 28,000 ports, and a connection that is over may keep its port for a minute. Where
//! a range of local addresses is given, they are taken in turn, each with a port that is chosen here: the
//! kernel's own choice at bind(2) would be one for all targets, and would pass by ports that wait.
use crate::failure::Failure;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpSocket, TcpStream};

/// Ports that are tried for one connection.
const TRIES_MAX: u32 = 64;

/// Ports where the kernel does not say which it gives out itself.
const PORTS: RangeInclusive<u16> = 32_768..=60_999;

/// Opens connections.
#[derive(Debug)]
pub(crate) struct Dialer {
    /// At least one; connections go to them in turn.
    targets: Vec<SocketAddr>,
    /// Empty: the kernel chooses.
    sources: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    next_target: AtomicU64,
    next_source: AtomicU64,
}

impl Dialer {
    /// * `targets`: at least one.
    /// * `sources`: local addresses; none leaves the choice to the kernel.
    pub(crate) fn new(targets: Vec<SocketAddr>, sources: Vec<IpAddr>) -> Self {
        // Two loads at once should not try the same ports.
        let next_source = AtomicU64::new(u64::from(std::process::id()).wrapping_mul(1_009));
        let next_target = AtomicU64::new(0);
        Self { targets, sources, ports: ports_of_system(), next_target, next_source }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the system says; [`Failure::Exhausted`] where no local port could be had.
    pub(crate) async fn dial(&self) -> Result<TcpStream, Failure> {
        let turn = self.next_target.fetch_add(1, Ordering::Relaxed);
        let target = *nth(&self.targets, turn).ok_or(Failure::Unreachable)?;
        let stream = if self.sources.is_empty() {
            TcpStream::connect(target).await.map_err(|error| Failure::of(&error))?
        } else {
            self.dial_from_sources(target).await?
        };
        stream.set_nodelay(true).map_err(|error| Failure::of(&error))?;
        Ok(stream)
    }

    async fn dial_from_sources(&self, target: SocketAddr) -> Result<TcpStream, Failure> {
        for _ in 0..TRIES_MAX {
            let turn = self.next_source.fetch_add(1, Ordering::Relaxed);
            let source = source(&self.sources, &self.ports, turn).ok_or(Failure::Exhausted)?;
            let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let connected = async {
                let socket = socket?;
                // With it a port may be one end of connections to several targets (socket(7)).
                socket.set_reuseaddr(true)?;
                socket.bind(source)?;
                socket.connect(target).await
            };
            match connected.await.map_err(|error| Failure::of(&error)) {
                // This port is taken, and another may not be.
                Err(Failure::Exhausted) => {}
                outcome => return outcome,
            }
        }
        Err(Failure::Exhausted)
    }
}

/// The end that connection number `turn` has here: addresses first, then the next port.
fn source(sources: &[IpAddr], ports: &RangeInclusive<u16>, turn: u64) -> Option<SocketAddr> {
    let address = *nth(sources, turn)?;
    let count = u64::from(ports.end().checked_sub(*ports.start())?) + 1;
    let offset = (turn / sources.len() as u64) % count;
    let port = u16::try_from(u64::from(*ports.start()) + offset).ok()?;
    Some(SocketAddr::new(address, port))
}

fn nth<T>(all: &[T], turn: u64) -> Option<&T> {
    let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
    all.get(usize::try_from(turn % count).ok()?)
}

/// The ports from which the kernel chooses. Source: ip(7), `ip_local_port_range`.
fn ports_of_system() -> RangeInclusive<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let ports = range.ok().and_then(|text| {
        let mut words = text.split_whitespace().map(str::parse);
        Some(words.next()?.ok()?..=words.next()?.ok()?)
    });
    ports.filter(|ports| !ports.is_empty()).unwrap_or(PORTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_address_has_every_port_before_one_comes_again() {
        let sources = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
        let ports = 60_998..=60_999;
        let ends = |turns: std::ops::Range<u64>| {
            turns.filter_map(|turn| source(&sources, &ports, turn)).collect::<BTreeSet<_>>()
        };
        assert_eq!(ends(0..4).len(), 4);
        assert_eq!(ends(0..4), ends(4..8));
    }

    #[test]
    fn all_ports_are_a_range_too() {
        let one = ["::1".parse().unwrap()];
        assert_eq!(source(&one, &(0..=u16::MAX), 65_535).unwrap().port(), u16::MAX);
    }
}
