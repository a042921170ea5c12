//! The world itself, tried without the program: hand-written rules take its place.
//!
//! Needs root; otherwise every test is reported as ignored, with the reason.

mod cases;
mod plain;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use towpath_testkit::requires_root;

type Test = fn() -> anyhow::Result<()>;

const TESTS: &[(&str, Test)] = &[
    ("plain::namespaces_are_apart", plain::namespaces_are_apart),
    ("plain::a_failing_command_says_why", plain::a_failing_command_says_why),
    ("plain::a_guarded_process_ends", plain::a_guarded_process_ends),
    ("plain::routed_untouched", plain::routed_untouched),
    ("plain::outcomes_differ", plain::outcomes_differ),
    ("plain::dnat_and_masquerade_are_seen", plain::dnat_and_masquerade_are_seen),
    ("plain::own_packets_show_masquerade", plain::own_packets_show_masquerade),
    ("plain::a_udp_flow_is_one_flow", plain::a_udp_flow_is_one_flow),
    ("plain::ping_tells_answers_from_refusals", plain::ping_tells_answers_from_refusals),
    ("plain::a_world_is_quick", plain::a_world_is_quick),
    ("cases::right_rules_pass", cases::right_rules_pass),
    ("cases::no_rules_fail", cases::no_rules_fail),
    ("cases::one_endpoint_too_many_fails", cases::one_endpoint_too_many_fails),
    ("cases::wrong_masquerade_fails", cases::wrong_masquerade_fails),
    ("cases::every_world_can_be_built", cases::every_world_can_be_built),
];

fn main() -> ExitCode {
    let obstacle = requires_root().err();
    let trials = TESTS.iter().map(|(name, test)| trial(name, *test, obstacle.clone())).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, test: Test, obstacle: Option<String>) -> Trial {
    Trial::ignorable_test(name, move || match obstacle {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => test().map(|()| Completion::Completed).map_err(|e| Failed::from(format!("{e:#}"))),
    })
}
