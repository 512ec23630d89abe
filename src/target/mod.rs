//! Target groups: their targets, the addresses of named ones, and picking.
//!
//! Configuration makes a [`Group`]; the control thread keeps its addresses current
//! ([`resolve::Resolver`]); shards read the addresses and pick one for each request
//! ([`pick::round_robin`]), through `upstream`.
//! Bounds: `limits::TARGETS_PER_GROUP_MAX` targets, and as many addresses.
pub mod pick;
pub mod resolve;

pub use pick::{NoTarget, round_robin};
pub use resolve::Resolver;

use crate::observe::arn;
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where a target is, as written.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// An address.
    Address(IpAddr),
    /// A name, resolved off the shards every `limits::RESOLVE_EVERY`.
    Name(String),
}

/// A target: where and on which port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    /// Where.
    pub place: Place,
    /// Port, 1 to 65535.
    pub port: u16,
}

/// Version of HTTP towards the targets of a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProtocolVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// The same, for calls of gRPC.
    Grpc,
}

impl ProtocolVersion {
    /// The word in configuration and `/status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP1",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
        }
    }
}

/// A target group. Named targets' addresses change behind it; the rest is immutable.
#[derive(Debug)]
pub struct Group {
    /// The name that actions use.
    pub name: Arc<str>,
    /// What its targets speak.
    pub protocol_version: ProtocolVersion,
    /// What the access log calls it.
    pub arn: Arc<str>,
    /// 0 to `limits::TARGETS_PER_GROUP_MAX`.
    pub targets: Vec<Target>,
    /// All addresses, in the order of `targets`, each once; a name gives as many as it resolves to.
    pub addresses: ArcSwap<Vec<SocketAddr>>,
}

impl Group {
    /// A group whose named targets are not resolved yet: the others are usable at once.
    pub fn new(name: Arc<str>, protocol_version: ProtocolVersion, targets: Vec<Target>) -> Self {
        let addresses = addresses(&targets, |_| &[]);
        let arn = arn::target_group(&name);
        Self { name, protocol_version, arn, targets, addresses: ArcSwap::from_pointee(addresses) }
    }

    /// The names among its targets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().filter_map(|target| match &target.place {
            Place::Address(_) => None,
            Place::Name(name) => Some(name.as_str()),
        })
    }
}

/// The addresses of `targets`, in their order, each once. `lookup` says what a name resolves to.
fn addresses<'a>(
    targets: &'a [Target],
    lookup: impl Fn(&'a str) -> &'a [IpAddr],
) -> Vec<SocketAddr> {
    let mut seen = HashSet::new();
    targets
        .iter()
        .flat_map(|target| {
            let ips = match &target.place {
                Place::Address(ip) => std::slice::from_ref(ip),
                Place::Name(name) => lookup(name),
            };
            ips.iter().map(|ip| SocketAddr::new(*ip, target.port))
        })
        .filter(|address| seen.insert(*address))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(place: Place, port: u16) -> Target {
        Target { place, port }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_new_group_has_the_addresses_that_need_no_lookup() {
        let targets = vec![
            target(Place::Address(ip("10.0.0.5")), 8080),
            target(Place::Name("orders.internal".to_owned()), 8080),
            target(Place::Address(ip("::1")), 8081),
        ];
        let group = Group::new("orders".into(), ProtocolVersion::Http1, targets);
        let expected: Vec<SocketAddr> =
            vec!["10.0.0.5:8080".parse().unwrap(), "[::1]:8081".parse().unwrap()];
        assert_eq!(**group.addresses.load(), expected);
        assert_eq!(group.names().collect::<Vec<_>>(), ["orders.internal"]);
    }

    #[test]
    fn addresses_keep_the_order_of_targets_and_appear_once() {
        let targets = vec![
            target(Place::Name("two".to_owned()), 80),
            target(Place::Address(ip("10.0.0.2")), 80),
            target(Place::Address(ip("10.0.0.2")), 81),
            target(Place::Address(ip("10.0.0.9")), 80),
        ];
        let two = [ip("10.0.0.2"), ip("10.0.0.1")];
        let expected = ["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:81", "10.0.0.9:80"];
        let expected: Vec<SocketAddr> = expected.map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(addresses(&targets, |_| &two), expected);
    }
}
