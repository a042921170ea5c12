//! How connections are shown: a contract for programs, and what text and pages are made of.

use std::sync::Arc;

use model::{EndpointAddr, NamespacedName};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{Connection, Place, Tally, Totals};

/// Services that are shown; the totals of further ones are only in the sum.
const SERVICES: usize = 1_000;
/// Endpoints of one Service that are shown.
const ENDPOINTS: usize = 256;

/// Whose a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The Service.
    pub service: NamespacedName,
    /// The name of its port; empty where it has none.
    pub port: Arc<str>,
    /// `clusterIP`, `externalIP`, `loadBalancer` or `nodePort`.
    pub kind: &'static str,
}

/// What is known of all that is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// This node.
    pub node: String,
    /// The mode that is in force.
    pub mode: String,
    /// Nanoseconds since 1970, when the list was read.
    pub now: u64,
    /// How long reading took, in milliseconds.
    pub took_ms: u64,
    /// What a reader should know: what was left out, what the kernel does not count. A sentence each.
    pub notes: Vec<String>,
}

/// Live connections by Service and endpoint.
// The fields are a contract: programs read them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FlowsView {
    /// This node.
    pub node: String,
    /// The mode that is in force.
    pub mode: String,
    /// How old the list is, in milliseconds.
    pub age_ms: u64,
    /// How long reading it took, in milliseconds.
    pub took_ms: u64,
    /// What a reader should know, a sentence each.
    pub notes: Vec<String>,
    /// All that is asked for, together.
    pub totals: TotalsView,
    /// By Service, those with most connections first; at most 1,000.
    pub services: Vec<ServiceView>,
    /// Some of the connections, at most 1,000, or as many as were asked for.
    pub flows: Vec<FlowView>,
}

/// Numbers of connections, and what they have carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TotalsView {
    /// All that the kernel remembers.
    pub connections: u64,
    /// Of these, those that the endpoint has not answered yet.
    pub opening: u64,
    /// Of these, those in use.
    pub established: u64,
    /// Of these, those that have ended, or are about to.
    pub closing: u64,
    /// Of these, those that the endpoint sees from another address than the client's.
    pub masqueraded: u64,
    /// Bytes from clients to endpoints; absent where the kernel does not count (`nf_conntrack_acct`).
    pub bytes_in: Option<u64>,
    /// Bytes from endpoints to clients; as above.
    pub bytes_out: Option<u64>,
}

/// Connections of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// NAMESPACE/NAME.
    pub service: String,
    /// Its numbers.
    pub totals: TotalsView,
    /// By endpoint, those with most connections first; at most 256.
    pub endpoints: Vec<EndpointView>,
}

/// Connections to one endpoint of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// Address and port.
    pub endpoint: String,
    /// `ready`, `serving` (it ends, and answers), `terminating`, `notReady`, or `gone`: in no EndpointSlice of the Service.
    pub state: String,
    /// Its numbers.
    pub totals: TotalsView,
}

/// One connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FlowView {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Where it came from, address and port.
    pub client: String,
    /// What it addressed.
    pub frontend: String,
    /// What kind of frontend that is: `clusterIP`, `externalIP`, `loadBalancer` or `nodePort`.
    pub kind: String,
    /// The Service, NAMESPACE/NAME.
    pub service: String,
    /// The name of the Service's port; empty where it has none.
    pub port: String,
    /// Where it was led.
    pub endpoint: String,
    /// The source that the endpoint sees, if it is not the client.
    pub masqueraded: Option<String>,
    /// Its state, with the names of `conntrack -L`; of UDP `ANSWERED` or `UNANSWERED`.
    pub state: String,
    /// Bytes to the endpoint; absent where the kernel does not count.
    pub bytes_in: Option<u64>,
    /// Bytes to the client; as above.
    pub bytes_out: Option<u64>,
    /// How long it exists, in seconds; absent where the kernel does not note it (`nf_conntrack_timestamp`).
    pub age_seconds: Option<u64>,
    /// When it is forgotten if nothing more comes, in seconds.
    pub expires_seconds: u32,
}

impl TotalsView {
    fn new(totals: &Totals) -> Self {
        let bytes = |bytes: u64| (totals.counted > 0 || totals.connections == 0).then_some(bytes);
        Self {
            connections: totals.connections,
            opening: totals.opening,
            established: totals.established,
            closing: totals.closing,
            masqueraded: totals.masqueraded,
            bytes_in: bytes(totals.counters.bytes_in),
            bytes_out: bytes(totals.counters.bytes_out),
        }
    }
}

