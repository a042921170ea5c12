//! One Route as a set of objects. Pure.
//!
//! ```text
//! leaf of a tree --> SVC                 ClusterIP: masquerade rule, then one rule per endpoint
//!                --> [FW] --> EXT --> SVC, SVE or SVN
//!                              endpoint rule: DNAT, or --> SEP (an endpoint of this node, or with affinity)
//! ```

use std::sync::Arc;

use ipnet::IpNet;
use model::Protocol;
use resolve::{Decision, Route, Vip, VipKind};

use crate::digest::Digest;
use crate::layout::{Layout, whole_chain};
use crate::names::{ChainId, Part, Tree};
use crate::objects::{Entry, Key, Value};
use crate::rule::{Rule, Words};
use crate::tree::{port_path, vip_path};

/// The objects of one Route.
pub fn lower(layout: &Layout, route: &Route) -> Vec<(Key, Value)> {
    let lists = Lists::new(route);
    let mut lowering = Lowering {
        layout,
        route,
        name: route.name.to_string(),
        digest: Digest::of_port(&route.name),
        lists,
        used: Vec::new(),
        out: Vec::new(),
    };
    lowering.run();
    lowering.out
}

/// Which chain chooses for which traffic: equal lists share one.
pub(crate) struct Lists {
    internal: Option<Part>,
    external: Option<Part>,
    short: Option<Part>,
}

impl Lists {
    fn new(route: &Route) -> Self {
        let served = |decision: &Decision| matches!(decision, Decision::Dnat(_));
        let short = route.short_circuit.as_ref();
        let first = |decision: &Decision, own: Part| {
            let all = [(Some(&route.internal), Part::Internal), (Some(&route.external), Part::External)];
            let same = all.into_iter().find(|(list, _)| *list == Some(decision));
            served(decision).then(|| same.map_or(own, |(_, part)| part))
        };
        Self {
            internal: first(&route.internal, Part::Internal),
            external: first(&route.external, Part::External),
            short: short.and_then(|short| first(short, Part::Short)),
        }
    }

    /// Whether any outside frontend is served, at least for some sources.
    fn has_front(&self) -> bool {
        self.external.is_some() || self.short.is_some()
    }
}

/// A Route that is being lowered.
pub(crate) struct Lowering<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) route: &'a Route,
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) lists: Lists,
    /// Lists that some rule leads to.
    pub(crate) used: Vec<Part>,
    pub(crate) out: Vec<(Key, Value)>,
}

