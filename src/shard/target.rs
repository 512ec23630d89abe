//! The target's side of an exchange.
use super::download::{Told, Unanswered};
use crate::close::Reason;
use crate::http::head::{Malformed, worth_parsing};
use crate::net::{Buf, Sock};
use std::cell::Cell;
use std::time::Duration;

/// The target's side of an exchange. Each operation has its own deadline.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) socket: &'a Sock,
    pub(super) idle: Duration,
    /// What a receive takes at most.
    pub(super) receive_bytes_max: usize,
}

impl Target<'_> {
    pub(super) async fn send(self, bytes: Buf) -> Result<(), Reason> {
        self.socket.arm(self.idle, Reason::TargetTimeout);
        let sent = self.socket.send_all(bytes).await.0;
        self.socket.disarm();
        sent.map_err(|_| self.socket.killed().unwrap_or(Reason::TargetClosed))
    }

    /// Appends what the target sent; `Ok(0)` is the proper end of its stream, a reset is an error.
    /// Its silence counts from when the whole request has been sent.
    pub(super) async fn receive(self, received: &mut Buf, uploaded: bool) -> Result<usize, Reason> {
        if uploaded {
            self.socket.arm_reading(self.idle, Reason::TargetTimeout);
        }
        received.reserve(RECEIVE_BYTES_MIN);
        let room = std::mem::take(received);
        let (result, back) = self.socket.recv_at_most(room, self.receive_bytes_max).await;
        self.socket.disarm_reading();
        *received = back;
        match (result, self.socket.killed()) {
            (_, Some(reason)) => Err(reason),
            (Ok(count), None) => Ok(count),
            (Err(_), None) => Err(Reason::TargetClosed),
        }
    }

    /// Reads one response head, as `parse` does. `silent` stays true while the target has sent nothing.
    pub(super) async fn head<H>(
        self,
        received: &mut Buf,
        uploaded: &Cell<bool>,
        silent: &mut bool,
        parse: impl Fn(&Buf) -> Result<Option<H>, Malformed>,
    ) -> Result<H, Reason> {
        let mut seen = 0;
        loop {
            if !received.is_empty()
                && worth_parsing(received, seen)
                && let Some(head) = parse(received).map_err(|_| Reason::TargetMalformed)?
            {
                return Ok(head);
            }
            seen = received.len();
            match self.receive(received, uploaded.get()).await? {
                0 => return Err(Reason::TargetClosed),
                _ => *silent = false,
            }
        }
    }

    /// The request could not be sent.
    pub(super) fn unsent(self) -> Unanswered {
        let reason = self.socket.killed().unwrap_or(Reason::TargetClosed);
        Unanswered { reason, told: Told::Nothing, silent: !timed_out(reason) }
    }
}

/// Room that a receive asks for at least.
const RECEIVE_BYTES_MIN: usize = 4 * 1024;

/// Whether a silent target was waited for to the end; it may be at work, so nothing is sent again.
pub(super) fn timed_out(reason: Reason) -> bool {
    reason == Reason::TargetTimeout
}
