//! The access log: one line for each request, however it ends.
use crate::corpus::message;
use crate::support::client::{connect, tls_config};
use crate::support::http2::{code, flag};
use crate::support::log_lines::{ATHENA_CONNECTION, AccessLine};
use crate::support::node::piece;
use crate::support::target::{close, entry, nobody, ok};
use crate::support::tools::{self, Identity, Tls};
use crate::support::{Client, Http2, Node, Setup, Target, http2, wait};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::thread;

/// The fields of section 2.2 that tests look at, by their numbers.
pub const TYPE: usize = 1;
const CLIENT: usize = 4;
pub const TARGET: usize = 5;
pub const TIMES: [usize; 3] = [6, 7, 8];
pub const ELB_STATUS: usize = 9;
pub const TARGET_STATUS: usize = 10;
pub const RECEIVED: usize = 11;
pub const SENT: usize = 12;
pub const REQUEST: usize = 13;
pub const USER_AGENT: usize = 14;
const CIPHER: usize = 15;
pub const PROTOCOL: usize = 16;
pub const TARGET_GROUP: usize = 17;
const TRACE_ID: usize = 18;
const DOMAIN: usize = 19;
const CERTIFICATE: usize = 20;
const RULE: usize = 21;
pub const ACTION: usize = 23;
const CLASS: usize = 28;
const CLASS_REASON: usize = 29;
const CONNECTION: usize = 30;
const ADDRESS: usize = 34;

/// A node with a listener of each kind.
fn configuration(entries: &[String]) -> String {
    let fixed = "  - name: fixed\n    bind: 127.0.0.1:0\n    protocol: HTTP\n    default_actions:\n      \
                 - {type: fixed-response, fixed_response_config: {status_code: 404, message_body: gone}}\n";
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(entries),
        "load_balancer: {name: edge}\n".to_owned(),
        "listeners:\n".to_owned(),
        piece::http("plain", ""),
        piece::https("https", "certificates: [ecdsa, rsa]"),
        piece::https("asks", &piece::verify("refusal: http")),
        fixed.to_owned(),
    ]
    .concat()
}

fn node_for(entries: &[String]) -> Node {
    node_with(&configuration(entries))
}

/// One whose clients and targets may be silent for so many seconds.
fn impatient_node(seconds: u32, entries: &[String]) -> Node {
    let edge = format!("{{name: edge, attributes: {{idle_timeout.timeout_seconds: {seconds}}}}}");
    node_with(&configuration(entries).replace("{name: edge}", &edge))
}

fn node_with(configuration: &str) -> Node {
    let logs = ", access: access.log".to_owned();
    Node::with(Setup { logs, ..Setup::default() }, configuration)
}

/// A target that takes each request and says nothing until the node gives up.
fn silent() -> Target {
    Target::with(|_, stream| {
        let _ = stream.read(&mut [0]);
        close()
    })
}

fn node(target: &Target) -> Node {
    node_for(&[target.entry()])
}

/// The first line, and that there is no other.
fn only_line(node: &Node) -> AccessLine {
    let line = node.access_line(0);
    assert_eq!(node.lines_of("access.log").len(), 1);
    line
}

