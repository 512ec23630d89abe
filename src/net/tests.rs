//! The same promises on both engines, over real sockets on loopback.
use super::*;
use crate::close::Reason;
use crate::limits;
use rustix::net::sockopt;
use seccompiler::{SeccompAction, SeccompFilter};
use std::cell::Cell;
use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Longer than anything here takes: reaching it is a failure.
const HANG: Duration = Duration::from_secs(60);

/// Each named function as a test on io_uring and one on epoll.
macro_rules! on_both_engines {
    ($($name:ident)*) => {
        mod io_uring {
            $(#[test] fn $name() { super::shard(super::Engine::IoUring, super::$name); })*
        }
        mod epoll {
            $(#[test] fn $name() { super::shard(super::Engine::Epoll, super::$name); })*
        }
    };
}

on_both_engines! {
    ten_mebibytes_come_back_through_short_writes_and_a_slow_reader
    a_receive_and_a_send_wait_on_one_socket_at_once
    a_kill_completes_whatever_is_pending
    the_first_reason_of_a_kill_stays
    a_deadline_kills_with_its_reason_and_not_early
    arming_again_moves_the_deadline
    a_disarmed_socket_lives
    killed_sockets_leave_no_descriptor_behind
    an_aborted_task_leaves_the_memory_to_the_kernel
    readable_means_bytes_or_the_end
    a_half_closed_connection_still_receives
    a_reset_reaches_the_other_side
    an_idle_connection_is_stale_once_it_is_closed_or_speaks
    addresses_and_options_are_those_of_the_connection
    connecting_reaches_both_families
    connecting_where_nobody_listens_is_refused
    connecting_to_a_full_queue_times_out_and_leaves_nothing
    a_connect_that_nobody_awaits_any_more_is_cancelled
    a_stopped_listener_hands_all_new_connections_to_the_next
    a_listener_dropped_while_it_accepts_leaves_its_group
    a_deferred_connection_is_accepted_once_it_speaks
    a_panic_in_a_task_leaves_the_shard_running
    another_thread_wakes_a_waiting_task
}

fn shard<F, Fut>(engine: Engine, test: F)
where
    F: FnOnce() -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let timed = || async { tokio::time::timeout(HANG, test()).await.expect("it hangs") };
    run(engine, timed).expect("this machine refuses the engine");
}

fn options() -> Options {
    Options { backlog: 128, defer_accept: false, steering: Steering::Hash }
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn listen(address: SocketAddr, options: &Options) -> (Listener, SocketAddr) {
    let mut bound = bind(address, &[0], options).unwrap();
    (Listener::new(bound.sockets.remove(0)).unwrap(), bound.address)
}

/// A client and what the listener accepted.
async fn pair() -> (Sock, Sock) {
    let (listener, address) = listen(loopback(0), &options());
    let client = connect(address, HANG).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A pair whose buffers in the kernel stay small. (A receive buffer below the window that was announced
/// already would make the kernel drop and resend.)
async fn narrow_pair() -> (Sock, Sock) {
    let (client, server) = pair().await;
    for socket in [&client, &server] {
        sockopt::set_socket_send_buffer_size(socket, 16 * 1024).unwrap();
        sockopt::set_socket_recv_buffer_size(socket, 128 * 1024).unwrap();
    }
    (client, server)
}

fn buf(bytes: &[u8]) -> Buf {
    let mut buf = Buf::take();
    buf.extend_from_slice(bytes);
    buf
}

async fn send(socket: &Sock, bytes: &[u8]) {
    socket.send_all(buf(bytes)).await.0.unwrap();
}

async fn receive(socket: &Sock) -> Vec<u8> {
    let (received, buf) = socket.recv(Buf::take()).await;
    assert_eq!(received.unwrap(), buf.len());
    buf.to_vec()
}

async fn ended(socket: &Sock) {
    assert_eq!(socket.recv(Buf::take()).await.0.unwrap(), 0);
}

/// Lets every task that can run do so, and the kernel see what they submitted.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Waits for what happens on the other side of the kernel.
async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < HANG / 2, "never: {what}");
        settle().await;
    }
}

/// Identifies a socket for as long as it is open; numbers of descriptors are reused by other tests.
fn inode(socket: impl AsFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

fn open_inodes() -> HashSet<u64> {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets
        .filter_map(|target| {
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// Connections to `port` on loopback that wait for an answer.
fn connecting_to(port: u16) -> usize {
    const SYN_SENT: &str = "02";
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2] == remote && row[3] == SYN_SENT).count()
}

/// A listener whose queue is full, and what fills it.
async fn full_listener() -> (socket2::Socket, SocketAddr, Vec<Sock>) {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&loopback(0).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(socket) = connect(address, Duration::from_millis(200)).await {
        assert!(waiting.len() < 100, "the queue has no end");
        waiting.push(socket);
    }
    (listener, address, waiting)
}

async fn ten_mebibytes_come_back_through_short_writes_and_a_slow_reader() {
    const TOTAL: usize = 10 * 1024 * 1024;
    let at = |index: usize| (index % 251) as u8;
    let (client, server) = narrow_pair().await;
    let echo: JoinHandle<()> = spawn(async move {
        let mut buf = Buf::take();
        loop {
            let (received, lent) = server.recv(buf).await;
            if received.unwrap() == 0 {
                return;
            }
            let (sent, empty) = server.send_all(lent).await;
            sent.unwrap();
            assert!(empty.is_empty());
            buf = empty;
        }
    });
    let sender = client.clone();
    let send: JoinHandle<()> = spawn(async move {
        let mut sent = 0;
        for piece in [1, 1_000, 100_000, 1024 * 1024].into_iter().cycle() {
            let piece = piece.min(TOTAL - sent);
            let bytes: Vec<u8> = (sent..sent + piece).map(at).collect();
            sender.send_all(buf(&bytes)).await.0.unwrap();
            sent += piece;
            if sent == TOTAL {
                return sender.shutdown_write();
            }
        }
    });
    // A reader is slow when its buffer is small; the first wait fills everything before it.
    settle().await;
    let filler = [0; limits::BUFFER_BYTES - 3_000];
    let (mut received, mut room) = (0, Buf::take());
    loop {
        room.clear();
        room.extend_from_slice(&filler);
        let (count, lent) = client.recv(room).await;
        room = lent;
        let bytes = &room[filler.len()..];
        assert_eq!(count.unwrap(), bytes.len());
        if bytes.is_empty() {
            break;
        }
        assert!(bytes.iter().zip(received..).all(|(byte, index)| *byte == at(index)));
        received += bytes.len();
        if received == TOTAL {
            client.shutdown_write();
        }
    }
    assert_eq!(received, TOTAL);
    send.await.unwrap();
    echo.await.unwrap();
}

async fn a_receive_and_a_send_wait_on_one_socket_at_once() {
    let (client, server) = narrow_pair().await;
    let sender = server.clone();
    let sending = spawn(async move { sender.send_all(buf(&[7; 8 * 1024 * 1024])).await.0 });
    let receiver = server.clone();
    let receiving = spawn(async move { receive(&receiver).await });
    settle().await;
    assert!(!sending.is_finished() && !receiving.is_finished());
    send(&client, b"x").await;
    assert_eq!(receiving.await.unwrap(), b"x");
    assert!(!sending.is_finished());
    let mut count = 0;
    while count < 8 * 1024 * 1024 {
        count += receive(&client).await.len();
    }
    sending.await.unwrap().unwrap();
}

async fn a_kill_completes_whatever_is_pending() {
    let (_client, server) = narrow_pair().await;
    let (sender, receiver, waiter) = (server.clone(), server.clone(), server.clone());
    let sending = spawn(async move { sender.send_all(buf(&[7; 8 * 1024 * 1024])).await });
    let receiving = spawn(async move { receiver.recv(Buf::take()).await });
    let waiting = spawn(async move { waiter.readable().await });
    settle().await;
    assert!(!sending.is_finished() && !receiving.is_finished() && !waiting.is_finished());
    server.kill(Reason::Draining);
    let (sent, rest) = sending.await.unwrap();
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(!rest.is_empty());
    assert_eq!(receiving.await.unwrap().0.unwrap(), 0);
    waiting.await.unwrap().unwrap();
    ended(&server).await;
    server.readable().await.unwrap();
    let again = server.send_all(buf(b"late")).await.0;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

async fn the_first_reason_of_a_kill_stays() {
    let (_client, server) = pair().await;
    assert_eq!(server.killed(), None);
    server.kill(Reason::Draining);
    server.clone().kill(Reason::Idle);
    assert_eq!(server.killed(), Some(Reason::Draining));
}

async fn a_deadline_kills_with_its_reason_and_not_early() {
    let (client, server) = pair().await;
    let start = Instant::now();
    server.arm(Duration::from_millis(150), Reason::HandshakeTimeout);
    ended(&server).await;
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert_eq!(server.killed(), Some(Reason::HandshakeTimeout));
    ended(&client).await;
    assert_eq!(client.killed(), None);
}

async fn arming_again_moves_the_deadline() {
    let (_client, server) = pair().await;
    let start = Instant::now();
    server.arm(Duration::from_millis(100), Reason::HandshakeTimeout);
    server.arm(Duration::from_millis(500), Reason::Idle);
    ended(&server).await;
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(server.killed(), Some(Reason::Idle));
}

async fn a_disarmed_socket_lives() {
    let (client, server) = pair().await;
    server.arm(Duration::from_millis(1), Reason::Idle);
    server.disarm();
    client.arm(Duration::from_millis(300), Reason::Idle);
    ended(&client).await;
    assert_eq!(server.killed(), None);
}

async fn killed_sockets_leave_no_descriptor_behind() {
    let (listener, address) = listen(loopback(0), &options());
    let (mut clients, mut servers, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..100 {
        clients.push(connect(address, HANG).await.unwrap());
        let (server, _) = listener.accept().await.unwrap();
        servers.push(server.clone());
        tasks.push(spawn(async move { server.recv(Buf::take()).await.0 }));
    }
    settle().await;
    let inodes: HashSet<u64> = servers.iter().map(inode).collect();
    assert_eq!(open_inodes().intersection(&inodes).count(), 100);
    servers.iter().for_each(|server| server.kill(Reason::Idle));
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), 0);
    }
    drop(servers);
    assert_eq!(open_inodes().intersection(&inodes).count(), 0);
    for client in &clients {
        ended(client).await;
    }
}

/// The rule broken on purpose: nothing is unsound then, and nothing stays open.
async fn an_aborted_task_leaves_the_memory_to_the_kernel() {
    let (client, server) = narrow_pair().await;
    let (receiver, sender) = (server.clone(), server.clone());
    let receiving = spawn(async move { receiver.recv(Buf::take()).await.0 });
    let sending = spawn(async move { sender.send_all(buf(&[7; 8 * 1024 * 1024])).await.0 });
    settle().await;
    receiving.abort();
    sending.abort();
    assert!(receiving.await.unwrap_err().is_cancelled());
    assert!(sending.await.unwrap_err().is_cancelled());
    let inodes = HashSet::from([inode(&server)]);
    drop(server);
    eventually("closed", || open_inodes().is_disjoint(&inodes)).await;
    // The client sees the end, after what was sent: the socket is gone for it too.
    while let (Ok(1..), _) = client.recv(Buf::take()).await {}
}

async fn readable_means_bytes_or_the_end() {
    let (client, server) = pair().await;
    let waiter = server.clone();
    let waiting = spawn(async move { waiter.readable().await });
    settle().await;
    assert!(!waiting.is_finished());
    send(&client, b"hello").await;
    waiting.await.unwrap().unwrap();
    assert_eq!(receive(&server).await, b"hello");

    let waiter = server.clone();
    let waiting = spawn(async move { waiter.readable().await });
    settle().await;
    assert!(!waiting.is_finished(), "what was received is not there any more");
    drop(client);
    waiting.await.unwrap().unwrap();
    ended(&server).await;
}

async fn a_half_closed_connection_still_receives() {
    let (client, server) = pair().await;
    client.shutdown_write();
    ended(&server).await;
    send(&server, b"answer").await;
    assert_eq!(receive(&client).await, b"answer");
}

async fn a_reset_reaches_the_other_side() {
    let (client, server) = pair().await;
    server.reset_on_close();
    drop(server);
    let received = client.recv(Buf::take()).await.0;
    assert_eq!(received.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn an_idle_connection_is_stale_once_it_is_closed_or_speaks() {
    let (client, server) = pair().await;
    assert!(!client.is_stale());
    send(&server, b"?").await;
    client.readable().await.unwrap();
    assert!(client.is_stale());
    assert_eq!(receive(&client).await, b"?");
    assert!(!client.is_stale());
    drop(server);
    client.readable().await.unwrap();
    assert!(client.is_stale());

    let (client, _server) = pair().await;
    client.kill(Reason::Idle);
    assert!(client.is_stale());
}

async fn addresses_and_options_are_those_of_the_connection() {
    let (listener, address) = listen(loopback(0), &options());
    let client = connect(address, HANG).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!((client.peer(), server.local().unwrap()), (address, address));
    assert_eq!((server.peer(), peer), (client.local().unwrap(), client.local().unwrap()));
    for socket in [&client, &server] {
        assert!(sockopt::tcp_nodelay(socket).unwrap());
        let flags = rustix::io::fcntl_getfd(socket).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    let shown = format!("{server:?}");
    assert!(shown.contains(&peer.to_string()), "{shown}");
}

async fn connecting_reaches_both_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (listener, address) = listen(address.parse().unwrap(), &options());
        let client = connect(address, HANG).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local().unwrap());
        send(&server, b"hello").await;
        assert_eq!(receive(&client).await, b"hello");
    }
}

async fn connecting_where_nobody_listens_is_refused() {
    // Bound and not listening, so that no other test gets the port.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.bind(&loopback(0).into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap();
    let refused = connect(address, HANG).await;
    assert!(
        matches!(&refused, Err(ConnectError::Io(e)) if e.kind() == ErrorKind::ConnectionRefused),
        "{refused:?}"
    );
}

async fn connecting_to_a_full_queue_times_out_and_leaves_nothing() {
    let (_listener, address, _waiting) = full_listener().await;
    let start = Instant::now();
    let late = connect(address, Duration::from_millis(300)).await;
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(connecting_to(address.port()), 0);
}

async fn a_connect_that_nobody_awaits_any_more_is_cancelled() {
    let (_listener, address, _waiting) = full_listener().await;
    let connecting = spawn(connect(address, HANG));
    eventually("connecting", || connecting_to(address.port()) == 1).await;
    connecting.abort();
    eventually("cancelled", || connecting_to(address.port()) == 0).await;
}

async fn twenty_connections_reach(listener: &Listener, address: SocketAddr) {
    for _ in 0..20 {
        let client = connect(address, HANG).await.unwrap();
        let (_server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local().unwrap());
    }
}

async fn a_stopped_listener_hands_all_new_connections_to_the_next() {
    let (old, address) = listen(loopback(0), &options());
    let old = Rc::new(old);
    let accepting = Rc::clone(&old);
    let accepting = spawn(async move { accepting.accept().await });
    settle().await;
    old.stop();
    old.stop();
    assert!(old.is_stopped());
    assert!(accepting.await.unwrap().is_err(), "a pending accept ends");
    assert!(old.accept().await.is_err(), "a later one does not begin");
    drop(old);
    let (new, _) = listen(address, &options());
    twenty_connections_reach(&new, address).await;
}

/// The rule broken on purpose: the group gets rid of the socket all the same, a little later.
async fn a_listener_dropped_while_it_accepts_leaves_its_group() {
    let bound = bind(loopback(0), &[0], &options()).unwrap();
    let address = bound.address;
    let inodes: HashSet<u64> = bound.sockets.iter().map(inode).collect();
    let old = Rc::new(Listener::new(bound.sockets.into_iter().next().unwrap()).unwrap());
    let accepting = spawn(async move { old.accept().await.map(drop) });
    settle().await;
    accepting.abort();
    eventually("closed", || open_inodes().is_disjoint(&inodes)).await;
    let (new, _) = listen(address, &options());
    twenty_connections_reach(&new, address).await;
}

async fn a_deferred_connection_is_accepted_once_it_speaks() {
    let (listener, address) = listen(loopback(0), &Options { defer_accept: true, ..options() });
    let silent = connect(address, HANG).await.unwrap();
    let speaking = connect(address, HANG).await.unwrap();
    send(&speaking, b"hello").await;
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, speaking.local().unwrap());
    assert_eq!(receive(&server).await, b"hello");
    send(&silent, b"me too").await;
    assert_eq!(listener.accept().await.unwrap().1, silent.local().unwrap());
}

async fn a_panic_in_a_task_leaves_the_shard_running() {
    let (client, server) = pair().await;
    let failing = server.clone();
    let task: JoinHandle<()> = spawn(async move {
        receive(&failing).await;
        panic!("on purpose, by a test");
    });
    send(&client, b"go").await;
    assert!(task.await.unwrap_err().is_panic());
    send(&client, b"still here").await;
    assert_eq!(receive(&server).await, b"still here");
}

async fn another_thread_wakes_a_waiting_task() {
    let (say, mut heard) = tokio::sync::watch::channel(0);
    let (waiting, is_waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        while is_waiting.recv().is_ok() {
            say.send_modify(|turn| *turn += 1);
        }
    });
    for turn in 1..=100 {
        waiting.send(()).unwrap();
        heard.changed().await.unwrap();
        assert_eq!(*heard.borrow_and_update(), turn);
    }
    drop(waiting);
    thread.join().unwrap();
}

