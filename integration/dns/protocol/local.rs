//! Names that are answered where they are asked.

use anyhow::{Result, ensure};

use super::{Test, has};
use crate::place::Place;

pub(super) const TESTS: &[Test] = &[
    Test { id: "proto-48", run: localhost },
    Test { id: "proto-49", run: below_localhost },
    Test { id: "proto-50", run: no_such_top },
];

const SEARCHED: &str = "localhost.shop.svc.cluster.local.";

/// Name, type, response code, the end of the only answer.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

fn all(place: &Place, rows: &[Row]) -> Result<()> {
    for (name, kind, rcode, end) in rows {
        let reply = place.ask(name, kind)?;
        let got: Vec<_> =
            reply.answer().iter().map(|line| line.rsplit(' ').next().unwrap_or_default()).collect();
        ensure!(reply.rcode == *rcode && got == end.as_slice(), "{name} {kind}: {reply:?}");
        ensure!(place.stub.asked(name) == 0, "{name} {kind} was forwarded");
    }
    Ok(())
}

fn localhost(place: &Place) -> Result<()> {
    all(
        place,
        &[
            ("localhost.", "A", "NOERROR", Some("127.0.0.1")),
            ("localhost.", "AAAA", "NOERROR", Some("::1")),
            ("LocalHost.", "A", "NOERROR", Some("127.0.0.1")),
            ("localhost.", "MX", "NOERROR", None),
            ("1.0.0.127.in-addr.arpa.", "PTR", "NOERROR", Some("localhost.")),
        ],
    )
}

fn below_localhost(place: &Place) -> Result<()> {
    all(
        place,
        &[
            ("foo.localhost.", "A", "NOERROR", Some("127.0.0.1")),
            ("foo.localhost.", "AAAA", "NOERROR", Some("::1")),
            (SEARCHED, "A", "NXDOMAIN", None),
        ],
    )?;
    has(&place.ask(SEARCHED, "A")?, "NXDOMAIN", &[])?;
    let page = place.page("http://127.0.0.1:9153/metrics")?;
    let counted = page.lines().find(|line| line.starts_with("coredns_local_localhost_requests_total"));
    let count = counted.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    ensure!(count.is_some_and(|count| count >= 2.0), "not counted: {counted:?}");
    Ok(())
}

fn no_such_top(place: &Place) -> Result<()> {
    all(
        place,
        &[
            ("x.invalid.", "A", "NXDOMAIN", None),
            ("invalid.", "A", "NXDOMAIN", None),
            ("1.2.3.4.", "AAAA", "NXDOMAIN", None),
            ("1.2.3.4.", "A", "NXDOMAIN", None),
        ],
    )
}
