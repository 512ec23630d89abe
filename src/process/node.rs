//! The control side of a running node: changes, watching files, status.
//!
//! `start` makes it, and signals, changed files and the admin endpoint ([`Control`]) drive it. Loading
//! runs on a thread of its own, so that neither shards nor scrapes wait for a large revocation list.
use crate::api::status::{self, LastReload, NodeStatus, ShardStatus};
use crate::api::{BoxFuture, Control, ReloadError, Reloaded, explain};
use crate::clock;
use crate::config::Faults;
use crate::config::files::Inputs;
use crate::config::load::{self, Loaded};
use crate::config::publish::{Line, Publisher};
use crate::config::snapshot::Live;
use crate::config::sources::Watch;
use crate::limits;
use crate::net::Chosen;
use crate::observe::load::{Phase, Reason};
use crate::observe::metrics::{Board, Reload};
use crate::target::Resolver;
use arc_swap::{ArcSwap, ArcSwapOption};
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

/// What a node is made of, once its shards run.
pub(super) struct Parts {
    pub(super) chosen: Chosen,
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) board: Arc<Board>,
    pub(super) resolver: Resolver,
    pub(super) publisher: Publisher,
}

impl Node {
    /// A node whose shards work by its first generation.
    pub(super) fn new(path: PathBuf, loaded: Loaded, parts: Parts) -> Self {
        let Parts { chosen, live, board, resolver, publisher } = parts;
        let node = Self {
            path,
            name: loaded.node.name.clone(),
            chosen,
            started: Instant::now(),
            live,
            board,
            resolver,
            lines: publisher.lines().to_vec(),
            last_reload: ArcSwapOption::empty(),
            changing: Mutex::new(Changing {
                publisher,
                inputs: loaded.inputs.clone(),
                loaded: Arc::new(loaded),
            }),
            draining: AtomicBool::new(false),
            drain_asked: Notify::new(),
        };
        node.announce(&Live::empty());
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

    /// Says where it listens now and did not `before`, where no longer, and what is odd.
    fn announce(&self, before: &Live) {
        let live = self.live.load();
        let not_in = |one: &Live, other: &Live| {
            let addresses = one.addresses.clone().into_iter();
            let new =
                addresses.filter(|(name, address)| other.addresses.get(name) != Some(address));
            new.collect::<Vec<_>>()
        };
        for (name, address) in not_in(before, &live) {
            tracing::info!(listener = %name, %address, "no longer listening");
        }
        for (name, address) in not_in(&live, before) {
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
            return Err(ReloadError::Ending);
        }
        let (path, previous) = (self.path.clone(), Arc::clone(&changing.loaded));
        let started = Instant::now();
        let attempt = tokio::task::spawn_blocking(move || load::attempt(&path, Some(&previous)));
        let (inputs, loaded) = attempt.await.unwrap_or_else(|_| {
            let bug = Faults::one(Reason::Internal, "loading ended by a bug of ours");
            (changing.inputs.clone(), Err(bug))
        });
        self.board.swapped(Phase::Load, started.elapsed());
        changing.inputs = inputs;
        let before = self.live.load_full();
        let result = match loaded {
            Ok(loaded) => self.publish(&mut changing, loaded).await,
            Err(faults) => Err(ReloadError::Faults(faults)),
        };
        self.note(&result, &before);
        result
    }

    async fn publish(
        &self,
        changing: &mut Changing,
        mut loaded: Loaded,
    ) -> Result<Reloaded, ReloadError> {
        let next = std::mem::replace(&mut loaded.live, Live::empty());
        let warnings = next.warnings.clone();
        let started = Instant::now();
        self.resolver.resolve_all(&next.groups()).await;
        let past = self.live.load_full();
        let pending = changing.publisher.publish(next).map_err(ReloadError::Faults)?;
        tokio::spawn(outlive(past));
        let published = Instant::now();
        self.board.swapped(Phase::Publish, published - started);
        changing.loaded = Arc::new(loaded);
        let acknowledged = pending.acknowledged().await;
        self.board.swapped(Phase::Acknowledge, published.elapsed());
        match acknowledged {
            Ok(generation) => Ok(Reloaded { generation, warnings }),
            Err(late) => Err(ReloadError::NotAcknowledged {
                generation: late.generation,
                late_shards: late.late,
            }),
        }
    }

    /// Says how a change ended: in the log, in the metrics, in `/status`.
    fn note(&self, result: &Result<Reloaded, ReloadError>, before: &Live) {
        let now = clock::since_epoch();
        let (outcome, faults) = match result {
            Ok(reloaded) => {
                tracing::info!(generation = reloaded.generation, "reloaded");
                self.announce(before);
                // Whoever has moved the log away and asks for a reload means this, too.
                self.reopen_logs();
                (Reload::Success, Vec::new())
            }
            Err(ReloadError::Faults(faults)) => {
                tracing::error!("not reloaded, the old generation serves on\n{faults}");
                self.board.load_refused(&faults.reasons);
                (Reload::Faulty, faults.list.clone())
            }
            Err(ReloadError::Ending) => return,
            Err(late @ ReloadError::NotAcknowledged { .. }) => {
                tracing::error!("{late}");
                (Reload::NotAcknowledged, Vec::new())
            }
        };
        self.board.reloaded(outcome, now);
        let last = LastReload { time: now, outcome, faults };
        self.last_reload.store(Some(Arc::new(last)));
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
        if let Some(log) = &self.live.load().connection_log {
            log.sink.reopen();
        }
    }

    pub(super) fn flush_logs(&self) {
        if let Some(log) = &self.live.load().connection_log {
            log.sink.flush();
        }
    }
}

/// Keeps a past generation until nobody else does, so that it is freed here. Handshakes in flight keep the
/// one that they began with: a shard that let go of it last would stand still while the kernel takes back
/// tens of MiB of revocation lists.
async fn outlive<T>(past: Arc<T>) {
    while Arc::strong_count(&past) > 1 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How often a past generation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
        let generation = |line: &Line| line.acknowledged.load(Ordering::Acquire);
        let by_shard: Vec<_> = self.lines.iter().map(generation).collect();
        self.board.show(&self.live.load(), &by_shard, clock::now());
        self.board.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{self, ThreadId};
    use tokio::sync::oneshot;

    /// Tells which thread frees it.
    struct Freed(Option<oneshot::Sender<ThreadId>>);

    impl Drop for Freed {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(thread::current().id());
        }
    }

    #[tokio::test]
    async fn a_past_generation_is_freed_by_the_control_thread() {
        let (sender, mut freed) = oneshot::channel();
        let past = Arc::new(Freed(Some(sender)));
        let held = Arc::clone(&past);
        let outliving = tokio::spawn(outlive(past));
        tokio::task::yield_now().await;
        assert!(freed.try_recv().is_err(), "a handshake still works by it");
        thread::spawn(move || drop(held)).join().unwrap();
        outliving.await.unwrap();
        assert_eq!(freed.try_recv(), Ok(thread::current().id()));
    }
}
