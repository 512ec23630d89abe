//! `portcullis-load swap`: a steady load while trust or certificates change, and every refusal with its time.
//!
//! New connections come at a steady pace, each with one request. Beside them some connections are kept, with a
//! request now and then: a change may end those, too. A kept connection that ends is opened anew.
use crate::connection::{Opener, Stream};
use crate::events::{Change, Ended};
use crate::failure::Failure;
use crate::http::{Asked, Http1};
use crate::options::{CommonOptions, LoadOptions, Ready, seconds};
use crate::probe::Protocol;
use crate::run::{Lane, Plan};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch::{Receiver, Sender};

/// The pause of a kept connection between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Connections that are kept beside the new ones, each with a request ten times a second
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "Load")]
    kept: u16,
    /// Run a command that changes something (sh -c), every so many seconds
    #[arg(long, value_name = "COMMAND", requires = "every", help_heading = "Changes")]
    run: Option<String>,
    /// How often to --run it; a change that takes longer is waited for, after the end for as long as --timeout says
    #[arg(
        long, value_name = "SECONDS", requires = "run", help_heading = "Changes",
        value_parser = seconds
    )]
    every: Option<Duration>,
    #[command(flatten)]
    load: LoadOptions,
}

/// What each lane does.
#[derive(Debug)]
struct Work {
    opener: Opener,
    asked: Asked,
    kept: usize,
    change: Option<(String, Duration)>,
    /// Lanes of new connections that are still at it.
    at_it: AtomicUsize,
    /// None is any more.
    over: Sender<bool>,
}

/// Makes one attempt to see that it can be done, and then the load. Answers how many connections failed or were
/// lost, and how many changes failed.
///
/// # Errors
/// A sentence that says why nothing was measured.
pub(crate) fn run(options: &Options) -> Result<u64, String> {
    let Options { common, kept, run, every, load } = options;
    load.pace.either()?;
    let Ready { opener, asked, mut setting } = common.begin("swap", Protocol::Http1, 0)?;
    setting.connections = Some(u64::from(*kept));
    setting.requests_per_connection = Some(1);
    let (pace, kept) = (load.pace.pace(), usize::from(*kept));
    let work = Arc::new(Work {
        opener,
        asked,
        kept,
        change: run.clone().zip(*every),
        at_it: AtomicUsize::new(pace.lanes()),
        over: Sender::new(false),
    });
    let threads = load.pace.threads().at_most(pace.lanes());
    let plan = Plan {
        pace,
        bounds: load.bounds(),
        threads,
        lanes: pace.lanes() + kept,
        opens_first: false,
    };
    common.carry_out(setting, &plan, move |lane| Arc::clone(&work).lane(lane))
}

