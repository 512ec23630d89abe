//! Floods of HTTP/2 frames: each ends its own connection within 20,000 frames and for little memory, and
//! another client is served throughout. Source: `tests/threats.md`, section 4.
use crate::bodies::streaming_target;
use crate::http2_memory::{bomb, held_back};
use crate::support::http2::{
    FRAME_BYTES_MAX, code, config, flag, frame, kind, request, reset, setting, settings,
    window_update,
};
use crate::support::node::piece;
use crate::support::stop::StopOnDrop;
use crate::support::wait;
use crate::support::{Http2, Node, Target, hpack, target};
use portcullis::limits::DISCARDED_BODY_BYTES_MAX;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How many frames a flood may take.
const FRAMES_MAX: usize = 20_000;
/// How much memory.
const GROWTH_KIB_MAX: u64 = 8 * 1024;

/// How much the node may compute, for whomever, between another client's request and its answer: a build for tests takes
/// less than 10 ms, and 40 ms where the other client stands still meanwhile.
const TURN_MAX: Duration = Duration::from_millis(100);
/// More is too much in so many turns in a row.
const TURNS: usize = 3;

/// A flood: frames over and over.
struct Flood {
    name: &'static str,
    /// What comes first.
    first: Vec<u8>,
    /// What comes again and again; the number is that of the round.
    round: fn(u32) -> Vec<u8>,
    /// Frames of a round.
    frames: usize,
    /// What the GOAWAY says.
    code: u32,
    /// Under which reason the connection is counted, and as frames of which kind.
    reason: &'static str,
    kind: Option<&'static str>,
}

/// An odd stream for each round.
const fn id(round: u32) -> u32 {
    2 * round + 1
}

const FLOOD: &str = "http2_flood";
const MALFORMED: &str = "http2_malformed";

