//! The modes: which one is taken, and what each needs of the kernel before anything is programmed.

use anyhow::{Context, Result, anyhow, bail};
use config::{IptablesVariant, ProxyMode, Settings};
use dataplane::Operate;
use iptables::Iptables;
use netlink::Socket;
use resolve::Mode;
use xtables::{Tools, Variant};

use crate::opened::{self, Opened};
use crate::options::ipvs_settings;

/// Where rules of ours can be: each place is looked at, written and emptied by one dataplane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The tables `ip towpath` and `ip6 towpath` of nf_tables.
    Nftables,
    /// The chains TOWPATH-* of one variant of iptables.
    Iptables(Variant),
    /// Virtual servers of IPVS, local routes, and the tables `ip towpath-ipvs` and `ip6 towpath-ipvs` of nf_tables.
    Ipvs,
}

impl Place {
    /// Every place.
    pub(crate) const ALL: [Self; 4] =
        [Self::Nftables, Self::Iptables(Variant::Legacy), Self::Iptables(Variant::Nft), Self::Ipvs];

    /// The mode whose rules are there.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Nftables => Mode::Nftables,
            Self::Iptables(_) => Mode::Iptables,
            Self::Ipvs => Mode::Ipvs,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nftables => f.write_str("mode nftables"),
            Self::Ipvs => f.write_str("mode ipvs"),
            Self::Iptables(variant) => write!(f, "mode iptables ({} variant)", variant.as_str()),
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
        Some(ProxyMode::Ipvs) => {
            Ok(Chosen { opened: ipvs(settings)?, why: "the settings ask for ipvs".into() })
        }
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
    let opened = Opened::new(Place::Nftables, opened::nftables()?);
    probe_nftables()?;
    Ok(opened)
}

fn probe_nftables() -> Result<()> {
    let mut socket = Socket::open(netlink::nft::NETLINK_NETFILTER)?;
    match nftables::probe(&mut socket).first() {
        Some(first) => bail!("{first}"),
        None => Ok(()),
    }
}

/// Asks the kernel for everything that ipvs needs, the scheduler of the settings among it. With takeover, what kube-proxy
/// has left in IPVS is taken over.
fn ipvs(settings: &Settings) -> Result<Opened> {
    probe_nftables().context("mode ipvs needs nf_tables too")?;
    let mut own = ipvs_settings(settings);
    if settings.towpath.takeover {
        own.adopt = takeover::virtual_servers().context("cannot list kube-proxy's virtual servers")?;
    }
    let mut dataplane = opened::ipvs(own)?;
    dataplane.check_scheduler(settings.proxy.ipvs_scheduler()).context("mode ipvs")?;
    Ok(Opened::new(Place::Ipvs, dataplane))
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
    let tools = Tools::find(variant).context("mode iptables needs the iptables tools")?;
    let mut dataplane = Iptables::open(tools);
    if variant == Variant::Legacy {
        netlink::xt::is_permitted().context("the legacy variant of iptables needs CAP_NET_RAW")?;
    }
    // Whoever may not even read will not write.
    dataplane
        .is_installed()
        .with_context(|| format!("the {} variant of iptables cannot be used", variant.as_str()))?;
    let only = match dataplane.has_ipv6() {
        true => "",
        false => "; only IPv4 is programmed, since the kernel has no IPv6 or ip6tables is not installed",
    };
    let why = format!("iptables, {} variant: {why}{only}", variant.as_str());
    Ok((Opened::new(Place::Iptables(variant), dataplane), why))
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
    let own = ipvs_settings(&Settings::default());
    Place::ALL.into_iter().any(|place| {
        let looked = Opened::at(place, &own).ok().map(|mut opened| opened.is_installed());
        looked.is_some_and(|found| found.unwrap_or(false))
    })
}
