//! Real sockets on loopback, on both engines. The parts have tests of their own, without sockets.
use super::*;
use crate::net::Engine;
use crate::target::{Place, ProtocolVersion, Target};
use socket2::{Domain, Socket, Type};
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// Runs a test as a shard would, once on each engine.
fn on_both_engines<F>(test: impl Fn() -> F + Copy + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for engine in [Engine::IoUring, Engine::Epoll] {
        net::run(engine, test).unwrap_or_else(|error| panic!("{}: {error}", engine.word()));
    }
}

fn group(addresses: &[SocketAddr]) -> Group {
    let place = |address: &SocketAddr| Place::Address(address.ip());
    let targets = addresses.iter().map(|a| Target { place: place(a), port: a.port() }).collect();
    Group::new("orders".into(), ProtocolVersion::Http1, targets)
}

/// A target that takes connections, and its address.
fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port that is taken by a socket which does not listen, so that connections are refused.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A target whose queue is full, so that the kernel drops what else asks to connect.
fn silent() -> (Socket, Vec<Socket>, SocketAddr) {
    let (socket, address) = refusing();
    socket.listen(0).unwrap();
    let fill = || {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        // In progress, or not answered at all: either way the queue is full afterwards.
        let _ = client.connect(&address.into());
        client
    };
    let fillers = vec![fill(), fill(), fill()];
    (socket, fillers, address)
}

fn errors(counts: &count::TargetGroup, reason: Reason) -> u64 {
    counts.errors[reason.index()].get()
}

#[test]
fn a_connection_that_was_put_back_is_lent_again() {
    on_both_engines(|| async {
        let (_listener, address) = listening();
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let group = group(&[address]);
        let first = upstreams.checkout(&group, &counts, None).await.unwrap();
        assert!(!first.reused);
        let local = first.socket.local().unwrap();
        upstreams.put_back(first);
        let second = upstreams.checkout(&group, &counts, None).await.unwrap();
        assert!(second.reused);
        assert_eq!((second.target, second.socket.local().unwrap()), (address, local));
        assert_eq!(counts.connections.get(), 1);
        let third = upstreams.checkout(&group, &counts, None).await.unwrap();
        assert!(!third.reused, "the only connection is lent out");
    });
}

#[test]
fn a_connection_that_the_target_closed_is_not_lent_again() {
    on_both_engines(|| async {
        let (listener, address) = listening();
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let group = group(&[address]);
        upstreams.put_back(upstreams.checkout(&group, &counts, None).await.unwrap());
        drop::<TcpStream>(listener.accept().unwrap().0);
        assert!(!upstreams.checkout(&group, &counts, None).await.unwrap().reused);
    });
}

#[test]
fn a_connection_that_this_node_ended_is_not_kept() {
    on_both_engines(|| async {
        let (_listener, address) = listening();
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let group = group(&[address]);
        let connection = upstreams.checkout(&group, &counts, None).await.unwrap();
        connection.socket.kill(Reason::TargetTimeout);
        upstreams.put_back(connection);
        assert!(!upstreams.checkout(&group, &counts, None).await.unwrap().reused);
    });
}

#[test]
fn a_refused_connect_goes_to_the_next_target_and_passes_the_first_over() {
    on_both_engines(|| async {
        let ((_socket, refused), (_listener, good)) = (refusing(), listening());
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let group = group(&[refused, good]);
        for turn in 0..4 {
            let connection = upstreams.checkout(&group, &counts, None).await.unwrap();
            assert_eq!(connection.target, good, "turn {turn}");
        }
        assert_eq!(errors(&counts, Reason::ConnectRefused), 1, "tried once");
        assert_eq!((counts.retries.get(), counts.connections.get()), (1, 4));
    });
}

