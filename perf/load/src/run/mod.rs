//! Carries out a plan: threads, each with an event loop, whose lanes take turns until it is enough.
//!
//! A lane is a task that makes one attempt after the other; what an attempt is, is the command's business. When
//! the next one begins, [`turns`] says. The clock of a run may wait until every lane is ready. All that comes of
//! it is noted in the thread's own [`Notes`], and summed up at the end.
mod notes;
mod threads;
mod timer;
mod turns;
mod watch;

pub(crate) use notes::Notes;
pub(crate) use threads::{Threads, raise_file_limit};
pub(crate) use turns::Turns;

use crate::tally::Tally;
use serde::Serialize;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use timer::Timer;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{SetOnce, mpsc, watch as signal};
use tokio::task::LocalSet;

/// How a run goes on.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    pub(crate) bounds: Bounds,
    /// No more than there are lanes that take turns.
    pub(crate) threads: Threads,
    /// Tasks that take turns, over all threads.
    pub(crate) lanes: usize,
    /// The clock waits until each of them has opened its connection and calls [`Lane::ready`].
    pub(crate) opens_first: bool,
}

/// When attempts begin.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// So many are going at any time.
    Concurrency(usize),
    /// So many begin in each second.
    Rate {
        per_second: f64,
        /// Over all threads, waiting or under way at once.
        outstanding_max: usize,
    },
}

/// When it is enough: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) count: Option<u64>,
    pub(crate) duration: Option<Duration>,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Turns that were due or taken.
    pub(crate) attempted: u64,
    /// How long the clock has waited, where it waits.
    pub(crate) opening: Option<Duration>,
    /// From the first attempt to the end of the last.
    pub(crate) elapsed: Duration,
    /// CPU time of the threads that made the load, meanwhile.
    pub(crate) cpu: Duration,
}

/// What a lane gets.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Which one of the run it is.
    pub(crate) number: usize,
    pub(crate) turns: Rc<Turns>,
    pub(crate) notes: Rc<Notes>,
    /// Until it is ready, where the clock waits for that.
    start: Option<Arc<Start>>,
}

/// Starts the clock once nobody has it any more: every lane is ready, or is gone.
#[derive(Debug)]
struct Start(Arc<Shared>);

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    bounds: Bounds,
    threads: usize,
    /// Not before the clock is started.
    start: SetOnce<Instant>,
    /// Turns that a closed loop was asked for.
    asked: AtomicU64,
    /// Turns that were due or taken.
    attempted: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    /// Somebody wants to see what there is.
    stopped: AtomicBool,
    /// The same, for whoever waits.
    stop: signal::Sender<bool>,
    /// Processes that must not outlive this one, however it ends: the number of their group, or 0.
    group: AtomicI32,
}

