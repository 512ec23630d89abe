//! The keys of session tickets.
use super::Made;
use crate::config::Faults;
use crate::config::files::{Digest, Files};
use crate::config::written;
use crate::limits;
use crate::tls::tickets::{Key, Keys};
use std::sync::Arc;

/// Those of the files that are named, or else random ones; `previous` where nothing changed, so that
/// tickets survive a reload.
pub(super) fn keys(
    written: &written::SessionTickets,
    previous: Option<&Made<Keys>>,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<Made<Keys>> {
    let (keys, digests) = from_files(written, files, faults)?;
    let fingerprint = Digest::of_parts(digests.iter().map(|digest| digest.bytes().as_slice()));
    if let Some(same) = previous.filter(|previous| previous.fingerprint == fingerprint) {
        return Some(Made { fingerprint, value: Arc::clone(&same.value), warnings: Vec::new() });
    }
    let keys = if digests.is_empty() {
        let Ok(keys) = Keys::random() else {
            faults.note("keys", "the machine has no randomness to make keys of");
            return None;
        };
        keys
    } else {
        Keys::from_files(keys)
    };
    Some(Made { fingerprint, value: Arc::new(keys), warnings: Vec::new() })
}

/// All keys of files and the hashes of what they are made of, in their order.
fn from_files(
    written: &written::SessionTickets,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<(Vec<Key>, Vec<Digest>)> {
    let paths = &written.keys.0;
    if paths.len() > limits::TICKET_KEYS_MAX {
        let (count, max) = (paths.len(), limits::TICKET_KEYS_MAX);
        faults.note("keys", format_args!("there are {count} keys, and the limit is {max}"));
        return None;
    }
    let (mut keys, mut digests) = (Vec::new(), Vec::new());
    for (index, path) in paths {
        faults.element("keys", *index, |faults| {
            let content = match files.open(path, limits::CERTIFICATE_FILE_BYTES_MAX) {
                Ok(content) => content,
                Err(error) => return faults.note_here(error),
            };
            let path = content.path.display();
            if digests.contains(&content.digest) {
                return faults.note_here(format_args!("{path}: this key is in the list already"));
            }
            digests.push(content.digest);
            match Key::from_file(&content.bytes) {
                Ok(key) => keys.push(key),
                Err(fault) => faults.note_here(format_args!("{path}: {fault}")),
            }
        });
    }
    (keys.len() == paths.len()).then_some((keys, digests))
}
