//! Whoever gets something wrong is told what, in one sentence.
use crate::pki::Pki;
use crate::program::{load, load_as_clients, run, sentence};
use crate::secure_server::{OK, send, serve};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

#[test]
fn whoever_is_refused_at_once_is_told_the_alert() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let address = serve(&pki, Some(&stranger.ca), |_, stream| send(stream, OK));
    for work in ["handshake", "requests", "swap"] {
        let refused = load_as_clients(&pki, work, address, &["--count", "5"]);
        let text = sentence(&refused.output);
        assert!(text.contains("refused the first attempt: alert unknown_ca"), "{text}");
        assert_eq!(refused.told, Value::Null);
    }
    let text = sentence(&load(&pki, "handshake", address, &[]).output);
    assert!(text.contains("alert certificate_required"), "{text}");
}

#[test]
fn what_cannot_be_used_is_named_in_one_sentence() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let (ca, crt, key) = (pki.path("ca.crt"), pki.path("clients/a.crt"), pki.path("clients/b.key"));
    let known = ["handshake", "--ca", ca.as_str(), "--server-name", "localhost", "--connect"];
    let cases: [(&[&str], &str); 12] = [
        (&["127.0.0.1:1"], "nobody listens there"),
        (&[&address, "--cert", &crt, "--key", &key], "not usable with its key"),
        (&[&address, "--cert", "/nowhere", "--key", &key], "/nowhere: no certificates in it"),
        (&[&address, "--pfx", &crt, "--password-env", "PATH"], "not a PFX file"),
        (&[&address, "--group", "P256"], "there are X25519"),
        (
            &[&address, "--cipher", "TLS13_AES_128_GCM_SHA256", "--tls", "1.2"],
            "none of these ciphers",
        ),
        (&[&address, "--clients", "/"], "no NAME.crt with its NAME.key in it"),
        (&[&address, "--body-bytes", "1"], "a GET has none"),
        (&[&address, "--rate", "1", "--concurrency", "1"], "no --concurrency"),
        (&[&address, "--path", "/nowhere", "--expect", "404"], "with status 200"),
        (&[&address, "--source", "192.0.2.1"], "--source 192.0.2.1: "),
        (
            &["localhost", "--connect-to", &address],
            "for '--connect <HOST:PORT>': expected a name or an address with a port",
        ),
    ];
    for (more, expected) in cases {
        let text = sentence(&run(&[&known[..], more].concat()));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_certificate_of_the_server_that_is_another_ones_is_told() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let (ca, other) = (pki.path("ca.crt"), pki.path("clients/a.crt"));
    let known = ["handshake", "--connect", &address, "--server-name"];
    let text = sentence(&run(&[&known[..], &["localhost", "--ca", &other]].concat()));
    assert!(text.contains("does not come from --ca"), "{text}");
    let text = sentence(&run(&[&known[..], &["example.com", "--ca", &ca]].concat()));
    assert!(text.contains("is not for example.com"), "{text}");
}

#[test]
fn a_server_without_what_is_asked_for_is_told() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let text = sentence(&load(&pki, "requests", address, &["--http2-streams", "1"]).output);
    assert!(text.contains("does not speak HTTP/2"), "{text}");

    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    thread::spawn(move || {
        for socket in plain.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4_096]);
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let text = sentence(&load(&pki, "handshake", address, &[]).output);
    assert!(text.contains("does not speak TLS"), "{text}");
}

/// The tickets of nginx are off, and it keeps no sessions for TLS 1.3.
#[test]
fn a_server_that_gives_no_tickets_is_told() {
    let pki = Pki::new();
    let nginx = crate::nginx::Nginx::start(&pki, "ssl_session_tickets off; ssl_session_cache off;");
    let more = ["--resume", "50", "--tls", "1.2"];
    let text = sentence(&load(&pki, "handshake", nginx.address, &more).output);
    assert!(text.contains("gives no session tickets"), "{text}");
}

#[test]
fn a_bad_option_is_told_in_one_sentence() {
    let cases: [(&[&str], &str); 12] = [
        (&["--rate", "0"], "expected 0.001 to 10,000,000 a second"),
        (&["--count", "0"], "invalid value '0' for '--count <N>'"),
        (&["--path", "x"], "a path begins with /"),
        (&["--ca", "/nowhere"], "cannot be used with"),
        (&["--resume", "101"], "101 is not in 0..=100"),
        (&["--source", "127.0.0.9-127.0.0.1"], "expected addresses A-B"),
        (&["--header", "x"], "Name: value"),
        (&["--header", "Content-Length: 1"], "written by the load itself"),
        (&["--tls", "1.1"], "possible values: 1.3, 1.2"),
        (&["--outstanding", "5"], "--rate <N>"),
        (&["--client-ca", "x"], "--client-ca-key <FILE>"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
    ];
    for (options, expected) in cases {
        let known = ["handshake", "--connect", "127.0.0.1:1", "--insecure"];
        let text = sentence(&run(&[&known[..], options].concat()));
        assert!(text.starts_with("portcullis-load: ") && text.contains(expected), "{text}");
    }
    for command in
        [&["swap", "--run", "true"][..], &["idle"], &["requests", "--http2-streams", "0"]]
    {
        sentence(&run(&[command, &["--connect", "127.0.0.1:1", "--insecure"]].concat()));
    }
    assert!(sentence(&run(&["handshake"])).contains("--connect <HOST:PORT>"));
}
