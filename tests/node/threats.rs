//! Attacks that took down or fooled others of this kind, live against a node. `tests/threats.md` maps each
//! known one to the test that catches it; most stand where their subject is, the rest stands here.
use crate::support::client::{connect, is_late, tls_config, tls_config_for, tls_config_with};
use crate::support::node::piece;
use crate::support::pki::{Issued, value};
use crate::support::pkits::pem;
use crate::support::tools::{self, Identity, Tls, s_client};
use crate::support::{Client, Node, Setup, Target, pki, wait};
use crate::tickets::BOUND;
use rustls::ClientConnection;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::ServerName;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A warning alert that says close_notify, in the clear.
const CLOSE_NOTIFY: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];

fn configuration(target: &Target) -> String {
    [
        piece::certificates(),
        "trust_stores: [{name: partners, ca_certificates_bundle: partners.pem, \
         revocations: [naming.crl]}]\n"
            .to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &format!("handshake_timeout_ms: 10000\n{}", piece::verify(""))),
        piece::https("bound", &piece::verify(BOUND)),
        piece::http("plain", ""),
    ]
    .concat()
}

fn node(target: &Target) -> Node {
    node_with(&configuration(target))
}

/// One that does not wait long for who is silent.
fn impatient_node(target: &Target) -> Node {
    node_with(&(piece::idle_timeout(5) + &configuration(target)))
}

fn node_with(configuration: &str) -> Node {
    let (bundle, list) = (pki().read("partners.pem"), pki().read("naming.crl"));
    let files = [("partners.pem", bundle.as_str()), ("naming.crl", list.as_str())];
    Node::with_files(Setup::default(), configuration, &files)
}

/// A handshake of TLS 1.2 with a client certificate, as the records that the client sends: the hello, then
/// those of its second flight. The node has read the hello, and waits.
fn second_flight(stream: &mut TcpStream) -> Vec<Vec<u8>> {
    let config = Arc::new(tls_config_for(Some("good"), "root.crt", &[&TLS12]));
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut client = ClientConnection::new(config, name).expect("the configuration is whole");
    client.write_tls(stream).expect("the node reads");
    while !client.wants_write() {
        client.read_tls(stream).expect("the node answers");
        client.process_new_packets().expect("the node speaks TLS");
    }
    let mut flight = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut flight).expect("memory can be written");
    }
    let mut records = Vec::new();
    while flight.len() > 5 {
        let length = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
        records.push(flight.drain(..length).collect());
    }
    records
}

/// Goal: an end that comes early ends the connection and costs nothing after it (RUSTSEC-2024-0336).
/// Method: close_notify before the hello, after it, and after each record of the second flight; the client
/// keeps its socket open. rustls takes it for an end only behind a handshake; before that the deadline of
/// the handshake is what ends the connection, and until then it uses no CPU.
#[test]
fn close_notify_at_every_step_of_a_handshake_ends_it_and_leaves_the_shard_idle() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let mut streams = Vec::new();
    let mut before = connect(address);
    before.write_all(&CLOSE_NOTIFY).expect("the node reads");
    streams.push(("before the hello".to_owned(), before));
    for version in [&TLS12, &TLS13] {
        let mut stream = connect(address);
        let config = Arc::new(tls_config_for(None, "root.crt", &[version]));
        let name = ServerName::try_from("localhost").expect("it is a name");
        let mut client = ClientConnection::new(config, name).expect("the configuration is whole");
        client.write_tls(&mut stream).expect("the node reads");
        stream.write_all(&CLOSE_NOTIFY).expect("the node reads");
        streams.push((format!("after the hello of {version:?}"), stream));
    }
    let steps = second_flight(&mut connect(address)).len();
    assert!(steps >= 5, "certificate, key exchange, proof, change of ciphers, end: {steps}");
    for step in 0..steps {
        let mut stream = connect(address);
        for record in &second_flight(&mut stream)[..step] {
            stream.write_all(record).expect("the node reads");
        }
        stream.write_all(&CLOSE_NOTIFY).expect("the node reads");
        streams.push((format!("after {step} records of the second flight"), stream));
    }
    // Served by the one shard behind all of them: it has read what they sent.
    let mut client = Client::tls(address, "localhost", &tls_config(Some("good")));
    assert_eq!(client.get("/").status, 200);
    let used = node.metric("process_cpu_seconds_total", &[]);
    for (step, stream) in &mut streams {
        let mut rest = Vec::new();
        // A reset is an end too; what is not one is a read that times out.
        let in_vain = stream.read_to_end(&mut rest).is_err_and(|error| is_late(&error));
        assert!(!in_vain, "{step}: still open");
    }
    // Whoever spins does so from its alert to the deadline, about ten seconds.
    let used = node.metric("process_cpu_seconds_total", &[]) - used;
    assert!(used < 1.0, "{used} s of CPU until the last of them had ended");
}

