//! `portcullis explain`: how a client would be judged and why, in words and as JSON.
//!
//! Asked of a configuration file by the command line, and of the live value through the admin socket; it
//! changes nothing. The answer comes from the code that judges handshakes ([`judge::explained`]). When
//! the verdict changes by itself is found by judging again at each instant that the verdict depends on.
//! Bound: `limits::EXPLAINED_INSTANTS_MAX`.
use crate::calendar::rfc3339;
use crate::config::snapshot::{Access, Authentication, Live, Verify};
use crate::config::state::Directory;
use crate::limits;
use crate::shard::judge;
use crate::trust::explain::entry::{Again, Entry};
use crate::trust::explain::{self, List, Path, Seen, Told};
use crate::trust::{Filters, Refusal};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

/// Who comes where, and when.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The listener's name.
    pub listener: String,
    /// The name in the ClientHello, if one is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Another time than now, as [`explain::read_time`] reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
struct Answer {
    verdict: &'static str,
    /// ALB's code, as in the connection log.
    reason: Option<&'static str>,
    in_words: String,
    at: String,
    /// 0 for a file.
    generation: u64,
    policy: Policy,
    #[serde(flatten)]
    told: Told,
    changes: Option<Change>,
    next_step: &'static str,
}

/// What applies to the client.
#[derive(Clone, Debug, Serialize)]
struct Policy {
    listener: String,
    server_name: Option<String>,
    /// The names of the server-name policy that applies; none for the listener's own.
    server_name_policy: Option<Vec<String>>,
    mode: &'static str,
    trust_store: Option<String>,
    refusal: Option<&'static str>,
    ignore_client_certificate_expiry: bool,
    client_certificate_identity_filters: Vec<Value>,
}

/// The first change of the verdict by time alone.
#[derive(Clone, Debug, Serialize)]
struct Change {
    at: String,
    verdict: &'static str,
    reason: Option<&'static str>,
}

/// Answers by `live`. `chain` is what the client sends, a file as [`explain::read_chain`] takes it;
/// empty for a client that sends none. Revocation files that hit are read again, for the entry.
///
/// # Errors
/// What is wrong with the question, in a sentence.
pub fn answer(
    live: &Live,
    state: Option<&Directory>,
    question: &Question,
    chain: &[u8],
    now: UnixTime,
) -> Result<Value, String> {
    let listener = live.listeners.get(question.listener.as_str()).ok_or_else(|| {
        let names: Vec<_> = live.listeners.keys().map(|name| &**name).collect();
        format!(
            "there is no listener {}; the listeners are {}",
            question.listener,
            names.join(", ")
        )
    })?;
    let tls = listener.tls.as_ref().ok_or_else(|| {
        format!("the listener {} speaks plain HTTP: no client is asked for anything", listener.name)
    })?;
    let now = match &question.at {
        None => now,
        Some(at) => explain::read_time(at).ok_or_else(|| {
            format!("{at}: a time is written 2027-01-02, 2027-01-02T03:04:05Z or @1800000000")
        })?,
    };
    let chain = match chain {
        [] => Vec::new(),
        file => explain::read_chain(file)?,
    };
    let server_name = question.server_name.as_deref();
    let judge = |at: UnixTime| {
        let mut told = Told::of_sent(&chain);
        judge::explained(live, &listener.name, server_name, &chain, at, Some(&mut told))
            .map(|verdict| (verdict.result.err(), told))
            .ok_or_else(|| format!("the listener {} is gone", listener.name))
    };
    let (refusal, mut told) = judge(now)?;
    let access = tls.access(server_name);
    find_entries(live, &access.authentication, state, &mut told);
    let answer = Answer {
        verdict: verdict_word(refusal),
        reason: refusal.map(Refusal::code),
        in_words: in_words(refusal, &access.authentication, &chain),
        at: rfc3339(now),
        generation: live.generation,
        policy: Policy::of(&listener.name, question, access),
        changes: change(now, refusal, &told, judge)?,
        told,
        next_step: refusal.map_or("", next_step),
    };
    let text = answer.to_string();
    let mut value = serde_json::to_value(answer).map_err(|error| error.to_string())?;
    if let Value::Object(object) = &mut value {
        object.insert("text".to_owned(), Value::String(text));
    }
    Ok(value)
}

