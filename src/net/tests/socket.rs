//! Connected sockets: bytes, the end, deadlines, descriptors.
use super::*;
use crate::close::Reason;
use crate::limits;
use rustix::net::sockopt;
use std::cell::Cell;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use tokio::task::JoinHandle;

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
    a_wait_for_bytes_may_be_kept_beside_other_operations
    acknowledged_bytes_are_those_that_the_other_side_has
    who_always_has_more_to_say_does_not_keep_others_waiting
    a_receive_of_at_most_so_many_bytes_leaves_the_rest
    a_half_closed_connection_still_receives
    a_reset_reaches_the_other_side
    a_kill_that_resets_completes_whatever_is_pending_and_is_no_end_of_stream
    an_idle_connection_is_stale_once_it_is_closed_or_speaks
    addresses_and_options_are_those_of_the_connection
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

async fn a_wait_for_bytes_may_be_kept_beside_other_operations() {
    let (client, server) = pair().await;
    let mut waiting = server.readable();
    let is_there = |waiting: &mut Readable| {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(waiting).poll(&mut context).is_ready()
    };
    assert!(!is_there(&mut waiting));
    send(&server, b"to the client").await;
    assert_eq!(receive(&client).await, b"to the client");
    assert!(!is_there(&mut waiting));
    drop(client);
    waiting.await.unwrap();
    ended(&server).await;
}

async fn acknowledged_bytes_are_those_that_the_other_side_has() {
    const BYTES: u64 = 100_000;
    let (client, server) = pair().await;
    let before = server.acknowledged_bytes().unwrap();
    let sent = vec![7; usize::try_from(BYTES).unwrap()];
    let receiving = spawn(async move {
        let mut received = 0;
        while received < BYTES {
            received += receive(&client).await.len() as u64;
        }
        client
    });
    send(&server, &sent).await;
    let _client = receiving.await.unwrap();
    eventually("acknowledged", || server.acknowledged_bytes() == Some(before + BYTES)).await;
}

async fn a_receive_of_at_most_so_many_bytes_leaves_the_rest() {
    let (client, server) = pair().await;
    send(&client, b"hello").await;
    let (received, buf) = server.recv_at_most(Buf::take(), 2).await;
    assert_eq!((received.unwrap(), &*buf), (2, &b"he"[..]));
    assert_eq!(receive(&server).await, b"llo");
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

async fn a_kill_that_resets_completes_whatever_is_pending_and_is_no_end_of_stream() {
    let (client, server) = narrow_pair().await;
    let (sender, receiver, waiter) = (server.clone(), server.clone(), server.clone());
    let sending = spawn(async move { sender.send_all(buf(&[7; 8 * 1024 * 1024])).await.0 });
    let receiving = spawn(async move { receiver.recv(Buf::take()).await.0 });
    let waiting = spawn(async move { waiter.readable().await });
    settle().await;
    assert!(!sending.is_finished() && !receiving.is_finished() && !waiting.is_finished());
    server.reset_on_kill(true);
    server.kill(Reason::Draining);
    assert!(sending.await.unwrap().is_err());
    assert!(!matches!(receiving.await.unwrap(), Ok(1..)), "there was nothing to receive");
    // Ready, or the reset itself: either way it does not wait any longer.
    let _ = waiting.await.unwrap();
    ended(&server).await;
    let ended = loop {
        match client.recv(Buf::take()).await.0 {
            Ok(1..) => {}
            other => break other,
        }
    };
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (client, server) = pair().await;
    server.reset_on_kill(true);
    server.reset_on_kill(false);
    server.kill(Reason::Draining);
    assert_eq!(client.recv(Buf::take()).await.0.unwrap(), 0, "closed as it should be");
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

/// Goal: a client that pipelines faster than it is served has no more than its share of the shard.
async fn who_always_has_more_to_say_does_not_keep_others_waiting() {
    const ROUNDS: usize = 100;
    const ROOM_BYTES: usize = 64;
    let ((loud_client, loud), (quiet_client, quiet)) = (pair().await, pair().await);
    let rounds = Rc::new(Cell::new(0));
    let seen = Rc::clone(&rounds);
    let heard = spawn(async move {
        assert_eq!(receive(&quiet).await, b"x");
        seen.get()
    });
    send(&loud_client, &[7; ROUNDS * ROOM_BYTES]).await;
    loud.readable().await.unwrap();
    settle().await;
    send(&quiet_client, b"x").await;
    let filler = [0; limits::BUFFER_BYTES - ROOM_BYTES];
    let mut room = Buf::take();
    for _ in 0..ROUNDS {
        room.clear();
        room.extend_from_slice(&filler);
        let (received, lent) = loud.recv(room).await;
        assert_eq!(received.unwrap(), ROOM_BYTES);
        room = lent;
        rounds.set(rounds.get() + 1);
    }
    let waited = heard.await.unwrap();
    assert!(waited < 10, "{waited} rounds");
}
