//! The price of a new connection: none of our rules, ours, and kube-proxy's layout, in turns.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use nftables::Nftables;
use resolve::Mode;
use socket2::SockRef;
use testkit::netns::NetNs;

use crate::data::{self, Size};
use crate::load::Kind;
use crate::stats;

const CONNECTIONS: usize = 4_000;
const ROUNDS: usize = 25;
/// Services of the worlds that are compared: loading kube-proxy's layout is quadratic.
const COMPARED: u32 = 2000;
const SERVER: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 1);
const PORT: u16 = 8080;

/// Connects over the loopback link of four namespaces, in turns, and prints the times of connect().
pub(crate) fn measure(size: Size) -> Result<()> {
    let compared = Size { services: size.services.min(COMPARED), ..size };
    let worlds = [World::new()?, World::new()?, World::new()?, World::new()?];
    worlds[1].load_ours(compared)?;
    worlds[2].namespace.nft(&kube_proxy(compared))?;
    worlds[3].load_ours(size)?;
    let vip = |size: Size| SocketAddrV4::new(data::cluster_ip(size.services - 1), 80);
    let targets = [SocketAddrV4::new(SERVER, PORT), vip(compared), vip(compared), vip(size)];
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((world, target), times) in worlds.iter().zip(targets).zip(&mut times) {
            times.extend(world.connect(target)?);
        }
    }
    let names = [
        "no rules".to_owned(),
        format!("through a VIP, {compared}"),
        format!("through a VIP, kube-proxy's layout, {compared}"),
        format!("through a VIP, {size}"),
    ];
    for (name, times) in names.iter().zip(times) {
        stats::print(&format!("connect, {name}"), times);
    }
    Ok(())
}

struct World {
    namespace: NetNs,
    _server: TcpListener,
}

impl World {
    /// A namespace that answers for every endpoint by itself.
    fn new() -> Result<Self> {
        let namespace = NetNs::new()?;
        namespace.command("ip", &["address", "add", "20.0.0.1/8", "dev", "lo"])?;
        namespace.command("ip", &["route", "replace", "local", "20.0.0.0/8", "dev", "lo"])?;
        namespace.command("ip", &["route", "add", "10.96.0.0/12", "dev", "lo", "src", "20.0.0.1"])?;
        namespace.set_sysctls(&[("ipv4/tcp_tw_reuse", "1"), ("ipv4/ip_local_port_range", "1024 65535")])?;
        let server = namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))??;
        let accepting = server.try_clone()?;
        std::thread::spawn(move || while accepting.accept().is_ok() {});
        Ok(Self { namespace, _server: server })
    }

    /// Loads a cluster.
    fn load_ours(&self, size: Size) -> Result<()> {
        self.namespace.run(|| -> Result<()> {
            let kind = Kind { mode: Mode::Nftables, open: || Ok(Nftables::open()?) };
            kind.engine(size)?.sync()?;
            Ok(())
        })?
    }

    fn connect(&self, to: SocketAddrV4) -> Result<Vec<Duration>> {
        let each = || -> Result<Duration> {
            let started = Instant::now();
            let stream = TcpStream::connect(to)?;
            let took = started.elapsed();
            // A reset in the place of FIN leaves no TIME_WAIT behind.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            Ok(took)
        };
        let all = || (0..CONNECTIONS).map(|_| each()).collect::<Result<Vec<_>>>();
        self.namespace.run(all)?
    }
}

/// The shape of kube-proxy 1.36's nftables mode: a chain, and an anonymous map, for each Service.
fn kube_proxy(size: Size) -> String {
    let mut out = String::from("table ip kube-proxy {\n");
    let _ = writeln!(out, "map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; }}");
    let _ = writeln!(out, "set cluster-ips {{ type ipv4_addr; }}");
    let _ =
        writeln!(out, "map no-endpoint-services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}");
    let mut elements = String::new();
    for n in 0..size.services {
        let slots = (0..size.endpoints).map(|i| format!("{i} : {} . {PORT}", data::endpoint_ip(n, i)));
        let (slots, m) = (slots.collect::<Vec<_>>().join(", "), size.endpoints);
        let _ = writeln!(
            out,
            "chain service-{n} {{ meta l4proto tcp dnat ip addr . port to numgen random mod {m} map {{ {slots} }}; }}"
        );
        let ip = data::cluster_ip(n);
        let _ = writeln!(elements, "add element ip kube-proxy cluster-ips {{ {ip} }}");
        let _ = writeln!(
            elements,
            "add element ip kube-proxy service-ips {{ {ip} . tcp . 80 : goto service-{n} }}"
        );
    }
    out += "chain services {
 ip daddr @cluster-ips ip saddr != 20.0.0.0/8 meta mark set meta mark or 0x4000
 ip daddr . meta l4proto . th dport vmap @service-ips
}
chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
chain cluster-ips-check { ip daddr @cluster-ips reject; ip daddr { 10.96.0.0/12 } drop; }
chain firewall-check { }
chain filter-output-pre-dnat { type filter hook output priority -110; ct state new jump firewall-check; }
chain filter-prerouting-pre-dnat { type filter hook prerouting priority -110; ct state new jump firewall-check; }
chain nat-output { type nat hook output priority -100; jump services; }
chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
chain filter-output { type filter hook output priority 0; ct state new jump service-endpoints-check; ct state new jump cluster-ips-check; }
chain filter-input { type filter hook input priority 0; ct state new jump service-endpoints-check; }
chain nat-postrouting { type nat hook postrouting priority 100; meta mark and 0x4000 != 0 meta mark set meta mark xor 0x4000 masquerade fully-random; }
}
";
    out + &elements
}
