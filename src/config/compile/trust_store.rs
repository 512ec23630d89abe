//! Trust stores: a CA bundle, and the revocation files that its CAs must have signed.
//!
//! With `source: files` they are read in each load. With `source: api` the files are read once, where
//! `state_dir` has nothing of the trust store yet; from then on that is what it holds. A node that runs
//! never goes back to them: what a command has revoked would be let in again.
mod given;

use super::{Kept, Made, Named, name_of_alb, named};
use crate::calendar::rfc3339;
use crate::config::Faults;
use crate::config::files::{self, Digest, Files, Follow};
use crate::config::snapshot::{Name, Source};
use crate::config::state::{Contents, Directory, Sealed};
use crate::config::written::{self, List};
use crate::limits;
use crate::observe::load::Reason;
use crate::trust::{
    Bundle, Revocations, Rules, StaleRevocations, Store, UnlistedIssuers, revocation,
};
use given::Given;
use rustls_pki_types::UnixTime;
use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

impl Named for written::TrustStore {
    const SECTION: &'static str = "trust_stores";
    const CHECK: fn(&str) -> Result<(), String> = name_of_alb;
    fn name(&self) -> &str {
        &self.name
    }
}

/// A trust store and where its contents are from.
#[derive(Clone, Debug)]
pub(super) struct TrustStore {
    pub(super) made: Made<Store>,
    pub(super) source: Source,
}

/// Where trust stores with `source: api` are kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum State<'a> {
    /// Nowhere: the configuration names no directory.
    None,
    /// What is wrong with the directory is noted already.
    Faulty,
    /// There.
    In(&'a Directory),
}

/// A load of trust stores.
pub(super) struct Load<'a> {
    pub(super) previous: &'a Kept,
    pub(super) files: &'a mut Files,
    pub(super) state: State<'a>,
    pub(super) now: UnixTime,
    /// What `state_dir` is to hold of those that it has nothing of yet.
    pub(super) seeds: Vec<Sealed>,
}

