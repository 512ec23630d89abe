//! A client's connection: what its handshake and the serving of its requests share.
use super::front::Front;
use super::judge::Shown;
use super::{Place, Shard};
use crate::net::Sock;
use crate::trust::Refusal;
use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the stages of a connection share.
#[derive(Debug)]
pub struct Connection {
    /// Its shard.
    pub shard: Rc<Shard>,
    /// Its listener.
    pub front: Rc<Front>,
    /// Where it is registered.
    pub place: Place,
    /// The client.
    pub client: SocketAddr,
    /// The address of this node that the client came to.
    pub address: IpAddr,
    /// When it was accepted.
    pub accepted: Instant,
    /// How long its client may keep it.
    keep_alive: Duration,
    trace_id: OnceCell<[u8; 16]>,
}

/// What a client is to the requests of its connection.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The generation that judged it; of no meaning without TLS.
    pub generation: u64,
    /// Identity header lines.
    pub identity: Vec<u8>,
    /// OpenSSL spelling of protocol and cipher; none without TLS.
    pub tls_names: Option<(&'static str, &'static str)>,
    /// The server name that it gave in its handshake.
    pub server_name: Option<String>,
    /// The certificate that was chosen for it.
    pub shown: Option<Shown>,
    /// Whether its session was resumed, so that it did not get to see that.
    pub resumed: bool,
    /// Why every request gets 403 (`refusal: http`).
    pub refused: Option<Refusal>,
}

impl Connection {
    /// One that has just been accepted.
    pub(super) fn new(
        shard: Rc<Shard>,
        front: Rc<Front>,
        place: Place,
        socket: &Sock,
        client: SocketAddr,
    ) -> Self {
        let address = address_of(socket);
        let keep_alive = front.rules().listener.client_keep_alive;
        let (accepted, trace_id) = (Instant::now(), OnceCell::new());
        Self { shard, front, place, client, address, accepted, keep_alive, trace_id }
    }

    /// Whether the request in work is to be its last one for its age. That counts from when it was accepted,
    /// by the attribute of that time (`alb-contract.md`, section 5.1).
    pub(super) fn is_old(&self) -> bool {
        self.accepted.elapsed() >= self.keep_alive
    }

    /// What joins the lines of its requests to its own.
    pub(super) fn trace_id(&self) -> [u8; 16] {
        *self.trace_id.get_or_init(new_trace_id)
    }
}

/// The address of this node that the client came to.
pub(super) fn address_of(socket: &Sock) -> IpAddr {
    socket.local().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

/// An id for the lines of a connection and its requests.
pub(super) fn new_trace_id() -> [u8; 16] {
    let mut trace_id = [0; 16];
    // Without randomness a line is still worth having; its id is then all zeros.
    let _ = aws_lc_rs::rand::fill(&mut trace_id);
    trace_id
}
