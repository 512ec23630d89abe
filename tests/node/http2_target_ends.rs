//! Connections to HTTP/2 targets: how many there are, and how they end.
use crate::support::http2::{self, code, config, flag, frame, kind, setting};
use crate::support::http2_target::{Call, Order, raw, raw_with};
use crate::support::node::piece;
use crate::support::{Http2, Http2Target, Node, hpack, target, wait};
use rustix::process::Signal;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tokio::sync::{Barrier, Semaphore};

/// A node with one listener `https` that forwards to these targets.
fn node(entries: &[String]) -> Node {
    patient(entries, 60)
}

/// One that waits for so many seconds.
fn patient(entries: &[String], seconds: u32) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets_of("HTTP2", entries),
        format!(
            "load_balancer: {{name: edge, attributes: {{idle_timeout.timeout_seconds: {seconds}}}}}\n"
        ),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

/// A target that answers once so many requests have come, counted over all of its connections.
fn gathering(count: usize, streams_max: u32) -> Http2Target {
    let all = Arc::new(Barrier::new(count));
    let adjust = move |settings: &mut h2::server::Builder| {
        settings.max_concurrent_streams(streams_max);
    };
    Http2Target::with_settings(adjust, move |call: Call| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            call.answer(200, "together").await;
        }
    })
}

#[test]
fn streams_of_many_clients_share_connections_as_far_as_the_target_takes_them() {
    for (streams_max, connections) in [(1_000, 1), (10, 3), (1, 24)] {
        let target = gathering(24, streams_max);
        let node = node(&[target.entry()]);
        let mut clients = [client(&node), client(&node), client(&node)];
        let ids: Vec<Vec<u32>> = clients
            .iter_mut()
            .map(|client| {
                (0..8).map(|_| client.request(flag::END_STREAM, "GET", "/", &[])).collect()
            })
            .collect();
        for (client, ids) in clients.iter_mut().zip(ids) {
            for id in ids {
                assert_eq!(client.answer(id).text(), "together");
            }
        }
        let used: std::collections::BTreeSet<usize> =
            target.so_far().into_iter().map(|received| received.connection).collect();
        assert_eq!(used.len(), connections, "{streams_max} streams at a time");
        node.metric_becomes("portcullis_upstream_connections_total", &[], connections as f64);
        node.assert_no_panic();
    }
}

#[test]
fn connections_are_used_again() {
    let target = Http2Target::named("hello");
    let node = node(&[target.entry()]);
    for _ in 0..3 {
        let mut client = client(&node);
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "hello");
        }
    }
    let received = target.so_far();
    assert_eq!(received.len(), 9);
    assert!(received.iter().all(|received| received.connection == 0));
}

#[test]
fn after_goaway_old_streams_finish_and_new_ones_go_on_another_connection() {
    let target = Http2Target::with(|mut call: Call| async move {
        if call.path() == "/last" {
            let mut answer = call.begin(crate::support::http2_target::response(200));
            answer.send("begun ".into()).await;
            call.order(Order::GoAway);
            // Content is the word to go on.
            call.content().await;
            answer.send("finished".into()).await;
            answer.end();
        } else {
            call.answer(200, "new").await;
        }
    });
    let node = node(&[target.entry()]);
    let mut client = client(&node);
    let id = client.request(0, "POST", "/last", &[]);
    client.until(|client| client.answers.get(&id).is_some_and(|it| it.body == b"begun "));
    wait::until("a new connection", || {
        assert_eq!(client.get("/").text(), "new");
        target.so_far().iter().any(|received| received.connection == 1).then_some(())
    });
    client.upload(id, b"go on", true);
    let answer = client.answer(id);
    assert_eq!((answer.text().as_str(), answer.whole), ("begun finished", true));
    assert_eq!(target.ended().0, 0, "the old connection ends with its last stream");
    node.metric_becomes("portcullis_upstream_errors_total", &[], 0.0);
}