impl FlowsView {
    /// The most connections that are listed.
    pub const FLOWS: usize = 1_000;

    /// With at most so many connections, and this old.
    #[must_use]
    pub fn cut(mut self, limit: usize, age_ms: u64) -> Self {
        self.flows.truncate(limit);
        self.age_ms = age_ms;
        self
    }
}

type ByEndpoint = FxHashMap<EndpointAddr, Totals>;

/// What was counted, with names. Connections to places that nobody owns are left out. `state` says how an endpoint of a Service
/// is.
pub fn view<'a>(
    tally: &Tally,
    whole: Whole,
    owner: impl Fn(&Place) -> Option<&'a Owner>,
    state: impl Fn(&NamespacedName, &EndpointAddr) -> &'static str,
) -> FlowsView {
    let mut services: FxHashMap<&NamespacedName, ByEndpoint> = FxHashMap::default();
    let mut sum = Totals::default();
    for (pair, totals) in tally.pairs() {
        let Some(owner) = owner(&pair.place) else { continue };
        sum.add(totals);
        services.entry(&owner.service).or_default().entry(pair.endpoint).or_default().add(totals);
    }
    let owned = tally.connections().iter().filter_map(|one| Some((one, owner(&one.place)?)));
    let flows = owned.take(FlowsView::FLOWS).map(|(one, owner)| flow(one, owner, whole.now)).collect();
    let mut notes = whole.notes;
    if services.len() > SERVICES {
        notes.push(format!(
            "{} Services have connections; those with most are shown, {SERVICES} of them",
            services.len()
        ));
    }
    FlowsView {
        node: whole.node,
        mode: whole.mode,
        age_ms: 0,
        took_ms: whole.took_ms,
        notes,
        totals: TotalsView::new(&sum),
        services: busiest(services, &state),
        flows,
    }
}

fn busiest(
    services: FxHashMap<&NamespacedName, ByEndpoint>,
    state: &impl Fn(&NamespacedName, &EndpointAddr) -> &'static str,
) -> Vec<ServiceView> {
    let summed = services.into_iter().map(|(name, endpoints)| {
        let mut sum = Totals::default();
        endpoints.values().for_each(|totals| sum.add(totals));
        (name, sum, endpoints)
    });
    let mut all: Vec<_> = summed.collect();
    all.sort_unstable_by(|a, b| b.1.connections.cmp(&a.1.connections).then_with(|| a.0.cmp(b.0)));
    all.truncate(SERVICES);
    let shown = all.into_iter().map(|(name, sum, endpoints)| ServiceView {
        service: name.to_string(),
        totals: TotalsView::new(&sum),
        endpoints: busiest_endpoints(endpoints, |endpoint| state(name, endpoint)),
    });
    shown.collect()
}

fn busiest_endpoints(
    endpoints: ByEndpoint,
    state: impl Fn(&EndpointAddr) -> &'static str,
) -> Vec<EndpointView> {
    let mut all: Vec<_> = endpoints.into_iter().collect();
    all.sort_unstable_by(|a, b| b.1.connections.cmp(&a.1.connections).then(a.0.cmp(&b.0)));
    let shown = all.iter().take(ENDPOINTS).map(|(endpoint, totals)| EndpointView {
        endpoint: endpoint.to_string(),
        state: state(endpoint).to_owned(),
        totals: TotalsView::new(totals),
    });
    shown.collect()
}

