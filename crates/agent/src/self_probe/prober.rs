//! The thread that tries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use config::SelfProbeConfiguration;
use model::IpFamily;
use nix::errno::Errno;
use sources::StopSignal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

use super::judge::{FAILURES, Judge, News, Outcome};
use super::server::{AT_ONCE, Expected, Nonce, Server, Try, answer_to};
use super::{Path, Shared};
use crate::board::Board;
use crate::events::Events;

/// How long one try may take. Within the node it takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// All that the thread needs.
pub(crate) struct Prober {
    pub(crate) settings: SelfProbeConfiguration,
    pub(crate) shared: Shared,
    pub(crate) board: Arc<Board>,
    pub(crate) events: Events,
}

/// What the thread holds while it runs.
struct Running {
    prober: Prober,
    expected: Expected,
    servers: BTreeMap<IpAddr, Server>,
    judge: Judge,
}

impl Prober {
    /// Starts the thread; it ends when it is told to stop.
    pub(crate) fn start(self, stop: &StopSignal) -> Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = stop.as_fd().try_clone_to_owned()?;
        let judge = Judge::default();
        let running =
            Running { prober: self, expected: Expected::default(), servers: BTreeMap::new(), judge };
        let run = move || {
            runtime.block_on(async {
                let Ok(stop) = pipe::Receiver::from_owned_fd(stop) else { return };
                tokio::select! {
                    _ = stop.readable() => {}
                    () = running.run() => {}
                }
            });
        };
        Ok(thread::Builder::new().name("self-probe".into()).spawn(run)?)
    }
}

impl Running {
    async fn run(mut self) {
        let interval = self.prober.settings.interval.as_std();
        loop {
            sleep(interval).await;
            // Before the first sync there are no rules to try.
            if self.prober.board.state().synced_once {
                self.round().await;
            }
        }
    }

    /// One try of each family.
    async fn round(&mut self) {
        let paths = self.prober.shared.get().paths;
        self.servers.retain(|own, _| paths.iter().any(|path| path.own == *own));
        for family in IpFamily::ALL {
            let path = paths.iter().find(|path| IpFamily::of(path.own) == family);
            let Some(path) = path else {
                self.judge.forget(family);
                self.prober.board.metrics.self_probe.forget(family);
                continue;
            };
            let outcome = self.try_once(*path).await;
            self.prober.board.metrics.self_probe.note(family, &outcome);
            if let Some(news) = self.judge.note(family, &outcome) {
                self.tell(family, *path, &news);
            }
        }
        self.prober.board.state().health.set_probe(self.judge.verdict());
    }

    async fn try_once(&mut self, path: Path) -> Outcome {
        if let Err(error) = self.listen(path.own).await {
            let (own, port) = (path.own, self.prober.settings.port);
            return Outcome::Unknown(format!(
                "cannot listen on {own}, port {port} (selfProbe.port): {error}"
            ));
        }
        let nonce = match fresh() {
            Ok(nonce) => nonce,
            Err(error) => return Outcome::Unknown(format!("no random number: {error}")),
        };
        let (started, others) = (Instant::now(), self.expected.others());
        let exchange = exchange(path, self.prober.settings.port, nonce, &self.expected);
        let result = timeout(PATIENCE, exchange).await;
        self.expected.set(None);
        match result {
            Ok(Ok(())) => Outcome::Works(started.elapsed()),
            Ok(Err(Trouble::Untried(error))) => Outcome::Unknown(error.to_string()),
            Ok(Err(Trouble::Failed(why))) => failed(why, self.expected.others() - others),
            Err(_) => failed(no_answer(conntrack_is_full()), self.expected.others() - others),
        }
    }

    async fn listen(&mut self, own: IpAddr) -> io::Result<()> {
        if !self.servers.contains_key(&own) {
            let at = SocketAddr::new(own, self.prober.settings.port);
            let server = Server::start(at, self.expected.clone(), self.prober.shared.clone()).await?;
            self.servers.insert(own, server);
        }
        Ok(())
    }

