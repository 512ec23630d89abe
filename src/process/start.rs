//! Start and end of a node's process.
//!
//! The main thread is the control thread: it loads the configuration, binds, starts the shards, and
//! then waits for signals, changed files and the admin socket, until one of them ends the node.
use super::node::{Node, Parts};
use super::signals::{self, Signal, Signals};
use super::{cpus, files, memory};
use crate::api::admin::Admin;
use crate::api::{self, Control};
use crate::config::Faults;
use crate::config::load::{self, Endpoint, Loaded};
use crate::config::publish::{self, Line, Publisher};
use crate::config::snapshot::{Live, Order};
use crate::config::state;
use crate::limits;
use crate::net::{self, Chosen};
use crate::observe::load::Reason;
use crate::observe::metrics::Board;
use crate::shard::{self, Bounds, Room, Seat};
use crate::target::Resolver;
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Why a node did not start, or ended otherwise than it was told to.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has faults.
    #[error("{0}")]
    Faults(Faults),
    /// Something of the machine's is missing; the text says what for.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The metrics endpoint's address cannot be had.
    #[error("metrics.bind: cannot listen on {address}: {advice}")]
    Metrics {
        /// As configured.
        address: SocketAddr,
        /// What the kernel said, and what that means.
        advice: String,
    },
    /// The admin socket cannot be had.
    #[error("admin.bind: {0}")]
    Admin(#[from] api::socket::BindError),
    /// A shard ended by itself.
    #[error("shard {0} has ended; the node cannot go on without it")]
    ShardEnded(usize),
}

/// Names what was tried beside the kernel's answer.
fn trying<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> StartError {
    move |error| StartError::System { what: what.into(), error: error.into() }
}

/// Serves the configuration at `path` until a signal or the admin socket ends the node. Calls `ready`
/// once every listener accepts.
///
/// # Errors
/// [`StartError`]; what it says is for the person who started the node.
pub fn serve(path: &Path, ready: impl FnOnce()) -> Result<(), StartError> {
    let allowed = cpus::Cpus::of_process().map_err(trying("reading the CPUs of this process"))?;
    let starter = Starter::new().map_err(trying("starting a thread"))?;
    // From here on this thread, and those that it starts, come behind the shards.
    if let Err(error) = cpus::yield_to_shards(&allowed) {
        tracing::warn!("the control threads keep their priority: {error}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(trying("starting the control thread"))?;
    let taken_over = runtime.block_on(async { signals::survive_file_size_limit() });
    taken_over.map_err(trying("taking over signals"))?;
    let mut shards = 1;
    let loaded = load::start(path, |node| {
        shards = node.shards.unwrap_or_else(|| allowed.shards());
        if let Err(error) = cpus::keep_off_shards(&allowed, shards) {
            tracing::warn!("the control threads share the shards' CPUs: {error}");
        }
    })
    .map_err(StartError::Faults)?;
    let open_files = files::raise().map_err(trying("raising the limit of open files"))?;
    let chosen = net::choose(loaded.node.io)
        .map_err(trying("node.io is io_uring, and the kernel refuses it; auto and epoll work"))?;
    let of_shard = loaded.live.listeners.len() + FILES_PER_SHARD;
    let room = files::connections_max(open_files.limit, shards * of_shard);
    let wanted = loaded.node.connections_max.unwrap_or(room);
    // Whoever asks for more than fits with a connection to a target each gets what fits without.
    let connections_max = wanted.min(files::free(open_files.limit, shards * of_shard));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        engine = chosen.engine.word(),
        shards,
        open_files = open_files.limit,
        open_files_before = open_files.before,
        connections_max,
        "starting"
    );
    if room < wanted.max(FEW_CONNECTIONS) {
        tracing::warn!(
            room,
            "the limit of open files leaves room for few connections, fewer than wanted or than is \
             of use: raise it (ulimit -n, or LimitNOFILE in systemd)"
        );
    }
    if let Some(refused) = &chosen.refused {
        tracing::warn!("the kernel refuses io_uring ({refused}); running on epoll");
    }
    let start = Start { chosen, cpus: allowed.of_shards(shards), connections_max, starter };
    runtime.block_on(run(path.to_owned(), loaded, start, ready))
}

/// What the shards are started with.
struct Start {
    chosen: Chosen,
    cpus: Vec<usize>,
    connections_max: usize,
    starter: Starter,
}

/// A thread that starts the shards' threads: they inherit the priority that the process was given, while
/// the control thread has lowered its own.
struct Starter(std::sync::mpsc::Sender<Box<dyn FnOnce() + Send>>);

impl Starter {
    fn new() -> io::Result<Self> {
        let (sender, work) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
            for start in work {
                start();
            }
        })?;
        Ok(Self(sender))
    }

    fn run(&self, start: impl FnOnce() + Send + 'static) {
        // It ends with its sender, which is here.
        let _ = self.0.send(Box::new(start));
    }
}

