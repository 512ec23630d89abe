//! `requests`: connections that are kept.
use crate::nginx::Nginx;
use crate::pki::Pki;
use crate::program::{load, load_as_clients};
use crate::secure_server::{OK, Stream, send, serve};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn requests_share_the_connections_that_are_kept() {
    let pki = Pki::new();
    let address = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK));
    let more = ["--count", "200", "--concurrency", "4"];
    let told = load_as_clients(&pki, "requests", address, &more).success();
    assert_eq!(told["done"], 200);
    assert!((1..=4).contains(&told["handshakes"]["full"].as_u64().unwrap()), "{told}");
    assert_eq!((&told["connections"], &told["protocol"]), (&4.into(), &"HTTP/1.1".into()));
    assert_eq!(told["received_bytes"], 200 * 2);
}

#[test]
fn a_request_is_as_its_options_say() {
    let pki = Pki::new();
    let address = serve(&pki, None, |request, stream| {
        let is_right = request.head.starts_with("POST /path?query HTTP/1.1\r\nhost: a.example\r\n")
            && request.head.contains("\r\nx-one: 1\r\n")
            && request.body_bytes == 100_000;
        send(stream, if is_right { "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n" } else { OK });
    });
    let more = ["--method", "post", "--body-bytes", "100000", "--path", "/path?query"];
    let more = [&more[..], &["--header", "Host: a.example", "--header", "X-One: 1"]].concat();
    let more = [&more[..], &["--expect", "301,302", "--count", "10"]].concat();
    assert_eq!(load(&pki, "requests", address, &more).success()["done"], 10);
}

#[test]
fn content_comes_from_a_file_by_any_method_that_has_some() {
    let pki = Pki::new();
    let file = pki.path("content");
    std::fs::write(&file, "hello").unwrap();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let address = serve(&pki, None, move |request, stream| {
            let is_right =
                request.head.starts_with(&format!("{method} / ")) && request.body_bytes == 5;
            let wrong = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            send(stream, if is_right { OK } else { wrong });
        });
        let more = ["--method", method, "--body-file", &file, "--count", "2"];
        assert_eq!(load(&pki, "requests", address, &more).success()["done"], 2);
    }
}

/// RFC 9110, section 9.3.2: its length is that of the content that a GET would have.
#[test]
fn the_answer_to_a_head_has_no_content() {
    let pki = Pki::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let address = serve(&pki, None, move |_, stream| send(stream, head));
    let more = ["--method", "HEAD", "--count", "10", "--concurrency", "1"];
    let told = load(&pki, "requests", address, &more).success();
    assert_eq!((&told["handshakes"]["full"], &told["received_bytes"]), (&1.into(), &0.into()));
}

#[test]
fn a_connection_that_the_server_ends_in_order_is_opened_anew() {
    let pki = Pki::new();
    let address = serve(&pki, None, |request, stream| {
        // Every answer but one is the last on its connection.
        let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        send(stream, if request.connection == 1 { OK } else { close });
    });
    let told = load(&pki, "requests", address, &["--count", "10", "--concurrency", "2"]).success();
    assert!((2..=10).contains(&told["handshakes"]["full"].as_u64().unwrap()), "{told}");
    assert_eq!(told["done"], 10);
}

#[test]
fn all_connections_are_open_before_the_first_request() {
    let pki = Pki::new();
    let nginx = Nginx::start(&pki, "");
    for protocol in [&[][..], &["--http2-streams", "2"]] {
        for pace in [&["--concurrency", "4"][..], &["--concurrency", "4", "--rate", "500"]] {
            let more = [protocol, pace, &["--count", "1"]].concat();
            let run = load(&pki, "requests", nginx.address, &more);
            let said = String::from_utf8(run.output.stdout.clone()).unwrap();
            assert!(said.contains(" 4 connections before, in "), "{said}");
            let told = run.success();
            assert_eq!((&told["done"], &told["handshakes"]["full"]), (&1.into(), &4.into()));
            assert!(told["opening_seconds"].as_f64() > Some(0.0), "{told}");
        }
    }
}

