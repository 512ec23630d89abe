//! How much of each answer has gone to its client, for the access log.
//!
//! Pure. The `h2` crate takes content long before the client's windows have room for it, and throws away what
//! waits when a stream is reset; what it does send passes here, and counts once the kernel has it. Fields count as
//! whoever gave them to the crate says, as here they are compressed.
//! Bounds: a few numbers for each answer, for each field block that the crate has not sent
//! (`limits::INTERIM_ANSWERS_MAX` and two of each answer), and for what is on its way to the kernel.
#![deny(clippy::indexing_slicing)]
use super::sent::{Sent, What};
use std::collections::VecDeque;
use std::time::Duration;

/// What has gone of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Gone {
    /// How old the connection was when its head went; none while it has not.
    pub head: Option<Duration>,
    /// Bytes of it, interim answers before it among them.
    pub bytes: u64,
    /// Whether nothing more goes: that was all, or the stream was reset by either side.
    pub over: bool,
}

/// Fields of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block {
    /// Those of an interim answer before it.
    Interim,
    /// Its head.
    Head,
    /// What stands behind its content.
    Trailers,
}

/// The answers that are followed.
#[derive(Debug, Default)]
pub(super) struct Answers {
    all: Vec<Answer>,
    /// Of theirs, what was sent and is not on its way to the kernel.
    sent: Vec<Sent>,
    /// What is.
    leaving: Vec<Sent>,
    /// Whether one of them has come to its end since it was asked last.
    ended: bool,
}

#[derive(Debug)]
struct Answer {
    stream: u32,
    gone: Gone,
    /// What the crate has of its fields, and what they count.
    blocks: VecDeque<(Block, u64)>,
}

impl Answers {
    /// Fields of an answer, which count so many bytes, were given to the crate; from the first on it is followed.
    pub(super) fn given(&mut self, stream: u32, block: Block, bytes: u64) {
        match self.get_mut(stream) {
            Some(answer) => answer.blocks.push_back((block, bytes)),
            None => {
                let blocks = VecDeque::from([(block, bytes)]);
                self.all.push(Answer { stream, gone: Gone::default(), blocks });
            }
        }
    }

    /// What has gone of an answer that is followed.
    pub(super) fn gone(&self, stream: u32) -> Option<Gone> {
        self.all.iter().find(|answer| answer.stream == stream).map(|answer| answer.gone)
    }

    /// The same, for the last time.
    pub(super) fn forget(&mut self, stream: u32) -> Option<Gone> {
        let index = self.all.iter().position(|answer| answer.stream == stream)?;
        Some(self.all.swap_remove(index).gone)
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
            let Some(Answer { gone, blocks, .. }) = self.get_mut(stream) else { continue };
            gone.over |= match what {
                What::Head { ends } => {
                    // The crate sends them in order.
                    if let Some((block, bytes)) = blocks.pop_front() {
                        gone.bytes += bytes;
                        if block == Block::Head {
                            gone.head = Some(age());
                        }
                    }
                    ends
                }
                What::Content { bytes, ends } => {
                    gone.bytes += bytes as u64;
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
        if let Some(answer) = self.get_mut(stream) {
            answer.gone.over = true;
            self.ended = true;
        }
    }

    fn get_mut(&mut self, stream: u32) -> Option<&mut Answer> {
        self.all.iter_mut().find(|answer| answer.stream == stream)
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
        answers.given(1, Block::Head, 100);
        answers.given(3, Block::Head, 100);
        assert_eq!(answers.gone(1), Some(Gone::default()));
        send(&mut answers, 1, What::Head { ends: false }, 1);
        send(&mut answers, 1, What::Content { bytes: 20, ends: false }, 2);
        send(&mut answers, 1, What::Content { bytes: 3, ends: false }, 3);
        answers.given(1, Block::Trailers, 7);
        let begun = Gone { head: Some(SECOND), bytes: 123, over: false };
        assert_eq!(answers.gone(1), Some(begun), "its trailers are still to go");
        send(&mut answers, 1, What::Head { ends: true }, 4);
        assert_eq!(answers.forget(1), Some(Gone { bytes: 130, over: true, ..begun }));
        assert_eq!((answers.gone(1), answers.gone(3)), (None, Some(Gone::default())));
        send(&mut answers, 5, What::Head { ends: true }, 5);
        assert_eq!(answers.forget(5), None, "nobody wants to know");
    }

    #[test]
    fn interim_answers_count_as_they_go_and_are_not_the_head() {
        let mut answers = Answers::default();
        answers.given(1, Block::Interim, 30);
        answers.given(1, Block::Interim, 4);
        answers.given(1, Block::Head, 100);
        for (second, head, bytes) in [(1, None, 30), (2, None, 34), (3, Some(3 * SECOND), 134)] {
            send(&mut answers, 1, What::Head { ends: false }, second);
            assert_eq!(answers.gone(1), Some(Gone { head, bytes, over: false }));
        }
    }

    #[test]
    fn what_the_kernel_has_not_taken_has_not_gone() {
        let mut answers = Answers::default();
        let content = Sent { stream: 1, what: What::Content { bytes: 20, ends: false } };
        answers.given(1, Block::Head, 100);
        answers.sent(Sent { stream: 1, what: What::Head { ends: false } });
        answers.leaves();
        answers.sent(content);
        assert_eq!(answers.gone(1), Some(Gone::default()));
        answers.left(|| SECOND);
        let head = Gone { head: Some(SECOND), bytes: 100, over: false };
        assert_eq!(answers.gone(1), Some(head), "content came behind it");
        answers.leaves();
        answers.sent(content);
        answers.left(|| 2 * SECOND);
        assert_eq!(answers.forget(1), Some(Gone { bytes: 120, ..head }));
        // Of a stream that is forgotten nothing is kept.
        answers.leaves();
        answers.left(|| 3 * SECOND);
        assert!(answers.all.is_empty() && answers.sent.is_empty());
    }

    #[test]
    fn a_reset_by_either_side_is_the_end() {
        let mut answers = Answers::default();
        answers.given(1, Block::Head, 100);
        answers.given(3, Block::Head, 100);
        answers.reset(1);
        send(&mut answers, 3, What::Reset { code: h2::Reason::CANCEL }, 1);
        let over = Some(Gone { over: true, ..Gone::default() });
        assert_eq!([answers.gone(1), answers.gone(3)], [over; 2]);
        assert_eq!([answers.take_ended(), answers.take_ended()], [true, false]);
    }
}
