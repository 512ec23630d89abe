//! The live value: one immutable compiled configuration together with all trust.
//!
//! Shards read it through one `ArcSwap` and never lock. It is replaced whole, under a new generation.
use crate::config::Fault;
pub use crate::config::clients::Clients;
pub use crate::config::source::Source;
use crate::http::attributes::Attributes;
use crate::http::host::{self, Host};
use crate::http::identity::Forbidden;
use crate::net;
use crate::observe::sink::Log;
use crate::route::Action;
use crate::target::Group;
use crate::tls::tickets::{Binding, Keys};
use crate::tls::{Certificate, Policy, ServerNames, names};
use crate::trust::{Conditions, Store};
use rustls::ServerConfig;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Names of listeners, trust stores, certificates, target groups.
pub type Name = Arc<str>;

/// One generation of everything.
#[derive(Debug)]
pub struct Live {
    /// Goes up each time the value is replaced; 1 at start.
    pub generation: u64,
    /// By name.
    pub listeners: BTreeMap<Name, Arc<Listener>>,
    /// Where they listen, by name: the port is filled in where the configuration says 0. Publication
    /// fills it.
    pub addresses: BTreeMap<Name, SocketAddr>,
    /// By name.
    pub trust_stores: BTreeMap<Name, Arc<Store>>,
    /// Who changes them, by name.
    pub trust_sources: BTreeMap<Name, Source>,
    /// By name.
    pub certificates: BTreeMap<Name, Arc<Certificate>>,
    /// By name.
    pub target_groups: BTreeMap<Name, Arc<Group>>,
    /// What seals session tickets.
    pub ticket_keys: Arc<Keys>,
    /// Header names that no client may send on any listener.
    pub forbidden: Arc<Forbidden>,
    /// What is logged, and where.
    pub logs: Logs,
    /// What is odd about it (policies held in part, v1 roots, ...).
    pub warnings: Vec<Fault>,
}

impl Live {
    /// What a node has before its first configuration.
    pub fn empty() -> Self {
        Self {
            generation: 0,
            listeners: BTreeMap::new(),
            addresses: BTreeMap::new(),
            trust_stores: BTreeMap::new(),
            trust_sources: BTreeMap::new(),
            certificates: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            ticket_keys: Arc::default(),
            forbidden: Arc::default(),
            logs: Logs::default(),
            warnings: Vec::new(),
        }
    }

    /// Its target groups, for the resolver.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.target_groups.values().cloned().collect()
    }
}

/// The logs of the traffic.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// One line for each attempt to connect.
    pub connection: Option<Arc<Log>>,
    /// One line for each request.
    pub access: Option<Arc<Log>>,
}

impl Logs {
    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Log>> {
        self.connection.iter().chain(&self.access)
    }
}

/// What a shard is told by the control thread.
#[derive(Debug)]
pub enum Order {
    /// Take over a generation that is already in the live value.
    Adopt {
        /// The generation.
        live: Arc<Live>,
        /// The sockets of listeners that are new here.
        open: Vec<(Name, OwnedFd)>,
        /// Told the shard's index once no step works by an older generation.
        done: mpsc::UnboundedSender<usize>,
    },
    /// Tell which clients were seen lately and which are connected, and go on.
    Tell {
        /// Told the shard's index and them.
        told: mpsc::UnboundedSender<(usize, Clients)>,
    },
    /// Stop accepting, finish what is in flight within `grace`, and end.
    Drain {
        /// After this, what is left is cut off.
        grace: Duration,
    },
}

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name.
    pub name: Name,
    /// Where it listens.
    pub bind: SocketAddr,
    /// Socket options.
    pub socket: net::Options,
    /// TLS, on HTTPS listeners.
    pub tls: Option<Tls>,
    /// Header rules.
    pub attributes: Attributes,
    /// Silence after which a connection ends, on both sides (1 to 4,000 s).
    pub idle_timeout: Duration,
    /// Age after which a client's connection serves one more request and ends (60 to 604,800 s).
    pub client_keep_alive: Duration,
    /// Time from accept to a finished handshake.
    pub handshake_timeout: Duration,
    /// Its connections on all shards together; more are shed.
    pub connections_max: Option<u32>,
    /// Those of each source.
    pub connections_per_source_max: Option<u32>,
    /// What a source is.
    pub source_prefix: Prefix,
    /// How slow clients may be.
    pub slow_clients: SlowClients,
    /// Its handshakes in flight on each shard; more are shed.
    pub handshakes_in_flight_max: usize,
    /// What is done with requests.
    pub default_action: Action,
}

/// What tells sources apart: the leading bits of their addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    /// Of IPv4 addresses, 1 to 32.
    pub ipv4_bits: u8,
    /// Of IPv6 addresses, 1 to 128.
    pub ipv6_bits: u8,
}

/// How slow clients may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SlowClients {
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// What a request's body must bring.
    pub body: Option<Floor>,
    /// What a client must take of its answer.
    pub answer: Option<Floor>,
    /// From the end of a request's head to the end of its answer.
    pub request_timeout: Option<Duration>,
}

