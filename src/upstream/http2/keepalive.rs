//! Whether a target that says nothing is still there.
//!
//! Pure: time is passed in, once a second. While streams wait and nothing arrives, the target is asked by
//! PING; whatever it says then is a sign of life. Servers of gRPC take PINGs that come oftener than each five
//! minutes for an attack and end the connection, unless they have sent content in between: so after one that
//! was answered the next waits for content, or for `limits::PING_AGAIN`.
//! Source: gRPC, "A8: Client-side Keepalive" (`MIN_RECV_PING_INTERVAL_WITHOUT_DATA`).
use crate::limits;
use std::time::Instant;

/// The PINGs of one connection.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    last: Option<Instant>,
    /// Whether nothing has been heard since the last one.
    asked: bool,
}

/// What is known of the target's side of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    /// Since when streams have been open without a break.
    pub(super) waiting_since: Instant,
    /// When anything arrived.
    pub(super) heard: Instant,
    /// When part of an answer arrived.
    pub(super) answered: Instant,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act {
    Nothing,
    Ping,
    /// The target is gone.
    End,
}

impl Keepalive {
    /// Called while streams are open.
    pub(super) fn judge(&mut self, signs: Signs, now: Instant) -> Act {
        if let Some(last) = self.last.filter(|_| self.asked) {
            if signs.heard <= last {
                let late = now.duration_since(last) >= limits::PING_WITHIN;
                return if late { Act::End } else { Act::Nothing };
            }
            self.asked = false;
        }
        let silent_since = signs.heard.max(signs.waiting_since);
        let silent = now.duration_since(silent_since) >= limits::PING_AFTER;
        let welcome = self.last.is_none_or(|last| {
            signs.answered > last || now.duration_since(last) >= limits::PING_AGAIN
        });
        if !silent || !welcome {
            return Act::Nothing;
        }
        *self = Self { last: Some(now), asked: true };
        Act::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    /// A connection whose stream opened now; the target has never said a word.
    fn begun() -> (Keepalive, Signs, Instant) {
        let now = Instant::now();
        (Keepalive::default(), Signs { waiting_since: now, heard: now, answered: now }, now)
    }

    #[test]
    fn a_target_that_is_silent_is_asked_and_then_given_up() {
        let (mut keepalive, signs, begin) = begun();
        let asked = begin + limits::PING_AFTER;
        assert_eq!(keepalive.judge(signs, asked - SECOND), Act::Nothing);
        assert_eq!(keepalive.judge(signs, asked), Act::Ping);
        assert_eq!(keepalive.judge(signs, asked + limits::PING_WITHIN - SECOND), Act::Nothing);
        assert_eq!(keepalive.judge(signs, asked + limits::PING_WITHIN), Act::End);
    }

    #[test]
    fn silence_before_the_first_stream_is_no_sign_of_death() {
        let (mut keepalive, signs, begin) = begun();
        let waiting_since = begin + 60 * SECOND;
        let signs = Signs { waiting_since, ..signs };
        assert_eq!(keepalive.judge(signs, waiting_since + SECOND), Act::Nothing);
        assert_eq!(keepalive.judge(signs, waiting_since + limits::PING_AFTER), Act::Ping);
    }

    #[test]
    fn a_target_that_answers_pings_and_nothing_else_is_not_asked_again_for_minutes() {
        let (mut keepalive, mut signs, begin) = begun();
        let mut pings = 0;
        for second in 1..=(2 * limits::PING_AGAIN).as_secs() {
            let now = begin + Duration::from_secs(second);
            match keepalive.judge(signs, now) {
                Act::Ping => {
                    pings += 1;
                    signs.heard = now + SECOND / 2;
                }
                Act::Nothing => {}
                Act::End => panic!("it answered each"),
            }
        }
        assert_eq!(pings, 2);
    }

    #[test]
    fn content_makes_a_ping_welcome_again() {
        let (mut keepalive, mut signs, begin) = begun();
        let first = begin + limits::PING_AFTER;
        assert_eq!(keepalive.judge(signs, first), Act::Ping);
        (signs.heard, signs.answered) = (first + SECOND, first + SECOND);
        assert_eq!(keepalive.judge(signs, first + 2 * SECOND), Act::Nothing);
        assert_eq!(keepalive.judge(signs, first + SECOND + limits::PING_AFTER), Act::Ping);
    }
}
