//! What of a dataplane's objects is whose in the kernel.

use dataplane::Operate;
use ipnet::IpNet;
use ipvs::{Choice, Ipvs};
use model::EndpointAddr;
use nftables::{Nftables, Style, VipKey};

/// One object, as the part of the kernel that has it sees it.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// An object of nf_tables.
    Rule(&'a nftables::Key, &'a nftables::Value),
    /// A virtual server.
    Server(VipKey, Choice),
    /// A real server, with its weight.
    Real(VipKey, EndpointAddr, u32),
    /// A prefix that is routed to the node itself.
    Route(IpNet),
}

/// A dataplane whose objects the kernel here can take.
pub trait Lowered: Operate {
    /// What its tables are for.
    const STYLE: Style;

    /// What an object is. Panics on one whose value does not fit its key.
    fn part<'a>(key: &'a Self::Key, value: &'a Self::Value) -> Part<'a>;
}

impl Lowered for Nftables {
    const STYLE: Style = Style::Dnat;

    fn part<'a>(key: &'a nftables::Key, value: &'a nftables::Value) -> Part<'a> {
        Part::Rule(key, value)
    }
}

impl Lowered for Ipvs {
    const STYLE: Style = Style::Ipvs;

    fn part<'a>(key: &'a ipvs::Key, value: &'a ipvs::Value) -> Part<'a> {
        use ipvs::{Key, Value};
        match (key, value) {
            (Key::Rule(key), Value::Rule(value)) => Part::Rule(key, value),
            (Key::Server(server), Value::Server(choice)) => Part::Server(*server, *choice),
            (Key::Real(server, endpoint), Value::Real(weight)) => Part::Real(*server, *endpoint, *weight),
            (Key::Route(net), Value::Route(_)) => Part::Route(*net),
            _ => panic!("{key:?} is {value:?}"),
        }
    }
}
