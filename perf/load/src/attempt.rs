//! One attempt: connect, handshake, requests, close.
use crate::answer;
use crate::failure::Failure;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection whose last answer is there.
#[derive(Debug)]
pub(crate) struct Answered {
    stream: TlsStream<TcpStream>,
    timeout: Duration,
}

impl Answered {
    /// Says goodbye and waits for the server's, because whoever closes with bytes unread sends a reset. What
    /// goes wrong now is no part of the answer.
    pub(crate) async fn close(mut self) {
        let both = async {
            let _ = self.stream.shutdown().await;
            let _ = answer::to_close(&mut self.stream).await;
        };
        let _ = tokio::time::timeout(self.timeout, both).await;
    }
}

/// What every attempt does.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it connects to.
    pub(crate) address: SocketAddr,
    /// The name that it asks for, and that the server's certificate must have.
    pub(crate) server_name: ServerName<'static>,
    /// The path of its requests.
    pub(crate) path: String,
    /// Requests on the connection, at least one.
    pub(crate) requests: u32,
    /// Time for all of it.
    pub(crate) timeout: Duration,
}

impl Target {
    /// Makes one attempt as this client. In TLS 1.3 a client is judged after it thinks that its handshake
    /// is over, so only an answer says that it was accepted.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub(crate) async fn attempt(&self, client: &Arc<ClientConfig>) -> Result<Answered, Failure> {
        let whole = tokio::time::timeout(self.timeout, self.through(client));
        whole.await.unwrap_or(Err(Failure::Timeout))
    }

    async fn through(&self, client: &Arc<ClientConfig>) -> Result<Answered, Failure> {
        let failure = |error| Failure::of(&error);
        let socket = TcpStream::connect(self.address).await.map_err(failure)?;
        socket.set_nodelay(true).map_err(failure)?;
        let connector = TlsConnector::from(Arc::clone(client));
        let handshake = connector.connect(self.server_name.clone(), socket);
        let mut stream = handshake.await.map_err(failure)?;
        for index in 1..=self.requests {
            let is_last = index == self.requests;
            let sent = stream.write_all(self.request(is_last).as_bytes()).await;
            // Whoever is refused may have been sent an alert before the connection was torn down.
            match (sent, answer::read(&mut stream, is_last).await) {
                (Ok(()), Ok(())) => {}
                (_, Err(failure)) => return Err(failure),
                (Err(error), Ok(())) => return Err(Failure::of(&error)),
            }
        }
        Ok(Answered { stream, timeout: self.timeout })
    }

    fn request(&self, is_last: bool) -> String {
        let (path, host) = (&self.path, self.server_name.to_str());
        let connection = if is_last { "Connection: close\r\n" } else { "" };
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{connection}\r\n")
    }
}
