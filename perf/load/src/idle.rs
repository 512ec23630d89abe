//! `portcullis-load idle`: connections that are opened, and then held.
use crate::connection::{Opener, until_end};
use crate::failure::Failure;
use crate::http::{Asked, Http1};
use crate::options::{CommonOptions, PaceOptions, Ready, Words, seconds};
use crate::probe::Protocol;
use crate::run::{self, Bounds, Lane, Plan};
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch::Sender;

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Requests on each connection before it is held; 0 for none, and then a client that is refused is told apart
    /// from one that is let in by the loss of its connection alone
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Requests")]
    requests: u32,
    /// Connections to hold
    #[arg(
        long, value_name = "N", help_heading = "Load",
        value_parser = clap::value_parser!(u64).range(1..=10_000_000)
    )]
    connections: u64,
    /// Hold them for so many seconds, once all are open
    #[arg(
        long, value_name = "SECONDS", default_value = "10", help_heading = "Load",
        value_parser = seconds
    )]
    duration: Duration,
    #[command(flatten)]
    pace: PaceOptions,
}

/// What each lane does.
#[derive(Debug)]
struct Work {
    opener: Opener,
    asked: Asked,
    requests: u32,
    duration: Duration,
    words: Words,
    /// Lanes that still open connections.
    at_it: AtomicUsize,
    /// Connections that stand.
    held: AtomicU64,
    /// It has lasted long enough.
    over: Sender<bool>,
}

/// Makes one attempt to see that it can be done, and then opens and holds. Answers how many connections could not
/// be opened or were lost.
///
/// # Errors
/// A sentence that says why nothing was held.
pub(crate) fn run(options: &Options) -> Result<u64, String> {
    let Options { common, requests, connections, duration, pace } = options;
    pace.either()?;
    let files_max = run::raise_file_limit().unwrap_or(u64::MAX);
    if connections.saturating_add(FILES_BESIDE) > files_max {
        return Err(format!(
            "--connections {connections}: the limit of open files is {files_max} (ulimit -Hn)"
        ));
    }
    let Ready { opener, asked, mut setting } = common.begin("idle", Protocol::Http1, 0)?;
    setting.connections = Some(*connections);
    setting.requests_per_connection = Some(*requests);
    let (pace, threads) = (pace.pace(), pace.threads());
    let lanes = pace.lanes();
    let work = Arc::new(Work {
        opener,
        asked,
        requests: *requests,
        duration: *duration,
        words: common.words(),
        at_it: AtomicUsize::new(lanes),
        held: AtomicU64::new(0),
        over: Sender::new(false),
    });
    let bounds = Bounds { count: Some(*connections), duration: None };
    let plan = Plan { pace, bounds, threads: threads.at_most(lanes), lanes, opens_first: false };
    common.carry_out(setting, &plan, move |lane| Arc::clone(&work).lane(lane))
}

/// Files that are open besides connections.
const FILES_BESIDE: u64 = 64;

impl Work {
    async fn lane(self: Arc<Self>, lane: Lane) {
        while let Some(turn) = lane.turns.next().await {
            let began = turn.begin();
            match self.opener.in_time(Box::pin(self.open(turn.index, &lane))).await {
                Ok(http1) => {
                    lane.notes.done(began);
                    self.held.fetch_add(1, Ordering::Relaxed);
                    let (work, lane) = (Arc::clone(&self), lane.clone());
                    tokio::task::spawn_local(work.hold(turn.index, http1, lane));
                }
                Err(failure) => lane.notes.failed(failure),
            }
        }
        if self.at_it.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.end(lane).await;
        }
    }

    async fn open(&self, turn: u64, lane: &Lane) -> Result<Http1, Failure> {
        let opened = self.opener.open(turn).await?;
        lane.notes.opened(opened.handshake, opened.took);
        let mut http1 = Http1::new(opened.stream);
        for _ in 0..self.requests {
            let answer = http1.ask(&self.asked, false).await?;
            lane.notes.received(answer.content_bytes);
            if !answer.keeps {
                return Err(Failure::Closed);
            }
        }
        Ok(http1)
    }

    /// Holds a connection until it is over with it, or with all.
    async fn hold(self: Arc<Self>, turn: u64, http1: Http1, lane: Lane) {
        let mut over = self.over.subscribe();
        let mut stream = http1.into_stream();
        let lost = tokio::select! {
            failure = until_end(&mut stream) => Some(failure),
            _ = over.wait_for(|over| *over) => None,
            () = lane.notes.stopped() => None,
        };
        match lost {
            Some(failure) => {
                self.held.fetch_sub(1, Ordering::Relaxed);
                let client = self.opener.client(turn).map_or("", |client| &client.name);
                lane.notes.tell(|events, at| events.lose(at, client, failure));
            }
            None => self.opener.close(stream).await,
        }
    }

    /// All that could be opened are open: says so, for whoever wants to look at the server now, and waits.
    async fn end(&self, lane: Lane) {
        let (held, seconds) = (self.held.load(Ordering::Relaxed), self.duration.as_secs_f64());
        self.words.say(format_args!("{held} connections are open, for {seconds} s"));
        tokio::select! {
            () = tokio::time::sleep(self.duration) => {}
            () = lane.notes.stopped() => {}
        }
        self.over.send_replace(true);
    }
}
