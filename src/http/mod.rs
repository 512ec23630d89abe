//! HTTP/1.1 and HTTP/2: heads, framing, header rules, identity headers and the node's own answers.
//!
//! Pure: bytes in, values or bytes out. `shard` reads and writes the sockets: it has a client's
//! head read by `desync`, writes the head that the target gets with `forward`, decodes and encodes bodies with
//! `chunked`, parses the target's `head` and forwards that; what it answers itself comes from `respond`. Heads
//! of HTTP/2 come from the `h2` crate; `h2` holds them to the same rules and writes them by the same ones.
pub mod attributes;
pub mod body;
pub mod chunked;
pub mod class;
pub mod connection;
pub mod desync;
mod fault;
pub mod forward;
mod forwarded_for;
mod framing;
pub mod h2;
pub mod head;
pub mod host;
pub mod identity;
mod lines;
pub mod lines_out;
pub mod malformed;
pub mod message;
mod name;
pub mod respond;
mod target;
pub mod trace_id;
pub mod trailers;
pub mod upgrade;

pub(crate) use fault::is_token;

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;

/// Appends what is displayed. Writing to a `Vec` cannot fail.
fn write_display(out: &mut Vec<u8>, value: impl Display) {
    let _ = write!(out, "{value}");
}

/// Appends a number, at a tenth of what displaying it costs.
fn write_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends an address without brackets.
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            write_number(out, first);
            for octet in rest {
                out.push(b'.');
                write_number(out, octet);
            }
        }
        IpAddr::V6(address) => write_display(out, address),
    }
}