/// CVE-2009-3555, CVE-2011-1473. The answer (`no_renegotiation`) goes out with the next that is written, here
/// the end of the idle connection.
#[test]
fn a_client_cannot_renegotiate() {
    let target = Target::named("hello");
    let node = impatient_node(&target);
    let address = node.address("https").to_string();
    let (crt, key) = (pki().path("good.crt"), pki().path("good.key"));
    let arguments = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        "localhost",
        "-tls1_2",
        "-cert",
        &crt,
        "-cert_chain",
        &crt,
        "-key",
        &key,
        "-legacy_renegotiation",
    ];
    // `R` in a line of its own makes openssl ask.
    let ended = tools::run("openssl", &arguments, b"R\n");
    assert!(ended.said().contains("RENEGOTIATING"), "{}", ended.said());
    assert!(ended.said().contains("no renegotiation"), "{}", ended.said());
    let success = ["listener=\"https\"", "outcome=\"success\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &success, 1.0);
    assert_eq!(node.log().len(), 1);
}

/// CVE-2026-34873. openssl sends a key share for its first group, which the node does not know, and gets a
/// HelloRetryRequest. What a session is worth where there are some is tested in `tickets.rs`.
#[test]
fn a_hello_that_is_retried_is_judged_as_one_that_is_not_and_leaves_no_session() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let retried = ["-servername", "localhost", "-groups", "X448:P-256", "-msg"];
    for (identity, gets_in) in
        [(Identity::Pem("good"), true), (Identity::None, false), (Identity::Pem("revoked"), false)]
    {
        let ended = s_client(address, identity, Tls::V13, &retried, request);
        let hellos = ended.stdout.matches("ClientHello").count();
        assert_eq!(hellos, 2, "it is retried: {}", ended.stdout);
        assert_eq!(ended.stdout.contains("HTTP/1.1 200"), gets_in, "{identity:?}");
    }
    // openssl writes the file when it is given a ticket.
    for (listener, is_kept) in [("https", false), ("bound", true)] {
        let session = node.path(listener);
        let name = session.to_str().expect("the path is UTF-8");
        let more = [&retried[..], &["-sess_out", name]].concat();
        let ended =
            s_client(node.address(listener), Identity::Pem("good"), Tls::V13, &more, request);
        assert!(ended.stdout.contains("HTTP/1.1 200"), "{}", ended.said());
        assert_eq!(session.exists(), is_kept, "{listener}: {}", ended.said());
    }
}

