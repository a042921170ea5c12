//! The IPVS dataplane: a virtual server for each frontend, a real server for each endpoint, and nf_tables for all that is
//! not load balancing.
//!
//! ```text
//! packet to a VIP --tables towpath-ipvs: marks, refusals--> local route --> IPVS --> masquerade --> endpoint
//!
//!   objects  front   what there is, and which facts of the node shape it      (pure)
//!   lower    text    a Route as objects; objects as text                      (pure)
//!   work             a plan, sorted by who carries it out                     (pure)
//!   servers  drain   virtual servers in the kernel; those that are to go     (I/O)
//!   route    host    local routes; kernel settings                            (I/O)
//!   ending           what outlives a virtual server that drains               (I/O)
//!   reconcile operate  all of it together                                     (I/O)
//! ```
//!
//! See docs/dataplanes/ipvs.md.
//!
//! Invariants:
//! * a virtual server is ours if our table says so; it says so before the server is made, and until it is gone. No other
//!   is ever changed or deleted, but for those of kube-proxy that [`Settings::adopt`] names;
//! * one changed endpoint is one message for each of its frontends; nothing walks over all Services;
//! * a real server that is no longer wanted keeps its connections until they end, for a bounded time; what is draining
//!   is found again after a restart, since it has the weight 0 that nothing else has;
//! * no decision about endpoints here: Routes come decided; one piece of code for both families.

mod digest;
mod drain;
mod ending;
mod front;
mod host;
mod kernel;
mod lower;
mod objects;
mod operate;
mod reconcile;
mod route;
mod servers;
mod text;
mod work;

pub use objects::{Choice, Key, Server, Value};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dataplane::ApplyError;
use ipnet::IpNet;
use model::{NamespacedName, Scheduler};
use netlink::{NetlinkError, ipvs};
use nftables::{Nftables, Style};
use resolve::Route;
use rustc_hash::FxHashMap;

use crate::front::Front;
use crate::host::Host;
use crate::kernel::Kernel;
use crate::work::Refused;

/// What beside the Services and the node's facts decides how this mode works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Virtual servers at these addresses are not taken over (`--ipvs-exclude-cidrs`). What towpath has not made it
    /// leaves alone anyway.
    pub exclude: Vec<IpNet>,
    /// How long a real server that is no longer wanted may keep its connections.
    pub drain: Duration,
    /// Virtual servers of kube-proxy, that are taken over as they are.
    pub adopt: BTreeSet<ipvs::Key>,
    /// Answer no ARP request for VIPs (`--ipvs-strict-arp`).
    pub strict_arp: bool,
    /// How long idle connections are kept, in seconds; 0 leaves a value alone.
    pub timeouts: ipvs::Timeouts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            drain: Duration::from_secs(900),
            adopt: BTreeSet::new(),
            strict_arp: false,
            timeouts: ipvs::Timeouts::default(),
        }
    }
}

/// How long a real server stays after the drain deadline of its Service, unless it is told to go; which it is when its clients have
/// heard of the end.
const AFTER_DEADLINE: Duration = Duration::from_secs(90);

/// The dataplane. Without a kernel it can still lower and print.
#[derive(Debug)]
pub struct Ipvs {
    rules: Nftables,
    kernel: Option<Kernel>,
    host: Host,
    settings: Settings,
    /// The settings are not those that the kernel has.
    unsettled: bool,
    /// False for one that only looks.
    writes: bool,
    fronts: Vec<Front>,
    /// The last ground changed what Routes become.
    relowers: bool,
    /// Whose a virtual server is.
    names: RefCell<FxHashMap<Server, NamespacedName>>,
    /// How long real servers may keep their connections at least, where the Service says it.
    deadlines: RefCell<FxHashMap<Server, Duration>>,
    /// What the kernel did not take as it was wanted.
    refused: FxHashMap<Server, Refused>,
    /// Routes that nobody asks for any more, of virtual servers that still drain.
    held: BTreeSet<IpNet>,
    /// Since when everything of ours is draining.
    retiring: Option<Instant>,
}

impl Ipvs {
    /// Talks to the kernel of this network namespace; `None`: it has no IPVS. Needs CAP_NET_ADMIN in the first user
    /// namespace. Loads the module `ip_vs`. Errors: a socket failed.
    pub fn open(settings: Settings) -> Result<Option<Self>, NetlinkError> {
        let Some(socket) = ipvs::open()? else { return Ok(None) };
        Self::with_kernel(Some(socket), settings).map(Some)
    }

    /// As [`Ipvs::open`], to look at what is there or to remove it: where the kernel has not loaded IPVS, there are
    /// no virtual servers, and it stays so. Errors: a socket failed.
    pub fn look(settings: Settings) -> Result<Self, NetlinkError> {
        let socket = if ipvs::available()? { ipvs::open()? } else { None };
        Self::with_kernel(socket, settings)
    }

    fn with_kernel(socket: Option<ipvs::Ipvs>, settings: Settings) -> Result<Self, NetlinkError> {
        let kernel = Kernel::open(socket, settings.drain)?;
        Ok(Self { kernel: Some(kernel), ..Self::with_rules(Nftables::open_as(Style::Ipvs)?, settings) })
    }

    fn with_rules(rules: Nftables, settings: Settings) -> Self {
        Self {
            rules,
            kernel: None,
            host: Host::default(),
            settings,
            unsettled: true,
            writes: true,
            fronts: Vec::new(),
            relowers: false,
            names: RefCell::default(),
            deadlines: RefCell::default(),
            refused: FxHashMap::default(),
            held: BTreeSet::new(),
            retiring: None,
        }
    }

    /// Other settings; they are in force with the next sync that asks for the ground. What is adopted stays so.
    pub fn set_settings(&mut self, mut settings: Settings) {
        settings.adopt.extend(&self.settings.adopt);
        self.unsettled |= self.settings != settings;
        self.settings = settings;
    }

    /// Whether the kernel has a scheduler; asking loads its module. Errors: it has not, and the text names the module;
    /// or a socket failed.
    pub fn check_scheduler(&mut self, scheduler: Scheduler) -> Result<(), ApplyError> {
        let what = "cannot ask for the scheduler";
        let servers = self.kernel()?.servers()?;
        if servers.has_scheduler(scheduler).map_err(ApplyError::new(what))? {
            return Ok(());
        }
        let module = scheduler.module();
        let message = format!("the kernel does not have it: load the module {module}, or name another one");
        Err(ApplyError { what: format!("--ipvs-scheduler {scheduler}"), source: message.into() })
    }

    /// Virtual servers that are ours, as far as was observed or made.
    pub fn owned(&self) -> BTreeSet<ipvs::Key> {
        let servers = self.kernel.iter().flat_map(Kernel::keys);
        servers.map(objects::kernel_key).collect()
    }

    fn kernel(&mut self) -> Result<&mut Kernel, ApplyError> {
        let missing = "this dataplane was opened without a kernel";
        self.kernel.as_mut().ok_or_else(|| ApplyError::new("cannot use IPVS")(missing))
    }

    fn note_name(&self, route: &Route, server: Server) {
        self.names.borrow_mut().insert(server, route.name.service.clone());
        let mut deadlines = self.deadlines.borrow_mut();
        match &route.drain {
            // Connections end by the deadline, the real server a little later: it must not be the other way round.
            Some(drain) => drop(deadlines.insert(server, drain.deadline + AFTER_DEADLINE)),
            None => drop(deadlines.remove(&server)),
        }
    }
}
