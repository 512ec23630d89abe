//! Towards targets: what a client gets when one fails, what is tried again, and real targets.
use crate::support::client::tls_config;
use crate::support::node::piece;
use crate::support::port::free_port;
use crate::support::scratch::Scratch;
use crate::support::server::Server;
use crate::support::target::{close, entry, nobody, ok};
use crate::support::tools::{self, Identity, Tls, curl_https};
use crate::support::{Client, Node, Target, wait};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};

fn configuration(entries: &[String]) -> String {
    [piece::targets(entries), "listeners:\n".to_owned(), piece::http("plain", "")].concat()
}

fn node(entries: &[String]) -> Node {
    Node::start(&configuration(entries))
}

/// Asserts the node's own answer, ALB's text in our name (`alb-contract`, section 6.4).
fn assert_own(answer: &crate::support::client::Answer, status_line: &str) {
    let head = format!("HTTP/1.1 {status_line}\r\n");
    assert!(answer.head.starts_with(&head), "{}", answer.head);
    assert_eq!(answer.values("Server"), ["portcullis"]);
    assert_eq!(answer.values("Content-Type"), ["text/html"]);
    let body = format!(
        "<html>\r\n<head><title>{status_line}</title></head>\r\n<body>\r\n\
         <center><h1>{status_line}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    assert_eq!(answer.text(), body);
}

fn errors(node: &Node, reason: &str, count: f64) {
    let labels = ["target_group=\"targets\"".to_owned(), format!("reason=\"{reason}\"")];
    let labels = labels.each_ref().map(String::as_str);
    node.metric_becomes("portcullis_upstream_errors_total", &labels, count);
}

#[test]
fn no_target_is_503() {
    let node = node(&[]);
    assert_own(
        &Client::plain(node.address("plain")).get("/"),
        "503 Service Temporarily Unavailable",
    );
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let answer = Client::plain(node.address("plain")).ask(request);
    assert_own(&answer, "503 Service Temporarily Unavailable");
    errors(&node, "no_target", 2.0);
}

#[test]
fn a_target_that_refuses_is_502() {
    let nobody = nobody();
    let node = node(&[nobody.entry()]);
    let mut client = Client::plain(node.address("plain"));
    assert_own(&client.get("/"), "502 Bad Gateway");
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 502);
    assert!(node.metric("portcullis_http_responses_total", &["5xx"]) <= 2.0);
}

#[test]
fn a_target_that_closes_without_an_answer_is_502_and_is_asked_once() {
    let target = Target::with(|_, _| close());
    let node = node(&[target.entry()]);
    assert_own(&Client::plain(node.address("plain")).get("/"), "502 Bad Gateway");
    assert_eq!(target.received().request_line(), "GET / HTTP/1.1");
    errors(&node, "target_closed", 1.0);
    assert!(target.so_far().is_empty(), "a fresh connection's failure is not tried again");
}

#[test]
fn a_target_that_speaks_no_http_is_502() {
    let big = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let answers = [
        "garbage\r\n\r\n".to_owned(),
        "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
        big,
    ];
    let count = answers.len();
    let target = Target::with(move |received, stream| {
        let path = received.request_line().split(' ').nth(1).unwrap_or("/");
        stream.write_all(answers[path[1..].parse::<usize>().unwrap_or(0)].as_bytes())
    });
    let node = node(&[target.entry()]);
    for index in 0..count {
        let answer = Client::plain(node.address("plain")).get(&format!("/{index}"));
        assert_eq!(answer.status, 502, "answer {index}");
    }
    errors(&node, "target_malformed", count as f64);
}

