//! HTTP/1.1 on a connection that is kept.
use super::answer::Answers;
use super::{Answer, Asked};
use crate::connection::{Stream, until_end};
use crate::failure::Failure;
use tokio::io::AsyncWriteExt;

/// A connection on which requests go one after the other.
#[derive(Debug)]
pub(crate) struct Http1 {
    stream: Stream,
    answers: Answers,
    /// An answer has come by it.
    has_answered: bool,
}

impl Http1 {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, answers: Answers::new(), has_answered: false }
    }

    /// Asks, and reads the answer to its end. `is_last` tells the server that no other request follows.
    ///
    /// # Errors
    /// Any status that was not expected, and whatever keeps the answer from being whole.
    pub(crate) async fn ask(&mut self, asked: &Asked, is_last: bool) -> Result<Answer, Failure> {
        let sent = self.stream.write_all(asked.http1(is_last)).await;
        let sent = match sent {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        // Whoever is refused may have been sent an alert before the connection was torn down.
        match (sent, self.answers.next(&mut self.stream, asked).await) {
            (Ok(()), outcome) => {
                self.has_answered |= outcome.is_ok();
                outcome
            }
            (Err(_), Err(failure)) => Err(failure),
            (Err(error), Ok(_)) => Err(Failure::of(&error)),
        }
    }

    /// Whether the server has closed the connection since its last answer, as it may between two requests. One
    /// that has given no answer yet may have been refused: its first request shows how.
    ///
    /// # Errors
    /// Any other end that it has come to since.
    pub(crate) async fn has_ended(&mut self) -> Result<bool, Failure> {
        if !self.has_answered {
            return Ok(false);
        }
        let ended = tokio::select! {
            biased;
            failure = self.watch() => failure,
            () = std::future::ready(()) => return Ok(false),
        };
        if ended == Failure::Closed { Ok(true) } else { Err(ended) }
    }

    /// Waits until the server ends the connection, and answers how.
    pub(crate) async fn watch(&mut self) -> Failure {
        until_end(&mut self.stream).await
    }

    /// For whoever ends it.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }
}
