//! Changes of a running node: what files or a command ask for is loaded, published and confirmed, or asked
//! about alone.
//!
//! Loading runs on a thread of its own, so that neither shards nor scrapes wait for a large revocation list.
use super::Node;
use crate::api::dry_run::{self, DryRun, Proposal};
use crate::api::status::LastReload;
use crate::api::{ReloadError, Reloaded, trust};
use crate::clock;
use crate::config::Faults;
use crate::config::candidate::Candidate;
use crate::config::files::Inputs;
use crate::config::load::{self, Loaded};
use crate::config::publish::{self, Pending, Publisher};
use crate::config::snapshot::Name;
use crate::config::state::{self, Change};
use crate::limits;
use crate::observe::load::{Phase, Reason};
use crate::observe::metrics::Reload;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::MutexGuard;

/// Where each listener listens. Kept while a change is made, in place of the generation that it ends: that
/// one, with its revocation lists, is freed as soon as no shard needs it.
pub(super) type Addresses = BTreeMap<Name, SocketAddr>;

/// What a change needs.
pub(super) struct Changing {
    publisher: Publisher,
    loaded: Arc<Loaded>,
    /// What the last attempt read, good or bad: a change is one from this.
    pub(super) inputs: Inputs,
}

impl Changing {
    /// Of a node that works by what was `loaded`.
    pub(super) fn new(publisher: Publisher, loaded: Loaded) -> Self {
        Self { publisher, inputs: loaded.inputs.clone(), loaded: Arc::new(loaded) }
    }
}

/// What a change comes from.
enum By {
    /// The configuration and all that it names.
    Files,
    /// A command, in words.
    Command(String),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files => f.write_str("reload"),
            Self::Command(words) => f.write_str(words),
        }
    }
}

impl Node {
    /// Reads everything anew and publishes it.
    pub(super) async fn change(&self) -> Result<Reloaded, ReloadError> {
        let mut changing = self.begin().await?;
        let (path, previous) = (self.path.clone(), Arc::clone(&changing.loaded));
        let started = Instant::now();
        let attempt = tokio::task::spawn_blocking(move || load::attempt(&path, Some(&previous)));
        let (inputs, loaded) =
            attempt.await.unwrap_or_else(|_| (changing.inputs.clone(), Err(bug())));
        self.board.swapped(Phase::Load, started.elapsed());
        changing.inputs = inputs;
        let before = self.live.load().addresses.clone();
        let result = match loaded {
            Ok(loaded) => {
                let started = Instant::now();
                self.resolver.resolve_all(&loaded.live.groups()).await;
                self.publish(&mut changing, loaded, started).await
            }
            Err(faults) => Err(ReloadError::Faults(faults)),
        };
        // Whoever has moved a log away and asks for a reload means this, too.
        if result.is_ok() {
            self.reopen_logs();
        }
        let generation = result.as_ref().map(|reloaded| reloaded.generation);
        self.note(&By::Files, &generation.map_err(Clone::clone), &before);
        result
    }

    /// Changes one trust store as a command asks.
    pub(super) async fn change_trust(
        &self,
        name: String,
        change: Change,
    ) -> Result<trust::Changed, ReloadError> {
        let mut changing = self.begin().await?;
        let by = By::Command(format!("{} of trust store {name}", change.word()));
        let previous = Arc::clone(&changing.loaded);
        let started = Instant::now();
        let prepared = tokio::task::spawn_blocking(move || prepare(&previous, &name, change));
        let prepared = prepared.await.unwrap_or_else(|_| Err(bug()));
        self.board.swapped(Phase::Load, started.elapsed());
        let before = self.live.load().addresses.clone();
        let result = match prepared {
            Ok((loaded, mut changed)) => {
                changed.warnings.retain(|warning| !self.live.load().warnings.contains(warning));
                let published = self.publish(&mut changing, loaded, Instant::now()).await;
                published.map(|Reloaded { generation, .. }| {
                    changed.generation = generation;
                    changed
                })
            }
            Err(faults) => Err(ReloadError::Faults(faults)),
        };
        let result = result.map_err(|error| match error {
            ReloadError::Faults(faults) => ReloadError::Trust(faults),
            ReloadError::Trust(_)
            | ReloadError::Ending
            | ReloadError::NotAcknowledged { .. }
            | ReloadError::Untold { .. }
            | ReloadError::NotDurable { .. } => error,
        });
        let generation = result.as_ref().map(|changed| changed.generation);
        self.note(&by, &generation.map_err(Clone::clone), &before);
        result
    }

