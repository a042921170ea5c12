//! A server that is started on a thread in a network namespace serves there. Ignored without root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::sched::{CloneFlags, unshare};
use support::get;
use towpath_apiserver::{Options, Server};

/// A server in a new namespace, asked from within and from without.
fn serves_in_the_namespace_of_its_thread() -> Result<Completion, Failed> {
    let inside = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        let server = Server::start(Options::default()).unwrap();
        assert_eq!(get(server.address(), "/healthz").status(), 200);
        // Listening again is done on the server's own thread.
        server.faults().refuse(true);
        server.faults().refuse(false);
        assert_eq!(get(server.address(), "/healthz").status(), 200);
        Some(server)
    });
    let Some(server) = inside.join().unwrap() else {
        return Ok(Completion::ignored_with("a network namespace needs root"));
    };
    let address: SocketAddr = server.address();
    assert!(TcpStream::connect(address).is_err(), "it serves outside of the namespace, too");
    Ok(Completion::Completed)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial =
        Trial::ignorable_test("serves_in_the_namespace_of_its_thread", serves_in_the_namespace_of_its_thread);
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}
