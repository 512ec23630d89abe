//! A target that speaks HTTP/2 with prior knowledge: the `h2` crate's server, and a script for each stream.
use super::http2::{self, flag, frame, kind};
use super::target::entry;
use super::wait;
use bytes::Bytes;
use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request as a target received it.
#[derive(Debug)]
pub struct Received {
    /// Which connection of the target it came on, counted from 0.
    pub connection: usize,
    pub head: Request<()>,
}

impl Received {
    /// The one value of a field that must be there once.
    pub fn value(&self, name: &str) -> &str {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "{name} in {:?}", self.head);
        values[0]
    }

    pub fn values(&self, name: &str) -> Vec<&str> {
        let values = self.head.headers().get_all(name).into_iter();
        values.map(|value| value.to_str().expect("values are text")).collect()
    }
}

/// A stream that waits for its answer.
pub struct Call {
    pub head: Request<()>,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    orders: UnboundedSender<Order>,
}

/// What a script may do to its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// GOAWAY in two steps.
    GoAway,
    /// Nothing is read or written any more; the socket stays.
    Freeze,
    /// The socket is closed.
    Close,
}

impl Call {
    pub fn order(&self, order: Order) {
        // A connection that is gone has nothing to do.
        let _ = self.orders.send(order);
    }

    pub fn path(&self) -> &str {
        self.head.uri().path()
    }

    /// Reads the next content that is not empty; none at its end, or once the stream was reset.
    pub async fn content(&mut self) -> Option<Bytes> {
        loop {
            let content = self.body.data().await?.ok()?;
            let _ = self.body.flow_control().release_capacity(content.len());
            if !content.is_empty() {
                return Some(content);
            }
        }
    }

    /// Reads all content, and the trailers behind it.
    pub async fn all(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut all = Vec::new();
        while let Some(content) = self.content().await {
            all.extend_from_slice(&content);
        }
        (all, self.body.trailers().await.ok().flatten())
    }

    /// Answers with this status and content, without a length.
    pub async fn answer(mut self, status: u16, content: impl Into<Bytes>) {
        let mut answer = self.begin(response(status));
        answer.send(content.into()).await;
        answer.end();
    }

    /// Sends a head; content follows.
    pub fn begin(&mut self, head: Response<()>) -> Answering {
        Answering(self.respond.send_response(head, false).expect("the stream is open"))
    }

    /// Waits until the node resets the stream.
    pub async fn reset(&mut self) -> Option<Reason> {
        poll_fn(|context| self.respond.poll_reset(context)).await.ok()
    }
}

/// An answer whose head has been sent.
pub struct Answering(pub h2::SendStream<Bytes>);

impl Answering {
    /// Sends content as the windows have room; false once the stream is gone.
    pub async fn send(&mut self, mut content: Bytes) -> bool {
        while !content.is_empty() {
            self.0.reserve_capacity(content.len());
            let Some(Ok(room)) = poll_fn(|context| match self.0.capacity() {
                0 => self.0.poll_capacity(context),
                room => Poll::Ready(Some(Ok(room))),
            })
            .await
            else {
                return false;
            };
            let part = content.split_to(room.min(content.len()));
            if self.0.send_data(part, false).is_err() {
                return false;
            }
        }
        true
    }

    pub fn end(mut self) {
        let _ = self.0.send_data(Bytes::new(), true);
    }

    pub fn end_with(mut self, trailers: HeaderMap) {
        let _ = self.0.send_trailers(trailers);
    }

    /// Waits until the node resets the stream.
    pub async fn reset(&mut self) -> Option<Reason> {
        poll_fn(|context| self.0.poll_reset(context)).await.ok()
    }
}

/// A head with this status.
pub fn response(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).expect("the status is one")
}

/// Fields by their names.
pub fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        let name = http::HeaderName::from_static(name);
        (name, http::HeaderValue::from_static(value))
    };
    fields.iter().map(field).collect()
}

type Answered = Pin<Box<dyn Future<Output = ()>>>;

/// The target.
#[derive(Debug)]
pub struct Http2Target {
    pub address: SocketAddr,
    received: Receiver<Received>,
    ended: Receiver<(usize, Option<h2::Error>)>,
    stop: UnboundedSender<()>,
}

impl Http2Target {
    /// Answers each request with a body that names the target.
    pub fn named(name: &'static str) -> Self {
        Self::with(move |call| call.answer(200, name))
    }

