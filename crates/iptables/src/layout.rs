//! The part of one family that belongs to no Service: jumps, marks, what is let through, where nodePorts answer.
//!
//! ```text
//! nat     PREROUTING, OUTPUT   -> TOWPATH-SERVICES     frontend -> its ServicePort
//!         POSTROUTING          -> TOWPATH-POSTROUTING  masquerade what is marked
//! filter  INPUT                -> TOWPATH-INPUT        loopback stays here; health checks; idle frontends
//!         FORWARD              -> TOWPATH-FORWARD      idle frontends; INVALID; what is ours may pass
//!         OUTPUT               -> TOWPATH-OUTPUT       loopback stays here; idle frontends
//! ```

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use model::IpFamily;
use resolve::NodePortScope;

use crate::names::{ChainId, Hook, Table, Tree};
use crate::objects::{Entry, Key, Value};
use crate::rule::{PodMatch, Rule};
use crate::tree::head;

/// The facts of one family that shape its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The family.
    pub family: IpFamily,
    /// How local pods are recognised.
    pub pods: PodMatch,
    /// Masquerade everything to ClusterIPs.
    pub masquerade_all: bool,
    /// The mark that means "masquerade".
    pub mark: u32,
    /// Where NodePorts answer, beside loopback.
    pub scope: NodePortScope,
    /// Loopback prefixes on which they answer; empty for IPv6.
    pub localhost: Vec<IpNet>,
    /// Discard packets that conntrack calls INVALID.
    pub drop_invalid: bool,
    /// `route_localnet` was 0 before we set it: the rule says so, for whoever removes it.
    pub localnet_was_off: bool,
}

/// What the loopback rule says when `route_localnet` has to go back to 0 with it.
pub const LOCALNET_WAS_OFF: &str = "towpath: 127.0.0.0/8 stays on this host; route_localnet was 0";
const LOCALNET: &str = "towpath: 127.0.0.0/8 stays on this host";

/// The built-in chains that lead to ours.
pub const JUMPS: [(Table, Hook, ChainId); 6] = [
    (Table::Filter, Hook::Input, ChainId::Input),
    (Table::Filter, Hook::Forward, ChainId::Forward),
    (Table::Filter, Hook::Output, ChainId::Output),
    (Table::Nat, Hook::Prerouting, ChainId::Root(Tree::Served)),
    (Table::Nat, Hook::Output, ChainId::Root(Tree::Served)),
    (Table::Nat, Hook::Postrouting, ChainId::Postrouting),
];

impl Layout {
    /// Whether Routes become the same with another layout of the family.
    pub fn lowers_as(&self, other: &Self) -> bool {
        let shapes = |layout: &Self| (layout.pods.clone(), layout.masquerade_all, layout.mark);
        shapes(self) == shapes(other)
    }

    /// The objects that belong to no Service.
    pub fn objects(&self) -> Vec<(Key, Value)> {
        let shared = [ChainId::Health, ChainId::Root(Tree::Served), ChainId::Root(Tree::Idle)];
        let ports = Tree::ALL.map(ChainId::Ports);
        let heads = shared.iter().chain(&ports).map(|chain| head(self.family, chain));
        let jumps = JUMPS.map(|(table, hook, chain)| self.jump(table, hook, &chain));
        let scopes = Tree::ALL.into_iter().flat_map(|tree| self.scopes(tree));
        let whole = [
            (ChainId::Input, self.input()),
            (ChainId::Forward, self.forward()),
            (ChainId::Output, self.output()),
            (ChainId::Postrouting, self.postrouting()),
        ];
        let whole = whole.map(|(chain, rules)| whole_chain(self.family, chain, &rules));
        heads.chain(jumps).chain(scopes).chain(whole).collect()
    }

    fn jump(&self, table: Table, hook: Hook, chain: &ChainId) -> (Key, Value) {
        let rule = Rule::new().comment("towpath: Services").jump(chain);
        (Key::new(self.family, ChainId::BuiltIn(table, hook), Entry::Jump), Arc::from(rule))
    }

