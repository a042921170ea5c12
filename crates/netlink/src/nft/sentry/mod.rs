//! Whether others have changed what is ours, without reading it.
//!
//! ```text
//! quiet: the generation is read; it moved by others -> perhaps touched
//!   | others commit again within half a minute              ^ nobody else for a minute; a flood
//!   v                                                       |
//! listening: every commit is heard; one that names ours -> touched, and by whom
//! ```

mod traffic;

use std::fmt;
use std::time::Instant;

use super::listener::{Heard, Listener};
use super::news::{News, ObjectNews};
use super::{Commit, generation};
use crate::{NetlinkError, Socket};
use traffic::Traffic;

/// Objects of ours that a commit may have while we listen; with more, listening would make it slow.
const SMALL: usize = 64;

/// Who has changed something of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The process, in the first PID namespace.
    pub pid: u32,
    /// Its name, at most 15 bytes.
    pub process: String,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.process, self.pid)
    }
}

/// Watches for one owner of objects. `socket` is always the one that the owner writes with.
#[derive(Debug, Default)]
pub struct Sentry {
    /// Everything up to this generation is known. `None`: nothing is known yet, so nothing is touched.
    known: Option<u32>,
    /// The last generation that was looked at.
    seen: Option<u32>,
    ears: Option<Ears>,
    traffic: Traffic,
    /// Ours was touched, or may have been, since [`Sentry::know`].
    touched: bool,
    culprit: Option<Culprit>,
    /// A commit that is being told has named ours.
    named: bool,
    /// It listened before the commits that are being made.
    resumes: bool,
}

/// An open ear.
#[derive(Debug)]
struct Ears {
    listener: Listener,
    /// The port of the socket whose commits are our own.
    own: u32,
}

/// Which commits come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Ours by the socket itself, with so many objects.
    Objects(usize),
    /// Another program's, in our name.
    ByProgram,
}

impl Sentry {
    /// To be called before everything of ours is read: what others commit from now on counts.
    /// Errors: the kernel does not tell its generation.
    pub fn know(&mut self, socket: &mut Socket) -> Result<(), NetlinkError> {
        let now = Instant::now();
        self.listen(now, &|_| false);
        let generation = generation(socket)?;
        (self.known, self.seen) = (Some(generation), Some(generation));
        (self.touched, self.culprit, self.named) = (false, None, false);
        Ok(())
    }

    /// What was known is not known any more, until [`Sentry::know`].
    pub fn forget(&mut self) {
        *self = Self { traffic: std::mem::take(&mut self.traffic), ..Self::default() };
    }

    /// Whether others have touched ours since [`Sentry::know`], or may have. `ours` tells by the name of an object. Cheap: two
    /// system calls, and those messages that others' commits have caused since the last call.
    pub fn is_touched(&mut self, socket: &mut Socket, ours: &dyn Fn(&ObjectNews<'_>) -> bool) -> bool {
        let now = Instant::now();
        if self.known.is_none() {
            return false;
        }
        if self.ears.is_some() {
            self.listen(now, ours);
            if self.ears.is_some() && self.traffic.is_calm(now) {
                self.ears = None;
            }
        } else {
            self.look(socket, now);
        }
        self.touched
    }

    /// Who it was, where that was told.
    pub fn culprit(&self) -> Option<&Culprit> {
        self.culprit.as_ref()
    }

    /// Whether it listens at present.
    pub fn is_listening(&self) -> bool {
        self.ears.is_some()
    }

    /// To be called before commits of ours: it does not listen to large ones.
    pub fn before(&mut self, writing: Writing, ours: &dyn Fn(&ObjectNews<'_>) -> bool) {
        let stays = matches!(writing, Writing::Objects(count) if count <= SMALL);
        if stays || self.ears.is_none() {
            return;
        }
        self.listen(Instant::now(), ours);
        self.resumes = self.ears.take().is_some();
    }

    /// To be called after them, with their number; `None` if that is not known. What anybody else has committed among them counts.
    pub fn after(&mut self, socket: &mut Socket, commits: Option<u32>) {
        if self.ears.is_some() {
            // They will be heard, as our own.
            return;
        }
        let own = commits.unwrap_or(0);
        self.seen = self.seen.map(|seen| seen.wrapping_add(own));
        self.known = self.known.map(|known| known.wrapping_add(own));
        self.touched |= commits.is_none();
        if std::mem::take(&mut self.resumes) {
            self.ears = Ears::open(socket).ok();
            // What was committed before the ears were open again, or among ours.
            let now = generation(socket).ok();
            self.touched |= now != self.known;
            (self.known, self.seen) = (now.or(self.known), now.or(self.seen));
        }
    }

    /// Looks at the generation.
    fn look(&mut self, socket: &mut Socket, now: Instant) {
        let Ok(generation) = generation(socket) else { return };
        let moved = self.seen != Some(generation);
        self.seen = Some(generation);
        self.touched |= self.known != Some(generation);
        if moved && self.traffic.commit(now) {
            // What was committed until now is looked at by the comparison that follows.
            self.ears = Ears::open(socket).ok();
        }
    }

    /// Takes in what was told.
    fn listen(&mut self, now: Instant, ours: &dyn Fn(&ObjectNews<'_>) -> bool) {
        let Some(mut ears) = self.ears.take() else { return };
        let own = ears.own;
        let heard = ears.listener.read(Traffic::LIMIT, |news| match news {
            News::Object(object) => self.named |= object.port != own && ours(&object),
            News::Commit(commit) => self.end_of(commit, own, now),
        });
        let heard = heard.unwrap_or(Heard { lost: true, ..Heard::default() });
        if self.traffic.is_flood(heard.messages, heard.lost, now) {
            (self.touched, self.culprit) = (true, None);
        } else {
            self.ears = Some(ears);
        }
    }

    fn end_of(&mut self, commit: Commit<'_>, own: u32, now: Instant) {
        (self.known, self.seen) = (Some(commit.generation), Some(commit.generation));
        if commit.port != own {
            self.traffic.commit(now);
        }
        if std::mem::take(&mut self.named) {
            self.touched = true;
            let named = commit.pid > 0;
            self.culprit = named.then(|| Culprit { pid: commit.pid, process: commit.process.to_owned() });
        }
    }
}

impl Ears {
    fn open(writer: &Socket) -> Result<Self, NetlinkError> {
        Ok(Self { listener: Listener::open()?, own: writer.port()? })
    }
}
