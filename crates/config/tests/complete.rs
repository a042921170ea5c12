//! No flag is forgotten: each changes the settings, or is on a list here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::{CommandFactory, Parser};
use towpath_config::{KubeProxyFlags, TowpathConfiguration, TowpathFlags};

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    proxy: KubeProxyFlags,
}

#[derive(Debug, Parser)]
struct Towpath {
    #[command(flatten)]
    flags: TowpathFlags,
}

/// One of these is a value of each flag, and not its default.
const VALUES: &[&str] = &[
    "true",
    "false",
    "0",
    "7",
    "7s",
    "1.1.1.1",
    "1.1.1.1:7",
    "2001:db8::7",
    "A=true",
    "a=7",
    "manifests",
    "legacy",
    "x",
];
/// They say what to do, not how.
const ACTIONS: &[&str] = &["config", "write-config-to", "cleanup", "init-only", "master", "help"];
/// They beat a file.
const BEAT_A_FILE: &[&str] = &["hostname-override", "v", "vmodule", "logging-format"];

fn names<C: CommandFactory>() -> Vec<String> {
    C::command().get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

fn parse_all<C: Parser>(name: &str, base: &str) -> Vec<C> {
    let lines = VALUES.iter().map(|value| format!("x {base} --{name}={value}"));
    lines.filter_map(|line| C::try_parse_from(line.split_whitespace()).ok()).collect()
}

#[test]
fn each_flag_of_kube_proxy() {
    let base =
        |mode: &str| Cli::parse_from(format!("x {mode}").split_whitespace()).proxy.into_configuration();
    for name in names::<Cli>().iter().filter(|name| !ACTIONS.contains(&name.as_str())) {
        let changes = |mode: &str| {
            parse_all::<Cli>(name, mode).into_iter().any(|cli| cli.proxy.into_configuration() != base(mode))
        };
        let is_ignored = parse_all::<Cli>(name, "").iter().any(|cli| cli.proxy.ignored != Default::default());
        let has_effect = changes("") || changes("--proxy-mode=ipvs");
        assert!(has_effect != is_ignored, "--{name} is forgotten");

        let beats = BEAT_A_FILE.contains(&name.as_str()) || name.starts_with("log-") && !is_ignored;
        let beaten = parse_all::<Cli>(name, "")
            .iter()
            .any(|cli| cli.proxy.override_file(&mut Default::default()) == [format!("--{name}")]);
        assert!(beaten || beats || is_ignored, "--{name} and a file");
        assert!(!(beaten && beats), "--{name} and a file");
    }
}

#[test]
fn each_flag_of_towpath() {
    for name in names::<Towpath>().iter().filter(|name| *name != "help") {
        let mut all = parse_all::<Towpath>(name, "").into_iter();
        let changes = all.any(|towpath| {
            let mut config = TowpathConfiguration::default();
            towpath.flags.override_document(&mut config);
            config != TowpathConfiguration::default()
        });
        assert!(changes, "--{name} is forgotten");
    }
}
