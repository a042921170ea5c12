//! The API server for tests as a program: by hand, or for tests in a network namespace.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use apiserver::{Options, Server};
use clap::Parser;

use towpath_apiserver as apiserver;

/// An API server for tests, in memory: never for a cluster.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; may be given several times.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// A listener for /_test/ that no fault touches.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Serve HTTPS.
    #[arg(long)]
    tls: bool,
    /// A name or address for the certificate.
    #[arg(long)]
    name: Vec<String>,
    /// Write a kubeconfig.
    #[arg(long)]
    kubeconfig_out: Option<PathBuf>,
    /// A bearer token to let in; without any, everybody is.
    #[arg(long)]
    token: Vec<String>,
    /// Manifests to begin with: a file or a directory.
    #[arg(long)]
    load: Vec<PathBuf>,
    /// So many Services to begin with.
    #[arg(long, default_value_t = 0)]
    services: usize,
    /// So many endpoints for each of them.
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// A resource that is not served.
    #[arg(long)]
    without: Vec<String>,
    /// Give objects managed fields, as real servers do.
    #[arg(long)]
    bulky_managed_fields: bool,
    /// A range of cluster IPs; may be given twice, the primary family first.
    #[arg(long)]
    service_cidr: Vec<String>,
    /// Begin with the Service default/kubernetes.
    #[arg(long)]
    kubernetes_service: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = Server::start(options(&arguments))?;
    for path in &arguments.load {
        server.store().load(path)?;
    }
    if arguments.services > 0 {
        server.store().generate(arguments.services, arguments.endpoints)?;
    }
    if let Some(path) = &arguments.kubeconfig_out {
        server.kubeconfig().write(path)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", server.url())?;
    if let Some(control) = server.control_address() {
        writeln!(out, "control http://{control}")?;
    }
    out.flush()?;
    loop {
        std::thread::park();
    }
}

fn options(arguments: &Arguments) -> Options {
    let mut options = Options {
        listen: arguments.listen.clone(),
        control: arguments.control,
        tls: arguments.tls,
        names: arguments.name.clone(),
        tokens: arguments.token.clone(),
        bulky_managed_fields: arguments.bulky_managed_fields,
        kubernetes_service: arguments.kubernetes_service,
        ..Options::default()
    };
    options.without.extend(arguments.without.iter().cloned());
    if !arguments.service_cidr.is_empty() {
        options.service_cidrs.clone_from(&arguments.service_cidr);
    }
    options
}
