//! HTTP/2 and memory: flow control joins both sides, so that whoever is slow, and however a client plays with
//! windows and header compression, the node keeps little.
use crate::bodies::{block, growth_kib, streaming_target};
use crate::support::http2::{
    FRAME_BYTES_MAX, PREFACE, code, config, flag, frame, kind, setting, settings, window_update,
};
use crate::support::node::piece;
use crate::support::{Http2, Node, Target, hpack, long, target, wait};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What a node may grow by on behalf of one client of HTTP/2.
const GROWTH_KIB_MAX: u64 = 8 * 1024;

fn node(address: SocketAddr) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets(&[target::entry(address)]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

/// A client that the node has served already, with settings of its own.
fn client(node: &Node, own: &[(u16, u32)]) -> Http2 {
    let mut client = Http2::with(node.address("https"), "localhost", &config(None), own);
    assert_eq!(client.get("/").status, 200);
    client
}

/// The pattern of `bodies`, so many bytes of it.
fn pattern(length: usize) -> Vec<u8> {
    block().into_iter().cycle().take(length).collect()
}

#[test]
fn large_content_each_way_is_whole_and_grows_memory_by_little() {
    let node = node(streaming_target(Arc::default()));
    let mut client = client(&node, &[]);
    let length = if long() { 512 << 20 } else { 64 << 20 };
    let mut exchange = |up: usize, down: usize| {
        let (announced, asked) = (up.to_string(), down.to_string());
        let more = [("content-length", &*announced), ("x-answer-bytes", &*asked)];
        let id = client.request(0, "POST", "/", &more);
        // The target takes nothing but the pattern.
        client.upload(id, &pattern(up), true);
        let answer = client.answer(id);
        assert!(answer.whole && answer.status == 200 && answer.body == pattern(down));
    };
    exchange(1 << 20, 1 << 20);
    let grown = growth_kib(&node, || {
        exchange(length, 1);
        exchange(1, length);
    });
    assert!(grown <= GROWTH_KIB_MAX / 2, "{grown} KiB");
}

/// Waits until a count has stood still for a good while.
pub fn held_back(what: &str, count: impl Fn() -> u64) -> u64 {
    let mut last = (0, 0);
    wait::until(what, || {
        let now = count();
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        (now > 0 && last.1 > 100).then_some(now)
    })
}

/// Goal: what a client does not take stays with its target. Method: 128 answers of 8 MiB, windows of 2 GiB, and
/// a client that reads nothing; then all of it is read.
#[test]
fn a_client_that_reads_nothing_holds_its_targets_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let node = node(streaming_target(Arc::clone(&sent)));
    let wide = [(setting::INITIAL_WINDOW_SIZE, 0x7fff_ffff)];
    let mut client = client(&node, &wide);
    client.send(window_update(0, 0x7fff_0000));
    let each = 8 << 20;
    let mut ids = Vec::new();
    let grown = growth_kib(&node, || {
        let asked = each.to_string();
        ids = (0..128)
            .map(|_| client.request(flag::END_STREAM, "GET", "/", &[("x-answer-bytes", &*asked)]))
            .collect();
        let taken = held_back("the targets to be held back", || sent.load(Ordering::Relaxed));
        assert!(taken < 128 * each as u64, "the node took all of it");
    });
    println!("{grown} KiB for answers that nobody reads");
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
    client.opens_windows = false;
    let expected = pattern(each);
    for id in ids {
        assert!(client.answer(id).body == expected);
    }
    node.assert_no_panic();
}

/// Goal: what a target does not take stays with the client. Method: 128 uploads to a target that takes none; the
/// windows are what the client may send, and all that it can.
#[test]
fn a_target_that_takes_nothing_holds_its_client_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Target::named("hello");
    let configuration = [
        piece::certificates(),
        piece::targets(&[ready.entry(), target::entry(address)]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    let node = Node::start(&configuration.concat());
    let mut client = client(&node, &[]);
    // Taken by the kernel, and by nobody else.
    let mut kept = Vec::new();
    let grown = growth_kib(&node, || {
        let ids: Vec<u32> = (0..128).map(|_| client.request(0, "POST", "/", &[])).collect();
        kept.extend((0..64).filter_map(|_| listener.accept().ok()));
        // As much as the windows let through, in turns; the rest of the time the node says nothing.
        let part = vec![7; FRAME_BYTES_MAX];
        let mut taken = 0;
        for id in ids.iter().cycle().take(128 * 4) {
            if client.room(*id) < part.len() {
                continue;
            }
            client.upload(*id, &part, false);
            taken += part.len();
        }
        client.ping();
        assert!(taken >= 256 * 1024, "{taken} bytes went");
    });
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
    node.assert_no_panic();
}

/// An HTTP/2 target that answers requests without content, and takes no content at all.
fn target_without_windows() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_without_windows(stream));
        }
    });
    address
}

fn answer_without_windows(mut stream: TcpStream) -> io::Result<()> {
    let shut = settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    stream.write_all(&[shut, frame(kind::SETTINGS, flag::ACK, 0, b"")].concat())?;
    stream.read_exact(&mut [0; PREFACE.len()])?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header)?;
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        stream.read_exact(&mut vec![0; length])?;
        if header[3] == kind::HEADERS && header[4] & flag::END_STREAM != 0 {
            let id = u32::from_be_bytes(header[5..].try_into().unwrap());
            let status_200 = [0x88];
            stream.write_all(&frame(
                kind::HEADERS,
                flag::END_HEADERS | flag::END_STREAM,
                id,
                status_200,
            ))?;
        }
    }
}

