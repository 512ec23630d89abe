//! Sockets, buffers and deadlines over two engines, io_uring and epoll, behind one type.
//!
//! Called by `tls`, `upstream` and `shard`; the only home of `unsafe`. A shard's thread calls [`run`]
//! once; inside it every other function here may be used, and nothing here may cross threads but
//! [`Bound`] and [`Buf`].
//!
//! Rules for callers:
//! * A future of an operation is never dropped before it completes: on io_uring the kernel goes on
//!   without it, and a receive that nobody awaits swallows the next bytes. So no `timeout(recv)` and no
//!   `select!` that drops one; where two operations race, both futures are kept and polled again.
//! * What must end early is ended by [`Sock::kill`], or by a deadline ([`Sock::arm`]), which kills; every
//!   pending operation then completes, and [`Sock::killed`] says why. [`Listener::stop`] does the same
//!   for an accept, [`connect`] ends by itself, or by being dropped.
//! * A buffer belongs to the operation until the operation gives it back. A connection that waits for
//!   its client holds none: it drops them and awaits [`Sock::readable`].
//! * A task never yields in a busy loop and never computes for long: io_uring sees new operations only
//!   when all tasks of the shard wait.
//!
//! Breaking the first rule is never unsound: what the kernel uses is owned by the ring until it is done,
//! and dropping the last handle of a socket, a listener or a connect ends what is still pending on it.
//! What is lost is what the operation brought: bytes, or the connection of a dropped accept, which
//! stays open without an owner.
mod at_once;
pub mod buffer;
mod deadline;
pub mod engine;
mod epoll;
pub mod heap;
pub mod listen;
pub mod polled;
pub mod socket;
mod tcp_info;
mod uring;

#[cfg(test)]
mod tests;

pub use at_once::at_once;
pub use buffer::{Buf, BufResult};
pub use engine::{Chosen, Engine, Io, choose, run, spawn};
pub use listen::{Bound, Listener, Options, Steering, bind};
pub use polled::ByteStream;
pub use socket::{ConnectError, Readable, Sock, connect};