    fn tell(&self, family: IpFamily, path: Path, news: &News) {
        let frontend = SocketAddr::new(path.frontend, self.prober.settings.port);
        match news {
            News::Failing(why) => {
                let text = format!(
                    "the self-probe of {family} through {frontend} to {} failed {FAILURES} times in a row: {why}; /healthz and \
                     /readyz answer 503 until it works",
                    path.own
                );
                tracing::error!("{text}");
                self.prober.events.self_probe(true, text);
            }
            News::Working => {
                let text = format!("the self-probe of {family} through {frontend} works again");
                tracing::info!("{text}");
                self.prober.events.self_probe(false, text);
            }
            News::Untried(why) => {
                tracing::warn!(
                    "the self-probe of {family} through {frontend} cannot be tried, and counts for nothing: {why}"
                );
            }
        }
    }
}

/// Why there was no answer.
enum Trouble {
    /// Not a packet left.
    Untried(io::Error),
    /// The packets were lost, refused, or answered by somebody else.
    Failed(String),
}

/// What a failure means while `others` connected to the same port: enough of them leave no room for the probe.
fn failed(why: String, others: u64) -> Outcome {
    if others < AT_ONCE as u64 {
        return Outcome::Fails(why);
    }
    Outcome::Unknown(format!("{others} others connected to selfProbe.port during one try ({why})"))
}

fn no_answer(full: bool) -> String {
    let why = if full { ": the conntrack table is full, so no new connection of anybody works" } else { "" };
    format!("no answer within {PATIENCE:?}{why}")
}

/// Whether the kernel can note no further connection (`net.netfilter.nf_conntrack_max`).
fn conntrack_is_full() -> bool {
    let read = |name| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    // 0: without a bound.
    read("max").is_some_and(|max| max > 0 && read("count").is_some_and(|count| count >= max))
}

/// Connects to the frontend, sends the nonce, and reads the answer.
async fn exchange(path: Path, port: u16, nonce: Nonce, expected: &Expected) -> Result<(), Trouble> {
    let socket = if path.own.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Trouble::Untried)?;
    socket.bind(SocketAddr::new(path.own, 0)).map_err(Trouble::Untried)?;
    let from = socket.local_addr().map_err(Trouble::Untried)?.port();
    expected.set(Some(Try { nonce, port: from }));
    let to = SocketAddr::new(path.frontend, port);
    let mut stream = socket.connect(to).await.map_err(|error| not_connected(error, to.ip()))?;
    let failed = |error: io::Error| Trouble::Failed(format!("connected, and then: {error}"));
    stream.write_all(&nonce).await.map_err(failed)?;
    let mut answer = Nonce::default();
    stream.read_exact(&mut answer).await.map_err(failed)?;
    if answer == answer_to(&nonce) {
        return Ok(());
    }
    Err(Trouble::Failed(format!("something else answers at {to}")))
}

/// Without a route nothing was sent. Everything else was the network's answer.
fn not_connected(error: io::Error, to: IpAddr) -> Trouble {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENETUNREACH) => Trouble::Untried(io::Error::other(format!(
            "the node has no route to {to}; a default route is enough"
        ))),
        Some(Errno::EADDRNOTAVAIL | Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
            Trouble::Untried(error)
        }
        _ => Trouble::Failed(format!("cannot connect: {error}")),
    }
}

fn fresh() -> io::Result<Nonce> {
    let mut nonce = Nonce::default();
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_nothing_where_others_were_in_the_way() {
        let enough = AT_ONCE as u64;
        for (others, full, expected) in [
            (0, false, Outcome::Fails("no answer within 1s".into())),
            (enough - 1, false, Outcome::Fails("no answer within 1s".into())),
            (0, true, Outcome::Fails(no_answer(true))),
            (
                enough,
                false,
                Outcome::Unknown(
                    "256 others connected to selfProbe.port during one try (no answer within 1s)".into(),
                ),
            ),
        ] {
            assert_eq!(failed(no_answer(full), others), expected);
        }
        assert!(no_answer(true).contains("conntrack table is full"));
    }
}
