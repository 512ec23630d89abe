//! `--dry-run`: which of the clients seen lately a change would judge otherwise, and how many live
//! connections that is.
//!
//! The change is compiled and not published; the clients are those that shards remember
//! ([`crate::config::clients`]) and those that are connected. Each is judged twice by the code that judges
//! handshakes ([`judge::verdict`]), by what is live and by what would be, at the same time of day. Runs
//! off the shards, on a thread of its own.
//! Bounds: `limits::DRY_RUN_CLIENTS_MAX` clients listed, `limits::DRY_RUN_TEXT_CHARS_MAX` characters of
//! each thing that one says of itself.
use super::Control;
use crate::calendar::rfc3339;
use crate::config::Fault;
use crate::config::candidate::Asked;
use crate::config::clients::{Client, Clients, Connected, Key, Seen};
use crate::config::snapshot::{Live, OnRevocation};
use crate::limits;
use crate::shard::judge;
use crate::trust::{Facts, Refusal};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Proposal {
    /// A reload: the configuration and all that it names as they are now.
    Reload {
        /// Another configuration file than the node's own, which it would reload at once.
        config: Option<PathBuf>,
    },
    /// A change of one trust store.
    Trust {
        /// Its name.
        trust_store: String,
        /// The change.
        asked: Asked,
    },
}

/// Answers a request that is only asked about. It goes on when the client hangs up, and what it has
/// `held` with it: one question is in memory at a time.
pub(super) async fn answer(
    control: Arc<dyn Control>,
    proposal: Proposal,
    held: impl Send + 'static,
) -> Response {
    let answer = tokio::spawn(async move {
        let answer = control.dry_run(proposal).await;
        drop(held);
        answer
    });
    match answer.await {
        Ok(Ok(answer)) => written(answer).await,
        Ok(Err(error)) => error.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Writes it on a thread of its own: ten thousand clients are tens of MiB, and the control thread has
/// generations to publish.
async fn written(answer: impl Serialize + Send + 'static) -> Response {
    let written = tokio::task::spawn_blocking(move || Json(answer).into_response()).await;
    written.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The answer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DryRun {
    /// What is live, and stays so.
    pub generation: u64,
    /// Clients that were judged both ways: seen lately, or connected.
    pub clients: u64,
    /// Of these, how many would be refused, or find no listener, and are accepted now.
    pub newly_refused: u64,
    /// How many would be accepted and are not now.
    pub newly_accepted: u64,
    /// How many others: refused for another reason, for the most part.
    pub otherwise_refused: u64,
    /// Live connections of all these.
    pub live_connections: u64,
    /// Live connections that were not judged, because their clients were too many to remember.
    pub live_connections_left_out: u64,
    /// These clients, those with most live connections first; no more than a number of them is listed.
    pub changes: Vec<Change>,
    /// What would be odd about the node and is not now.
    pub warnings: Vec<Fault>,
}

/// A client whose verdict would change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// Of its certificate, RFC 2253; none where it showed no certificate that can be read.
    pub subject: Option<String>,
    /// Of its certificate.
    pub issuer: Option<String>,
    /// Of its certificate.
    pub serial_number: Option<String>,
    /// Where it came to.
    pub listener: String,
    /// A name that it asked for.
    pub server_name: Option<String>,
    /// When it came last; none for one that is connected and remembered no more.
    pub last_seen: Option<String>,
    /// How often it came since it is remembered.
    pub count: u64,
    /// Why it was refused when it came last; none if it was let in.
    pub last_refusal: Option<String>,
    /// Its live connections.
    pub live_connections: u64,
    /// By what is live.
    pub now: Verdict,
    /// By what would be live.
    pub then: Verdict,
    /// What would become of its live connections, where it would be refused.
    pub on_revocation: Option<String>,
}

/// A verdict, without its details.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// `accepted`, `refused`, or `no_listener`.
    pub verdict: String,
    /// ALB's code of a refusal.
    pub reason: Option<String>,
    /// What the code means.
    pub in_words: Option<String>,
}

/// One client under one policy, over all shards.
struct Row {
    /// By whose chain it is judged.
    client: Arc<Client>,
    shown: Shown,
    server_name: Option<String>,
    last: Option<UnixTime>,
    last_refusal: Option<Refusal>,
    count: u64,
    connections: u64,
}

/// What speaks for a chain. Of several that came with one certificate the one counts for which most does:
/// anybody can show a certificate in a chain that is good for nothing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Shown {
    /// When somebody showed it.
    BySomebody(u64),
    /// Connections.
    ByItsOwner,
    /// When a trust store vouched for it.
    Vouched(u64),
}

