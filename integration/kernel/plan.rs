//! A stage before it is built: scene, world, flags.

use anyhow::Result;
use apiserver::Options;
use testkit::scene::{NODE_NAME, Scene};
use testkit::world::{Layout, World};

use crate::backend::{self, Backend};
use crate::cluster::Cluster;
use crate::stage::{Stage, ip, socket};

const NAME: &str = "--hostname-override";
const FLAGS: [&str; 2] = ["--cluster-cidr", "10.244.0.0/16,fd00:244::/56"];

/// A stage before it is built.
pub(crate) struct Plan {
    scene: Scene,
    layout: Layout,
    flags: Vec<String>,
    api: Option<Options>,
}

impl Plan {
    /// Plans a stage from the YAML of a scene.
    pub(crate) fn new(scene: &str) -> Result<Self> {
        let scene = Scene::parse(scene)?;
        let layout = scene.layout();
        Ok(Self { scene, layout, flags: Vec::new(), api: None }.flags(&FLAGS))
    }

    /// Addresses outside: clients, and destinations that are not the node's business.
    pub(crate) fn outside(mut self, addresses: &[&str]) -> Result<Self> {
        for address in addresses {
            self.layout.outside.insert(ip(address)?);
        }
        Ok(self)
    }

    /// Addresses with a host and a link of their own.
    pub(crate) fn hosts(mut self, addresses: &[&str]) -> Result<Self> {
        for address in addresses {
            self.layout.hosts.insert(ip(address)?);
        }
        Ok(self)
    }

    /// Servers beside the endpoints; an address that is nobody's is outside.
    pub(crate) fn serve(mut self, servers: &[&str]) -> Result<Self> {
        for server in servers {
            let server = socket(server)?;
            self.layout.serve(server);
            let at_home = self.layout.is_node(server.ip()) || self.layout.hosts.contains(&server.ip());
            if !at_home {
                self.layout.outside.insert(server.ip());
            }
        }
        Ok(self)
    }

    /// More addresses of the node, which its Node object does not have.
    pub(crate) fn node_addresses(mut self, addresses: &[&str]) -> Result<Self> {
        for address in addresses {
            self.layout.node.push(ip(address)?);
        }
        Ok(self)
    }

    /// Names the node's link to a host.
    pub(crate) fn link(mut self, host: &str, name: &str) -> Result<Self> {
        self.layout.links.insert(ip(host)?, name.to_owned());
        Ok(self)
    }

    /// These flags in the place of the usual ones, but for the node's name, unless they say another.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        let name = if flags.contains(&NAME) { &[][..] } else { &[NAME, NODE_NAME] };
        self.flags = name.iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
        self
    }

    /// The program reads from an API server and is configured by a file.
    pub(crate) fn through_api(self) -> Self {
        self.through(Cluster::options())
    }

    /// The same with a server of these options.
    pub(crate) fn through(self, options: Options) -> Self {
        Self { api: Some(options), ..self }
    }

    /// Changes the scene after the world was planned: what is removed here can still come later.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Scene)) -> Self {
        change(&mut self.scene);
        self
    }

    /// Builds the world and writes the manifests; the program does not run yet. What the flags say of the mode is
    /// stronger than the backend's.
    pub(crate) fn build(self) -> Result<Stage> {
        let flags = backend::current().into_iter().flat_map(Backend::flags).chain(self.flags).collect();
        Stage::new(World::new(&self.layout)?, self.scene, flags, self.api)
    }

    /// Builds everything and waits until the kernel has it.
    pub(crate) fn start(self) -> Result<Stage> {
        let mut stage = self.build()?;
        stage.start()?;
        Ok(stage)
    }
}