async fn run(
    path: PathBuf,
    loaded: Loaded,
    start: Start,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let Endpoint::Unix(socket) = &loaded.admin;
    let admin = Admin::bind(socket)?;
    let metrics =
        match loaded.metrics {
            Some(address) => Some(api::metrics::bind(address).map_err(|error| {
                StartError::Metrics { address, advice: publish::advice(&error) }
            })?),
            None => None,
        };
    let mut signals = Signals::new().map_err(trying("taking over signals"))?;
    let drain_timeout = loaded.node.drain_timeout;
    let (node, mut ended) = start_node(path, loaded, start).await?;
    tokio::spawn(Arc::clone(&node).resolve());
    tokio::spawn(Arc::clone(&node).watch());
    tokio::spawn(Arc::clone(&node).rotate_ticket_keys());
    tokio::spawn(admin.serve(node.clone()));
    if let Some(listener) = metrics {
        tokio::spawn(api::metrics::serve(listener, node.clone()));
    }
    ready();
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::End => node.drain(),
                Signal::Reload => drop(tokio::spawn(Arc::clone(&node).reload())),
                Signal::Reopen => node.reopen_logs(),
            },
            () = node.drain_asked() => break,
            Some(shard) = ended.recv() => {
                node.flush_logs();
                return Err(StartError::ShardEnded(shard));
            }
        }
    }
    end(&node, &mut ended, &mut signals, drain_timeout).await;
    Ok(())
}

/// Binds, starts the shards, and has them take over the first generation.
async fn start_node(
    path: PathBuf,
    mut loaded: Loaded,
    start: Start,
) -> Result<(Arc<Node>, mpsc::UnboundedReceiver<usize>), StartError> {
    let Start { chosen, cpus, connections_max, starter } = start;
    let board = Board::new(cpus.len());
    board.engine(chosen.engine, chosen.refused.is_some());
    let live = Arc::new(ArcSwap::from_pointee(Live::empty()));
    let bounds = Arc::new(Bounds::default());
    if let Some(bytes) = memory::budget_bytes(loaded.node.memory_budget_mib, Path::new("/")) {
        let (bounds, board) = (Arc::clone(&bounds), Arc::clone(&board));
        tokio::spawn(memory::watch(bytes, bounds, board));
    }
    let (ended, all_ended) = mpsc::unbounded_channel();
    let mut lines = Vec::new();
    let mut seats = Vec::new();
    for (index, &cpu) in cpus.iter().enumerate() {
        let (orders, receiver) = mpsc::unbounded_channel();
        let acknowledged = Arc::new(AtomicU64::new(0));
        lines.push(Line { orders, acknowledged: Arc::clone(&acknowledged), cpu });
        seats.push(Seat {
            index,
            live: Arc::clone(&live),
            board: Arc::clone(&board),
            orders: receiver,
            acknowledged,
            room: Room {
                connections_max: connections_max.div_ceil(cpus.len()),
                idle_targets_max: files::idle_targets_max(connections_max.div_ceil(cpus.len())),
            },
            bounds: Arc::clone(&bounds),
        });
    }
    let mut publisher = Publisher::new(Arc::clone(&live), lines.clone());
    let resolver = Resolver::default();
    let (first, staged) = loaded.take();
    resolver.resolve_all(&first.groups()).await;
    // All sockets are bound before any shard starts.
    let pending = publisher.publish(first, || state::commit(staged)).map_err(StartError::Faults)?;
    loaded.sync().map_err(|fault| StartError::Faults(Faults::one(Reason::State, fault)))?;
    for (seat, &cpu) in seats.into_iter().zip(&cpus) {
        start_shard(&starter, seat, cpu, chosen.engine, ended.clone()).await?;
    }
    if let Err(error) = pending.acknowledged(limits::ACKNOWLEDGED_WITHIN).await {
        return Err(StartError::ShardEnded(error.late.first().copied().unwrap_or(0)));
    }
    let acknowledged_within = limits::ACKNOWLEDGED_WITHIN;
    let parts = Parts { chosen, live, board, resolver, publisher, acknowledged_within };
    let node = Node::new(path, loaded, parts);
    Ok((Arc::new(node), all_ended))
}

