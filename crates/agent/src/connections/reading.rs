//! One list: what the kernel has, with names.

use std::fs::{self, File};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flows::{FlowsView, IP_VS_CONN, Question, Tally, Whole, view};
use model::FrontendKey;
use netlink::{NetlinkError, Socket, conntrack};
use resolve::Mode;
use rustc_hash::FxHashSet;

use super::NoFlows;
use super::owners::Owners;
use crate::ask::Asker;
use crate::board::Board;

/// Whether the kernel counts bytes of connections that begin now, in this network namespace.
pub(crate) const ACCOUNTING: &str = "/proc/sys/net/netfilter/nf_conntrack_acct";

/// Reads the connections that are asked for.
pub(super) fn read(asker: &Asker, board: &Board, question: &Question) -> Result<FlowsView, NoFlows> {
    let started = Instant::now();
    let mode = board.state().mode;
    let frontends = frontends(asker, question)?;
    let mut whole = Whole { mode: mode.as_str().into(), ..Whole::default() };
    let tally = tally(mode, question, frontends.as_ref(), &mut whole.notes)?;
    let owners = Owners::of(asker, tally.places())?;
    whole.node = asker.ask(|seen| seen.engine.store().node_name().to_string())?;
    whole.now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    whole.took_ms = started.elapsed().as_millis() as u64;
    let wanted = question.service.as_ref();
    let owner =
        |place: &_| owners.owner(place).filter(|owner| wanted.is_none_or(|name| owner.service == *name));
    Ok(view(&tally, whole, owner, |service, endpoint| owners.state(service, endpoint)))
}

fn frontends(asker: &Asker, question: &Question) -> Result<Option<FxHashSet<FrontendKey>>, NoFlows> {
    let Some(name) = question.service.clone() else { return Ok(None) };
    let asked = name.clone();
    let entry = asker.ask(move |seen| seen.engine.store().entry(&asked).cloned())?;
    let service = entry.and_then(|entry| entry.service.clone()).ok_or(NoFlows::NoService(name))?;
    Ok(Some(service.frontend_keys().into_iter().collect()))
}

fn tally(
    mode: Mode,
    question: &Question,
    frontends: Option<&FxHashSet<FrontendKey>>,
    notes: &mut Vec<String>,
) -> Result<Tally, NetlinkError> {
    let (mut tally, mut socket) = (Tally::default(), conntrack::open()?);
    let mut whole = flows::led(&mut socket, question, frontends, |connection| tally.take(connection))?;
    if mode == Mode::Ipvs {
        whole &= ip_vs(&mut socket, question, frontends, &mut tally, notes)?;
    }
    if !whole {
        notes.push("the kernel's table changed while it was read: some connections may be missing".into());
    }
    if tally.beyond() > 0 {
        notes.push(format!(
            "{} further connections are not counted: there are too many endpoints",
            tally.beyond()
        ));
    }
    if fs::read_to_string(ACCOUNTING).is_ok_and(|text| text.trim() == "0") {
        notes.push("the kernel counts no bytes: sysctl net.netfilter.nf_conntrack_acct is 0".into());
    }
    Ok(tally)
}

/// Connections of IPVS, with what conntrack knows of them.
fn ip_vs(
    socket: &mut Socket,
    question: &Question,
    frontends: Option<&FxHashSet<FrontendKey>>,
    tally: &mut Tally,
    notes: &mut Vec<String>,
) -> Result<bool, NetlinkError> {
    let read = File::open(IP_VS_CONN).and_then(|file| {
        flows::read_ip_vs(file, |connection| {
            if question.takes(&connection, frontends) {
                tally.take(connection);
            }
        })
    });
    let whole = read.unwrap_or_else(|error| {
        notes.push(format!("the connections of IPVS cannot be read: {IP_VS_CONN}: {error}"));
        true
    });
    flows::complete(socket, question, frontends, tally)?;
    if !tally.recount() {
        notes.push("there are too many connections to look up the bytes of each".into());
    }
    Ok(whole)
}
