//! Connections that are held open, through every kind of frontend, in both families.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Socket, Type};
use testkit::cases::{ServiceSpec, SliceSpec};
use testkit::scene::Scene;
use testkit::wait;

use crate::modes::traffic::patience;
use crate::plan::Plan;
use crate::stage::{NODE, NODE6, Stage, ip, socket};

/// The Service.
pub(crate) const LINES: &str = "ns/lines";
/// Endpoints, by their place in each slice.
pub(crate) const SECOND: usize = 1;
pub(crate) const THIRD: usize = 2;
/// A Service with a server of the world.
pub(crate) const SERVED: &str = "10.96.0.30:80";
pub(crate) const SERVER: &str = "10.244.1.1:8080";

const CLIENT: &str = "203.0.113.9";
const CLIENT6: &str = "2001:db8:1::9";
/// Who connects, and to what: ClusterIP from outside, from the node and from an endpoint (itself included); load balancer;
/// NodePort, masqueraded.
pub(crate) const FRONTENDS: [(&str, &str); 10] = [
    (CLIENT, "10.96.0.20:90"),
    (CLIENT6, "[fd00:96::20]:90"),
    (NODE, "10.96.0.20:90"),
    (NODE6, "[fd00:96::20]:90"),
    (ENDS[0], "10.96.0.20:90"),
    (ENDS6[0], "[fd00:96::20]:90"),
    (CLIENT, "198.51.100.20:90"),
    (CLIENT6, "[2001:db8:100::20]:90"),
    (CLIENT, "192.168.0.2:30090"),
    (CLIENT6, "[fd00:192::2]:30090"),
];
const ENDS: [&str; 3] = ["10.244.2.1", "10.244.2.2", "10.244.2.3"];
const ENDS6: [&str; 3] = ["fd00:244:0:2::1", "fd00:244:0:2::2", "fd00:244:0:2::3"];
const PORT: u16 = 9090;
/// Most connections to make until each endpoint has had enough.
const TRIES: usize = 400;

const SCENE: &str = "
services:
- name: ns/served
  type: ClusterIP
  cluster_ips: [10.96.0.30]
  ports: [{name: p, port: 80}]
slices:
- service: ns/served
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.1.1}]
";
const SERVICE: &str = "
name: ns/lines
type: LoadBalancer
cluster_ips: [10.96.0.20, 'fd00:96::20']
lb_ingress: [{ip: 198.51.100.20}, {ip: '2001:db8:100::20'}]
ports: [{name: p, port: 90, node_port: 30090}]
";
const SLICES: &str = "
- service: ns/lines
  ports: [{name: p, port: 9090}]
  endpoints: [{ip: 10.244.2.1}, {ip: 10.244.2.2}, {ip: 10.244.2.3}]
- service: ns/lines
  family: 6
  ports: [{name: p, port: 9090}]
  endpoints: [{ip: 'fd00:244:0:2::1'}, {ip: 'fd00:244:0:2::2'}, {ip: 'fd00:244:0:2::3'}]
";

/// Gives a Service a deadline.
pub(crate) fn annotate(scene: &mut Scene, service: &str, deadline: Duration) {
    if let Ok(service) = scene.service(service) {
        let value = format!("{}s", deadline.as_secs());
        service.annotations.insert("towpath.dev/drain-deadline".to_owned(), value);
    }
}

/// A stage with ns/lines, at whose endpoints no server of the world listens.
pub(crate) fn plan(deadline: Option<Duration>) -> Result<Plan> {
    let service: ServiceSpec = testkit::scene::part(SERVICE)?;
    let slices = slices()?;
    let plan = Plan::new(SCENE)?.outside(&[CLIENT, CLIENT6])?.hosts(&ENDS)?.hosts(&ENDS6)?;
    Ok(plan.with(|scene| {
        scene.services.push(service);
        scene.slices.extend(slices);
        deadline.into_iter().for_each(|deadline| annotate(scene, LINES, deadline));
    }))
}

/// The slices of ns/lines, with all its endpoints.
pub(crate) fn slices() -> Result<Vec<SliceSpec>> {
    testkit::scene::part(SLICES)
}

/// Leaves only these endpoints in ns/lines.
pub(crate) fn keep_ends(scene: &mut Scene, ends: &[usize]) {
    for slice in scene.slices.iter_mut().filter(|slice| slice.service == LINES) {
        let mut place = 0..;
        slice.endpoints.retain(|_| place.next().is_some_and(|place| ends.contains(&place)));
    }
}

/// Leaves only these endpoints in ns/lines, and waits for the kernel to have it.
pub(crate) fn set_ends(stage: &mut Stage, ends: &[usize]) -> Result<()> {
    stage.change(|scene| keep_ends(scene, ends))
}

