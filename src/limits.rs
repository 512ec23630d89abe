//! Every fixed bound of the node, with assertions between those that depend on each other.
//!
//! A bound that an operator may move lives in the configuration instead; its default stands in
//! `config::defaults`.
use std::time::Duration;

// Buffers.

/// Capacity of a pooled buffer: one TLS record (2^14 + 2,048, RFC 5246, section 6.2.3) and its header
/// fit, so that a record never needs two buffers.
pub const BUFFER_BYTES: usize = 18 * 1024 + 512;
/// Buffers that a shard keeps for reuse; more are given back to the allocator.
pub const POOLED_BUFFERS_MAX: usize = 1_024;

// TLS.

/// Bytes read before the ClientHello must be whole.
pub const CLIENT_HELLO_BYTES_MAX: usize = 64 * 1024;
/// Bytes of TLS records read in a whole handshake (a client chain is at most 64 KiB, ALB's limit).
pub const HANDSHAKE_BYTES_MAX: usize = 128 * 1024;
/// Plaintext of one TLS record (RFC 8446, section 5.1).
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024;

// Trust.

/// Intermediate certificates between the client's certificate and its anchor.
pub const INTERMEDIATES_MAX: usize = 4;
/// Size of one certificate of a trust store (ALB: 16 KB).
pub const CA_CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// CA certificates of one trust store (ALB: 25, adjustable).
pub const CA_CERTIFICATES_MAX: usize = 4_096;
/// CA certificates of one trust store that share a subject; each may cost a verdict a signature check.
pub const CAS_OF_ONE_NAME_MAX: usize = 16;
/// Size of a CA bundle file.
pub const BUNDLE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Size of a revocation file.
pub const REVOCATION_FILE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Identity headers made from one client certificate chain.
pub const IDENTITY_BYTES_MAX: usize = 48 * 1024;
/// Certificates that a client may send: the deepest path, its root, and a few that belong to no path.
pub const CHAIN_CERTIFICATES_MAX: usize = INTERMEDIATES_MAX + 6;
/// Bytes of the certificates that a client sends (ALB: TLS message size 64 K).
pub const CHAIN_BYTES_MAX: usize = 64 * 1024;
/// Signatures that one verdict checks while it looks for paths; those of a found path are looked up.
pub const SIGNATURE_CHECKS_MAX: usize = 100;
/// Positive signature checks remembered by each shard.
pub const REMEMBERED_SIGNATURES_MAX: usize = 16_384;

// HTTP. Source: ALB guide, quotas: request line 16 K, one header 16 K, request headers 64 K,
// response headers 32 K.

/// Bytes of a request line.
pub const REQUEST_LINE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one header line.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request's head.
pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a response's head.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of one request or response (ours; ALB names no number).
pub const HEADERS_MAX: usize = 200;
/// Bytes of a chunk-size line with its extensions, and of a trailer section.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes read and thrown away after an early answer, so that the client gets to read it.
pub const DISCARDED_BODY_BYTES_MAX: usize = 256 * 1024;
/// How long the rest of a request is thrown away after an early answer.
pub const LINGER: Duration = Duration::from_secs(2);

// Targets.

/// Targets of one group (ALB: 1,000).
pub const TARGETS_PER_GROUP_MAX: usize = 1_000;
/// Connect timeout towards a target (ALB: 10 s).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a target that refused a connection is passed over.
pub const PASS_OVER: Duration = Duration::from_secs(5);
/// Idle connections kept for each target and shard.
pub const IDLE_CONNECTIONS_PER_TARGET_MAX: usize = 256;
/// How long an idle connection to a target is kept.
pub const TARGET_IDLE: Duration = Duration::from_secs(60);
/// How often target names are resolved.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);

// Node.

/// Deadlines are judged this often, and are late by at most this much.
pub const DEADLINE_TICK: Duration = Duration::from_millis(100);
/// File descriptors kept free for configuration files, logs and the admin socket.
pub const RESERVED_FILES: u64 = 128;
/// Lines of a log that wait for the disk; more are dropped and counted.
pub const LOG_BACKLOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Shards of one node.
pub const SHARDS_MAX: usize = 1_024;
/// Size of the configuration file.
pub const CONFIGURATION_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = assert!(BUFFER_BYTES >= TLS_RECORD_BYTES_MAX + 2_048 + 5);
const _: () = assert!(IDENTITY_BYTES_MAX < REQUEST_HEAD_BYTES_MAX);
const _: () = assert!(REQUEST_LINE_BYTES_MAX < REQUEST_HEAD_BYTES_MAX);
const _: () = assert!(CHAIN_BYTES_MAX < HANDSHAKE_BYTES_MAX);
const _: () = assert!(INTERMEDIATES_MAX + 2 <= CHAIN_CERTIFICATES_MAX);
