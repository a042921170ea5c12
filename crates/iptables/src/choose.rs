//! The chains of one ServicePort that choose an endpoint, and those of its endpoints.

use ipnet::IpNet;
use model::EndpointAddr;
use resolve::{VipKind, places};

use crate::digest::Digest;
use crate::layout::whole_chain;
use crate::lower::Lowering;
use crate::names::{ChainId, PREFIX, Part};
use crate::rule::{Rule, Words};

impl Lowering<'_> {
    /// The chains that rules lead to, and those of their endpoints.
    pub(crate) fn lists(&mut self) {
        self.used.sort_unstable();
        self.used.dedup();
        let mut endpoints = Vec::new();
        for part in std::mem::take(&mut self.used) {
            let route = self.route;
            let decision = match part {
                Part::Internal => &route.internal,
                Part::External => &route.external,
                _ => route.short_circuit.as_ref().unwrap_or(&route.external),
            };
            let mut rules = if part == Part::Internal { self.masquerading() } else { Vec::new() };
            rules.extend(self.choices(decision.endpoints()));
            let chain = ChainId::Of(part, self.digest);
            self.out.push(whole_chain(route.family, chain, &rules));
            endpoints.extend(decision.endpoints().iter().filter(|e| self.has_chain(e)));
        }
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints.into_iter().for_each(|endpoint| self.endpoint(endpoint));
    }

    /// The ClusterIP's rule that marks what does not come from pods of this node.
    fn masquerading(&self) -> Vec<String> {
        let anybody = Words::default();
        let whom = if self.layout.masquerade_all { Some(&anybody) } else { self.layout.pods.others.as_ref() };
        let cluster_ip = self.route.vips.iter().find(|vip| vip.kind == VipKind::ClusterIp);
        let rule = whom.zip(cluster_ip).map(|(words, vip)| {
            let (port, protocol) = (self.route.port, self.route.name.protocol);
            let rule = Rule::new().maybe(&words.source).destination(vip.ip).maybe(&words.interface);
            let comment = format!("{} to the ClusterIP", self.name);
            rule.protocol(protocol).comment(&comment).port(protocol, port).mark(self.layout.mark)
        });
        rule.into_iter().collect()
    }

    /// Affinity first, then one rule per endpoint: all equally likely, or by weight.
    fn choices(&self, endpoints: &[EndpointAddr]) -> Vec<String> {
        let family = self.route.family;
        let known = endpoints.iter().filter_map(|endpoint| {
            let seconds = self.route.affinity_seconds?;
            let rule = Rule::new().comment(&self.name);
            let rule = rule.seen(&self.affinity_list(endpoint), seconds, family);
            Some(rule.jump(self.endpoint_chain(endpoint)))
        });
        let places = places(endpoints, &self.route.balance);
        let chances: Vec<u32> = match places {
            Some(places) => places.into_iter().map(u32::from).collect(),
            None => vec![1; endpoints.len()],
        };
        let mut left: u32 = chances.iter().sum();
        let random = endpoints.iter().zip(chances).map(|(endpoint, chances)| {
            let all = left;
            left -= chances;
            if self.has_chain(endpoint) {
                let rule = Rule::new().comment(&self.name).sometimes(chances, all);
                rule.jump(self.endpoint_chain(endpoint))
            } else {
                let rule = Rule::new().protocol(self.route.name.protocol).comment(&self.name);
                rule.sometimes(chances, all).translate(endpoint)
            }
        });
        known.chain(random).collect()
    }

    /// Whether more has to be done towards the endpoint than to translate.
    fn has_chain(&self, endpoint: &EndpointAddr) -> bool {
        self.route.affinity_seconds.is_some() || self.route.hairpin.contains(endpoint)
    }

    fn endpoint_chain(&self, endpoint: &EndpointAddr) -> ChainId {
        ChainId::Of(Part::Endpoint, Digest::of_endpoint(&self.route.name, endpoint))
    }

    /// The name of the list of clients that an endpoint has: one for all frontends of the ServicePort.
    fn affinity_list(&self, endpoint: &EndpointAddr) -> String {
        format!("{PREFIX}{}", Digest::of_endpoint(&self.route.name, endpoint))
    }

    fn endpoint(&mut self, endpoint: &EndpointAddr) {
        let family = self.route.family;
        let mut rules = Vec::new();
        if self.route.hairpin.contains(endpoint) {
            let rule = Rule::new().source(&IpNet::from(endpoint.ip));
            rules.push(rule.comment(&format!("{} to itself", self.name)).mark(self.layout.mark));
        }
        let rule = Rule::new().protocol(self.route.name.protocol).comment(&self.name);
        let rule = match self.route.affinity_seconds {
            Some(_) => rule.remember(&self.affinity_list(endpoint), family),
            None => rule,
        };
        rules.push(rule.translate(endpoint));
        self.out.push(whole_chain(family, self.endpoint_chain(endpoint), &rules));
    }
}
