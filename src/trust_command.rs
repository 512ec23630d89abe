//! Command line: `portcullis trust`, which looks at trust stores and changes them.
use super::{Socket, print, talk};
use clap::Subcommand;
use portcullis::api::client::dry_run_in_words;
use portcullis::api::trust::client::{self, Command};
use portcullis::api::trust::upload::Upload;
use portcullis::{clock, limits, trust};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Trust {
    /// List what bundles and revocation lists hold, what is wrong or odd, and what ALB would refuse
    Inspect {
        /// The files of one trust store: CA bundle and revocation lists, in any order
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a trust store of a running node another CA bundle, and other revocation lists
    Replace {
        #[command(flatten)]
        of: Of,
        /// The CA bundle, PEM
        #[arg(long, value_name = "FILE")]
        ca_certificates_bundle: PathBuf,
        /// All revocation lists from now on; without this the present ones stay
        #[arg(long, value_name = "FILE", num_args = 0..)]
        revocations: Option<Vec<PathBuf>>,
    },
    /// Give a trust store of a running node further revocation lists; answers their ids
    AddRevocations {
        #[command(flatten)]
        of: Of,
        /// Revocation lists, PEM or DER
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Take revocation lists away from a trust store of a running node
    RemoveRevocations {
        #[command(flatten)]
        of: Of,
        /// Ids of revocation lists, as `trust status` shows them; with --dry-run, for a trust store with
        /// `source: files`, their names there
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Show what the trust stores of a running node hold
    Status {
        #[command(flatten)]
        node: Socket,
        /// This trust store alone
        #[arg(long, value_name = "NAME")]
        trust_store: Option<String>,
        /// Answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which trust store of which node is changed.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    #[command(flatten)]
    node: Socket,
    /// The trust store; without --dry-run it must have `source: api`
    #[arg(long, value_name = "NAME")]
    trust_store: String,
    /// Change nothing; say which of the clients seen lately would be judged otherwise
    #[arg(long)]
    dry_run: bool,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

impl Trust {
    /// Does it and prints the answer.
    pub(super) fn run(&self) -> Result<(), String> {
        match self {
            Self::Inspect { files, json } => inspect(files, *json),
            Self::Replace { of, ca_certificates_bundle, revocations } => {
                let mut upload = Upload::default();
                upload.add(ca_certificates_bundle, limits::BUNDLE_BYTES_MAX);
                match revocations {
                    None => of.change(Command::ReplaceBundle(upload.whole()?)),
                    Some(files) => {
                        add(&mut upload, files);
                        of.change(Command::ReplaceAll(upload.whole()?))
                    }
                }
            }
            Self::AddRevocations { of, files } => {
                let mut upload = Upload::default();
                add(&mut upload, files);
                of.change(Command::AddRevocations(upload.whole()?))
            }
            Self::RemoveRevocations { of, ids } => of.change(removal(of, ids)?),
            Self::Status { node, trust_store, json } => {
                let report = talk(node, |socket| async move {
                    client::status(&socket, trust_store.as_deref()).await
                })?;
                answer(*json, &report, client::report_in_words)
            }
        }
    }
}

impl Of {
    fn change(&self, command: Command) -> Result<(), String> {
        if self.dry_run {
            let found = talk(&self.node, |socket| async move {
                client::dry_run(&socket, &self.trust_store, command).await
            })?;
            return answer(self.json, &found, dry_run_in_words);
        }
        let changed = talk(&self.node, |socket| async move {
            client::change(&socket, &self.trust_store, command).await
        })?;
        answer(self.json, &changed, client::changed_in_words)
    }
}

/// Ids are numbers; a dry run takes names as well.
fn removal(of: &Of, ids: &[String]) -> Result<Command, String> {
    let numbers: Result<Vec<u64>, _> = ids.iter().map(|id| id.parse()).collect();
    match numbers {
        Ok(numbers) => Ok(Command::RemoveRevocations(numbers)),
        Err(_) if of.dry_run => Ok(Command::RemoveFiles(ids.to_vec())),
        Err(_) => Err(format!("{}: ids are numbers; trust status shows them", ids.join(" "))),
    }
}

fn add(upload: &mut Upload, files: &[PathBuf]) {
    for file in files {
        upload.add(file, limits::REVOCATION_FILE_BYTES_MAX);
    }
}

pub(super) fn answer<T: Serialize>(
    json: bool,
    answer: &T,
    words: fn(&T) -> String,
) -> Result<(), String> {
    if json {
        print(&serde_json::to_string_pretty(answer).map_err(|error| error.to_string())?)
    } else {
        print(&words(answer))
    }
}

/// Fails when this node would refuse one of the files.
fn inspect(paths: &[PathBuf], json: bool) -> Result<(), String> {
    let mut contents = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        contents.push((name, bytes));
    }
    let files: Vec<_> =
        contents.iter().map(|(name, bytes)| trust::inspect::File { name, bytes }).collect();
    let reports = trust::inspect::inspect(&files, clock::now());
    if json {
        print(&serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())?)?;
    } else {
        let words: Vec<_> = reports.iter().map(ToString::to_string).collect();
        print(&words.join("\n"))?;
    }
    let refused: Vec<_> = reports.iter().filter(|report| !report.faults.is_empty()).collect();
    match refused.as_slice() {
        [] => Ok(()),
        [one] => Err(format!("{} would be refused", one.file)),
        several => Err(format!("{} files would be refused", several.len())),
    }
}