#[test]
fn a_target_that_is_passed_over_is_tried_when_there_is_no_other() {
    on_both_engines(|| async {
        let (socket, address) = refusing();
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let group = group(&[address]);
        let refused = upstreams.checkout(&group, &counts, None).await;
        let reason = Reason::ConnectRefused;
        assert_eq!(refused.unwrap_err(), NoConnection { reason, target: Some(address) });
        assert_eq!(counts.retries.get(), 0, "the same target is not tried twice for one request");
        socket.listen(1).unwrap();
        assert_eq!(upstreams.checkout(&group, &counts, None).await.unwrap().target, address);
    });
}

#[test]
fn a_request_tries_two_targets_and_no_third() {
    on_both_engines(|| async {
        let (a, b, c) = (refusing(), refusing(), refusing());
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let group = group(&[a.1, b.1, c.1]);
        let refused = upstreams.checkout(&group, &counts, None).await;
        let reason = Reason::ConnectRefused;
        assert_eq!(refused.unwrap_err(), NoConnection { reason, target: Some(b.1) });
        assert_eq!((errors(&counts, Reason::ConnectRefused), counts.retries.get()), (2, 1));
    });
}

#[test]
fn a_connect_without_an_answer_ends_in_time_and_goes_to_the_next_target() {
    on_both_engines(|| async {
        let ((_socket, _fillers, silent), (_listener, good)) = (silent(), listening());
        let upstreams = Upstreams {
            connect_timeout: Duration::from_millis(200),
            ..Upstreams::new(0, usize::MAX)
        };
        let counts = count::TargetGroup::default();
        let late = upstreams.checkout(&group(&[silent]), &counts, None).await;
        assert_eq!(late.unwrap_err().reason, Reason::ConnectTimeout);
        upstreams.passed_over.borrow_mut().clear(silent);
        let targets = group(&[silent, good]).targets;
        let both = Group::new("both".into(), ProtocolVersion::Http1, targets);
        assert_eq!(upstreams.checkout(&both, &counts, None).await.unwrap().target, good);
        assert_eq!(errors(&counts, Reason::ConnectTimeout), 2);
    });
}

/// A client's patience says nothing of a target.
#[test]
fn a_connect_that_its_request_gives_up_ends_when_that_is_due_and_passes_nobody_over() {
    on_both_engines(|| async {
        let ((_socket, _fillers, silent), (_listener, good)) = (silent(), listening());
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let began = Instant::now();
        let due = began + Duration::from_millis(200);
        let late = upstreams.checkout(&group(&[silent, good]), &counts, Some(due)).await;
        let reason = Reason::TargetTimeout;
        assert_eq!(late.unwrap_err(), NoConnection { reason, target: Some(silent) });
        assert!(began.elapsed() < limits::CONNECT_TIMEOUT, "{:?}", began.elapsed());
        assert!(!upstreams.passed_over.borrow().contains(silent, Instant::now()));
        assert_eq!((errors(&counts, reason), counts.retries.get()), (1, 0));
        // A request that has time is not concerned.
        let due = Instant::now() + Duration::from_secs(60);
        let reached = upstreams.checkout(&group(&[good]), &counts, Some(due)).await;
        assert_eq!(reached.unwrap().target, good);
    });
}

#[test]
fn a_group_without_an_address_has_no_target() {
    on_both_engines(|| async {
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        let nothing = upstreams.checkout(&group(&[]), &counts, None).await;
        let reason = Reason::NoTarget;
        assert_eq!(nothing.unwrap_err(), NoConnection { reason, target: None });
        assert_eq!(errors(&counts, Reason::NoTarget), 1);
    });
}

#[test]
fn a_sweep_closes_what_the_target_closed() {
    on_both_engines(|| async {
        let (listener, address) = listening();
        let (upstreams, counts) = (Upstreams::new(0, usize::MAX), count::TargetGroup::default());
        upstreams.put_back(upstreams.checkout(&group(&[address]), &counts, None).await.unwrap());
        drop::<TcpStream>(listener.accept().unwrap().0);
        upstreams.sweep();
        let left = upstreams.idle.borrow_mut().take(address, Instant::now(), |_| false);
        assert!(left.is_none());
    });
}
