//! Connections that are answered with a reset: tables of their own, in any mode, while there are such connections.
//!
//! ```text
//! table ip towpath-drain                      behind conntrack (-200), ahead of every translation and of IPVS
//!   prerouting -199, output -199   TCP -> reset
//!   reset   a first packet (SYN)              the client's port begins anew: its element goes
//!           client . port . frontend . port   in @resets: reject with tcp reset
//! ```
//!
//! A client of an endpoint that is gone hears a reset with the next packet that it sends, data, acknowledgement or keepalive.
//! To delete its conntrack entry alone is not enough (tried on 6.18): a client that only reads never hears of it, since what the
//! endpoint goes on sending reaches it untranslated; with `nf_conntrack_tcp_loose=0` nobody answers; and a reset of another endpoint
//! may be kept back by a NetworkPolicy. Kernels before 5.9 refuse to reset at prerouting; callers delete the entries then.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use model::IpFamily;
use netlink::nft::{
    Element, ElementData, Expr, Family, Hook, NETLINK_NETFILTER, SetData, SetFlags, SetSpec, Transaction,
    Verdict, data_type, register,
};
use netlink::{NetlinkError, Socket};

/// The name of the tables, in the families `ip` and `ip6`.
pub const DRAIN_TABLE: &str = "towpath-drain";
/// How long a client is answered so. The tables go after that.
pub const RESET_FOR: Duration = Duration::from_secs(600);
/// Most connections of a family that are answered so at a time (some 10 MB of the kernel's memory).
pub const MOST_RESETS: u32 = 65_536;
/// Elements to a transaction.
const CHUNK: usize = 8_192;

const SET: &str = "resets";
const RESET: &str = "reset";
/// After conntrack has looked at the packet, so that the answer belongs to the connection.
const PRIORITY: i32 = -199;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const ENOENT: i32 = 2;

/// One TCP connection as its client addressed it, before any translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The client's end.
    pub client: SocketAddr,
    /// The frontend.
    pub frontend: SocketAddr,
}

/// The tables. Does not touch the kernel before the first connection.
#[derive(Debug, Default)]
pub struct Resets {
    socket: Option<Socket>,
    /// When the last element is over.
    until: Option<Instant>,
}

impl Resets {
    /// Has the tables that an earlier process may have left go in their time.
    pub fn adopt(now: Instant) -> Self {
        Self { socket: None, until: Some(now + RESET_FOR) }
    }

    /// Answers these connections with a reset from now on. Makes the tables where they are not as they should be.
    /// Errors: the kernel refused, or the socket failed; connections of an earlier chunk or family may be answered then.
    pub fn add(&mut self, connections: &[Connection], now: Instant) -> Result<(), NetlinkError> {
        if connections.is_empty() {
            return Ok(());
        }
        self.until = Some(now + RESET_FOR);
        let socket = open(&mut self.socket)?;
        for family in IpFamily::ALL {
            let own = |c: &&Connection| IpFamily::of(c.frontend.ip()) == family;
            let elements: Vec<Element> = connections.iter().filter(own).map(element).collect();
            for chunk in elements.chunks(CHUNK) {
                let mut transaction = Transaction::new(socket, kernel(family), DRAIN_TABLE, None);
                make(&mut transaction, family);
                chunk.iter().for_each(|element| transaction.add_element_for(SET, element, RESET_FOR));
                transaction.commit(socket)?;
            }
        }
        Ok(())
    }

    /// When [`Resets::tend`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.until
    }

    /// Removes the tables when nothing in them counts any more. Errors: the kernel refused; it is tried again later.
    pub fn tend(&mut self, now: Instant) -> Result<(), NetlinkError> {
        if self.until.is_none_or(|until| until > now) {
            return Ok(());
        }
        self.until = Some(now + RESET_FOR);
        remove_by(open(&mut self.socket)?)?;
        (self.until, self.socket) = (None, None);
        Ok(())
    }
}

/// Removes the tables; whether there was one. Errors: the kernel refused, or the socket failed.
pub fn remove_resets() -> Result<bool, NetlinkError> {
    remove_by(&mut Socket::open(NETLINK_NETFILTER)?)
}

fn open(socket: &mut Option<Socket>) -> Result<&mut Socket, NetlinkError> {
    let opened = match socket.take() {
        Some(opened) => opened,
        None => Socket::open(NETLINK_NETFILTER)?,
    };
    Ok(socket.insert(opened))
}

fn remove_by(socket: &mut Socket) -> Result<bool, NetlinkError> {
    let mut found = false;
    for family in IpFamily::ALL {
        let mut transaction = Transaction::new(socket, kernel(family), DRAIN_TABLE, None);
        transaction.delete_table();
        match transaction.commit(socket) {
            Err(error) if error.errno() == Some(ENOENT) => {}
            answer => {
                answer?;
                found = true;
            }
        }
    }
    Ok(found)
}

/// Makes chains and set, whatever is there; elements stay.
fn make(transaction: &mut Transaction, family: IpFamily) {
    let hook = |number| Some(Hook { kind: "filter", number, priority: PRIORITY });
    transaction.add_table();
    transaction.add_set(&set(family));
    for (name, hook) in [(RESET, None), ("prerouting", hook(0)), ("output", hook(3))] {
        transaction.add_chain(name, hook);
        transaction.flush_chain(name);
        rules(name, family).iter().for_each(|rule| transaction.add_rule(name, rule));
    }
}