/// Tasks and operations that are left over when `main` is done are dropped while buffers and deadlines
/// are still there.
#[test]
fn a_shard_ends_with_everything_pending() {
    for engine in [Engine::IoUring, Engine::Epoll] {
        let inodes = Rc::new(Cell::new(HashSet::new()));
        let noted = Rc::clone(&inodes);
        shard(engine, || async move {
            let (listener, address) = listen(loopback(0), &options());
            let (client, server) = pair().await;
            let (_full, full_address, waiting) = full_listener().await;
            noted.set([&client, &server].into_iter().chain(&waiting).map(inode).collect());
            server.arm(HANG, Reason::Idle);
            spawn(async move { listener.accept().await.map(drop) });
            spawn(async move { client.recv(Buf::take()).await.0 });
            spawn(async move { server.readable().await });
            spawn(async move { connect(full_address, HANG).await.map(drop) });
            settle().await;
            drop(TcpStream::connect(address).unwrap());
        });
        assert!(open_inodes().is_disjoint(&inodes.take()), "{engine:?}");
    }
}

#[test]
fn a_panic_in_main_leaves_the_thread_usable() {
    for engine in [Engine::IoUring, Engine::Epoll] {
        let panicked = std::panic::catch_unwind(|| {
            shard(engine, || async {
                let (client, _server) = pair().await;
                spawn(async move { client.recv(Buf::take()).await.0 });
                panic!("on purpose, by a test");
            });
        });
        assert!(panicked.is_err());
        shard(engine, || async { drop(pair().await) });
    }
}

