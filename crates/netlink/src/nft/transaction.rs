//! Transactions: many messages that the kernel takes whole or not at all.

use std::time::Duration;

use super::expr::Expr;
use super::set::{Element, SetSpec};
use super::{Family, Message, SUBSYSTEM, begin};
use crate::attr::{Buffer, Mark};
use crate::socket::refusal;
use crate::{NetlinkError, Socket};

/// A chain that nobody has.
const NOBODY: &str = "towpath-rehearsal";
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// An attribute's length is 16 bits; element lists are cut well before.
const LIST_LIMIT: usize = 60_000;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;

/// Where a base chain hooks into the network stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub number: u32,
    /// Its place among others at the same hook.
    pub priority: i32,
}

#[derive(Debug)]
struct OpenList {
    message: Mark,
    list: Mark,
    delete: bool,
    set: String,
}

/// A transaction being built for one table. Building never fails; [`Transaction::commit`] does.
#[derive(Debug)]
pub struct Transaction {
    buffer: Buffer,
    family: Family,
    table: &'static str,
    first: u32,
    next: u32,
    last_start: usize,
    open: Option<OpenList>,
    subjects: Vec<String>,
    set_id: u32,
}

impl Transaction {
    /// Starts a transaction on one table. With `generation`, the kernel refuses it with ERESTART (85) if anybody
    /// has committed since that generation.
    pub fn new(socket: &mut Socket, family: Family, table: &'static str, generation: Option<u32>) -> Self {
        let first = socket.sequences(1 << 20);
        let mut buffer = Buffer::default();
        let mark = buffer.begin_message(BATCH_BEGIN, libc::NLM_F_REQUEST as u16, first);
        buffer.raw(&[0, 0, 0, SUBSYSTEM as u8]);
        if let Some(generation) = generation {
            buffer.put_be32(1, generation);
        }
        buffer.end_message(mark);
        Self {
            buffer,
            family,
            table,
            first,
            next: first + 1,
            last_start: 0,
            open: None,
            subjects: Vec::new(),
            set_id: 0,
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Creates the table unless it exists.
    pub fn add_table(&mut self) {
        let table = self.table;
        self.message(Message::NewTable, CREATE, "table", |b| {
            b.put_str(1, table);
            b.put_be32(2, 0);
        });
    }

    /// Deletes the table with all that is in it.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.message(Message::DelTable, 0, "table", |b| b.put_str(1, table));
    }

    /// Creates a chain unless it exists; with a hook, a base chain with policy accept.
    pub fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        let table = self.table;
        self.message(Message::NewChain, CREATE, name, |b| {
            b.put_str(1, table);
            b.put_str(3, name);
            if let Some(hook) = hook {
                b.nested(4, |b| {
                    b.put_be32(1, hook.number);
                    b.put_be32(2, hook.priority as u32);
                });
                b.put_be32(5, 1);
                b.put_str(7, hook.kind);
            }
        });
    }

    /// Deletes a chain; its rules go first.
    pub fn delete_chain(&mut self, name: &str) {
        self.flush_chain(name);
        let table = self.table;
        self.message(Message::DelChain, 0, name, |b| {
            b.put_str(1, table);
            b.put_str(3, name);
        });
    }

    /// Deletes every rule of a chain.
    pub fn flush_chain(&mut self, name: &str) {
        let table = self.table;
        self.message(Message::DelRule, 0, name, |b| {
            b.put_str(1, table);
            b.put_str(2, name);
        });
    }

    /// Deletes one rule by its handle; one that is not there fails the transaction.
    pub fn delete_rule(&mut self, chain: &str, handle: u64) {
        let table = self.table;
        self.message(Message::DelRule, 0, chain, |b| {
            b.put_str(1, table);
            b.put_str(2, chain);
            b.put_be64(3, handle);
        });
    }

    /// Appends a rule.
    pub fn add_rule(&mut self, chain: &str, exprs: &[Expr]) {
        let table = self.table;
        self.message(Message::NewRule, CREATE | APPEND, chain, |b| {
            b.put_str(1, table);
            b.put_str(2, chain);
            b.nested(4, |b| exprs.iter().for_each(|e| e.encode(b)));
        });
    }

    /// Creates a set or map unless it exists.
    pub fn add_set(&mut self, spec: &SetSpec) {
        self.set_id += 1;
        let (table, id) = (self.table, self.set_id);
        self.message(Message::NewSet, CREATE, &spec.name, |b| spec.encode(b, table, id));
    }

    /// Deletes a set or map with its elements.
    pub fn delete_set(&mut self, name: &str) {
        let table = self.table;
        self.message(Message::DelSet, 0, name, |b| {
            b.put_str(1, table);
            b.put_str(2, name);
        });
    }

    /// Deletes every element of a set or map.
    pub fn flush_set(&mut self, name: &str) {
        let table = self.table;
        self.message(Message::DelElement, 0, name, |b| {
            b.put_str(1, table);
            b.put_str(2, name);
        });
    }

