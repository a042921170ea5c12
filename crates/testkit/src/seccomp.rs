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
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPROTONOSUPPORT.unsigned_abs();
    let mut program = [
        load(ARCHITECTURE),
        unless_equal(THIS_ARCHITECTURE, 7),
        load(NUMBER),
        unless_equal(u32::try_from(libc::SYS_socket)?, 5),
        load(FIRST_ARGUMENT),
        unless_equal(libc::AF_NETLINK.unsigned_abs(), 3),
        load(THIRD_ARGUMENT),
        unless_equal(libc::NETLINK_NETFILTER.unsigned_abs(), 1),
        verdict(refuse),
        verdict(libc::SECCOMP_RET_ALLOW),
    ];
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

/// Jumps over so many statements unless the loaded value is this one.
fn unless_equal(value: u32, over: u8) -> sock_filter {
    sock_filter { jf: over, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value) }
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

    /// Whether a netlink socket of this protocol can be had.
    fn opens(protocol: i32) -> io::Result<()> {
        Socket::new(Domain::from(libc::AF_NETLINK), Type::DGRAM, Some(protocol.into())).map(drop)
    }

    #[test]
    fn only_netfilter_is_gone_and_only_in_the_thread() {
        let inside = thread::spawn(|| {
            no_netfilter().unwrap();
            (opens(libc::NETLINK_NETFILTER).unwrap_err().raw_os_error(), opens(libc::NETLINK_ROUTE).is_ok())
        });
        assert_eq!(inside.join().unwrap(), (Some(libc::EPROTONOSUPPORT), true));
        opens(libc::NETLINK_NETFILTER).unwrap();
    }
}
