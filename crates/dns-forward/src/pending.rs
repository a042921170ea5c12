//! Questions that were sent by one socket or connection and wait for their replies.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use dns_wire::{Asked, Foreign, Name, NameRef, Stored, UDP_PAYLOAD, class, rtype};
use tokio::sync::oneshot;

use crate::group::lock;
use crate::{Asking, random};

/// A question as it is asked of upstreams.
#[derive(Debug)]
pub(crate) struct Question {
    name: Name,
    qtype: u16,
    qclass: u16,
    dnssec_ok: bool,
    checking_disabled: bool,
    /// Name, type and class as octets: what a reply must echo.
    octets: Box<[u8]>,
}

impl From<&Asking<'_>> for Question {
    fn from(asking: &Asking<'_>) -> Self {
        let mut octets = asking.name.wire().to_vec();
        octets.extend(asking.qtype.to_be_bytes());
        octets.extend(asking.qclass.to_be_bytes());
        let Asking { name, qtype, qclass, dnssec_ok, checking_disabled } = *asking;
        Self { name: name.to_owned(), qtype, qclass, dnssec_ok, checking_disabled, octets: octets.into() }
    }
}

/// Octets of an OPT record without options.
const OPT_OCTETS: usize = 11;

impl Question {
    /// What a health probe asks: the servers of the root.
    pub(crate) fn probe() -> Self {
        let (name, qtype, qclass) = (NameRef::ROOT, rtype::NS, class::IN);
        (&Asking { name, qtype, qclass, dnssec_ok: false, checking_disabled: false }).into()
    }

    pub(crate) fn asking(&self) -> Asking<'_> {
        let Self { qtype, qclass, dnssec_ok, checking_disabled, .. } = *self;
        Asking { name: self.name.as_ref(), qtype, qclass, dnssec_ok, checking_disabled }
    }

    /// The query to send. AD is set: the upstream may say what it has validated (RFC 6840, section 5.7).
    pub(crate) fn message(&self, id: u16, edns: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + self.octets.len() + OPT_OCTETS);
        let (name, payload) = (self.name.as_ref(), UDP_PAYLOAD);
        let bits = (self.dnssec_ok, self.checking_disabled);
        dns_wire::ask(&mut out, id, name, self.qtype, self.qclass, bits.0, bits.1, true, payload);
        if !edns {
            out.truncate(out.len() - OPT_OCTETS);
            out[11] = 0; // ARCOUNT
        }
        out
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A message.
    Message(Stored),
    /// A message that did not fit: ask by TCP.
    Truncated,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not in time.
    Timeout,
    /// The connection was closed before the reply.
    Closed,
    /// Nobody is there, or TLS cannot be spoken.
    Unreachable,
    /// It cannot be read.
    Broken,
    /// Too much waits already.
    Full,
}

/// Questions that wait at one socket at most.
const MAX_PENDING: usize = 512;

/// The table, by ID.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<u16, Waiting>>);

struct Waiting {
    question: Arc<Question>,
    done: oneshot::Sender<Result<Reply, Fault>>,
}

impl Pending {
    /// Takes a question, with a random ID that no other has.
    pub(crate) fn add(&self, question: &Arc<Question>) -> Result<(u16, Receiver), Fault> {
        let mut table = lock(&self.0);
        if table.len() >= MAX_PENDING {
            return Err(Fault::Full);
        }
        loop {
            let id = random::id();
            if let Entry::Vacant(place) = table.entry(id) {
                let (done, receiver) = oneshot::channel();
                place.insert(Waiting { question: question.clone(), done });
                return Ok((id, receiver));
            }
        }
    }

    /// Hands a message to who waits for it; false if nobody does.
    pub(crate) fn deliver(&self, message: &[u8]) -> bool {
        let Some(id) = message.first_chunk().map(|octets| u16::from_be_bytes(*octets)) else { return false };
        let mut table = lock(&self.0);
        let Entry::Occupied(waiting) = table.entry(id) else { return false };
        let asked = Asked { id, question: &waiting.get().question.octets };
        let result = match dns_wire::store(message, &asked) {
            Ok(stored) => Ok(Reply::Message(stored)),
            Err(Foreign::Truncated) => Ok(Reply::Truncated),
            Err(Foreign::Broken) => Err(Fault::Broken),
            Err(Foreign::Wrong) => return false,
        };
        let _ = waiting.remove().done.send(result);
        true
    }

    pub(crate) fn remove(&self, id: u16) {
        lock(&self.0).remove(&id);
    }

    /// Nothing more will come.
    pub(crate) fn fail(&self, fault: Fault) {
        for (_, waiting) in lock(&self.0).drain() {
            let _ = waiting.done.send(Err(fault));
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Where the reply comes.
pub(crate) type Receiver = oneshot::Receiver<Result<Reply, Fault>>;