/// Starts a shard's thread; it says on `ended` when it is over, however that comes.
async fn start_shard(
    starter: &Starter,
    seat: Seat,
    cpu: usize,
    engine: net::Engine,
    ended: mpsc::UnboundedSender<usize>,
) -> Result<(), StartError> {
    struct Ended(usize, mpsc::UnboundedSender<usize>);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.1.send(self.0);
        }
    }
    let index = seat.index;
    // One after the other: io_uring's set-up is serialised that way.
    let (started, waits) = oneshot::channel();
    let shard = move || {
        let _ended = Ended(index, ended);
        if let Err(error) = cpus::pin(cpu) {
            tracing::warn!(shard = index, cpu, "not pinned: {error}");
        }
        let result = net::run(engine, move || async move {
            let _ = started.send(());
            shard::run(seat).await;
        });
        if let Err(error) = result {
            tracing::error!(shard = index, "{error}");
        }
    };
    starter.run(move || {
        let thread = std::thread::Builder::new().name(format!("shard-{index}"));
        if let Err(error) = thread.spawn(shard) {
            tracing::error!(shard = index, "cannot start its thread: {error}");
        }
    });
    waits.await.map_err(|_| StartError::ShardEnded(index))
}

/// Drains every shard, for `timeout` at most or until a second signal.
async fn end(
    node: &Node,
    ended: &mut mpsc::UnboundedReceiver<usize>,
    signals: &mut Signals,
    timeout: Duration,
) {
    tracing::info!(?timeout, "draining");
    for line in node.lines() {
        // A shard that has ended needs no telling.
        let _ = line.orders.send(Order::Drain { grace: timeout });
    }
    let all = async {
        for _ in 0..node.lines().len() {
            if ended.recv().await.is_none() {
                break;
            }
        }
    };
    let again = async { while signals.next().await != Signal::End {} };
    tokio::select! {
        () = all => tracing::info!("ended"),
        () = again => tracing::warn!("ended at once, on a second signal"),
        () = tokio::time::sleep(timeout + END_WITHIN) => {
            tracing::error!("ended, though shards were still busy");
        }
    }
    node.flush_logs();
}

/// Files of a shard's own: its ring or epoll descriptors and wakers, and a few to spare.
const FILES_PER_SHARD: usize = 16;

/// A node with room for fewer connections is probably not what anybody wants.
const FEW_CONNECTIONS: usize = 256;

/// What shards get on top of the drain timeout to close what they cut off.
const END_WITHIN: Duration = Duration::from_secs(5);
