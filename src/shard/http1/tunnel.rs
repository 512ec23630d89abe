//! Bytes both ways between a client and a target that speak another protocol than HTTP: a WebSocket.
//!
//! Opaque. Both directions are polled side by side and neither is dropped before it ends. A byte in
//! either direction moves the idle timeout of both, nothing else does. What one side ends properly is
//! passed on to the other; what fails ends both at once.
//! Bound: one buffer each way, none while a direction is silent.
use crate::close::Reason;
use crate::net::{Buf, ByteStream, Sock};
use crate::observe::count;
use crate::shard::recording::Recording;
use crate::shard::wire::Wire;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// A tunnel.
pub(super) struct Tunnel<'a> {
    pub(super) wire: &'a Wire,
    pub(super) target: &'a Sock,
    pub(super) idle: Duration,
    pub(super) counters: &'a count::Listener,
    pub(super) recording: &'a Recording,
}

/// How one direction ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    /// Its sender said that it has no more.
    Properly,
    /// This.
    By(Reason),
}

impl Tunnel<'_> {
    /// Runs to the end of both directions. What either side has said already goes first. Answers why it
    /// ended, where it was not as agreed.
    pub(super) async fn run(&self, from_client: Buf, from_target: Buf) -> Option<Reason> {
        self.wire.socket().arm_reading(self.idle, Reason::Idle);
        self.target.arm_reading(self.idle, Reason::Idle);
        let mut up = pin!(self.up(from_client));
        let mut down = pin!(self.down(from_target));
        let (mut up_ended, mut down_ended, mut why) = (false, false, None);
        poll_fn(|context| {
            if !up_ended && let Poll::Ready(ended) = up.as_mut().poll(context) {
                up_ended = true;
                why = why.or(self.end(ended));
            }
            if !down_ended && let Poll::Ready(ended) = down.as_mut().poll(context) {
                down_ended = true;
                why = why.or(self.end(ended));
            }
            // The first to end may have ended the other one.
            if !up_ended && let Poll::Ready(ended) = up.as_mut().poll(context) {
                up_ended = true;
                why = why.or(self.end(ended));
            }
            if up_ended && down_ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        why
    }

    /// Ends both sides at once where one direction failed.
    fn end(&self, ended: Ended) -> Option<Reason> {
        let Ended::By(reason) = ended else { return None };
        if reason == Reason::Idle {
            // There is time for a goodbye.
            self.wire.socket().stop_reading(reason);
        } else {
            self.wire.socket().kill(reason);
        }
        self.target.kill(reason);
        Some(reason)
    }

    /// From the client to the target.
    async fn up(&self, mut bytes: Buf) -> Ended {
        loop {
            if !bytes.is_empty() {
                self.target.arm(self.idle, Reason::TargetTimeout);
                let (sent, back) = self.target.send_all(bytes).await;
                self.target.disarm();
                if sent.is_err() {
                    return self.failed(Reason::TargetClosed);
                }
                bytes = back;
            }
            drop(bytes);
            match self.read_client().await {
                (Ok(0), _) => return self.end_of_client(),
                (Ok(count), read) => {
                    self.counters.received_bytes.add(count as u64);
                    self.recording.note(|record| record.received_bytes += count as u64);
                    bytes = read;
                }
                (Err(_), _) => return self.failed(Reason::ClientClosed),
            }
            self.touch();
        }
    }

    /// From the target to the client.
    async fn down(&self, mut bytes: Buf) -> Ended {
        loop {
            if !bytes.is_empty() {
                let count = bytes.len() as u64;
                self.counters.sent_bytes.add(count);
                self.wire.socket().arm(self.idle, Reason::ClientTimeout);
                let (sent, back) = self.wire.write(bytes).await;
                self.wire.socket().disarm();
                if sent.is_err() {
                    return self.failed(Reason::ClientClosed);
                }
                self.recording.note(|record| record.sent_bytes += count);
                bytes = back;
            }
            drop(bytes);
            match self.read_target().await {
                (Ok(0), _) if self.killed().is_none() => {
                    // The client gets to read what was sent, and to say goodbye itself.
                    self.wire.say_goodbye().await;
                    return Ended::Properly;
                }
                (Ok(0) | Err(_), _) => return self.failed(Reason::TargetClosed),
                (Ok(_), read) => bytes = read,
            }
            self.touch();
        }
    }

    /// Waits without a buffer, then reads.
    async fn read_client(&self) -> (io::Result<usize>, Buf) {
        match self.wire.readable().await {
            Ok(()) => self.wire.read(Buf::take()).await,
            Err(error) => (Err(error), Buf::default()),
        }
    }

    /// The same of the target.
    async fn read_target(&self) -> (io::Result<usize>, Buf) {
        match self.target.readable().await {
            Ok(()) => self.target.recv_at_most(Buf::take(), self.wire.write_bytes_max()).await,
            Err(error) => (Err(error), Buf::default()),
        }
    }

    /// The client said that it has no more, or this node ended reading.
    fn end_of_client(&self) -> Ended {
        match self.killed() {
            Some(reason) => Ended::By(reason),
            None => {
                self.target.shutdown_write();
                Ended::Properly
            }
        }
    }

    /// Why a direction failed: this node's own reason explains what the sockets say.
    fn failed(&self, otherwise: Reason) -> Ended {
        Ended::By(self.killed().unwrap_or(otherwise))
    }

    fn killed(&self) -> Option<Reason> {
        self.wire.socket().killed().or(self.target.killed())
    }

    /// Bytes went through: neither side is idle.
    fn touch(&self) {
        self.wire.socket().extend_reading(self.idle);
        self.target.extend_reading(self.idle);
    }
}
