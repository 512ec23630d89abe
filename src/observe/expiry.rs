//! What time does to certificates, CAs and revocation lists, and how many of them there are: numbers of
//! the live value, for whoever wants to be warned ahead.
//!
//! Pure. Copied out of the live value before each scrape, so that no page keeps a generation alive.
//! Labels are names of the configuration and lists as it names them, never what a file holds.
use super::names::{self, Metric};
use super::page::Page;
use crate::config::snapshot::{Live, Name};
use crate::tls::Certificate;
use crate::trust::{Store, revocation};
use rustls_pki_types::UnixTime;
use std::collections::BTreeMap;

/// The numbers of one live value at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    certificates: Vec<(Name, CertificateTimes)>,
    trust_stores: Vec<(Name, StoreTimes)>,
}

/// A server certificate.
#[derive(Clone, Copy, Debug)]
struct CertificateTimes {
    not_after: UnixTime,
    chain_not_after: Option<UnixTime>,
}

/// A trust store.
#[derive(Clone, Debug)]
struct StoreTimes {
    cas: usize,
    cas_expired: usize,
    next_ca_expiry: UnixTime,
    revoked_entries: usize,
    lists: BTreeMap<String, ListTimes>,
}

/// Of the lists of one file, or those that were added together, the one that is due first. Both times are its
/// own: times of two lists would tell a life that none has.
#[derive(Clone, Copy, Debug)]
struct ListTimes {
    this_update: UnixTime,
    next_update: Option<UnixTime>,
}

impl Expiry {
    pub(super) fn of(live: &Live, now: UnixTime) -> Self {
        let certificates = live.certificates.iter();
        let stores = live.trust_stores.iter();
        Self {
            certificates: certificates
                .map(|(name, certificate)| (name.clone(), CertificateTimes::of(certificate)))
                .collect(),
            trust_stores: stores
                .map(|(name, store)| (name.clone(), StoreTimes::of(store, now)))
                .collect(),
        }
    }

    pub(super) fn write(&self, page: &mut Page) {
        let of = &self.certificates;
        times(page, &names::CERTIFICATE_EXPIRY, of, |one| Some(one.not_after));
        times(page, &names::CERTIFICATE_CHAIN_EXPIRY, of, |one| one.chain_not_after);
        let of = &self.trust_stores;
        times(page, &names::CA_EXPIRY, of, |one| Some(one.next_ca_expiry));
        counts(page, &names::CAS, of, |one| one.cas);
        counts(page, &names::CAS_EXPIRED, of, |one| one.cas_expired);
        counts(page, &names::REVOKED_ENTRIES, of, |one| one.revoked_entries);
        self.write_lists(page, &names::CRL_THIS_UPDATE, |list| Some(list.this_update));
        self.write_lists(page, &names::CRL_NEXT_UPDATE, |list| list.next_update);
    }

    fn write_lists(
        &self,
        page: &mut Page,
        metric: &Metric<2>,
        time: impl Fn(&ListTimes) -> Option<UnixTime>,
    ) {
        let lists = self.trust_stores.iter().flat_map(|(store, times)| {
            times.lists.iter().map(move |(list, times)| ([&**store, list.as_str()], times))
        });
        page.gauge(metric, lists.filter_map(|(labels, list)| Some((labels, seconds(time(list)?)))));
    }
}

impl CertificateTimes {
    fn of(certificate: &Certificate) -> Self {
        Self { not_after: certificate.not_after, chain_not_after: certificate.chain_not_after }
    }
}

impl StoreTimes {
    fn of(store: &Store, now: UnixTime) -> Self {
        let expiries = || store.bundle.expiries();
        let ahead = expiries().filter(|expiry| *expiry >= now).min();
        let mut lists = BTreeMap::new();
        for list in store.revocations.status() {
            ListTimes::join(&mut lists, list);
        }
        Self {
            cas: store.bundle.ca_count(),
            cas_expired: expiries().filter(|expiry| *expiry < now).count(),
            // One that has expired long ago must not hide the next one.
            next_ca_expiry: ahead.or(expiries().max()).unwrap_or(now),
            revoked_entries: store.revocations.entries(),
            lists,
        }
    }
}

impl ListTimes {
    fn join(lists: &mut BTreeMap<String, Self>, list: &revocation::Status) {
        let times = Self { this_update: list.this_update, next_update: list.next_update };
        let first = lists.entry(list.file.clone()).or_insert(times);
        if times.urgency() < first.urgency() {
            *first = times;
        }
    }

    /// The least is due first; a list without nextUpdate never is.
    fn urgency(&self) -> (bool, Option<UnixTime>, UnixTime) {
        (self.next_update.is_none(), self.next_update, self.this_update)
    }
}

fn times<T>(
    page: &mut Page,
    metric: &Metric<1>,
    all: &[(Name, T)],
    time: impl Fn(&T) -> Option<UnixTime>,
) {
    let series = all.iter().filter_map(|(name, of)| Some(([&**name], seconds(time(of)?))));
    page.gauge(metric, series);
}

fn counts<T>(page: &mut Page, metric: &Metric<1>, all: &[(Name, T)], count: impl Fn(&T) -> usize) {
    page.gauge(metric, all.iter().map(|(name, of)| ([&**name], count(of) as f64)));
}

fn seconds(time: UnixTime) -> f64 {
    time.as_secs() as f64
}
