//! From what is written to what cannot be wrong. Every part notes its faults and goes on, so that one
//! pass finds them all; what could not be made is simply left out of what refers to it.
//!
//! Called by `load`, on the control thread. The order is that of reference: certificates, trust stores
//! and target groups, then the listeners that name them. Where nothing changed, the value of the last
//! load is taken over ([`Kept`]), so that a new revocation list costs no more than its own parsing.
mod access;
mod action;
mod attributes;
mod certificate;
mod identity_filters;
mod listener;
pub(super) mod logs;
mod node;
mod server_configs;
mod session_tickets;
mod slow_clients;
mod target_group;
mod trust_store;

pub(super) use node::{admin, metrics, node};
pub(super) use trust_store::{State, contents_of_files};

use super::Faults;
use super::faults::OrNote;
use super::files::{Digest, Files};
use super::nearest::nearest;
use super::read::{Declared, Names};
use super::snapshot::{Listener, Live, Logs, Name};
use super::state::Sealed;
use super::written::{Configuration, List};
use crate::http::identity::Forbidden;
use crate::target::Group;
use crate::tls::Certificate;
use crate::tls::tickets::Keys;
use rustls_pki_types::UnixTime;
use std::collections::BTreeMap;
use std::sync::Arc;
use trust_store::TrustStore;

/// What the next load may take over.
#[derive(Debug, Default)]
pub(super) struct Kept {
    certificates: BTreeMap<Name, Made<Certificate>>,
    trust_stores: BTreeMap<Name, TrustStore>,
    target_groups: BTreeMap<Name, Arc<Group>>,
    ticket_keys: Option<Made<Keys>>,
    server_configs: Vec<server_configs::Entry>,
}

/// Something that was made of files.
#[derive(Debug)]
pub(super) struct Made<T> {
    /// What it was made of.
    fingerprint: Digest,
    value: Arc<T>,
    /// What was odd, and at which key.
    warnings: Vec<(&'static str, String)>,
}

impl<T> Clone for Made<T> {
    fn clone(&self) -> Self {
        let (value, warnings) = (Arc::clone(&self.value), self.warnings.clone());
        Self { fingerprint: self.fingerprint, value, warnings }
    }
}

impl Kept {
    /// What shards work by. Its logs and its warnings are still missing.
    pub(super) fn live(&self, listeners: BTreeMap<Name, Arc<Listener>>) -> Live {
        let stores = || self.trust_stores.iter();
        let certificates = self.certificates.iter();
        let names = listeners.values().map(|one| &one.attributes.names);
        Live {
            generation: 0,
            forbidden: Arc::new(Forbidden::new(names)),
            listeners,
            addresses: BTreeMap::new(),
            trust_stores: stores()
                .map(|(name, store)| (Arc::clone(name), Arc::clone(&store.made.value)))
                .collect(),
            trust_sources: stores()
                .map(|(name, store)| (Arc::clone(name), store.source.clone()))
                .collect(),
            certificates: certificates
                .map(|(name, made)| (Arc::clone(name), Arc::clone(&made.value)))
                .collect(),
            target_groups: self.target_groups.clone(),
            ticket_keys: self
                .ticket_keys
                .as_ref()
                .map(|made| Arc::clone(&made.value))
                .unwrap_or_default(),
            logs: Logs::default(),
            warnings: Vec::new(),
        }
    }
}

/// What shards work by, compiled.
pub(super) struct Compiled {
    pub(super) listeners: BTreeMap<Name, Arc<Listener>>,
    pub(super) kept: Kept,
    /// What `state_dir` is to hold of trust stores that it has nothing of yet.
    pub(super) seeds: Vec<Sealed>,
}

/// Compiles everything that shards work by.
pub(super) fn compile(
    written: &Configuration,
    declared: &Declared,
    previous: &Kept,
    files: &mut Files,
    state: State<'_>,
    now: UnixTime,
    faults: &mut Faults,
) -> Compiled {
    let certificates = certificate::all(&written.certificates, previous, files, faults);
    let mut load = trust_store::Load { previous, files, state, now, seeds: Vec::new() };
    let trust_stores = load.all(&written.trust_stores, faults);
    let seeds = load.seeds;
    let target_groups = target_group::all(&written.target_groups, previous, faults);
    let ticket_keys = faults.within("session_tickets", |faults| {
        let previous = previous.ticket_keys.as_ref();
        session_tickets::keys(&written.session_tickets, previous, files, faults)
    });
    let server_configs = Vec::new();
    let kept = Kept { certificates, trust_stores, target_groups, ticket_keys, server_configs };
    let (listeners, kept) = link(written, declared, kept, previous, now, faults);
    Compiled { listeners, kept, seeds }
}

/// Compiles anew what a trust store's contents reach: the trust store, and the listeners that name it.
pub(super) fn changed(
    written: &Configuration,
    declared: &Declared,
    previous: &Kept,
    sealed: &Sealed,
    now: UnixTime,
    faults: &mut Faults,
) -> Option<Compiled> {
    let name = sealed.trust_store();
    let (_, store) = written.trust_stores.0.iter().find(|(_, store)| store.name == name)?;
    let store = trust_store::changed(store, sealed, now, faults)?;
    let mut trust_stores = previous.trust_stores.clone();
    trust_stores.insert(name.into(), store);
    let kept = Kept {
        certificates: previous.certificates.clone(),
        trust_stores,
        target_groups: previous.target_groups.clone(),
        ticket_keys: previous.ticket_keys.clone(),
        server_configs: Vec::new(),
    };
    let (listeners, kept) = link(written, declared, kept, previous, now, faults);
    Some(Compiled { listeners, kept, seeds: Vec::new() })
}

/// Compiles what refers to the rest, and notes what is odd about the rest.
fn link(
    written: &Configuration,
    declared: &Declared,
    mut kept: Kept,
    previous: &Kept,
    now: UnixTime,
    faults: &mut Faults,
) -> (BTreeMap<Name, Arc<Listener>>, Kept) {
    certificate::warn(&written.certificates, &kept.certificates, now, faults);
    trust_store::warn(&written.trust_stores, &kept.trust_stores, now, faults);
    let mut server_configs = server_configs::ServerConfigs::new(&previous.server_configs);
    let known = listener::Known {
        certificates: References::new("certificate", &declared.certificates, &kept.certificates),
        trust_stores: References::new("trust store", &declared.trust_stores, &kept.trust_stores),
        target_groups: References::new(
            "target group",
            &declared.target_groups,
            &kept.target_groups,
        ),
    };
    let balancer = faults.within("load_balancer", |faults| {
        name_of_alb(&written.load_balancer.name).or_note(faults, "name");
        if written.load_balancer.name.starts_with("internal-") {
            faults.note("name", "a name does not begin with internal-");
        }
        let steering = node::steering(written.node.steering);
        attributes::balancer(&written.load_balancer, steering, faults)
    });
    let listeners =
        listener::all(&written.listeners, &balancer, &known, &mut server_configs, faults);
    kept.server_configs = server_configs.into_entries();
    (listeners, kept)
}

/// Something that is written in a list of its own and referred to by name.
trait Named {
    /// The section that has the list.
    const SECTION: &'static str;
    /// Whether a name may be one of it.
    const CHECK: fn(&str) -> Result<(), String>;
    /// Its name.
    fn name(&self) -> &str;
}

/// Compiles a list of things with names: each in its place, no two of one name.
fn named<W: Named, T>(
    written: &List<W>,
    faults: &mut Faults,
    mut make: impl FnMut(&Name, &W, &mut Faults) -> Option<T>,
) -> BTreeMap<Name, T> {
    let section = W::SECTION;
    let mut positions: BTreeMap<Name, usize> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (index, written) in &written.0 {
        faults.element(section, *index, |faults| {
            let name: Name = written.name().into();
            W::CHECK(&name).or_note(faults, "name");
            let made = make(&name, written, faults);
            if let Some(first) = positions.get(&name) {
                faults.note("name", format_args!("{section}[{first}] has this name already"));
                return;
            }
            positions.insert(Arc::clone(&name), *index);
            all.extend(made.map(|made| (name, made)));
        });
    }
    all
}

/// The things of one kind that others refer to by name.
struct References<'a, T> {
    kind: &'static str,
    declared: &'a Names,
    compiled: &'a BTreeMap<Name, T>,
}

