//! Connecting: success, refusal, time.
use super::*;
use std::io::ErrorKind;

on_both_engines! {
    connecting_reaches_both_families
    connecting_where_nobody_listens_is_refused
    connecting_to_a_full_queue_times_out_and_leaves_nothing
    a_connect_that_nobody_awaits_any_more_is_cancelled
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
pub(super) async fn full_listener() -> (socket2::Socket, SocketAddr, Vec<Sock>) {
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
