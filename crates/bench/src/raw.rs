//! The same messages without anything around them: what a load in mode ipvs costs at least.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use ipvs::{Ipvs, Key, Value};
use netlink::ipvs::{Command, RealServer, VirtualServer};
use testkit::netns::NetNs;

use crate::data::Size;
use crate::load::Kind;
use crate::stats;

/// Sends the messages that a load makes to IPVS, and nothing else, to an empty namespace.
pub(crate) fn measure(size: Size, repetitions: u32, kind: Kind<Ipvs>) -> Result<()> {
    let commands = commands(size, kind)?;
    let mut times = Vec::new();
    for _ in 0..repetitions {
        times.push(NetNs::new()?.run(|| -> Result<_> {
            let mut socket = netlink::ipvs::open()?.context("the kernel has no IPVS")?;
            let started = Instant::now();
            let refused = netlink::ipvs::apply(&mut socket, &commands)?;
            ensure!(refused.is_empty(), "{} messages were refused: {}", refused.len(), refused[0]);
            Ok(started.elapsed())
        })??);
    }
    stats::print(&format!("{} bare messages to IPVS", commands.len()), times);
    Ok(())
}

fn commands(size: Size, kind: Kind<Ipvs>) -> Result<Vec<Command>> {
    let mut engine = NetNs::new()?.run(|| kind.engine(size))??;
    engine.settle();
    let (mut servers, mut reals) = (Vec::new(), Vec::new());
    for (key, value) in engine.objects() {
        match (key, value) {
            (Key::Server(server), Value::Server(choice)) => servers.push(choice.server(*server)),
            (Key::Real(server, endpoint), Value::Real(weight)) => {
                let place = SocketAddr::new(endpoint.ip, endpoint.port);
                let key = netlink::ipvs::Key::Address {
                    address: server.ip,
                    protocol: server.protocol.number(),
                    port: server.port,
                };
                reals.push(Command::AddDestination(key, RealServer::masquerade(place, *weight)));
            }
            _ => {}
        }
    }
    let add = |server: VirtualServer| Command::Add(server);
    Ok(servers.into_iter().map(add).chain(reals).collect())
}
