//! The search path on the server's side.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::wait;

use super::{Knows, Scenario};
use crate::objects::pod;
use crate::place::Place;

const AUTOPATH: &str = ".:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods verified
    }
    autopath @kubernetes
    forward . 198.18.0.53
}";

pub(super) const SCENARIOS: &[Scenario] =
    &[Scenario { knows: Knows::All, id: "scen-34", corefile: AUTOPATH, run: address_is_used_again }];

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 245, 1, 9));

/// The namespace of whoever has the address now, or none.
fn address_is_used_again(place: &mut Place) -> Result<()> {
    let found = |namespace: &str| -> Result<bool> {
        let name = format!("kubernetes.default.{namespace}.svc.cluster.local.");
        let reply = place.ask_from(ADDRESS, &name, "A")?;
        let alias = format!("{name} 5 IN CNAME kubernetes.default.svc.cluster.local.");
        Ok(reply.answer().len() == 2 && reply.answer()[0] == alias)
    };
    let soon = |what: &str, shop: bool, data: bool| {
        wait::until(what, Duration::from_secs(1), || {
            Ok((found("shop")? == shop && found("data")? == data).then_some(()))
        })
        .with_context(|| format!("shop {shop}, data {data}"))
    };
    ensure!(!found("shop")? && !found("data")?, "an unknown address has a search path");
    let (first, second) = (pod("shop", "p1", "10.245.1.9"), pod("data", "p2", "10.245.1.9"));
    place.write("pod.yaml", &first)?;
    soon("the first pod", true, false)?;
    // Both at once: nobody knows who asks.
    place.write("pod.yaml", &format!("{first}{second}"))?;
    soon("nobody", false, false)?;
    place.write("pod.yaml", &second)?;
    soon("the second pod", false, true)?;
    place.remove("pod.yaml")?;
    soon("none", false, false)
}
