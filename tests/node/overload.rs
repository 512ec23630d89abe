//! Bounds on connections, of a listener, of a source, and by the memory of the whole node: what is too much is shed
//! or reset, what is within them is served, and all of it comes back.
use crate::largest_lists::entry;
use crate::support::client::connect;
use crate::support::node::piece;
use crate::support::target::ok;
use crate::support::{Client, Node, Setup, Target, wait};
use portcullis::limits::MEMORY_LOOK_EVERY;
use portcullis_pki::{ca, revocation_list_of};
use rcgen::{CertifiedIssuer, KeyPair};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

fn configuration(target: &Target, listener: &str) -> String {
    // Heads that are not whole wait until everything is there that a test is about.
    let listener = format!("{}\n{listener}", piece::SLOW_HEADS);
    let targets = piece::targets(&[target.entry()]);
    let listeners = "listeners:\n".to_owned() + &piece::http("plain", &listener);
    [piece::idle_timeout(4_000), targets, listeners].concat()
}

/// A client that was served once, from this address of loopback, and stays; none where it was shed.
fn served(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    Some(stream)
}

#[test]
fn a_listener_has_so_many_connections_on_all_shards_together() {
    let target = Target::named("hello");
    let setup = Setup { shards: 2, format: "json", ..Setup::default() };
    let node = Node::with(setup, &configuration(&target, "connections_max: 8"));
    let address = node.address("plain");
    let from = Ipv4Addr::LOCALHOST;
    let mut inside: Vec<_> =
        (0..8).map(|_| served(from, address).expect("there is room")).collect();
    for _ in 0..4 {
        assert!(served(from, address).is_none(), "the listener is full");
    }
    let closed = |count| {
        let labels = ["listener=\"plain\"", "reason=\"shed\""];
        node.metric_becomes("portcullis_connections_closed_total", &labels, count);
    };
    closed(4.0);
    assert!(
        wait::until("a line", || node.log().iter().find(|line| line.contains("\"shed\"")).cloned())
            .contains("plain")
    );
    drop(inside.pop());
    wait::until("a place that has become free", || served(from, address));
}