impl Load<'_> {
    /// All of them.
    pub(super) fn all(
        &mut self,
        written: &List<written::TrustStore>,
        faults: &mut Faults,
    ) -> BTreeMap<Name, TrustStore> {
        named(written, faults, |name, written, faults| match written.source {
            written::Source::Files => self.of_files(name, written, faults),
            written::Source::Api => self.of_api(name, written, faults),
        })
    }

    fn of_files(
        &mut self,
        name: &Name,
        written: &written::TrustStore,
        faults: &mut Faults,
    ) -> Option<TrustStore> {
        if written.ca_certificates_bundle.is_none() {
            faults.note_missing("ca_certificates_bundle", "the trust store needs a CA bundle");
        }
        let given = Given::read(written, self.files, Follow::Always, faults)?;
        let rules = rules(written);
        let fingerprint = given.fingerprint(rules);
        let made = match self.kept(name, fingerprint) {
            Some(kept) => kept.made.clone(),
            None => made(name, rules, &given.pieces(), fingerprint, self.now)
                .map_err(|wrong| given.note(wrong, faults))
                .ok()?,
        };
        Some(TrustStore { made, source: Source::Files { revocations: given.origins() } })
    }

    fn of_api(
        &mut self,
        name: &Name,
        written: &written::TrustStore,
        faults: &mut Faults,
    ) -> Option<TrustStore> {
        let state = match self.state {
            State::In(state) => state,
            State::Faulty => return None,
            State::None => {
                let advice = "a directory in which the node keeps it, such as /var/lib/portcullis";
                faults.note("source", format_args!("api needs node.state_dir, {advice}"));
                return None;
            }
        };
        let checksum = state.checksum(name);
        let fingerprint = checksum.map(|checksum| fingerprint_of_state(rules(written), &checksum));
        // Nobody else writes there, so the checksum tells whether it is what was loaded last.
        if let Some(kept) = fingerprint.and_then(|fingerprint| self.kept(name, fingerprint)) {
            return Some(kept.clone());
        }
        match state.read(name) {
            Ok(Some(sealed)) => match of_sealed(written, &sealed, self.now) {
                Ok(mut made) => {
                    let disregarded = self.disregarded(written, &sealed, state);
                    made.made.warnings.extend(disregarded.map(|warning| ("source", warning)));
                    Some(made)
                }
                Err(wrong) => {
                    let file = state.file(name);
                    for (reason, said) in in_words(wrong, sealed.contents(), written::Source::Api) {
                        let said = format!("{}: {said}", file.display());
                        faults.because(reason, |faults| faults.note("source", said));
                    }
                    None
                }
            },
            Ok(None) if self.was_kept(name) => {
                let gone = state.gone(name);
                faults.because(Reason::State, |faults| faults.note("source", gone));
                None
            }
            Ok(None) => self.seed(name, written, faults),
            Err(fault) => {
                faults.because(Reason::State, |faults| faults.note("source", fault));
                None
            }
        }
    }

    /// The first time, the files say what it holds.
    fn seed(
        &mut self,
        name: &Name,
        written: &written::TrustStore,
        faults: &mut Faults,
    ) -> Option<TrustStore> {
        if written.ca_certificates_bundle.is_none() {
            let message = "state_dir has nothing of this trust store yet: name the CA bundle that \
                           it begins with";
            faults.note_missing("ca_certificates_bundle", message);
        }
        let given = Given::read(written, self.files, Follow::UntilLoaded, faults)?;
        let sealed = match given.contents() {
            Ok(contents) => contents.sealed(name),
            Err(refused) => {
                faults.note_here(refused);
                return None;
            }
        };
        let made = of_sealed(written, &sealed, self.now)
            .map_err(|wrong| given.note(wrong, faults))
            .ok()?;
        self.seeds.push(sealed);
        Some(made)
    }

    /// What is kept of it wins over the files that the configuration names, here as after a restart: else
    /// a detour over `source: files` would undo what commands have revoked. Where somebody may think
    /// otherwise that is said: where it was made of the files until now, and where one of them has changed
    /// since and says something else.
    fn disregarded(
        &self,
        written: &written::TrustStore,
        sealed: &Sealed,
        state: &Directory,
    ) -> Option<String> {
        let file = state.file(sealed.trust_store());
        let (file, kept_at) = (file.display(), files::changed_at(&file)?);
        let last = self.previous.trust_stores.get(sealed.trust_store());
        let was_of_files = last.is_some_and(|last| matches!(last.source, Source::Files { .. }));
        let instead = if was_of_files {
            "the files that it was made of until now are not read any more".to_owned()
        } else {
            let (newer, at) = self.newer(written, sealed.contents(), kept_at)?;
            format!("{newer}, changed at {}, is not read", rfc3339(at))
        };
        let kept_at = rfc3339(kept_at);
        Some(format!(
            "it holds what {file} has kept since {kept_at}, and {instead}; to begin with the files of the \
             configuration again, move the former away and restart the node"
        ))
    }

    /// A file of the configuration that has changed after what is kept and holds what that does not.
    fn newer(
        &self,
        written: &written::TrustStore,
        kept: &Contents,
        kept_at: UnixTime,
    ) -> Option<(String, UnixTime)> {
        let bundle = written.ca_certificates_bundle.iter();
        let bundle = bundle.map(|name| (name, limits::BUNDLE_BYTES_MAX));
        let lists = written.revocations.0.iter();
        let lists = lists.map(|(_, name)| (name, limits::REVOCATION_FILE_BYTES_MAX));
        bundle.chain(lists).find_map(|(name, bytes_max)| {
            let path = self.files.resolve(name);
            let at = files::changed_at(&path).filter(|at| *at > kept_at)?;
            let digest = files::digest_now(&path, bytes_max)?;
            let mut all = iter::once(kept.bundle()).chain(kept.revocations().values());
            let is_kept = all.any(|file| Digest::of(&file.bytes) == digest);
            (!is_kept).then(|| (path.display().to_string(), at))
        })
    }

    /// Whether the last load had it of `state_dir`: then its seed is not what it holds any more.
    fn was_kept(&self, name: &Name) -> bool {
        let kept = self.previous.trust_stores.get(name);
        kept.is_some_and(|kept| matches!(kept.source, Source::Api { .. }))
    }

    /// The one of the last load, if it was made of the same.
    fn kept(&self, name: &Name, fingerprint: Digest) -> Option<&TrustStore> {
        let kept = self.previous.trust_stores.get(name)?;
        (kept.made.fingerprint == fingerprint).then_some(kept)
    }
}

/// One whose contents a command has changed. What is wrong is noted with the name of its file.
pub(super) fn changed(
    written: &written::TrustStore,
    sealed: &Sealed,
    now: UnixTime,
    faults: &mut Faults,
) -> Option<TrustStore> {
    match of_sealed(written, sealed, now) {
        Ok(made) => Some(made),
        Err(wrong) => {
            for (reason, said) in in_words(wrong, sealed.contents(), written.source) {
                faults.because(reason, |faults| faults.note_here(said));
            }
            None
        }
    }
}

