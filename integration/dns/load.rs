//! Queries at a steady rate, while something happens.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::netns::NetNs;

use crate::ask;
use crate::wire::{self, Query};

/// A query without a reply for so long is lost.
const LOST: Duration = Duration::from_secs(1);

/// Clients that ask one after the other, each by a socket of its own.
pub(crate) struct Load<'a> {
    pub(crate) ns: &'a NetNs,
    pub(crate) server: SocketAddr,
    pub(crate) clients: u32,
    /// Queries a second, of all clients.
    pub(crate) rate: u32,
    /// What is asked, and the first answer's last field; `None`: any reply counts.
    pub(crate) name: &'a str,
    pub(crate) want: &'a str,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: usize,
    pub(crate) lost: usize,
    /// Replies that were not the wanted one.
    pub(crate) wrong: usize,
    times: Vec<Duration>,
}

impl Load<'_> {
    /// Asks while `work` runs; its error wins.
    pub(crate) fn during(&self, work: impl FnOnce() -> Result<()>) -> Result<Outcome> {
        let ended = AtomicBool::new(false);
        let sockets: Vec<_> =
            (0..self.clients).map(|_| ask::udp(self.ns, self.server, None)).collect::<Result<_>>()?;
        thread::scope(|scope| {
            let client = |socket| scope.spawn(|| self.client(socket, &ended));
            let clients: Vec<_> = sockets.into_iter().map(client).collect();
            let worked = work();
            ended.store(true, Ordering::Relaxed);
            let mut all = Outcome::default();
            for client in clients {
                all.add(client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            worked.map(|()| all)
        })
    }

    fn client(&self, socket: UdpSocket, ended: &AtomicBool) -> Result<Outcome> {
        socket.set_read_timeout(Some(LOST)).context("a timeout")?;
        let (mut outcome, begun) = (Outcome::default(), Instant::now());
        let pace = Duration::from_secs(1) * self.clients / self.rate;
        while !ended.load(Ordering::Relaxed) {
            let (query, at) = (Query::new(self.name, "A")?, Instant::now());
            outcome.sent += 1;
            match ask::exchange(&socket, &query.bytes()) {
                Ok(reply) => outcome.take(&reply, &query, self.want, at.elapsed()),
                Err(_) => outcome.lost += 1,
            }
            let next = begun + pace * u32::try_from(outcome.sent)?;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(outcome)
    }
}

impl Outcome {
    fn take(&mut self, reply: &[u8], query: &Query, want: &str, time: Duration) {
        let read = crate::decode::read(reply);
        let right = read.is_ok_and(|reply| {
            reply.id == query.id
                && reply.flags & 15 == 0
                && reply.flags & wire::TC == 0
                && reply.answer().first().and_then(|line| line.rsplit(' ').next()) == Some(want)
        });
        self.wrong += usize::from(!right);
        self.times.push(time);
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.lost += other.lost;
        self.wrong += other.wrong;
        self.times.extend(other.times);
    }

    /// The time that 99 of 100 replies took at most.
    pub(crate) fn p99(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times.get(self.times.len() * 99 / 100).copied().unwrap_or_default()
    }
}
