//! The one way in: a file's text and the flags become settings, or all that is wrong with them.

use serde_json::Value;

use crate::decode::{Decoded, decode};
use crate::documents::{self, Kind};
use crate::flags::{KubeProxyFlags, TowpathFlags, flag_of};
use crate::logging::VModuleItem;
use crate::meaningless::meaningless;
use crate::print::plain;
use crate::problem::{ConfigProblem, Problems};
use crate::proxy::KubeProxyConfiguration;
use crate::strict::Stray;
use crate::towpath::TowpathConfiguration;
use crate::tree::{Entry, Node};
use crate::validate::validate;
use crate::validate_text::advice;

/// Complete and checked settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// kube-proxy's.
    pub proxy: KubeProxyConfiguration,
    /// towpath's own.
    pub towpath: TowpathConfiguration,
    /// What the log should say once, at start; a sentence each.
    pub warnings: Vec<String>,
}

/// Reads settings. `text` is that of the file of `--config`; with `None` the flags alone count.
///
/// With a file, kube-proxy's flags count only as far as [`KubeProxyFlags::override_file`] says, even when the
/// file has only towpath's document. towpath's own flags beat its document.
pub fn load(
    text: Option<&str>,
    proxy: &KubeProxyFlags,
    towpath: &TowpathFlags,
) -> Result<Settings, Problems> {
    let mut problems = proxy.validate();
    let mut settings = match text {
        Some(text) => from_file(text, proxy, &mut problems),
        None => Settings { proxy: proxy.clone().into_configuration(), ..Settings::default() },
    };
    towpath.override_document(&mut settings.towpath);
    let found = validate(&settings.proxy);
    problems.0.extend(if text.is_some() { found.0 } else { in_flags(found) });
    problems.0.extend(settings.towpath.validate().0);
    settings.warnings.extend(warnings(&settings, proxy));
    problems.unless_any(settings)
}

fn from_file(text: &str, flags: &KubeProxyFlags, problems: &mut Problems) -> Settings {
    let mut settings = Settings::default();
    let documents = documents::read(text, problems);
    if let Some(node) = documents.kube_proxy {
        let Decoded { value, strays } = decode(&with_addresses(node), &proxy_schema(), problems);
        settings.proxy = value;
        settings.warnings.extend(lenient(&strays));
    }
    if let Some(node) = documents.towpath {
        let Decoded { value, strays } = decode(&node, &plain(&TowpathConfiguration::default()), problems);
        settings.towpath = value;
        strays.iter().for_each(|stray| problems.add(&stray.path, "", stray.reason()));
    }
    settings.proxy.complete();
    let beaten = flags.override_file(&mut settings.proxy);
    if !beaten.is_empty() {
        let list = beaten.join(", ");
        settings
            .warnings
            .push(format!("--config beats these flags, as in kube-proxy, so they are ignored: {list}"));
    }
    settings
}

/// Names the flags instead of the fields, and each complaint once: one flag may set several fields.
fn in_flags(problems: Problems) -> Vec<ConfigProblem> {
    let mut all: Vec<ConfigProblem> = Vec::new();
    for mut problem in problems.0 {
        if let Some(flag) = flag_of(&problem.field) {
            problem.field = flag.into();
        }
        let seen = |other: &ConfigProblem| other.field == problem.field && other.value == problem.value;
        if !all.iter().any(seen) {
            all.push(problem);
        }
    }
    all
}

/// Addresses that are not given are empty until the family of their default is known.
fn with_addresses(node: Node) -> Node {
    let Node::Map(mut entries) = node else {
        return node;
    };
    for key in ["healthzBindAddress", "metricsBindAddress"] {
        let given = entries.iter().rev().find(|entry| entry.key == key);
        if given.is_none_or(|entry| entry.value == Node::Scalar(Value::Null)) {
            entries.retain(|entry| entry.key != key);
            entries.push(Entry { key: key.into(), line: 0, value: Node::Scalar("".into()) });
        }
    }
    Node::Map(entries)
}

/// Every field, with one item in each list that has fields of its own.
fn proxy_schema() -> Value {
    let mut sample = KubeProxyConfiguration::default();
    sample.logging.vmodule.push(VModuleItem::default());
    plain(&sample)
}

fn lenient(strays: &[Stray]) -> Option<String> {
    let list: Vec<String> = strays.iter().map(Stray::to_string).collect();
    (!list.is_empty()).then(|| {
        let kind = Kind::KubeProxy.name();
        format!(
            "{kind} was read leniently, as kube-proxy does, and this counts for nothing: {}",
            list.join("; ")
        )
    })
}

fn warnings(settings: &Settings, flags: &KubeProxyFlags) -> Vec<String> {
    let mut all = Vec::new();
    let deprecated = flags.deprecated();
    if !deprecated.is_empty() {
        let list = deprecated.join(", ");
        all.push(format!("deprecated: {list}; use --healthz-bind-address and --metrics-bind-address"));
    }
    let idle = meaningless(&settings.proxy).into_iter().chain(flags.ignored.given());
    let idle: Vec<String> = idle.map(|setting| setting.to_string()).collect();
    if !idle.is_empty() {
        all.push(format!("these settings have no meaning in towpath and are ignored: {}", idle.join(", ")));
    }
    all.extend(advice(&settings.proxy));
    all.extend(settings.towpath.advice());
    all
}
