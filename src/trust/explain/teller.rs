//! Writes down what a verdict tells.
#![deny(clippy::indexing_slicing)]
use super::entry::Hit;
use super::{Event, List, PassedOver, Path, Seen, Told, Trace, form, reason_name, subject};
use crate::limits;
use crate::trust::bundle::{Authority, Ca};
use crate::trust::certificate::serial_number;
use crate::trust::issued::Issuer;
use crate::trust::serials::Reason;
use crate::trust::x509::{Certificate, KeyUsage, Version};
use crate::trust::{Conditions, Refusal, Store, filter, name};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;

/// Writes a [`Told`].
pub(super) struct Teller<'a> {
    store: &'a Store,
    conditions: &'a Conditions,
    now: UnixTime,
    sent: &'a [CertificateDer<'a>],
    told: &'a mut Told,
    /// Of the path that is being judged.
    fault: Option<String>,
    /// Of the path that is being judged: the position of a certificate and why it is revoked.
    revoked: Option<(usize, Reason)>,
    /// Of the path that is being judged: the position of the one for which no list vouches.
    unvouched: Option<usize>,
}

impl Trace for Teller<'_> {
    fn tell(&mut self, event: Event<'_>) {
        match event {
            Event::Reached { path } => self.reached(path),
            Event::PassedOver { path, issuer, why } => self.passed_over(path, issuer, why),
            Event::Library(error) => self.fault = Some(format!("webpki says {error:?}")),
            Event::Policies => {
                self.fault = Some("its certificates ask for policies that do not agree".to_owned());
            }
            Event::Unvouched { position } => self.unvouched = Some(position),
            Event::Revoked { position, reason } => self.revoked = Some((position, reason)),
            Event::Judged { path, anchor, authority, refusal } => {
                self.judged(path, anchor, authority, refusal);
            }
        }
    }
}

impl<'a> Teller<'a> {
    /// Begins with what the client sent.
    pub(super) fn new(
        store: &'a Store,
        conditions: &'a Conditions,
        now: UnixTime,
        sent: &'a [CertificateDer<'a>],
        told: &'a mut Told,
    ) -> Self {
        let (fault, revoked, unvouched) = (None, None, None);
        let mut teller = Self { store, conditions, now, sent, told, fault, revoked, unvouched };
        teller.tell_sent();
        teller
    }
}

