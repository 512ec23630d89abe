//! The entry of a revocation list that hit, found again in its file.
//!
//! The index keeps serial numbers and reasons and nothing else, for the sake of its memory; whoever asks
//! gives the files once more. Walking a list costs what reading it costs; no signature is checked again,
//! because only a file that has not changed since it was loaded is given.
#![deny(clippy::indexing_slicing)]
use super::{Told, reason_name};
use crate::calendar::rfc3339;
use crate::trust::certificate::serial_number;
use crate::trust::crl::{self, RevocationList};
use crate::trust::revocation::{self, Status};
use crate::trust::serials::is_same_number;
use crate::trust::{name, time};
use serde::Serialize;
use std::collections::BTreeSet;

/// An entry of a revocation list, and its list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// The list's file.
    pub file: String,
    /// The id of that file, where it has one.
    pub revocation_id: Option<u64>,
    /// The list's issuer, RFC 2253.
    pub issuer: String,
    /// cRLNumber, where the list has one.
    pub crl_number: Option<String>,
    /// thisUpdate of the list.
    pub this_update: String,
    /// nextUpdate of the list.
    pub next_update: Option<String>,
    /// Hexadecimal.
    pub serial_number: String,
    /// The entry's date, where it can be read.
    pub revocation_date: Option<String>,
    /// RFC 5280, section 5.3.1.
    pub reason: &'static str,
}

/// A certificate that lists name: where it stands, and where they do.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Hit {
    /// Of the path, and of the certificate on it.
    position: (usize, usize),
    issuer: Box<[u8]>,
    serial: Box<[u8]>,
    /// Those that may name it.
    lists: Vec<Status>,
}

/// A revocation file that was given once more.
#[derive(Clone, Debug)]
pub struct Again<B> {
    /// What it holds.
    pub bytes: B,
    /// Its id, where it has one.
    pub revocation_id: Option<u64>,
}

impl Told {
    /// Finds the entries that hit. `read` gives a revocation file by its index among those of the trust
    /// store, as it was when the store was loaded, or says why it cannot; each is asked for once.
    pub fn find_entries<B: AsRef<[u8]>>(
        &mut self,
        mut read: impl FnMut(usize) -> Result<Again<B>, String>,
    ) {
        let files = self.hits.iter().flat_map(|hit| &hit.lists).map(|list| list.file_index);
        for file_index in files.collect::<BTreeSet<_>>() {
            let file = read(file_index);
            for hit in &self.hits {
                let of_file = |list: &&Status| list.file_index == file_index;
                let lists: Vec<_> = hit.lists.iter().filter(of_file).collect();
                let (path, certificate) = hit.position;
                let path = self.paths.get_mut(path);
                let seen = path.and_then(|path| path.certificates.get_mut(certificate));
                let (Some(seen), false) = (seen, lists.is_empty()) else { continue };
                match &file {
                    Ok(file) => seen.revoked_by.extend(hit.entries(&lists, file)),
                    Err(why) => seen.unread_lists.push(why.clone()),
                }
            }
        }
    }
}

impl Hit {
    pub(super) fn new(
        position: (usize, usize),
        issuer: &[u8],
        serial: &[u8],
        lists: Vec<Status>,
    ) -> Self {
        Self { position, issuer: issuer.into(), serial: serial.into(), lists }
    }

    /// What those of a file's lists that count say of it.
    fn entries<B: AsRef<[u8]>>(&self, lists: &[&Status], file: &Again<B>) -> Vec<Entry> {
        let mut found = Vec::new();
        revocation::each_list(file.bytes.as_ref(), |der| {
            let Ok(list) = RevocationList::read(der) else { return };
            // What its signer is worth is known of the list in the index alone; this is that list.
            let is_it = |status: &&&Status| {
                (status.this_update, status.next_update) == (list.this_update, list.next_update)
                    && list.count() == Ok(status.entries)
            };
            if *list.issuer != *self.issuer {
                return;
            }
            let Some(status) = lists.iter().find(is_it) else { return };
            let entries = list.entries().filter_map(Result::ok);
            let entries = entries.filter(|entry| is_same_number(entry.serial, &self.serial));
            found.extend(entries.map(|entry| Entry::of(status, &list, &entry, file.revocation_id)));
        });
        found
    }
}

impl Entry {
    fn of(
        status: &Status,
        list: &RevocationList<'_>,
        entry: &crl::Entry<'_>,
        revocation_id: Option<u64>,
    ) -> Self {
        Self {
            file: status.file.clone(),
            revocation_id,
            issuer: status.issuer.clone(),
            crl_number: list.number().map(number),
            this_update: rfc3339(status.this_update),
            next_update: status.next_update.map(rfc3339),
            serial_number: serial_number(entry.serial),
            revocation_date: time::of(&entry.date).map(rfc3339),
            reason: reason_name(entry.reason),
        }
    }
}

/// A cRLNumber as people write it: decimal, or hexadecimal where it is long.
fn number(content: &[u8]) -> String {
    let mut whole = [0; 8];
    let tail = whole.len().checked_sub(content.len()).and_then(|at| whole.get_mut(at..));
    match (tail, content.first()) {
        (Some(tail), Some(0..=0x7f)) => {
            tail.copy_from_slice(content);
            u64::from_be_bytes(whole).to_string()
        }
        _ => format!("0x{}", name::hex(content)),
    }
}
