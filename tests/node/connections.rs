//! A client's connection: kept alive, pipelined, of HTTP/1.0, with bodies of every framing.
use crate::support::client::connect;
use crate::support::node::piece;
use crate::support::target::{close, ok};
use crate::support::{Client, Node, Target, tools};
use std::io::Write;
use std::net::Shutdown;
use std::time::Instant;

fn node(target: &Target) -> Node {
    Node::start(&configuration(target))
}

fn configuration(target: &Target) -> String {
    [piece::targets(&[target.entry()]), "listeners:\n".to_owned(), piece::http("plain", "")]
        .concat()
}

#[test]
fn a_connection_serves_many_requests_and_so_does_the_one_behind_it() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    for index in 0..5 {
        let answer = client.get(&format!("/{index}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        let received = target.received();
        assert_eq!(received.request_line(), format!("GET /{index} HTTP/1.1"));
        assert_eq!((received.connection, received.index), (0, index), "the target's is reused");
    }
    let line = node.log_line(0);
    assert_eq!(node.log().len(), 1, "one connection, one line");
    assert!(line.contains(" - - - \"-\" - - - TID_"), "{line}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let target = Target::with(|received, stream| {
        let path = received.request_line().split(' ').nth(1).unwrap_or_default().to_owned();
        stream.write_all(ok(&path).as_bytes())
    });
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    let post = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let gets: String =
        (0..20).map(|index| format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(format!("{post}{gets}{chunked}{gets}"));
    let paths: Vec<String> = (0..20).map(|index| format!("/{index}")).collect();
    let order = ["/body".to_owned()].into_iter().chain(paths.clone());
    for path in order.chain(["/chunked".to_owned()]).chain(paths) {
        assert_eq!(client.answer().text(), path);
    }
    // Never pipelined towards the target: each request came after the answer to the one before.
    assert_eq!(target.so_far().len(), 42);
}

#[test]
fn what_ends_a_connection_is_honoured() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (answer, framing) in [(ok("hello"), "length"), (chunked.to_owned(), "chunked")] {
        let target = Target::answering(answer);
        let node = node(&target);
        // A request, and whether the connection stays.
        let cases = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", false),
            // What is chunked has no end towards an HTTP/1.0 client but the connection's.
            ("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", framing == "length"),
            ("GET / HTTP/1.0\r\n\r\n", false),
        ];
        for (request, stays) in cases {
            let mut client = Client::plain(node.address("plain"));
            let answer = client.ask(request);
            assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{request}");
            if request.contains("HTTP/1.0") {
                assert!(answer.values("Transfer-Encoding").is_empty(), "{}", answer.head);
            }
            let second = client
                .try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .and_then(|()| client.try_answer("GET"));
            assert_eq!(second.is_ok(), stays, "{framing}: {request}");
            if !stays && !request.contains("1.0") {
                assert_eq!(answer.values("Connection"), ["close"], "{}", answer.head);
            }
        }
    }
}

#[test]
fn the_targets_wish_to_close_ends_its_connection_and_not_the_clients() {
    let target = Target::with(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")?;
        close()
    });
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    for index in 0..3 {
        assert_eq!(client.get("/").text(), "hi");
        assert_eq!(target.received().connection, index, "a connection of its own");
    }
    // An answer without any length ends with the target's connection.
    let target = Target::with(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")?;
        close()
    });
    node.configure(&configuration(&target));
    node.reload();
    assert_eq!(client.get("/").text(), "until the end");
}

#[test]
fn hundred_continue_is_answered_by_the_node_and_not_passed_on() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    for _ in 0..2 {
        let answer = client
            .ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(answer.status, 100, "before a byte of the body");
        assert_eq!(client.ask("hello").status, 200);
        let received = target.received();
        assert_eq!(received.body, b"hello");
        assert!(received.values("Expect").is_empty(), "{}", received.head);
    }
    let ended = tools::curl(&[
        "-H",
        "Expect: 100-continue",
        "--data",
        "from curl",
        "--expect100-timeout",
        "40",
        &format!("http://{}/", node.address("plain")),
    ]);
    assert_eq!(ended.success().stdout, "hello");
    assert_eq!(target.received().body, b"from curl");
}

#[test]
fn bodies_arrive_whole_in_every_framing() {
    // The target answers in the framing that the path names, with the content that it got.
    let target = Target::with(|received, stream| {
        let body = String::from_utf8_lossy(&received.body).into_owned();
        let answer = match received.request_line().split(' ').nth(1) {
            Some("/chunked") => format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x};ext=1\r\n{body}\r\n0\r\nTrailer: t\r\n\r\n",
                body.len()
            ),
            _ => ok(&body),
        };
        stream.write_all(answer.as_bytes())
    });
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    for path in ["/length", "/chunked"] {
        let answer = client.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
        ));
        assert_eq!(answer.text(), "hello world", "{path}");
        assert_eq!(target.received().body, b"hello world");
        // Chunks are encoded anew: extensions go no further.
        let answer = client.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
             5;name=\"value\"\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        ));
        let received = target.received();
        assert_eq!(received.value("Transfer-Encoding").to_lowercase(), "chunked");
        assert!(received.values("Content-Length").is_empty(), "{}", received.head);
        let body = String::from_utf8_lossy(&received.body).into_owned();
        assert!(body.ends_with("0\r\n\r\n"), "{body:?}");
        assert!(!body.contains("name"), "{body:?}");
        let content: String = body.split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(content, "hello world", "{body:?}");
        assert_eq!(answer.text(), body, "{path}: what the target sends comes back whole");
    }
}

