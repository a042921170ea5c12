//! The protocol cases of the table, each a test by its name; those with the same set-up share a server.

mod cached;
mod edns;
mod header;
mod local;
mod names;
mod size;
mod source;
mod tcp;

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::ask;
use crate::compare::Transport::{self, Tcp, Udp};
use crate::decode::{self, Reply};
use crate::place::Place;
use crate::shared::Shared;
use crate::table::Table;
use crate::trial;
use crate::wire;

/// One protocol case.
pub(crate) struct Test {
    pub(crate) id: &'static str,
    run: fn(&Place) -> Result<()>,
}

/// A Corefile and who asks its server.
struct Setup {
    corefile: &'static str,
    tests: &'static [&'static [Test]],
}

const SETUPS: &[Setup] = &[
    Setup {
        corefile: ".:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . 198.18.0.53
}",
        tests: &[header::TESTS, names::TESTS, size::TESTS, edns::TESTS, tcp::TESTS],
    },
    Setup {
        corefile: ".:53 {
    local
    kubernetes cluster.local
    prometheus 127.0.0.1:9153
    forward . 198.18.0.53
}",
        tests: &[local::TESTS],
    },
    Setup {
        corefile: ".:53 {
    cache 30
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . 198.18.0.53
}",
        tests: &[cached::TESTS],
    },
];

/// All of them.
pub(crate) fn trials(table: &Arc<Table>, obstacle: Option<&String>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for setup in SETUPS {
        let shared = Shared::new(table, setup.corefile.to_owned(), true);
        for test in setup.tests.iter().copied().flatten() {
            let (name, shared) = (format!("protocol::{}", test.id), Arc::clone(&shared));
            trials.push(trial(name, obstacle.cloned(), move || (test.run)(shared.place()?)));
        }
    }
    let table = Arc::clone(table);
    let alone = move || source::asked_address(&table);
    trials.push(trial(format!("protocol::{}", source::ID), obstacle.cloned(), alone));
    trials
}

/// The cases that are played here.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    let tests = SETUPS.iter().flat_map(|setup| setup.tests.iter().copied().flatten());
    tests.map(|test| test.id).chain([source::ID])
}

/// The Corefiles of all set-ups.
pub(crate) fn corefiles() -> Vec<&'static str> {
    SETUPS.iter().map(|setup| setup.corefile).collect()
}

const NAME: &str = "kubernetes.default.svc.cluster.local.";
const RECORD: &str = "kubernetes.default.svc.cluster.local. 5 IN A 10.96.0.1";
const BOTH: [Transport; 2] = [Udp, Tcp];

impl Place {
    /// Sends any octets and returns the reply, that both decoders read.
    fn raw(&self, message: &[u8], transport: Transport) -> Result<Reply> {
        let reply = match transport {
            Udp => ask::exchange(&ask::udp(&self.ns, self.server, None)?, message)?,
            Tcp => {
                let mut stream = ask::tcp(&self.ns, self.server, None)?;
                stream.write_all(&wire::framed(message)).context("sending")?;
                ask::read_framed(&mut stream)?
            }
        };
        decode::read(&reply)
    }

    /// The octets are refused with this code over both transports: ID and opcode copied, no records.
    fn refuses(&self, message: &[u8], rcode: &str) -> Result<()> {
        BOTH.into_iter().try_for_each(|transport| {
            let reply = self.raw(message, transport).with_context(|| format!("over {transport:?}"))?;
            ensure!(reply.rcode == rcode, "over {transport:?}: got {}, want {rcode}", reply.rcode);
            ensure!(reply.id.to_be_bytes() == message[..2], "ID not copied");
            ensure!(reply.has(wire::QR), "QR=0");
            let opcode = 0x7800 & u16::from_be_bytes([message[2], message[3]]);
            ensure!(reply.flags & 0x7800 == opcode, "opcode not copied");
            ensure!(!reply.has(wire::AA), "AA=1 with {rcode}");
            ensure!(
                reply.sections.answer.is_empty() && reply.sections.authority.is_empty(),
                "records: {reply:?}"
            );
            Ok(())
        })
    }
}

/// That a reply has this code and these answers, in any order.
pub(crate) fn has(reply: &Reply, rcode: &str, want: &[&str]) -> Result<()> {
    let mut got: Vec<_> = reply.answer().iter().map(String::as_str).collect();
    got.sort_unstable();
    ensure!(reply.rcode == rcode && got == want, "want {rcode} {want:?}, got {reply:?}");
    Ok(())
}
