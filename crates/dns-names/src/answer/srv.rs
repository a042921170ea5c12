//! SRV records, with the addresses of their targets.

use dns_wire::{Data, NameBuf, NameRef, Section, rtype};
use model::SlicePort;

use crate::object::{Kind, Object, Which};
use crate::set::Member;

use super::Writer;

/// Records above which every weight is 1.
const MANY: usize = 51;

/// As CoreDNS: a hundred, shared; but counted in records that differ.
fn weight(records: usize) -> u16 {
    u16::try_from(100 / records.max(1)).unwrap_or(100).max(1)
}

impl<'w> Writer<'w, '_> {
    pub(super) fn srv(&mut self, object: &Object<'w>, which: Which<'w>) {
        match (object.kind, which) {
            (Kind::Cluster, Which::All | Which::Port(_)) => {
                let mut buffer = NameBuf::new();
                let target = self.name_of(&mut buffer, object, None, self.zone.name);
                target.into_iter().for_each(|target| self.own_ports(object, which, target));
            }
            (Kind::Host(host), _) => self.own_ports(object, which, host.as_ref()),
            _ => self.endpoint_ports(object, which),
        }
    }

    /// The ports of the Service itself: one target, with its own addresses.
    fn own_ports(&mut self, object: &Object<'w>, which: Which<'w>, target: NameRef<'_>) {
        let meant = |port: &&model::ServicePort| which.takes_port(&port.name, port.protocol);
        let is_first = |index: usize, number: u16| {
            !object.ports[..index].iter().filter(meant).any(|port| port.port == number)
        };
        let ports = object.ports.iter().enumerate().filter(|(_, port)| meant(port));
        let ports = ports.filter(|(index, port)| is_first(*index, port.port));
        let weight = weight(ports.clone().count());
        for (_, port) in ports {
            self.service(target, weight, port.port);
        }
        for ip in object.addresses() {
            self.address(Section::Additional, target, ip);
        }
    }

    /// The ports of endpoints: each endpoint is a target.
    fn endpoint_ports(&mut self, object: &Object<'w>, which: Which<'w>) {
        let view = self.scope.view;
        let records = || {
            let members = object.members(which, view, self.turn());
            let ports =
                members.flat_map(move |member| distinct(member.slice, which).map(move |p| (member, p)));
            ports.filter(move |(member, port)| {
                object.set.is_first_of_name(member, view, |other| {
                    which.takes(other) && distinct(other.slice, which).any(|same| same.port == port.port)
                })
            })
        };
        let weight = weight(records().take(MANY).count());
        let records = records();
        let mut buffer = NameBuf::new();
        for (member, port) in records {
            let Some(target) = self.name_of(&mut buffer, object, Some(&member), self.zone.name) else {
                continue;
            };
            self.service(target, weight, port.port);
            if self.reply.is_truncated() {
                return;
            }
        }
        self.targets(object, which);
    }

    /// The addresses of the targets, as many as fit.
    fn targets(&mut self, object: &Object<'w>, which: Which<'w>) {
        let view = self.scope.view;
        let mut buffer = NameBuf::new();
        let has_port = |member: &Member<'_>| distinct(member.slice, which).next().is_some();
        for member in object.members(which, view, self.turn()).filter(has_port) {
            let same = |other: &Member<'_>| {
                which.takes(other) && has_port(other) && other.endpoint.ip == member.endpoint.ip
            };
            if !object.set.is_first_of_name(&member, view, same) {
                continue;
            }
            let Some(target) = self.name_of(&mut buffer, object, Some(&member), self.zone.name) else {
                continue;
            };
            let before = self.reply.counts();
            self.address(Section::Additional, target, member.endpoint.ip);
            if self.reply.counts() == before {
                return;
            }
        }
    }

    fn service(&mut self, target: NameRef<'_>, weight: u16, port: u16) {
        let data = Data::Srv { priority: 0, weight, port, target };
        self.put(Section::Answer, self.owner, rtype::SRV, data);
    }
}

/// The ports of a slice that are meant, each number once.
fn distinct<'n>(slice: &'n model::Slice, which: Which<'n>) -> impl Iterator<Item = &'n SlicePort> {
    let meant = move |port: &&SlicePort| which.takes_port(&port.name, port.protocol);
    let ports = slice.ports.iter().enumerate().filter(move |(_, port)| meant(port));
    let first = move |index: usize, number: u16| {
        !slice.ports[..index].iter().filter(meant).any(|port| port.port == number)
    };
    ports.filter(move |(index, port)| first(*index, port.port)).map(|(_, port)| port)
}
