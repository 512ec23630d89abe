//! How connections of HTTP/2 end: GOAWAY, in time and in order, and what becomes of the streams in work.
use crate::support::http2::{Ending, PREFACE, code, config, flag, frame, kind, request, settings};
use crate::support::node::piece;
use crate::support::pki::RSA_SERIAL;
use crate::support::target::{self, ok};
use crate::support::{Http2, Node, Setup, Target, hpack, pki, wait};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::Instant;

fn configuration(target: &Target, idle_seconds: u32, more: &str) -> String {
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target.entry()]),
        format!(
            "load_balancer: {{name: edge, attributes: {{idle_timeout.timeout_seconds: {idle_seconds}}}}}\n"
        ),
        "listeners:\n".to_owned(),
        piece::http("plain", ""),
        piece::https("https", more),
    ]
    .concat()
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

fn closed(node: &Node, reason: &str, count: f64) {
    let label = format!("reason=\"{reason}\"");
    node.metric_becomes("portcullis_connections_closed_total", &[&label], count);
}

/// `alb-contract.md`, section 5.1: PING frames do not reset the idle timeout.
#[test]
fn an_idle_connection_ends_by_goaway_whatever_it_pings() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, 4, ""));
    let mut client = client(&node);
    assert_eq!(client.get("/").text(), "hello");
    // Answered each time, and in vain.
    let (mut pings, began) = (0, Instant::now());
    while client.goaways.is_empty() {
        assert!(began.elapsed() < wait::PATIENCE, "{pings} PINGs kept it");
        client.send(frame(kind::PING, 0, 0, [1; 8]));
        let before = client.pongs.len();
        while client.pongs.len() == before && client.goaways.is_empty() {
            client.step().expect("the node goes on");
        }
        pings += 1;
        wait::pause();
    }
    assert!(pings > 5, "{pings}");
    let ending = client.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true));
    closed(&node, "idle", 1.0);
}

#[test]
fn a_client_that_never_says_what_it_wants_is_ended_in_time() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, 5, ""));
    let address = node.address("https");
    let silent = || {
        let mut client = Http2::silent(address, "localhost", &config(None));
        client.acknowledges = false;
        client
    };
    let mut nothing = silent();
    let mut half = silent();
    half.send(&PREFACE[..12]);
    let mut preface = silent();
    preface.send(PREFACE);
    let mut half_head = client(&node);
    // What it acknowledged would break into its head.
    half_head.acknowledges = false;
    let fields = hpack::encode(&[(":method", "GET"), (":path", "/")]);
    half_head.send(frame(kind::HEADERS, flag::END_STREAM, 1, &fields));
    let mut half_frame = client(&node);
    half_frame.send(&request(1, flag::END_STREAM, "GET", "/", &[])[..20]);
    for (what, client) in [("nothing", &mut nothing), ("half a preface", &mut half)] {
        let ending = client.ending();
        assert!(ending.clean && ending.goaways.is_empty(), "{what}: {ending:?}");
    }
    for (what, client) in
        [("a preface", &mut preface), ("half a head", &mut half_head), ("a part", &mut half_frame)]
    {
        let ending = client.ending();
        assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true), "{what}");
    }
    closed(&node, "idle", 5.0);
    node.metric_becomes("portcullis_connections_open", &["listener=\"https\""], 0.0);
    assert!(target.so_far().is_empty());
}

#[test]
fn a_bad_preface_and_a_flood_with_the_preface_end_the_connection() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, 60, ""));
    let mut http1 = Http2::silent(node.address("https"), "localhost", &config(None));
    http1.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http1.ending();
    closed(&node, "http2_malformed", 1.0);
    // In one record: the node meets the flood while it still waits for the preface.
    let mut flood = Http2::silent(node.address("https"), "localhost", &config(None));
    flood.send([PREFACE, &settings(&[]).repeat(1_000)].concat());
    flood.ending();
    closed(&node, "http2_flood", 1.0);
    node.metric_becomes("portcullis_http2_floods_total", &["frames=\"settings\""], 1.0);
    node.metric_becomes("portcullis_connections_open", &["listener=\"https\""], 0.0);
}

