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
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver::Options;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::manifest::{list, replace, service, slice};
use testkit::netns::NetNs;
use testkit::scene::Scene;
use testkit::scratch::Scratch;
use testkit::wait;
use testkit::world::World;

use crate::agent::{self, Agent, Progress, Surroundings};
use crate::backend::Backend;
use crate::case::evidence;
use crate::cluster::Cluster;

/// The node's IPv4 address.
pub(crate) const NODE: &str = "192.168.0.2";
/// Its IPv6 address.
pub(crate) const NODE6: &str = "fd00:192::2";

/// How long something may take that follows from a change outside of the manifests.
const SOON: Duration = Duration::from_secs(8);
/// The ClusterIP of the Service that only says how far the program has read.
const MARK: &str = "10.96.255.254";
/// Its endpoint, which is nobody.
const MARK_ENDPOINT: &str = "10.255.255.254";

/// A running stage. Fields end in this order.
pub(crate) struct Stage {
    agent: Option<Agent>,
    /// The real network.
    pub(crate) world: Arc<World>,
    /// What the manifests say; changed by [`Stage::change`].
    pub(crate) scene: Scene,
    flags: Vec<String>,
    /// What the program finds around it at its next start.
    pub(crate) surroundings: Surroundings,
    marks: u16,
    tolerant: bool,
    /// The API server, if the program reads from one.
    cluster: Option<Cluster>,
    directory: PathBuf,
    log: PathBuf,
    _scratch: Scratch,
}

impl Stage {
    /// A stage on which the program does not run yet.
    pub(crate) fn new(world: World, scene: Scene, flags: Vec<String>, api: Option<Options>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let directory = scratch.path().join("manifests");
        fs::create_dir(&directory).context("making the manifests directory")?;
        let log = scratch.path().join("towpath.log");
        let start = |options| Cluster::start_with(world.node(), scratch.path(), options);
        let cluster = api.map(start).transpose()?;
        let mut stage = Self {
            agent: None,
            world: Arc::new(world),
            scene,
            flags,
            surroundings: Surroundings::beside(&log),
            marks: 0,
            tolerant: false,
            cluster,
            directory,
            log,
            _scratch: scratch,
        };
        stage.publish()?;
        Ok(stage)
    }

    /// The node's namespace.
    pub(crate) fn node(&self) -> &NetNs {
        self.world.node()
    }

    /// Where everything is.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Where the manifests are.
    pub(crate) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// The flags of `towpath run`.
    pub(crate) fn flags(&self) -> &[String] {
        &self.flags
    }

    /// More flags for the next start.
    pub(crate) fn add_flags(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Without the flags that begin like this, from the next start on; those with a value have it after `=`.
    pub(crate) fn drop_flags(&mut self, beginning: &str) {
        self.flags.retain(|flag| !flag.starts_with(beginning));
    }

    /// The flags of another backend in the place of those of the present one, for the next start.
    pub(crate) fn set_backend(&mut self, backend: &Backend) {
        self.add_flags(&["--iptables-variant", "auto"]);
        self.flags.extend(backend.flags());
    }

    /// Runs the program to its end with these arguments, beside the one that may be running.
    pub(crate) fn run_program(&self, args: &[&str]) -> Result<Output> {
        agent::run_to_end_in(self.node(), args, &self.surroundings)
    }

    /// Starts the program; does not wait for anything.
    pub(crate) fn launch(&mut self) -> Result<()> {
        let (node, log, surroundings) = (self.world.node(), &self.log, &self.surroundings);
        let mut agent = match &self.cluster {
            None => Agent::start(node, &self.directory, log, &self.flags, surroundings)?,
            Some(_) => Agent::start_with(node, log, &self.configure()?, surroundings)?,
        };
        agent.tolerant = self.tolerant;
        self.agent = Some(agent);
        Ok(())
    }

    /// Whether the kernel may differ from what is wanted from now on: some Service is refused there, on purpose.
    pub(crate) fn tolerate_differences(&mut self, tolerant: bool) {
        self.tolerant = tolerant;
        self.agent.iter_mut().for_each(|agent| agent.tolerant = tolerant);
    }

    /// Writes the configuration file; the arguments that name it.
    pub(crate) fn configure(&self) -> Result<Vec<String>> {
        self.cluster()?.configure(&[&agent::listening()[..], &self.flags].concat())
    }

    /// Starts the program with the configuration file as it is.
    pub(crate) fn launch_as_configured(&mut self) -> Result<()> {
        let args = [format!("--config={}", self.cluster()?.config().display())];
        self.agent = Some(Agent::start_with(self.world.node(), &self.log, &args, &self.surroundings)?);
        Ok(())
    }

    /// The API server.
    pub(crate) fn cluster(&self) -> Result<&Cluster> {
        self.cluster.as_ref().context("this stage has manifests, no API server")
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

    /// Waits until the program ends by itself.
    pub(crate) fn await_end(&mut self) -> Result<ExitStatus> {
        self.agent.take().context("the program does not run")?.await_end()
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.agent.as_ref().context("the program does not run")?.signal(signal)
    }

    /// Kills the program.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.agent.take().context("the program does not run")?.kill();
        Ok(())
    }

    /// Writes the scene to where the program reads it.
    pub(crate) fn publish(&mut self) -> Result<()> {
        if let Some(cluster) = &mut self.cluster {
            return cluster.publish(&self.scene.manifest());
        }
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
        self.await_mark()
    }

    /// Publishes a Service and its slice that only say how far the program has read, and waits until it has.
    pub(crate) fn await_mark(&mut self) -> Result<()> {
        self.marks += 1;
        let marks = marks(self.marks)?;
        match &self.cluster {
            None => replace(&self.directory, "zz-mark.json", &list(marks).to_string())?,
            Some(cluster) => marks.into_iter().try_for_each(|object| cluster.apply(object))?,
        }
        let number = self.marks;
        self.progress_where("the program to read what was written", |page| has_mark(page, number)).map(drop)
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

    /// One page for people.
    pub(crate) fn page(&self, path: &str) -> Result<String> {
        agent::page(self.world.node(), path)
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

/// A Service and its slice with this port: when both are there, all that was written before was read. Two, since an
/// API server orders the changes of one kind only.
pub(crate) fn marks(number: u16) -> Result<[Value; 2]> {
    let of_service = serde_json::from_value(json!({
        "name": "zz/mark",
        "type": "ClusterIP",
        "cluster_ips": [MARK],
        "ports": [{ "name": "", "port": number }],
    }))?;
    let of_slice = serde_json::from_value(json!({
        "service": "zz/mark",
        "ports": [{ "name": "", "port": number }],
        "endpoints": [{ "ip": MARK_ENDPOINT }],
    }))?;
    Ok([service(&of_service), slice(&of_slice, 0)])
}

/// Whether the program has read these marks.
pub(crate) fn has_mark(page: &Progress, number: u16) -> bool {
    let text = page.services.to_string();
    [MARK, MARK_ENDPOINT].iter().all(|address| text.contains(&format!("\"{address}:{number}\"")))
}
