//! Clients that come back with the sessions that they were given.
use super::client::{Sessions, handshake, tls_config_for};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// A way to come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Tls13,
    Tls12Ticket,
    Tls12Id,
}

pub const WAYS: [Way; 3] = [Way::Tls13, Way::Tls12Ticket, Way::Tls12Id];

impl Way {
    /// The version that it takes.
    pub fn version(self) -> &'static SupportedProtocolVersion {
        if self == Self::Tls13 { &TLS13 } else { &TLS12 }
    }

    /// What a session that is still good leads to: nothing is stored, so an id leads nowhere.
    pub fn resumed(self) -> HandshakeKind {
        if self == Self::Tls12Id { HandshakeKind::Full } else { HandshakeKind::Resumed }
    }
}

/// A client that comes back one way, with what it remembers.
pub struct Comer {
    pub way: Way,
    pub config: Arc<ClientConfig>,
}

impl Comer {
    pub fn of(way: Way, mut config: ClientConfig) -> Self {
        let by = match way {
            Way::Tls13 => Tls12Resumption::Disabled,
            Way::Tls12Ticket => Tls12Resumption::SessionIdOrTickets,
            Way::Tls12Id => Tls12Resumption::SessionIdOnly,
        };
        config.resumption = Resumption::store(Sessions::new()).tls12_resumption(by);
        Self { way, config: Arc::new(config) }
    }

    pub fn new(way: Way, identity: Option<&str>) -> Self {
        Self::of(way, tls_config_for(identity, "root.crt", &[way.version()]))
    }

    /// One for each way.
    pub fn all(identity: Option<&str>) -> Vec<Self> {
        WAYS.map(|way| Self::new(way, identity)).into()
    }

    /// How its handshake went, when it got an answer from the target.
    pub fn visit(&self, address: SocketAddr, name: &str) -> Option<HandshakeKind> {
        match self.ask(address, name) {
            Some((200, kind)) => kind,
            _ => None,
        }
    }

    /// The status of an answer, and how the handshake went.
    pub fn ask(&self, address: SocketAddr, name: &str) -> Option<(u16, Option<HandshakeKind>)> {
        let mut stream = handshake(address, name, &self.config);
        let host = if name.contains("::") { "localhost" } else { name };
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        // Read to the end, so that tickets sent behind the handshake are taken in.
        let _ = stream.read_to_end(&mut answer);
        let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
        Some((status, stream.conn.handshake_kind()))
    }

    /// Gets a session at this listener, and comes back with it once.
    pub fn settle(&self, address: SocketAddr, name: &str) {
        assert!(self.settles(address, name), "{:?}", self.way);
    }

    /// The same, where that may fail.
    pub fn settles(&self, address: SocketAddr, name: &str) -> bool {
        self.visit(address, name) == Some(HandshakeKind::Full)
            && self.visit(address, name) == Some(self.way.resumed())
    }
}