/// What the files of one hold now.
pub(in crate::config) fn contents_of_files(
    written: &written::TrustStore,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<Contents> {
    let given = Given::read(written, files, Follow::UntilLoaded, faults)?;
    given.contents().map_err(|refused| faults.note_here(refused)).ok()
}

/// Notes what is odd about them.
pub(super) fn warn(
    written: &List<written::TrustStore>,
    made: &BTreeMap<Name, TrustStore>,
    now: UnixTime,
    faults: &mut Faults,
) {
    for (index, written) in &written.0 {
        let Some(TrustStore { made, .. }) = made.get(written.name()) else { continue };
        faults.element(written::TrustStore::SECTION, *index, |faults| {
            for (key, warning) in &made.warnings {
                faults.warn(key, warning);
            }
            for list in made.value.revocations.status() {
                if let Some(due) = list.next_update.filter(|due| now > *due) {
                    let (file, issuer, due) = (&list.file, &list.issuer, rfc3339(due));
                    let message =
                        format!("{file}: the list of {issuer} was due for renewal at {due}");
                    faults.warn(
                        "revocations",
                        format_args!("{message}; it is enforced as it stands"),
                    );
                }
            }
        });
    }
}

/// What a trust store is made of, read.
struct Pieces<'a> {
    /// Where the bundle is from, for whoever reads a warning.
    bundle_name: String,
    bundle: &'a [u8],
    lists: Vec<revocation::File<'a>>,
}

/// What is wrong with one of the pieces.
struct Wrong {
    part: Part,
    message: String,
}

#[derive(Clone, Copy)]
enum Part {
    Bundle,
    /// By its position.
    List(usize),
}

impl Part {
    /// Why a load fails when something is wrong with it.
    const fn reason(self) -> Reason {
        match self {
            Self::Bundle => Reason::CaBundle,
            Self::List(_) => Reason::Revocations,
        }
    }
}

fn made(
    name: &Name,
    rules: Rules,
    pieces: &Pieces<'_>,
    fingerprint: Digest,
    now: UnixTime,
) -> Result<Made<Store>, Vec<Wrong>> {
    let (bundle, warnings) = Bundle::from_pem(pieces.bundle, now).map_err(|faults| {
        let wrong =
            |fault: crate::trust::bundle::Fault| Wrong { part: Part::Bundle, message: fault.0 };
        faults.into_iter().map(wrong).collect::<Vec<_>>()
    })?;
    let revocations = Revocations::load(&pieces.lists, &bundle).map_err(|faults| {
        let wrong = |fault: revocation::Fault| Wrong {
            part: Part::List(fault.file_index),
            message: fault.message,
        };
        faults.into_iter().map(wrong).collect::<Vec<_>>()
    })?;
    let warnings = warnings
        .into_iter()
        .map(|warning| (BUNDLE, format!("{}: {}", pieces.bundle_name, warning.0)))
        .collect();
    let store = Store { name: Arc::clone(name), bundle, revocations, rules };
    Ok(Made { fingerprint, value: Arc::new(store), warnings })
}

/// Makes a trust store of what the API has been given.
fn of_sealed(
    written: &written::TrustStore,
    sealed: &Sealed,
    now: UnixTime,
) -> Result<TrustStore, Vec<Wrong>> {
    let contents = sealed.contents();
    let lists = contents.revocations().values();
    let pieces = Pieces {
        bundle_name: contents.bundle().name.clone(),
        bundle: &contents.bundle().bytes,
        lists: lists
            .map(|file| revocation::File { name: &file.name, bytes: &file.bytes })
            .collect(),
    };
    let rules = rules(written);
    let checksum = *sealed.checksum();
    let fingerprint = fingerprint_of_state(rules, &checksum);
    let made = made(&sealed.trust_store().into(), rules, &pieces, fingerprint, now)?;
    let revocation_ids = contents.revocations().keys().copied().collect();
    Ok(TrustStore { made, source: Source::Api { revocation_ids, checksum } })
}

/// What is wrong, for whoever gave the files.
fn in_words(
    wrong: Vec<Wrong>,
    contents: &Contents,
    source: written::Source,
) -> impl Iterator<Item = (Reason, String)> {
    wrong.into_iter().map(move |Wrong { part, message }| {
        let said = match part {
            Part::Bundle => format!("{}: {message}", contents.bundle().name),
            Part::List(position) => match contents.revocations().iter().nth(position) {
                Some((id, file)) => match source {
                    written::Source::Api => format!("{} (revocation {id}): {message}", file.name),
                    written::Source::Files => format!("{}: {message}", file.name),
                },
                None => message,
            },
        };
        (part.reason(), said)
    })
}

fn fingerprint_of_state(rules: Rules, checksum: &[u8]) -> Digest {
    Digest::of_parts(names(rules).into_iter().chain([checksum]))
}

fn names(rules: Rules) -> [&'static [u8]; 2] {
    [rules.stale_revocations.name(), rules.unlisted_issuers.name()].map(str::as_bytes)
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

const BUNDLE: &str = "ca_certificates_bundle";
