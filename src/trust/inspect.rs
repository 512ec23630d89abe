//! `portcullis trust inspect`: what files of a trust store hold, before a node gets them.
//!
//! Bundles and revocation lists are told apart by their content and read by the code that loads them;
//! all lists are judged under all bundles that are given. Besides what this node would refuse it says
//! what is odd, what will be soon, and what ALB would refuse.
//! Source of ALB's rules and quotas: `alb-contract.md`, section 1.6.
#![deny(clippy::indexing_slicing)]
use super::crl::RevocationList;
use super::explain::key;
use super::x509::Certificate;
use super::{Bundle, Revocations, name, pem, revocation};
use crate::calendar::rfc3339;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A file to inspect.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// What a file holds and what is to be said about it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Its name.
    pub file: String,
    /// What it is.
    pub kind: Kind,
    /// Its certificates, in order.
    pub certificates: Vec<Ca>,
    /// Its revocation lists, in order.
    pub revocations: Vec<List>,
    /// Why this node would refuse it.
    pub faults: Vec<String>,
    /// What is odd or will be soon.
    pub warnings: Vec<String>,
    /// Why ALB would refuse it.
    pub alb: Vec<String>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Certificates.
    #[default]
    Bundle,
    /// Revocation lists.
    Revocations,
}

/// A certificate of a bundle.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ca {
    /// RFC 2253.
    pub subject: String,
    /// RFC 2253.
    pub issuer: String,
    /// Beginning of its validity.
    pub not_before: String,
    /// End of its validity.
    pub not_after: String,
    /// Kind and size of its key.
    pub key: String,
}

/// A revocation list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct List {
    /// RFC 2253.
    pub issuer: String,
    /// Number of entries.
    pub entries: usize,
    /// thisUpdate.
    pub this_update: String,
    /// nextUpdate.
    pub next_update: Option<String>,
}

/// What ends within this time is said to end soon.
const SOON: Duration = Duration::from_secs(30 * 86_400);
/// ALB's quotas for one trust store.
const ALB_CAS_MAX: usize = 25;
const ALB_SUBJECTS_BYTES_MAX: usize = 10_000;
const ALB_LISTS_MAX: usize = 30;
const ALB_ENTRIES_MAX: usize = 500_000;
const ALB_LIST_BYTES_MAX: usize = 50 * 1024 * 1024;

