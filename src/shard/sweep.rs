//! Live connections under changed trust, and under time.
//!
//! Once a generation is taken over, every connection that was judged is judged again, in slices of
//! `limits::SWEEP_SLICE`, so that no shard stalls; the same when the first path among them expires. A
//! client that is no longer accepted is ended as its listener says (`on_revocation`, `on_expiry`): at
//! once, or after the request that it has begun. Its next request would be refused anyway: each request
//! head is held against the rules in force (`http1`).
//!
//! A newer generation that arrives during a sweep starts it again.
use super::{Handle, Shard, judge};
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::{Authentication, Live, OnExpiry, OnRevocation};
use crate::limits;
use crate::tls::stream::Stream;
use crate::trust::Refusal;
use rustls_pki_types::UnixTime;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the sweep needs of a connection whose client was judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) stream: Rc<Stream>,
    pub(super) server_name: Option<String>,
    /// When the first certificate of its path expires; none where no path was judged.
    pub(super) not_after: Cell<Option<UnixTime>>,
}

/// When the next sweep is due, and which requests are to be cut off.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    rung: Notify,
    changed: Cell<bool>,
    /// The earliest end of a live connection's path.
    expiry: Cell<Option<UnixTime>>,
    /// Connections whose last request may go on until then, in the order of their time.
    cut_off: RefCell<VecDeque<(Instant, u64)>>,
}

impl Agenda {
    /// A generation was taken over.
    pub(super) fn change(&self) {
        self.changed.set(true);
        self.rung.notify_one();
    }

    /// A connection is there whose path ends at `not_after`.
    pub(super) fn expect(&self, not_after: UnixTime) {
        if self.expiry.get().is_none_or(|earliest| not_after < earliest) {
            self.expiry.set(Some(not_after));
            self.rung.notify_one();
        }
    }

    /// A sweep begins, which looks at every path anew; those that come meanwhile are expected beside it.
    fn begin(&self) {
        self.expiry.set(None);
    }

    /// Waits until there is something to do, or something may be.
    async fn due(&self) {
        let until_cut_off = self
            .cut_off
            .borrow()
            .front()
            .map(|(due, _)| due.saturating_duration_since(Instant::now()));
        let until_expiry = self.expiry.get().map(|expiry| {
            // One second more: a certificate is valid through its last second.
            let end = Duration::from_secs(expiry.as_secs() + 1);
            end.saturating_sub(clock::since_epoch())
        });
        let wait = [until_cut_off, until_expiry].into_iter().flatten().min();
        // Bounded, because the time of day may be set.
        let wait = wait.unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
        if !self.changed.get() {
            let _ = tokio::time::timeout(wait, self.rung.notified()).await;
        }
    }
}

/// How often the agenda is looked at when nothing is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Runs the agenda of a shard.
pub(super) async fn run(shard: Rc<Shard>) {
    loop {
        shard.agenda.due().await;
        shard.cut_off();
        let has_expired = shard.agenda.expiry.get().is_some_and(|expiry| expiry < clock::now());
        if shard.agenda.changed.replace(false) || has_expired {
            sweep(&shard).await;
        }
    }
}

/// Judges every connection again. One that opens meanwhile is judged by current trust already.
async fn sweep(shard: &Rc<Shard>) {
    shard.agenda.begin();
    let live = shard.live.load_full();
    let keys: Vec<u64> = shard.open.borrow().by_key.keys().copied().collect();
    let mut earliest = None;
    let mut ended = 0_u64;
    let mut slice = Instant::now();
    for key in keys {
        let handle = shard.open.borrow().by_key.get(&key).cloned();
        let Some(handle) = handle else { continue };
        if let Some(judged) = handle.judged.get() {
            ended += u64::from(shard.judge_again(&live, key, &handle, judged));
            let not_after = judged.not_after.get();
            earliest = earliest.into_iter().chain(not_after).min();
        }
        if slice.elapsed() >= limits::SWEEP_SLICE {
            tokio::time::sleep(limits::SWEEP_PAUSE).await;
            if shard.agenda.changed.get() {
                // It would be judged by what is past.
                return;
            }
            slice = Instant::now();
        }
    }
    if let Some(expiry) = earliest {
        shard.agenda.expect(expiry);
    }
    if ended > 0 {
        let generation = live.generation;
        tracing::info!(
            shard = shard.index,
            generation,
            ended,
            "live connections no longer accepted"
        );
    }
}

