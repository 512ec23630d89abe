#![allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]

use super::*;
use crate::tls::fixture::{BOTH, Ca, Key, client, listener, plain_client};
use crate::tls::{policy, verifier::Ask};
use rustls::crypto::aws_lc_rs;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::sync::{Arc, OnceLock};

/// What rustls says to the same bytes, in our words.
fn rustls_says(received: &[u8]) -> Peeked {
    let mut rest = received;
    let mut acceptor = Acceptor::default();
    while matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let name = hello.server_name().map(|name| name.strip_suffix('.').unwrap_or(name));
                return Peeked::Hello(name.map(str::to_owned));
            }
            Err(_) => return Peeked::NotHello,
        }
    }
    Peeked::NeedMore
}

/// The property that the module promises. Returns whether rustls accepts.
fn agree(received: &[u8], what: &str) -> bool {
    let theirs = rustls_says(received);
    let accepted = matches!(theirs, Peeked::Hello(_));
    let ours = server_name(received);
    if accepted {
        assert_eq!(ours, theirs, "{what}: {received:02x?}");
    } else if matches!(ours, Peeked::Hello(_)) {
        // Looser than the `Acceptor` is fine as long as a connection refuses it too.
        let mut connection = ServerConnection::new(any_config()).unwrap();
        let mut rest = received;
        let mut ended = Ok(());
        while ended.is_ok() && matches!(connection.read_tls(&mut rest), Ok(1..)) {
            ended = connection.process_new_packets().map(drop);
        }
        assert!(ended.is_err(), "{what}: {received:02x?}");
    }
    accepted
}

fn any_config() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let make = || {
        let leaf = Ca::new(Key::P256).issue(Key::P256, &["a.example"]);
        listener(policy::DEFAULT, &leaf, Ask::No)
    };
    CONFIG.get_or_init(make).clone()
}

fn hello_of(config: ClientConfig, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// ClientHellos of rustls' clients, with the name that each should give.
fn real_hellos() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let ca = Ca::new(Key::P256);
    let of = |versions| client(&ca, aws_lc_rs::default_provider(), versions, None);
    let mut nameless = plain_client(&ca);
    nameless.enable_sni = false;
    let mut large = plain_client(&ca);
    // Over several records: 2^14 bytes are one.
    large.alpn_protocols = (0..200).map(|index| vec![index; 200]).collect();
    let mut tickets = plain_client(&ca);
    tickets.resumption = rustls::client::Resumption::in_memory_sessions(4);
    vec![
        ("both versions", hello_of(of(BOTH), "a.example"), Some("a.example")),
        ("TLS 1.2", hello_of(of(&[&TLS12]), "a.example"), Some("a.example")),
        ("TLS 1.3", hello_of(of(&[&TLS13]), "b.example"), Some("b.example")),
        ("upper case", hello_of(of(BOTH), "A.Example"), Some("a.example")),
        ("trailing dot", hello_of(of(BOTH), "a.example."), Some("a.example")),
        ("one label", hello_of(of(BOTH), "localhost"), Some("localhost")),
        ("address", hello_of(of(BOTH), "192.0.2.1"), None),
        ("no name", hello_of(nameless, "a.example"), None),
        ("large", hello_of(large, "large.example"), Some("large.example")),
        ("tickets", hello_of(tickets, "a.example"), Some("a.example")),
    ]
}

/// The handshake message in some records, without their headers.
fn joined(records: &[u8]) -> Vec<u8> {
    fragments(records).flat_map(|fragment| fragment.ok().unwrap().to_vec()).collect()
}

/// The same message in records of at most `bytes`.
fn records(message: &[u8], bytes: usize) -> Vec<u8> {
    message.chunks(bytes).flat_map(record).collect()
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[RECORD_HANDSHAKE, 3, 1], &length[..], payload].concat()
}

