//! Measurements with hand-countable numbers, on the real kernel in a network namespace of their own.
//!
//! `cargo xtask bench` runs them in a release build. Never a test: machines differ, and a figure is only worth
//! something beside another figure of the same run.

mod agent;
mod api;
mod change;
mod connect;
mod data;
mod dns;
mod fresh;
mod hands;
mod load;
mod page;
mod process;
mod raw;
mod stats;
mod tamper;
mod vips;
mod walk;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use iptables::Iptables;
use ipvs::{Ipvs, Settings};
use nftables::Nftables;
use resolve::Mode;
use xtables::{Tools, Variant};

use crate::load::Kind;

/// Measure loading, changes, the agent as a process, and new connections.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Bench {
    /// What to measure; everything if it is left out.
    #[command(subcommand)]
    what: Option<What>,
    /// Services.
    #[arg(long, global = true, default_value_t = 10_000)]
    services: u32,
    /// Endpoints of each Service.
    #[arg(long, global = true, default_value_t = 10)]
    endpoints: u32,
    /// Repetitions of a load.
    #[arg(long, global = true, default_value_t = 5)]
    repetitions: u32,
    /// Changes of one measurement.
    #[arg(long, global = true, default_value_t = 400)]
    changes: u32,
    /// What is programmed, for load and change.
    #[arg(long, global = true, value_enum, default_value_t = Rules::Nftables)]
    rules: Rules,
}

/// What is programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rules {
    Nftables,
    IptablesLegacy,
    IptablesNft,
    /// Needs a kernel that has IPVS: `cargo xtask vm 6.12 --bench -- --rules ipvs load`.
    Ipvs,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// From parsed objects to committed rules.
    Load,
    /// From one change received to its commit.
    Change,
    /// `towpath run`: memory, restart, CPU at 20 changes a second.
    Agent,
    /// `towpath run` on an API server: start, memory, relist, latency.
    Api,
    /// `towpath run` while others change our tables, or commit a lot; only where it is asked for.
    Tamper,
    /// How soon each kind of tamper is repaired, in modes nftables and iptables; only where it is asked for.
    Hands,
    /// The pages of `towpath run`, and the connections of one Service; only where it is asked for.
    Page,
    /// A new connection through a VIP.
    Connect,
    /// VIPs as addresses of a dummy link and as local routes; only where it is asked for.
    Vips,
    /// `towpath dns` with dnsperf, beside an echo; only where it is asked for.
    Dns {
        /// One part of it; everything if it is left out.
        #[arg(value_enum)]
        part: Option<dns::Part>,
        /// Of each single run.
        #[arg(long, default_value_t = 5)]
        seconds: u32,
    },
    /// How soon a changed name is answered by `towpath run`; only where it is asked for.
    Fresh,
    /// The echo that `dns` is compared with.
    #[command(hide = true)]
    DnsEcho {
        /// On 127.0.0.1.
        port: u16,
    },
}

fn main() -> Result<()> {
    let bench = Bench::parse();
    if let Some(What::DnsEcho { port }) = bench.what {
        return dns::serve_echo(port);
    }
    let size = data::Size { services: bench.services, endpoints: bench.endpoints };
    println!("# {size}, {} CPUs, kernel {}, commit {}", stats::cpus(), stats::kernel(), stats::commit());
    let all = [What::Load, What::Change, What::Agent, What::Api, What::Connect];
    let chosen: Vec<What> = bench.what.map_or_else(|| all.to_vec(), |what| vec![what]);
    for what in chosen {
        match what {
            What::Load | What::Change => rules(what, size, &bench)?,
            What::Agent => agent::measure(size, bench.changes)?,
            What::Api => api::measure(size, bench.repetitions, bench.changes)?,
            What::Tamper => tamper::measure(size, bench.repetitions)?,
            What::Hands => hands::measure(size, bench.repetitions)?,
            What::Page => page::measure(size, bench.repetitions)?,
            What::Connect => connect::measure(size)?,
            What::Vips => vips::measure(bench.services, bench.repetitions)?,
            What::Dns { part, seconds } => {
                let plan = dns::Plan { services: bench.services, repetitions: bench.repetitions, seconds };
                dns::measure(plan, part)?;
            }
            What::Fresh => fresh::measure(size, bench.changes)?,
            What::DnsEcho { port } => dns::serve_echo(port)?,
        }
    }
    Ok(())
}

fn rules(what: What, size: data::Size, bench: &Bench) -> Result<()> {
    match bench.rules {
        Rules::Nftables => {
            load_or_change(what, size, bench, Kind { mode: Mode::Nftables, open: || Ok(Nftables::open()?) })
        }
        Rules::IptablesLegacy => {
            let open = || Ok(Iptables::open(Tools::find(Variant::Legacy)?));
            iptables_rules(what, size, bench, Kind { mode: Mode::Iptables, open }, Variant::Legacy)
        }
        Rules::IptablesNft => {
            let open = || Ok(Iptables::open(Tools::find(Variant::Nft)?));
            iptables_rules(what, size, bench, Kind { mode: Mode::Iptables, open }, Variant::Nft)
        }
        Rules::Ipvs => {
            let open = || Ipvs::open(Settings::default())?.context("the kernel has no IPVS");
            let kind = Kind { mode: Mode::Ipvs, open };
            if matches!(what, What::Load) {
                raw::measure(size, bench.repetitions, kind)?;
            }
            load_or_change(what, size, bench, kind)
        }
    }
}

fn iptables_rules(
    what: What,
    size: data::Size,
    bench: &Bench,
    kind: Kind<Iptables>,
    variant: Variant,
) -> Result<()> {
    if matches!(what, What::Load) {
        walk::measure(size, kind, variant)?;
    }
    load_or_change(what, size, bench, kind)
}

fn load_or_change<D: dataplane::Dataplane + 'static>(
    what: What,
    size: data::Size,
    bench: &Bench,
    kind: Kind<D>,
) -> Result<()> {
    match what {
        What::Load => load::measure(size, bench.repetitions, kind),
        _ => change::measure(size, bench.changes, kind),
    }
}
