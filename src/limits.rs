//! Every fixed bound of the node, with assertions between those that depend on each other.
//!
//! A bound that an operator may move lives in the configuration instead; its default stands in
//! `config::defaults`.
use std::time::Duration;

// Buffers.

/// Capacity of a pooled buffer: one TLS record (2^14 + 2,048, RFC 5246, section 6.2.3) and its header
/// fit, so that a record never needs two buffers.
pub const BUFFER_BYTES: usize = 18 * 1024 + 512;
/// What a request takes in its connection's task while it is in work, exchange and all.
pub const REQUEST_TASK_BYTES: usize = 8 * 1024;
/// Buffers that a shard keeps for reuse; more are given back to the allocator.
pub const POOLED_BUFFERS_MAX: usize = 1_024;

// TLS.

/// Bytes read before the ClientHello must be whole.
pub const CLIENT_HELLO_BYTES_MAX: usize = 64 * 1024;
/// Bytes of TLS records read in a whole handshake (a client chain is at most 64 KiB, ALB's limit).
pub const HANDSHAKE_BYTES_MAX: usize = 128 * 1024;
/// Bytes of TLS records after the handshake that belong to a message which is not whole yet.
pub const TLS_PENDING_BYTES_MAX: usize = 64 * 1024;
/// Plaintext of one TLS record (RFC 8446, section 5.1).
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024;
/// Shortest RSA key of a server certificate.
pub const SERVER_RSA_KEY_BITS_MIN: usize = 2_048;
/// Longest RSA key of a server certificate (ALB's; a signature costs eight times that of half the bits).
pub const SERVER_RSA_KEY_BITS_MAX: usize = 4_096;
/// Bytes of a session ticket, which carries the client's chain. A client whose chain is longer gets none:
/// the ticket comes back in its ClientHello.
pub const TICKET_BYTES_MAX: usize = 16 * 1024;
/// How long a client may come back by tickets before it must show its certificate, and prove its key, in a
/// full handshake again (RFC 8446, section 4.6.1: at most seven days).
pub const TICKET_LIFETIME: Duration = Duration::from_secs(TICKET_LIFETIME_SECONDS as u64);
/// The same as clients are told.
pub const TICKET_LIFETIME_SECONDS: u32 = 4 * 60 * 60;
/// How often the node replaces ticket keys of its own; each opens tickets for one turn more.
pub const TICKET_KEY_ROTATION: Duration = Duration::from_secs(4 * 60 * 60);
/// Sizes of a ticket key's file, in bytes (nginx': `ssl_session_ticket_key`).
pub const TICKET_KEY_FILE_BYTES: [usize; 2] = [48, 80];
/// Ticket keys that are given as files: a ticket is looked up among them by name.
pub const TICKET_KEYS_MAX: usize = 16;

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
/// What one read of a file may copy: some 0.2 ms, in which a kernel without preemption runs nothing else.
pub const READ_BYTES_MAX: u64 = 256 * 1024;
/// Revocation files of one trust store that the API changes (ALB: 30 lists, adjustable).
pub const REVOCATION_FILES_MAX: usize = 1_024;
/// Bytes of the files of one trust store that the API changes, together.
pub const TRUST_STORE_BYTES_MAX: usize = 256 * 1024 * 1024;
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
/// Clients seen lately for whom a trust store vouched, that each shard remembers.
pub const SEEN_VOUCHED_MAX: usize = 4_096;
/// Bytes that they take, with their chains.
pub const SEEN_VOUCHED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Other clients seen lately that each shard remembers: refused, or let in unjudged.
pub const SEEN_OTHERS_MAX: usize = 512;
/// Bytes that they take, with their chains.
pub const SEEN_OTHERS_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of chains of connected clients that a shard tells beyond those that it remembers.
pub const TOLD_CHAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Clients that the answer to a dry run lists; all are counted.
pub const DRY_RUN_CLIENTS_MAX: usize = 10_000;
/// Characters of a subject, an issuer, a serial number or a server name in its answer.
pub const DRY_RUN_TEXT_CHARS_MAX: usize = 256;
/// How long the shards have to take over a generation before the answer names those that are late.
pub const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// How long the shards have to tell which clients they have seen.
pub const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// Identity filters of one mutual authentication.
pub const IDENTITY_FILTERS_MAX: usize = 100;
/// Patterns of the identity filters of one mutual authentication, together.
pub const IDENTITY_PATTERNS_MAX: usize = 100_000;
/// Alternative names of a client's certificate that filters look at; with more it has none.
pub const IDENTITY_NAMES_MAX: usize = 1_000;
/// Bytes of a file with the chain of a client whose verdict is to be explained.
pub const CHAIN_FILE_BYTES_MAX: usize = 256 * 1024;
/// Paths, and dead ends, that the explanation of one verdict lists.
pub const EXPLAINED_PATHS_MAX: usize = 32;
/// Instants at which an explanation judges again to find out when the verdict changes by itself.
pub const EXPLAINED_INSTANTS_MAX: usize = 64;

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
/// Interim answers (1xx) of a target to one request; a progress report each second outlasts most
/// patience, and a target that sends nothing else would hold its client for ever.
pub const INTERIM_ANSWERS_MAX: usize = 1_000;
/// Headers of one request or response (ours; ALB names no number).
pub const HEADERS_MAX: usize = 200;
/// Headers that the Connection headers of one message may name (each is compared with each header).
pub const CONNECTION_OPTIONS_MAX: usize = 16;
/// Addresses in what a client sends as X-Forwarded-For (ALB answers more by 463).
pub const FORWARDED_FOR_ADDRESSES_MAX: usize = 30;
/// Bytes of what a client sends as X-Amzn-Trace-Id (ALB: 7 KB).
pub const TRACE_ID_BYTES_MAX: usize = 7 * 1024;
/// Bytes of the value of a response header that a listener sets (ALB: 1 KB).
pub const RESPONSE_HEADER_VALUE_BYTES_MAX: usize = 1_024;
/// Bytes of a trailer section: what one header may have.
pub const TRAILERS_BYTES_MAX: usize = HEADER_BYTES_MAX;
/// Bytes of a chunk-size line with its extensions.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes read and thrown away after an early answer, so that the client gets to read it.
pub const DISCARDED_BODY_BYTES_MAX: usize = 256 * 1024;
/// How long the rest of a request is thrown away after an early answer.
pub const LINGER: Duration = Duration::from_secs(2);