/// A verdict while it is compared; nothing where there is no such listener with TLS.
type Taken = Option<Result<(), Refusal>>;

/// Judges everybody by `live` and by `next`.
pub fn compare(live: &Live, next: &Live, clients: Vec<Clients>, now: UnixTime) -> DryRun {
    let mut answer = DryRun { generation: live.generation, ..DryRun::default() };
    answer.live_connections_left_out =
        clients.iter().map(|of_shard| of_shard.connections_left_out).sum();
    let new = next.warnings.iter().filter(|warning| !live.warnings.contains(warning));
    answer.warnings = new.cloned().collect();
    let mut changed = Vec::new();
    for row in Rows::of([live, next], clients).rows.into_values() {
        let taken = |live: &Live| {
            let Client { listener, chain, .. } = &*row.client;
            judge::verdict(live, listener, row.server_name.as_deref(), chain, now)
                .map(|verdict| verdict.result.map(|_| ()))
        };
        let (before, after) = (taken(live), taken(next));
        if before.is_none() && after.is_none() {
            // Its listener is gone already.
            continue;
        }
        answer.clients += 1;
        if before == after {
            continue;
        }
        answer.live_connections += row.connections;
        *match (before, after) {
            (_, Some(Ok(()))) => &mut answer.newly_accepted,
            (Some(Ok(())), _) => &mut answer.newly_refused,
            (_, _) => &mut answer.otherwise_refused,
        } += 1;
        changed.push((row, before, after));
    }
    changed.sort_by_key(|(row, ..)| {
        (Reverse(row.connections), Reverse(row.last.map(|last| last.as_secs())))
    });
    changed.truncate(limits::DRY_RUN_CLIENTS_MAX);
    let changes = changed.into_iter();
    answer.changes = changes.map(|(row, now, then)| Change::new(row, now, then, next)).collect();
    answer
}

