//! `/status`: the live value and the node, as JSON for people and scripts.
//!
//! Pure. Keys are only ever added.
use crate::calendar::{Seconds, rfc3339};
use crate::config::Fault;
use crate::config::snapshot::{Access, Authentication, Listener, Live, Source, Tls};
use crate::net::Engine;
use crate::observe::metrics::Reload;
use crate::route::Action;
use crate::target::{Group, Place};
use crate::tls::Certificate;
use crate::trust::{Store, revocation};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the live value does not know of the node.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// `node.name`.
    pub name: String,
    /// Of the build.
    pub version: &'static str,
    /// In use.
    pub engine: Engine,
    /// Why io_uring is not in use, when `auto` fell back.
    pub io_uring_refused: Option<String>,
    /// In order.
    pub shards: Vec<ShardStatus>,
    /// Whether the node is ending.
    pub draining: bool,
    /// Since its start.
    pub uptime: Duration,
    /// The last attempt to take over the configuration and its files.
    pub last_reload: Option<LastReload>,
}

/// A shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShardStatus {
    /// 0 to `limits::SHARDS_MAX` - 1.
    pub index: usize,
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// No verdict is taken by an older generation.
    pub acknowledged_generation: u64,
    /// Connections of clients open now.
    pub open_connections: i64,
}

/// An attempt to take over the configuration and its files.
#[derive(Clone, Debug)]
pub struct LastReload {
    /// Time since 1970.
    pub time: Duration,
    /// How it ended.
    pub outcome: Reload,
    /// What was wrong.
    pub faults: Vec<Fault>,
}

/// Puts the answer together.
pub fn build(live: &Live, node: &NodeStatus) -> Value {
    json!({
        "name": node.name,
        "version": node.version,
        "generation": live.generation,
        "draining": node.draining,
        "uptime_seconds": node.uptime.as_secs(),
        "engine": node.engine.word(),
        "io_uring_refused": node.io_uring_refused,
        "shards": list(&node.shards, shard),
        "last_reload": node.last_reload.as_ref().map(last_reload),
        "warnings": live.warnings,
        "listeners": list(live.listeners.values(), |of| listener(of, live)),
        "certificates": list(live.certificates.values(), |of| certificate(of)),
        "trust_stores": list(live.trust_stores.values(), |of| trust_store(of, live)),
        "target_groups": list(live.target_groups.values(), |of| target_group(of)),
    })
}

fn list<T>(items: impl IntoIterator<Item = T>, of: impl Fn(T) -> Value) -> Value {
    items.into_iter().map(of).collect()
}

fn shard(shard: &ShardStatus) -> Value {
    json!({
        "index": shard.index,
        "cpu": shard.cpu,
        "acknowledged_generation": shard.acknowledged_generation,
        "open_connections": shard.open_connections,
    })
}

fn last_reload(last: &LastReload) -> Value {
    json!({
        "time": Seconds(last.time).to_string(),
        "outcome": last.outcome.word(),
        "faults": last.faults,
    })
}

fn listener(listener: &Listener, live: &Live) -> Value {
    json!({
        "name": *listener.name,
        "bind": listener.bind,
        "address": live.addresses.get(&listener.name),
        "protocol": if listener.tls.is_some() { "HTTPS" } else { "HTTP" },
        "tls": listener.tls.as_ref().map(tls),
        "default_action": match &listener.default_action {
            Action::Forward(group) => json!({"type": "forward", "target_group": *group.name}),
            Action::FixedResponse(fixed) => {
                json!({"type": "fixed-response", "status_code": fixed.status})
            }
        },
    })
}

fn tls(tls: &Tls) -> Value {
    json!({
        "ssl_policy": tls.policy.name,
        "left_out": tls.policy.left_out,
        "groups_left_out": tls.policy.groups_left_out,
        "certificates": list(&tls.certificates, |name| json!(**name)),
        "mutual_authentication": mutual_authentication(&tls.own),
        "server_name_policies": list(server_name_policies(tls), |(name, access)| {
            json!({"server_name": name, "mutual_authentication": mutual_authentication(access)})
        }),
    })
}

/// By name, in the order of the alphabet.
fn server_name_policies(tls: &Tls) -> BTreeMap<String, &Access> {
    tls.by_name.iter().map(|(name, access)| (name, &**access)).collect()
}

