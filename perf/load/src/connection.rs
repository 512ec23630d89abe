//! A TLS connection as one of the clients: TCP, handshake, goodbye.
use crate::dial::Dialer;
use crate::failure::Failure;
use crate::tally::Handshake;
use crate::tls::Client;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Opens connections.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) dialer: Dialer,
    /// The name that is asked for, and that the server's certificate must have.
    pub(crate) server_name: ServerName<'static>,
    /// At least one; connections take them in turn.
    pub(crate) clients: Vec<Client>,
    /// Time for one attempt.
    pub(crate) timeout: Duration,
}

/// A connection after its handshake.
pub(crate) type Stream = TlsStream<TcpStream>;

/// A connection, and how it came about.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) handshake: Handshake,
    /// From connect to the end of the handshake.
    pub(crate) took: Duration,
}

impl Opener {
    /// The client whose turn it is.
    pub(crate) fn client(&self, turn: u64) -> Option<&Client> {
        let count = self.clients.len() as u64;
        self.clients.get(usize::try_from(turn.checked_rem(count)?).ok()?)
    }

    /// Opens a connection as the client whose turn it is. In TLS 1.3 a client is judged after it thinks that
    /// its handshake is over, so only an answer says that it was accepted.
    ///
    /// # Errors
    /// The first thing that went wrong. There is no deadline here.
    pub(crate) async fn open(&self, turn: u64) -> Result<Opened, Failure> {
        let client = self.client(turn).ok_or(Failure::NotBegun)?;
        self.open_with(client.next_config()).await
    }

    /// The same with a handshake of this kind.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub(crate) async fn open_with(&self, config: Arc<ClientConfig>) -> Result<Opened, Failure> {
        let began = Instant::now();
        let socket = self.dialer.dial().await?;
        let connector = TlsConnector::from(config);
        let handshake = connector.connect(self.server_name.clone(), socket);
        let stream = handshake.await.map_err(|error| Failure::of(&error))?;
        let handshake = match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => {
                Handshake::Full
            }
        };
        Ok(Opened { stream, handshake, took: began.elapsed() })
    }

    /// Gives an attempt no more than its time.
    ///
    /// # Errors
    /// The attempt's own, or [`Failure::Timeout`].
    pub(crate) async fn in_time<T>(
        &self,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or(Err(Failure::Timeout))
    }

    /// Says goodbye and waits for the server's, because whoever closes with bytes unread sends a reset. What
    /// goes wrong now is no part of an answer.
    pub(crate) async fn close(&self, mut stream: Stream) {
        let both = async {
            let _ = stream.shutdown().await;
            until_end(&mut stream).await
        };
        let _ = tokio::time::timeout(self.timeout, both).await;
    }
}

/// Reads on until the connection ends, and answers how: [`Failure::Closed`] when the server closes it.
pub(crate) async fn until_end(stream: &mut Stream) -> Failure {
    // Connections that only wait should not take much.
    let mut scrap = [0; 64];
    loop {
        match stream.read(&mut scrap).await {
            Ok(0) => return Failure::Closed,
            Ok(_) => {}
            Err(error) => return Failure::of(&error),
        }
    }
}
