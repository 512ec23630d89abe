//! The access log's lines of requests that are not served, or not to their end.
use crate::access_log::{
    ACTION, ELB_STATUS, RECEIVED, RULE, TARGET, TARGET_STATUS, TIMES, impatient_node, node,
    node_for, only_line, silent,
};
use crate::support::client::connect;
use crate::support::target::{close, entry, nobody};
use crate::support::{Client, Target};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::thread;

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
