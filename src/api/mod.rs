//! The admin endpoint and the read-only metrics endpoint, on the control thread; and the command line's
//! side of the admin endpoint.
//!
//! `process` starts both and supplies the node behind [`Control`]. Only [`admin`] changes anything.
//! Bounds: `limits::API_*`.
pub mod admin;
pub mod client;
pub mod dry_run;
pub mod explain;
pub mod metrics;
mod parameters;
mod serve;
pub mod socket;
pub mod status;
pub mod trust;

use crate::config::state::Change;
use crate::config::{Fault, Faults};
use dry_run::{DryRun, Proposal};
use std::future::Future;
use std::pin::Pin;

/// A future behind a pointer, so that [`Control`] can stand behind one too.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The node, as its endpoints see it.
pub trait Control: Send + Sync + 'static {
    /// Reads the configuration and everything that it names anew; done when every shard has taken it.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ReloadError>>;
    /// Changes a trust store that commands may change; done when every shard has taken it and the disk
    /// has it.
    fn change_trust(
        &self,
        trust_store: String,
        change: Change,
    ) -> BoxFuture<'_, Result<trust::Changed, ReloadError>>;
    /// Who would be judged otherwise if this were done; nothing is.
    fn dry_run(&self, proposal: Proposal) -> BoxFuture<'_, Result<DryRun, ReloadError>>;
    /// What trust stores hold.
    fn trust(&self) -> trust::Report;
    /// Begins the node's end: it is not ready any more, takes no new connections and ends once it has
    /// served those that are open. Idempotent.
    fn drain(&self);
    /// What [`status::build`] makes of the node.
    fn status(&self) -> serde_json::Value;
    /// How a client would be judged, and why: see [`explain::answer`].
    ///
    /// # Errors
    /// What is wrong with the question.
    fn explain(
        &self,
        question: &explain::Question,
        chain: &[u8],
    ) -> Result<serde_json::Value, String>;
    /// Whether new connections should be sent here.
    fn ready(&self) -> bool;
    /// Prometheus' text, version 0.0.4.
    fn metrics(&self) -> String;
}

/// A change that every shard has taken.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Reloaded {
    /// The generation that is now live.
    pub generation: u64,
    /// What is odd about it.
    pub warnings: Vec<Fault>,
}

/// Why a reload, or another change, did not do what it should.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReloadError {
    /// Nothing has changed.
    #[error("the new configuration has {}; nothing has changed", counted(.0.list.len()))]
    Faults(Faults),
    /// Nothing has changed of a trust store.
    #[error("the trust store stays as it was; {} in the way", standing(.0.list.len()))]
    Trust(Faults),
    /// Nothing has changed, and nothing will.
    #[error("the node is ending and reloads no more")]
    Ending,
    /// It is live, but these shards have not said in time that no verdict is taken by an older one.
    #[error("generation {generation} is live, but shards {late_shards:?} are late to take it")]
    NotAcknowledged {
        /// The generation that is now live.
        generation: u64,
        /// Indexes of the shards.
        late_shards: Vec<usize>,
    },
    /// A dry run has no answer: these shards have not said in time whom they have seen.
    #[error("shards {late_shards:?} have not said in time which clients they have seen")]
    Untold {
        /// Indexes of the shards.
        late_shards: Vec<usize>,
    },
    /// It is live, but a power cut may bring the state before back.
    #[error(
        "generation {generation} is live, but the disk has not confirmed it: {error}{}",
        and_late(.late_shards)
    )]
    NotDurable {
        /// The generation that is now live.
        generation: u64,
        /// What the disk said.
        error: String,
        /// Indexes of the shards that, besides, have not said in time that no verdict is taken by an older
        /// one.
        late_shards: Vec<usize>,
    },
}

fn and_late(shards: &[usize]) -> String {
    if shards.is_empty() {
        return String::new();
    }
    format!("; and shards {shards:?} are late to take it")
}

fn standing(faults: usize) -> String {
    if faults == 1 { "1 fault stands".to_owned() } else { format!("{faults} faults stand") }
}

fn counted(faults: usize) -> String {
    format!("{faults} {}", if faults == 1 { "fault" } else { "faults" })
}
