//! Connections and flows that were there before, exchange a byte now and then, and must not notice anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use model::Protocol::Tcp;
use serde_json::json;
use testkit::cases::{ServiceSpec, SliceSpec};
use testkit::probe::UdpFlow;

use super::{CLIENT, CLIENT6, POD6, traffic};
use crate::lifecycle::POD;
use crate::packets::{ANSWER, answer};
use crate::plan::Plan;
use crate::stage::{Stage, ip, socket};
use crate::vs::is_virtual_machine;

/// Between two exchanges.
const PAUSE: Duration = Duration::from_millis(20);
/// Endpoints of the Service ns/long; no other server is there.
const ENDPOINTS: [&str; 2] = ["10.244.1.3", "fd00:244:0:1::3"];
const PORT: u16 = 9090;

/// Clients and frontends of ns/long; the number of the endpoint.
const CONNECTIONS: [(&str, &str, usize); 6] = [
    (POD, "10.96.0.50:90", 0),
    (CLIENT, "192.168.0.2:30050", 0),
    (CLIENT, "198.51.100.50:90", 0),
    (POD6, "[fd00:96::50]:90", 1),
    (CLIENT6, "[fd00:192::2]:30050", 1),
    (CLIENT6, "[2001:db8:100::50]:90", 1),
];

/// Clients and frontends of ns/web with UDP.
const FLOWS: [(&str, &str); 4] = [
    (POD, "10.96.0.10:53"),
    (CLIENT, "198.51.100.10:53"),
    (POD6, "[fd00:96::10]:53"),
    (CLIENT6, "[fd00:192::2]:30011"),
];

/// Both ends of connections, and UDP flows with their endpoints.
pub(crate) struct LongLived {
    connections: Vec<Connection>,
    flows: Vec<(UdpFlow, SocketAddr)>,
}

struct Connection {
    name: String,
    client: TcpStream,
    server: TcpStream,
}

impl LongLived {
    /// Adds the Service that they need, whose servers are here.
    pub(crate) fn plan(plan: Plan) -> Result<Plan> {
        let service: ServiceSpec = serde_json::from_value(json!({
            "name": "ns/long",
            "type": "LoadBalancer",
            "cluster_ips": ["10.96.0.50", "fd00:96::50"],
            "lb_ingress": [{ "ip": "198.51.100.50" }, { "ip": "2001:db8:100::50" }],
            "ports": [{ "name": "p", "port": 90, "node_port": 30050 }],
        }))?;
        let slice = |endpoint: &str, family: u8| {
            let endpoints = json!([{ "ip": endpoint, "node": "other" }]);
            let port = json!([{ "name": "p", "port": PORT }]);
            let spec =
                json!({ "service": "ns/long", "family": family, "ports": port, "endpoints": endpoints });
            serde_json::from_value::<SliceSpec>(spec)
        };
        let slices = [slice(ENDPOINTS[0], 4)?, slice(ENDPOINTS[1], 6)?];
        Ok(plan.hosts(&ENDPOINTS)?.with(|scene| {
            scene.services.push(service);
            scene.slices.extend(slices);
        }))
    }

    /// Opens all of them.
    pub(crate) fn open(stage: &Stage) -> Result<Self> {
        let listeners =
            ENDPOINTS.iter().map(|endpoint| listen(stage, endpoint)).collect::<Result<Vec<_>>>()?;
        let connections = CONNECTIONS.iter().map(|(from, to, i)| connect(stage, from, to, &listeners[*i]));
        let flows = FLOWS.iter().map(|(from, to)| {
            let flow = UdpFlow::open(stage.world.namespace(ip(from)?), ip(from)?, socket(to)?)?;
            let endpoint = answer(&flow.ask(ANSWER)?).with_context(|| format!("{from} -> {to}"))?.endpoint;
            Ok((flow, endpoint))
        });
        Ok(Self { connections: connections.collect::<Result<_>>()?, flows: flows.collect::<Result<_>>()? })
    }

    /// Does something while all of them talk.
    pub(crate) fn during(mut self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let talking = thread::spawn(move || {
            let mut rounds = 0;
            while !told.load(Ordering::Relaxed) || rounds == 0 {
                self.exchange().with_context(|| format!("a long-lived one, in round {rounds}"))?;
                rounds += 1;
                thread::sleep(if is_virtual_machine() { PAUSE * 10 } else { PAUSE });
            }
            Ok::<_, anyhow::Error>(())
        });
        let acted = act();
        stop.store(true, Ordering::Relaxed);
        let talked = talking.join().map_err(|_| anyhow!("the long-lived clients panicked"))?;
        match (acted, talked) {
            (Ok(()), talked) => talked,
            (acted, Ok(())) => acted,
            (Err(acted), Err(talked)) => Err(acted.context(format!("{talked:#}"))),
        }
    }

    fn exchange(&mut self) -> Result<()> {
        self.connections.iter_mut().try_for_each(Connection::exchange)?;
        self.flows.iter().try_for_each(|(flow, endpoint)| {
            let what = || format!("UDP {} -> {}", flow.source, flow.destination);
            let now = answer(&flow.ask(traffic::patience())?).with_context(what)?.endpoint;
            ensure!(now == *endpoint, "{} was at {endpoint}, is at {now}", what());
            Ok(())
        })
    }
}

impl Connection {
    /// A byte there, and another one back.
    fn exchange(&mut self) -> Result<()> {
        let Self { name, client, server } = self;
        let mut pass = |byte: u8, back: bool| {
            let (from, to) = if back { (&mut *server, &mut *client) } else { (&mut *client, &mut *server) };
            let mut got = [0];
            from.write_all(&[byte])?;
            to.read_exact(&mut got)?;
            Ok::<_, std::io::Error>(got == [byte])
        };
        let both = pass(b'q', false).and_then(|there| Ok(there && pass(b'a', true)?));
        ensure!(both.with_context(|| name.clone())?, "{name}: another byte came");
        Ok(())
    }
}

fn listen(stage: &Stage, endpoint: &str) -> Result<TcpListener> {
    let at = SocketAddr::new(ip(endpoint)?, PORT);
    stage
        .world
        .namespace(at.ip())
        .run(|| TcpListener::bind(at))?
        .with_context(|| format!("listening at {at}"))
}

/// The other end is in the listener's queue once the client is connected.
fn connect(stage: &Stage, from: &str, to: &str, listener: &TcpListener) -> Result<Connection> {
    let (source, destination) = (ip(from)?, socket(to)?);
    let name = format!("{Tcp} {from} -> {to}");
    let client = stage.world.namespace(source).run(|| traffic::connect(source, destination))?;
    let client = client.with_context(|| name.clone())?;
    let (server, _) = listener.accept()?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(traffic::patience()))?;
        end.set_nodelay(true)?;
    }
    Ok(Connection { name, client, server })
}
