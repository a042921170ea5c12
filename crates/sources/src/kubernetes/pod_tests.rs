//! From inside a pod: the credentials and the address that it finds.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use apiserver::Server;

use super::*;
use crate::stop_pair;

fn around(directory: &Path, port: u16) -> Surroundings {
    Surroundings {
        host: Some("127.0.0.1".into()),
        port: Some(port.to_string()),
        service_account: directory.to_owned(),
    }
}

/// Runs until a change fits.
fn run_until(source: Kubernetes, fits: impl Fn(&Change) -> bool) -> Change {
    let ((stopper, stop), (sender, changes)) = (stop_pair().unwrap(), channel());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| source.run(&stop, &mut |change| sender.send(change).is_ok()));
        let found = loop {
            let change = changes.recv_timeout(Duration::from_secs(20)).unwrap();
            if fits(&change) {
                break change;
            }
        };
        stopper.stop();
        running.join().unwrap().unwrap();
        found
    })
}

#[test]
fn the_credentials_of_a_pod() {
    let directory = std::env::temp_dir().join(format!("towpath-pod-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let server = Server::start(apiserver::Options::secure("t")).unwrap();
    fs::write(directory.join("token"), "t").unwrap();
    fs::write(directory.join("ca.crt"), "none").unwrap();
    let port = server.address().port();
    let open = |port| Kubernetes::open_in(Options::new("node-a"), &around(&directory, port));
    let error = open(port).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the CA in {}/ca.crt: ", directory.display())), "{error}");

    fs::write(directory.join("ca.crt"), server.tls().unwrap().ca_pem()).unwrap();
    run_until(open(port).unwrap(), |change| *change == Change::Synced(Kubernetes::NAME));

    server.faults().refuse(true);
    let told = run_until(open(port).unwrap(), |change| matches!(change, Change::Problem(_)));
    let Change::Problem(problem) = told else { panic!("{told:?}") };
    assert!(problem.message.contains("Connection refused"), "{problem}");
    assert!(problem.message.contains("this address is a ClusterIP, which works only once"), "{problem}");
    fs::remove_dir_all(directory).unwrap();
}