    /// The rules that lead to nodePorts, last in the root of a tree.
    fn scopes(&self, tree: Tree) -> Vec<(Key, Value)> {
        let all = matches!(self.scope, NodePortScope::All);
        let everywhere = all && self.localhost.iter().any(|net| *net == loopback(self.family));
        let anywhere = all.then(|| self.anywhere(everywhere));
        let only = match &self.scope {
            NodePortScope::All => &[][..],
            NodePortScope::Only(ips) => ips,
        };
        let localhost = self.localhost.iter().filter(|_| !everywhere).copied();
        let nets = only.iter().map(|ip| IpNet::from(*ip)).chain(localhost);
        let nets = nets.map(|net| Rule::new().destination(net).comment("towpath: nodePorts"));
        let rules = anywhere.into_iter().chain(nets).zip(0..);
        let key = |n| Key::new(self.family, ChainId::Root(tree), Entry::Scope(n));
        rules.map(|(rule, n)| (key(n), Arc::from(rule.jump(ChainId::Ports(tree))))).collect()
    }

    /// Every address of the node; loopback ones only where wanted.
    fn anywhere(&self, with_loopback: bool) -> Rule {
        let loopback = format!("! -d {}", loopback(self.family));
        let rule = if with_loopback { Rule::new() } else { Rule::new().words(&loopback) };
        rule.comment("towpath: nodePorts").words("-m addrtype --dst-type LOCAL")
    }

    fn input(&self) -> Vec<String> {
        let health = Rule::new().comment("towpath: health checks").jump(ChainId::Health);
        self.loopback_stays().into_iter().chain([health, new_to_idle()]).collect()
    }

    fn output(&self) -> Vec<String> {
        self.loopback_stays().into_iter().chain([new_to_idle()]).collect()
    }

    /// Nobody else may reach loopback, though packets to it are routed now (kubernetes/kubernetes#90259).
    fn loopback_stays(&self) -> Option<String> {
        let why = if self.localnet_was_off { LOCALNET_WAS_OFF } else { LOCALNET };
        let rule = Rule::new().words("! -s 127.0.0.0/8 -d 127.0.0.0/8").comment(why);
        let rule = rule.words("-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT").jump("DROP");
        (!self.localhost.is_empty()).then_some(rule)
    }

    fn forward(&self) -> Vec<String> {
        let state = |why: &str, state: &str| {
            Rule::new().comment(why).words(&format!("-m conntrack --ctstate {state}"))
        };
        // conntrack did not translate it: it would reach the endpoint from the client, who would reset the connection.
        let invalid = self.drop_invalid.then(|| state("towpath: not translated", "INVALID").jump("DROP"));
        let mark = format!("-m mark --mark {0:#x}/{0:#x}", self.mark);
        let marked = Rule::new().comment("towpath: to Services").words(&mark).jump("ACCEPT");
        let known = state("towpath: known connections", "RELATED,ESTABLISHED").jump("ACCEPT");
        [new_to_idle()].into_iter().chain(invalid).chain([marked, known]).collect()
    }

    fn postrouting(&self) -> Vec<String> {
        let unmarked = format!("-m mark ! --mark {0:#x}/{0:#x}", self.mark);
        vec![
            Rule::new().words(&unmarked).jump("RETURN"),
            // A packet that meets these rules again, after a tunnel, is not to be masqueraded again.
            Rule::new().jump(format_args!("MARK --set-xmark {:#x}/0x0", self.mark)),
            Rule::new().comment("towpath: masquerade").jump("MASQUERADE --random-fully"),
        ]
    }
}

/// A chain that has one owner.
pub fn whole_chain(family: IpFamily, chain: ChainId, rules: &[String]) -> (Key, Value) {
    (Key::new(family, chain, Entry::Whole), Arc::from(rules.join("\n")))
}

fn new_to_idle() -> String {
    let rule = Rule::new().comment("towpath: refused").words("-m conntrack --ctstate NEW");
    rule.jump(ChainId::Root(Tree::Idle))
}

fn loopback(family: IpFamily) -> IpNet {
    match family {
        IpFamily::V4 => IpNet::V4(Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)),
        IpFamily::V6 => IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
    }
}
