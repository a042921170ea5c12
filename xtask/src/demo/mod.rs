//! `cargo xtask demo`: towpath at work, from its start to its cleanup, where everything but the cluster is real.
//!
//! The kernel, the program, the connections and the HTTP servers are real; the nodes are network namespaces,
//! and the objects come from files in the place of an API server. Nothing outside of namespaces named
//! `towpath-demo-…` is touched, and guards remove them however the demo ends. What a killed demo leaves, the
//! next one removes first.

mod agent;
mod background;
pub mod load;
mod manifests;
mod netns;
mod scratch;
mod screen;
pub mod server;
mod traffic;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::command::{build_towpath, is_root};
use crate::{packages, wait};
use agent::Agent;
use manifests::Manifests;
use scratch::Scratch;
use screen::Screen;
use traffic::Traffic;
use world::{CLIENT_ADDRESS, CLUSTER_IP, NODE_PORT, PODS, World};

/// Requests that are shown one by one, for each way to the Service.
const SHOWN_REQUESTS: usize = 20;
/// Requests before a change and after it, at least.
const REQUESTS: u64 = 2_000;
/// Lines of the debug page that are shown.
const RULE_LINES: usize = 60;
/// Lines of towpath's log that are shown when something went wrong.
const LOG_LINES: usize = 20;
/// How long the kernel may take to follow a change.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that the steps use. Dropped in this order: the world last but for its files.
#[derive(Debug)]
struct Stage {
    screen: Screen,
    program: PathBuf,
    manifests: Manifests,
    world: World,
    scratch: Scratch,
}

/// Shows everything; an error when something is not as it must be.
pub fn run(skip_install: bool) -> Result<ExitCode> {
    ensure!(is_root(), "the demo makes network namespaces, and only root can do that: run it as root");
    if !skip_install {
        packages::ensure_installed()?;
    }
    let stage = Stage::build()?;
    stage.play().inspect_err(|_| stage.show_log())?;
    stage.strike()?;
    Ok(ExitCode::SUCCESS)
}

impl Stage {
    fn build() -> Result<Self> {
        let screen = Screen::default();
        screen.step("Building towpath");
        let program = build_towpath()?;
        screen.step("Making a client, a node and two pods of network namespaces");
        let scratch = Scratch::new()?;
        netns::remove_leftovers()?;
        let manifests = Manifests::write(&scratch)?;
        let world = World::build()?;
        screen.say(&format!("client {CLIENT_ADDRESS} --- node {} --- {}", world::NODE_ADDRESS, pods()));
        screen.say(&format!("Service default/web: cluster IP {CLUSTER_IP}, node port {NODE_PORT}"));
        Ok(Self { screen, program, manifests, world, scratch })
    }

    fn play(&self) -> Result<()> {
        let mut agent = self.start()?;
        self.acts(&mut agent)?;
        self.leave(agent)
    }

    fn acts(&self, agent: &mut Agent) -> Result<()> {
        self.show_requests("the cluster IP", CLUSTER_IP)?;
        self.show_requests("the node port", NODE_PORT)?;
        self.show_explanation()?;
        self.show_rules(agent)?;
        self.scale_down()?;
        agent.wait_until_synced(&self.world.node)
    }

    /// Where the program's log goes.
    fn log(&self) -> PathBuf {
        self.scratch.join("towpath.log")
    }

    /// The end of the log, for when something went wrong.
    fn show_log(&self) {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let skipped = log.lines().count().saturating_sub(LOG_LINES);
        self.screen.step("Something went wrong. The end of towpath's log");
        log.lines().skip(skipped).for_each(|line| self.screen.quote(line, 1));
    }

    fn start(&self) -> Result<Agent> {
        self.screen.step("Starting towpath on the node");
        let arguments = agent::run_arguments(self.manifests.path());
        self.screen.say(&format!("towpath {}", arguments.join(" ")));
        let begin = Instant::now();
        let mut agent = Agent::start(&self.program, &self.world.node, self.manifests.path(), &self.log())?;
        agent.wait_until_synced(&self.world.node)?;
        self.screen.say(&format!("in sync after {} ms", begin.elapsed().as_millis()));
        Ok(agent)
    }

    fn show_requests(&self, way: &str, address: &str) -> Result<()> {
        self.screen.step(&format!("{SHOWN_REQUESTS} requests from the client through {way}, {address}"));
        let mut answers = BTreeMap::<String, u64>::new();
        for _ in 0..SHOWN_REQUESTS {
            let answer = self.world.client.get(&format!("http://{address}/"))?;
            *answers.entry(answer.trim().to_owned()).or_default() += 1;
        }
        for (answer, count) in &answers {
            self.screen.say(&format!("{count:>3} x \"{answer}\""));
        }
        let reached = |pod: &world::Pod| answers.keys().any(|answer| answer.starts_with(pod.name));
        ensure!(PODS.iter().all(reached), "not every pod was reached through {address}");
        Ok(())
    }