impl Teller<'_> {
    fn tell_sent(&mut self) {
        let Told { sent, .. } = Told::of_sent(self.sent);
        self.told.sent = sent;
        let Some(Ok(leaf)) = self.sent.first().map(|der| Certificate::read(der.as_ref().into()))
        else {
            return;
        };
        self.told.matching_filter = self.conditions.filters.matching(&leaf);
        let fields = filter::Field::ALL.map(|field| (field.key(), filter::values(&leaf, field)));
        self.told.identity = fields.into_iter().filter(|(_, values)| !values.is_empty()).collect();
    }

    fn reached(&mut self, path: &[&Certificate<'_>]) {
        let Some(head) = path.last() else { return };
        let is_sent = self.sent.iter().any(|der| {
            Certificate::read(der.as_ref().into())
                .is_ok_and(|sent| sent.subject() == head.issuer() && !sent.is_same_authority(head))
        });
        if !is_sent && self.store.bundle.named(head.issuer()).next().is_none() {
            self.dead_end(format!(
                "{} was issued by {}, and neither the trust store nor what the client sent holds a \
                 certificate of that name",
                subject(head),
                name::rfc2253(head.issuer()).unwrap_or_default()
            ));
        }
    }

    fn passed_over(
        &mut self,
        path: &[&Certificate<'_>],
        issuer: &Certificate<'_>,
        why: PassedOver,
    ) {
        let Some(head) = path.last() else { return };
        let (below, above) = (subject(head), subject(issuer));
        let from = if self.is_sent(issuer) { "that the client sent" } else { "of the trust store" };
        let serial = serial_number(issuer.serial());
        let issuer_of = format!("the certificate {above} (serial number {serial}) {from}");
        self.dead_end(match why {
            PassedOver::OtherKey => format!(
                "{issuer_of} has another key than the one that {below} names as its issuer's \
                 (authorityKeyIdentifier)"
            ),
            PassedOver::NotSigned => {
                format!(
                    "{issuer_of} has the name of the issuer of {below}, and its key did not sign it"
                )
            }
            PassedOver::ChecksSpent => {
                format!("{issuer_of} was not tried: the limit of signatures to check is reached")
            }
            PassedOver::Form => format!("{issuer_of} cannot be used: {}", form(issuer)),
            PassedOver::TooDeep => format!(
                "{issuer_of} would be one CA too many: {} may stand between client and anchor",
                limits::INTERMEDIATES_MAX
            ),
        });
    }

    fn dead_end(&mut self, sentence: String) {
        let ends = &mut self.told.dead_ends;
        if ends.len() < limits::EXPLAINED_PATHS_MAX && !ends.contains(&sentence) {
            ends.push(sentence);
        }
    }

    fn judged(
        &mut self,
        path: &[&Certificate<'_>],
        anchor: &Ca,
        authority: &Authority,
        refusal: Option<Refusal>,
    ) {
        let whole = || path.iter().copied().chain([&anchor.certificate]);
        let after = |time: UnixTime| {
            UnixTime::since_unix_epoch(Duration::from_secs(time.as_secs().saturating_add(1)))
        };
        for certificate in whole() {
            self.told.instants.extend([certificate.not_before, after(certificate.not_after)]);
        }
        for issuer in whole().skip(1) {
            for (first, last) in self.store.revocations.validities(Issuer::of(issuer), authority) {
                self.told.instants.push(first);
                self.told.instants.extend(last.map(after));
            }
        }
        let revoked = self.revoked.take();
        let (fault, unvouched) = (self.fault.take(), self.unvouched.take());
        if self.told.paths.len() >= limits::EXPLAINED_PATHS_MAX {
            return;
        }
        let intermediates = path.len().saturating_sub(1);
        let certificates = whole().zip(whole().skip(1).map(Some).chain([None])).enumerate();
        let certificates = certificates.map(|(index, (certificate, issuer))| {
            let revoked = revoked.filter(|(position, _)| *position == index);
            let reason = revoked.map(|(_, reason)| reason_name(reason));
            let lists =
                issuer.map(|issuer| self.store.revocations.lists(Issuer::of(issuer), authority));
            let below = issuer.is_none().then_some(intermediates);
            let mut remarks = self.remarks(certificate, index, below);
            if unvouched == Some(index) {
                remarks.push("no current revocation list vouches for it".to_owned());
            }
            Seen {
                is_sent: self.is_sent(certificate),
                is_in_bundle: self.is_in_bundle(certificate),
                remarks,
                revoked: reason,
                lists: lists.into_iter().flatten().map(List::of).collect(),
                ..Seen::of(certificate)
            }
        });
        let certificates = certificates.collect();
        if let Some((position, _)) = revoked
            && let (Some(certificate), Some(issuer)) =
                (path.get(position), whole().nth(position + 1))
        {
            let issuer = Issuer::of(issuer);
            let lists = self.store.revocations.lists(issuer, authority).cloned().collect();
            let (path, serial) = (self.told.paths.len(), certificate.serial());
            self.told.hits.push(Hit::new((path, position), issuer.name, serial, lists));
        }
        let refusal = refusal.map(Refusal::code);
        self.told.paths.push(Path { refusal, certificates, fault });
    }

    fn is_sent(&self, certificate: &Certificate<'_>) -> bool {
        self.sent.iter().any(|der| der.as_ref() == certificate.der())
    }

    fn is_in_bundle(&self, certificate: &Certificate<'_>) -> bool {
        let mut named = self.store.bundle.named(certificate.subject());
        named.any(|ca| ca.certificate.der() == certificate.der())
    }

    /// What speaks against a certificate at this place of a path; of an anchor, `below` is the number of
    /// CAs under it.
    fn remarks(&self, it: &Certificate<'_>, index: usize, below: Option<usize>) -> Vec<String> {
        let is_leaf = index == 0;
        let extensions = &it.extensions;
        let forgives = is_leaf && self.conditions.ignore_client_certificate_expiry;
        let signs = [KeyUsage::DigitalSignature, KeyUsage::KeyAgreement];
        let mut remarks = Vec::new();
        let mut remark = |speaks: bool, what: &str| {
            if speaks {
                remarks.push(what.to_owned());
            }
        };
        remark(self.now < it.not_before, "not yet valid");
        remark(self.now > it.not_after && !forgives, "expired");
        remark(self.now > it.not_after && forgives, "expired, which the listener forgives");
        remark(
            is_leaf && !signs.into_iter().any(|usage| extensions.allows(usage)),
            "its keyUsage allows neither digitalSignature nor keyAgreement",
        );
        remark(
            !is_leaf && !extensions.allows(KeyUsage::CertificateSign),
            "its keyUsage does not allow signing certificates (keyCertSign)",
        );
        remark(
            !is_leaf && it.version == Version::Three && !extensions.is_ca,
            "not a CA (basicConstraints)",
        );
        remark(is_leaf && extensions.is_ca, "a CA, which cannot be a client (basicConstraints)");
        remark(
            !extensions.allows_client_authentication(),
            "its extendedKeyUsage does not allow client authentication",
        );
        if let Some(oid) = extensions.unsupported() {
            remarks.push(format!("its critical extension {} is not supported", name::dotted(oid)));
        }
        if let (Some(max), Some(below)) = (extensions.path_length_max, below)
            && below > max
        {
            remarks.push(format!("it allows {max} CAs below it, and here are {below}"));
        }
        remarks
    }
}
