//! A configuration file, loaded: read, compiled, and everything that it names read and checked.
//!
//! Called by `process` at start and on the control thread for each reload. Nothing is published here
//! and nothing that traffic uses is touched, so a bad file changes nothing.
use super::compile::{self, Kept};
use super::files::{Digest, Files, Inputs};
use super::read::Declared;
use super::snapshot::{Listener, Live};
use super::written::{Configuration, LogFormat};
use super::{Fault, Faults, read, tree};
use crate::http::identity::Forbidden;
use crate::observe::load::Reason;
use crate::observe::sink::{ConnectionLog, Form, Sink};
use crate::{clock, limits, net};
use std::collections::BTreeMap;
use std::fmt::Write;
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
    /// How long requests in flight may take to finish when the node ends.
    pub drain_timeout: Duration,
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
    kept: Kept,
    log: Option<(PathBuf, Sink)>,
}

/// Loads the file at `path`. What did not change since `previous` is taken over from there: trust
/// stores, certificates, target groups with their addresses, TLS configurations, the open log.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn load(path: &Path, previous: Option<&Loaded>) -> Result<Loaded, Faults> {
    attempt(path, previous).1
}

/// As [`load`], and names every file that was looked at, also when the load failed: what to watch.
pub fn attempt(path: &Path, previous: Option<&Loaded>) -> (Inputs, Result<Loaded, Faults>) {
    let (inputs, outcome) = prepare(path, previous);
    (inputs, outcome.and_then(|prepared| prepared.open_log(previous)))
}

/// Checks the file at `path` and leaves everything as it is: no log file is made.
///
/// # Errors
/// As [`load`]; otherwise what is odd.
pub fn check(path: &Path) -> Result<Vec<Fault>, Faults> {
    prepare(path, None).1?.check_log()
}

