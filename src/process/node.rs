//! The control side of a running node: watching files, status, and changes ([`change`]).
//!
//! `start` makes it, and signals, changed files and the admin endpoint ([`Control`]) drive it.
mod change;

use crate::api::dry_run::{DryRun, Proposal};
use crate::api::status::{self, LastReload, NodeStatus, ShardStatus};
use crate::api::{BoxFuture, Control, ReloadError, Reloaded, explain, trust};
use crate::clock;
use crate::config::load::Loaded;
use crate::config::publish::{Line, Publisher};
use crate::config::snapshot::Live;
use crate::config::sources::Watch;
use crate::config::state::{Change, Directory};
use crate::limits;
use crate::net::Chosen;
use crate::observe::metrics::Board;
use crate::target::Resolver;
use arc_swap::{ArcSwap, ArcSwapOption};
use change::{Addresses, Changing};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify};

/// The control side of a running node.
pub(super) struct Node {
    path: PathBuf,
    name: String,
    chosen: Chosen,
    started: Instant,
    live: Arc<ArcSwap<Live>>,
    board: Arc<Board>,
    resolver: Resolver,
    lines: Vec<Line>,
    /// What commands change, kept; a restart alone changes where.
    state: Option<Arc<Directory>>,
    /// See [`Parts`].
    acknowledged_within: Duration,
    /// One change at a time.
    changing: Mutex<Changing>,
    /// One question about a change at a time.
    asking: Mutex<()>,
    /// How the last change of files ended, for `/status`.
    last_reload: ArcSwapOption<LastReload>,
    draining: AtomicBool,
    drain_asked: Notify,
}

/// What a node is made of, once its shards run.
pub(super) struct Parts {
    pub(super) chosen: Chosen,
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) board: Arc<Board>,
    pub(super) resolver: Resolver,
    pub(super) publisher: Publisher,
    /// How long the shards have to take over a change before the answer names those that are late.
    pub(super) acknowledged_within: Duration,
}

impl Node {
    /// A node whose shards work by its first generation.
    pub(super) fn new(path: PathBuf, loaded: Loaded, parts: Parts) -> Self {
        let Parts { chosen, live, board, resolver, publisher, acknowledged_within } = parts;
        let node = Self {
            path,
            name: loaded.node.name.clone(),
            chosen,
            started: Instant::now(),
            live,
            board,
            resolver,
            lines: publisher.lines().to_vec(),
            state: loaded.state(),
            acknowledged_within,
            asking: Mutex::default(),
            last_reload: ArcSwapOption::empty(),
            changing: Mutex::new(Changing::new(publisher, loaded)),
            draining: AtomicBool::new(false),
            drain_asked: Notify::new(),
        };
        node.announce(&Addresses::new());
        node
    }

    /// The lines to the shards.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Waits until the node is told to end.
    pub(super) async fn drain_asked(&self) {
        self.drain_asked.notified().await;
    }

    /// A change that nobody waits for: the log says how it ended.
    pub(super) async fn reload(self: Arc<Self>) {
        let _ = self.change().await;
    }

    /// Reloads when a file has changed.
    pub(super) async fn watch(self: Arc<Self>) {
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

    pub(super) async fn resolve(self: Arc<Self>) {
        let live = Arc::clone(&self.live);
        self.resolver.run(|| live.load().groups()).await;
    }

    /// Replaces the ticket keys of the node's own, again and again.
    pub(super) async fn rotate_ticket_keys(self: Arc<Self>) {
        loop {
            tokio::time::sleep(limits::TICKET_KEY_ROTATION).await;
            if self.live.load().ticket_keys.rotate().is_err() {
                tracing::error!("session tickets keep their key: the machine has no randomness");
            }
        }
    }

    pub(super) fn reopen_logs(&self) {
        self.live.load().logs.iter().for_each(|log| log.sink.reopen());
    }

    pub(super) fn flush_logs(&self) {
        self.live.load().logs.iter().for_each(|log| log.sink.flush());
    }
}

impl Control for Node {
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ReloadError>> {
        Box::pin(self.change())
    }

    fn change_trust(
        &self,
        trust_store: String,
        change: Change,
    ) -> BoxFuture<'_, Result<trust::Changed, ReloadError>> {
        Box::pin(self.change_trust(trust_store, change))
    }

    fn dry_run(&self, proposal: Proposal) -> BoxFuture<'_, Result<DryRun, ReloadError>> {
        Box::pin(self.dry_run(proposal))
    }

    fn trust(&self) -> trust::Report {
        trust::Report::new(&self.live.load())
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
        let live = self.live.load_full();
        explain::answer(&live, self.state.as_deref(), question, chain, clock::now())
    }

    fn ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        let generation = |line: &Line| line.acknowledged.load(Ordering::Acquire);
        let by_shard: Vec<_> = self.lines.iter().map(generation).collect();
        self.board.show(&self.live.load(), &by_shard, clock::now());
        self.board.render()
    }
}