impl Shard {
    /// Judges one connection; answers whether it ends.
    fn judge_again(&self, live: &Live, key: u64, handle: &Handle, judged: &Judged) -> bool {
        if handle.ending.get() {
            // It was judged, counted and told before, and has its time to finish.
            return false;
        }
        let front = &handle.front;
        let rules = front.rules();
        let (listener, server_name) = (&rules.listener.name, judged.server_name.as_deref());
        let verdict = judged.stream.with_client_chain(|chain| {
            judge::verdict(live, listener, server_name, chain, clock::now())
        });
        let Some(verdict) = verdict else {
            // Its listener is gone, and retires it.
            judged.not_after.set(None);
            return false;
        };
        let refusal = match verdict.result {
            Ok(_) => {
                judged.not_after.set(verdict.accepted.map(|accepted| accepted.until));
                return false;
            }
            Err(refusal) => refusal,
        };
        judged.not_after.set(None);
        let policy = live.listeners.get(listener).and_then(|listener| {
            Some(listener.tls.as_ref()?.access(server_name).authentication.on_refusal(refusal))
        });
        match policy.unwrap_or_default() {
            OnRevocation::Keep => return false,
            OnRevocation::Close => handle.end(),
            OnRevocation::Drain => self.drain_one(key, handle),
        }
        front.counters.ended_by_trust[refusal.index()].add(1);
        true
    }

    /// Ends a connection at once when it is idle, else after the request that it has begun.
    fn drain_one(&self, key: u64, handle: &Handle) {
        if handle.ending.replace(true) {
            return;
        }
        if handle.is_idle() {
            handle.socket.stop_reading(Reason::NoLongerAccepted);
            return;
        }
        let due = Instant::now() + limits::REVOKED_DRAIN;
        self.agenda.cut_off.borrow_mut().push_back((due, key));
    }

    /// Cuts off requests whose time is over.
    fn cut_off(&self) {
        let now = Instant::now();
        loop {
            let key = match self.agenda.cut_off.borrow().front() {
                Some((due, key)) if *due <= now => *key,
                Some(_) | None => return,
            };
            self.agenda.cut_off.borrow_mut().pop_front();
            if let Some(handle) = self.open.borrow().by_key.get(&key) {
                handle.end();
            }
        }
    }
}

impl Authentication {
    /// What a refusal means to a live connection.
    pub(crate) fn on_refusal(&self, refusal: Refusal) -> OnRevocation {
        match self {
            Self::Verify(verify) => match (refusal, verify.on_expiry, verify.on_revocation) {
                (Refusal::Expired, OnExpiry::Keep, _) => OnRevocation::Keep,
                (Refusal::Expired, OnExpiry::Close, OnRevocation::Keep) => OnRevocation::Drain,
                (_, _, on_revocation) => on_revocation,
            },
            Self::Off | Self::Passthrough => OnRevocation::Drain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// A sweep pauses between its slices, and connections open meanwhile.
    #[test]
    fn a_path_that_comes_during_a_sweep_is_waited_for() {
        let agenda = Agenda::default();
        agenda.expect(at(20));
        agenda.begin();
        agenda.expect(at(5));
        agenda.expect(at(8));
        assert_eq!(agenda.expiry.get(), Some(at(5)));
    }

    #[test]
    fn a_sweep_forgets_paths_that_are_gone() {
        let agenda = Agenda::default();
        agenda.expect(at(5));
        agenda.begin();
        agenda.expect(at(20));
        assert_eq!(agenda.expiry.get(), Some(at(20)));
    }
}
