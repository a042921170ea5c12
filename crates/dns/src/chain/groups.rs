//! `forward` and the `cache` in front of it in the words of `dns-forward`.

use std::time::Duration;

use dns_config::{Block, Cache, Env, Forward, Policy as Order, ResolvConf, ServeStale, To, Transport};
use dns_forward::{CacheSettings, Group, MAX_CONCURRENT, Policy, Prefetch, Stale, StaleMode, Tls, Upstream};
use dns_wire::Name;

/// The group of a `forward`, and what is to be said about its files. `number`: its place in the block, as a
/// zone may have several.
pub(crate) fn group(block: &Block, number: usize, env: &dyn Env, notes: &mut Vec<String>) -> Option<Group> {
    let forward = block.forward.get(number)?;
    let zone = forward.from.first().cloned().unwrap_or_else(Name::root);
    let block_zone = block.zones.first().map(ToString::to_string).unwrap_or_default();
    let name = match (number, block_zone == zone.to_string()) {
        (0, true) => block_zone,
        _ => format!("{block_zone}/{zone}#{number}"),
    };
    let mut group = Group::new(name, zone.clone(), upstreams(forward, env, notes));
    group.policy = match forward.policy {
        Order::Random => Policy::Random,
        Order::RoundRobin => Policy::RoundRobin,
        Order::Sequential => Policy::Sequential,
    };
    group.force_tcp = forward.force_tcp;
    group.prefer_udp = forward.prefer_udp;
    group.max_fails = forward.max_fails;
    group.expire = forward.expire;
    group.health_interval = forward.health_check.interval;
    group.max_concurrent = forward.max_concurrent.map_or(MAX_CONCURRENT, |most| most as usize);
    group.fail_fast = forward.failfast;
    if !forward.failover.is_empty() {
        group.failover = forward.failover.clone();
    }
    group.cache = block.cache.as_ref().filter(|cache| overlap(&cache.zones, &forward.from)).map(cache);
    Some(group)
}

fn overlap(zones: &[Name], others: &[Name]) -> bool {
    let mut pairs =
        zones.iter().flat_map(|zone| others.iter().map(move |other| (zone.as_ref(), other.as_ref())));
    pairs.any(|(zone, other)| zone.ends_with(other) || other.ends_with(zone))
}

fn upstreams(forward: &Forward, env: &dyn Env, notes: &mut Vec<String>) -> Vec<Upstream> {
    let mut all = Vec::new();
    for to in &forward.to {
        match to {
            To::Server(server) => all.push(upstream(forward, server)),
            To::File(path) => match env.file(path) {
                Ok(text) => all.extend(of_file(&text)),
                Err(error) => notes.push(format!("{}: cannot read {}: {error}", forward.at, path.display())),
            },
        }
    }
    all
}

fn of_file(text: &str) -> impl Iterator<Item = Upstream> {
    ResolvConf::read(text).nameservers.into_iter().map(|address| Upstream::plain((address, 53).into()))
}

fn upstream(forward: &Forward, server: &dns_config::Upstream) -> Upstream {
    let tls = match &server.transport {
        Transport::Plain => None,
        Transport::Tls { server_name } => Some(Tls {
            server_name: server_name.clone().or_else(|| forward.tls_servername.clone()),
            authorities: forward.tls.ca.clone(),
            identity: forward.tls.client.clone(),
        }),
    };
    Upstream { address: server.address, tls }
}

/// Entries that each table of CoreDNS has at the least.
const LEAST_CAPACITY: u32 = 1_024;

/// The cache of a `cache`. What it does not say is as [`CacheSettings::default`] has it, not off as in CoreDNS.
fn cache(settings: &Cache) -> CacheSettings {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let (success, denial) = (settings.success, settings.denial);
    let entries = success.capacity.max(denial.capacity).max(LEAST_CAPACITY) as usize;
    CacheSettings {
        max_bytes: CacheSettings::bytes_for(entries),
        zones: settings.zones.clone(),
        success: (seconds(success.min_ttl), seconds(success.max_ttl)),
        denial: (seconds(denial.min_ttl), seconds(denial.max_ttl)),
        failure: settings.servfail,
        no_success: settings.disable_success.clone(),
        no_denial: settings.disable_denial.clone(),
        keep_ttl: settings.keepttl,
        stale: settings.serve_stale.map(stale).or(Stale::default()),
        prefetch: settings.prefetch.map(prefetch).or(Prefetch::default()),
    }
}

fn stale(settings: ServeStale) -> Stale {
    let wait = settings.verify_timeout.unwrap_or(dns_forward::CLIENT_WAIT);
    let mode = if settings.verify { StaleMode::Verify(wait) } else { StaleMode::Immediate };
    Stale { max_age: settings.up_to, mode }
}

fn prefetch(settings: dns_config::Prefetch) -> Prefetch {
    let hits = u16::try_from(settings.amount).unwrap_or(u16::MAX);
    Prefetch { hits, gap: settings.duration, percent: settings.percentage }
}

#[cfg(test)]
mod tests;