    fn show_explanation(&self) -> Result<()> {
        self.screen.step("What would happen to a connection, and why");
        self.screen.say(&format!("towpath explain … --from {CLIENT_ADDRESS} --to {CLUSTER_IP}/tcp"));
        let (node, manifests) = (&self.world.node, self.manifests.path());
        let said = agent::explain(&self.program, node, manifests, CLIENT_ADDRESS, CLUSTER_IP)?;
        self.screen.quote(&said, RULE_LINES);
        Ok(())
    }

    fn show_rules(&self, agent: &Agent) -> Result<()> {
        self.screen.step("What towpath has programmed: /debug/rules");
        self.screen.quote(&agent.rules(&self.world.node)?, RULE_LINES);
        Ok(())
    }

    /// Takes a pod away under load. Its server goes on, as that of a terminating pod does: a request that
    /// reaches it late is answered, and seen.
    fn scale_down(&self) -> Result<()> {
        let leaves = &PODS[1];
        self.screen.step(&format!("Scaling {} away while the client goes on asking", leaves.name));
        let [before, during, after] = verdict::PHASES;
        let mut traffic = Traffic::start(&self.world.client, &[CLUSTER_IP, NODE_PORT])?;
        traffic.phase(before, REQUESTS)?;
        traffic.phase(during, 1)?;
        let begin = Instant::now();
        self.manifests.scale_down()?;
        self.wait_until_forgotten(leaves)?;
        self.screen.say(&format!(
            "the kernel no longer knows {} after {} ms",
            leaves.name,
            begin.elapsed().as_millis()
        ));
        traffic.phase(after, REQUESTS)?;
        let report = traffic.finish()?;
        verdict::lines(&report).iter().for_each(|line| self.screen.say(line));
        verdict::judge(&report, REQUESTS)?;
        self.check_still_serving(leaves)?;
        self.screen.say("no request was lost, and no new one went to the pod that left");
        Ok(())
    }

    /// Asks the kernel, not towpath.
    fn wait_until_forgotten(&self, pod: &world::Pod) -> Result<()> {
        wait::until("the kernel to follow the change", PATIENCE, || {
            let rules = self.kernel_rules()?;
            Ok((!rules.contains(pod.address)).then_some(()))
        })
    }

    fn check_still_serving(&self, pod: &world::Pod) -> Result<()> {
        let answer = self.world.ask_directly(pod)?;
        ensure!(answer.starts_with(pod.name), "{} no longer serves: {answer}", pod.name);
        self.screen.say(&format!("{} itself still serves whoever asks it directly", pod.name));
        Ok(())
    }

    fn leave(&self, agent: Agent) -> Result<()> {
        self.screen.step("Stopping towpath: what it programmed stays");
        agent.stop()?;
        self.screen.say(&format!("tables: {}", self.tables()?));
        let answer = self.world.client.get(&format!("http://{CLUSTER_IP}/"))?;
        self.screen.say(&format!("the Service still answers: \"{}\"", answer.trim()));
        self.clean_up()
    }

    fn clean_up(&self) -> Result<()> {
        self.screen.step("towpath cleanup: what it programmed goes");
        let said = agent::cleanup(&self.program, &self.world.node)?;
        self.screen.quote(&said, RULE_LINES);
        let tables = self.tables()?;
        self.screen.say(&format!("tables: {}", if tables.is_empty() { "none" } else { &tables }));
        ensure!(!tables.contains("towpath"), "cleanup left a table of ours");
        Ok(())
    }

    fn kernel_rules(&self) -> Result<String> {
        self.world.node.output("nft", &["list", "ruleset"])
    }

    fn tables(&self) -> Result<String> {
        let listed = self.world.node.output("nft", &["list", "tables"])?;
        Ok(listed.lines().collect::<Vec<_>>().join(", "))
    }

    /// Takes everything down and looks whether that worked.
    fn strike(self) -> Result<()> {
        drop(self);
        let left = netns::our_names()?;
        ensure!(left.is_empty(), "these namespaces could not be removed: {}", left.join(" "));
        println!("\nDone: nothing of the demo is left on this machine.");
        Ok(())
    }
}

fn pods() -> String {
    PODS.map(|pod| format!("{} {}", pod.name, pod.address)).join(", ")
}
