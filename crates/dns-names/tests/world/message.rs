//! Queries, and replies decoded by another library than the one that wrote them.

use std::net::IpAddr;

use dns_wire::{Name, Reply, rtype};
use domain::base::iana::Rtype;
use domain::base::{Message, ParsedName, Record, RecordSection, ToName};
use domain::rdata::AllRecordData;
use towpath_dns_names::{Ask, External, Names, Verdict, View};

/// A reply in the words of the case tables, each section sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub rcode: String,
    pub aa: bool,
    pub truncated: bool,
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
}

/// The octets of a query.
pub fn query(name: &Name, qtype: u16) -> Vec<u8> {
    let mut out = Vec::new();
    dns_wire::ask(&mut out, 7, name.as_ref(), qtype, 1, false, false, false, 1232);
    out
}

/// Who answers.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    pub names: &'a Names,
    pub view: &'a View,
    pub external: Option<&'a External>,
    pub own: &'a [IpAddr],
    pub limit: usize,
}

impl Server<'_> {
    /// Asks as a client does, for a name in master-file form.
    pub fn ask(&self, name: &str, qtype: &str) -> (Verdict, Said) {
        self.ask_name(&name.parse().unwrap(), rtype::from_name(qtype).unwrap())
    }

    pub fn ask_name(&self, name: &Name, qtype: u16) -> (Verdict, Said) {
        let message = query(name, qtype);
        let query = dns_wire::parse_query(&message).unwrap();
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, &query, self.limit);
        let ask = Ask { query: &query, name: query.name, own: self.own, turn: None, hops: 0 };
        let mut verdict = Verdict::Pass;
        if let Some(external) = self.external {
            verdict = self.names.external(self.view, external, &ask, &mut reply);
        }
        if verdict == Verdict::Pass {
            verdict = self.names.answer(self.view, &ask, &mut reply);
        }
        reply.finish();
        assert!(out.len() <= self.limit);
        (verdict, decode(&out))
    }
}

/// Decodes a reply with `domain`.
pub fn decode(octets: &[u8]) -> Said {
    let message = Message::from_octets(octets).unwrap();
    let header = message.header();
    Said {
        rcode: header.rcode().to_string(),
        aa: header.aa(),
        truncated: header.tc(),
        answer: section(message.answer().unwrap()),
        authority: section(message.authority().unwrap()),
        additional: section(message.additional().unwrap()),
    }
}

fn section(records: RecordSection<'_, &[u8]>) -> Vec<String> {
    let records = records.map(|record| record.unwrap()).filter(|record| record.rtype() != Rtype::OPT);
    let records = records.map(|record| record.to_any_record::<AllRecordData<_, _>>().unwrap());
    let mut lines: Vec<String> = records.map(|record| line(&record)).collect();
    lines.sort();
    lines
}

type Decoded<'a> = Record<ParsedName<&'a [u8]>, AllRecordData<&'a [u8], ParsedName<&'a [u8]>>>;

fn line(record: &Decoded<'_>) -> String {
    let head = format!("{} {} IN {}", dotted(record.owner()), record.ttl().as_secs(), record.rtype());
    let data = match record.data() {
        AllRecordData::A(a) => a.addr().to_string(),
        AllRecordData::Aaaa(aaaa) => aaaa.addr().to_string(),
        AllRecordData::Cname(name) => dotted(name.cname()),
        AllRecordData::Ns(name) => dotted(name.nsdname()),
        AllRecordData::Ptr(name) => dotted(name.ptrdname()),
        AllRecordData::Srv(srv) => {
            format!("{} {} {} {}", srv.priority(), srv.weight(), srv.port(), dotted(srv.target()))
        }
        AllRecordData::Soa(soa) => format!(
            "{} {} * {} {} {} {}",
            dotted(soa.mname()),
            dotted(soa.rname()),
            soa.refresh().as_secs(),
            soa.retry().as_secs(),
            soa.expire().as_secs(),
            soa.minimum().as_secs()
        ),
        AllRecordData::Txt(txt) => {
            let texts = txt.iter().map(|text| format!("{:?}", String::from_utf8_lossy(text)));
            texts.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    };
    format!("{head} {data}")
}

fn dotted(name: &impl ToName) -> String {
    name.fmt_with_dot().to_string()
}