/// What the file at `path` would make live, without making it so: for questions about it.
///
/// # Errors
/// As [`load`].
pub fn live(path: &Path) -> Result<Live, Faults> {
    Ok(prepare(path, None).1?.loaded.live)
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

/// Everything but the log, which is opened last: all else that a load does cannot be seen from outside.
struct Prepared {
    loaded: Loaded,
    log: Option<LogWanted>,
    /// None yet; knows the lines.
    faults: Faults,
}

/// A connection log as the configuration wants it.
struct LogWanted {
    path: PathBuf,
    form: Form,
    elb: Arc<str>,
}

fn prepare(path: &Path, previous: Option<&Loaded>) -> (Inputs, Result<Prepared, Faults>) {
    let (absolute, mut files) = files_of(path);
    let mut faults = Faults::default();
    let prepared =
        configuration(&absolute, &mut files, &mut faults).and_then(|(written, declared)| {
            compile_all(&written, &declared, previous, &mut files, &mut faults)
        });
    let inputs = files.inputs();
    faults.sort();
    let prepared = prepared.filter(|_| faults.is_empty());
    let Some((mut loaded, log)) = prepared else { return (inputs, Err(faults)) };
    loaded.inputs = inputs.clone();
    loaded.live.warnings = std::mem::take(&mut faults.warnings);
    (inputs, Ok(Prepared { loaded, log, faults }))
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
    written: &Configuration,
    declared: &Declared,
    previous: Option<&Loaded>,
    files: &mut Files,
    faults: &mut Faults,
) -> Option<(Loaded, Option<LogWanted>)> {
    let node = faults.within("node", |faults| compile::node(&written.node, faults));
    let admin = faults.within("admin", |faults| compile::admin(&written.admin, files, faults));
    let metrics = written
        .metrics
        .as_ref()
        .map(|written| faults.within("metrics", |faults| compile::metrics(written, faults)));
    let log = faults.within("logs", |faults| log(written, files, faults));
    let nothing = Kept::default();
    let kept = previous.map_or(&nothing, |previous| &previous.kept);
    let (listeners, kept) = compile::compile(written, declared, kept, files, clock::now(), faults);
    if written.listeners.0.is_empty() {
        faults.note_missing("listeners", "there is no listener");
    }
    let loaded = Loaded {
        node: node?,
        admin: admin?,
        metrics: match metrics {
            Some(metrics) => Some(metrics?),
            None => None,
        },
        live: Live {
            generation: 0,
            forbidden: Forbidden::new(listeners.values().map(|one| &one.attributes.names)),
            listeners,
            addresses: BTreeMap::new(),
            trust_stores: kept.trust_stores(),
            certificates: kept.certificates(),
            target_groups: kept.target_groups(),
            ticket_keys: kept.ticket_keys(),
            connection_log: None,
            warnings: Vec::new(),
        },
        inputs: Inputs::default(),
        kept,
        log: None,
    };
    if let Some(metrics) = loaded.metrics {
        refuse_shared_port(metrics, loaded.live.listeners.values(), faults);
    }
    if let Some(previous) = previous {
        refuse_restart(previous, &loaded, faults);
    }
    Some((loaded, log))
}

fn log(written: &Configuration, files: &Files, faults: &mut Faults) -> Option<LogWanted> {
    let path = written.logs.connection.as_deref()?;
    let path = match path {
        "" => {
            faults.note("connection", "expected a path, found nothing");
            return None;
        }
        "-" => PathBuf::from("-"),
        path => files.resolve(path),
    };
    let form = match written.logs.format {
        LogFormat::Alb => Form::Alb,
        LogFormat::Json => Form::Json,
    };
    Some(LogWanted { path, form, elb: elb(&written.load_balancer.name) })
}

/// `app/<name>/<id>`, as in ALB's logs. The id is 16 digits that follow from the name, so that they are
/// the same after a restart and on every node of one name.
fn elb(name: &str) -> Arc<str> {
    let mut elb = format!("app/{name}/");
    for byte in Digest::of(name.as_bytes()).bytes().iter().take(8) {
        // Writing to a string cannot fail.
        let _ = write!(elb, "{byte:02x}");
    }
    elb.into()
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
fn refuse_restart(previous: &Loaded, next: &Loaded, faults: &mut Faults) {
    let (old, new) = (&previous.node, &next.node);
    let node = [
        ("name", old.name != new.name),
        ("shards", old.shards != new.shards),
        ("io", old.io != new.io),
        ("steering", old.steering != new.steering),
        ("connections_max", old.connections_max != new.connections_max),
        ("drain_timeout_seconds", old.drain_timeout != new.drain_timeout),
    ];
    let needs = "a change here needs a restart";
    faults.within("node", |faults| {
        for (key, _) in node.into_iter().filter(|(_, changed)| *changed) {
            faults.note(key, needs);
        }
    });
    if previous.admin != next.admin {
        faults.within("admin", |faults| faults.note("bind", needs));
    }
    if previous.metrics != next.metrics {
        faults.within("metrics", |faults| faults.note("bind", needs));
    }
}

impl Prepared {
    /// Opens the connection log, or takes the open one over when it stays where it is.
    fn open_log(mut self, previous: Option<&Loaded>) -> Result<Loaded, Faults> {
        let Some(wanted) = self.log else { return Ok(self.loaded) };
        let open = previous.and_then(|previous| previous.log.as_ref());
        let sink = match open.filter(|(path, _)| *path == wanted.path) {
            Some((_, sink)) => sink.clone(),
            None => match Sink::open(&wanted.path) {
                Ok(sink) => sink,
                Err(error) => return Err(log_fault(self.faults, &wanted.path, &error)),
            },
        };
        let LogWanted { path, form, elb } = wanted;
        self.loaded.live.connection_log = Some(ConnectionLog { sink: sink.clone(), form, elb });
        self.loaded.log = Some((path, sink));
        Ok(self.loaded)
    }

    /// What is odd, where the log could be opened.
    fn check_log(self) -> Result<Vec<Fault>, Faults> {
        match self.log.map(|wanted| (Sink::check(&wanted.path), wanted.path)) {
            Some((Err(error), path)) => Err(log_fault(self.faults, &path, &error)),
            Some((Ok(()), _)) | None => Ok(self.loaded.live.warnings),
        }
    }
}

fn log_fault(mut faults: Faults, path: &Path, error: &io::Error) -> Faults {
    let path = path.display();
    faults.because(Reason::Log, |faults| {
        faults.within("logs", |faults| faults.note("connection", format_args!("{path}: {error}")));
    });
    faults
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