/// Inspects files that together are one trust store: bundles and lists in any order.
pub fn inspect(files: &[File<'_>], now: UnixTime) -> Vec<Report> {
    let bundles: Vec<_> = files.iter().filter(|file| kind(file.bytes) == Kind::Bundle).collect();
    // One bundle is what a trust store has; several are read as if they were one, for the lists.
    let joined: Vec<u8> =
        bundles.iter().flat_map(|file| [file.bytes, b"\n"]).flatten().copied().collect();
    let joined = Bundle::from_pem(&joined, now).ok().map(|(bundle, _)| bundle);
    let mut reports: Vec<_> = files
        .iter()
        .map(|file| match kind(file.bytes) {
            Kind::Bundle => bundle(file, now),
            Kind::Revocations => revocations(file, bundles.len(), joined.as_ref(), now),
        })
        .collect();
    quotas_of_all(&mut reports);
    reports
}

/// A file is what its first PEM block is; DER is told apart by what stands second in it.
fn kind(bytes: &[u8]) -> Kind {
    let is_list = match pem::blocks(bytes).flatten().next() {
        Some(block) => block.label == b"X509 CRL",
        None => RevocationList::read(bytes).is_ok(),
    };
    if is_list { Kind::Revocations } else { Kind::Bundle }
}

fn bundle(file: &File<'_>, now: UnixTime) -> Report {
    let mut report = Report { file: file.name.to_owned(), ..Report::default() };
    match Bundle::from_pem(file.bytes, now) {
        Ok((bundle, warnings)) => {
            report.warnings.extend(warnings.into_iter().map(|warning| warning.0));
            let partial = bundle.partial_anchors().into_iter();
            report.warnings.extend(partial.map(|subject| {
                format!("{subject} is not self-signed and anchors, because its issuer is missing")
            }));
        }
        Err(faults) => report.faults.extend(faults.into_iter().map(|fault| fault.0)),
    }
    let mut subjects = 0;
    for block in pem::blocks(file.bytes).flatten().filter(|block| block.label == b"CERTIFICATE") {
        let Ok(der) = block.decode() else { continue };
        let Ok(certificate) = Certificate::read(CertificateDer::from(der)) else { continue };
        let subject = name::rfc2253(certificate.subject()).unwrap_or_default();
        subjects += certificate.subject().len();
        let left = certificate.not_after.as_secs().checked_sub(now.as_secs());
        if left.is_some_and(|left| left < SOON.as_secs()) {
            let end = rfc3339(certificate.not_after);
            report.warnings.push(format!("line {}: {subject} expires soon, at {end}", block.line));
        }
        report.certificates.push(Ca {
            subject,
            issuer: name::rfc2253(certificate.issuer()).unwrap_or_default(),
            not_before: rfc3339(certificate.not_before),
            not_after: rfc3339(certificate.not_after),
            key: key(&certificate),
        });
    }
    report.alb = text_for_alb(file.bytes);
    over("CA certificates", report.certificates.len(), ALB_CAS_MAX, &mut report.alb);
    over("bytes of subjects", subjects, ALB_SUBJECTS_BYTES_MAX, &mut report.alb);
    report
}

fn revocations(file: &File<'_>, bundles: usize, bundle: Option<&Bundle>, now: UnixTime) -> Report {
    let file_name = file.name.to_owned();
    let mut report = Report { file: file_name, kind: Kind::Revocations, ..Report::default() };
    if pem::blocks(file.bytes).next().is_none() {
        report.alb.push("not PEM (openssl crl -inform DER -in FILE -out FILE.pem)".to_owned());
    }
    over("bytes", file.bytes.len(), ALB_LIST_BYTES_MAX, &mut report.alb);
    let lists = read_lists(file.bytes);
    for list in lists.iter().flatten() {
        report.revocations.push(list.told());
        report.warnings.extend(list.oddity(now));
    }
    let Some(bundle) = bundle else {
        report.warnings.push(match bundles {
            0 => "give the CA bundle too, so that the signature can be judged".to_owned(),
            _ => "the CA bundle has faults, so the signature was not judged".to_owned(),
        });
        report.faults.extend(lists.into_iter().filter_map(Result::err));
        return report;
    };
    let files = [revocation::File { name: file.name, bytes: file.bytes }];
    if let Err(faults) = Revocations::load(&files, bundle) {
        report.faults.extend(faults.into_iter().map(|fault| fault.message));
    }
    report
}

/// What the head of a list says.
struct Head {
    issuer: String,
    entries: usize,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
}

impl Head {
    fn read(der: &[u8]) -> Result<Self, String> {
        let list = RevocationList::read(der).map_err(|unusable| unusable.to_string())?;
        Ok(Self {
            issuer: name::rfc2253(list.issuer).unwrap_or_default(),
            entries: list.count().map_err(|unusable| unusable.to_string())?,
            this_update: list.this_update,
            next_update: list.next_update,
        })
    }

    fn told(&self) -> List {
        List {
            issuer: self.issuer.clone(),
            entries: self.entries,
            this_update: rfc3339(self.this_update),
            next_update: self.next_update.map(rfc3339),
        }
    }

    fn oddity(&self, now: UnixTime) -> Option<String> {
        let issuer = &self.issuer;
        if now < self.this_update {
            let begin = rfc3339(self.this_update);
            return Some(format!(
                "the list of {issuer} is of the future: its thisUpdate is {begin}"
            ));
        }
        match self.next_update {
            None => {
                Some(format!("the list of {issuer} has no nextUpdate, so nobody sees it grow old"))
            }
            Some(end) if end < now => {
                Some(format!("the list of {issuer} is stale since {}", rfc3339(end)))
            }
            // A list may live for a day; its age says how soon is soon.
            Some(end) if is_last_quarter(self.this_update, end, now) => {
                Some(format!("the list of {issuer} is stale soon, at {}", rfc3339(end)))
            }
            Some(_) => None,
        }
    }
}

fn read_lists(bytes: &[u8]) -> Vec<Result<Head, String>> {
    let mut blocks = pem::blocks(bytes).peekable();
    if blocks.peek().is_none() {
        return vec![Head::read(bytes)];
    }
    blocks
        .map(|block| {
            let block = block.map_err(|broken| broken.to_string())?;
            let der = block.decode().map_err(|broken| broken.to_string())?;
            Head::read(&der).map_err(|fault| format!("line {}: {fault}", block.line))
        })
        .collect()
}

fn is_last_quarter(from: UnixTime, to: UnixTime, now: UnixTime) -> bool {
    let whole = to.as_secs().saturating_sub(from.as_secs());
    to.as_secs().saturating_sub(now.as_secs()) < whole / 4
}

/// What ALB allows in a bundle: certificate blocks, and lines that begin with `#` and hold no `-`.
fn text_for_alb(bytes: &[u8]) -> Vec<String> {
    let mut refused = Vec::new();
    let mut is_inside = false;
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        let what = if line.is_empty() {
            "a blank line"
        } else if line.starts_with(b"-----BEGIN ") {
            is_inside = true;
            continue;
        } else if line.starts_with(b"-----END ") {
            is_inside = false;
            continue;
        } else if is_inside {
            continue;
        } else if !line.starts_with(b"#") {
            "text outside of the certificates that is no comment (openssl x509 -text writes such)"
        } else if line.contains(&b'-') {
            "a comment with a hyphen"
        } else {
            continue;
        };
        if !refused.iter().any(|known: &String| known.ends_with(what)) {
            refused.push(format!("line {}: {what}", index + 1));
        }
    }
    refused
}

