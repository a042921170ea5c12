//! A cluster as manifests, Corefiles, and files of queries for `dnsperf`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use testkit::scratch::Scratch;

use crate::data;

/// Services of one file.
const PER_FILE: u32 = 1000;
/// Namespaces of [`data`].
const NAMESPACES: u32 = 50;
/// Lines of a file of queries; `dnsperf` begins anew at its end.
const QUERIES: u32 = 20_000;
/// Lines of the file of names that nobody has asked before: more than are sent in one run.
const RANDOM: u32 = 1_000_000;

/// Files of one measurement.
pub(crate) struct World {
    scratch: Scratch,
    services: u32,
}

impl World {
    /// Writes everything.
    pub(crate) fn new(services: u32, endpoints: u32, cached: u32) -> Result<Self> {
        let world = Self { scratch: Scratch::new()?, services };
        fs::create_dir(world.manifests())?;
        fs::create_dir(world.no_manifests())?;
        write_namespaces(&world.no_manifests())?;
        write_namespaces(&world.manifests())?;
        write_cluster(&world.manifests(), services, endpoints)?;
        let random = number(&mut 1);
        let lines = |count: u32, line: &dyn Fn(u32) -> String| (0..count).map(line).collect::<String>();
        fs::write(world.queries("mix"), lines(QUERIES, &|n| mixed(n, services)))?;
        fs::write(world.queries("hit"), lines(QUERIES, &|n| format!("{} A\n", service(n % services))))?;
        fs::write(world.queries("search"), lines(QUERIES, &|n| searched(n, services)))?;
        fs::write(world.queries("cached"), lines(cached, &|n| format!("host-{n}.cached.example. A\n")))?;
        fs::write(
            world.queries("random"),
            lines(RANDOM, &|n| format!("r{n}-{random:x}.random.example. A\n")),
        )?;
        fs::write(world.queries("cold"), lines(RANDOM / 10, &|n| format!("c{n}.cold.example. A\n")))?;
        Ok(world)
    }

    /// The cluster.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.scratch.path().join("cluster")
    }

    /// A cluster with namespaces only.
    pub(crate) fn no_manifests(&self) -> PathBuf {
        self.scratch.path().join("empty")
    }

    /// A file of queries: `mix`, `hit`, `search`, `cached`, `random`, `cold`.
    pub(crate) fn queries(&self, what: &str) -> PathBuf {
        self.scratch.path().join(format!("{what}.txt"))
    }

    /// A name of the cluster.
    pub(crate) fn known(&self) -> String {
        service(self.services - 1)
    }

    /// As kubeadm's Corefile, with these upstreams asked in their order and a cache of an hour.
    pub(crate) fn corefile(&self, upstreams: &[u16]) -> Result<PathBuf> {
        let path = self.scratch.path().join("Corefile");
        let upstreams: Vec<String> = upstreams.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let text = format!(
            ".:53 {{\n    errors\n    kubernetes cluster.local in-addr.arpa ip6.arpa {{\n        pods insecure\n        \
             fallthrough in-addr.arpa ip6.arpa\n        ttl 30\n    }}\n    forward . {} {{\n        policy sequential\n        \
             max_concurrent 1000\n    }}\n    cache 3600\n    loadbalance\n}}\n",
            upstreams.join(" ")
        );
        fs::write(&path, text)?;
        Ok(path)
    }
}

fn service(n: u32) -> String {
    format!("service-{n}.ns-{}.svc.cluster.local.", n % NAMESPACES)
}

/// What a search list makes of a name: it cannot exist.
fn searched(n: u32, services: u32) -> String {
    match n % 3 {
        0 => format!("www-{n}.example.com.ns-{}.svc.cluster.local. A\n", n % NAMESPACES),
        1 => format!("{}svc.cluster.local. A\n", service(n % services)),
        _ => format!("www-{n}.example.com.cluster.local. AAAA\n"),
    }
}

/// Of twenty: nine hits, three NODATA, six of a search list, one SRV, one PTR.
fn mixed(n: u32, services: u32) -> String {
    let one = n.wrapping_mul(7919) % services;
    match n % 20 {
        0..9 => format!("{} A\n", service(one)),
        9..12 => format!("{} AAAA\n", service(one)),
        12..18 => searched(n / 20 * 6 + n % 20, services),
        18 => format!("_http._tcp.{} SRV\n", service(one)),
        _ => {
            let [a, b, c, d] = data::cluster_ip(one).octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa. PTR\n")
        }
    }
}

/// A number that differs from run to run.
fn number(seed: &mut u64) -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    *seed ^ clock.map_or(0, |elapsed| elapsed.as_secs())
}

fn write_namespaces(dir: &Path) -> Result<()> {
    let namespace =
        |n| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": format!("ns-{n}") } });
    // One Service, by which it is seen that an otherwise empty world has been read.
    let items = (0..NAMESPACES).map(namespace).chain([marker()]);
    write_list(&dir.join("namespaces.json"), items)
}

/// The name that every world has.
pub(crate) const MARKER: &str = "marker.ns-0.svc.cluster.local.";

fn marker() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "ns-0", "name": "marker" },
        "spec": { "type": "ClusterIP", "clusterIP": "10.111.0.1", "clusterIPs": ["10.111.0.1"], "ports": [{ "port": 80 }] }
    })
}

fn write_cluster(dir: &Path, services: u32, endpoints: u32) -> Result<()> {
    for (file, first) in (0..services).step_by(PER_FILE as usize).enumerate() {
        let range = first..(first + PER_FILE).min(services);
        let slices = range.clone().map(|n| data::slice_json(n, 0..endpoints));
        write_list(&dir.join(format!("services-{file:03}.json")), range.map(data::service_json))?;
        write_list(&dir.join(format!("slices-{file:03}.json")), slices)?;
    }
    Ok(())
}

fn write_list(path: &Path, items: impl Iterator<Item = Value>) -> Result<()> {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>() });
    Ok(fs::write(path, serde_json::to_vec(&list)?)?)
}