#[test]
fn both_shards_of_a_listener_accept() {
    for engine in [Engine::IoUring, Engine::Epoll] {
        let bound = bind(loopback(0), &[0, 1], &options()).unwrap();
        let (accepted, seen) = mpsc::channel();
        let (done, _) = tokio::sync::watch::channel(false);
        let threads: Vec<_> = (0..2)
            .zip(bound.sockets)
            .map(|(index, socket)| {
                let (accepted, mut done) = (accepted.clone(), done.subscribe());
                std::thread::spawn(move || {
                    shard(engine, move || async move {
                        let listener = Rc::new(Listener::new(socket).unwrap());
                        let accepting = Rc::clone(&listener);
                        let task = spawn(async move {
                            while accepting.accept().await.is_ok() {
                                accepted.send(index).unwrap();
                            }
                        });
                        done.wait_for(|done| *done).await.unwrap();
                        listener.stop();
                        task.await.unwrap();
                    });
                })
            })
            .collect();
        let mut by_shard = [0, 0];
        while by_shard.contains(&0) {
            assert!(by_shard.iter().sum::<usize>() < 1_000, "one shard gets nothing: {by_shard:?}");
            TcpStream::connect(bound.address).unwrap().write_all(b"x").unwrap();
            by_shard[seen.recv_timeout(HANG).unwrap()] += 1;
        }
        done.send_replace(true);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// What a container's seccomp profile does, for a thread of this test alone.
fn with_io_uring_refused(calls: &[i64], test: impl FnOnce() + Send + 'static) {
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    let thread = std::thread::spawn(move || {
        seccompiler::apply_filter(&program).unwrap();
        test();
    });
    thread.join().unwrap();
}

#[test]
fn a_refused_ring_is_noticed_whether_it_is_made_or_entered() {
    for calls in [&[libc::SYS_io_uring_setup][..], &[libc::SYS_io_uring_enter]] {
        with_io_uring_refused(calls, || {
            let chosen = choose(Io::Auto).unwrap();
            assert_eq!(chosen.engine, Engine::Epoll);
            assert_eq!(chosen.refused.unwrap().raw_os_error(), Some(libc::EPERM));
            assert_eq!(choose(Io::IoUring).unwrap_err().raw_os_error(), Some(libc::EPERM));
            shard(Engine::Epoll, || async { drop(pair().await) });
        });
    }
    with_io_uring_refused(&[libc::SYS_io_uring_setup], || {
        assert!(run(Engine::IoUring, || async {}).is_err());
    });
}

#[test]
fn io_uring_is_chosen_where_nothing_refuses_it() {
    let chosen = choose(Io::Auto).unwrap();
    assert_eq!(chosen.engine, Engine::IoUring, "{:?}", chosen.refused);
}
