//! The access log: one line for each request that is served or cannot be read. Those that fail, streams of HTTP/2,
//! and other kinds of requests and lines have files beside this one.
use crate::corpus::message;
use crate::support::client::{connect, tls_config};
use crate::support::log_lines::{ATHENA_CONNECTION, AccessLine};
use crate::support::node::piece;
use crate::support::target::{close, ok};
use crate::support::{Client, Node, Setup, Target, wait};
use std::io::{Read, Write};

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
pub const CIPHER: usize = 15;
pub const PROTOCOL: usize = 16;
pub const TARGET_GROUP: usize = 17;
pub const TRACE_ID: usize = 18;
pub const DOMAIN: usize = 19;
pub const CERTIFICATE: usize = 20;
pub const RULE: usize = 21;
pub const ACTION: usize = 23;
const CLASS: usize = 28;
const CLASS_REASON: usize = 29;
pub const CONNECTION: usize = 30;
const ADDRESS: usize = 34;

/// A node with a listener of each kind.
pub fn configuration(entries: &[String]) -> String {
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

pub fn node_for(entries: &[String]) -> Node {
    node_with(&configuration(entries))
}

/// One whose clients and targets may be silent for so many seconds.
pub fn impatient_node(seconds: u32, entries: &[String]) -> Node {
    let edge = format!("{{name: edge, attributes: {{idle_timeout.timeout_seconds: {seconds}}}}}");
    node_with(&configuration(entries).replace("{name: edge}", &edge))
}

fn node_with(configuration: &str) -> Node {
    let logs = ", access: access.log".to_owned();
    Node::with(Setup { logs, ..Setup::default() }, configuration)
}

/// A target that takes each request and says nothing until the node gives up.
pub fn silent() -> Target {
    Target::with(|_, stream| {
        let _ = stream.read(&mut [0]);
        close()
    })
}

pub fn node(target: &Target) -> Node {
    node_for(&[target.entry()])
}

/// The first line, and that there is no other.
pub fn only_line(node: &Node) -> AccessLine {
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
