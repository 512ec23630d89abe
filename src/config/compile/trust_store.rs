//! Trust stores: a CA bundle, and the revocation files that its CAs must have signed.
use super::{Kept, Made, Named, name_of_alb, named, written_time};
use crate::config::Faults;
use crate::config::files::{Content, Digest, Files};
use crate::config::snapshot::Name;
use crate::config::written::{self, List};
use crate::limits;
use crate::observe::load::Reason;
use crate::trust::{
    Bundle, Revocations, Rules, StaleRevocations, Store, UnlistedIssuers, revocation,
};
use rustls_pki_types::UnixTime;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Named for written::TrustStore {
    const SECTION: &'static str = "trust_stores";
    const CHECK: fn(&str) -> Result<(), String> = name_of_alb;
    fn name(&self) -> &str {
        &self.name
    }
}

/// All of them.
pub(super) fn all(
    written: &List<written::TrustStore>,
    previous: &Kept,
    files: &mut Files,
    now: UnixTime,
    faults: &mut Faults,
) -> BTreeMap<Name, Made<Store>> {
    named(written, faults, |name, written, faults| {
        let made = trust_store(name, written, previous.trust_stores.get(name), files, now, faults)?;
        for (key, warning) in &made.warnings {
            faults.warn(key, warning);
        }
        for list in made.value.revocations.status() {
            if let Some(due) = list.next_update.filter(|due| now > *due) {
                let (file, issuer, due) = (&list.file, &list.issuer, written_time(due));
                let message = format!("{file}: the list of {issuer} was due for renewal at {due}");
                faults.warn("revocations", format_args!("{message}; it is enforced as it stands"));
            }
        }
        Some(made)
    })
}

fn trust_store(
    name: &Name,
    written: &written::TrustStore,
    previous: Option<&Made<Store>>,
    files: &mut Files,
    now: UnixTime,
    faults: &mut Faults,
) -> Option<Made<Store>> {
    let written::Source::Files = written.source;
    let key = "ca_certificates_bundle";
    let bundle = files.read(&written.ca_certificates_bundle, limits::BUNDLE_BYTES_MAX, faults, key);
    let lists = read_revocations(&written.revocations, files, faults);
    let (bundle_file, lists) = (bundle?, lists?);
    let rules = rules(written);
    let fingerprint = fingerprint(&bundle_file, &lists, rules);
    if let Some(same) = previous.filter(|previous| previous.fingerprint == fingerprint) {
        let warnings = same.warnings.clone();
        return Some(Made { fingerprint, value: Arc::clone(&same.value), warnings });
    }
    let path = bundle_file.path.display();
    let (bundle, warnings) = match Bundle::from_pem(&bundle_file.bytes, now) {
        Ok(made) => made,
        Err(list) => {
            faults.because(Reason::CaBundle, |faults| {
                for fault in list {
                    faults.note(key, format_args!("{path}: {}", fault.0));
                }
            });
            return None;
        }
    };
    let warnings = warnings.into_iter().map(|warning| (key, format!("{path}: {}", warning.0)));
    let warnings = warnings.collect();
    let revocations =
        faults.because(Reason::Revocations, |faults| revocations(&lists, &bundle, faults))?;
    let store = Store { name: Arc::clone(name), bundle, revocations, rules };
    Some(Made { fingerprint, value: Arc::new(store), warnings })
}

/// A revocation file: its position, how it is written, what it holds.
type RevocationFile<'a> = (usize, &'a str, Content);

fn read_revocations<'a>(
    written: &'a List<String>,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<Vec<RevocationFile<'a>>> {
    let mut all = Some(Vec::new());
    for (index, path) in &written.0 {
        let content = files.open(path, limits::REVOCATION_FILE_BYTES_MAX);
        match content {
            Ok(content) => {
                if let Some(all) = &mut all {
                    all.push((*index, path.as_str(), content));
                }
            }
            Err(error) => {
                faults.because(Reason::UnreadableFile, |faults| {
                    faults.element("revocations", *index, |faults| faults.note_here(error));
                });
                all = None;
            }
        }
    }
    all
}

fn revocations(
    lists: &[RevocationFile<'_>],
    bundle: &Bundle,
    faults: &mut Faults,
) -> Option<Revocations> {
    let files: Vec<_> = lists
        .iter()
        .map(|(_, name, content)| revocation::File { name, bytes: &content.bytes })
        .collect();
    match Revocations::load(&files, bundle) {
        Ok(revocations) => Some(revocations),
        Err(list) => {
            for fault in list {
                match lists.get(fault.file_index) {
                    Some((index, _, content)) => {
                        faults.element("revocations", *index, |faults| {
                            let path = content.path.display();
                            faults.note_here(format_args!("{path}: {}", fault.message));
                        });
                    }
                    None => faults.note("revocations", fault.message),
                }
            }
            None
        }
    }
}

fn rules(written: &written::TrustStore) -> Rules {
    Rules {
        stale_revocations: match written.stale_revocations {
            written::StaleRevocations::Enforce => StaleRevocations::Enforce,
            written::StaleRevocations::Refuse => StaleRevocations::Refuse,
        },
        unlisted_issuers: match written.unlisted_issuers {
            written::UnlistedIssuers::Allow => UnlistedIssuers::Allow,
            written::UnlistedIssuers::Refuse => UnlistedIssuers::Refuse,
        },
    }
}

/// Everything that the store is made of, the written names of its lists included: status shows them.
fn fingerprint(bundle: &Content, lists: &[RevocationFile<'_>], rules: Rules) -> Digest {
    let rules = [rules.stale_revocations.name(), rules.unlisted_issuers.name()];
    let files = lists
        .iter()
        .flat_map(|(_, name, content)| [name.as_bytes(), content.digest.bytes().as_slice()]);
    let first = rules.map(str::as_bytes).into_iter().chain([bundle.digest.bytes().as_slice()]);
    Digest::of_parts(first.chain(files))
}