// HTTP/2. Source: ALB guide (128 streams, 10,000 requests); the rest is ours.

/// Streams that a client may have open at once.
pub const H2_STREAMS_MAX: u32 = 128;
/// Requests of one connection; then it is told to end.
pub const H2_REQUESTS_MAX: u64 = 10_000;
/// Bytes of the heads of a connection's requests that are in work or wait to be logged; more streams are refused, to be
/// tried again.
pub const H2_HEADS_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a header list as HTTP/2 counts it (each field 32 more); larger ones are answered by the crate.
/// Above [`REQUEST_HEAD_BYTES_MAX`], so that the node's own answer comes first.
pub const H2_HEADER_LIST_BYTES_MAX: u32 = 128 * 1024;
/// Bytes that a client may send on one stream before its target has taken them.
pub const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same of all streams of a connection together.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of an answer that wait for a slow client, for each stream: one frame.
pub const H2_SEND_BUFFER_BYTES_MAX: usize = 16 * 1024;
/// Streams of one connection that this node may have to reset because of a client's errors.
pub const H2_ERRORS_MAX: usize = 100;
/// What small DATA frames that wait for their targets may take beside their content, by the crate's count: 256
/// bytes for each, less its own. The windows bound content alone, and let 13,000 messages of 20 bytes wait.
pub const H2_SMALL_FRAMES_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Streams that a client has neither ended nor reset and that are told from those that it has.
pub const H2_SENDING_STREAMS_MAX: usize = 2 * H2_STREAMS_MAX as usize;
/// Streams that a client has begun and that the crate has neither refused nor handed over, of which it is said
/// which.
pub const H2_UNTAKEN_STREAMS_MAX: usize = 2 * H2_STREAMS_MAX as usize;
/// Streams that were answered early or reset and are remembered for a while, because content is on its way to them:
/// on streams that are forgotten it is an error.
pub const H2_RESETS_KEPT_MAX: usize = H2_STREAMS_MAX as usize;
/// How long they are remembered: as a slow uplink may take for a window.
pub const H2_RESETS_KEPT: Duration = Duration::from_secs(10);
/// Streams that a client takes back before the node has taken them.
pub const H2_RESETS_UNTAKEN_MAX: usize = 50;
/// A request that is taken back before that was premature: a client that does so again and again is a flood
/// (Envoy's measure of rapid resets).
pub const H2_PREMATURE: Duration = Duration::from_secs(1);
/// What a client's frames of control may cost at once ([`crate::http::h2::flood`]).
pub const H2_ALLOWANCE_MAX: u32 = 2_000;
/// What time gives back of it.
pub const H2_ALLOWANCE_PER_SECOND: u32 = 200;

