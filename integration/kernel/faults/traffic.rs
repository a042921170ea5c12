//! Connections of a pod through a ClusterIP, several each 10 ms, all the while. Each must be answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::WEB;
use crate::lifecycle::POD;
use crate::packets::ANSWER;
use crate::stage::{Stage, ip, socket};

/// Between two connections of one client.
const PAUSE: Duration = Duration::from_millis(4);
const CLIENTS: usize = 2;
/// At least so many in a second, on a busy machine.
const LEAST: f64 = 50.0;

#[derive(Default)]
struct Tally {
    answered: usize,
    lost: Vec<String>,
}

/// Does something while connections are made.
pub(super) fn during(stage: &mut Stage, act: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let (world, stop, to) = (Arc::clone(&stage.world), Arc::new(AtomicBool::new(false)), socket(WEB)?);
    let (told, from, since) = (Arc::clone(&stop), ip(POD)?, Instant::now());
    let client = thread::spawn(move || {
        world.namespace(from).run(|| {
            thread::scope(|scope| {
                let clients = [(); CLIENTS].map(|()| scope.spawn(|| ask_on(to, &told, since)));
                clients.map(|client| client.join().map_err(|_| "a client panicked"))
            })
        })
    });
    let acted = act(stage);
    stop.store(true, Ordering::Relaxed);
    let tallies = client.join().map_err(|_| anyhow!("the clients panicked"))??;
    acted.and(tallies.into_iter().try_for_each(|tally| judge(&tally.map_err(|e| anyhow!(e))?, since)))
}

fn judge(tally: &Tally, since: Instant) -> Result<()> {
    ensure!(tally.lost.is_empty(), "{} of {} lost: {:#?}", tally.lost.len(), tally.answered, tally.lost);
    let least = LEAST / CLIENTS as f64 * since.elapsed().as_secs_f64();
    ensure!(tally.answered as f64 > least, "only {} connections, want {least}", tally.answered);
    Ok(())
}

fn ask_on(to: SocketAddr, stop: &AtomicBool, since: Instant) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        match ask(to) {
            Ok(()) => tally.answered += 1,
            Err(error) => tally.lost.push(format!("after {:?}: {error}", since.elapsed())),
        }
        thread::sleep(PAUSE);
    }
    tally
}

/// One connection, with data both ways.
fn ask(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
