//! Connections that are held open: what counts for the schedulers lc, wlc, sed and nq, and what draining waits for.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use testkit::cases::{EndpointSpec, ServiceSpec, SliceSpec};
use testkit::wait;

use crate::modes::traffic::{connect, patience};
use crate::plan::Plan;
use crate::stage::{Stage, ip, socket};

/// The ClusterIP of ns/held.
pub(crate) const HELD: &str = "10.96.0.20:90";
/// Its address at a load balancer, outside every ServiceCIDR.
pub(crate) const HELD_BALANCER: &str = "198.51.100.20:90";
/// Its endpoints.
pub(crate) const HOLDERS: [&str; 3] = ["10.244.2.1:9090", "10.244.2.2:9090", "10.244.2.3:9090"];

const SERVICE: &str = "
name: ns/held
type: LoadBalancer
cluster_ips: [10.96.0.20]
lb_ingress: [{ip: 198.51.100.20}]
ports: [{name: p, port: 90, node_port: 30090}]
";
const SLICE: &str = "
service: ns/held
ports: [{name: p, port: 9090}]
endpoints: [{ip: 10.244.2.1}, {ip: 10.244.2.2}, {ip: 10.244.2.3}]
";

/// Adds ns/held, at whose endpoints no server of the world listens.
pub(crate) fn plan(plan: Plan) -> Result<Plan> {
    let service: ServiceSpec = testkit::scene::part(SERVICE)?;
    let slice: SliceSpec = testkit::scene::part(SLICE)?;
    let hosts: Vec<String> = slice.endpoints.iter().map(|endpoint| endpoint.ip.to_string()).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    Ok(plan.hosts(&hosts)?.with(|scene| {
        scene.services.push(service);
        scene.slices.push(slice);
    }))
}

/// Puts exactly these endpoints into ns/held.
pub(crate) fn set_holders(stage: &mut Stage, holders: &[&str]) -> Result<()> {
    let wanted: Vec<IpAddr> = holders.iter().map(|h| Ok(socket(h)?.ip())).collect::<Result<_>>()?;
    let whole: SliceSpec = testkit::scene::part(SLICE)?;
    let endpoints: Vec<EndpointSpec> =
        whole.endpoints.into_iter().filter(|endpoint| wanted.contains(&endpoint.ip)).collect();
    stage.change(|scene| {
        let slices = scene.slices.iter_mut().filter(|slice| slice.service == "ns/held");
        slices.for_each(|slice| slice.endpoints = endpoints.clone());
    })
}

/// Those who accept connections at the endpoints of ns/held.
pub(crate) struct Holders(Vec<(SocketAddr, TcpListener)>);

/// Both ends of a connection.
pub(crate) struct Held {
    /// Where it went.
    pub(crate) endpoint: SocketAddr,
    client: TcpStream,
    server: TcpStream,
}

impl Holders {
    /// Listens at every endpoint.
    pub(crate) fn listen(stage: &Stage) -> Result<Self> {
        let listen = |holder: &&str| {
            let at = socket(holder)?;
            let listener = stage.world.namespace(at.ip()).run(|| TcpListener::bind(at))?;
            let listener = listener.with_context(|| format!("listening at {at}"))?;
            listener.set_nonblocking(true)?;
            Ok((at, listener))
        };
        HOLDERS.iter().map(listen).collect::<Result<_>>().map(Self)
    }

    /// Opens a connection; both ends have it.
    pub(crate) fn open(&self, stage: &Stage, from: &str, to: &str) -> Result<Held> {
        let (source, destination) = (ip(from)?, socket(to)?);
        let what = || format!("{from} -> {to}");
        let client =
            stage.world.namespace(source).run(|| connect(source, destination))?.with_context(what)?;
        let (endpoint, server) = wait::until("a connection to be accepted", patience(), || self.accepted())?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(patience()))?;
            end.set_nodelay(true)?;
        }
        let mut held = Held { endpoint, client, server };
        held.talk().with_context(what)?;
        Ok(held)
    }

    /// Opens so many, one after another.
    pub(crate) fn open_many(&self, stage: &Stage, from: &str, to: &str, count: usize) -> Result<Vec<Held>> {
        (0..count).map(|_| self.open(stage, from, to)).collect()
    }

    fn accepted(&self) -> Result<Option<(SocketAddr, TcpStream)>> {
        for (at, listener) in &self.0 {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Some((*at, stream)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("accepting"),
            }
        }
        Ok(None)
    }
}

impl Held {
    /// A byte there, and another one back.
    pub(crate) fn talk(&mut self) -> Result<()> {
        let Self { endpoint, client, server } = self;
        let mut pass = |byte: u8, back: bool| {
            let (from, to) = if back { (&mut *server, &mut *client) } else { (&mut *client, &mut *server) };
            let mut got = [0];
            from.write_all(&[byte])?;
            to.read_exact(&mut got)?;
            Ok::<_, std::io::Error>(got == [byte])
        };
        let both = pass(b'q', false).and_then(|there| Ok(there && pass(b'a', true)?));
        let both = both.with_context(|| format!("a connection to {endpoint} that was open"))?;
        ensure!(both, "another byte came from {endpoint}");
        Ok(())
    }

    /// Ends it with a reset: IPVS forgets such a connection after 10 seconds, one that was closed after two minutes.
    pub(crate) fn reset(self) -> Result<()> {
        SockRef::from(&self.client).set_linger(Some(std::time::Duration::ZERO)).context("setting linger")
    }
}

/// How many connections each endpoint has.
pub(crate) fn counts(held: &[Held]) -> BTreeMap<SocketAddr, usize> {
    let mut counts = BTreeMap::new();
    held.iter().for_each(|held| *counts.entry(held.endpoint).or_default() += 1);
    counts
}
