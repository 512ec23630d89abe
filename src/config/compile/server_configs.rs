//! rustls configurations: one for each listener and way of asking, kept while nothing in it changes, so
//! that a reload of a revocation list builds none anew.
use crate::config::snapshot::Name;
use crate::tls::server::{Protocols, Resumption};
use crate::tls::verifier::Ask;
use crate::tls::{Certificate, Policy, Resolver, server};
use rustls::{DistinguishedName, ServerConfig};
use std::sync::Arc;

/// What a configuration was made of.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) listener: Name,
    pub(super) policy: &'static str,
    pub(super) certificates: Vec<Arc<Certificate>>,
    pub(super) ask: Ask,
    pub(super) advertised: Vec<DistinguishedName>,
    pub(super) resumption: Resumption,
    pub(super) protocols: Protocols,
}

/// Certificates are the same when they are the same value: an unchanged one is taken over whole.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.listener == other.listener
            && self.policy == other.policy
            && self.ask == other.ask
            && self.resumption == other.resumption
            && self.protocols == other.protocols
            && same_subjects(&self.advertised, &other.advertised)
            && self.certificates.len() == other.certificates.len()
            && std::iter::zip(&self.certificates, &other.certificates)
                .all(|(one, another)| Arc::ptr_eq(one, another))
    }
}

fn same_subjects(one: &[DistinguishedName], other: &[DistinguishedName]) -> bool {
    let bytes = |subject: &DistinguishedName| subject.as_ref().to_vec();
    one.iter().map(bytes).eq(other.iter().map(bytes))
}

/// A configuration and what it was made of.
pub(super) type Entry = (Key, Arc<ServerConfig>);

/// Those of one load.
#[derive(Debug)]
pub(super) struct ServerConfigs<'a> {
    previous: &'a [Entry],
    entries: Vec<Entry>,
}

impl<'a> ServerConfigs<'a> {
    pub(super) fn new(previous: &'a [Entry]) -> Self {
        Self { previous, entries: Vec::new() }
    }

    /// One that was made already, in this load or the last, or a new one.
    ///
    /// # Errors
    /// As [`server::config`].
    pub(super) fn get(
        &mut self,
        key: Key,
        policy: &Policy,
        resolver: &Arc<Resolver>,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        if let Some((_, config)) = self.entries.iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(config));
        }
        let config = match self.previous.iter().find(|(known, _)| *known == key) {
            Some((_, config)) => Arc::clone(config),
            None => {
                let (resolver, advertised) = (Arc::clone(resolver), key.advertised.clone());
                server::config(
                    policy,
                    resolver,
                    key.ask,
                    advertised,
                    key.resumption,
                    key.protocols,
                )?
            }
        };
        self.entries.push((key, Arc::clone(&config)));
        Ok(config)
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
