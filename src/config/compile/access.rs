//! Mutual authentication. Source: `alb-contract.md`, section 1.1.
use super::identity_filters;
use super::listener::Known;
use crate::config::Faults;
use crate::config::snapshot::{
    Authentication, OnExpiry, OnRevocation, Presence, RefusalForm, Verify,
};
use crate::config::written::{self, Mode, OnOff};
use crate::limits;
use crate::tls::verifier::Ask;
use crate::trust::Conditions;
use rustls::DistinguishedName;
use std::sync::Arc;

/// How clients get in, and what the handshake says about it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) authentication: Authentication,
    pub(super) ask: Ask,
    pub(super) advertised: Vec<DistinguishedName>,
}

/// Nobody is asked for a certificate: what holds without a `mutual_authentication`.
pub(super) const OFF: Asked =
    Asked { authentication: Authentication::Off, ask: Ask::No, advertised: Vec::new() };

/// The mapping `mutual_authentication`.
pub(super) fn mutual_authentication(
    written: &written::MutualAuthentication,
    known: &Known<'_>,
    faults: &mut Faults,
) -> Option<Asked> {
    // What goes with a mode that could not be read is nobody's fault.
    if faults.has("mode") {
        return None;
    }
    match written.mode {
        Mode::Off => {
            refuse_options(written, "off", faults);
            Some(OFF)
        }
        Mode::Passthrough => {
            refuse_options(written, "passthrough", faults);
            let authentication = Authentication::Passthrough;
            Some(Asked { authentication, ask: Ask::Optional, advertised: Vec::new() })
        }
        Mode::Verify => verify(written, Presence::Required, known, faults),
        Mode::Optional => verify(written, Presence::Optional, known, faults),
    }
}

fn verify(
    written: &written::MutualAuthentication,
    presence: Presence,
    known: &Known<'_>,
    faults: &mut Faults,
) -> Option<Asked> {
    let filters = identity_filters::all(&written.client_certificate_identity_filters, faults);
    let Some(name) = &written.trust_store else {
        faults.note_missing("trust_store", "the modes verify and optional need one");
        return None;
    };
    let found = faults.within("trust_store", |faults| known.trust_stores.find(name, faults))?;
    let store = Arc::clone(&found.made.value);
    let advertised = match written.advertise_trust_store_ca_names.unwrap_or_default() {
        OnOff::Off => Vec::new(),
        OnOff::On => store.bundle.subjects(),
    };
    let bytes: usize = advertised.iter().map(|subject| subject.as_ref().len()).sum();
    if bytes > limits::ADVERTISED_SUBJECTS_BYTES_MAX {
        let bytes_max = limits::ADVERTISED_SUBJECTS_BYTES_MAX;
        let message = format!("the subjects have {bytes} bytes, and the limit is {bytes_max}");
        faults.note("advertise_trust_store_ca_names", message);
    }
    let refusal = match written.refusal.unwrap_or_default() {
        written::Refusal::Alert => RefusalForm::Alert,
        written::Refusal::Reset => RefusalForm::Reset,
        written::Refusal::Http => RefusalForm::Http,
    };
    let conditions = Conditions {
        ignore_client_certificate_expiry: written
            .ignore_client_certificate_expiry
            .unwrap_or_default(),
        filters: filters?,
    };
    let ask = match (presence, refusal) {
        (Presence::Required, RefusalForm::Alert | RefusalForm::Reset) => Ask::Required,
        // Under `http` the handshake must finish, so that there is somebody to answer 403 to.
        (Presence::Required, RefusalForm::Http) | (Presence::Optional, _) => Ask::Optional,
    };
    let on_revocation = match written.on_revocation.unwrap_or_default() {
        written::OnRevocation::Keep => OnRevocation::Keep,
        written::OnRevocation::Drain => OnRevocation::Drain,
        written::OnRevocation::Close => OnRevocation::Close,
    };
    let on_expiry = match written.on_expiry.unwrap_or_default() {
        written::OnExpiry::Keep => OnExpiry::Keep,
        written::OnExpiry::Close => OnExpiry::Close,
    };
    let verify = Verify { presence, store, conditions, refusal, on_revocation, on_expiry };
    let authentication = Authentication::Verify(verify);
    Some(Asked { authentication, ask, advertised })
}

/// Options of `verify` and `optional` say nothing in another mode, and whoever wrote them expects something.
fn refuse_options(written: &written::MutualAuthentication, mode: &str, faults: &mut Faults) {
    let options = [
        ("trust_store", written.trust_store.is_some()),
        (
            "ignore_client_certificate_expiry",
            written.ignore_client_certificate_expiry.is_some_and(|ignored| ignored),
        ),
        (
            "advertise_trust_store_ca_names",
            written.advertise_trust_store_ca_names.is_some_and(|switch| switch == OnOff::On),
        ),
        ("refusal", written.refusal.is_some()),
        ("on_revocation", written.on_revocation.is_some()),
        ("on_expiry", written.on_expiry.is_some()),
        (
            "client_certificate_identity_filters",
            !written.client_certificate_identity_filters.0.is_empty(),
        ),
    ];
    for (key, _) in options.into_iter().filter(|(_, given)| *given) {
        faults.note(key, format_args!("needs mode: verify or optional; the mode is {mode}"));
    }
}
