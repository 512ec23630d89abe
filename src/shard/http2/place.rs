//! What the streams of a connection share, and the place of each among them.
//!
//! Bounds: `limits::H2_HEADS_BYTES_MAX`, of heads in lines that wait for their client, too.
use super::line::Line;
use super::meter::{Metered, Transport};
use crate::close::Reason;
use crate::limits;
use crate::net::ByteStream;
use crate::shard::Phase;
use crate::shard::connection::Connection;
use crate::shard::wire::Wire;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// What a connection and its streams share.
pub(super) struct Shared {
    pub(super) connection: Connection,
    pub(super) wire: Rc<Wire>,
    pub(super) transport: Transport,
    /// Streams in work.
    open: Cell<usize>,
    /// Those whose targets are slow to take their content.
    pub(super) stalled: Cell<usize>,
    /// Bytes of their heads, of content that may have to be sent again, and of the heads that lines wait with.
    held_bytes: Cell<usize>,
    /// Of streams that are over but for what the client has still to get. A line has the most of its head in it, for
    /// as long as the client likes: so its bytes remain held.
    lines: RefCell<Vec<Line>>,
}

impl Shared {
    /// Of a connection that has no stream yet.
    pub(super) fn new(connection: Connection, wire: Rc<Wire>, transport: Transport) -> Rc<Self> {
        Rc::new(Self {
            connection,
            wire,
            transport,
            open: Cell::new(0),
            stalled: Cell::new(0),
            held_bytes: Cell::new(0),
            lines: RefCell::default(),
        })
    }

    /// Says where the connection is, and has it wait for its client while no stream is open.
    pub(super) fn enter(&self, phase: Phase) {
        let socket = self.wire.socket();
        if phase == Phase::Serving {
            socket.disarm_reading();
        } else {
            let idle = self.connection.front.rules().listener.idle_timeout;
            socket.arm_reading(idle, Reason::Idle);
        }
        self.connection.place.set_phase(phase);
        self.transport.set_busy(phase == Phase::Serving);
    }

    /// Writes the lines of those answers that have gone meanwhile.
    pub(super) fn write_lines(&self) {
        if !self.transport.with_watch(Metered::take_ended) {
            return;
        }
        let lines = &mut *self.lines.borrow_mut();
        for line in lines.extract_if(.., |line| !line.waits(&self.transport)) {
            self.held_bytes.set(self.held_bytes.get() - line.head_bytes);
            line.write(&self.transport, &self.connection);
        }
        self.weigh();
    }

    /// Says what the streams in work take: their heads, a buffer each way, and what waits for the client.
    fn weigh(&self) {
        const STREAM_BYTES: usize = 2 * limits::BUFFER_BYTES + limits::H2_SEND_BUFFER_BYTES_MAX;
        let bytes = self.held_bytes.get() + self.open.get() * STREAM_BYTES;
        self.connection.place.weigh(bytes);
    }

    /// A place for one more stream; none when the heads of those in work take too much.
    pub(super) fn admit(self: &Rc<Self>, head_bytes: usize) -> Option<StreamPlace> {
        let bytes = self.held_bytes.get() + head_bytes;
        if bytes > limits::H2_HEADS_BYTES_MAX {
            return None;
        }
        self.held_bytes.set(bytes);
        if self.open.replace(self.open.get() + 1) == 0 {
            self.enter(Phase::Serving);
        }
        self.weigh();
        let (began, answered) = (Instant::now(), Cell::new(false));
        let held_bytes = Cell::new(head_bytes);
        Some(StreamPlace { shared: Rc::clone(self), head_bytes, held_bytes, began, answered })
    }
}

/// Nothing more goes to the client.
impl Drop for Shared {
    fn drop(&mut self) {
        for line in self.lines.take() {
            line.write(&self.transport, &self.connection);
        }
    }
}

/// A stream's place among those of its connection; given back on drop.
pub(super) struct StreamPlace {
    pub(super) shared: Rc<Shared>,
    pub(super) head_bytes: usize,
    held_bytes: Cell<usize>,
    pub(super) began: Instant,
    /// Whether it was answered to its end.
    pub(super) answered: Cell<bool>,
}

impl StreamPlace {
    /// Whether so many bytes of content may be held beside the heads, for which half of the room is kept free.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let fits = self.shared.held_bytes.get() + bytes <= limits::H2_HEADS_BYTES_MAX / 2;
        if fits {
            self.shared.held_bytes.set(self.shared.held_bytes.get() + bytes);
            self.held_bytes.set(self.held_bytes.get() + bytes);
        }
        fits
    }

    /// They are not held any more.
    pub(super) fn let_go(&self, bytes: usize) {
        self.shared.held_bytes.set(self.shared.held_bytes.get() - bytes);
        self.held_bytes.set(self.held_bytes.get() - bytes);
    }

    /// Writes the line of this stream, which is over for this node, once the client has all that it will get.
    pub(super) fn log(&self, line: Line) {
        if line.waits(&self.shared.transport) {
            self.held_bytes.set(self.held_bytes.get() - line.head_bytes);
            self.shared.lines.borrow_mut().push(line);
        } else {
            line.write(&self.shared.transport, &self.shared.connection);
        }
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let shared = &self.shared;
        if std::thread::panicking() && Rc::strong_count(shared) > 1 {
            // The place of the connection counts those that it does not outlive.
            shared.connection.place.note_panic();
        }
        if self.answered.get() || self.began.elapsed() >= limits::H2_PREMATURE {
            shared.transport.with_watch(Metered::served);
        }
        self.let_go(self.held_bytes.get());
        shared.open.set(shared.open.get() - 1);
        shared.weigh();
        if shared.open.get() == 0 {
            shared.enter(Phase::Between);
        }
    }
}
