//! Generic netlink: subsystems that get their message type when they register (`linux/genetlink.h`).

use crate::attr::{Attrs, Buffer};
use crate::{NetlinkError, Reply, Socket};

/// Size of a `struct genlmsghdr`.
pub(crate) const HEADER: usize = 4;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_VERSION: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Writes a `struct genlmsghdr`.
pub(crate) fn put_header(buffer: &mut Buffer, command: u8, version: u8) {
    buffer.raw(&[command, version, 0, 0]);
}

/// The message type of a family; `None` where the kernel has none of this name. Asking loads its module, if there is
/// one (`MODULE_ALIAS_GENL_FAMILY`). Errors: the socket failed, or the kernel answered with another refusal or without a number.
pub(crate) fn family(socket: &mut Socket, name: &str) -> Result<Option<u16>, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut request = Buffer::default();
    put_lookup(&mut request, name, sequence);
    let mut id = None;
    match socket.request(request.bytes(), sequence, |reply| id = id.or(family_id(&reply))) {
        Ok(()) => id.map(Some).ok_or(NetlinkError::Malformed("a generic netlink family without a number")),
        Err(NetlinkError::Refused { errno: libc::ENOENT, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a family has registered, without loading its module.
/// Errors: the socket failed, or the kernel refused.
pub(crate) fn is_registered(socket: &mut Socket, name: &str) -> Result<bool, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut request = Buffer::default();
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mark = request.begin_message(GENL_ID_CTRL, flags, sequence);
    put_header(&mut request, CTRL_CMD_GETFAMILY, CTRL_VERSION);
    request.end_message(mark);
    let mut found = false;
    socket.dump(request.bytes(), sequence, |reply| found |= is_named(&reply, name))?;
    Ok(found)
}

fn put_lookup(buffer: &mut Buffer, name: &str, sequence: u32) {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mark = buffer.begin_message(GENL_ID_CTRL, flags, sequence);
    put_header(buffer, CTRL_CMD_GETFAMILY, CTRL_VERSION);
    buffer.put_str(CTRL_ATTR_FAMILY_NAME, name);
    buffer.end_message(mark);
}

fn family_id(reply: &Reply<'_>) -> Option<u16> {
    let attrs = Attrs(reply.payload.get(HEADER..)?);
    attrs.host(CTRL_ATTR_FAMILY_ID)?.try_into().ok()
}

fn is_named(reply: &Reply<'_>, name: &str) -> bool {
    let attrs = reply.payload.get(HEADER..).map(Attrs);
    attrs.and_then(|attrs| attrs.text(CTRL_ATTR_FAMILY_NAME)) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_names_the_family() {
        let mut buffer = Buffer::default();
        put_lookup(&mut buffer, "IPVS", 7);
        let expected = [
            &32u32.to_ne_bytes()[..],
            &0x10u16.to_ne_bytes(),
            &5u16.to_ne_bytes(),
            &7u32.to_ne_bytes(),
            &[0, 0, 0, 0, 3, 1, 0, 0],
            &9u16.to_ne_bytes(),
            &2u16.to_ne_bytes(),
            b"IPVS\0\0\0\0",
        ]
        .concat();
        assert_eq!(buffer.bytes(), expected);
    }

    #[test]
    fn the_kernel_tells_its_own_controller() {
        let mut socket = Socket::open(libc::NETLINK_GENERIC).unwrap();
        assert_eq!(family(&mut socket, "nlctrl").unwrap(), Some(GENL_ID_CTRL));
        assert_eq!(family(&mut socket, "no-such-family").unwrap(), None);
        assert!(is_registered(&mut socket, "nlctrl").unwrap());
        assert!(!is_registered(&mut socket, "no-such-family").unwrap());
    }
}