#[test]
fn a_connection_serves_exactly_ten_thousand_requests() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, 60, ""));
    let mut client = client(&node);
    for batch in 0..REQUESTS / BATCH {
        let ids: Vec<u32> = (0..BATCH).map(|_| client.next_id()).collect();
        let requests = ids.iter().flat_map(|id| request(*id, flag::END_STREAM, "GET", "/", &[]));
        client.send(requests.collect::<Vec<u8>>());
        for id in ids {
            let answer = client.answer(id);
            assert_eq!((answer.status, answer.whole), (200, true), "in batch {batch}");
        }
    }
    let ending = client.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true));
    assert_eq!(ending.goaways.last().unwrap().last, 2 * REQUESTS - 1, "the last that was served");
    assert_eq!(target.so_far().len() as u32, REQUESTS);
}

/// ALB: GOAWAY after 10,000 requests.
const REQUESTS: u32 = 10_000;
const BATCH: u32 = 100;

#[test]
fn later_streams_are_refused_while_the_ten_thousand_finish() {
    let (target, go) = Target::slow();
    let node = Node::start(&configuration(&target, 60, ""));
    let mut client = client(&node);
    // So that the node cannot say its second GOAWAY, behind which later streams are not even refused.
    client.acknowledges = false;
    for _ in 0..(REQUESTS - 50) / BATCH {
        let ids: Vec<u32> = (0..BATCH).map(|_| client.next_id()).collect();
        let requests = ids.iter().flat_map(|id| request(*id, flag::END_STREAM, "GET", "/", &[]));
        client.send(requests.collect::<Vec<u8>>());
        ids.into_iter().for_each(|id| assert_eq!(client.answer(id).status, 200));
    }
    let mut served = REQUESTS - (REQUESTS - 50) / BATCH * BATCH;
    while served > 50 {
        assert_eq!(client.get("/").status, 200);
        served -= 1;
    }
    let slow: Vec<u32> =
        (0..50).map(|_| client.request(flag::END_STREAM, "GET", "/slow", &[])).collect();
    for _ in 0..20 {
        let id = client.request(flag::END_STREAM, "GET", "/", &[]);
        assert_eq!(client.answer(id).reset, Some(code::REFUSED_STREAM));
    }
    // RFC 9113, section 6.8: "an initial GOAWAY frame with the last stream identifier set to 2^31-1".
    assert_eq!(client.goaways.len(), 1);
    assert_eq!((client.goaways[0].last, client.goaways[0].code), (0x7fff_ffff, code::NO_ERROR));
    go.store(true, Ordering::Relaxed);
    for id in slow {
        assert_eq!(client.answer(id).text(), "firstother");
    }
    let all = target.so_far();
    assert_eq!(all.len() as u32, REQUESTS);
}

/// The two ends of a listener: its own, and the node's.
#[test]
fn a_drain_says_goodbye_in_two_steps_and_finishes_what_is_on_its_way() {
    let (target, go) = Target::slow();
    let mut node = Node::start(&configuration(&target, 60, ""));
    let mut busy = client(&node);
    let slow = busy.request(flag::END_STREAM, "GET", "/slow", &[]);
    busy.until(|client| client.answers.get(&slow).is_some_and(|answer| !answer.body.is_empty()));
    let mut idle = client(&node);
    idle.get("/");
    node.signal(Signal::TERM);
    let ending = idle.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true), "idle");
    // Sent before the client could know: served.
    busy.until(|client| !client.goaways.is_empty());
    assert_eq!(busy.goaways[0].last, 0x7fff_ffff);
    go.store(true, Ordering::Relaxed);
    assert_eq!(busy.answer(slow).text(), "firstother");
    let Ending { goaways, clean } = busy.ending();
    assert!(clean);
    assert_eq!(
        goaways.last().map(|goaway| (goaway.last, goaway.code)),
        Some((slow, code::NO_ERROR))
    );
    assert!(node.ended().success());
}

