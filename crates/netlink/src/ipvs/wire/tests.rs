//! The bytes are what ipvsadm 1.31 sent and what Linux 6.12 answered (x86-64, by strace), but where noted.
#![cfg(target_endian = "little")]

use super::*;
use crate::Reply;
use crate::attr::{Buffer, HEADER};
use crate::ipvs::{Command, Destination, Key, PERSISTENT, RealServer, Stats, Timeouts, VirtualServer};

const FAMILY: u16 = 0x23;

fn https() -> Key {
    Key::Address { address: "10.96.0.1".parse().unwrap(), protocol: 6, port: 443 }
}

fn web6() -> Key {
    Key::Address { address: "fd00::1".parse().unwrap(), protocol: 6, port: 80 }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What follows the header of a message, which must be of the family and as long as it says.
fn payload(buffer: &Buffer, flags: i32) -> Vec<u8> {
    let (header, rest) = buffer.bytes().split_at(HEADER);
    let expected = [
        &(buffer.len() as u32).to_ne_bytes()[..],
        &FAMILY.to_ne_bytes(),
        &(flags as u16).to_ne_bytes(),
        &9u32.to_ne_bytes(),
        &[0; 4],
    ];
    assert_eq!(header, expected.concat());
    rest.to_vec()
}

fn command(command: &Command) -> Vec<u8> {
    let mut buffer = Buffer::default();
    put_command(&mut buffer, FAMILY, command, true, 9);
    payload(&buffer, libc::NLM_F_REQUEST | libc::NLM_F_ACK)
}

fn question(question: Question<'_>, flag: i32) -> Vec<u8> {
    let mut buffer = Buffer::default();
    put_question(&mut buffer, FAMILY, question, 9);
    payload(&buffer, libc::NLM_F_REQUEST | flag)
}

fn told(payload: &[u8]) -> Reply<'_> {
    Reply { kind: FAMILY, flags: 2, sequence: 9, port: 0, payload }
}

/// `ipvsadm -A -t 10.96.0.1:443 -s rr -p 10800`; it pads the address, which makes no difference to the kernel.
#[test]
fn a_virtual_server_is_added_as_ipvsadm_does() {
    let server = VirtualServer {
        key: https(),
        scheduler: "rr".into(),
        flags: PERSISTENT,
        timeout: 10_800,
        prefix: 32,
    };
    let expected =
        hex("01010000 4800 0180 06000100 02000000 06000200 06000000 08000300 0a600001 06000400 01bb0000
         07000600 72720000 0c000700 01000000 ffffffff 08000800 302a0000 08000900 ffffffff");
    assert_eq!(command(&Command::Add(server.clone())), expected);
    assert_eq!(command(&Command::Edit(server))[..4], hex("02010000"));
}

/// `ipvsadm -A -t [fd00::1]:80 -s wlc -M 64 -p 60`
#[test]
fn the_mask_of_ipv6_is_a_length() {
    let server =
        VirtualServer { key: web6(), scheduler: "wlc".into(), flags: PERSISTENT, timeout: 60, prefix: 64 };
    let expected = hex(
        "01010000 5400 0180 06000100 0a000000 06000200 06000000 14000300 fd000000 00000000 00000000 00000001
         06000400 00500000 08000600 776c6300 0c000700 01000000 ffffffff 08000800 3c000000 08000900 40000000",
    );
    assert_eq!(command(&Command::Add(server)), expected);
}

/// `ipvsadm -a -t 10.96.0.1:443 -r 10.0.0.5:6443 -m -w 3 -x 7 -y 5`, without what the kernel does not need: the
/// scheduler and its like, and tunnels.
#[test]
fn a_real_server_is_added_with_everything_that_the_kernel_demands() {
    let address = "10.0.0.5:6443".parse().unwrap();
    let mut server = RealServer::masquerade(address, 3);
    (server.upper_threshold, server.lower_threshold) = (7, 5);
    let key = "2400 0180 06000100 02000000 06000200 06000000 08000300 0a600001 06000400 01bb0000";
    let name = "06000b00 02000000 08000100 0a000005 06000200 192b0000";
    let rest = "08000300 00000000 08000400 03000000 08000500 07000000 08000600 05000000";
    let full = format!("{key} 3c00 0280 {name} {rest}");
    for (number, change) in
        [("05", Command::AddDestination(https(), server)), ("06", Command::EditDestination(https(), server))]
    {
        assert_eq!(command(&change), hex(&format!("{number}010000 {full}")));
    }
    let deletion = hex(&format!("07010000 {key} 1c00 0280 {name}"));
    assert_eq!(command(&Command::DeleteDestination(https(), address)), deletion);
}

#[test]
fn a_key_names_a_virtual_server() {
    let mark = Key::Mark { mark: 0x0102, family: Family::V6 };
    let cases = [
        (https(), "2400 0180 06000100 02000000 06000200 06000000 08000300 0a600001 06000400 01bb0000"),
        (mark, "1400 0180 06000100 0a000000 08000500 02010000"),
    ];
    for (key, bytes) in cases {
        let expected = |number: &str| hex(&format!("{number}010000 {bytes}"));
        assert_eq!(command(&Command::Delete(key)), expected("03"));
        assert_eq!(question(Question::Service(&key), libc::NLM_F_ACK), expected("04"));
        assert_eq!(question(Question::Destinations(&key), libc::NLM_F_DUMP), expected("08"));
    }
}

#[test]
fn questions_without_a_key() {
    let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 0 };
    let set = "0c010000 08000400 84030000 08000500 78000000 08000600 00000000";
    assert_eq!(question(Question::Services, libc::NLM_F_DUMP), hex("04010000"));
    assert_eq!(question(Question::Timeouts, libc::NLM_F_ACK), hex("0d010000"));
    assert_eq!(question(Question::SetTimeouts(&timeouts), libc::NLM_F_ACK), hex(set));
}

