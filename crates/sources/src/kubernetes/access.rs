//! Where the API server is and who we are: a kubeconfig, the service account of a pod, or a bare URL.
//!
//! | kubeconfig | `--master` | service account | used |
//! |---|---|---|---|
//! | yes | no | - | the kubeconfig |
//! | yes | yes | - | the kubeconfig, with that server |
//! | no | yes | yes | that server, with the pod's credentials |
//! | no | yes | no | that server, without credentials |
//! | no | no | yes | the address in the environment of the pod, with its credentials |

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, Kubeconfig, KubeconfigError};

use super::{KubernetesError, Options};

/// Where a pod finds its credentials.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the process finds around it.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) host: Option<String>,
    pub(super) port: Option<String>,
    pub(super) service_account: PathBuf,
}

impl Surroundings {
    /// The real ones.
    pub(super) fn real() -> Self {
        let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            host: given("KUBERNETES_SERVICE_HOST"),
            port: given("KUBERNETES_SERVICE_PORT"),
            service_account: PathBuf::from(SERVICE_ACCOUNT),
        }
    }
}

/// Where to look, whenever the client is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// A kubeconfig file; the URL goes before its own.
    File { path: PathBuf, master: Option<String> },
    /// The credentials of a pod; `cluster_ip`: the address is that of the Service `kubernetes`.
    Pod { url: String, credentials: PathBuf, cluster_ip: bool },
    /// No credentials.
    Plain { url: String },
}

/// What was found there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) config: Config,
    /// What the server's certificate is checked against, for people.
    pub(super) ca: String,
    /// What tells the server who we are, for people.
    pub(super) who: String,
    /// A digest of all files but the token's.
    pub(super) digest: u64,
    /// The file of the token, which is read for each request: kube would take its end of line for a part of it, and
    /// would hold on to a token for a minute that was replaced.
    pub(super) token_file: Option<PathBuf>,
    /// Who we are is told by a program that must be run.
    pub(super) runs_program: bool,
}

impl Access {
    /// Decides where to look.
    pub(super) fn choose(options: &Options, around: &Surroundings) -> Result<Self, KubernetesError> {
        let master = options.master.clone().filter(|url| !url.is_empty()).map(with_scheme);
        if let Some(path) = &options.kubeconfig {
            return Ok(Self::File { path: path.clone(), master });
        }
        let credentials = around.service_account.clone();
        let has_account = credentials.join("token").exists();
        match (master, &around.host) {
            (Some(url), _) if has_account => Ok(Self::Pod { url, credentials, cluster_ip: false }),
            (Some(url), _) => Ok(Self::Plain { url }),
            (None, Some(host)) if has_account => {
                let port = around.port.as_deref().unwrap_or("443");
                let url = format!("https://{}:{port}", in_brackets(host));
                Ok(Self::Pod { url, credentials, cluster_ip: true })
            }
            (None, host) => Err(KubernetesError::NoServer(nowhere(host.is_some(), &credentials))),
        }
    }

    /// Whether the address only works once somebody proxies Services on this node.
    pub(super) fn is_cluster_ip(&self) -> bool {
        matches!(self, Self::Pod { cluster_ip: true, .. })
    }

    /// Reads the files.
    pub(super) fn find(&self) -> Result<Found, KubernetesError> {
        let mut found = self.read()?;
        if found.config.cluster_url.scheme_str() == Some("http") {
            // Else the system's CAs would be read, and a small image may have none.
            found.config.root_cert.get_or_insert_default();
        }
        let user = &mut found.config.auth_info;
        // What goes before a file is kube's to handle.
        if user.auth_provider.is_none() && user.username.is_none() && user.token.is_none() {
            found.token_file = user.token_file.take().map(PathBuf::from);
        }
        Ok(found)
    }

    fn read(&self) -> Result<Found, KubernetesError> {
        match self {
            Self::File { path, master } => from_file(path, master.as_deref()),
            Self::Pod { url, credentials, .. } => from_pod(url, credentials),
            Self::Plain { url } => {
                let config = Config::new(uri(url)?);
                let (ca, who) = ("the system's CAs".into(), "no credentials".into());
                Ok(Found { config, ca, who, digest: 0, token_file: None, runs_program: false })
            }
        }
    }
}

fn nowhere(has_host: bool, credentials: &Path) -> String {
    let missing = if has_host {
        format!("{} has no token", credentials.display())
    } else {
        "KUBERNETES_SERVICE_HOST is not set".to_owned()
    };
    format!(
        "it is not known where the API server is: no kubeconfig and no --master is given, and this is no pod with a \
         service account ({missing}); give --kubeconfig or --master"
    )
}

/// As kubectl takes it: a bare `host:port` is one without TLS.
fn with_scheme(url: String) -> String {
    if url.contains("://") { url } else { format!("http://{url}") }
}

