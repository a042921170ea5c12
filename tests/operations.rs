//! docs/operations.md names tests that exist, and commands that the program has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names after `operations::` in the page.
fn named(page: &str) -> BTreeSet<&str> {
    let names = page.split("`operations::").skip(1);
    names.filter_map(|rest| rest.split('`').next()).collect()
}

#[test]
fn each_section_has_its_test_and_each_test_its_section() {
    let page = text("docs/operations.md");
    let sources = ["operations.rs", "operations/choice.rs", "operations/path.rs", "operations/state.rs"];
    let code: String = sources.iter().map(|file| text(&format!("integration/kernel/{file}"))).collect();
    let told = code.split("Test::new(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named(&page), told);
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert!(sections.len() >= 10, "{}", sections.len());
    for section in sections {
        let heading = section.lines().next().unwrap();
        assert!(section.contains("\nTest: `") || section.contains("\nTests: `"), "no test: {heading}");
    }
}

#[test]
fn the_program_has_each_command_that_is_quoted() {
    let page = text("docs/operations.md");
    let lines = page.lines().filter_map(|line| line.strip_prefix("    $ towpath "));
    let words = lines.map(|line| line.split_whitespace().take_while(|word| !word.starts_with('-')));
    let commands: BTreeSet<Vec<&str>> = words.map(|words| words.take(2).collect()).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let known = |words: &[&str]| {
            let run = Command::new(env!("CARGO_BIN_EXE_towpath")).args(words).arg("--help").output();
            run.unwrap().status.success()
        };
        assert!(known(&command) || known(&command[..1]), "towpath {command:?} is not a command");
    }
}

#[test]
fn links_within_the_page_lead_somewhere() {
    let page = text("docs/operations.md");
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    };
    let anchors: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let links = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links {
        assert!(anchors.contains(link), "#{link} is no section: {anchors:?}");
    }
}
