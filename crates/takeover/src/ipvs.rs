//! ipvs mode: virtual servers, the link `kube-ipvs0`, ipsets.

mod drain;
mod evidence;

use std::collections::BTreeSet;

use netlink::ipset::{Ipset, Set};
use netlink::ipvs::{Command, Ipvs, Key};
use netlink::route::Link;
use netlink::{NetlinkError, Socket, ipset, ipvs, route};

use crate::names::{LINK, set_purpose};
use crate::{Connections, Leftovers, Report, count};
use evidence::Evidence;

/// Everything of ipvs mode that is there.
#[derive(Default)]
struct Scene {
    ipvs: Option<Ipvs>,
    ipset: Option<Ipset>,
    route: Option<Socket>,
    /// kube-proxy's virtual servers.
    servers: Vec<Key>,
    link: Option<Link>,
    sets: Vec<Set>,
    /// What could not be looked into.
    unread: Vec<String>,
}

pub(crate) fn find(spared: &BTreeSet<Key>, leftovers: &mut Leftovers) {
    let scene = Scene::look(spared);
    if !scene.servers.is_empty() {
        leftovers.found.push(count(scene.servers.len(), "IPVS virtual server"));
    }
    leftovers.found.extend(scene.link.as_ref().filter(|link| is_dummy(link)).map(|_| format!("link {LINK}")));
    if !scene.sets.is_empty() {
        leftovers.found.push(count(scene.sets.len(), "ipset") + " KUBE-*");
    }
    leftovers.unread.extend(scene.unread);
}

pub(crate) fn remove(spared: &BTreeSet<Key>, connections: Connections, report: &mut Report) {
    let mut scene = Scene::look(spared);
    let before = report.failed.len();
    report.failed.append(&mut scene.unread);
    if connections == Connections::LiveOn {
        drain::spare_those_in_use(&mut scene, report);
    }
    scene.remove_servers(report);
    if report.failed.len() > before || report.draining.is_some() {
        // The link and the sets tell whose the servers are: without them the next try would recognise none.
        return;
    }
    scene.remove_link(report);
    scene.remove_sets(report);
}

/// kube-proxy's virtual servers.
pub(crate) fn virtual_servers() -> Result<BTreeSet<Key>, NetlinkError> {
    let (mut scene, mut evidence) = Default::default();
    Scene::look_at_link(&mut scene, &mut evidence)?;
    Scene::look_at_sets(&mut scene, &mut evidence)?;
    Scene::look_at_servers(&mut scene, &mut evidence)?;
    Ok(scene.servers.into_iter().collect())
}

impl Scene {
    fn look(spared: &BTreeSet<Key>) -> Self {
        let mut scene = Self::default();
        let mut evidence = Evidence::default();
        let looks: [(&str, Look); 3] =
            [("links", Self::look_at_link), ("ipsets", Self::look_at_sets), ("IPVS", Self::look_at_servers)];
        for (what, look) in looks {
            if let Err(error) = look(&mut scene, &mut evidence) {
                scene.unread.push(format!("{what}: {error}"));
            }
        }
        scene.servers.retain(|key| !spared.contains(key));
        scene
    }

    fn look_at_link(&mut self, evidence: &mut Evidence) -> Result<(), NetlinkError> {
        let mut socket = route::open()?;
        self.link = route::link(&mut socket, LINK)?;
        let index = self.link.as_ref().filter(|link| is_dummy(link)).map(|link| link.index);
        for address in route::addresses(&mut socket)? {
            evidence.address(address.ip, Some(address.index) == index);
        }
        self.route = Some(socket);
        Ok(())
    }

    fn look_at_sets(&mut self, evidence: &mut Evidence) -> Result<(), NetlinkError> {
        let Some(mut socket) = ipset::open()? else { return Ok(()) };
        for set in ipset::names(&mut socket)? {
            let Some(purpose) = set_purpose(&set.name) else { continue };
            if evidence::tells_frontends(purpose) {
                let members = ipset::members(&mut socket, &set.name)?.unwrap_or_default();
                members.iter().for_each(|member| evidence.member(purpose, &set.name, member));
            }
            self.sets.push(set);
        }
        self.ipset = Some(socket);
        Ok(())
    }

    fn look_at_servers(&mut self, evidence: &mut Evidence) -> Result<(), NetlinkError> {
        let Some(mut socket) = ipvs::open()? else { return Ok(()) };
        let keys = ipvs::services(&mut socket)?.into_iter().map(|server| server.key);
        self.servers = keys.filter(|key| evidence.is_kube_proxys(key)).collect();
        self.ipvs = Some(socket);
        Ok(())
    }

    fn remove_servers(&mut self, report: &mut Report) {
        let Some(socket) = &mut self.ipvs else { return };
        let commands: Vec<Command> = self.servers.iter().copied().map(Command::Delete).collect();
        if commands.is_empty() {
            return;
        }
        match ipvs::apply(socket, &commands) {
            Err(error) => report.failed.push(format!("IPVS virtual servers: {error}")),
            Ok(refused) => {
                // One that is gone already is as it should be.
                let real = |error: &&NetlinkError| error.errno() != Some(ESRCH);
                let failed = refused.iter().filter(real).count();
                if let Some(error) = refused.iter().find(real) {
                    report.failed.push(format!("{}: {error}", count(failed, "IPVS virtual server")));
                }
                report.removed.push(count(commands.len() - failed, "IPVS virtual server"));
            }
        }
    }

    fn remove_link(&mut self, report: &mut Report) {
        let (Some(socket), Some(link)) = (&mut self.route, &self.link) else { return };
        if !is_dummy(link) {
            let kind = link.kind.as_deref().unwrap_or("hardware");
            return report
                .kept
                .push(format!("link {LINK}: it is no dummy link but {kind}, so not kube-proxy's"));
        }
        match route::delete_link(socket, link.index) {
            Ok(true) => report.removed.push(format!("link {LINK}")),
            Ok(false) => {}
            Err(error) => report.failed.push(format!("link {LINK}: {error}")),
        }
    }

    fn remove_sets(&mut self, report: &mut Report) {
        let Some(socket) = &mut self.ipset else { return };
        let mut removed = 0;
        for set in &self.sets {
            match ipset::destroy(socket, &set.name) {
                Ok(gone) => removed += usize::from(gone),
                Err(error) if error.errno() == Some(IN_USE) => {
                    report.kept.push(format!("ipset {}: a rule or another set still uses it", set.name));
                }
                Err(error) => report.failed.push(format!("ipset {}: {error}", set.name)),
            }
        }
        if removed > 0 {
            report.removed.push(count(removed, "ipset") + " KUBE-*");
        }
    }
}

type Look = fn(&mut Scene, &mut Evidence) -> Result<(), NetlinkError>;

/// No such virtual server.
const ESRCH: i32 = 3;
/// `IPSET_ERR_BUSY` of `linux/netfilter/ipset/ip_set.h`.
const IN_USE: i32 = 4100;

/// kube-proxy's link is a dummy one, always.
fn is_dummy(link: &Link) -> bool {
    link.kind.as_deref() == Some("dummy")
}
