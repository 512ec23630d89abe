//! Sockets, buffers and deadlines over two engines, io_uring and epoll, behind one type.
//!
//! Called by `tls`, `upstream` and `shard`; the only home of `unsafe`. A shard's thread calls [`run`]
//! once; inside it every other function here may be used, and nothing here may cross threads but
//! [`Bound`].
pub mod buffer;
pub mod deadline;
pub mod engine;
pub mod listen;
pub mod socket;

pub use buffer::Buf;
pub use engine::{Chosen, Engine, Io, choose, run, spawn};
pub use listen::{Bound, Listener, Options, Steering, bind};
pub use socket::{ConnectError, Sock, connect};
