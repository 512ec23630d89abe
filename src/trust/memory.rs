//! Positive signature checks, remembered for each shard (thread), bounded.
