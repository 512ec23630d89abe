//! A change of one trust store that a command asks for: made and checked, neither kept nor published.
//!
//! Called on the control side. Nothing outside changes before [`Candidate::stage`], so a candidate is
//! also what a question about a change is answered from.
use super::Faults;
use super::compile::{self, Compiled};
use super::files::Files;
use super::load::Loaded;
use super::nearest::nearest;
use super::snapshot::Live;
use super::state::{Change, Contents, Sealed};
use super::written::{Source, TrustStore};
use crate::clock;
use crate::observe::load::Reason;
use std::sync::Arc;

/// A change that is only asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// One that could be made.
    Change(Change),
    /// Fewer revocation files of the configuration.
    RemoveFiles(Vec<String>),
}

/// What would be live and kept after the change.
#[derive(Debug)]
pub struct Candidate {
    sealed: Sealed,
    loaded: Loaded,
    /// Ids from this one on are new.
    first_new_id: u64,
}

impl Candidate {
    /// Follows a command, beginning with what is kept now. Costs a load of the trust store.
    ///
    /// # Errors
    /// Everything that stands in the way.
    pub fn new(present: &Loaded, trust_store: &str, change: Change) -> Result<Self, Faults> {
        Self::of(present, trust_store, present.contents(trust_store)?, change)
    }

    /// What would be live, for a question: trust stores of files are asked about as if the given files
    /// stood beside, or in the places of, those that the configuration names.
    ///
    /// # Errors
    /// Everything that stands in the way.
    pub fn asked(present: &Loaded, trust_store: &str, asked: Asked) -> Result<Live, Faults> {
        let (index, written) = present.find(trust_store)?;
        let refused = |why: String| Err(present.refused(index, Reason::Command, why));
        let (contents, change) = match (written.source, asked) {
            (Source::Api, Asked::RemoveFiles(_)) => {
                return refused("revocation files that commands added go by their ids".to_owned());
            }
            (Source::Files, Asked::Change(Change::RemoveRevocations(_))) => {
                return refused(
                    "revocation files of the configuration go by their names".to_owned(),
                );
            }
            (Source::Api, Asked::Change(change)) => (present.contents(trust_store)?, change),
            (Source::Files, Asked::Change(change)) => {
                (present.contents_of_files(index, written)?, change)
            }
            (Source::Files, Asked::RemoveFiles(names)) => {
                let contents = present.contents_of_files(index, written)?;
                let ids = present.ids(&contents, &names)?;
                (contents, Change::RemoveRevocations(ids))
            }
        };
        Ok(Self::of(present, trust_store, contents, change)?.loaded.live)
    }

    fn of(
        present: &Loaded,
        trust_store: &str,
        contents: Contents,
        change: Change,
    ) -> Result<Self, Faults> {
        let first_new_id = contents.next_id();
        let contents = contents.changed(change).map_err(|refused| {
            let mut faults = Faults::default();
            faults.because(Reason::Command, |faults| {
                refused.iter().for_each(|refused| faults.note_here(refused));
            });
            faults
        })?;
        let sealed = contents.sealed(trust_store);
        let loaded = present.with(&sealed)?;
        Ok(Self { sealed, loaded, first_new_id })
    }

    /// What would be live.
    pub fn live(&self) -> &Live {
        &self.loaded.live
    }

    /// The ids of revocation files that are new.
    pub fn new_ids(&self) -> Vec<u64> {
        let revocations = self.sealed.contents().revocations();
        revocations.range(self.first_new_id..).map(|(id, _)| *id).collect()
    }

    /// Writes what is to be kept; it is committed with the publication.
    ///
    /// # Errors
    /// What the disk said. Nothing has changed then.
    pub fn stage(mut self) -> Result<Loaded, Faults> {
        let Some(state) = &self.loaded.origin.state else {
            // Without one there would have been no contents to begin with.
            return Err(Faults::one(Reason::State, "there is no node.state_dir"));
        };
        let staged = state.stage(&self.sealed);
        let staged = staged.map_err(|fault| Faults::one(Reason::State, fault))?;
        self.loaded.staged.push(staged);
        Ok(self.loaded)
    }
}

