//! The modes: which one is taken, and what each needs of the kernel before anything is programmed.

use anyhow::{Context, Result, anyhow, bail};
use config::{IptablesVariant, ProxyMode, Settings};
use dataplane::{ApplyError, Engine, Operate};
use iptables::Iptables;
use model::Store;
use netlink::Socket;
use nftables::Nftables;
use resolve::{Mode, ProxyConfig};
use xtables::{Tools, Variant};

use crate::driver::{Driver, Held};

/// Where rules of ours can be: each place is looked at, written and emptied by one dataplane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The tables `ip towpath` and `ip6 towpath` of nf_tables.
    Nftables,
    /// The chains TOWPATH-* of one variant of iptables.
    Iptables(Variant),
}

impl Place {
    /// Every place.
    pub(crate) const ALL: [Self; 3] =
        [Self::Nftables, Self::Iptables(Variant::Legacy), Self::Iptables(Variant::Nft)];

    /// The mode whose rules are there.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Nftables => Mode::Nftables,
            Self::Iptables(_) => Mode::Iptables,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nftables => f.write_str("mode nftables"),
            Self::Iptables(variant) => write!(f, "mode iptables ({} variant)", variant.as_str()),
        }
    }
}

/// The dataplane of a place, opened.
pub(crate) enum Opened {
    /// nf_tables.
    Nftables(Box<Nftables>),
    /// One variant of iptables.
    Iptables(Box<Iptables>, Variant),
}

impl Opened {
    /// Opens what is at a place, to look at it or to empty it. Asks the kernel for nothing else.
    pub(crate) fn at(place: Place) -> Result<Self> {
        Ok(match place {
            Place::Nftables => {
                let opened = Nftables::open().context("cannot talk to nf_tables (CONFIG_NF_TABLES)")?;
                Self::Nftables(Box::new(opened))
            }
            Place::Iptables(variant) => {
                Self::Iptables(Box::new(Iptables::open(Tools::find(variant)?)), variant)
            }
        })
    }

    /// Where its rules are.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Nftables(_) => Place::Nftables,
            Self::Iptables(_, variant) => Place::Iptables(*variant),
        }
    }

    /// Whether rules of ours are there.
    pub(crate) fn is_installed(&mut self) -> Result<bool, ApplyError> {
        match self {
            Self::Nftables(dataplane) => dataplane.is_installed(),
            Self::Iptables(dataplane, _) => dataplane.is_installed(),
        }
    }

    /// Removes what is ours there; the number of objects that were there.
    pub(crate) fn remove(&mut self) -> Result<usize, ApplyError> {
        match self {
            Self::Nftables(dataplane) => dataplane.remove(),
            Self::Iptables(dataplane, _) => dataplane.remove(),
        }
    }

    /// The engine that drives it.
    pub(crate) fn engine(self, node: &str, config: ProxyConfig, sources: &[&'static str]) -> Box<dyn Driver> {
        let (place, store) = (self.place(), Store::new(node));
        match self {
            Self::Nftables(dataplane) => {
                Box::new(Held { engine: Engine::new(store, config, *dataplane, sources), place })
            }
            Self::Iptables(dataplane, _) => {
                Box::new(Held { engine: Engine::new(store, config, *dataplane, sources), place })
            }
        }
    }
}

/// A mode that was taken.
pub(crate) struct Chosen {
    /// Its dataplane: the kernel has what it needs.
    pub(crate) opened: Opened,
    /// Why this one; a sentence.
    pub(crate) why: String,
}

/// Takes the mode that the settings name. Where they leave it open: nftables, if the kernel has all that it needs, else
/// iptables.
pub(crate) fn choose(settings: &Settings) -> Result<Chosen> {
    let variant = settings.towpath.iptables_variant;
    match settings.proxy.proxy_mode() {
        Some(ProxyMode::Nftables) => {
            Ok(Chosen { opened: nftables()?, why: "the settings ask for nftables".into() })
        }
        Some(ProxyMode::Iptables) => iptables(variant).map(|(opened, variant)| Chosen {
            opened,
            why: format!("the settings ask for iptables; {variant}"),
        }),
        Some(ProxyMode::Ipvs) => bail!("mode: ipvs is not built yet, only nftables and iptables"),
        None => best(variant),
    }
}

fn best(variant: IptablesVariant) -> Result<Chosen> {
    let lacking = match nftables() {
        Ok(opened) => {
            let why = "mode is left open, and the kernel has all that nftables needs".into();
            return Ok(Chosen { opened, why });
        }
        Err(lacking) => crate::in_one_line(&lacking),
    };
    match iptables(variant) {
        Ok((opened, variant)) => {
            let why = format!("mode is left open, and nftables is not possible here ({lacking}); {variant}");
            Ok(Chosen { opened, why })
        }
        Err(error) => Err(anyhow!(
            "no mode is possible on this node: nftables: {lacking}; iptables: {}",
            crate::in_one_line(&error)
        )),
    }
}

/// Asks the kernel for everything that nftables needs.
fn nftables() -> Result<Opened> {
    let opened = Opened::at(Place::Nftables)?;
    let mut socket = Socket::open(netlink::nft::NETLINK_NETFILTER)?;
    match nftables::probe(&mut socket).first() {
        Some(first) => bail!("{first}"),
        None => Ok(opened),
    }
}

/// iptables, and why this variant.
fn iptables(wanted: IptablesVariant) -> Result<(Opened, String)> {
    let given = |variant| (variant, "the settings ask for this variant".to_owned());
    let (variant, why) = match wanted {
        IptablesVariant::Legacy => given(Variant::Legacy),
        IptablesVariant::Nft => given(Variant::Nft),
        IptablesVariant::Auto => {
            let detected = xtables::detect().context("mode iptables needs the iptables tools")?;
            (detected.variant, detected.why)
        }
    };
    let mut opened =
        Opened::at(Place::Iptables(variant)).context("mode iptables needs the iptables tools")?;
    if variant == Variant::Legacy {
        netlink::xt::is_permitted().context("the legacy variant of iptables needs CAP_NET_RAW")?;
    }
    // Whoever may not even read will not write.
    opened
        .is_installed()
        .with_context(|| format!("the {} variant of iptables cannot be used", variant.as_str()))?;
    let only = match &opened {
        Opened::Iptables(dataplane, _) if !dataplane.has_ipv6() => {
            "; only IPv4 is programmed, since the kernel has no IPv6 or ip6tables is not installed"
        }
        _ => "",
    };
    Ok((opened, format!("iptables, {} variant: {why}{only}", variant.as_str())))
}

/// The mode that commands without a kernel take: what nobody asked for is nftables.
pub(crate) fn offline(settings: &Settings) -> Mode {
    match settings.proxy.proxy_mode() {
        Some(ProxyMode::Iptables) => Mode::Iptables,
        Some(ProxyMode::Ipvs) => Mode::Ipvs,
        Some(ProxyMode::Nftables) | None => Mode::Nftables,
    }
}

/// Whether rules of ours are in force in any mode.
pub(crate) fn any_installed() -> bool {
    Place::ALL.into_iter().any(|place| {
        let looked = Opened::at(place).ok().map(|mut opened| opened.is_installed());
        looked.is_some_and(|found| found.unwrap_or(false))
    })
}
