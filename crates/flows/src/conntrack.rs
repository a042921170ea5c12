//! Connections of conntrack.

use model::{EndpointAddr, FrontendKey, Protocol};
use netlink::conntrack::{Account, Tuple, dump_accounts};
use netlink::{NetlinkError, Socket};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Connection, Counters, Place, Question, State, Tally};

/// Reads the connections whose destination was translated, as far as the question asks for them. `frontends`: those of the
/// Service that is asked for. The answer says whether the kernel calls its list whole. Errors: the socket failed, or the
/// kernel refused (`CAP_NET_ADMIN`, `CONFIG_NF_CT_NETLINK`).
pub fn led(
    socket: &mut Socket,
    question: &Question,
    frontends: Option<&FxHashSet<FrontendKey>>,
    mut each: impl FnMut(Connection),
) -> Result<bool, NetlinkError> {
    let mut whole = true;
    for filter in question.filters(frontends, true) {
        whole &= dump_accounts(socket, &filter, |account| {
            let connection = Connection::of_account(&account);
            connection
                .filter(|connection| question.takes(connection, frontends))
                .into_iter()
                .for_each(&mut each);
        })?;
    }
    Ok(whole)
}

/// Completes connections of IPVS by what conntrack knows of them: bytes, start, the source that the endpoint sees. Errors as
/// with [`led`].
pub fn complete(
    socket: &mut Socket,
    question: &Question,
    frontends: Option<&FxHashSet<FrontendKey>>,
    tally: &mut Tally,
) -> Result<(), NetlinkError> {
    let connections = tally.connections_mut().iter_mut();
    let mut by_tuple: FxHashMap<(EndpointAddr, Place), &mut Connection> =
        connections.map(|connection| ((connection.client, connection.place), connection)).collect();
    if by_tuple.is_empty() {
        return Ok(());
    }
    for filter in question.filters(frontends, false) {
        dump_accounts(socket, &filter, |account| {
            let Some(told) = Connection::of_account(&account) else { return };
            if let Some(known) = by_tuple.get_mut(&(told.client, told.place)) {
                (known.counters, known.started) = (told.counters, told.started);
                known.masqueraded = told.masqueraded;
            }
        })?;
    }
    Ok(())
}

impl Connection {
    /// Of conntrack; `None` for protocols that no Service has.
    pub fn of_account(account: &Account) -> Option<Self> {
        let flow = &account.flow;
        let protocol = Protocol::from_number(flow.protocol)?;
        let source = |tuple: &Tuple| EndpointAddr { ip: tuple.src, port: tuple.sport };
        let destination = |tuple: &Tuple| EndpointAddr { ip: tuple.dst, port: tuple.dport };
        let client = source(&flow.original);
        let counters = account.counters.map(|[there, back]| Counters {
            packets_in: there.packets,
            bytes_in: there.bytes,
            packets_out: back.packets,
            bytes_out: back.bytes,
        });
        Some(Self {
            client,
            place: Place { protocol, at: destination(&flow.original) },
            endpoint: source(&flow.reply),
            masqueraded: Some(destination(&flow.reply)).filter(|seen| flow.is_snat() && *seen != client),
            state: State::of_conntrack(protocol, account.state, flow.is_answered()),
            counters,
            expires: account.timeout.unwrap_or(0),
            started: account.started,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{account, address};
    use netlink::conntrack::{DST_NAT, Flow, SEEN_REPLY, SRC_NAT};

    #[test]
    fn both_directions_tell_who_is_who() {
        let account = account("10.0.0.1:40000", "10.96.0.1:80", "10.1.1.1:8080");
        let read = Connection::of_account(&account).unwrap();
        assert_eq!(read.client, address("10.0.0.1:40000"));
        assert_eq!(read.place, Place { protocol: Protocol::Tcp, at: address("10.96.0.1:80") });
        assert_eq!(read.endpoint, address("10.1.1.1:8080"));
        assert_eq!((read.masqueraded, read.state, read.expires), (None, State::Established, 100));
        let counters = Counters { packets_in: 5, bytes_in: 500, packets_out: 4, bytes_out: 4000 };
        assert_eq!((read.counters, read.started), (Some(counters), Some(9)));
    }

    #[test]
    fn the_source_that_the_endpoint_sees() {
        let mut account = account("10.0.0.1:40000", "10.96.0.1:80", "10.1.1.1:8080");
        account.flow.status = DST_NAT | SRC_NAT | SEEN_REPLY;
        account.flow.reply.dst = "10.9.9.9".parse().unwrap();
        account.flow.reply.dport = 61_000;
        let read = Connection::of_account(&account).unwrap();
        assert_eq!(read.masqueraded, Some(address("10.9.9.9:61000")));
        let icmp = Account { flow: Flow { protocol: 1, ..account.flow }, ..account };
        assert_eq!(Connection::of_account(&icmp), None);
    }
}
