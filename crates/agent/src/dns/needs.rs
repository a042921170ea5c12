//! What a configuration needs of the sources. They are opened once: what is needed later takes a restart.

use std::net::Ipv4Addr;

use config::{Settings, Source};
use dns_config::{Config, Kubernetes, PodNames};
use sources::Kept;
use sources::kubernetes::Pods;

use super::configuration::Origin;
use super::node::origin;
use crate::source::DnsNeeds;

/// What is to be watched and kept for DNS, if it is on.
pub(crate) fn needs(settings: &Settings) -> Option<DnsNeeds> {
    let dns = &settings.towpath.dns;
    let config = || {
        // The Service's address is not known yet, nor does anything here depend on it.
        let origin = Origin { cluster: vec![Ipv4Addr::LOCALHOST.into()], ..origin(dns) };
        origin.read().map(|reading| reading.config).unwrap_or_default()
    };
    dns.is_on().then(|| match settings.towpath.source {
        Source::Kubernetes => of(&config()),
        // Of files all kinds are read.
        Source::Manifests => DnsNeeds { pods: Pods::All, imports: true, ..of(&config()) },
    })
}

/// What a configuration needs.
fn of(config: &Config) -> DnsNeeds {
    let any = |asks: fn(&Kubernetes) -> bool| {
        config.blocks.iter().filter_map(|block| block.kubernetes.as_ref()).any(asks)
    };
    let verified = any(|block| block.pods == PodNames::Verified);
    DnsNeeds {
        pods: if verified { Pods::All } else { Pods::Node },
        imports: any(|block| !block.multicluster.is_empty()),
        kept: Kept {
            dns: true,
            labels: any(|block| block.labels.is_some()),
            pod_names: any(|block| block.endpoint_pod_names),
            zones: any(|block| block.zonal),
        },
    }
}

/// One line about what a configuration needs and the sources, opened for `given`, do not have.
pub(super) fn lacking(config: &Config, given: DnsNeeds) -> Option<String> {
    let needed = of(config);
    let all = [
        ("pods verified", needed.pods == Pods::All && given.pods != Pods::All),
        ("multicluster", needed.imports && !given.imports),
        ("labels", needed.kept.labels && !given.kept.labels),
        ("endpoint_pod_names", needed.kept.pod_names && !given.kept.pod_names),
        ("zonal", needed.kept.zones && !given.kept.zones),
    ];
    let lacking: Vec<&str> = all.into_iter().filter_map(|(option, lacks)| lacks.then_some(option)).collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "{}: what this asks for was not read at the start: needs a restart of towpath",
            lacking.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use dns_config::{SystemEnv, parse, read};

    use super::*;

    fn config(options: &str) -> Config {
        let text = format!(".:53 {{\n kubernetes cluster.local {{\n{options}\n}}\n}}\n");
        read(&parse(&text, "Corefile", &SystemEnv).unwrap(), &SystemEnv).unwrap()
    }

    #[test]
    fn only_what_is_asked_for_is_needed() {
        let least = Kept { dns: true, ..Kept::NOTHING };
        let node = DnsNeeds { pods: Pods::Node, imports: false, kept: least };
        let keeps = |kept| DnsNeeds { kept, ..node };
        for (options, want) in [
            ("", node),
            ("pods insecure", node),
            ("pods verified", DnsNeeds { pods: Pods::All, ..node }),
            ("multicluster cluster.local", DnsNeeds { imports: true, ..node }),
            ("labels app=web", keeps(Kept { labels: true, ..least })),
            ("endpoint_pod_names", keeps(Kept { pod_names: true, ..least })),
            ("zonal", keeps(Kept { zones: true, ..least })),
            ("namespace_labels app=web", node),
        ] {
            assert_eq!(of(&config(options)), want, "{options}");
        }
        assert_eq!(of(&Config::default()), node);
    }

    #[test]
    fn what_was_not_read_at_the_start_needs_a_restart() {
        let all =
            ["pods verified", "multicluster cluster.local", "labels app=web", "endpoint_pod_names", "zonal"];
        let full = config(&all.join("\n"));
        for options in all {
            let (asked, option) = (config(options), options.split(" cluster").next().unwrap_or_default());
            let option = option.split(" app").next().unwrap_or_default();
            let line = lacking(&asked, of(&Config::default())).unwrap();
            assert!(
                line.starts_with(&format!("{option}: ")) && line.ends_with("needs a restart of towpath"),
                "{line}"
            );
            assert_eq!(lacking(&asked, of(&full)), None, "{options}");
            assert_eq!(lacking(&asked, of(&asked)), None, "{options}");
        }
        let line = lacking(&full, of(&Config::default())).unwrap();
        assert!(
            line.starts_with("pods verified, multicluster, labels, endpoint_pod_names, zonal: "),
            "{line}"
        );
        assert_eq!(lacking(&Config::default(), of(&full)), None);
    }
}
