//! `towpath migrate --check`: what would behave otherwise with towpath in kube-proxy's place.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::{KubeProxyConfiguration, ProxyMode, Settings, TowpathFlags};
use model::{Change, Store, Touched};
use resolve::Mode;
use sources::kubernetes::{Kubernetes, Limits, Options};
use sources::{Manifests, stop_pair};

use crate::cli::MigrateArgs;
use crate::settings::load;

/// What no object of the cluster is named: none is seen as this node's.
const NOBODY: &str = "";

/// How long a cluster may take to tell its Services.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one answer may take.
const ONE_ANSWER: Duration = Duration::from_secs(10);
/// The exit code when nothing could be compared; 1 says that something breaks.
const NOT_COMPARED: u8 = 2;

/// Prints the report, or why there is none. The exit code is 1 when something breaks.
pub(crate) fn migrate(args: &MigrateArgs) -> ExitCode {
    match compare(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("towpath: {}", crate::in_one_line(&error));
            ExitCode::from(NOT_COMPARED)
        }
    }
}

fn compare(args: &MigrateArgs) -> Result<ExitCode> {
    let settings = configuration(args)?;
    let store = objects(args)?;
    let target = args.to.unwrap_or_else(|| target(&settings.proxy));
    let report = ::migrate::check(&settings.proxy, target, &store);
    let text = if args.output == "json" { report.json() + "\n" } else { report.text() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(u8::from(report.breaks())))
}

/// The mode that towpath would run in with this configuration. One that is left open is compared with nftables, since
/// that is what most nodes take.
fn target(config: &KubeProxyConfiguration) -> Mode {
    match config.proxy_mode() {
        Some(ProxyMode::Iptables) => Mode::Iptables,
        Some(ProxyMode::Ipvs) => Mode::Ipvs,
        Some(ProxyMode::Nftables) | None => Mode::Nftables,
    }
}

/// kube-proxy's configuration: of the file, of the flags, or of the cluster's ConfigMap.
fn configuration(args: &MigrateArgs) -> Result<Settings> {
    let text = match &args.proxy.config {
        Some(path) => Some(crate::settings::read(path)?),
        None if args.manifests.is_some() => None,
        None => Some(config_map(args)?),
    };
    load(&args.proxy, &TowpathFlags::default(), text.as_deref())
}

/// The text of the file in the cluster's ConfigMap.
fn config_map(args: &MigrateArgs) -> Result<String> {
    let name = &args.configmap;
    let (namespace, object) = name.split_once('/').context("--configmap: write NAMESPACE/NAME")?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{object}");
    let map = sources::kubernetes::get(options(args), &path).with_context(|| {
        format!("kube-proxy's ConfigMap {name} (--configmap names another, --config a file)")
    })?;
    let data = map["data"].as_object().with_context(|| format!("ConfigMap {name} has no data"))?;
    let is_ours = |text: &&str| text.contains("KubeProxyConfiguration");
    let found = data.values().filter_map(|value| value.as_str()).find(is_ours);
    found.map(str::to_owned).with_context(|| format!("ConfigMap {name} has no KubeProxyConfiguration"))
}

/// Services, slices and ServiceCIDRs: of manifests, or of the cluster.
fn objects(args: &MigrateArgs) -> Result<Store> {
    let mut store = Store::new(NOBODY);
    let mut touched = Touched::default();
    if let Some(path) = &args.manifests {
        Manifests::open(path)?.load(&mut |change| {
            store.apply(change, &mut touched);
            true
        })?;
        return Ok(store);
    }
    let (stopper, stop) = stop_pair()?;
    // Ends with the process, if nobody needs it.
    thread::spawn(move || {
        thread::sleep(PATIENCE);
        stopper.stop();
    });
    let (mut complete, mut refused) = (false, false);
    let mut sink = |change: Change| {
        complete |= matches!(change, Change::Synced(_));
        if let Change::Problem(problem) = &change {
            eprintln!("towpath: {}", admin::in_one_line(&problem.to_string()));
            refused |= problem.message.contains(" 401 ") || problem.message.contains(" 403 ");
        }
        store.apply(change, &mut touched);
        !complete && !refused
    };
    // Ends when the sink wants no more: after the first list, or when it is clear that there will be none.
    let ended = Kubernetes::open(options(args))?.run(&stop, &mut sink);
    match (complete, refused) {
        (true, _) => Ok(store),
        (false, true) => bail!("the cluster does not let this user list what is compared"),
        (false, false) => {
            ended?;
            bail!("the cluster's Services were not listed within {PATIENCE:?}")
        }
    }
}

/// As kubectl finds a cluster: the flag, the environment, the home directory; then as a pod does.
fn options(args: &MigrateArgs) -> Options {
    let given = args.proxy.kubeconfig.clone();
    let of_environment = || std::env::var_os("KUBECONFIG").map(PathBuf::from);
    let of_home =
        || Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config")).filter(|p| p.exists());
    // A person waits for it.
    let limits = Limits { answer: ONE_ANSWER, ..Limits::default() };
    Options {
        limits,
        kubeconfig: given.or_else(of_environment).or_else(of_home),
        master: args.proxy.master.clone(),
        headless: true,
        ..Options::new(NOBODY)
    }
}