#[test]
fn each_request_of_a_kept_connection_has_a_line_with_all_that_is_known() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("plain");
    let mut socket = connect(address);
    let client = socket.local_addr().unwrap();
    let get = |index: usize| {
        format!(
            "GET /{index}?q=\"x\" HTTP/1.1\r\nHost: a.example\r\nUser-Agent: \"test\" \\1\r\n\r\n"
        )
    };
    socket.write_all((get(0) + &get(1)).as_bytes()).unwrap();
    let mut asking = Client::on(socket);
    let sent = [asking.answer(), asking.answer(), asking.ask(&get(2))];
    for (index, answer) in sent.iter().enumerate() {
        let line = node.access_line(index);
        let received = target.received();
        assert_eq!(line.field(TYPE), "http");
        assert_eq!(line.field(CLIENT), client.to_string());
        assert_eq!(line.fields([TARGET, 26]), [&*target.address.to_string(); 2]);
        assert!(line.fields(TIMES).iter().all(|time| !time.starts_with('-')), "{}", line.text);
        assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS, 27]), ["200"; 3]);
        assert_eq!(line.number(RECEIVED) as usize, get(index).len());
        assert_eq!(line.number(SENT) as usize, answer.head.len() + "hello".len());
        let port = address.port();
        let request = format!(r"GET http://a.example:{port}/{index}?q=\x22x\x22 HTTP/1.1");
        assert_eq!(line.field(REQUEST), request);
        assert_eq!(line.field(USER_AGENT), r"\x22test\x22 \x5C1");
        assert_eq!(line.fields([CIPHER, PROTOCOL, DOMAIN, CERTIFICATE]), ["-"; 4]);
        let group = "arn:aws:elasticloadbalancing:::targetgroup/targets/";
        assert!(line.field(TARGET_GROUP).starts_with(group), "{}", line.text);
        assert_eq!(line.field(TRACE_ID), received.value("X-Amzn-Trace-Id"));
        assert_eq!(line.fields([RULE, ACTION]), ["0", "forward"]);
        assert_eq!(line.fields([24, 25, 28, 29, 31, 32, 33]), ["-"; 7]);
        assert!(line.field(3).starts_with("app/edge/"), "{}", line.text);
        assert!(line.field(2) >= line.field(22), "it ends after it began: {}", line.text);
        assert_eq!(line.field(ADDRESS), "127.0.0.1");
        assert!(node.log_line(0).contains(&format!(" {} ", line.field(CONNECTION))));
    }
    assert_eq!((node.lines_of("access.log").len(), node.log().len()), (3, 1));
    node.assert_no_panic();
}

#[test]
fn what_was_not_kept_alive_has_a_line_too() {
    let target = Target::with(|received, stream| match received.request_line() {
        "GET /early HTTP/1.1" => {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")?;
            stream.write_all(ok("hi").as_bytes())
        }
        _ => stream.write_all(ok("hello").as_bytes()),
    });
    let node = node(&target);
    let address = node.address("plain");
    // Each on a connection of its own: HEAD, an interim answer, an HTTP/1.0 client, bodies of both kinds.
    for (index, (request, sent)) in [
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("GET /early HTTP/1.1\r\nHost: a\r\n\r\n", "hi"),
        ("GET / HTTP/1.0\r\n\r\n", "hello"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345", "hello"),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            "hello",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::plain(address);
        client.send(request);
        let mut heads = String::new();
        let method = request.split(' ').next().unwrap();
        let last = loop {
            let answer = client.try_answer(method).unwrap();
            heads += &answer.head;
            if answer.status >= 200 {
                break answer;
            }
        };
        let line = node.access_line(index);
        assert_eq!((last.status, last.text().as_str()), (200, sent), "{request}");
        assert_eq!(line.field(ELB_STATUS), "200", "{request}");
        assert_eq!(line.number(RECEIVED) as usize, request.len(), "{request}");
        assert_eq!(line.number(SENT) as usize, heads.len() + sent.len(), "{request}");
        assert!(line.field(REQUEST).starts_with(method), "{}", line.text);
    }
    // A Host that the client has not named is the node's address.
    let host = format!("http://{address}/ HTTP/1.0");
    assert!(node.access_line(2).field(REQUEST).ends_with(&host), "{}", node.access_line(2).text);
}

#[test]
fn what_comes_behind_a_body_is_of_the_next_request() {
    let target = Target::named("hello");
    let node = node(&target);
    let first = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Client::plain(node.address("plain"));
    client.send([first, second].concat());
    client.answer();
    client.answer();
    let received = [0, 1].map(|index| node.access_line(index).number(RECEIVED) as usize);
    assert_eq!(received, [first.len(), second.len()]);
}

#[test]
fn a_request_that_cannot_be_read_has_a_line_with_what_can() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("plain");
    for (index, (sent, status, request)) in [
        (
            "GET /a b HTTP/1.1\r\nHost : a\r\n\r\n",
            "400",
            format!(r"GET http://{address}/a\x20b HTTP/1.1"),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "400",
            format!("GET http://{address}/ HTTP/1.1"),
        ),
        ("\x16\x03\x01\0\x05\r\n\r\n", "400", format!(r"\x16\x03\x01\x00\x05 http://{address}- -")),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "405", format!("TRACE http://{address}/ HTTP/1.1")),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", format!("PRI http://{address}* HTTP/2.0")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::plain(address);
        client.send(sent);
        assert_eq!(client.answer().status.to_string(), status, "{sent:?}");
        let line = node.access_line(index);
        assert_eq!(
            line.fields([ELB_STATUS, TARGET_STATUS, TARGET]),
            [status, "-", "-"],
            "{sent:?}"
        );
        assert_eq!(line.fields(TIMES), ["-1"; 3], "{}", line.text);
        assert_eq!(line.field(REQUEST), request, "{sent:?}");
        assert_eq!(line.fields([RULE, ACTION, TARGET_GROUP, TRACE_ID]), ["-"; 4], "{}", line.text);
        assert_eq!(line.number(RECEIVED) as usize, sent.len(), "{sent:?}");
        assert!(line.number(SENT) > 100, "{}", line.text);
    }
    let mut client = Client::plain(address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    assert_eq!(client.answer().status, 400);
    assert_eq!(node.access_line(5).fields([ELB_STATUS, RULE]), ["400", "0"]);
    // A long line is cut, and stays one.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "\"".repeat(20_000));
    let mut client = Client::plain(address);
    let _ = client.try_send(long);
    assert_eq!(client.answer().status, 414);
    assert_eq!(node.access_line(6).field(ELB_STATUS), "414");
    assert!(target.so_far().is_empty());
    node.assert_no_panic();
}

