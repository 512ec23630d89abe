//! The life of a node: start, changes, end.
//!
//! The main thread is the control thread: it loads the configuration, binds, starts the shards, and
//! then waits for signals, changed files and the admin socket. Loading runs on a thread of its own, so
//! that neither shards nor scrapes wait for a large revocation list.
use super::signals::{Signal, Signals};
use super::{cpus, files};
use crate::api::admin::Admin;
use crate::api::status::{self, LastReload, NodeStatus, ShardStatus};
use crate::api::{self, BoxFuture, Control, ReloadError, Reloaded, explain};
use crate::clock;
use crate::config::Faults;
use crate::config::files::Inputs;
use crate::config::load::{self, Endpoint, Loaded};
use crate::config::publish::{Line, Publisher};
use crate::config::snapshot::Live;
use crate::config::sources::Watch;
use crate::net::{self, Chosen};
use crate::observe::metrics::{Board, Reload};
use crate::shard::{self, Order, Room, Seat};
use crate::target::Resolver;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

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
    /// The admin socket cannot be had.
    #[error(transparent)]
    Admin(#[from] api::admin::BindError),
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
    let loaded = load::load(path, None).map_err(StartError::Faults)?;
    let open_files = files::raise().map_err(trying("raising the limit of open files"))?;
    let allowed = cpus::Cpus::of_process().map_err(trying("reading the CPUs of this process"))?;
    let chosen = net::choose(loaded.node.io)
        .map_err(trying("node.io is io_uring, and the kernel refuses it; auto and epoll work"))?;
    let shards = loaded.node.shards.unwrap_or_else(|| allowed.shards());
    let connections_max = loaded.node.connections_max.unwrap_or_else(|| {
        let of_shard = loaded.live.listeners.len() + FILES_PER_SHARD;
        files::connections_max(open_files.limit, shards * of_shard)
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        engine = chosen.engine.word(),
        shards,
        open_files = open_files.limit,
        connections_max,
        "starting"
    );
    if let Some(refused) = &chosen.refused {
        tracing::warn!("the kernel refuses io_uring ({refused}); running on epoll");
    }
    let start = Start { chosen, cpus: allowed.of_shards(shards), connections_max };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(trying("starting the control thread"))?;
    runtime.block_on(run(path.to_owned(), loaded, start, &allowed, ready))
}

/// What the shards are started with.
struct Start {
    chosen: Chosen,
    cpus: Vec<usize>,
    connections_max: usize,
}

async fn run(
    path: PathBuf,
    loaded: Loaded,
    start: Start,
    allowed: &cpus::Cpus,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let Endpoint::Unix(socket) = &loaded.admin;
    let admin = Admin::bind(socket)?;
    let metrics = match loaded.metrics {
        Some(address) => {
            Some(api::metrics::bind(address).map_err(trying(format!("metrics.bind {address}")))?)
        }
        None => None,
    };
    let mut signals = Signals::new().map_err(trying("taking over signals"))?;
    let drain_timeout = loaded.node.drain_timeout;
    let (node, mut ended) = Node::start(path, loaded, start).await?;
    // From here on threads started by this one come behind the shards.
    if let Err(error) = cpus::yield_to_shards(allowed) {
        tracing::warn!("the control thread keeps its priority: {error}");
    }
    tokio::spawn(Arc::clone(&node).resolve());
    tokio::spawn(Arc::clone(&node).watch());
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
            () = node.drain_asked.notified() => break,
            Some(shard) = ended.recv() => {
                node.flush_logs();
                return Err(StartError::ShardEnded(shard));
            }
        }
    }
    node.end(&mut ended, &mut signals, drain_timeout).await;
    Ok(())
}

/// The control side of a running node.
struct Node {
    path: PathBuf,
    name: String,
    chosen: Chosen,
    started: Instant,
    live: Arc<ArcSwap<Live>>,
    board: Arc<Board>,
    resolver: Resolver,
    lines: Vec<Line>,
    /// One change at a time.
    changing: Mutex<Changing>,
    /// How the last change ended, for `/status`.
    last_reload: ArcSwapOption<LastReload>,
    draining: AtomicBool,
    drain_asked: Notify,
}