#[test]
fn names_of_real_clients_are_read() {
    for (what, hello, name) in real_hellos() {
        assert_eq!(server_name(&hello), Peeked::Hello(name.map(str::to_owned)), "{what}");
        assert!(agree(&hello, what), "{what}");
    }
}

/// Goal: no split hides the name. Source: CVE-2026-32305; rustls' RUSTSEC-2024-0399.
#[test]
fn every_split_into_records_and_segments_agrees() {
    for (what, hello, name) in real_hellos() {
        if hello.len() > 4_096 {
            continue;
        }
        let message = joined(&hello);
        for bytes in [1, 2, 3, 4, 5, 7, 100, 512, 16_384] {
            let split = records(&message, bytes);
            assert!(agree(&split, what), "{what} in records of {bytes}");
            // Every prefix of a short one; of a long one a sample that meets each place in a record.
            let step = if split.len() < 2_000 { 1 } else { 37 };
            for length in (0..split.len()).step_by(step) {
                let peeked = server_name(&split[..length]);
                assert_eq!(peeked, Peeked::NeedMore, "{what}: {length} in records of {bytes}");
            }
            let whole = Peeked::Hello(name.map(str::to_owned));
            assert_eq!(server_name(&split), whole, "{what} in records of {bytes}");
            // What follows in records of its own is not looked at.
            let more = [&split[..], &[23, 3, 3, 0, 1, 0]].concat();
            assert_eq!(server_name(&more), whole, "{what}");
            assert!(agree(&more, what));
        }
    }
}

/// A ClientHello taken apart, to put odd extensions in.
struct Parts {
    /// Up to the extensions.
    head: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Parts {
    fn of(hello: &[u8]) -> Self {
        let message = joined(hello);
        let mut reader = Reader(&message[4..]);
        reader.take(34).unwrap();
        reader.vec8().unwrap();
        reader.vec16().unwrap();
        reader.vec8().unwrap();
        let head = message[4..message.len() - reader.0.len()].to_vec();
        let mut list = Reader(reader.vec16().unwrap());
        let mut extensions = Vec::new();
        while !list.is_empty() {
            extensions.push((list.u16().unwrap(), list.vec16().unwrap().to_vec()));
        }
        Self { head, extensions }
    }

    fn assemble(&self) -> Vec<u8> {
        let list: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(kind, content)| [&kind.to_be_bytes()[..], &vec16(content)].concat())
            .collect();
        let body = [&self.head[..], &vec16(&list)].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        records(&[&[HANDSHAKE_CLIENT_HELLO], &length[1..], &body].concat(), 16_384)
    }
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

fn entry(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], &vec16(name)[..]].concat()
}

