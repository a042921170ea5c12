//! Whether ipset is there, asked so that no module is loaded: any message to nfnetlink's subsystem would load it, an
//! unknown socket option does not (`ip_set_sockfn_get` in `net/netfilter/ipset/ip_set_core.c`).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::NetlinkError;

const SO_IP_SET: i32 = 83;
const IP_SET_OP_VERSION: u32 = 0x100;

/// Whether ipset has registered. Errors: no socket, or no permission.
pub(super) fn is_registered() -> Result<bool, NetlinkError> {
    // SAFETY: socket(2) takes three integers and touches no memory of ours.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(failure("open a socket to ask for ipset"));
    }
    // SAFETY: `raw` was just returned by socket(2) and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    match version(&socket) {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(false),
        result => result.map(|()| true).map_err(|source| NetlinkError::Io { what: "ask for ipset", source }),
    }
}

fn version(socket: &OwnedFd) -> io::Result<()> {
    // `struct ip_set_req_version`: the operation, and room for the answer.
    let mut request = [IP_SET_OP_VERSION, 0];
    let mut length = size_of_val(&request) as libc::socklen_t;
    let pointer = request.as_mut_ptr().cast();
    // SAFETY: pointer and length describe our own array, which lives through the call.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_IP, SO_IP_SET, pointer, &mut length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn failure(what: &'static str) -> NetlinkError {
    NetlinkError::Io { what, source: io::Error::last_os_error() }
}