impl Lowering<'_> {
    fn run(&mut self) {
        let route = self.route;
        for vip in &route.vips {
            if vip.kind == VipKind::ClusterIp { self.cluster_ip(vip) } else { self.external(vip) }
        }
        if let Some(port) = route.node_port {
            self.node_port(port);
        }
        let fronted = is_open(&route.node_port_sources) && route.node_port.is_some()
            || route.vips.iter().any(|v| v.kind != VipKind::ClusterIp && is_open(&v.allowed_sources));
        if fronted && self.lists.has_front() {
            self.front();
        }
        self.lists();
        if let Some(port) = route.health_check_port {
            self.health(port);
        }
    }

    fn cluster_ip(&mut self, vip: &Vip) {
        match self.lists.internal {
            Some(part) => {
                self.used.push(part);
                self.serve_vip(vip, ChainId::Of(part, self.digest));
            }
            None => self.idle_vip(vip, &self.route.internal),
        }
    }

    fn external(&mut self, vip: &Vip) {
        let served = self.lists.has_front() && is_open(&vip.allowed_sources);
        let digest = Digest::of_vip(&self.route.name, vip.ip);
        let target = served.then(|| self.guarded_front(digest, vip.allowed_sources.as_deref()));
        if let Some(target) = target {
            self.serve_vip(vip, target);
        }
        // What nat leaves untranslated.
        let refused = vip.allowed_sources.is_some() || self.lists.external.is_none();
        if refused {
            self.idle_vip(vip, &self.route.external);
        }
    }

    fn node_port(&mut self, port: u16) {
        let (family, protocol) = (self.route.family, self.route.name.protocol);
        let (route, name) = (self.route, self.name.clone());
        let rule = || Rule::new().protocol(protocol).comment(&name).port(protocol, port);
        let mut rules = Vec::new();
        let sources = route.node_port_sources.as_deref();
        if self.lists.has_front() && is_open(&route.node_port_sources) {
            let target = self.guarded_front(Digest::of_node_port(&route.name), sources);
            rules.push((Tree::Served, rule().jump(target)));
        }
        if sources.is_some() || self.lists.external.is_none() {
            rules.push((Tree::Idle, rule().jump(refusal(&self.route.external, protocol, family))));
        }
        for (tree, rule) in rules {
            let (path, leaf) = port_path(tree, family, protocol, port);
            self.out.extend(path);
            self.out.push((Key::new(family, leaf, Entry::Port(protocol, port)), Arc::from(rule)));
        }
    }

    /// The front chain, or one before it that lets only some sources through.
    fn guarded_front(&mut self, digest: Digest, sources: Option<&[IpNet]>) -> ChainId {
        let front = self.front_chain();
        let Some(sources) = sources else { return front };
        let chain = ChainId::Of(Part::Firewall, digest);
        let rules: Vec<String> =
            sources.iter().map(|net| Rule::new().source(net).comment(&self.name).jump(&front)).collect();
        self.out.push(whole_chain(self.route.family, chain.clone(), &rules));
        chain
    }

    /// The chain of every frontend but the ClusterIP.
    fn front(&mut self) {
        let mut rules = Vec::new();
        let remark = |text: &str| Rule::new().comment(&format!("{} {text}", self.name));
        let list = |part: Part| ChainId::Of(part, self.digest);
        if self.route.masquerades_external() {
            rules.push(remark("from outside").mark(self.layout.mark));
        }
        if let Some(short) = self.lists.short {
            if let Some(Words { source, interface }) = &self.layout.pods.pods {
                let comment = format!("{} from local pods", self.name);
                let rule = Rule::new().maybe(source).maybe(interface).comment(&comment);
                rules.push(rule.jump(list(short)));
            }
            let from_node = || remark("from this node").words("-m addrtype --src-type LOCAL");
            rules.push(from_node().mark(self.layout.mark));
            rules.push(from_node().jump(list(short)));
        }
        if let Some(external) = self.lists.external {
            rules.push(remark("from outside").jump(list(external)));
        }
        self.used.extend(self.lists.short.into_iter().chain(self.lists.external));
        self.out.push(whole_chain(self.route.family, self.front_chain(), &rules));
    }

    fn front_chain(&self) -> ChainId {
        ChainId::Of(Part::Front, self.digest)
    }

    fn serve_vip(&mut self, vip: &Vip, target: ChainId) {
        self.vip(Tree::Served, vip, target.to_string());
    }

    fn idle_vip(&mut self, vip: &Vip, decision: &Decision) {
        let target = refusal(decision, self.route.name.protocol, self.route.family);
        self.vip(Tree::Idle, vip, target.to_owned());
    }

    fn vip(&mut self, tree: Tree, vip: &Vip, target: String) {
        let (port, protocol) = (self.route.port, self.route.name.protocol);
        let (path, leaf) = vip_path(tree, vip.ip);
        let rule =
            Rule::new().destination(vip.ip).protocol(protocol).comment(&self.name).port(protocol, port);
        let key = Key::new(self.route.family, leaf, Entry::Vip(vip.ip, protocol, port));
        self.out.extend(path);
        self.out.push((key, Arc::from(rule.jump(target))));
    }

    fn health(&mut self, port: u16) {
        let service = self.route.name.service.to_string();
        let rule = Rule::new().protocol(Protocol::Tcp).comment(&format!("{service} health check"));
        let key = Entry::Health(port, Digest::of(&service));
        let rule = rule.port(Protocol::Tcp, port).jump("ACCEPT");
        self.out.push((Key::new(self.route.family, ChainId::Health, key), Arc::from(rule)));
    }
}

/// Whether some source may use a frontend.
fn is_open(sources: &Option<Vec<IpNet>>) -> bool {
    sources.as_ref().is_none_or(|nets| !nets.is_empty())
}

/// What becomes of a packet that is not served.
fn refusal(decision: &Decision, protocol: Protocol, family: model::IpFamily) -> &'static str {
    match (decision, protocol, family) {
        (Decision::Drop | Decision::Dnat(_), _, _) => "DROP",
        (_, Protocol::Tcp, _) => "REJECT --reject-with tcp-reset",
        (_, _, model::IpFamily::V4) => "REJECT --reject-with icmp-port-unreachable",
        (_, _, model::IpFamily::V6) => "REJECT --reject-with icmp6-port-unreachable",
    }
}

/// The ServicePort that a rule's comment names: what stands before the first space.
pub fn service_port_of(comment: &str) -> Option<&str> {
    let name = comment.split(' ').next()?;
    name.contains('/').then_some(name)
}
