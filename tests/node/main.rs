//! Whole-node tests: the real binary, real sockets, real clients. One module for each behaviour that
//! a user would name; one crate, so that there is one program to link.
//!
//! `tests/run` runs them on both I/O engines (`PORTCULLIS_TEST_ENGINE`); each node says in `/status`
//! which one it has, and each start asserts it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking, and nobody calls into this crate"
)]

#[path = "../desync/corpus.rs"]
mod corpus;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod access_log_failures;
mod access_log_http2;
mod access_log_kinds;
mod alerts;
mod bodies;
mod client_hello;
mod client_keep_alive;
mod clients_that_go;
mod connections;
mod cut_short;
mod demo;
mod desync;
mod dry_run;
mod ending;
mod engines;
mod explain;
mod grpc;
mod handshakes;
mod header_rules;
mod host_forms;
mod hostile_certificates;
mod hot_swap;
mod http2;
mod http2_both_ways;
mod http2_ends;
mod http2_errors;
mod http2_floods;
mod http2_heads;
mod http2_memory;
mod http2_messages;
mod http2_target_ends;
mod http2_targets;
mod http2_tools;
mod http2_trailers;
mod identity_filters;
mod identity_headers;
mod inspect;
mod largest_lists;
mod limits;
mod live_connections;
mod log_files;
mod malformed;
mod many_live;
mod messages;
mod observing;
mod old_generations;
mod optional;
mod overload;
mod pkits;
mod publication;
mod refusals;
mod resumption;
mod server_names;
mod shown_tickets;
mod slow_attacks;
mod slow_clients;
mod smuggling;
mod split;
mod start_up;
mod swaps_under_load;
mod targets;
mod threads;
mod threats;
mod ticket_keys;
mod tickets;
mod trust_commands;
mod trust_files;
mod trust_state;
mod websocket;
