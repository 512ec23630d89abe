//! The configuration as it is written in the file. Keys and their words are ALB's, in snake_case.
//!
//! The comments on these types are the descriptions of the JSON Schema. Nothing is checked here beyond
//! types and words: `compile` does the rest. A key that is missing here is unknown to this build, and
//! [`super::later`] tells which of them will come.
use super::defaults;
pub use super::shapes::{AutoOr, Budget, List, Scalar, Short};
pub use super::words::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// Configuration of a Portcullis node. Relative paths are relative to this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping of sections")]
#[schemars(deny_unknown_fields)]
pub struct Configuration {
    /// The node itself. A change here needs a restart.
    pub node: Node,
    /// The endpoint that changes state. A change here needs a restart.
    pub admin: Admin,
    /// The read-only endpoint: /metrics /livez /readyz /status. A change here needs a restart.
    pub metrics: Option<Metrics>,
    /// Logs of the traffic.
    pub logs: Logs,
    /// What holds for all listeners.
    pub load_balancer: LoadBalancer,
    /// Tickets with which clients resume their TLS sessions.
    pub session_tickets: SessionTickets,
    /// Server certificates.
    pub certificates: List<Certificate>,
    /// Whom listeners trust.
    pub trust_stores: List<TrustStore>,
    /// Where requests go.
    pub target_groups: List<TargetGroup>,
    /// Where clients come in.
    pub listeners: List<Listener>,
}

/// The node itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct Node {
    /// The name of this node in status and logs: letters, digits, '.', '_', '-'; at most 64.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Number of shards, or `auto`: one for each CPU that the process may use.
    pub shards: AutoOr,
    /// How the node talks to the kernel. `auto` takes epoll where io_uring is refused.
    pub io: Io,
    /// How the kernel spreads new connections over the shards.
    pub steering: Steering,
    /// Connections of all clients together, or `auto`: what the limit of open files allows.
    pub connections_max: AutoOr,
    /// Memory that the process may have, in MiB: near it connections are not kept, then not accepted, then the
    /// heaviest reset. `auto`: three quarters of what its cgroup or the machine has; `off`: no such budget.
    pub memory_budget_mib: Budget,
    /// How long requests in flight may take to finish when the node ends, in seconds.
    #[schemars(range(max = 3600))]
    pub drain_timeout_seconds: u32,
    /// Directory in which the node keeps what commands change: trust stores with `source: api`. One
    /// node has it at a time.
    pub state_dir: Option<String>,
}

/// The endpoint that changes state.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct Admin {
    /// `unix:PATH`.
    #[schemars(regex(pattern = "^unix:."))]
    pub bind: String,
}

/// The read-only endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct Metrics {
    /// Address and port, such as 0.0.0.0:9901.
    pub bind: String,
}

/// Logs of the traffic.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct Logs {
    /// One line for each request: a path, or a mapping. None is written without it.
    pub access: Option<Short<Log>>,
    /// One line for each attempt to connect: a path, or a mapping. None is written without it.
    pub connection: Option<Short<Log>>,
    /// Form of the lines: ALB's fields, or JSON objects with some more.
    pub format: LogFormat,
}

/// A log: a mapping, or its path alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a path or a mapping")]
#[schemars(deny_unknown_fields)]
pub struct Log {
    /// Its file; "-" is standard output.
    pub path: String,
    /// Form of its lines; `logs.format` unless it is set.
    pub format: Option<LogFormat>,
    /// What happens to lines while the disk is too slow and 16 MiB wait for it.
    #[serde(default)]
    pub when_full: WhenFull,
    /// Size that the file does not grow beyond: it is renamed to `PATH.1` first, that to `PATH.2`, and so
    /// on. Without it the file is left to others.
    #[schemars(range(min = 1_048_576))]
    pub rotate_bytes: Option<u64>,
    /// How many such files are kept; 5 unless it is set.
    #[schemars(range(min = 1, max = 100))]
    pub rotate_keep: Option<u32>,
}

impl From<String> for Log {
    fn from(path: String) -> Self {
        let when_full = WhenFull::default();
        Self { path, format: None, when_full, rotate_bytes: None, rotate_keep: None }
    }
}

/// What holds for all listeners.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct LoadBalancer {
    /// Its name in logs: letters, digits and single hyphens, at most 32.
    #[schemars(regex(pattern = "^([a-zA-Z0-9]+-)*[a-zA-Z0-9]+$"), length(max = 32))]
    pub name: String,
    /// The Server header of the node's own answers.
    pub server_header: ServerHeader,
    /// ALB's load balancer attributes.
    pub attributes: Attributes,
}

/// Tickets with which clients resume their TLS sessions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct SessionTickets {
    /// Files of 80 or 48 random bytes, for several nodes or for restarts: the first seals, all open.
    /// Without any the node makes keys of its own and replaces them by itself.
    #[schemars(length(max = 16))]
    pub keys: List<String>,
}

/// A server certificate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a certificate (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct Certificate {
    /// The name that listeners use: letters, digits, '.', '_', '-'; at most 64.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// PEM file of the chain, leaf first.
    pub chain: String,
    /// PEM file of the key: PKCS#8, PKCS#1 or SEC1.
    pub key: String,
}

