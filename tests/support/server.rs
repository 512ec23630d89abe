//! A server that others made, as a target: it serves until the test is over.
use super::wait;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

/// The server.
pub struct Server(Child);

impl Server {
    /// Starts it and waits until it listens on loopback; `stdout` is where it writes.
    pub fn start(command: &mut Command, port: u16, stdout: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
        wait::until("a server to listen", || {
            assert_eq!(child.try_wait().unwrap(), None, "{command:?} ended");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // They end their workers when they are asked to, and leave them when they are killed.
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}
