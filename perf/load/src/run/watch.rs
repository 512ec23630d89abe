//! Watching a run: the line on a terminal, and Ctrl-C.
use super::{Bounds, Shared};
use rustix::process::{Pid, kill_process_group};
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Takes Ctrl-C over from the system.
pub(super) async fn interrupts() -> io::Result<Signal> {
    signal(SignalKind::interrupt())
}

/// Waits until all threads are over, and shows meanwhile how it goes. A second Ctrl-C ends the
/// process, and what it has started.
pub(super) async fn watch(shared: &Shared, mut interrupts: Signal, mut over: mpsc::Receiver<()>) {
    let is_shown = io::stderr().is_terminal();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut before = 0;
    loop {
        tokio::select! {
            _ = over.recv() => break,
            _ = interrupts.recv() => shared.stop(),
            _ = second.tick(), if is_shown => {
                let done = shared.done.load(Ordering::Relaxed);
                eprint!("\r{}", shared.line(done - before));
                before = done;
            }
        }
    }
    if is_shown {
        eprintln!();
    }
}

impl Shared {
    /// Has everybody end what is under way and begin nothing more.
    fn stop(&self) {
        if self.stopped.swap(true, Ordering::Relaxed) {
            let group = Pid::from_raw(self.group.load(Ordering::Relaxed));
            let _ = group.map(|group| kill_process_group(group, rustix::process::Signal::KILL));
            std::process::exit(INTERRUPTED);
        }
        self.stop.send_replace(true);
    }

    fn line(&self, new: u64) -> String {
        let seconds = self.since_start(Instant::now()).as_secs();
        let done = self.done.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        let of = |bound: String| format!(" of {bound}");
        let Bounds { count, duration } = self.bounds;
        let until = duration.map(|bound| of(bound.as_secs_f64().to_string())).unwrap_or_default();
        let all = count.map(|bound| of(bound.to_string())).unwrap_or_default();
        format!("{seconds:5}{until} s  {done:9}{all} done  {new:7}/s  {failed:7} failed ")
    }
}

/// What shells say of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;
