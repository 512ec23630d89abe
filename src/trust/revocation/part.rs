//! What one list is about, and whether it vouches for what it does not name.
use crate::trust::issued::Issuer;
use crate::trust::partition::Partition;
use crate::trust::x509::Certificate;
use rustls_pki_types::UnixTime;

/// What one list is about, when it says so, and who signed it.
#[derive(Debug)]
pub(super) struct Part {
    /// Its position in the status.
    pub(super) list: usize,
    pub(super) partition: Partition,
    pub(super) has_deltas: bool,
    pub(super) this_update: UnixTime,
    pub(super) next_update: Option<UnixTime>,
    pub(super) signers: Box<[Signer]>,
}

/// A CA of the bundle that signed a list.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) key: Box<[u8]>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) is_revoked: bool,
}

impl Part {
    /// Whether a certificate of this issuer's that the list does not name is not revoked.
    ///
    /// Not where delta lists may name it. Nor where a key signed that is not trusted for lists: the path's
    /// own key is judged with the path, another one here (RFC 5280, section 6.3.3, step f).
    pub(super) fn vouches(&self, issuer: Issuer<'_>, now: UnixTime) -> bool {
        let is_good = |signer: &Signer| {
            if *signer.key == *issuer.key_info {
                return issuer.signs_lists;
            }
            !signer.is_revoked && (signer.not_before..=signer.not_after).contains(&now)
        };
        !self.has_deltas && self.signers.iter().any(is_good)
    }

    pub(super) fn is_stale(&self, now: UnixTime) -> bool {
        self.next_update.is_some_and(|next_update| next_update < now)
    }

    pub(super) fn is_current(&self, now: UnixTime) -> bool {
        self.this_update <= now && !self.is_stale(now)
    }
}

impl Signer {
    pub(super) fn of(certificate: &Certificate<'_>) -> Self {
        let (not_before, not_after) = (certificate.not_before, certificate.not_after);
        Self { key: certificate.key_info().into(), not_before, not_after, is_revoked: false }
    }
}
