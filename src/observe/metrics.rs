//! The board of all counters, and the page that a scrape gets.
//!
//! Shards register here once for each listener and target group and then count in their own memory
//! ([`super::count`]); the control thread adds up when somebody asks. Nothing happens between scrapes.
//! A listener or target group that the live value no longer has leaves the page at the next
//! [`Board::show`]. The board keeps it for as long as a shard does, so that one that comes back under
//! its name before every shard has let go of it counts on; later it starts at zero.
use super::count::{self, HISTOGRAM_SECONDS, Handshake, Histogram, Relief, Resumption};
use super::expiry::Expiry;
use super::load::{Phase, Reason as LoadReason};
use super::names;
use super::page::{Distribution, Page};
use super::proc;
use super::sink::Log;
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::{Live, Logs, Name};
use crate::http::desync::ClassReason;
use crate::http::forward::InvalidNames;
use crate::http::h2::flood::Flood;
use crate::http::head::Malformed;
use crate::net::Engine;
use crate::pressure::Level;
use crate::trust::Refusal;
use rustls_pki_types::UnixTime;
use std::array;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

#[expect(
    clippy::disallowed_types,
    reason = "held for a look-up or a copy; shards come here only to take up a listener or group"
)]
type Mutex<T> = std::sync::Mutex<T>;

/// All counters of the process. Shards register here and keep what they get.
#[derive(Debug)]
pub struct Board {
    shards: Vec<Arc<count::Shard>>,
    started: Duration,
    /// By [`Phase::index`]; written by whoever makes a change, one at a time.
    swaps: [Histogram; Phase::ALL.len()],
    state: Mutex<State>,
}

/// What changes after the start.
#[derive(Clone, Debug, Default)]
struct State {
    listeners: Counters<count::Listener>,
    target_groups: Counters<count::TargetGroup>,
    io: Option<(Engine, bool)>,
    /// The memory budget in bytes, and the level.
    overload: Option<(u64, Level)>,
    reloads: [u64; Reload::ALL.len()],
    /// By [`LoadReason::index`].
    load_failures: [u64; LoadReason::ALL.len()],
    /// Time since 1970; zero is never.
    load_success: Duration,
    load_failure: Duration,
    /// Two times of the clock cannot say it: the clock may be set back between them.
    load_failing: bool,
    generation: u64,
    /// By shard.
    generations: Vec<u64>,
    expiry: Expiry,
    logs: Logs,
}

/// Objects by name.
type Counters<T> = BTreeMap<Name, Object<T>>;

/// A listener or target group.
#[derive(Debug)]
struct Object<T> {
    /// One for each shard.
    shards: Vec<Arc<T>>,
    /// Whether the live value has it, as far as the board knows.
    live: bool,
}

/// By hand, because deriving would ask for counters that can be cloned.
impl<T> Clone for Object<T> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), live: self.live }
    }
}

/// How an attempt to replace configuration or trust ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reload {
    /// Every shard has taken it.
    Success,
    /// It has faults; nothing changed.
    Faulty,
    /// It is live, but a shard has not said so in time.
    NotAcknowledged,
    /// It is live, but the disk has not confirmed that it outlives a power cut.
    NotDurable,
}

impl Reload {
    /// Every outcome, in the order of `index`.
    pub const ALL: [Self; 4] =
        [Self::Success, Self::Faulty, Self::NotAcknowledged, Self::NotDurable];
    /// Position in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The word in `/status` and the `outcome` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Faulty => "faulty",
            Self::NotAcknowledged => "not_acknowledged",
            Self::NotDurable => "not_durable",
        }
    }
}

impl Board {
    /// A board for a node of so many shards. Installs nothing globally; call once.
    pub fn new(shards: usize) -> Arc<Self> {
        let started = clock::since_epoch();
        // There is a board once the first load was good.
        let state = State { load_success: started, ..State::default() };
        Arc::new(Self {
            shards: (0..shards).map(|_| Arc::default()).collect(),
            started,
            swaps: array::from_fn(|_| Histogram::default()),
            state: Mutex::new(state),
        })
    }