/// Goal: what a target has certainly not processed is sent again, content and all, whatever its method.
/// Method: a target of raw frames that turns its first connection, or its first stream, away.
#[test]
fn what_a_target_turned_away_unprocessed_is_sent_again() {
    let goaway = |last: u32| {
        frame(kind::GOAWAY, 0, 0, [last.to_be_bytes(), code::NO_ERROR.to_be_bytes()].concat())
    };
    for refusal in [goaway(0), http2::reset(1, code::REFUSED_STREAM)] {
        let address = raw(move |connection, id, stream| {
            if connection == 0 {
                return stream.write_all(&refusal);
            }
            let head = hpack::encode(&[(":status", "200")]);
            stream.write_all(&frame(kind::HEADERS, flag::END_HEADERS, id, head))?;
            stream.write_all(&frame(kind::DATA, flag::END_STREAM, id, b"second"))
        });
        let node = node(&[target::entry(address)]);
        let mut client = client(&node);
        let id = client.request(0, "POST", "/", &[]);
        client.upload(id, b"content", true);
        let answer = client.answer(id);
        assert_eq!((answer.status, answer.text().as_str()), (200, "second"));
        node.metric_becomes("portcullis_upstream_retries_total", &[], 1.0);
        node.metric_becomes("portcullis_upstream_errors_total", &[], 0.0);
    }
}

#[test]
fn a_request_is_not_sent_again_once_it_may_have_been_processed() {
    let target = Http2Target::with(|mut call: Call| async move {
        let whole = call.all().await.0;
        // Content that is kept, and more than that.
        if whole.len() < 10_000 && call.head.method() == "GET" {
            call.order(Order::Close);
        } else if call.path() == "/refused" {
            call.respond.send_reset(h2::Reason::REFUSED_STREAM);
        } else {
            call.order(Order::Close);
        }
        std::future::pending::<()>().await;
    });
    let node = node(&[target.entry()]);
    let mut client = client(&node);
    // Closed without a word: POST may have been carried out.
    let id = client.request(0, "POST", "/", &[]);
    client.upload(id, b"content", true);
    assert_eq!(client.answer(id).status, 502);
    assert_eq!(target.so_far().len(), 1);
    // GET may be carried out twice, and is tried twice.
    assert_eq!(client.get("/").status, 502);
    assert_eq!(target.so_far().len(), 2);
    // Refused, but what was sent of it is not kept any more.
    let id = client.request(0, "POST", "/refused", &[]);
    client.upload(id, &[7; 100_000], true);
    assert_eq!(client.answer(id).status, 502);
    assert_eq!(target.so_far().len(), 1);
    // Refused twice.
    let id = client.request(0, "POST", "/refused", &[]);
    client.upload(id, b"content", true);
    assert_eq!(client.answer(id).status, 502);
    assert_eq!(target.so_far().len(), 2);
    node.assert_no_panic();
}

/// The PING goes out after 10 s of silence, and has 10 s.
#[test]
fn a_target_that_is_gone_without_a_word_is_noticed_and_left() {
    let dead = Http2Target::with(|call: Call| async move {
        match call.path() {
            "/freeze" => {
                call.order(Order::Freeze);
                std::future::pending::<()>().await;
            }
            _ => call.answer(200, "alive").await,
        }
    });
    let other = Http2Target::named("other");
    let node = node(&[dead.entry(), other.entry()]);
    let mut client = client(&node);
    let begun = |client: &mut Http2| client.request(flag::END_STREAM, "GET", "/freeze", &[]);
    let (first, second) = (begun(&mut client), begun(&mut client));
    let frozen = wait::within(2 * wait::PATIENCE, "the end of the frozen stream", || {
        let _ = client.step().expect("the node goes on");
        let ended = |id: &u32| client.answers.get(id).is_some_and(|answer| answer.status == 504);
        [first, second].into_iter().find(ended)
    });
    assert!(client.answers.remove(&frozen).is_some());
    // It is passed over for a while: five seconds, so that all are asked at once.
    let ids = [(); 4].map(|()| client.request(flag::END_STREAM, "GET", "/", &[]));
    for id in ids {
        assert_eq!(client.answer(id).text(), "other");
    }
    node.metric_becomes("portcullis_upstream_errors_total", &["reason=\"target_timeout\""], 1.0);
    node.assert_no_panic();
}

