//! `portcullis-load requests`: requests on connections that are kept, by HTTP/1.1 or HTTP/2.
//!
//! All connections are opened before the clock starts: how long that takes is no latency of a request. A
//! connection that the server ends between two requests, as it may, is opened anew, and counted as ended in
//! order; one that ends under a request is a failure. What fails is counted, and the connection with it.
use crate::connection::{Opener, Stream};
use crate::failure::Failure;
use crate::http::{Answer, Asked, Http1, Http2, Unanswered};
use crate::options::{CommonOptions, LoadOptions, Ready};
use crate::probe::Protocol;
use crate::run::{Lane, Plan};
use clap::Args;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Connections that may end before they have looked at a request, until it has failed.
const TRIES_MAX: u32 = 3;

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// By HTTP/2, with so many requests at a time on each connection; without: by HTTP/1.1, one at a time
    #[arg(
        long, value_name = "N", help_heading = "Requests",
        value_parser = clap::value_parser!(u16).range(1..=10_000)
    )]
    http2_streams: Option<u16>,
    #[command(flatten)]
    load: LoadOptions,
}

/// What each lane does.
#[derive(Debug)]
struct Work {
    opener: Opener,
    asked: Asked,
    /// Requests at a time on each connection, by HTTP/2; none is HTTP/1.1.
    http2_streams: Option<u16>,
}

/// The HTTP/2 connection of a lane.
#[derive(Debug, Default)]
struct Shared {
    /// With its number, so that whoever finds it broken takes away no newer one.
    current: RefCell<Option<(u64, Http2)>>,
    opening: Mutex<u64>,
    /// Signs of life: requests that were answered, in whatever way.
    answered: Cell<u64>,
}

/// Makes one request to see that it can be done, and then the load. Answers how many requests failed.
///
/// # Errors
/// A sentence that says why nothing was measured.
pub(crate) fn run(options: &Options) -> Result<u64, String> {
    let Options { common, http2_streams, load } = options;
    let protocol = if http2_streams.is_some() { Protocol::Http2 } else { Protocol::Http1 };
    let Ready { opener, asked, mut setting } = common.begin("requests", protocol, 0)?;
    let connections = load.pace.connections();
    setting.connections = Some(connections as u64);
    setting.streams = *http2_streams;
    let work = Arc::new(Work { opener, asked, http2_streams: *http2_streams });
    let threads = load.pace.threads().at_most(connections);
    let (pace, bounds) = (load.pace.pace(), load.bounds());
    let plan = Plan { pace, bounds, threads, lanes: connections, opens_first: true };
    common.carry_out(setting, &plan, move |lane| Arc::clone(&work).lane(lane))
}

impl Work {
    /// One connection, and whoever works on it.
    async fn lane(self: Arc<Self>, mut lane: Lane) {
        let Some(streams) = self.http2_streams else { return self.http1(lane).await };
        let shared = Rc::new(Shared::default());
        if let Err(failure) = self.opener.in_time(self.current(&lane, &shared)).await {
            lane.notes.not_opened(failure);
        }
        lane.ready().await;
        let works = (0..streams).map(|_| {
            let (work, lane, shared) = (Arc::clone(&self), lane.clone(), Rc::clone(&shared));
            tokio::task::spawn_local(async move { work.http2(&lane, &shared).await })
        });
        for work in works.collect::<Vec<_>>() {
            // A bug of ours in one is no reason to give up the others.
            let _ = work.await;
        }
    }

    /// Requests one after the other on a connection.
    async fn http1(&self, mut lane: Lane) {
        let opened = self.opener.in_time(self.open(&lane)).await;
        let opened = opened.inspect_err(|failure| lane.notes.not_opened(*failure));
        let mut kept = opened.ok().map(Http1::new);
        lane.ready().await;
        while let Some(turn) = lane.turns.next().await {
            let began = turn.begin();
            match self.opener.in_time(self.request(&lane, &mut kept)).await {
                Ok(answer) => {
                    lane.notes.done(began);
                    lane.notes.received(answer.content_bytes);
                }
                Err(failure) => {
                    lane.notes.failed(failure);
                    kept = kept.filter(Http1::keeps);
                }
            }
        }
        if let Some(http1) = kept {
            self.opener.close(http1.into_stream()).await;
        }
    }

    /// A request on the connection that is kept, or on another where there is none any more.
    async fn request(&self, lane: &Lane, kept: &mut Option<Http1>) -> Result<Answer, Failure> {
        if let Some(http1) = kept
            && http1.has_ended().await?
        {
            lane.notes.tell(|events, _| events.end());
            *kept = None;
        }
        let http1 = match kept {
            Some(http1) => http1,
            None => kept.insert(Http1::new(self.open(lane).await?)),
        };
        let answer = http1.ask(&self.asked, false).await?;
        if !answer.keeps {
            lane.notes.tell(|events, _| events.end());
            *kept = None;
        }
        Ok(answer)
    }

    /// One of the requests at a time on a shared connection.
    async fn http2(&self, lane: &Lane, shared: &Shared) {
        while let Some(turn) = lane.turns.next().await {
            let began = turn.begin();
            let (mut used, answered) = (None, shared.answered.get());
            let outcome = self.opener.in_time(async {
                let mut tries = 0;
                loop {
                    let (number, http2) = self.current(lane, shared).await?;
                    used = Some(number);
                    tries += 1;
                    match http2.ask(&self.asked).await {
                        Ok(answer) => return Ok(answer),
                        Err(Unanswered::NotProcessed(_)) if tries < TRIES_MAX => {
                            shared.give_up(number);
                        }
                        Err(unanswered) => return Err(Failure::from(unanswered)),
                    }
                }
            });
            let answers = match outcome.await {
                Ok(answer) => {
                    lane.notes.done(began);
                    lane.notes.received(answer.content_bytes);
                    true
                }
                Err(failure) => {
                    lane.notes.failed(failure);
                    // Where others were answered meanwhile, only this one was forgotten.
                    let others = failure == Failure::Timeout && shared.answered.get() > answered;
                    if let (false, Some(number)) = (others || failure.spares_connection(), used) {
                        shared.give_up(number);
                    }
                    failure.spares_connection()
                }
            };
            shared.answered.update(|count| count + u64::from(answers));
        }
    }

    /// The connection that all share, opened where there is none.
    async fn current(&self, lane: &Lane, shared: &Shared) -> Result<(u64, Http2), Failure> {
        let mut count = shared.opening.lock().await;
        if let Some(current) = &*shared.current.borrow() {
            return Ok(current.clone());
        }
        let http2 = Http2::begin(self.open(lane).await?).await?;
        *count += 1;
        *shared.current.borrow_mut() = Some((*count, http2.clone()));
        Ok((*count, http2))
    }

    /// A connection of the lane's client.
    async fn open(&self, lane: &Lane) -> Result<Stream, Failure> {
        let opened = self.opener.open(lane.number as u64).await?;
        lane.notes.opened(opened.handshake, opened.took);
        Ok(opened.stream)
    }
}

impl Shared {
    /// Has the next request open another connection.
    fn give_up(&self, number: u64) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_some_and(|(own, _)| *own == number) {
            *current = None;
        }
    }
}