/// The least rate of a byte stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Floor {
    /// Bytes a second, above 0.
    pub bytes_per_second: u32,
    /// On average over so long.
    pub window: Duration,
}

/// TLS on a listener.
#[derive(Debug)]
pub struct Tls {
    /// The security policy.
    pub policy: Policy,
    /// In order; the first is the default.
    pub certificates: Vec<Name>,
    /// For names without a policy of their own, and clients that name none.
    pub own: Access,
    /// By server name.
    pub by_name: ServerNames<Arc<Access>>,
}

/// How clients of one (listener, server name) get in.
#[derive(Clone, Debug)]
pub struct Access {
    /// What tells it from the others of its listener, however the names are ordered and written: the first
    /// of them in the alphabet, or nothing for the listener's own.
    pub policy: String,
    /// The names that it is for, as they are written; empty for the listener's own.
    pub server_names: Vec<String>,
    /// What is asked of them.
    pub authentication: Authentication,
    /// What their session tickets are bound to; none where no session is resumed.
    pub tickets: Option<Binding>,
    /// The rustls side of it.
    pub server_config: Arc<ServerConfig>,
}

/// Mutual authentication.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// No certificate is asked for.
    Off,
    /// Whatever is presented is passed on.
    Passthrough,
    /// What is presented is judged against a trust store.
    Verify(Verify),
}

/// `mode: verify` and `mode: optional`.
#[derive(Clone, Debug)]
pub struct Verify {
    /// Whether a certificate must be shown.
    pub presence: Presence,
    /// The trust store's name. Not the store itself: whoever holds a listener would keep it in memory, and
    /// trust is read from the live value when it is needed.
    pub trust_store: Name,
    /// What is asked beyond the store's rules.
    pub conditions: Conditions,
    /// What a refused client sees.
    pub refusal: RefusalForm,
    /// What happens to a live connection whose client is no longer accepted.
    pub on_revocation: OnRevocation,
    /// What happens to a live connection whose client's path has expired.
    pub on_expiry: OnExpiry,
}

impl Verify {
    /// What is asked of the client of a live connection: `on_expiry: keep` forgives what time does to its
    /// path, and nothing else.
    pub fn conditions_when_live(&self) -> Cow<'_, Conditions> {
        match self.on_expiry {
            OnExpiry::Close => Cow::Borrowed(&self.conditions),
            OnExpiry::Keep => {
                Cow::Owned(Conditions { ignore_all_expiry: true, ..self.conditions.clone() })
            }
        }
    }
}

/// What a change of trust or of the listener does to live connections that it no longer accepts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnRevocation {
    /// They go on.
    Keep,
    /// No new request; what has begun may finish within `limits::REVOKED_DRAIN`, idle ones end at once.
    #[default]
    Drain,
    /// They end at once.
    Close,
}

impl OnRevocation {
    /// Its word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drain => "drain",
            Self::Close => "close",
        }
    }
}

/// What time does to live connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnExpiry {
    /// They go on.
    Keep,
    /// They end, as [`OnRevocation`] says: `Drain` unless it says `Close`.
    #[default]
    Close,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// Who shows none is refused (`verify`).
    Required,
    /// Who shows none is let in without identity headers (`optional`).
    Optional,
}

/// What a refused client sees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RefusalForm {
    /// The TLS alert that says why.
    #[default]
    Alert,
    /// A TCP reset.
    Reset,
    /// A finished handshake and 403 with the reason code.
    Http,
}

impl RefusalForm {
    /// Its word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reset => "reset",
            Self::Http => "http",
        }
    }
}

impl Authentication {
    /// Its word in the configuration.
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Passthrough => "passthrough",
            Self::Verify(verify) => match verify.presence {
                Presence::Required => "verify",
                Presence::Optional => "optional",
            },
        }
    }

    /// What a refused client sees.
    pub fn refusal_form(&self) -> RefusalForm {
        match self {
            Self::Verify(verify) => verify.refusal,
            Self::Off | Self::Passthrough => RefusalForm::Alert,
        }
    }
}

impl Tls {
    /// The access that a request for this host (as a checked head has it, or none) belongs to, found as
    /// that of a client that names it in its ClientHello. Addresses and no host at all belong to the
    /// listener's own. A host that is no DNS name has none: nobody knows which name its target reads.
    pub fn access_of_host(&self, host: Option<&str>) -> Option<&Access> {
        match host.map(host::of) {
            None | Some(Host::Address) => Some(&self.own),
            Some(Host::Name(name)) => names::normal(name).map(|name| self.access(Some(&name))),
        }
    }

    /// The access of clients that name `server_name` (as peeked), or none.
    pub fn access(&self, server_name: Option<&str>) -> &Access {
        server_name
            .and_then(|name| self.by_name.get(name))
            .map_or(&self.own, |access| access.as_ref())
    }

    /// What tells the policy of clients that name `server_name` from the others of the listener.
    pub fn policy(&self, server_name: Option<&str>) -> &str {
        &self.access(server_name).policy
    }
}
