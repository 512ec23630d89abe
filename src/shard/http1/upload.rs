//! A request's body on its way from the client to the target.
//!
//! [`super::exchange`] polls it beside the answer, and drops it only once it has ended. When the answer is
//! whole first, what the client still sends is thrown away, `limits::DISCARDED_BODY_BYTES_MAX` at most.
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::http::body::Transfer;
use crate::limits;
use crate::net::{Buf, ByteStream};
use crate::observe::count;
use crate::shard::outcome::Uploaded;
use crate::shard::pace::{Pace, TooSlow};
use crate::shard::recording::Recording;
use crate::shard::target::Target;
use crate::shard::wire::Wire;
use std::cell::Cell;
use std::time::Instant;

/// The request's body, from the client to the target.
pub(super) struct Upload<'a> {
    pub(super) wire: &'a Wire,
    pub(super) target: Target<'a>,
    pub(super) transfer: Transfer<'a>,
    /// What the client must bring.
    pub(super) floor: Option<Floor>,
    pub(super) pace: Pace,
    /// Set once the whole body has been sent.
    pub(super) whole: &'a Cell<bool>,
    /// Set by the exchange once the answer is whole: the rest is thrown away.
    pub(super) answered: &'a Cell<bool>,
    pub(super) received_bytes: &'a count::Count,
    pub(super) recording: &'a Recording,
}

impl Upload<'_> {
    /// Runs to the end of the body; what was received behind it comes back.
    pub(super) async fn run(mut self, mut inbox: Buf) -> (Uploaded, Buf) {
        let mut discarded = 0;
        while !self.transfer.is_done() {
            match self.receive(&mut inbox).await {
                Ok(count) if self.answered.get() => {
                    discarded += count;
                    inbox.clear();
                    if discarded > limits::DISCARDED_BODY_BYTES_MAX {
                        return (Uploaded::Abandoned, inbox);
                    }
                }
                Ok(_) => {
                    if let Err(ended) = self.pass_on(&mut inbox).await {
                        return (ended, inbox);
                    }
                }
                Err(_) if self.answered.get() => return (Uploaded::Abandoned, inbox),
                Err(reason) => return (Uploaded::ClientEnded(reason), inbox),
            }
        }
        self.whole.set(true);
        self.target.has_all();
        (Uploaded::Whole, inbox)
    }

    async fn receive(&mut self, inbox: &mut Buf) -> Result<usize, Reason> {
        let (socket, idle) = (self.wire.socket(), self.target.idle);
        let floor = self.floor.filter(|_| !self.answered.get());
        if !self.answered.get() {
            let patience = floor.map(|floor| self.pace.patience(floor));
            match patience.filter(|patience| *patience < idle) {
                Some(patience) => socket.arm_reading(patience, Reason::SlowBody),
                None => socket.arm_reading(idle, Reason::ClientTimeout),
            }
        }
        let began = Instant::now();
        let (result, received) = self.wire.read(std::mem::take(inbox)).await;
        socket.disarm_reading();
        *inbox = received;
        match result {
            Ok(count) if count > 0 => {
                self.received_bytes.add(count as u64);
                self.recording.note(|record| record.received_bytes += count as u64);
                if let Some(floor) = floor {
                    let noted = self.pace.note(floor, began.elapsed(), count as u64);
                    noted.map_err(|TooSlow| Reason::SlowBody)?;
                }
                Ok(count)
            }
            Ok(_) => Err(socket.killed().unwrap_or(Reason::RequestIncomplete)),
            Err(_) => Err(socket.killed().unwrap_or(Reason::ClientClosed)),
        }
    }

    async fn pass_on(&mut self, inbox: &mut Buf) -> Result<(), Uploaded> {
        let mut out = Buf::take();
        self.transfer.step(inbox, &mut out).map_err(Uploaded::Malformed)?;
        if out.is_empty() {
            return Ok(());
        }
        match self.target.send(out).await {
            Ok(()) => Ok(()),
            Err(_) if self.answered.get() => Err(Uploaded::Abandoned),
            Err(_) => Err(Uploaded::TargetStopped),
        }
    }
}