/// In the words of the configuration.
fn mutual_authentication(access: &Access) -> Value {
    let mode = access.authentication.mode();
    let session_resumption = match (access.tickets, &access.authentication) {
        (None, _) => "off",
        (Some(_), Authentication::Verify(_)) => "bound",
        (Some(_), Authentication::Off | Authentication::Passthrough) => "on",
    };
    match &access.authentication {
        Authentication::Off | Authentication::Passthrough => {
            json!({"mode": mode, "session_resumption": session_resumption})
        }
        Authentication::Verify(verify) => json!({
            "mode": mode,
            "session_resumption": session_resumption,
            "trust_store": *verify.trust_store,
            "refusal": verify.refusal.word(),
            "ignore_client_certificate_expiry": verify.conditions.ignore_client_certificate_expiry,
            "client_certificate_identity_filters": verify.conditions.filters.count(),
        }),
    }
}

fn certificate(certificate: &Certificate) -> Value {
    json!({
        "name": *certificate.name,
        "server_names": certificate.server_names,
        "not_after": rfc3339(certificate.not_after),
    })
}

fn trust_store(store: &Store, live: &Live) -> Value {
    json!({
        "name": *store.name,
        "source": live.trust_sources.get(&store.name).map(Source::word),
        "ca_certificates": store.bundle.ca_count(),
        "earliest_ca_expiry": rfc3339(store.bundle.earliest_expiry()),
        "partial_anchors": store.bundle.partial_anchors(),
        "revoked_entries": store.revocations.entries(),
        "revocations": list(store.revocations.status(), revocations),
        "stale_revocations": store.rules.stale_revocations.name(),
        "unlisted_issuers": store.rules.unlisted_issuers.name(),
    })
}

fn revocations(crl: &revocation::Status) -> Value {
    json!({
        "file": crl.file,
        "issuer": crl.issuer,
        "entries": crl.entries,
        "this_update": rfc3339(crl.this_update),
        "next_update": crl.next_update.map(rfc3339),
    })
}

