//! What an operator sees: the connection log, the metrics, the status.
use crate::support::client::{connect, tls_config};
use crate::support::log_lines::ATHENA_CONNECTION;
use crate::support::node::{named, piece};
use crate::support::{Client, Node, Setup, Target, tools, wait};
use regex::Regex;
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;

/// What our fields look like within that: the time, and everything from the handshake's latency on.
const OURS: &str = concat!(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z .* ",
    r#"(-|\d+\.\d{3}) "[^"]*" \S+ \S+ \S+ TID_[0-9a-f]{32} \S+ app/edge/[0-9a-f]{16} 127\.0\.0\.1$"#
);

fn configuration(target: &Target) -> String {
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target.entry()]),
        "load_balancer: {name: edge}\nlisteners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
        piece::http("plain", ""),
    ]
    .concat()
}

fn node(target: &Target, format: &'static str) -> Node {
    Node::with(Setup { format, shards: 2, ..Setup::default() }, &configuration(target))
}

/// One accepted client, one refused, one that speaks no TLS, one over plain HTTP; the local port of
/// each.
fn four_connections(node: &Node) -> [u16; 4] {
    let (https, plain) = (node.address("https"), node.address("plain"));
    let mut ports = [0; 4];
    for (index, client) in ["good", "expired"].into_iter().enumerate() {
        let name = ServerName::try_from("api.example.com").unwrap();
        let tls = ClientConnection::new(tls_config(Some(client)), name).unwrap();
        let socket = connect(https);
        ports[index] = socket.local_addr().unwrap().port();
        let mut client = Client::on(StreamOwned::new(tls, socket));
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.until_closed();
        node.log_line(index);
    }
    for (index, address) in [(2, https), (3, plain)] {
        let mut socket = connect(address);
        ports[index] = socket.local_addr().unwrap().port();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        Client::on(socket).until_closed();
        node.log_line(index);
    }
    ports
}

#[test]
fn the_connection_log_is_as_athena_reads_it() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let ports = four_connections(&node);
    let (athena, ours) = (&ATHENA_CONNECTION, Regex::new(OURS).unwrap());
    let lines = node.log();
    let good = "CN=device-17,O=Example,ST=Oslo,C=NO";
    let (https, plain) = (node.address("https").port(), node.address("plain").port());
    let expected = [
        (https, "TLSv1.3", good, "03A5B1", "Success"),
        (https, "TLSv1.3", "CN=device-20,O=Example,ST=Oslo,C=NO", "", "Failed:ClientCertExpired"),
        (https, "-", "-", "-", "Failed:UnmappedConnectionError"),
        (plain, "-", "-", "-", "-"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for ((line, port), (listener, protocol, subject, serial, status)) in
        lines.iter().zip(ports).zip(expected)
    {
        let fields = athena.captures(line).unwrap_or_else(|| panic!("Athena cannot read {line}"));
        assert!(ours.is_match(line), "{line}");
        assert_eq!(&fields[2], "127.0.0.1");
        assert_eq!(fields[3], port.to_string());
        assert_eq!(fields[4], listener.to_string());
        assert_eq!(&fields[5], protocol, "{line}");
        assert_eq!(&fields[6] == "-", protocol == "-", "{line}");
        assert_eq!(&fields[7] != "-", status == "Success", "{line}");
        assert_eq!(&fields[8], subject, "{line}");
        let validity = fields[9].starts_with("NotBefore=") && fields[9].contains(";NotAfter=");
        assert_eq!(validity, subject != "-", "{line}");
        assert!(serial.is_empty() || &fields[10] == serial, "{line}");
        assert_eq!(&fields[11], status, "{line}");
        let rest: Vec<&str> = fields[13].split_whitespace().collect();
        assert_eq!(rest.len(), 3, "15 fields: {line}");
        assert_eq!(rest[0] == "-", protocol == "-", "{line}");
    }
    // The default policy is a post-quantum one, and rustls clients offer the hybrid group.
    assert!(lines[0].contains(" X25519MLKEM768 "), "{}", lines[0]);
}

#[test]
fn the_json_log_says_more() {
    let target = Target::named("hello");
    let node = node(&target, "json");
    four_connections(&node);
    let lines: Vec<Value> =
        node.log().iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let statuses = ["Success", "Failed:ClientCertExpired", "Failed:UnmappedConnectionError"];
    for (line, status) in lines.iter().zip(statuses) {
        assert_eq!(line["tls_verify_status"], status, "{line}");
        assert_eq!(line["listener"], "https", "{line}");
        assert_eq!(line["generation"], 1, "{line}");
    }
    let text = lines[0].to_string();
    assert!(text.contains("api.example.com"), "the server name: {text}");
    assert_eq!(lines[3]["listener"], "plain");
}

#[test]
fn the_metrics_are_clean_for_prometheus() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    four_connections(&node);
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 200);
    let accepted = ["listener=\"https\""];
    node.metric_becomes("portcullis_connections_accepted_total", &accepted, 3.0);
    let page = node.page("/metrics");
    let ended = tools::run("promtool", &["check", "metrics"], page.as_bytes());
    assert_eq!((ended.code, ended.said().trim()), (Some(0), ""), "{page}");
    // Series of an enum label start at zero.
    for outcome in ["success", "timed_out", "ClientCertCrlHit", "ClientCertMissing"] {
        let series = format!("listener=\"https\",outcome=\"{outcome}\"");
        assert!(page.contains(&series), "{series} in\n{page}");
    }
    assert!((node.metric("portcullis_generation", &[]) - 1.0).abs() < 0.1);
    // 2 January 2085.
    let expiry = node.metric("portcullis_certificate_expiry_timestamp_seconds", &["\"ecdsa\""]);
    assert!((expiry - 3_629_232_000.0).abs() < 1.0, "{expiry}");
    let entries = node.metric("portcullis_trust_store_revoked_entries", &["\"partners\""]);
    assert!((entries - 1.0).abs() < 0.1, "{entries}");
    assert!(page.contains("\nportcullis_panics_total 0\n"), "{page}");
}