#[test]
fn a_chain_of_a_hundred_certificates_is_refused_and_a_handshake_of_a_mebibyte_ends() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let chain = |count: usize| Issued {
        certificate: pki().read("good.crt") + &pki().issuing.pem().repeat(count),
        key: pki().read("good.key"),
    };
    // 100 of them are within the bytes of a chain, and more than a path may have; 2,500 are a mebibyte.
    for (count, told) in [(100, " Failed:ClientCertMaxChainDepthExceeded "), (2_500, " Failed:")] {
        let mut client = Client::tls(address, "localhost", &tls_config_with(&chain(count)));
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(client.try_answer("GET").is_err(), "{count} certificates");
        let index = usize::from(count > 100);
        let line = node.log_line(index);
        assert!(line.contains(told), "{line}");
    }
    assert!(target.so_far().is_empty());
    let mut client = Client::tls(address, "localhost", &tls_config(Some("good")));
    assert_eq!(client.get("/").status, 200);
    node.assert_no_panic();
}

/// CVE-2025-49812. RFC 2817.
#[test]
fn an_upgrade_to_tls_within_a_plain_connection_is_not_taken() {
    let target = Target::named("hello");
    let node = node(&target);
    for method in ["GET", "OPTIONS"] {
        let mut client = Client::plain(node.address("plain"));
        let answer = client.ask(&format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{method}: {}", answer.head);
        assert!(answer.values("Upgrade").is_empty(), "{}", answer.head);
        let received = target.received();
        assert!(received.values("Upgrade").is_empty(), "{}", received.head);
        assert!(!received.head.to_lowercase().contains("tls/1.0"), "{}", received.head);
    }
}

/// Revocation files that are made to hurt, and what each is told. Sizes are such that a test of a debug build is quick; the limits
/// themselves are tested where the reader is.
fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let pem = |der: &[u8]| pem("X509 CRL", der).into_bytes();
    let nested = (0..10_000).fold(Vec::new(), |inner: Vec<u8>, _| {
        if inner.len() < 60_000 { value(0x30, &inner) } else { inner }
    });
    let indefinite = pem(&[0x30, 0x80].repeat(1 << 20));
    let mut longer_than_it_is = pki().read("naming.crl").into_bytes();
    longer_than_it_is.truncate(longer_than_it_is.len() / 2);
    vec![
        ("nested ten thousand deep", pem(&nested), ": a signature algorithm expected"),
        ("indefinite lengths, a million deep", indefinite, NO_LIST),
        ("a length of 4 GiB", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30, 0x82], NO_LIST),
        ("cut off", longer_than_it_is, "the block has no END line"),
        ("zeros", vec![0; 32 << 20], "holds no revocation list, neither PEM nor DER"),
        (
            "30 MiB of blocks that never end",
            b"-----BEGIN X509 CRL-----\nAAAA\n".repeat(1 << 20),
            "another block begins before this one ends",
        ),
        ("wrong tag", pem(&value(0x31, &[5, 0])), NO_LIST),
    ]
}

/// What the reader of DER says of what does not even begin as a list.
const NO_LIST: &str = "malformed at byte 0: a revocation list expected";

/// What a node that serves a few clients may grow by, in KiB.
const NOISE_KIB: u64 = 8 * 1024;

/// Goal: a bad list is a fault and nothing more. Method: one after the other, while a client asks on. A file
/// may take three times its size while it is read, and nothing once it is refused.
#[test]
fn revocation_lists_made_to_hurt_are_faults_while_clients_are_served() {
    let target = Target::named("hello");
    let node = node(&target);
    let config = tls_config(Some("good"));
    let mut kept = Client::tls(node.address("https"), "localhost", &config);
    let mut serves = |what: &str| {
        assert_eq!(kept.get("/").status, 200, "{what}");
        let mut new = Client::tls(node.address("https"), "localhost", &config);
        assert_eq!(new.get("/").status, 200, "{what}");
    };
    // What a first load and first clients take for good is taken before the measurement.
    node.reload();
    serves("before");
    let generation = node.generation();
    let before = node.resident_kib();
    for (what, bytes, fault) in bombs() {
        std::fs::write(node.path("naming.crl"), &bytes).expect("the directory can be written");
        node.forget_most_resident();
        std::thread::scope(|scope| {
            let reload = scope.spawn(|| node.reload_refused());
            serves(what);
            while !reload.is_finished() {
                serves(what);
            }
            let told = reload.join().expect("the reload is refused");
            assert!(told.contains("naming.crl") && told.contains(fault), "{what}: {told}");
        });
        let most = node.most_resident_kib().saturating_sub(before);
        let file = bytes.len() as u64 / 1024;
        assert!(most < 3 * file + NOISE_KIB, "{what}: {most} KiB for a file of {file} KiB");
        assert_eq!(node.generation(), generation, "{what}");
    }
    node.write("naming.crl", &pki().read("naming.crl"));
    node.reload();
    assert!(node.generation() > generation);
    let grown = node.resident_kib().saturating_sub(before);
    assert!(grown < NOISE_KIB, "{grown} KiB");
    node.assert_no_panic();
}

