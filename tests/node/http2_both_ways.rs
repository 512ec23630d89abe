//! Streams whose directions flow at the same time: the idle timeout is one for both, and who is late is who
//! does not move.
use crate::bodies;
use crate::support::http2::{config, flag, frame, kind, window_update};
use crate::support::http2_target::{Call, fields, response};
use crate::support::node::piece;
use crate::support::target::{find, on_head};
use crate::support::{Http2, Http2Target, Node, long, target, wait};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A node whose clients and targets may be silent for five seconds: a busy machine takes some for itself.
fn node(address: SocketAddr) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets(&[target::entry(address)]),
        piece::idle_timeout(5),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

/// Longer than the idle timeout, by far.
const LONG: Duration = Duration::from_secs(11);

const BEGIN: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const END: &[u8] = b"0\r\n\r\n";

/// Reads up to the end of a chunked body.
fn read_content(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut room = [0; 64 * 1024];
    while !body.ends_with(END) {
        match stream.read(&mut room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => body.extend_from_slice(&room[..count]),
        }
    }
    Ok(body)
}

/// A target that answers with so many bytes before it takes any content.
fn answering_first(bytes: usize) -> SocketAddr {
    on_head(move |_, mut stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &vec![7; bytes]].concat())?;
        read_content(&mut stream)?;
        stream.read(&mut [0]).map(|_| ())
    })
}

fn errors(node: &Node) -> f64 {
    node.metric("portcullis_upstream_errors_total", &[])
}

/// Opens a stream's window by a few bytes at a time, for long.
fn take_little(client: &mut Http2, id: u32) {
    client.send(window_update(0, 1 << 24));
    let began = Instant::now();
    while began.elapsed() < LONG {
        let before = client.answers[&id].body.len();
        client.send(window_update(id, 8));
        client.until(|client| client.answers[&id].body.len() > before);
        wait::pause();
    }
}

#[test]
fn an_upload_stays_open_while_its_answer_flows() {
    let (sender, received) = channel();
    let address = on_head(move |_, mut stream| {
        stream.write_all(BEGIN)?;
        stream.set_read_timeout(Some(Duration::from_millis(5)))?;
        let mut first = [0; 64];
        let count = loop {
            stream.write_all(b"1\r\n.\r\n")?;
            match stream.read(&mut first) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        };
        stream.set_read_timeout(Some(wait::PATIENCE))?;
        let mut body = first[..count].to_vec();
        if !body.ends_with(END) {
            body.extend(read_content(&mut stream)?);
        }
        let _ = sender.send(body);
        stream.write_all(END)
    });
    let node = node(address);
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[]);
    let began = Instant::now();
    client.until(|_| began.elapsed() > LONG);
    client.upload(id, b"late", true);
    let answer = client.answer(id);
    assert_eq!((answer.status, answer.whole), (200, true), "{:?}", answer.reset);
    let body = received.recv_timeout(wait::PATIENCE).unwrap();
    assert_eq!(String::from_utf8_lossy(&body), "4\r\nlate\r\n0\r\n\r\n");
}

#[test]
fn an_answer_may_wait_while_its_upload_flows() {
    let address = on_head(|_, mut stream| {
        let body = read_content(&mut stream)?;
        let begun = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[begun.as_bytes(), &body].concat())?;
        stream.read(&mut [0]).map(|_| ())
    });
    let node = node(address);
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[]);
    let began = Instant::now();
    while began.elapsed() < LONG {
        client.upload(id, b"a few bytes", false);
        client.ping();
        wait::pause();
    }
    client.send(frame(kind::DATA, flag::END_STREAM, id, b""));
    let answer = client.answer(id);
    assert_eq!((answer.status, answer.whole), (200, true), "{:?}", answer.reset);
    assert!(find(&answer.body, b"a few bytes").is_some());
}

#[test]
fn a_client_that_uploads_is_not_idle_though_it_takes_nothing() {
    let address = on_head(|_, mut stream| {
        let mut down = stream.try_clone()?;
        let writer = std::thread::spawn(move || {
            down.write_all(BEGIN)?;
            down.write_all(format!("{ANSWER_BYTES:x}\r\n").as_bytes())?;
            down.write_all(&[&vec![7; ANSWER_BYTES][..], b"\r\n"].concat())
        });
        read_content(&mut stream)?;
        writer.join().expect("the writer does not panic")?;
        stream.write_all(END)?;
        stream.read(&mut [0]).map(|_| ())
    });
    let node = node(address);
    let mut client = client(&node);
    client.opens_windows = false;
    let id = client.request(0, "POST", "/", &[]);
    let began = Instant::now();
    while began.elapsed() < LONG {
        client.upload(id, b"a few bytes", false);
        client.ping();
        wait::pause();
    }
    client.send(frame(kind::DATA, flag::END_STREAM, id, b""));
    client.opens_windows = true;
    for stream in [0, id] {
        client.send(window_update(stream, 1 << 20));
    }
    let answer = client.answer(id);
    assert_eq!((answer.whole, answer.body.len()), (true, ANSWER_BYTES), "{:?}", answer.reset);
}

