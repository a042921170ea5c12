//! The dataplane of a place, opened: the one list of what can be opened.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use config::Settings;
use dataplane::{ApplyError, Engine, Operate, Retired, Start};
use iptables::Iptables;
use ipvs::Ipvs;
use netlink::ipvs::Key;
use nftables::Nftables;
use resolve::ProxyConfig;
use xtables::Tools;

use crate::driver::{Driver, Held};
use crate::modes::Place;
use crate::options::ipvs_settings;

/// A dataplane that the agent can drive.
pub(crate) trait Plane: Operate<Key: Send, Value: Send> + Send + 'static {
    /// Takes in the settings that are its own, beside those of [`ProxyConfig`].
    fn set(&mut self, _settings: &Settings) {}

    /// Virtual servers of IPVS that it has taken for its own.
    fn virtual_servers(&self) -> BTreeSet<Key> {
        BTreeSet::new()
    }
}

impl Plane for Nftables {}
impl Plane for Iptables {}
impl Plane for Ipvs {
    fn set(&mut self, settings: &Settings) {
        self.set_settings(ipvs_settings(settings));
    }

    fn virtual_servers(&self) -> BTreeSet<Key> {
        self.owned()
    }
}

/// A dataplane, whichever it is.
trait AnyPlane: Send {
    fn is_installed(&mut self) -> Result<bool, ApplyError>;
    fn remove(&mut self) -> Result<usize, ApplyError>;
    fn retire(&mut self) -> Result<Retired, ApplyError>;
    fn engine(self: Box<Self>, place: Place, start: Start, config: ProxyConfig) -> Box<dyn Driver>;
}

impl<D: Plane> AnyPlane for D {
    fn is_installed(&mut self) -> Result<bool, ApplyError> {
        Operate::is_installed(self)
    }

    fn remove(&mut self) -> Result<usize, ApplyError> {
        Operate::remove(self)
    }

    fn retire(&mut self) -> Result<Retired, ApplyError> {
        Operate::retire(self)
    }

    fn engine(self: Box<Self>, place: Place, start: Start, config: ProxyConfig) -> Box<dyn Driver> {
        Box::new(Held { engine: Engine::begin(start, config, *self), place })
    }
}

/// The dataplane of a place, opened.
pub(crate) struct Opened {
    place: Place,
    plane: Box<dyn AnyPlane>,
}

impl Opened {
    /// What was opened elsewhere.
    pub(crate) fn new(place: Place, plane: impl Plane) -> Self {
        Self { place, plane: Box::new(plane) }
    }

    /// Opens what is at a place, to look at it or to empty it. Asks the kernel for nothing else. `own`: the settings of mode
    /// ipvs.
    pub(crate) fn at(place: Place, own: &ipvs::Settings) -> Result<Self> {
        Ok(match place {
            Place::Nftables => Self::new(place, nftables()?),
            Place::Iptables(variant) => Self::new(place, Iptables::open(Tools::find(variant)?)),
            // Without loading a module that no node needs which never was in this mode.
            Place::Ipvs => Self::new(place, Ipvs::look(own.clone()).context("cannot look for mode ipvs")?),
        })
    }

    /// Where its rules are.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Whether rules of ours are there.
    pub(crate) fn is_installed(&mut self) -> Result<bool, ApplyError> {
        self.plane.is_installed()
    }

    /// Removes what is ours there, at once; the number of objects that were there.
    pub(crate) fn remove(&mut self) -> Result<usize, ApplyError> {
        self.plane.remove()
    }

    /// Removes what is ours there, once nobody uses it any more.
    pub(crate) fn retire(&mut self) -> Result<Retired, ApplyError> {
        self.plane.retire()
    }

    /// The engine that drives it.
    pub(crate) fn engine(self, start: Start, config: ProxyConfig) -> Box<dyn Driver> {
        self.plane.engine(self.place, start, config)
    }
}

/// nf_tables.
pub(crate) fn nftables() -> Result<Nftables> {
    Nftables::open().context("cannot talk to nf_tables (CONFIG_NF_TABLES)")
}

/// IPVS. Asking loads its module.
pub(crate) fn ipvs(own: ipvs::Settings) -> Result<Ipvs> {
    Ipvs::open(own).context("mode ipvs cannot be used")?.context(
        "mode ipvs needs the kernel module ip_vs (CONFIG_IP_VS), which this kernel does not have: choose mode nftables or \
         iptables, or give it a kernel with IPVS",
    )
}