#[test]
fn nothing_that_a_client_sends_becomes_a_label() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let mut client = Client::plain(node.address("plain"));
    for index in 0..20 {
        client.ask(&format!(
            "NEEDLE{index} /needle{index}?needle HTTP/1.1\r\nHost: needle{index}\r\n\
             User-Agent: needle\r\nX-Needle: needle\r\n\r\n"
        ));
    }
    let name = ServerName::try_from("needle.example.com").unwrap();
    let tls = ClientConnection::new(tls_config(Some("good")), name).unwrap();
    let mut client = Client::on(StreamOwned::new(tls, connect(node.address("https"))));
    let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let labels = ["listener=\"plain\"", "status_class=\"2xx\""];
    node.metric_becomes("portcullis_http_responses_total", &labels, 20.0);
    let page = node.page("/metrics");
    assert!(!page.to_lowercase().contains("needle"), "{page}");
    assert!(!page.contains("127.0.0.1"), "{page}");
}

#[test]
fn the_series_of_what_was_removed_are_gone_within_a_minute() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    four_connections(&node);
    node.metric_becomes("portcullis_connections_accepted_total", &["\"plain\""], 1.0);
    let left = [
        "target_groups: [{name: others, protocol: HTTP, targets: []}]\n".to_owned(),
        "listeners:\n".to_owned(),
        piece::http("other", "").replace("target_group: targets", "target_group: others"),
    ];
    node.configure(&left.concat());
    node.reload();
    wait::within(Duration::from_secs(60), "the series to be gone", || {
        let page = node.page("/metrics");
        let names = ["\"plain\"", "\"https\"", "\"targets\"", "\"partners\"", "\"ecdsa\""];
        (!names.iter().any(|name| page.contains(name))).then_some(())
    });
    assert!(node.page("/metrics").contains("listener=\"other\""));
}

#[test]
fn the_metrics_listener_is_read_only_and_survives_garbage() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/status", 200), ("/absent", 404)] {
        assert_eq!(node.probe(path), Some(status), "{path}");
    }
    let generation = node.generation();
    for method in ["POST", "PUT", "DELETE"] {
        for path in ["/status", "/reload", "/drain", "/metrics"] {
            let mut client = Client::plain(node.metrics_address());
            let answer = client
                .ask(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.head);
        }
    }
    for garbage in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", &[b'x'; 100_000]] {
        let mut client = Client::plain(node.metrics_address());
        let _ = client.try_send(garbage);
        drop(client);
    }
    assert_eq!(node.generation(), generation);
    assert_eq!(node.probe("/readyz"), Some(200));
}

#[test]
fn a_log_that_was_moved_away_goes_on_under_its_name_after_a_reload() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    four_connections(&node);
    let log = node.path("connection.log");
    let moved = node.path("connection.log.1");
    std::fs::rename(&log, &moved).expect("moves");
    node.reload();
    four_connections(&node);
    assert_eq!(node.log().len(), 4);
    assert_eq!(std::fs::read_to_string(&moved).expect("reads").lines().count(), 4);
}

#[test]
fn status_names_everything_that_is_live() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let status = node.status();
    assert_eq!(status["generation"], 1, "{status}");
    assert_eq!(status["shards"].as_array().map(Vec::len), Some(2), "{status}");
    for (list, names) in [
        ("listeners", &["https", "plain"][..]),
        ("trust_stores", &["partners"]),
        ("certificates", &["ecdsa", "rsa"]),
        ("target_groups", &["targets"]),
    ] {
        for name in names {
            assert!(!named(&status[list], name).is_null(), "{list} {name}: {status}");
        }
    }
    assert!(status["warnings"].is_array(), "{status}");
    let store = named(&status["trust_stores"], "partners").to_string();
    assert!(store.contains("2085") && store.contains("2080"), "CA expiry, next update: {store}");
    // No secret of ours.
    assert!(!status.to_string().contains("PRIVATE KEY"), "{status}");
}
