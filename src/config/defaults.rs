//! Defaults of the configuration, each with its reason.
use super::written::{
    Admin, AutoOr, Budget, Io, LoadBalancer, Node, ServerHeader, SlowClients, Steering,
};
use std::time::Duration;

impl Default for Node {
    fn default() -> Self {
        Self {
            // A single node needs no name; several are told apart by whoever gives them one.
            name: "portcullis".to_owned(),
            // One shard for each CPU: shards share nothing, so fewer leave CPUs idle and more compete.
            shards: AutoOr::Auto,
            // io_uring costs least for each request, but containers often refuse it.
            io: Io::Auto,
            // The kernel's hash needs no tuning of interrupts to spread evenly.
            steering: Steering::Hash,
            // The limit of open files is the bound that bites first.
            connections_max: AutoOr::Auto,
            // Three quarters of the memory that there is: the kernel's buffers of the same connections, which the
            // process does not show and a cgroup counts, need the rest.
            memory_budget_mib: Budget::Auto,
            // Longer than most requests, and with room before a supervisor's usual 90 s are over.
            drain_timeout_seconds: 30,
            // Nothing is kept unless a trust store says so, and where is up to the operator.
            state_dir: None,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        // A Unix socket: who may change the node is a question of file permissions, not of a network.
        Self { bind: "unix:portcullis.sock".to_owned() }
    }
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self {
            name: "portcullis".to_owned(),
            // We do not claim to be AWS unless asked to.
            server_header: ServerHeader::Portcullis,
            attributes: super::written::Attributes::new(),
        }
    }
}

impl Default for SlowClients {
    fn default() -> Self {
        Self {
            // 64 KiB, the largest head, at 2 KiB a second; a head of usual size has time for many losses.
            request_head_timeout_seconds: 30,
            // What IIS and Kestrel ask for: no access network of today is as slow, a client that holds a
            // connection on purpose is.
            request_body_bytes_per_second_min: 240,
            response_bytes_per_second_min: 240,
            // Apache's for bodies (`RequestReadTimeout body=20`): four lost packets in a row (1 + 2 + 4 + 8 s
            // until TCP has sent each again) still let an honest client go on.
            window_seconds: 20,
            // How long an honest request takes is the application's to say; ALB sets no bound either.
            request_timeout_seconds: 0,
        }
    }
}

/// Silence after which a connection ends. ALB's.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Age after which a client's connection serves one more request. ALB's.
pub const CLIENT_KEEP_ALIVE: Duration = Duration::from_secs(3_600);

/// Ten seconds: three lost packets in a row (1 + 2 + 4 s until TCP has sent each again) still let an
/// honest client finish.
pub const fn handshake_timeout_ms() -> u32 {
    10_000
}

/// 512 for each shard: about half a second of its full handshakes, so that whoever is let in still
/// finishes in time, and at most about 32 MiB of half-read certificate messages.
pub const fn handshakes_in_flight_max() -> u32 {
    512
}

/// 4,096: what Linux allows since 5.4 (`net.core.somaxconn`), and the connections of a burst that a
/// busy shard catches up with well before clients give up.
pub const fn backlog() -> u32 {
    4_096
}

/// 5: with the file itself six times `rotate_bytes`, enough to look back and little enough to forget.
pub const LOG_ROTATE_KEEP: u32 = 5;

/// On: clients of HTTP and HTTPS speak first, and a connection that says nothing then costs no shard
/// anything.
pub const fn defer_accept() -> bool {
    true
}

/// A whole IPv4 address: blocks are shared by strangers.
pub const fn source_ipv4_prefix_bits() -> u32 {
    32
}

/// 64 bits of an IPv6 address: one host may have any number of addresses within them (RFC 4291, section 2.5.4).
pub const fn source_ipv6_prefix_bits() -> u32 {
    64
}
