//! Observing: counters that shards write in their own memory, their way to Prometheus, the connection
//! log and the access log.
pub mod access_log;
pub mod arn;
pub mod batch;
pub mod connection_log;
pub mod count;
mod expiry;
mod field;
pub mod load;
pub mod metrics;
pub mod names;
mod page;
pub mod proc;
pub mod sink;
