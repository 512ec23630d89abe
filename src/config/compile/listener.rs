//! Listeners.
use super::access::{self, Asked};
use super::attributes::{self, Balancer};
use super::server_configs::{Key, ServerConfigs};
use super::slow_clients::slow_clients;
use super::trust_store::TrustStore;
use super::{Made, Named, References, action, in_range, name_of_ours, named, node};
use crate::config::Faults;
use crate::config::faults::OrNote;
use crate::config::snapshot::{Access, Listener, Name, Prefix, Tls};
use crate::config::written::{self, List, OnOff, Protocol};
use crate::net;
use crate::target::Group;
use crate::tls::server::{Protocols, Resumption};
use crate::tls::{Certificate, Policy, Resolver, ServerNames, policy};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What listeners refer to by name.
pub(super) struct Known<'a> {
    pub(super) certificates: References<'a, Made<Certificate>>,
    pub(super) trust_stores: References<'a, TrustStore>,
    pub(super) target_groups: References<'a, Arc<Group>>,
}

impl Named for written::Listener {
    const SECTION: &'static str = "listeners";
    const CHECK: fn(&str) -> Result<(), String> = name_of_ours;
    fn name(&self) -> &str {
        &self.name
    }
}

/// All of them.
pub(super) fn all(
    written: &List<written::Listener>,
    balancer: &Balancer,
    known: &Known<'_>,
    configs: &mut ServerConfigs<'_>,
    faults: &mut Faults,
) -> BTreeMap<Name, Arc<Listener>> {
    let mut binds: BTreeMap<SocketAddr, Name> = BTreeMap::new();
    named(written, faults, |name, written, faults| {
        let bind = node::address(&written.bind).or_note(faults, "bind");
        // Port 0 is another port each time.
        if let Some(bind) = bind.filter(|bind| bind.port() != 0) {
            match binds.get(&bind) {
                Some(other) => {
                    faults.note("bind", format_args!("the listener {other} is there already"));
                }
                None => drop(binds.insert(bind, Arc::clone(name))),
            }
        }
        let tls = match written.protocol {
            Protocol::Https => Some(tls(name, written, balancer.protocols, known, configs, faults)),
            Protocol::Http => {
                refuse_tls(written, faults);
                None
            }
        };
        let attributes =
            attributes::listener(written.protocol, &written.attributes, balancer, faults);
        let default_action = action::default_action(written, balancer.protocols, known, faults);
        let handshake_timeout_ms = in_range(written.handshake_timeout_ms, 1..=60_000)
            .or_note(faults, "handshake_timeout_ms");
        let handshakes_in_flight_max = in_range(written.handshakes_in_flight_max, 1..=65_536)
            .or_note(faults, "handshakes_in_flight_max");
        let connections_max = at_least_one(written.connections_max, "connections_max", faults);
        let connections_per_source_max =
            at_least_one(written.connections_per_source_max, "connections_per_source_max", faults);
        let source_prefix = source_prefix(written, faults);
        let slow_clients =
            faults.within("slow_clients", |faults| slow_clients(&written.slow_clients, faults));
        let backlog = in_range(written.backlog, 1..=65_535).or_note(faults, "backlog");
        Some(Arc::new(Listener {
            name: Arc::clone(name),
            bind: bind?,
            socket: net::Options {
                backlog: backlog?,
                defer_accept: written.defer_accept,
                steering: balancer.steering,
            },
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
            attributes,
            idle_timeout: balancer.idle_timeout,
            client_keep_alive: balancer.client_keep_alive,
            handshake_timeout: Duration::from_millis(u64::from(handshake_timeout_ms?)),
            connections_max: connections_max?,
            connections_per_source_max: connections_per_source_max?,
            source_prefix: source_prefix?,
            slow_clients: slow_clients?,
            handshakes_in_flight_max: handshakes_in_flight_max? as usize,
            default_action: default_action?,
        }))
    })
}

/// A bound that there may be: with none at all a listener would serve nobody.
fn at_least_one(
    written: Option<u32>,
    key: &'static str,
    faults: &mut Faults,
) -> Option<Option<u32>> {
    match written {
        None => Some(None),
        Some(number) => in_range(number, 1..=u32::MAX).or_note(faults, key).map(Some),
    }
}

/// What a source is.
fn source_prefix(written: &written::Listener, faults: &mut Faults) -> Option<Prefix> {
    let bits = |written, max, key, faults: &mut Faults| {
        let bits = in_range(written, 1..=max).or_note(faults, key)?;
        u8::try_from(bits).ok()
    };
    let ipv4 = bits(written.source_ipv4_prefix_bits, 32, "source_ipv4_prefix_bits", faults);
    let ipv6 = bits(written.source_ipv6_prefix_bits, 128, "source_ipv6_prefix_bits", faults);
    Some(Prefix { ipv4_bits: ipv4?, ipv6_bits: ipv6? })
}

/// What an HTTP listener has no use for.
fn refuse_tls(written: &written::Listener, faults: &mut Faults) {
    let keys = [
        ("ssl_policy", written.ssl_policy.is_some()),
        ("strict_ssl_policy", written.strict_ssl_policy),
        ("certificates", !written.certificates.0.is_empty()),
        ("mutual_authentication", written.mutual_authentication.is_some()),
        ("session_resumption", written.session_resumption.is_some()),
        ("server_name_policies", !written.server_name_policies.0.is_empty()),
    ];
    for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
        faults.note(key, "needs protocol: HTTPS");
    }
}