fn rules(chain: &str, family: IpFamily) -> Vec<Vec<Expr>> {
    if chain != RESET {
        let tcp = [Expr::Meta { dreg: 1, key: 16 }, Expr::Cmp { sreg: 1, op: 0, value: vec![6] }];
        let go = Expr::Immediate { verdict: Verdict::Goto(RESET.to_owned()) };
        return vec![tcp.into_iter().chain([go]).collect()];
    }
    let set = SET.to_owned();
    let begins = tcp().chain(flags(SYN | ACK, SYN)).chain(key(family));
    let forget = Expr::Dynset { set: set.clone(), op: 2, key: 1, data: None, timeout: 0 };
    let goes_on = tcp().chain(flags(RST, 0)).chain(key(family));
    let known = Expr::Lookup { set, sreg: 1, dreg: None, invert: false };
    let reset = Expr::Reject { kind: 1, code: 0 };
    vec![begins.chain([forget]).collect(), goes_on.chain([known, reset]).collect()]
}

/// `meta l4proto tcp`, which nft wants to see in each rule that reads TCP's header.
fn tcp() -> impl Iterator<Item = Expr> {
    [Expr::Meta { dreg: 1, key: 16 }, Expr::Cmp { sreg: 1, op: 0, value: vec![6] }].into_iter()
}

/// `tcp flags & mask == value`
fn flags(mask: u8, value: u8) -> impl Iterator<Item = Expr> {
    [
        Expr::Payload { dreg: 1, base: 2, offset: 13, len: 1 },
        Expr::Bitwise { sreg: 1, dreg: 1, mask: vec![mask], xor: vec![0] },
        Expr::Cmp { sreg: 1, op: 0, value: vec![value] },
    ]
    .into_iter()
}

/// `saddr . sport . daddr . dport`
fn key(family: IpFamily) -> impl Iterator<Item = Expr> {
    let (offset, len) = if family == IpFamily::V4 { (12, 4) } else { (8, 16) };
    let words = len / 4;
    let address = |word, offset| Expr::Payload { dreg: register(word), base: 1, offset, len };
    let port = |word, offset| Expr::Payload { dreg: register(word), base: 2, offset, len: 2 };
    [address(0, offset), port(words, 0), address(words + 1, offset + len), port(2 * words + 1, 2)].into_iter()
}

fn set(family: IpFamily) -> SetSpec {
    let (kind, len) = if family == IpFamily::V4 { (data_type::IPV4, 4) } else { (data_type::IPV6, 16) };
    SetSpec {
        name: SET.to_owned(),
        flags: SetFlags::DYNAMIC | SetFlags::TIMEOUT,
        key_type: data_type::concat(&[kind, data_type::SERVICE, kind, data_type::SERVICE]),
        key_len: 2 * (len + 4),
        data: SetData::None,
        size: MOST_RESETS,
        fields: Vec::new(),
        userdata: Vec::new(),
    }
}

fn element(connection: &Connection) -> Element {
    let mut key = Vec::with_capacity(40);
    for end in [connection.client, connection.frontend] {
        match end.ip() {
            IpAddr::V4(ip) => key.extend(ip.octets()),
            IpAddr::V6(ip) => key.extend(ip.octets()),
        }
        key.extend(end.port().to_be_bytes());
        key.extend([0, 0]);
    }
    Element { key, key_end: None, data: ElementData::None }
}

fn kernel(family: IpFamily) -> Family {
    match family {
        IpFamily::V4 => Family::Ip,
        IpFamily::V6 => Family::Ip6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_the_set_says() {
        for (client, frontend) in
            [("10.0.0.1:40000", "10.96.0.10:80"), ("[fd00::1]:40000", "[fd00:96::a]:80")]
        {
            let connection =
                Connection { client: client.parse().unwrap(), frontend: frontend.parse().unwrap() };
            let family = IpFamily::of(connection.frontend.ip());
            assert_eq!(element(&connection).key.len(), set(family).key_len as usize);
        }
        let connection = Connection {
            client: "10.0.0.1:40000".parse().unwrap(),
            frontend: "10.96.0.10:80".parse().unwrap(),
        };
        let key = [10, 0, 0, 1, 0x9c, 0x40, 0, 0, 10, 96, 0, 10, 0, 80, 0, 0];
        assert_eq!(element(&connection).key, key);
    }

    #[test]
    fn a_key_is_loaded_into_words_side_by_side() {
        let registers = |family| {
            let dreg = |expr| match expr {
                Expr::Payload { dreg, len, .. } => (dreg, len),
                other => panic!("{other:?}"),
            };
            key(family).map(dreg).collect::<Vec<_>>()
        };
        assert_eq!(registers(IpFamily::V4), [(1, 4), (9, 2), (10, 4), (11, 2)]);
        assert_eq!(registers(IpFamily::V6), [(1, 16), (2, 2), (13, 16), (17, 2)]);
    }

    #[test]
    fn nothing_is_due_before_there_was_a_connection() {
        let now = Instant::now();
        let mut resets = Resets::default();
        assert!(resets.add(&[], now).is_ok());
        assert_eq!(resets.due(), None);
        assert_eq!(Resets::adopt(now).due(), Some(now + RESET_FOR));
    }
}