fn flow(connection: &Connection, owner: &Owner, now: u64) -> FlowView {
    let bytes = connection.counters;
    FlowView {
        protocol: connection.place.protocol.to_string(),
        client: connection.client.to_string(),
        frontend: connection.place.at.to_string(),
        kind: owner.kind.to_owned(),
        service: owner.service.to_string(),
        port: owner.port.to_string(),
        endpoint: connection.endpoint.to_string(),
        masqueraded: connection.masqueraded.map(|seen| seen.to_string()),
        state: connection.state.as_str().to_owned(),
        bytes_in: bytes.map(|counters| counters.bytes_in),
        bytes_out: bytes.map(|counters| counters.bytes_out),
        age_seconds: connection.started.map(|started| now.saturating_sub(started) / 1_000_000_000),
        expires_seconds: connection.expires,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{address, connection};

    /// Two Services, one of them with two endpoints, and a place that is nobody's.
    pub(crate) fn shown() -> FlowsView {
        let mut tally = Tally::default();
        let bytes = crate::Counters { bytes_in: 1_000, bytes_out: 2_500_000, packets_in: 1, packets_out: 1 };
        let web = connection("10.0.0.1:40000", "10.96.0.1:80", "10.1.1.1:8080");
        tally.take(Connection { counters: Some(bytes), started: Some(5_000_000_000), ..web });
        tally.take(Connection { masqueraded: Some(address("10.9.9.9:7")), ..web });
        tally.take(Connection { endpoint: address("10.1.1.2:8080"), state: crate::State::TimeWait, ..web });
        tally.take(connection("[fd00::9]:1", "[fd00:96::1]:80", "[fd00::2]:80"));
        tally.take(connection("10.0.0.1:9", "192.0.2.1:2222", "172.17.0.2:22"));
        let owner =
            |name: &str, kind| Owner { service: NamespacedName::new("ns", name), port: "p".into(), kind };
        let owners =
            [("10.96.0.1:80", owner("web", "clusterIP")), ("[fd00:96::1]:80", owner("six", "nodePort"))];
        let whole = Whole {
            node: "n".into(),
            mode: "nftables".into(),
            now: 9_500_000_000,
            took_ms: 3,
            notes: vec![],
        };
        let of =
            |place: &Place| owners.iter().find(|(at, _)| address(at) == place.at).map(|(_, owner)| owner);
        view(&tally, whole, of, |_, endpoint| if endpoint.port == 8080 { "ready" } else { "gone" })
    }

    #[test]
    fn connections_are_shown_by_service_and_endpoint() {
        let shown = shown();
        assert_eq!(shown.totals.connections, 4, "what is nobody's is left out");
        let names: Vec<_> =
            shown.services.iter().map(|s| (s.service.as_str(), s.totals.connections)).collect();
        assert_eq!(names, [("ns/web", 3), ("ns/six", 1)]);
        let web = &shown.services[0];
        assert_eq!(
            (web.totals.closing, web.totals.masqueraded, web.totals.bytes_out),
            (1, 1, Some(2_500_000))
        );
        let endpoints: Vec<_> =
            web.endpoints.iter().map(|e| (e.endpoint.as_str(), e.state.as_str())).collect();
        assert_eq!(endpoints, [("10.1.1.1:8080", "ready"), ("10.1.1.2:8080", "ready")]);
        assert_eq!(web.endpoints[1].totals.bytes_in, None, "nothing of it was counted");
        assert_eq!(shown.services[1].endpoints[0].state, "gone");
        assert_eq!(shown.flows.len(), 4);
        assert_eq!(shown.flows[0].age_seconds, Some(4));
        assert_eq!(shown.flows[1].masqueraded.as_deref(), Some("10.9.9.9:7"));
        assert_eq!(shown.flows[3].frontend, "[fd00:96::1]:80");
    }

    #[test]
    fn json_is_read_back() {
        let shown = shown().cut(2, 70);
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["services"][0]["endpoints"][0]["totals"]["bytesIn"], 1_000);
        assert_eq!((&json["ageMs"], json["flows"].as_array().unwrap().len()), (&70.into(), 2));
        assert_eq!(serde_json::from_value::<FlowsView>(json).unwrap(), shown);
    }

    #[test]
    fn schema_of_flows() {
        testkit::schema::current::<FlowsView>("flows").unwrap();
        testkit::schema::conforms("flows", &serde_json::to_value(shown()).unwrap()).unwrap();
    }

    #[test]
    fn text_of_it() {
        let expected = "\
# towpath on n, mode nftables: 4 connections of 2 Services; read in 3 ms, 0 ms ago
# by Service and endpoint
SERVICE  ENDPOINT       STATE  CONNECTIONS  OPENING  ESTABLISHED  CLOSING  MASQUERADED  BYTES-IN  BYTES-OUT
ns/web                         3            0        2            1        1            1000      2500000
         10.1.1.1:8080  ready  2            0        2            0        1            1000      2500000
         10.1.1.2:8080  ready  1            0        0            1        0            -         -
ns/six                         1            0        1            0        0            -         -
         [fd00::2]:80   gone   1            0        1            0        0            -         -
# connections, 2 of 4
PROTOCOL  CLIENT          FRONTEND      KIND       SERVICE   ENDPOINT       SEEN-AS     STATE        BYTES-IN  BYTES-OUT  AGE
tcp       10.0.0.1:40000  10.96.0.1:80  clusterIP  ns/web:p  10.1.1.1:8080              ESTABLISHED  1000      2500000    4s
tcp       10.0.0.1:40000  10.96.0.1:80  clusterIP  ns/web:p  10.1.1.1:8080  10.9.9.9:7  ESTABLISHED  -         -          -
";
        assert_eq!(shown().cut(2, 0).text(), expected);
    }
}
