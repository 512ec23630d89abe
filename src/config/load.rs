//! A configuration file, loaded: read, compiled, and everything that it names read and checked.
//!
//! Called by `process` at start and on the control thread for each reload. Nothing is published here
//! and nothing that traffic uses is touched, so a bad file changes nothing.
use super::compile::logs::Wanted;
use super::compile::{self, Compiled, Kept, State};
use super::files::{Files, Follow, Inputs};
use super::read::Declared;
use super::snapshot::{Listener, Live, Logs};
use super::state::{Directory, Sealed, Staged};
use super::written::{Budget, Configuration};
use super::{Fault, Faults, read, tree};
use crate::observe::load::Reason;
use crate::observe::sink::{LogKind, Sink};
use crate::{clock, limits, net};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The node itself. A change here needs a restart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Its name in status.
    pub name: String,
    /// Number of shards, 1 to `limits::SHARDS_MAX`; `None` is one for each CPU that may be used.
    pub shards: Option<usize>,
    /// How it talks to the kernel.
    pub io: net::Io,
    /// How the kernel spreads new connections.
    pub steering: net::Steering,
    /// Connections of all clients together; `None` is what the limit of open files allows.
    pub connections_max: Option<usize>,
    /// Memory that it may have, in MiB.
    pub memory_budget_mib: Budget,
    /// How long requests in flight may take to finish when the node ends.
    pub drain_timeout: Duration,
    /// Where it keeps what commands change.
    pub state_dir: Option<PathBuf>,
}

/// Where the admin endpoint listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// On a Unix socket at this path.
    Unix(PathBuf),
}

/// A configuration that can be published.
#[derive(Debug)]
pub struct Loaded {
    /// The node itself.
    pub node: Node,
    /// The endpoint that changes state.
    pub admin: Endpoint,
    /// The read-only endpoint, if there is one.
    pub metrics: Option<SocketAddr>,
    /// What shards work by. Its generation is 0 until it is published.
    pub live: Live,
    /// Every file that it was made of.
    pub inputs: Inputs,
    /// What `state_dir` is to hold, written: to be committed when this becomes live.
    pub staged: Vec<Staged>,
    pub(super) kept: Kept,
    pub(super) logs: Logs,
    pub(super) origin: Arc<Origin>,
}

impl Loaded {
    /// Takes out what is published, and what is then committed.
    pub fn take(&mut self) -> (Live, Vec<Staged>) {
        let live = std::mem::replace(&mut self.live, Live::empty());
        (live, std::mem::take(&mut self.staged))
    }

    /// The directory of state, where there is one.
    pub fn state(&self) -> Option<Arc<Directory>> {
        self.origin.state.clone()
    }

    /// Has the disk confirm what was committed.
    ///
    /// # Errors
    /// What the disk said: a power cut may bring the state before back.
    pub fn sync(&self) -> Result<(), String> {
        self.origin.state.as_ref().map_or(Ok(()), |state| state.sync())
    }
}

/// What a configuration was compiled from, for changes of trust alone.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) written: Configuration,
    pub(super) declared: Declared,
    /// None; knows the lines.
    pub(super) faults: Faults,
    /// Relative paths are relative to this.
    pub(super) base: PathBuf,
    /// The node's own for as long as this lives; none where the configuration names none.
    pub(super) state: Option<Arc<Directory>>,
}

/// Loads the file at `path`. What did not change since `previous` is taken over from there: trust
/// stores, certificates, target groups with their addresses, TLS configurations, the open logs.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn load(path: &Path, previous: Option<&Loaded>) -> Result<Loaded, Faults> {
    attempt(path, previous).1
}

/// As [`load`], for a node that starts: `place` is called once the configuration is good and before it
/// starts a thread, so that every thread has its place from the beginning.
///
/// # Errors
/// As [`load`].
pub fn start(path: &Path, place: impl FnOnce(&Node)) -> Result<Loaded, Faults> {
    let prepared = prepare(path, Purpose::Start).1.and_then(Prepared::stage)?;
    place(&prepared.loaded.node);
    prepared.open_logs(None)
}

