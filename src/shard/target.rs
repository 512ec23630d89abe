//! The target's side of an exchange.
use super::outcome::{IncompleteAnswer, Told};
use crate::close::Reason;
use crate::http::head::{Malformed, worth_parsing};
use crate::net::{Buf, Sock, at_once};
use crate::observe::count::Count;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// The target's side of an exchange. Each operation has its own deadline.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) socket: &'a Sock,
    pub(super) idle: Duration,
    /// What a receive takes at most.
    pub(super) receive_bytes_max: usize,
    pub(super) waits: &'a Waits,
}

/// What the two directions of an exchange wait for: that tells who is late.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The target is to take bytes.
    sending: Cell<bool>,
    /// It is to say something.
    receiving: Cell<bool>,
    /// The client is to take part of the answer. Meanwhile its target may well take nothing more.
    client: Cell<bool>,
}

impl Target<'_> {
    pub(super) async fn send(self, bytes: Buf) -> Result<(), Reason> {
        let mut sending = pin!(self.socket.send_all(bytes));
        let (sent, _) = match at_once(sending.as_mut()).await {
            Poll::Ready(sent) => sent,
            Poll::Pending => {
                self.waits.sending.set(true);
                self.arm_sending();
                let sent = sending.await;
                self.waits.sending.set(false);
                self.socket.disarm();
                sent
            }
        };
        sent.map_err(|_| self.socket.killed().unwrap_or(Reason::TargetClosed))
    }

    fn arm_sending(self) {
        if self.waits.sending.get() && !self.waits.client.get() {
            self.socket.arm(self.idle, Reason::TargetTimeout);
        }
    }

    /// Has the client take part of the answer: whatever that takes, the target is not late.
    pub(super) async fn while_client<F: Future>(self, takes: Pin<&mut F>) -> F::Output {
        self.waits.client.set(true);
        self.socket.disarm();
        let took = takes.await;
        self.waits.client.set(false);
        self.arm_sending();
        took
    }

    /// The whole request has been sent. From now on the target is waited for, unless its answer waits for the
    /// client.
    pub(super) fn has_all(self) {
        if self.waits.receiving.get() {
            self.socket.arm_reading(self.idle, Reason::TargetTimeout);
        }
    }

    /// Appends what the target sent; `Ok(0)` is the proper end of its stream, a reset is an error.
    /// Its silence counts from when the whole request has been sent.
    pub(super) async fn receive(self, received: &mut Buf, uploaded: bool) -> Result<usize, Reason> {
        if uploaded {
            self.socket.arm_reading(self.idle, Reason::TargetTimeout);
        }
        received.reserve(RECEIVE_BYTES_MIN);
        let room = std::mem::take(received);
        self.waits.receiving.set(true);
        let (result, back) = self.socket.recv_at_most(room, self.receive_bytes_max).await;
        self.waits.receiving.set(false);
        self.socket.disarm_reading();
        // Who speaks is not silent, though it takes nothing.
        self.arm_sending();
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
    pub(super) fn unsent(self) -> IncompleteAnswer {
        let reason = self.socket.killed().unwrap_or(Reason::TargetClosed);
        IncompleteAnswer { reason, told: Told::Nothing, silent: !timed_out(reason) }
    }
}

/// A request that its target group counts once some target gets it, however often it is sent.
pub(super) struct CountedOnce<'a> {
    requests: &'a Count,
    is_counted: Cell<bool>,
}

impl<'a> CountedOnce<'a> {
    pub(super) const fn new(requests: &'a Count) -> Self {
        Self { requests, is_counted: Cell::new(false) }
    }

    /// It was sent, for the first time or once more.
    pub(super) fn sent(&self) {
        if !self.is_counted.replace(true) {
            self.requests.add(1);
        }
    }
}

/// Room that a receive asks for at least.
const RECEIVE_BYTES_MIN: usize = 4 * 1024;

/// Whether a silent target was waited for to the end; it may be at work, so nothing is sent again.
pub(super) fn timed_out(reason: Reason) -> bool {
    reason == Reason::TargetTimeout
}
