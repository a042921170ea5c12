//! Looks at a legacy iptables table (`ip_tables`, `ip6_tables`): a cheap one at how many entries it has and how large it is,
//! and a whole one that makes a digest of some chains.
//!
//! Every change swaps the whole table, so a change of either number is certain news; equal numbers are none.
//! The requests are `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES` of the kernel's
//! `include/uapi/linux/netfilter_ipv4/ip_tables.h`.
#![allow(unsafe_code)]

mod blob;
mod hash;

pub use blob::{ChainDigest, name_digest};

use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::NetlinkError;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const GET_INFO: i32 = 64;
/// `XT_TABLE_MAXNAMELEN`: bytes of a name with its final zero.
const NAME: usize = 32;
const HOOKS: usize = 5;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: i32 = 65;
/// Bytes of `struct ipt_get_entries` before the entries.
const ENTRIES: usize = 40;
/// How often a table is asked for whose size changes between the two questions.
const TRIES: u32 = 5;

/// What the kernel tells of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Rules, with one more for each chain's head and each chain's end.
    pub entries: u32,
    /// Bytes of them all.
    pub size: u32,
}

/// `struct ipt_getinfo`, which is `struct ip6t_getinfo` too.
#[repr(C)]
struct GetInfo {
    name: [u8; NAME],
    valid_hooks: u32,
    hook_entry: [u32; HOOKS],
    underflow: [u32; HOOKS],
    entries: u32,
    size: u32,
}

/// Looks at a table of this thread's network namespace. `None` if it does not exist: it is not made by asking.
/// Errors: no permission, or the kernel does not answer as it should.
pub fn info(family_is_v6: bool, table: &str) -> Result<Option<TableInfo>, NetlinkError> {
    if table.len() >= NAME || !exists(family_is_v6, table)? {
        return Ok(None);
    }
    let (domain, level) = match family_is_v6 {
        false => (libc::AF_INET, libc::IPPROTO_IP),
        true => (libc::AF_INET6, libc::IPPROTO_IPV6),
    };
    let socket = raw_socket(domain)?;
    match get_info(&socket, level, table) {
        Ok(info) => Ok(Some(TableInfo { entries: info.entries, size: info.size })),
        // It went between the look at the list and this.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(source) => Err(NetlinkError::Io { what: "ask for a table's size", source }),
    }
}

/// Reads a table of this thread's network namespace, and makes a digest of each chain whose name begins with `prefix`, and
/// of the jumps to such chains in each other chain that has one; sorted. Counters and all other rules count for
/// nothing. Empty if there is no such table. The kernel copies the whole table: about 1 KB for each rule.
/// Errors: no permission, no memory, or the kernel does not answer as it should.
pub fn digests(family_is_v6: bool, table: &str, prefix: &str) -> Result<Vec<ChainDigest>, NetlinkError> {
    if table.len() >= NAME || !exists(family_is_v6, table)? {
        return Ok(Vec::new());
    }
    let (domain, level, shape) = match family_is_v6 {
        false => (libc::AF_INET, libc::IPPROTO_IP, blob::Shape::V4),
        true => (libc::AF_INET6, libc::IPPROTO_IPV6, blob::Shape::V6),
    };
    let socket = raw_socket(domain)?;
    for _ in 0..TRIES {
        let read = get_info(&socket, level, table)
            .and_then(|info| Ok((get_entries(&socket, level, table, info.size)?, info)));
        match read {
            Ok((entries, info)) => return blob::digest(&entries[ENTRIES..], shape, &info.hooks(), prefix),
            // Somebody has changed it since the first question.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Vec::new()),
            Err(source) => return Err(NetlinkError::Io { what: "read a table's entries", source }),
        }
    }
    Err(NetlinkError::Interrupted(TRIES))
}

/// Opens and closes a raw socket, as the legacy tools do for all that they ask of the kernel. Errors: this process has no
/// CAP_NET_RAW.
pub fn is_permitted() -> Result<(), NetlinkError> {
    raw_socket(libc::AF_INET).map(drop)
}

/// Whether the kernel lists the table. Asking for one that is not there would load a module and make it.
fn exists(family_is_v6: bool, table: &str) -> Result<bool, NetlinkError> {
    let path = match family_is_v6 {
        false => "/proc/thread-self/net/ip_tables_names",
        true => "/proc/thread-self/net/ip6_tables_names",
    };
    match fs::read_to_string(path) {
        Ok(names) => Ok(names.lines().any(|name| name == table)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(NetlinkError::Io { what: "read the list of iptables tables", source }),
    }
}

fn raw_socket(domain: i32) -> Result<OwnedFd, NetlinkError> {
    // SAFETY: socket(2) takes three integers and touches no memory of ours.
    let raw = unsafe { libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
    if raw < 0 {
        return Err(NetlinkError::Io { what: "open a raw socket", source: io::Error::last_os_error() });
    }
    // SAFETY: `raw` was just returned by socket(2) and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

impl GetInfo {
    /// Where the built-in chains begin.
    fn hooks(&self) -> [Option<u32>; HOOKS] {
        std::array::from_fn(|hook| (self.valid_hooks & 1 << hook != 0).then_some(self.hook_entry[hook]))
    }
}

/// The answer as it is: [`ENTRIES`] bytes, then the entries.
fn get_entries(socket: &OwnedFd, level: i32, table: &str, size: u32) -> io::Result<Vec<u8>> {
    let whole = ENTRIES + size as usize;
    let mut length =
        libc::socklen_t::try_from(whole).map_err(|_| io::Error::other("the table is too large"))?;
    let mut answer = vec![0; whole];
    answer[..table.len()].copy_from_slice(table.as_bytes());
    answer[NAME..NAME + 4].copy_from_slice(&size.to_ne_bytes());
    let pointer = answer.as_mut_ptr().cast();
    // SAFETY: the kernel reads and writes at most `length` bytes at `pointer`: exactly the live buffer, of plain bytes.
    // `length` outlives the call. Natural alignment is not needed: the kernel copies byte by byte.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, GET_ENTRIES, pointer, &mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

fn get_info(socket: &OwnedFd, level: i32, table: &str) -> io::Result<GetInfo> {
    let mut info = GetInfo {
        name: [0; NAME],
        valid_hooks: 0,
        hook_entry: [0; HOOKS],
        underflow: [0; HOOKS],
        entries: 0,
        size: 0,
    };
    info.name[..table.len()].copy_from_slice(table.as_bytes());
    let mut length = size_of::<GetInfo>() as libc::socklen_t;
    let pointer = std::ptr::from_mut(&mut info).cast();
    // SAFETY: the kernel reads and writes at most `length` bytes at `pointer`: exactly the live structure, which is
    // plain integers for which every bit pattern is valid. `length` outlives the call.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, GET_INFO, pointer, &mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if length as usize != size_of::<GetInfo>() {
        return Err(io::Error::other("the kernel's answer has another size"));
    }
    Ok(info)
}