/// More than a client's windows and the buffers of sockets hold.
const ANSWER_BYTES: usize = 16 << 20;

/// Goal: the end of an upload does not make a target late whose answer waits for the client. Method: a client
/// that takes a piece of it for longer than the idle timeout, after the upload.
#[test]
fn a_target_is_not_late_while_its_client_reads_slowly() {
    let node = node(answering_first(ANSWER_BYTES));
    let mut client = client(&node);
    client.opens_windows = false;
    let id = client.request(0, "POST", "/", &[]);
    client.until(|client| client.answers.get(&id).is_some_and(|it| it.body.len() == WINDOW));
    client.upload(id, b"the end", true);
    take_little(&mut client, id);
    client.opens_windows = true;
    client.send(window_update(id, 1 << 20));
    let answer = client.answer(id);
    assert_eq!((answer.whole, answer.body.len()), (true, ANSWER_BYTES), "{:?}", answer.reset);
    assert!(errors(&node) < 0.5, "nobody was late");
}

/// What windows are before anybody opens them (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;

/// Goal: a target that takes nothing because its answer is not taken is not late. Method: the same, while the
/// upload waits for the target.
#[test]
fn a_target_that_waits_for_the_client_may_leave_content_waiting() {
    let node = node(answering_first(ANSWER_BYTES));
    let mut client = client(&node);
    client.opens_windows = false;
    let id = client.request(0, "POST", "/", &[]);
    let piece = [7; 16 * 1024];
    // Until all buffers up to the target are full: then no window opens any more.
    let mut stuck = 0;
    while stuck < 20 {
        let room = client.room(id).min(piece.len());
        stuck = if room == 0 { stuck + 1 } else { 0 };
        client.upload(id, &piece[..room], false);
        client.ping();
        wait::pause();
    }
    take_little(&mut client, id);
    client.opens_windows = true;
    client.send(window_update(id, 1 << 20));
    client.until(|client| client.answers[&id].body.len() == ANSWER_BYTES);
    assert!(client.answers[&id].whole, "{:?}", client.answers[&id].reset);
    assert!(errors(&node) < 0.5, "nobody was late");
}

#[test]
fn a_client_that_takes_nothing_more_is_the_one_to_blame() {
    let node = node(answering_first(ANSWER_BYTES));
    let mut client = client(&node);
    client.opens_windows = false;
    // With the whole request, and with an upload that waits, too.
    for ends in [true, false] {
        let id = client.request(0, "POST", "/", &[]);
        client.upload(id, b"content", ends);
        client.send(window_update(0, WINDOW as u32));
        assert!(client.answer(id).reset.is_some());
    }
    assert!(errors(&node) < 0.5, "it is no failure of the target's");
    let label = ["reason=\"client_timeout\""];
    node.metric_becomes("portcullis_http_requests_failed_total", &label, 2.0);
    node.assert_no_panic();
}

/// Goal: a call of any length and both of its directions take little memory at once. Method: a target that
/// sends back what it gets; 1 GiB in total in the long run.
#[test]
fn a_call_of_any_length_takes_little_memory_both_ways_at_once() {
    let bytes: u64 = if long() { 512 << 20 } else { 32 << 20 };
    let target = Http2Target::with(|mut call: Call| async move {
        let mut answer = call.begin(response(200));
        while let Some(content) = call.content().await {
            answer.send(content).await;
        }
        answer.end_with(fields(&[("grpc-status", "0")]));
    });
    let configuration = [
        piece::certificates(),
        piece::targets_of("GRPC", &[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    let node = Node::start(&configuration.concat());
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[("content-type", "application/grpc")]);
    // What is made once is made now.
    client.upload(id, &vec![7; 1 << 20], false);
    client.until(|client| client.answers.get(&id).is_some_and(|it| it.body.len() == 1 << 20));
    client.answers.clear();
    node.forget_most_resident();
    let before = node.resident_kib();
    let piece = bodies::block();
    let (mut sent, mut received) = (0, 0);
    while received < bytes {
        if sent < bytes {
            client.upload(id, &piece, false);
            sent += piece.len() as u64;
        } else {
            client.step().expect("the node goes on");
        }
        let answer = client.answers.entry(id).or_default();
        let at = (received % piece.len() as u64) as usize;
        let expected = piece.iter().cycle().skip(at);
        assert!(answer.body.iter().zip(expected).all(|(a, b)| a == b), "behind {received} bytes");
        received += answer.body.len() as u64;
        answer.body.clear();
    }
    client.send(frame(kind::DATA, flag::END_STREAM, id, b""));
    let answer = client.answer(id);
    assert_eq!((answer.whole, answer.trailers.len()), (true, 1));
    let grown = node.most_resident_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "grown by {grown} KiB");
    node.assert_no_panic();
}