#[test]
fn only_the_last_command_of_a_datagram_asks_for_an_acknowledgement() {
    let mut buffer = Buffer::default();
    put_command(&mut buffer, FAMILY, &Command::Delete(https()), false, 9);
    payload(&buffer, libc::NLM_F_REQUEST);
}

#[test]
fn the_kernels_virtual_server_is_read() {
    let payload = hex(
        "01010000 5400 0100 06000100 02000000 06000200 06000000 14000300 0a600001 00000000 00000000 00000000
         06000400 01bb0000 07000600 72720000 0c000700 03000000 ffffffff 08000800 302a0000 08000900 ffffffff",
    );
    let expected = VirtualServer {
        key: https(),
        scheduler: "rr".into(),
        flags: PERSISTENT,
        timeout: 10_800,
        prefix: 32,
    };
    assert_eq!(service(&told(&payload), FAMILY), Some(expected));
    assert_eq!(service(&told(&payload), FAMILY + 1), None, "of another family");
    assert_eq!(service(&told(&[]), FAMILY), None);
    for missing in 0..payload.len() - 3 {
        assert_eq!(service(&told(&payload[..missing]), FAMILY), None, "{missing}");
    }
}

/// The counters are made up: each has a value of its own.
#[test]
fn the_kernels_real_server_is_read() {
    let payload = hex(
        "05010000 b800 0200 14000100 0a000005 00000000 00000000 00000000 06000200 192b0000 08000300 00000100
         08000400 03000000 05000d00 00000000 06000e00 00000000 06000f00 00000000 08000500 07000000
         08000600 05000000 08000700 01000000 08000800 02000000 08000900 03000000 06000b00 02000000
         4000 0c00 0c000100 0400000000000000 0c000200 0500000000000000 0c000300 0600000000000000
         0c000400 0000000001000000 0c000500 0800000000000000",
    );
    let mut server = RealServer::masquerade("10.0.0.5:6443".parse().unwrap(), 3);
    (server.upper_threshold, server.lower_threshold) = (7, 5);
    let stats = Stats { connections: 4, in_packets: 5, out_packets: 6, in_bytes: 1 << 32, out_bytes: 8 };
    let expected = Destination { server, active: 1, inactive: 2, persistent: 3, stats };
    assert_eq!(destination(&told(&payload), FAMILY, Family::V4), Some(expected));
    assert_eq!(destination(&told(&payload), FAMILY, Family::V6), Some(expected), "it tells its own family");
    assert_eq!(service(&told(&payload), FAMILY), None);
}

#[test]
fn every_forwarding_survives() {
    use Forwarding::{Bypass, DirectRoute, Local, Masquerade, Tunnel};
    for (number, kind) in [Masquerade, Local, Tunnel, DirectRoute, Bypass].into_iter().enumerate() {
        assert_eq!(method(kind) as usize, number);
        assert_eq!(forwarding(number as u32 | 0x1_0120), Some(kind));
    }
    assert_eq!(forwarding(5), None);
}

#[test]
fn every_length_of_a_prefix_survives() {
    for (family, longest) in [(Family::V4, 32), (Family::V6, 128)] {
        for length in 0..=longest {
            let payload = mask(family, length);
            assert_eq!(prefix(family, Attr { kind: SVC_NETMASK, payload: &payload }), Some(length));
        }
    }
    assert_eq!(mask(Family::V4, 20), [255, 255, 240, 0]);
    assert_eq!(mask(Family::V4, 200), [255; 4]);
}

#[test]
fn timeouts_are_read() {
    let payload = hex("0c010000 08000400 84030000 08000600 2c010000");
    let expected = Timeouts { tcp: 900, tcp_fin: 0, udp: 300 };
    assert_eq!(timeouts(&told(&payload), FAMILY), Some(expected));
}