/// Goal: each form of a server_name extension gets what rustls makes of it.
/// Source: RFC 6066, section 3.
#[test]
fn odd_name_extensions_agree_with_rustls() {
    let long = [b'a'; 64];
    let one = |name: &[u8]| vec16(&entry(0, name));
    let two = |a: &[u8], b: &[u8]| vec16(&[a, b].concat());
    let named = |name: &str| Peeked::Hello(Some(name.to_owned()));
    let table = [
        (one(b"a.example"), named("a.example")),
        (one(b"A.EXAMPLE."), named("a.example")),
        (one(b"_a.example"), named("_a.example")),
        (one(b"xn--exmple-cua.com"), named("xn--exmple-cua.com")),
        (one(b"192.0.2.1"), Peeked::Hello(None)),
        (one(b"2001:db8::1"), Peeked::Hello(None)),
        (two(&entry(0, b"a.example"), &entry(7, b"x")), named("a.example")),
        (two(&entry(0, b"a.example"), b"\x07"), named("a.example")),
        (two(&entry(0, b"a.example"), &entry(0, b"b.example")), Peeked::NotHello),
        (two(&entry(0, b"192.0.2.1"), &entry(0, b"b.example")), Peeked::NotHello),
        (two(&entry(7, b"x"), &entry(0, b"a.example")), Peeked::NotHello),
        (one(b""), Peeked::NotHello),
        (one(b"."), Peeked::NotHello),
        (one(b"a..example"), Peeked::NotHello),
        (one(b"a.example.."), Peeked::NotHello),
        (one(b"*.example"), Peeked::NotHello),
        (one(b"a.example\0"), Peeked::NotHello),
        (one(b"a.example\0.b.example"), Peeked::NotHello),
        (one(b"a b"), Peeked::NotHello),
        (one(b"\xc3\xa4.example"), Peeked::NotHello),
        (one(b"a.example:443"), Peeked::NotHello),
        (one(b"[2001:db8::1]"), Peeked::NotHello),
        (one(&long), Peeked::NotHello),
        (vec16(b""), Peeked::NotHello),
        (Vec::new(), Peeked::NotHello),
        (vec![0], Peeked::NotHello),
        ([one(b"a.example"), vec![0]].concat(), Peeked::NotHello),
        (vec16(&entry(0, b"a.example")[..6]), Peeked::NotHello),
    ];
    let (_, hello, _) = real_hellos().remove(0);
    for (content, expected) in table {
        let mut parts = Parts::of(&hello);
        let extension = parts.extensions.iter_mut().find(|one| one.0 == 0).unwrap();
        extension.1 = content.clone();
        let bytes = parts.assemble();
        assert_eq!(server_name(&bytes), expected, "{content:02x?}");
        assert_eq!(rustls_says(&bytes), expected, "{content:02x?}");
    }
}

#[test]
fn two_name_extensions_are_no_hello() {
    let (_, hello, _) = real_hellos().remove(0);
    let mut parts = Parts::of(&hello);
    let second = (0, vec16(&entry(0, b"b.example")));
    parts.extensions.insert(0, second);
    let bytes = parts.assemble();
    assert_eq!(server_name(&bytes), Peeked::NotHello);
    assert_eq!(rustls_says(&bytes), Peeked::NotHello);
}

/// Numbers from a seed (xorshift64*), so that a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end.max(1)
    }
}

/// Goal: extensions in any order, repeated, unknown, with names of any kind: where rustls accepts, the
/// name agrees. Method: valid frames around random content, so that many are accepted.
#[test]
fn rearranged_hellos_agree_with_rustls() {
    let names: [&[u8]; 8] = [
        b"a.example",
        b"B.Example",
        b"c.example.",
        b"192.0.2.1",
        b"*.d",
        b"",
        b"e\0.example",
        b"_f",
    ];
    let hellos = real_hellos();
    let mut random = Random(0x5eed_0001);
    let mut accepted = 0;
    for round in 0..4_000 {
        let (what, hello, _) = &hellos[random.below(hellos.len())];
        let mut parts = Parts::of(hello);
        // A pre-shared key must come last; leave the others to be shuffled.
        for index in 0..parts.extensions.len().saturating_sub(1) {
            let other = index + random.below(parts.extensions.len() - index);
            parts.extensions.swap(index, other);
        }
        parts.extensions.retain(|one| one.0 != 0);
        for _ in 0..[0, 1, 1, 1, 1, 1, 2][random.below(7)] {
            let count = [1, 1, 1, 1, 1, 0, 2][random.below(7)];
            let entries: Vec<u8> = (0..count)
                .flat_map(|_| {
                    let kind = [0, 0, 0, 0, 0, 0, 1, 255][random.below(8)];
                    entry(kind, names[random.below(names.len())])
                })
                .collect();
            let at = random.below(parts.extensions.len() + 1);
            parts.extensions.insert(at, (0, vec16(&entries)));
        }
        if random.below(3) == 0 {
            let unknown =
                (u16::try_from(0xfe00 + random.below(200)).unwrap(), vec![0; random.below(9)]);
            let at = random.below(parts.extensions.len() + 1);
            parts.extensions.insert(at, unknown);
        }
        let message = joined(&parts.assemble());
        let split = records(&message, 1 + random.below(message.len().min(16_384)));
        accepted += usize::from(agree(&split, &format!("{what}, round {round}")));
    }
    assert!(accepted > 1_000, "only {accepted} were accepted");
}