fn in_brackets(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

fn uri(url: &str) -> Result<http::Uri, KubernetesError> {
    if url.contains('@') {
        let (what, why) = ("the server's URL".into(), IN_URL.into());
        return Err(KubernetesError::Credentials { what, why });
    }
    let error = |why: String| KubernetesError::Credentials { what: format!("the server's URL {url:?}"), why };
    let uri: http::Uri = url.parse().map_err(|e: http::uri::InvalidUri| error(e.to_string()))?;
    if uri.host().is_none_or(str::is_empty) || !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(error("give http://HOST:PORT or https://HOST:PORT".into()));
    }
    Ok(uri)
}

/// A URL is shown in the log, on pages and in errors, and by every library on the way.
const IN_URL: &str =
    "it has a user or a password: leave them out of the URL, and give them as the kubeconfig's user";

fn from_file(path: &Path, master: Option<&str>) -> Result<Found, KubernetesError> {
    let error = |why: String| KubernetesError::Credentials {
        what: format!("kubeconfig {}", path.display()),
        why: one_line(&why),
    };
    // Relative paths in it become relative to it.
    let mut kubeconfig = Kubeconfig::read_from(path).map_err(|e| error(kubeconfig_text(&e)))?;
    if let Some(master) = master {
        uri(master)?;
        let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
        clusters.for_each(|cluster| cluster.server = Some(master.to_owned()));
    }
    let mut digest = DefaultHasher::new();
    files_of(&kubeconfig).iter().chain([&path.to_owned()]).for_each(|file| read_digest(file, &mut digest));
    let proxied =
        kubeconfig.clusters.iter().any(|c| c.cluster.as_ref().is_some_and(|c| c.proxy_url.is_some()));
    let ca = ca_of(&kubeconfig);
    let config = Config::try_from(kubeconfig).map_err(|e| error(kubeconfig_text(&e)))?;
    if config.cluster_url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(error(format!("the server's URL: {IN_URL}")));
    }
    if proxied {
        return Err(error("proxy-url is not supported: give the server's own address".into()));
    }
    let who = who_is(&config.auth_info, path);
    let runs_program = config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some();
    Ok(Found {
        config,
        ca: ca.unwrap_or_else(|| format!("the CA in {}", path.display())),
        who,
        digest: digest.finish(),
        token_file: None,
        runs_program,
    })
}

/// What is wrong with a kubeconfig. Of one that cannot be parsed only the place: the parser would show the lines around it,
/// and tokens are in such lines.
fn kubeconfig_text(error: &KubeconfigError) -> String {
    let KubeconfigError::Parse(why) = error else { return error.to_string() };
    let place = why.location().map_or("somewhere".into(), |at| {
        let (line, column) = (at.line(), at.column());
        format!("line {line}, column {column}")
    });
    format!("failed to parse kubeconfig YAML: {place}: this is no YAML, or not what belongs there")
}

/// The files that a kubeconfig names and that are read only when the client is made.
fn files_of(kubeconfig: &Kubeconfig) -> Vec<PathBuf> {
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    let of_clusters = clusters.filter_map(|cluster| cluster.certificate_authority.as_ref());
    let of_users =
        users.flat_map(|user| [user.client_certificate.as_ref(), user.client_key.as_ref()]).flatten();
    of_clusters.chain(of_users).map(PathBuf::from).collect()
}

fn ca_of(kubeconfig: &Kubeconfig) -> Option<String> {
    let context = kubeconfig.current_context.as_ref()?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == *context)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?.cluster.as_ref()?;
    match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(_), _) => None,
        (None, Some(file)) => Some(format!("the CA in {file}")),
        (None, None) => Some("the system's CAs".to_owned()),
    }
}

fn who_is(user: &AuthInfo, path: &Path) -> String {
    match user {
        AuthInfo { token: Some(_), .. } => format!("the token in {}", path.display()),
        AuthInfo { token_file: Some(file), .. } => format!("the token in {file}"),
        AuthInfo { exec: Some(exec), .. } => {
            format!("the answer of {}", exec.command.as_deref().unwrap_or("the exec plugin"))
        }
        AuthInfo { client_certificate: Some(file), .. } => format!("the certificate in {file}"),
        _ => format!("the user in {}", path.display()),
    }
}

fn from_pod(url: &str, credentials: &Path) -> Result<Found, KubernetesError> {
    let (ca, token) = (credentials.join("ca.crt"), credentials.join("token"));
    let error = |file: &Path, why: std::io::Error| KubernetesError::Credentials {
        what: "the pod's service account".into(),
        why: format!("cannot read {}: {why}", file.display()),
    };
    for file in [&ca, &token] {
        std::fs::File::open(file).map_err(|why| error(file, why))?;
    }
    let mut config = Config::new(uri(url)?);
    // The bytes are not used: the file is read, now and again each minute.
    config.root_cert = Some(Vec::new());
    config.root_cert_file = Some(ca.clone());
    config.auth_info.token_file = Some(token.display().to_string());
    let mut digest = DefaultHasher::new();
    read_digest(&ca, &mut digest);
    Ok(Found {
        config,
        ca: format!("the CA in {}", ca.display()),
        who: format!("the token in {}", token.display()),
        digest: digest.finish(),
        token_file: None,
        runs_program: false,
    })
}

fn read_digest(file: &Path, into: &mut DefaultHasher) {
    std::fs::read(file).ok().hash(into);
}

/// Errors of parsers may have many lines.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