/// `limits::INTERIM_ANSWERS_MAX`. Those of `100 Continue` are dropped, and count all the same.
#[test]
fn a_target_that_gives_interim_answers_alone_is_502() {
    const INTERIM_ANSWERS_MAX: usize = 1_000;
    let target = Target::with(|received, stream| {
        let mut words = received.request_line().split(['/', ' ']).skip(2);
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let (status, count) = (number(), number());
        let interim = format!("HTTP/1.1 {status} Wait\r\n\r\n");
        stream.write_all(interim.repeat(count).as_bytes())?;
        stream.write_all(ok("at last").as_bytes())
    });
    let node = node(&[target.entry()]);
    for status in [100, 102] {
        for (count, last) in [(INTERIM_ANSWERS_MAX, 200), (INTERIM_ANSWERS_MAX + 1, 502)] {
            let mut client = Client::plain(node.address("plain"));
            client.send(format!("GET /{status}/{count} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let mut passed_on = 0;
            let answer = loop {
                match client.answer() {
                    answer if answer.status < 200 => passed_on += 1,
                    answer => break answer,
                }
            };
            let expected = if status == 100 { 0 } else { count };
            assert_eq!((passed_on, answer.status), (expected, last), "{count} times {status}");
        }
    }
    errors(&node, "target_malformed", 2.0);
}

#[test]
fn an_answer_cut_off_ends_the_clients_connection_without_its_end() {
    let cases = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ];
    let target = Target::with(move |received, stream| {
        let path = received.request_line().split(' ').nth(1).unwrap_or("/");
        stream.write_all(cases[path[1..].parse::<usize>().unwrap_or(0)].as_bytes())?;
        close()
    });
    let node = node(&[target.entry()]);
    for index in 0..cases.len() {
        let mut client = Client::plain(node.address("plain"));
        client.send(format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n"));
        match client.try_answer("GET") {
            // The head had gone on already: the client sees that the body is not whole.
            Err(_) => {}
            Ok(answer) => assert_eq!(answer.status, 502, "case {index}: {}", answer.head),
        }
    }
}

#[test]
fn a_target_that_is_silent_is_504() {
    // It takes the request and says nothing, until its peer goes away.
    let target = Target::with(|_, stream| {
        let _ = std::io::Read::read(stream, &mut [0; 1]);
        close()
    });
    let node = Node::start(&(piece::idle_timeout(1) + &configuration(&[target.entry()])));
    let answer = Client::plain(node.address("plain")).get("/");
    assert_eq!(answer.status, 504, "{}", answer.head);
    errors(&node, "target_timeout", 1.0);
}

#[test]
fn a_request_on_a_stale_connection_is_tried_again_where_that_is_safe() {
    // Each connection serves one request and closes on the second.
    let target = Target::with(|received, stream| {
        if received.index == 0 { stream.write_all(ok("hello").as_bytes()) } else { close() }
    });
    let node = node(&[target.entry()]);
    let mut client = Client::plain(node.address("plain"));
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "hello");
    }
    let sent: Vec<_> = target.so_far().iter().map(|r| (r.connection, r.index)).collect();
    assert_eq!(sent, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]);
    node.metric_becomes("portcullis_upstream_retries_total", &[], 2.0);
    // A POST may have done its work: it is not sent twice.
    let answer = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(answer.status, 502);
    assert_eq!(target.so_far().len(), 1);
}

#[test]
fn a_connection_that_the_target_closed_while_idle_costs_no_request() {
    // The target closes after each answer without having said so.
    let target = Target::with(|_, stream| {
        stream.write_all(ok("hello").as_bytes())?;
        close()
    });
    let node = node(&[target.entry()]);
    let mut client = Client::plain(node.address("plain"));
    for index in 0..20 {
        assert_eq!(client.get("/").text(), "hello", "request {index}");
    }
}

#[test]
fn requests_go_round_and_a_target_that_refuses_is_passed_over() {
    let (first, nobody, second) = (Target::named("first"), nobody(), Target::named("second"));
    let node = node(&[first.entry(), nobody.entry(), second.entry()]);
    let mut client = Client::plain(node.address("plain"));
    let answers: Vec<String> = (0..20).map(|_| client.get("/").text()).collect();
    let firsts = answers.iter().filter(|answer| *answer == "first").count();
    let seconds = answers.iter().filter(|answer| *answer == "second").count();
    assert_eq!(firsts + seconds, 20, "nobody sees the refusal: {answers:?}");
    assert!(firsts.abs_diff(seconds) <= 4, "{answers:?}");
    // Passed over for 5 s, it is asked about once in that time: a retry or two, not seven.
    let retries = node.metric("portcullis_upstream_retries_total", &[]);
    assert!(retries <= 3.0, "{retries}");
}