/// Goal: arbitrary damage never makes the two disagree, nor the reader panic.
#[test]
fn damaged_hellos_agree_with_rustls() {
    let hellos: Vec<_> = real_hellos().into_iter().filter(|hello| hello.1.len() < 4_096).collect();
    let mut random = Random(0x5eed_0002);
    let mut accepted = 0;
    for round in 0..20_000 {
        let (what, hello, _) = &hellos[random.below(hellos.len())];
        let mut bytes = match random.below(3) {
            0 => records(&joined(hello), 1 + random.below(64)),
            _ => hello.clone(),
        };
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(6) {
                0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes[at] = bytes[at].wrapping_add(1),
                3 => drop(bytes.remove(at)),
                4 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
                _ => bytes.truncate(at.max(1)),
            }
        }
        accepted += usize::from(agree(&bytes, &format!("{what}, round {round}")));
    }
    assert!(accepted > 1_000, "only {accepted} were accepted");
}

#[test]
fn other_protocols_are_no_hello() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"SSH-2.0-OpenSSH",
        // A record of SSL 2, of another major version, an alert, an empty record, one too long.
        &[0x80, 0x2e, 1, 3, 1],
        &[22, 2, 0, 0, 4],
        &[21, 3, 1, 0, 2, 1, 0],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0x48, 0],
        // Another handshake message, one over 2^16, one with bytes of a next message behind it.
        &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        &[22, 3, 1, 0, 4, 1, 1, 0, 0],
        &[22, 3, 1, 0, 5, 1, 0, 0, 0, 0],
        // An empty ClientHello.
        &[22, 3, 1, 0, 4, 1, 0, 0, 0],
    ] {
        assert_eq!(server_name(bytes), Peeked::NotHello, "{bytes:02x?}");
        assert_eq!(rustls_says(bytes), Peeked::NotHello, "{bytes:02x?}");
        let sent = alert(bytes);
        assert_eq!((sent[0], sent[5], sent.len()), (21, 2, 7), "{bytes:02x?}: {sent:02x?}");
    }
    assert_eq!(server_name(&[]), Peeked::NeedMore);
}

#[test]
fn a_record_between_fragments_is_no_hello() {
    let (_, hello, _) = real_hellos().remove(0);
    let message = joined(&hello);
    for between in [&[20, 3, 3, 0, 1, 1][..], &[21, 3, 3, 0, 2, 1, 0], &[23, 3, 3, 0, 1, 0]] {
        let bytes = [&record(&message[..40]), between, &record(&message[40..])].concat();
        assert_eq!(server_name(&bytes), Peeked::NotHello);
        assert!(!agree(&bytes, "interleaved"));
    }
}

/// Why [`Peeked::NotHello`] must not reach a handshake: rustls' connections pass a warning alert over,
/// so the name behind it would be served under the policy of no name.
#[test]
fn rustls_connections_take_what_is_no_hello_here() {
    let ca = Ca::new(Key::P256);
    let leaf = ca.issue(Key::P256, &["a.example"]);
    let config = listener(policy::DEFAULT, &leaf, Ask::No);
    let warning = [21, 3, 3, 0, 2, 1, 90];
    let bytes = [&warning[..], &hello_of(plain_client(&ca), "a.example")].concat();

    assert_eq!(server_name(&bytes), Peeked::NotHello);
    assert_eq!(rustls_says(&bytes), Peeked::NotHello);
    let mut connection = ServerConnection::new(config.clone()).unwrap();
    connection.read_tls(&mut &bytes[..]).unwrap();
    connection.process_new_packets().unwrap();
    assert_eq!(connection.server_name(), Some("a.example"));

    let mut connection = UnbufferedServerConnection::new(config).unwrap();
    let mut incoming = bytes.clone();
    let status = connection.process_tls_records(&mut incoming);
    assert!(matches!(status.state, Ok(ConnectionState::EncodeTlsData(_))));

    assert_eq!(alert(&bytes)[..3], [21, 3, 3]);
}

