//! Server certificates.
use super::{Kept, Made, Named, name_of_ours, named};
use crate::calendar::rfc3339;
use crate::config::Faults;
use crate::config::files::{Digest, Files};
use crate::config::snapshot::Name;
use crate::config::written::{self, List};
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::observe::load::Reason;
use crate::tls::Certificate;
use crate::tls::certificate::CertificateFault;
use rustls_pki_types::UnixTime;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Named for written::Certificate {
    const SECTION: &'static str = "certificates";
    const CHECK: fn(&str) -> Result<(), String> = name_of_ours;
    fn name(&self) -> &str {
        &self.name
    }
}

/// All of them.
pub(super) fn all(
    written: &List<written::Certificate>,
    previous: &Kept,
    files: &mut Files,
    faults: &mut Faults,
) -> BTreeMap<Name, Made<Certificate>> {
    named(written, faults, |name, written, faults| {
        certificate(name, written, previous.certificates.get(name), files, faults)
    })
}

/// Notes which have expired. No fault: a node has to start again also when time has passed.
pub(super) fn warn(
    written: &List<written::Certificate>,
    made: &BTreeMap<Name, Made<Certificate>>,
    now: UnixTime,
    faults: &mut Faults,
) {
    for (index, written) in &written.0 {
        let Some(made) = made.get(written.name()) else { continue };
        if now > made.value.not_after {
            let expired = rfc3339(made.value.not_after);
            let message = format!("the certificate expired at {expired}");
            let section = written::Certificate::SECTION;
            faults.element(section, *index, |faults| faults.warn("chain", message));
        }
    }
}

fn certificate(
    name: &Name,
    written: &written::Certificate,
    previous: Option<&Made<Certificate>>,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<Made<Certificate>> {
    let chain = files.read(&written.chain, CERTIFICATE_FILE_BYTES_MAX, faults, "chain");
    let key = files.read(&written.key, CERTIFICATE_FILE_BYTES_MAX, faults, "key");
    let (chain, key) = (chain?, key?);
    let fingerprint =
        Digest::of_parts([chain.digest.bytes().as_slice(), key.digest.bytes().as_slice()]);
    if let Some(same) = previous.filter(|previous| previous.fingerprint == fingerprint) {
        return Some(Made { fingerprint, value: Arc::clone(&same.value), warnings: Vec::new() });
    }
    match Certificate::from_pem(Arc::clone(name), &chain.bytes, &key.bytes) {
        Ok(made) => Some(Made { fingerprint, value: Arc::new(made), warnings: Vec::new() }),
        Err(list) => {
            for fault in list {
                let (reason, at, path) = match fault {
                    CertificateFault::Chain(_) => (Reason::Certificate, "chain", &chain.path),
                    CertificateFault::Key(_) => (Reason::Key, "key", &key.path),
                };
                faults.because(reason, |faults| {
                    faults.note(at, format_args!("{}: {fault}", path.display()));
                });
            }
            None
        }
    }
}
