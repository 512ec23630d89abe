//! Messages whose end is not where most have it, over HTTP/1.1: one table for each kind. After each case both
//! connections are asked for more, so that a byte too many or too few shows.
//! Source: RFC 9110, sections 6.4.1, 9.3.2, 10.1.1 and 15.2 to 15.4; RFC 9112, sections 6.3 and 9.3.
use crate::support::client::connect;
use crate::support::node::piece;
use crate::support::target::{close, entry, find, ok};
use crate::support::{Client, Node, Target};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

/// What a client sends, what its target answers to it, and what becomes of both.
struct Case {
    /// What it is.
    what: &'static str,
    /// The whole request; its path is `/case`.
    request: &'static str,
    /// The whole answer; the target closes behind one that says `Connection: close`.
    answer: &'static str,
    /// The statuses that the client gets, interim ones first.
    gets: &'static [u16],
    /// The final content.
    content: &'static str,
    /// A header line that the final head has; or, behind a `!`, the name of one that it has not.
    head: &'static str,
    /// Whether the client's connection serves another request.
    client_stays: bool,
    /// Whether the target's does.
    target_stays: bool,
}

/// A good one: what most cases differ from in a few points.
const SERVED: Case = Case {
    what: "",
    request: "GET /case HTTP/1.1\r\nHost: a\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    gets: &[200],
    content: "hello",
    head: "Content-Length: 5",
    client_stays: true,
    target_stays: true,
};

/// The same without content.
const EMPTY: Case = Case { content: "", head: "", ..SERVED };

const HEAD: &str = "HEAD /case HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_1_0: &str = "GET /case HTTP/1.0\r\n\r\n";
const KEPT_1_0: &str = "GET /case HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";

fn node(entry: String) -> Node {
    let configuration =
        [piece::targets(&[entry]), "listeners:\n".to_owned(), piece::http("plain", "")];
    Node::start(&configuration.concat())
}

fn holds(cases: &[Case]) {
    for case in cases {
        let answer = case.answer;
        let target = Target::with(move |received, stream| {
            if received.request_line().split(' ').nth(1) != Some("/case") {
                return stream.write_all(ok("next").as_bytes());
            }
            stream.write_all(answer.as_bytes())?;
            if answer.contains("Connection: close") { close() } else { Ok(()) }
        });
        let node = node(target.entry());
        case.holds(&node, &target);
        node.assert_no_panic();
    }
}

impl Case {
    fn holds(&self, node: &Node, target: &Target) {
        let what = self.what;
        let mut client = Client::plain(node.address("plain"));
        client.send(self.request);
        let method = self.request.split(' ').next().unwrap_or_default();
        let last = self.gets.len() - 1;
        for (index, status) in self.gets.iter().enumerate() {
            let answer =
                client.try_answer(method).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(answer.status, *status, "{what}: {}", answer.head);
            if index < last {
                continue;
            }
            assert_eq!(answer.text(), self.content, "{what}: {}", answer.head);
            match self.head.strip_prefix('!') {
                Some(name) => assert!(answer.values(name).is_empty(), "{what}: {}", answer.head),
                None => assert!(answer.head.contains(self.head), "{what}: {}", answer.head),
            }
            let closes = answer.values("Connection") == ["close"];
            assert!(!(closes && self.client_stays), "{what}: {}", answer.head);
        }
        let first = target.received();
        let second = client
            .try_send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            .and_then(|()| client.try_answer("GET"));
        assert_eq!(second.is_ok(), self.client_stays, "{what}: {second:?}");
        match second {
            Ok(second) => assert_eq!(second.text(), "next", "{what}"),
            Err(_) => assert_eq!(Client::plain(node.address("plain")).get("/next").text(), "next"),
        }
        let next = target.received();
        assert_eq!(next.request_line(), "GET /next HTTP/1.1", "{what}");
        assert_eq!(next.connection == first.connection, self.target_stays, "{what}");
    }
}

/// RFC 9110, section 9.3.2: "the server MUST NOT send content in the response".
#[test]
fn an_answer_to_head_is_a_head_whatever_it_announces() {
    let head = |what, answer, head| Case { what, request: HEAD, answer, head, ..EMPTY };
    holds(&[
        head("a length", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "Content-Length: 7"),
        head(
            "a coding",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "!Content-Length",
        ),
        head("neither", "HTTP/1.1 200 OK\r\n\r\n", "!Content-Length"),
        head("a length of 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0"),
        Case {
            gets: &[404],
            ..head("another status", "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", "")
        },
        Case {
            what: "content all the same",
            request: HEAD,
            answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            target_stays: false,
            ..EMPTY
        },
        Case {
            what: "an interim answer before it",
            request: HEAD,
            answer: "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            gets: &[103, 200],
            ..EMPTY
        },
    ]);
}