/// Goal: the bound, at the limit and one above. Method: records that never make a message whole.
#[test]
fn a_hello_over_its_limit_is_no_hello() {
    let message = [&[HANDSHAKE_CLIENT_HELLO, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
    for bytes in [1, 16_384] {
        let split = records(&message, bytes);
        let below = &split[..CLIENT_HELLO_BYTES_MAX - 1];
        assert_eq!(server_name(below), Peeked::NeedMore, "records of {bytes}");
        for length in [CLIENT_HELLO_BYTES_MAX, CLIENT_HELLO_BYTES_MAX + 1, split.len()] {
            let peeked = server_name(&split[..length]);
            assert_eq!(peeked, Peeked::NotHello, "{length} in records of {bytes}");
        }
    }
    assert_eq!(alert(&records(&message, 1)[..CLIENT_HELLO_BYTES_MAX]), [21, 3, 3, 0, 2, 2, 50]);
}

#[test]
fn the_largest_hello_is_read() {
    let (_, hello, _) = real_hellos().remove(0);
    let mut parts = Parts::of(&hello);
    let rest = CLIENT_HELLO_BYTES_MAX - parts.assemble().len() - 4 - 3 * 5;
    // Ahead of the name, so that all of it must be walked.
    parts.extensions.insert(0, (0xfe00, vec![0; rest]));
    let bytes = parts.assemble();
    assert_eq!(bytes.len(), CLIENT_HELLO_BYTES_MAX);
    // rustls' `Acceptor` buffers one byte less than this; its unbuffered connection has no such bound.
    assert_eq!(server_name(&bytes), Peeked::Hello(Some("a.example".to_owned())));
}

/// The second ClientHello after a HelloRetryRequest cannot name another server, so one peek suffices.
#[test]
fn the_name_cannot_change_after_a_retry() {
    use rustls::crypto::aws_lc_rs::kx_group;
    let ca = Ca::new(Key::P256);
    let leaf = ca.issue(Key::P256, &["a.example", "b.example"]);
    let config = listener("ELBSecurityPolicy-TLS13-1-3-2021-06", &leaf, Ask::No);
    let mut provider = aws_lc_rs::default_provider();
    // The group that is offered with a key share is none of the policy's.
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::SECP256R1];
    let client = client(&ca, provider, &[&TLS13], None);
    let name = ServerName::try_from("a.example").unwrap();
    let mut first = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    let mut bytes = Vec::new();
    first.write_tls(&mut bytes).unwrap();
    server.read_tls(&mut &bytes[..]).unwrap();
    server.process_new_packets().unwrap();
    let mut retry = Vec::new();
    server.write_tls(&mut retry).unwrap();
    first.read_tls(&mut &retry[..]).unwrap();
    first.process_new_packets().unwrap();
    let mut second = Vec::new();
    first.write_tls(&mut second).unwrap();
    // The second hello follows a change_cipher_spec record.
    let hello = second.strip_prefix(&[20, 3, 3, 0, 1, 1][..]).unwrap();
    let mut parts = Parts::of(hello);
    let extension = parts.extensions.iter_mut().find(|one| one.0 == 0).unwrap();
    extension.1 = vec16(&entry(0, b"b.example"));
    server.read_tls(&mut &parts.assemble()[..]).unwrap();
    let error = server.process_new_packets().unwrap_err();
    let differed = rustls::PeerMisbehaved::ServerNameDifferedOnRetry;
    assert_eq!(error, rustls::Error::PeerMisbehaved(differed));
}
