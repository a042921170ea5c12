//! `/proc/net/ip_vs_conn`: the connections of IPVS, for which it has no netlink (`ip_vs_conn_seq_show`, `ip_vs_conn.c`).
//!
//! ```text
//! Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//! TCP 0A000001 9C40 0A60000A 0050 0AF40101 1F90 ESTABLISHED     889
//! ```
//!
//! IPv4 addresses are 8 hexadecimal digits, IPv6 ones 8 groups of 4. A client's template of session affinity has port 0, and
//! is no connection.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{EndpointAddr, Protocol};

use crate::{Connection, Place, State};

/// The file, of the network namespace of the thread that reads.
pub const IP_VS_CONN: &str = "/proc/thread-self/net/ip_vs_conn";
/// What is read at the most: a million connections of IPv6, two of IPv4.
const BYTES: u64 = 160 << 20;
/// Bytes of a line; data of a persistence engine, which may make it longer, is not needed.
const LINE: u64 = 1024;

/// Hands every connection to `each`. The answer says whether all were read. Errors: the file cannot be read.
pub fn read(file: impl Read, each: impl FnMut(Connection)) -> io::Result<bool> {
    read_within(BYTES, file, each)
}

fn read_within(most: u64, file: impl Read, mut each: impl FnMut(Connection)) -> io::Result<bool> {
    let mut lines = BufReader::with_capacity(64 * 1024, file.take(most));
    let (mut line, mut bytes) = (Vec::with_capacity(LINE as usize), 0);
    loop {
        line.clear();
        let got = lines.by_ref().take(LINE).read_until(b'\n', &mut line)? as u64;
        bytes += got;
        if got == 0 {
            return Ok(bytes < most);
        }
        connection(&String::from_utf8_lossy(&line)).into_iter().for_each(&mut each);
    }
}

/// One line; `None` for the header, templates, and what cannot be read.
fn connection(line: &str) -> Option<Connection> {
    let mut words = line.split_ascii_whitespace();
    let protocol = Protocol::parse(words.next()?)?;
    let mut address = || Some(EndpointAddr { ip: ip(words.next()?)?, port: hex16(words.next()?)? });
    let (client, at, endpoint) = (address()?, address()?, address()?);
    let state = State::of_ip_vs(protocol, words.next()?);
    let expires = words.next()?.parse().ok()?;
    let place = Place { protocol, at };
    let connection = Connection {
        client,
        place,
        endpoint,
        masqueraded: None,
        state,
        counters: None,
        expires,
        started: None,
    };
    (client.port != 0).then_some(connection)
}

fn ip(word: &str) -> Option<IpAddr> {
    let word = word.trim_matches(['[', ']']);
    if word.contains(':') {
        return word.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let bits = (word.len() == 8).then(|| u32::from_str_radix(word, 16).ok())?;
    bits.map(|bits| Ipv4Addr::from_bits(bits).into())
}

fn hex16(word: &str) -> Option<u16> {
    u16::from_str_radix(word, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::address;

    const TEXT: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000001 9C40 0A60000A 0050 0AF40101 1F90 ESTABLISHED     889
UDP 0A000001 9C41 0A60000A 0035 0AF40101 14E9 UDP             299
TCP fd00:0000:0000:0000:0000:0000:0000:0009 9C40 fd00:0096:0000:0000:0000:0000:0000:000a 0050 fd00:0244:0000:0000:0000:0000:0000:0001 1F90 SYN_RECV         59
TCP 0A000001 0000 0A60000A 0050 0AF40101 1F90 NONE           9889
ICMP 0A000001 0001 0A60000A 0050 0AF40101 1F90 NONE           9
TCP 0A0001 9C40 0A60000A 0050 0AF40101 1F90 ESTABLISHED     889
TCP 0A000001 9C40
";

    #[test]
    fn lines_of_both_families_are_read() {
        let mut found = Vec::new();
        assert!(read(TEXT.as_bytes(), |connection| found.push(connection)).unwrap());
        let told: Vec<_> =
            found.iter().map(|c| (c.client, c.place.at, c.endpoint, c.state, c.expires)).collect();
        let expected = [
            ("10.0.0.1:40000", "10.96.0.10:80", "10.244.1.1:8080", State::Established, 889),
            ("10.0.0.1:40001", "10.96.0.10:53", "10.244.1.1:5353", State::Answered, 299),
            ("[fd00::9]:40000", "[fd00:96::a]:80", "[fd00:244::1]:8080", State::SynReceived, 59),
        ];
        let expected =
            expected.map(|(a, b, c, state, left)| (address(a), address(b), address(c), state, left));
        assert_eq!(told, expected);
        assert_eq!(found[1].place.protocol, Protocol::Udp);
    }

    #[test]
    fn reading_ends() {
        assert!(!read_within(1 << 20, io::repeat(b'x'), |_| ()).unwrap());
    }
}