/// Bytes of a request's content that are kept until its target answers, to be sent again where it refuses
/// the stream.
pub const H2_KEPT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one frame that are copied rather than holding what they were received with.
pub const H2_COPIED_BYTES_MAX: usize = 2 * 1024;
/// Pieces of it, each with a few words of memory beside its bytes.
pub const H2_KEPT_PIECES_MAX: usize = 64;
/// Streams open at once on one connection to a target, whatever the target takes.
pub const H2_TARGET_STREAMS_MAX: usize = 128;
/// HTTP/2 connections of a shard to one target.
pub const H2_CONNECTIONS_PER_TARGET_MAX: usize = 64;
/// Bytes that a target may send on one connection before its clients have taken them: as much as all streams
/// may, or one slow client would keep answers from the others.
pub const H2_TARGET_WINDOW_BYTES: u32 = 128 * H2_STREAM_WINDOW_BYTES;
/// A target that is silent for this long while streams wait is asked whether it is there.
pub const PING_AFTER: Duration = Duration::from_secs(10);
/// How long it has to say something.
pub const PING_WITHIN: Duration = Duration::from_secs(10);
/// When it may be asked again without having sent content (servers of gRPC: five minutes).
pub const PING_AGAIN: Duration = Duration::from_secs(310);

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
/// How long a round of lookups may take, and with it a start or reload.
pub const RESOLVE_WAIT: Duration = Duration::from_secs(5);
/// Lookups of target names under way at a time; each holds a thread.
pub const RESOLVES_IN_FLIGHT_MAX: usize = 32;
/// How long the last answer for a name is kept once no group has it.
pub const RESOLVED_NAME_KEPT: Duration = Duration::from_secs(600);
/// How long a shard remembers whose turn it is in a group that gets no requests.
pub const CURSOR_KEPT: Duration = Duration::from_secs(600);
/// Idle connections kept by each shard, over all targets.
pub const IDLE_CONNECTIONS_PER_SHARD_MAX: usize = 4_096;

// Node.

/// Deadlines are judged this often, and are late by at most this much.
pub const DEADLINE_TICK: Duration = Duration::from_millis(100);
/// Operations of a shard that wait for the kernel to see them: a full queue is handed over at once, so
/// that the answers of a burst do not all wait for its last computation.
pub const RING_ENTRIES: u32 = 64;
/// Completions that a ring holds before the kernel keeps the rest in memory of its own.
pub const RING_COMPLETIONS: u32 = 4_096;
/// Receives of a connection that look for bytes at once, one after the other, before others have their turn.
pub const RECEIVES_AT_ONCE: u8 = 3;
/// How long a connection whose client is silent stays out of sight (`TCP_DEFER_ACCEPT`).
pub const DEFER_ACCEPT: Duration = Duration::from_secs(10);
/// How long a request may go on whose client is no longer accepted, under `on_revocation: drain`.
pub const REVOKED_DRAIN: Duration = Duration::from_secs(30);
/// How long a shard judges live connections anew before it lets others have their turn.
pub const SWEEP_SLICE: Duration = Duration::from_millis(1);
/// The pause between two slices. A timer, because io_uring sees new operations only when all tasks wait.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(1);
/// Slots in each of two rows of the table that counts the connections of each source: 512 KiB together.
pub const SOURCE_SLOTS: usize = 65_536;
/// How often memory is held against its budget, and shards give some back: an attacker with a gigabit brings some
/// 30 MB in between.
pub const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(250);
/// The share of the memory budget, in percent, that clients may hold whatever else takes memory: no reset takes
/// them below it.
pub const MEMORY_LEFT_TO_CLIENTS_PERCENT: u64 = 5;
/// Connections that a shard resets at a time to give memory back.
pub const RESETS_AT_ONCE_MAX: usize = 256;
/// File descriptors kept free for configuration files, logs and the admin socket.
pub const RESERVED_FILES: u64 = 128;
/// Bytes of a request's User-Agent in the access log (ALB: 8 KB).
pub const LOGGED_USER_AGENT_BYTES_MAX: usize = 8 * 1024;
/// Bytes of log lines that a shard hands over at once.
pub const LOG_BATCH_BYTES: usize = 32 * 1024;
/// How long a shard keeps a log line at most before it hands it over.
pub const LOG_BATCH_AGE: Duration = Duration::from_millis(50);
/// Bytes of log lines that wait for the disk; more are dropped and counted, or hold their shard up.
pub const LOG_BACKLOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Waiting log lines are written together up to about this size.
pub const LOG_WRITE_BYTES: usize = 256 * 1024;
/// The least size at which a log file makes way for another, so that one write fits well within.
pub const LOG_ROTATE_BYTES_MIN: u64 = 1024 * 1024;
/// Log files that have made way and are kept.
pub const LOG_ROTATE_KEEP_MAX: u32 = 100;
/// How often lost log lines are reported.
pub const LOG_REPORT_EVERY: Duration = Duration::from_secs(60);
/// How long the end of the process waits for a log's disk.
pub const LOG_FLUSH: Duration = Duration::from_secs(5);
/// Connections served at once by the admin endpoint, and by the metrics endpoint.
pub const API_CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head on these endpoints.
pub const API_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Time for a request's head on these endpoints.
pub const API_HEAD: Duration = Duration::from_secs(10);
/// Age at which a connection to these endpoints is told to end, and time until it is then cut off.
pub const API_CONNECTION: Duration = Duration::from_secs(60);
/// Time for the files of a command that changes a trust store.
pub const API_UPLOAD: Duration = Duration::from_secs(60);
/// Bytes of these files with their names.
pub const API_UPLOAD_BYTES_MAX: usize = TRUST_STORE_BYTES_MAX + 1024 * 1024;
/// Time that the command line waits for an answer of the admin endpoint.
pub const API_ANSWER: Duration = Duration::from_secs(150);
/// Bytes of an answer that the command line reads from the admin endpoint.
pub const API_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Shards of one node.
pub const SHARDS_MAX: usize = 1_024;
/// Size of the configuration file.
pub const CONFIGURATION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lists and mappings inside each other in the configuration file (its deepest key is at 6).
pub const CONFIGURATION_DEPTH_MAX: usize = 32;
/// Faults listed in one answer.
pub const FAULTS_MAX: usize = 1_000;
/// Size of a server certificate's chain file, and of its key file.
pub const CERTIFICATE_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Subjects of CAs sent to clients, together (ALB: 10,000 for each trust store).
pub const ADVERTISED_SUBJECTS_BYTES_MAX: usize = 10_000;
/// A Unix socket's path, without the NUL that ends it (unix(7): `sun_path` is 108 bytes).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// A file whose writer is silent for this long counts as written, though it is still open.
pub const WRITER_SILENCE: Duration = Duration::from_secs(30);
/// Files that changed are read again after this long, and must not have changed in between.
pub const SETTLE: Duration = Duration::from_millis(200);
/// How often files are looked at without being told.
pub const POLL_FILES_EVERY: Duration = Duration::from_secs(10);
/// File events that wait for the control thread; more are dropped (the bell has rung already).
pub const FILE_EVENTS_MAX: usize = 1_024;