/// As [`load`], and names every file that was looked at, also when the load failed: what to watch.
pub fn attempt(path: &Path, previous: Option<&Loaded>) -> (Inputs, Result<Loaded, Faults>) {
    let purpose = previous.map_or(Purpose::Start, Purpose::Reload);
    let (inputs, outcome) = prepare(path, purpose);
    let outcome = outcome.and_then(Prepared::stage);
    (inputs, outcome.and_then(|prepared| prepared.open_logs(previous)))
}

/// Checks the file at `path` and leaves everything as it is: no log file is made.
///
/// # Errors
/// As [`load`]; otherwise what is odd.
pub fn check(path: &Path) -> Result<Vec<Fault>, Faults> {
    prepare(path, Purpose::Look).1?.check_logs().map(|loaded| loaded.live.warnings)
}

/// Loads the file at `path` for questions about it: nothing is made, and its logs are not opened.
///
/// # Errors
/// As [`load`].
pub fn look(path: &Path) -> Result<Loaded, Faults> {
    Ok(prepare(path, Purpose::Look).1?.loaded)
}

/// What a reload of `previous` would make live, without making it so.
///
/// # Errors
/// As [`load`].
pub fn candidate(path: &Path, previous: &Loaded) -> Result<Live, Faults> {
    let prepared = prepare(path, Purpose::Reload(previous)).1?;
    prepared.check_logs().map(|loaded| loaded.live)
}

/// The admin endpoint that the file at `path` names, whatever else is wrong with it: whoever asks a node
/// to reload a bad file wants the node's answer.
///
/// # Errors
/// When the file cannot be read at all, or its `admin` has faults.
pub fn admin(path: &Path) -> Result<Endpoint, Faults> {
    let (absolute, mut files) = files_of(path);
    let mut faults = Faults::default();
    let Some((written, _)) = configuration(&absolute, &mut files, &mut faults) else {
        return Err(faults);
    };
    faults.list.retain(|fault| fault.path == "admin" || fault.path.starts_with("admin."));
    let admin = faults.within("admin", |faults| compile::admin(&written.admin, &files, faults));
    admin.filter(|_| faults.is_empty()).ok_or(faults)
}

/// What a file is loaded for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// To know what is in it: nothing is made, and `state_dir` may be another process's.
    Look,
    /// For a node that starts.
    Start,
    /// For one that runs.
    Reload(&'a Loaded),
}

impl<'a> Purpose<'a> {
    fn previous(self) -> Option<&'a Loaded> {
        match self {
            Self::Look | Self::Start => None,
            Self::Reload(previous) => Some(previous),
        }
    }
}

/// Everything but the logs, which are opened last, and what `state_dir` is to hold: all else that a load
/// does cannot be seen from outside.
struct Prepared {
    loaded: Loaded,
    logs: Vec<Wanted>,
    seeds: Vec<Sealed>,
}

fn prepare(path: &Path, purpose: Purpose<'_>) -> (Inputs, Result<Prepared, Faults>) {
    let (absolute, mut files) = files_of(path);
    let mut faults = Faults::default();
    let prepared =
        configuration(&absolute, &mut files, &mut faults).and_then(|(written, declared)| {
            compile_all(written, declared, purpose, &mut files, &mut faults)
        });
    faults.sort();
    let Some(mut prepared) = prepared.filter(|_| faults.is_empty()) else {
        debug_assert!(!faults.is_empty(), "whoever is refused is told why");
        return (files.inputs(Follow::UntilLoaded), Err(faults));
    };
    let inputs = files.inputs(Follow::Always);
    prepared.loaded.inputs = inputs.clone();
    (inputs, Ok(prepared))
}

/// The file's absolute path, and the files beside it.
fn files_of(path: &Path) -> (PathBuf, Files) {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = absolute.parent().map(Path::to_owned).unwrap_or_default();
    (absolute, Files::new(base))
}

