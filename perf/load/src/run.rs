//! Carries out a plan: threads, each with an event loop, that make attempts until it is enough.
//!
//! A closed loop keeps so many attempts going, and starts one when another is over. An open loop starts
//! each at its time, whatever has become of the others, and counts latency from that time: a server that
//! stalls cannot hide it by slowing the load down.
use crate::attempt::Target;
use crate::pace::Timer;
use crate::tally::Tally;
use rustls::ClientConfig;
use serde::Serialize;
use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

/// Attempts of an open loop that one thread has going at once. Later ones wait, and their latency shows it.
const IN_FLIGHT_MAX: usize = 4_096;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// At least one; attempts take them in turn.
    pub(crate) clients: Vec<Arc<ClientConfig>>,
    pub(crate) pace: Pace,
    pub(crate) bounds: Bounds,
    /// At least one.
    pub(crate) threads: usize,
}

/// When attempts begin.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// So many are going at any time.
    Concurrency(usize),
    /// So many begin in each second.
    Rate(f64),
}

/// When it is enough: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) count: Option<u64>,
    pub(crate) duration: Option<Duration>,
}

/// What came of a plan.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// From the first attempt to the end of the last.
    pub(crate) elapsed: Duration,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    start: Instant,
    /// Attempts begun in a closed loop.
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    /// Somebody wants to see what there is.
    stopped: AtomicBool,
}

impl Plan {
    /// Carries it out. On a terminal a line shows how it goes; Ctrl-C ends it with what there is.
    ///
    /// # Errors
    /// Where the system gives no threads or event loops.
    pub(crate) fn carry_out(self) -> io::Result<Outcome> {
        let shared = Arc::new(Shared {
            plan: self,
            start: Instant::now(),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let (working, over) = mpsc::channel::<()>(1);
        let mut threads = Vec::new();
        for index in 0..shared.plan.threads {
            let (working, shared) = (working.clone(), Arc::clone(&shared));
            threads.push(thread::Builder::new().name(format!("load-{index}")).spawn(
                move || {
                    let _working = working;
                    shared.work(index)
                },
            )?);
        }
        drop(working);
        event_loop()?.block_on(shared.watch(over));
        let mut tally = Tally::new();
        for thread in threads {
            let part = thread.join().unwrap_or_else(|_| Err(io::Error::other("a bug of ours")))?;
            tally.add(&part);
        }
        Ok(Outcome { tally, elapsed: shared.start.elapsed() })
    }
}

/// An event loop for the calling thread.
pub(crate) fn event_loop() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

impl Shared {
    /// The work of one thread.
    fn work(self: Arc<Self>, thread: usize) -> io::Result<Tally> {
        let tally = Rc::new(RefCell::new(Tally::new()));
        let runtime = event_loop()?;
        let tasks = LocalSet::new();
        match self.plan.pace {
            Pace::Concurrency(concurrency) => {
                let threads = self.plan.threads;
                let share = concurrency / threads + usize::from(thread < concurrency % threads);
                for _ in 0..share {
                    tasks.spawn_local(Arc::clone(&self).closed(Rc::clone(&tally)));
                }
            }
            Pace::Rate(rate) => {
                let timer = runtime.block_on(async { Timer::new() })?;
                tasks.spawn_local(Arc::clone(&self).open(thread, rate, timer, Rc::clone(&tally)));
            }
        }
        // Ends with the last task.
        runtime.block_on(tasks);
        Ok(tally.replace(Tally::new()))
    }

    /// One attempt after the other, until it is enough.
    async fn closed(self: Arc<Self>, tally: Rc<RefCell<Tally>>) {
        loop {
            let began = Instant::now();
            let index = self.begun.fetch_add(1, Ordering::Relaxed);
            if self.is_enough(index, began) {
                return;
            }
            self.attempt(index, began, &tally).await;
        }
    }

    /// This thread's share of the attempts, each at its time.
    async fn open(
        self: Arc<Self>,
        thread: usize,
        rate: f64,
        timer: Timer,
        tally: Rc<RefCell<Tally>>,
    ) {
        let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        for index in (thread as u64..).step_by(self.plan.threads) {
            let due = self.start + Duration::from_secs_f64(index as f64 / rate);
            if self.is_enough(index, due) || timer.until(due).await.is_err() {
                return;
            }
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let (shared, tally) = (Arc::clone(&self), Rc::clone(&tally));
            tokio::task::spawn_local(async move {
                let _place = place;
                shared.attempt(index, due, &tally).await;
            });
        }
    }

    /// Whether attempt `index`, to begin then, is one too many.
    fn is_enough(&self, index: u64, begin: Instant) -> bool {
        let Bounds { count, duration } = self.plan.bounds;
        count.is_some_and(|count| index >= count)
            || duration.is_some_and(|duration| begin >= self.start + duration)
            || self.stopped.load(Ordering::Relaxed)
    }

    async fn attempt(&self, index: u64, began: Instant, tally: &RefCell<Tally>) {
        let clients = &self.plan.clients;
        let turn = usize::try_from(index % clients.len() as u64).unwrap_or(0);
        let Some(client) = clients.get(turn) else { return };
        let outcome = self.plan.target.attempt(client).await;
        let counter = if outcome.is_ok() { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        tally
            .borrow_mut()
            .note(outcome.as_ref().map(drop).map_err(|failure| *failure), began.elapsed());
        if let Ok(answered) = outcome {
            answered.close().await;
        }
    }

    /// Waits until all threads are over, and shows meanwhile how it goes.
    async fn watch(&self, mut over: mpsc::Receiver<()>) {
        let is_shown = io::stderr().is_terminal();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut before = 0;
        loop {
            tokio::select! {
                _ = over.recv() => break,
                _ = tokio::signal::ctrl_c() => self.stopped.store(true, Ordering::Relaxed),
                _ = second.tick(), if is_shown => {
                    let done = self.done.load(Ordering::Relaxed);
                    let failed = self.failed.load(Ordering::Relaxed);
                    let (seconds, new) = (self.start.elapsed().as_secs(), done - before);
                    eprint!("\r{seconds:5} s  {done:9} done  {new:7}/s  {failed:7} failed ");
                    before = done;
                }
            }
        }
        if is_shown {
            eprintln!();
        }
    }
}