/// Finds the entries that hit, in the files that the trust store was made of.
fn find_entries(
    live: &Live,
    authentication: &Authentication,
    state: Option<&Directory>,
    told: &mut Told,
) {
    let Authentication::Verify(Verify { trust_store, .. }) = authentication else { return };
    let Some(source) = live.trust_sources.get(trust_store) else { return };
    let mut files = source.revocation_files(trust_store, state);
    told.find_entries(|index| {
        let bytes = files.read(index)?;
        Ok(Again { bytes, revocation_id: source.revocation_id(index) })
    });
}

/// Goes from one instant to the next until the verdict is another one.
fn change(
    now: UnixTime,
    refusal: Option<Refusal>,
    told: &Told,
    judge: impl Fn(UnixTime) -> Result<(Option<Refusal>, Told), String>,
) -> Result<Option<Change>, String> {
    let mut at = now;
    let mut instants = told.instants.clone();
    for _ in 0..limits::EXPLAINED_INSTANTS_MAX {
        let Some(next) = instants.iter().copied().filter(|instant| *instant > at).min() else {
            break;
        };
        let (later, told) = judge(next)?;
        if later != refusal {
            let at = rfc3339(next);
            let (verdict, reason) = (verdict_word(later), later.map(Refusal::code));
            return Ok(Some(Change { at, verdict, reason }));
        }
        (at, instants) = (next, told.instants);
    }
    Ok(None)
}

impl Policy {
    fn of(listener: &str, question: &Question, access: &Access) -> Self {
        let names = &access.server_names;
        let policy = Self {
            listener: listener.to_owned(),
            server_name: question.server_name.clone(),
            server_name_policy: (!names.is_empty()).then(|| names.clone()),
            mode: access.authentication.mode(),
            trust_store: None,
            refusal: None,
            ignore_client_certificate_expiry: false,
            client_certificate_identity_filters: Vec::new(),
        };
        match &access.authentication {
            Authentication::Off | Authentication::Passthrough => policy,
            Authentication::Verify(verify) => Self {
                trust_store: Some(verify.trust_store.to_string()),
                refusal: Some(verify.refusal.word()),
                ignore_client_certificate_expiry: verify
                    .conditions
                    .ignore_client_certificate_expiry,
                client_certificate_identity_filters: filters(&verify.conditions.filters),
                ..policy
            },
        }
    }
}

fn filters(filters: &Filters) -> Vec<Value> {
    let filter = |fields: Vec<(crate::trust::filter::Field, Vec<String>)>| {
        let fields =
            fields.into_iter().map(|(field, patterns)| (field.key().to_owned(), json!(patterns)));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    filters.describe().map(filter).collect()
}

const fn verdict_word(refusal: Option<Refusal>) -> &'static str {
    match refusal {
        None => "accepted",
        Some(_) => "refused",
    }
}

