//! How soon a name is answered with what has changed: from a write to the API server to the first answer that has it.
//!
//! ```text
//! this process: API server, write --TLS watch--> towpath run: sources -> sync thread -> names
//!               query ... query ... query  <--UDP-- the answer has the new address
//! ```
//!
//! So the figure holds the server's and the client's work too: what the program itself takes is less.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use apiserver::{Options, Server};
use serde_json::{Value, json};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::data::{self, Size};
use crate::process::Agent;
use crate::stats;

const TOKEN: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the program is asked.
const HERE: &str = "169.254.20.10";
/// The headless Service that changes, and one with rules.
const HEADLESS: &str = "ns-0/headless";
const WITH_RULES: &str = "ns-0/with-rules";
/// Between two changes, so that none waits for the one before.
const APART: Duration = Duration::from_millis(10);

/// Measures both kinds of change beside a cluster of this size.
pub(crate) fn measure(size: Size, changes: u32) -> Result<()> {
    let bench = Bench::new(size)?;
    let agent = bench.start()?;
    let client = bench.namespace.run(Client::new)??;
    bench.await_name(&client)?;
    let headless = (0..changes).map(|n| bench.endpoint(&client, n)).collect::<Result<Vec<_>>>()?;
    stats::print("fresh: from an API write to an answer with a new headless endpoint", headless);
    let services = (0..changes).map(|n| bench.service(&client, n)).collect::<Result<Vec<_>>>()?;
    stats::print(
        "fresh: from an API write to an answer with a new Service, rules committed before",
        services,
    );
    println!("fresh: resident at the end {} MiB", agent.status("VmRSS:")? / 1024);
    Ok(())
}

struct Bench {
    namespace: NetNs,
    scratch: Scratch,
    server: Server,
}

impl Bench {
    fn new(size: Size) -> Result<Self> {
        let (namespace, scratch) = (NetNs::new()?, Scratch::new()?);
        let options = Options { history: 100_000, ..Options::secure(TOKEN) };
        let server = namespace.run(|| Server::start(options))??;
        let slices = (0..size.services).map(|n| data::slice_json(n, 0..size.endpoints));
        let objects = (0..size.services).map(data::service_json).chain(slices);
        let own = [service(HEADLESS, "None"), slice(HEADLESS, &[Ipv4Addr::new(10, 9, 0, 1)])];
        server.store().apply_all(objects.chain(own)).map_err(|e| anyhow!("{e:?}"))?;
        server.kubeconfig().write(scratch.path().join("kubeconfig"))?;
        Ok(Self { namespace, scratch, server })
    }

    fn start(&self) -> Result<Agent<'_>> {
        let kubeconfig = self.scratch.path().join("kubeconfig");
        let kubeconfig = kubeconfig.to_str().context("the scratch directory's name")?;
        let args = [
            "--kubeconfig",
            kubeconfig,
            "--cluster-cidr",
            "20.0.0.0/8",
            "--snapshot=false",
            "--dns-listen",
            HERE,
        ];
        let agent = Agent::spawn(&self.namespace, &args)?;
        agent.await_sync()?;
        Ok(agent)
    }

    fn await_name(&self, client: &Client) -> Result<()> {
        let begun = Instant::now();
        while !client.has(HEADLESS, Ipv4Addr::new(10, 9, 0, 1))? {
            ensure!(begun.elapsed() < PATIENCE, "the program does not answer at {HERE}");
        }
        Ok(())
    }

    /// One more endpoint, in the place of the one before.
    fn endpoint(&self, client: &Client, n: u32) -> Result<Duration> {
        let address = Ipv4Addr::from(0x0a09_0100 + n);
        self.until_answered(slice(HEADLESS, &[address]), client, HEADLESS, address)
    }

    /// The Service is made, with rules; and goes.
    fn service(&self, client: &Client, n: u32) -> Result<Duration> {
        let name = format!("{WITH_RULES}-{n}");
        let address = Ipv4Addr::from(0x0a70_0000 + n);
        self.until_answered(service(&name, &address.to_string()), client, &name, address)
    }

    fn until_answered(
        &self,
        object: Value,
        client: &Client,
        name: &str,
        address: Ipv4Addr,
    ) -> Result<Duration> {
        std::thread::sleep(APART);
        let begun = Instant::now();
        self.server.store().apply(object).map_err(|e| anyhow!("{e:?}"))?;
        while !client.has(name, address)? {
            ensure!(begun.elapsed() < PATIENCE, "{name} is not answered with {address}");
        }
        Ok(begun.elapsed())
    }
}

/// Asks one question after the other.
struct Client(UdpSocket);

impl Client {
    fn new() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((HERE.parse::<IpAddr>()?, 53))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self(socket))
    }

    /// Whether the answer has this address.
    fn has(&self, name: &str, address: Ipv4Addr) -> Result<bool> {
        self.0.send(&question(name))?;
        let mut reply = [0; 1500];
        let Ok(length) = self.0.recv(&mut reply) else { return Ok(false) };
        Ok(reply[..length].ends_with(&address.octets()))
    }
}

/// A query for the address of a Service.
fn question(name: &str) -> Vec<u8> {
    let (namespace, name) = name.split_once('/').unwrap_or_default();
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [name, namespace, "svc", "cluster", "local"] {
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

fn service(name: &str, ip: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap_or_default();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
        },
    })
}

fn slice(name: &str, addresses: &[Ipv4Addr]) -> Value {
    let (namespace, service) = name.split_once('/').unwrap_or_default();
    let endpoints =
        addresses.iter().map(|ip| json!({ "addresses": [ip.to_string()], "conditions": { "ready": true } }));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "namespace": namespace, "name": format!("{service}-abcde"),
            "labels": { "kubernetes.io/service-name": service, "service.kubernetes.io/headless": "" },
        },
        "endpoints": endpoints.collect::<Vec<_>>(),
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
    })
}
