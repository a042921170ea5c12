//! What a connection is doing, whichever table it comes from.

use model::Protocol;

/// The state of a connection, with the names of `conntrack -L`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// TCP: the client asks.
    SynSent,
    /// TCP: the endpoint has answered, the client has not confirmed.
    SynReceived,
    /// TCP and SCTP: data may flow.
    Established,
    /// TCP: one side has ended.
    FinWait,
    /// TCP: the endpoint has not ended yet.
    CloseWait,
    /// TCP: the last confirmation is missing.
    LastAck,
    /// TCP: ended, and remembered for stray packets.
    TimeWait,
    /// TCP and SCTP: reset or ended.
    Close,
    /// UDP, and SCTP before its handshake: the endpoint has not answered.
    Unanswered,
    /// UDP: the endpoint has answered. In IPVS, which does not tell: every UDP flow.
    Answered,
}

/// States in three groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The endpoint has not answered, or the handshake is not complete.
    Opening,
    /// In use.
    Established,
    /// Ended, or about to.
    Closing,
}

impl State {
    /// Of conntrack: the protocol's state number and whether the endpoint has answered. `enum tcp_conntrack` and
    /// `enum sctp_conntrack` of `linux/netfilter/`.
    pub fn of_conntrack(protocol: Protocol, number: Option<u8>, answered: bool) -> Self {
        match (protocol, number) {
            (Protocol::Tcp, Some(number)) => tcp(number),
            (Protocol::Sctp, Some(3)) => State::Established,
            (Protocol::Sctp, Some(0 | 4..=7)) => State::Close,
            _ if answered => State::Answered,
            _ => State::Unanswered,
        }
    }

    /// Of IPVS: the name in `/proc/net/ip_vs_conn` (`tcp_state_name_table` and its neighbours in `ip_vs_proto_*.c`).
    pub fn of_ip_vs(protocol: Protocol, name: &str) -> Self {
        match name {
            _ if protocol == Protocol::Udp => State::Answered,
            "ESTABLISHED" => State::Established,
            "SYN_SENT" => State::SynSent,
            "SYN_RECV" | "SYNACK" => State::SynReceived,
            "FIN_WAIT" => State::FinWait,
            "CLOSE_WAIT" => State::CloseWait,
            "LAST_ACK" => State::LastAck,
            "TIME_WAIT" => State::TimeWait,
            "CLOSE" | "CLOSED" | "REJECTED" => State::Close,
            name if name.starts_with("SHUTDOWN") => State::Close,
            _ => State::Unanswered,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            State::SynSent => "SYN_SENT",
            State::SynReceived => "SYN_RECV",
            State::Established => "ESTABLISHED",
            State::FinWait => "FIN_WAIT",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::Unanswered => "UNANSWERED",
            State::Answered => "ANSWERED",
        }
    }

    /// Its group.
    pub fn phase(self) -> Phase {
        match self {
            State::SynSent | State::SynReceived | State::Unanswered => Phase::Opening,
            State::Established | State::Answered => Phase::Established,
            State::FinWait | State::CloseWait | State::LastAck | State::TimeWait | State::Close => {
                Phase::Closing
            }
        }
    }
}

fn tcp(number: u8) -> State {
    match number {
        1 | 9 => State::SynSent,
        2 => State::SynReceived,
        3 => State::Established,
        4 => State::FinWait,
        5 => State::CloseWait,
        6 => State::LastAck,
        7 => State::TimeWait,
        8 => State::Close,
        _ => State::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_have_one_set_of_states() {
        for (protocol, number, answered, name) in [
            (Protocol::Tcp, Some(1), false, "SYN_SENT"),
            (Protocol::Tcp, Some(3), true, "ESTABLISHED"),
            (Protocol::Tcp, Some(7), true, "TIME_WAIT"),
            (Protocol::Tcp, Some(0), false, "UNANSWERED"),
            (Protocol::Tcp, None, true, "ANSWERED"),
            (Protocol::Udp, None, false, "UNANSWERED"),
            (Protocol::Udp, None, true, "ANSWERED"),
            (Protocol::Sctp, Some(1), false, "UNANSWERED"),
            (Protocol::Sctp, Some(3), true, "ESTABLISHED"),
            (Protocol::Sctp, Some(6), true, "CLOSE"),
        ] {
            assert_eq!(State::of_conntrack(protocol, number, answered).as_str(), name);
        }
        for (protocol, told, name) in [
            (Protocol::Tcp, "ESTABLISHED", "ESTABLISHED"),
            (Protocol::Tcp, "SYN_RECV", "SYN_RECV"),
            (Protocol::Tcp, "BUG!", "UNANSWERED"),
            (Protocol::Udp, "UDP", "ANSWERED"),
            (Protocol::Sctp, "SHUTDOWN_RCVD", "CLOSE"),
            (Protocol::Sctp, "INIT1", "UNANSWERED"),
        ] {
            assert_eq!(State::of_ip_vs(protocol, told).as_str(), name);
        }
    }
}