/// A CA bundle and the revocation files under it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a trust store (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct TrustStore {
    /// The name that listeners use: letters, digits and single hyphens, at most 32.
    #[schemars(regex(pattern = "^([a-zA-Z0-9]+-)*[a-zA-Z0-9]+$"), length(max = 32))]
    pub name: String,
    /// Who changes it: files that are watched, or `portcullis trust`. With `api` the files below are what
    /// it begins with, and are not read again once `node.state_dir` has something of it.
    #[serde(default)]
    pub source: Source,
    /// PEM file of the CA certificates. May be left out where `source` is `api` and `node.state_dir` has
    /// something of it.
    pub ca_certificates_bundle: Option<String>,
    /// Files of revocation lists, PEM or DER.
    #[serde(default)]
    pub revocations: List<String>,
    /// What becomes of an issuer's clients once nextUpdate of its list has passed.
    #[serde(default)]
    pub stale_revocations: StaleRevocations,
    /// What becomes of clients whose issuers have no list that is about them.
    #[serde(default)]
    pub unlisted_issuers: UnlistedIssuers,
}

/// Targets that do the same work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a target group (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct TargetGroup {
    /// The name that actions use: letters, digits and single hyphens, at most 32.
    #[schemars(regex(pattern = "^([a-zA-Z0-9]+-)*[a-zA-Z0-9]+$"), length(max = 32))]
    pub name: String,
    /// What its targets speak.
    #[serde(default)]
    pub protocol: TargetProtocol,
    /// Version of HTTP towards targets. HTTP2 and GRPC are for HTTPS listeners.
    #[serde(default)]
    pub protocol_version: ProtocolVersion,
    /// The targets. A group without any answers 503.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub targets: List<Target>,
    /// ALB's target group attributes.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a target (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct Target {
    /// IP address or DNS name.
    pub id: String,
    /// Port.
    #[schemars(range(min = 1))]
    pub port: u16,
}

/// Where clients come in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a listener (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct Listener {
    /// Its name in logs and metrics: letters, digits, '.', '_', '-'; at most 64.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Address and port to accept on, such as 0.0.0.0:443 or "[::]:443". Port 0 lets the kernel choose.
    pub bind: String,
    /// What clients speak.
    pub protocol: Protocol,
    /// HTTPS: the security policy, by ALB's name.
    pub ssl_policy: Option<String>,
    /// HTTPS: whether a policy that this node can hold only in part is a fault rather than a warning.
    #[serde(default)]
    pub strict_ssl_policy: bool,
    /// HTTPS: names of certificates. The first is the default, the others are chosen by SNI.
    #[serde(default)]
    pub certificates: List<String>,
    /// HTTPS: whether and how clients show a certificate.
    pub mutual_authentication: Option<MutualAuthentication>,
    /// HTTPS: whether clients may resume their sessions by tickets. `on` (default) is for clients that are
    /// not asked for a certificate; for others it takes `mutual_authentication.session_resumption` too.
    pub session_resumption: Option<OnOff>,
    /// HTTPS: what holds for some server names instead, chosen by SNI before a certificate is.
    #[serde(default)]
    pub server_name_policies: List<ServerNamePolicy>,
    /// ALB's listener attributes.
    #[serde(default)]
    pub attributes: Attributes,
    /// This build has no rules yet: an empty list.
    #[serde(default)]
    #[schemars(schema_with = "empty_list")]
    pub rules: List<IgnoredAny>,
    /// What is done with requests: one action.
    #[schemars(length(min = 1, max = 1))]
    pub default_actions: List<Action>,
    /// Time from accept to a finished handshake, in milliseconds.
    #[serde(default = "defaults::handshake_timeout_ms")]
    #[schemars(range(min = 1, max = 60_000))]
    pub handshake_timeout_ms: u32,
    /// Connections of this listener on all shards together; more are closed at once. Without it the node's own
    /// bound is the only one.
    #[schemars(range(min = 1))]
    pub connections_max: Option<u32>,
    /// The same of each source. Without it a source may have as many as there are.
    #[schemars(range(min = 1))]
    pub connections_per_source_max: Option<u32>,
    /// What a source is among IPv4 clients: so many leading bits of the address.
    #[serde(default = "defaults::source_ipv4_prefix_bits")]
    #[schemars(range(min = 1, max = 32))]
    pub source_ipv4_prefix_bits: u32,
    /// The same among IPv6 clients.
    #[serde(default = "defaults::source_ipv6_prefix_bits")]
    #[schemars(range(min = 1, max = 128))]
    pub source_ipv6_prefix_bits: u32,
    /// How slow clients may be.
    #[serde(default)]
    pub slow_clients: SlowClients,
    /// Handshakes of this listener in flight on each shard; further connections are closed at once.
    #[serde(default = "defaults::handshakes_in_flight_max")]
    #[schemars(range(min = 1, max = 65_536))]
    pub handshakes_in_flight_max: u32,
    /// Connections that may wait to be accepted on each shard (the kernel's somaxconn caps it).
    #[serde(default = "defaults::backlog")]
    #[schemars(range(min = 1, max = 65_535))]
    pub backlog: u32,
    /// Whether the kernel holds a connection back until the client has sent something.
    #[serde(default = "defaults::defer_accept")]
    pub defer_accept: bool,
}

