//! Whatever the text is: no panic, no hang, and messages of one line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use towpath_dns_config::{FixedEnv, HostsFile, KubeDns, Pillars, ResolvConf, parse, read, zones};

/// What a text of this size may take at most, in a debug build on a busy machine.
const AT_MOST: Duration = Duration::from_secs(5);

const WORDS: &[&str] = &[
    "{",
    "}",
    "{}",
    "\"",
    "#",
    "\n",
    "\n",
    "\n",
    " ",
    ".",
    ".:53",
    "10.0.0.0/9",
    "cluster.local",
    "import",
    "(s)",
    "s",
    "x/*",
    "kubernetes",
    "forward",
    "cache",
    "hosts",
    "rewrite",
    "log",
    "errors",
    "acl",
    "dns64",
    "health",
    "reload",
    "bind",
    "k8s_external",
    "autopath",
    "prometheus",
    "success",
    "ttl",
    "30",
    "-1",
    "1h",
    "name",
    "regex",
    "(.*)",
    "{1}",
    "answer",
    "auto",
    "fallthrough",
    "labels",
    "a in (b,c)",
    "{$HOME}",
    "{%X%}",
    "tls://9.9.9.9%a",
    "@kubernetes",
    "__PILLAR__LOCAL__DNS__",
    "view",
    "consolidate",
    "type",
    "net",
    "*",
    "block",
    "/etc/resolv.conf",
    ",",
    "\\",
];

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS), 0..200).prop_map(|words| words.join(" "))
}

/// Corefiles and broken Corefiles.
fn mutated() -> impl Strategy<Value = String> {
    let known = [
        include_str!("data/deployment.corefile"),
        include_str!("data/nodelocal.corefile"),
        include_str!("data/k3s.corefile"),
        include_str!("data/gke-nodelocal.corefile"),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..8);
    (prop::sample::select(known.to_vec()), changes).prop_map(|(text, changes)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, c) in changes {
            *at.get_mut(&mut chars) = c;
        }
        chars.into_iter().collect()
    })
}

fn env() -> FixedEnv {
    FixedEnv::default()
        .with_file("/x/a", "errors\nimport b")
        .with_file("/x/b", "} {")
        .with_var("HOME", "{$HOME} {")
}

fn check(text: &str) {
    let start = Instant::now();
    match parse(text, "/Corefile", &env()) {
        Err(problem) => assert!(!problem.to_string().contains('\n'), "{problem}"),
        Ok(corefile) => match read(&corefile, &env()) {
            Err(problems) => {
                assert!(!problems.0.is_empty() && !problems.to_string().contains('\n'), "{problems}")
            }
            Ok(config) => {
                assert!(config.blocks.iter().all(|block| !block.zones.is_empty()));
                let remarks = config.unsupported.iter().chain(&config.differs);
                remarks.for_each(|remark| assert!(!remark.to_string().contains('\n'), "{remark}"));
            }
        },
    }
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_ends(text in any::<String>()) {
        check(&text);
        let _ = (HostsFile::read(&text), ResolvConf::read(&text), zones(&text));
        KubeDns::read(Some(&text), Some(&text), "cm").ok();
        Pillars::default().fill(&text, "Corefile").ok();
    }

    #[test]
    fn any_words_end(text in words()) {
        check(&text);
        check(&format!(". {{\n{text}\n}}"));
    }

    #[test]
    fn any_broken_corefile_ends(text in mutated()) {
        check(&text);
    }
}

#[test]
fn large_texts_end() {
    let many_zones = "10.0.0.0/9 ";
    for text in [
        many_zones,
        "{",
        "}",
        "\"",
        "a {\n",
        "\n",
        "import x\n",
        "a, ",
        "(s) {\n",
        "a {\n bind 10.0.0.1\n}\n",
    ] {
        check(&text.repeat(20_000));
        check(&format!(". {{\n cache {}\n}}", text.repeat(20_000)));
    }
}