    /// The counters of a shard.
    pub fn shard(&self, shard: usize) -> Arc<count::Shard> {
        debug_assert!(shard < self.shards.len(), "shard {shard} of {}", self.shards.len());
        self.shards.get(shard).cloned().unwrap_or_default()
    }

    /// The counters of a listener on a shard; the same ones for the same name.
    pub fn listener(&self, shard: usize, name: &str) -> Arc<count::Listener> {
        of_shard(&mut self.state().listeners, name, shard, self.shards.len())
    }

    /// The counters of a listener on every shard, in their order.
    pub fn listener_of_shards(&self, name: &str) -> Vec<Arc<count::Listener>> {
        (0..self.shards.len()).map(|shard| self.listener(shard, name)).collect()
    }

    /// The counters of a target group on a shard; the same ones for the same name.
    pub fn target_group(&self, shard: usize, name: &str) -> Arc<count::TargetGroup> {
        of_shard(&mut self.state().target_groups, name, shard, self.shards.len())
    }

    /// Notes the memory budget, and how hard the node is pressed for it.
    pub fn overload(&self, budget_bytes: u64, level: Level) {
        self.state().overload = Some((budget_bytes, level));
    }

    /// Memory that clients hold, about.
    pub fn held_bytes(&self) -> u64 {
        let held: i64 = self.shards.iter().map(|shard| shard.held_bytes.get()).sum();
        held.try_into().unwrap_or_default()
    }

    /// Notes which engine runs, and whether the kernel refused io_uring.
    pub fn engine(&self, engine: Engine, io_uring_refused: bool) {
        self.state().io = Some((engine, io_uring_refused));
    }

    /// Counts a load of all files, and when it ended.
    pub fn reloaded(&self, outcome: Reload, now: Duration) {
        let mut state = self.state();
        state.reloads[outcome.index()] += 1;
        state.load_failing = outcome == Reload::Faulty;
        match outcome {
            Reload::Success | Reload::NotAcknowledged | Reload::NotDurable => {
                state.load_success = now;
            }
            Reload::Faulty => state.load_failure = now,
        }
    }

    /// Counts a command that changes trust. It says nothing of the files: a good one mends none of their
    /// faults, and a bad one leaves them as good as they are.
    pub fn commanded(&self, outcome: Reload) {
        self.state().reloads[outcome.index()] += 1;
    }

    /// Counts why a load was refused: each reason once.
    pub fn load_refused(&self, reasons: &BTreeSet<LoadReason>) {
        let mut state = self.state();
        for reason in reasons {
            state.load_failures[reason.index()] += 1;
        }
    }

    /// Notes how long a part of a swap took. For whoever makes changes, of which there is one at a time.
    pub fn swapped(&self, phase: Phase, took: Duration) {
        self.swaps[phase.index()].note(took.as_secs_f64());
    }

    /// Takes over what the live value says of itself at this time, and lets go of listeners and target
    /// groups that it no longer has. `generations` are those that the shards work by, in their order.
    /// For the control thread, before each [`Board::render`]: a shard that was late may have registered
    /// with an older generation.
    pub fn show(&self, live: &Live, generations: &[u64], now: UnixTime) {
        let expiry = Expiry::of(live, now);
        let mut state = self.state();
        keep(&mut state.listeners, &live.listeners, self.shards.len());
        keep(&mut state.target_groups, &live.target_groups, self.shards.len());
        state.generation = live.generation;
        state.generations = generations.to_vec();
        state.expiry = expiry;
        state.logs = live.logs.clone();
    }

    /// Prometheus' text, version 0.0.4.
    pub fn render(&self) -> String {
        let mut page = Page::new();
        // A copy, so that no shard waits for the writing.
        let state = self.state().clone();
        self.write_shards(&mut page);
        write_listeners(&mut page, &state.listeners);
        write_target_groups(&mut page, &state.target_groups);
        self.write_node(&mut page, &state);
        self.write_loads(&mut page, &state);
        state.expiry.write(&mut page);
        self.write_process(&mut page);
        page.finish()
    }

