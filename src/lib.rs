//! Portcullis: a load-balancer edge node.
//!
//! Read the modules in the order below: it is the order in which a connection meets them.
//! Configuration rises from the bottom (`config`, `api`, `process`, on the control thread) and meets
//! the traffic only in the live value, [`config::snapshot::Live`], which shards read and never lock.
//!
//! A module uses only those above it, plus `limits`, `close`, `clock`, `calendar`, `digits`, `pressure`, `random`, `observe` and the types of the
//! live value; `tls` uses `trust`, and `shard` drives all the others.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::cast_possible_truncation,
        reason = "a test may fail by panicking"
    )
)]

pub mod calendar;
pub mod clock;
pub mod close;
mod digits;
pub mod limits;
pub mod pressure;
pub mod random;

pub mod net;
pub mod shard;

pub mod tls;
pub mod trust;

pub mod http;
pub mod route;
pub mod target;
pub mod upstream;

pub mod observe;

pub mod api;
pub mod config;
pub mod demo;
pub mod process;
