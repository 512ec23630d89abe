//! An HTTP/2 client over TLS that can send anything: it writes frames byte for byte and keeps what comes.
//!
//! Well-behaved unless told otherwise: it acknowledges SETTINGS and PING, and opens its windows again for
//! what it has read. Source: RFC 9113.
use super::client::{handshake, tls_config_for};
use super::hpack::{self, Decoder, Field};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Types of frames (section 6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

/// Settings (section 6.5.2).
pub mod setting {
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// Error codes (section 7).
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// What begins a connection (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The window of a stream and of a connection until somebody says otherwise.
const WINDOW: i64 = 65_535;
/// The largest frame that may be sent unasked.
pub const FRAME_BYTES_MAX: usize = 16_384;

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A SETTINGS frame.
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (setting, value) in settings {
        payload.extend_from_slice(&setting.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(kind::SETTINGS, 0, 0, payload)
}

pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, code.to_be_bytes())
}

/// HEADERS of a request in one frame; `flags` beside END_HEADERS.
pub fn request(stream: u32, flags: u8, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "https"),
        (":path", path),
        (":authority", "localhost"),
    ];
    fields.extend_from_slice(more);
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, hpack::encode(&fields))
}

/// HEADERS and, where they are too long for one, CONTINUATION; `flags` beside END_HEADERS.
pub fn head<N: AsRef<[u8]>, V: AsRef<[u8]>>(stream: u32, flags: u8, fields: &[(N, V)]) -> Vec<u8> {
    let block = hpack::encode(fields);
    let parts: Vec<&[u8]> = block.chunks(FRAME_BYTES_MAX).collect();
    let last = parts.len() - 1;
    let frames = parts.iter().enumerate().flat_map(|(index, part)| {
        let (kind, flags) =
            if index == 0 { (kind::HEADERS, flags) } else { (kind::CONTINUATION, 0) };
        let ends = if index == last { flag::END_HEADERS } else { 0 };
        frame(kind, flags | ends, stream, part)
    });
    frames.collect()
}

/// A frame that has come.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes are four bytes"))
    }
}

/// What came on a stream.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Statuses and fields of interim answers.
    pub interim: Vec<(u16, Vec<Field>)>,
    /// 0 before the head has come.
    pub status: u16,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    /// It has come to its own end (END_STREAM).
    pub whole: bool,
    /// The code of RST_STREAM.
    pub reset: Option<u32>,
}

impl Answer {
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| std::str::from_utf8(value).expect("values are text")).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether nothing more comes.
    pub fn ended(&self) -> bool {
        self.whole || self.reset.is_some()
    }
}

/// A GOAWAY.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GoAway {
    pub last: u32,
    pub code: u32,
}

/// How the node ended the connection.
#[derive(Clone, Debug)]
pub struct Ending {
    pub goaways: Vec<GoAway>,
    /// With TLS's goodbye.
    pub clean: bool,
}

impl Ending {
    /// The code of the last GOAWAY; none where the connection was reset without one.
    pub fn code(&self) -> Option<u32> {
        self.goaways.last().map(|goaway| goaway.code)
    }
}

/// The client.
pub struct Http2 {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
    /// Bytes of `received` that have been read.
    read: usize,
    decoder: Decoder,
    /// A header block that goes on: its stream, the flags of its first frame, what has come.
    block: Option<(u32, u8, Vec<u8>)>,
    next_id: u32,
    pub answers: BTreeMap<u32, Answer>,
    pub goaways: Vec<GoAway>,
    /// What the node has announced.
    pub announced: BTreeMap<u16, u32>,
    /// Payloads of acknowledged PINGs.
    pub pongs: Vec<Vec<u8>>,
    /// Bytes that may be sent on the connection, and more or less on a stream than at first.
    window: i64,
    windows: BTreeMap<u32, i64>,
    /// Whether SETTINGS and PING are acknowledged.
    pub acknowledges: bool,
    /// Whether windows are opened again for what was read.
    pub opens_windows: bool,
}

