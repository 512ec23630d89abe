//! The access log's lines of streams: when they are written, and what they count.
use crate::access_log::{
    ACTION, CONNECTION, ELB_STATUS, RECEIVED, REQUEST, SENT, TARGET, TARGET_STATUS, TIMES,
    TRACE_ID, TYPE, USER_AGENT, node, node_for, only_line, silent,
};
use crate::bodies::streaming_target;
use crate::support::http2::{Answer, code, config, flag, reset, setting, window_update};
use crate::support::target::{entry, ok};
use crate::support::tools::{self, Identity, Tls};
use crate::support::{Http2, Target, wait};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// By HTTP/2 the node learns of it while it waits.
#[test]
fn a_client_that_leaves_while_the_target_is_silent_is_460() {
    let silent = silent();
    let node = node(&silent);
    let mut client = Http2::connect(node.address("https"), &config(None));
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    silent.received();
    client.send(reset(id, code::CANCEL));
    let line = only_line(&node);
    assert_eq!(line.fields([TYPE, ELB_STATUS, TARGET_STATUS]), ["h2", "460", "-"]);
    assert_eq!(line.field(TARGET), silent.address.to_string());
    let [request, target, response] = line.fields(TIMES);
    assert!(request != "-1" && [target, response] == ["-1"; 2], "{}", line.text);
}

#[test]
fn streams_of_http_2_have_lines_like_any_request() {
    let target = Target::with(|received, stream| {
        let body = if received.body.is_empty() { "hello" } else { "thanks" };
        stream.write_all(ok(body).as_bytes())
    });
    let node = node(&target);
    let address = node.address("https");
    let asked = |index: usize, more: &[&str], status: &str| {
        let more = [&["--http2"], more].concat();
        let ended = tools::curl_https(address, "api.example.com", Identity::None, Tls::V13, &more);
        assert!(ended.stdout.ends_with(status), "{}", ended.said());
        node.access_line(index)
    };
    let line = asked(0, &["-A", "agent/1"], "200");
    let request = format!("GET https://api.example.com:{}/ HTTP/2.0", address.port());
    assert_eq!(line.fields([TYPE, REQUEST, USER_AGENT]), ["h2", &*request, "agent/1"]);
    assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS, ACTION]), ["200", "200", "forward"]);
    assert!(line.fields(TIMES).iter().all(|time| *time != "-1"), "{}", line.text);
    assert!(node.log_line(0).contains(line.field(CONNECTION)), "{}", line.text);
    assert_eq!(line.field(TRACE_ID), target.received().value("X-Amzn-Trace-Id"));
    let small = line.number(RECEIVED);

    let line = asked(1, &["--data", "0123456789"], "200");
    assert!(line.number(RECEIVED) >= small + 10, "{}", line.text);
    let line = asked(2, &["-H", "Content-Type: application/grpc"], "464");
    assert_eq!(line.fields([TYPE, ELB_STATUS, ACTION]), ["grpcs", "464", "-"]);
    let line = asked(3, &["-X", "TRACE"], "405");
    let request = format!("TRACE https://127.0.0.1:{}/ HTTP/2.0", address.port());
    assert_eq!(line.fields([TYPE, ELB_STATUS, REQUEST]), ["h2", "405", &*request]);
    node.assert_no_panic();
}

/// What an answer's head counts: `:status` and fields, as lines of HTTP/1.1.
fn head_bytes(answer: &Answer) -> usize {
    answer.fields.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
}