impl Plan {
    /// Carries it out: `lane` is called for each lane, on its thread. On a terminal a line shows how it goes;
    /// Ctrl-C ends it with what there is.
    ///
    /// # Errors
    /// Where the system gives no threads or event loops.
    pub(crate) fn carry_out<W, F>(&self, lane: W) -> io::Result<Outcome>
    where
        W: Fn(Lane) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        self.threads.check()?;
        let watching = event_loop()?;
        // Before there is load: until then Ctrl-C ends the process without a word.
        let interrupts = watching.block_on(watch::interrupts())?;
        let shared = Arc::new(Shared::new(self.bounds, self.threads.count()));
        let opening = Instant::now();
        // Where nothing is opened first, this is given up at once.
        let start = self.opens_first.then_some(Arc::new(Start(Arc::clone(&shared))));
        let lane = Arc::new(lane);
        let (working, over) = mpsc::channel::<()>(1);
        let mut threads = Vec::new();
        for index in 0..self.threads.count() {
            let (plan, lane) = (self.clone(), Arc::clone(&lane));
            let (working, shared, start) = (working.clone(), Arc::clone(&shared), start.clone());
            let work = move || {
                let _working = working;
                plan.work(index, shared, start, &*lane)
            };
            threads.push(thread::Builder::new().name(format!("load-{index}")).spawn(work)?);
        }
        drop((working, start));
        watching.block_on(watch::watch(&shared, interrupts, over));
        let (mut tally, mut cpu) = (Tally::new(), Duration::ZERO);
        for thread in threads {
            let part = thread.join().unwrap_or_else(|_| Err(io::Error::other("a bug of ours")))?;
            tally.add(&part.0);
            cpu += part.1;
        }
        let attempted = shared.attempted.load(Ordering::Relaxed);
        let started = shared.start.get().copied().unwrap_or(opening);
        let opening = self.opens_first.then(|| started - opening);
        Ok(Outcome { tally, attempted, opening, elapsed: started.elapsed(), cpu })
    }

    /// The work of one thread.
    fn work<W, F>(
        &self,
        thread: usize,
        shared: Arc<Shared>,
        start: Option<Arc<Start>>,
        lane: &W,
    ) -> io::Result<(Tally, Duration)>
    where
        W: Fn(Lane) -> F,
        F: Future<Output = ()> + 'static,
    {
        self.threads.settle(thread)?;
        let notes = Rc::new(Notes::new(Arc::clone(&shared)));
        let runtime = event_loop()?;
        let tasks = LocalSet::new();
        let turns = match self.pace {
            Pace::Concurrency(_) => Turns::closed(Arc::clone(&shared)),
            Pace::Rate { per_second, outstanding_max } => {
                let timer = runtime.block_on(async { Timer::new() })?;
                let share = self.threads.share(outstanding_max, thread).max(1);
                let (turns, schedule) =
                    Turns::open(Arc::clone(&shared), per_second, share, timer, Rc::clone(&notes));
                tasks.spawn_local(schedule.keep(thread));
                turns
            }
        };
        let turns = Rc::new(turns);
        for number in (thread..self.lanes).step_by(self.threads.count()) {
            let (turns, notes) = (Rc::clone(&turns), Rc::clone(&notes));
            tasks.spawn_local(lane(Lane { number, turns, notes, start: start.clone() }));
        }
        drop(start);
        runtime.block_on(tasks.run_until(shared.start.wait()));
        let opening = threads::cpu_time();
        // Ends with the last task.
        runtime.block_on(tasks);
        Ok((notes.take(), threads::cpu_time().saturating_sub(opening)))
    }
}

impl Lane {
    /// Waits for the others, where a plan opens first. The clock has started then.
    pub(crate) async fn ready(&mut self) {
        drop(self.start.take());
        self.turns.started().await;
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        // Nobody else sets it.
        let _ = self.0.start.set(Instant::now());
    }
}

/// An event loop for the calling thread.
///
/// # Errors
/// Where the system gives none.
pub(crate) fn event_loop() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

impl Shared {
    fn new(bounds: Bounds, threads: usize) -> Self {
        Self {
            bounds,
            threads,
            start: SetOnce::new(),
            asked: AtomicU64::new(0),
            attempted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            stop: signal::Sender::new(false),
            group: AtomicI32::new(0),
        }
    }

    /// Whether attempt `index`, to begin then, is one too many.
    fn is_enough(&self, index: u64, begin: Instant) -> bool {
        let Bounds { count, duration } = self.bounds;
        count.is_some_and(|count| index >= count)
            || duration.zip(self.start.get()).is_some_and(|(all, start)| begin >= *start + all)
            || self.stopped.load(Ordering::Relaxed)
    }

    /// How long the run has lasted; nothing before the clock has started.
    fn since_start(&self, now: Instant) -> Duration {
        self.start.get().map_or(Duration::ZERO, |start| now.saturating_duration_since(*start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// One of the lanes is gone before it is ready: that keeps nobody waiting.
    #[test]
    fn the_clock_starts_when_every_lane_is_ready_or_gone() {
        const LANES: usize = 5;
        let bounds = Bounds { count: Some(20), duration: None };
        let threads = Threads::Anywhere(2);
        for pace in [Pace::Concurrency(LANES), Pace::Rate { per_second: 1e6, outstanding_max: 64 }]
        {
            let opened = Arc::new((AtomicUsize::new(0), SetOnce::new()));
            let threads = threads.clone();
            let plan = Plan { pace, bounds, threads, lanes: LANES, opens_first: true };
            let outcome = plan.carry_out(move |mut lane| {
                let opened = Arc::clone(&opened);
                async move {
                    if opened.0.fetch_add(1, Ordering::Relaxed) + 1 == LANES {
                        opened.1.set(Instant::now()).unwrap();
                        return;
                    }
                    lane.ready().await;
                    while let Some(turn) = lane.turns.next().await {
                        assert!(turn.begin() >= *opened.1.get().unwrap());
                        lane.notes.done(turn.begin());
                    }
                }
            });
            let outcome = outcome.unwrap();
            assert_eq!((outcome.attempted, outcome.tally.done()), (20, 20));
            assert!(outcome.opening.is_some());
        }
    }
}
