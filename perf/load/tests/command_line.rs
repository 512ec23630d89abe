//! The program as its users run it, against TLS servers made for each test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::{fs, thread};

type Ca = CertifiedIssuer<'static, KeyPair>;
type Stream = StreamOwned<ServerConnection, TcpStream>;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A CA, with files of a client in a directory that is gone at the end.
struct Pki {
    directory: PathBuf,
    ca: Ca,
}

impl Pki {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("portcullis-load-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("clients")).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { directory, ca };
        fs::write(pki.path("ca.crt"), pki.ca.pem()).unwrap();
        for client in ["clients/a", "clients/b", "other"] {
            let (certificate, key) = pki.issue();
            fs::write(pki.path(&format!("{client}.crt")), certificate.pem()).unwrap();
            fs::write(pki.path(&format!("{client}.key")), key.serialize_pem()).unwrap();
        }
        pki
    }

    fn issue(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.ca).unwrap(), key)
    }

    fn path(&self, file: &str) -> String {
        self.directory.join(file).to_str().unwrap().to_owned()
    }

    /// A server that asks for certificates of `clients`, and has `answer` answer connection number so much.
    fn serve(
        &self,
        clients: &Ca,
        answer: impl Fn(u64, &mut Stream) + Send + Sync + 'static,
    ) -> SocketAddr {
        let mut roots = RootCertStore::empty();
        roots.add(clients.der().clone()).unwrap();
        let (certificate, key) = self.issue();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (config, answer) = (Arc::new(config), Arc::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for (number, socket) in (0..).zip(listener.incoming()) {
                let (config, answer) = (Arc::clone(&config), Arc::clone(&answer));
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut stream = StreamOwned::new(connection, socket.unwrap());
                    while read_request(&mut stream) {
                        answer(number, &mut stream);
                    }
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        address
    }

    /// Runs the program against a server, as all clients.
    fn load(&self, address: SocketAddr, more: &[&str]) -> (Output, Value) {
        let json = self.path("load.json");
        let (address, ca, clients) =
            (address.to_string(), self.path("ca.crt"), self.path("clients"));
        let known = ["--connect", &address, "--server-name", "localhost", "--json", &json];
        let output = run(&[&known[..], &["--ca", &ca, "--clients", &clients], more].concat());
        let told = fs::read(&json).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap());
        (output, told.unwrap_or_default())
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether there was one more.
fn read_request(stream: &mut Stream) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.extend(byte),
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

fn send(stream: &mut Stream, answer: &str) {
    stream.write_all(answer.as_bytes()).unwrap();
    stream.flush().unwrap();
    if answer.contains("Connection: close") {
        stream.sock.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-load"));
    command.arg("handshake").args(arguments).output().unwrap()
}

/// The one sentence of a run that measured nothing.
fn sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}

#[test]
fn every_connection_is_counted_in_a_closed_loop() {
    let pki = Pki::new();
    let address = pki.serve(&pki.ca, |_, stream| send(stream, OK));
    let more = ["--count", "20", "--concurrency", "3", "--requests", "2", "--threads", "2"];
    let (output, told) = pki.load(address, &more);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((&told["done"], &told["failed"]), (&20.into(), &0.into()));
    assert_eq!(told["pace"]["concurrency"], 3);
    assert_eq!(told["clients"], 2);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("20 done") && table.contains("99 %"), "{table}");
}

/// The first answer waits for the twentieth connection, which an open loop begins whatever became of the
/// first: at 100 a second it is due after 190 ms. (Less 20 ms, for a machine that mixes up neighbours.)
#[test]
fn a_server_that_stalls_cannot_hide_from_an_open_loop() {
    let pki = Pki::new();
    let both = Barrier::new(2);
    let address = pki.serve(&pki.ca, move |number, stream| {
        // Connection 0 is the attempt that is made first of all.
        if number == 1 || number == 20 {
            both.wait();
        }
        send(stream, OK);
    });
    let (output, told) = pki.load(address, &["--count", "20", "--rate", "100"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(told["done"], 20);
    assert!(told["latency_us"]["max"].as_f64().unwrap() >= 170_000.0, "{told}");
}

#[test]
fn failures_are_counted_by_kind_and_show_in_the_exit_status() {
    let pki = Pki::new();
    let address = pki.serve(&pki.ca, |number, stream| match number % 3 {
        0 => send(stream, OK),
        1 => send(stream, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        _ => send(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhi"),
    });
    let (output, told) = pki.load(address, &["--count", "30", "--concurrency", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((&told["done"], &told["failed"]), (&10.into(), &20.into()));
    assert_eq!(told["failures"], serde_json::json!({"closed": 10, "status 503": 10}));
}

#[test]
fn whoever_is_refused_at_once_is_told_the_alert() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let address = pki.serve(&stranger.ca, |_, stream| send(stream, OK));
    let (output, told) = pki.load(address, &["--count", "5"]);
    let text = sentence(&output);
    assert!(text.contains("refused the first attempt: alert "), "{text}");
    assert_eq!(told, Value::Null);
}

#[test]
fn what_cannot_be_used_is_named_in_one_sentence() {
    let pki = Pki::new();
    let address = pki.serve(&pki.ca, |_, stream| send(stream, OK)).to_string();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (ca, crt, key) = (pki.path("ca.crt"), pki.path("clients/a.crt"), pki.path("clients/b.key"));
    let other = pki.path("other.crt");
    let known = ["--ca", ca.as_str(), "--server-name", "localhost", "--connect"];
    let cases: [(&[&str], &str); 6] = [
        (&[&nobody], "nobody listens there"),
        (&[&address, "--cert", &crt, "--key", &key], "not usable with its key"),
        (&[&address, "--cert", "/nowhere", "--key", &key], "/nowhere: no certificates in it"),
        (&[&address, "--group", "P256"], "there are X25519"),
        (&[&address, "--clients", "/"], "no NAME.crt with its NAME.key in it"),
        (&["localhost"], "--connect localhost"),
    ];
    for (more, expected) in cases {
        let text = sentence(&run(&[&known[..], more].concat()));
        assert!(text.contains(expected), "{text}");
    }
    let wrong_ca = ["--ca", &other, "--server-name", "localhost", "--connect", &address];
    let text = sentence(&run(&wrong_ca));
    assert!(text.contains("does not come from --ca"), "{text}");
    let wrong_name = ["--ca", &ca, "--server-name", "example.com", "--connect", &address];
    assert!(sentence(&run(&wrong_name)).contains("is not for example.com"));
}

#[test]
fn a_bad_option_ends_with_status_2() {
    for options in
        [&["--rate", "0"][..], &["--count", "0"], &["--path", "x"], &["--ca", "/nowhere"]]
    {
        let output = run(&[&["--connect", "127.0.0.1:1"], options].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!output.stderr.is_empty());
    }
}
