//! What `hickory-proto` reads.

use anyhow::Result;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record};

use super::{Opt, Sections, text};
use crate::wire;

/// Reads everything that is compared.
pub(super) fn read(message: &[u8]) -> Result<Sections> {
    let parsed = Message::from_vec(message)?;
    let lines = |records: &[Record]| records.iter().map(line).collect::<Result<Vec<_>>>();
    let opt = parsed.edns.as_ref().map(|edns| Opt {
        rcode: edns.rcode_high(),
        version: edns.version(),
        payload: edns.max_payload(),
        dnssec_ok: edns.flags().dnssec_ok,
    });
    let (answer, authority) = (lines(&parsed.answers)?, lines(&parsed.authorities)?);
    Ok(Sections { answer, authority, additional: lines(&parsed.additionals)?, opt })
}

fn line(record: &Record) -> Result<String> {
    let kind = wire::type_name(record.record_type().into());
    let (owner, class) = (name(&record.name), record.dns_class);
    Ok(format!("{owner} {} {class} {kind} {}", record.ttl, data(&record.data)?))
}

fn data(data: &RData) -> Result<String> {
    Ok(match data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::CNAME(target) => name(&target.0),
        RData::NS(target) => name(&target.0),
        RData::PTR(target) => name(&target.0),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, name(&srv.target)),
        RData::SOA(soa) => {
            let times = format!("{} {} {} {}", soa.refresh, soa.retry, soa.expire, soa.minimum);
            format!("{} {} * {times}", name(&soa.mname), name(&soa.rname))
        }
        RData::TXT(txt) => txt.txt_data.iter().map(|part| text::quoted(part)).collect::<Vec<_>>().join(" "),
        RData::Unknown { rdata, .. } => text::generic(&rdata.anything),
        other => text::generic(&written(other)?),
    })
}

/// In wire form, of what it has understood.
fn written(data: &RData) -> Result<Vec<u8>> {
    use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
    let mut octets = Vec::new();
    data.emit(&mut BinEncoder::new(&mut octets))?;
    Ok(octets)
}

fn name(name: &Name) -> String {
    text::name(name.iter())
}