const _: () = assert!(
    H2_TARGET_STREAMS_MAX * H2_STREAM_WINDOW_BYTES as usize <= H2_TARGET_WINDOW_BYTES as usize
);
const _: () = assert!(PING_WITHIN.as_secs() < PING_AGAIN.as_secs());
const _: () = assert!(REQUEST_HEAD_BYTES_MAX < H2_HEADER_LIST_BYTES_MAX as usize);
const _: () = assert!(API_ANSWER.as_secs() > 2 * API_CONNECTION.as_secs());
const _: () = assert!(BUNDLE_BYTES_MAX + REVOCATION_FILE_BYTES_MAX < TRUST_STORE_BYTES_MAX);
const _: () = assert!(LOG_WRITE_BYTES < LOG_BACKLOG_BYTES_MAX);
const _: () = assert!(LOG_BATCH_BYTES < LOG_WRITE_BYTES);
const _: () = assert!(2 * (LOG_WRITE_BYTES as u64) < LOG_ROTATE_BYTES_MIN);
const _: () = assert!(BUFFER_BYTES >= TLS_RECORD_BYTES_MAX + 2_048 + 5);
const _: () = assert!(IDENTITY_BYTES_MAX < REQUEST_HEAD_BYTES_MAX);
const _: () = assert!(REQUEST_LINE_BYTES_MAX < REQUEST_HEAD_BYTES_MAX);
const _: () = assert!(RESOLVE_WAIT.as_secs() < RESOLVE_EVERY.as_secs());
const _: () = assert!(RESOLVED_NAME_KEPT.as_secs() > 2 * RESOLVE_EVERY.as_secs());
const _: () = assert!(IDLE_CONNECTIONS_PER_TARGET_MAX <= IDLE_CONNECTIONS_PER_SHARD_MAX);
const _: () = assert!(CHAIN_BYTES_MAX < HANDSHAKE_BYTES_MAX);
const _: () = assert!(CHAIN_BYTES_MAX < SEEN_VOUCHED_BYTES_MAX / 4);
const _: () = assert!(CHAIN_BYTES_MAX < SEEN_OTHERS_BYTES_MAX / 4);
const _: () = assert!(2 * TICKET_BYTES_MAX < CLIENT_HELLO_BYTES_MAX);
const _: () = assert!(TICKET_LIFETIME.as_secs() <= TICKET_KEY_ROTATION.as_secs());
const _: () = assert!(2 * CHAIN_BYTES_MAX < CHAIN_FILE_BYTES_MAX);
const _: () = assert!(INTERMEDIATES_MAX + 2 <= CHAIN_CERTIFICATES_MAX);
