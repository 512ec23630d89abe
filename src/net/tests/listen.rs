//! Accepting, and the end of a listener.
use super::*;
use std::io::Write;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::mpsc;

on_both_engines! {
    a_stopped_listener_hands_all_new_connections_to_the_next
    a_connection_that_came_before_the_stop_is_accepted_and_the_listener_closes_at_once
    a_listener_dropped_while_it_accepts_leaves_its_group
    a_deferred_connection_is_accepted_once_it_speaks
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
    assert!(accepting.await.unwrap().is_err(), "a pending accept ends");
    assert!(old.accept().await.is_err(), "a later one does not begin");
    drop(old);
    let (new, _) = listen(address, &options());
    twenty_connections_reach(&new, address).await;
}

/// Goal: nothing but the listener holds its socket once the last accept has answered. Method: one
/// completion, of a byte that arrived first, stops the listener; the next one is a connection.
async fn a_connection_that_came_before_the_stop_is_accepted_and_the_listener_closes_at_once() {
    let bound = bind(loopback(0), &[0], &options()).unwrap();
    let address = bound.address;
    let inodes: HashSet<u64> = bound.sockets.iter().map(inode).collect();
    let listener = Rc::new(Listener::new(bound.sockets.into_iter().next().unwrap()).unwrap());
    let (client, server) = pair().await;

    let stopping = Rc::clone(&listener);
    let stopping = spawn(async move {
        server.readable().await.unwrap();
        stopping.stop();
    });
    let accepted = spawn(async move {
        let accepted = listener.accept().await;
        drop(listener);
        (accepted, open_inodes().is_disjoint(&inodes))
    });
    settle().await;
    send(&client, b"x").await;
    let late = TcpStream::connect(address).unwrap();
    stopping.await.unwrap();
    let (accepted, is_closed) = accepted.await.unwrap();
    assert_eq!(accepted.unwrap().1, late.local_addr().unwrap());
    assert!(is_closed);
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