#[test]
fn a_target_may_be_a_name() {
    let target = Target::named("by name");
    let by_name = format!("{{id: localhost, port: {}}}", target.address.port());
    let node = node(&[by_name]);
    // `localhost` may mean ::1 too, where nobody listens: that costs a retry, not a request.
    let mut client = Client::plain(node.address("plain"));
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "by name");
    }
    let unknown = target.entry().replace("127.0.0.1", "no-such-name.invalid");
    node.configure(&configuration(&[unknown]));
    node.reload();
    assert_eq!(client.get("/").status, 503, "a name without an address is no target");
}

#[test]
fn ipv6_works_on_both_sides() {
    let target = Target::on(Ipv6Addr::LOCALHOST.into(), |_, stream| {
        stream.write_all(ok("over IPv6").as_bytes())
    });
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::http("plain", "").replace("127.0.0.1:0", "\"[::1]:0\""),
            piece::https("https", &piece::verify("")).replace("127.0.0.1:0", "\"[::1]:0\""),
        ]
        .concat(),
    );
    let mut client = Client::plain(node.address("plain"));
    assert_eq!(client.get("/").text(), "over IPv6");
    assert_eq!(target.received().value("X-Forwarded-For"), "::1");
    let answer =
        client.ask("GET / HTTP/1.1\r\nHost: [::1]\r\nX-Forwarded-For: 2001:db8::1\r\n\r\n");
    assert_eq!(answer.status, 200);
    let url = format!("https://[::1]:{}/", node.address("https").port());
    let pki = crate::support::pki();
    let (root, crt, key) = (pki.path("root.crt"), pki.path("good.crt"), pki.path("good.key"));
    let ended = tools::curl(&["-g", "--cacert", &root, "--cert", &crt, "--key", &key, &url]);
    assert_eq!(ended.success().stdout, "over IPv6");
    let log = node.log_line(1);
    assert!(log.contains(" ::1 "), "{log}");
}

/// As in Huawei's guide to mutual authentication: a Flask application that returns what it got.
#[test]
fn a_flask_application_learns_who_its_client_is() {
    let scratch = Scratch::new("flask");
    let port = free_port();
    let application = format!(
        "from flask import Flask, request, jsonify\n\
         app = Flask(__name__)\n\
         @app.route('/', methods=['GET', 'POST'])\n\
         def index():\n    return jsonify(headers=dict(request.headers), \
         body=request.get_data(as_text=True))\n\
         app.run(host='127.0.0.1', port={port})\n"
    );
    let file = scratch.path().join("app.py");
    std::fs::write(&file, application).unwrap();
    // Debian's interpreter: others on the path do not have Debian's Flask.
    let _server = Server::start(Command::new("/usr/bin/python3").arg(&file), port, Stdio::null());
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[entry(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))]),
            "listeners:\n".to_owned(),
            piece::https("https", &piece::verify("")),
        ]
        .concat(),
    );
    let chunked = ["-H", "Transfer-Encoding: chunked", "--data", "posted"];
    for (more, body) in [(&[][..], ""), (&["--data", "posted"][..], "posted"), (&chunked, "posted")]
    {
        // What WSGI would fold into the same variable.
        let forged = ["-H", "X_Amzn_Mtls_Clientcert_Subject: CN=admin"];
        let ended = curl_https(
            node.address("https"),
            "localhost",
            Identity::Pem("good"),
            Tls::V13,
            &[more, &forged].concat(),
        );
        let (answer, status) = ended.stdout.rsplit_once('\n').expect("curl writes the status");
        assert_eq!(status, "200", "{}", ended.said());
        let answer: serde_json::Value = serde_json::from_str(answer).expect("Flask answers JSON");
        let headers = &answer["headers"];
        assert_eq!(
            headers["X-Amzn-Mtls-Clientcert-Subject"],
            "CN=device-17,O=Example,ST=Oslo,C=NO"
        );
        assert_eq!(headers["X-Amzn-Mtls-Clientcert-Serial-Number"], "03A5B1");
        assert_eq!(headers["X-Forwarded-Proto"], "https");
        // Werkzeug knows chunked bodies only from its version 2.3 on.
        if more != chunked {
            assert_eq!(answer["body"], body);
        }
    }
}

