//! HTTP/2 on a connection that is kept.
use super::{Answer, Asked};
use crate::connection::Stream;
use crate::failure::Failure;
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How much a server may send before it hears from us. So wide that it never waits.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Time for saying goodbye.
const CLOSING: Duration = Duration::from_secs(5);

/// The name by which ALPN has it.
pub(crate) const ALPN: &str = "h2";

/// A connection on which requests go beside each other. A clone is another handle of the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    /// Tells the connection when nobody has it any more.
    _user: Rc<oneshot::Sender<()>>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unanswered {
    /// The server says that it has not looked at it, for the connection ends: another one will do.
    NotProcessed(Failure),
    Failed(Failure),
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotProcessed(failure) | Unanswered::Failed(failure) => failure,
        }
    }
}

impl Http2 {
    /// Begins on a connection, which is driven by a task of its own.
    ///
    /// # Errors
    /// When the server has not chosen HTTP/2, and what it says instead of a preface.
    pub(crate) async fn begin(stream: Stream) -> Result<Self, Failure> {
        if stream.get_ref().1.alpn_protocol() != Some(ALPN.as_bytes()) {
            return Err(Failure::NotHttp2);
        }
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        builder.enable_push(false);
        let handshake = builder.handshake(stream).await;
        let (sender, connection) = handshake.map_err(|error| Failure::of_http2(&error))?;
        let (user, gone) = oneshot::channel();
        tokio::task::spawn_local(drive(connection, gone));
        Ok(Self { sender, _user: Rc::new(user) })
    }

    /// Asks, and reads the answer to its end.
    ///
    /// # Errors
    /// Any status that was not expected, and whatever keeps the answer from being whole.
    pub(crate) async fn ask(&self, asked: &Asked) -> Result<Answer, Unanswered> {
        let outcome = self.through(asked).await;
        outcome.map_err(|unanswered| match unanswered {
            Said::Http2(error) if is_unprocessed(&error) => {
                Unanswered::NotProcessed(Failure::of_http2(&error))
            }
            Said::Http2(error) => Unanswered::Failed(Failure::of_http2(&error)),
            Said::Failure(failure) => Unanswered::Failed(failure),
        })
    }

    async fn through(&self, asked: &Asked) -> Result<Answer, Said> {
        let mut sender = self.sender.clone().ready().await?;
        let body = asked.body();
        let (answer, mut upload) = sender.send_request(asked.http2(), body.is_empty())?;
        let both = async {
            let answer = answer.await?;
            let status = answer.status().as_u16();
            let content_bytes = drain(answer.into_body()).await?;
            Ok((status, content_bytes))
        };
        // An answer may come before the upload is over, and ends it then.
        let (status, content_bytes) = tokio::select! {
            biased;
            outcome = both => outcome,
            Err(error) = send(&mut upload, body.clone()) => Err(Said::Http2(error)),
        }?;
        if !asked.expects(status) {
            return Err(Said::Failure(Failure::Status(status)));
        }
        Ok(Answer { content_bytes, keeps: true })
    }
}

/// What keeps an answer away.
#[derive(Debug)]
enum Said {
    Http2(h2::Error),
    Failure(Failure),
}

impl From<h2::Error> for Said {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error)
    }
}

/// Works on a connection while somebody has it, and then until it is closed, if that does not take too long. What
/// ends it is told to the requests on it.
async fn drive(mut connection: Connection<Stream, Bytes>, gone: oneshot::Receiver<()>) {
    tokio::select! {
        _ = &mut connection => {}
        _ = gone => {
            let _ = tokio::time::timeout(CLOSING, connection).await;
        }
    }
}

/// RFC 9113, section 8.7: a request that the server has not looked at may be sent again.
fn is_unprocessed(error: &h2::Error) -> bool {
    let reason = error.reason();
    (error.is_go_away() && error.is_remote() && reason == Some(Reason::NO_ERROR))
        || (error.is_reset() && error.is_remote() && reason == Some(Reason::REFUSED_STREAM))
}

/// Sends all of a body, as the server's window allows.
async fn send(upload: &mut SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        upload.reserve_capacity(body.len());
        let Some(capacity) = poll_fn(|context| upload.poll_capacity(context)).await else {
            return Ok(());
        };
        let part = body.split_to(capacity?.min(body.len()));
        upload.send_data(part, body.is_empty())?;
    }
    Ok(())
}

/// Reads a content to its end, and answers its length.
async fn drain(mut content: RecvStream) -> Result<u64, h2::Error> {
    let mut content_bytes = 0;
    while let Some(part) = content.data().await {
        let part = part?;
        content_bytes += part.len() as u64;
        content.flow_control().release_capacity(part.len())?;
    }
    Ok(content_bytes)
}
