//! Metric names and help, each once; the board of all counters; the fold into Prometheus' text.
#![expect(clippy::todo, reason = "interface only")]
use super::count;
use std::sync::Arc;

/// All counters of the process. Shards register here and keep what they get.
#[derive(Debug)]
pub struct Board(());

impl Board {
    /// A board for a node of so many shards. Installs nothing globally; call once.
    pub fn new(shards: usize) -> Arc<Self> {
        let _ = shards;
        todo!()
    }
    /// The counters of a shard.
    pub fn shard(&self, shard: usize) -> Arc<count::Shard> {
        let _ = shard;
        todo!()
    }
    /// The counters of a listener on a shard; the same ones for the same name.
    pub fn listener(&self, shard: usize, name: &str) -> Arc<count::Listener> {
        let _ = (shard, name);
        todo!()
    }
    /// The counters of a target group on a shard; the same ones for the same name.
    pub fn target_group(&self, shard: usize, name: &str) -> Arc<count::TargetGroup> {
        let _ = (shard, name);
        todo!()
    }
    /// Prometheus' text, version 0.0.4.
    pub fn render(&self) -> String {
        todo!()
    }
}
