//! Which test programs run in a virtual machine, and why there.

use std::fmt::Write as _;

/// A test program, with what is handed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The package that has it.
    pub package: String,
    /// `lib`, or the name of an integration test.
    pub target: String,
    /// Which of its tests, in the words of libtest.
    pub arguments: Vec<String>,
    /// What the machine has that this one may lack.
    pub why: &'static str,
    /// About how long it takes, in seconds: two machines share the work by that.
    pub seconds: u32,
    /// A measurement of `towpath-bench`: it has no tests, and what it prints is the result.
    pub measures: bool,
    /// Tests that fail by the emulator's slowness alone, each with the reason: they are left out and counted as
    /// ignored. A name here leaves out every test whose name contains it.
    pub too_slow: &'static [(&'static str, &'static str)],
}

impl Program {
    /// What people call it: package, target, arguments.
    pub fn name(&self) -> String {
        let mut name = format!("{} {}", self.package.trim_start_matches("towpath-"), self.target);
        for argument in &self.arguments {
            let _ = write!(name, " {argument}");
        }
        name
    }

    /// Whether it starts the program under test.
    pub fn needs_towpath(&self) -> bool {
        self.package == "towpath-integration"
    }
}

/// Package, target, arguments, about how many seconds, why, tests that are too slow.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    u32,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const TABLE: &[Row] = &[
    ("towpath-netlink", "lib", &[], 1, "encoding, on the machine of the others", &[]),
    ("towpath-netlink", "ipvs", &[], 7, "IPVS", &[]),
    ("towpath-netlink", "ipset", &[], 12, "ipset", &[]),
    ("towpath-netlink", "link", &[], 4, "dummy links", &[]),
    ("towpath-netlink", "conntrack", &[], 7, "another kernel's conntrack", &[]),
    ("towpath-netlink", "route", &[], 10, "another kernel's rtnetlink", &[]),
    ("towpath-netlink", "local_route", &[], 15, "another kernel's routes", &[]),
    ("towpath-netlink", "xt", &[], 1, "another kernel's x_tables", &[]),
    ("towpath-takeover", "ipvs", &[], 15, "IPVS, ipset, dummy links", &[]),
    ("towpath-takeover", "leftovers", &[], 45, "dummy links, other tables of nf_tables", &[]),
    ("towpath-nftables", "beside_ipvs", &[], 40, "IPVS", &[]),
    ("towpath-iptables", "kernel", &[], 90, "another kernel's x_tables and nf_tables", &[]),
    ("towpath-integration", "kernel", &["flows::nftables::"], 150, "mode nftables with real packets", &[]),
    (
        "towpath-integration",
        "kernel",
        &["flows::iptables-legacy::terminating"],
        50,
        "mode iptables with real packets",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["flows-api::iptables-nft::itp"],
        35,
        "mode iptables with real packets",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["flows::ipvs::"],
        200,
        "mode ipvs with real packets: the flow table, stale flows",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["services::ipvs::"],
        60,
        "mode ipvs: every frontend and protocol",
        &[],
    ),
    ("towpath-integration", "kernel", &["schedulers::ipvs::"], 70, "mode ipvs: schedulers", &[]),
    ("towpath-integration", "kernel", &["persistence::ipvs::"], 15, "mode ipvs: ClientIP affinity", &[]),
    ("towpath-integration", "kernel", &["draining::ipvs::"], 120, "mode ipvs: graceful termination", &[]),
    (
        "towpath-integration",
        "kernel",
        &["drain::ipvs::clients"],
        100,
        "mode ipvs: resets at the drain deadline",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["rolling::ipvs::"],
        40,
        "mode ipvs: rolling updates under traffic",
        &[],
    ),
    ("towpath-integration", "kernel", &["foreign::ipvs::"], 60, "mode ipvs: virtual servers of others", &[]),
    (
        "towpath-integration",
        "kernel",
        &["connections::ipvs::"],
        120,
        "mode ipvs: connections by Service and endpoint",
        &[],
    ),
    ("towpath-integration", "kernel", &["policies::ipvs::"], 25, "mode ipvs: traffic policies", &[]),
    ("towpath-integration", "kernel", &["tamper::ipvs::"], 200, "mode ipvs: repair", &[]),
    ("towpath-integration", "kernel", &["show::ipvs::the_page"], 40, "mode ipvs: the debug page", &[]),
    ("towpath-integration", "kernel", &["self-probe::ipvs::"], 210, "mode ipvs: the self-probe", &[]),
    (
        "towpath-integration",
        "kernel",
        &["audit::ipvs::"],
        90,
        "mode ipvs: the audit trail",
        &[(
            "a_change_is_noted_with_its_version_and_its_rules",
            "the API server's first list and the page take the emulator longer than the story waits",
        )],
    ),
    (
        "towpath-integration",
        "kernel",
        &["dns::ipvs::"],
        120,
        "mode ipvs: DNS on the node",
        &[
            ("under_load", "a thousand queries a second are more than the emulator carries"),
            (
                "cleanup_and_a_start_without_it",
                "the emulator stands still for longer than the 0.9 s for which an answer keeps the interception up",
            ),
        ],
    ),
    ("towpath-integration", "kernel", &["lifecycle::ipvs::"], 100, "mode ipvs: start, restart, cleanup", &[]),
    (
        "towpath-integration",
        "kernel",
        &["node::ipvs::"],
        60,
        "mode ipvs: addresses of the node, settings",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["modes::between_nftables_and_ipvs"],
        30,
        "moves to and from mode ipvs under traffic",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["modes::between_iptables_nft_and_ipvs"],
        40,
        "moves to and from mode ipvs under traffic",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["modes::between_iptables_legacy_and_ipvs"],
        45,
        "moves to and from mode ipvs under traffic",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["modes::by_restarts"],
        60,
        "moves to and from mode ipvs by restarts",
        &[],
    ),
    ("towpath-integration", "kernel", &["modes::what_is_left"], 45, "what is left of mode ipvs", &[]),
    (
        "towpath-integration",
        "kernel",
        &["takeover::of_ipvs"],
        110,
        "taking over from kube-proxy's mode ipvs under traffic",
        &[],
    ),
];

