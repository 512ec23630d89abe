//! `handshake`: new connections.
use crate::nginx::Nginx;
use crate::pki::Pki;
use crate::program::{load, load_as_clients, sentence};
use crate::secure_server::{OK, send, serve};
use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex};

#[test]
fn every_connection_is_counted_in_a_closed_loop() {
    let pki = Pki::new();
    let address = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK));
    let more = ["--count", "20", "--concurrency", "3", "--requests", "2", "--threads", "2"];
    let run = load_as_clients(&pki, "handshake", address, &more);
    let table = String::from_utf8(run.output.stdout.clone()).unwrap();
    assert!(table.contains("20 done") && table.contains("99 %"), "{table}");
    let told = run.success();
    assert_eq!((&told["done"], &told["clients"]), (&20.into(), &2.into()));
    assert_eq!(told["pace"]["concurrency"], 3);
    assert_eq!(told["handshakes"], serde_json::json!({"full": 20, "resumed": 0}));
    assert_eq!(told["received_bytes"], 20 * 2 * 2);
    assert!(told["handshake_us"]["p50"].as_f64() < told["latency_us"]["max"].as_f64());
}

/// The first answer waits for the twentieth connection, which an open loop begins whatever became of the
/// first: at 100 a second it is due after 190 ms. (Less 20 ms, for a machine that mixes up neighbours.)
#[test]
fn a_server_that_stalls_cannot_hide_from_an_open_loop() {
    let pki = Pki::new();
    let both = Barrier::new(2);
    let address = serve(&pki, None, move |request, stream| {
        // Connection 0 is the attempt that is made first of all.
        if request.connection == 1 || request.connection == 20 {
            both.wait();
        }
        send(stream, OK);
    });
    let told = load(&pki, "handshake", address, &["--count", "20", "--rate", "100"]).success();
    assert_eq!(told["done"], 20);
    assert!(told["latency_us"]["max"].as_f64().unwrap() >= 170_000.0, "{told}");
}

/// A hundred are due within a millisecond, in which not even one can be over.
#[test]
fn what_would_be_more_than_may_be_outstanding_is_counted() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let more = ["--count", "100", "--rate", "100000", "--outstanding", "4", "--threads", "1"];
    let told = load(&pki, "handshake", address, &more).failure();
    assert!(told["done"].as_u64().unwrap() >= 4, "{told}");
    assert!(told["failures"]["not begun"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(told["failures"].as_object().unwrap().len(), 1, "{told}");
}

#[test]
fn sessions_are_resumed_as_often_as_was_asked_for() {
    let pki = Pki::new();
    let address = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK));
    for (share, resumed) in [("0", 0), ("25", 50), ("100", 200)] {
        for version in ["1.3", "1.2"] {
            let more = ["--count", "200", "--resume", share, "--tls", version];
            let more = [&more[..], &["--concurrency", "4"]].concat();
            let told = load_as_clients(&pki, "handshake", address, &more).success();
            assert_eq!(told["negotiated"]["version"], format!("TLS {version}"));
            assert_eq!(told["handshakes"]["resumed"], resumed, "{told}");
        }
    }
}

#[test]
fn nginx_resumes_what_openssl_has_sealed() {
    let pki = Pki::new();
    let nginx = Nginx::start(&pki, "");
    let more = ["--count", "50", "--resume", "100", "--concurrency", "2"];
    let told = load_as_clients(&pki, "handshake", nginx.address, &more).success();
    assert_eq!(told["handshakes"]["resumed"], 50, "{told}");
}

#[test]
fn versions_groups_and_ciphers_are_those_that_were_asked_for() {
    let pki = Pki::new();
    let nginx = Nginx::start(&pki, "ssl_ecdh_curve X25519:prime256v1;");
    let chosen = |more: &[&str]| {
        let more = [more, &["--count", "1"]].concat();
        let told = load(&pki, "handshake", nginx.address, &more).success();
        ["version", "cipher", "group"]
            .map(|key| told["negotiated"][key].as_str().unwrap().to_owned())
    };
    let old = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    assert_eq!(chosen(&["--cipher", old, "--group", "secp256r1"]), ["TLS 1.2", old, "secp256r1"]);
    let new = "TLS13_AES_128_GCM_SHA256";
    let more = ["--cipher", new, "--tls", "1.3", "--group", "x25519,secp256r1"];
    assert_eq!(chosen(&more), ["TLS 1.3", new, "X25519"]);
}

