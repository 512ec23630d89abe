//! The files that a trust store's configuration names, read.
use super::{BUNDLE, Part, Pieces, Wrong, names};
use crate::config::Faults;
use crate::config::faults::OrNote;
use crate::config::files::{Content, Digest, Files, Follow};
use crate::config::source::Origin;
use crate::config::state::{Contents, File};
use crate::config::written;
use crate::limits;
use crate::observe::load::Reason;
use crate::trust::{Rules, revocation};

/// The files that the configuration names.
pub(super) struct Given<'a> {
    bundle_name: &'a str,
    bundle: Content,
    /// Position in the configuration, how it is written there, what it holds.
    lists: Vec<(usize, &'a str, Content)>,
}

impl<'a> Given<'a> {
    pub(super) fn read(
        written: &'a written::TrustStore,
        files: &mut Files,
        follow: Follow,
        faults: &mut Faults,
    ) -> Option<Self> {
        let bundle = written.ca_certificates_bundle.as_deref().and_then(|name| {
            let content = files.open_as(name, limits::BUNDLE_BYTES_MAX, follow);
            let content =
                faults.because(Reason::UnreadableFile, |faults| content.or_note(faults, BUNDLE));
            Some((name, content?))
        });
        let mut lists = Some(Vec::new());
        for (index, name) in &written.revocations.0 {
            match files.open_as(name, limits::REVOCATION_FILE_BYTES_MAX, follow) {
                Ok(content) => {
                    if let Some(lists) = &mut lists {
                        lists.push((*index, name.as_str(), content));
                    }
                }
                Err(error) => {
                    faults.because(Reason::UnreadableFile, |faults| {
                        faults.element("revocations", *index, |faults| faults.note_here(error));
                    });
                    lists = None;
                }
            }
        }
        let (bundle_name, bundle) = bundle?;
        Some(Self { bundle_name, bundle, lists: lists? })
    }

    pub(super) fn pieces(&self) -> Pieces<'_> {
        let lists = self.lists.iter();
        Pieces {
            bundle_name: self.bundle.path.display().to_string(),
            bundle: &self.bundle.bytes,
            lists: lists
                .map(|(_, name, content)| revocation::File { name, bytes: &content.bytes })
                .collect(),
        }
    }

    pub(super) fn origins(&self) -> Vec<Origin> {
        let lists = self.lists.iter();
        let origin =
            |content: &Content| Origin { path: content.path.clone(), digest: content.digest };
        lists.map(|(_, _, content)| origin(content)).collect()
    }

    pub(super) fn contents(&self) -> Result<Contents, String> {
        let file = |name: &str, content: &Content| File {
            name: name.to_owned(),
            bytes: content.bytes.clone(),
        };
        let lists = self.lists.iter().map(|(_, name, content)| file(name, content)).collect();
        Contents::new(file(self.bundle_name, &self.bundle), lists)
            .map_err(|refused| refused.to_string())
    }

    /// Notes what is wrong with them, each at its key.
    pub(super) fn note(&self, wrong: Vec<Wrong>, faults: &mut Faults) {
        let named = |content: &Content, message| format!("{}: {message}", content.path.display());
        for Wrong { part, message } in wrong {
            faults.because(part.reason(), |faults| match part {
                Part::Bundle => faults.note(BUNDLE, named(&self.bundle, message)),
                Part::List(position) => match self.lists.get(position) {
                    Some((index, _, content)) => faults.element("revocations", *index, |faults| {
                        faults.note_here(named(content, message));
                    }),
                    None => faults.note("revocations", message),
                },
            });
        }
    }

    /// Everything that the store is made of, the written names of its lists included: status shows them.
    pub(super) fn fingerprint(&self, rules: Rules) -> Digest {
        let lists = self.lists.iter();
        let lists = lists
            .flat_map(|(_, name, content)| [name.as_bytes(), content.digest.bytes().as_slice()]);
        let bundle = [self.bundle.digest.bytes().as_slice()];
        Digest::of_parts(names(rules).into_iter().chain(bundle).chain(lists))
    }
}