    /// Waits until no other change is under way.
    async fn begin(&self) -> Result<MutexGuard<'_, Changing>, ReloadError> {
        let changing = self.changing.lock().await;
        if self.draining.load(Ordering::Acquire) {
            return Err(ReloadError::Ending);
        }
        Ok(changing)
    }

    /// Makes it live, and has the disk confirm what is kept of it. Publishing has `started` then.
    async fn publish(
        &self,
        changing: &mut Changing,
        mut loaded: Loaded,
        started: Instant,
    ) -> Result<Reloaded, ReloadError> {
        let (next, staged) = loaded.take();
        let warnings = next.warnings.clone();
        let is_kept = !staged.is_empty();
        let past = self.live.load_full();
        let pending = changing
            .publisher
            .publish(next, || state::commit(staged))
            .map_err(ReloadError::Faults)?;
        tokio::spawn(outlive(past));
        self.board.swapped(Phase::Publish, started.elapsed());
        let loaded = Arc::new(loaded);
        changing.loaded = Arc::clone(&loaded);
        let synced = async {
            if !is_kept {
                return Ok(());
            }
            let synced = tokio::task::spawn_blocking(move || loaded.sync()).await;
            synced.unwrap_or_else(|_| Err(bug().to_string()))
        };
        let generation = self.confirmed(pending, synced).await?;
        Ok(Reloaded { generation, warnings })
    }

    /// Waits for the shards and for the disk, which need not wait for each other: what has just been
    /// published is in force on a shard whatever the disk does.
    async fn confirmed(
        &self,
        pending: Pending,
        synced: impl Future<Output = Result<(), String>>,
    ) -> Result<u64, ReloadError> {
        let (generation, published) = (pending.generation(), Instant::now());
        let acknowledged = async {
            let acknowledged = pending.acknowledged(self.acknowledged_within).await;
            self.board.swapped(Phase::Acknowledge, published.elapsed());
            acknowledged
        };
        let (synced, acknowledged) = tokio::join!(synced, acknowledged);
        let late_shards = acknowledged.err().map_or_else(Vec::new, |late| late.late);
        match synced {
            Err(error) => Err(ReloadError::NotDurable { generation, error, late_shards }),
            Ok(()) if late_shards.is_empty() => Ok(generation),
            Ok(()) => Err(ReloadError::NotAcknowledged { generation, late_shards }),
        }
    }

    /// Says who would be judged otherwise after a change, and makes none. One question at a time; a
    /// change need not wait for its end.
    pub(super) async fn dry_run(&self, proposal: Proposal) -> Result<DryRun, ReloadError> {
        let _asking = self.asking.lock().await;
        let (previous, live) = {
            let changing = self.begin().await?;
            (Arc::clone(&changing.loaded), self.live.load_full())
        };
        let path = self.path.clone();
        let next = tokio::task::spawn_blocking(move || match proposal {
            Proposal::Reload { config } => {
                let path = config.unwrap_or(path);
                load::candidate(&path, &previous).map_err(ReloadError::Faults)
            }
            Proposal::Trust { trust_store, asked } => {
                Candidate::asked(&previous, &trust_store, asked).map_err(ReloadError::Trust)
            }
        });
        let bug = || ReloadError::Faults(bug());
        let next = next.await.unwrap_or_else(|_| Err(bug()))?;
        self.begin().await?.publisher.check(&next).map_err(ReloadError::Faults)?;
        let clients = publish::clients(&self.lines, limits::TOLD_WITHIN).await;
        let clients = clients.map_err(|late_shards| ReloadError::Untold { late_shards })?;
        let compare = move || dry_run::compare(&live, &next, clients, clock::now());
        tokio::task::spawn_blocking(compare).await.map_err(|_| bug())
    }

    /// Says how a change ended: in the log and in the metrics, and that of files in `/status` too.
    fn note(&self, by: &By, result: &Result<u64, ReloadError>, before: &Addresses) {
        let now = clock::since_epoch();
        let (outcome, faults) = match result {
            Ok(generation) => {
                tracing::info!(generation, "{by}: live on every shard");
                self.announce(before);
                (Reload::Success, Vec::new())
            }
            Err(ReloadError::Faults(faults)) => {
                tracing::error!("{by}: refused, the old generation serves on\n{faults}");
                self.board.load_refused(&faults.reasons);
                (Reload::Faulty, faults.list.clone())
            }
            Err(ReloadError::Trust(faults)) => {
                // Whoever asked has the answer.
                tracing::warn!("{by}: refused, the old generation serves on\n{faults}");
                self.board.load_refused(&faults.reasons);
                (Reload::Faulty, faults.list.clone())
            }
            // Of a dry run, which is noted nowhere, or nothing has been tried.
            Err(ReloadError::Ending | ReloadError::Untold { .. }) => return,
            Err(late @ ReloadError::NotAcknowledged { .. }) => {
                tracing::error!("{by}: {late}");
                (Reload::NotAcknowledged, Vec::new())
            }
            Err(error @ ReloadError::NotDurable { .. }) => {
                tracing::error!("{by}: {error}");
                (Reload::NotDurable, Vec::new())
            }
        };
        match by {
            By::Files => {
                self.board.reloaded(outcome, now);
                let last = LastReload { time: now, outcome, faults };
                self.last_reload.store(Some(Arc::new(last)));
            }
            By::Command(_) => self.board.commanded(outcome),
        }
    }

    /// Says where it listens now and did not `before`, where no longer, and what is odd.
    pub(super) fn announce(&self, before: &Addresses) {
        let live = self.live.load();
        let not_in = |one: &Addresses, other: &Addresses| {
            let addresses = one.clone().into_iter();
            let new = addresses.filter(|(name, address)| other.get(name) != Some(address));
            new.collect::<Vec<_>>()
        };
        for (name, address) in not_in(before, &live.addresses) {
            tracing::info!(listener = %name, %address, "no longer listening");
        }
        for (name, address) in not_in(&live.addresses, before) {
            tracing::info!(listener = %name, %address, "listening");
        }
        for warning in &live.warnings {
            tracing::warn!("{warning}");
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

/// Checks a change of a trust store and writes what is to be kept of it. The answer lacks its generation.
fn prepare(
    present: &Loaded,
    name: &str,
    change: Change,
) -> Result<(Loaded, trust::Changed), Faults> {
    let candidate = Candidate::new(present, name, change)?;
    let live = candidate.live();
    let Some(store) = live.trust_stores.get(name) else {
        return Err(bug());
    };
    let changed = trust::Changed {
        generation: live.generation,
        trust_store: trust::TrustStore::new(store, live),
        new_revocation_ids: candidate.new_ids(),
        warnings: live.warnings.clone(),
    };
    Ok((candidate.stage()?, changed))
}

fn bug() -> Faults {
    Faults::one(Reason::Internal, "loading ended by a bug of ours")
}

#[cfg(test)]
mod tests;
