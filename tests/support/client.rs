//! A client on a raw socket, with or without TLS: it sends exactly these bytes and reads answers.
use super::pki::{Issued, pki};
use super::target::{find, values};
use super::wait::PATIENCE;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A byte stream to the node.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// The client.
pub struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers with the empty line, verbatim.
    pub head: String,
    /// The content, without framing.
    pub body: Vec<u8>,
    /// Lines behind chunks, verbatim, without the empty one.
    pub trailers: String,
}

impl Answer {
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// On a connection that stands already.
    pub fn on(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    pub fn plain(address: SocketAddr) -> Self {
        Self::on(connect(address))
    }

    /// Over TLS, without a word yet: the handshake runs with the first bytes sent.
    pub fn tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        Self::on(handshake(address, name, config))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the node takes what the client sends");
    }

    /// For bytes that the node may refuse to read.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.answer()
    }

    /// `GET path`, kept alive.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    pub fn answer(&mut self) -> Answer {
        self.try_answer("GET").expect("the node answers")
    }

    /// The answer to a HEAD request, which has no body whatever its head says.
    pub fn answer_to_head(&mut self) -> Answer {
        self.try_answer("HEAD").expect("the node answers")
    }

    pub fn try_answer(&mut self, method: &str) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::other(head.clone()))?;
        let (body, trailers) = if method == "HEAD" || status < 200 || status == 204 || status == 304
        {
            Default::default()
        } else {
            self.body(&head)?
        };
        Ok(Answer { status, head, body, trailers })
    }

    /// What comes until the node closes; an unclean end is an end too, and waiting in vain is none.
    pub fn until_closed(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(true) => {}
                Err(error) if is_late(&error) => panic!("the node does not close: {error}"),
                Ok(false) | Err(_) => return std::mem::take(&mut self.buffer),
            }
        }
    }

    /// Content and trailers.
    fn body(&mut self, head: &str) -> io::Result<(Vec<u8>, String)> {
        if !values(head, "transfer-encoding").is_empty() {
            return self.chunks();
        }
        let content = match values(head, "content-length").first() {
            Some(length) => self.exactly(length.parse().map_err(io::Error::other)?)?,
            None => {
                while self.more()? {}
                std::mem::take(&mut self.buffer)
            }
        };
        Ok((content, String::new()))
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, String)> {
        let mut content = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if size == 0 {
                let mut trailers = String::new();
                loop {
                    match self.line()?.as_str() {
                        "\r\n" => return Ok((content, trailers)),
                        line => trailers.push_str(line),
                    }
                }
            }
            let mut chunk = self.exactly(size + 2)?;
            assert_eq!(&chunk[size..], b"\r\n", "a chunk ends with CRLF");
            chunk.truncate(size);
            content.append(&mut chunk);
        }
    }

    /// A line with its end.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                return Ok(String::from_utf8_lossy(&self.exactly(at + 2)?).into_owned());
            }
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next so many bytes, whatever they are.
    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads some more; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        let mut room = [0; 64 * 1024];
        let count = self.stream.read(&mut room)?;
        self.buffer.extend_from_slice(&room[..count]);
        Ok(count > 0)
    }
}

/// A TCP connection whose reads and writes fail rather than hang.
pub fn connect(address: SocketAddr) -> TcpStream {
    try_connect(address).expect("the node listens")
}

/// The same where maybe nobody listens.
pub fn try_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether a read or write has waited for all of [`PATIENCE`].
pub fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A TLS connection; the handshake runs with its first read or write.
pub fn handshake(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    tls_over(connect(address), name, config)
}

/// The same over a connection that stands already.
pub fn tls_over(
    stream: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from(name.to_owned()).expect("the name is a server name");
    let connection = ClientConnection::new(config.clone(), name).expect("the client is configured");
    StreamOwned::new(connection, stream)
}

/// A rustls client that trusts the tests' root and offers resumption. It shows the certificate of
/// this name in the PKI, or none.
pub fn tls_config(identity: Option<&str>) -> Arc<ClientConfig> {
    Arc::new(tls_config_for(identity, "root.crt", &[&TLS13, &TLS12]))
}

/// The same with a certificate that is not in the PKI's files.
pub fn tls_config_with(issued: &Issued) -> Arc<ClientConfig> {
    Arc::new(tls_config_of(issued, &[&TLS13, &TLS12]))
}

pub fn tls_config_of(
    issued: &Issued,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let identity = Some((issued.certificate.clone(), issued.key.clone()));
    config_of(identity, "root.crt", versions)
}

pub fn tls_config_for(
    identity: Option<&str>,
    root: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let file = |name: &str, kind: &str| pki().read(&format!("{name}.{kind}"));
    config_of(identity.map(|name| (file(name, "crt"), file(name, "key"))), root, versions)
}

/// A configuration with a chain and its key, PEM.
fn config_of(
    identity: Option<(String, String)>,
    root: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for root in certificates(&pki().read(root)) {
        roots.add(root).expect("the root is a certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the versions are supported")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(
                certificates(&chain),
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("the key is a key"),
            )
            .expect("certificate and key belong together"),
    };
    config.resumption = Resumption::in_memory_sessions(64);
    config
}

/// What a client remembers of its sessions; it offers them to whoever it meets, whatever its name.
#[derive(Debug)]
pub struct Sessions(ClientSessionMemoryCache);

impl Sessions {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(ClientSessionMemoryCache::new(8)))
    }

    fn anyone() -> ServerName<'static> {
        ServerName::try_from("anyone").expect("it is a name")
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::anyone(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::anyone())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::anyone());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::anyone(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::anyone())
    }
}

/// The certificates of a PEM text.
pub fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .expect("the text is PEM")
}
