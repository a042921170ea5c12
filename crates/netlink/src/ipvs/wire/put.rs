//! Values to messages.

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::attr::Buffer;
use crate::genl;
use crate::ipvs::server::{Command, Key, RealServer, Timeouts, VirtualServer};

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub(in crate::ipvs) enum Question<'a> {
    Services,
    Service(&'a Key),
    Destinations(&'a Key),
    Timeouts,
    SetTimeouts(&'a Timeouts),
}

/// Writes a question; a list is asked for as a dump, one thing with an acknowledgement.
pub(in crate::ipvs) fn put_question(buffer: &mut Buffer, family: u16, question: Question<'_>, sequence: u32) {
    let (command, flag) = match question {
        Question::Services => (CMD_GET_SERVICE, libc::NLM_F_DUMP),
        Question::Service(_) => (CMD_GET_SERVICE, libc::NLM_F_ACK),
        Question::Destinations(_) => (CMD_GET_DEST, libc::NLM_F_DUMP),
        Question::Timeouts => (CMD_GET_CONFIG, libc::NLM_F_ACK),
        Question::SetTimeouts(_) => (CMD_SET_CONFIG, libc::NLM_F_ACK),
    };
    put_message(buffer, family, command, flag, sequence, |b| match question {
        Question::Services | Question::Timeouts => {}
        Question::Service(key) | Question::Destinations(key) => b.nested(ATTR_SERVICE, |b| put_key(b, key)),
        Question::SetTimeouts(timeouts) => put_timeouts(b, timeouts),
    });
}

/// Writes a command; only a refusal is answered unless `acknowledge`.
pub(in crate::ipvs) fn put_command(
    buffer: &mut Buffer,
    family: u16,
    command: &Command,
    acknowledge: bool,
    sequence: u32,
) {
    let flag = if acknowledge { libc::NLM_F_ACK } else { 0 };
    put_message(buffer, family, number(command), flag, sequence, |b| match command {
        Command::Add(server) | Command::Edit(server) => b.nested(ATTR_SERVICE, |b| put_service(b, server)),
        Command::Delete(key) => b.nested(ATTR_SERVICE, |b| put_key(b, key)),
        Command::AddDestination(key, server) | Command::EditDestination(key, server) => {
            b.nested(ATTR_SERVICE, |b| put_key(b, key));
            b.nested(ATTR_DEST, |b| put_destination(b, server));
        }
        Command::DeleteDestination(key, address) => {
            b.nested(ATTR_SERVICE, |b| put_key(b, key));
            b.nested(ATTR_DEST, |b| put_socket_address(b, *address));
        }
    });
}

fn number(command: &Command) -> u8 {
    match command {
        Command::Add(_) => CMD_NEW_SERVICE,
        Command::Edit(_) => CMD_SET_SERVICE,
        Command::Delete(_) => CMD_DEL_SERVICE,
        Command::AddDestination(..) => CMD_NEW_DEST,
        Command::EditDestination(..) => CMD_SET_DEST,
        Command::DeleteDestination(..) => CMD_DEL_DEST,
    }
}

fn put_message(
    buffer: &mut Buffer,
    family: u16,
    command: u8,
    flag: i32,
    sequence: u32,
    fill: impl FnOnce(&mut Buffer),
) {
    let mark = buffer.begin_message(family, (libc::NLM_F_REQUEST | flag) as u16, sequence);
    genl::put_header(buffer, command, VERSION);
    fill(buffer);
    buffer.end_message(mark);
}

fn put_key(buffer: &mut Buffer, key: &Key) {
    buffer.put_u16(SVC_AF, number_of(key.family()));
    match key {
        Key::Mark { mark, .. } => buffer.put_u32(SVC_FWMARK, *mark),
        Key::Address { address, protocol, port } => {
            buffer.put_u16(SVC_PROTOCOL, (*protocol).into());
            put_ip(buffer, SVC_ADDR, *address);
            buffer.put(SVC_PORT, &port.to_be_bytes());
        }
    }
}

/// The flags come with a mask of those that are meant: all.
fn put_service(buffer: &mut Buffer, server: &VirtualServer) {
    put_key(buffer, &server.key);
    buffer.put_str(SVC_SCHED_NAME, &server.scheduler);
    let flags = [server.flags.to_ne_bytes(), u32::MAX.to_ne_bytes()];
    buffer.put(SVC_FLAGS, flags.as_flattened());
    buffer.put_u32(SVC_TIMEOUT, server.timeout);
    buffer.put(SVC_NETMASK, &mask(server.key.family(), server.prefix));
}

fn put_destination(buffer: &mut Buffer, server: &RealServer) {
    put_socket_address(buffer, server.address);
    buffer.put_u32(DEST_FWD_METHOD, method(server.forwarding));
    buffer.put_u32(DEST_WEIGHT, server.weight);
    buffer.put_u32(DEST_U_THRESH, server.upper_threshold);
    buffer.put_u32(DEST_L_THRESH, server.lower_threshold);
}

fn put_socket_address(buffer: &mut Buffer, address: SocketAddr) {
    buffer.put_u16(DEST_ADDR_FAMILY, number_of(Family::of(address.ip())));
    put_ip(buffer, DEST_ADDR, address.ip());
    buffer.put(DEST_PORT, &address.port().to_be_bytes());
}

fn put_timeouts(buffer: &mut Buffer, timeouts: &Timeouts) {
    buffer.put_u32(ATTR_TIMEOUT_TCP, timeouts.tcp);
    buffer.put_u32(ATTR_TIMEOUT_TCP_FIN, timeouts.tcp_fin);
    buffer.put_u32(ATTR_TIMEOUT_UDP, timeouts.udp);
}

fn put_ip(buffer: &mut Buffer, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => buffer.put(kind, &ip.octets()),
        IpAddr::V6(ip) => buffer.put(kind, &ip.octets()),
    }
}