#[test]
fn connections_go_where_they_are_told_to_and_come_from_where_they_should() {
    let pki = Pki::new();
    let (seen, come) = channel();
    let servers = ["one", "two"].map(|name| {
        let seen = Mutex::new(seen.clone());
        serve(&pki, None, move |request, stream| {
            let source = stream.sock.peer_addr().unwrap().ip().to_string();
            let name_asked = stream.conn.server_name().unwrap_or_default().to_owned();
            let host = request.head.contains("\r\nhost: localhost\r\n");
            seen.lock().unwrap().send((name, source, name_asked, host)).unwrap();
            send(stream, OK);
        })
    });
    // Nobody is asked for this address.
    let nowhere = "192.0.2.1:443".parse().unwrap();
    let [one, two] = servers.map(|address| address.to_string());
    let more = ["--connect-to", &one, "--connect-to", &two, "--source", "127.0.0.2-127.0.0.3"];
    let more = [&more[..], &["--count", "15", "--concurrency", "1"]].concat();
    load(&pki, "handshake", nowhere, &more).success();
    let come: Vec<_> = come.try_iter().collect();
    assert!(come.iter().all(|(.., asked, host)| asked == "localhost" && *host));
    for name in ["one", "two"] {
        assert_eq!(come.iter().filter(|(one, ..)| *one == name).count(), 8, "{come:?}");
    }
    for source in ["127.0.0.2", "127.0.0.3"] {
        assert_eq!(come.iter().filter(|(_, one, ..)| one == source).count(), 8, "{come:?}");
    }
}

#[test]
fn failures_are_counted_by_kind_and_show_in_the_exit_status() {
    let pki = Pki::new();
    let address = serve(&pki, None, |request, stream| match request.connection % 4 {
        0 => send(stream, OK),
        1 => send(stream, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        2 => send(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhi"),
        // Longer than a client waits.
        _ => drop(std::io::Read::read(stream, &mut [0])),
    });
    let more = ["--count", "8", "--concurrency", "4", "--timeout", "8"];
    let told = load(&pki, "handshake", address, &more).failure();
    assert_eq!(told["done"], 2);
    let expected = serde_json::json!({"closed": 2, "status 503": 2, "timeout": 2});
    assert_eq!(told["failures"], expected);
}

#[test]
fn an_alert_is_counted_by_its_name() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let good = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK));
    let bad = serve(&pki, Some(&stranger.ca), |_, stream| send(stream, OK));
    let (good, bad) = (good.to_string(), bad.to_string());
    let nowhere = "192.0.2.1:443".parse().unwrap();
    let more = ["--connect-to", &good, "--connect-to", &bad, "--count", "10", "--concurrency", "1"];
    let told = load_as_clients(&pki, "handshake", nowhere, &more).failure();
    // The first attempt of all went to the good one.
    assert_eq!(told["failures"], serde_json::json!({"alert unknown_ca": 5}), "{told}");
}

#[test]
fn threads_stay_on_the_cores_that_they_are_given() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let mine = rustix::thread::sched_getaffinity(None).unwrap();
    let cpu = (0..rustix::thread::CpuSet::MAX_CPU).find(|cpu| mine.is_set(*cpu)).unwrap();
    let more = ["--count", "4", "--cores", &cpu.to_string()];
    let told = load(&pki, "handshake", address, &more).success();
    assert_eq!(told["threads"], 1);
    let nobody = ["--count", "4", "--cores", "1023"];
    let text = sentence(&load(&pki, "handshake", address, &nobody).output);
    assert!(text.contains("CPU 1023"), "{text}");
}

#[test]
fn no_certificate_is_looked_at_where_it_is_not_wanted() {
    let address = serve(&Pki::new(), None, |_, stream| send(stream, OK)).to_string();
    let output =
        crate::program::run(&["handshake", "--connect", &address, "--insecure", "--count", "1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
