//! Laws that hold for every world, over a dataplane and a kernel that is a map.
//!
//! A failing world is printed in its smallest form; make it a case of a table, or a test of its own, with the fix.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "interpreted flows use the rest of it")]
mod interpreter;
mod law;
mod memory;
mod outcome;
mod worlds;

use law::{config, converge, packets, servers, shape};
use model::{Change, IpFamily, Service, ServiceType};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use worlds::{REMOTE, changes, last_of_each, packet, service, slice};

/// Longest history of a world.
const MOST_CHANGES: usize = 30;

/// Few worlds for each law, so that the suite stays quick; `PROPTEST_CASES` asks for more.
fn limits() -> ProptestConfig {
    let given =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { given } else { ProptestConfig { cases: 64, ..given } }
}

/// The history of a world.
fn history() -> impl Strategy<Value = Vec<Change>> {
    changes(MOST_CHANGES)
}

/// The same world, told in another order and without its history.
fn retold() -> impl Strategy<Value = (Vec<Change>, Vec<Change>)> {
    history().prop_flat_map(|changes| {
        let others = Just(last_of_each(&changes)).prop_shuffle();
        (Just(changes), others)
    })
}

/// A Service that this proxy serves, whatever else was drawn for it.
fn proxied() -> impl Strategy<Value = Service> {
    service().prop_filter_map("not for this proxy", |service| {
        let service = Service { kind: ServiceType::LoadBalancer, other_proxy: false, ..service };
        service.is_proxied().then_some(service)
    })
}

fn family() -> impl Strategy<Value = IpFamily> {
    select(IpFamily::ALL.to_vec())
}

/// Laws of any dataplane.
macro_rules! converging {
    ($dataplane:ty) => {
        proptest! {
            #![proptest_config(limits())]

            #[test]
            fn after_a_sync_the_kernel_is_as_desired(config in config::<$dataplane>(), changes in history()) {
                converge::reached::<$dataplane>(&config, &changes)?;
            }

            #[test]
            fn a_second_sync_writes_nothing(config in config::<$dataplane>(), changes in history()) {
                converge::settled::<$dataplane>(&config, &changes)?;
            }

            #[test]
            fn the_order_of_news_does_not_matter(
                config in config::<$dataplane>(), (changes, retold) in retold(),
            ) {
                converge::unordered_news::<$dataplane>(&config, &changes, &retold)?;
            }

            #[test]
            fn step_by_step_leads_where_all_at_once_does(
                config in config::<$dataplane>(), (changes, retold) in retold(),
            ) {
                converge::stepwise::<$dataplane>(&config, &changes, &retold)?;
            }

            #[test]
            fn a_restart_writes_nothing(config in config::<$dataplane>(), (changes, retold) in retold()) {
                converge::restarted::<$dataplane>(&config, &changes, &retold)?;
            }

            #[test]
            fn a_restart_into_another_world_reaches_it(
                config in config::<$dataplane>(), before in history(), after in history(),
            ) {
                converge::moved::<$dataplane>(&config, &before, &after)?;
            }

            #[test]
            fn without_services_only_the_ground_is_left(config in config::<$dataplane>(), changes in history()) {
                converge::emptied::<$dataplane>(&config, &changes)?;
            }

            #[test]
            fn a_slice_changes_objects_of_its_own_service_only(
                config in config::<$dataplane>(), changes in history(), slice in slice(),
            ) {
                converge::confined::<$dataplane>(&config, &changes, &slice)?;
            }
        }
    };
}

/// Laws of dataplanes with objects of nf_tables.
macro_rules! ruled {
    ($dataplane:ty) => {
        proptest! {
            #![proptest_config(limits())]

            #[test]
            fn every_reference_leads_somewhere(config in config::<$dataplane>(), changes in history()) {
                shape::tied::<$dataplane>(&config, &changes)?;
            }

            #[test]
            fn no_endpoint_of_another_node_hairpins(config in config::<$dataplane>(), changes in history()) {
                shape::hairpins_are_local::<$dataplane>(&config, &changes)?;
            }

            #[test]
            fn one_endpoint_changes_few_objects(
                config in config::<$dataplane>(), service in proxied(),
                endpoints in btree_set(1..=250u8, 0..200), touched in 1..=250u8, family in family(),
            ) {
                shape::few_change::<$dataplane>(&config, &service, family, endpoints, touched)?;
            }

            #[test]
            fn the_rules_do_what_the_explanation_says(
                config in config::<$dataplane>(), changes in history(), packets in vec(packet(), 40),
            ) {
                packets::explained::<$dataplane>(&config, &changes, &packets)?;
            }

            #[test]
            fn a_client_with_affinity_comes_back(
                config in config::<$dataplane>(), changes in history(), packets in vec(packet(), 40),
            ) {
                packets::remembered::<$dataplane>(&config, &changes, &packets)?;
            }
        }

        /// A law over packets is worth something only if packets meet every kind of answer.
        #[test]
        fn packets_meet_every_kind_of_answer() {
            let worlds = (config::<$dataplane>(), history(), vec(packet(), 40));
            let met = packets::kinds_of_answers::<$dataplane>(worlds);
            for verdict in ["dnat never", "dnat always", "dnat towards", "reject", "drop", "none"] {
                let kind = verdict.split_once(' ').unwrap_or((verdict, "never"));
                let count = met.get(&kind).copied().unwrap_or_default();
                assert!(count >= 10, "{kind:?}: only {count} of {met:?}");
            }
        }
    };
}

mod in_mode_nftables {
    use super::*;
    use nftables::Nftables;

    converging!(Nftables);
    ruled!(Nftables);
}

mod in_mode_iptables {
    use super::*;
    use iptables::Iptables;

    converging!(Iptables);
}

mod in_mode_ipvs {
    use super::*;
    use ipvs::Ipvs;

    converging!(Ipvs);
    ruled!(Ipvs);

    proptest! {
        #![proptest_config(limits())]

        #[test]
        fn virtual_servers_are_whole(config in config::<Ipvs>(), changes in history()) {
            servers::whole(&config, &changes)?;
        }

        #[test]
        fn vips_are_routed_here_and_nothing_else_is(config in config::<Ipvs>(), changes in history()) {
            servers::routed(&config, &changes)?;
        }

        #[test]
        fn an_endpoint_is_one_step_for_each_frontend(
            config in config::<Ipvs>(), ground in changes(5), service in proxied(), family in family(),
            touched in REMOTE,
        ) {
            servers::one_step_each(&config, &ground[..3], &service, family, touched)?;
        }

        #[test]
        fn another_balance_changes_servers_only(
            config in config::<Ipvs>(), changes in history(), service in proxied(), family in family(),
            balance in worlds::balance(),
        ) {
            servers::rebalanced(&config, &changes, &service, family, &balance)?;
        }
    }
}
