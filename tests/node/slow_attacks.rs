//! The four attacks of slowhttptest, while honest clients are served.
use crate::support::node::piece;
use crate::support::stop::StopOnDrop;
use crate::support::target::ok;
use crate::support::{Client, Node, Target, tools};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Connections of the attacker.
const CONNECTIONS: &str = "80";

/// Small answers, and large ones to `/large`.
fn node() -> (Node, Target) {
    let target = Target::with(|received, stream| {
        if received.request_line().contains("/large") {
            return stream.write_all(ok(&"a".repeat(8 << 20)).as_bytes());
        }
        stream.write_all(ok("hello").as_bytes())
    });
    let slow_clients = "slow_clients: {request_head_timeout_seconds: 2, window_seconds: 1, \
                        request_body_bytes_per_second_min: 4000, \
                        response_bytes_per_second_min: 4000}";
    let configuration = [
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::http("plain", slow_clients),
    ];
    (Node::start(&configuration.concat()), target)
}

/// Attacks while honest clients ask, on kept connections and on new ones; the node's own reason to end an
/// attacker's connection, if it has one, must have been used for nearly all of them.
fn attack(arguments: &[&str], path: &str, reason: Option<&str>) {
    let (node, _target) = node();
    let address = node.address("plain");
    let url = format!("http://{address}{path}");
    let common = ["-c", CONNECTIONS, "-r", CONNECTIONS, "-l", "12", "-p", "30", "-u", &url];
    let over = AtomicBool::new(false);
    let (said, served) = thread::scope(|scope| {
        let honest: Vec<_> = (0..3).map(|_| scope.spawn(|| ask(address, &over))).collect();
        let stop = StopOnDrop(&over);
        let ended = tools::run("slowhttptest", &[&common[..], arguments].concat(), b"");
        drop(stop);
        let served = honest.into_iter().map(|client| client.join().expect("all are served"));
        (ended.success().said(), served.sum::<usize>())
    });
    assert!(said.contains("service available:"), "{said}");
    assert!(served > 20, "{served} answers to honest clients");
    let accepted = node.metric("portcullis_connections_accepted_total", &[]);
    assert!(accepted >= 80.0, "{accepted}: the attack took place");
    if let Some(reason) = reason {
        let labels = [format!("reason=\"{reason}\"")];
        let ended = node.metric("portcullis_connections_closed_total", &[&labels[0]]);
        assert!(ended >= 60.0, "{ended} of {CONNECTIONS} were ended because of {reason}: {said}");
    }
    node.assert_no_panic();
}

/// Asks until the attack is over; every answer is 200.
fn ask(address: SocketAddr, over: &AtomicBool) -> usize {
    let mut served = 0;
    let mut kept = Client::plain(address);
    while !over.load(Ordering::Relaxed) {
        assert_eq!(kept.get("/").status, 200);
        assert_eq!(Client::plain(address).get("/").status, 200);
        served += 2;
    }
    served
}

#[test]
fn slow_heads_leave_honest_clients_served() {
    attack(&["-H", "-i", "1", "-x", "24"], "/", Some("slow_head"));
}

#[test]
fn slow_bodies_leave_honest_clients_served() {
    attack(&["-B", "-i", "1", "-x", "10", "-s", "8192"], "/", Some("slow_body"));
}

#[test]
fn slow_readers_leave_honest_clients_served() {
    let read = ["-X", "-w", "100", "-y", "200", "-n", "1", "-z", "10"];
    attack(&read, "/large", Some("slow_reader"));
}

#[test]
fn many_ranges_leave_honest_clients_served() {
    attack(&["-R", "-a", "5", "-b", "3000"], "/", None);
}