/// RFC 9112, section 6.3: 204 and 304 end with their head, "regardless of the header fields present".
#[test]
fn an_answer_of_204_ends_with_its_head() {
    let no_content = |what, answer| Case { what, answer, gets: &[204], ..EMPTY };
    holds(&[
        no_content("alone", "HTTP/1.1 204 No Content\r\n\r\n"),
        Case {
            head: "!Content-Length",
            ..no_content("a length of 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        },
        Case {
            head: "!Content-Length",
            target_stays: false,
            ..no_content("a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")
        },
        Case {
            head: "!Transfer-Encoding",
            target_stays: false,
            ..no_content(
                "a coding",
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            )
        },
    ]);
}

#[test]
fn an_answer_of_304_ends_with_its_head() {
    let not_modified = |what, answer| Case { what, answer, gets: &[304], ..EMPTY };
    holds(&[
        not_modified("alone", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        Case {
            // Of the answer that a GET would have had (RFC 9110, section 8.6).
            head: "Content-Length: 5",
            ..not_modified("a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")
        },
        not_modified("a coding", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Case {
            target_stays: false,
            ..not_modified(
                "content all the same",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
            )
        },
    ]);
}

/// RFC 9110, section 15.2: interim answers go on, but not to HTTP/1.0; `100` is this node's to give.
#[test]
fn interim_answers_go_before_the_final_one() {
    let after = |what, answer, gets| Case { what, answer, gets, ..SERVED };
    holds(&[
        after(
            "103",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            &[103, 200],
        ),
        after(
            "102 and 103",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\
             Content-Length: 5\r\n\r\nhello",
            &[102, 103, 200],
        ),
        after(
            "one that nobody knows",
            "HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            &[199, 200],
        ),
        after(
            "100 that nobody waits for",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            &[200],
        ),
        Case {
            request: KEPT_1_0,
            ..after(
                "103 for HTTP/1.0",
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                &[200],
            )
        },
        Case {
            what: "a length that is none",
            answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\
                     Content-Length: 5\r\n\r\nhello",
            gets: &[103, 200],
            ..SERVED
        },
        Case {
            what: "an upgrade that nobody asked for",
            answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            gets: &[502],
            content: BAD_GATEWAY,
            head: "",
            client_stays: false,
            target_stays: false,
            ..SERVED
        },
    ]);
}

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                           <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// RFC 9112, appendix C.2, and RFC 9110, section 2.5: no chunks, no interim answers, the end of the connection
/// where there is no length.
#[test]
fn a_client_of_http_1_0_gets_what_it_can_read() {
    let last = |what, request, answer| Case {
        what,
        request,
        answer,
        head: "!Transfer-Encoding",
        client_stays: false,
        ..SERVED
    };
    holds(&[
        last("a length", GET_1_0, SERVED.answer),
        last("chunks", GET_1_0, CHUNKED),
        last("chunks, and a wish to stay", KEPT_1_0, CHUNKED),
        Case { target_stays: false, ..last("no length", GET_1_0, UNTIL_CLOSE) },
        Case {
            target_stays: false,
            ..last("no length, and a wish to stay", KEPT_1_0, UNTIL_CLOSE)
        },
        Case {
            what: "a length, and a wish to stay",
            request: KEPT_1_0,
            head: "Connection: keep-alive",
            ..SERVED
        },
        Case {
            what: "HEAD, and a wish to stay",
            request: "HEAD /case HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            head: "Content-Length: 5",
            answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            ..EMPTY
        },
        Case {
            what: "content, and a wish to stay",
            request: "POST /case HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
            ..SERVED
        },
        last(
            "an expectation, which it cannot have",
            "POST /case HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
            SERVED.answer,
        ),
        Case {
            what: "a target of HTTP/1.0 behind a client of HTTP/1.1",
            answer: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            target_stays: false,
            ..SERVED
        },
        Case {
            what: "a target of HTTP/1.0 without a length",
            answer: "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello",
            head: "Transfer-Encoding: chunked",
            target_stays: false,
            ..SERVED
        },
    ]);
}

/// RFC 9110, section 10.1.1. The node answers `100` itself and passes no expectation on (`alb-contract`,
/// section 6.1), so that a target cannot read the rest of it as something else.
#[test]
fn an_expectation_is_met_where_content_is_to_come() {
    holds(&[
        Case {
            what: "content behind it",
            request: "POST /case HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                      Content-Length: 5\r\n\r\nhello",
            ..SERVED
        },
        Case {
            what: "chunks behind it",
            request: "POST /case HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                      Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ..SERVED
        },
        Case {
            what: "no content",
            request: "GET /case HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            ..SERVED
        },
        Case {
            what: "content of no bytes",
            request: "POST /case HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                      Content-Length: 0\r\n\r\n",
            ..SERVED
        },
        Case {
            what: "twice, and in another case",
            request: "POST /case HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\n\
                      Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
            ..SERVED
        },
    ]);
    // Content that waits for it.
    let target = Target::named("hello");
    let node = node(target.entry());
    for (headers, content) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let mut client = Client::plain(node.address("plain"));
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{headers}\r\n");
        assert_eq!(client.ask(&head).status, 100, "{headers}");
        assert_eq!(client.ask(content).text(), "hello", "{headers}");
        let received = target.received();
        assert!(received.values("Expect").is_empty(), "{}", received.head);
        assert!(find(&received.body, b"hello").is_some(), "{headers}");
    }
    // What is no expectation that anybody knows, or none at all, and a request that hides behind it.
    for (expectation, status) in [
        ("Expect: 100-continue, a-miracle", 417),
        ("Expect: 200-ok", 417),
        ("Expect:", 417),
        ("Expect:\r\n 100-continue", 400),
        ("Expect : 100-continue", 400),
        ("Expect: 100-continue\u{b}", 400),
    ] {
        let mut client = Client::plain(node.address("plain"));
        let _ = client.try_send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{expectation}\r\nContent-Length: 35\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let answer = client.answer();
        assert_eq!((answer.status, answer.values("Connection")), (status, vec!["close"]));
        assert!(client.until_closed().is_empty(), "{expectation:?}");
    }
    assert!(target.so_far().is_empty());
}

/// A target that answers as soon as it has a head, and reads on without answering.
fn hasty(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut received = Vec::new();
            let mut room = [0; 4096];
            while find(&received, b"\r\n\r\n").is_none() {
                match stream.read(&mut room) {
                    Ok(count @ 1..) => received.extend_from_slice(&room[..count]),
                    Ok(_) | Err(_) => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
            while stream.read(&mut room).is_ok_and(|count| count > 0) {}
        }
    });
    address
}

/// RFC 9112, section 9.3: a connection whose request was not read to its end cannot go on. What the client still
/// sends is content, never a request.
#[test]
fn an_answer_before_the_end_of_its_request_is_whole_and_the_last() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (answer, status) in [
        ("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello", 413),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        ("HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 401),
    ] {
        let node = node(entry(hasty(answer)));
        for (what, head, rest) in [
            ("a length", "Content-Length: 1000\r\n", "begin"),
            ("chunks", "Transfer-Encoding: chunked\r\n", "5\r\nbegin\r\n"),
            ("nothing yet", "Content-Length: 35\r\n", ""),
            ("half a chunk", "Transfer-Encoding: chunked\r\n", "23\r\n"),
        ] {
            let mut client = Client::plain(node.address("plain"));
            client.send(format!("POST /case HTTP/1.1\r\nHost: a\r\n{head}\r\n{rest}"));
            let got = client.answer();
            assert_eq!((got.status, got.text().as_str()), (status, "hello"), "{what}");
            assert_eq!(got.values("Connection"), ["close"], "{what}: {}", got.head);
            let _ = client.try_send(smuggled);
            assert!(client.until_closed().is_empty(), "{what}");
        }
        // Who waits for leave to send gets the answer instead of sending.
        let mut client = Client::plain(node.address("plain"));
        client.send(
            "POST /case HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 35\r\n\r\n",
        );
        let mut got = client.answer();
        if got.status == 100 {
            got = client.answer();
        }
        assert_eq!((got.status, got.text().as_str()), (status, "hello"));
        let _ = client.try_send(smuggled);
        assert!(client.until_closed().is_empty());
        node.metric_becomes("portcullis_upstream_requests_total", &[], 5.0);
        node.assert_no_panic();
    }
}

/// Goal: what stands behind a request is answered behind it, or not at all. Method: requests of each kind with
/// another right behind them, all in one segment.
#[test]
fn what_is_pipelined_behind_a_request_is_answered_in_its_turn_or_not_at_all() {
    let target = Target::with(|received, stream| {
        let line = received.request_line().to_owned();
        let answer = match line.split(' ').nth(1) {
            Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Some("/304") => "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
            _ if line.starts_with("HEAD") => {
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned()
            }
            Some(path) => ok(path),
            None => ok(""),
        };
        stream.write_all(answer.as_bytes())
    });
    let node = node(target.entry());
    let behind = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, status, is_answered) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true),
        ("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n", 204, true),
        ("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n", 304, true),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 200, true),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            200,
            true,
        ),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, true),
        ("GET / HTTP/1.0\r\n\r\n", 200, false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, false),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 200, false),
        ("GET / HTTP/1.1\r\n\r\n", 400, false),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, false),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, false),
    ] {
        let mut stream = connect(node.address("plain"));
        stream.write_all([request, behind].concat().as_bytes()).unwrap();
        let mut client = Client::on(stream);
        let first = client.try_answer(request.split(' ').next().unwrap_or_default());
        assert_eq!(first.expect("it is answered").status, status, "{request:?}");
        if is_answered {
            assert_eq!(client.answer().text(), "/behind", "{request:?}");
        } else {
            assert!(client.until_closed().is_empty(), "{request:?}");
        }
        let reached = target.so_far();
        let behind = reached.iter().filter(|received| received.head.contains("/behind"));
        assert_eq!(behind.count(), usize::from(is_answered), "{request:?}");
    }
    node.assert_no_panic();
}