fn floods() -> Vec<Flood> {
    let calm = |name, kind, first: Vec<u8>, round, frames| Flood {
        name,
        first,
        round,
        frames,
        code: code::ENHANCE_YOUR_CALM,
        reason: FLOOD,
        kind: Some(kind),
    };
    // The crate's bound and the node's allowance meet: whichever is first ends it.
    let either = |name, first: Vec<u8>, round, frames| Flood {
        kind: None,
        ..calm(name, "", first, round, frames)
    };
    // What is an error of the whole connection ends it at the first frame.
    let error = |name, code, first: Vec<u8>, round, frames| Flood {
        name,
        first,
        round,
        frames,
        code,
        reason: MALFORMED,
        kind: None,
    };
    let none = Vec::new;
    // Stream 1 is a request whose content is still to come, to a target that takes none.
    let open = || request(1, 0, "POST", "/stalled", &[]);
    vec![
        // CVE-2023-44487.
        either(
            "rapid reset",
            none(),
            |round| {
                let take = request(id(round), flag::END_STREAM, "GET", "/stalled", &[]);
                [take, reset(id(round), code::CANCEL)].concat()
            },
            2,
        ),
        either(
            "rapid reset of uploads",
            none(),
            |round| {
                let take = request(id(round), 0, "POST", "/stalled", &[]);
                [take, reset(id(round), code::CANCEL)].concat()
            },
            2,
        ),
        // CVE-2025-8671.
        error(
            "window update of zero",
            code::PROTOCOL_ERROR,
            none(),
            |round| {
                let take = request(id(round), flag::END_STREAM, "GET", "/stalled", &[]);
                [take, window_update(id(round), 0)].concat()
            },
            2,
        ),
        calm(
            "window overflow",
            "other",
            none(),
            |round| {
                let take = request(id(round), flag::END_STREAM, "GET", "/stalled", &[]);
                [take, window_update(id(round), 0x7fff_ffff)].concat()
            },
            2,
        ),
        calm(
            "priority on itself",
            "other",
            none(),
            |round| {
                let take = request(id(round), flag::END_STREAM, "GET", "/stalled", &[]);
                let on_itself = [&id(round).to_be_bytes()[..], &[16]].concat();
                [take, frame(kind::PRIORITY, 0, id(round), on_itself)].concat()
            },
            2,
        ),
        calm(
            "content longer than announced",
            "other",
            none(),
            |round| {
                let take = request(id(round), 0, "POST", "/stalled", &[("content-length", "1")]);
                [take, frame(kind::DATA, 0, id(round), b"ab")].concat()
            },
            2,
        ),
        error(
            "heads in upper case",
            code::PROTOCOL_ERROR,
            none(),
            |round| request(id(round), flag::END_STREAM, "GET", "/", &[("Upper", "case")]),
            1,
        ),
        // CVE-2019-9516.
        error(
            "headers without names",
            code::PROTOCOL_ERROR,
            none(),
            |round| request(id(round), flag::END_STREAM, "GET", "/", &[("", ""), ("", "")]),
            1,
        ),
        calm(
            "streams too many",
            "other",
            none(),
            |round| request(id(round), flag::END_STREAM, "GET", "/stalled", &[]),
            1,
        ),
        either(
            "heads over the limit",
            none(),
            |round| {
                let one = FRAME_BYTES_MAX - 40;
                let field = hpack::encode(&[("x", "a".repeat(one))]);
                let mut frames = frame(kind::HEADERS, flag::END_STREAM, id(round), &field);
                for _ in 0..8 {
                    frames.extend(frame(kind::CONTINUATION, 0, id(round), &field));
                }
                frames.extend(frame(kind::CONTINUATION, flag::END_HEADERS, id(round), &field));
                frames
            },
            10,
        ),
        // What a small head may stand for: the crate has it decoded, and ends the connection.
        calm(
            "header bombs",
            "other",
            none(),
            |round| {
                let mut parts = Vec::new();
                let block = bomb(60_000);
                for (index, part) in block.chunks(FRAME_BYTES_MAX).enumerate() {
                    let kind = if index == 0 { kind::HEADERS } else { kind::CONTINUATION };
                    parts.extend(frame(kind, u8::from(index == 0), id(round), part));
                }
                parts.extend(frame(kind::CONTINUATION, flag::END_HEADERS, id(round), b""));
                parts
            },
            5,
        ),
        error(
            "content behind its end",
            code::STREAM_CLOSED,
            request(1, flag::END_STREAM, "GET", "/stalled", &[]),
            |_| frame(kind::DATA, 0, 1, b"more"),
            1,
        ),
        // RUSTSEC-2024-0332.
        calm(
            "CONTINUATION",
            "other",
            frame(kind::HEADERS, 0, 1, b""),
            |_| frame(kind::CONTINUATION, 0, 1, vec![0; FRAME_BYTES_MAX]),
            1,
        ),
        either(
            "empty CONTINUATION",
            frame(kind::HEADERS, 0, 1, b""),
            |_| frame(kind::CONTINUATION, 0, 1, b""),
            1,
        ),
        // CVE-2019-9515, 9512, 9518, 9513.
        calm("SETTINGS", "settings", none(), |_| settings(&[]), 1),
        calm(
            "long SETTINGS",
            "settings",
            none(),
            |_| settings(&[(setting::MAX_HEADER_LIST_SIZE, 1 << 20); FRAME_BYTES_MAX / 6]),
            1,
        ),
        calm(
            "windows that open and shut",
            "settings",
            open(),
            |round| settings(&[(setting::INITIAL_WINDOW_SIZE, round % 2)]),
            1,
        ),
        calm("PING", "ping", none(), |_| frame(kind::PING, 0, 0, [7; 8]), 1),
        calm(
            "PING that nobody asked for",
            "ping",
            none(),
            |_| frame(kind::PING, flag::ACK, 0, [7; 8]),
            1,
        ),
        calm("empty DATA", "empty_data", open(), |_| frame(kind::DATA, 0, 1, b""), 1),
        calm(
            "empty DATA with padding",
            "other",
            open(),
            |_| frame(kind::DATA, flag::PADDED, 1, [&[255], &[0; 255][..]].concat()),
            1,
        ),
        calm(
            "PRIORITY",
            "priority",
            none(),
            |round| frame(kind::PRIORITY, 0, id(round), [0, 0, 0, 0, 16]),
            1,
        ),
        calm("PRIORITY_UPDATE", "priority", none(), |_| frame(0x10, 0, 0, b"\0\0\0\x01u=1"), 1),
        calm("window updates", "window_update", none(), |_| window_update(0, 1), 1),
        calm(
            "frames of no known type",
            "unknown",
            none(),
            |_| frame(0xfe, 0, 0, vec![0; 1_000]),
            1,
        ),
        calm("GOAWAY", "goaway", open(), |_| frame(kind::GOAWAY, 0, 0, [0; 8]), 1),
        calm(
            "resets of one stream",
            "reset",
            request(1, flag::END_STREAM, "GET", "/stalled", &[]),
            |_| reset(1, code::CANCEL),
            1,
        ),
    ]
}

fn node(target: &Target) -> Node {
    node_at(target.address)
}

fn node_at(address: SocketAddr) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets(&[target::entry(address)]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

/// A target that takes `/stalled` and never answers it.
fn stalling_target() -> Target {
    Target::with(|received, stream| {
        if received.request_line().contains("/stalled") {
            return stream.read_to_end(&mut Vec::new()).map(|_| ());
        }
        std::io::Write::write_all(stream, target::ok("hello").as_bytes())
    })
}

/// How another client was served meanwhile.
#[derive(Default)]
struct Service {
    answers: usize,
    /// What the node computed in the last turns, from a request to its answer, for whomever.
    last: [Duration; TURNS],
    /// The most that none of so many turns in a row remained below.
    longest: Duration,
}

impl Service {
    fn note(&mut self, turn: Duration) {
        self.last[self.answers % TURNS] = turn;
        self.answers += 1;
        self.longest = self.longest.max(self.last.into_iter().min().unwrap_or_default());
    }
}

/// What another client sees while `work` runs: it has been served before, asks again and again, and every answer is
/// right. How long it waits is measured in the node's own time, which does not go on while others have the machine. It does
/// go on while the other client itself stands still, which is why a single turn says nothing.
fn while_another_is_served<T>(node: &Node, work: impl FnOnce() -> T) -> (T, Service) {
    let ((begun, has_begun), over) = (channel(), AtomicBool::new(false));
    let config = config(None);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut client = Http2::connect(node.address("https"), &config);
            let mut service = Service::default();
            assert_eq!(client.get("/").text(), "hello");
            begun.send(()).expect("the flood waits for it");
            while service.answers == 0 || !over.load(Ordering::Relaxed) {
                let before = node.cpu_time();
                assert_eq!(client.get("/").text(), "hello");
                service.note(node.cpu_time() - before);
                if service.answers.is_multiple_of(5_000) {
                    client = Http2::connect(node.address("https"), &config);
                }
            }
            service
        });
        let stop = StopOnDrop(&over);
        has_begun.recv_timeout(wait::PATIENCE).expect("the other client is served");
        let done = work();
        drop(stop);
        (done, other.join().expect("the other client is served"))
    })
}