    fn write_shards(&self, page: &mut Page) {
        let total = |of: fn(&count::Shard) -> &count::Count| -> u64 {
            self.shards.iter().map(|shard| of(shard).get()).sum()
        };
        let sum = |of| [([], total(of))];
        page.counter(&names::CONNECTIONS_SHED, sum(|shard| &shard.shed));
        let of_relief = |relief: Relief| -> u64 {
            self.shards.iter().map(|shard| shard.overload[relief.index()].get()).sum()
        };
        let relieved = Relief::ALL.map(|relief| ([relief.word()], of_relief(relief)));
        page.counter(&names::OVERLOAD_CONNECTIONS, relieved);
        page.gauge(&names::CLIENT_MEMORY, [([], self.held_bytes() as f64)]);
        page.counter(&names::ACCEPT_ERRORS, sum(|shard| &shard.accept_errors));
        page.counter(&names::SWEEP_SLICES, sum(|shard| &shard.sweep_slices));
        let again = [
            (["path"], total(|shard| &shard.judged_by_path)),
            (["chain"], total(|shard| &shard.judged_whole)),
        ];
        page.counter(&names::CONNECTIONS_JUDGED_AGAIN, again);
        let longest = self.shards.iter().map(|shard| shard.sweep_slice_max.get()).max();
        page.gauge(&names::SWEEP_SLICE_MAX, [([], longest.unwrap_or_default().as_secs_f64())]);
        page.counter(&names::PANICS, sum(|shard| &shard.panics));
        let in_flight: i64 = self.shards.iter().map(|shard| shard.handshakes_in_flight.get()).sum();
        page.gauge(&names::HANDSHAKES_IN_FLIGHT, [([], in_flight as f64)]);
        page.gauge(&names::SHARDS, [([], self.shards.len() as f64)]);
    }

    fn write_node(&self, page: &mut Page, state: &State) {
        if let Some((engine, refused)) = state.io {
            page.gauge(&names::IO_ENGINE, [([engine.word()], 1.0)]);
            page.gauge(&names::IO_URING_REFUSED, [([], f64::from(u8::from(refused)))]);
        }
        if let Some((budget_bytes, level)) = state.overload {
            page.gauge(&names::MEMORY_BUDGET, [([], budget_bytes as f64)]);
            page.gauge(&names::OVERLOAD_LEVEL, [([], level.index() as f64)]);
        }
        page.gauge(&names::BUILD_INFO, [([env!("CARGO_PKG_VERSION")], 1.0)]);
        write_logs(page, &state.logs);
    }

    fn write_loads(&self, page: &mut Page, state: &State) {
        page.gauge(&names::GENERATION, [([], state.generation as f64)]);
        let shards: Vec<_> = (0..state.generations.len()).map(|index| index.to_string()).collect();
        let by_shard = shards.iter().zip(&state.generations);
        page.gauge(
            &names::SHARD_GENERATION,
            by_shard.map(|(shard, generation)| ([shard.as_str()], *generation as f64)),
        );
        let late = state.generations.iter().filter(|of| **of < state.generation).count();
        page.gauge(&names::SHARDS_LATE, [([], late as f64)]);
        let reloads = Reload::ALL.map(|outcome| ([outcome.word()], state.reloads[outcome.index()]));
        page.counter(&names::RELOADS, reloads);
        let failures =
            LoadReason::ALL.map(|reason| ([reason.word()], state.load_failures[reason.index()]));
        page.counter(&names::LOAD_FAILURES, failures);
        page.gauge(&names::LOAD_SUCCESS_TIME, [([], state.load_success.as_secs_f64())]);
        page.gauge(&names::LOAD_FAILURE_TIME, [([], state.load_failure.as_secs_f64())]);
        page.gauge(&names::LOAD_FAILING, [([], f64::from(u8::from(state.load_failing)))]);
        page.histogram(
            &names::SWAP_SECONDS,
            Phase::ALL.map(|phase| ([phase.word()], distribution([&self.swaps[phase.index()]]))),
        );
    }

