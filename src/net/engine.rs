//! The two engines, which one a node uses, and a shard's event loop.
#![expect(clippy::todo, reason = "interface only")]
use std::future::Future;
use std::io;

/// What the configuration asks for (`node.io`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Io {
    /// io_uring, or epoll when the kernel refuses it.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

/// How a shard talks to the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// Completions, through tokio-uring.
    IoUring,
    /// Readiness, through tokio.
    Epoll,
}

impl Engine {
    /// The word in logs, metrics, `/status` and on the command line: `io_uring` or `epoll`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// The engine that the node runs on.
#[derive(Debug)]
pub struct Chosen {
    /// What every shard uses.
    pub engine: Engine,
    /// Why io_uring was not used, when `auto` fell back.
    pub refused: Option<io::Error>,
}

/// Tries io_uring once, on the calling thread, and says which engine to use.
///
/// # Errors
/// What the kernel answered, when `io` is [`Io::IoUring`] and it refused.
pub fn choose(io: Io) -> io::Result<Chosen> {
    let _ = io;
    todo!()
}

/// Runs a shard on the calling thread until `main` is done: its event loop, buffer pool and deadlines.
///
/// # Errors
/// When the event loop cannot be made.
pub fn run<F, Fut>(engine: Engine, main: F) -> io::Result<()>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    let _ = (engine, main);
    todo!()
}

/// Starts a task on the calling shard. A panic in it ends that task alone.
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let _ = future;
    todo!()
}
