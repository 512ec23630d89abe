//! Live connections under changed trust, and under time.
//!
//! Once a generation is taken over, every connection is judged again; when time has its say (a path
//! expires, or a revocation list that it leans on goes stale), those that it concerns. In slices of
//! `limits::SWEEP_SLICE`, so that no shard stalls, and by lookups: a path is built anew only where its CAs,
//! or what is asked beyond them, changed. What time makes better is nobody's worry here: it ends nobody.
//!
//! A client that is no longer accepted is ended as its listener says (`on_revocation`, `on_expiry`): at
//! once, or after the request that it has begun. Its next request would be refused anyway: each request
//! head is held against the rules in force (`http1`).
//!
//! A newer generation that arrives during a sweep starts it again.
use super::judge::{self, Again};
use super::slices::Slices;
use super::{Handle, Shard};
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::{Live, Name, OnRevocation};
use crate::limits;
use crate::tls::stream::Stream;
use crate::trust::{Accepted, Path, Refusal};
use rustls_pki_types::UnixTime;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the sweep needs of a connection whose client was judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) stream: Rc<Stream>,
    pub(super) server_name: Option<String>,
    /// The path of a client that a trust store vouched for.
    path: RefCell<Option<Path>>,
    /// When time may change the verdict on that path.
    until: Cell<Option<UnixTime>>,
}

impl Judged {
    pub(super) fn new(
        stream: Rc<Stream>,
        server_name: Option<String>,
        accepted: Option<Accepted>,
    ) -> Self {
        let (path, until) = accepted.map(|accepted| (accepted.path, accepted.until)).unzip();
        Self { stream, server_name, path: RefCell::new(path), until: Cell::new(until) }
    }

    /// When time may change the verdict.
    pub(super) fn until(&self) -> Option<UnixTime> {
        self.until.get()
    }
}

/// What the client of a live connection is: accepted until then (if time has a say), or refused.
type Standing = Result<Option<UnixTime>, (Refusal, OnRevocation)>;

/// Why a sweep runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    /// A generation was taken over: everybody is judged.
    Change,
    /// Time: those whose verdict it may have changed.
    Time,
}

/// When the next sweep is due, and which requests are to be cut off.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    rung: Notify,
    changed: Cell<bool>,
    /// When time may first change the verdict on a live connection.
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

    /// A connection is there whose verdict holds until then.
    pub(super) fn expect(&self, until: UnixTime) {
        if self.expiry.get().is_none_or(|earliest| until < earliest) {
            self.expiry.set(Some(until));
            self.rung.notify_one();
        }
    }

    /// A sweep begins, which looks at every path anew; those that come meanwhile are expected beside it.
    fn begin(&self) {
        self.expiry.set(None);
    }

    /// A connection may finish what it has begun.
    fn drain(&self, key: u64, now: Instant) {
        self.cut_off.borrow_mut().push_back((now + limits::REVOKED_DRAIN, key));
    }

    /// A connection that has not finished in its time.
    fn overdue(&self, now: Instant) -> Option<u64> {
        let mut cut_off = self.cut_off.borrow_mut();
        let is_due = cut_off.front().is_some_and(|(due, _)| *due <= now);
        if is_due { cut_off.pop_front().map(|(_, key)| key) } else { None }
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
            let end = Duration::from_secs(expiry.as_secs().saturating_add(1));
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
        if shard.agenda.changed.replace(false) {
            sweep(&shard, Cause::Change).await;
        } else if has_expired {
            sweep(&shard, Cause::Time).await;
        }
    }
}