#[test]
fn a_listener_that_is_removed_serves_what_was_sent_before_its_goaway_was_read() {
    let (target, go) = Target::slow();
    let whole = configuration(&target, 60, "");
    let node = Node::start(&whole);
    let mut client = client(&node);
    client.acknowledges = false;
    let slow = client.request(flag::END_STREAM, "GET", "/slow", &[]);
    client.until(|client| client.answers.get(&slow).is_some_and(|answer| !answer.body.is_empty()));
    node.configure(&whole[..whole.find("  - name: https").unwrap()]);
    node.reload();
    client.until(|client| !client.goaways.is_empty());
    // It has not acknowledged the PING behind the GOAWAY: it may not have read it.
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    assert_eq!(client.answer(id).text(), "hello");
    go.store(true, Ordering::Relaxed);
    assert_eq!(client.answer(slow).text(), "firstother");
}

/// Listeners `keep`, `drain` and `close`, each of which does so with a client that is revoked.
fn judging_node(target: &Target) -> Node {
    let ways = ["keep", "drain", "close"];
    let listeners =
        ways.map(|way| piece::https(way, &piece::verify(&format!("on_revocation: {way}"))));
    let configuration = configuration(target, 60, "").replace(
        &piece::partners(),
        &piece::partners().replace(&pki().path("naming.crl"), "partners.crl"),
    );
    let files = [("partners.crl", pki().read("naming.crl"))];
    let files = files.each_ref().map(|(name, content)| (*name, content.as_str()));
    Node::with_files(Setup::default(), &(configuration + &listeners.concat()), &files)
}

fn revoke_the_rsa_client(node: &Node) {
    node.write("partners.crl", &pki().issuing.crl(&[&[0x22], RSA_SERIAL]));
    node.reload();
}

fn ended_by_trust(node: &Node, listener: &str, count: f64) {
    let labels = [&*format!("listener=\"{listener}\""), "reason=\"ClientCertCrlHit\""];
    node.metric_becomes("portcullis_connections_ended_by_trust_total", &labels, count);
}

#[test]
fn under_drain_streams_of_a_revoked_client_finish_and_new_ones_are_refused() {
    let (target, go) = Target::slow();
    let node = judging_node(&target);
    let mut client = Http2::connect(node.address("drain"), &config(Some("good-rsa")));
    client.acknowledges = false;
    let streams: Vec<u32> =
        (0..100).map(|_| client.request(flag::END_STREAM, "GET", "/slow", &[])).collect();
    streams.iter().for_each(|_| drop(target.received()));
    revoke_the_rsa_client(&node);
    ended_by_trust(&node, "drain", 1.0);
    client.until(|client| !client.goaways.is_empty());
    for _ in 0..5 {
        let id = client.request(flag::END_STREAM, "GET", "/", &[]);
        assert_eq!(client.answer(id).reset, Some(code::REFUSED_STREAM));
    }
    go.store(true, Ordering::Relaxed);
    for id in streams {
        assert_eq!(client.answer(id).text(), "firstother");
    }
    // The idle connection of a client that is no longer accepted goes as well.
    let ending = client.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true));
    assert!(target.so_far().is_empty(), "nothing new reached the target");
}

#[test]
fn under_close_streams_of_a_revoked_client_are_cut_off() {
    let (target, go) = Target::slow();
    let node = judging_node(&target);
    let mut client = Http2::connect(node.address("close"), &config(Some("good-rsa")));
    let mut other = Http2::connect(node.address("close"), &config(Some("good")));
    let id = client.request(flag::END_STREAM, "GET", "/slow", &[]);
    let kept = other.request(flag::END_STREAM, "GET", "/slow", &[]);
    target.received();
    target.received();
    revoke_the_rsa_client(&node);
    client.ending();
    assert!(client.answers.get(&id).is_none_or(|answer| !answer.whole));
    ended_by_trust(&node, "close", 1.0);
    closed(&node, "no_longer_accepted", 1.0);
    go.store(true, Ordering::Relaxed);
    assert_eq!(other.answer(kept).text(), "firstother");
}

#[test]
fn under_keep_a_revoked_client_is_served_on_its_connection() {
    let target = Target::named("hello");
    let node = judging_node(&target);
    let mut client = Http2::connect(node.address("keep"), &config(Some("good-rsa")));
    assert_eq!(client.get("/").text(), "hello");
    revoke_the_rsa_client(&node);
    assert_eq!(client.get("/").text(), "hello");
    assert!(client.goaways.is_empty());
}

