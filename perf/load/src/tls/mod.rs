//! The TLS side of the clients: what they offer, whom they trust, who they are.
mod offers;
mod tickets;
mod unverified;

pub(crate) use offers::{Offers, Version};

use crate::identity::{self, Identity};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tickets::{OnlyKeeps, Tickets};
use unverified::Unverified;

/// What all clients have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    offers: Offers,
    verifier: Verifier,
    /// What clients offer by ALPN.
    alpn: Vec<Vec<u8>>,
    /// Of a hundred connections, how many resume.
    resume_percent: u32,
}

#[derive(Debug)]
enum Verifier {
    Roots(Arc<RootCertStore>),
    Nothing(Arc<Unverified>),
}

/// One client: who it is, and how it shakes hands.
#[derive(Debug)]
pub(crate) struct Client {
    /// The file that its certificate came from, or its common name; empty where it shows none.
    pub(crate) name: String,
    /// Keeps the tickets that come, where others resume with them.
    full: Arc<ClientConfig>,
    resuming: Option<Resuming>,
}

#[derive(Debug)]
struct Resuming {
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    percent: u32,
    turns: AtomicU32,
}

impl Terms {
    /// * `ca`: whom the server's certificate must come from; `None` believes any server without a look.
    /// * `alpn`: what clients offer; empty for nothing.
    /// * `resume_percent`: of a hundred connections, how many resume.
    ///
    /// # Errors
    /// A sentence for whoever gave the option.
    pub(crate) fn new(
        ca: Option<&Path>,
        offers: Offers,
        alpn: &[&str],
        resume_percent: u32,
    ) -> Result<Self, String> {
        let verifier = match ca {
            None => Verifier::Nothing(Arc::new(Unverified::new(offers.provider()))),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in identity::certificates(path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| format!("{}: {error}", path.display()))?;
                }
                Verifier::Roots(Arc::new(roots))
            }
        };
        let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { offers, verifier, alpn, resume_percent })
    }

    /// A client; `index` is its place among all, so that not all resume at the same time.
    ///
    /// # Errors
    /// When chain and key do not belong together.
    pub(crate) fn client(&self, identity: Option<Identity>, index: u32) -> Result<Client, String> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(self.offers.provider()))
            .with_protocol_versions(self.offers.versions())
            .map_err(|error| error.to_string())?;
        let builder = match &self.verifier {
            Verifier::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)),
            Verifier::Nothing(nothing) => {
                builder.dangerous().with_custom_certificate_verifier(Arc::clone(nothing) as Arc<_>)
            }
        };
        let (mut full, name) = match identity {
            None => (builder.with_no_client_auth(), String::new()),
            Some(Identity { name, chain, key }) => {
                let config = builder.with_client_auth_cert(chain, key);
                (config.map_err(|error| format!("{name}: not usable with its key: {error}"))?, name)
            }
        };
        full.alpn_protocols.clone_from(&self.alpn);
        full.resumption = Resumption::disabled();
        let resuming = (self.resume_percent > 0).then(|| {
            let (mut config, tickets) = (full.clone(), Arc::new(Tickets::default()));
            config.resumption = Resumption::store(Arc::clone(&tickets) as Arc<_>);
            full.resumption = Resumption::store(Arc::new(OnlyKeeps(Arc::clone(&tickets))));
            let turns = AtomicU32::new(index % 100);
            Resuming { config: Arc::new(config), tickets, percent: self.resume_percent, turns }
        });
        Ok(Client { name, full: Arc::new(full), resuming })
    }
}

impl Client {
    /// For its next connection: in full, or one that resumes where it has a ticket.
    pub(crate) fn next_config(&self) -> Arc<ClientConfig> {
        match &self.resuming {
            Some(resuming) if resuming.has_turn() => Arc::clone(&resuming.config),
            _ => Arc::clone(&self.full),
        }
    }

    /// For a connection in full, which may bring tickets for those that resume.
    pub(crate) fn full_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.full)
    }

    /// Whether it is to resume, and has nothing to do it with.
    pub(crate) fn lacks_tickets(&self) -> bool {
        self.resuming.as_ref().is_some_and(|resuming| resuming.tickets.are_none())
    }
}

impl Resuming {
    /// Spreads the share evenly, from a different place for each client.
    fn has_turn(&self) -> bool {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % 100;
        (turn * self.percent) % 100 + self.percent >= 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_hundred_connections_in_a_row_hold_the_share() {
        for percent in [1, 33, 50, 99, 100] {
            let offers = Offers::new(&[], &[], &[]).unwrap();
            let terms = Terms::new(None, offers, &[], percent).unwrap();
            let client = terms.client(None, 17).unwrap();
            let resuming = client.resuming.as_ref().unwrap();
            let share = (0..100).filter(|_| resuming.has_turn()).count();
            assert_eq!(share, percent as usize);
        }
    }
}