    /// Answers each stream by a script.
    pub fn with<F: Future<Output = ()> + 'static>(
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::with_settings(|_| {}, script)
    }

    /// The same with settings of its own.
    pub fn with_settings<F: Future<Output = ()> + 'static>(
        adjust: impl FnOnce(&mut server::Builder) + Send + 'static,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (sender, received) = channel();
        let (ends, ended) = channel();
        let (stop, stopped) = unbounded_channel();
        let mut settings = server::Builder::new();
        settings.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
        adjust(&mut settings);
        thread::spawn(move || {
            let script = Rc::new(move |call| Box::pin(script(call)) as Answered);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let tasks = tokio::task::LocalSet::new();
            let accepting = accept(listener, settings, script, sender, ends, stopped);
            tasks.block_on(&runtime.expect("a runtime can be made"), accepting);
        });
        Self { address, received, ended, stop }
    }

    /// `{id: ..., port: ...}`, as a target group lists it.
    pub fn entry(&self) -> String {
        entry(self.address)
    }

    /// The next request, when it has come.
    pub fn received(&self) -> Received {
        self.received.recv_timeout(wait::PATIENCE).expect("the target was promised a request")
    }

    /// Everything received so far and not looked at yet.
    pub fn so_far(&self) -> Vec<Received> {
        self.received.try_iter().collect()
    }

    /// The next connection that ends: which, and why where it was not as agreed.
    pub fn ended(&self) -> (usize, Option<h2::Error>) {
        self.ended.recv_timeout(wait::PATIENCE).expect("a connection was promised to end")
    }
}

impl Drop for Http2Target {
    fn drop(&mut self) {
        let _ = self.stop.send(());
    }
}

/// A target of raw frames: it agrees on HTTP/2, and hands the streams that begin to a script: which connection,
/// which stream, and the socket to answer on.
pub fn raw(
    on_head: impl Fn(usize, u32, &mut std::net::TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    raw_with(&[], on_head)
}

/// The same with settings of its own.
pub fn raw_with(
    settings: &'static [(u16, u32)],
    on_head: impl Fn(usize, u32, &mut std::net::TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let on_head = std::sync::Arc::new(on_head);
    thread::spawn(move || {
        for (connection, stream) in listener.incoming().enumerate() {
            let (Ok(mut stream), on_head) = (stream, on_head.clone()) else { continue };
            thread::spawn(move || serve_raw(connection, settings, &mut stream, &*on_head));
        }
    });
    address
}

fn serve_raw(
    connection: usize,
    settings: &[(u16, u32)],
    stream: &mut std::net::TcpStream,
    on_head: &dyn Fn(usize, u32, &mut std::net::TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    let mut preface = [0; http2::PREFACE.len()];
    stream.read_exact(&mut preface)?;
    assert_eq!(preface, http2::PREFACE);
    stream.write_all(&http2::settings(settings))?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload)?;
        let id = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        match (header[3], header[4]) {
            (kind::SETTINGS, 0) => stream.write_all(&frame(kind::SETTINGS, flag::ACK, 0, b""))?,
            (kind::HEADERS, _) => on_head(connection, id, stream)?,
            _ => {}
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    settings: server::Builder,
    script: Rc<impl Fn(Call) -> Answered + 'static>,
    sender: Sender<Received>,
    ends: Sender<(usize, Option<h2::Error>)>,
    mut stopped: UnboundedReceiver<()>,
) {
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    let listener = TcpListener::from_std(listener).expect("the runtime takes sockets");
    for connection in 0.. {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection comes").0,
            _ = stopped.recv() => return,
        };
        let (settings, script) = (settings.clone(), Rc::clone(&script));
        let (sender, ends) = (sender.clone(), ends.clone());
        tokio::task::spawn_local(async move {
            let ended = match settings.handshake(stream).await {
                Ok(h2) => serve(connection, h2, script, sender).await,
                Err(error) => Some(error),
            };
            let _ = ends.send((connection, ended));
        });
    }
}

async fn serve(
    connection: usize,
    mut h2: Connection<TcpStream, Bytes>,
    script: Rc<impl Fn(Call) -> Answered + 'static>,
    sender: Sender<Received>,
) -> Option<h2::Error> {
    let (orders, mut ordered) = unbounded_channel();
    loop {
        let accepted = tokio::select! {
            biased;
            order = ordered.recv() => match order {
                Some(Order::GoAway) => {
                    h2.graceful_shutdown();
                    continue;
                }
                Some(Order::Freeze) => std::future::pending().await,
                Some(Order::Close) | None => return None,
            },
            accepted = h2.accept() => accepted,
        };
        let (request, respond) = match accepted {
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => return Some(error),
            None => return None,
        };
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        // Told first: the client may have its answer before this thread runs again.
        let _ = sender.send(Received { connection, head: head.clone() });
        let orders = orders.clone();
        tokio::task::spawn_local(script(Call { head, body, respond, orders }));
    }
}
