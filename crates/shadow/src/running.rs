//! Which kube-proxy is in force on this node, and reading it.

use netlink::{NetlinkError, Socket, nft};
use resolve::Mode;
use xtables::{ToolError, Tools, Variant};

use crate::{Programmed, iptables, ipvs, nftables};

/// What could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// Nothing of a running kube-proxy is there.
    #[error("no rules of a running kube-proxy found: looked for {looked}")]
    NotFound {
        /// Where was looked.
        looked: String,
    },
    /// It was there when it was looked for, and is gone.
    #[error("the rules of kube-proxy in mode {} are gone", .0.as_str())]
    Gone(Mode),
    /// The kernel did not answer.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A tool of iptables failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Where a kube-proxy has its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The nf_tables tables `kube-proxy`.
    Nftables,
    /// Chains of iptables, in this variant.
    Iptables(Variant),
    /// Virtual servers of IPVS, and the link `kube-ipvs0`.
    Ipvs,
}

impl Place {
    /// The mode that it means.
    pub fn mode(self) -> Mode {
        match self {
            Place::Nftables => Mode::Nftables,
            Place::Iptables(_) => Mode::Iptables,
            Place::Ipvs => Mode::Ipvs,
        }
    }

    /// Reads what is programmed there now. Errors: the kernel or a tool fails; the rules are gone.
    pub fn read(self) -> Result<Programmed, ShadowError> {
        Reader::new(self).read()
    }
}

/// Reads one place again and again: each time after the first asks for less.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    memory: nftables::Memory,
}

impl Reader {
    /// Nothing is read yet.
    pub fn new(place: Place) -> Self {
        Self { place, memory: nftables::Memory::default() }
    }

    /// Reads what is programmed there now, in the network namespace of the first reading. Errors: the kernel or a tool
    /// fails; the rules are gone.
    pub fn read(&mut self) -> Result<Programmed, ShadowError> {
        let programmed = match self.place {
            Place::Nftables => nftables::read(&mut Socket::open(nft::NETLINK_NETFILTER)?, &mut self.memory)?,
            Place::Iptables(variant) => iptables::read(variant)?,
            Place::Ipvs => ipvs::read()?,
        };
        programmed.ok_or(ShadowError::Gone(self.place.mode()))
    }
}

/// Finds every place of this network namespace where rules of a kube-proxy are in force; the first is the one to
/// compare with, more than one means that another has left its own. Nothing is changed, and no table is made.
/// Errors: there is none; the kernel or a tool fails.
pub fn locate() -> Result<Vec<Place>, ShadowError> {
    let mut places = Vec::new();
    let mut looked = vec!["the nf_tables tables ip and ip6 kube-proxy".to_owned()];
    if nftables::is_there(&mut Socket::open(nft::NETLINK_NETFILTER)?)? {
        places.push(Place::Nftables);
    }
    for variant in Variant::ALL {
        let (there, what) = look_for_chains(variant)?;
        places.extend(there.then_some(Place::Iptables(variant)));
        looked.push(what);
    }
    if ipvs::is_there()? {
        places.push(Place::Ipvs);
    }
    looked.push(format!("the link {} with IPVS", ipvs::LINK));
    if places.is_empty() { Err(ShadowError::NotFound { looked: looked.join(", ") }) } else { Ok(places) }
}

fn look_for_chains(variant: Variant) -> Result<(bool, String), ToolError> {
    match Tools::find(variant) {
        Ok(tools) => {
            let what = format!("the chain {} in table nat of iptables ({variant})", iptables::SERVICES);
            Ok((iptables::is_there(&tools)?, what))
        }
        Err(ToolError::Missing { program }) => Ok((false, format!("{program}, which is not installed"))),
        Err(error) => Err(error),
    }
}
