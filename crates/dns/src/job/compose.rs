//! What was found becomes the reply to one client.

use std::net::Ipv4Addr;

use dns_wire::{Data, Name, NameRef, Query, Record, Relay, Reply, Section, rcode, rtype};
use ipnet::Ipv6Net;

use super::Job;
use super::dns64::embed;
use super::found::{Body, Found};
use crate::chain::rewrite::Rewritten;
use crate::chain::{Block, acl};
use crate::dress::{limit, nsid};
use crate::ede;
use crate::rotate::rotate;

impl Job {
    /// Writes the reply.
    pub(crate) fn compose(
        &self,
        block: &Block,
        query: &Query<'_>,
        rewritten: &Rewritten,
        found: &Found,
        translation: Option<Ipv6Net>,
        out: &mut Vec<u8>,
    ) {
        let limit = limit(block, query, self.origin);
        let is_plain = rewritten.is_nothing() && translation.is_none() && found.links.is_empty();
        if let Body::Foreign(hit) = &found.body
            && is_plain
            && !block.minimal
            && block.nsid.is_none()
        {
            let told = ede::of_hit(hit);
            let option = ede::options(&told);
            let options = option.as_slice();
            hit.stored.write(query, &Relay { ttls: hit.ttls, limit, prefix: &[], options }, out);
            return self.rotate(block, out);
        }
        let mut reply = Reply::new(out, query, limit);
        nsid(block, query, &mut reply);
        Dress { query, rewritten, found, translation, minimal: block.minimal }.write(&mut reply);
        reply.finish();
        if matches!(found.body, Body::Foreign(_)) {
            self.rotate(block, out);
        }
    }

    /// `loadbalance`; our own answers are written in their order already.
    fn rotate(&self, block: &Block, out: &mut [u8]) {
        if block.rotate {
            rotate(out, self.turn);
        }
    }
}

/// Everything that decides how records look.
struct Dress<'a> {
    query: &'a Query<'a>,
    rewritten: &'a Rewritten,
    found: &'a Found,
    translation: Option<Ipv6Net>,
    minimal: bool,
}

impl Dress<'_> {
    fn write(&self, reply: &mut Reply<'_>) {
        let is_own = self.found.is_own();
        let is_relayed = !is_own && !matches!(self.found.body, Body::Forbidden(_));
        reply.set_authoritative(is_own);
        reply.set_recursion_available(is_relayed);
        self.say_why(reply);
        for link in &self.found.links {
            let (owner, target) = (self.owner(&link.owner), self.value(&link.target));
            let ttl = self.rewritten.ttl(link.ttl);
            reply.push(Section::Answer, owner.as_ref(), rtype::CNAME, ttl, Data::Name(target.as_ref()));
        }
        let records = self.found.stored().into_iter().flat_map(|stored| stored.records());
        records.filter(|record| self.keeps(record)).for_each(|record| self.push(record, reply));
    }

    fn say_why(&self, reply: &mut Reply<'_>) {
        let told = match &self.found.body {
            Body::Foreign(hit) => ede::of_hit(hit),
            Body::Own(stored, _) => stored.extended_error().map(<[u8]>::to_vec),
            Body::Forbidden(action) => return acl::answer(*action, reply),
            Body::Failed(code, text) => Some([&code.to_be_bytes()[..], text.as_bytes()].concat()),
        };
        reply.set_rcode(self.found.stored().map_or(rcode::SERVFAIL, dns_wire::Stored::rcode));
        if let Some((code, data)) = ede::options(&told) {
            reply.option(code, data);
        }
    }

    /// Behind CNAMEs of ours, what an upstream says about its zone is of no use. `minimal`: nor are records
    /// beside an answer.
    fn keeps(&self, record: &Record) -> bool {
        let is_foreign = matches!(self.found.body, Body::Foreign(_));
        let has_answer = self.found.stored().is_some_and(|stored| stored.answers().next().is_some());
        let is_useless = (is_foreign && !self.found.links.is_empty()) || (self.minimal && has_answer);
        record.section == Section::Answer || !is_useless
    }

    fn push(&self, record: Record, reply: &mut Reply<'_>) {
        let Record { section, owner, rtype: kind, class, ttl, data } = record;
        let owner = self.owner(&owner);
        let ttl = self.rewritten.ttl(self.found.ttls().apply(ttl));
        let four = data.as_slice().try_into().map(|octets: [u8; 4]| Ipv4Addr::from(octets));
        match (self.translation, kind, four) {
            (Some(prefix), rtype::A, Ok(four)) => {
                let six = Data::Aaaa(embed(prefix, four));
                reply.push_class(section, owner.as_ref(), rtype::AAAA, class, ttl, six);
            }
            // Signatures do not fit what was made.
            (Some(_), rtype::RRSIG, _) => {}
            _ => {
                let data = self.data(kind, data);
                reply.push_class(section, owner.as_ref(), kind, class, ttl, Data::Wire(&data));
            }
        }
    }

    fn owner(&self, name: &Name) -> Name {
        self.in_the_case_asked(self.rewritten.owner(name).unwrap_or_else(|| name.clone()))
    }

    fn value(&self, name: &Name) -> Name {
        self.rewritten.value(name).unwrap_or_else(|| name.clone())
    }

    fn in_the_case_asked(&self, name: Name) -> Name {
        if name.as_ref().eq_ignore_case(self.query.name) { self.query.name.to_owned() } else { name }
    }

    /// The data of a record, names in it turned back.
    fn data(&self, kind: u16, data: Vec<u8>) -> Vec<u8> {
        let before = match kind {
            rtype::CNAME | rtype::PTR | rtype::NS | rtype::DNAME => 0,
            rtype::MX => 2,
            rtype::SRV => 6,
            _ => return data,
        };
        let Some(name) = data.get(before..).and_then(NameRef::read) else { return data };
        match self.rewritten.value(&name.to_owned()) {
            Some(value) => [data.get(..before).unwrap_or_default(), value.wire()].concat(),
            None => data,
        }
    }
}