/// `alb-contract`, section 2.2: "URL exactly as sent"; what a target gets instead is nobody's business here.
#[test]
fn a_request_that_was_written_anew_has_the_line_that_its_client_sent() {
    let target = Target::named("hello");
    let node = node(&target);
    let port = node.address("plain").port();
    for (index, (sent, to_target, logged, class)) in [
        (
            "GET  /a b HTTP/1.1",
            "GET /a%20b HTTP/1.1",
            format!(r"GET http://a:{port}/a\x20b HTTP/1.1"),
            ["Acceptable", "SpaceInUri"],
        ),
        (
            "GET /caf\u{e9} HTTP/1.1",
            "GET /caf%C3%A9 HTTP/1.1",
            format!(r"GET http://a:{port}/caf\xC3\xA9 HTTP/1.1"),
            ["-", "-"],
        ),
        (
            "GET / HTTP/1.2",
            "GET / HTTP/1.1",
            format!("GET http://a:{port}/ HTTP/1.2"),
            ["Acceptable", "NonCompliantVersion"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::plain(node.address("plain"));
        let answer = client.ask(&format!("{sent}\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status, 200, "{sent}");
        assert_eq!(target.received().request_line(), to_target);
        let line = node.access_line(index);
        assert_eq!(line.field(REQUEST), logged);
        assert_eq!(line.fields([CLASS, CLASS_REASON]), class, "{sent}");
    }
}

/// Goal: whatever clients send, the readers of both logs find their columns. Method: messages that two readers
/// could take for different ones, over both kinds of listener.
#[test]
fn every_line_of_both_logs_is_as_their_readers_match_it() {
    let target = Target::named("hello");
    // Some messages are never whole.
    let node = impatient_node(1, &[target.entry()]);
    for number in 0..300 {
        let message = message(number);
        let address = node.address(if number % 10 == 0 { "https" } else { "plain" });
        let mut client = match number % 10 {
            0 => Client::tls(address, "localhost", &tls_config(None)),
            _ => Client::plain(address),
        };
        let _ = client.try_send(&message);
        let _ = client.try_answer("GET");
    }
    let closed = || node.metric("portcullis_connections_open", &[]) < 0.5;
    wait::until("every connection to end", || closed().then_some(()));
    node.log_line(299);
    let lines = wait::until("a line for each request", || {
        Some(node.lines_of("access.log")).filter(|lines| lines.len() >= 300)
    });
    for line in &lines {
        AccessLine::read(line);
    }
    for line in node.log() {
        assert!(ATHENA_CONNECTION.is_match(&line), "{line}");
    }
    node.assert_no_panic();
}

#[test]
fn a_client_that_is_too_slow_is_408() {
    let target = Target::named("hello");
    let node = impatient_node(3, &[target.entry()]);
    for (index, (sent, action)) in [
        ("GET / HTTP/1.1\r\nHo", "-"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "forward"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::plain(node.address("plain"));
        client.send(sent);
        assert_eq!(client.answer().status, 408);
        let line = node.access_line(index);
        assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS, ACTION]), ["408", "-", action]);
        assert_eq!(line.number(RECEIVED) as usize, sent.len());
    }
    // A connection that never said anything, or nothing more, is no request.
    drop(connect(node.address("plain")));
    let mut client = Client::plain(node.address("plain"));
    client.get("/");
    client.until_closed();
    assert_eq!(node.access_line(2).field(ELB_STATUS), "200");
    assert_eq!(node.lines_of("access.log").len(), 3);
}

/// `alb-contract`, sections 2.2 and 6.5. The target is named wherever one was chosen.
#[test]
fn a_target_that_fails_is_told_by_status_and_times() {
    let closing = Target::with(|_, _| close());
    let garbage = Target::answering("no HTTP\r\n\r\n");
    let silent = silent();
    let half = Target::with(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        close()
    });
    let nobody = nobody();
    type Times = fn([&str; 3]) -> bool;
    let none: Times = |times| times == ["-1"; 3];
    let sent: Times = |times| times[0] != "-1" && times[1..] == ["-1"; 2];
    let begun: Times = |times| times[..2].iter().all(|time| *time != "-1") && times[2] == "-1";
    let whole: Times = |times| times.iter().all(|time| *time != "-1");
    for (entries, address, statuses, times) in [
        (vec![], None, ["503", "-"], none),
        (vec![nobody.entry()], Some(nobody.address), ["502", "-"], none),
        (vec![closing.entry()], Some(closing.address), ["502", "-"], none),
        (vec![garbage.entry()], Some(garbage.address), ["502", "-"], begun),
        (vec![silent.entry()], Some(silent.address), ["504", "-"], sent),
        (vec![half.entry()], Some(half.address), ["200", "200"], whole),
    ] {
        let node = impatient_node(3, &entries);
        let mut client = Client::plain(node.address("plain"));
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.until_closed();
        let line = only_line(&node);
        let address = address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        assert_eq!(line.field(TARGET), address, "{}", line.text);
        assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS]), statuses, "{}", line.text);
        assert!(times(line.fields(TIMES)), "{}", line.text);
        assert_eq!(line.fields([RULE, ACTION]), ["0", "forward"]);
    }
}