/// Those who accept connections at the endpoints.
pub(crate) struct Lines(Vec<(usize, TcpListener)>);

/// Both ends of a connection.
pub(crate) struct Line {
    /// The endpoint that it went to, by its place.
    pub(crate) end: usize,
    what: String,
    from: SocketAddr,
    to: SocketAddr,
    client: TcpStream,
    server: TcpStream,
}

impl Lines {
    /// Listens at every endpoint.
    pub(crate) fn listen(stage: &Stage) -> Result<Self> {
        let mut all = Vec::new();
        for (place, at) in ENDS.iter().enumerate().chain(ENDS6.iter().enumerate()) {
            let at = SocketAddr::new(ip(at)?, PORT);
            let listener = stage.world.namespace(at.ip()).run(|| TcpListener::bind(at))?;
            let listener = listener.with_context(|| format!("listening at {at}"))?;
            listener.set_nonblocking(true)?;
            all.push((place, listener));
        }
        Ok(Self(all))
    }

    /// Opens a connection; both ends have it.
    pub(crate) fn open(&self, stage: &Stage, from: &str, to: &str) -> Result<Line> {
        self.connect(stage, SocketAddr::new(ip(from)?, 0), socket(to)?)
    }

    /// Opens a connection between the same address and port and the same frontend.
    pub(crate) fn open_again(&self, stage: &Stage, line: Line) -> Result<Line> {
        let Line { from, to, .. } = line;
        drop(line);
        self.connect(stage, from, to).context("the same port again")
    }

    /// Through every frontend, until each endpoint has so many.
    pub(crate) fn open_everywhere(&self, stage: &Stage, each: usize) -> Result<Vec<Line>> {
        let mut all = Vec::new();
        for (from, to) in FRONTENDS {
            let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
            for _ in 0..TRIES {
                let line = self.open(stage, from, to)?;
                let count = counts.entry(line.end).or_default();
                // More than are wanted would make the rest slow.
                if *count < each {
                    *count += 1;
                    all.push(line);
                }
                if counts.len() == ENDS.len() && counts.values().all(|count| *count >= each) {
                    break;
                }
            }
            ensure!(counts.len() == ENDS.len(), "{from} -> {to}: {counts:?}");
        }
        all.iter_mut().try_for_each(Line::talk)?;
        Ok(all)
    }

    fn connect(&self, stage: &Stage, from: SocketAddr, to: SocketAddr) -> Result<Line> {
        let what = format!("{from} -> {to}");
        let client = stage.world.namespace(from.ip()).run(|| connect(from, to))?;
        let client = client.with_context(|| what.clone())?;
        let from = client.local_addr()?;
        let (end, server) = wait::until("a connection to be accepted", patience(), || self.accepted())?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(patience()))?;
            end.set_nodelay(true)?;
        }
        let what = format!("{what} at {}", ENDS[end]);
        Ok(Line { end, what, from, to, client, server })
    }

    fn accepted(&self) -> Result<Option<(usize, TcpStream)>> {
        for (place, listener) in &self.0 {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Some((*place, stream)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("accepting"),
            }
        }
        Ok(None)
    }
}

impl Line {
    /// A byte there, and another one back.
    pub(crate) fn talk(&mut self) -> Result<()> {
        let Self { client, server, .. } = self;
        let mut pass = |there: bool| {
            let (from, to) = if there { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
            from.write_all(b"x")?;
            to.read_exact(&mut [0])
        };
        pass(true).and_then(|()| pass(false)).with_context(|| self.what.clone())
    }

    /// The client sends something, and hears a reset.
    pub(crate) fn is_reset_when_it_asks(&mut self) -> Result<()> {
        let sent = self.client.write_all(b"x");
        self.is_reset(sent)
    }

    /// The endpoint sends something, and the client hears a reset.
    pub(crate) fn is_reset_when_it_reads(&mut self) -> Result<()> {
        self.server.write_all(b"x").with_context(|| self.what.clone())?;
        match self.client.read_exact(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("{}: what the endpoint sends does not arrive", self.what)
            }
            read => self.is_reset(read),
        }
    }

    /// The endpoint sends something, and hears that the client is gone.
    pub(crate) fn server_hears(&mut self) -> Result<()> {
        match self.server.write_all(b"x").and_then(|()| self.server.read(&mut [0])) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => bail!("{}: the endpoint hears of no reset, but {other:?}", self.what),
        }
    }

    /// Whether it was opened to this frontend.
    pub(crate) fn goes_to(&self, frontend: &str) -> bool {
        self.to.to_string() == frontend
    }

    fn is_reset(&mut self, before: io::Result<()>) -> Result<()> {
        match before.and_then(|()| self.client.read(&mut [0])) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => bail!("{}: no reset, but {other:?}", self.what),
        }
    }
}

fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), patience())?;
    Ok(socket.into())
}