/// Goal: what small frames cost beside their content is bounded, and not too tightly. Method: frames of one byte to
/// a target that takes none: many wait, and more than that end the connection.
#[test]
fn small_frames_that_wait_cost_little_memory() {
    let configuration = [
        piece::certificates(),
        piece::targets_of("HTTP2", &[target::entry(target_without_windows())]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    let node = Node::start(&configuration.concat());
    let mut client = client(&node, &[]);
    let grown = growth_kib(&node, || {
        let id = client.request(0, "POST", "/", &[]);
        let byte = frame(kind::DATA, 0, id, b"x");
        client.send(byte.repeat(10_000));
        client.ping();
        assert!(client.goaways.is_empty(), "{:?}", client.goaways);
        // The node may close before it has read all of them.
        let _ = client.try_send(byte.repeat(5_000));
        assert_eq!(client.ending().code(), Some(code::ENHANCE_YOUR_CALM));
    });
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
    println!("{grown} KiB for small frames that wait");
    node.metric_becomes("portcullis_http2_floods_total", &["frames=\"other\""], 1.0);
    node.assert_no_panic();
}

/// Goal: windows that open bit by bit cost the node little where nothing is read. Method: 100 answers of 1 MiB
/// to a client without a window, which then opens them byte by byte, for each stream and by settings, until
/// the node has enough of it or takes no more.
#[test]
fn windows_opened_byte_by_byte_cost_little_memory() {
    let node = node(streaming_target(Arc::default()));
    for (what, dribble) in [
        ("WINDOW_UPDATE", (|round| window_update(2 * (round % 100) + 3, 1)) as fn(u32) -> Vec<u8>),
        ("SETTINGS", |round| settings(&[(setting::INITIAL_WINDOW_SIZE, round + 1)])),
    ] {
        let mut client = client(&node, &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        let grown = growth_kib(&node, || {
            for _ in 0..100 {
                let asked = [("x-answer-bytes", "1048576")];
                client.request(flag::END_STREAM, "GET", "/", &asked);
            }
            client.until(|client| client.answers.len() == 100);
            // Many at a time, as what has flooded the node a little is forgiven with time.
            let rounds: Vec<u32> = (0..20_000).collect();
            let taken = rounds.chunks(20).take_while(|rounds| {
                let frames: Vec<u8> = rounds.iter().copied().flat_map(dribble).collect();
                client.try_send(frames).is_ok()
            });
            let taken = 20 * taken.count();
            assert!(taken > 100, "{what}: {taken} frames");
            client.ending();
        });
        assert!(grown <= GROWTH_KIB_MAX, "{what}: {grown} KiB");
    }
    node.metric_becomes("portcullis_http2_floods_total", &[], 2.0);
    node.assert_no_panic();
}

/// A header block that adds a field of 4,000 bytes to the table, then names it `count` times, a byte each.
pub fn bomb(count: usize) -> Vec<u8> {
    let pseudo =
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")];
    let mut block = hpack::encode(&pseudo);
    block.push(0x40);
    hpack::string(&mut block, b"x");
    hpack::string(&mut block, &[b'a'; 4_000]);
    block.resize(block.len() + count, 0x80 | 62);
    block
}

/// Goal: header compression is no lever. Method: heads of 60 KB that stand for 240 MB, again and again.
#[test]
fn a_small_head_that_stands_for_a_large_one_costs_little_memory() {
    let target = Target::named("hello");
    let node = node(target.address);
    let mut client = client(&node, &[]);
    node.forget_most_resident();
    let resident = node.resident_kib();
    let block = bomb(60_000);
    let mut sent = Ok(());
    for round in 0..100 {
        let id = 2 * round + 3;
        let mut parts = block.chunks(FRAME_BYTES_MAX);
        let first = parts.next().unwrap_or_default();
        let mut frames = frame(kind::HEADERS, flag::END_STREAM, id, first);
        parts.for_each(|part| frames.extend(frame(kind::CONTINUATION, 0, id, part)));
        frames.extend(frame(kind::CONTINUATION, flag::END_HEADERS, id, b""));
        sent = client.try_send(frames);
        if sent.is_err() {
            break;
        }
    }
    let ending = sent.is_err().then(|| client.ending());
    let grown = node.most_resident_kib().saturating_sub(resident);
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB, {ending:?}");
    assert_eq!(target.so_far().len(), 1, "no bomb is a request");
    node.assert_no_panic();
}

/// The same within the limits of a head: many streams in work, each with all that a head may have.
#[test]
fn heads_of_streams_in_work_are_bounded_together() {
    let target = Target::with(|received, stream| {
        use std::io::{Read, Write};
        if received.request_line().contains("/stalled") {
            return stream.read(&mut [0]).map(|_| ());
        }
        stream.write_all(target::ok("hello").as_bytes())
    });
    let node = node(target.address);
    let mut client = client(&node, &[]);
    let field = "a".repeat(8_000);
    let more = vec![("x", &*field); 7];
    let grown = growth_kib(&node, || {
        for _ in 0..128 {
            let id = client.next_id();
            let pseudo = [
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/stalled"),
                (":authority", "localhost"),
            ];
            let block = hpack::encode(&[&pseudo[..], &more].concat());
            let mut parts = block.chunks(FRAME_BYTES_MAX);
            let mut frames =
                frame(kind::HEADERS, flag::END_STREAM, id, parts.next().unwrap_or_default());
            parts.for_each(|part| frames.extend(frame(kind::CONTINUATION, 0, id, part)));
            frames.extend(frame(kind::CONTINUATION, flag::END_HEADERS, id, b""));
            client.send(frames);
        }
        client.ping();
    });
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
    let refused = client.answers.values().filter(|answer| answer.reset.is_some()).count();
    assert!((100..128).contains(&refused), "{refused} of 128 are refused");
}
