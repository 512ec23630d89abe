//! Swaps of bundle, revocation list, certificate and configuration under a steady load: each flips
//! one client's verdict, and the clients that stay trusted lose not one request.
use crate::support::client::{handshake, tls_config, tls_config_for};
use crate::support::node::piece;
use crate::support::stop::StopOnDrop;
use crate::support::{Client, Node, Setup, Target, long, pki};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Swaps in all: every fourth is of the same kind.
fn swaps() -> usize {
    if long() { 10_000 } else { 1_000 }
}

/// What is swapped, and the client whose verdict it flips.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The stranger's root is in or out: `untrusted`.
    Bundle,
    /// The serial number is on the list or not: `revoked`.
    List,
    /// The server's certificate is of the tests' root, or of the stranger's: a client that trusts the
    /// stranger alone gets in or not.
    Certificate,
    /// Expiry is ignored or not: `expired`.
    Configuration,
}

const KINDS: [Kind; 4] = [Kind::Bundle, Kind::List, Kind::Certificate, Kind::Configuration];

/// The second listener has the certificate that is swapped, so that the load's clients trust theirs.
fn configuration(target: &Target, ignore_expiry: bool) -> String {
    [
        format!(
            "certificates:\n  - {{name: ecdsa, chain: {}, key: {}}}\n  \
             - {{name: swapped, chain: swapped.crt, key: swapped.key}}\n",
            pki().path("server-ecdsa.crt"),
            pki().path("server-ecdsa.key")
        ),
        "trust_stores:\n  - {name: partners, ca_certificates_bundle: partners.pem, \
         revocations: [partners.crl]}\n"
            .to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https(
            "https",
            &piece::verify(&format!("ignore_client_certificate_expiry: {ignore_expiry}")),
        ),
        piece::https("other", "certificates: [swapped]"),
    ]
    .concat()
}

/// The load: what it did, and what went wrong.
#[derive(Debug, Default)]
struct Load {
    stop: AtomicBool,
    requests: AtomicUsize,
    connections: AtomicUsize,
    failures: AtomicUsize,
}

impl Load {
    fn keep_alive(&self, address: SocketAddr, config: &Arc<ClientConfig>) {
        let mut client = Client::tls(address, "localhost", config);
        while !self.stop.load(Ordering::Relaxed) {
            let request = "GET /kept HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let answer = client.try_send(request).and_then(|()| client.try_answer("GET"));
            match answer {
                Ok(answer) if answer.status == 200 => {
                    self.requests.fetch_add(1, Ordering::Relaxed);
                }
                failure => {
                    eprintln!("kept connection: {:?}", failure.map(|answer| answer.head));
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    client = Client::tls(address, "localhost", config);
                }
            }
        }
    }

    fn new_connections(&self, address: SocketAddr, config: &Arc<ClientConfig>) {
        while !self.stop.load(Ordering::Relaxed) {
            if !gets_in(address, config) {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One connection, one request, whether it was served.
fn gets_in(address: SocketAddr, config: &Arc<ClientConfig>) -> bool {
    let mut stream = handshake(address, "localhost", config);
    let request = b"GET /new HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    let served = stream.write_all(request).and_then(|()| stream.read_to_end(&mut answer));
    // What counts is the answer: a close without close_notify is an end too.
    let _ = served;
    answer.starts_with(b"HTTP/1.1 200")
}

#[test]
fn swaps_under_load_flip_one_client_each_and_fail_nobody_else() {
    let target = Target::named("hello");
    let stranger_server = pki().stranger.issue(crate::support::pki::Leaf::server(&["localhost"]));
    let own = (pki().read("server-ecdsa.crt"), pki().read("server-ecdsa.key"));
    let bundle = pki().read("partners.pem");
    let files = [
        ("partners.pem", bundle.as_str()),
        ("partners.crl", &pki().read("naming.crl")),
        ("swapped.crt", &own.0),
        ("swapped.key", &own.1),
    ];
    let setup = Setup { shards: 2, ..Setup::default() };
    let node = Node::with_files(setup, &configuration(&target, false), &files);
    let (address, other) = (node.address("https"), node.address("other"));
    let client = |name, root, version| Arc::new(tls_config_for(name, root, &[version]));
    let versions = [&TLS12, &TLS13];
    let flipping = versions.map(|version| {
        [
            client(Some("untrusted"), "root.crt", version),
            client(Some("revoked"), "root.crt", version),
            client(None, "stranger.crt", version),
            client(Some("expired"), "root.crt", version),
        ]
    });
    let load = Load::default();
    thread::scope(|scope| {
        for (name, new) in [("good", false), ("good-rsa", false), ("good", true)] {
            let (load, config) = (&load, tls_config(Some(name)));
            scope.spawn(move || match new {
                true => load.new_connections(address, &config),
                false => load.keep_alive(address, &config),
            });
        }
        // The load must end when an assertion fails, or the scope would wait for it for ever.
        let _stop = StopOnDrop(&load.stop);
        let mut trusted = [false; KINDS.len()];
        for swap in 0..swaps() {
            let kind = swap % KINDS.len();
            trusted[kind] = !trusted[kind];
            let now = trusted[kind];
            match KINDS[kind] {
                Kind::Bundle => {
                    let stranger = if now { pki().read("stranger.crt") } else { String::new() };
                    node.write("partners.pem", &(bundle.clone() + &stranger));
                }
                Kind::List => {
                    let serials: &[&[u8]] = if now { &[] } else { &[&[0x22]] };
                    node.write("partners.crl", &pki().issuing.crl(serials));
                }
                Kind::Certificate => {
                    let stranger = (&stranger_server.certificate, &stranger_server.key);
                    let (crt, key) = if now { stranger } else { (&own.0, &own.1) };
                    node.write("swapped.key", key);
                    node.write("swapped.crt", crt);
                }
                Kind::Configuration => node.configure(&configuration(&target, now)),
            }
            node.reload();
            // After the answer nothing is judged by an older generation: the very next attempt tells.
            for configs in &flipping {
                let to = if matches!(KINDS[kind], Kind::Certificate) { other } else { address };
                let case = format!("swap {swap}, {:?} to {now}", KINDS[kind]);
                assert_eq!(gets_in(to, &configs[kind]), now, "{case}");
            }
        }
    });
    assert_eq!(load.failures.load(Ordering::Relaxed), 0, "{load:?}");
    assert!(load.requests.load(Ordering::Relaxed) > swaps(), "{load:?}");
    assert!(load.connections.load(Ordering::Relaxed) > swaps() / 4, "{load:?}");
    assert!(node.generation() > swaps() as u64, "{}", node.generation());
    node.assert_no_panic();
}