/// Goal: who waited too long for a silent target takes nobody else's stream with it, and nobody begins on that
/// connection any more. Method: one client waits, while content of another keeps its own stream alive.
#[test]
fn a_stream_that_waits_in_vain_leaves_the_others_of_its_connection_alone() {
    let target = Http2Target::with(|mut call: Call| async move {
        match call.path() {
            "/silent" => std::future::pending().await,
            "/long" => {
                let (content, _) = call.all().await;
                call.answer(200, format!("{} bytes", content.len())).await;
            }
            _ => call.answer(200, "new").await,
        }
    });
    let node = patient(&[target.entry()], 4);
    let mut long = client(&node);
    let id = long.request(0, "POST", "/long", &[]);
    assert_eq!(target.received().connection, 0);
    let mut silent = client(&node);
    let waits = thread::spawn(move || (silent.get("/silent").status, silent.get("/").text()));
    let mut sent = 0;
    wait::until("the end of the silent one, and a new one", || {
        long.upload(id, &[b'x'; 64], false);
        sent += 64;
        waits.is_finished().then_some(())
    });
    long.send(frame(kind::DATA, flag::END_STREAM, id, b""));
    assert_eq!(waits.join().unwrap(), (504, "new".to_owned()));
    assert_eq!(long.answer(id).text(), format!("{sent} bytes"));
    let connections: Vec<_> = target.so_far().iter().map(|received| received.connection).collect();
    assert_eq!(connections, [0, 1]);
}

#[test]
fn a_node_that_ends_says_goodbye_to_its_targets() {
    let target = Http2Target::named("hello");
    let mut node = node(&[target.entry()]);
    let mut client = client(&node);
    assert_eq!(client.get("/").text(), "hello");
    node.signal(Signal::TERM);
    // A client that does not acknowledge the PING behind the GOAWAY may be waited for.
    client.ending();
    assert!(node.ended().success());
    let (connection, error) = target.ended();
    assert_eq!((connection, error.map(|error| error.to_string())), (0, None));
}

/// Goal: connections to one target are bounded, and streams wait for their turn on them. Method: a target that
/// takes one stream on each connection and answers when as many have come as there may be connections.
#[test]
fn streams_wait_for_their_turn_at_a_target_that_has_all_its_connections() {
    let target = gathering(CONNECTIONS_MAX, 1);
    let node = node(&[target.entry()]);
    let mut client = client(&node);
    let mut begin = |_| client.request(flag::END_STREAM, "GET", "/", &[]);
    let mut ids: Vec<u32> = (1..CONNECTIONS_MAX).map(&mut begin).collect();
    // All connections but one stand before somebody waits: for a place that is ten seconds at most.
    for _ in &ids {
        target.received();
    }
    ids.extend((0..=CONNECTIONS_MAX).map(begin));
    for id in ids {
        assert_eq!(client.answer(id).text(), "together");
    }
    let made = node.metric("portcullis_upstream_connections_total", &[]);
    assert!(made <= CONNECTIONS_MAX as f64, "{made} connections");
    node.assert_no_panic();
}

