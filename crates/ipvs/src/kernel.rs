//! What this dataplane talks to beside nf_tables.

use std::time::{Duration, Instant};

use dataplane::{ApplyError, Pace};
use netlink::route::{self, RouteWatch};
use netlink::{NetlinkError, Socket, ipvs};

use crate::objects::{Key, Server, Value};
use crate::servers::Servers;

/// Looks at all virtual servers cost at most one part in so many of the time, looks at real servers as much again: one
/// percent of a core.
const SHARE: u32 = 200;
/// What may be saved for several looks at once.
const SAVED: Duration = Duration::from_millis(20);
/// A look is never put off for longer.
const LONGEST: Duration = Duration::from_secs(2);

/// Sockets to IPVS and to routes.
#[derive(Debug)]
pub struct Kernel {
    servers: Option<Servers>,
    /// Routes are read and written here.
    pub routes: Socket,
    watch: RouteWatch,
    all: Pace,
    some: Pace,
    /// Others have changed something since everything was read.
    touched: bool,
}

impl Kernel {
    /// Without a socket of IPVS there are no virtual servers. Errors: no sockets for routes.
    pub fn open(socket: Option<ipvs::Ipvs>, patience: Duration) -> Result<Self, NetlinkError> {
        let routes = route::open()?;
        let watch = RouteWatch::open(&routes)?;
        let servers = socket.map(|socket| Servers::new(socket, patience));
        let pace = Pace::new(SHARE, SAVED).waiting_at_most(LONGEST);
        Ok(Self { servers, routes, watch, all: pace, some: pace, touched: false })
    }

    /// The virtual servers. Errors: the kernel has no IPVS.
    pub fn servers(&mut self) -> Result<&mut Servers, ApplyError> {
        let missing = "the kernel has no IPVS (CONFIG_IP_VS): load the module ip_vs";
        self.servers.as_mut().ok_or_else(|| ApplyError::new("cannot use IPVS")(missing))
    }

    /// The virtual servers, where the kernel has IPVS.
    pub fn servers_if_any(&mut self) -> Option<&mut Servers> {
        self.servers.as_mut()
    }

    /// Our virtual servers, as far as is known.
    pub fn keys(&self) -> impl Iterator<Item = Server> + '_ {
        self.servers.iter().flat_map(Servers::keys)
    }

    /// Whether this is a virtual server of ours that is there.
    pub fn has(&self, server: &Server) -> bool {
        self.servers.as_ref().is_some_and(|servers| servers.has(server))
    }

    /// Whether a virtual server of ours is on its way out.
    pub fn is_closing(&self, server: &Server) -> bool {
        self.servers.as_ref().is_some_and(|servers| servers.is_closing(server))
    }

    /// Our routes in the kernel. Errors: the socket failed.
    pub fn observe_routes(&mut self) -> Result<Vec<(Key, Value)>, NetlinkError> {
        Ok(route::local_routes(&mut self.routes)?.iter().filter_map(crate::route::object).collect())
    }

    /// To be called before everything is read: what others change from now on counts.
    pub fn know(&mut self) {
        let _ = self.watch.changed();
        self.touched = false;
    }

    /// Whether somebody else may have changed a route, a virtual server or a real server of ours since [`Kernel::know`]. IPVS
    /// tells nobody of changes: it is looked at as often as the shares of time allow.
    pub fn touched(&mut self) -> bool {
        self.touched |= self.watch.changed().unwrap_or(true);
        if !self.touched
            && let Some(servers) = &mut self.servers
        {
            self.touched = look_at_all(servers, &mut self.all) || look_at_some(servers, &mut self.some);
        }
        self.touched
    }
}

fn look_at_all(servers: &mut Servers, pace: &mut Pace) -> bool {
    let started = Instant::now();
    if !pace.allows(started) {
        return false;
    }
    let touched = servers.look_at_all().unwrap_or(true);
    pace.spent(Instant::now(), started.elapsed());
    touched
}

/// Goes on until the time is spent, or each had its turn.
fn look_at_some(servers: &mut Servers, pace: &mut Pace) -> bool {
    loop {
        let started = Instant::now();
        if !pace.allows(started) {
            return false;
        }
        let (touched, all) = servers.look_at_some().unwrap_or((true, true));
        pace.spent(Instant::now(), started.elapsed());
        if touched || all {
            return touched;
        }
    }
}