/// A client's TLS that offers HTTP/2; it shows the certificate of this name in the PKI, or none.
pub fn config(identity: Option<&str>) -> Arc<ClientConfig> {
    let mut config = tls_config_for(identity, "root.crt", &[&TLS13, &TLS12]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

impl Http2 {
    /// A connection as usual.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::with(address, "localhost", config, &[])
    }

    /// With settings of its own, and a server name.
    pub fn with(
        address: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
        own: &[(u16, u32)],
    ) -> Self {
        let mut client = Self::silent(address, name, config);
        client.send([PREFACE, &settings(own)].concat());
        client
    }

    /// One that has not said a word of HTTP/2 yet.
    pub fn silent(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        let mut stream = handshake(address, name, config);
        stream.conn.complete_io(&mut stream.sock).expect("the handshake succeeds");
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]), "the node agrees on HTTP/2");
        Self {
            stream,
            received: Vec::new(),
            read: 0,
            decoder: Decoder::default(),
            block: None,
            next_id: 1,
            answers: BTreeMap::new(),
            goaways: Vec::new(),
            announced: BTreeMap::new(),
            pongs: Vec::new(),
            window: WINDOW,
            windows: BTreeMap::new(),
            acknowledges: true,
            opens_windows: true,
        }
    }

    // Sending.

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the node takes what the client sends");
    }

    /// For what the node may refuse to read.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// The id of the next stream.
    pub fn next_id(&mut self) -> u32 {
        self.next_id += 2;
        self.next_id - 2
    }

    /// Begins a request; `flags` are [`flag::END_STREAM`] where no content follows, or 0.
    pub fn request(&mut self, flags: u8, method: &str, path: &str, more: &[(&str, &str)]) -> u32 {
        let id = self.next_id();
        self.send(request(id, flags, method, path, more));
        id
    }

    /// How much of a stream's content may be sent now.
    pub fn room(&self, id: u32) -> usize {
        let initial = self.announced.get(&setting::INITIAL_WINDOW_SIZE);
        let initial = initial.map_or(WINDOW, |&bytes| i64::from(bytes));
        let more = self.windows.get(&id).copied().unwrap_or(0);
        usize::try_from(self.window.min(initial + more)).unwrap_or(0)
    }

    /// Sends content as the node's windows have room.
    pub fn upload(&mut self, id: u32, mut content: &[u8], ends: bool) {
        while !content.is_empty() {
            let room = self.room(id).min(FRAME_BYTES_MAX);
            let (part, rest) = content.split_at(content.len().min(room));
            if part.is_empty() {
                self.step().expect("the node goes on");
                continue;
            }
            self.window -= part.len() as i64;
            *self.windows.entry(id).or_default() -= part.len() as i64;
            content = rest;
            let last = ends && content.is_empty();
            self.send(frame(kind::DATA, u8::from(last), id, part));
        }
    }

    // Reading.

    /// `GET path`, and its answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    /// A request without content, and its answer.
    pub fn ask(&mut self, method: &str, path: &str, more: &[(&str, &str)]) -> Answer {
        let id = self.request(flag::END_STREAM, method, path, more);
        self.answer(id)
    }

    /// What comes on a stream up to its end.
    pub fn answer(&mut self, id: u32) -> Answer {
        self.until(|client| client.answers.get(&id).is_some_and(Answer::ended));
        self.answers.remove(&id).expect("it has come")
    }

    /// Reads frames until this is so.
    pub fn until(&mut self, mut is_so: impl FnMut(&Self) -> bool) {
        while !is_so(self) {
            let frame = self.step().expect("the node goes on");
            assert!(frame.is_some(), "the node closed: {:?} {:?}", self.goaways, self.answers);
        }
    }

    /// A PING, and its answer: whatever was sent before has been read.
    pub fn ping(&mut self) {
        self.send(frame(kind::PING, 0, 0, b"portcull"));
        let before = self.pongs.len();
        self.until(|client| client.pongs.len() > before);
    }

    /// Reads to the end of the connection.
    pub fn ending(&mut self) -> Ending {
        let clean = loop {
            match self.step() {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(error) if is_end(&error) => break false,
                Err(error) => panic!("the node neither goes on nor closes: {error}"),
            }
        };
        Ending { goaways: self.goaways.clone(), clean }
    }

    /// Takes one frame and does what it asks for; none at the end.
    pub fn step(&mut self) -> io::Result<Option<Frame>> {
        let Some(frame) = self.frame()? else { return Ok(None) };
        match frame.kind {
            kind::HEADERS => self.block = Some((frame.stream, frame.flags, frame.payload.clone())),
            kind::CONTINUATION => {
                let block = self.block.as_mut().expect("a CONTINUATION goes on with something");
                block.2.extend_from_slice(&frame.payload);
            }
            kind::DATA => self.take_content(&frame),
            kind::RST_STREAM => self.on(&frame).reset = Some(frame.number(0)),
            kind::SETTINGS if !frame.has(flag::ACK) => self.take_settings(&frame),
            kind::PING if frame.has(flag::ACK) => self.pongs.push(frame.payload.clone()),
            kind::PING => self.acknowledge(kind::PING, &frame.payload),
            kind::GOAWAY => {
                self.goaways.push(GoAway { last: frame.number(0), code: frame.number(4) });
            }
            kind::WINDOW_UPDATE if frame.stream == 0 => self.window += i64::from(frame.number(0)),
            kind::WINDOW_UPDATE => {
                *self.windows.entry(frame.stream).or_default() += i64::from(frame.number(0));
            }
            _ => {}
        }
        if matches!(frame.kind, kind::HEADERS | kind::CONTINUATION) && frame.has(flag::END_HEADERS)
        {
            self.take_head();
        }
        Ok(Some(frame))
    }

    fn on(&mut self, frame: &Frame) -> &mut Answer {
        self.answers.entry(frame.stream).or_default()
    }

    fn take_head(&mut self) {
        let (stream, flags, block) = self.block.take().expect("a block has begun");
        let fields = self.decoder.decode(&block);
        let answer = self.answers.entry(stream).or_default();
        answer.whole = flags & flag::END_STREAM != 0;
        let status = fields.iter().find(|(name, _)| name == ":status").map(|(_, value)| value);
        let status = status.and_then(|value| std::str::from_utf8(value).ok()?.parse::<u16>().ok());
        match status {
            Some(status @ 100..=199) => answer.interim.push((status, fields)),
            Some(status) => (answer.status, answer.fields) = (status, fields),
            None => answer.trailers = fields,
        }
    }

    fn take_content(&mut self, frame: &Frame) {
        let answer = self.on(frame);
        answer.body.extend_from_slice(&frame.payload);
        answer.whole = frame.has(flag::END_STREAM);
        let (ends, bytes) = (answer.whole, frame.payload.len() as u32);
        if self.opens_windows && bytes > 0 {
            // The node may be gone already; what it said before is still read.
            let _ = self.try_send(window_update(0, bytes));
            if !ends {
                let _ = self.try_send(window_update(frame.stream, bytes));
            }
        }
    }

    fn take_settings(&mut self, frame: &Frame) {
        for setting in frame.payload.chunks_exact(6) {
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            self.announced.insert(u16::from_be_bytes([setting[0], setting[1]]), value);
        }
        self.acknowledge(kind::SETTINGS, b"");
    }

    fn acknowledge(&mut self, kind: u8, payload: &[u8]) {
        if self.acknowledges {
            let _ = self.try_send(frame(kind, flag::ACK, 0, payload));
        }
    }

    /// Reads what has come, also where nothing can be sent any more.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.stream;
        loop {
            match conn.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            conn.read_tls(sock)?;
            conn.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// The next frame; none at a proper end.
    fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let bytes = &self.received[self.read..];
            if let Some((header, rest)) = bytes.split_at_checked(9) {
                let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                if let Some(payload) = rest.get(..length) {
                    let frame = Frame {
                        kind: header[3],
                        flags: header[4],
                        stream: u32::from_be_bytes([header[5], header[6], header[7], header[8]]),
                        payload: payload.to_vec(),
                    };
                    self.read += 9 + length;
                    return Ok(Some(frame));
                }
            }
            self.received.drain(..std::mem::take(&mut self.read));
            let mut room = [0; 64 * 1024];
            match self.read(&mut room)? {
                0 if self.received.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&room[..count]),
            }
        }
    }
}

/// Whether a connection came to an end, though not to a proper one.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}
