//! The command line's side: `portcullis trust replace | add-revocations | remove-revocations | status`.
//!
//! As in [`crate::api::client`], each call makes one request.
use super::upload::Upload;
use super::{Changed, Report};
use crate::api::client::{Failure, ask, ask_with, encoded, lines};
use crate::api::dry_run::DryRun;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// What a command asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// The bundle alone is uploaded, and the present revocation files stay.
    ReplaceBundle(Upload),
    /// The bundle and then all revocation files are uploaded.
    ReplaceAll(Upload),
    /// Revocation files are uploaded.
    AddRevocations(Upload),
    /// Ids of revocation files.
    RemoveRevocations(Vec<u64>),
    /// Names of revocation files, for a dry run.
    RemoveFiles(Vec<String>),
}

/// Has the node change a trust store.
///
/// # Errors
/// [`Failure`]; everything that stands in the way is a line of [`Failure::Refused`].
pub async fn change(
    socket: &Path,
    trust_store: &str,
    command: Command,
) -> Result<Changed, Failure> {
    let (method, target, body) = request(trust_store, command);
    understood(socket, ask_with(socket, method, &target, body).await?)
}

/// Asks the node whom such a change would reach. Nothing is changed.
///
/// # Errors
/// As [`change`].
pub async fn dry_run(
    socket: &Path,
    trust_store: &str,
    command: Command,
) -> Result<DryRun, Failure> {
    let (method, mut target, body) = request(trust_store, command);
    target.push(if target.contains('?') { '&' } else { '?' });
    target.push_str("dry_run=true");
    understood(socket, ask_with(socket, method, &target, body).await?)
}

fn request(trust_store: &str, command: Command) -> (Method, String, Vec<u8>) {
    let store = format!("/trust_stores/{}", encoded(trust_store));
    match command {
        Command::ReplaceBundle(upload) => {
            (Method::PUT, format!("{store}?revocations=keep"), upload.body)
        }
        Command::ReplaceAll(upload) => {
            (Method::PUT, format!("{store}?revocations=replace"), upload.body)
        }
        Command::AddRevocations(upload) => {
            (Method::POST, format!("{store}/revocations"), upload.body)
        }
        Command::RemoveRevocations(ids) => {
            let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
            (Method::DELETE, format!("{store}/revocations?ids={}", ids.join(",")), Vec::new())
        }
        Command::RemoveFiles(names) => {
            let names = encoded(&names.join("\n"));
            (Method::DELETE, format!("{store}/revocations?files={names}"), Vec::new())
        }
    }
}

/// What the node's trust stores hold; with a name, that one alone.
///
/// # Errors
/// [`Failure`], also where there is none of that name.
pub async fn status(socket: &Path, trust_store: Option<&str>) -> Result<Report, Failure> {
    let answer = ask(socket, Method::GET, "/trust_stores").await?;
    let mut report: Report = understood(socket, answer)?;
    if let Some(name) = trust_store {
        report.trust_stores.retain(|store| store.name == name);
        if report.trust_stores.is_empty() {
            return Err(Failure::Refused(format!("there is no trust store {name}")));
        }
    }
    Ok(report)
}

/// A change in words.
pub fn changed_in_words(changed: &Changed) -> String {
    let mut text = format!("generation {} is live on every shard", changed.generation);
    for revocation in &changed.trust_store.revocations {
        if revocation.revocation_id.is_some_and(|id| changed.new_revocation_ids.contains(&id)) {
            text.push_str(&format!("\n  {revocation}"));
        }
    }
    let warnings = serde_json::to_value(&changed.warnings).unwrap_or_default();
    lines(text, "warning: ", &warnings)
}

/// A report in words.
pub fn report_in_words(report: &Report) -> String {
    let stores: Vec<_> = report.trust_stores.iter().map(ToString::to_string).collect();
    format!("generation {}\n{}", report.generation, stores.join("\n"))
}

pub(in crate::api) fn understood<T: DeserializeOwned>(
    socket: &Path,
    answer: Value,
) -> Result<T, Failure> {
    serde_json::from_value(answer)
        .map_err(|error| Failure::NoAnswer { path: socket.to_owned(), error: error.into() })
}
