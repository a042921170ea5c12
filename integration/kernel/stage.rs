//! A scene in a world with the running program: what most tests play on.
//!
//! ```text
//! Stage::plan(SCENE).outside([...]).start() --> world, manifests, agent in sync
//!   change(|scene| ...)  writes the scene again and waits until the kernel has it
//!   reach, refused, ...  real packets
//! ```

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::manifest::{list, replace, service};
use testkit::netns::NetNs;
use testkit::scene::Scene;
use testkit::scratch::Scratch;
use testkit::wait;
use testkit::world::World;

use crate::agent::{self, Agent, Progress};
use crate::case::evidence;

/// The node's IPv4 address.
pub(crate) const NODE: &str = "192.168.0.2";
/// Its IPv6 address.
pub(crate) const NODE6: &str = "fd00:192::2";

/// How long something may take that follows from a change outside of the manifests.
const SOON: Duration = Duration::from_secs(3);
/// The ClusterIP of the Service that only says how far the program has read.
const MARK: &str = "10.96.255.254";

/// A running stage. Fields end in this order.
pub(crate) struct Stage {
    agent: Option<Agent>,
    /// The real network.
    pub(crate) world: Arc<World>,
    /// What the manifests say; changed by [`Stage::change`].
    pub(crate) scene: Scene,
    flags: Vec<String>,
    marks: u16,
    directory: PathBuf,
    log: PathBuf,
    _scratch: Scratch,
}

impl Stage {
    /// A stage on which the program does not run yet.
    pub(crate) fn new(world: World, scene: Scene, flags: Vec<String>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let directory = scratch.path().join("manifests");
        fs::create_dir(&directory).context("making the manifests directory")?;
        let stage = Self {
            agent: None,
            world: Arc::new(world),
            scene,
            flags,
            marks: 0,
            directory,
            log: scratch.path().join("towpath.log"),
            _scratch: scratch,
        };
        stage.publish()?;
        Ok(stage)
    }

    /// The node's namespace.
    pub(crate) fn node(&self) -> &NetNs {
        self.world.node()
    }

    /// Where the manifests are.
    pub(crate) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// The flags of `towpath run`.
    pub(crate) fn flags(&self) -> &[String] {
        &self.flags
    }

    /// Starts the program; does not wait for anything.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.agent = Some(Agent::start(self.world.node(), &self.directory, &self.log, &self.flags)?);
        Ok(())
    }

    /// Starts the program and waits until the kernel is as wanted.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.await_sync(None).map(drop).with_context(|| evidence(&self.world, &self.log))
    }

    fn await_sync(&mut self, after: Option<u64>) -> Result<u64> {
        self.agent.as_mut().context("the program does not run")?.await_sync(self.world.node(), after)
    }

    /// Ends the program in the ordinary way.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.agent.take().context("the program does not run")?.terminate()
    }

    /// Kills the program.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.agent.take().context("the program does not run")?.kill();
        Ok(())
    }

    /// Writes the scene to the manifests directory.
    pub(crate) fn publish(&self) -> Result<()> {
        replace(&self.directory, "scene.json", &self.scene.manifest().to_string())
    }

    /// Changes the scene, and waits until the program has read it and the kernel has it.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Scene)) -> Result<()> {
        let before = self.scene.manifest();
        change(&mut self.scene);
        ensure!(self.scene.manifest() != before, "this change changes nothing");
        let read = self.await_sync(None)?;
        self.publish()?;
        self.settle(read).with_context(|| evidence(&self.world, &self.log))
    }

    /// Waits until the program has read all that was written since that state, and the kernel has it.
    fn settle(&mut self, state: u64) -> Result<()> {
        // Only once it has begun to read what was written, a new file is surely read after it.
        self.await_sync(Some(state))?;
        self.marks += 1;
        replace(&self.directory, "zz-mark.json", &mark(self.marks)?)?;
        let wanted = format!("\"{MARK}:{}\"", self.marks);
        let marked = |page: &Progress| page.services.to_string().contains(&wanted);
        self.progress_where("the program to read what was written", marked).map(drop)
    }

    /// The debug page, once all is in sync.
    pub(crate) fn progress(&mut self) -> Result<Progress> {
        self.progress_where("the debug page in sync", |_| true)
    }

    /// The debug page, once all is in sync and it is as asked for.
    pub(crate) fn progress_where(
        &mut self,
        what: &str,
        good: impl Fn(&Progress) -> bool,
    ) -> Result<Progress> {
        let agent = self.agent.as_mut().context("the program does not run")?;
        agent.await_progress(self.world.node(), what, good)
    }

    /// One value of the page of metrics.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        agent::metric(self.world.node(), name)
    }

    /// Everything that the program wrote to its log so far.
    pub(crate) fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).context("reading the log")
    }

    /// Waits for a change that nothing announces: until `good` holds.
    pub(crate) fn soon(&self, what: &str, good: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let mut last = Ok(());
        let done = wait::until(what, SOON, || {
            last = good(self);
            Ok(last.is_ok().then_some(()))
        });
        last.and(done)
    }

    /// Runs a test and shows log and rules when it fails.
    pub(crate) fn play(mut self, test: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let result = test(&mut self);
        result.with_context(|| evidence(&self.world, &self.log))
    }
}

/// An address.
pub(crate) fn ip(text: &str) -> Result<IpAddr> {
    text.parse().with_context(|| format!("{text:?} is no address"))
}

/// An address with a port.
pub(crate) fn socket(text: &str) -> Result<SocketAddr> {
    text.parse().with_context(|| format!("{text:?} is no address with a port"))
}

/// A manifest whose Service has this port: when it is served, all that was written before was read.
fn mark(number: u16) -> Result<String> {
    let spec = serde_json::from_value(json!({
        "name": "zz/mark",
        "type": "ClusterIP",
        "cluster_ips": [MARK],
        "ports": [{ "name": "", "port": number }],
    }))?;
    Ok(list([service(&spec)]).to_string())
}
