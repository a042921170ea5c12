//! The pages of an agent, on the wire, and the connections of one Service among many.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::agent::{start, write_cluster};
use crate::data::{self, Size};
use crate::process::Agent;
use crate::stats;

/// Between two requests: what a page costs the thread that programs is paid for by ten times as long without pages, and
/// what is measured is the page.
const PAUSE: Duration = Duration::from_millis(500);
/// Connections in conntrack.
const FLOWS: u32 = 50_000;

/// Measures from the request's first byte to the answer's last.
pub(crate) fn measure(size: Size, repetitions: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    write_cluster(scratch.path(), size)?;
    let namespace = NetNs::new()?;
    let agent = start(&namespace, scratch.path())?;
    let one = data::name(size.services / 2);
    let (list, page) = ("/debug/rules", format!("/debug/rules/{}/{}", one.namespace, one.name));
    for (what, path) in [
        ("front", format!("{list}?format=html")),
        ("front as JSON", format!("{list}?format=json")),
        ("search", format!("{list}?format=html&q={}", one.name)),
        ("search without a hit", format!("{list}?format=html&q=no-such-name")),
        ("a Service", format!("{page}?format=html")),
        ("a Service as JSON", format!("{page}?format=json")),
        ("status", "/debug/status".to_owned()),
    ] {
        asked(&namespace, what, &path, repetitions)?;
    }
    println!("page: peak {} MiB", agent.status("VmHWM:")? / 1024);
    connections(&namespace, &agent, size, repetitions)
}

fn asked(namespace: &NetNs, what: &str, path: &str, repetitions: u32) -> Result<()> {
    let (mut times, mut length) = (Vec::new(), 0);
    for _ in 0..repetitions {
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        let (status, body) = get(namespace, path)?;
        times.push(started.elapsed());
        ensure!(status == 200, "{path}: status {status}: {body}");
        length = body.len();
    }
    stats::print(&format!("page: {what}, {} KiB", length.div_ceil(1024)), times);
    Ok(())
}

fn get(namespace: &NetNs, path: &str) -> Result<(u16, String)> {
    let address = "127.0.0.1:10249".parse()?;
    let stream =
        namespace.run(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)))??;
    crate::process::get(stream, path)
}

/// 50,000 connections through the Services in conntrack, and those of one of them asked for.
fn connections(namespace: &NetNs, agent: &Agent<'_>, size: Size, repetitions: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.path().join("flows");
    fs::write(&file, entries(size)?)?;
    namespace.command("conntrack", &["--load-file", &file.to_string_lossy()])?;
    let before = agent.cpu()?;
    let name = data::name(size.services / 2);
    let path = format!("/debug/flows?service={}/{}", name.namespace, name.name);
    let mut times = Vec::new();
    for _ in 0..repetitions {
        let started = Instant::now();
        let (status, body) = get(namespace, &path)?;
        times.push(started.elapsed());
        ensure!(status == 200 && body.contains("ESTABLISHED"), "{path}: status {status}: {body}");
        // A list pays with twenty times its time.
        std::thread::sleep(started.elapsed() * 20 + PAUSE);
    }
    let cpu = (agent.cpu()? - before) * 1000.0 / f64::from(repetitions);
    stats::print(&format!("page: connections of one Service among {FLOWS}"), times);
    println!("page: connections: {cpu:.0} ms of CPU each, peak {} MiB", agent.status("VmHWM:")? / 1024);
    Ok(())
}

/// What `conntrack --load-file` reads: as many connections for each Service, translated to its first endpoint.
fn entries(size: Size) -> Result<String> {
    let mut text = String::new();
    for flow in 0..FLOWS {
        let service = flow % size.services;
        let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(20, 200, 0, 1)) + flow / 60_000);
        let port = 1024 + flow % 60_000;
        writeln!(
            text,
            "-I -p tcp -s {client} -d {vip} --sport {port} --dport 80 --dst-nat {endpoint}:8080 -t 3600 \
             --state ESTABLISHED -u SEEN_REPLY,ASSURED",
            vip = data::cluster_ip(service),
            endpoint = data::endpoint_ip(service, 0),
        )
        .context("writing to a string")?;
    }
    Ok(text)
}
