//! Everything is replaced while traffic flows: by command, by signal, and when a file changes.
use crate::support::client::{handshake, tls_config};
use crate::support::node::{named, piece, portcullis};
use crate::support::port::free_port;
use crate::support::tools::{Identity, Tls, curl_https, curl_was_refused};
use crate::support::{Client, Node, Setup, Target, client, pki, wait};
use rustix::process::Signal;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;

/// A `verify` listener whose trust files lie beside the configuration, under `trust/`.
fn configuration(target: &Target) -> String {
    [
        "certificates: [{name: ecdsa, chain: server.crt, key: server.key}]\n".to_owned(),
        "trust_stores:\n  - {name: partners, ca_certificates_bundle: trust/partners.pem, \
         revocations: [trust/partners.crl]}\n"
            .to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
        piece::http("plain", ""),
    ]
    .concat()
}

/// `trust` is a link to `..data`, which is a link to a directory, as Kubernetes mounts a volume.
fn node(target: &Target) -> Node {
    let scratch_files = [
        ("server.crt", pki().read("server-ecdsa.crt")),
        ("server.key", pki().read("server-ecdsa.key")),
    ];
    let files = scratch_files.each_ref().map(|(name, content)| (*name, content.as_str()));
    // The trust files must be there before the start: they come with the first configuration.
    let start = [piece::targets(&[]), "listeners:\n".to_owned(), piece::http("first", "")].concat();
    let node = Node::with_files(Setup { shards: 2, ..Setup::default() }, &start, &files);
    publish(&node, "version-1", &pki().read("naming.crl"));
    symlink("..data", node.path("trust")).unwrap();
    node.configure(&configuration(target));
    node.reload();
    node
}

/// Publishes a version of the trust files as Kubernetes does: a new directory, then one rename.
fn publish(node: &Node, version: &str, list: &str) {
    fs::create_dir(node.path(version)).unwrap();
    fs::write(node.path(version).join("partners.pem"), pki().read("partners.pem")).unwrap();
    fs::write(node.path(version).join("partners.crl"), list).unwrap();
    symlink(version, node.path("..data_tmp")).unwrap();
    fs::rename(node.path("..data_tmp"), node.path("..data")).unwrap();
}

fn gets_in(address: SocketAddr, client: &'static str) -> bool {
    let ended = curl_https(address, "localhost", Identity::Pem(client), Tls::V13, &[]);
    assert!(ended.code == Some(0) || curl_was_refused(&ended), "{}", ended.said());
    ended.code == Some(0)
}

#[test]
fn a_changed_file_becomes_live_however_it_is_changed() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let (empty, naming) = (pki().issuing.crl(&[]), pki().issuing.crl(&[&[0x22]]));
    let flips = |now, how| {
        wait::until(how, || (gets_in(address, "revoked") == now).then_some(()));
        assert!(gets_in(address, "good"), "{how}");
    };
    assert!(!gets_in(address, "revoked"));
    publish(&node, "version-2", &empty);
    flips(true, "the symlink swap of Kubernetes");
    fs::write(node.path("new.crl"), &naming).unwrap();
    fs::rename(node.path("new.crl"), node.path("version-2/partners.crl")).unwrap();
    flips(false, "a rename over the file");
    fs::write(node.path("version-2/partners.crl"), &empty).unwrap();
    flips(true, "writing in place");

    // The server's certificate and key, one after the other: the first alone does not fit.
    fs::write(node.path("server.key"), pki().read("server-rsa.key")).unwrap();
    fs::write(node.path("server.crt"), pki().read("server-rsa.crt")).unwrap();
    let expected = client::certificates(&pki().read("server-rsa.crt"));
    wait::until("the new certificate", || {
        let mut stream = handshake(address, "localhost", &tls_config(Some("good")));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        (stream.conn.peer_certificates().unwrap()[0] == expected[0]).then_some(())
    });

    node.configure(&(configuration(&target) + &piece::http("third", "")));
    wait::until("the new listener", || {
        (!named(&node.status()["listeners"], "third").is_null()).then_some(())
    });
    assert_eq!(Client::plain(node.address("third")).get("/").status, 200);
}

#[test]
fn a_half_written_file_never_becomes_live() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let file = node.path("version-1/partners.pem");
    // The stranger's root comes in; the first half ends within its certificate.
    let whole = pki().read("partners.pem") + &pki().read("stranger.crt");
    let (half, rest) = whole.split_at(whole.len() - 100);
    let old_serves = || {
        assert!(gets_in(address, "good"), "the old bundle serves on");
        assert!(!gets_in(address, "untrusted"));
    };

    // Somebody is still writing. Whoever asks for a reload now is told what is wrong.
    let mut writer = fs::File::create(&file).unwrap();
    writer.write_all(half.as_bytes()).unwrap();
    assert!(node.reload_refused().contains("partners.pem"));
    old_serves();
    writer.write_all(rest.as_bytes()).unwrap();
    drop(writer);
    wait::until("the whole to be live", || gets_in(address, "untrusted").then_some(()));

    // Somebody was cut off: the node looks at it and finds it wanting.
    fs::write(&file, pki().read("partners.pem")).unwrap();
    wait::until("the old bundle to be back", || (!gets_in(address, "untrusted")).then_some(()));
    let faulty = || node.metric("portcullis_reloads_total", &["outcome=\"faulty\""]);
    let before = faulty();
    fs::write(&file, half).unwrap();
    wait::until("the half to be refused", || (faulty() > before).then_some(()));
    old_serves();
    fs::write(&file, &whole).unwrap();
    wait::until("the whole to be live", || gets_in(address, "untrusted").then_some(()));
    assert!(gets_in(address, "good"));
}

