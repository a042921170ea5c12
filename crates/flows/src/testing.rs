//! Connections for tests.

use std::net::SocketAddr;

use model::{EndpointAddr, Protocol};
use netlink::conntrack::{Account, Counters, DST_NAT, Flow, SEEN_REPLY, Tuple};

use crate::{Connection, Place, State};

/// An address with its port.
pub(crate) fn address(text: &str) -> EndpointAddr {
    let at: SocketAddr = text.parse().unwrap();
    EndpointAddr { ip: at.ip(), port: at.port() }
}

/// An established TCP connection.
pub(crate) fn connection(client: &str, to: &str, endpoint: &str) -> Connection {
    Connection {
        client: address(client),
        place: Place { protocol: Protocol::Tcp, at: address(to) },
        endpoint: address(endpoint),
        masqueraded: None,
        state: State::Established,
        counters: None,
        expires: 100,
        started: None,
    }
}

/// The same as conntrack has it, with counters.
pub(crate) fn account(client: &str, to: &str, endpoint: &str) -> Account {
    let tuple = |from: &str, to: &str| {
        let [from, to] = [from, to].map(address);
        Tuple { src: from.ip, dst: to.ip, sport: from.port, dport: to.port }
    };
    let flow = Flow {
        protocol: 6,
        original: tuple(client, to),
        reply: tuple(endpoint, client),
        zone: 0,
        id: 1,
        status: DST_NAT | SEEN_REPLY,
    };
    let counters = [Counters { packets: 5, bytes: 500 }, Counters { packets: 4, bytes: 4000 }];
    Account { flow, counters: Some(counters), state: Some(3), timeout: Some(100), started: Some(9) }
}
