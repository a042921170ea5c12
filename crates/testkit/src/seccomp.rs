//! A kernel that lacks something, for one thread and all that it starts: system calls that fail by a seccomp filter.

use std::io;

use anyhow::{Context, Result};
use libc::{c_ulong, sock_filter, sock_fprog};

/// Offsets in `struct seccomp_data`; of an argument, its lower half.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const THIRD_ARGUMENT: u32 = 32;

#[cfg(target_arch = "x86_64")]
const THIS_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_ARCHITECTURE: u32 = 0xc000_00b7;

/// Takes netfilter's netlink away from this thread and from the programs that it starts from now on: no nf_tables, no
/// conntrack, as where the kernel is built without `CONFIG_NETFILTER_NETLINK`. There is no way back.
pub fn no_netfilter() -> Result<()> {
    refuse_sockets(libc::AF_NETLINK, Some(libc::NETLINK_NETFILTER), libc::EPROTONOSUPPORT)
}

/// Takes IPv6 sockets away in the same manner, as where the kernel is started with `ipv6.disable=1`. The legacy variant
/// of ip6tables needs one.
pub fn no_ipv6() -> Result<()> {
    refuse_sockets(libc::AF_INET6, None, libc::EAFNOSUPPORT)
}

/// `socket(domain, _, protocol)` fails with this error, whatever the type; all other calls are as ever.
fn refuse_sockets(domain: i32, protocol: Option<i32>, error: i32) -> Result<()> {
    let mut program = vec![
        load(ARCHITECTURE),
        unless_equal(THIS_ARCHITECTURE),
        load(NUMBER),
        unless_equal(u32::try_from(libc::SYS_socket)?),
        load(FIRST_ARGUMENT),
        unless_equal(domain.unsigned_abs()),
    ];
    if let Some(protocol) = protocol {
        program.extend([load(THIRD_ARGUMENT), unless_equal(protocol.unsigned_abs())]);
    }
    program.push(verdict(libc::SECCOMP_RET_ERRNO | error.unsigned_abs()));
    let end = program.len();
    program.push(verdict(libc::SECCOMP_RET_ALLOW));
    for (place, statement) in program.iter_mut().enumerate().filter(|(_, s)| s.code == UNLESS_EQUAL) {
        statement.jf = u8::try_from(end - place - 1)?;
    }
    install(&mut program).context("installing a seccomp filter")
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn verdict(value: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, value)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

const UNLESS_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;

/// Jumps to the end, which is not known yet, unless the loaded value is this one.
fn unless_equal(value: u32) -> sock_filter {
    statement(UNLESS_EQUAL.into(), value)
}

#[allow(unsafe_code)]
fn install(program: &mut [sock_filter]) -> Result<()> {
    let len = u16::try_from(program.len()).context("a filter is short")?;
    let program = sock_fprog { len, filter: program.as_mut_ptr() };
    let none: c_ulong = 0;
    // SAFETY: prctl reads `program`, and the statements that it points to, during the call only; both live longer. The
    // unused arguments are 0, as PR_SET_NO_NEW_PRIVS demands.
    let result = unsafe {
        match libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, none, none, none) {
            0 => libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER as c_ulong,
                &raw const program,
                none,
                none,
            ),
            failed => failed,
        }
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// The errors of sockets: netfilter's, other netlink, IPv6, IPv4.
    fn errors() -> [Option<i32>; 4] {
        let netlink = libc::AF_NETLINK;
        let kinds = [
            (netlink, libc::NETLINK_NETFILTER),
            (netlink, libc::NETLINK_ROUTE),
            (libc::AF_INET6, 0),
            (libc::AF_INET, 0),
        ];
        kinds.map(|(domain, protocol)| {
            let socket = Socket::new(Domain::from(domain), Type::DGRAM, Some(protocol.into()));
            socket.err().and_then(|error| error.raw_os_error())
        })
    }

    #[test]
    fn only_that_is_gone_and_only_in_the_thread() {
        let inside = |restrict: fn() -> Result<()>| {
            thread::spawn(move || restrict().map(|()| errors())).join().unwrap().unwrap()
        };
        assert_eq!(inside(no_netfilter), [Some(libc::EPROTONOSUPPORT), None, None, None]);
        assert_eq!(inside(no_ipv6), [None, None, Some(libc::EAFNOSUPPORT), None]);
        assert_eq!(errors(), [None; 4]);
    }
}