fn configuration(
    path: &Path,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<(Configuration, Declared)> {
    let content = match files.open(path, limits::CONFIGURATION_BYTES_MAX) {
        Ok(content) => content,
        Err(error) => {
            faults.because(Reason::UnreadableFile, |faults| faults.note_here(error));
            return None;
        }
    };
    let tree = tree::read(&content.bytes, faults)?;
    read::read(tree, faults)
}

fn compile_all(
    written: Configuration,
    declared: Declared,
    purpose: Purpose<'_>,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<Prepared> {
    let previous = purpose.previous();
    let node = faults.within("node", |faults| compile::node(&written.node, files, faults));
    let state = faults.within("node", |faults| state(node.as_ref()?, purpose, faults));
    let admin = faults.within("admin", |faults| compile::admin(&written.admin, files, faults));
    let metrics = written
        .metrics
        .as_ref()
        .map(|written| faults.within("metrics", |faults| compile::metrics(written, faults)));
    let logs = faults.within("logs", |faults| compile::logs::logs(&written, files, faults));
    let nothing = Kept::default();
    let kept = previous.map_or(&nothing, |previous| &previous.kept);
    let place = match &state {
        None => State::Faulty,
        Some(None) => State::None,
        Some(Some(directory)) => State::In(directory),
    };
    let Compiled { listeners, kept, seeds } =
        compile::compile(&written, &declared, kept, files, place, clock::now(), faults);
    if written.listeners.0.is_empty() {
        faults.note_missing("listeners", "there is no listener");
    }
    let (node, admin) = (node?, admin?);
    let metrics = match metrics {
        Some(metrics) => Some(metrics?),
        None => None,
    };
    if let Some(previous) = previous {
        refuse_restart(previous, &node, &admin, metrics, faults);
    }
    let mut loaded = Loaded {
        node,
        admin,
        metrics,
        live: kept.live(listeners),
        inputs: Inputs::default(),
        staged: Vec::new(),
        kept,
        logs: Logs::default(),
        origin: Arc::new(Origin {
            written,
            declared,
            faults: faults.emptied(),
            base: files.resolve(""),
            state: state?,
        }),
    };
    if let Some(metrics) = loaded.metrics {
        refuse_shared_port(metrics, loaded.live.listeners.values(), faults);
    }
    loaded.live.warnings = faults.sorted_warnings();
    Some(Prepared { loaded, logs, seeds })
}

/// The directory of state: the node's own, or nothing where it has none; none at all where something
/// is wrong with it.
#[expect(clippy::option_option, reason = "a node without one, and one that cannot have its own")]
fn state(node: &Node, purpose: Purpose<'_>, faults: &mut Faults) -> Option<Option<Arc<Directory>>> {
    let Some(path) = &node.state_dir else { return Some(None) };
    let directory = match purpose {
        Purpose::Look => Ok(Directory::look(path)),
        Purpose::Start => {
            let owner = format!("the node {}, process {}", node.name, std::process::id());
            Directory::open(path, &owner)
        }
        Purpose::Reload(previous) => {
            // Another path is noted by `refuse_restart`.
            let own = previous.origin.state.as_ref().filter(|own| own.path() == path);
            return own.map(|own| Some(Arc::clone(own)));
        }
    };
    match directory {
        Ok(directory) => Some(Some(Arc::new(directory))),
        Err(fault) => {
            faults.because(Reason::State, |faults| faults.note("state_dir", fault));
            None
        }
    }
}

/// Metrics and a listener cannot share a port; the kernel would say only that somebody has it.
fn refuse_shared_port<'a>(
    metrics: SocketAddr,
    listeners: impl Iterator<Item = &'a Arc<Listener>>,
    faults: &mut Faults,
) {
    let everywhere = |address: SocketAddr| address.ip().is_unspecified();
    let mut shared = listeners.filter(|listener| {
        let bind = listener.bind;
        // Port 0 is another port each time.
        let overlap = bind.ip() == metrics.ip() || everywhere(bind) || everywhere(metrics);
        bind.port() != 0 && bind.port() == metrics.port() && overlap
    });
    if let Some(listener) = shared.next() {
        let message = format!("the listener {} has this port", listener.name);
        faults.within("metrics", |faults| faults.note("bind", message));
    }
}