impl Work {
    /// The first lanes are those of kept connections; the first one has the changes made, too.
    async fn lane(self: Arc<Self>, lane: Lane) {
        if lane.number == 0 {
            tokio::task::spawn_local(Arc::clone(&self).changes(lane.clone()));
        }
        if lane.number < self.kept {
            return self.keep(&lane).await;
        }
        self.renew(&lane).await;
        if self.at_it.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.over.send_replace(true);
        }
    }

    /// One new connection after the other.
    async fn renew(&self, lane: &Lane) {
        while let Some(turn) = lane.turns.next().await {
            let began = turn.begin();
            let attempt = Box::pin(self.attempt(turn.index, lane, true));
            match self.opener.in_time(attempt).await {
                Ok(http1) => {
                    lane.notes.done(began);
                    self.opener.close(http1.into_stream()).await;
                }
                Err(failure) => {
                    lane.notes.failed(failure);
                    let client = self.name(turn.index);
                    lane.notes.tell(|events, at| events.refuse(at, client, failure));
                }
            }
        }
    }

    /// One connection, for as long as it lasts, and then another.
    async fn keep(&self, lane: &Lane) {
        let client = lane.number as u64;
        let over = self.over.subscribe();
        while !*over.borrow() {
            let kept = self.opener.in_time(Box::pin(self.attempt(client, lane, false))).await;
            let ended = match kept {
                Ok(http1) => self.go_on(http1, lane, &over).await.inspect_err(|failure| {
                    lane.notes.tell(|events, at| events.lose(at, self.name(client), *failure));
                }),
                Err(failure) => {
                    let name = self.name(client);
                    lane.notes.tell(|events, at| events.refuse_kept(at, name, failure));
                    Err(failure)
                }
            };
            if ended.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Requests on a connection that stands, until it ends or all is over.
    ///
    /// # Errors
    /// Why it ended, where that was out of order.
    async fn go_on(
        &self,
        mut http1: Http1,
        lane: &Lane,
        over: &Receiver<bool>,
    ) -> Result<(), Failure> {
        while !*over.borrow() {
            match tokio::time::timeout(PAUSE, http1.watch()).await {
                Ok(Failure::Closed) => {
                    lane.notes.tell(|events, _| events.end());
                    return Ok(());
                }
                Ok(failure) => return Err(failure),
                Err(_) => {}
            }
            let answer = self.opener.in_time(http1.ask(&self.asked, false)).await?;
            lane.notes.received(answer.content_bytes);
            lane.notes.tell(|events, _| events.answer());
            if !answer.keeps {
                lane.notes.tell(|events, _| events.end());
                break;
            }
        }
        self.opener.close(http1.into_stream()).await;
        Ok(())
    }

    /// A connection with its first answer.
    async fn attempt(&self, turn: u64, lane: &Lane, is_last: bool) -> Result<Http1, Failure> {
        let opened = self.opener.open(turn).await?;
        lane.notes.opened(opened.handshake, opened.took);
        let shown = server_certificate(&opened.stream);
        lane.notes.tell(|events, at| events.show(at, shown));
        let mut http1 = Http1::new(opened.stream);
        let answer = http1.ask(&self.asked, is_last).await?;
        lane.notes.received(answer.content_bytes);
        Ok(http1)
    }

    /// Runs the command at its times, one after the other.
    async fn changes(self: Arc<Self>, lane: Lane) {
        let Some((command, every)) = &self.change else { return };
        let mut over = self.over.subscribe();
        let mut due = tokio::time::interval_at(tokio::time::Instant::now() + *every, *every);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return,
                _ = due.tick() => {}
            }
            let (at, began) = (lane.notes.since_start(), Instant::now());
            let ended = self.make_change(command, &lane, &mut over).await;
            let change = Change { at, took: began.elapsed(), ended };
            lane.notes.tell(|events, _| events.change(change));
        }
    }

    /// Runs the command. Once all else is over it has the time of one attempt left.
    async fn make_change(&self, command: &str, lane: &Lane, over: &mut Receiver<bool>) -> Ended {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(std::io::stderr());
        // In a group of its own: Ctrl-C on the terminal should not end a change that is half made.
        let Ok(mut child) = shell.process_group(0).spawn() else { return Ended::Killed };
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        lane.notes.take_along(group);
        let late = async {
            let _ = over.wait_for(|over| *over).await;
            tokio::time::sleep(self.opener.timeout).await;
        };
        let ended = tokio::select! {
            status = child.wait() => {
                status.ok().and_then(|status| status.code()).map_or(Ended::Killed, Ended::Exit)
            }
            () = late => {
                let _ = group.map(|group| kill_process_group(group, Signal::KILL));
                Ended::CutOff
            }
        };
        lane.notes.take_along(None);
        ended
    }

    fn name(&self, turn: u64) -> &str {
        self.opener.client(turn).map_or("", |client| &client.name)
    }
}

fn server_certificate(stream: &Stream) -> &[u8] {
    let chain = stream.get_ref().1.peer_certificates();
    chain.and_then(|chain| chain.first()).map_or(&[], |leaf| leaf.as_ref())
}
