//! Finds upstreams that lead back to this server: a question with a random name is sent to each; if it comes back, the upstream
//! is disabled. CoreDNS's `loop` does the same and ends the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use dns_wire::{Name, NameBuf, class};
use tokio::time::{sleep, timeout};

use crate::group::lock;
use crate::pending::Question;
use crate::remote::Remote;
use crate::{Asking, random};

/// HINFO, as CoreDNS asks.
const HINFO: u16 = 13;
/// Octets of the random label, in hexadecimal digits.
const DIGITS: usize = 32;
/// Time for one probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Probes that may stay unanswered.
const TRIES: u32 = 3;
/// A looping upstream is looked at again after this.
const RECHECK: Duration = Duration::from_secs(30);

/// Probes that are out: as many as there are upstreams at most.
#[derive(Default)]
pub(crate) struct Loops(Mutex<HashMap<Box<[u8]>, Probe>>);

struct Probe {
    remote: Weak<Remote>,
    came_back: bool,
}

impl Loops {
    /// Whether a client's question is a probe of ours; the upstream that it was sent to is disabled then.
    pub(crate) fn came_back(&self, asking: &Asking<'_>) -> bool {
        if asking.qtype != HINFO || asking.qclass != class::IN {
            return false;
        }
        let label = asking.name.first_label().filter(|label| label.len() == DIGITS);
        let Some(label) = label.map(<[u8]>::to_ascii_lowercase) else { return false };
        let mut probes = lock(&self.0);
        let Some(probe) = probes.get_mut(&label[..]) else { return false };
        probe.came_back = true;
        if let Some(remote) = probe.remote.upgrade() {
            disable(&remote);
        }
        true
    }

    /// Probes one upstream until it answers, and for as long as it loops.
    pub(crate) async fn check(self: Arc<Self>, remote: Arc<Remote>, zone: Name) {
        if !remote.health.begin_check() {
            return;
        }
        let (address, mut remote) = (remote.address(), Arc::downgrade(&remote));
        let mut tries = 0;
        while let Some(alive) = remote.upgrade().filter(|_| tries < TRIES) {
            match self.probe(&alive, &zone).await {
                Outcome::CameBack => tries = 0,
                Outcome::Silence => tries += 1,
                Outcome::Fine => {
                    if alive.health.set_looping(false) {
                        tracing::info!("DNS upstream {address} does not lead back to this server any more");
                    }
                    break;
                }
            }
            let pause = if alive.health.is_looping() { RECHECK } else { Duration::from_secs(1) };
            tries = if alive.health.is_looping() { 0 } else { tries };
            remote = Arc::downgrade(&alive);
            drop(alive);
            sleep(pause).await;
        }
        if let Some(alive) = remote.upgrade() {
            alive.health.end_check();
        }
    }

    async fn probe(&self, remote: &Arc<Remote>, zone: &Name) -> Outcome {
        let label = format!("{:016x}{:016x}", random::number(), random::number()).into_bytes();
        let mut name = NameBuf::new();
        let Some(name) = name.push(&label).and_then(|name| name.under(zone.as_ref())) else {
            return Outcome::Fine; // no room for a probe below a zone of such length
        };
        let (qtype, qclass) = (HINFO, class::IN);
        let asking = Asking { name, qtype, qclass, dnssec_ok: false, checking_disabled: false };
        let question = Arc::new(Question::from(&asking));
        let probe = Probe { remote: Arc::downgrade(remote), came_back: false };
        let label: Box<[u8]> = label.into();
        lock(&self.0).insert(label.clone(), probe);
        let reply =
            timeout(PROBE_TIMEOUT, remote.exchange(&question, remote.health.edns.is_known(Instant::now())))
                .await;
        let probe = lock(&self.0).remove(&label);
        match reply {
            _ if probe.is_some_and(|probe| probe.came_back) => Outcome::CameBack,
            Ok(Ok(_)) => Outcome::Fine,
            _ => Outcome::Silence,
        }
    }
}

enum Outcome {
    CameBack,
    Silence,
    Fine,
}

fn disable(remote: &Remote) {
    if remote.health.set_looping(true) {
        tracing::error!(
            "DNS upstream {} is disabled: it leads back to this server (a probe came back); give its real upstream instead \
             (where systemd-resolved runs: those of /run/systemd/resolve/resolv.conf)",
            remote.address()
        );
    }
}
