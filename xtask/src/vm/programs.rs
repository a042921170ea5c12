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

/// Package, target, arguments, why, tests that are too slow.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static [(&'static str, &'static str)],
);

const TABLE: &[Row] = &[
    ("towpath-netlink", "lib", &[], "encoding, on the machine of the others", &[]),
    ("towpath-netlink", "ipvs", &[], "IPVS", &[]),
    ("towpath-netlink", "ipset", &[], "ipset", &[]),
    ("towpath-netlink", "link", &[], "dummy links", &[]),
    ("towpath-netlink", "conntrack", &[], "another kernel's conntrack", &[]),
    ("towpath-netlink", "route", &[], "another kernel's rtnetlink", &[]),
    ("towpath-netlink", "xt", &[], "another kernel's x_tables", &[]),
    ("towpath-takeover", "ipvs", &[], "IPVS, ipset, dummy links", &[]),
    ("towpath-takeover", "leftovers", &[], "dummy links, other tables of nf_tables", &[]),
    ("towpath-iptables", "kernel", &[], "another kernel's x_tables and nf_tables", &[]),
    ("towpath-integration", "kernel", &["flows::nftables::"], "mode nftables with real packets", &[]),
    (
        "towpath-integration",
        "kernel",
        &["flows::iptables-legacy::terminating"],
        "mode iptables with real packets",
        &[],
    ),
    (
        "towpath-integration",
        "kernel",
        &["flows-api::iptables-nft::itp"],
        "mode iptables with real packets",
        &[],
    ),
];

/// The usual programs, quickest to tell first.
pub fn usual() -> Vec<Program> {
    TABLE.iter().map(of_row).collect()
}

fn of_row((package, target, arguments, why, too_slow): &Row) -> Program {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Program { package: (*package).into(), target: (*target).into(), arguments, why, too_slow }
}

/// `PACKAGE:TARGET` of the command line.
pub fn parse(text: &str) -> Result<Program, String> {
    match text.split_once(':') {
        Some((package, target)) if !package.is_empty() && !target.is_empty() => Ok(Program {
            package: package.to_owned(),
            target: target.to_owned(),
            arguments: Vec::new(),
            why: "asked for",
            too_slow: &[],
        }),
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