#[test]
fn nginx_serves_behind_the_node() {
    let scratch = Scratch::new("nginx");
    let port = free_port();
    let root = scratch.path().to_str().unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|index| (index >> 7) as u8).collect();
    std::fs::write(scratch.path().join("large"), &large).unwrap();
    let configuration = format!(
        "daemon off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
         http {{\n  access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/p;\n\
         fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
         server {{\n    listen 127.0.0.1:{port}; root {root};\n\
         location = /who {{ return 200 \"$http_x_amzn_mtls_clientcert_subject\"; }}\n\
         location = /squeezed {{ gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1; \
         alias {root}/large; }}\n\
         location = /nothing {{ return 204; }}\n    location = /moved {{ return 301 /who; }}\n  }}\n}}\n"
    );
    let file = scratch.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    // Debian's, which is not on the path of an ordinary user.
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-p", root, "-c"]).arg(&file);
    let _server = Server::start(&mut command, port, Stdio::null());
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[entry(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))]),
            "listeners:\n".to_owned(),
            piece::https("https", &piece::verify("")),
        ]
        .concat(),
    );
    let mut client = Client::tls(node.address("https"), "localhost", &tls_config(Some("good")));
    for _ in 0..3 {
        assert_eq!(client.get("/who").text(), "CN=device-17,O=Example,ST=Oslo,C=NO");
        assert_eq!(client.get("/nothing").status, 204);
        assert_eq!(client.get("/moved").status, 301);
        assert_eq!(client.get("/absent").status, 404);
        client.send("HEAD /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.answer_to_head().values("Content-Length"), ["3000000"]);
        assert!(client.get("/large").body == large);
        let range = "GET /large HTTP/1.1\r\nHost: localhost\r\nRange: bytes=10-19\r\n\r\n";
        let answer = client.ask(range);
        assert_eq!((answer.status, answer.body.len()), (206, 10));
        let squeezed = "GET /squeezed HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";
        let answer = client.ask(squeezed);
        assert_eq!(answer.values("Content-Encoding"), ["gzip"], "{}", answer.head);
        assert!(!answer.values("Transfer-Encoding").is_empty(), "{}", answer.head);
        assert!(answer.body.len() < large.len());
    }
    node.assert_no_panic();
}

#[test]
fn a_target_that_comes_up_late_is_found() {
    let nobody = nobody();
    let node = node(&[nobody.entry()]);
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 502);
    let listener = nobody.listen();
    let _target = Target::listening(listener, |_, stream| stream.write_all(ok("late").as_bytes()));
    // The only target is asked again, passed over or not.
    wait::until("the target to be found", || {
        let answer = Client::plain(node.address("plain")).get("/");
        (answer.status == 200).then_some(())
    });
}

/// Goal: what no target got is counted as sent to none. Method: content whose first bytes are malformed.
#[test]
fn a_request_of_which_nothing_was_sent_counts_for_no_target() {
    let target = Target::named("hello");
    let node = node(&[target.entry()]);
    let mut client = Client::plain(node.address("plain"));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(&format!("{head}no size")).status, 400);
    assert!(node.metric("portcullis_upstream_requests_total", &[]) < 0.5);
    assert!(target.so_far().is_empty());
    Client::plain(node.address("plain")).get("/");
    node.metric_becomes("portcullis_upstream_requests_total", &[], 1.0);
}
