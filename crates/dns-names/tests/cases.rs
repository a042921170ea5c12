//! Every query of `cases/dns/cases.yaml`, by profile. Those that need an upstream are checked up to what is handed on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeMap;
use std::net::IpAddr;

use dns_wire::{Name, NameBuf, Reply, rcode, rtype};
use serde::Deserialize;
use towpath_dns_names::{Ask, External, Names, PodNames, SearchList, Selector, Verdict, View};
use world::message::{Said, Server, decode, query};

#[derive(Deserialize)]
struct Table {
    defaults: BTreeMap<String, serde_json::Value>,
    profiles: BTreeMap<String, Profile>,
    upstream_stub: BTreeMap<String, serde_json::Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Profile {
    options: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    profile: String,
    q: Question,
    want: Want,
    better_want: Option<Want>,
}

#[derive(Deserialize)]
struct Question {
    name: String,
    #[serde(rename = "type")]
    qtype: String,
    client: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Want {
    rcode: String,
    aa: Option<bool>,
    answer: Vec<String>,
    authority: Option<Vec<String>>,
    additional: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Options {
    zones: Vec<String>,
    ttl: u32,
    pods: String,
    namespaces: Option<Vec<String>>,
    namespace_labels: Option<BTreeMap<String, String>>,
    endpoint_pod_names: bool,
    noendpoints: bool,
    ignore_empty: bool,
    multicluster: Vec<String>,
    zonal: bool,
    fallthrough: Option<Vec<String>>,
    synced: bool,
    local_ips: Vec<IpAddr>,
    autopath: bool,
    autopath_host_search: Vec<String>,
    external: Option<Outside>,
}

#[derive(Deserialize)]
struct Outside {
    zone: String,
    ttl: u32,
    headless: bool,
}

impl Options {
    fn view(&self) -> View {
        let labels = self.namespace_labels.as_ref();
        View {
            zones: names(&self.zones),
            ttl: self.ttl,
            pods: match &*self.pods {
                "insecure" => PodNames::Insecure,
                "verified" => PodNames::Verified,
                _ => PodNames::Disabled,
            },
            namespaces: self
                .namespaces
                .as_ref()
                .map(|all| all.iter().map(|name| name.as_str().into()).collect()),
            namespace_labels: labels
                .map(|l| Selector::exact(l.iter().map(|(k, v)| (k.as_str(), v.as_str())))),
            labels: None,
            endpoint_pod_names: self.endpoint_pod_names,
            noendpoints: self.noendpoints,
            ignore_empty: self.ignore_empty,
            fallthrough: names(self.fallthrough.as_deref().unwrap_or_default()),
            multicluster: names(&self.multicluster),
            zonal: self.zonal,
        }
    }

    fn external(&self) -> Option<External> {
        let outside = self.external.as_ref()?;
        let zones = vec![outside.zone.parse().unwrap()];
        Some(External { zones, ttl: outside.ttl, headless: outside.headless, ..External::default() })
    }
}

fn names(texts: &[String]) -> Vec<Name> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What an upstream's answer is in a case: the records of our own part, and the name that is left to others.
struct Outcome {
    said: Said,
    left: Option<Name>,
}

fn outcome(options: &Options, names: &Names, question: &Question) -> Outcome {
    let (view, external) = (options.view(), options.external());
    let server =
        Server { names, view: &view, external: external.as_ref(), own: &options.local_ips, limit: 65_535 };
    let asked: Name = question.name.parse().unwrap();
    let (verdict, said) = match question.client.filter(|_| options.autopath) {
        Some(client) => searched(&server, options, &asked, question, client),
        None => server.ask(&question.name, &question.qtype),
    };
    let left = match verdict {
        Verdict::Answered => None,
        Verdict::Pass => Some(asked),
        Verdict::Chase(chase) => chase.target().map(Name::from),
    };
    Outcome { said, left }
}

/// As a server with autopath does it: the first candidate that exists; else the reply to the name as asked.
fn searched(
    server: &Server<'_>,
    options: &Options,
    asked: &Name,
    question: &Question,
    client: IpAddr,
) -> (Verdict, Said) {
    let first = server.ask(&question.name, &question.qtype);
    let Some(pod) = server.names.pod_at(client) else { return first };
    let list = SearchList::of(pod, server.view.zones[0].as_ref(), &names(&options.autopath_host_search));
    let Some(candidates) = list.candidates(asked.as_ref()) else { return first };
    let message = query(asked, rtype::from_name(&question.qtype).unwrap());
    let query = dns_wire::parse_query(&message).unwrap();
    let mut buffer = NameBuf::new();
    for index in 0..candidates.len() {
        let Some(candidate) = candidates.get(index, &mut buffer) else { continue };
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, &query, 65_535);
        if index > 0 {
            let data = dns_wire::Data::Name(candidate.name);
            reply.push(dns_wire::Section::Answer, query.name, rtype::CNAME, options.ttl, data);
        }
        let ask = Ask { query: &query, name: candidate.name, own: server.own, turn: None, hops: 0 };
        let verdict = server.names.answer(server.view, &ask, &mut reply);
        let found = verdict != Verdict::Pass && reply.rcode() == rcode::NOERROR;
        reply.finish();
        if found {
            return (verdict, decode(&out));
        }
    }
    first
}

fn check(case: &Case, outcome: &Outcome, stub: &BTreeMap<String, serde_json::Value>) -> Result<(), String> {
    let want = case.better_want.as_ref().unwrap_or(&case.want);
    let said = &outcome.said;
    let ours = |records: &Option<Vec<String>>| records.as_deref().map(sorted);
    if let Some(left) = &outcome.left {
        let ours = said.answer.iter().all(|record| want.answer.contains(record));
        let known = stub.keys().any(|key| key.split_once(' ').unwrap().0 == left.to_string());
        let good = ours && (known || want.rcode == "NXDOMAIN");
        return if good { Ok(()) } else { Err(format!("left {left}, said {said:?}")) };
    }
    let good = want.rcode == said.rcode
        && want.aa.is_none_or(|aa| aa == said.aa)
        && sorted(&want.answer) == said.answer
        && ours(&want.authority).is_none_or(|records| records == said.authority)
        && ours(&want.additional).is_none_or(|records| records == said.additional);
    if good { Ok(()) } else { Err(format!("said {said:#?}")) }
}

fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort();
    lines
}

#[test]
fn every_case_is_answered_as_it_should_be() {
    let text = std::fs::read_to_string(world::table_path("cases.yaml")).unwrap();
    let table: Table = serde_saphyr::from_str(&text).unwrap();
    let store = world::fixtures();
    let (mut failed, mut handed_on) = (Vec::new(), 0);
    for case in &table.cases {
        let mut merged = table.defaults.clone();
        merged.extend(table.profiles[&case.profile].options.clone());
        let options: Options = serde_json::from_value(merged.into_iter().collect()).unwrap();
        let names = world::index(&store, options.synced);
        let outcome = outcome(&options, &names, &case.q);
        handed_on += usize::from(outcome.left.is_some());
        if let Err(why) = check(case, &outcome, &table.upstream_stub) {
            failed.push(format!("{} {} {}: {why}", case.id, case.q.name, case.q.qtype));
        }
    }
    assert!(table.cases.len() >= 262, "{} cases", table.cases.len());
    assert!(handed_on <= 12, "{handed_on} are left to an upstream");
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