/// How slow clients may be. Tunnels (WebSocket) and calls of gRPC have the idle timeout alone, and so have the
/// floors where a target speaks HTTP/2.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct SlowClients {
    /// Time from the first byte of a request to the end of its head, in seconds.
    #[schemars(range(min = 1, max = 4000))]
    pub request_head_timeout_seconds: u32,
    /// Bytes a second that a request's body must bring, on average over each window in which the node waits
    /// for it; 0 for no such floor.
    pub request_body_bytes_per_second_min: u32,
    /// Bytes a second that the client must take of its answer, on average over each window in which the node
    /// has some for it; 0 for no such floor.
    pub response_bytes_per_second_min: u32,
    /// Length of the windows, in seconds.
    #[schemars(range(min = 1, max = 600))]
    pub window_seconds: u32,
    /// Time from the end of a request's head to the end of its answer, in seconds; 0 for as long as it takes.
    #[schemars(range(max = 604_800))]
    pub request_timeout_seconds: u32,
}

/// Whether and how clients show a certificate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct MutualAuthentication {
    /// `off`: none is asked for. `passthrough`: what clients show goes to the target unjudged.
    /// `verify`: it is judged against a trust store. `optional`: the same, and clients that show none
    /// are let in without identity headers.
    pub mode: Mode,
    /// `verify`, `optional`: name of the trust store.
    pub trust_store: Option<String>,
    /// `verify`, `optional`: whether an expired client certificate is accepted.
    pub ignore_client_certificate_expiry: Option<bool>,
    /// `verify`, `optional`: whether clients are told the subjects of the trust store's CAs.
    pub advertise_trust_store_ca_names: Option<OnOff>,
    /// `verify`, `optional`: what a refused client sees.
    pub refusal: Option<Refusal>,
    /// `verify`, `optional`: what happens to live connections of a client that a change no longer accepts.
    pub on_revocation: Option<OnRevocation>,
    /// `verify`, `optional`: what happens to live connections of a client whose path has expired.
    pub on_expiry: Option<OnExpiry>,
    /// `verify`, `optional`: whether clients may resume their sessions, and then do not prove their key
    /// anew for some hours.
    pub session_resumption: Option<SessionResumption>,
    /// `verify`, `optional`: whom to let in of those that the trust store vouches for. Without filters
    /// everybody; otherwise at least one must match.
    #[schemars(length(max = 100))]
    pub client_certificate_identity_filters: List<IdentityFilter>,
}

/// A condition on the client's certificate: every field that is named must have a value that one of its
/// patterns covers. A `*` at the end of a pattern stands for any rest.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, expecting = "a filter (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct IdentityFilter {
    /// What becomes of clients that match.
    pub action: FilterAction,
    /// Common names of the subject: `text` or `text*`.
    pub subject_cn: List<String>,
    /// Organizational units of the subject: `text` or `text*`.
    pub subject_ou: List<String>,
    /// DNS names: `name`, or `*.parent` for one label.
    pub san_dns: List<String>,
    /// URIs, such as SPIFFE IDs: `uri`, or `uri*` with the `*` behind the host.
    pub san_uri: List<String>,
    /// Mailboxes: `local@host` or `*@host`.
    pub san_email: List<String>,
    /// Issuers as logs and headers write them (RFC 2253): `text` or `text*`.
    pub issuer: List<String>,
    /// SHA-256 hashes of certificates: 64 hexadecimal digits, with or without colons.
    pub sha256: List<String>,
}

/// What holds for some server names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a server name policy (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct ServerNamePolicy {
    /// Names, exact or with `*` for the leftmost label. An exact name wins over a wildcard.
    #[schemars(length(min = 1))]
    pub server_names: List<String>,
    /// Whether and how clients of these names show a certificate.
    pub mutual_authentication: MutualAuthentication,
}

/// What is done with requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "an action (a mapping)")]
#[schemars(deny_unknown_fields)]
pub struct Action {
    /// Which action.
    #[serde(rename = "type")]
    pub action_type: ActionType,
    /// `forward`: name of the target group.
    pub target_group: Option<String>,
    /// `fixed-response`: the answer.
    pub fixed_response_config: Option<FixedResponse>,
}

/// An answer that the node gives itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(expecting = "a mapping")]
#[schemars(deny_unknown_fields)]
pub struct FixedResponse {
    /// 200 to 299, or 400 to 599.
    pub status_code: Scalar,
    /// Type of the body.
    #[serde(default)]
    pub content_type: ContentType,
    /// At most 1,024 bytes.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message_body: String,
}

fn empty_list(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "array", "maxItems": 0})
}

/// ALB's attribute keys and their values.
pub type Attributes = BTreeMap<String, Scalar>;
