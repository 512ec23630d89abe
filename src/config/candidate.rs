//! A change of one trust store that a command asks for: made and checked, neither kept nor published.
//!
//! Called on the control side. Nothing outside changes before [`Candidate::stage`], so a candidate is
//! also what a question about a change is answered from.
use super::Faults;
use super::compile::{self, Compiled};
use super::load::Loaded;
use super::nearest::nearest;
use super::snapshot::{Live, Name};
use super::state::{Change, Contents};
use super::written::{Source, TrustStore};
use crate::clock;
use std::sync::Arc;

/// What would be live and kept after the change.
#[derive(Debug)]
pub struct Candidate {
    trust_store: Name,
    contents: Contents,
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
        let contents = present.contents(trust_store)?;
        let first_new_id = contents.next_id();
        let contents = contents.changed(change).map_err(|refused| {
            let mut faults = Faults::default();
            refused.iter().for_each(|refused| faults.note_here(refused));
            faults
        })?;
        let trust_store: Name = trust_store.into();
        let loaded = present.with(&trust_store, &contents)?;
        Ok(Self { trust_store, contents, loaded, first_new_id })
    }

    /// What would be live.
    pub fn live(&self) -> &Live {
        &self.loaded.live
    }

    /// The ids of revocation files that are new.
    pub fn new_ids(&self) -> Vec<u64> {
        self.contents.revocations().range(self.first_new_id..).map(|(id, _)| *id).collect()
    }

    /// Writes what is to be kept; it is committed with the publication.
    ///
    /// # Errors
    /// What the disk said. Nothing has changed then.
    pub fn stage(mut self) -> Result<Loaded, Faults> {
        let Some(state) = &self.loaded.origin.state else {
            // Without one there would have been no contents to begin with.
            return Err(Faults::one("there is no node.state_dir"));
        };
        let staged = state.stage(&self.trust_store, &self.contents).map_err(Faults::one)?;
        self.loaded.staged.push(staged);
        Ok(self.loaded)
    }
}

impl Loaded {
    /// What is kept of a trust store that commands may change.
    fn contents(&self, trust_store: &str) -> Result<Contents, Faults> {
        let stores = &self.origin.written.trust_stores.0;
        let Some((index, written)) = stores.iter().find(|(_, store)| store.name == trust_store)
        else {
            let guess = nearest(trust_store, stores.iter().map(|(_, store)| store.name.as_str()));
            let guess = guess.map(|guess| format!("; did you mean {guess}?")).unwrap_or_default();
            return Err(Faults::one(format!("there is no trust store {trust_store}{guess}")));
        };
        let refused = |why: String| {
            let mut faults = self.origin.faults.clone();
            faults.element("trust_stores", *index, |faults| faults.note("source", why));
            faults
        };
        match (written.source, &self.origin.state) {
            (Source::Files, _) | (Source::Api, None) => Err(refused(self.change_files(written))),
            (Source::Api, Some(state)) => match state.read(trust_store) {
                Ok(Some(contents)) => Ok(contents),
                Ok(None) => {
                    let file = state.file(trust_store);
                    Err(refused(format!("{} is gone; a reload makes it anew", file.display())))
                }
                Err(fault) => Err(refused(fault)),
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
    fn with(&self, trust_store: &Name, contents: &Contents) -> Result<Self, Faults> {
        let origin = &self.origin;
        let mut faults = origin.faults.clone();
        let compiled = compile::changed(
            &origin.written,
            &origin.declared,
            &self.kept,
            (trust_store, contents),
            clock::now(),
            &mut faults,
        );
        let Some(Compiled { listeners, kept, .. }) = compiled.filter(|_| faults.is_empty()) else {
            return Err(faults);
        };
        let mut live = kept.live(listeners);
        live.warnings = faults.sorted_warnings();
        live.connection_log = self.log.as_ref().map(|(_, log)| log.clone());
        Ok(Self {
            node: self.node.clone(),
            admin: self.admin.clone(),
            metrics: self.metrics,
            live,
            inputs: self.inputs.clone(),
            staged: Vec::new(),
            kept,
            log: self.log.clone(),
            origin: Arc::clone(origin),
        })
    }
}
