//! A target on a raw socket: it keeps what it received byte for byte and answers from a script.
use super::wait;
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A request as a target received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which connection of the target it came on, counted from 0.
    pub connection: usize,
    /// Which request of that connection it is, counted from 0.
    pub index: usize,
    /// Request line and headers with the empty line, verbatim.
    pub head: String,
    /// The body as it was framed, chunk sizes and all.
    pub body: Vec<u8>,
}

impl Received {
    pub fn request_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Header lines in order, verbatim.
    pub fn headers(&self) -> Vec<&str> {
        self.head.lines().skip(1).take_while(|line| !line.is_empty()).collect()
    }

    /// Every value of a header.
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.head, name)
    }

    /// The one value of a header that must be there once.
    pub fn value(&self, name: &str) -> &str {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "{name} in\n{}", self.head);
        values[0]
    }
}

/// Every value of a header in a head.
pub fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

/// What a target does with a request; an error closes its connection.
type Script = dyn Fn(&Received, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// The target.
#[derive(Debug)]
pub struct Target {
    pub address: SocketAddr,
    received: Receiver<Received>,
    stopped: Arc<AtomicBool>,
}

/// An answer with a body and its length.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The error that makes a script close its connection.
pub fn close<T>() -> io::Result<T> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

impl Target {
    /// Answers each request with these bytes.
    pub fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::with(move |_, stream| stream.write_all(answer.as_bytes()))
    }

    /// Answers each request with a body that names the target.
    pub fn named(name: &str) -> Self {
        Self::answering(ok(name))
    }

    pub fn with(
        script: impl Fn(&Received, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into(), script)
    }

    /// Answers `/slow` in two halves, the second once it is told to, and all else at once.
    pub fn slow() -> (Self, Arc<AtomicBool>) {
        let go = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&go);
        let target = Self::with(move |received, stream| {
            if !received.request_line().contains("/slow") {
                return stream.write_all(ok("hello").as_bytes());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
            wait::within(10 * wait::PATIENCE, "the word to go on", || {
                told.load(Ordering::Relaxed).then_some(())
            });
            stream.write_all(b"other")
        });
        (target, go)
    }

    pub fn on(
        address: IpAddr,
        script: impl Fn(&Received, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("loopback has a free port");
        Self::listening(listener, script)
    }

    /// Takes over a socket that is bound already, for a target that comes up late.
    pub fn listening(
        listener: TcpListener,
        script: impl Fn(&Received, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let stopped = Arc::new(AtomicBool::new(false));
        let (sender, received) = channel();
        let (script, stop): (Arc<Script>, _) = (Arc::new(script), stopped.clone());
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (script, sender) = (script.clone(), sender.clone());
                let Ok(stream) = stream else { continue };
                thread::spawn(move || serve(connection, stream, &*script, &sender));
            }
        });
        Self { address, received, stopped }
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
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// A target that takes a head byte by byte, and hands the socket to a script before it has read more.
pub fn on_head(
    script: impl Fn(String, TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let script = Arc::new(script);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            thread::spawn(move || {
                let head = read_head(&mut stream)?;
                script(head, stream)
            });
        }
    });
    address
}

/// A head, read byte by byte.
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// `{id: ..., port: ...}`, as a target group lists an address.
pub fn entry(address: SocketAddr) -> String {
    format!("{{id: \"{}\", port: {}}}", address.ip(), address.port())
}

/// An address on which nobody listens, and nobody else comes to: its port is taken for as long as this is kept.
#[derive(Debug)]
pub struct Nobody {
    pub address: SocketAddr,
    socket: Socket,
}

pub fn nobody() -> Nobody {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("there is a port");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("it has a port");
    Nobody { address, socket }
}

impl Nobody {
    /// `{id: ..., port: ...}`, as a target group lists it.
    pub fn entry(&self) -> String {
        entry(self.address)
    }

    /// Somebody comes.
    pub fn listen(self) -> TcpListener {
        self.socket.listen(128).expect("nobody else has the port");
        self.socket.into()
    }
}

/// An address whose queue is full, so that the kernel answers nobody who asks to connect; for as long as what comes
/// with it is kept.
pub fn silent_to_connect() -> (SocketAddr, Vec<Socket>) {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    let listener = socket();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("there is a port");
    listener.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it is bound").as_socket().expect("it has a port");
    let mut kept = vec![listener];
    for _ in 0..3 {
        let client = socket();
        client.set_nonblocking(true).expect("it is a socket");
        // In progress, or not answered at all: either way the queue is full afterwards.
        let _ = client.connect(&address.into());
        kept.push(client);
    }
    (address, kept)
}

/// Connections to an IPv4 address of this machine that wait for its answer. Source: proc(5), /proc/net/tcp.
pub fn connecting_to(address: SocketAddr) -> usize {
    const SYN_SENT: &str = "02";
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is IPv6") };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("there is a table");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2] == remote && row[3] == SYN_SENT).count()
}

fn serve(connection: usize, mut stream: TcpStream, script: &Script, sender: &Sender<Received>) {
    let mut buffer = Vec::new();
    for index in 0.. {
        let Ok(Some((head, body))) = read_request(&mut stream, &mut buffer) else { return };
        let received = Received { connection, index, head, body };
        // Told first: the client may have its answer before this thread runs again.
        let _ = sender.send(received.clone());
        if script(&received, &mut stream).is_err() {
            return;
        }
    }
}

/// Reads one request, verbatim; `None` when the connection ends between two.
fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<(String, Vec<u8>)>> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if !more(stream, buffer)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let length = values(&head, "content-length").first().and_then(|value| value.parse().ok());
    let body_end = if !values(&head, "transfer-encoding").is_empty() {
        loop {
            match chunks_end(buffer) {
                Some(end) => break end,
                None if more(stream, buffer)? => {}
                None => return close(),
            }
        }
    } else {
        let length: usize = length.unwrap_or(0);
        while buffer.len() < length {
            if !more(stream, buffer)? {
                return close();
            }
        }
        length
    };
    Ok(Some((head, buffer.drain(..body_end).collect())))
}

/// Where a chunked body ends, trailers and all, if it is whole.
fn chunks_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = at + find(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..line]).ok()?;
        match usize::from_str_radix(size, 16).ok()? {
            0 => return Some(line + find(&bytes[line..], b"\r\n\r\n")? + 4),
            size => at = line + 2 + size + 2,
        }
    }
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut room = [0; 16 * 1024];
    let count = stream.read(&mut room)?;
    buffer.extend_from_slice(&room[..count]);
    Ok(count > 0)
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