#[test]
fn an_answer_before_the_end_of_its_request_has_one_line() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let target = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut received, mut byte) = (Vec::new(), [0]);
        while !received.ends_with(b"begun") {
            socket.read_exact(&mut byte).unwrap();
            received.push(byte[0]);
        }
        socket
            .write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
            .unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let node = node_for(&[entry(address)]);
    let mut client = Client::plain(node.address("plain"));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
    client.send(head);
    client.send("begun");
    assert_eq!(client.answer().status, 413);
    client.until_closed();
    drop(client);
    target.join().unwrap();
    let line = only_line(&node);
    assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS]), ["413"; 2]);
    assert_eq!(line.number(RECEIVED) as usize, head.len() + "begun".len());
    assert!(line.fields(TIMES).iter().all(|time| *time != "-1"), "{}", line.text);
}

/// `alb-contract`, section 6.5: 400 "client closed before sending the whole body", 460 "client closed
/// before the idle timeout while waiting for the target".
#[test]
fn a_client_that_leaves_before_its_request_is_whole_is_400() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("plain");
    for (index, sent) in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"]
        .into_iter()
        .enumerate()
    {
        let mut socket = connect(address);
        socket.write_all(sent.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        Client::on(socket).until_closed();
        let line = node.access_line(index);
        assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS]), ["400", "-"], "{sent}");
        assert_eq!(line.number(RECEIVED) as usize, sent.len(), "{sent}");
    }
    node.assert_no_panic();
}

