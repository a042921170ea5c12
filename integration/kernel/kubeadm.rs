//! An operator of a kubeadm cluster swaps the image of the kube-proxy DaemonSet: the ConfigMap, the command line and the
//! mounts stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver::Options;
use model::Protocol::Tcp;
use testkit::scene::{NODE_NAME, Scene};
use testkit::scratch::Scratch;
use testkit::wait;
use testkit::world::World;

use crate::Test;
use crate::agent::program;
use crate::case::evidence;
use crate::cluster::{Cluster, TOKEN};
use crate::http;
use crate::lifecycle::POD;
use crate::packets::{ANSWER, answer};
use crate::scenes::SMALL;
use crate::stage::{NODE, ip, socket};

pub(crate) const TESTS: &[Test] =
    &[Test::new("the_swapped_image_starts_with_configmap_and_command_line", swapped_image)];

/// `config.conf` of the ConfigMap `kube-system/kube-proxy`, as kubeadm writes it.
const CONFIG: &str = include_str!("../../crates/config/tests/data/kubeadm-config.conf");

/// `kubeconfig.conf` of the same ConfigMap.
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://192.168.0.2:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
";

/// What the kubelet and the container runtime do, in a mount namespace: the ConfigMap with its links, the service
/// account, the program under the name that the DaemonSet's command has.
const CONTAINER: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs none /var/lib
mkdir -p /var/lib/kube-proxy/..2026_11_21
cp "$FILES"/config.conf "$FILES"/kubeconfig.conf /var/lib/kube-proxy/..2026_11_21/
cd /var/lib/kube-proxy
ln -s ..2026_11_21 ..data
ln -s ..data/config.conf config.conf
ln -s ..data/kubeconfig.conf kubeconfig.conf
mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$FILES"/ca.crt "$FILES"/token /run/secrets/kubernetes.io/serviceaccount/
mount -t tmpfs none /usr/local/bin
cp "$PROGRAM" /usr/local/bin/kube-proxy
cd /
exec /usr/local/bin/kube-proxy --config=/var/lib/kube-proxy/config.conf --hostname-override="$NODE_NAME"
"#;

fn swapped_image() -> Result<()> {
    let scene = Scene::parse(SMALL)?;
    let mut layout = scene.layout();
    layout.hosts.insert(ip(POD)?);
    let (world, scratch) = (World::new(&layout)?, Scratch::new()?);
    let listen = vec![format!("{NODE}:6443").parse().context("the server's address")?];
    let options = Options { listen, system_objects: false, ..Options::secure(TOKEN) };
    let mut cluster = Cluster::start_with(world.node(), scratch.path(), options)?;
    cluster.publish(&scene.manifest())?;
    fs::write(scratch.path().join("config.conf"), CONFIG)?;
    fs::write(scratch.path().join("kubeconfig.conf"), KUBECONFIG)?;
    let log = scratch.path().join("towpath.log");
    let mut container = world.node().spawn(container(scratch.path(), &log)?)?;
    let served = wait::until("traffic", Duration::from_secs(15), || {
        ensure!(container.exited()?.is_none(), "the program ended");
        let outcome = world.probe(ip(POD)?, socket("10.96.0.10:80")?, Tcp, ANSWER)?;
        Ok(answer(&outcome).ok())
    });
    served.with_context(|| evidence(&world, &log))?;
    let pages = ["/healthz", "/livez", "/readyz"].map(|path| (10256, path));
    for (port, path) in
        pages.into_iter().chain([(10249, "/metrics"), (10249, "/proxyMode"), (10249, "/configz")])
    {
        let page = http::get(world.node(), socket(&format!("127.0.0.1:{port}"))?, path)?;
        let page = page.with_context(|| format!("nobody serves {path}"))?;
        ensure!(page.status == 200, "{path}: {} {}", page.status, page.body);
    }
    let text = fs::read_to_string(&log)?;
    let bad: Vec<&str> =
        text.lines().filter(|line| line.contains("unknown") || line.contains("ERROR")).collect();
    ensure!(bad.is_empty(), "the log has {bad:#?}");
    Ok(())
}

fn container(files: &Path, log: &Path) -> Result<Command> {
    let output = fs::File::create(log).context("making the log file")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", CONTAINER]);
    command.env("FILES", files).env("PROGRAM", program()?).env("NODE_NAME", NODE_NAME);
    command.stdout(output.try_clone()?).stderr(output);
    Ok(command)
}
