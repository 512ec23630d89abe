//! The line of a stream's request in the access log, once it is over for this node.
use super::meter::Transport;
use crate::shard::connection::{Client, Connection};
use crate::shard::recording::Recording;
use std::rc::Rc;

/// What is still to be told, and of whom.
pub(super) struct Line {
    pub(super) stream: u32,
    /// Of its request: held for as long as the line waits.
    pub(super) head_bytes: usize,
    /// Whether the client has been told something.
    pub(super) has_begun: bool,
    /// Whether the crate has all of the answer.
    pub(super) is_whole: bool,
    pub(super) recording: Recording,
    pub(super) client: Rc<Client>,
}

impl Line {
    /// Whether more of the answer is still to go.
    pub(super) fn waits(&self, transport: &Transport) -> bool {
        self.is_whole && transport.with_watch(|metered| metered.is_going(self.stream))
    }

    pub(super) fn write(self, transport: &Transport, connection: &Connection) {
        let gone = transport.with_watch(|metered| metered.gone(self.stream));
        if let Some((head, bytes)) = gone {
            self.recording.note(|record| {
                record.sent_bytes += bytes;
                if self.has_begun {
                    record.head_gone(head);
                }
            });
        }
        self.recording.finish(connection, &self.client, None);
    }
}