/// Nobody listens at the second address, which each other connection goes to, from the second one on.
#[test]
fn a_connection_that_cannot_be_opened_before_is_a_failure_of_its_own() {
    let pki = Pki::new();
    let good = serve(&pki, None, |_, stream| send(stream, OK));
    let good_address = good.to_string();
    let both = ["--connect-to", &good_address, "--connect-to", "127.0.0.1:1"];
    let more = [&both[..], &["--count", "10", "--concurrency", "2", "--threads", "1"]].concat();
    let told = load(&pki, "requests", good, &more).failure();
    assert_eq!(told["failures"], serde_json::json!({"refused": 2}));
    assert_eq!((&told["attempted"], &told["done"]), (&11.into(), &9.into()));
}

/// The server says goodbye in one breath with each answer, but not in it.
#[test]
fn a_connection_that_has_ended_between_two_requests_is_no_failure() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| {
        stream.conn.writer().write_all(OK.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Both).unwrap();
    });
    let more = ["--count", "10", "--concurrency", "1"];
    let run = load(&pki, "requests", address, &more);
    let said = String::from_utf8(run.output.stdout.clone()).unwrap();
    assert!(said.contains("\n         9 kept connections ended in order\n"), "{said}");
    let told = run.success();
    assert_eq!((&told["handshakes"]["full"], &told["ended"]), (&10.into(), &9.into()));
}

/// Goal: what breaks a connection is counted once, and the next request has another. Method: after the first answer
/// of the load, and not before the other connection is asked, the server sends a fatal alert, as it does for a record
/// that was tampered with, or bytes that nobody has asked for.
#[test]
fn a_connection_that_breaks_between_two_requests_is_one_failure() {
    let pki = Pki::new();
    let alert = |stream: &mut Stream| {
        let mut record =
            &[0x17, 3, 3, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..];
        stream.conn.read_tls(&mut record).unwrap();
        stream.conn.process_new_packets().unwrap_err();
        stream.conn.write_tls(&mut stream.sock).unwrap();
    };
    let unasked = |stream: &mut Stream| send(stream, "more");
    for break_it in [alert as fn(&mut Stream), unasked] {
        let (asked, other_is_asked) = (AtomicUsize::new(0), Barrier::new(2));
        let address = serve(&pki, None, move |_, stream| {
            // The very first request is the look before the load.
            let index = asked.fetch_add(1, Ordering::Relaxed);
            if index == 2 {
                other_is_asked.wait();
            }
            send(stream, OK);
            if index == 1 {
                other_is_asked.wait();
                break_it(stream);
            }
        });
        let more = ["--count", "10", "--rate", "20", "--concurrency", "2"];
        let told = load(&pki, "requests", address, &more).failure();
        assert_eq!(
            (&told["failed"], &told["handshakes"]["full"]),
            (&1.into(), &3.into()),
            "{told}"
        );
    }
}

/// All handshakes but the first are within what a request took. Latencies have three digits.
#[test]
fn a_request_waits_for_a_connection_that_is_opened_anew() {
    let pki = Pki::new();
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let address = serve(&pki, None, move |_, stream| send(stream, close));
    let told = load(&pki, "requests", address, &["--count", "20", "--concurrency", "1"]).success();
    let us = |what: &str, which: &str| told[what][which].as_f64().unwrap();
    let handshakes = 20.0 * us("handshake_us", "mean") - us("handshake_us", "max");
    assert_eq!(told["handshakes"]["full"], 20);
    assert!(20.0 * us("latency_us", "mean") > handshakes * 0.99, "{told}");
}

#[test]
fn an_open_loop_shares_the_connections_too() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let more = ["--count", "50", "--rate", "500", "--concurrency", "3"];
    let told = load(&pki, "requests", address, &more).success();
    assert_eq!(told["done"], 50);
    assert!(told["handshakes"]["full"].as_u64().unwrap() <= 3, "{told}");
}

/// A thread without a connection has no part in the load: nobody would take its turns.
#[test]
fn an_open_loop_has_no_more_threads_than_connections() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let known = ["--count", "20", "--rate", "500", "--threads", "2"];
    let one = [&known[..], &["--concurrency", "1"]].concat();
    assert_eq!(load(&pki, "requests", address, &one).success()["done"], 20);
    for work in ["handshake", "swap"] {
        let one = [&known[..], &["--outstanding", "1"]].concat();
        let told = load(&pki, work, address, &one).told;
        assert_eq!((&told["attempted"], &told["threads"]), (&20.into(), &1.into()), "{told}");
    }
}

