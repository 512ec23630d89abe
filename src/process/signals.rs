//! The signals that the node answers to. All others keep their usual effect.
use std::io;
use tokio::signal::unix::{self, SignalKind};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGTERM and SIGINT: end, once what is open is served.
    End,
    /// SIGHUP: read the configuration anew.
    Reload,
    /// SIGUSR1: open the logs anew.
    Reopen,
}

/// From now on a write over the limit of a file's size (RLIMIT_FSIZE) is an error like that of a full disk,
/// and not the end of the process. For a thread with a tokio runtime.
///
/// # Errors
/// What the kernel said.
pub fn survive_file_size_limit() -> io::Result<()> {
    // tokio's handler stays when nobody listens any more.
    unix::signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

/// The signals that arrive from its making on. Several of a kind that wait are one.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    user_1: unix::Signal,
}

impl Signals {
    /// Takes them over for the whole process; for a thread with a tokio runtime.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
            user_1: unix::signal(SignalKind::user_defined1())?,
        })
    }

    /// The next one. Dropping the future loses none.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user_1.recv() => Signal::Reopen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{self, getpid, kill_process};

    /// One test alone: signals belong to the whole process.
    #[tokio::test]
    async fn each_signal_is_told_for_what_it_asks() {
        let mut signals = Signals::new().unwrap();
        for (signal, expected) in [
            (process::Signal::HUP, Signal::Reload),
            (process::Signal::USR1, Signal::Reopen),
            (process::Signal::INT, Signal::End),
            (process::Signal::TERM, Signal::End),
        ] {
            kill_process(getpid(), signal).unwrap();
            assert_eq!(signals.next().await, expected, "{signal:?}");
        }
    }
}
