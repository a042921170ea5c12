//! One difference, as a value and as a line of text.

use std::fmt;

use model::{EndpointAddr, FrontendKey, ServicePortName};

use crate::{Sources, Verdict};

/// Of a long list in a text, so many are named.
const NAMED: usize = 5;

/// Whose connections a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// Ordinary ones: from outside of the cluster, or, at a ClusterIP, anybody's.
    Ordinary,
    /// Those of the node itself, where `externalTrafficPolicy: Local` sends them past the policy.
    FromNode,
}

impl Traffic {
    /// Its name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Traffic::Ordinary => "ordinary",
            Traffic::FromNode => "from-node",
        }
    }
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// kube-proxy has nothing for a frontend that towpath would serve.
    Missing,
    /// kube-proxy has a frontend that towpath would not serve.
    Extra,
    /// Both serve the frontend, for different Services.
    Owner {
        /// Whom kube-proxy serves there.
        kube_proxy: ServicePortName,
    },
    /// Both translate, to other endpoints.
    Endpoints {
        /// Whose connections.
        traffic: Traffic,
        /// Endpoints that only kube-proxy sends to, sorted.
        only_kube_proxy: Vec<EndpointAddr>,
        /// Endpoints that only towpath would send to, sorted.
        only_towpath: Vec<EndpointAddr>,
    },
    /// One translates, refuses or discards where the other does not.
    Verdict {
        /// Whose connections.
        traffic: Traffic,
        /// What kube-proxy does.
        kube_proxy: Verdict,
        /// What towpath would do.
        towpath: Verdict,
    },
    /// One masquerades outside traffic, the other keeps its source.
    Masquerade {
        /// Whether kube-proxy does.
        kube_proxy: bool,
    },
    /// Others may use the frontend.
    Sources {
        /// Whom kube-proxy lets.
        kube_proxy: Sources,
        /// Whom towpath would let.
        towpath: Sources,
    },
    /// Another timeout of ClientIP affinity.
    Affinity {
        /// Seconds, 0 = none.
        kube_proxy: u32,
        /// Seconds, 0 = none.
        towpath: u32,
    },
}

impl Kind {
    /// Its name in output; stable.
    pub fn as_str(&self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Extra => "extra",
            Kind::Owner { .. } => "owner",
            Kind::Endpoints { .. } => "endpoints",
            Kind::Verdict { .. } => "verdict",
            Kind::Masquerade { .. } => "masquerade",
            Kind::Sources { .. } => "sources",
            Kind::Affinity { .. } => "affinity",
        }
    }
}

/// One way in which kube-proxy's rules are not what towpath would do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The Service's port; `None` where only kube-proxy knows the frontend, and its mode keeps no names.
    pub name: Option<ServicePortName>,
    /// What differs.
    pub kind: Kind,
    /// Where it does: every frontend of the port with this very difference, sorted; never empty.
    pub frontends: Vec<FrontendKey>,
    /// Why towpath does so on purpose, if it does.
    pub known: Option<&'static str>,
}

impl fmt::Display for Difference {
    /// One line: `ns/web:http 10.96.0.20:80/tcp: kube-proxy sends to 10.244.2.7:8080 too, towpath does not`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ")?,
            None => f.write_str("of no known Service: ")?,
        }
        write!(f, "{}: {}", list(&self.frontends), self.kind)?;
        self.known.map_or(Ok(()), |known| write!(f, " (meant: {known})"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Missing => f.write_str("towpath serves it, kube-proxy has no rule for it"),
            Kind::Extra => f.write_str("kube-proxy serves it, towpath does not"),
            Kind::Owner { kube_proxy } => write!(f, "kube-proxy serves {kube_proxy} there"),
            Kind::Endpoints { traffic, only_kube_proxy, only_towpath } => {
                from(*traffic, f)?;
                endpoints(only_kube_proxy, only_towpath, f)
            }
            Kind::Verdict { traffic, kube_proxy, towpath } => {
                from(*traffic, f)?;
                write!(f, "kube-proxy {}, towpath {}", does(*kube_proxy), does(*towpath))
            }
            Kind::Masquerade { kube_proxy: true } => {
                f.write_str("kube-proxy masquerades traffic from outside, towpath keeps its source")
            }
            Kind::Masquerade { kube_proxy: false } => {
                f.write_str("kube-proxy keeps the source of traffic from outside, towpath masquerades")
            }
            Kind::Sources { kube_proxy, towpath } => {
                write!(f, "kube-proxy lets {}, towpath {}", who(kube_proxy), who(towpath))
            }
            Kind::Affinity { kube_proxy, towpath } => {
                write!(f, "kube-proxy {}, towpath {}", keeps(*kube_proxy), keeps(*towpath))
            }
        }
    }
}

fn from(traffic: Traffic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match traffic {
        Traffic::Ordinary => Ok(()),
        Traffic::FromNode => f.write_str("from this node, "),
    }
}

fn endpoints(
    kube_proxy: &[EndpointAddr],
    towpath: &[EndpointAddr],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match (kube_proxy, towpath) {
        (more, []) => write!(f, "kube-proxy sends to {} too, towpath does not", list(more)),
        ([], more) => write!(f, "towpath sends to {} too, kube-proxy does not", list(more)),
        (theirs, ours) => {
            write!(f, "only kube-proxy sends to {}, only towpath to {}", list(theirs), list(ours))
        }
    }
}

fn does(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Dnat => "sends it to endpoints",
        Verdict::Reject => "refuses it",
        Verdict::Drop => "drops it",
        Verdict::Untouched => "leaves it alone",
    }
}

fn who(sources: &Sources) -> String {
    match sources {
        Sources::Anybody => "anybody in".into(),
        Sources::Only(nets) if nets.is_empty() => "nobody in".into(),
        Sources::Only(nets) => format!("in {}", list(nets)),
    }
}

fn keeps(seconds: u32) -> String {
    match seconds {
        0 => "has no session affinity".into(),
        seconds => format!("keeps clients for {seconds} s"),
    }
}

fn list<T: fmt::Display>(all: &[T]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(T::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
