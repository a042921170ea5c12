//! Virtual servers, real servers and routes of mode ipvs.

use std::collections::{BTreeMap, BTreeSet};

use dataplane::{Dataplane, Engine};
use ipnet::IpNet;
use ipvs::{Ipvs, Key, Server, Value};
use model::{Balance, Change, IpFamily, Service, TrafficPolicy};
use nftables::{ElementKey, SetId};
use proptest::prelude::*;
use resolve::{ProxyConfig, resolve};

use super::{Program, Verdict, at_once, desired, lone_service, one_by_one, shape, sync};

/// What our table says to be ours.
fn recorded(key: &Key) -> Option<Server> {
    match key {
        Key::Rule(nftables::Key::Element(_, SetId::VirtualServers, ElementKey::Vip(server))) => Some(*server),
        _ => None,
    }
}

fn server(key: &Key) -> Option<Server> {
    if let Key::Server(server) = key { Some(*server) } else { None }
}

fn routes<D: Dataplane<Key = Key>>(engine: &Engine<D>) -> Vec<IpNet> {
    let route = |key: &Key| if let Key::Route(net) = key { Some(*net) } else { None };
    engine.objects().filter_map(|(key, _)| route(key)).collect()
}

/// Each virtual server has a record, each record a virtual server, and each of them real servers.
pub fn whole(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let program = one_by_one::<Ipvs>(config, changes)?;
    let all = |of: &dyn Fn(&Key) -> Option<Server>| -> BTreeSet<Server> {
        program.objects().filter_map(|(key, _)| of(key)).collect()
    };
    let servers = all(&server);
    prop_assert_eq!(&servers, &all(&recorded));
    prop_assert_eq!(&servers, &all(&|key| if let Key::Real(server, _) = key { Some(*server) } else { None }));
    Ok(())
}

/// Every address of a frontend comes to this node, idle or not, and no address of the node or of an endpoint does so by a
/// route of ours.
pub fn routed(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let program = one_by_one::<Ipvs>(config, changes)?;
    let (store, routes) = (program.store(), routes(&program));
    let routed = |ip: std::net::IpAddr| routes.iter().any(|net| net.contains(&ip));
    for (name, _) in store.entries() {
        for vip in resolve(store, config, name).routes.iter().flat_map(|route| &route.vips) {
            prop_assert!(
                store.facts().owns(vip.ip) || routed(vip.ip),
                "{} is not routed: {:?}",
                vip.ip,
                routes
            );
        }
    }
    let slices = store.entries().flat_map(|(_, entry)| entry.slices.values());
    let endpoints = slices.flat_map(|slice| &slice.endpoints).map(|endpoint| endpoint.ip);
    for ip in endpoints.chain(store.facts().addresses()) {
        prop_assert!(!routed(ip), "{} is routed: {:?}", ip, routes);
    }
    Ok(())
}

/// What differs between two states: for each object, whether it was and is there.
fn changed(before: &BTreeMap<Key, Value>, after: &BTreeMap<Key, Value>) -> BTreeMap<Key, (bool, bool)> {
    let keys: BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(key) != after.get(key));
    differs.map(|key| (key.clone(), (before.contains_key(key), after.contains_key(key)))).collect()
}

fn step(
    program: &mut Program<Ipvs>,
    changes: Vec<Change>,
) -> Result<BTreeMap<Key, (bool, bool)>, TestCaseError> {
    let before = desired(program);
    changes.into_iter().for_each(|change| program.handle(change));
    let writes = sync(program)?.writes;
    let changed = changed(&before, &desired(program));
    prop_assert_eq!(writes, changed.len());
    Ok(changed)
}

/// An endpoint of another node that comes or goes is one step for each frontend's address, and none in nf_tables.
pub fn one_step_each(
    config: &ProxyConfig,
    ground: &[Change],
    service: &Service,
    family: IpFamily,
    touched: u8,
) -> Verdict {
    let cluster = TrafficPolicy::Cluster;
    let service = Service {
        internal_policy: cluster,
        external_policy: cluster,
        prefer_local: false,
        ..service.clone()
    };
    let world = [ground, &lone_service(&service, family, [1, 2])].concat();
    let mut program = at_once::<Ipvs>(config, &world)?;
    for (endpoints, there) in [(vec![1, 2, touched], true), (vec![1, 2], false)] {
        let steps = step(&mut program, lone_service(&service, family, endpoints))?;
        for (key, was) in &steps {
            prop_assert!(matches!(key, Key::Real(..)) && *was == (!there, there), "{:?} {:?}", key, was);
        }
        prop_assert_eq!(steps.len(), frontends(&program, &service, family));
    }
    Ok(())
}

fn frontends(program: &Program<Ipvs>, service: &Service, family: IpFamily) -> usize {
    let routes = resolve(program.store(), program.config(), &service.name).routes;
    let of_family = routes.iter().filter(|route| route.family == family);
    of_family.map(|route| shape::addresses(program, route)).sum()
}

/// Another scheduler or another weight changes servers that are there, and nothing else. (What local pods get under
/// `externalTrafficPolicy: Local` nf_tables chooses, by weight too.)
pub fn rebalanced(
    config: &ProxyConfig,
    changes: &[Change],
    service: &Service,
    family: IpFamily,
    balance: &Balance,
) -> Verdict {
    let service = &Service { external_policy: TrafficPolicy::Cluster, ..service.clone() };
    let world = [changes, &lone_service(service, family, 1..=9)].concat();
    let mut program = at_once::<Ipvs>(config, &world)?;
    let service = Service { balance: balance.clone(), ..service.clone() };
    let steps = step(&mut program, vec![Change::Service(service.into())])?;
    for (key, was) in steps {
        let of_servers = matches!(key, Key::Server(_) | Key::Real(..));
        prop_assert!(of_servers && was == (true, true), "{:?} {:?}", key, was);
    }
    Ok(())
}