/// By HTTP/2 the node learns of it while it waits.
#[test]
fn a_client_that_leaves_while_the_target_is_silent_is_460() {
    let silent = silent();
    let node = node(&silent);
    let mut client = Http2::connect(node.address("https"), &http2::config(None));
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    silent.received();
    client.send(http2::reset(id, code::CANCEL));
    let line = only_line(&node);
    assert_eq!(line.fields([TYPE, ELB_STATUS, TARGET_STATUS]), ["h2", "460", "-"]);
    assert_eq!(line.field(TARGET), silent.address.to_string());
    let [request, target, response] = line.fields(TIMES);
    assert!(request != "-1" && [target, response] == ["-1"; 2], "{}", line.text);
}

#[test]
fn what_the_node_answers_itself_says_which_action() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Client::plain(node.address("fixed"));
    assert_eq!(client.get("/").status, 404);
    let line = node.access_line(0);
    assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS, TARGET]), ["404", "-", "-"]);
    assert_eq!(line.fields([RULE, ACTION, TARGET_GROUP]), ["0", "fixed-response", "-"]);
    assert_eq!(line.fields(TIMES), ["-1"; 3]);
    assert!(line.field(TRACE_ID).starts_with("Root=1-"), "{}", line.text);
    // A client that is refused by 403 got as far as a request, and no further.
    let mut client =
        Client::tls(node.address("asks"), "api.example.com", &tls_config(Some("expired")));
    assert_eq!(client.get("/").status, 403);
    let line = node.access_line(1);
    assert_eq!(line.fields([TYPE, ELB_STATUS, RULE, ACTION]), ["https", "403", "-", "-"]);
    assert!(node.log_line(1).contains(" Failed:ClientCertExpired "));
    assert!(node.log_line(1).contains(line.field(CONNECTION)), "{}", line.text);
}

#[test]
fn what_was_agreed_on_in_the_handshake_is_in_each_line() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let ecdsa = "arn:aws:acm:::certificate/ecdsa";
    let config = tls_config(None);
    for (index, (name, domain, certificate)) in [
        ("api.example.com", "api.example.com", ecdsa),
        // The same client comes back by a ticket.
        ("api.example.com", "api.example.com", "session-reused"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::tls(address, name, &config);
        assert_eq!(client.get("/").status, 200);
        let line = node.access_line(index);
        assert_eq!(line.fields([TYPE, PROTOCOL]), ["https", "TLSv1.3"]);
        assert!(line.field(CIPHER).starts_with("TLS_"), "{}", line.text);
        assert_eq!(line.fields([DOMAIN, CERTIFICATE]), [domain, certificate], "{}", line.text);
        assert!(node.log_line(index).contains(line.field(CONNECTION)), "{}", line.text);
        let request = format!("GET https://localhost:{}/ HTTP/1.1", address.port());
        assert_eq!(line.field(REQUEST), request);
    }
    // A name that no certificate answers for gets the default, and clients of TLS 1.2 by its own names.
    let unknown = tools::curl_https(address, "nobody.invalid", Identity::None, Tls::V12, &["-k"]);
    assert!(unknown.stdout.ends_with("200"), "{}", unknown.said());
    let line = node.access_line(2);
    assert_eq!(line.fields([PROTOCOL, DOMAIN, CERTIFICATE]), ["TLSv1.2", "-", ecdsa]);
    assert!(line.field(CIPHER).starts_with("ECDHE-"), "{}", line.text);
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

#[test]
fn a_websocket_has_one_line_when_it_closes() {
    const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let target = Target::with(|_, stream| {
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfrom the target",
        )?;
        stream.read_to_end(&mut Vec::new())?;
        close()
    });
    let node = node(&target);
    let mut socket = connect(node.address("plain"));
    socket.write_all(ASK.as_bytes()).unwrap();
    socket.write_all(b"from the client").unwrap();
    let mut client = Client::on(socket.try_clone().unwrap());
    let answer = client.answer();
    assert_eq!(answer.status, 101);
    assert!(node.lines_of("access.log").is_empty(), "it is open");
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.until_closed(), b"from the target");
    let line = only_line(&node);
    assert_eq!(line.fields([TYPE, ELB_STATUS, TARGET_STATUS]), ["ws", "101", "101"]);
    assert_eq!(line.number(RECEIVED) as usize, ASK.len() + "from the client".len());
    assert_eq!(line.number(SENT) as usize, answer.head.len() + "from the target".len());
}

