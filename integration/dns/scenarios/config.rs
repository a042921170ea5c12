//! Settings that change.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::wait;

use super::{Knows, Scenario};
use crate::place::Place;

const STUB_DOMAIN: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53
    cache 3600
    reload
}";
const ACME: &str = "acme.local:53 {
    forward . 198.18.0.54
    cache 30
    reload
}
";
const RESOLV: &str = ".:53 {
    kubernetes cluster.local
    forward . @DIR/resolv.conf
}";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { knows: Knows::All, id: "scen-29", corefile: STUB_DOMAIN, run: stub_domain },
    Scenario { knows: Knows::All, id: "scen-30", corefile: RESOLV, run: resolv_conf },
];

/// Comes into force within 2 s; other zones keep their cache.
fn stub_domain(place: &mut Place) -> Result<()> {
    place.ask("www.example.net.", "A")?;
    place.ask("x0.acme.local.", "A")?;
    ensure!(place.stub.asked("x0.acme.local.") == 1, "not forwarded");
    place.set_corefile(&format!("{ACME}{STUB_DOMAIN}"))?;
    let mut number = 0;
    wait::until("the stub domain", Duration::from_secs(2), || {
        number += 1;
        let name = format!("x{number}.acme.local.");
        place.ask(&name, "A")?;
        Ok((place.second.asked(&name) == 1 && place.stub.asked(&name) == 0).then_some(()))
    })?;
    place.ask("y.acme.local.", "A")?;
    ensure!(place.stub.asked("y.acme.local.") == 0, "it went to both");
    place.ask("www.example.net.", "A")?;
    ensure!(place.stub.asked("www.example.net.") == 1, "the cache of another zone was lost");
    // One that cannot be read changes nothing.
    place.set_corefile("acme.local {\n    forward\n")?;
    place.ask("z.acme.local.", "A")?;
    ensure!(place.second.asked("z.acme.local.") == 1, "a broken Corefile came into force");
    Ok(())
}

/// As DHCP changes it; what would loop is refused and said.
fn resolv_conf(place: &mut Place) -> Result<()> {
    let write = |text: &str| place.set_resolv_conf(text);
    let used = |stub: &crate::stub::Stub, what: &str| {
        let mut number = 0;
        wait::until(what, Duration::from_secs(5), || {
            number += 1;
            let name = format!("{number}.{what}.example.");
            place.ask(&name, "A")?;
            Ok((stub.asked(&name) > 0).then_some(()))
        })
    };
    write("search example\nnameserver 198.18.0.53\n")?;
    used(&place.stub, "first")?;
    write("search example\nnameserver 198.18.0.54\n")?;
    used(&place.second, "second")?;
    for own in ["127.0.0.53", "10.244.0.2"] {
        write(&format!("nameserver {own}\nnameserver 198.18.0.53\n"))?;
        used(&place.stub, "third")?;
        wait::until("a clear message", Duration::from_secs(5), || {
            Ok(place.log().lines().any(|line| line.contains(own) && line.contains("loop")).then_some(()))
        })?;
        write("nameserver 198.18.0.54\n")?;
        used(&place.second, "fourth")?;
    }
    Ok(())
}