/// Goal: what a stream counts is what came and what went. Method: heads whose fields are all known, a body each way,
/// an answer of a target and one of the node's own.
#[test]
fn bytes_of_a_stream_are_counted_as_those_of_http_1() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Http2::connect(node.address("https"), &config(None));
    // Pseudo-headers by their values: method, path and authority.
    let pseudo = |method: &str| method.len() + "/".len() + "localhost".len();
    let id = client.request(0, "POST", "/", &[("x-odd", "1")]);
    client.upload(id, b"12345", true);
    let (answer, line) = (client.answer(id), node.access_line(0));
    assert_eq!(line.number(RECEIVED) as usize, pseudo("POST") + "x-odd: 1\r\n".len() + 5);
    assert_eq!(line.number(SENT) as usize, head_bytes(&answer) + "hello".len());
    let (answer, line) = (client.ask("TRACE", "/", &[("x", "y")]), node.access_line(1));
    assert_eq!(line.fields([ELB_STATUS, TARGET]), ["405", "-"]);
    assert_eq!(line.number(RECEIVED) as usize, pseudo("TRACE") + "x: y\r\n".len());
    assert_eq!(line.number(SENT) as usize, head_bytes(&answer) + answer.body.len());
}

/// Goal: what the node holds for a client is not what the client got. Method: an answer of which the client's windows
/// take ten bytes; then it takes the rest, resets the stream, or leaves.
#[test]
fn an_answer_counts_as_far_as_it_has_gone() {
    const TAKEN: usize = 10;
    let target = Target::named("a body that the client's windows have no room for");
    let node = node(&target);
    let begun = || {
        let narrow = [(setting::INITIAL_WINDOW_SIZE, TAKEN as u32)];
        let mut client = Http2::with(node.address("https"), "localhost", &config(None), &narrow);
        client.opens_windows = false;
        let id = client.request(flag::END_STREAM, "GET", "/", &[]);
        client.until(|client| {
            client.answers.get(&id).is_some_and(|answer| answer.body.len() == TAKEN)
        });
        (client, id)
    };
    let (mut client, id) = begun();
    client.ping();
    assert!(node.lines_of("access.log").is_empty(), "most of it is still to go");
    client.send(window_update(id, 1 << 20));
    let answer = client.answer(id);
    assert_eq!(node.access_line(0).number(SENT) as usize, head_bytes(&answer) + answer.body.len());
    let cut = head_bytes(&answer) + TAKEN;

    let (mut client, id) = begun();
    client.send(reset(id, code::CANCEL));
    assert_eq!(node.access_line(1).number(SENT) as usize, cut);
    let (client, _) = begun();
    drop(client);
    assert_eq!(node.access_line(2).number(SENT) as usize, cut);
    for index in 0..3 {
        let line = node.access_line(index);
        assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS]), ["200"; 2], "{}", line.text);
        assert!(line.fields(TIMES).iter().all(|time| *time != "-1"), "{}", line.text);
    }
    node.assert_no_panic();
}

/// Goal: field 8 is how long an answer waited for its client. Method: a client that reads nothing of a large answer until
/// the target has answered another request, and then for a while longer.
#[test]
fn an_answer_that_waits_for_its_client_says_for_how_long() {
    const WAITED: Duration = Duration::from_millis(300);
    let node = node_for(&[entry(streaming_target(Arc::default()))]);
    let wide = [(setting::INITIAL_WINDOW_SIZE, 0x7fff_ffff)];
    let mut client = Http2::with(node.address("https"), "localhost", &config(None), &wide);
    client.send(window_update(0, 0x7fff_0000));
    client.request(flag::END_STREAM, "GET", "/", &[("x-answer-bytes", "1073741824")]);
    let (mut last, mut since) = (0.0, Instant::now());
    wait::until("the client to be full", || {
        let sent = node.metric("portcullis_client_sent_bytes_total", &[]);
        if std::mem::replace(&mut last, sent) != sent {
            since = Instant::now();
        }
        (sent > 0.0 && since.elapsed() > Duration::from_secs(1)).then_some(())
    });
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    node.metric_becomes("portcullis_http_responses_total", &["status_class=\"2xx\""], 2.0);
    let answered = Instant::now();
    wait::until("a while", || (answered.elapsed() >= WAITED).then_some(()));
    client.opens_windows = false;
    assert_eq!(client.answer(id).status, 200);
    let line = node.access_line(0);
    let waited: f64 = line.field(TIMES[2]).parse().unwrap();
    assert!(waited >= WAITED.as_secs_f64(), "{}", line.text);
}
