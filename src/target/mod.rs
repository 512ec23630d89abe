//! Target groups: their targets, the addresses of named ones, and picking.
#![expect(clippy::todo, reason = "interface only")]
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where a target is, as written.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// An address.
    Address(std::net::IpAddr),
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

/// A target group. Named targets' addresses change behind it; the rest is immutable.
#[derive(Debug)]
pub struct Group {
    /// The name that actions use.
    pub name: Arc<str>,
    /// 0 to `limits::TARGETS_PER_GROUP_MAX`.
    pub targets: Vec<Target>,
    /// All addresses, in the order of `targets`; a name gives as many as it resolves to.
    pub addresses: ArcSwap<Vec<SocketAddr>>,
}

impl Group {
    /// A group whose named targets are not resolved yet.
    pub fn new(name: Arc<str>, targets: Vec<Target>) -> Self {
        let _ = (name, targets);
        todo!()
    }
}
