//! How much of each answer has gone to its client, for the access log.
//!
//! Pure. The `h2` crate takes content long before the client's windows have room for it, and throws away what
//! waits when a stream is reset; what it does send passes here, and counts once the kernel has it.
//! Bounds: a few numbers for each answer from its head to its end, and for each frame on its way to the kernel.
#![deny(clippy::indexing_slicing)]
use super::sent::{Sent, What};
use std::time::Duration;

/// What has gone of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Gone {
    /// How old the connection was when its head went; none while it has not.
    pub head: Option<Duration>,
    /// Bytes of its content.
    pub content_bytes: u64,
    /// Whether nothing more goes: that was all, or the stream was reset by either side.
    pub over: bool,
}

/// The answers that are followed.
#[derive(Debug, Default)]
pub(super) struct Answers {
    by_stream: Vec<(u32, Gone)>,
    /// Of theirs, what was sent and is not on its way to the kernel.
    sent: Vec<Sent>,
    /// What is.
    leaving: Vec<Sent>,
    /// Whether one of them has come to its end since it was asked last.
    ended: bool,
}

impl Answers {
    /// The head of an answer was given to the crate.
    pub(super) fn follow(&mut self, stream: u32) {
        self.by_stream.push((stream, Gone::default()));
    }

    /// What has gone of an answer that is followed.
    pub(super) fn gone(&self, stream: u32) -> Option<Gone> {
        self.by_stream.iter().find(|(number, _)| *number == stream).map(|(_, gone)| *gone)
    }

    /// The same, for the last time.
    pub(super) fn forget(&mut self, stream: u32) -> Option<Gone> {
        let index = self.by_stream.iter().position(|(number, _)| *number == stream)?;
        Some(self.by_stream.swap_remove(index).1)
    }

    /// Whether any of them has come to its end since this was asked last.
    pub(super) fn take_ended(&mut self) -> bool {
        std::mem::take(&mut self.ended)
    }

    /// This was sent.
    pub(super) fn sent(&mut self, sent: Sent) {
        if self.get_mut(sent.stream).is_some() {
            self.sent.push(sent);
        }
    }

    /// What was sent until now is put on its way to the kernel.
    pub(super) fn leaves(&mut self) {
        // What has not arrived by now never will.
        self.leaving.clear();
        std::mem::swap(&mut self.sent, &mut self.leaving);
    }

    /// What was on its way has arrived there; `age` says how old the connection is.
    pub(super) fn left(&mut self, age: impl Fn() -> Duration) {
        let mut left = std::mem::take(&mut self.leaving);
        for Sent { stream, what } in left.drain(..) {
            let Some(gone) = self.get_mut(stream) else { continue };
            gone.over |= match what {
                What::Head { ends } => {
                    gone.head.get_or_insert_with(&age);
                    ends
                }
                What::Content { bytes, ends } => {
                    gone.content_bytes += bytes as u64;
                    ends
                }
                What::Reset { .. } => true,
            };
            let over = gone.over;
            self.ended |= over;
        }
        // Its memory is kept for the next time.
        self.leaving = left;
    }

    /// The client has reset the stream.
    pub(super) fn reset(&mut self, stream: u32) {
        if let Some(gone) = self.get_mut(stream) {
            gone.over = true;
            self.ended = true;
        }
    }

    fn get_mut(&mut self, stream: u32) -> Option<&mut Gone> {
        let mut answers = self.by_stream.iter_mut();
        answers.find(|(number, _)| *number == stream).map(|(_, gone)| gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Has something sent, which leaves at once.
    fn send(answers: &mut Answers, stream: u32, what: What, seconds: u32) {
        answers.sent(Sent { stream, what });
        answers.leaves();
        answers.left(|| seconds * SECOND);
    }

    #[test]
    fn an_answer_goes_from_its_head_to_its_end() {
        let mut answers = Answers::default();
        answers.follow(1);
        answers.follow(3);
        assert_eq!(answers.gone(1), Some(Gone::default()));
        send(&mut answers, 1, What::Head { ends: false }, 1);
        send(&mut answers, 1, What::Content { bytes: 20, ends: false }, 2);
        send(&mut answers, 1, What::Content { bytes: 3, ends: false }, 3);
        let begun = Gone { head: Some(SECOND), content_bytes: 23, over: false };
        assert_eq!(answers.gone(1), Some(begun));
        // Trailers.
        send(&mut answers, 1, What::Head { ends: true }, 4);
        assert_eq!(answers.forget(1), Some(Gone { over: true, ..begun }));
        assert_eq!((answers.gone(1), answers.gone(3)), (None, Some(Gone::default())));
        send(&mut answers, 5, What::Head { ends: true }, 5);
        assert_eq!(answers.forget(5), None, "nobody wants to know");
    }

    #[test]
    fn what_the_kernel_has_not_taken_has_not_gone() {
        let mut answers = Answers::default();
        let content = Sent { stream: 1, what: What::Content { bytes: 20, ends: false } };
        answers.follow(1);
        answers.sent(Sent { stream: 1, what: What::Head { ends: false } });
        answers.leaves();
        answers.sent(content);
        assert_eq!(answers.gone(1), Some(Gone::default()));
        answers.left(|| SECOND);
        let head = Gone { head: Some(SECOND), ..Gone::default() };
        assert_eq!(answers.gone(1), Some(head), "content came behind it");
        answers.leaves();
        answers.sent(content);
        answers.left(|| 2 * SECOND);
        assert_eq!(answers.forget(1), Some(Gone { content_bytes: 20, ..head }));
        // Of a stream that is forgotten nothing is kept.
        answers.leaves();
        answers.left(|| 3 * SECOND);
        assert!(answers.by_stream.is_empty() && answers.sent.is_empty());
    }

    #[test]
    fn a_reset_by_either_side_is_the_end() {
        let mut answers = Answers::default();
        answers.follow(1);
        answers.follow(3);
        answers.reset(1);
        send(&mut answers, 3, What::Reset { code: h2::Reason::CANCEL }, 1);
        let over = Some(Gone { over: true, ..Gone::default() });
        assert_eq!([answers.gone(1), answers.gone(3)], [over; 2]);
        assert_eq!([answers.take_ended(), answers.take_ended()], [true, false]);
    }
}
