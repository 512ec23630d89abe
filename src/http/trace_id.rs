//! X-Amzn-Trace-Id: one id for a request on its way through load balancers and targets.
//!
//! Pure. A shard asks for the value once for each request, keeps it for the access log, and shows it to
//! `forward` for each try. Of several copies of the header the first counts and the others are removed, so
//! that every reader has the same id.
//! Bounds: what a client sends is at most `limits::TRACE_ID_BYTES_MAX`, else it is replaced.
//! Source: ALB guide, "Request tracing"; `alb-contract.md`, section 6.1.
#![deny(clippy::indexing_slicing)]
use crate::digits;
use crate::limits::TRACE_ID_BYTES_MAX;
use std::time::Duration;

/// What makes a new id one that nobody had before.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Time since 1970.
    pub since_epoch: Duration,
    /// Random bytes.
    pub random: [u8; 12],
}

/// Appends the value that the target gets, given the one that the client sent.
///
/// A trace that has begun elsewhere keeps its `Root`, and all other fields with their places; this node is
/// its `Self`. A trace that has neither begins here.
pub fn write(out: &mut Vec<u8>, sent: Option<&[u8]>, fresh: Fresh) {
    let sent = sent.filter(|sent| sent.len() <= TRACE_ID_BYTES_MAX).unwrap_or_default();
    let fields = || sent.split(|byte| *byte == b';');
    out.reserve(sent.len() + FIELD_BYTES);
    if fields().any(|field| is(field, SELF)) {
        for (index, field) in fields().enumerate() {
            if index > 0 {
                out.push(b';');
            }
            if is(field, SELF) {
                write_field(out, SELF, fresh);
            } else {
                out.extend_from_slice(field);
            }
        }
        return;
    }
    let has_root = fields().any(|field| is(field, ROOT));
    write_field(out, if has_root { SELF } else { ROOT }, fresh);
    if !sent.is_empty() {
        out.push(b';');
        out.extend_from_slice(sent);
    }
}

/// What a field with a new id takes, and what parts it from the next one.
const FIELD_BYTES: usize = "Root=1-67891233-abcdef012345678912345678;".len();

const ROOT: &[u8] = b"Root=";
const SELF: &[u8] = b"Self=";

/// Whether a field is the one that begins so.
fn is(field: &[u8], key: &[u8]) -> bool {
    field.trim_ascii_start().starts_with(key)
}

/// Appends a field with a new id: version 1, the seconds as 8 digits, the bytes as 24.
fn write_field(out: &mut Vec<u8>, key: &[u8], fresh: Fresh) {
    // They fit until 2106.
    let seconds = u32::try_from(fresh.since_epoch.as_secs()).unwrap_or(u32::MAX);
    out.extend_from_slice(key);
    out.extend_from_slice(b"1-");
    out.extend_from_slice(digits::hex(seconds.to_be_bytes()).as_flattened());
    out.push(b'-');
    out.extend_from_slice(digits::hex(fresh.random).as_flattened());
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Fresh = Fresh {
        since_epoch: Duration::from_millis(0x6740_a1b0 * 1_000 + 999),
        random: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67],
    };
    const ID: &str = "1-6740a1b0-0123456789abcdef01234567";

    fn written(sent: Option<&str>) -> String {
        let mut out = Vec::new();
        write(&mut out, sent.map(str::as_bytes), FRESH);
        String::from_utf8(out).unwrap()
    }

    /// `alb-contract.md`, section 6.1: "Absent => Root added. Root present => `Self=...;Root=...` with Self
    /// put first, other fields kept in place. Self present => Self updated."
    #[test]
    fn a_trace_begins_here_or_goes_on() {
        for (sent, expected) in [
            (None, "Root=ID"),
            (Some(""), "Root=ID"),
            (Some("Root=1-a-b"), "Self=ID;Root=1-a-b"),
            (Some("A=b;Root=1-a-b;C=d"), "Self=ID;A=b;Root=1-a-b;C=d"),
            (Some("Root=1-a-b; A=b; "), "Self=ID;Root=1-a-b; A=b; "),
            (Some("Self=1-c-d;Root=1-a-b"), "Self=ID;Root=1-a-b"),
            (Some("A=b;Self=1-c-d;Root=1-a-b;C=d"), "A=b;Self=ID;Root=1-a-b;C=d"),
            (Some("Root=1-a-b; Self=1-c-d"), "Root=1-a-b;Self=ID"),
            (Some("Self=1-c-d"), "Self=ID"),
            (Some("Self=1;Root=1-a-b;Self=2"), "Self=ID;Root=1-a-b;Self=ID"),
            // Fields of applications alone.
            (Some("CalledFrom=app"), "Root=ID;CalledFrom=app"),
            (Some("NoRoot=a;Myself=b"), "Root=ID;NoRoot=a;Myself=b"),
        ] {
            assert_eq!(written(sent), expected.replace("ID", ID), "{sent:?}");
        }
    }

    /// "Headers over 7 KB => header rewritten with just a Root."
    #[test]
    fn a_header_over_7_kb_is_replaced_by_a_root() {
        let of =
            |bytes: usize| format!("Root=1-a-b;X={}", "x".repeat(bytes - "Root=1-a-b;X=".len()));
        assert_eq!(written(Some(&of(7 * 1_024))), format!("Self={ID};{}", of(7 * 1_024)));
        assert_eq!(written(Some(&of(7 * 1_024 + 1))), format!("Root={ID}"));
    }

    #[test]
    fn seconds_have_8_digits_for_ever() {
        for (seconds, expected) in
            [(0, "00000000"), (1, "00000001"), (0xffff_ffff, "ffffffff"), (1 << 32, "ffffffff")]
        {
            let mut out = Vec::new();
            let since_epoch = Duration::from_secs(seconds);
            write(&mut out, None, Fresh { since_epoch, ..FRESH });
            assert_eq!(out, format!("Root=1-{expected}-0123456789abcdef01234567").as_bytes());
        }
    }
}
