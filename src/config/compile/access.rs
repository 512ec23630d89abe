//! Mutual authentication. Source: `alb-contract.md`, section 1.1.
use super::identity_filters;
use super::listener::Known;
use crate::config::Faults;
use crate::config::snapshot::{
    Authentication, OnExpiry, OnRevocation, Presence, RefusalForm, Verify,
};
use crate::config::written::{self, Mode, OnOff, SessionResumption};
use crate::limits;
use crate::tls::Certificate;
use crate::tls::server::Resumption;
use crate::tls::tickets::Binding;
use crate::tls::verifier::Ask;
use crate::trust::{Conditions, Fingerprint};
use rustls::DistinguishedName;
use std::sync::Arc;

/// How clients get in, and what the handshake says about it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) authentication: Authentication,
    pub(super) ask: Ask,
    pub(super) advertised: Vec<DistinguishedName>,
    pub(super) resumption: Resumption,
    /// Of the trust store's bundle, where there is one.
    pub(super) bundle: Fingerprint,
}

/// Nobody is asked for a certificate: what holds without a `mutual_authentication`.
pub(super) fn off(resumption: Resumption) -> Asked {
    let authentication = Authentication::Off;
    let bundle = Fingerprint::default();
    Asked { authentication, ask: Ask::No, advertised: Vec::new(), resumption, bundle }
}

/// The mapping `mutual_authentication`. `resumption` is what the listener says of it.
pub(super) fn mutual_authentication(
    written: &written::MutualAuthentication,
    resumption: Resumption,
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
            Some(off(resumption))
        }
        Mode::Passthrough => {
            refuse_options(written, "passthrough", faults);
            let authentication = Authentication::Passthrough;
            let (ask, resumption) = (Ask::Optional, Resumption::Off);
            let bundle = Fingerprint::default();
            Some(Asked { authentication, ask, advertised: Vec::new(), resumption, bundle })
        }
        Mode::Verify => verify(written, Presence::Required, resumption, known, faults),
        Mode::Optional => verify(written, Presence::Optional, resumption, known, faults),
    }
}

fn verify(
    written: &written::MutualAuthentication,
    presence: Presence,
    of_listener: Resumption,
    known: &Known<'_>,
    faults: &mut Faults,
) -> Option<Asked> {
    let filters = identity_filters::all(&written.client_certificate_identity_filters, faults);
    let Some(name) = &written.trust_store else {
        faults.note_missing("trust_store", "the modes verify and optional need one");
        return None;
    };
    let found = faults.within("trust_store", |faults| known.trust_stores.find(name, faults))?;
    let store = &found.made.value;
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
        ignore_all_expiry: false,
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
    let resumption = match written.session_resumption.unwrap_or_default() {
        SessionResumption::Off => Resumption::Off,
        SessionResumption::Bound => Resumption::Tickets,
    };
    if (resumption, of_listener) == (Resumption::Tickets, Resumption::Off) {
        let message = "the listener's own session_resumption is off";
        faults.note("session_resumption", message);
    }
    let trust_store = Arc::clone(&store.name);
    let verify = Verify { presence, trust_store, conditions, refusal, on_revocation, on_expiry };
    let authentication = Authentication::Verify(verify);
    let bundle = store.bundle.fingerprint();
    Some(Asked { authentication, ask, advertised, resumption, bundle })
}

/// What a listener shows of itself. With another certificate, or under another security policy, its clients
/// shake hands in full once: a resumed session would not show them the new one.
pub(super) fn served(ssl_policy: &str, certificates: &[Arc<Certificate>]) -> Fingerprint {
    let shown = certificates.iter().flat_map(|one| one.key.cert.iter().map(|der| der.as_ref()));
    Fingerprint::of([ssl_policy.as_bytes()].into_iter().chain(shown))
}

/// What the tickets of one access are bound to: names and content, nothing that another process or node of
/// the same configuration would count differently.
///
/// * `served`: what the node shows of itself there, see [`served`].
/// * `bundle`: of the trust store, where there is one.
///
/// What a store's lists say, and its rules, are not in it: they are judged when a ticket comes back.
pub(super) fn binding(
    listener: &str,
    served: Fingerprint,
    server_names: &[&str],
    authentication: &Authentication,
    bundle: Fingerprint,
) -> Binding {
    let mut names: Vec<_> = server_names.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let names = names.join(" ");
    let mode = authentication.mode();
    let mut policy = vec![listener.as_bytes(), &served.0, names.as_bytes(), mode.as_bytes()];
    let Authentication::Verify(Verify { trust_store, conditions, .. }) = authentication else {
        return Binding { policy: Fingerprint::of(policy), bundle };
    };
    let forgives = [u8::from(conditions.ignore_client_certificate_expiry)];
    let filters = conditions.filters.fingerprint();
    policy.extend([trust_store.as_bytes(), &forgives]);
    policy.extend(filters.as_ref().map(|filters| &filters.0[..]));
    Binding { policy: Fingerprint::of(policy), bundle }
}

/// What tells the policy of these names from others of its listener: no two share a name.
pub(super) fn policy(server_names: &[&str]) -> String {
    let names = server_names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    names.min().unwrap_or_default()
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
            "session_resumption",
            written.session_resumption.is_some_and(|word| word == SessionResumption::Bound),
        ),
        (
            "client_certificate_identity_filters",
            !written.client_certificate_identity_filters.0.is_empty(),
        ),
    ];
    for (key, _) in options.into_iter().filter(|(_, given)| *given) {
        faults.note(key, format_args!("needs mode: verify or optional; the mode is {mode}"));
    }
}
