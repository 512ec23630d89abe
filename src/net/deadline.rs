//! Deadlines of a shard's sockets: one compact table, judged every `limits::DEADLINE_TICK`.
