//! The server name in a ClientHello, read before TLS begins, so that the name alone chooses the policy.
//!
//! Pure. It never judges: what is no ClientHello goes to rustls' `Acceptor` for the right alert, and
//! never to a handshake.
//! Whenever rustls accepts a ClientHello, the name here is the name there; the tests hold the two
//! against each other. A connection calls [`server_name`] after each recv, with all bytes so far, and
//! [`alert`] when no ClientHello comes of them.
//!
//! Bounds: `limits::CLIENT_HELLO_BYTES_MAX`, record headers included. Until the ClientHello is whole a
//! call walks record headers only; it copies (once) only a ClientHello of several records.
//! Source: RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3.
#![deny(clippy::indexing_slicing)]
use super::names;
use crate::limits::CLIENT_HELLO_BYTES_MAX;
use rustls::server::Acceptor;
use rustls_pki_types::ServerName;
use std::borrow::Cow;
use std::cmp::Ordering;

/// What the first bytes of a connection say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Peeked {
    /// The ClientHello is not whole yet.
    NeedMore,
    /// It is whole and names this server (lower case, no trailing dot), or none.
    Hello(Option<String>),
    /// No ClientHello will come of this (rustls says why), or it is over
    /// `limits::CLIENT_HELLO_BYTES_MAX`.
    ///
    /// Where names choose the policy, such bytes must never reach a handshake: rustls' connections
    /// forgive what its `Acceptor` and this module do not (a warning alert ahead of the ClientHello),
    /// so a client could shake hands under the policy of another name. Send [`alert`] and close.
    NotHello,
}

/// Reads the server name from everything received so far.
pub fn server_name(received: &[u8]) -> Peeked {
    let within = received.get(..CLIENT_HELLO_BYTES_MAX).unwrap_or(received);
    match handshake_message(within) {
        Message::Whole(hello) => hello_name(&hello).map_or(Peeked::NotHello, Peeked::Hello),
        Message::NeedMore if within.len() < CLIENT_HELLO_BYTES_MAX => Peeked::NeedMore,
        Message::NeedMore | Message::Odd => Peeked::NotHello,
    }
}

/// The alert record for bytes that [`server_name`] calls [`Peeked::NotHello`]: rustls' own where it has
/// one, else `decode_error`.
pub fn alert(received: &[u8]) -> Vec<u8> {
    /// Type alert, TLS 1.2 as the record version, two bytes: fatal, decode_error.
    const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];
    let mut rest = received;
    let mut acceptor = Acceptor::default();
    let mut record = Vec::new();
    while matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(_)) => break,
            Err((_, mut alert)) => {
                // Writing to memory does not fail; if it did, the record below stands in.
                let _ = alert.write_all(&mut record);
                break;
            }
        }
    }
    if record.is_empty() { DECODE_ERROR.to_vec() } else { record }
}

/// The first handshake message of a connection.
enum Message<'a> {
    NeedMore,
    /// A ClientHello, without its header.
    Whole(Cow<'a, [u8]>),
    Odd,
}

/// Joins the fragments of the first handshake message.
fn handshake_message(received: &[u8]) -> Message<'_> {
    let mut header = [0; 4];
    let mut joined_bytes = 0;
    for (index, fragment) in fragments(received).enumerate() {
        let Ok(fragment) = fragment else { return Message::Odd };
        for (slot, byte) in header.iter_mut().skip(joined_bytes).zip(fragment) {
            *slot = *byte;
        }
        joined_bytes += fragment.len();

        let [kind, length @ ..] = header;
        if kind != HANDSHAKE_CLIENT_HELLO {
            return Message::Odd;
        }
        if joined_bytes < header.len() {
            continue;
        }
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length > MESSAGE_BYTES_MAX {
            return Message::Odd;
        }
        match joined_bytes.cmp(&(header.len() + length)) {
            Ordering::Less => {}
            Ordering::Equal => return Message::Whole(body(received, index + 1, header.len())),
            // RFC 8446, section 5.1: keys may change after a ClientHello, so its record ends with it.
            Ordering::Greater => return Message::Odd,
        }
    }
    // Fragments end without a whole message: at an incomplete record.
    Message::NeedMore
}