fn in_words(
    refusal: Option<Refusal>,
    authentication: &Authentication,
    chain: &[CertificateDer<'_>],
) -> String {
    if let Some(refusal) = refusal {
        return refusal.to_string();
    }
    match (authentication, chain.is_empty()) {
        (Authentication::Off, _) => "no certificate is asked for",
        (Authentication::Passthrough | Authentication::Verify(_), true) => {
            "no certificate is needed; the target gets no identity headers"
        }
        (Authentication::Passthrough, false) => "the chain is passed on to the target, unjudged",
        (Authentication::Verify(_), false) => "a path to the trust store is good",
    }
    .to_owned()
}

/// What somebody does next who has never seen this refusal.
const fn next_step(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::MaxChainDepthExceeded => {
            "Have the client's certificate issued nearer to the root: at most 4 CAs may stand between \
             it and its anchor, and a client may send at most 10 certificates."
        }
        Refusal::MaxSizeExceeded => {
            "Have the client send less: its certificate and the intermediates of its path, without the \
             root and without certificates that belong to other paths."
        }
        Refusal::CrlHit => {
            "A CA has revoked the marked certificate. Issue a new one; if it was revoked by mistake, \
             publish a list without it and reload."
        }
        Refusal::CrlProcessingError => {
            "The trust store asks for current revocation lists of every issuer. Publish a new list for \
             the marked issuer under `revocations`, or change `stale_revocations` or `unlisted_issuers`."
        }
        Refusal::Untrusted => {
            "Nobody in the trust store vouches for this client. Add the root of its CA to \
             `ca_certificates_bundle`, or have the client send its intermediates along."
        }
        Refusal::NotYetValid => {
            "The marked certificate is valid later. Wait, or look at the clocks of this node and of the CA."
        }
        Refusal::Expired => {
            "Renew the marked certificate. `ignore_client_certificate_expiry` forgives the client's own \
             notAfter, but never that of a CA."
        }
        Refusal::TypeUnsupported => {
            "Issue an X.509 version 3 certificate with a key of RSA 2048 to 8192 bits, P-256, P-384 or \
             P-521, signed with SHA-256, -384 or -512."
        }
        Refusal::Invalid => {
            "A certificate is malformed, or breaks a rule of its CAs (name constraints, path length), or \
             is signed by another key than that of the CA it names: a CA of the same name with a new key, \
             for instance. See the remarks."
        }
        Refusal::PurposeInvalid => {
            "Issue the certificate for clients: extendedKeyUsage with clientAuth (or none), keyUsage with \
             digitalSignature; CAs need CA:TRUE and keyCertSign."
        }
        Refusal::Rejected => {
            "The path is good, and none of `client_certificate_identity_filters` matches this client. Add \
             a filter for it, if it is to be let in; what filters can look at is listed above."
        }
        Refusal::Incompatible => "Use a certificate that fits the listener's security policy.",
        Refusal::Missing => {
            "Have the client show a certificate: with curl, --cert and --key. In mode `optional` none is fine."
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            None => writeln!(f, "accepted: {}", self.in_words)?,
            Some(code) => writeln!(f, "refused: {code} ({})", self.in_words)?,
        }
        writeln!(f)?;
        self.policy.fmt(f)?;
        let by = match self.generation {
            0 => "the files as they are".to_owned(),
            generation => format!("generation {generation}"),
        };
        write!(f, "judged for {} by {by}", self.at)?;
        if self.told.paths.is_empty() && self.policy.mode != "off" {
            for (index, certificate) in self.told.sent.iter().enumerate() {
                let place = if index == 0 { "client" } else { "sent" };
                let gap = if index == 0 { "\n" } else { "" };
                write!(f, "{gap}\n{}", Indented(place, certificate))?;
            }
        }
        for (index, path) in self.told.paths.iter().enumerate() {
            write_path(f, index + 1, path)?;
        }
        for (index, end) in self.told.dead_ends.iter().enumerate() {
            let heading = if index == 0 { "\n\nno further path:" } else { "" };
            write!(f, "{heading}\n  {end}")?;
        }
        self.write_filters(f)?;
        match &self.changes {
            Some(Change { at, reason: None, .. }) => {
                write!(f, "\n\nThis changes by itself at {at}: accepted from then on.")?;
            }
            Some(Change { at, reason: Some(code), .. }) => {
                write!(f, "\n\nThis changes by itself at {at}: refused with {code} from then on.")?;
            }
            None => f.write_str("\n\nThis does not change by itself.")?,
        }
        if self.next_step.is_empty() {
            Ok(())
        } else {
            write!(f, "\n\nWhat to do: {}", self.next_step)
        }
    }
}

