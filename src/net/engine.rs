//! The two engines, which one a node uses, and a shard's event loop.
use super::buffer::Pool;
use super::deadline::Deadlines;
use super::{epoll, uring};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;

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
    choose_by(io, uring::probe)
}

fn choose_by(io: Io, probe: impl FnOnce() -> io::Result<()>) -> io::Result<Chosen> {
    let refused = match io {
        Io::Epoll => None,
        Io::IoUring => return probe().map(|()| Chosen { engine: Engine::IoUring, refused: None }),
        Io::Auto => match probe() {
            Ok(()) => return Ok(Chosen { engine: Engine::IoUring, refused: None }),
            Err(error) => Some(error),
        },
    };
    Ok(Chosen { engine: Engine::Epoll, refused })
}

/// Runs a shard on the calling thread until `main` is done: its event loop, buffer pool and deadlines.
/// Tasks that are left then are dropped, and what they had pending in the kernel is cancelled.
///
/// # Errors
/// When the event loop cannot be made.
///
/// # Panics
/// When `main` itself panics; a panic in a task that it [`spawn`]ed ends that task alone.
pub fn run<F, Fut>(engine: Engine, main: F) -> io::Result<()>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    // Outlives the event loop, and with it the tasks and their buffers.
    let _pool = Pool::open();
    let shard = async {
        let entered = Entered::new(engine);
        spawn(Rc::clone(&entered.deadlines).sweep());
        main().await;
    };
    match engine {
        Engine::IoUring => {
            let runtime = uring::runtime()?;
            runtime.block_on(shard);
        }
        Engine::Epoll => {
            let runtime = epoll::runtime()?;
            // Dropped before the runtime that its tasks use.
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, shard);
        }
    }
    Ok(())
}

/// Starts a task on the calling shard. A panic in it ends that task alone.
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(future)
}

/// What new sockets need to know of the shard that runs on this thread.
#[derive(Clone)]
pub(super) struct Shard {
    pub(super) engine: Engine,
    pub(super) deadlines: Rc<Deadlines>,
}

thread_local! {
    static SHARD: RefCell<Option<Shard>> = const { RefCell::new(None) };
}

/// The shard whose `main` runs on this thread.
pub(super) fn current() -> io::Result<Shard> {
    SHARD.with_borrow(Clone::clone).ok_or_else(|| io::Error::other("not on a shard's thread"))
}

/// Whether operations can be submitted: no longer once `main` is done and tasks are being dropped.
pub(super) fn is_running() -> bool {
    SHARD.try_with(|shard| shard.borrow().is_some()).unwrap_or(false)
}

/// Makes this thread a shard's until it is dropped.
struct Entered {
    deadlines: Rc<Deadlines>,
}

impl Entered {
    fn new(engine: Engine) -> Self {
        let deadlines = Deadlines::new();
        SHARD.set(Some(Shard { engine, deadlines: Rc::clone(&deadlines) }));
        Self { deadlines }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        SHARD.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }

    #[test]
    fn auto_takes_io_uring_where_the_kernel_lets_it() {
        let chosen = choose_by(Io::Auto, || Ok(())).unwrap();
        assert_eq!((chosen.engine, chosen.refused.is_none()), (Engine::IoUring, true));
    }

    #[test]
    fn auto_falls_back_to_epoll_and_says_why() {
        let chosen = choose_by(Io::Auto, refuse).unwrap();
        assert_eq!(chosen.engine, Engine::Epoll);
        assert_eq!(chosen.refused.unwrap().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn io_uring_alone_fails_where_the_kernel_refuses() {
        let error = choose_by(Io::IoUring, refuse).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn epoll_never_asks_for_io_uring() {
        let chosen = choose_by(Io::Epoll, || panic!("probed")).unwrap();
        assert_eq!((chosen.engine, chosen.refused.is_none()), (Engine::Epoll, true));
    }

    #[test]
    fn a_thread_without_a_shard_has_no_sockets() {
        assert!(current().is_err());
        assert!(!is_running());
    }
}
