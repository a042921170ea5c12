//! Virtual servers that still carry connections: they get no new ones.

use netlink::NetlinkError;
use netlink::ipvs::{self, Command, Ipvs, Key, RealServer};

use super::Scene;
use crate::{Report, count};

/// Takes the virtual servers that are in use off the list of those to remove.
pub(super) fn spare_those_in_use(scene: &mut Scene, report: &mut Report) {
    let Some(socket) = &mut scene.ipvs else { return };
    let (mut idle, mut used, mut connections) = (Vec::new(), 0, 0);
    for key in std::mem::take(&mut scene.servers) {
        match close(socket, key) {
            Ok(0) => idle.push(key),
            Ok(more) => (used, connections) = (used + 1, connections + more),
            Err(error) => report.failed.push(format!("IPVS virtual server: {error}")),
        }
    }
    scene.servers = idle;
    if used > 0 {
        let (what, of) = (count(connections, "connection"), count(used, "virtual server"));
        report.draining = Some(format!("{what} of {of} of kube-proxy end"));
    }
}

/// Gives all real servers the weight 0; the number of their connections.
fn close(socket: &mut Ipvs, key: Key) -> Result<usize, NetlinkError> {
    let found = ipvs::destinations(socket, &key)?;
    let connections = found.iter().map(|real| real.active as usize + real.inactive as usize).sum();
    let open = found.iter().filter(|real| real.server.weight > 0);
    let commands: Vec<Command> =
        open.map(|real| Command::EditDestination(key, RealServer { weight: 0, ..real.server })).collect();
    ipvs::apply(socket, &commands)?;
    Ok(connections)
}
