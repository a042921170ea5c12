//! Messages to values.

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::attr::Attrs;
use crate::ipvs::server::{Destination, Key, RealServer, Stats, Timeouts, VirtualServer};
use crate::{Reply, genl};

/// Reads one virtual server; `None` for other messages and where something is missing.
pub(in crate::ipvs) fn service(reply: &Reply<'_>, family: u16) -> Option<VirtualServer> {
    let attrs = attributes(reply, family, CMD_NEW_SERVICE)?.find(ATTR_SERVICE)?.nested();
    let key = key(attrs)?;
    let flags = attrs.find(SVC_FLAGS)?.payload.first_chunk().copied().map(u32::from_ne_bytes)?;
    Some(VirtualServer {
        key,
        scheduler: attrs.text(SVC_SCHED_NAME)?.to_owned(),
        flags: flags & !SVC_F_HASHED,
        timeout: attrs.host(SVC_TIMEOUT)?,
        prefix: prefix(key.family(), attrs.find(SVC_NETMASK)?)?,
    })
}

/// Reads one real server of a virtual server of family `ip`; `None` for other messages and where something is
/// missing.
pub(in crate::ipvs) fn destination(reply: &Reply<'_>, family: u16, ip: Family) -> Option<Destination> {
    let attrs = attributes(reply, family, CMD_NEW_DEST)?.find(ATTR_DEST)?.nested();
    let own = attrs.host(DEST_ADDR_FAMILY).map_or(Some(ip), family_of)?;
    let address = SocketAddr::new(address(attrs.find(DEST_ADDR)?, own)?, port(attrs.find(DEST_PORT)?)?);
    let server = RealServer {
        address,
        forwarding: forwarding(attrs.host(DEST_FWD_METHOD)?)?,
        weight: attrs.host(DEST_WEIGHT)?,
        upper_threshold: attrs.host(DEST_U_THRESH)?,
        lower_threshold: attrs.host(DEST_L_THRESH)?,
    };
    Some(Destination {
        server,
        active: attrs.host(DEST_ACTIVE_CONNS)?,
        inactive: attrs.host(DEST_INACT_CONNS)?,
        persistent: attrs.host(DEST_PERSIST_CONNS)?,
        stats: attrs.find(DEST_STATS64).map(|a| stats(a.nested())).unwrap_or_default(),
    })
}

/// Reads the timeouts; those of a protocol that the kernel was built without are 0.
pub(in crate::ipvs) fn timeouts(reply: &Reply<'_>, family: u16) -> Option<Timeouts> {
    let attrs = attributes(reply, family, CMD_SET_CONFIG)?;
    let seconds = |kind| attrs.host(kind).unwrap_or(0);
    Some(Timeouts {
        tcp: seconds(ATTR_TIMEOUT_TCP),
        tcp_fin: seconds(ATTR_TIMEOUT_TCP_FIN),
        udp: seconds(ATTR_TIMEOUT_UDP),
    })
}

fn attributes<'a>(reply: &Reply<'a>, family: u16, command: u8) -> Option<Attrs<'a>> {
    let (header, rest) = reply.payload.split_first_chunk::<{ genl::HEADER }>()?;
    (reply.kind == family && header[0] == command).then_some(Attrs(rest))
}

fn key(attrs: Attrs<'_>) -> Option<Key> {
    let family = family_of(attrs.host(SVC_AF)?)?;
    if let Some(mark) = attrs.host(SVC_FWMARK) {
        return Some(Key::Mark { mark, family });
    }
    Some(Key::Address {
        address: address(attrs.find(SVC_ADDR)?, family)?,
        protocol: attrs.host(SVC_PROTOCOL)?.try_into().ok()?,
        port: port(attrs.find(SVC_PORT)?)?,
    })
}

fn stats(attrs: Attrs<'_>) -> Stats {
    let total = |kind| attrs.find(kind).and_then(|a| a.host()).unwrap_or(0);
    Stats {
        connections: total(STATS_CONNS),
        in_packets: total(STATS_INPKTS),
        out_packets: total(STATS_OUTPKTS),
        in_bytes: total(STATS_INBYTES),
        out_bytes: total(STATS_OUTBYTES),
    }
}

fn port(attr: Attr<'_>) -> Option<u16> {
    attr.payload.try_into().ok().map(u16::from_be_bytes)
}

fn address(attr: Attr<'_>, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => attr.payload.first_chunk::<4>().copied().map(IpAddr::from),
        Family::V6 => attr.payload.first_chunk::<16>().copied().map(IpAddr::from),
    }
}