/// What the shards tell, joined: one row for each client and each pair of policies that it is judged by,
/// before and after. What the policies are called on a shard does not matter: names may be ordered otherwise
/// next, and clients that are one now may part.
struct Rows<'a> {
    live_and_next: [&'a Live; 2],
    rows: BTreeMap<(Key, [Option<&'a str>; 2]), Row>,
}

impl<'a> Rows<'a> {
    fn of(live_and_next: [&'a Live; 2], clients: Vec<Clients>) -> Self {
        let mut rows = Self { live_and_next, rows: BTreeMap::new() };
        for Clients { seen, connected, .. } in clients {
            for Seen { client, is_vouched, last, count, refusal } in seen {
                let server_name = client.server_name.clone();
                let at = last.as_secs();
                let shown = if is_vouched { Shown::Vouched(at) } else { Shown::BySomebody(at) };
                let row = rows.row(client, shown, server_name);
                row.count += count;
                if row.last <= Some(last) {
                    (row.last, row.last_refusal) = (Some(last), refusal);
                }
            }
            for ((_, server_name), Connected { client, connections }) in connected {
                rows.row(client, Shown::ByItsOwner, server_name).connections += connections;
            }
        }
        rows
    }

    fn row(&mut self, client: Arc<Client>, shown: Shown, server_name: Option<String>) -> &mut Row {
        let policies = self.live_and_next.map(|live| {
            let tls = live.listeners.get(&client.listener)?.tls.as_ref()?;
            Some(tls.policy(server_name.as_deref()))
        });
        let key = (Key::of(&client.listener, "", &client.chain), policies);
        match self.rows.entry(key) {
            Entry::Vacant(vacant) => {
                let (last, last_refusal, count, connections) = (None, None, 0, 0);
                vacant.insert(Row {
                    client,
                    shown,
                    server_name,
                    last,
                    last_refusal,
                    count,
                    connections,
                })
            }
            Entry::Occupied(occupied) => {
                let row = occupied.into_mut();
                if row.shown < shown {
                    (row.client, row.shown, row.server_name) = (client, shown, server_name);
                }
                row
            }
        }
    }
}

impl Change {
    fn new(row: Row, now: Taken, then: Taken, next: &Live) -> Self {
        let Row { client, server_name, last, last_refusal, count, connections, .. } = row;
        let facts = client.chain.first().and_then(|leaf| Facts::from_der(leaf));
        let (subject, issuer, serial_number) = match facts {
            Some(Facts { subject, issuer, serial_number, .. }) => {
                (Some(subject), Some(issuer), Some(serial_number))
            }
            None => (None, None, None),
        };
        let on_revocation = match then {
            Some(Err(refusal)) if connections > 0 => {
                let listener = next.listeners.get(&client.listener);
                let tls = listener.and_then(|listener| listener.tls.as_ref());
                tls.map(|tls| tls.access(server_name.as_deref()).authentication.on_refusal(refusal))
            }
            Some(_) | None => None,
        };
        Self {
            subject: subject.map(cut),
            issuer: issuer.map(cut),
            serial_number: serial_number.map(cut),
            listener: client.listener.to_string(),
            server_name: server_name.map(cut),
            last_seen: last.map(rfc3339),
            count,
            last_refusal: last_refusal.map(|refusal| refusal.code().to_owned()),
            live_connections: connections,
            now: Verdict::of(now),
            then: Verdict::of(then),
            on_revocation: on_revocation.map(OnRevocation::word).map(str::to_owned),
        }
    }
}

/// What a client says of itself, no longer than anybody reads.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(limits::DRY_RUN_TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Verdict {
    fn of(taken: Taken) -> Self {
        let (verdict, refusal) = match taken {
            None => ("no_listener", None),
            Some(Ok(())) => ("accepted", None),
            Some(Err(refusal)) => ("refused", Some(refusal)),
        };
        Self {
            verdict: verdict.to_owned(),
            reason: refusal.map(|refusal| refusal.code().to_owned()),
            in_words: refusal.map(|refusal| refusal.to_string()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, &self.in_words) {
            (Some(reason), Some(words)) => write!(f, "{reason} ({words})"),
            _ => f.write_str(&self.verdict),
        }
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, newly_refused, newly_accepted, otherwise_refused, .. } = self;
        let changes = newly_refused + newly_accepted + otherwise_refused;
        write!(f, "nothing has changed: generation {} stays live\n\n", self.generation)?;
        if changes == 0 {
            f.write_str("no client seen lately would change")?;
            write!(f, " ({clients} judged)")?;
        } else {
            writeln!(f, "{}", in_columns(&self.table()))?;
            let listed = self.changes.len() as u64;
            if listed < changes {
                writeln!(f, "and {} more", changes - listed)?;
            }
            write!(
                f,
                "\n{changes} of {clients} clients seen lately would change: {newly_refused} refused, \
                 {newly_accepted} accepted, {otherwise_refused} refused for another reason; \
                 live connections: {}",
                self.live_connections
            )?;
        }
        match self.live_connections_left_out {
            0 => Ok(()),
            out => write!(f, "\n{out} live connections were not judged: too many clients at once"),
        }
    }
}

/// Lines of cells, each column as wide as its widest cell.
fn in_columns(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl DryRun {
    fn table(&self) -> Vec<Vec<String>> {
        let titles =
            ["CLIENT", "SERIAL NUMBER", "LISTENER", "LAST SEEN", "COUNT", "LIVE", "NOW", "THEN"];
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let lines = self.changes.iter().map(|change| {
            let live = match &change.on_revocation {
                Some(what) => format!("{} ({what})", change.live_connections),
                None => change.live_connections.to_string(),
            };
            let listener = match &change.server_name {
                Some(name) => format!("{} ({name})", change.listener),
                None => change.listener.clone(),
            };
            vec![
                or_dash(&change.subject),
                or_dash(&change.serial_number),
                listener,
                or_dash(&change.last_seen),
                change.count.to_string(),
                live,
                change.now.to_string(),
                change.then.to_string(),
            ]
        });
        [titles.map(str::to_owned).to_vec()].into_iter().chain(lines).collect()
    }
}

#[cfg(test)]
mod tests;
