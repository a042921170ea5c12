//! What this dataplane talks to beside nf_tables.

use std::time::Duration;

use dataplane::ApplyError;
use netlink::route::{self, RouteWatch};
use netlink::{NetlinkError, Socket, ipvs};

use crate::objects::{Key, Server, Value};
use crate::servers::Servers;

/// Sockets to IPVS and to routes.
#[derive(Debug)]
pub struct Kernel {
    servers: Option<Servers>,
    /// Routes are read and written here.
    pub routes: Socket,
    watch: RouteWatch,
}

impl Kernel {
    /// Without a socket of IPVS there are no virtual servers. Errors: no sockets for routes.
    pub fn open(socket: Option<ipvs::Ipvs>, patience: Duration) -> Result<Self, NetlinkError> {
        let routes = route::open()?;
        let watch = RouteWatch::open(&routes)?;
        Ok(Self { servers: socket.map(|socket| Servers::new(socket, patience)), routes, watch })
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

    /// Whether somebody else may have changed a route of ours, or one of a few of our virtual servers.
    pub fn touched(&mut self) -> bool {
        let routes = self.watch.changed().unwrap_or(true);
        let servers = self.servers.as_mut().is_some_and(|servers| servers.look_at_some().unwrap_or(true));
        routes || servers
    }
}
