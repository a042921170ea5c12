//! Messages read by two decoders that are not ours, and plain values to compare.

#![allow(dead_code, clippy::unwrap_used, reason = "not every test uses all of it; a test fails by panicking")]

use domain::base::message::Message;
use domain::base::name::ToLabelIter;
use domain::base::rdata::ComposeRecordData;
use domain::base::{ParsedName, ToName};
use domain::rdata::AllRecordData;
use hickory_proto::rr::{Name as HickoryName, Record as HickoryRecord};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

/// A message without any compression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    pub id: u16,
    /// Without the response code.
    pub flags: u16,
    /// With the upper bits of the OPT record.
    pub rcode: u16,
    pub question: Option<(Vec<u8>, u16, u16)>,
    pub sections: [Vec<PlainRecord>; 3],
    /// Payload, version, DO.
    pub opt: Option<(u16, u8, bool)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRecord {
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: Vec<u8>,
}

/// Read by both decoders, which must agree.
pub fn decode(message: &[u8]) -> Plain {
    let (one, other) = (by_domain(message), by_hickory(message));
    assert_eq!(one, other, "the decoders do not agree");
    one
}

pub fn by_domain(octets: &[u8]) -> Plain {
    let message = Message::from_octets(octets).unwrap();
    let mut plain = Plain { id: message.header().id(), ..Plain::default() };
    plain.flags = u16::from_be_bytes([octets[2], octets[3]]) & !0xf;
    plain.rcode = message.opt_rcode().to_int();
    if let Ok(question) = message.sole_question() {
        plain.question =
            Some((wire(question.qname()), question.qtype().to_int(), question.qclass().to_int()));
    }
    let (_, answer, authority, additional) = message.sections().unwrap();
    for (list, section) in plain.sections.iter_mut().zip([answer, authority, additional]) {
        *list = section
            .map(|record| domain_record(&record.unwrap()))
            .filter(|record| record.rtype != 41)
            .collect();
    }
    plain.opt = message.opt().map(|opt| (opt.udp_payload_size(), opt.version(), opt.dnssec_ok()));
    plain
}

fn domain_record(record: &domain::base::ParsedRecord<'_, &[u8]>) -> PlainRecord {
    let (rtype, class) = (record.rtype().to_int(), record.class().to_int());
    let whole = record.to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>().unwrap();
    let mut data = Vec::new();
    whole.data().compose_rdata(&mut data).unwrap();
    PlainRecord { owner: wire(&record.owner()), rtype, class, ttl: record.ttl().as_secs(), data }
}

fn wire<N: ToName + ToLabelIter>(name: &N) -> Vec<u8> {
    let mut octets = Vec::new();
    name.iter_labels().for_each(|label| label.compose(&mut octets).unwrap());
    octets
}

pub fn by_hickory(octets: &[u8]) -> Plain {
    let message = hickory_proto::op::Message::from_vec(octets).unwrap();
    let mut plain = Plain { id: message.metadata.id, ..Plain::default() };
    plain.flags = u16::from_be_bytes([octets[2], octets[3]]) & !0xf;
    plain.rcode = message.metadata.response_code.into();
    if let [question] = &message.queries[..] {
        let (qtype, qclass) = (question.query_type.into(), question.query_class.into());
        plain.question = Some((hickory_name(&question.name), qtype, qclass));
    }
    let sections = [&message.answers, &message.authorities, &message.additionals];
    for (list, section) in plain.sections.iter_mut().zip(sections) {
        *list = section.iter().map(hickory_record).collect();
    }
    plain.opt =
        message.edns.as_ref().map(|edns| (edns.max_payload(), edns.version(), edns.flags().dnssec_ok));
    plain
}

fn hickory_name(name: &HickoryName) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.iter() {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets
}

fn hickory_record(record: &HickoryRecord) -> PlainRecord {
    let mut data = Vec::new();
    let mut encoder = BinEncoder::new(&mut data);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.data.emit(&mut encoder).unwrap();
    PlainRecord {
        owner: hickory_name(&record.name),
        rtype: record.record_type().into(),
        class: record.dns_class.into(),
        ttl: record.ttl,
        data,
    }
}

/// A name of a text.
pub fn name(text: &str) -> towpath_dns_wire::Name {
    text.parse().unwrap()
}

/// A query with ID 0x1234 and RD; `edns` is the payload of the OPT record.
pub fn query(text: &str, qtype: u16, edns: Option<u16>) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    octets.extend_from_slice(name(text).wire());
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets.extend_from_slice(&edns.map(opt).unwrap_or_default());
    octets
}

/// An OPT record without options.
pub fn opt(payload: u16) -> Vec<u8> {
    let [high, low] = payload.to_be_bytes();
    vec![0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]
}