/// What a change needs.
struct Changing {
    publisher: Publisher,
    loaded: Arc<Loaded>,
    /// What the last attempt read, good or bad: a change is one from this.
    inputs: Inputs,
}

impl Node {
    /// Binds, starts the shards, and has them take over the first generation.
    async fn start(
        path: PathBuf,
        mut loaded: Loaded,
        start: Start,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<usize>), StartError> {
        let Start { chosen, cpus, connections_max } = start;
        let board = Board::new(cpus.len());
        board.engine(chosen.engine, chosen.refused.is_some());
        let live = Arc::new(ArcSwap::from_pointee(Live::empty()));
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
            });
        }
        let mut publisher = Publisher::new(Arc::clone(&live), lines.clone());
        let resolver = Resolver::default();
        let first = std::mem::replace(&mut loaded.live, Live::empty());
        resolver.resolve_all(&groups(&first)).await;
        // All sockets are bound before any shard starts.
        let pending = publisher.publish(first).map_err(StartError::Faults)?;
        for (seat, &cpu) in seats.into_iter().zip(&cpus) {
            start_shard(seat, cpu, chosen.engine, ended.clone()).await?;
        }
        if let Err(error) = pending.acknowledged().await {
            return Err(StartError::ShardEnded(error.late.first().copied().unwrap_or(0)));
        }
        let node = Self {
            path,
            name: loaded.node.name.clone(),
            chosen,
            started: Instant::now(),
            live,
            board,
            resolver,
            lines,
            last_reload: ArcSwapOption::empty(),
            changing: Mutex::new(Changing {
                publisher,
                inputs: loaded.inputs.clone(),
                loaded: Arc::new(loaded),
            }),
            draining: AtomicBool::new(false),
            drain_asked: Notify::new(),
        };
        node.announce();
        Ok((Arc::new(node), all_ended))
    }

    /// Says where it listens, and what is odd.
    fn announce(&self) {
        let live = self.live.load();
        for (name, address) in &live.addresses {
            tracing::info!(listener = %name, %address, "listening");
        }
        for warning in &live.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// Reads everything anew and publishes it.
    async fn change(&self) -> Result<Reloaded, ReloadError> {
        let mut changing = self.changing.lock().await;
        if self.draining.load(Ordering::Acquire) {
            return Err(ReloadError::Faults(Faults::one("the node is ending")));
        }
        let (path, previous) = (self.path.clone(), Arc::clone(&changing.loaded));
        let attempt = tokio::task::spawn_blocking(move || load::attempt(&path, Some(&previous)));
        let (inputs, loaded) = attempt.await.unwrap_or_else(|_| {
            (changing.inputs.clone(), Err(Faults::one("loading ended by a bug of ours")))
        });
        changing.inputs = inputs;
        let result = match loaded {
            Ok(loaded) => self.publish(&mut changing, loaded).await,
            Err(faults) => Err(ReloadError::Faults(faults)),
        };
        self.note(&result);
        result
    }

    async fn publish(
        &self,
        changing: &mut Changing,
        mut loaded: Loaded,
    ) -> Result<Reloaded, ReloadError> {
        let next = std::mem::replace(&mut loaded.live, Live::empty());
        let warnings = next.warnings.clone();
        self.resolver.resolve_all(&groups(&next)).await;
        let pending = changing.publisher.publish(next).map_err(ReloadError::Faults)?;
        changing.loaded = Arc::new(loaded);
        match pending.acknowledged().await {
            Ok(generation) => Ok(Reloaded { generation, warnings }),
            Err(late) => Err(ReloadError::NotAcknowledged {
                generation: late.generation,
                late_shards: late.late,
            }),
        }
    }

    /// Says how a change ended: in the log, in the metrics, in `/status`.
    fn note(&self, result: &Result<Reloaded, ReloadError>) {
        let (outcome, faults) = match result {
            Ok(reloaded) => {
                tracing::info!(generation = reloaded.generation, "reloaded");
                self.announce();
                (Reload::Success, Vec::new())
            }
            Err(ReloadError::Faults(faults)) => {
                tracing::error!("not reloaded, the old generation serves on\n{faults}");
                (Reload::Faulty, faults.list.clone())
            }
            Err(late @ ReloadError::NotAcknowledged { .. }) => {
                tracing::error!("{late}");
                (Reload::NotAcknowledged, Vec::new())
            }
        };
        self.board.reloaded(outcome);
        let last = LastReload { time: clock::since_epoch(), outcome, faults };
        self.last_reload.store(Some(Arc::new(last)));
    }

    /// A change that nobody waits for: the log says how it ended.
    async fn reload(self: Arc<Self>) {
        let _ = self.change().await;
    }

    /// Reloads when a file has changed.
    async fn watch(self: Arc<Self>) {
        let mut seen = self.changing.lock().await.inputs.clone();
        let mut watch = Watch::new(&seen);
        loop {
            watch.changed().await;
            let inputs = self.changing.lock().await.inputs.clone();
            if inputs == seen {
                Arc::clone(&self).reload().await;
            }
            // Otherwise somebody has asked for a reload already; the watch looks again from there.
            seen = self.changing.lock().await.inputs.clone();
            watch.follow(&seen);
        }
    }

    async fn resolve(self: Arc<Self>) {
        let live = Arc::clone(&self.live);
        self.resolver.run(|| groups(&live.load())).await;
    }

    fn reopen_logs(&self) {
        if let Some(log) = &self.live.load().connection_log {
            log.sink.reopen();
        }
    }

    /// Drains every shard, for `timeout` at most or until a second signal.
    async fn end(
        &self,
        ended: &mut mpsc::UnboundedReceiver<usize>,
        signals: &mut Signals,
        timeout: Duration,
    ) {
        tracing::info!(?timeout, "draining");
        for line in &self.lines {
            // A shard that has ended needs no telling.
            let _ = line.orders.send(Order::Drain { grace: timeout });
        }
        let all = async {
            for _ in 0..self.lines.len() {
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
        self.flush_logs();
    }

    fn flush_logs(&self) {
        if let Some(log) = &self.live.load().connection_log {
            log.sink.flush();
        }
    }
}

/// Files of a shard's own: its ring or epoll descriptors and wakers, and a few to spare.
const FILES_PER_SHARD: usize = 16;

/// What shards get on top of the drain timeout to close what they cut off.
const END_WITHIN: Duration = Duration::from_secs(5);

impl Control for Node {
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ReloadError>> {
        Box::pin(self.change())
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain_asked.notify_one();
    }

    fn status(&self) -> serde_json::Value {
        let shards = self.lines.iter().enumerate().map(|(index, line)| ShardStatus {
            index,
            cpu: line.cpu,
            acknowledged_generation: line.acknowledged.load(Ordering::Acquire),
            open_connections: self.board.shard(index).open.get(),
        });
        let node = NodeStatus {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            engine: self.chosen.engine,
            io_uring_refused: self.chosen.refused.as_ref().map(ToString::to_string),
            shards: shards.collect(),
            draining: self.draining.load(Ordering::Acquire),
            uptime: self.started.elapsed(),
            last_reload: self.last_reload.load().as_deref().cloned(),
        };
        status::build(&self.live.load(), &node)
    }

    fn explain(
        &self,
        question: &explain::Question,
        chain: &[u8],
    ) -> Result<serde_json::Value, String> {
        explain::answer(&self.live.load(), question, chain, clock::now())
    }

    fn ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        self.board.show(&self.live.load());
        self.board.render()
    }
}

/// Starts a shard's thread; it says on `ended` when it is over, however that comes.
async fn start_shard(
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
    let what = format!("starting shard {index}");
    // One after the other: io_uring's set-up is serialised that way.
    let (started, waits) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
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
        })
        .map_err(trying(what))?;
    waits.await.map_err(|_| StartError::ShardEnded(index))
}

fn groups(live: &Live) -> Vec<Arc<crate::target::Group>> {
    live.target_groups.values().cloned().collect()
}