    fn write_process(&self, page: &mut Page) {
        page.gauge(&names::PROCESS_START, [([], self.started.as_secs_f64())]);
        let seconds = proc::cpu_seconds().map(|seconds| ([], seconds));
        page.counter_of_seconds(&names::PROCESS_CPU, seconds);
        page.gauge(&names::PROCESS_MEMORY, proc::resident_bytes().map(|bytes| ([], bytes as f64)));
        page.gauge(&names::PROCESS_OPEN_FILES, proc::open_files().map(|count| ([], count)));
        page.gauge(&names::PROCESS_FILES_MAX, proc::files_max().map(|limit| ([], limit)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic could leave half done are numbers and names that the next `show` replaces.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_shard<T: Default>(
    counters: &mut Counters<T>,
    name: &str,
    shard: usize,
    shards: usize,
) -> Arc<T> {
    debug_assert!(shard < shards, "shard {shard} of {shards}");
    register(counters, name, shards);
    counters.get(name).and_then(|object| object.shards.get(shard)).cloned().unwrap_or_default()
}

fn register<T: Default>(counters: &mut Counters<T>, name: &str, shards: usize) {
    if !counters.contains_key(name) {
        let shards = (0..shards).map(|_| Arc::default()).collect();
        counters.insert(name.into(), Object { shards, live: true });
    }
}

/// The counters become those of `live`, and those of other names that a shard still holds.
fn keep<T: Default, L>(counters: &mut Counters<T>, live: &BTreeMap<Name, L>, shards: usize) {
    for name in live.keys() {
        register(counters, name, shards);
    }
    counters.retain(|name, object| {
        object.live = live.contains_key(name);
        object.live || object.shards.iter().any(|shard| Arc::strong_count(shard) > 1)
    });
}

/// What the page shows: names, and the counters of each shard.
fn shown<T>(counters: &Counters<T>) -> impl Iterator<Item = (&str, &[Arc<T>])> {
    let live = counters.iter().filter(|(_, object)| object.live);
    live.map(|(name, object)| (&**name, &*object.shards))
}

fn write_logs(page: &mut Page, logs: &Logs) {
    let each = |log: &Arc<Log>| [log.kind.word()];
    page.counter(&names::LOG_LINES_DROPPED, logs.iter().map(|log| (each(log), log.dropped())));
    let waiting = logs.iter().map(|log| (each(log), log.backlog_bytes() as f64));
    page.gauge(&names::LOG_BACKLOG, waiting);
    let blocked = logs.iter().map(|log| (each(log), log.blocked().as_secs_f64()));
    page.counter_of_seconds(&names::LOG_BLOCKED, blocked);
}

fn write_listeners(page: &mut Page, listeners: &Counters<count::Listener>) {
    page.counter(&names::CONNECTIONS_ACCEPTED, totals(listeners, |of| &of.accepted));
    page.counter(&names::RECEIVED_BYTES, totals(listeners, |of| &of.received_bytes));
    page.counter(&names::SENT_BYTES, totals(listeners, |of| &of.sent_bytes));
    page.gauge(
        &names::CONNECTIONS_OPEN,
        shown(listeners).map(|(name, shards)| {
            ([name], shards.iter().map(|of| of.open.get()).sum::<i64>() as f64)
        }),
    );
    let outcomes: Vec<_> = Handshake::all().map(Handshake::word).collect();
    page.counter(&names::HANDSHAKES, totals_by(listeners, &outcomes, |of| &of.handshakes));
    let outcomes: Vec<_> = Resumption::all().map(Resumption::word).collect();
    page.counter(&names::RESUMPTIONS, totals_by(listeners, &outcomes, |of| &of.resumptions));
    page.histogram(
        &names::HANDSHAKE_SECONDS,
        shown(listeners).map(|(name, shards)| {
            ([name], distribution(shards.iter().map(|shard| &shard.handshake_seconds)))
        }),
    );
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    page.counter(&names::RESPONSES, totals_by(listeners, &classes, |of| &of.responses));
    let malformed = Malformed::ALL.map(Malformed::word);
    page.counter(&names::MALFORMED, totals_by(listeners, &malformed, |of| &of.malformed));
    let actions = InvalidNames::ALL.map(InvalidNames::word);
    page.counter(&names::INVALID_NAMES, totals_by(listeners, &actions, |of| &of.invalid_names));
    let words = ClassReason::ALL.map(ClassReason::word);
    let by_reason = totals_by(listeners, &words, |of| &of.classified);
    let by_class = by_reason.zip(ClassReason::ALL.iter().cycle());
    page.counter(
        &names::CLASSIFIED,
        by_class
            .map(|(([name, word], total), reason)| ([name, reason.class().word(), word], total)),
    );
    let frames = Flood::ALL.map(Flood::word);
    page.counter(&names::HTTP2_FLOODS, totals_by(listeners, &frames, |of| &of.http2_floods));
    let refused = totals(listeners, |of| &of.http2_streams_refused);
    page.counter(&names::HTTP2_STREAMS_REFUSED, refused);
    let refusals = Refusal::ALL.map(|refusal| Handshake::Refused(refusal).word());
    let ended = totals_by(listeners, &refusals, |of| &of.ended_by_trust);
    page.counter(&names::CONNECTIONS_ENDED_BY_TRUST, ended);
    let reasons = Reason::ALL.map(Reason::word);
    page.counter(&names::REQUESTS_FAILED, totals_by(listeners, &reasons, |of| &of.failed));
    page.counter(&names::CONNECTIONS_CLOSED, totals_by(listeners, &reasons, |of| &of.closed));
}

fn write_target_groups(page: &mut Page, groups: &Counters<count::TargetGroup>) {
    page.counter(&names::UPSTREAM_REQUESTS, totals(groups, |of| &of.requests));
    page.counter(&names::UPSTREAM_RETRIES, totals(groups, |of| &of.retries));
    page.counter(&names::UPSTREAM_CONNECTIONS, totals(groups, |of| &of.connections));
    let reasons = Reason::ALL.map(Reason::word);
    page.counter(&names::UPSTREAM_ERRORS, totals_by(groups, &reasons, |of| &of.errors));
}

/// One series for each object: the sum over its shards.
fn totals<T>(
    counters: &Counters<T>,
    of: impl Fn(&T) -> &count::Count,
) -> impl Iterator<Item = ([&str; 1], u64)> {
    shown(counters)
        .map(move |(name, shards)| ([name], shards.iter().map(|shard| of(shard).get()).sum()))
}

/// One series for each object and word, whether anything was counted or not. `words[i]` belongs to
/// `of(..)[i]`.
fn totals_by<'a, T>(
    counters: &'a Counters<T>,
    words: &'a [&'static str],
    of: impl Fn(&T) -> &[count::Count] + Copy,
) -> impl Iterator<Item = ([&'a str; 2], u64)> {
    shown(counters).flat_map(move |(name, shards)| {
        words.iter().enumerate().map(move |(index, word)| {
            let shards = shards.iter().filter_map(|shard| of(shard).get(index));
            ([name, *word], shards.map(count::Count::get).sum())
        })
    })
}

/// Several histograms added up.
fn distribution<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Distribution {
    let mut totals = [0; HISTOGRAM_SECONDS.len() + 1];
    let mut sum = 0.0;
    for histogram in histograms {
        for (total, count) in totals.iter_mut().zip(histogram.counts()) {
            *total += count;
        }
        sum += histogram.sum_seconds();
    }
    Distribution {
        buckets: HISTOGRAM_SECONDS.into_iter().zip(totals).collect(),
        above: totals[HISTOGRAM_SECONDS.len()],
        sum,
    }
}

#[cfg(test)]
mod tests;
