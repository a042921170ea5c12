//! What IPVS has counted, of the real servers that had something to do.

use std::net::SocketAddr;

use flows::{Counted, Delta, Meter, Pair, Place};
use model::{EndpointAddr, Protocol};
use netlink::NetlinkError;
use netlink::ipvs::{self, Destination, Ipvs, Key};
use resolve::Mode;

/// The virtual servers, with what was seen of them.
pub(super) struct IpvsTable {
    ipvs: Ipvs,
    meter: Meter,
}

impl IpvsTable {
    /// In mode ipvs; `None` in others, and where the kernel has no IPVS.
    pub(super) fn open(mode: Mode) -> Result<Option<Self>, NetlinkError> {
        if mode != Mode::Ipvs {
            return Ok(None);
        }
        Ok(ipvs::open()?.map(|ipvs| Self { ipvs, meter: Meter::default() }))
    }

    /// What is new since the last look.
    pub(super) fn look(&mut self) -> Result<Vec<(Pair, Delta)>, NetlinkError> {
        let mut counted = Vec::new();
        for server in ipvs::services(&mut self.ipvs)? {
            let Key::Address { address, protocol, port } = server.key else { continue };
            let Some(protocol) = Protocol::from_number(protocol) else { continue };
            let place = Place { protocol, at: EndpointAddr { ip: address, port } };
            let reals = ipvs::destinations(&mut self.ipvs, &server.key)?;
            counted.extend(reals.iter().filter(|real| has_worked(real)).map(|real| count(place, real)));
        }
        Ok(self.meter.compare(counted))
    }
}

/// One that has never had a connection says nothing.
fn has_worked(real: &Destination) -> bool {
    real.stats.connections > 0 || real.active + real.inactive > 0
}

fn count(place: Place, real: &Destination) -> (Pair, Counted) {
    let address: SocketAddr = real.server.address;
    let endpoint = EndpointAddr { ip: address.ip(), port: address.port() };
    let counted = Counted {
        connections: real.stats.connections,
        live: u64::from(real.active) + u64::from(real.inactive),
        bytes_in: real.stats.in_bytes,
        bytes_out: real.stats.out_bytes,
    };
    (Pair { place, endpoint }, counted)
}