#[test]
fn many_streams_share_one_http2_connection() {
    let pki = Pki::new();
    let nginx = Nginx::start(&pki, "");
    let more = ["--http2-streams", "8", "--concurrency", "1", "--count", "400"];
    let told = load_as_clients(&pki, "requests", nginx.address, &more).success();
    assert_eq!((&told["done"], &told["protocol"]), (&400.into(), &"HTTP/2".into()));
    assert_eq!((&told["handshakes"]["full"], told.get("ended")), (&1.into(), None));
    assert_eq!(told["received_bytes"], 400 * "hello, world\n".len());
}

/// nginx ends a connection by GOAWAY after so many requests: none of them is lost.
#[test]
fn goaway_moves_requests_to_another_connection() {
    let pki = Pki::new();
    let nginx = Nginx::start(&pki, "keepalive_requests 20;");
    let more = ["--http2-streams", "4", "--concurrency", "2", "--count", "400"];
    let told = load(&pki, "requests", nginx.address, &more).success();
    assert!(told["handshakes"]["full"].as_u64().unwrap() >= 400 / 24, "{told}");
}

/// Behind nginx is somebody who answers once, for the look before the load, and never again.
#[test]
fn an_http2_connection_without_an_answer_in_time_is_given_up() {
    let pki = Pki::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let pass = format!("location /pass {{ proxy_pass http://{}; }}", silent.local_addr().unwrap());
    let nginx = Nginx::start(&pki, &pass);
    let held = std::thread::spawn(move || {
        let mut held: Vec<_> = silent.incoming().take(1).map(Result::unwrap).collect();
        assert!(held[0].read(&mut [0; 1000]).unwrap() > 0);
        held[0].write_all(OK.as_bytes()).unwrap();
        held.extend(silent.incoming().take(2).map(Result::unwrap));
        held
    });
    let known = ["--path", "/pass", "--http2-streams", "1", "--concurrency", "1"];
    let more = [&known[..], &["--count", "2", "--timeout", "5"]].concat();
    let told = load(&pki, "requests", nginx.address, &more).failure();
    assert_eq!(told["failures"], serde_json::json!({"timeout": 2}));
    assert_eq!(told["handshakes"]["full"], 2);
    held.join().unwrap();
}

#[test]
fn bodies_and_statuses_count_by_http2_too() {
    let pki = Pki::new();
    let more = "location /moved { return 301 /; }
        location /body { client_max_body_size 1m; proxy_pass http://127.0.0.1:1; }";
    let nginx = Nginx::start(&pki, more);
    let by_http2 = |more: &[&str]| {
        load(
            &pki,
            "requests",
            nginx.address,
            &[&["--http2-streams", "2", "--count", "6"], more].concat(),
        )
    };
    by_http2(&["--path", "/moved", "--expect", "301", "--header", "Accept: text/html"]).success();
    // nginx has read all of the body before it knows that nobody is there to have it.
    let whole =
        ["--path", "/body", "--method", "POST", "--body-bytes", "300000", "--expect", "502"];
    by_http2(&whole).success();
    let nobody = by_http2(&["--path", "/moved"]);
    assert_eq!(nobody.output.status.code(), Some(2), "{:?}", nobody.output);
}

#[test]
fn a_bad_status_costs_no_connection() {
    let pki = Pki::new();
    let asked = AtomicUsize::new(0);
    let address = serve(&pki, None, move |_, stream| {
        let is_bad = asked.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let bad = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
        send(stream, if is_bad { bad } else { OK });
    });
    let told = load(&pki, "requests", address, &["--count", "10", "--concurrency", "1"]).failure();
    assert_eq!(told["failures"], serde_json::json!({"status 503": 5}));
    assert_eq!(told["handshakes"]["full"], 1);
}

#[test]
fn a_failed_request_does_not_hide_behind_a_new_connection() {
    let pki = Pki::new();
    let asked = AtomicUsize::new(0);
    let address =
        serve(&pki, None, move |_, stream| match asked.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => stream.sock.shutdown(Shutdown::Both).unwrap(),
            _ => send(stream, OK),
        });
    let told = load(&pki, "requests", address, &["--count", "30", "--concurrency", "1"]).failure();
    assert_eq!(told["failures"], serde_json::json!({"closed": 10}));
    assert_eq!((&told["done"], &told["handshakes"]["full"]), (&20.into(), &11.into()));
}
