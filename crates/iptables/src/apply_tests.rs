//! How a plan is cut, and what becomes of refusals, with a tool that takes what it is told to.

use super::*;
use crate::digest::Digest;
use crate::names::{ChainId, Hook, Part, Table, Tree};
use crate::objects::{Entry, Key};
use std::cell::RefCell;
use std::sync::Arc;

fn service(name: &str) -> KeyStep {
    let chain = ChainId::Of(Part::Internal, Digest::of(name));
    let rule = format!("-p tcp -m comment --comment \"{name}\" -j DNAT --to-destination 10.0.0.1:80");
    (Key::new(IpFamily::V4, chain, Entry::Whole), Step::Create(Arc::from(rule)))
}

type Applied = Result<Vec<Refusal>, ApplyError>;

/// Applies `steps` with a tool that refuses every text with one of the words in `bad`; the texts that it took.
fn apply(steps: Vec<KeyStep>, bad: &[&str], with_line: bool) -> (Applied, Vec<String>) {
    let (result, taken, _) = apply_with(steps, bad, with_line);
    (result, taken)
}

/// The same, with the chains that were kept.
fn apply_with(steps: Vec<KeyStep>, bad: &[&str], with_line: bool) -> (Applied, Vec<String>, Vec<Place>) {
    let taken = RefCell::new(Vec::new());
    let restore = |_: IpFamily, text: &str| {
        let found = text.lines().position(|line| bad.iter().any(|word| line.contains(word)));
        let message = "no".to_owned();
        match found {
            Some(at) if with_line => Err(RestoreError::Line { number: at + 1, message }),
            Some(_) => Err(RestoreError::Refused { message }),
            None => {
                taken.borrow_mut().push(text.to_owned());
                Ok(())
            }
        }
    };
    let mut shadow = Shadow::default();
    let mut writer = writer(&restore, &mut shadow);
    let result = writer.apply(steps);
    let stuck = writer.stuck;
    (result, taken.into_inner(), stuck)
}

fn writer<'a>(restore: &'a Restore<'a>, shadow: &'a mut Shadow) -> Writer<'a> {
    Writer { restore, shadow, commits: 0, repeats: false, stuck: Vec::new() }
}

fn many(n: usize) -> Vec<KeyStep> {
    (0..n).map(|i| service(&format!("a/s{i:05}"))).collect()
}

#[test]
fn a_change_is_one_text() {
    let (result, taken) = apply(many(10), &[], false);
    assert_eq!((result.unwrap(), taken.len()), (Vec::new(), 1));
}

#[test]
fn a_large_load_goes_in_pieces() {
    let (result, taken) = apply(many(FIRST + LATER + 1), &[], false);
    assert!(result.unwrap().is_empty());
    let services = |text: &String| text.lines().filter(|line| line.starts_with("-A")).count();
    assert_eq!(taken.iter().map(services).collect::<Vec<_>>(), [FIRST, LATER, 1]);
}

#[test]
fn what_is_refused_is_found_and_the_rest_is_taken() {
    for with_line in [true, false] {
        let (result, taken) = apply(many(100), &["a/s00007", "a/s00090"], with_line);
        let mut refused: Vec<String> = result.unwrap().iter().map(|r| r.service.to_string()).collect();
        refused.sort();
        assert_eq!(refused, ["a/s00007", "a/s00090"], "{with_line}");
        let rules: Vec<&str> =
            taken.iter().flat_map(|text| text.lines()).filter(|l| l.starts_with("-A")).collect();
        assert_eq!(rules.len(), 98, "{with_line}");
        if with_line {
            assert!(taken.len() <= 4, "{} texts", taken.len());
        }
    }
}

#[test]
fn when_everything_is_refused_it_is_no_services_fault() {
    let error = apply(many(200), &["DNAT"], false).0.unwrap_err().to_string();
    assert!(
        error.contains("65 ServicePorts") && error.contains("a/s00000") && !error.contains('\n'),
        "{error}"
    );
    let head = (Key::new(IpFamily::V4, ChainId::Root(Tree::Idle), Entry::Head), Step::Create(Arc::from("")));
    let error = apply(vec![head], &["TOWPATH-IDLE"], true).0.unwrap_err().to_string();
    assert!(error.contains("belong to no Service"), "{error}");
}