/// HAProxy CVE-2021-40346: a name of 256 characters more than another was taken for that other one.
#[test]
fn a_header_name_of_any_length_is_itself() {
    let target = Target::named("hello");
    let node = node(&target);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for more in [1, 255, 256, 257, 1_024, 4_096] {
        let name = format!("Content-Length0{}", "a".repeat(more));
        let length = smuggled.len();
        let mut client = Client::plain(node.address("plain"));
        let answer = client.ask(&format!(
            "POST /first HTTP/1.1\r\nHost: a\r\n{name}:\r\nContent-Length: {length}\r\n\r\n{smuggled}"
        ));
        assert_eq!(answer.status, 200, "{more}");
        let received = target.received();
        assert_eq!(received.body, smuggled.as_bytes(), "{more}");
        assert_eq!(received.value(&name), "");
        assert_eq!(client.get("/second").status, 200);
        assert_eq!(target.received().request_line(), "GET /second HTTP/1.1");
    }
}

/// Envoy CVE-2026-73511, -73551, -73553. A path that is put in order here and again by its target might come to
/// mean another.
#[test]
fn a_path_reaches_its_target_byte_for_byte() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut http1 = Client::plain(node.address("plain"));
    let paths = [
        "/a;b=c/..;/d",
        "/a/../b/./c",
        "//a//b/",
        "/%2e%2e/%2F/%252e",
        "/a?b=/../c;d",
        "/a%00b",
        "/A/%41/~/!$&'()*+,=:@",
    ];
    for path in paths {
        assert_eq!(http1.get(path).status, 200);
        assert_eq!(target.received().request_line(), format!("GET {path} HTTP/1.1"));
    }
}

/// CVE-2026-2833 and its kin, with a target that neither agrees nor refuses.
#[test]
fn an_upgrade_that_is_never_answered_lets_nothing_behind_it_through() {
    let behind = Arc::new(AtomicUsize::new(usize::MAX));
    let came = Arc::clone(&behind);
    let target = Target::with(move |_, stream| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        came.store(rest.len(), Ordering::Relaxed);
        crate::support::target::close()
    });
    let node = impatient_node(&target);
    let mut client = Client::plain(node.address("plain"));
    client.send(
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.answer().status, 504, "after the idle timeout");
    assert!(client.until_closed().is_empty());
    assert_eq!(target.received().request_line(), "GET /chat HTTP/1.1");
    assert!(target.so_far().is_empty());
    let count = wait::until("the target's end", || {
        Some(behind.load(Ordering::Relaxed)).filter(|count| *count < usize::MAX)
    });
    assert_eq!(count, 0);
}

/// Goal: the table stays true. Method: every test that it names is a function of this repository.
#[test]
fn every_test_that_the_table_of_threats_names_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("tests/threats.md")).expect("it is there");
    let mut source = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("it is a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                source.push_str(&std::fs::read_to_string(&path).expect("source is text"));
            }
        }
    }
    // Names of tests have at least three words; other words in backticks are options and limits.
    let named: Vec<&str> =
        table.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2).collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        assert!(source.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}
