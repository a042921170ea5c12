//! The tests' own tools, which need neither root nor the program.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use dns_config::SystemEnv;
use libtest_mimic::Trial;

use crate::claims;
use crate::compare::{Transport, differences};
use crate::decode;
use crate::table::{Table, Want};
use crate::trial;
use crate::wire::{self, AA, QR, Query, RD};

/// All of them.
pub(crate) fn trials(table: &Arc<Table>) -> Vec<Trial> {
    let test = |name: &str, run: fn(&Table) -> Result<()>| {
        let table = Arc::clone(table);
        trial(format!("harness::{name}"), None, move || run(&table))
    };
    vec![
        test("every_case_has_a_test", claims::complete),
        test("cases_of_other_tests_are_found_there", |_| claims::found_elsewhere()),
        test("profiles_are_read_whole", profiles),
        test("wanted_messages_are_as_wanted", wanted),
        test("differences_are_found", found),
    ]
}

/// No directive of a Corefile here is passed over.
fn profiles(table: &Table) -> Result<()> {
    let mut texts = Vec::new();
    for profile in table.profiles() {
        texts.push(crate::profile::corefile(&table.options(profile)?, "198.18.0.53"));
    }
    let once = vec![crate::abuse::COREFILE, crate::resolver::COREFILE];
    let others = [crate::protocol::corefiles(), crate::scenarios::corefiles(), once].concat();
    texts.extend(others.iter().map(|text| text.replace("@DIR/", "/etc/")));
    for text in texts {
        let file =
            dns_config::parse(&text, "Corefile", &SystemEnv).map_err(|error| anyhow!("{error}\n{text}"))?;
        let config = dns_config::read(&file, &SystemEnv).map_err(|error| anyhow!("{error:?}\n{text}"))?;
        ensure!(config.unsupported.is_empty(), "{:?}\n{text}", config.unsupported);
    }
    Ok(())
}

/// A message of these records, as a server might send it.
fn message(want: &Want, query: &Query) -> Result<Vec<u8>> {
    let sections = [&want.answer, &want.authority, &want.additional].map(|s| s.clone().unwrap_or_default());
    let count = |i: usize| u16::try_from(sections[i].len());
    let aa = if want.aa == Some(true) { AA } else { 0 };
    let rcode = want.rcode.as_deref().map_or(Ok(0), wire::code_number)?;
    let mut out = wire::header(query.id, QR | RD | aa | rcode, [1, count(0)?, count(1)?, count(2)?]);
    out.extend(query.question());
    for line in sections.iter().flatten() {
        out.extend(wire::record(&line.replace(" * ", " 1 "))?);
    }
    Ok(out)
}

/// Every message of the table, written by hand, is read back by both decoders as the table has it.
fn wanted(table: &Table) -> Result<()> {
    for case in &table.cases {
        let query = Query::new(&case.q.name, &case.q.kind)?;
        for want in [Some(&case.want), case.better_want.as_ref()].into_iter().flatten() {
            let reply = decode::read(&message(want, &query)?)?;
            let wrong = differences(&reply, want, Transport::Tcp);
            ensure!(wrong.is_empty(), "{}: {wrong:?}", case.id);
        }
    }
    Ok(())
}

/// A record more, one less, another code: each is seen.
fn found(table: &Table) -> Result<()> {
    for case in table.cases.iter().filter(|case| case.want.answer.as_ref().is_some_and(|a| !a.is_empty())) {
        let query = Query::new(&case.q.name, &case.q.kind)?;
        let mut less = case.want.clone();
        less.answer.iter_mut().for_each(|answer| drop(answer.pop()));
        let mut more = case.want.clone();
        more.answer.iter_mut().for_each(|answer| answer.push("x. 5 IN A 192.0.2.1".to_owned()));
        let other = Want { rcode: Some("REFUSED".to_owned()), ..case.want.clone() };
        let bit = Want { aa: case.want.aa.map(|aa| !aa), ..case.want.clone() };
        for changed in [less, more, other, bit] {
            let reply = decode::read(&message(&changed, &query)?)?;
            ensure!(!differences(&reply, &case.want, Transport::Tcp).is_empty(), "{}: not seen", case.id);
        }
    }
    Ok(())
}