impl<'a, T> References<'a, T> {
    fn new(kind: &'static str, declared: &'a Names, compiled: &'a BTreeMap<Name, T>) -> Self {
        Self { kind, declared, compiled }
    }

    /// What `name` refers to. A name that is declared but could not be compiled is no fault of whoever
    /// refers to it.
    fn find(&self, name: &str, faults: &mut Faults) -> Option<&'a T> {
        let found = self.compiled.get(name);
        let excused = self.declared.known.contains(name) || self.declared.may_miss_some;
        if found.is_none() && !excused {
            let guess = nearest(name, self.declared.known.iter().map(String::as_str));
            let guess = guess.map(|guess| format!("; did you mean {guess}?")).unwrap_or_default();
            faults.note_here(format_args!("there is no {} named \"{name}\"{guess}", self.kind));
        }
        found
    }
}

/// ALB's rule for names. Source: ELBv2 API, CreateTrustStore, CreateTargetGroup.
fn name_of_alb(name: &str) -> Result<(), String> {
    let words = name
        .split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if words && name.len() <= 32 {
        return Ok(());
    }
    Err("a name is 1 to 32 letters and digits, with single hyphens between them".to_owned())
}

/// Our rule, where ALB has no names: also those of hosts fit.
fn name_of_ours(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err("a name is 1 to 64 letters, digits, '.', '_' and '-'".to_owned())
}

/// A number in its range.
fn in_range(number: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(format!("{number} is not from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_albs_rule_or_ours() {
        for name in ["a", "a-b", "A1-2-c", &"a".repeat(32)] {
            assert_eq!(name_of_alb(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a-", "a--b", "a_b", "a.b", "\u{e9}", &"a".repeat(33)] {
            assert!(name_of_alb(name).is_err(), "{name}");
        }
        for name in ["api.example.com", "a_b", "-", &"a".repeat(64)] {
            assert_eq!(name_of_ours(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a/b", "*.a", &"a".repeat(65)] {
            assert!(name_of_ours(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_reference_to_something_that_could_not_be_compiled_is_no_fault() {
        let compiled: BTreeMap<Name, u8> = [("api".into(), 1)].into();
        let mut declared = Names::default();
        declared.known.extend(["api".to_owned(), "broken".to_owned()]);
        let mut faults = Faults::default();
        let find = |name: &str, declared: &Names, faults: &mut Faults| {
            References::new("certificate", declared, &compiled).find(name, faults).copied()
        };
        assert_eq!(find("api", &declared, &mut faults), Some(1));
        assert_eq!(find("broken", &declared, &mut faults), None);
        assert!(faults.is_empty());
        assert_eq!(find("brokem", &declared, &mut faults), None);
        assert_eq!(
            faults.to_string(),
            "there is no certificate named \"brokem\"; did you mean broken?"
        );
        declared.may_miss_some = true;
        assert_eq!(find("x", &declared, &mut faults), None);
        assert_eq!(faults.list.len(), 1);
    }
}
