//! `idle`: connections that are held.
use crate::pki::Pki;
use crate::program::{command, load, load_as_clients, sentence};
use crate::secure_server::{OK, send, serve};
use crate::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

#[test]
fn connections_are_held_and_none_is_lost() {
    let pki = Pki::new();
    let address = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK));
    let more = ["--connections", "40", "--duration", "0.1", "--concurrency", "8"];
    let run = load_as_clients(&pki, "idle", address, &more);
    let said = String::from_utf8(run.output.stdout.clone()).unwrap();
    assert!(said.starts_with("40 connections are open, for 0.1 s\n"), "{said}");
    let told = run.success();
    assert_eq!((&told["done"], &told["lost"]), (&40.into(), &serde_json::json!({})));
    assert_eq!(told["handshakes"]["full"], 40);
}

/// Each is let go while all are held: by the server, which closes ten of them.
#[test]
fn connections_that_are_lost_are_told_with_their_time() {
    let pki = Pki::new();
    let (asked, all) = (AtomicUsize::new(0), Arc::new(Barrier::new(20)));
    let address = serve(&pki, None, move |request, stream| {
        send(stream, OK);
        // The first one is there to see whether it can be done.
        if request.connection > 0 {
            let all = Arc::clone(&all);
            let socket = stream.sock.try_clone().unwrap();
            let is_closed = asked.fetch_add(1, Ordering::Relaxed) % 2 == 0;
            std::thread::spawn(move || {
                all.wait();
                if is_closed {
                    socket.shutdown(std::net::Shutdown::Both).unwrap();
                }
            });
        }
    });
    let told = load(&pki, "idle", address, &["--connections", "20", "--duration", "5"]).failure();
    assert_eq!((&told["done"], &told["failed"]), (&20.into(), &0.into()));
    assert_eq!(told["lost"], serde_json::json!({"closed": 10}));
    let refusals = told["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 10);
    for refusal in refusals {
        assert_eq!(
            (&refusal["reason"], &refusal["connection"]),
            (&"closed".into(), &"kept connection".into())
        );
        assert!(refusal["at_seconds"].as_f64() <= told["seconds"].as_f64());
    }
}

#[test]
fn without_a_request_a_refusal_shows_as_a_loss() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let good = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK)).to_string();
    let bad = serve(&pki, Some(&stranger.ca), |_, stream| send(stream, OK)).to_string();
    let more =
        ["--connect-to", &good, "--connect-to", &bad, "--connections", "6", "--requests", "0"];
    let more = [&more[..], &["--duration", "5", "--concurrency", "1"]].concat();
    let nowhere = "192.0.2.1:443".parse().unwrap();
    let told = load_as_clients(&pki, "idle", nowhere, &more).failure();
    assert_eq!(told["lost"], serde_json::json!({"alert unknown_ca": 3}), "{told}");
}

/// Four at a time, and all are due before the first answer.
#[test]
fn whoever_opens_too_many_at_once_holds_the_others() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let known = ["idle", "--connect", &address, "--insecure", "--connections", "40"];
    let more = ["--rate", "1000000", "--outstanding", "4", "--threads", "1", "--duration", "0.1"];
    let mut run = command(&[&known[..], &more].concat());
    let mut child = run.stdout(Stdio::piped()).spawn().unwrap();
    let status = wait::until("the end", || child.try_wait().unwrap());
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains(" connections are open, for 0.1 s\n"), "{told}");
    assert!(told.contains(" not begun\n"), "{told}");
}

/// Ctrl-C, once all are open: what there was, is told at once.
#[test]
fn whoever_interrupts_does_not_wait_for_the_end() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let known = ["idle", "--connect", &address, "--insecure", "--connections", "5"];
    let mut run = command(&[&known[..], &["--duration", "100000"]].concat());
    let mut child = run.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "5 connections are open, for 100000 s\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = wait::until("the end", || child.try_wait().unwrap());
    let mut told = String::new();
    said.read_to_string(&mut told).unwrap();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("5 opened"), "{told}");
}

#[test]
fn more_connections_than_files_are_refused_at_once() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let text = sentence(&load(&pki, "idle", address, &["--connections", "10000000"]).output);
    assert!(text.contains("the limit of open files is"), "{text}");
}