#[test]
fn the_json_form_says_why() {
    let target = Target::with(|received, stream| match received.request_line() {
        "GET /closed HTTP/1.1" => close(),
        _ => stream.write_all(ok("hello").as_bytes()),
    });
    let logs = ", access: {path: access.log, format: json}".to_owned();
    let node = Node::with(Setup { logs, ..Setup::default() }, &configuration(&[target.entry()]));
    for request in ["GET / HTTP/1.1", "GET /closed HTTP/1.1", "GET / HTTP/9.9"] {
        let mut client = Client::plain(node.address("plain"));
        client.send(format!("{request}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        client.until_closed();
    }
    let lines = wait::until("three lines", || {
        let lines = node.lines_of("access.log");
        (lines.len() == 3).then_some(lines)
    });
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons = ["null", "\"target_closed\"", "\"unsupported_version\""];
    for (line, reason) in lines.iter().zip(reasons) {
        assert_eq!(line["reason"].to_string(), reason, "{line}");
        assert_eq!(
            (&line["listener"], &line["generation"]),
            (&"plain".into(), &1.into()),
            "{line}"
        );
    }
    assert_eq!(lines[0]["target_port"], target.address.port());
    assert_eq!(lines[1]["request_processing_time"], Value::Null);
    assert_eq!(node.log().iter().filter(|line| line.starts_with('{')).count(), 0, "it is ALB's");
}

#[test]
fn an_access_log_may_come_and_go_with_a_reload() {
    let target = Target::named("hello");
    let configuration = configuration(&[target.entry()]);
    let mut node = Node::start(&configuration);
    let mut client = Client::plain(node.address("plain"));
    client.get("/before");
    assert!(!node.path("access.log").exists());
    node.set_logs(", access: access.log");
    node.configure(&configuration);
    node.reload();
    client.get("/logged");
    let line = node.access_line(0);
    assert!(line.field(REQUEST).contains("/logged "), "{}", line.text);
    assert!(node.log_line(0).contains(line.field(CONNECTION)), "its connection is older");
    node.set_logs("");
    node.configure(&configuration);
    node.reload();
    client.send("GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.until_closed();
    assert_eq!(node.lines_of("access.log").len(), 1);
}

/// Goal: what no target got is counted as sent to none. Method: content whose first bytes are malformed.
#[test]
fn a_request_of_which_nothing_was_sent_has_a_target_in_the_log_and_counts_for_none() {
    let target = Target::named("hello");
    let node = node_for(&[target.entry()]);
    let mut client = Client::plain(node.address("plain"));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(&format!("{head}no size")).status, 400);
    let line = node.access_line(0);
    let entry = target.address.to_string();
    assert_eq!(line.fields([TARGET, ELB_STATUS]), [entry.as_str(), "400"]);
    assert_eq!(node.metric("portcullis_upstream_requests_total", &[]) as usize, 0);
    assert!(target.so_far().is_empty());
}