#[test]
fn idle_connections_of_a_revoked_client_end_by_goaway() {
    let target = Target::named("hello");
    let node = judging_node(&target);
    for way in ["drain", "close"] {
        node.write("partners.crl", &pki().read("naming.crl"));
        node.reload();
        let mut client = Http2::connect(node.address(way), &config(Some("good-rsa")));
        assert_eq!(client.get("/").text(), "hello");
        revoke_the_rsa_client(&node);
        let ending = client.ending();
        assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true), "{way}");
    }
}

/// The `h2` crate counts empty DATA over a connection's life, and ends it behind a hundred; a gRPC client ends each
/// of its calls by one, and others flush by them.
#[test]
fn streams_with_empty_frames_go_on_for_as_long_as_they_come() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, 60, ""));
    let mut client = client(&node);
    for round in 0..1_000 {
        let id = client.next_id();
        let empty = frame(kind::DATA, 0, id, b"");
        let mut frames = request(id, 0, "POST", "/", &[]);
        frames.extend([empty.clone(), frame(kind::DATA, 0, id, b"x"), empty].concat());
        frames.extend(frame(kind::DATA, flag::END_STREAM, id, b""));
        client.send(frames);
        assert_eq!(client.answer(id).text(), "hello", "in round {round}");
    }
    assert!(client.goaways.is_empty());
    let received = target.so_far();
    assert!(received.len() == 1_000 && received.iter().all(|one| one.body.starts_with(b"1\r\nx")));
}

/// Goal: who has sent content before it could know better is not to blame (RFC 9113, section 5.1, of streams that were
/// reset by RST_STREAM). Method: as many uploads as may be open, all answered before their content comes.
#[test]
fn content_on_its_way_to_streams_that_were_answered_early_is_no_flood() {
    let target = Target::named("hello");
    let fixed =
        "default_actions: [{type: fixed-response, fixed_response_config: {status_code: 418}}]";
    let forward = "default_actions: [{type: forward, target_group: targets}]";
    let node = Node::start(&configuration(&target, 60, "").replace(forward, fixed));
    let mut client = client(&node);
    let ids: Vec<u32> = (0..120).map(|_| client.request(0, "POST", "/", &[])).collect();
    ids.iter().for_each(|id| assert_eq!(client.answer(*id).status, 418));
    // At once: the node remembers such streams for ten seconds.
    let content = ids.iter().map(|id| {
        let parts = frame(kind::DATA, 0, *id, [7; 100]).repeat(3);
        [parts, frame(kind::DATA, flag::END_STREAM, *id, b"")].concat()
    });
    client.send(content.collect::<Vec<_>>().concat());
    client.ping();
    assert!(client.goaways.is_empty(), "{:?}", client.goaways);
    assert_eq!(client.get("/").status, 418);
}

/// Goal: messages of a few bytes wait for a slow target like large ones. Method: as many as the windows let through
/// before their target takes any.
#[test]
fn small_frames_wait_for_a_slow_target() {
    const MESSAGE: &[u8] = b"a message of 20 byte";
    let target = Target::named("hello");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = target::entry(listener.local_addr().unwrap());
    let node = Node::start(&configuration(&target, 60, "").replace(&target.entry(), &slow));
    let mut client = client(&node);
    client.ping();
    let count = client.room(1) / MESSAGE.len();
    assert!(count > 3_000, "{count}");
    let length = (count * MESSAGE.len()).to_string();
    let announced = [("content-length", &*length)];
    let ids = [(); 3].map(|()| client.request(0, "POST", "/", &announced));
    for id in ids {
        let message = frame(kind::DATA, 0, id, MESSAGE).repeat(count - 1);
        client.send([message, frame(kind::DATA, flag::END_STREAM, id, MESSAGE)].concat());
    }
    client.ping();
    assert!(client.goaways.is_empty(), "{:?}", client.goaways);
    let late = Target::listening(listener, |_, stream| stream.write_all(ok("taken").as_bytes()));
    for id in ids {
        assert_eq!(client.answer(id).text(), "taken");
        assert!(late.received().body == MESSAGE.repeat(count));
    }
}