impl Loaded {
    /// A trust store as it is written, and where.
    fn find(&self, trust_store: &str) -> Result<(usize, &TrustStore), Faults> {
        let stores = &self.origin.written.trust_stores.0;
        let found = stores.iter().find(|(_, store)| store.name == trust_store);
        found.map(|(index, written)| (*index, written)).ok_or_else(|| {
            let guess = nearest(trust_store, stores.iter().map(|(_, store)| store.name.as_str()));
            let guess = guess.map(|guess| format!("; did you mean {guess}?")).unwrap_or_default();
            Faults::one(Reason::Command, format!("there is no trust store {trust_store}{guess}"))
        })
    }

    fn refused(&self, index: usize, reason: Reason, why: String) -> Faults {
        let mut faults = self.origin.faults.clone();
        faults.because(reason, |faults| {
            faults.element("trust_stores", index, |faults| faults.note("source", why));
        });
        faults
    }

    /// What the files of a trust store hold now.
    fn contents_of_files(&self, index: usize, written: &TrustStore) -> Result<Contents, Faults> {
        let mut files = Files::new(self.origin.base.clone());
        let mut faults = self.origin.faults.clone();
        let contents = faults.element("trust_stores", index, |faults| {
            compile::contents_of_files(written, &mut files, faults)
        });
        contents.filter(|_| faults.is_empty()).ok_or(faults)
    }

    /// The revocation files of these names, which are relative to the configuration.
    fn ids(&self, contents: &Contents, names: &[String]) -> Result<Vec<u64>, Faults> {
        let place = |name: &str| self.origin.base.join(name);
        let mut faults = Faults::default();
        let mut ids = Vec::new();
        for name in names {
            let files = contents.revocations().iter();
            let known = ids.len();
            let named = files.filter(|(_, file)| place(&file.name) == place(name));
            ids.extend(named.map(|(id, _)| *id));
            if ids.len() == known {
                let fault = format!("there is no revocation file {name}");
                faults.because(Reason::Command, |faults| faults.note_here(fault));
            }
        }
        if faults.is_empty() { Ok(ids) } else { Err(faults) }
    }

    /// What is kept of a trust store that commands may change.
    fn contents(&self, trust_store: &str) -> Result<Contents, Faults> {
        let (index, written) = self.find(trust_store)?;
        let refused = |reason: Reason, why: String| self.refused(index, reason, why);
        match (written.source, &self.origin.state) {
            (Source::Files, _) | (Source::Api, None) => {
                Err(refused(Reason::Command, self.change_files(written)))
            }
            (Source::Api, Some(state)) => match state.read(trust_store) {
                Ok(Some(sealed)) => Ok(sealed.into_contents()),
                Ok(None) => Err(refused(Reason::State, state.gone(trust_store))),
                Err(fault) => Err(refused(Reason::State, fault)),
            },
        }
    }

    /// Where a trust store with `source: files` is changed instead.
    fn change_files(&self, written: &TrustStore) -> String {
        let bundle = written.ca_certificates_bundle.iter();
        let files = bundle.chain(written.revocations.0.iter().map(|(_, list)| list));
        let files: Vec<_> =
            files.map(|file| self.origin.base.join(file).display().to_string()).collect();
        format!(
            "the trust store is made of files: change {}, which the node watches (or set source: api)",
            files.join(", ")
        )
    }

    /// This configuration with other contents of one trust store.
    fn with(&self, sealed: &Sealed) -> Result<Self, Faults> {
        let origin = &self.origin;
        let mut faults = origin.faults.clone();
        let compiled = compile::changed(
            &origin.written,
            &origin.declared,
            &self.kept,
            sealed,
            clock::now(),
            &mut faults,
        );
        let Some(Compiled { listeners, kept, .. }) = compiled.filter(|_| faults.is_empty()) else {
            return Err(faults);
        };
        let mut live = kept.live(listeners);
        live.warnings = faults.sorted_warnings();
        live.logs = self.logs.clone();
        Ok(Self {
            node: self.node.clone(),
            admin: self.admin.clone(),
            metrics: self.metrics,
            live,
            inputs: self.inputs.clone(),
            staged: Vec::new(),
            kept,
            logs: self.logs.clone(),
            origin: Arc::clone(origin),
        })
    }
}

#[cfg(test)]
#[path = "candidate_tests.rs"]
mod tests;
