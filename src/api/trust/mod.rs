//! Trust stores for whoever changes them: what they hold, in ALB's words.
//!
//! [`endpoint`] is the node's side of it, on the admin socket, and [`client`] that of `portcullis trust`.
pub mod client;
pub(super) mod endpoint;
pub mod upload;

use crate::calendar::rfc3339;
use crate::config::Fault;
use crate::config::snapshot::{Live, Source};
use crate::trust::{Store, revocation};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What every trust store of a node holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The generation that it is live in.
    pub generation: u64,
    /// In the order of their names.
    pub trust_stores: Vec<TrustStore>,
}

/// What a trust store holds. ALB: `DescribeTrustStores`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TrustStore {
    /// The name that listeners use.
    pub name: String,
    /// Who changes it: `files` or `api`.
    pub source: String,
    /// CA certificates of the bundle.
    pub number_of_ca_certificates: usize,
    /// When the first of them expires.
    pub earliest_ca_expiry: String,
    /// Entries of all lists.
    pub total_revoked_entries: usize,
    /// The lists, in the order of the files.
    pub revocations: Vec<Revocation>,
}

/// One revocation list. ALB: `DescribeTrustStoreRevocations`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Revocation {
    /// Of its file, where commands change the trust store. A file may hold several lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_id: Option<u64>,
    /// How the file was called.
    pub file: String,
    /// RFC 2253.
    pub issuer: String,
    /// Its entries.
    pub number_of_revoked_entries: usize,
    /// thisUpdate.
    pub this_update: String,
    /// nextUpdate, where it has one.
    pub next_update: Option<String>,
}

/// A change of a trust store that every shard has taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Changed {
    /// The generation that is now live.
    pub generation: u64,
    /// What the trust store holds now.
    pub trust_store: TrustStore,
    /// Of the revocation files that came with the change, in their order.
    pub new_revocation_ids: Vec<u64>,
    /// What is odd about the node now and was not before.
    pub warnings: Vec<Fault>,
}

impl Report {
    /// Of the live value.
    pub fn new(live: &Live) -> Self {
        let trust_stores = live.trust_stores.values().map(|store| TrustStore::new(store, live));
        Self { generation: live.generation, trust_stores: trust_stores.collect() }
    }
}

impl TrustStore {
    /// One of the live value's.
    pub fn new(store: &Store, live: &Live) -> Self {
        let source = live.trust_sources.get(&store.name);
        let lists = store.revocations.status().iter();
        Self {
            name: store.name.to_string(),
            source: source.map_or("files", Source::word).to_owned(),
            number_of_ca_certificates: store.bundle.ca_count(),
            earliest_ca_expiry: rfc3339(store.bundle.earliest_expiry()),
            total_revoked_entries: store.revocations.entries(),
            revocations: lists.map(|list| Revocation::new(list, source)).collect(),
        }
    }
}

impl Revocation {
    fn new(list: &revocation::Status, source: Option<&Source>) -> Self {
        Self {
            revocation_id: source.and_then(|source| source.revocation_id(list.file_index)),
            file: list.file.clone(),
            issuer: list.issuer.clone(),
            number_of_revoked_entries: list.entries,
            this_update: rfc3339(list.this_update),
            next_update: list.next_update.map(rfc3339),
        }
    }
}

impl fmt::Display for TrustStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, source, number_of_ca_certificates, earliest_ca_expiry, .. } = self;
        write!(
            f,
            "{name}: source {source}; {}, the first expires at {earliest_ca_expiry}; {}",
            counted(*number_of_ca_certificates, "CA certificate", "CA certificates"),
            counted(self.total_revoked_entries, "revoked entry", "revoked entries"),
        )?;
        self.revocations.iter().try_for_each(|revocation| write!(f, "\n  {revocation}"))
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, issuer, this_update, .. } = self;
        match self.revocation_id {
            Some(id) => write!(f, "revocation {id}, {file}: ")?,
            None => write!(f, "{file}: ")?,
        }
        let entries = counted(self.number_of_revoked_entries, "entry", "entries");
        write!(f, "{entries} of {issuer}, of {this_update}")?;
        match &self.next_update {
            Some(next_update) => write!(f, ", next update {next_update}"),
            None => f.write_str(", no next update"),
        }
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
