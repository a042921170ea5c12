//! Texts as kube-proxy writes them for iptables-restore, compared without a kernel.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

#[path = "support/cases.rs"]
mod cases;
mod support;

use support::{example, lines, parsed};

#[test]
fn each_change_gives_exactly_its_differences() {
    for (name, change, want) in cases::CASES {
        let mut theirs = example();
        change(&mut theirs);
        assert_eq!(lines(&example(), &parsed(&theirs)), *want, "{name}");
    }
}
