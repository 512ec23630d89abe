//! Names of metrics, each declared once with its labels and help.
//!
//! `portcullis_<subject>_<what>_<unit>`, base units, `_total` on counters alone. The values of labels
//! are words of ours or names from the configuration; nothing that a client sends becomes one.

/// A family of series that share a name: one for each combination of `N` label values.
#[derive(Clone, Copy, Debug)]
pub struct Metric<const N: usize> {
    /// As scraped.
    pub name: &'static str,
    /// One sentence for whoever meets it in a query.
    pub help: &'static str,
    /// Names of the labels, in the order in which their values are given.
    pub labels: [&'static str; N],
}

/// Declares one metric a line, and the list of all for the checks on names.
macro_rules! metrics {
    ($($constant:ident = $name:literal, [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric<{ <[&str]>::len(&[$($label),*]) }> =
                Metric { name: $name, help: $help, labels: [$($label),*] };
        )*
        #[cfg(test)]
        const ALL: &[(&str, &str)] = &[$(($name, $help)),*];
    };
}

metrics! {
    CONNECTIONS_ACCEPTED = "portcullis_connections_accepted_total", ["listener"],
        "Connections accepted.";
    CONNECTIONS_OPEN = "portcullis_connections_open", ["listener"],
        "Connections of clients open now.";
    CONNECTIONS_SHED = "portcullis_connections_shed_total", [],
        "Connections closed at once because the node was at a limit.";
    CONNECTIONS_CLOSED = "portcullis_connections_closed_total", ["listener", "reason"],
        "Connections that ended early, by reason.";
    CONNECTIONS_ENDED_BY_TRUST = "portcullis_connections_ended_by_trust_total", ["listener", "reason"],
        "Live connections ended because their client was no longer accepted, by reason code.";
    CONNECTIONS_JUDGED_AGAIN = "portcullis_connections_judged_again_total", ["by"],
        "Live connections judged again after a change, by what that took: lookups (path) or their whole chain.";
    SWEEP_SLICES = "portcullis_sweep_slices_total", [],
        "Slices of work in which live connections were judged again.";
    SWEEP_SLICE_MAX = "portcullis_sweep_slice_max_seconds", [],
        "The longest of these slices: for so long a shard did nothing else.";
    OVERLOAD_LEVEL = "portcullis_overload_level", [],
        "How hard the node is pressed for memory: 0 not at all, 1 connections are not kept alive, 2 none is accepted, 3 the heaviest are reset.";
    OVERLOAD_CONNECTIONS = "portcullis_overload_connections_total", ["action"],
        "Connections ended with their answer, shed or reset because the node was over its memory budget.";
    MEMORY_BUDGET = "portcullis_memory_budget_bytes", [],
        "Memory that the process may have.";
    CLIENT_MEMORY = "portcullis_client_memory_bytes", [],
        "Memory that connections of clients and their requests hold, about.";
    ACCEPT_ERRORS = "portcullis_accept_errors_total", [],
        "Failed accepts.";

    HANDSHAKES = "portcullis_tls_handshakes_total", ["listener", "outcome"],
        "TLS handshakes that ended, by outcome; a refused client certificate counts under its reason code.";
    RESUMPTIONS = "portcullis_tls_resumptions_total", ["listener", "outcome"],
        "Handshakes of clients that brought a session ticket, by what came of it.";
    HANDSHAKE_SECONDS = "portcullis_tls_handshake_seconds", ["listener"],
        "Time of finished TLS handshakes.";
    HANDSHAKES_IN_FLIGHT = "portcullis_tls_handshakes_in_flight", [],
        "TLS handshakes under way now.";

    RESPONSES = "portcullis_http_responses_total", ["listener", "status_class"],
        "Responses given to clients, whoever made them, by class of status.";
    REQUESTS_FAILED = "portcullis_http_requests_failed_total", ["listener", "reason"],
        "Requests that were not served to their end, by reason; over HTTP/2 their connections go on.";
    MALFORMED = "portcullis_http_malformed_total", ["listener", "reason"],
        "Requests refused because of their form.";
    INVALID_NAMES = "portcullis_http_invalid_header_requests_total", ["listener", "action"],
        "Requests to targets with header names of more than letters, digits and hyphens, by what was done with those headers.";
    CLASSIFIED = "portcullis_http_noncompliant_requests_total", ["listener", "class", "reason"],
        "Requests that are not as the standard says, let in or refused, by class of desync mitigation.";
    HTTP2_FLOODS = "portcullis_http2_floods_total", ["listener", "frames"],
        "Connections ended because of a flood of HTTP/2 frames, by their kind.";
    HTTP2_STREAMS_REFUSED = "portcullis_http2_streams_refused_total", ["listener"],
        "HTTP/2 streams refused, to be tried again: their connection has too many, their heads take too much, or it is ending.";
    RECEIVED_BYTES = "portcullis_client_received_bytes_total", ["listener"],
        "Bytes received from clients, without TLS.";
    SENT_BYTES = "portcullis_client_sent_bytes_total", ["listener"],
        "Bytes sent to clients, without TLS.";

    UPSTREAM_REQUESTS = "portcullis_upstream_requests_total", ["target_group"],
        "Requests sent to targets.";
    UPSTREAM_ERRORS = "portcullis_upstream_errors_total", ["target_group", "reason"],
        "Exchanges with targets that failed, by reason.";
    UPSTREAM_RETRIES = "portcullis_upstream_retries_total", ["target_group"],
        "Requests tried again, on a fresh connection or on the next target.";
    UPSTREAM_CONNECTIONS = "portcullis_upstream_connections_total", ["target_group"],
        "Connections made to targets.";

    PANICS = "portcullis_panics_total", [],
        "Connections ended by a bug in the node.";
    LOG_LINES_DROPPED = "portcullis_log_lines_dropped_total", ["log"],
        "Log lines lost because the disk was full or too slow.";
    LOG_BACKLOG = "portcullis_log_backlog_bytes", ["log"],
        "Log lines that wait for the disk; at 16 MiB they are dropped, or hold their shards up.";
    LOG_BLOCKED = "portcullis_log_blocked_seconds_total", ["log"],
        "Time for which shards stood still because a log with when_full: block had no room.";

    GENERATION = "portcullis_generation", [],
        "Generation of the live configuration and trust.";
    RELOADS = "portcullis_reloads_total", ["outcome"],
        "Attempts to replace configuration or trust, by outcome.";
    SHARD_GENERATION = "portcullis_shard_generation", ["shard"],
        "Generation that the shard works by.";
    SHARDS_LATE = "portcullis_shards_late", [],
        "Shards that do not work by the live generation yet.";
    LOAD_FAILURES = "portcullis_load_failures_total", ["reason"],
        "Loads of configuration and trust that were refused, by what was wrong; one may have several reasons.";
    LOAD_SUCCESS_TIME = "portcullis_load_last_success_timestamp_seconds", [],
        "When configuration and trust were last loaded and published, in seconds since 1970.";
    LOAD_FAILURE_TIME = "portcullis_load_last_failure_timestamp_seconds", [],
        "When a load of configuration and trust was last refused, in seconds since 1970; 0 is never.";
    LOAD_FAILING = "portcullis_load_failing", [],
        "1 when the last load of configuration and trust was refused.";
    SWAP_SECONDS = "portcullis_swap_seconds", ["phase"],
        "Time of swaps of configuration and trust: reading and checking, publication, acknowledgement by all shards.";

    CERTIFICATE_EXPIRY = "portcullis_certificate_expiry_timestamp_seconds", ["certificate"],
        "When the certificate expires, in seconds since 1970.";
    CERTIFICATE_CHAIN_EXPIRY = "portcullis_certificate_chain_expiry_timestamp_seconds", ["certificate"],
        "When the first of the certificates behind it in its chain expires, in seconds since 1970.";
    CAS = "portcullis_trust_store_ca_certificates", ["trust_store"],
        "CA certificates of the trust store.";
    CAS_EXPIRED = "portcullis_trust_store_ca_certificates_expired", ["trust_store"],
        "CA certificates of the trust store that have expired.";
    CA_EXPIRY = "portcullis_trust_store_ca_expiry_timestamp_seconds", ["trust_store"],
        "When the next CA certificate of the trust store expires (the last, where all have), in seconds since 1970.";
    CRL_THIS_UPDATE = "portcullis_trust_store_crl_this_update_timestamp_seconds", ["trust_store", "list"],
        "When that revocation list of the file (or of the revocation's number) was issued that is due first, in seconds since 1970.";
    CRL_NEXT_UPDATE = "portcullis_trust_store_crl_next_update_timestamp_seconds", ["trust_store", "list"],
        "When the first of the revocation lists of the file (or of the revocation's number) is due for renewal, in seconds since 1970.";
    REVOKED_ENTRIES = "portcullis_trust_store_revoked_entries", ["trust_store"],
        "Entries of the trust store's revocation lists.";

    IO_ENGINE = "portcullis_io_engine", ["engine"],
        "The I/O engine in use; always 1.";
    IO_URING_REFUSED = "portcullis_io_uring_refused", [],
        "1 when the kernel refused io_uring and the node fell back to epoll.";
    BUILD_INFO = "portcullis_build_info", ["version"],
        "The version that runs; always 1.";
    SHARDS = "portcullis_shards", [],
        "Shards that the node runs.";

    PROCESS_START = "process_start_time_seconds", [],
        "When the process started, in seconds since 1970.";
    PROCESS_CPU = "process_cpu_seconds_total", [],
        "CPU time used, in user and system mode together.";
    PROCESS_MEMORY = "process_resident_memory_bytes", [],
        "Memory in use that is not swapped out.";
    PROCESS_OPEN_FILES = "process_open_fds", [],
        "File descriptors open now.";
    PROCESS_FILES_MAX = "process_max_fds", [],
        "File descriptors that may be open at once.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_help_is_a_sentence() {
        for (index, (name, help)) in ALL.iter().enumerate() {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            assert!(help.ends_with('.'), "{name}");
            assert!(ALL[..index].iter().all(|(other, _)| other != name), "{name} stands twice");
        }
    }
}
