//! What `domain` reads.

use anyhow::{Context, Result, ensure};
use domain::base::iana::Rtype;
use domain::base::message::RecordSection;
use domain::base::name::ToName;
use domain::base::opt::UnknownOptData;
use domain::base::{Message, ParsedName, ParsedRecord, UnknownRecordData};
use domain::rdata::AllRecordData;

use super::{Opt, Sections, text};
use crate::wire;

/// All that only it is asked for.
#[derive(Default)]
pub(super) struct Read {
    pub(super) sections: Sections,
    pub(super) options: Vec<(u16, Vec<u8>)>,
    pub(super) serials: Vec<u32>,
}

type Data<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;

/// Reads everything; octets after the last record are an error.
pub(super) fn read(message: &[u8]) -> Result<Read> {
    let parsed = Message::from_octets(message)?;
    let mut read = Read::default();
    read.sections.answer = lines(&mut parsed.answer()?, &mut read.serials)?;
    read.sections.authority = lines(&mut parsed.authority()?, &mut read.serials)?;
    let mut additional = parsed.additional()?;
    read.sections.additional = lines(&mut additional, &mut read.serials)?;
    ensure!(
        additional.pos() == message.len(),
        "{} octets after the last record",
        message.len() - additional.pos()
    );
    if let Some(opt) = parsed.opt() {
        let rcode = u8::try_from(opt.rcode(parsed.header()).to_int() >> 4)?;
        let (version, payload) = (opt.version(), opt.udp_payload_size());
        read.sections.opt = Some(Opt { rcode, version, payload, dnssec_ok: opt.dnssec_ok() });
        for option in opt.opt().iter::<UnknownOptData<_>>() {
            let option = option?;
            read.options.push((option.code().to_int(), option.data().to_vec()));
        }
    }
    Ok(read)
}

fn lines(section: &mut RecordSection<'_, &[u8]>, serials: &mut Vec<u32>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for record in section {
        let record = record?;
        if record.rtype() != Rtype::OPT {
            lines.push(line(&record, serials)?);
        }
    }
    Ok(lines)
}

fn line(record: &ParsedRecord<'_, &[u8]>, serials: &mut Vec<u32>) -> Result<String> {
    let owner = name(&record.owner());
    let (ttl, class) = (record.ttl().as_secs(), record.class());
    let kind = wire::type_name(record.rtype().to_int());
    Ok(format!("{owner} {ttl} {class} {kind} {}", data(record, serials)?))
}

fn data(record: &ParsedRecord<'_, &[u8]>, serials: &mut Vec<u32>) -> Result<String> {
    let known = record.to_any_record::<Data<'_>>()?;
    Ok(match known.data() {
        AllRecordData::A(address) => address.addr().to_string(),
        AllRecordData::Aaaa(address) => address.addr().to_string(),
        AllRecordData::Cname(target) => name(target.cname()),
        AllRecordData::Ns(target) => name(target.nsdname()),
        AllRecordData::Ptr(target) => name(target.ptrdname()),
        AllRecordData::Srv(srv) => {
            format!("{} {} {} {}", srv.priority(), srv.weight(), srv.port(), name(srv.target()))
        }
        AllRecordData::Soa(soa) => {
            serials.push(soa.serial().into_int());
            let times = [soa.refresh(), soa.retry(), soa.expire(), soa.minimum()];
            let times = times.map(|time| time.as_secs().to_string()).join(" ");
            format!("{} {} * {times}", name(soa.mname()), name(soa.rname()))
        }
        AllRecordData::Txt(txt) => txt.iter().map(text::quoted).collect::<Vec<_>>().join(" "),
        _ => raw(record)?,
    })
}

fn raw(record: &ParsedRecord<'_, &[u8]>) -> Result<String> {
    let unknown = record.to_record::<UnknownRecordData<&[u8]>>()?.context("a record without data")?;
    Ok(text::generic(unknown.data().data()))
}

fn name(name: &impl ToName) -> String {
    let labels: Vec<_> = name.iter_labels().map(|label| label.as_slice().to_vec()).collect();
    text::name(labels.iter().map(Vec::as_slice))
}