#[test]
fn every_flood_ends_its_connection_and_hurts_nobody_else() {
    let target = stalling_target();
    let node = node(&target);
    // Everything that is made once is made now.
    Http2::connect(node.address("https"), &config(None)).get("/");
    let failed: Vec<String> = floods().iter().filter_map(|flood| run(&node, flood).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    node.assert_no_panic();
}

/// Floods the node, and says what was not as it should be.
fn run(node: &Node, flood: &Flood) -> Result<(), String> {
    let reasons = [FLOOD, MALFORMED];
    let of_kind = || {
        flood.kind.map_or(0.0, |kind| {
            let label = format!("frames=\"{kind}\"");
            node.metric("portcullis_http2_floods_total", &[&label])
        })
    };
    let closed = || {
        reasons.map(|reason| {
            let label = format!("reason=\"{reason}\"");
            node.metric("portcullis_connections_closed_total", &[&label])
        })
    };
    let (before, of_kind_before) = (closed(), of_kind());
    let mut client = Http2::connect(node.address("https"), &config(None));
    client.ping();
    node.forget_most_resident();
    let resident = node.resident_kib();
    let ((ending, frames, bytes), service) = while_another_is_served(node, || {
        let mut sent = client.try_send(&flood.first);
        // The first stream is taken where something came first.
        let mut rounds = u32::from(!flood.first.is_empty())..;
        let (mut frames, mut bytes) = (0, flood.first.len());
        while frames < FRAMES_MAX && sent.is_ok() {
            let batch: Vec<u8> = rounds.by_ref().take(50).flat_map(flood.round).collect();
            sent = client.try_send(&batch);
            frames += 50 * flood.frames;
            bytes += batch.len();
        }
        (client.ending(), frames, bytes)
    });
    let grown = node.most_resident_kib().saturating_sub(resident);
    let counted = wait::until("the connection to be counted", || {
        let after = closed();
        (0..reasons.len()).find(|&index| after[index] > before[index] + 0.5)
    });
    let told = format!(
        "{}: {ending:?}, {}, at most {frames} frames, {grown} KiB, {} others answered, {TURNS} in a row after {:?}",
        flood.name, reasons[counted], service.answers, service.longest
    );
    eprintln!("{told}");
    // Behind more than the node throws away, a reset may overtake the GOAWAY.
    let is_told = ending.code().map_or(bytes > DISCARDED_BODY_BYTES_MAX, |code| code == flood.code);
    let is_named = flood.kind.is_none() || of_kind() > of_kind_before + 0.5;
    let is_fair = service.longest <= TURN_MAX;
    let is_well = is_told
        && is_named
        && is_fair
        && reasons[counted] == flood.reason
        && grown <= GROWTH_KIB_MAX;
    if is_well { Ok(()) } else { Err(told) }
}

/// Goal: a client that takes nothing cannot be told, and its connection ends all the same. Method: answers without end
/// that it does not read, then a flood; and what it can read at last.
#[test]
fn a_flood_by_a_client_that_reads_nothing_ends_by_a_reset() {
    let sent = Arc::default();
    let node = node_at(streaming_target(Arc::clone(&sent)));
    let wide = [(setting::INITIAL_WINDOW_SIZE, 0x7fff_ffff)];
    let mut client = Http2::with(node.address("https"), "localhost", &config(None), &wide);
    client.send(window_update(0, 0x7fff_0000));
    for _ in 0..8 {
        client.request(flag::END_STREAM, "GET", "/", &[("x-answer-bytes", "1073741824")]);
    }
    held_back("the client to be full", || sent.load(Ordering::Relaxed));
    let ping = frame(kind::PING, 0, 0, [7; 8]);
    while client.try_send(ping.repeat(50)).is_ok() {}
    node.metric_becomes("portcullis_http2_floods_total", &["frames=\"ping\""], 1.0);
    node.metric_becomes("portcullis_connections_open", &["listener=\"https\""], 0.0);
    let ending = client.ending();
    assert!(!ending.clean && ending.goaways.is_empty(), "{ending:?}");
    node.assert_no_panic();
}
