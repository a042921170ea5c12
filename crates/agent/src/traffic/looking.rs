//! The thread: hears what ends, looks at what lives, and compares.

use std::thread;
use std::time::{Duration, Instant};

use flows::{Connection, Delta, Meter, Pair, Question, TopRow};
use model::NamespacedName;
use netlink::conntrack::{self, Ended, News};
use netlink::{NetlinkError, Socket};
use resolve::Mode;
use rustc_hash::FxHashMap;

use super::table::IpvsTable;
use super::{SHARE, Top, Traffic};
use crate::ask::Asker;
use crate::board::Board;
use crate::connections::{ACCOUNTING, Owners, since, thread_time};

/// After an error the thread begins anew, after so long.
const AGAIN: Duration = Duration::from_secs(5);
/// How long it waits for news before it looks whether there is something else to do.
const NEWS: Duration = Duration::from_millis(500);

/// Runs while the process does.
pub(super) fn run(traffic: &Traffic, asker: &Asker, board: &Board) {
    loop {
        traffic.wait_for_interest();
        let mode = board.state().mode;
        let looked = Looking::open(mode).and_then(|mut looking| looking.run(traffic, asker, board));
        if let Err(error) = looked {
            tracing::warn!("connections are not counted: {error}; trying again in 5 s");
            thread::sleep(AGAIN);
        }
        traffic.shown().top = None;
    }
}

/// Everything that is needed while somebody wants to know.
struct Looking {
    mode: Mode,
    ended: Ended,
    socket: Socket,
    ipvs: Option<IpvsTable>,
    meter: Meter,
    /// The Services of the places of the last look, for connections that outlive their Service.
    names: FxHashMap<flows::Place, NamespacedName>,
    last: Option<Instant>,
    lost: bool,
}

impl Looking {
    fn open(mode: Mode) -> Result<Self, NetlinkError> {
        Ok(Self {
            mode,
            ended: Ended::open()?,
            socket: conntrack::open()?,
            ipvs: IpvsTable::open(mode)?,
            meter: Meter::default(),
            names: FxHashMap::default(),
            last: None,
            lost: false,
        })
    }

    /// Until nobody wants to know, or the mode changes.
    fn run(&mut self, traffic: &Traffic, asker: &Asker, board: &Board) -> Result<(), NetlinkError> {
        let mut next = Instant::now();
        while board.state().mode == self.mode {
            let Some(pace) = traffic.shown().pace() else { return Ok(()) };
            // Somebody may have begun to look meanwhile.
            if self.last.is_some_and(|last| last + pace < next) && pace == super::FAST {
                next = self.last.unwrap_or(next) + pace;
            }
            self.listen(traffic, next)?;
            if Instant::now() >= next {
                let started = (Instant::now(), thread_time());
                self.look(traffic, asker)?;
                next = Instant::now() + pace.max(since(started) * SHARE);
            }
        }
        Ok(())
    }

    /// Takes in what ends, for a moment or until it is time for a look; at least all that is queued then.
    fn listen(&mut self, traffic: &Traffic, until: Instant) -> Result<(), NetlinkError> {
        let patience = until.saturating_duration_since(Instant::now()).min(NEWS);
        let meter = &mut self.meter;
        let mut each = |account: conntrack::Account| {
            let led = Connection::of_account(&account).filter(|_| account.flow.is_dnat());
            led.into_iter().for_each(|connection| meter.ended(&connection));
        };
        let mut news = self.ended.next(patience, &mut each)?;
        let begun = Instant::now();
        while news != News::None && begun.elapsed() < NEWS {
            if news == News::Lost {
                self.lost = true;
                traffic.shown().lost += 1;
            }
            news = self.ended.next(Duration::ZERO, &mut each)?;
        }
        Ok(())
    }

    fn look(&mut self, traffic: &Traffic, asker: &Asker) -> Result<(), NetlinkError> {
        let meter = &mut self.meter;
        flows::led(&mut self.socket, &Question::default(), None, |connection| meter.lives(&connection))?;
        let mut news = self.meter.look(std::mem::take(&mut self.lost));
        if let Some(ipvs) = &mut self.ipvs {
            news.extend(ipvs.look()?);
        }
        let now = Instant::now();
        let interval = self.last.replace(now).map(|last| now - last);
        self.name(asker, &news);
        self.show(traffic, &news, interval);
        Ok(())
    }

    /// Asks whose the places are. Without an answer the names of before hold.
    fn name(&mut self, asker: &Asker, news: &[(Pair, Delta)]) {
        let mut places: Vec<_> = news.iter().map(|(pair, _)| pair.place).collect();
        places.sort_unstable();
        places.dedup();
        let Ok(owners) = Owners::of(asker, places.clone()) else { return };
        let before = std::mem::take(&mut self.names);
        let name = |place: &_| {
            owners.owner(place).map(|owner| &owner.service).or_else(|| before.get(place)).cloned()
        };
        self.names = places.into_iter().filter_map(|place| Some((place, name(&place)?))).collect();
    }

    fn show(&self, traffic: &Traffic, news: &[(Pair, Delta)], interval: Option<Duration>) {
        let named = || {
            news.iter().filter_map(|(pair, delta)| Some((self.names.get(&pair.place)?, pair.endpoint, delta)))
        };
        let mut shown = traffic.shown();
        shown.beyond += self.meter.beyond().saturating_sub(shown.beyond);
        if let Some(book) = &mut shown.book {
            book.take(Instant::now(), named());
        }
        if let Some(interval) = interval {
            let mut services: FxHashMap<&NamespacedName, Delta> = FxHashMap::default();
            named().for_each(|(name, _, delta)| services.entry(name).or_default().add(delta));
            let rows = services.into_iter().map(|(name, delta)| row(name, &delta, interval)).collect();
            shown.top = Some(Top { at: Instant::now(), interval, rows, notes: notes() });
        }
        drop(shown);
        traffic.news.notify_all();
    }
}

fn row(name: &NamespacedName, delta: &Delta, interval: Duration) -> TopRow {
    let per_second = |number: u64| number as f64 / interval.as_secs_f64().max(0.001);
    TopRow {
        service: name.to_string(),
        new_per_second: per_second(delta.opened),
        live: delta.live,
        bytes_in_per_second: per_second(delta.bytes_in),
        bytes_out_per_second: per_second(delta.bytes_out),
    }
}

fn notes() -> Vec<String> {
    let off = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "0");
    let mut notes = Vec::new();
    if off(ACCOUNTING) {
        notes.push("the kernel counts no bytes: sysctl net.netfilter.nf_conntrack_acct is 0".into());
    }
    if off("/proc/sys/net/netfilter/nf_conntrack_events") {
        notes.push("short connections are missing: sysctl net.netfilter.nf_conntrack_events is 0".into());
    }
    notes
}
