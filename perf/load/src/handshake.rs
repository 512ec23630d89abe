//! `portcullis-load handshake`: new connections, each with a handshake of its own and some requests.
use crate::connection::{Opener, Stream};
use crate::failure::Failure;
use crate::http::{Asked, Http1};
use crate::options::{CommonOptions, LoadOptions, Ready};
use crate::probe::Protocol;
use crate::run::{self, Lane, Notes, Plan};
use clap::Args;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::LocalSet;

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Requests on each connection
    #[arg(
        long, value_name = "N", default_value_t = 1, help_heading = "Requests",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    requests: u32,
    /// Of a hundred connections, how many resume a session of the same client; the others shake hands in full
    #[arg(
        long, value_name = "PERCENT", default_value_t = 0, help_heading = "Clients",
        value_parser = clap::value_parser!(u32).range(..=100)
    )]
    resume: u32,
    #[command(flatten)]
    load: LoadOptions,
}

/// What each attempt does.
#[derive(Debug)]
struct Work {
    opener: Opener,
    asked: Asked,
    requests: u32,
}

/// Makes one attempt to see that it can be done, and then the load. Answers how many attempts failed.
///
/// # Errors
/// A sentence that says why nothing was measured.
pub(crate) fn run(options: &Options) -> Result<u64, String> {
    let Options { common, requests, resume, load } = options;
    load.pace.either()?;
    let Ready { opener, asked, mut setting } =
        common.begin("handshake", Protocol::Http1, *resume)?;
    setting.requests_per_connection = Some(*requests);
    let work = Arc::new(Work { opener, asked, requests: *requests });
    let pace = load.pace.pace();
    if *resume > 0 {
        let failed = warm_up(&work, pace.lanes()).map_err(|error| error.to_string())?;
        let told = |failure: Failure| failure.sentence(&setting.connect, &setting.server_name);
        failed.map_or(Ok(()), |failure| Err(told(failure)))?;
    }
    let threads = load.pace.threads().at_most(pace.lanes());
    let plan =
        Plan { pace, bounds: load.bounds(), threads, lanes: pace.lanes(), opens_first: false };
    common.carry_out(setting, &plan, move |lane| Arc::clone(&work).lane(lane))
}

/// Connections that get tickets at once.
const WARMING_UP_MAX: usize = 32;

/// Tickets that one client gets before the run.
const TICKETS_MAX: usize = 256;

/// Gives each client tickets for what it will have open at once, by connections in full that nobody counts.
/// Answers what went wrong with one of them.
fn warm_up(work: &Arc<Work>, lanes: usize) -> io::Result<Option<Failure>> {
    let clients = work.opener.clients.len();
    let count = clients * lanes.div_ceil(clients).min(TICKETS_MAX);
    let tasks = LocalSet::new();
    let (begun, failed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    for _ in 0..WARMING_UP_MAX.min(count) {
        let (work, begun, failed) = (Arc::clone(work), Rc::clone(&begun), Rc::clone(&failed));
        tasks.spawn_local(async move {
            while begun.get() < count && failed.get().is_none() {
                let index = begun.replace(begun.get() + 1);
                match work.opener.in_time(work.get_ticket(index as u64)).await {
                    Ok(stream) => work.opener.close(stream).await,
                    Err(failure) => failed.set(Some(failure)),
                }
            }
        });
    }
    run::event_loop()?.block_on(tasks);
    Ok(failed.get())
}

impl Work {
    async fn get_ticket(&self, turn: u64) -> Result<Stream, Failure> {
        let client = self.opener.client(turn).ok_or(Failure::NotBegun)?;
        let mut http1 = Http1::new(self.opener.open_with(client.full_config()).await?.stream);
        http1.ask(&self.asked, true).await?;
        Ok(http1.into_stream())
    }

    async fn lane(self: Arc<Self>, lane: Lane) {
        while let Some(turn) = lane.turns.next().await {
            let began = turn.begin();
            // Boxed, because an open loop has many lanes, and most of them wait.
            let attempt = Box::pin(self.attempt(turn.index, &lane.notes));
            match self.opener.in_time(attempt).await {
                Ok(stream) => {
                    lane.notes.done(began);
                    self.opener.close(stream).await;
                }
                Err(failure) => lane.notes.failed(failure),
            }
        }
    }

    async fn attempt(&self, turn: u64, notes: &Notes) -> Result<Stream, Failure> {
        let opened = self.opener.open(turn).await?;
        notes.opened(opened.handshake, opened.took);
        let mut http1 = Http1::new(opened.stream);
        for index in 1..=self.requests {
            let is_last = index == self.requests;
            let answer = http1.ask(&self.asked, is_last).await?;
            notes.received(answer.content_bytes);
            if !is_last && !answer.keeps {
                return Err(Failure::Closed);
            }
        }
        Ok(http1.into_stream())
    }
}
