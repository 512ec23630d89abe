//! Accepting on a listener, and the way of each connection from its first byte to its last.
//!
//! An accept error never ends a listener: it is counted, and where the node is out of files or memory
//! accepting pauses for `ACCEPT_PAUSE`. A full shard takes connections and closes them at once, so that
//! they do not pile up in the kernel.
use super::attempt;
use super::connection::Connection;
use super::front::Front;
use super::http1::{self, Session};
use super::{Place, Shard, http2};
use crate::net::{self, Sock};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Accepts until the listener is retired; then takes what still waits, so that nobody who has connected
/// is reset, and closes the socket.
pub(super) async fn run(shard: Rc<Shard>, front: Rc<Front>) {
    let Some(listener) = front.listener() else { return };
    while !front.is_retired() {
        match listener.accept().await {
            Ok((socket, client)) => admit(&shard, &front, socket, client),
            Err(_) if front.is_retired() => {}
            Err(error) => {
                shard.counters.accept_errors.add(1);
                if is_exhaustion(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    while let Ok(Some((socket, client))) = listener.accept_waiting() {
        admit(&shard, &front, socket, client);
    }
    drop(listener);
    front.has_stopped();
}

/// Starts a connection, or sheds it.
fn admit(shard: &Rc<Shard>, front: &Rc<Front>, socket: Sock, client: SocketAddr) {
    front.counters.accepted.add(1);
    match shard.admit(&socket, front, client) {
        Ok(place) => {
            let (shard, front) = (Rc::clone(shard), Rc::clone(front));
            drop(net::spawn(serve(shard, front, place, socket, client)));
        }
        Err(reason) => {
            shard.counters.shed.add(1);
            front.counters.closed[reason.index()].add(1);
            attempt::log_shed(shard, front, &socket, client, reason);
        }
    }
}

/// Serves a connection to its end.
async fn serve(shard: Rc<Shard>, front: Rc<Front>, place: Place, socket: Sock, client: SocketAddr) {
    let connection = Connection::new(shard, front, place, &socket, client);
    // A task has room for the largest of its stages; the handshake's is given back when it ends.
    let begun = Box::pin(connection.begin(socket)).await;
    let Some((wire, client)) = begun else { return };
    let front = Rc::clone(&connection.front);
    let reason = match wire.is_http2() {
        true => Box::pin(http2::serve(connection, wire, client)).await,
        false => http1::serve(&mut Session::new(&connection, &wire, client)).await,
    };
    if let Some(reason) = reason {
        front.counters.closed[reason.index()].add(1);
    }
}

/// Whether the kernel had no files or memory; anything else concerned that one connection.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// How long accepting pauses after the kernel had no files or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: connections that idle stay cheap. Method: the size of the task that each of them keeps.
    #[test]
    fn the_task_of_a_connection_takes_less_than_two_kib() {
        fn bytes<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
            size_of::<F>()
        }
        assert!(bytes(serve) < 2 * 1024, "{} bytes", bytes(serve));
    }
}