/// The bytes of the first `count` fragments after `skipped` bytes.
fn body(received: &[u8], count: usize, skipped: usize) -> Cow<'_, [u8]> {
    let mut whole = fragments(received).take(count).flatten();
    match (count, whole.next()) {
        (1, Some(only)) => Cow::Borrowed(only.get(skipped..).unwrap_or_default()),
        (_, first) => {
            let bytes = first.into_iter().chain(whole).flatten().skip(skipped);
            Cow::Owned(bytes.copied().collect())
        }
    }
}

/// A record that cannot be part of a ClientHello.
struct OddRecord;

/// The payloads of whole records; ends at one that is not whole yet, or after an odd one.
fn fragments(received: &[u8]) -> impl Iterator<Item = Result<&[u8], OddRecord>> {
    let mut rest = Reader(received);
    let mut fragment = move || {
        let [kind, version, _] = rest.array()?;
        let length = usize::from(rest.u16()?);
        // rustls takes any minor version, and record lengths below 2^14 + 2,048.
        let plausible = kind == RECORD_HANDSHAKE && version == 3;
        if !plausible || !(1..RECORD_BYTES_END).contains(&length) {
            return Some(Err(OddRecord));
        }
        rest.take(length).map(Ok)
    };
    let mut ended = false;
    std::iter::from_fn(move || {
        let next = if ended { None } else { fragment() };
        ended = !matches!(next, Some(Ok(_)));
        next
    })
}

/// The name in a ClientHello: the outer `None` when it is malformed.
fn hello_name(hello: &[u8]) -> Option<Option<String>> {
    let mut hello = Reader(hello);
    let _version_and_random: [u8; 2 + 32] = hello.array()?;
    let _session_id = hello.vec8()?;
    let _cipher_suites = hello.vec16()?;
    let _compression_methods = hello.vec8()?;
    let mut extensions = Reader(hello.vec16()?);
    hello.end()?;

    let mut found = None;
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.vec16()?;
        if kind != EXTENSION_SERVER_NAME {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some(extension_name(content)?);
    }
    Some(found.flatten())
}

/// The name in a server_name extension: the outer `None` when it is malformed.
fn extension_name(content: &[u8]) -> Option<Option<String>> {
    let mut content = Reader(content);
    let mut list = Reader(content.vec16()?);
    content.end()?;

    let mut found = None;
    while !list.is_empty() {
        // Entries of other kinds have no known length, so nothing after one can be read.
        if list.u8()? != NAME_HOST_NAME {
            break;
        }
        let host_name = list.vec16()?;
        // RFC 6066, section 3: at most one name of a kind.
        if found.is_some() {
            return None;
        }
        found = Some(host(host_name)?);
    }
    found
}

/// A host name in normal form; rustls takes an IP address (which RFC 6066 forbids) as no name.
fn host(bytes: &[u8]) -> Option<Option<String>> {
    if let Ok(name) = ServerName::try_from(bytes) {
        let ServerName::DnsName(name) = name else { return Some(None) };
        return Some(Some(names::normal(name.as_ref())?.into_owned()));
    }
    None
}

/// Reads from the front; each method is `None` when the bytes do not suffice, and then reads nothing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Bytes behind their length in one byte.
    fn vec8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// Bytes behind their length in two bytes.
    fn vec16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

const RECORD_HANDSHAKE: u8 = 22;
/// One above the longest record that rustls takes.
const RECORD_BYTES_END: usize = (1 << 14) + 2_048;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
/// The longest handshake message that rustls takes.
const MESSAGE_BYTES_MAX: usize = 0xffff;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_HOST_NAME: u8 = 0;

#[cfg(test)]
mod tests;
