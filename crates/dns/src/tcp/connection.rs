//! One client's connection: queries are answered as they come, replies go back as they are ready.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep_until;

use super::frames::Frames;
use super::limits::{Progress, TcpLimits};
use super::seats::Seat;
use super::stop::{GRACE, Stop};
use crate::desk::{Desk, Outcome};
use crate::origin::{Back, Origin, Transport};

/// Octets of replies that a connection keeps room for while it has none.
const KEPT: usize = 4_096;
/// Octets taken in one read.
const READ: usize = 2_048;

/// The way back to a TCP client: a reply, or nothing for a query that gets none.
pub(crate) type Late = UnboundedSender<Option<Vec<u8>>>;

/// A connection. The channel of late replies is bounded by the queries that may be unanswered.
pub(crate) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    desk: Rc<RefCell<Desk>>,
    seat: Seat,
    frames: Frames,
    progress: Progress,
    late: Late,
    came_late: UnboundedReceiver<Option<Vec<u8>>>,
    /// Replies that wait for the client, each behind its length.
    out: Vec<u8>,
    /// Octets of `out` that are written.
    written: usize,
    /// Where a reply is composed.
    reply: Vec<u8>,
    /// When no query is taken any more, once the server drains.
    last_call: Option<Instant>,
}

/// What woke the connection.
enum Event {
    Late(Option<Vec<u8>>),
    Readable,
    Writable,
    Draining,
    End,
    Close,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        desk: Rc<RefCell<Desk>>,
        seat: Seat,
        limits: TcpLimits,
    ) -> Self {
        let (late, came_late) = unbounded_channel();
        let progress = Progress::new(limits, Instant::now());
        let (frames, out, reply) = (Frames::default(), Vec::new(), Vec::new());
        let (written, last_call) = (0, None);
        Self { stream, peer, desk, seat, frames, progress, late, came_late, out, written, reply, last_call }
    }

    /// Serves the client until one of the two has enough.
    pub(crate) async fn run(mut self, mut stop: Stop) {
        while !self.progress.wanted().done {
            let event = self.event(&mut stop).await;
            if self.handle(event).is_break() {
                return;
            }
            self.seat.touch(Instant::now(), !self.progress.is_idle());
        }
    }

    async fn event(&mut self, stop: &mut Stop) -> Event {
        let wanted = self.progress.wanted();
        let last_call = self.last_call.unwrap_or(wanted.until);
        tokio::select! {
            biased;
            () = self.seat.told_to_leave() => Event::Close,
            reply = self.came_late.recv() => Event::Late(reply.flatten()),
            _ = self.stream.writable(), if wanted.write => Event::Writable,
            _ = self.stream.readable(), if wanted.read => Event::Readable,
            () = stop.wait(), if wanted.read && self.last_call.is_none() => Event::Draining,
            () = sleep_until(last_call.into()), if wanted.read && self.last_call.is_some() => Event::End,
            () = sleep_until(wanted.until.into()) => Event::Close,
        }
    }

    fn handle(&mut self, event: Event) -> std::ops::ControlFlow<()> {
        let mut went = Ok(());
        match event {
            Event::Close => return std::ops::ControlFlow::Break(()),
            Event::Draining => self.last_call = Some(Instant::now() + GRACE),
            Event::End => self.progress.end(),
            Event::Late(reply) => self.late_reply(reply),
            Event::Readable => went = self.read(),
            Event::Writable => {}
        }
        match went.and_then(|()| self.answer_and_write()) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(_) => std::ops::ControlFlow::Break(()),
        }
    }

    fn late_reply(&mut self, reply: Option<Vec<u8>>) {
        match reply {
            Some(reply) => self.push(&reply),
            None => self.progress.dropped(),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let room = self.frames.room();
        room.reserve(READ);
        match self.stream.try_read_buf(room) {
            Ok(0) => self.progress.end(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Answers what came and writes, again as long as a whole query may be left and there is room: nothing else would wake the
    /// connection for it. Afterwards a query is left only behind replies that wait, or behind queries that wait for an upstream.
    fn answer_and_write(&mut self) -> io::Result<()> {
        loop {
            let all = self.answer_what_came();
            self.write()?;
            if !self.has_room() || all {
                return Ok(());
            }
        }
    }

    /// Whether another query may be taken, by this connection's bounds and by that of all.
    fn has_room(&mut self) -> bool {
        self.seat.owes(self.progress.waiting());
        self.progress.set_tight(self.seat.is_tight());
        self.progress.has_room()
    }

    /// Answers queries while there is room. True: no whole one is left.
    fn answer_what_came(&mut self) -> bool {
        let mut frames = std::mem::take(&mut self.frames);
        let mut all = false;
        while !all && self.has_room() {
            match frames.next() {
                Ok(Some(message)) => self.answer(message),
                Ok(None) => all = true,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "a TCP client is cut off");
                    self.progress.end();
                    frames = Frames::default();
                    all = true;
                }
            }
        }
        frames.shrink();
        self.frames = frames;
        all
    }

    fn answer(&mut self, message: &[u8]) {
        self.progress.asked(Instant::now());
        let origin = Origin { from: self.peer, transport: Transport::Tcp };
        let mut reply = std::mem::take(&mut self.reply);
        reply.clear();
        let outcome = {
            let mut desk = self.desk.borrow_mut();
            desk.begin();
            let outcome = desk.serve(message, origin, &mut reply);
            desk.end();
            outcome
        };
        match outcome {
            Outcome::Reply => self.push(&reply),
            Outcome::Nothing => self.progress.dropped(),
            Outcome::Later(job) => job.start(Back::Tcp(self.late.clone())),
        }
        self.reply = reply;
        self.reply.shrink_to(KEPT);
    }

    fn push(&mut self, reply: &[u8]) {
        let Ok(length) = u16::try_from(reply.len()) else { return self.progress.dropped() };
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(reply);
        self.progress.answered(reply.len() + 2, Instant::now());
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(count) => {
                    self.written += count;
                    self.progress.written(count, Instant::now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.written = 0;
        Ok(())
    }
}
