//! What connections on a stage come to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use model::Protocol;
use testkit::probe::Outcome;
use testkit::wait;

use crate::backend::is_ipvs;
use crate::stage::{Stage, ip, socket};

/// Long enough for a busy machine, shorter than TCP's first retransmission.
pub(crate) const ANSWER: Duration = Duration::from_millis(900);
/// How long silence must last to count as a drop.
pub(crate) const SILENCE: Duration = Duration::from_millis(250);
/// A local IPv6 client may hear of an ICMP refusal only at TCP's second try.
const REFUSAL: Duration = Duration::from_secs(3);
/// Within this a frontend without connections has drained.
const DRAINED: Duration = Duration::from_secs(15);
/// Connections for each of several endpoints: to miss one has a chance of 1 in 10,000 or less.
const TRIES: usize = 14;
/// Connections where there is no choice.
const REPEATS: usize = 2;

/// What a server saw of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The server.
    pub(crate) endpoint: SocketAddr,
    /// The client, as the server saw it.
    pub(crate) source: IpAddr,
}

impl Stage {
    /// Sends the first packet of a new flow.
    pub(crate) fn send(
        &self,
        from: &str,
        to: &str,
        protocol: Protocol,
        patience: Duration,
    ) -> Result<Outcome> {
        self.world.probe(ip(from)?, socket(to)?, protocol, patience)
    }

    /// A new connection that must be answered.
    pub(crate) fn reach(&self, from: &str, to: &str, protocol: Protocol) -> Result<Answer> {
        let outcome = self.send(from, to, protocol, ANSWER)?;
        answer(&outcome).with_context(|| format!("{from} -> {to}/{protocol}"))
    }

    /// Connections reach exactly these endpoints, each of them.
    pub(crate) fn reaches(&self, from: &str, to: &str, protocol: Protocol, endpoints: &[&str]) -> Result<()> {
        let wanted = endpoints.iter().map(|e| socket(e)).collect::<Result<BTreeSet<_>>>()?;
        let mut seen = BTreeSet::new();
        let tries = if wanted.len() > 1 { TRIES * wanted.len() } else { REPEATS };
        for _ in 0..tries {
            seen.insert(self.reach(from, to, protocol)?.endpoint);
        }
        ensure!(seen == wanted, "{from} -> {to}/{protocol} reached {seen:?}, want {wanted:?}");
        Ok(())
    }

    /// A connection is refused at once.
    pub(crate) fn refused(&self, from: &str, to: &str, protocol: Protocol) -> Result<()> {
        let outcome = self.send(from, to, protocol, REFUSAL)?;
        ensure!(outcome == Outcome::Refused, "{from} -> {to}/{protocol}: {outcome:?}, want a refusal");
        Ok(())
    }

    /// Nothing comes back.
    pub(crate) fn dropped(&self, from: &str, to: &str, protocol: Protocol) -> Result<()> {
        let outcome = self.send(from, to, protocol, SILENCE)?;
        ensure!(outcome == Outcome::TimedOut, "{from} -> {to}/{protocol}: {outcome:?}, want silence");
        Ok(())
    }

    /// Nobody answers, whether the client is told or not: what still drains in IPVS refuses where otherwise packets are
    /// dropped.
    pub(crate) fn closed(&self, from: &str, to: &str, protocol: Protocol) -> Result<()> {
        let outcome = self.send(from, to, protocol, SILENCE)?;
        let answered = matches!(outcome, Outcome::Answered { .. } | Outcome::Other(_));
        ensure!(!answered, "{from} -> {to}/{protocol}: {outcome:?}, want no answer");
        Ok(())
    }

    /// Nothing comes back from a frontend that has just gone; in mode ipvs once it has drained, which refuses.
    pub(crate) fn gone(&self, from: &str, to: &str, protocol: Protocol) -> Result<()> {
        let patience = if is_ipvs() { DRAINED } else { Duration::ZERO };
        wait::until("the frontend to be gone", patience, || match self.send(from, to, protocol, SILENCE)? {
            Outcome::TimedOut => Ok(Some(())),
            Outcome::Refused if is_ipvs() => Ok(None),
            other => bail!("{from} -> {to}/{protocol}: {other:?}, want silence"),
        })
    }

    /// The destination itself answers, to the client as it is.
    pub(crate) fn untouched(&self, from: &str, to: &str, protocol: Protocol) -> Result<()> {
        let got = self.reach(from, to, protocol)?;
        let wanted = Answer { endpoint: socket(to)?, source: ip(from)? };
        ensure!(got == wanted, "{from} -> {to}/{protocol}: {got:?}, want {wanted:?}");
        Ok(())
    }
}

/// What a server said, or an error.
pub(crate) fn answer(outcome: &Outcome) -> Result<Answer> {
    match outcome {
        Outcome::Answered { endpoint, seen_source } => {
            Ok(Answer { endpoint: *endpoint, source: seen_source.ip() })
        }
        other => bail!("got {other:?}, want an answer"),
    }
}