/// What only a restart can change is a fault in a reload, never accepted and ignored.
fn refuse_restart(
    previous: &Loaded,
    new: &Node,
    admin: &Endpoint,
    metrics: Option<SocketAddr>,
    faults: &mut Faults,
) {
    let old = &previous.node;
    let node = [
        ("name", old.name != new.name),
        ("shards", old.shards != new.shards),
        ("io", old.io != new.io),
        ("steering", old.steering != new.steering),
        ("connections_max", old.connections_max != new.connections_max),
        ("drain_timeout_seconds", old.drain_timeout != new.drain_timeout),
        ("state_dir", old.state_dir != new.state_dir),
    ];
    let needs = "a change here needs a restart";
    faults.within("node", |faults| {
        for (key, _) in node.into_iter().filter(|(_, changed)| *changed) {
            faults.note(key, needs);
        }
    });
    if previous.admin != *admin {
        faults.within("admin", |faults| faults.note("bind", needs));
    }
    if previous.metrics != metrics {
        faults.within("metrics", |faults| faults.note("bind", needs));
    }
}

impl Prepared {
    /// Writes what `state_dir` is to hold of new trust stores.
    fn stage(mut self) -> Result<Self, Faults> {
        let mut faults = self.loaded.origin.faults.clone();
        if let Some(state) = &self.loaded.origin.state {
            for sealed in &self.seeds {
                match state.stage(sealed) {
                    Ok(staged) => {
                        let begins = "it begins with the files of the configuration";
                        let name = sealed.trust_store();
                        tracing::warn!("trust store {name}: state_dir has nothing of it, {begins}");
                        self.loaded.staged.push(staged);
                    }
                    Err(fault) => faults.because(Reason::State, |faults| {
                        faults.within("node", |faults| faults.note("state_dir", fault));
                    }),
                }
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    /// Opens the logs; one whose file is open already, here or in `previous`, takes it over.
    fn open_logs(mut self, previous: Option<&Loaded>) -> Result<Loaded, Faults> {
        let mut faults = self.loaded.origin.faults.clone();
        let mut logs = Logs::default();
        for wanted in self.logs {
            let kept = previous.into_iter().flat_map(|previous| previous.logs.iter());
            let open = logs.iter().chain(kept).find(|log| log.sink.path() == wanted.path);
            let sink = match open {
                Some(log) => Ok(log.sink.clone()),
                None => Sink::open(&wanted.path),
            };
            match sink {
                Ok(sink) => {
                    let kind = wanted.kind;
                    let log = Some(Arc::new(wanted.on(sink)));
                    match kind {
                        LogKind::Connection => logs.connection = log,
                        LogKind::Access => logs.access = log,
                    }
                }
                Err(error) => note_log(&wanted, &error, &mut faults),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.loaded.live.logs = logs.clone();
        self.loaded.logs = logs;
        Ok(self.loaded)
    }

    /// What is loaded, where the logs could be opened.
    fn check_logs(self) -> Result<Loaded, Faults> {
        let mut faults = self.loaded.origin.faults.clone();
        for wanted in &self.logs {
            if let Err(error) = Sink::check(&wanted.path) {
                note_log(wanted, &error, &mut faults);
            }
        }
        if faults.is_empty() { Ok(self.loaded) } else { Err(faults) }
    }
}

fn note_log(wanted: &Wanted, error: &io::Error, faults: &mut Faults) {
    let path = wanted.path.display();
    faults.because(Reason::Log, |faults| {
        faults.within("logs", |faults| {
            faults.note(wanted.kind.word(), format_args!("{path}: {error}"));
        });
    });
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
