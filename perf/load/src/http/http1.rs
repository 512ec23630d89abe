//! HTTP/1.1 on a connection that is kept.
use super::answer::Answers;
use super::{Answer, Asked};
use crate::connection::Stream;
use crate::failure::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection on which requests go one after the other.
#[derive(Debug)]
pub(crate) struct Http1 {
    stream: Stream,
    answers: Answers,
    /// An answer has come by it, and another request may follow.
    keeps: bool,
}

impl Http1 {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, answers: Answers::new(), keeps: false }
    }

    /// Asks, and reads the answer to its end. `is_last` tells the server that no other request follows.
    ///
    /// # Errors
    /// Any status that was not expected, and whatever keeps the answer from being whole.
    pub(crate) async fn ask(&mut self, asked: &Asked, is_last: bool) -> Result<Answer, Failure> {
        self.keeps = false;
        let sent = self.stream.write_all(asked.http1(is_last)).await;
        let sent = match sent {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        // Whoever is refused may have been sent an alert before the connection was torn down.
        let (status, answer) = match (sent, self.answers.next(&mut self.stream, asked).await) {
            (Ok(()), outcome) => outcome,
            (Err(_), Err(failure)) => Err(failure),
            (Err(error), Ok(_)) => Err(Failure::of(&error)),
        }?;
        self.keeps = answer.keeps;
        if asked.expects(status) { Ok(answer) } else { Err(Failure::Status(status)) }
    }

    /// Whether another request may follow the last answer.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether the server has closed the connection since its last answer, as it may between two requests. One
    /// that has given no answer yet may have been refused: its first request shows how.
    ///
    /// # Errors
    /// Any other end that it has come to since, or bytes that nobody has asked for. No request may follow then.
    pub(crate) async fn has_ended(&mut self) -> Result<bool, Failure> {
        if !self.keeps {
            return Ok(false);
        }
        let ended = tokio::select! {
            biased;
            failure = self.watch() => failure,
            () = std::future::ready(()) => return Ok(false),
        };
        self.keeps = false;
        if ended == Failure::Closed { Ok(true) } else { Err(ended) }
    }

    /// Waits, while nothing is asked, until the server ends the connection, and answers how. Whatever else it
    /// sends meanwhile is a bad answer: it answers nothing.
    pub(crate) async fn watch(&mut self) -> Failure {
        match self.stream.read(&mut [0; 1]).await {
            Ok(0) => Failure::Closed,
            Ok(_) => Failure::Answer,
            Err(error) => Failure::of(&error),
        }
    }

    /// For whoever ends it.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }
}
