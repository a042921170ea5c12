//! `towpath run` on an API server: from its start to traffic, memory, a relist, from an API write to the kernel's commit.
//!
//! The server is the one of our tests, in this process, with managed fields as bulky as real ones, over TLS.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apiserver::{Options, Server};
use netlink::Socket;
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::data::{self, Size};
use crate::process::Agent;
use crate::stats;

const TOKEN: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the process must be quiet before its CPU time counts as that of what was before.
const QUIET: Duration = Duration::from_secs(3);

/// Measures all of it, each start in a namespace of its own.
pub(crate) fn measure(size: Size, repetitions: u32, changes: u32) -> Result<()> {
    let (mut traffic, mut peaks) = (Vec::new(), Vec::new());
    for i in 0..repetitions {
        let bench = Bench::new(size)?;
        let (agent, took) = bench.start()?;
        traffic.push(took);
        peaks.push(agent.status("VmHWM:")? / 1024);
        if i + 1 == repetitions {
            bench.relist(&agent)?;
            bench.writes(&agent, changes)?;
            println!(
                "api: resident at the end {} MiB, peak {} MiB",
                agent.status("VmRSS:")? / 1024,
                agent.status("VmHWM:")? / 1024
            );
        }
    }
    stats::print("api: from the start of the process to traffic through the last Service", traffic);
    println!("api: peak resident memory after the first sync, each run: {peaks:?} MiB");
    Ok(())
}

struct Bench {
    size: Size,
    namespace: NetNs,
    scratch: Scratch,
    server: Server,
}

impl Bench {
    fn new(size: Size) -> Result<Self> {
        let (namespace, scratch) = (NetNs::new()?, Scratch::new()?);
        let options = Options { bulky_managed_fields: true, history: 100_000, ..Options::secure(TOKEN) };
        let server = namespace.run(|| Server::start(options))??;
        let slices = (0..size.services).map(|n| data::slice_json(n, 0..size.endpoints));
        let objects = (0..size.services).map(data::service_json).chain(slices);
        server.store().apply_all(objects).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        server.kubeconfig().write(scratch.path().join("kubeconfig"))?;
        Ok(Self { size, namespace, scratch, server })
    }

    /// Starts the program; the time until a connection to the last Service is answered.
    fn start(&self) -> Result<(Agent<'_>, Duration)> {
        let last = self.size.services - 1;
        for i in 0..self.size.endpoints {
            let address = format!("{}/32", data::endpoint_ip(last, i));
            self.namespace.command("ip", &["address", "add", &address, "dev", "lo"])?;
        }
        let vip = SocketAddr::from((data::cluster_ip(last), 80));
        // Without a route, a packet to the VIP never comes to where it is translated.
        self.namespace.command("ip", &["route", "add", "default", "dev", "lo"])?;
        let listener = self.namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)))??;
        let kubeconfig = self.scratch.path().join("kubeconfig");
        let kubeconfig = kubeconfig.to_str().context("the scratch directory's name")?;
        let started = Instant::now();
        let args = ["--kubeconfig", kubeconfig, "--cluster-cidr", "20.0.0.0/8", "--snapshot=false"];
        let agent = Agent::spawn(&self.namespace, &args)?;
        let took = self.namespace.run(|| await_answer(vip, started))??;
        drop(listener);
        agent.await_sync()?;
        Ok((agent, took))
    }

    /// The server forgets its history and ends all watches: the program has to list everything again.
    fn relist(&self, agent: &Agent<'_>) -> Result<()> {
        std::thread::sleep(QUIET);
        let (cpu, writes) = (agent.cpu()?, agent.metric("towpath_kernel_writes_total")?);
        let (before, relists) = (self.generation()?, agent.sum("towpath_api_relists_total")?);
        // A new version of something, so that the old ones are too old.
        self.server.store().apply(data::service_json(0)).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        self.server.faults().compact();
        self.server.faults().end_watches(None);
        let begun = Instant::now();
        while agent.sum("towpath_api_relists_total")? < relists + 2.0 {
            ensure!(begun.elapsed() < PATIENCE, "nothing was listed again");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(QUIET);
        println!(
            "api: relist: {:.0} ms of CPU, {} objects written, ruleset generation {before} -> {}, {} lists",
            (agent.cpu()? - cpu) * 1000.0,
            agent.metric("towpath_kernel_writes_total")? - writes,
            self.generation()?,
            agent.sum("towpath_api_relists_total")? - relists,
        );
        Ok(())
    }

    /// From a write to the API server until the ruleset's generation moves.
    fn writes(&self, agent: &Agent<'_>, changes: u32) -> Result<()> {
        let times = self.namespace.run(|| -> Result<Vec<Duration>> {
            let mut socket = Socket::open(netlink::nft::NETLINK_NETFILTER)?;
            (0..changes).map(|i| self.one_write(&mut socket, i)).collect()
        });
        stats::print("api: from an API write to the committed rule (one endpoint)", times??);
        let mean =
            agent.metric("kubeproxy_sync_partial_proxy_rules_duration_seconds_sum{ip_family=\"IPv4\"}")?;
        let count =
            agent.metric("kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}")?;
        println!("api: of that in the agent's own sync: mean {:.2} ms", mean / count.max(1.0) * 1000.0);
        Ok(())
    }

    fn one_write(&self, socket: &mut Socket, i: u32) -> Result<Duration> {
        let n = i.wrapping_mul(7919) % self.size.services;
        let endpoints = self.size.endpoints + 1 - i / self.size.services % 2;
        let slice = data::slice_json(n, 0..endpoints);
        let before = netlink::nft::generation(socket)?;
        let started = Instant::now();
        self.server.store().apply(slice).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        while netlink::nft::generation(socket)? == before {
            ensure!(started.elapsed() < PATIENCE, "the change of Service {n} was not programmed");
        }
        let took = started.elapsed();
        // Apart from each other, as changes are: not what a queue of them would take.
        std::thread::sleep(Duration::from_millis(5));
        Ok(took)
    }

    fn generation(&self) -> Result<u32> {
        crate::process::generation(&self.namespace)
    }
}

fn await_answer(vip: SocketAddr, started: Instant) -> Result<Duration> {
    while started.elapsed() < PATIENCE {
        if TcpStream::connect_timeout(&vip, Duration::from_millis(20)).is_ok() {
            return Ok(started.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("no traffic to {vip} after {PATIENCE:?}")
}