impl Answer {
    fn write_filters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.policy.client_certificate_identity_filters.is_empty() || self.told.sent.is_empty() {
            return Ok(());
        }
        const KEY: &str = "client_certificate_identity_filters";
        match self.told.matching_filter {
            Some(index) => {
                write!(f, "\n\n{KEY}[{index}] matches the client's certificate, which has")?
            }
            None => write!(f, "\n\nnone of {KEY} matches the client's certificate, which has")?,
        }
        for (field, values) in &self.told.identity {
            for value in values {
                write!(f, "\n  {field}: {value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {}, ", self.listener)?;
        match &self.server_name {
            None => f.write_str("no server name")?,
            Some(name) => write!(f, "server name {name}")?,
        }
        match &self.server_name_policy {
            None => f.write_str(": the listener's own policy applies\n")?,
            Some(names) => writeln!(f, ": the policy of {} applies", names.join(", "))?,
        }
        write!(f, "mode {}", self.mode)?;
        if let Some(store) = &self.trust_store {
            write!(f, ", trust store {store}")?;
        }
        if let Some(refusal) = self.refusal {
            write!(f, ", refusal {refusal}")?;
        }
        if self.ignore_client_certificate_expiry {
            f.write_str(", the client's expiry is ignored")?;
        }
        match self.client_certificate_identity_filters.len() {
            0 => writeln!(f),
            1 => writeln!(f, ", 1 identity filter"),
            count => writeln!(f, ", {count} identity filters"),
        }
    }
}

fn write_path(f: &mut fmt::Formatter<'_>, number: usize, path: &Path) -> fmt::Result {
    match path.refusal {
        None => write!(f, "\n\npath {number}, accepted:")?,
        Some(code) => write!(f, "\n\npath {number}, refused with {code}:")?,
    }
    let last = path.certificates.len().saturating_sub(1);
    for (index, certificate) in path.certificates.iter().enumerate() {
        let place = match index {
            0 => "client",
            _ if index == last => "anchor",
            _ => "CA",
        };
        write!(f, "\n{}", Indented(place, certificate))?;
    }
    match &path.fault {
        Some(fault) => write!(f, "\n  ! {fault}"),
        None => Ok(()),
    }
}

/// A certificate under its place in a path.
struct Indented<'a>(&'static str, &'a Seen);

impl fmt::Display for Indented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(place, seen) = self;
        let from = match (seen.is_sent, seen.is_in_bundle) {
            (true, true) => "sent by the client, and in the trust store",
            (true, false) => "sent by the client",
            (false, _) => "from the trust store",
        };
        write!(f, "  {place:<7} {}\n          {from}", seen.subject)?;
        if !seen.not_after.is_empty() {
            write!(
                f,
                "\n          serial number {}, {}\n          issued by {}\n          valid from {} to {}",
                seen.serial_number, seen.key, seen.issuer, seen.not_before, seen.not_after
            )?;
        }
        for remark in &seen.remarks {
            write!(f, "\n          ! {remark}")?;
        }
        match seen.revoked {
            Some(_) if !seen.revoked_by.is_empty() => {
                seen.revoked_by.iter().try_for_each(|entry| write_entry(f, entry))?;
            }
            Some(reason) => {
                let one_of = if seen.lists.len() > 1 { "one of " } else { "" };
                let lists = in_words_all(&seen.lists);
                write!(f, "\n          ! revoked, reason {reason}, by {one_of}{lists}")?;
            }
            None if seen.lists.is_empty() => {}
            None => write!(f, "\n          looked up in {}", in_words_all(&seen.lists))?,
        }
        for why in &seen.unread_lists {
            write!(f, "\n          no entry is shown of one list: {why}")?;
        }
        Ok(())
    }
}

fn in_words_all(lists: &[List]) -> String {
    let lists = lists.iter().map(|list| {
        let next = list.next_update.as_deref().unwrap_or("never");
        format!(
            "{} (entries {}, thisUpdate {}, nextUpdate {next})",
            list.file, list.entries, list.this_update
        )
    });
    lists.collect::<Vec<_>>().join(", ")
}

fn write_entry(f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
    let date = entry.revocation_date.as_deref().unwrap_or("an unreadable time");
    write!(f, "\n          ! revoked at {date}, reason {}, by ", entry.reason)?;
    if let Some(id) = entry.revocation_id {
        write!(f, "revocation {id}, ")?;
    }
    write!(f, "{} (", entry.file)?;
    if let Some(number) = &entry.crl_number {
        write!(f, "CRL number {number}, ")?;
    }
    let next = entry.next_update.as_deref().unwrap_or("never");
    write!(f, "thisUpdate {}, nextUpdate {next})", entry.this_update)
}
