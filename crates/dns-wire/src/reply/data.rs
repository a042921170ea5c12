//! The data of records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::codes::rtype;
use crate::name::NameRef;

/// The data of a record.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// One name, compressed: CNAME, PTR, NS.
    Name(NameRef<'a>),
    /// SRV (RFC 2782); its target is not compressed.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among those of one priority.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: NameRef<'a>,
    },
    /// SOA.
    Soa {
        /// The primary server.
        mname: NameRef<'a>,
        /// The mailbox of who is responsible.
        rname: NameRef<'a>,
        /// The version of the zone.
        serial: u32,
        /// Seconds.
        refresh: u32,
        /// Seconds.
        retry: u32,
        /// Seconds.
        expire: u32,
        /// The most seconds that a negative answer may be kept (RFC 2308).
        minimum: u32,
    },
    /// Texts; of each at most 255 octets are written.
    Txt(&'a [&'a [u8]]),
    /// Data in wire form, copied.
    Raw(&'a [u8]),
    /// Data in wire form with uncompressed names, which are compressed where the type allows it: what [`crate::Record`] has.
    Wire(&'a [u8]),
}

impl Data<'_> {
    /// The record for an address, with its type: A or AAAA.
    #[must_use]
    pub fn address(address: IpAddr) -> (u16, Self) {
        match address {
            IpAddr::V4(address) => (rtype::A, Self::A(address)),
            IpAddr::V6(address) => (rtype::AAAA, Self::Aaaa(address)),
        }
    }
}
