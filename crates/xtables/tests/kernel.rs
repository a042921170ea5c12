//! The real tools and the real kernel, in a network namespace of each test's own. Needs root and both variants.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::PathBuf;

use model::IpFamily;
use nix::fcntl::{Flock, FlockArg};
use testkit::netns::NetNs;
use towpath_xtables::{RestoreError, TABLES, ToolError, Tools, Variant, detect, legacy_tables};

const RULES: &str = r#"*nat
:FOO - [0:0]
-A FOO -p tcp -m comment --comment "a \"b\" c\\d $x" -m tcp --dport 80 -j RETURN
-A FOO -m comment --comment plain -j ACCEPT
-A FOO -p udp -m comment --comment "it\'s" -j MARK --set-xmark 0x4000/0x4000
COMMIT
"#;

/// A lock file of the test's own: the system's is shared by all network namespaces.
fn lock_file(test: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("xtables-{test}.lock"))
}

/// Runs a test for each variant and family in a fresh namespace.
fn each(test: &str, body: impl Fn(&Tools, IpFamily) + Sync) {
    for variant in Variant::ALL {
        let tools = Tools::find(variant).unwrap().with_lock_file(lock_file(test));
        for family in IpFamily::ALL {
            NetNs::new().unwrap().run(|| body(&tools, family)).unwrap();
        }
    }
}

#[test]
fn what_is_restored_is_what_is_saved() {
    each("round", |tools, family| {
        tools.restore(family, RULES).unwrap();
        let saved = tools.save(family, "nat").unwrap();
        assert_eq!(saved.chains["PREROUTING"].policy.as_deref(), Some("ACCEPT"));
        let texts: Vec<String> = saved.chains["FOO"].rules.iter().map(|rule| rule.text()).collect();
        let expected: Vec<&str> = RULES.lines().filter_map(|line| line.strip_prefix("-A FOO ")).collect();
        assert_eq!(texts, expected);
        assert_eq!(tools.tables(family), ["nat"]);
    });
}

#[test]
fn looking_makes_nothing() {
    each("look", |tools, family| {
        for table in TABLES {
            assert_eq!(tools.save(family, table).unwrap().rules(), 0);
        }
        assert!(tools.tables(family).is_empty());
        detect().unwrap();
        assert!(legacy_tables(family).unwrap().is_empty());
        let nft = std::process::Command::new("nft").args(["list", "tables"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&nft.stdout), "");
    });
}

#[test]
fn a_refused_text_names_its_line_and_changes_nothing() {
    let cases = [
        ("*nat\n:FOO - [0:0]\n-A FOO -m tcp --dportt 5\nCOMMIT\n", 3, "--dportt"),
        ("*nat\n:FOO - [0:0]\n-A NOCHAIN -j ACCEPT\nCOMMIT\n", 3, ""),
        ("*nat\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-X B\nCOMMIT\n", 5, ""),
        ("*bogus\nCOMMIT\n", 1, "bogus"),
    ];
    each("refused", |tools, family| {
        for (text, line, word) in cases {
            let error = tools.restore(family, text).unwrap_err();
            let RestoreError::Line { number, message } = &error else { panic!("{text}: {error:?}") };
            assert!(*number == line || *number == line + 1, "{text}: {error}");
            assert!(message.contains(word) && !error.to_string().contains('\n'), "{error}");
            assert!(!tools.save(family, "nat").unwrap().chains.contains_key("FOO"), "{text}");
        }
    });
}

#[test]
fn a_held_lock_names_its_holder() {
    let path = lock_file("held");
    let file = File::options().create(true).truncate(false).write(true).open(&path).unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
    let tools = Tools::find(Variant::Legacy).unwrap().with_lock_file(&path);
    let ns = NetNs::new().unwrap();
    let result = ns.run(|| tools.restore(IpFamily::V4, RULES)).unwrap();
    let Err(RestoreError::Locked { holder: Some(holder) }) = result else { panic!("{result:?}") };
    assert!(holder.ends_with(&format!("(pid {})", std::process::id())), "{holder}");
    drop(held);
    ns.run(|| tools.restore(IpFamily::V4, RULES)).unwrap().unwrap();
}

#[test]
fn the_variant_is_where_kubelets_hint_is() {
    const HINT: &str = "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n";
    each("hint", |tools, family| {
        tools.restore(family, HINT).unwrap();
        let other = Variant::ALL.into_iter().find(|variant| *variant != tools.variant()).unwrap();
        let other = Tools::find(other).unwrap().with_lock_file(lock_file("hint"));
        other.restore(family, RULES).unwrap();
        let found = detect().unwrap();
        assert_eq!(found.variant, tools.variant());
        assert!(found.why.contains("kubelet"), "{}", found.why);
    });
}

#[test]
fn without_a_hint_the_variant_is_where_more_rules_are() {
    each("rules", |tools, family| {
        tools.restore(family, RULES).unwrap();
        let found = detect().unwrap();
        assert_eq!(
            (found.variant, found.why.as_str()),
            (tools.variant(), "this variant has 3 rules, the other one 0")
        );
    });
}

#[test]
fn a_table_that_the_tool_cannot_show_is_not_taken_for_an_empty_one() {
    let tools = Tools::find(Variant::Nft).unwrap();
    let ns = NetNs::new().unwrap();
    ns.run(|| tools.restore(IpFamily::V4, RULES)).unwrap().unwrap();
    ns.nft("add chain ip nat own\nadd rule ip nat own numgen random mod 3 1 accept\n").unwrap();
    let error = ns.run(|| tools.save(IpFamily::V4, "nat")).unwrap().unwrap_err();
    assert!(matches!(error, ToolError::Incompatible { .. }), "{error:?}");
    assert!(error.to_string().contains("Table `nat' is incompatible"), "{error}");
    // It takes a text, and the other tables' rules are counted.
    let text = "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n*nat\n-A PREROUTING -j RETURN\nCOMMIT\n";
    ns.run(|| tools.restore(IpFamily::V4, text)).unwrap().unwrap();
    assert_eq!(ns.run(|| tools.tables(IpFamily::V4)).unwrap(), ["nat", "filter"]);
    let detected = ns.run(detect).unwrap().unwrap();
    assert_eq!(detected.why, "this variant has 1 rules, the other one 0");
}