#[test]
fn answers_without_a_body_have_none_and_the_connection_goes_on() {
    let target = Target::with(|received, stream| {
        let line = received.request_line();
        let answer = match line.split(' ').nth(1) {
            Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Some("/304") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned(),
            Some("/early") => {
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_owned() + &ok("late")
            }
            _ if line.starts_with("HEAD") => {
                "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_owned()
            }
            _ => ok("content"),
        };
        stream.write_all(answer.as_bytes())
    });
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer_to_head();
        assert_eq!(answer.values("Content-Length"), ["7"], "{}", answer.head);
        assert_eq!(client.get("/204").status, 204);
        assert_eq!(client.get("/304").status, 304);
        assert_eq!(client.get("/").text(), "content");
        // A final answer after an interim one, whether that is passed on or not.
        let mut answer = client.get("/early");
        if answer.status == 103 {
            answer = client.answer();
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    }
    assert!(target.so_far().iter().all(|received| received.connection == 0), "one connection");
}

#[test]
fn an_answer_before_the_body_is_whole_ends_the_connection() {
    // This one answers before it has the body: its reader stops at the head.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut room = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut room);
            let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
            let _ = stream.write_all(answer.as_bytes());
            let _ = std::io::Read::read(&mut stream, &mut room);
        }
    });
    let node = Node::start(
        &[
            piece::targets(&[crate::support::target::entry(address)]),
            "listeners:\n".to_owned(),
            piece::http("plain", ""),
        ]
        .concat(),
    );
    let mut client = Client::plain(node.address("plain"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbeginning");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    // What follows is the rest of a body, never a request.
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
}

#[test]
fn a_fixed_response_is_the_nodes_own() {
    let node = Node::start(
        "listeners:\n  - name: fixed\n    bind: 127.0.0.1:0\n    protocol: HTTP\n    \
         default_actions: [{type: fixed-response, fixed_response_config: {status_code: 418, \
         content_type: application/json, message_body: '{\"tea\": true}'}}]\n",
    );
    let mut client = Client::plain(node.address("fixed"));
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (418, "{\"tea\": true}"));
        assert_eq!(answer.values("Content-Type"), ["application/json"]);
        assert_eq!(answer.values("Server"), ["portcullis"]);
        assert_eq!(answer.values("Date").len(), 1);
    }
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer_to_head().values("Content-Length"), ["13"]);
    // It does not wait for the body of a request, so the connection ends with the answer.
    let answer = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((answer.status, answer.values("Connection")), (418, vec!["close"]));
    let labels = ["listener=\"fixed\"", "status_class=\"4xx\""];
    node.metric_becomes("portcullis_http_responses_total", &labels, 4.0);
}

#[test]
fn a_silent_client_is_ended_after_the_idle_timeout() {
    let target = Target::named("hello");
    let node = Node::start(&(piece::idle_timeout(3) + &configuration(&target)));
    // Between requests nobody is at fault: the connection just ends.
    let mut client = Client::plain(node.address("plain"));
    let since = Instant::now();
    client.get("/");
    assert!(client.until_closed().is_empty());
    assert!(since.elapsed().as_secs_f64() > 2.8, "{:?}", since.elapsed());
    // Within a head or a body: 408 where an answer can be sent.
    let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe";
    for beginning in ["GET / HTTP/1.1\r\nHos", body] {
        let mut client = Client::plain(node.address("plain"));
        client.send(beginning);
        let rest = String::from_utf8_lossy(&client.until_closed()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408 "), "{beginning}: {rest}");
    }
}

/// `alb-contract`, section 6.5: 400 where the client closed before it had sent the whole body.
#[test]
fn a_client_that_ends_in_the_middle_of_its_request_is_told_400() {
    let target = Target::named("hello");
    let node = node(&target);
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for part in [
        format!("{head}Content-Length: 5\r\n\r\nhi"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: "),
        head.to_owned(),
    ] {
        let mut stream = connect(node.address("plain"));
        stream.write_all(part.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut client = Client::on(stream);
        let answer = client.answer();
        assert_eq!((answer.status, answer.values("Connection")), (400, vec!["close"]), "{part}");
        assert!(answer.text().contains("<h1>400 Bad Request</h1>"), "{part}");
        assert!(client.until_closed().is_empty());
    }
    let labels = ["listener=\"plain\"", "reason=\"request_incomplete\""];
    node.metric_becomes("portcullis_connections_closed_total", &labels, 4.0);
    assert!(target.so_far().is_empty(), "no target has seen a whole one");
}
