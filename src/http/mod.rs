//! HTTP/1.1: heads, framing, header rules, identity headers and the node's own answers.
//!
//! Pure: bytes in, values or bytes out. `shard` reads and writes the sockets.
pub mod attributes;
pub mod body;
pub mod chunked;
pub mod forward;
pub mod head;
pub mod identity;
pub mod respond;
