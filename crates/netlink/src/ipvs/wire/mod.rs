//! IPVS messages. Names and numbers are those of `linux/ip_vs.h`; what the kernel makes of them is in
//! `net/netfilter/ipvs/ip_vs_ctl.c` (`ip_vs_genl_parse_service` and its neighbours).
//!
//! Byte order: addresses, ports and IPv4 masks in network order, everything else in the host's. In the place of the
//! mask IPv6 has the length of the prefix, in host order. Addresses come as 16 bytes, of which IPv4 uses the first 4.

mod put;
mod read;

pub(super) use put::{Question, put_command, put_question};
pub(super) use read::{destination, service, timeouts};

use std::net::Ipv4Addr;

use super::server::Forwarding;
use crate::attr::Attr;
use crate::conntrack::Family;

const VERSION: u8 = 1;

const CMD_NEW_SERVICE: u8 = 1;
const CMD_SET_SERVICE: u8 = 2;
const CMD_DEL_SERVICE: u8 = 3;
const CMD_GET_SERVICE: u8 = 4;
const CMD_NEW_DEST: u8 = 5;
const CMD_SET_DEST: u8 = 6;
const CMD_DEL_DEST: u8 = 7;
const CMD_GET_DEST: u8 = 8;
const CMD_SET_CONFIG: u8 = 12;
const CMD_GET_CONFIG: u8 = 13;

const ATTR_SERVICE: u16 = 1;
const ATTR_DEST: u16 = 2;
const ATTR_TIMEOUT_TCP: u16 = 4;
const ATTR_TIMEOUT_TCP_FIN: u16 = 5;
const ATTR_TIMEOUT_UDP: u16 = 6;

const SVC_AF: u16 = 1;
const SVC_PROTOCOL: u16 = 2;
const SVC_ADDR: u16 = 3;
const SVC_PORT: u16 = 4;
const SVC_FWMARK: u16 = 5;
const SVC_SCHED_NAME: u16 = 6;
const SVC_FLAGS: u16 = 7;
const SVC_TIMEOUT: u16 = 8;
const SVC_NETMASK: u16 = 9;

const DEST_ADDR: u16 = 1;
const DEST_PORT: u16 = 2;
const DEST_FWD_METHOD: u16 = 3;
const DEST_WEIGHT: u16 = 4;
const DEST_U_THRESH: u16 = 5;
const DEST_L_THRESH: u16 = 6;
const DEST_ACTIVE_CONNS: u16 = 7;
const DEST_INACT_CONNS: u16 = 8;
const DEST_PERSIST_CONNS: u16 = 9;
const DEST_ADDR_FAMILY: u16 = 11;
const DEST_STATS64: u16 = 12;

const STATS_CONNS: u16 = 1;
const STATS_INPKTS: u16 = 2;
const STATS_OUTPKTS: u16 = 3;
const STATS_INBYTES: u16 = 4;
const STATS_OUTBYTES: u16 = 5;

const SVC_F_HASHED: u32 = 0x0002;
const FWD_MASK: u32 = 0x0007;

fn mask(family: Family, prefix: u8) -> [u8; 4] {
    match family {
        Family::V4 => u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0).to_be_bytes(),
        Family::V6 => u32::from(prefix).to_ne_bytes(),
    }
}

fn prefix(family: Family, attr: Attr<'_>) -> Option<u8> {
    let bytes: [u8; 4] = attr.payload.try_into().ok()?;
    match family {
        Family::V4 => Some(Ipv4Addr::from(bytes).to_bits().count_ones() as u8),
        Family::V6 => u32::from_ne_bytes(bytes).try_into().ok(),
    }
}

fn number_of(family: Family) -> u16 {
    match family {
        Family::V4 => libc::AF_INET as u16,
        Family::V6 => libc::AF_INET6 as u16,
    }
}

fn family_of(number: u32) -> Option<Family> {
    [Family::V4, Family::V6].into_iter().find(|family| u32::from(number_of(*family)) == number)
}

fn method(forwarding: Forwarding) -> u32 {
    match forwarding {
        Forwarding::Masquerade => 0,
        Forwarding::Local => 1,
        Forwarding::Tunnel => 2,
        Forwarding::DirectRoute => 3,
        Forwarding::Bypass => 4,
    }
}

fn forwarding(flags: u32) -> Option<Forwarding> {
    use Forwarding::{Bypass, DirectRoute, Local, Masquerade, Tunnel};
    [Masquerade, Local, Tunnel, DirectRoute, Bypass].get((flags & FWD_MASK) as usize).copied()
}

#[cfg(test)]
mod tests;