#[test]
fn jumps_come_after_the_first_services_and_deletions_last() {
    let jump = |target: &str| Arc::from(format!("-j {target}"));
    let hook = ChainId::BuiltIn(Table::Nat, Hook::Output);
    let old = ChainId::Unknown(Table::Nat, Arc::from("TOWPATH-OLD"));
    let update = Step::Update { old: jump("TOWPATH-OLD"), new: jump("TOWPATH-SERVICES") };
    let steps = vec![
        (Key::new(IpFamily::V4, old, Entry::Whole), Step::Delete(Arc::from(""))),
        (Key::new(IpFamily::V4, hook, Entry::Jump), update),
        service("a/b"),
    ];
    let (result, taken) = apply(steps, &[], false);
    assert!(result.unwrap().is_empty());
    assert_eq!(taken[1], "*nat\n-D OUTPUT -j TOWPATH-OLD\n-I OUTPUT 1 -j TOWPATH-SERVICES\nCOMMIT\n");
    assert_eq!(taken[2], "*nat\n:TOWPATH-OLD - [0:0]\n-X TOWPATH-OLD\nCOMMIT\n");
}

#[test]
fn a_held_lock_is_no_refusal() {
    let restore = |_: IpFamily, _: &str| Err(RestoreError::Locked { holder: Some("other (pid 7)".into()) });
    let mut shadow = Shadow::default();
    let error = writer(&restore, &mut shadow).apply(many(3)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("IPv4 rules") && text.contains("5 s by other (pid 7)"), "{text}");
}

fn chain(name: &str) -> Key {
    Key::new(IpFamily::V4, ChainId::Unknown(Table::Nat, Arc::from(name)), Entry::Whole)
}

#[test]
fn a_chain_that_cannot_go_stays_empty_and_holds_nothing_else() {
    for (with_line, most) in [(true, 4), (false, 12)] {
        let gone = (0..20).map(|i| (chain(&format!("TOWPATH-{i:02}")), Step::Delete(Arc::from("-j RETURN"))));
        let steps: Vec<KeyStep> = gone.chain([service("a/b")]).collect();
        let (result, taken, stuck) = apply_with(steps, &["-X TOWPATH-07", "-X TOWPATH-11"], with_line);
        assert!(result.unwrap().is_empty(), "{with_line}");
        let mut stuck: Vec<String> = stuck.iter().map(|place| place.chain.to_string()).collect();
        stuck.sort();
        assert_eq!(stuck, ["TOWPATH-07", "TOWPATH-11"], "{with_line}");
        let lines: Vec<&str> = taken.iter().flat_map(|text| text.lines()).collect();
        assert_eq!(lines.iter().filter(|line| line.starts_with("-X ")).count(), 18, "{with_line}");
        assert!(
            lines.contains(&":TOWPATH-07 - [0:0]") && taken.len() <= most,
            "{with_line}: {}",
            taken.len()
        );
    }
}

#[test]
fn when_no_chain_can_go_it_is_no_foreign_rule() {
    let gone = (0..100).map(|i| (chain(&format!("TOWPATH-{i:02}")), Step::Delete(Arc::from(""))));
    let error = apply(gone.collect(), &["-X "], true).0.unwrap_err().to_string();
    assert!(error.contains("65 chains") && error.contains("TOWPATH-00"), "{error}");
}

#[test]
fn a_line_is_named_once() {
    for (message, want) in [
        ("no", r#"cannot write it: no (the rule "-X A")"#),
        (r#"the kernel does not take "-X A""#, r#"cannot write it: the kernel does not take "-X A""#),
    ] {
        let failure = Failure::Refused { line: Some("-X A".into()), message: message.into() };
        assert_eq!(failure.fatal("it").to_string(), want);
    }
}