fn target_group(group: &Group) -> Value {
    json!({
        "name": *group.name,
        "protocol_version": group.protocol_version.word(),
        "targets": list(&group.targets, |target| match &target.place {
            Place::Address(address) => json!({"id": address, "port": target.port}),
            Place::Name(name) => json!({"id": name, "port": target.port}),
        }),
        "addresses": **group.addresses.load(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::{Logs, Name, Prefix, SlowClients};
    use crate::http::attributes::Attributes;
    use crate::http::identity::Names;
    use crate::net::{Options, Steering};
    use crate::observe::arn;
    use crate::route::FixedResponse;
    use crate::target::{ProtocolVersion, Target};
    use crate::tls::{Policy, ServerNames};
    use arc_swap::ArcSwap;
    use rustls::ServerConfig;
    use rustls::server::ResolvesServerCertUsingSni;
    use std::sync::Arc;

    fn names() -> Names {
        let name = || "X-Name".to_owned();
        Names {
            serial_number: name(),
            issuer: name(),
            subject: name(),
            validity: name(),
            leaf: name(),
            chain: name(),
            tls_version: name(),
            tls_cipher_suite: name(),
        }
    }

    fn listener(name: &str, tls: Option<Tls>, default_action: Action) -> (Name, Arc<Listener>) {
        let listener = Listener {
            name: name.into(),
            bind: "127.0.0.1:0".parse().unwrap(),
            socket: Options { backlog: 16, defer_accept: true, steering: Steering::Hash },
            tls,
            attributes: Attributes { names: names(), ..Attributes::default() },
            idle_timeout: Duration::from_secs(60),
            client_keep_alive: Duration::from_secs(3_600),
            handshake_timeout: Duration::from_secs(10),
            connections_max: None,
            connections_per_source_max: None,
            source_prefix: Prefix { ipv4_bits: 32, ipv6_bits: 64 },
            slow_clients: SlowClients {
                head_timeout: Duration::from_secs(30),
                body: None,
                answer: None,
                request_timeout: None,
            },
            handshakes_in_flight_max: 64,
            default_action,
        };
        (name.into(), Arc::new(listener))
    }

    fn passthrough() -> Tls {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server_config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        Tls {
            policy: Policy {
                name: "ELBSecurityPolicy-2016-08",
                versions: vec![&rustls::version::TLS12],
                provider,
                left_out: vec!["TLSv1.1"],
                groups_left_out: Vec::new(),
            },
            certificates: vec!["api".into()],
            own: Access {
                policy: String::new(),
                server_names: Vec::new(),
                authentication: Authentication::Passthrough,
                tickets: None,
                server_config: Arc::new(server_config),
            },
            by_name: ServerNames::default(),
        }
    }

    #[test]
    fn status_shows_the_live_value_and_the_node() {
        let group = Arc::new(Group {
            name: "orders".into(),
            protocol_version: ProtocolVersion::Http2,
            arn: arn::target_group("orders"),
            targets: vec![Target { place: Place::Name("orders.internal".to_owned()), port: 8080 }],
            addresses: ArcSwap::from_pointee(vec!["10.0.0.5:8080".parse().unwrap()]),
        });
        let gone = FixedResponse {
            status: 404,
            content_type: "text/plain".to_owned(),
            body: String::new(),
        };
        let live = Live {
            generation: 3,
            listeners: [
                listener("http", None, Action::FixedResponse(gone)),
                listener("https", Some(passthrough()), Action::Forward(group.clone())),
            ]
            .into(),
            addresses: [("https".into(), "127.0.0.1:4433".parse().unwrap())].into(),
            trust_stores: BTreeMap::new(),
            trust_sources: BTreeMap::new(),
            certificates: BTreeMap::new(),
            target_groups: [(group.name.clone(), group)].into(),
            ticket_keys: Arc::default(),
            forbidden: Arc::default(),
            logs: Logs::default(),
            warnings: vec![Fault {
                path: "listeners[1].ssl_policy".to_owned(),
                line: None,
                message: "without TLSv1.1".to_owned(),
            }],
        };
        let fault = Fault { path: String::new(), line: Some(2), message: "not YAML".to_owned() };
        let node = NodeStatus {
            name: "edge-1".to_owned(),
            version: "0.1.0",
            engine: Engine::Epoll,
            io_uring_refused: Some("Operation not permitted".to_owned()),
            shards: vec![ShardStatus {
                index: 0,
                cpu: 2,
                acknowledged_generation: 3,
                open_connections: 5,
            }],
            draining: false,
            uptime: Duration::from_millis(61_999),
            last_reload: Some(LastReload {
                time: Duration::from_secs(1_795_169_472),
                outcome: Reload::Faulty,
                faults: vec![fault],
            }),
        };
        let expected = json!({
            "name": "edge-1",
            "version": "0.1.0",
            "generation": 3,
            "draining": false,
            "uptime_seconds": 61,
            "engine": "epoll",
            "io_uring_refused": "Operation not permitted",
            "shards":
                [{"index": 0, "cpu": 2, "acknowledged_generation": 3, "open_connections": 5}],
            "last_reload": {
                "time": "2026-11-20T10:11:12Z",
                "outcome": "faulty",
                "faults": [{"path": "", "line": 2, "message": "not YAML"}],
            },
            "warnings": [{"path": "listeners[1].ssl_policy", "message": "without TLSv1.1"}],
            "listeners": [
                {
                    "name": "http",
                    "bind": "127.0.0.1:0",
                    "address": null,
                    "protocol": "HTTP",
                    "tls": null,
                    "default_action": {"type": "fixed-response", "status_code": 404},
                },
                {
                    "name": "https",
                    "bind": "127.0.0.1:0",
                    "address": "127.0.0.1:4433",
                    "protocol": "HTTPS",
                    "tls": {
                        "ssl_policy": "ELBSecurityPolicy-2016-08",
                        "left_out": ["TLSv1.1"],
                        "groups_left_out": [],
                        "certificates": ["api"],
                        "mutual_authentication": {
                            "mode": "passthrough",
                            "session_resumption": "off",
                        },
                        "server_name_policies": [],
                    },
                    "default_action": {"type": "forward", "target_group": "orders"},
                },
            ],
            "certificates": [],
            "trust_stores": [],
            "target_groups": [{
                "name": "orders",
                "protocol_version": "HTTP2",
                "targets": [{"id": "orders.internal", "port": 8080}],
                "addresses": ["10.0.0.5:8080"],
            }],
        });
        assert_eq!(build(&live, &node), expected);
    }
}