/// Judges connections again. One that opens meanwhile is judged by current trust already.
async fn sweep(shard: &Rc<Shard>, cause: Cause) {
    shard.agenda.begin();
    let live = shard.live.load_full();
    let keys: Vec<u64> = shard.open.borrow().by_key.keys().copied().collect();
    let mut earliest = None;
    let mut ended = 0_u64;
    let mut slices = Slices::begin();
    for key in keys {
        let handle = shard.open.borrow().by_key.get(&key).cloned();
        let Some(handle) = handle else { continue };
        if let Some(judged) = handle.judged.get() {
            let now = clock::now();
            let is_due = judged.until.get().is_some_and(|until| until < now);
            if cause == Cause::Change || is_due {
                ended += u64::from(shard.judge_again(&live, key, &handle, judged, now));
            }
            earliest = earliest.into_iter().chain(judged.until.get()).min();
        }
        if slices.is_over() {
            tokio::time::sleep(limits::SWEEP_PAUSE).await;
            if shard.agenda.changed.get() {
                // It would be judged by what is past.
                break;
            }
            slices.resume();
        }
    }
    shard.counters.sweep_slices.add(slices.count());
    shard.counters.sweep_slice_max.note(slices.longest());
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
    fn judge_again(
        &self,
        live: &Live,
        key: u64,
        handle: &Handle,
        judged: &Judged,
        now: UnixTime,
    ) -> bool {
        if handle.ending.get() {
            // It was judged, counted and told before, and has its time to finish.
            judged.until.set(None);
            return false;
        }
        let front = &handle.front;
        let listener = Arc::clone(&front.rules().listener.name);
        let by_path = self.judge_by_path(live, &listener, judged, now);
        let standing = by_path.unwrap_or_else(|| self.judge_whole(live, &listener, judged, now));
        judged.until.set(standing.ok().flatten());
        let Err((refusal, on_refusal)) = standing else { return false };
        match on_refusal {
            OnRevocation::Keep => return false,
            OnRevocation::Close => handle.end(),
            OnRevocation::Drain => self.drain_one(key, handle),
        }
        front.counters.ended_by_trust[refusal.index()].add(1);
        true
    }

    /// By lookups; `None` where they are not enough.
    fn judge_by_path(
        &self,
        live: &Live,
        listener: &Name,
        judged: &Judged,
        now: UnixTime,
    ) -> Option<Standing> {
        let path = judged.path.borrow();
        let server_name = judged.server_name.as_deref();
        let standing = judge::again_by_path(live, listener, server_name, path.as_ref()?, now)?;
        self.counters.judged_by_path.add(1);
        Some(standing.map(Some))
    }

    /// By the whole chain, which may give another path.
    fn judge_whole(
        &self,
        live: &Live,
        listener: &Name,
        judged: &Judged,
        now: UnixTime,
    ) -> Standing {
        let server_name = judged.server_name.as_deref();
        let again = judged
            .stream
            .with_client_chain(|chain| judge::again(live, listener, server_name, chain, now));
        // A connection whose listener is gone ends with that.
        let Some(Again { verdict, on_refusal }) = again else { return Ok(None) };
        self.counters.judged_whole.add(1);
        match (verdict.result, verdict.accepted) {
            (Err(refusal), _) => Err((refusal, on_refusal)),
            (Ok(_), accepted) => {
                let (path, until) =
                    accepted.map(|accepted| (accepted.path, accepted.until)).unzip();
                judged.path.replace(path);
                Ok(until)
            }
        }
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
        handle.wake();
        self.agenda.drain(key, Instant::now());
    }

    /// Cuts off requests whose time is over.
    fn cut_off(&self) {
        while let Some(key) = self.agenda.overdue(Instant::now()) {
            if let Some(handle) = self.open.borrow().by_key.get(&key) {
                handle.end();
            }
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

    /// Goal: what had begun has its 30 s, and not one more. Method: the clock is ours.
    #[test]
    fn drained_connections_are_overdue_after_their_time_in_their_order() {
        let (agenda, begun) = (Agenda::default(), Instant::now());
        let drain = limits::REVOKED_DRAIN;
        let moment = Duration::from_millis(1);
        agenda.drain(1, begun);
        agenda.drain(2, begun + moment);
        assert_eq!(agenda.overdue(begun + drain - moment), None);
        assert_eq!(agenda.overdue(begun + drain), Some(1));
        assert_eq!(agenda.overdue(begun + drain), None);
        assert_eq!(agenda.overdue(begun + drain + moment), Some(2));
        assert_eq!(agenda.overdue(begun + 2 * drain), None);
    }
}
