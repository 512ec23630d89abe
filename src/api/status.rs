//! `/status`: the live value and the node, as JSON for people and scripts.
//!
//! Pure. Keys are only ever added.
use crate::config::Fault;
use crate::config::snapshot::{Access, Authentication, Listener, Live, Name, RefusalForm, Tls};
use crate::net::Engine;
use crate::observe::metrics::Reload;
use crate::observe::time::Seconds;
use crate::route::Action;
use crate::target::{Group, Place};
use crate::tls::Certificate;
use crate::trust::{Store, revocation};
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
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
    /// Where listeners really listen, by name: the port is filled in where the configuration says 0.
    pub addresses: BTreeMap<Name, SocketAddr>,
    /// Whether the node is ending.
    pub draining: bool,
    /// Since its start.
    pub uptime: Duration,
    /// The last attempt to replace configuration or trust.
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

/// An attempt to replace configuration or trust.
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
        "listeners": list(live.listeners.values(), |of| listener(of, node)),
        "certificates": list(live.certificates.values(), |of| certificate(of)),
        "trust_stores": list(live.trust_stores.values(), |of| trust_store(of)),
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

fn listener(listener: &Listener, node: &NodeStatus) -> Value {
    json!({
        "name": *listener.name,
        "bind": listener.bind,
        "address": node.addresses.get(&listener.name),
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
        "server_name_policies":
            list(tls.by_name.values(), |access| mutual_authentication(access)),
    })
}

/// In the words of the configuration.
fn mutual_authentication(access: &Access) -> Value {
    match &access.authentication {
        Authentication::Off => json!({"mode": "off"}),
        Authentication::Passthrough => json!({"mode": "passthrough"}),
        Authentication::Verify(verify) => json!({
            "mode": "verify",
            "trust_store": *verify.store.name,
            "refusal": match verify.refusal {
                RefusalForm::Alert => "alert",
                RefusalForm::Reset => "reset",
                RefusalForm::Http => "http",
            },
            "ignore_client_certificate_expiry": verify.conditions.ignore_client_certificate_expiry,
        }),
    }
}

fn certificate(certificate: &Certificate) -> Value {
    json!({
        "name": *certificate.name,
        "server_names": certificate.server_names,
        "not_after": time(certificate.not_after),
    })
}

fn trust_store(store: &Store) -> Value {
    json!({
        "name": *store.name,
        "ca_certificates": store.bundle.ca_count(),
        "earliest_ca_expiry": time(store.bundle.earliest_expiry()),
        "partial_anchors": store.bundle.partial_anchors(),
        "revoked_entries": store.revocations.entries(),
        "revocations": list(store.revocations.status(), revocations),
    })
}

fn revocations(crl: &revocation::Status) -> Value {
    json!({
        "file": crl.file,
        "issuer": crl.issuer,
        "entries": crl.entries,
        "this_update": time(crl.this_update),
        "next_update": crl.next_update.map(time),
    })
}

fn target_group(group: &Group) -> Value {
    json!({
        "name": *group.name,
        "targets": list(&group.targets, |target| match &target.place {
            Place::Address(address) => json!({"id": address, "port": target.port}),
            Place::Name(name) => json!({"id": name, "port": target.port}),
        }),
        "addresses": **group.addresses.load(),
    })
}

fn time(time: UnixTime) -> String {
    Seconds(Duration::from_secs(time.as_secs())).to_string()
}