#[test]
fn a_hangup_signal_reloads_and_a_fault_is_told_in_the_log() {
    let target = Target::named("hello");
    let node = node(&target);
    node.configure(&(configuration(&target) + &piece::http("new", "")));
    node.signal(Signal::HUP);
    wait::until("the new listener", || {
        (!named(&node.status()["listeners"], "new").is_null()).then_some(())
    });
    assert_eq!(Client::plain(node.address("new")).get("/").status, 200);

    node.configure(&configuration(&target).replace("type: forward", "type: teleport"));
    node.signal(Signal::HUP);
    wait::until("the fault in the log", || node.stderr().contains("teleport").then_some(()));
    assert!(node.stderr().contains("listeners[0].default_actions[0].type"), "{}", node.stderr());
    assert_eq!(Client::plain(node.address("new")).get("/").status, 200, "the old one serves on");
}

#[test]
fn the_admin_socket_may_be_named_itself() {
    let target = Target::named("hello");
    let node = node(&target);
    let socket = format!("unix:{}", node.path("portcullis.sock").display());
    let generation = node.generation();
    portcullis(&["reload", "--admin", &socket]).success();
    let status = portcullis(&["status", "--admin", &socket]).success().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("it prints JSON");
    assert!(status["generation"].as_u64() > Some(generation), "{status}");
}

#[test]
fn listeners_come_and_go_and_those_that_stay_keep_their_connections() {
    let target = Target::named("hello");
    let base = [piece::targets(&[target.entry()]), "listeners:\n".to_owned()].concat();
    let with = |names: &[&str]| {
        base.clone() + &names.iter().map(|name| piece::http(name, "")).collect::<String>()
    };
    let node = Node::with(Setup { shards: 2, ..Setup::default() }, &with(&["staying", "going"]));
    let (staying, going) = (node.address("staying"), node.address("going"));
    let mut kept = Client::plain(staying);
    let mut lost = Client::plain(going);
    assert_eq!((kept.get("/").status, lost.get("/").status), (200, 200));

    node.configure(&with(&["staying", "coming"]));
    node.reload();
    assert_eq!(node.address("staying"), staying, "it keeps its sockets");
    assert_eq!(kept.get("/").status, 200, "on the same connection");
    assert_eq!(Client::plain(node.address("coming")).get("/").status, 200);
    assert!(named(&node.status()["listeners"], "going").is_null());
    wait::until("the port to be closed", || TcpStream::connect(going).is_err().then_some(()));
    // A connection of the listener that went is served no longer than its current request.
    if let Ok(answer) =
        lost.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").and_then(|()| lost.try_answer("GET"))
    {
        assert_eq!(answer.values("Connection"), ["close"], "{}", answer.head);
    }

    // Fields change under a listener that stays: the connection too sees them with its next request.
    let fixed = with(&["staying"]).replace(
        "{type: forward, target_group: targets}",
        "{type: fixed-response, fixed_response_config: {status_code: 299, message_body: changed}}",
    );
    node.configure(&fixed);
    node.reload();
    assert_eq!(node.address("staying"), staying);
    assert_eq!(Client::plain(staying).get("/").text(), "changed");
    assert_eq!(kept.get("/").text(), "changed");

    // And the address changes: the old port closes, the new one serves.
    let moved = free_port();
    node.configure(&with(&["staying"]).replace("127.0.0.1:0", &format!("127.0.0.1:{moved}")));
    node.reload();
    assert_eq!(node.address("staying").port(), moved);
    assert_eq!(Client::plain(node.address("staying")).get("/").status, 200);
    wait::until("the old port to be closed", || TcpStream::connect(staying).is_err().then_some(()));
}

#[test]
fn a_port_that_cannot_be_had_changes_nothing() {
    let target = Target::named("hello");
    // Nobody else comes to have it once it is given back.
    let taken = std::net::TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let base = [piece::targets(&[target.entry()]), "listeners:\n".to_owned()].concat();
    let start = base.clone() + &piece::http("staying", "");
    let node = Node::start(&start);
    let generation = node.generation();
    let address = taken.local_addr().unwrap().to_string();
    let more = piece::http("free", "") + &piece::http("taken", "").replace("127.0.0.1:0", &address);
    node.configure(&(start + &more));
    let said = node.reload_refused();
    assert!(said.contains(&address), "{said}");
    assert_eq!(node.generation(), generation);
    assert!(named(&node.status()["listeners"], "free").is_null(), "one transaction, or nothing");
    assert_eq!(Client::plain(node.address("staying")).get("/").status, 200);
    // Once the port is free, the same file is fine.
    drop(taken);
    node.reload();
    assert_eq!(Client::plain(node.address("taken")).get("/").status, 200);
}

/// Design decision 6: a connection's next request is judged by the trust of now.
#[test]
fn a_kept_connection_of_a_client_revoked_meanwhile_gets_no_further_request_through() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let mut kept = Client::tls(address, "localhost", &tls_config(Some("good")));
    assert_eq!(kept.get("/").status, 200);
    let mut other = Client::tls(address, "localhost", &tls_config(Some("good-rsa")));
    assert_eq!(other.get("/").status, 200);
    fs::write(node.path("version-1/partners.crl"), pki().issuing.crl(&[pki_good_serial()]))
        .unwrap();
    node.reload();
    let reached = target.so_far().len();
    let answer =
        kept.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").and_then(|()| kept.try_answer("GET"));
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 403));
    assert_eq!(target.so_far().len(), 0, "after {reached} before");
    assert_eq!(other.get("/").status, 200, "the others go on");
}

fn pki_good_serial() -> &'static [u8] {
    crate::support::pki::GOOD_SERIAL
}