/// The usual programs, quickest to tell first.
pub fn usual() -> Vec<Program> {
    TABLE.iter().map(of_row).collect()
}

fn of_row((package, target, arguments, seconds, why, too_slow): &Row) -> Program {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let (package, target) = ((*package).to_owned(), (*target).to_owned());
    Program { package, target, arguments, why, seconds: *seconds, measures: false, too_slow }
}

/// A measurement, with the words that `cargo xtask bench` takes.
pub fn measurement(arguments: &[String]) -> Program {
    let arguments = arguments.to_vec();
    let asked =
        Program { package: "towpath-bench".to_owned(), target: "towpath-bench".to_owned(), ..asked() };
    Program { arguments, measures: true, ..asked }
}

fn asked() -> Program {
    Program {
        package: String::new(),
        target: String::new(),
        arguments: Vec::new(),
        why: "asked for",
        seconds: 1,
        measures: false,
        too_slow: &[],
    }
}

/// `PACKAGE:TARGET` of the command line.
pub fn parse(text: &str) -> Result<Program, String> {
    match text.split_once(':') {
        Some((package, target)) if !package.is_empty() && !target.is_empty() => {
            Ok(Program { package: package.to_owned(), target: target.to_owned(), ..asked() })
        }
        _ => Err(format!("{text}: write PACKAGE:TARGET, such as towpath-netlink:ipvs")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_are_called_the_same() {
        let names: BTreeSet<_> = usual().iter().map(Program::name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn a_name_is_package_target_and_arguments() {
        let names: Vec<_> = usual().iter().map(Program::name).collect();
        for name in ["netlink ipvs", "integration kernel flows::nftables::"] {
            assert!(names.contains(&name.to_owned()), "{names:?}");
        }
    }

    #[test]
    fn a_program_of_the_command_line() {
        let found = parse("towpath-netlink:ipvs").unwrap();
        assert_eq!((found.package.as_str(), found.target.as_str()), ("towpath-netlink", "ipvs"));
        for wrong in ["towpath-netlink", ":ipvs", "towpath-netlink:", ""] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
