//! Behind the cache.

use anyhow::{Result, ensure};

use super::{Test, has};
use crate::compare::Transport::{Tcp, Udp};
use crate::place::Place;
use crate::wire::{AA, CD, Query};

pub(super) const TESTS: &[Test] =
    &[Test { id: "proto-54", run: letter_case }, Test { id: "proto-55", run: kept_apart }];

/// Question and owner are in the case of this query, whoever filled the cache.
fn letter_case(place: &Place) -> Result<()> {
    for name in ["www.example.net.", "WWW.Example.NET.", "wWw.eXaMpLe.nEt."] {
        for transport in [Udp, Tcp] {
            let reply = place.send(&Query::new(name, "A")?, transport)?;
            let [line] = reply.answer() else { anyhow::bail!("{reply:?}") };
            ensure!(line.starts_with(&format!("{name} ")), "{line} for {name}");
        }
    }
    ensure!(
        place.stub.seen().iter().filter(|seen| seen.asks("www.example.net.", "A")).count() == 1,
        "asked again"
    );
    for name in ["kubernetes.default.svc.cluster.local.", "KUBERNETES.default.Svc.cluster.LOCAL."] {
        has(&place.ask(name, "A")?, "NOERROR", &[&format!("{name} 5 IN A 10.96.0.1")])?;
    }
    Ok(())
}

fn kept_apart(place: &Place) -> Result<()> {
    let kinds = [(0, 0), (0x8000, 0), (0, CD), (0x8000, CD)];
    for round in 1..3 {
        for (dnssec_ok, flags) in kinds {
            let query = Query::new("v4only.example.net.", "A")?.edns(1232, dnssec_ok, &[]).flagged(flags);
            let reply = place.send(&query, Udp)?;
            ensure!(reply.rcode == "NOERROR" && !reply.has(AA), "{reply:?}");
            ensure!(reply.flags & CD == flags, "CD not copied");
        }
        let asked = place.stub.asked("v4only.example.net.");
        ensure!(asked == kinds.len(), "round {round}: {asked} queries to the upstream");
    }
    Ok(())
}