/// Goal: a stream that was turned away keeps nobody from the place that it had. Method: as many as there are
/// places, all turned away at the same time.
#[test]
fn streams_that_are_all_turned_away_at_once_find_each_others_places() {
    let all = Arc::new(Barrier::new(CONNECTIONS_MAX));
    let seen = Arc::new(AtomicUsize::new(0));
    let adjust = |settings: &mut h2::server::Builder| {
        settings.max_concurrent_streams(1);
    };
    let target = Http2Target::with_settings(adjust, move |mut call: Call| {
        let (all, index) = (Arc::clone(&all), seen.fetch_add(1, Ordering::Relaxed));
        async move {
            if index < CONNECTIONS_MAX {
                all.wait().await;
                return call.respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            call.answer(200, "at last").await;
        }
    });
    let node = node(&[target.entry()]);
    let mut client = client(&node);
    let begin = |_| client.request(flag::END_STREAM, "GET", "/", &[]);
    let ids: Vec<u32> = (0..CONNECTIONS_MAX).map(begin).collect();
    for id in ids {
        assert_eq!(client.answer(id).text(), "at last");
    }
    node.assert_no_panic();
}

#[test]
fn who_stops_waiting_for_a_place_leaves_it_to_the_next() {
    let go = Arc::new(Semaphore::new(0));
    let may = Arc::clone(&go);
    let adjust = |settings: &mut h2::server::Builder| {
        settings.max_concurrent_streams(1);
    };
    let target = Http2Target::with_settings(adjust, move |call: Call| {
        let may = Arc::clone(&may);
        async move {
            if call.path() == "/hold" {
                may.acquire().await.expect("nobody closes it").forget();
            }
            call.answer(200, "served").await;
        }
    });
    let node = node(&[target.entry()]);
    let mut client = client(&node);
    let begin = |client: &mut Http2, path| client.request(flag::END_STREAM, "GET", path, &[]);
    for _ in 0..CONNECTIONS_MAX {
        begin(&mut client, "/hold");
    }
    for _ in 0..CONNECTIONS_MAX {
        target.received();
    }
    let waiting: Vec<u32> = (0..10).map(|_| begin(&mut client, "/")).collect();
    client.ping();
    let (last, gone) = waiting.split_last().expect("there are ten");
    // The place comes while they are on their way out.
    for id in gone {
        client.send(http2::reset(*id, code::CANCEL));
    }
    go.add_permits(1);
    assert_eq!(client.answer(*last).text(), "served");
    node.assert_no_panic();
}

#[test]
fn streams_that_wait_are_told_when_a_target_takes_more() {
    const ONE: &[(u16, u32)] = &[(setting::MAX_CONCURRENT_STREAMS, 1)];
    let (go, held) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (may, count) = (Arc::clone(&go), Arc::clone(&held));
    let address = raw_with(ONE, move |connection, id, stream| {
        count.fetch_add(1, Ordering::Relaxed);
        match (connection, id) {
            (0, 1) => {
                let told = || may.load(Ordering::Relaxed).then_some(());
                wait::within(2 * wait::PATIENCE, "the word to go on", told);
                stream.write_all(&http2::settings(&[(setting::MAX_CONCURRENT_STREAMS, 2)]))
            }
            (0, _) => {
                let head = hpack::encode(&[(":status", "204")]);
                let flags = flag::END_HEADERS | flag::END_STREAM;
                stream.write_all(&frame(kind::HEADERS, flags, id, head))
            }
            _ => Ok(()),
        }
    });
    let node = node(&[target::entry(address)]);
    let mut client = client(&node);
    for _ in 0..CONNECTIONS_MAX {
        client.request(flag::END_STREAM, "GET", "/", &[]);
    }
    wait::until("all places to be taken", || {
        (held.load(Ordering::Relaxed) == CONNECTIONS_MAX).then_some(())
    });
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    client.ping();
    go.store(true, Ordering::Relaxed);
    assert_eq!(client.answer(id).status, 204);
    node.assert_no_panic();
}

/// `limits::H2_CONNECTIONS_PER_TARGET_MAX`.
const CONNECTIONS_MAX: usize = 64;

/// The `h2` crate counts empty DATA over a connection's life, and ends it behind a hundred. Servers flush by it.
#[test]
fn a_target_may_flush_by_empty_frames_for_as_long_as_it_answers() {
    let address = raw(|connection, id, stream| {
        let head = hpack::encode(&[(":status", "200")]);
        let flush = frame(kind::DATA, 0, id, b"").repeat(10);
        let answer = [
            frame(kind::HEADERS, flag::END_HEADERS, id, head),
            flush.clone(),
            frame(kind::DATA, 0, id, format!("by {connection}")),
            flush,
            frame(kind::DATA, flag::END_STREAM, id, b""),
        ];
        stream.write_all(&answer.concat())
    });
    let node = node(&[target::entry(address)]);
    let mut client = client(&node);
    for round in 0..100 {
        assert_eq!(client.get("/").text(), "by 0", "in round {round}");
    }
    node.assert_no_panic();
}

/// Goal: a target that says nothing without end keeps this node busy for no longer than its allowance. Method: such a
/// target, whose connection ends; the next one is good.
#[test]
fn a_target_that_floods_with_empty_frames_loses_its_connection() {
    let address = raw(|connection, id, stream| {
        let head = hpack::encode(&[(":status", "200")]);
        stream.write_all(&frame(kind::HEADERS, flag::END_HEADERS, id, head))?;
        if connection == 0 {
            loop {
                stream.write_all(&frame(kind::DATA, 0, id, b"").repeat(100))?;
            }
        }
        stream.write_all(&frame(kind::DATA, flag::END_STREAM, id, b"good"))
    });
    let node = node(&[target::entry(address)]);
    let mut client = client(&node);
    let flooded = client.get("/");
    assert!(!flooded.whole && flooded.reset.is_some(), "{flooded:?}");
    assert_eq!(client.get("/").text(), "good");
    node.assert_no_panic();
}