fn tls(
    name: &Name,
    written: &written::Listener,
    protocols: Protocols,
    known: &Known<'_>,
    configs: &mut ServerConfigs<'_>,
    faults: &mut Faults,
) -> Option<Tls> {
    let policy = ssl_policy(written, faults);
    let certificates = certificates(&written.certificates, known, faults);
    let resumption = match written.session_resumption.unwrap_or(OnOff::On) {
        OnOff::On => Resumption::Tickets,
        OnOff::Off => Resumption::Off,
    };
    let own = match &written.mutual_authentication {
        None => Some(access::off(resumption)),
        Some(written) => faults.within("mutual_authentication", |faults| {
            access::mutual_authentication(written, resumption, known, faults)
        }),
    };
    let by_name = server_name_policies(&written.server_name_policies, resumption, known, faults);
    let (policy, certificates) = (policy?, certificates?);
    let resolver = Arc::new(Resolver::new(certificates.clone()));
    let served = access::served(policy.name, &certificates);
    let mut access = |server_names: &[&str], asked: Asked, faults: &mut Faults| {
        let key = Key {
            listener: Arc::clone(name),
            policy: policy.name,
            certificates: certificates.clone(),
            ask: asked.ask,
            advertised: asked.advertised,
            resumption: asked.resumption,
            protocols,
        };
        let server_config = configs.get(key, &policy, &resolver).or_note(faults, "certificates")?;
        let authentication = asked.authentication;
        let tickets = match asked.resumption {
            Resumption::Off => None,
            Resumption::Tickets => {
                let bundle = asked.bundle;
                Some(access::binding(name, served, server_names, &authentication, bundle))
            }
        };
        let policy = access::policy(server_names);
        let server_names = server_names.iter().map(|name| (*name).to_owned()).collect();
        Some(Access { policy, server_names, authentication, tickets, server_config })
    };
    let own = access(&[], own?, faults)?;
    let mut table = ServerNames::default();
    for (server_names, asked) in by_name? {
        let access = Arc::new(access(&server_names, asked, faults)?);
        for server_name in server_names {
            // It went into a table of names before.
            let _ = table.insert(server_name, Arc::clone(&access));
        }
    }
    let certificates = certificates.iter().map(|one| Arc::clone(&one.name)).collect();
    Some(Tls { policy, certificates, own, by_name: table })
}

fn ssl_policy(written: &written::Listener, faults: &mut Faults) -> Option<Policy> {
    let name = written.ssl_policy.as_deref().unwrap_or(policy::DEFAULT);
    let policy = Policy::by_name(name).or_note(faults, "ssl_policy")?;
    if !policy.left_out.is_empty() {
        let left_out = policy.left_out.join(", ");
        let message = format!("of {name}, this node does not offer {left_out}");
        if written.strict_ssl_policy {
            faults.note("ssl_policy", format_args!("{message}, and strict_ssl_policy is set"));
        } else {
            faults.warn("ssl_policy", message);
        }
    }
    Some(policy)
}

fn certificates(
    written: &List<String>,
    known: &Known<'_>,
    faults: &mut Faults,
) -> Option<Vec<Arc<Certificate>>> {
    if written.0.is_empty() {
        let message = "an HTTPS listener needs certificates, and none is named";
        faults.note_missing("certificates", message);
        return None;
    }
    let mut all = Some(Vec::new());
    for (position, (index, name)) in written.0.iter().enumerate() {
        let found = faults.element("certificates", *index, |faults| {
            if written.0.iter().take(position).any(|(_, earlier)| earlier == name) {
                faults.note_here(format_args!("{name} is in the list already"));
            }
            known.certificates.find(name, faults)
        });
        all = all.zip(found).map(|(mut all, found)| {
            all.push(Arc::clone(&found.value));
            all
        });
    }
    all
}

/// The names of each policy and what is asked of their clients.
fn server_name_policies<'a>(
    written: &'a List<written::ServerNamePolicy>,
    resumption: Resumption,
    known: &Known<'_>,
    faults: &mut Faults,
) -> Option<Vec<(Vec<&'a str>, Asked)>> {
    let mut taken = ServerNames::default();
    let mut all = Some(Vec::new());
    for (index, written) in &written.0 {
        let policy = faults.element("server_name_policies", *index, |faults| {
            let mut names = Vec::new();
            if written.server_names.0.is_empty() {
                faults.note_missing("server_names", "a policy needs at least one name");
            }
            for (index, name) in &written.server_names.0 {
                match taken.insert(name, ()) {
                    Ok(()) => names.push(name.as_str()),
                    Err(fault) => faults.element("server_names", *index, |faults| {
                        faults.note_here(format_args!("\"{name}\": {fault}"));
                    }),
                }
            }
            let asked = faults.within("mutual_authentication", |faults| {
                let written = &written.mutual_authentication;
                access::mutual_authentication(written, resumption, known, faults)
            })?;
            Some((names, asked))
        });
        all = all.zip(policy).map(|(mut all, policy)| {
            all.push(policy);
            all
        });
    }
    all
}