/// Quotas of ALB that count over all files.
fn quotas_of_all(reports: &mut [Report]) {
    let lists = |report: &Report| report.revocations.len();
    let entries =
        |report: &Report| report.revocations.iter().map(|list| list.entries).sum::<usize>();
    let (lists, entries) = (reports.iter().map(lists).sum(), reports.iter().map(entries).sum());
    if let Some(last) = reports.iter_mut().rfind(|report| report.kind == Kind::Revocations) {
        over("revocation lists in all files", lists, ALB_LISTS_MAX, &mut last.alb);
        over("entries in all files", entries, ALB_ENTRIES_MAX, &mut last.alb);
    }
}

fn over(what: &str, count: usize, max: usize, alb: &mut Vec<String>) {
    if count > max {
        alb.push(format!("{count} {what}; its quota is {max}"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Bundle => {
                write!(f, "{}: {} CA certificates", self.file, self.certificates.len())?;
            }
            Kind::Revocations => {
                write!(f, "{}: {} revocation lists", self.file, self.revocations.len())?;
            }
        }
        for ca in &self.certificates {
            let Ca { subject, issuer, not_before, not_after, key } = ca;
            write!(f, "\n  {subject}\n      {key}, valid from {not_before} to {not_after}")?;
            match subject == issuer {
                true => f.write_str(", self-issued")?,
                false => write!(f, "\n      issued by {issuer}")?,
            }
        }
        for list in &self.revocations {
            let next = list.next_update.as_deref().unwrap_or("never");
            let List { issuer, entries, this_update, .. } = list;
            write!(f, "\n  {issuer}")?;
            write!(f, "\n      entries {entries}, thisUpdate {this_update}, nextUpdate {next}")?;
        }
        for (word, sentences) in
            [("refused", &self.faults), ("warning", &self.warnings), ("ALB refuses", &self.alb)]
        {
            for sentence in sentences {
                write!(f, "\n  {word}: {sentence}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
