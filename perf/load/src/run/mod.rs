//! Carries out a plan: threads, each with an event loop, whose lanes take turns until it is enough.
//!
//! A lane is a task that makes one attempt after the other; what an attempt is, is the command's business. When
//! the next one begins, [`turns`] says. All that comes of it is noted in the thread's own [`Notes`], and summed
//! up at the end.
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use timer::Timer;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch as signal};
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
    /// From the first attempt to the end of the last.
    pub(crate) elapsed: Duration,
    /// CPU time of the threads that made the load.
    pub(crate) cpu: Duration,
}

/// What a lane gets.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Which one of the run it is.
    pub(crate) number: usize,
    pub(crate) turns: Rc<Turns>,
    pub(crate) notes: Rc<Notes>,
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    bounds: Bounds,
    threads: usize,
    start: Instant,
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
        let lane = Arc::new(lane);
        let (working, over) = mpsc::channel::<()>(1);
        let mut threads = Vec::new();
        for index in 0..self.threads.count() {
            let (plan, lane) = (self.clone(), Arc::clone(&lane));
            let (working, shared) = (working.clone(), Arc::clone(&shared));
            let work = move || {
                let _working = working;
                plan.work(index, shared, &*lane)
            };
            threads.push(thread::Builder::new().name(format!("load-{index}")).spawn(work)?);
        }
        drop(working);
        watching.block_on(watch::watch(&shared, interrupts, over));
        let (mut tally, mut cpu) = (Tally::new(), Duration::ZERO);
        for thread in threads {
            let part = thread.join().unwrap_or_else(|_| Err(io::Error::other("a bug of ours")))?;
            tally.add(&part.0);
            cpu += part.1;
        }
        let attempted = shared.attempted.load(Ordering::Relaxed);
        Ok(Outcome { tally, attempted, elapsed: shared.start.elapsed(), cpu })
    }

    /// The work of one thread.
    fn work<W, F>(
        &self,
        thread: usize,
        shared: Arc<Shared>,
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
            Pace::Concurrency(_) => Turns::closed(shared),
            Pace::Rate { per_second, outstanding_max } => {
                let timer = runtime.block_on(async { Timer::new() })?;
                let share = self.threads.share(outstanding_max, thread).max(1);
                let (turns, schedule) =
                    Turns::open(shared, per_second, share, timer, Rc::clone(&notes));
                tasks.spawn_local(schedule.keep(thread));
                turns
            }
        };
        let turns = Rc::new(turns);
        for number in (thread..self.lanes).step_by(self.threads.count()) {
            let lane_of = Lane { number, turns: Rc::clone(&turns), notes: Rc::clone(&notes) };
            tasks.spawn_local(lane(lane_of));
        }
        // Ends with the last task.
        runtime.block_on(tasks);
        Ok((notes.take(), threads::cpu_time()))
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
            start: Instant::now(),
            asked: AtomicU64::new(0),
            attempted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            stop: signal::Sender::new(false),
        }
    }

    /// Whether attempt `index`, to begin then, is one too many.
    fn is_enough(&self, index: u64, begin: Instant) -> bool {
        let Bounds { count, duration } = self.bounds;
        count.is_some_and(|count| index >= count)
            || duration.is_some_and(|duration| begin >= self.start + duration)
            || self.stopped.load(Ordering::Relaxed)
    }
}