    /// Adds an element. Runs of elements of one set share messages.
    pub fn add_element(&mut self, set: &str, element: &Element) {
        self.element(set, element, false, None);
    }

    /// Adds an element that the kernel takes away again after this time, to a set with [`super::SetFlags::TIMEOUT`]. One that
    /// is there already keeps its time.
    pub fn add_element_for(&mut self, set: &str, element: &Element, time: Duration) {
        self.element(set, element, false, Some(time));
    }

    /// Deletes an element; one that is not there fails the transaction.
    pub fn delete_element(&mut self, set: &str, element: &Element) {
        self.element(set, element, true, None);
    }

    /// Sends everything and waits for the kernel's answer. An empty transaction is not sent.
    pub fn commit(mut self, socket: &mut Socket) -> Result<(), NetlinkError> {
        if self.is_empty() {
            return Ok(());
        }
        self.close_list();
        self.buffer.add_flags(self.last_start, libc::NLM_F_ACK as u16);
        let mark = self.buffer.begin_message(BATCH_END, libc::NLM_F_REQUEST as u16, self.next);
        self.buffer.raw(&[0, 0, 0, SUBSYSTEM as u8]);
        self.buffer.end_message(mark);
        socket.send(self.buffer.bytes())?;
        self.await_answer(socket)?;
        socket.commits = socket.commits.wrapping_add(1);
        Ok(())
    }

    /// Has the kernel check all of it and take none of it: a last message is added that the kernel must refuse. So the
    /// generation of the ruleset stays. The error is that of the first message that is refused beside that one.
    pub fn rehearse(mut self, socket: &mut Socket) -> Result<(), NetlinkError> {
        self.flush_chain(NOBODY);
        let last = self.subjects.len();
        match self.commit(socket) {
            Err(NetlinkError::Refused { errno: libc::ENOENT, index, .. }) if index == last => Ok(()),
            Ok(()) => Err(NetlinkError::Malformed("the kernel took a transaction that it had to refuse")),
            refused => refused,
        }
    }

    fn await_answer(&self, socket: &mut Socket) -> Result<(), NetlinkError> {
        let (first, last) = (self.first, self.next - 1);
        let (mut failure, mut done) = (None, false);
        while !done {
            socket.receive(|reply| {
                if i32::from(reply.kind) != libc::NLMSG_ERROR || !(first..=last).contains(&reply.sequence) {
                    return;
                }
                done |= reply.sequence == last || reply.sequence == first;
                if failure.is_none() {
                    failure = refusal(&reply, (reply.sequence - first) as usize);
                }
            })?;
        }
        match failure {
            None => Ok(()),
            Some(error) => Err(self.explain(error)),
        }
    }

    /// Adds the name of the object to a refusal.
    fn explain(&self, error: NetlinkError) -> NetlinkError {
        let NetlinkError::Refused { errno, index, extended } = error else { return error };
        let subject = index.checked_sub(1).and_then(|i| self.subjects.get(i)).map_or("transaction", |s| s);
        let extended =
            if extended.is_empty() { subject.to_owned() } else { format!("{subject}: {extended}") };
        NetlinkError::Refused { errno, index, extended }
    }

    fn message(&mut self, message: Message, flags: u16, subject: &str, fill: impl FnOnce(&mut Buffer)) {
        self.close_list();
        let mark = self.open_message(message, flags, subject);
        fill(&mut self.buffer);
        self.buffer.end_message(mark);
    }

    fn open_message(&mut self, message: Message, flags: u16, subject: &str) -> Mark {
        self.last_start = self.buffer.len();
        self.subjects.push(format!("{message:?} {subject}"));
        let mark = begin(&mut self.buffer, message, self.family as u8, flags, self.next);
        self.next += 1;
        mark
    }

    fn element(&mut self, set: &str, element: &Element, delete: bool, time: Option<Duration>) {
        let fits = self.open.as_ref().is_some_and(|open| {
            open.delete == delete && open.set == set && self.buffer.written_since(&open.list) < LIST_LIMIT
        });
        if !fits {
            self.close_list();
            self.open_list(set, delete);
        }
        element.encode_for(&mut self.buffer, time);
    }

    fn open_list(&mut self, set: &str, delete: bool) {
        let (kind, flags) = if delete { (Message::DelElement, 0) } else { (Message::NewElement, CREATE) };
        let message = self.open_message(kind, flags, set);
        self.buffer.put_str(1, self.table);
        self.buffer.put_str(2, set);
        let list = self.buffer.begin_nested(3);
        self.open = Some(OpenList { message, list, delete, set: set.to_owned() });
    }

    fn close_list(&mut self) {
        if let Some(open) = self.open.take() {
            self.buffer.end_nested(open.list);
            self.buffer.end_message(open.message);
        }
    }
}
