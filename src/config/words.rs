//! The words of the configuration: keys whose value is one of a few. ALB's, where it has them.
//!
//! The comments on them are the descriptions of the JSON Schema.
use schemars::JsonSchema;
use serde::Deserialize;

/// Declares enums of words, as they are written.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
        pub enum $name { $($(#[$attribute])* #[serde(rename = $word)] $variant,)+ }
    )+};
}

words! {
    /// How the node talks to the kernel.
    Io {
        /// io_uring, or epoll where that is refused.
        #[default]
        Auto = "auto",
        /// io_uring or nothing.
        IoUring = "io_uring",
        /// epoll.
        Epoll = "epoll",
    }
    /// How the kernel spreads new connections over the shards.
    Steering {
        /// By a hash over addresses and ports.
        #[default]
        Hash = "hash",
        /// To the shard of the CPU that took the packet (SO_INCOMING_CPU).
        IncomingCpu = "incoming_cpu",
        /// The same by a classic BPF program.
        Cbpf = "cbpf",
    }
    /// Form of log lines.
    LogFormat {
        /// ALB's fields.
        #[default]
        Alb = "alb",
        /// One JSON object a line.
        Json = "json",
    }
    /// What happens to log lines while the disk is too slow and 16 MiB wait for it.
    WhenFull {
        /// They are dropped and counted.
        #[default]
        Drop = "drop",
        /// Each shard that has a line to write waits, and all of its clients with it.
        Block = "block",
    }
    /// The Server header of the node's own answers.
    ServerHeader {
        /// Ours.
        #[default]
        Portcullis = "portcullis",
        /// ALB's.
        Alb = "awselb/2.0",
    }
    /// Who changes a trust store.
    Source {
        /// Files: a change of theirs is one of the trust store.
        #[default]
        Files = "files",
        /// Commands: `portcullis trust`.
        Api = "api",
    }
    /// What clients speak.
    Protocol {
        /// HTTP/1.1.
        #[default]
        Http = "HTTP",
        /// HTTP/1.1 over TLS.
        Https = "HTTPS",
    }
    /// What targets speak.
    TargetProtocol {
        /// HTTP without TLS.
        #[default]
        Http = "HTTP",
    }
    /// Version of HTTP towards targets.
    ProtocolVersion {
        /// HTTP/1.1.
        #[default]
        Http1 = "HTTP1",
        /// HTTP/2 without TLS, with prior knowledge. Its clients speak HTTP/2 to an HTTPS listener.
        Http2 = "HTTP2",
        /// The same for calls of gRPC: POST alone.
        Grpc = "GRPC",
    }
    /// How clients show a certificate.
    Mode {
        /// None is asked for.
        #[default]
        Off = "off",
        /// What they show goes to the target unjudged.
        Passthrough = "passthrough",
        /// It is judged against a trust store.
        Verify = "verify",
        /// What they show is judged against a trust store; nothing is fine.
        Optional = "optional",
    }
    /// What becomes of clients that a filter matches.
    FilterAction {
        /// They are let in.
        #[default]
        Accept = "accept",
    }
    /// A switch.
    OnOff {
        /// Yes.
        On = "on",
        /// No.
        #[default]
        Off = "off",
    }
    /// What becomes of an issuer's clients once nextUpdate of its list has passed.
    StaleRevocations {
        /// The list goes on being enforced.
        #[default]
        Enforce = "enforce",
        /// They are refused.
        Refuse = "refuse",
    }
    /// What becomes of clients whose issuers have no list that is about them.
    UnlistedIssuers {
        /// They are not checked.
        #[default]
        Allow = "allow",
        /// They are refused.
        Refuse = "refuse",
    }
    /// What a refused client sees.
    Refusal {
        /// The TLS alert that says why.
        #[default]
        Alert = "alert",
        /// A TCP reset.
        Reset = "reset",
        /// A finished handshake and 403 with the reason code.
        Http = "http",
    }
    /// What happens to live connections of a client that a change no longer accepts.
    OnRevocation {
        /// They go on.
        Keep = "keep",
        /// No new request; what has begun may finish within 30 s.
        #[default]
        Drain = "drain",
        /// They end at once.
        Close = "close",
    }
    /// What happens to live connections of a client whose path has expired.
    OnExpiry {
        /// They go on.
        Keep = "keep",
        /// They end.
        #[default]
        Close = "close",
    }
    /// Whether clients that are asked for a certificate may resume their sessions.
    SessionResumption {
        /// Each connection is a full handshake.
        #[default]
        Off = "off",
        /// By tickets that are bound to listener, policy and trust store, and judged by current trust.
        Bound = "bound",
    }
    /// Which action.
    ActionType {
        /// Requests go to a target group.
        #[default]
        Forward = "forward",
        /// The node answers.
        FixedResponse = "fixed-response",
    }
    /// Type of a fixed response's body.
    ContentType {
        /// Text.
        #[default]
        Plain = "text/plain",
        /// CSS.
        Css = "text/css",
        /// HTML.
        Html = "text/html",
        /// JavaScript.
        JavaScript = "application/javascript",
        /// JSON.
        Json = "application/json",
    }
}