#[test]
fn a_source_has_so_many_connections_and_others_have_theirs() {
    let target = Target::named("hello");
    let setup = Setup { shards: 2, format: "json", ..Setup::default() };
    let node = Node::with(setup, &configuration(&target, "connections_per_source_max: 3"));
    let address = node.address("plain");
    let (greedy, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let mut inside: Vec<_> =
        (0..3).map(|_| served(greedy, address).expect("there is room")).collect();
    assert!(served(greedy, address).is_none());
    let _other = served(other, address).expect("another source is not concerned");
    let labels = ["listener=\"plain\"", "reason=\"shed_source\""];
    node.metric_becomes("portcullis_connections_closed_total", &labels, 1.0);
    wait::until("a line", || {
        node.log().iter().any(|line| line.contains("\"shed_source\"")).then_some(())
    });
    drop(inside.pop());
    wait::until("a place that has become free", || served(greedy, address));

    // A wider source is one for both.
    node.configure(&configuration(
        &target,
        "connections_per_source_max: 1\nsource_ipv4_prefix_bits: 8",
    ));
    node.reload();
    drop(inside);
    let _one = wait::until("the only place", || served(greedy, address));
    assert!(served(other, address).is_none());
}

const LEVEL: &str = "portcullis_overload_level";
const ACTIONS: &str = "portcullis_overload_connections_total";

/// A connection that has begun a head.
fn light(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    // The node may have closed it already.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n");
    stream
}

/// Goes on with nearly all of the 64 KiB of a head, which the node keeps until it is whole.
fn grow(stream: &mut TcpStream) {
    for index in 0..4 {
        let _ = write!(stream, "X-Heavy-{index}: {}\r\n", "a".repeat(15_000));
    }
}

/// Goal: an attack on memory is turned away by degrees, and the node is as before once it is over. Method: heads
/// that are never whole, in a node with a budget little above what it has at rest.
#[test]
fn a_node_at_its_memory_budget_gives_some_back_and_recovers() {
    let target = Target::named("hello");
    let node = node_with_mib_to_spare(&target, 30);
    let address = node.address("plain");
    // Accepted while there was room, and heavy only then.
    let mut crowd: Vec<_> = (0..600).map(|_| light(address)).collect();
    node.metric_becomes("portcullis_connections_open", &[], 600.0);
    crowd.iter_mut().for_each(grow);
    wait::until("the heaviest connections to be reset", || {
        (node.metric(ACTIONS, &["action=\"reset\""]) > 0.5).then_some(())
    });
    wait::until("new connections to be shed", || {
        let mut next = light(address);
        grow(&mut next);
        crowd.push(next);
        (node.metric(ACTIONS, &["action=\"shed\""]) > 0.5).then_some(())
    });
    let labels = ["listener=\"plain\"", "reason=\"overloaded\""];
    wait::until("one of them to be closed", || {
        (node.metric("portcullis_connections_closed_total", &labels) > 0.5).then_some(())
    });
    drop(crowd);
    wait::until("the node to calm down", || (node.metric(LEVEL, &[]) < 0.5).then_some(()));
    wait::until("a new client to be served", || served(Ipv4Addr::LOCALHOST, address));
    let said = node.stderr();
    for word in ["near the memory budget", "away from the memory budget"] {
        assert!(said.contains(word), "{said}");
    }
    node.assert_no_panic();
}

/// Goal: clients are not made to pay for what is not theirs. Method: a revocation list that takes the node over its
/// budget, while clients that hold little wait for their answers, for as long as many orders would take.
#[test]
fn a_node_whose_trust_has_outgrown_its_budget_resets_nobody() {
    let target = Target::named("hello");
    let ca = CertifiedIssuer::self_signed(ca("CA"), KeyPair::generate().unwrap()).unwrap();
    let list = |count: u32| {
        let serial = |number: u32| {
            let digest = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
            [&[1][..], &number.to_be_bytes(), &digest, &digest, &digest[..3]].concat()
        };
        let entries: Vec<u8> = (0..count).flat_map(|number| entry(&serial(number))).collect();
        let list = revocation_list_of(&ca, "CA", &entries).expect("the key signs");
        pem::encode(&pem::Pem::new("X509 CRL", list))
    };
    let stores = "trust_stores: [{name: partners, ca_certificates_bundle: ca.pem, \
                  revocations: [list.crl]}]\n";
    let configuration = [stores, &configuration(&target, "")].concat();
    let files = [("ca.pem", ca.pem()), ("list.crl", list(0))];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let budget_mib = 4 + {
        let node = Node::with_files(Setup::default(), &configuration, &files);
        assert_eq!(Client::plain(node.address("plain")).get("/").status, 200);
        node.resident_kib() / 1024
    };
    let fields: &'static str = format!(", memory_budget_mib: {budget_mib}").leak();
    let setup = Setup { node: fields, ..Setup::default() };
    let node = Node::with_files(setup, &configuration, &files);
    let mut crowd: Vec<_> = (0..10).map(|_| light(node.address("plain"))).collect();
    wait::until("the heads to arrive", || {
        (node.metric("portcullis_connections_open", &[]) > 9.5).then_some(())
    });
    node.write("list.crl", &list(300_000));
    node.reload();
    node.metric_becomes(LEVEL, &[], 3.0);
    let since = Instant::now();
    wait::until("many looks at the memory", || {
        (since.elapsed() > 10 * MEMORY_LOOK_EVERY).then_some(())
    });
    assert!(node.metric(LEVEL, &[]) > 2.5, "the list is still there");
    assert!(node.metric(ACTIONS, &["action=\"reset\""]) < 0.5);
    for stream in &mut crowd {
        stream.write_all(b"\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    node.assert_no_panic();
}

#[test]
fn without_memory_to_spare_answers_end_their_connections() {
    // An interim answer ends nothing, and is not counted.
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let target = Target::answering([early, &ok("hello")].concat());
    let node = node_with_mib_to_spare(&target, 15);
    let address = node.address("plain");
    let mut kept = Client::plain(address);
    let mut crowd = Vec::new();
    let answer = wait::until("an answer that ends its connection", || {
        crowd.extend((0..8).map(|_| light(address)));
        assert_eq!(kept.get("/").status, 103);
        let answer = kept.answer();
        assert_eq!(answer.status, 200);
        (!answer.values("Connection").is_empty()).then_some(answer)
    });
    assert_eq!(answer.values("Connection"), ["close"]);
    assert!(kept.until_closed().is_empty());
    node.metric_becomes(ACTIONS, &["action=\"ended\""], 1.0);
}

/// A node with a memory budget of what such a node has at rest and so much more.
fn node_with_mib_to_spare(target: &Target, spare_mib: u64) -> Node {
    let at_rest_mib = {
        let node = Node::start(&configuration(target, ""));
        let status = Client::plain(node.address("plain")).get("/").status;
        assert!(matches!(status, 200 | 103), "{status}");
        node.resident_kib() / 1024
    };
    let budget_mib = at_rest_mib + spare_mib;
    let fields: &'static str = format!(", memory_budget_mib: {budget_mib}").leak();
    let node = Node::with(Setup { node: fields, ..Setup::default() }, &configuration(target, ""));
    node.metric_becomes("portcullis_memory_budget_bytes", &[], (budget_mib << 20) as f64);
    node
}
