//! The end of the program, however it comes, while clients ask.

use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

use crate::Test;
use crate::dns::falls::{WHILE, WITHIN, fell_back, was_local};
use crate::dns::load::{By, Load, Record};
use crate::dns::program::{INTERCEPT, await_intercepted, not_intercepted, play};

pub(crate) const TESTS: &[Test] = &[
    Test::new("killed_under_load_coredns_answers_within_two_seconds", killed),
    Test::new("stopped_under_load_coredns_answers_within_two_seconds", stopped),
    Test::new("ended_under_load_no_query_is_lost", ended),
];

/// Queries that nobody answered.
fn unanswered(record: &Record) -> usize {
    record.queries.iter().filter(|(_, by)| *by == By::Nobody).count()
}

/// While the program starts and takes over nothing is lost; connections that are open in that moment are reset.
fn comes_back(stage: &mut crate::stage::Stage) -> Result<()> {
    let load = Load::of_names(stage);
    stage.start()?;
    await_intercepted(stage)?;
    thread::sleep(WHILE);
    for record in load.end()? {
        let (lost, may) = (unanswered(&record), usize::from(record.who.contains("tcp")));
        ensure!(lost <= may, "{}: {lost} queries were lost at the start", record.who);
    }
    Ok(())
}

fn killed() -> Result<()> {
    play(&[INTERCEPT], |stage| {
        let load = Load::of_names(stage);
        thread::sleep(WHILE);
        let then = Instant::now();
        stage.kill()?;
        thread::sleep(WITHIN + WHILE);
        for record in load.end()? {
            was_local(&record, then)?;
            let lost = fell_back(&record, then, WITHIN)?;
            // Where no socket is left the kernel knows at once; one query may have been with the program.
            ensure!(!record.is_pods_udp || lost <= 1, "{}: {lost} queries were lost", record.who);
        }
        not_intercepted(stage)?;
        comes_back(stage)
    })
}

fn stopped() -> Result<()> {
    play(&[INTERCEPT], |stage| {
        let load = Load::of_names(stage);
        thread::sleep(WHILE);
        let then = Instant::now();
        stage.signal(SIGSTOP)?;
        thread::sleep(WITHIN + WHILE);
        let records = load.end()?;
        not_intercepted(stage)?;
        stage.signal(SIGCONT)?;
        for record in records {
            was_local(&record, then)?;
            fell_back(&record, then, WITHIN)?;
        }
        await_intercepted(stage)
    })
}

/// The way of packets first, then the answers that are under way, then the end.
fn ended() -> Result<()> {
    play(&[INTERCEPT], |stage| {
        let load = Load::of_names(stage);
        thread::sleep(WHILE);
        let then = Instant::now();
        stage.stop()?;
        thread::sleep(WHILE);
        for record in load.end()? {
            was_local(&record, then)?;
            let (lost, may) = (unanswered(&record), usize::from(record.who.contains("tcp")));
            ensure!(lost <= may, "{}: {lost} queries were lost", record.who);
            fell_back(&record, then, WITHIN)?;
        }
        not_intercepted(stage)
    })
}
